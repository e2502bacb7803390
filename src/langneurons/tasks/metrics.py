"""Scores of the tasks: accuracy, and exact match and F1 of answers by two normalisations."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache

from langneurons.sections.languages import primary

ANSWER_SCORES = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")
"""Columns of an answer's scores, in the order of the metric files."""

# Articles as the MLQA evaluation (Lewis et al., 2020, "MLQA: Evaluating Cross-lingual Extractive Question
# Answering") removes them. A language that is not listed has none removed (in MLQA: hi, zh).
_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "ar": r"\sال^|ال",
}
# Characters that are words of their own. MLQA has zh; ja (kana too) is an addition of this project.
_SINGLE = {"zh": re.compile("([\u4e00-\u9fa5])"), "ja": re.compile("([\u3040-\u30ff\u4e00-\u9fa5])")}


def accuracy(predictions: Sequence[int], gold: Sequence[int]) -> float:
    """Share of equal labels in percent; ValueError on none, or on unequal numbers."""
    if len(predictions) != len(gold):
        raise ValueError(f"{len(predictions)} predictions for {len(gold)} labels; they must be of the same examples")
    return percent(int(p) == int(g) for p, g in zip(predictions, gold, strict=True))


def percent(scores: Iterable[float]) -> float:
    """100 x the mean of scores between 0 and 1; ValueError on none."""
    values = [float(s) for s in scores]
    if not values:
        raise ValueError("no example was scored; were all of them dropped as too long?")
    return 100.0 * sum(values) / len(values)


@cache
def _punctuation() -> dict[int, None]:
    """Translation that deletes punctuation: Unicode's categories P*, and the ASCII symbols that MLQA adds."""
    found = [i for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)).startswith("P")]
    return dict.fromkeys(found + [ord(c) for c in string.punctuation])


def normalize_answer(text: str, language: str) -> str:
    """The MLQA normal form: lower case, no punctuation, no articles, words separated by one space.

    Chinese (and Japanese) characters are words of their own ("mixed segmentation").
    """
    text = text.lower().translate(_punctuation())
    own = primary(language)
    if own in _ARTICLES:
        text = re.sub(_ARTICLES[own], " ", text)
    if own in _SINGLE:
        text = _SINGLE[own].sub(r" \1 ", text)
    return " ".join(text.split())


def token_f1(prediction: Sequence[Hashable], gold: Sequence[Hashable]) -> float:
    """F1 of two multisets of tokens, 0 to 1; 0 if they share none (so also if both are empty, as in SQuAD)."""
    common = (Counter(prediction) & Counter(gold)).total()
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def exact_match(prediction: str, answers: Sequence[str], language: str) -> float:
    """1 if the prediction's normal form is that of any gold answer, else 0."""
    normal = normalize_answer(prediction, language)
    return _best(answers, lambda gold: float(normal == normalize_answer(gold, language)))


def f1(prediction: str, answers: Sequence[str], language: str) -> float:
    """Largest F1 of the normal forms' words over the gold answers, 0 to 1."""
    words = normalize_answer(prediction, language).split()
    return _best(answers, lambda gold: token_f1(words, normalize_answer(gold, language).split()))


def _best(answers: Sequence[str], score: Callable[[str], float]) -> float:
    if not answers:
        raise ValueError("a question without a gold answer cannot be scored")
    return max(score(gold) for gold in answers)


def score_answer(
    prediction: str,
    answers: Sequence[str],
    language: str,
    prediction_tokens: Sequence[int],
    first_answer_tokens: Sequence[int],
) -> dict[str, float]:
    """All scores of one answer, 0 to 1, by column name (``ANSWER_SCORES``).

    The first two are MLQA's over every gold answer; ``*_model_tokens`` are the paper's (paper, appendix B.1):
    the model's own token ids against those of the first gold answer, both without EOS. They depend on the
    tokenizer and do not compare between models.
    """
    predicted, gold = list(prediction_tokens), list(first_answer_tokens)
    values = (
        exact_match(prediction, answers, language),
        f1(prediction, answers, language),
        float(predicted == gold),
        token_f1(predicted, gold),
    )
    return dict(zip(ANSWER_SCORES, values, strict=True))
