"""Answer scores against the rules of MLQA's and SQuAD v1.1's scorers: by hand, and by a second implementation here."""

import itertools
import random
import string
import unicodedata

import pytest

from langneurons.tasks.metrics import ANSWER_SCORES, exact_match, f1, normalize_answer, score_answer

# The second implementation: a character at a time, without regular expressions, from what the two papers' scorers do.
ARTICLES = {
    "en": {"a", "an", "the"},
    "es": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "de": {"ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"},
    "vi": {"của", "là", "cái", "chiếc", "những"},
    "hi": set(),
    "zh": set(),
}
MLQA = tuple(ARTICLES)


def mlqa_words(text, language):
    kept = [c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P"]
    return words_without_articles(kept, language)


def squad_words(text):
    return words_without_articles([c for c in text.lower() if c not in string.punctuation], "en")


def words_without_articles(characters, language):
    """Runs of letters and digits that are an article give way to a space; then words are what white space divides."""
    text = ""
    for letters, run in itertools.groupby(characters, key=lambda c: c.isalnum() or c == "_"):
        run = "".join(run)
        text += " " if letters and run in ARTICLES[language] else run
    if language == "zh":
        text = "".join(f" {c} " if 0x4E00 <= ord(c) <= 0x9FA5 else c for c in text)
    words = [""]
    for c in text:
        if c.isspace():
            words.append("")
        else:
            words[-1] += c
    return [word for word in words if word]


def overlap(predicted, gold):
    """F1, each word of the gold answer found at most once."""
    left, shared = list(gold), 0
    for word in predicted:
        if word in left:
            left.remove(word)
            shared += 1
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0


def check(prediction, answers, language, words):
    found = words(prediction)
    assert exact_match(prediction, answers, language) == max(float(found == words(gold)) for gold in answers)
    assert f1(prediction, answers, language) == pytest.approx(max(overlap(found, words(gold)) for gold in answers))


PIECES = {
    "en": ["The", "the", "a", "An", "theatre", "a.", "U.S.", "it's", "x_y", "the-end", "naïve", "1,000", "$5", "A+"],
    "es": ["El", "la", "Los", "años", "una", "¿qué?", "«sí»", "del"],
    "de": ["Der", "eine", "des", "Straße", "„Haus“", "Dem"],
    "vi": ["của", "Là", "là", "Cái", "chiếc", "Những", "nhà", "cu\u0309a", "la\u0300", "Đà", "Nẵng", "cáibàn"],
    "hi": ["वह", "की", "।", "हिन्दी", "२०१५", "क़", "the", "क\u093c", "१,०००"],
    "zh": ["北京", "大学", "2015年", "NBA冠军", "，", "。", "《红楼梦》", "the", "㐀", "龥", "龦", "𠀀", "ア", "Ａ"],
}
COMMON = [" ", " ", " ", "  ", "\t", "\u00a0", "\u3000", "\u200b", "-", "–", "“", "”", "’", "…", "_", "^", "+", "€",
          "£", "™", "°", "İ", "ß", "Σ", "a\u0300", "é", "e\u0301", "¾", "²", "٪", "·", "ー", "7", "x"]  # fmt: skip


def texts(rng, pieces):
    """A prediction and one to three gold answers, often the prediction's own pieces, shouted, cut or in disorder."""

    def drawn():
        return [rng.choice(rng.choice([pieces, pieces, COMMON])) for _ in range(rng.randrange(8))]

    def written(parts):
        return "".join(part + rng.choice(["", " "]) for part in parts)

    parts = drawn()
    akin = [[f" {part.upper()}, " for part in parts], parts[1:], rng.sample(parts, len(parts)), parts + drawn()]
    answers = [written(rng.choice([rng.choice(akin), drawn()])) for _ in range(rng.randrange(1, 4))]
    return written(parts), answers


@pytest.mark.parametrize("language", MLQA)
def test_scores_are_those_of_the_rules(language):
    rng = random.Random(language)
    equal = partial = 0
    for _ in range(1500):
        prediction, answers = texts(rng, PIECES[language])
        check(prediction, answers, language, lambda given: mlqa_words(given, language))
        equal += exact_match(prediction, answers, language)
        partial += 0 < f1(prediction, answers, language) < 1
    assert equal > 200 and partial > 200


def test_english_scores_are_squads_where_punctuation_is_ascii():
    rng, compared = random.Random(0), 0
    for _ in range(3000):
        prediction, answers = texts(rng, PIECES["en"])
        if all(c.isascii() or unicodedata.category(c)[0] != "P" for text in (prediction, *answers) for c in text):
            check(prediction, answers, "en", squad_words)
            compared += 1
    assert compared > 500


def test_where_the_two_scorers_part_mlqas_is_followed():
    """SQuAD v1.1 knows ASCII's punctuation alone: a dash or a quotation mark of Unicode stays in its words."""
    assert squad_words("1990–95") == ["1990–95"] != squad_words("1990-95")
    assert exact_match("1990–95", ["1990-95"], "en") == 1.0
    assert exact_match("“Home”", ["home"], "en") == 1.0


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        # Punctuation goes without a space in its place; symbols go if ASCII has them, currency signs of Unicode stay.
        ("en", "rock'n'roll, U.S.-made", "rocknroll usmade"),
        ("en", "$5+tax = 5€", "5tax 5€"),
        ("en", "snake_case", "snakecase"),
        # Articles: whole words, in any case, one after another; after punctuation has gone; those of no other language.
        ("en", "The the A theatre an", "theatre"),
        ("en", "(a) la carte", "la carte"),
        ("en", "a-b the.end", "ab theend"),
        ("es", "El Niño y la niña", "niño y niña"),
        ("de", "Das Haus des Vaters", "haus vaters"),
        ("vi", "Những ngôi nhà của Là", "ngôi nhà"),
        ("vi", "the cáibàn", "the cáibàn"),
        ("vi", "cu\u0309a", "cu\u0309a"),  # a decomposed spelling is another string
        ("hi", "a the वह", "a the वह"),
        ("zh", "the 书", "the 书"),
        ("ur", "the کتاب۔", "the کتاب"),
        ("ar", "الكتاب", "كتاب"),
        # Hindi: the danda is punctuation; vowel signs and the virama are marks, which stay.
        ("hi", "हिन्दी में।", "हिन्दी में"),
        ("hi", "“१,०००”॥", "१०००"),
        # Chinese: from U+4E00 to U+9FA5 each character is a word; Latin words and numbers stay whole; others too.
        ("zh", "《红楼梦》1791年", "红 楼 梦 1791 年"),
        ("zh", "NBA总冠军3次", "nba 总 冠 军 3 次"),
        ("zh", "一龥", "一 龥"),
        ("zh", "龦㐀", "龦㐀"),
        ("hi", "北京", "北京"),
        # White space of any kind, one space between words, none around.
        ("en", " \t x\u00a0y\u3000z\n", "x y z"),
        ("vi", "", ""),
        ("zh", "。，", ""),
    ],
)
def test_normal_form_by_hand(language, text, normal):
    assert normalize_answer(text, language) == normal
    if language in MLQA:
        assert " ".join(mlqa_words(text, language)) == normal


