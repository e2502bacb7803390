"""Small tables as text: every damaged character is found, and so is a table that is not the one asked for."""

import csv

import pytest

from langneurons.artifacts.facts import ArtifactError
from langneurons.artifacts.tsv import read_tsv, write_tsv

ROWS = [
    {"model": "tiny", "name": "ạ b", "value": 1 / 3, "count": 7, "more": None},
    {"model": "tiny", "name": "", "value": -2.5e-7, "count": 0, "more": 1.0},
]


@pytest.fixture
def table(tmp_path):
    write_tsv(tmp_path / "a.tsv", list(ROWS[0]), ROWS)
    return tmp_path / "a.tsv"


def test_reads_what_was_written_and_so_does_an_ordinary_reader(table):
    rows = read_tsv(table, ["value"], {"model": "tiny"})
    assert [float(row["value"]) for row in rows] == [1 / 3, -2.5e-7]
    assert [row["more"] for row in rows] == ["", "1.0"]
    with table.open(encoding="utf-8", newline="") as file:
        plain = list(csv.DictReader(file, delimiter="\t"))
    assert [{name: row[name] for name in rows[0]} for row in plain] == rows
    assert len({row["checksum"] for row in plain}) == 1 and "checksum" not in rows[0]


def test_every_flipped_bit_and_every_truncation_is_found(table):
    whole = table.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            table.write_bytes(damaged)
            with pytest.raises(ArtifactError, match=r"a\.tsv: "):
                read_tsv(table, [])
        table.write_bytes(whole[:place])
        with pytest.raises(ArtifactError, match=r"a\.tsv: "):
            read_tsv(table, [])
    lines = whole.splitlines(keepends=True)
    for fewer in (lines[:2], [lines[0], lines[2]], [lines[0], lines[2], lines[1]], [*lines, lines[1]]):
        table.write_bytes(b"".join(fewer))
        with pytest.raises(ArtifactError, match=r"a\.tsv: is damaged"):
            read_tsv(table, [])


def test_what_is_not_the_table_asked_for(table, tmp_path):
    with pytest.raises(ArtifactError, match=r"a\.tsv: model is 'tiny', 'other' was expected"):
        read_tsv(table, [], {"model": "other"})
    with pytest.raises(ArtifactError, match=r"a\.tsv: has no column tokens, method"):
        read_tsv(table, ["tokens"], {"method": "lape"})
    (tmp_path / "plain.tsv").write_text("model\tvalue\ntiny\t1\n")
    with pytest.raises(ArtifactError, match=r"plain\.tsv: carries no checksum"):
        read_tsv(tmp_path / "plain.tsv", [])
    with pytest.raises(ArtifactError, match=r"none\.tsv: no such file"):
        read_tsv(tmp_path / "none.tsv", [])


@pytest.mark.parametrize("rows", [[], [ROWS[0] | {"name": "a\tb"}], [ROWS[0] | {"name": "a\nb"}]])
def test_what_cannot_be_written_leaves_nothing(tmp_path, rows):
    with pytest.raises(ValueError, match=r"b\.tsv: "):
        write_tsv(tmp_path / "b.tsv", list(ROWS[0]), rows)
    assert not list(tmp_path.iterdir())
