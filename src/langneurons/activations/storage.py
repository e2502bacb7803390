"""Counts as Parquet: a row per neuron, by (layer, neuron), its histogram without the zeros at both ends.

Columns: ``layer``, ``neuron`` (int32), ``total``, ``square`` (3 float64: the limbs of the sums), ``min``, ``max``
(float32), ``positive`` (int64: tokens above zero), ``first_bin`` (int32), ``histogram`` (list of int32, or int64 from
2^31 tokens on), ``batch_p90`` (float64) of a percentile summed over batches. The file's facts say what was counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.activations.sketch import BINS, DTYPES, LAYOUT, QUANTA, ZERO_BIN, NeuronCounts, carry
from langneurons.artifacts.facts import AGAIN, ArtifactError, compare
from langneurons.artifacts.parquet import open_parquet, parquet_writer, read_facts
from langneurons.finite import check_finite

KIND = "activation counts"
UNITS = {"total": "z", "square": "z^2", "min": "z", "max": "z", "positive": "tokens", "histogram": "tokens per bin"}
_ROWS = 8192  # neurons per row group
_REQUIRED = {"model": str, "language": str, "shards": list, "site": str}  # what a caller says
_OWN = ("bins", "tokens", "layers", "neurons_per_layer", "dtype", "batch_percentiles")  # what the counts say


def write_counts(path: str | os.PathLike, counts: NeuronCounts, metadata: dict) -> None:
    """Write counts with what they are of.

    ``metadata``: ``model`` (digest of the snapshot), ``language``, ``shards`` (names of the shards counted) and any
    more that JSON can hold; ``site`` is "gate" unless given. ValueError for metadata that is missing or of another
    type, and for counts that do not add up.
    """
    metadata = _checked_metadata({"site": "gate", **metadata})
    _check_finite(path, counts)
    schema = _schema(counts)
    neurons = counts.shape[1]
    limbs = counts.moments.reshape(2, len(QUANTA), -1)
    histogram = counts.histogram.reshape(-1, BINS)
    # The histograms hardly repeat a value at a place: splitting their bytes packs better than a dictionary.
    encoding: dict[str, Any] = {"use_dictionary": ["layer", "neuron", "first_bin"]}
    encoding["column_encoding"] = {"histogram.list.element": "BYTE_STREAM_SPLIT"}
    facts = {**metadata, **_description(counts), "units": UNITS}
    with parquet_writer(path, schema, KIND, facts, compression_level=6, **encoding) as writer:
        for start in range(0, len(histogram), _ROWS):
            rows = slice(start, start + _ROWS)
            if (histogram[rows].sum(axis=1, dtype=np.int64) != counts.tokens).any():
                raise ValueError(f"{path}: a neuron's bins do not add up to the {counts.tokens} tokens counted")
            first, lengths, values = _trim(histogram[rows])
            number = np.arange(start, start + len(first), dtype=np.int32)
            columns = [number // neurons, number % neurons]
            columns += [_triples(limbs[moment, :, rows]) for moment in (0, 1)]
            columns += [counts.minimum.ravel()[rows], counts.maximum.ravel()[rows], _positive(histogram[rows])]
            columns.append(first.astype(np.int32))
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(values)))
            if counts.sums is not None:
                columns += list(counts.sums.reshape(len(counts.sums), -1)[:, rows])
            arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
            writer.write_table(pa.table(arrays, schema=schema))


def read_counts(path: str | os.PathLike, expected: Mapping[str, Any] | None = None) -> tuple[NeuronCounts, dict]:
    """Read what ``write_counts`` wrote: the counts, and the metadata given to it.

    ArtifactError, naming the file, for one that is missing, truncated, damaged, of another kind, or whose facts are
    not the ``expected`` ones; ValueError for another bin layout, and for counts that do not add up to its tokens.
    """
    own, metadata = read_metadata(path, expected)
    counts = _room([own])
    _add_file(path, own, counts)
    return counts, metadata


def read_metadata(path: str | os.PathLike, expected: Mapping[str, Any] | None = None) -> tuple[dict, dict]:
    """What the counts are (the keys of _OWN), and what they are of.

    Verifies the file, but reads no counts. Errors as ``read_counts``.
    """
    found = read_facts(path, KIND, expected)
    if missing := [key for key in (*_OWN, *_REQUIRED) if key not in found]:
        raise ArtifactError(f"{path}: does not say its {', '.join(missing)}; {AGAIN}")
    if found["bins"] != LAYOUT:
        raise ValueError(f"{path}: its bins are {found['bins']}, this version's are {LAYOUT}; collect it again")
    if found["dtype"] not in DTYPES:
        raise ValueError(f"{path}: does not say whether {' or '.join(DTYPES)} was counted; collect it again")
    given = {key: value for key, value in found.items() if key not in (*_OWN, "units")}
    return {key: found[key] for key in _OWN}, given


def read_positive(path: str | os.PathLike, expected: Mapping[str, Any] | None = None) -> tuple[np.ndarray, int, dict]:
    """Tokens with a value above zero, int64 ``[L, D]``, the tokens counted, and the metadata given to write_counts.

    Reads that column alone, after the whole file was verified. Errors as ``read_metadata``, and ValueError for counts
    outside 0 to the tokens.
    """
    own, metadata = read_metadata(path, expected)
    shape = (own["layers"], own["neurons_per_layer"])
    with open_parquet(path, KIND, verified=True) as (file, _):
        positive = file.read(["positive"])["positive"].to_numpy()
    if positive.size != shape[0] * shape[1] or not ((positive >= 0) & (positive <= own["tokens"])).all():
        raise ValueError(f"{path}: not {shape[0]} x {shape[1]} counts of 0 to {own['tokens']} tokens; collect it again")
    return positive.reshape(shape), own["tokens"], metadata


def merge_files(
    paths: Sequence[str | os.PathLike], out: str | os.PathLike, expected: Mapping[str, Any] | None = None
) -> None:
    """Write what ``sum_files`` gives: the same bytes in any order of the files. An error leaves nothing written."""
    if not paths:
        raise ValueError(f"{out}: nothing to merge; give at least one file of counts")
    write_counts(out, *sum_files(paths, expected))


def sum_files(
    paths: Sequence[str | os.PathLike], expected: Mapping[str, Any] | None = None
) -> tuple[NeuronCounts, dict]:
    """Add up the counts of files, in any order: the counts, and the metadata of ``write_counts`` with all shards.

    They must be of one model, language, site, data type, bin layout and batch percentiles, and of different shards.
    ``expected`` are facts of each file, but ``shards``: those that all files together must hold, neither more nor less.
    ValueError, naming the file, if not, and as ``read_counts``. Memory: one file's counts, dense.
    """
    expected = dict(expected or {})
    wanted = expected.pop("shards", None)
    read = [read_metadata(path, expected) for path in paths]
    first, common = read[0]
    seen: dict[str, str | os.PathLike] = {}
    for path, (own, metadata) in zip(paths, read, strict=True):
        for key in ("layers", "neurons_per_layer", "dtype", "batch_percentiles"):
            _same(path, paths[0], key, _settings(own[key]), _settings(first[key]))
        for key in sorted((metadata.keys() | common.keys()) - {"shards"}):
            _same(path, paths[0], key, metadata.get(key), common.get(key))
        for shard in metadata["shards"]:
            if shard in seen:
                raise ValueError(f"{path}: shard {shard!r} is also in {seen[shard]}; give each shard once")
            if wanted is not None and shard not in wanted:
                compare(path, {"shards": metadata["shards"]}, {"shards": sorted(wanted)})
            seen[shard] = path
    if wanted is not None:
        compare(", ".join(os.fspath(path) for path in paths), {"shards": sorted(seen)}, {"shards": sorted(wanted)})
    counts = _room([own for own, _ in read])
    for path, (own, _) in zip(paths, read, strict=True):
        _add_file(path, own, counts)
    return counts, {**common, "shards": sorted(seen)}


def _same(path: str | os.PathLike, other: str | os.PathLike, key: str, found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{path}: {key} is {found!r}, in {other} it is {expected!r}; merge files of one {key}")


def _settings(value: Any) -> Any:
    """Batch percentiles without their number of batches, which adds up."""
    return {k: v for k, v in value.items() if k != "batches"} if isinstance(value, dict) else value


def _checked_metadata(metadata: dict) -> dict:
    for key, kind in _REQUIRED.items():
        if not isinstance(metadata.get(key), kind) or not metadata[key]:
            raise ValueError(f"metadata: {key} is {metadata.get(key)!r}; give a {kind.__name__} that is not empty")
    if len(set(metadata["shards"])) != len(metadata["shards"]):
        raise ValueError(f"metadata: shards names one twice: {metadata['shards']}; give each shard once")
    taken = sorted(metadata.keys() & set(_OWN))
    if taken:
        raise ValueError(f"metadata: {', '.join(taken)} are written from the counts; leave them out")
    return metadata


def _check_finite(path: str | os.PathLike, counts: NeuronCounts) -> None:
    """ValueError, naming the file and the first neuron, for a sum or an extreme that is not finite."""
    columns = {"total and square": counts.moments.sum(axis=(0, 1))}
    if counts.tokens:  # of no tokens the extremes are infinite
        columns |= {"min": counts.minimum, "max": counts.maximum}
    if counts.sums is not None:
        columns |= {_batch_column(q): found for q, found in zip(counts.percentiles, counts.sums, strict=True)}
    for name, values in columns.items():
        check_finite(values, f"{path}: {name}", ("layer", "neuron"))


def _description(counts: NeuronCounts) -> dict:
    return {
        "bins": LAYOUT,
        "tokens": counts.tokens,
        "layers": counts.shape[0],
        "neurons_per_layer": counts.shape[1],
        "dtype": counts.dtype,
        "batch_percentiles": {
            "percentiles": list(counts.percentiles),
            "batches": counts.batches,
            "every": counts.every,
            "reference_tokens": counts.reference_tokens,
        },
    }


def _room(descriptions: list[dict]) -> NeuronCounts:
    """Empty counts for the tokens of all these."""
    first = descriptions[0]
    batches = first["batch_percentiles"]
    return NeuronCounts.empty(
        first["layers"],
        first["neurons_per_layer"],
        batches["percentiles"],
        batches["every"],
        batches["reference_tokens"],
        sum(own["tokens"] for own in descriptions),
        first["dtype"],
    )


def _schema(counts: NeuronCounts) -> pa.Schema:
    limbs = pa.list_(pa.float64(), len(QUANTA))
    fields = [("layer", pa.int32()), ("neuron", pa.int32()), ("total", limbs), ("square", limbs)]
    fields += [("min", pa.float32()), ("max", pa.float32()), ("positive", pa.int64())]
    fields += [("first_bin", pa.int32()), ("histogram", pa.list_(pa.from_numpy_dtype(counts.histogram.dtype)))]
    return pa.schema(fields + [(_batch_column(q), pa.float64()) for q in counts.percentiles])


def _positive(histogram: np.ndarray) -> np.ndarray:
    return histogram[:, ZERO_BIN + 1 :].sum(axis=1, dtype=np.int64)


def _batch_column(q: float) -> str:
    return f"batch_p{q:g}"


def _triples(limbs: np.ndarray) -> pa.FixedSizeListArray:
    """``[3, R]`` as R lists of three."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(limbs.T).ravel()), len(QUANTA))


