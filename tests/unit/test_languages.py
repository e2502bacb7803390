"""Codes of languages: which are taken, what is proposed for others, and what is looked up by the language alone."""

import re

import pytest

from langneurons.sections.languages import CODES, LANGUAGE, code_of, primary, script
from langneurons.tasks.metrics import normalize_answer

GOOD = (
    "hi",
    "ceb",
    "yue",
    "zh-Hant",
    "sr-Latn-RS",
    "pt-BR",
    "es-419",
    "ca-valencia",
    "de-1996x",
    "sl-Latn-IT-nedis",
    "xx",
)
MEANT = {
    "hindi": "hi", "Hin": "hi", "HI": "hi", "hin": "hi", "jp": "ja", "zh_hant": "zh-Hant", "zh-hant": "zh-Hant",
    "zh-cn": "zh-CN", "jp-Latn": "ja-Latn", "chinese": "zh", "en_US.UTF-8": "en", " vi": "vi", "pt-br": "pt-BR",
}  # fmt: skip
BAD = (
    "",
    "h",
    "klingon",
    "CEB",
    "ceb-",
    "-hi",
    "vi/en",
    "en+hi",
    "en@x",
    "ceb.train",
    "हिन्दी",
    "qq-rr",
    "zh-Hant-Hans",
    "hi\n",
)


@pytest.mark.parametrize("code", GOOD)
def test_a_code_is_taken_as_it_is(code):
    assert re.fullmatch(LANGUAGE, code)
    assert code_of(code) == code


@pytest.mark.parametrize(("word", "code"), MEANT.items())
def test_what_was_meant_is_proposed(word, code):
    assert code_of(word) == code != word


@pytest.mark.parametrize("word", BAD)
def test_what_is_no_code_is_not_taken(word):
    assert not re.fullmatch(LANGUAGE, word)
    assert code_of(word) != word


def test_a_code_of_three_letters_is_taken_where_there_is_none_of_two():
    """RFC 5646, 2.2.1: the shortest code of ISO 639."""
    assert all(code_of(name) == code for name, code in CODES.items())


@pytest.mark.parametrize(
    ("code", "language", "named"),
    [("zh-Hant", "zh", "Hant"), ("ceb", "ceb", None), ("pt-BR", "pt", None), ("sr-Latn-RS", "sr", "Latn")],
)
def test_the_parts_of_a_code(code, language, named):
    assert (primary(code), script(code)) == (language, named)


@pytest.mark.parametrize(("code", "own"), [("es-419", "es"), ("zh-Hant", "zh"), ("en-GB", "en"), ("vi-Latn", "vi")])
def test_answers_are_normalised_by_the_language_alone(code, own):
    text = "The 國王, el rey; của vua"
    assert normalize_answer(text, code) == normalize_answer(text, own) != normalize_answer(text, "hi")
