"""Task files of the Hugging Face Hub: which file of a data set holds a language and split."""

from __future__ import annotations

# task: (folder, beginning of the file's name) by language and split. SQuAD, when it trains XQuAD, has one folder.
FOLDERS = {
    "xnli": ("{language}", "{split}-"),
    "xquad": ("xquad.{language}", "validation-"),
    "squad": ("plain_text", "train-"),
}


def download_task(task: str, repository: str, revision: str, language: str, split: str) -> str:
    """Download the one Parquet file of a language and split at a pinned revision; its local path.

    ``task`` is a key of ``FOLDERS``. ValueError if the data set has no such file, or several.
    """
    from huggingface_hub import HfApi, hf_hub_download

    folder, start = (part.format(language=language, split=split) for part in FOLDERS[task])
    listing = HfApi().list_repo_tree(repository, folder, revision=revision, repo_type="dataset")
    files = [
        entry.path
        for entry in listing
        if entry.path.endswith(".parquet") and entry.path.rsplit("/", 1)[-1].startswith(start)
    ]
    if len(files) != 1:
        found = ", ".join(sorted(files)) or "none"
        raise ValueError(f"{repository}@{revision}: one file {folder}/{start}*.parquet was expected; found: {found}")
    return hf_hub_download(repository, files[0], revision=revision, repo_type="dataset")
