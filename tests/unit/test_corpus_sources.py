"""Where text comes from: the user's files, and Wikipedia's files shared out over shards."""

import csv
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langneurons.corpus import sources
from langneurons.corpus.documents import read_documents, shard_budget, write_documents
from langneurons.corpus.quality import DocumentFilter
from langneurons.corpus.sources import (
    Wikipedia,
    download_wikipedia_shard,
    import_file_shard,
    read_file,
    shuffled_articles,
)
from langneurons.hub.downloads import Fetched, RemoteFile, Repository

DOCUMENTS = [(f"d{i}", f"Text {i}: Größe, नदी, 河.") for i in range(23)]
WIKIPEDIA = Repository("dataset", "wikimedia/wikipedia", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa")


def file_shard(path, shard, shards, seed):
    return sources.file_shard(path, shard, shards, seed, DocumentFilter("en"))


def write(path, documents=DOCUMENTS):
    if path.suffix == ".jsonl":
        lines = [json.dumps({"id": i, "text": t, "title": "x"}, ensure_ascii=False) for i, t in documents]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".txt":
        path.write_text("".join(t + "\n" for _, t in documents), encoding="utf-8")
    else:
        write_documents(path, documents)
    return str(path)


# Files


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_ids_and_texts_are_read(tmp_path, ending):
    assert list(read_file(write(tmp_path / f"en{ending}"))) == DOCUMENTS


def test_a_line_of_txt_is_a_document(tmp_path):
    (tmp_path / "en.txt").write_bytes("one\r\n\n  \n  two\nतीन".encode())
    assert list(read_file(str(tmp_path / "en.txt"))) == [("1", "one"), ("4", "two"), ("5", "तीन")]


def test_blank_lines_of_jsonl_are_passed_over(tmp_path):
    (tmp_path / "en.jsonl").write_text('\n{"id": 7, "text": "a\\nb"}\n\n', encoding="utf-8")
    assert list(read_file(str(tmp_path / "en.jsonl"))) == [("7", "a\nb")]


def test_numbers_are_ids_in_parquet_too(tmp_path):
    pq.write_table(pa.table({"id": [1, 2], "text": ["a", None]}), tmp_path / "en.parquet")
    assert list(read_file(str(tmp_path / "en.parquet"))) == [("1", "a"), ("2", "")]
    assert file_shard(str(tmp_path / "en.parquet"), 0, 1, seed=0) == [("1", "a")]


FAULTS = {
    "missing": ("en.jsonl", None, r"en\.jsonl: no such file.*corpus\.files\.pattern"),
    "ending": ("en.csv", b"a", r"en\.csv: unknown ending '\.csv'; write \.jsonl, \.parquet, \.txt"),
    "empty": ("en.txt", b"", r"en\.txt: the file is empty"),
    "not UTF-8": ("en.txt", "eins\nGröße\n".encode("latin-1"), r"en\.txt, line 2: not UTF-8 \(.* at byte 2\)"),
    "not UTF-8 in JSON": (
        "en.jsonl",
        b'{"id": 1, "text": "a"}\n\n{"id": 2, "text": "\xff"}',
        r"en\.jsonl, line 3: not UTF-8",
    ),
    "not JSON": (
        "en.jsonl",
        b'{"id": 1, "text": "a"}\n{"id": 2,',
        r"en\.jsonl, line 2: not JSON .*one object per line",
    ),
    "no text": ("en.jsonl", b'{"id": 1, "txt": "a"}', r"en\.jsonl, line 1: lacks text; write"),
    "no id": ("en.jsonl", b'{"id": 1, "text": "a"}\n{"text": "a"}', r"en\.jsonl, line 2: lacks id; write"),
    "neither": ("en.jsonl", b'["a"]', r"en\.jsonl, line 1: lacks id and text; write"),
    "null": ("en.jsonl", b'{"id": 1, "text": null}', r"en\.jsonl, line 1: text is None; write a text"),
}


FAULTS |= {
    "no id at all": (
        "en.jsonl",
        b'{"id": null, "text": "a"}',
        r"en\.jsonl, line 1: id is None; write a text or a whole",
    ),
    "a number as text": ("en.jsonl", b'{"id": 1, "text": 2}', r"en\.jsonl, line 1: text is 2; write a text"),
    "half a character": (
        "en.jsonl",
        b'{"id": 1, "text": "a"}\n{"id": 2, "text": "a\\ud83d"}',
        r"en\.jsonl, line 2: text holds \\ud83d, half of a character \(a lone surrogate\), at 1; correct the text",
    ),
    "nested deeply": (
        "en.jsonl",
        b'{"id": 1, "text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        r"en\.jsonl, line 1: is nested too deeply",
    ),
    "a key twice": (
        "en.jsonl",
        b'{"id": 1, "text": "a", "text": "b"}',
        r"en\.jsonl, line 1: the key 'text' is duplicated",
    ),
    "NaN": ("en.jsonl", b'{"id": NaN, "text": "a"}', r"en\.jsonl, line 1: NaN is no number of JSON"),
    "gzip": ("en.jsonl", b"\x1f\x8b\x08\0", r"en\.jsonl: is compressed by gzip; unpack it"),
    "UTF-16": ("en.txt", "\ufeffeins".encode("utf-16-le"), r"en\.txt: is UTF-16, not UTF-8; save the file as UTF-8"),
    "UTF-16 without a mark": ("en.txt", "eins".encode("utf-16-be"), r"en\.txt: is UTF-16 or no text at all"),
    "no Parquet": ("en.parquet", b"id,text", r"en\.parquet: is no Parquet file, or a damaged one \("),
}


def test_a_byte_order_mark_is_no_text(tmp_path):
    for name, content in (("en.jsonl", b'{"id": 1, "text": "a"}'), ("en.txt", b"a")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
        assert list(read_file(str(tmp_path / name))) == [("1", "a")]


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_named_with_its_line(tmp_path, name):
    file, content, message = FAULTS[name]
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_file(str(tmp_path / file)))


def test_a_parquet_file_without_text_is_named(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "body": ["b"]}), tmp_path / "en.parquet")
    with pytest.raises(ValueError, match=r"en\.parquet: has no column text; it has: id, body"):
        list(read_file(str(tmp_path / "en.parquet")))


