"""Which file of a Hub data set is taken, against a listing made by hand."""

from types import SimpleNamespace

import huggingface_hub
import pytest

from langneurons.tasks.hub import download_task

FILES = {
    "facebook/xnli": ["vi/test-00000-of-00001.parquet", "vi/train-00000-of-00001.parquet", "vi/README.md"],
    "google/xquad": ["xquad.hi/validation-00000-of-00001.parquet"],
    "rajpurkar/squad": ["plain_text/train-00000-of-00001.parquet", "plain_text/validation-00000-of-00001.parquet"],
    "split/xnli": ["vi/test-00000-of-00002.parquet", "vi/test-00001-of-00002.parquet"],
}


@pytest.fixture
def hub(monkeypatch):
    class Api:
        def list_repo_tree(self, repository, folder, revision, repo_type):
            assert (revision, repo_type) == ("c" * 40, "dataset")
            return [SimpleNamespace(path=path) for path in FILES[repository] if path.startswith(folder + "/")]

    def download(repository, path, revision, repo_type):
        assert path in FILES[repository] and revision == "c" * 40 and repo_type == "dataset"
        return f"/cache/{repository}/{path}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


@pytest.mark.parametrize(
    ("task", "repository", "language", "split", "expected"),
    [
        ("xnli", "facebook/xnli", "vi", "test", "vi/test-00000-of-00001.parquet"),
        ("xnli", "facebook/xnli", "vi", "train", "vi/train-00000-of-00001.parquet"),
        ("xquad", "google/xquad", "hi", "test", "xquad.hi/validation-00000-of-00001.parquet"),
        ("squad", "rajpurkar/squad", "en", "train", "plain_text/train-00000-of-00001.parquet"),
    ],
)
def test_the_right_file(hub, task, repository, language, split, expected):
    assert download_task(task, repository, "c" * 40, language, split) == f"/cache/{repository}/{expected}"


@pytest.mark.parametrize(("repository", "language"), [("split/xnli", "vi"), ("facebook/xnli", "hi")])
def test_no_file_or_several(hub, repository, language):
    with pytest.raises(ValueError, match=r"one file .*test-\*\.parquet was expected"):
        download_task("xnli", repository, "c" * 40, language, "test")
