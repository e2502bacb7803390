"""Tiny repositories in the layout of the real ones: models of two architectures, Wikipedia, XNLI, XQuAD, SQuAD."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.demo.pretraining import build_model, train_tokenizer
from langneurons.demo.world import write_documents, write_inference, write_question

LANGUAGES = ("en", "vi", "hi")
WIKIPEDIA_FILES = {"en": 3, "vi": 2, "hi": 1}
DOCUMENTS = 40  # of each file
EXAMPLES = {"train": 24, "validation": 4, "test": 12}
QUESTIONS = 10
SEED = 5


def make_repositories(root: Path) -> dict[str, Path]:
    """Write all below ``root``; the folder of each repository by its name."""
    makers = {
        "wikimedia/wikipedia": _wikipedia,
        "facebook/xnli": _xnli,
        "google/xquad": _xquad,
        "rajpurkar/squad": _squad,
        "meta-llama/Llama-3.1-8B": _llama,
        "mistralai/Mistral-Nemo-Base-2407": _mistral,
        "old/weights": _bin_only,
    }
    folders = {name: root / name for name in makers}
    for name, make in makers.items():
        folders[name].mkdir(parents=True)
        (folders[name] / "README.md").write_text(f"# {name}\n", encoding="utf-8")
        (folders[name] / ".gitattributes").write_text("*.parquet filter=lfs\n", encoding="utf-8")
        make(folders[name])
    return folders


def _write(path: Path, columns: dict[str, list] | pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)


def _wikipedia(folder: Path) -> None:
    for language, files in WIKIPEDIA_FILES.items():
        for i in range(files):
            ids, texts = zip(*write_documents(language, SEED, i, DOCUMENTS), strict=True)
            columns = {
                "id": list(ids),
                "url": [f"https://{language}.wikipedia.org/wiki/{x}" for x in ids],
                "title": [t.split()[0] for t in texts],
                "text": list(texts),
            }
            _write(folder / f"20231101.{language}" / f"train-{i:05d}-of-{files:05d}.parquet", columns)


def _xnli(folder: Path) -> None:
    for language in LANGUAGES:
        for split, count in EXAMPLES.items():
            rows = [write_inference(language, SEED, split, i) for i in range(count)]
            columns = {key: [row[key] for row in rows] for key in ("premise", "hypothesis")}
            columns["label"] = pa.array([row["label"] for row in rows], pa.int64())
            _write(folder / language / f"{split}-00000-of-00001.parquet", columns)


def _questions(language: str, split: str) -> pa.Table:
    rows = [write_question(language, SEED, split, i) for i in range(QUESTIONS)]
    answers = [{"text": r["answers"], "answer_start": [r["context"].index(a) for a in r["answers"]]} for r in rows]
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    return pa.table(
        {key: [row[key] for row in rows] for key in ("id", "context", "question")}
        | {"answers": pa.array(answers, kind)}
    )


def _xquad(folder: Path) -> None:
    for language in LANGUAGES:
        _write(folder / f"xquad.{language}" / "validation-00000-of-00001.parquet", _questions(language, "test"))


def _squad(folder: Path) -> None:
    for split in ("train", "validation"):
        _write(folder / "plain_text" / f"{split}-00000-of-00001.parquet", _questions("en", split))


def _model(folder: Path, architecture: str) -> None:
    """A tiny model in several shards, in two formats."""
    import torch
    from tokenizers import Tokenizer

    train_tokenizer([t for x in LANGUAGES for _, t in write_documents(x, SEED, 0, DOCUMENTS)], 800, folder)
    settings = {"architecture": architecture, "layers": 2, "hidden": 64, "neurons": 128, "heads": 2, "head_dim": 32}
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    model = build_model(settings | {"key_value_heads": 1, "vocabulary": vocabulary}, SEED)
    model.save_pretrained(str(folder), max_shard_size="200KB")
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


def _llama(folder: Path) -> None:
    _model(folder, "llama")
    (folder / "original").mkdir()
    (folder / "pytorch_model.bin").rename(folder / "original" / "consolidated.00.pth")
    (folder / "original" / "params.json").write_text("{}\n", encoding="utf-8")
    shutil.copy(folder / "tokenizer.json", folder / "original" / "tokenizer.model")
    (folder / "tokenizer-old").mkdir()
    shutil.copy(folder / "tokenizer.json", folder / "tokenizer-old" / "tokenizer.json")


def _mistral(folder: Path) -> None:
    _model(folder, "mistral")
    from safetensors.torch import load_file, save_file

    shards = sorted(folder.glob("model-*.safetensors"))
    weights = {key: tensor for shard in shards for key, tensor in load_file(shard).items()}
    save_file(weights, folder / "consolidated.safetensors")  # as mistralai's repositories hold them once more
    (folder / "params.json").write_text("{}\n", encoding="utf-8")
    (folder / "tekken.json").write_text("{}\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<s>"}) + "\n", encoding="utf-8")


def _bin_only(folder: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "pytorch_model.bin"):
        (folder / name).write_text("{}\n", encoding="utf-8")