@pytest.mark.parametrize("ending", [".jsonl", ".txt", ".parquet"])
@pytest.mark.parametrize("shards", [1, 4, 23])
def test_shards_partition_the_file(tmp_path, ending, shards):
    path = write(tmp_path / f"en{ending}")
    parts = [file_shard(path, shard, shards, seed=3) for shard in range(shards)]
    assert sorted(d for part in parts for d in part) == sorted(read_file(path))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_are_shuffled_by_seed(tmp_path):
    path = write(tmp_path / "en.jsonl")
    once, again, other = (file_shard(path, 0, 2, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert once != sorted(once)


def test_empty_texts_are_left_out(tmp_path):
    path = write(tmp_path / "en.jsonl", [("a", "  "), ("b", "x"), ("c", ""), ("d", "y")])
    assert sorted(file_shard(path, 0, 1, seed=0)) == [("b", "x"), ("d", "y")]


def test_a_file_without_text_or_with_too_little(tmp_path):
    with pytest.raises(
        ValueError, match=r"en\.jsonl: the file has no text that is taken \(1 documents read; .* 1 empty"
    ):
        file_shard(write(tmp_path / "en.jsonl", [("a", " ")]), 0, 1, seed=0)
    with pytest.raises(ValueError, match=r"fr\.jsonl: 1 documents for 2 shards \(.*\); lower corpus\.shards"):
        file_shard(write(tmp_path / "fr.jsonl", [("a", "x")]), 0, 2, seed=0)


def test_repeated_texts_are_taken_once_whatever_the_shard(tmp_path):
    path = write(tmp_path / "en.jsonl", [*DOCUMENTS, *((f"again {i}", t) for i, t in DOCUMENTS)])
    parts = [file_shard(path, shard, 4, seed=3) for shard in range(4)]
    assert sorted(d for part in parts for d in part) == sorted(DOCUMENTS)


def test_a_shard_of_a_file_tells_what_it_holds(tmp_path):
    documents = [("a", "यह हिन्दी है"), ("b", ""), ("c", "no"), ("d", "यह हिन्दी है"), ("e", "This is not Hindi")]
    path, out, quality = write(tmp_path / "hi.jsonl", documents), tmp_path / "0.parquet", tmp_path / "0.tsv"
    import_file_shard(path, out, quality, 0, 1, 42, DocumentFilter("hi", min_characters=3, min_own_script=0.5))
    assert list(read_documents(out)) == [("a", "यह हिन्दी है")]
    (row,) = rows(quality)
    told = {"read": 5, "empty": 1, "short": 1, "repeated": 1, "foreign": 1, "kept": 1, "characters": 12}
    assert {key: int(row[key]) for key in told} == told
    assert row["language"] == "hi" and float(row["own_script_share"]) == 1


# Wikipedia


def rows(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Make a repository with the given numbers of articles per file; returns (articles by file, files fetched)."""
    fetched = []

    def make(*articles, group=4):
        held = {}
        for number, count in enumerate(articles):
            name = f"20231101.en/train-{number:05d}.parquet"
            held[name] = [(f"{number}-{i}", f"Article {i} of file {number}") for i in range(count)]
            columns = {"id": [i for i, _ in held[name]] + ["none"], "text": [t for _, t in held[name]] + [" "]}
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.table({**columns, "url": [""] * (count + 1)}), path, row_group_size=group)

        def list_files(where, folder):
            assert where == WIKIPEDIA
            return [RemoteFile(path, 1, "x") for path in [*held, f"{folder}/README.md"] if folder == "20231101.en"]

        def fetch_all(where, files, folder):
            fetched.extend(file.path for file in files)
            folder.mkdir(exist_ok=True)
            for file in files:
                (folder / file.path.split("/")[1]).write_bytes((tmp_path / file.path).read_bytes())
            return [Fetched(where, file.path, 1, "x") for file in files]

        monkeypatch.setattr(sources, "list_files", list_files)
        monkeypatch.setattr(sources, "fetch_all", fetch_all)
        return held, fetched

    return make


@pytest.fixture
def shard(tmp_path):
    """Articles of a shard, and its quality and manifest."""

    def make(number, shards, language="en", seed=42, characters=None):
        folder = tmp_path / "shards"
        folder.mkdir(exist_ok=True)
        out = [folder / f"{number}.{ending}" for ending in ("parquet", "quality.tsv", "manifest.tsv")]
        wikipedia = Wikipedia(WIKIPEDIA, "20231101", language, language, shards, characters, seed)
        download_wikipedia_shard(wikipedia, number, DocumentFilter(language), *out)
        return list(read_documents(out[0])), *map(rows, out[1:])

    return make


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_a_slot_is_a_whole_file(hub, shard, shards):
    held, fetched = hub(8, 9, 10)
    for number in range(shards):
        articles, _, (source,) = shard(number, shards)
        assert source["file"] == fetched[-1]
        assert sorted(articles) == sorted(held[source["file"]])
        assert (source["repository"], source["revision"]) == (WIKIPEDIA.name, WIKIPEDIA.revision)
    assert len(set(fetched)) == shards


def test_fewer_files_than_slots_leave_slots_empty(hub, shard, tmp_path, capsys):
    held, fetched = hub(12, 13)
    read = []
    for number in range(5):
        articles, (quality,), manifest = shard(number, 5)
        assert bool(articles) == bool(manifest) == (number < 2)
        assert int(quality["kept"]) == len(articles)
        path = tmp_path / f"shards/{number}.parquet"
        # Ceil of 1001 / 2, and nothing.
        assert shard_budget(path, 1001, 5) == (501 if number < 2 else 0)
        told = capsys.readouterr().out
        assert ("20231101.en has 2 files for 5 shards; this one stays empty" in told) == (number >= 2)
        read += articles
    assert sorted(read) == sorted(a for file in held.values() for a in file)
    assert len(fetched) == 2


def test_a_budget_is_divided_among_all_shards_where_nothing_is_said(tmp_path):
    write_documents(tmp_path / "a.parquet", DOCUMENTS)
    assert shard_budget(tmp_path / "a.parquet", 1001, 5) == 201


def test_files_and_articles_are_shuffled_by_seed(hub, shard):
    hub(30, 30, 30, 30)
    first = [[i for i, _ in shard(0, 2, seed=seed)[0]] for seed in (0, 0, *range(1, 12))]
    assert first[0] == first[1]
    assert len({ids[0].split("-")[0] for ids in first}) > 1
    orders = [tuple(i.split("-")[1] for i in ids) for ids in first[1:]]
    assert len(set(orders)) == len(orders)
    assert all(list(order) != sorted(order, key=int) for order in orders)


def test_articles_are_read_a_row_group_at_a_time(tmp_path, monkeypatch):
    pq.write_table(pa.table({"id": range(40), "text": [f"text {i}" for i in range(40)]}), tmp_path / "a", 10)
    asked = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda f, i, **k: asked.append(i) or read(f, i, **k))
    articles = shuffled_articles(tmp_path / "a", "seed")
    first = [next(articles) for _ in range(11)]
    assert len(asked) == 2
    assert {int(i) // 10 for i, _ in first[:10]} == {asked[0]}
    assert sorted(int(i) for i, _ in [*first, *articles]) == list(range(40))


def test_a_damaged_file_of_the_hub_is_named(tmp_path):
    pq.write_table(pa.table({"id": ["a"] * 99, "text": ["text"] * 99}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    for damaged in (content[:-9], content[:4] + bytes(40) + content[44:]):
        (tmp_path / "a.parquet").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.parquet: is no Parquet file, or a damaged one \("):
            list(shuffled_articles(tmp_path / "a.parquet", "seed"))
    pq.write_table(pa.table({"title": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: has no column id, text; it has: title"):
        list(shuffled_articles(tmp_path / "a.parquet", "seed"))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_shard_stops_at_its_characters(hub, shard, shards):
    """Of one file for three shards, the one that is filled takes what all three would."""
    held, _ = hub(60)
    articles, (quality,), _ = shard(0, shards, characters=100)
    lengths = [len(text) for _, text in articles]
    assert sum(lengths) >= 100 * shards > sum(lengths[:-1])
    assert int(quality["characters"]) == sum(lengths) < sum(len(t) for t in dict(next(iter(held.values()))).values())


def test_a_language_without_files_is_an_error(hub, shard):
    hub(3)
    with pytest.raises(ValueError, match=r"no Parquet file in 20231101\.xx; check corpus\.hub\.snapshot"):
        shard(0, 1, language="xx")


def test_the_order_of_files_does_not_depend_on_the_listing():
    files = [RemoteFile(f"f{i}", 1, "x") for i in range(9)]
    shuffled = random.Random(1).sample(files, len(files))
    taken = [[sources.wikipedia_file(f, "en", i, 4, 42) for i in range(4)] for f in (files, shuffled)]
    assert taken[0] == taken[1]
    assert len({f.path for f in taken[0]}) == 4
