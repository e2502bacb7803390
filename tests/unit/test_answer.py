"""The answer in words: counted by hand from tables written here."""

import pytest
from task_pieces import XNLI, XQUAD

from langneurons.report.findings import Rendered, findings_of, sentences
from langneurons.tables.base import Count
from langneurons.tables.findings import NONE, RANDOM


def tsv(path, columns, *rows):
    """A TSV of rows given as tuples; None is a missing value."""
    lines = [columns, *([("" if value is None else str(value)) for value in row] for row in rows)]
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


def against_none(path):
    scoring = XQUAD if path.stem == "xquad" else XNLI
    return findings_of(path.stem, Rendered("interventions", path, scoring)).counts


def against_random(path):
    return findings_of(path.stem, Rendered("random_controls", path, XQUAD)).counts


def paragraph(kind, path):
    return findings_of(path.stem, Rendered(kind, path, XQUAD if kind == "random_controls" else None)).paragraph


@pytest.fixture
def xnli(tmp_path):
    columns = ["model", "method", "language", "neurons", "none", "mean", "mean_p", "mean_p_holm", "zero", "zero_p_holm"]
    return tsv(
        tmp_path / "xnli.tsv",
        columns,
        ("M", "", "en", None, 80, None, None, None, None, None),
        ("M", "LAPE", "vi", 9, 50, 55, 0.001, 0.01, 40, 0.04),
        ("M", "LAPE", "hi", 9, 50, 60, 0.04, 0.2, 45, 0.05),
        ("M", "LAPE", "ur", 0, 50, 50, 1, 1, 50, 0.0001),  # no neuron: not an intervention
    )


RANDOM_COLUMNS = ["model", "method", "language", "intervention", "metric", "neurons", "none", "own", "random_mean"]
RANDOM_COLUMNS += ["difference", "more_than_random"]


@pytest.fixture
def controls(tmp_path):
    return tsv(
        tmp_path / "controls.tsv",
        RANDOM_COLUMNS,
        ("M", "LAPE", "vi", "zero", "exact_match", 9, 50, 40, 49, -9, "yes"),
        ("M", "LAPE", "vi", "zero", "f1", 9, 60, 58, 59, -1, "no"),
        ("M", "LAPE", "hi", "zero", "exact_match", 9, 50, 56, 51, 5, "yes"),
        ("M", "LAPE", "ur", "zero", "exact_match", 0, 50, 50, 50, 0, "no"),
    )


def test_what_differs_from_none_is_counted_by_direction(xnli):
    assert against_none(xnli) == [
        Count(NONE, "xnli", "accuracy", "mean", 2, 1, 0),
        Count(NONE, "xnli", "accuracy", "zero", 2, 0, 2),
    ]


def test_exact_match_and_f1_are_counted_by_themselves(tmp_path):
    columns = ["model", "method", "language", "neurons", "none_em", "none_f1"]
    columns += ["p90_em", "p90_em_p_holm", "p90_f1", "p90_f1_p_holm"]
    path = tsv(tmp_path / "xquad.tsv", columns, ("M", "LAPE", "vi", 3, 10, 20, 12, 0.5, 30, 0.01))
    assert against_none(path) == [
        Count(NONE, "xquad", "exact match", "p90", 1, 0, 0),
        Count(NONE, "xquad", "F1", "p90", 1, 1, 0),
    ]


def test_a_table_without_p_values_compares_nothing(tmp_path):
    path = tsv(tmp_path / "t.tsv", ["model", "method", "neurons", "none"], ("M", "LAPE", 3, 50))
    assert against_none(path) == []


def test_what_does_more_than_random_is_counted_by_direction(controls):
    assert against_random(controls) == [
        Count(RANDOM, "controls", "exact match", "zero", 2, 1, 1),
        Count(RANDOM, "controls", "F1", "zero", 1, 0, 0),
    ]


def test_the_answer_says_both_and_which(xnli, controls):
    none, random = sentences([*against_none(xnli), *against_random(controls)])
    assert none == (
        "3 of 4 comparisons differ from no intervention. 1 higher: mean in xnli (accuracy, 1); "
        "2 lower: zero in xnli (accuracy, 2)."
    )
    assert random.startswith("2 of 3 comparisons do more than as many random neurons. 1 higher: zero in controls")