@pytest.mark.parametrize(
    ("language", "prediction", "answers", "exact", "share"),
    [
        ("en", "The Denver Broncos", ["Denver Broncos"], 1, 1),
        ("en", "in Denver", ["Denver", "Santa Clara"], 0, 2 / 3),
        ("en", "Santa Clara", ["Denver", "clara, santa", "santa clara!"], 1, 1),  # the best of all answers
        ("en", "clara santa", ["santa clara"], 0, 1),  # F1 knows no order
        ("en", "big big cat", ["big cat cat"], 0, 2 / 3),  # nor does it count a word twice
        ("en", "the", ["a"], 1, 0),  # nothing is left of either: equal, but no word is shared
        ("en", "", ["x"], 0, 0),
        ("vi", "thành phố Đà Nẵng", ["Đà Nẵng"], 0, 2 * 2 / 6),
        ("vi", "Cái nhà của ông", ["nhà ông"], 1, 1),
        ("hi", "दिल्ली में", ["दिल्ली।"], 0, 2 / 3),
        ("hi", "दिल्ली।", ["दिल्ली"], 1, 1),
        ("zh", "北京大学", ["清华大学"], 0, 0.5),
        ("zh", "在2015年", ["2015年"], 0, 4 / 5),
        ("zh", "2015", ["2016"], 0, 0),
    ],
)
def test_scores_by_hand(language, prediction, answers, exact, share):
    assert exact_match(prediction, answers, language) == exact
    assert f1(prediction, answers, language) == pytest.approx(share)


def test_model_tokens_are_of_the_first_answer_alone():
    """The paper's: token ids, not words; neither case nor punctuation nor another gold answer counts."""
    scores = score_answer("Clara", ["Santa", "clara"], "en", [5, 6, 7], [5, 9])
    assert tuple(scores) == ANSWER_SCORES
    assert list(scores.values()) == pytest.approx([1, 1, 0, 2 * 1 / 5])
    again = score_answer("Clara.", ["Clara"], "en", [5, 6, 8], [5, 6])
    assert list(again.values()) == pytest.approx([1, 1, 0, 2 * 2 / 5])
    assert list(score_answer("x", ["x"], "en", [5, 6], [5, 6]).values()) == [1, 1, 1, 1]
