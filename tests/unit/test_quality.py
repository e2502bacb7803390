"""Which documents are taken, and the share of letters in a language's script, against Unicode's own data."""

import csv
import re
import unicodedata

import pytest
import regex
import yaml

from langneurons.corpus.quality import DocumentFilter, count_letters
from langneurons.corpus.scripts import scripts_of

# language: (text, letters, those of its script), counted by hand.
TEXTS = {
    "vi": ("Sông Hồng dài 1.149 km.", 13, 13),
    "zh": ("河川 (river) 是", 8, 3),
    "ja": ("コーヒーを飲む ABC", 8, 5),  # the long vowels are of no script
    "hi": ("नदी river", 7, 2),  # vowel signs are marks, no letters
    "ur": ("دریا Z", 5, 4),
    "el": ("Ποτάμι", 6, 6),
    "ko": ("강과 江", 3, 3),
    "sr": ("река reka", 8, 8),
    "sr-Latn": ("река reka", 8, 4),
    "zh-Hant": ("河川 (river) 是", 8, 3),
    "ceb": ("suba река", 8, 4),
    "ko-Kore": ("강과 江", 3, 3),
    "en": ("", 0, 0),
    "bn": ("১২৩ 🙂 \U0010ffff", 0, 0),
}


@pytest.mark.parametrize("language", TEXTS)
def test_letters_are_counted_by_script(language):
    text, letters, own = TEXTS[language]
    assert count_letters(text, language) == (letters, own)


NAMES = {
    "bn": "BENGALI", "en": "LATIN", "hi": "DEVANAGARI", "kn": "KANNADA", "ml": "MALAYALAM", "pa": "GURMUKHI",
    "ru": "CYRILLIC", "ta": "TAMIL", "te": "TELUGU", "ur": "ARABIC",
}  # fmt: skip


@pytest.mark.parametrize(("language", "name"), NAMES.items())
def test_letters_are_those_that_unicode_names_so(language, name):
    """Another source: the names of characters, in Python's own data, over the planes where letters are."""
    letters = [c for c in map(chr, range(0x3000)) if unicodedata.category(c).startswith("L")]
    named = [c for c in letters if re.match(rf"{name} .*LETTER ", unicodedata.name(c))]
    assert len(named) > 30
    assert count_letters("".join(named), language) == (len(named), len(named))
    others = [c for c in letters if unicodedata.name(c).split()[0] in ("GREEK", "HEBREW", "ARMENIAN")]
    assert count_letters("".join(others), language)[1] == 0


def test_the_papers_languages_have_a_script(root):
    paper = yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))
    assert all(scripts_of(language) for language in paper["corpus"]["languages"])


def test_an_unknown_language_is_told_where_its_share_is_asked_for():
    assert list(DocumentFilter("xx")([("a", "text")])) == [("a", "text")]
    with pytest.raises(ValueError, match=r"the script of 'xx' is not known; write 0 as corpus\.min_own_script"):
        list(DocumentFilter("xx", min_own_script=0.1)([("a", "text")]))


DOCUMENTS = [("a", "नदी"), ("b", "  "), ("c", "नदी"), ("d", "river"), ("e", "नदी river"), ("f", "x"), ("g", "12345")]


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({}, "adefg"),
        ({"min_characters": 4}, "deg"),
        ({"min_own_script": 0.2}, "ae"),
        ({"min_own_script": 0.3}, "a"),
        ({"min_own_script": 1.0}, "a"),
        ({"min_characters": 4, "min_own_script": 2 / 7}, "e"),  # a share that is exactly enough
    ],
)
def test_what_is_taken(settings, taken):
    document_filter = DocumentFilter("hi", **settings)
    assert "".join(identity for identity, _ in document_filter(DOCUMENTS)) == taken
    counts = document_filter.counts
    assert counts["read"] == len(DOCUMENTS)
    assert counts["read"] - sum(counts[fault] for fault in ("empty", "short", "repeated", "foreign")) == len(taken)


def test_the_record_is_of_what_is_kept(tmp_path):
    document_filter = DocumentFilter("hi")
    kept = list(document_filter.measured(list(document_filter(DOCUMENTS))[:3]))
    assert [identity for identity, _ in kept] == ["a", "d", "e"]
    document_filter.write(tmp_path / "q.tsv")
    with open(tmp_path / "q.tsv", encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream, delimiter="\t")
    assert row == {
        "language": "hi", "read": "7", "empty": "1", "short": "0", "repeated": "1", "foreign": "0", "kept": "3",
        "characters": "17", "letters": "14", "own_letters": "4", "own_script_share": f"{4 / 14:.6f}",
    }  # fmt: skip


def test_without_letters_there_is_no_share(tmp_path):
    DocumentFilter("hi").write(tmp_path / "q.tsv")
    assert (tmp_path / "q.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[1:] == ["0"] * 9 + [""]


@pytest.mark.parametrize(
    ("language", "scripts"),
    [
        ("zh-Hant", ["Han"]),
        ("sr", ["Cyrillic", "Latin"]),
        ("sr-Latn", ["Latn"]),
        ("sr-Latn-RS", ["Latn"]),
        ("pt-BR", ["Latin"]),
        ("ca-valencia", ["Latin"]),
        ("ja", ["Han", "Hiragana", "Katakana"]),
        ("qqq", None),
        ("qqq-Deva", ["Deva"]),
        ("hi-Xxxx", None),
    ],
)
def test_the_scripts_of_a_language_are_those_that_its_code_names_else_its_own(language, scripts):
    assert scripts_of(language) == scripts


def test_no_language_stands_in_two_lines():
    from langneurons.corpus.scripts import _LANGUAGES

    named = [language for line in _LANGUAGES.values() for language in line.split()]
    assert len(named) == len(set(named))
    assert all(regex.fullmatch(rf"\p{{Script={name}}}|.", "a") for line in _LANGUAGES for name in line.split())
