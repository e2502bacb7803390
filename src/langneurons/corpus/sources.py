"""Where text comes from: files of the user, the Hub's Wikipedia, or the miniature world."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from langneurons.artifacts.foreign_files import lines, need, parquet, parquet_faults, parsed, records, string
from langneurons.corpus.documents import shard_facts, write_documents
from langneurons.corpus.quality import DocumentFilter
from langneurons.hub.downloads import RemoteFile, Repository, fetch_all, list_files, write_manifest

ENDINGS = (".jsonl", ".parquet", ".txt")


def read_file(path: str) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of a .jsonl (keys id, text), .parquet (columns id, text) or .txt (a document a line).

    ValueError names the file and line that is missing, empty, not UTF-8, no JSON, or lacks a key.
    """
    ending = Path(path).suffix
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; corpus.files.pattern must lead to the text of every language")
    if ending not in ENDINGS:
        raise ValueError(f"{path}: unknown ending '{ending}'; write {', '.join(ENDINGS)}")
    if ending == ".parquet":
        for number, row in records(parquet(path, path, ("id", "text")), path):
            yield _document(row["id"], row["text"] or "", f"{path}, row {number}")
        return
    for number, line in lines(path, path):
        content = line.strip()
        if not content:
            continue
        if ending == ".txt":
            yield _document(number, content, f"{path}, line {number}")
            continue
        entry = parsed(content, f"{path}, line {number}", "; write one object per line")
        missing = [key for key in ("id", "text") if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise ValueError(f'{path}, line {number}: lacks {" and ".join(missing)}; write {{"id": …, "text": …}}')
        yield _document(entry["id"], entry["text"], f"{path}, line {number}")


def _document(identity: Any, content: Any, at: str) -> tuple[str, str]:
    if isinstance(identity, bool) or not isinstance(identity, (int, str)):
        raise ValueError(f"{at}: id is {identity!r}; write a text or a whole number")
    return string(str(identity), f"{at}: id"), string(content, f"{at}: text")


def file_shard(path: str, shard: int, shards: int, seed: int, document_filter: DocumentFilter) -> list[tuple[str, str]]:
    """Documents of one of ``shards`` equal parts of what ``document_filter`` takes of a file, after shuffling by seed.

    ValueError if that is less than one document per shard.
    """
    documents = list(document_filter(read_file(path)))
    if not documents:
        raise ValueError(
            f"{path}: the file has no text that is taken ({document_filter.summary()}); it must hold documents"
        )
    if len(documents) < shards:
        raise ValueError(
            f"{path}: {len(documents)} documents for {shards} shards ({document_filter.summary()}); lower corpus.shards"
        )
    random.Random(f"{seed}/corpus").shuffle(documents)
    return documents[shard::shards]


def import_file_shard(
    path: str,
    out: str | os.PathLike,
    quality: str | os.PathLike,
    shard: int,
    shards: int,
    seed: int,
    document_filter: DocumentFilter,
) -> None:
    """Write one shard of a file's text (:func:`file_shard`), and what was taken and left out."""
    facts = shard_facts(document_filter.language, shard)
    write_documents(out, document_filter.measured(file_shard(path, shard, shards, seed, document_filter)), facts)
    document_filter.write(quality)
    print(document_filter.summary())


def wikipedia_file(files: list[RemoteFile], language: str, shard: int, shards: int, seed: int) -> RemoteFile | None:
    """The file of a shard: the files of a language in an order drawn by seed; None for a shard beyond the last."""
    order = sorted(files, key=lambda file: file.path)
    random.Random(f"{seed}/files/{language}").shuffle(order)
    return order[shard] if shard < min(len(order), shards) else None


@dataclass(frozen=True)
class Wikipedia:
    """A language's Wikipedia on the Hub, as ``shards`` of it are taken: files and articles in an order by ``seed``.

    ``name``: what Wikipedia calls the language, mostly its code. ``characters``: how many each shard keeps if all are
    filled; None: all there are.
    """

    where: Repository
    snapshot: str
    language: str
    name: str
    shards: int
    characters: int | None
    seed: int


def download_wikipedia_shard(
    wikipedia: Wikipedia,
    shard: int,
    document_filter: DocumentFilter,
    out: str | os.PathLike,
    quality: str | os.PathLike,
    manifest: str | os.PathLike,
) -> None:
    """Write one shard of a language's Wikipedia, the counts of its filter, and the manifest of its file.

    A shard takes one file of the pinned revision. A language with fewer files than shards leaves shards empty; the
    others then keep the more, and packing divides the budget of tokens among the filled ones. The file itself stays in
    ``{shard}.source`` beside ``out``: with another seed, length or filter the shard is made of it again, and only
    another file is fetched.

    The Hub's own errors pass; ValueError where the snapshot has no file of the language.
    """
    where, language, shards, seed = wikipedia.where, wikipedia.language, wikipedia.shards, wikipedia.seed
    folder = f"{wikipedia.snapshot}.{wikipedia.name}"
    files = [f for f in list_files(where, folder) if f.path.endswith(".parquet")]
    if not files:
        raise ValueError(f"{where}: no Parquet file in {folder}; check corpus.hub.snapshot and corpus.hub.names")
    filled = min(len(files), shards)
    file = wikipedia_file(files, language, shard, shards, seed)
    source = Path(out).with_suffix(".source")
    if file is None:
        print(
            f"{where}: {folder} has {len(files)} files for {shards} shards; this one stays empty, and the others "
            "divide the budget of tokens"
        )
        shutil.rmtree(source, ignore_errors=True)  # of an earlier configuration
        write_documents(out, [], shard_facts(language, shard), filled=filled, empty=True)
        fetched = []
    else:
        fetched = fetch_all(where, [file], source)
        articles = document_filter(shuffled_articles(source / Path(file.path).name, f"{seed}/articles/{file.path}"))
        if wikipedia.characters is not None:
            articles = _first(articles, -(-wikipedia.characters * shards // filled))
        write_documents(out, document_filter.measured(articles), shard_facts(language, shard), filled=filled)
        print(document_filter.summary())
    document_filter.write(quality)
    write_manifest(manifest, fetched)


def shuffled_articles(path: str | os.PathLike, seed: str) -> Iterator[tuple[str, str]]:
    """(id, text) of a Parquet file's rows: its row groups in an order drawn by seed, and each one's rows.

    One row group (a thousand articles) is in memory at a time, and none is read that is not asked for.
    """
    with parquet_faults(str(path)):
        file = pq.ParquetFile(path)
    need(("id", "text"), list(file.schema_arrow.names), str(path))
    draw = random.Random(seed)
    groups = list(range(file.num_row_groups))
    draw.shuffle(groups)
    for group in groups:
        with parquet_faults(str(path)):
            table = file.read_row_group(group, columns=["id", "text"])
        rows = list(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
        draw.shuffle(rows)
        yield from ((str(identity), text or "") for identity, text in rows)


def _first(documents: Iterator[tuple[str, str]], characters: int) -> Iterator[tuple[str, str]]:
    """Documents until they add up to ``characters``; the one that reaches it is the last."""
    taken = 0
    for identity, text in documents:
        yield identity, text
        taken += len(text)
        if taken >= characters:
            return
