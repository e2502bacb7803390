"""What YAML reads otherwise than it looks is refused, with file, line and key."""

from pathlib import Path

import pytest

from langneurons.config.files import check_files
from langneurons.config.load import ConfigError

ROOT = Path(__file__).parents[2]

FAULTS = {
    "a key twice": (
        "corpus:\n  tokens: 1\n  tokens: 2\n",
        "3: corpus.tokens: the key is already in line 2; the last would win. Write it once",
    ),
    "a section twice": (
        "corpus: {}\nseed: 1\ncorpus: {}\n",
        "3: corpus: the key is already in line 1; the last wo",
    ),
    "a key of a braced dictionary": ("models:\n  a: {x: 1, x: 1}\n", "2: models.a.x: the key is already in line 2"),
    "a key in quotes": ("'seed': 1\nseed: 1\n", "2: seed: the key is already in line 1; the last would win. Write"),
    "octal": ("corpus:\n  tokens: 0042\n", '2: corpus.tokens: YAML reads 0042 as octal, 34; write 42, or "0042"'),
    "octal in a list": ("a: [1, 010]\n", '1: a[1]: YAML reads 010 as octal, 8; write 10, or "010"'),
    "sexagesimal": ("a: 10:00\n", '1: a: YAML reads 10:00 as a number of base 60; write the number, or "10:00"'),
    "sexagesimal with a point": ("a: 1:30.5\n", "1: a: YAML reads 1:30.5 as a number of base 60; write the number, or"),
    "infinity": ("a: -.inf\n", "1: a: -.inf is no finite number; write one"),
    "a number beyond doubles": ("a: 1.0e+400\n", "1: a: 1.0e+400 is no finite number; write one"),
    "no number": ("a: .NaN\n", "1: a: .NaN is no finite number; write one"),
    "a date": ("a: 2023-11-01\n", '1: a: YAML reads 2023-11-01 as a date; write "2023-11-01"'),
    "Norwegian": ("a:\n  - en\n  - no\n", '3: a[1]: YAML reads no as false; write "no"'),
    "Norwegian as a key": (
        "LAPE: {no: x}\n",
        "1: LAPE.no: YAML reads the key as bool, and keys are texts; write it in",
    ),
    "a number as a key": (
        "models: {1: x}\n",
        "1: models.1: YAML reads the key as int, and keys are texts; write it in",
    ),
    "a tag": ("a: !!binary aGk=\n", "1: a: has the tag tag:yaml.org,2002:binary; write the value alone"),
    "JSON that is no YAML": (
        '{"b": "\\ud83d\\ude00", "a": 1, "a": 2}',
        ": the key 'a' is duplicated in one dictionary; write it once",
    ),
    "nested deeply": ("a: " + "[" * 3000 + "]" * 3000, ": is nested too deeply to be a configuration"),
    "neither": ("a: [1\nb: 2\n", "2: is neither YAML nor JSON ("),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_with_file_line_and_key(tmp_path, name):
    text, says = FAULTS[name]
    file = tmp_path / "overlay.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check_files([file])
    heading, line = str(caught.value).splitlines()
    assert heading == "the configuration has a fault:"
    assert line.startswith(f"  {file}{says}" if says[0] == ":" else f"  {file}, line {says}")


def test_a_file_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes("title: Größe".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"a\.yaml: byte 9 is not UTF-8"):
        check_files([tmp_path / "a.yaml"])


def test_faults_of_all_files_come_at_once(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("x: 010\ny: 1\ny: 2\n")
    with pytest.raises(ConfigError) as caught:
        check_files([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert str(caught.value).startswith("the configuration has 4 faults:")


def test_what_is_read_as_it_looks_passes(tmp_path):
    text = (
        "a: &x {b: 1, c: 0x1F, d: 1_000, e: 0, f: -3.5, g: 1.54e+9, h: 1e-5, i: null, j: true}\n"
        'k: {<<: *x, b: 2}\nl: *x\nm: [\'no\', "0042", "10:00"]\nn:\no: yes\n'
    )
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("a: &x [*x]\n")  # holds itself
    (tmp_path / "c.yaml").write_text("")
    check_files([tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml")])


@pytest.mark.parametrize("file", sorted(ROOT.glob("config/*.yaml")) + sorted(ROOT.glob("tests/**/*.yaml")), ids=str)
def test_the_repository_s_own_files_pass(file):
    check_files([file])
