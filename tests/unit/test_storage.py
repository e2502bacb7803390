"""Counts on disk: whole, of one kind, and merged to the same bytes in any order."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artifact_files import changed_parquet

from langneurons.activations import storage
from langneurons.activations.sketch import BINS, NeuronCounts
from langneurons.activations.storage import merge_files, read_counts, read_metadata, read_positive, write_counts

METADATA = {"model": "d1", "language": "en", "shards": ["0"], "site": "gate", "activation": "silu"}


def make(tokens=60, seed=0, layers=2, neurons=5, percentiles=(), dtype="float32"):
    rng = np.random.default_rng(seed)
    counts = NeuronCounts.empty(layers, neurons, percentiles, 2, 16, dtype=dtype)
    scale = 10.0 ** rng.uniform(-3, 4, (layers, neurons))  # narrow, wide, and beyond the bins
    scale[0, 0] = 0
    values = (rng.standard_normal((tokens, layers, neurons)) * scale).astype(np.float32)
    if dtype == "bfloat16":  # cut, rather than rounded: a bfloat16 all the same
        values = (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
    counts.update(values)
    if percentiles:
        counts.sums += rng.integers(-1000, 1000, counts.sums.shape) * 2.0**-24
        counts.batches = 3
    return counts


def assert_equal(one, other):
    assert one.tokens == other.tokens and one.batches == other.batches
    for name in ("percentiles", "every", "reference_tokens", "dtype"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("moments", "minimum", "maximum", "histogram", "sums"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None and b is None) or (a.dtype == b.dtype and a.tobytes() == b.tobytes()), name


@pytest.fixture
def shards(tmp_path):
    """Three files of one language, and their counts."""
    paths, parts = [], []
    for i in range(3):
        parts.append(make(20 + i, seed=i, percentiles=(90.0, 2.5)))
        paths.append(tmp_path / f"{i}.parquet")
        write_counts(paths[-1], parts[-1], {**METADATA, "shards": [str(i)]})
    return paths, parts


@pytest.mark.parametrize("percentiles", [(), (90.0, 2.5)])
def test_what_is_written_is_read(tmp_path, percentiles, monkeypatch):
    monkeypatch.setattr(storage, "_ROWS", 3)  # several row groups, the last one short
    counts = make(percentiles=percentiles)
    write_counts(tmp_path / "c.parquet", counts, METADATA)
    read, metadata = read_counts(tmp_path / "c.parquet")
    assert_equal(read, counts)
    assert metadata == METADATA
    assert list(tmp_path.iterdir()) == [tmp_path / "c.parquet"]


def test_the_file_is_a_row_a_neuron_that_says_what_it_is(tmp_path):
    counts = make(percentiles=(90.0,))
    write_counts(tmp_path / "c.parquet", counts, METADATA)
    table = pq.read_table(tmp_path / "c.parquet")
    assert table["layer"].to_pylist() == [0] * 5 + [1] * 5
    assert table["neuron"].to_pylist() == list(range(5)) * 2
    row = table.slice(7, 1).to_pylist()[0]
    histogram = np.zeros(BINS, dtype=int)
    histogram[row["first_bin"] : row["first_bin"] + len(row["histogram"])] = row["histogram"]
    assert (histogram == counts.histogram[1, 2]).all()
    assert row["histogram"][0] and row["histogram"][-1]  # trimmed
    assert sum(row["total"]) == counts.total[1, 2] and sum(row["square"]) == counts.square[1, 2]
    assert row["min"] == counts.minimum[1, 2] and row["max"] == counts.maximum[1, 2]
    assert row["batch_p90"] == counts.sums[0, 1, 2]
    said = json.loads(pq.read_metadata(tmp_path / "c.parquet").metadata[b"langneurons"])
    assert said.pop("kind") == "activation counts" and said.pop("format") and said.pop("units")["positive"] == "tokens"
    assert said.items() >= METADATA.items()
    assert said["tokens"] == 60 and said["bins"]["bins"] == BINS
    assert row["positive"] == counts.positive[1, 2]
    own, given = read_metadata(tmp_path / "c.parquet")
    assert {**own, **given} == said
    positive, tokens, given = read_positive(tmp_path / "c.parquet")
    assert (positive == counts.positive).all() and positive.shape == (2, 5)
    assert (tokens, given) == (60, METADATA)


def test_from_2_to_the_31_tokens_counts_are_int64(tmp_path):
    part = NeuronCounts.empty(1, 1)
    part.update(np.ones((1, 1, 1)))
    part.histogram *= 2**30
    part.tokens = 2**30
    for i in range(3):
        write_counts(tmp_path / f"{i}.parquet", part, {**METADATA, "shards": [str(i)]})
    merge_files([tmp_path / f"{i}.parquet" for i in range(3)], tmp_path / "all.parquet")
    read, _ = read_counts(tmp_path / "all.parquet")
    assert read.histogram.dtype == np.int64 and read.positive[0, 0] == 3 * 2**30


def test_merging_gives_the_same_bytes_in_any_order(shards, tmp_path):
    paths, parts = shards
    written = set()
    for order in itertools.permutations(paths):
        merge_files(order, tmp_path / "all.parquet")
        written.add((tmp_path / "all.parquet").read_bytes())
    assert len(written) == 1
    read, metadata = read_counts(tmp_path / "all.parquet")
    assert_equal(read, NeuronCounts.merge(parts))
    assert metadata == {**METADATA, "shards": ["0", "1", "2"]}
    merge_files(paths[:2], tmp_path / "two.parquet")  # what was merged merges on
    merge_files([paths[2], tmp_path / "two.parquet"], tmp_path / "again.parquet")
    assert {(tmp_path / "again.parquet").read_bytes()} == written


@pytest.mark.parametrize("size", [0, 3, 400, -1, -500])
def test_a_truncated_file_is_named(shards, tmp_path, size):
    paths, _ = shards
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:size])
    for act in (lambda: read_counts(paths[1]), lambda: merge_files(paths, tmp_path / "all.parquet")):
        with pytest.raises(ValueError, match=r"1\.parquet: is no whole Parquet file"):
            act()
    assert not (tmp_path / "all.parquet").exists()


def test_a_damaged_page_is_named(shards):
    paths, _ = shards
    data = bytearray(paths[0].read_bytes())
    column = next(
        c
        for c in (pq.ParquetFile(paths[0]).metadata.row_group(0).column(i) for i in range(9))
        if c.path_in_schema.startswith("histogram")
    )
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 0xFF
    paths[0].write_bytes(data)
    with pytest.raises(ValueError, match=r"0\.parquet"):
        read_counts(paths[0])


def test_another_kind_of_file_is_named(tmp_path):
    pq.write_table(pa.table({"layer": [0], "neuron": [0]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet: carries no checksum"):
        read_counts(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("layer,neuron\n0,0\n" * 10)
    with pytest.raises(ValueError, match=r"text\.parquet: is no whole Parquet file"):
        read_counts(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match=r"absent\.parquet: no such file"):
        read_counts(tmp_path / "absent.parquet")


def rewritten(path, change):
    """The file with ``change(columns, metadata)`` applied, and a checksum that fits."""

    def changed(table, metadata):
        columns = {name: table[name].to_pylist() for name in table.column_names}
        change(columns, metadata)
        return pa.table(columns, schema=table.schema), metadata

    changed_parquet(path, "activation counts", changed)


def fewer_tokens(columns, metadata):
    metadata["tokens"] -= 1


def one_count_more(columns, metadata):
    columns["histogram"][4][0] += 1


def a_row_less(columns, metadata):
    for values in columns.values():
        values.pop()


def rows_swapped(columns, metadata):
    for values in columns.values():
        values[0], values[1] = values[1], values[0]


def beyond_the_bins(columns, metadata):
    columns["first_bin"][4] = BINS


def negative_counts(columns, metadata):
    columns["histogram"][4] = [-1, metadata["tokens"] + 1]


def more_positive(columns, metadata):
    columns["positive"][3] = metadata["tokens"] + 1


def other_bins(columns, metadata):
    metadata["bins"]["mantissa_bits"] = 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fewer_tokens, "do not add up"),
        (one_count_more, "do not add up"),
        (a_row_less, "9 rows"),
        (rows_swapped, "out of order"),
        (beyond_the_bins, "outside"),
        (negative_counts, "negative"),
        (more_positive, "positive ones"),
        (other_bins, "mantissa_bits"),
    ],
)
def test_counts_that_cannot_be_are_refused(shards, tmp_path, change, message):
    paths, _ = shards
    rewritten(paths[2], change)
    with pytest.raises(ValueError, match=rf"2\.parquet.*{message}"):
        merge_files(paths, tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()


def test_positive_counts_that_cannot_be_are_refused(shards):
    paths, _ = shards
    rewritten(paths[0], more_positive)
    with pytest.raises(ValueError, match=r"0\.parquet: not 2 x 5 counts of 0 to 20 tokens"):
        read_positive(paths[0])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": "d2"}, "model is 'd2'"),
        ({"language": "fr"}, "language is 'fr'"),
        ({"site": "act"}, "site is 'act'"),
        ({"activation": "gelu"}, "activation is 'gelu'"),
        ({"shards": ["1", "0"]}, r"shard '0' is also in .*/0\.parquet"),
    ],
)
def test_files_of_something_else_are_not_merged(shards, tmp_path, other, message):
    paths, parts = shards
    write_counts(paths[1], parts[1], {**METADATA, "shards": ["1"], **other})
    with pytest.raises(ValueError, match=rf"1\.parquet: {message}"):
        merge_files(paths, tmp_path / "all.parquet")


def test_the_file_says_which_data_type_was_counted(tmp_path):
    for dtype in ("float32", "bfloat16"):
        counts = make(dtype=dtype)
        write_counts(tmp_path / f"{dtype}.parquet", counts, METADATA)
        assert read_metadata(tmp_path / f"{dtype}.parquet")[0]["dtype"] == dtype
        assert_equal(read_counts(tmp_path / f"{dtype}.parquet")[0], counts)
    write_counts(tmp_path / "other.parquet", make(), {**METADATA, "shards": ["1"]})
    with pytest.raises(
        ValueError, match=r"other\.parquet: dtype is 'float32', in .*bfloat16\.parquet it is 'bfloat16'"
    ):
        merge_files([tmp_path / "bfloat16.parquet", tmp_path / "other.parquet"], tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()


def test_a_file_that_does_not_say_its_data_type_is_refused(shards):
    paths, _ = shards
    rewritten(paths[0], lambda columns, metadata: metadata.pop("dtype"))
    for read in (read_counts, read_metadata, read_positive):
        with pytest.raises(ValueError, match=r"0\.parquet: does not say its dtype"):
            read(paths[0])


def test_other_neurons_or_batch_percentiles_are_not_merged(shards, tmp_path):
    paths, _ = shards
    write_counts(paths[1], make(neurons=6, percentiles=(90.0, 2.5)), {**METADATA, "shards": ["1"]})
    with pytest.raises(ValueError, match=r"1\.parquet: neurons_per_layer is 6"):
        merge_files(paths, tmp_path / "all.parquet")
    write_counts(paths[1], make(), {**METADATA, "shards": ["1"]})
    with pytest.raises(ValueError, match=r"1\.parquet: batch_percentiles is"):
        merge_files(paths, tmp_path / "all.parquet")
    with pytest.raises(ValueError, match="nothing to merge"):
        merge_files([], tmp_path / "all.parquet")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"language": "en", "shards": ["0"]}, "model is None"),
        ({"model": "d", "language": "en", "shards": "0"}, "shards is '0'"),
        ({"model": "d", "language": "en", "shards": ["0", "0"]}, "twice"),
        ({"model": "d", "language": "en", "shards": ["0"], "tokens": 5}, "tokens are written from the counts"),
    ],
)
def test_metadata_is_checked_before_writing(tmp_path, metadata, message):
    with pytest.raises(ValueError, match=message):
        write_counts(tmp_path / "c.parquet", make(), metadata)
    assert not list(tmp_path.iterdir())


def test_counts_that_do_not_add_up_are_not_written(tmp_path):
    counts = make()
    counts.histogram[1, 1, 3] += 1
    with pytest.raises(ValueError, match=r"c\.parquet: .*60 tokens"):
        write_counts(tmp_path / "c.parquet", counts, METADATA)
    assert not list(tmp_path.iterdir())
