"""Where text comes from: files of the user, the Hub's Wikipedia, or the miniature world."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

ENDINGS = (".jsonl", ".parquet", ".txt")


def read_file(path: str) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of a .jsonl (keys id, text), .parquet (columns id, text) or .txt (a document a line).

    ValueError names the file and line that is missing, empty, not UTF-8 or lacks a key.
    """
    source = Path(path)
    if not source.is_file():
        raise ValueError(f"{path}: no such file; corpus.files.pattern must lead to the text of every language")
    if source.suffix not in ENDINGS:
        raise ValueError(f"{path}: unknown ending '{source.suffix}'; write {', '.join(ENDINGS)}")
    if source.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; it must hold documents")
    if source.suffix == ".parquet":
        from langneurons.corpus.documents import read_documents

        yield from ((str(i), text or "") for i, text in read_documents(path))
        return
    with source.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                line = raw.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start})") from None
            if not line:
                continue
            if source.suffix == ".txt":
                yield str(number), line
                continue
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error.msg}); write one object a line") from None
            missing = [key for key in ("id", "text") if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise ValueError(f'{path}, line {number}: lacks {" and ".join(missing)}; write {{"id": …, "text": …}}')
            if not isinstance(entry["text"], str):
                raise ValueError(f"{path}, line {number}: text is {entry['text']!r}; write a string")
            yield str(entry["id"]), entry["text"]


def file_shard(path: str, shard: int, shards: int, seed: int) -> list[tuple[str, str]]:
    """Documents of one of ``shards`` equal parts of a file, after shuffling by seed; empty texts are left out."""
    documents = [(i, t) for i, t in read_file(path) if t.strip()]
    if not documents:
        raise ValueError(f"{path}: the file has no text; it must hold documents")
    if len(documents) < shards:
        raise ValueError(f"{path}: {len(documents)} documents for {shards} shards; lower corpus.shards")
    random.Random(f"{seed}/corpus").shuffle(documents)
    return documents[shard::shards]


def wikipedia_shard(
    language: str, shard: int, shards: int, repository: str, revision: str, snapshot: str, seed: int
) -> Iterator[tuple[str, str]]:
    """Documents of shard slot ``shard`` of a language's Wikipedia, files and articles shuffled by seed.

    Downloads one Parquet file of the pinned revision. Where a language has fewer files than slots, the
    slots of one file share its articles out, so that none is empty and none is read twice.
    """
    from huggingface_hub import HfApi, hf_hub_download

    folder = f"{snapshot}.{language}"
    listing = HfApi().list_repo_tree(repository, folder, revision=revision, repo_type="dataset")
    files = sorted(entry.path for entry in listing if entry.path.endswith(".parquet"))
    if not files:
        raise ValueError(f"{repository}@{revision}: no Parquet file in {folder}; check corpus.hub.snapshot")
    random.Random(f"{seed}/files/{language}").shuffle(files)
    index, turn = shard % len(files), shard // len(files)
    sharing = len(range(index, shards, len(files)))
    local = hf_hub_download(repository, files[index], revision=revision, repo_type="dataset")
    yield from _shuffled_articles(local, turn, sharing, seed)


def _shuffled_articles(path: str, turn: int, sharing: int, seed: int) -> Iterator[tuple[str, str]]:
    """Every ``sharing``-th article from ``turn`` on, of an order drawn by seed; empty articles are left out."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "text"])
    order = list(range(table.num_rows))
    random.Random(f"{seed}/articles").shuffle(order)
    for i in order[turn::sharing]:
        text = table["text"][i].as_py()
        if text and text.strip():
            yield str(table["id"][i].as_py()), text
