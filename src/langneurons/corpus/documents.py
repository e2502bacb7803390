"""Documents of a corpus shard: the Parquet contract (id, text) and the held-out split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.files import write_atomically

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
STATISTICS, HELDOUT = "statistics", "heldout"
FILLED = b"langneurons.filled_shards"


def write_documents(
    path: str | os.PathLike,
    documents: Iterable[tuple[str, str]],
    row_group: int = 4096,
    filled: int | None = None,
    empty: bool = False,
) -> int:
    """Write (id, text) pairs as they come; returns how many. ValueError if there are none, unless ``empty``.

    ``filled``: how many of the language's shards hold text, where that may be fewer than there are; it is kept in the
    file (see :func:`shard_budget`).
    """
    count, rows = 0, []
    schema = SCHEMA if filled is None else SCHEMA.with_metadata({FILLED: str(filled)})
    with write_atomically(path) as partial:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:

            def flush() -> None:
                writer.write_table(pa.table({"id": [r[0] for r in rows], "text": [r[1] for r in rows]}, schema))
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


def read_documents(path: str | os.PathLike) -> Iterable[tuple[str, str]]:
    """Yield (id, text) in file order, a row group at a time."""
    file = pq.ParquetFile(path)
    missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{path}: lacks the column(s) {', '.join(missing)}; a corpus shard has id and text")
    for batch in file.iter_batches(columns=SCHEMA.names):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def shard_budget(path: str | os.PathLike, tokens: int, shards: int) -> int:
    """Tokens that a shard gives of a language's budget of ``tokens``: an equal part, rounded up; 0 if it is empty.

    The shards that hold text divide the budget: all ``shards``, or as many as the file says (see
    :func:`write_documents`).
    """
    file = pq.ParquetFile(path)
    if not file.metadata.num_rows:
        return 0
    filled = (file.schema_arrow.metadata or {}).get(FILLED)
    return -(-tokens // (shards if filled is None else int(filled)))


def split_of(text: str, heldout_fraction: float, seed: int) -> str:
    """``"heldout"`` or ``"statistics"``, by a hash of the text alone.

    The same text is on the same side whatever its shard, file or position, so held-out perplexity
    never meets a document that the statistics counted.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return HELDOUT if int.from_bytes(digest, "big") < heldout_fraction * 2**64 else STATISTICS