def _trim(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each row the first bin that is not zero, the number of bins up to the last one, and those bins, joined."""
    filled = histogram != 0
    first = filled.argmax(axis=1)
    lengths = np.where(filled.any(axis=1), BINS - filled[:, ::-1].argmax(axis=1) - first, 0)
    return first, lengths, histogram[_within(first, lengths)]


def _within(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Mask ``[R, BINS]`` of each row's bins from its first on."""
    bins = np.arange(BINS, dtype=np.int32)
    return (bins >= first[:, None]) & (bins < (first + lengths)[:, None])


def _row_groups(file: pq.ParquetFile) -> Iterator[dict[str, pa.Array]]:
    for index in range(file.num_row_groups):
        table = file.read_row_group(index).combine_chunks()
        yield {name: table[name].chunk(0) for name in table.column_names}


def _add_file(path: str | os.PathLike, own: dict, counts: NeuronCounts) -> None:
    """Add the counts of a file, described by ``own``, to ``counts``."""
    layers, neurons = counts.shape
    limbs = counts.moments.reshape(2, len(QUANTA), -1)
    histogram = counts.histogram.reshape(-1, BINS)
    minimum, maximum = counts.minimum.reshape(-1), counts.maximum.reshape(-1)
    start = 0
    with open_parquet(path, KIND, verified=True) as (file, _):
        if file.metadata.num_rows != layers * neurons:
            raise ValueError(f"{path}: {file.metadata.num_rows} rows, {layers} x {neurons} neurons; collect it again")
        for columns in _row_groups(file):
            rows = slice(start, start + len(columns["layer"]))
            number = np.arange(rows.start, rows.stop)
            place = columns["layer"].to_numpy() * neurons + columns["neuron"].to_numpy()
            dense = _dense(path, columns)
            whole = (dense.sum(axis=1, dtype=np.int64) == own["tokens"]) & (place == number)
            if not (whole & (_positive(dense) == columns["positive"].to_numpy())).all():
                raise ValueError(
                    f"{path}: rows out of order, or bins that do not add up to its {own['tokens']} tokens or to the "
                    f"positive ones, among neurons {rows.start} to {rows.stop - 1}; collect it again"
                )
            histogram[rows] += dense
            for moment, name in enumerate(("total", "square")):
                limbs[moment, :, rows] += columns[name].flatten().to_numpy().reshape(-1, len(QUANTA)).T
            np.minimum(minimum[rows], columns["min"].to_numpy(), out=minimum[rows])
            np.maximum(maximum[rows], columns["max"].to_numpy(), out=maximum[rows])
            if counts.sums is not None:
                for i, q in enumerate(counts.percentiles):
                    counts.sums.reshape(len(counts.sums), -1)[i, rows] += columns[_batch_column(q)].to_numpy()
            start = rows.stop
    counts.moments = carry(counts.moments)
    counts.tokens += own["tokens"]
    counts.batches += own["batch_percentiles"]["batches"]


def _dense(path: str | os.PathLike, columns: dict[str, pa.Array]) -> np.ndarray:
    """The histograms of a row group, ``[R, BINS]``."""
    first = columns["first_bin"].to_numpy()
    lengths = columns["histogram"].value_lengths().to_numpy()
    values = columns["histogram"].flatten().to_numpy()
    if (first < 0).any() or (first + lengths > BINS).any() or (values < 0).any():
        raise ValueError(f"{path}: histograms outside their {BINS} bins, or negative counts; collect it again")
    dense = np.zeros((len(first), BINS), dtype=values.dtype)
    dense[_within(first, lengths)] = values
    return dense
