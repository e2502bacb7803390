"""Intermediate files: every damaged bit is found, and so is every file that is not the one asked for."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langneurons.artifacts.directories import SEAL, open_directory, seal_directory
from langneurons.artifacts.facts import ArtifactError, block
from langneurons.artifacts.parquet import open_parquet, parquet_writer, read_facts, read_parquet, write_parquet
from langneurons.runner.code_version import FORMAT

FACTS = {"language": "vi", "model": "ab" * 32, "percentiles": [5, 90]}
TABLE = pa.table({"layer": pa.array(range(50), pa.int32()), "mean": np.linspace(-1, 1, 50), "word": ["ạ"] * 50})


@pytest.fixture
def file(tmp_path):
    write_parquet(tmp_path / "vi.parquet", TABLE, "statistics", FACTS)
    return tmp_path / "vi.parquet"


def test_reads_what_was_written(file):
    table, facts = read_parquet(file, "statistics", {"language": "vi", "percentiles": (5, 90)})
    assert table.equals(TABLE) and facts == FACTS
    assert read_parquet(file, "statistics", columns=["mean"])[0].column_names == ["mean"]
    assert pq.read_table(file).drop_columns([]).to_pydict() == TABLE.to_pydict()  # plain pyarrow reads it too


def test_the_same_content_has_the_same_bytes(file, tmp_path):
    write_parquet(tmp_path / "again.parquet", TABLE, "statistics", dict(reversed(FACTS.items())))
    assert (tmp_path / "again.parquet").read_bytes() == file.read_bytes()


def test_every_single_flipped_bit_is_found(file):
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            file.write_bytes(damaged)
            with pytest.raises(ArtifactError, match=r"vi\.parquet"):
                read_parquet(file, "statistics")


def test_every_truncation_is_found(file):
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(ArtifactError, match=r"vi\.parquet: .*(Parquet|checksum)"):
            read_facts(file, "statistics")


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"language": "hi"}, "language is 'vi', 'hi' was expected"),
        ({"model": "cd" * 32}, "model is 'abab'?.*abab…, cdcdcdcdcdcd… was expected"),
        ({"site": "act"}, "does not say its site ('act' was expected)"),
        ({"percentiles": [5]}, r"percentiles is [5, 90], [5] was expected"),
    ],
)
def test_another_file_is_refused(file, expected, said):
    with pytest.raises(ArtifactError) as refused:
        read_parquet(file, "statistics", expected)
    message = str(refused.value)
    assert "\n" not in message and str(file) in message and "run snakemake again" in message
    if "model" not in expected:
        assert said in message
    else:
        assert "model is abababababab…, cdcdcdcdcdcd… was expected" in message


def test_another_kind_a_plain_file_and_a_missing_one_are_refused(file, tmp_path):
    with pytest.raises(ArtifactError, match="is a file of kind 'statistics'; 'neuron mask' was expected"):
        read_parquet(file, "neuron mask")
    pq.write_table(TABLE, tmp_path / "plain.parquet")
    with pytest.raises(ArtifactError, match="carries no checksum"):
        read_parquet(tmp_path / "plain.parquet", "statistics")
    with pytest.raises(ArtifactError, match="no such file"):
        read_parquet(tmp_path / "none.parquet", "statistics")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(ArtifactError, match=r"folder\.parquet: is a directory where a file was expected; remove it"):
        read_parquet(tmp_path / "folder.parquet", "statistics")
    with pytest.raises(ArtifactError, match="has no column p90"):
        read_parquet(file, "statistics", columns=["p90"])


def test_a_file_written_in_parts(tmp_path):
    with parquet_writer(tmp_path / "a.parquet", TABLE.schema, "counts", FACTS) as writer:
        for start in (0, 20):
            writer.write_table(TABLE.slice(start, 20))
    with open_parquet(tmp_path / "a.parquet", "counts") as (read, facts):
        assert read.num_row_groups == 2 and read.read().num_rows == 40 and facts == FACTS


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), parquet_writer(tmp_path / "a.parquet", TABLE.schema, "counts", FACTS) as writer:
        writer.write_table(TABLE)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("facts", [{"kind": "x"}, {"a": float("nan")}, {"a": object()}])
def test_facts_that_cannot_be_written(facts):
    with pytest.raises(ValueError, match="facts of a counts"):
        block("counts", facts)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "base"
    (path / "sub").mkdir(parents=True)
    (path / "weights.safetensors").write_bytes(bytes(range(256)))
    (path / "sub" / "config.json").write_text("{}")
    (path / "README.md").write_text("card")
    seal_directory(path, "adapter", {"task": "xnli", "finetuning": "base"})
    return path


def test_a_sealed_directory(folder):
    facts, files = open_directory(folder, "adapter", {"task": "xnli"})
    assert facts == {"task": "xnli", "finetuning": "base"} and sorted(files) == [
        "sub/config.json",
        "weights.safetensors",
    ]
    (folder / "README.md").write_text("edited")
    (folder / ".snakemake_timestamp").touch()
    open_directory(folder, "adapter")
    with pytest.raises(ArtifactError, match="base: task is 'xnli', 'xquad' was expected"):
        open_directory(folder, "adapter", {"task": "xquad"})


def test_every_damaged_directory_is_found(folder):
    for name in ("weights.safetensors", "sub/config.json", SEAL):
        whole = (folder / name).read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            (folder / name).write_bytes(damaged)
            with pytest.raises(ArtifactError, match=name.rpartition("/")[2]):
                open_directory(folder, "adapter")
        (folder / name).write_bytes(whole)
    (folder / "more.safetensors").touch()
    with pytest.raises(ArtifactError, match=r"more\.safetensors: was not written with the others; take it out"):
        open_directory(folder, "adapter")
    (folder / "more.safetensors").unlink()
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors: is missing"):
        open_directory(folder, "adapter")
    (folder / SEAL).write_text(json.dumps({"kind": "adapter"}))
    with pytest.raises(ArtifactError, match="checksum"):
        open_directory(folder, "adapter")


def test_plain_pyarrow_reads_the_facts_as_the_results_say(file, root):
    text = (root / "results/README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    lines = [f"path = {str(file)!r}" if line.startswith("path =") else line for line in code.split("\n") if line]
    assert len(lines) == 3
    found: dict = {}
    exec("\n".join(lines), found)
    assert found["facts"] == {"kind": "statistics", "format": FORMAT, **FACTS} and found["table"].num_rows == 50
