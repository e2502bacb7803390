"""Where text comes from: the user's files, and Wikipedia's files shared out over shards."""

import json
from types import SimpleNamespace

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langneurons.corpus.documents import write_documents
from langneurons.corpus.sources import file_shard, read_file, wikipedia_shard

DOCUMENTS = [(f"d{i}", f"Text {i}: Größe, नदी, 河.") for i in range(23)]
COMMIT = "b04c8d1ceb2f5cd4588862100d08de323dccfbaa"


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
    "not JSON": ("en.jsonl", b'{"id": 1, "text": "a"}\n{"id": 2,', r"en\.jsonl, line 2: not JSON .*one object a line"),
    "no text": ("en.jsonl", b'{"id": 1, "txt": "a"}', r"en\.jsonl, line 1: lacks text; write"),
    "no id": ("en.jsonl", b'{"id": 1, "text": "a"}\n{"text": "a"}', r"en\.jsonl, line 2: lacks id; write"),
    "neither": ("en.jsonl", b'["a"]', r"en\.jsonl, line 1: lacks id and text; write"),
    "null": ("en.jsonl", b'{"id": 1, "text": null}', r"en\.jsonl, line 1: text is None; write a string"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_named_with_its_line(tmp_path, name):
    file, content, message = FAULTS[name]
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_file(str(tmp_path / file)))


def test_a_parquet_file_without_text_is_named(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "body": ["b"]}), tmp_path / "en.parquet")
    with pytest.raises(ValueError, match=r"en\.parquet: lacks the column\(s\) text"):
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
    with pytest.raises(ValueError, match=r"en\.jsonl: the file has no text"):
        file_shard(write(tmp_path / "en.jsonl", [("a", " ")]), 0, 1, seed=0)
    with pytest.raises(ValueError, match=r"fr\.jsonl: 1 documents for 2 shards; lower corpus\.shards"):
        file_shard(write(tmp_path / "fr.jsonl", [("a", "x")]), 0, 2, seed=0)


# Wikipedia


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Make a repository with the given numbers of articles a file; returns (articles by file, calls)."""
    calls = []

    def make(*articles):
        held = {}
        for number, count in enumerate(articles):
            name = f"20231101.en/train-{number:05d}.parquet"
            held[name] = [(f"{number}-{i}", f"Article {i} of file {number}") for i in range(count)]
            columns = {"id": [i for i, _ in held[name]] + ["none"], "text": [t for _, t in held[name]] + [" "]}
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.table({**columns, "url": [""] * (count + 1)}), path)

        class Api:
            def list_repo_tree(self, repository, folder, *, revision, repo_type):
                calls.append(("list", repository, folder, revision, repo_type))
                files = [*held, f"{folder}/README.md"] if folder == "20231101.en" else []
                return [SimpleNamespace(path=path) for path in reversed(files)]

        def download(repository, filename, *, revision, repo_type):
            calls.append(("download", repository, filename, revision, repo_type))
            return str(tmp_path / filename)

        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        return held, calls

    return make


def shard(number, shards, language="en", seed=42):
    return list(wikipedia_shard(language, number, shards, "wikimedia/wikipedia", COMMIT, "20231101", seed))


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_a_shard_is_a_whole_file_where_there_are_enough(hub, shards):
    held, _ = hub(8, 9, 10)
    parts = [shard(i, shards) for i in range(shards)]
    assert all(sorted(part) in [sorted(file) for file in held.values()] for part in parts)
    assert len({part[0][0].split("-")[0] for part in parts}) == shards


@pytest.mark.parametrize(("files", "shards"), [((20,), 3), ((20, 15), 5), ((12, 13, 14), 10), ((15,), 7)])
def test_fewer_files_than_shards_share_their_articles_out_exactly(hub, files, shards):
    held, _ = hub(*files)
    parts = [shard(i, shards) for i in range(shards)]
    assert all(parts)
    assert sorted(a for part in parts for a in part) == sorted(a for file in held.values() for a in file)
    assert all(len({i.split("-")[0] for i, _ in part}) == 1 for part in parts)


def test_files_and_articles_are_shuffled_by_seed(hub):
    hub(30, 30, 30, 30)
    assert shard(0, 2) == shard(0, 2)
    assert shard(0, 2) != sorted(shard(0, 2))
    assert len({shard(0, 2, seed=seed)[0][0].split("-")[0] for seed in range(12)}) > 1
    assert len({tuple(i.split("-")[1] for i, _ in shard(0, 2, seed=seed)) for seed in range(4)}) == 4


def test_only_the_pinned_revision_and_one_file_are_asked_for(hub):
    held, calls = hub(3, 3)
    shard(1, 2)
    assert calls[0] == ("list", "wikimedia/wikipedia", "20231101.en", COMMIT, "dataset")
    (download,) = calls[1:]
    assert download[2] in held
    assert (download[1], *download[3:]) == ("wikimedia/wikipedia", COMMIT, "dataset")


def test_a_language_without_files_is_an_error(hub):
    hub(3)
    with pytest.raises(ValueError, match=r"no Parquet file in 20231101\.xx; check corpus\.hub\.snapshot"):
        shard(0, 1, language="xx")
