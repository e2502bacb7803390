"""Documents of a corpus shard: the Parquet contract (id, text) and the held-out split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.artifacts.parquet import open_parquet, parquet_writer

KIND = "corpus shard"
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
STATISTICS, HELDOUT = "statistics", "heldout"
FILLED = "filled_shards"


def shard_facts(language: str, shard: int) -> dict[str, str]:
    """What a corpus shard says of itself: its language, and its number as its path writes it."""
    return {"language": language, "shard": f"{shard:04d}"}


def write_documents(
    path: str | os.PathLike,
    documents: Iterable[tuple[str, str]],
    facts: Mapping[str, Any] | None = None,
    row_group: int = 4096,
    filled: int | None = None,
    empty: bool = False,
) -> int:
    """Write (id, text) pairs as they come; returns how many. ValueError if there are none, unless ``empty``.

    ``facts``: what the file says of itself, ``language`` and ``shard``. ``filled``: how many of the language's shards
    hold text, where that may be fewer than there are; it is a fact too (see :func:`shard_budget`).
    """
    count = 0
    rows: list[tuple[str, str]] = []
    facts = dict(facts or {}) | ({} if filled is None else {FILLED: filled})
    with parquet_writer(path, SCHEMA, KIND, facts) as writer:

        def flush() -> None:
            writer.write_table(pa.table({"id": [r[0] for r in rows], "text": [r[1] for r in rows]}, SCHEMA))
            rows.clear()

        for document in documents:
            rows.append(document)
            count += 1
            if len(rows) == row_group:
                flush()
        if rows:
            flush()
        if not count and not empty:
            raise ValueError(f"{path}: the source has no documents for this shard; lower corpus.shards or add text")
    return count


def read_documents(path: str | os.PathLike, expected: Mapping[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of a corpus shard in file order, a row group at a time.

    ArtifactError, naming the file, if it is missing or damaged, or if its facts are not the ``expected`` ones.
    """
    with open_parquet(path, KIND, expected) as (file, _):
        yield from _documents(path, file)


def _documents(path: str | os.PathLike, file: pq.ParquetFile) -> Iterator[tuple[str, str]]:
    missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{path}: lacks the column(s) {', '.join(missing)}; a corpus shard has id and text")
    for batch in file.iter_batches(columns=SCHEMA.names):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def shard_budget(path: str | os.PathLike, tokens: int, shards: int, expected: Mapping[str, Any] | None = None) -> int:
    """Tokens that a shard gives of a language's budget of ``tokens``: an equal part, rounded up; 0 if it is empty.

    The shards that hold text divide the budget: all ``shards``, or as many as the file says (see
    :func:`write_documents`). Errors as :func:`read_documents`.
    """
    with open_parquet(path, KIND, expected) as (file, facts):
        rows = file.metadata.num_rows
    return -(-tokens // facts.get(FILLED, shards)) if rows else 0


def split_of(text: str, heldout_fraction: float, seed: int) -> str:
    """``"heldout"`` or ``"statistics"``, by a hash of the text alone.

    The same text is on the same side whatever its shard, file or position, so held-out perplexity
    never meets a document that the statistics counted.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return HELDOUT if int.from_bytes(digest, "big") < heldout_fraction * 2**64 else STATISTICS
