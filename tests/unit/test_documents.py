"""Documents of a shard, and the split that keeps some of them out of the statistics."""

import random

import pyarrow as pa
import pytest

from langneurons.artifacts.parquet import write_parquet
from langneurons.corpus.documents import HELDOUT, STATISTICS, read_documents, split_of, write_documents

TEXTS = [f"Document {i} über नदी 河" for i in range(20_000)]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
def test_what_is_written_is_read(tmp_path, count):
    documents = [(f"id-{i}", f"Zeile eins\nनदी 河 {i}") for i in range(count)]
    path = tmp_path / "deep/0000.parquet"
    assert write_documents(path, iter(documents), row_group=4) == count
    assert list(read_documents(path)) == documents
    assert [p.name for p in path.parent.iterdir()] == ["0000.parquet"]


def test_the_same_documents_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_documents(tmp_path / name, [("1", "text"), ("2", "more")])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_documents_is_an_error_that_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"0000\.parquet: the source has no documents.*lower corpus\.shards"):
        write_documents(tmp_path / "0000.parquet", [])
    assert not list(tmp_path.iterdir())


def test_a_source_that_fails_leaves_no_file(tmp_path):
    def failing():
        yield "1", "text"
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_documents(tmp_path / "0000.parquet", failing(), row_group=1)
    assert not list(tmp_path.iterdir())


def test_a_missing_column_is_named(tmp_path):
    write_parquet(tmp_path / "x.parquet", pa.table({"title": ["a"], "text": ["b"]}), "corpus shard", {})
    with pytest.raises(ValueError, match=r"x\.parquet: lacks the column\(s\) id;"):
        list(read_documents(tmp_path / "x.parquet"))


def heldout(texts, fraction=0.1, seed=42):
    return {t for t in texts if split_of(t, fraction, seed) == HELDOUT}


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("seed", [0, 42])
def test_the_share_is_right(fraction, seed):
    """Within 4 standard deviations of the binomial distribution."""
    expected, deviation = len(TEXTS) * fraction, (len(TEXTS) * fraction * (1 - fraction)) ** 0.5
    assert abs(len(heldout(TEXTS, fraction, seed)) - expected) < 4 * deviation


def test_the_split_does_not_depend_on_order_or_company():
    whole = heldout(TEXTS)
    shuffled = random.Random(1).sample(TEXTS, len(TEXTS))
    shards = [shuffled[i::7] for i in range(7)]
    assert set().union(*map(heldout, shards)) == whole
    assert all(heldout(shard) == whole & set(shard) for shard in shards)


def test_the_split_is_stable():
    """Fixed for good: a change of the hash would mix runs made before and after it."""
    assert [i for i in range(60) if split_of(f"text {i}", 0.1, 42) == HELDOUT] == [5, 38, 41, 44, 50, 56, 59]


def test_another_seed_splits_otherwise_and_independently():
    """Of what one seed holds out, another holds out the usual share."""
    first, second = heldout(TEXTS, seed=1), heldout(TEXTS, seed=2)
    expected = len(first) * 0.1
    assert abs(len(first & second) - expected) < 4 * (expected * 0.9) ** 0.5


def test_a_larger_share_holds_out_the_same_and_more():
    assert heldout(TEXTS, 0.01) < heldout(TEXTS, 0.1) < heldout(TEXTS, 0.4)


def test_there_is_no_third_side():
    assert {split_of(t, 0.1, 42) for t in TEXTS} == {HELDOUT, STATISTICS}
