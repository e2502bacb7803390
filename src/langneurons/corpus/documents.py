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


def write_documents(path: str | os.PathLike, documents: Iterable[tuple[str, str]], row_group: int = 4096) -> int:
    """Write (id, text) pairs as they come; returns how many. ValueError if there are none."""
    count, rows = 0, []
    with write_atomically(path) as partial:
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:

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
        if not count:
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


def split_of(text: str, heldout_fraction: float, seed: int) -> str:
    """``"heldout"`` or ``"statistics"``, by a hash of the text alone.

    The same text is on the same side whatever its shard, file or position, so held-out perplexity
    never meets a document that the statistics counted.
    """
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return HELDOUT if int.from_bytes(digest, "big") < heldout_fraction * 2**64 else STATISTICS