def test_the_answer_says_when_nothing_differs_and_when_nothing_was_compared():
    none, random = sentences([Count(NONE, "xnli", "accuracy", "zero", 6, 0, 0)])
    assert none == "None of 6 comparisons differs from no intervention."
    assert random == "No table of this run compares them with random neurons."


def test_a_paragraph_of_random_controls(controls):
    heading, text = paragraph("random_controls", controls)
    assert heading.endswith("random neurons? XQuAD")
    assert text.startswith("2 of 3 comparisons do more")
    assert "by 6.00 points" in text and "by 1.00 with" in text  # (10 + 2 + 6) / 3 and (1 + 1 + 1) / 3
    assert "M, LAPE, vi zero; M, LAPE, hi zero" in text
    assert "1 comparisons have no neuron" in text


def test_a_paragraph_of_split_halves(tmp_path):
    columns = ["model", "method", "language", "jaccard", "jaccard_random"]
    rows = [("M", "lape", "vi", 0.25, 0.01), ("M", "lape", "hi", 0.75, 0.02), ("M", "lape", "ur", None, None)]
    path = tsv(tmp_path / "split.tsv", columns, *rows)
    heading, text = paragraph("split_half", path)
    assert heading == "Would the same neurons be found again?"
    assert "Over 2 sets" in text and "median Jaccard index of the two halves is 0.50" in text
    assert "from 0.25 (M, lape, vi) to 0.75 (M, lape, hi)" in text and "at most 0.020" in text
    assert "1 languages have no neuron in either half." in text


def test_a_paragraph_of_the_relevance(tmp_path):
    columns = ["model", "method", "language", "ratio", "note"]
    path = tsv(tmp_path / "r.tsv", columns, ("M", "act", "vi", 12.0, ""), ("M", "act", "hi", 0.5, "noise"))
    _, text = paragraph("relevance_spread", path)
    assert text.startswith("In 1 of 2 cases it does; the ratio of its spread to sampling noise goes from 0.5 to 12.")
    assert text.endswith("the ranking means nothing: M, act, hi.")


def test_a_paragraph_of_the_perplexity(tmp_path):
    columns = ["model", "method", "language", "zeroed", "neurons", "bits_per_byte_change"]
    rows = [
        ("vi", "vi", 3, 0.4),
        ("vi", "hi", 5, -0.1),
        ("hi", "hi", 5, 0.2),
        ("hi", "vi", 3, -0.2),
        ("vi", "ur", 0, 9),
    ]
    path = tsv(tmp_path / "p.tsv", columns, *(("M", "lape", *row) for row in rows))
    _, text = paragraph("perplexity_change", path)
    assert "changes by +0.3000 bits per byte" in text and "by −0.1500 (means over 2 and 2 pairs)" in text


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "t.tsv").write_text("")
    with pytest.raises(ValueError, match=r"t\.tsv: holds no header"):
        against_none(tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("\t0.5\t", "\tnan\t"), "nan is no finite number"),
        (lambda text: text.replace("\t0.5\t", "\thalf\t"), "could not convert string to float: 'half'"),
        (lambda text: text.replace("none", "nothing", 1), "has no column 'none'"),
        (lambda text: text[:-9], "another number of fields|could not convert"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, change, said):
    text = "method\tneurons\tnone\tzero\tzero_p_holm\tend\n" + "LAPE\t5\t50.0\t60.0\t0.5\t1\n" * 2
    text = text.replace("0.5\t1\nLAPE", "0.01\t1\nLAPE", 1)
    (tmp_path / "xnli.tsv").write_text(text)
    assert against_none(tmp_path / "xnli.tsv")[0].higher == 1
    (tmp_path / "xnli.tsv").write_text(change(text))
    with pytest.raises(ValueError, match=rf"xnli\.tsv: .*({said}).*; render the table again"):
        against_none(tmp_path / "xnli.tsv")
