"""Entries of a person's own: what is refused, in one line that names the file."""

import pytest

from langneurons import registry
from langneurons.registry import PACKAGES, entries, entry, load_extensions

WHOLE = """
from typing import Literal
from langneurons.sections import base

ENTRY_OF = "methods"
PER_LANGUAGE = COUNTS = SPREAD = False

class Section(base.Section):
    kind: Literal["own"]

def languages(section, config): return []
def inputs(section, config, languages): return None
def settings(section, config, languages): return {}
def matched_to(section): return None
def checks(key, section, config): return iter(())
def select(settings, sources): return {}, {}, {}
"""


@pytest.fixture(autouse=True)
def forgotten():
    yield
    load_extensions([])


def written(tmp_path, text, name="own.py"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_built_in_entry_has_the_members_of_its_protocol(package):
    """By the check that a person's own entry goes through."""
    assert entries(package)
    for name in entries(package):
        registry._check_members(package, name, name)


def test_a_whole_entry_is_found(tmp_path):
    load_extensions([written(tmp_path, WHOLE)])
    assert "own" in entries("methods")
    assert entry("methods", "own").select({}, None) == ({}, {}, {})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "own.py",
            WHOLE.replace("def select(", "def selected("),
            r"own\.py: has no select; src/langneurons/methods/base",
        ),
        ("own.py", WHOLE.replace("COUNTS = ", ""), r"own\.py: has no COUNTS; "),
        ("own.py", WHOLE.replace("class Section", "class Sections"), r"own\.py: has no Section; "),
        (
            "own.py",
            WHOLE.replace('Literal["own"]', 'Literal["mine"]'),
            r'own\.py: the kind .* write kind: Literal\["own"\]',
        ),
        ("own.py", WHOLE.replace("    kind: ", "    other: "), r'own\.py: the kind .* write kind: Literal\["own"\]'),
        ("own.py", WHOLE + "\ndef f(:\n", r"own\.py: cannot be imported \(SyntaxError: .*line 18\)\); correct it"),
        ("own.py", WHOLE + "\nimport no_such_module\n", r"own\.py: cannot be imported \(ModuleNotFoundError: "),
        (
            "own.py",
            WHOLE.replace('"methods"', '"figures"'),
            r'own\.py: does not say what it is; .*ENTRY_OF = "methods"',
        ),
        ("own.py", "", r"own\.py: does not say what it is"),
        ("lape.py", WHOLE, r"lape\.py: methods has an entry 'lape' already; rename the file"),
        ("my-own.py", WHOLE, r"my-own\.py: its name is no name of a module"),
        ("own.txt", WHOLE, r"own\.txt: is no Python file"),
    ],
)
def test_what_is_no_entry_is_refused(tmp_path, name, text, told):
    with pytest.raises(ValueError, match=rf"^extensions: .*{told}"):
        load_extensions([written(tmp_path, text, name)])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^extensions: .*none\.py: is no Python file"):
        load_extensions([str(tmp_path / "none.py")])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="methods has no entry 'lapse'; did you mean 'lape'"):
        entry("methods", "lapse")
