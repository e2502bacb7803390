"""The answer in words, from comparisons written here; and the paragraphs of tables."""

import pytest
import scipy.stats
from report_pieces import DRAWS, XNLI, compared
from task_pieces import XNLI as SCORED
from task_pieces import XQUAD

from langneurons.report.answer import Question, answer, counts
from langneurons.report.findings import Rendered, finding_of
from langneurons.tables.perplexity_change import hurt_most


def asked(*rows, margin=5.0, kind="intervention", scoring=XNLI):
    return Question(kind, scoring, margin, rows)


NOTHING = "No table of this run compares them with random neurons."


# Yes, no, undecided


def test_no_says_which_gain_is_excluded():
    opening, rest, random = answer([asked(compared(ends=(-4, 2)), compared("equivalent", 1, (-2, 4.9), language="hi"))])
    assert opening == (
        "No: none of 2 interventions makes the model better, and a gain of 5 points in XNLI accuracy is "
        "excluded for each."
    )
    assert rest == "0 of 2 make it worse; 1 is equivalent to none."
    assert random == NOTHING


def test_a_gain_that_is_not_excluded_leaves_it_undecided():
    """Nothing is significant either way: the paper's sentence would be no more than that."""
    rows = compared(ends=(-4, 2)), compared("undecided", 1, (-6, 7.25), "p90", "hi")
    opening, *_ = answer([asked(*rows)])
    assert opening == (
        "Undecided: none of 2 interventions makes the model better, but a gain of up to 7.2 points in "
        "XNLI accuracy (p90 of lape, M, XNLI in hi) is not excluded."
    )


def test_without_a_margin_nothing_is_ever_excluded():
    opening, rest, _ = answer([asked(compared(ends=(-4, 0.1)), margin=None)])
    assert opening.startswith("Undecided: the intervention makes the model no better, but a gain of up")
    assert rest == "0 of 1 make it worse."


def test_yes_names_what_is_better():
    rows = compared("better", 3.5, (1, 6)), compared("worse", -9, (-12, -6), "p90"), compared()
    opening, rest, gains, _ = answer([asked(*rows)])
    assert opening == "Yes: 1 of 3 interventions makes the model better: zero of lape, M, XNLI in vi (+3.5 points)."
    assert rest == "1 of 3 makes it worse; 0 are equivalent to none."
    assert gains == "A gain of up to 6.0 points in XNLI accuracy (zero of lape, M, XNLI in vi) is not excluded."


def test_two_tasks_are_one_answer():
    second = asked(compared(ends=(-9, 9), task="xquad"), margin=2.0, scoring=XQUAD)
    opening, *_ = answer([asked(compared()), second])
    assert opening.startswith("Undecided: none of 2 interventions")
    assert "up to 2.0 points in XNLI accuracy" in opening and "up to 9.0 points in XQuAD exact match" in opening


def test_secondary_metrics_and_masks_without_neurons_do_not_count():
    rows = compared(), compared("better", 9, (5, 12), primary="no"), compared("no neuron", 0, (-50, 50))
    assert answer([asked(*rows)])[0].startswith("No: the intervention makes the model no better")
    assert [count.compared for count in counts([asked(*rows)])] == [1]
    assert answer([asked(compared("no neuron"))]) == ["No table of this run compares interventions with none.", NOTHING]


def test_random_neurons():
    random = asked(compared(against=DRAWS), compared(ends=(-8.31, 1), against=DRAWS), kind="random")
    *_, said = answer([asked(compared()), random])
    assert said == (
        "None of 2 differs from the same on random neurons (3 draws); differences of up to 8.4 points are not excluded."
    )
    *_, said = answer([asked(compared()), asked(compared("worse", against=DRAWS), kind="random")])
    assert (
        said == "1 of 1 differs from the same on random neurons (3 draws): zero of lape, M, XNLI in vi (−1.0 points)."
    )


def test_counts_are_by_intervention():
    rows = compared("better", 3, (1, 6)), compared("worse"), compared(intervention="p90")
    first, second = counts([asked(*rows)])
    assert first == ("intervention", "XNLI", "accuracy", "zero", 2, 1, 1, 0, 0, 6.0)
    assert second == ("intervention", "XNLI", "accuracy", "p90", 1, 0, 0, 0, 1, 2.0)


# Paragraphs of tables


def tsv(path, columns, *rows):
    """A TSV of rows given as tuples; None is a missing value."""
    lines = [columns, *([("" if value is None else str(value)) for value in row] for row in rows)]
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


def paragraph(kind, path):
    return finding_of(Rendered(kind, path, XQUAD if kind == "random_controls" else None))


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


PERPLEXITY = ["model", "method", "language", "zeroed", "neurons", "bits_per_byte_change"]


def test_a_paragraph_of_the_perplexity(tmp_path):
    rows = [
        ("vi", "vi", 3, 0.4),
        ("vi", "hi", 5, -0.1),
        ("hi", "hi", 5, 0.2),
        ("hi", "vi", 3, -0.2),
        ("vi", "ur", 0, 9),
    ]
    path = tsv(tmp_path / "p.tsv", PERPLEXITY, *(("M", "lape", *row) for row in rows))
    _, text = paragraph("perplexity_change", path)
    assert text == (
        "M, lape: own text is hurt most by 2 of 2 masks (1.0 expected by chance, p = 0.25); its loss changes by "
        "+0.3000 bits per byte, that of other languages' text by −0.1500."
    )


def test_methods_are_never_pooled(tmp_path):
    """One method hurts its own language, the other one does not: a mean over both would say that both do a little."""
    texts = ("vi", "hi", "ur", "zh")
    rows = [("M", "good", text, zeroed, 5, 0.5 if text == zeroed else 0.1) for zeroed in texts for text in texts]
    rows += [("M", "bad", text, zeroed, 5, 0.1 if text == zeroed else 0.2) for zeroed in texts for text in texts]
    path = tsv(tmp_path / "p.tsv", PERPLEXITY, *rows)
    _, text = paragraph("perplexity_change", path)
    assert "M, good: own text is hurt most by 4 of 4 masks (1.0 expected by chance, p = 0.0039)" in text
    assert "M, bad: own text is hurt most by 0 of 4 masks (1.0 expected by chance, p = 1)" in text


def test_hurt_most_is_the_binomial_tail_and_a_tie_is_none():
    def rows(own):
        texts = [f"l{i}" for i in range(10)]
        return [
            {"language": text, "zeroed": z, "bits_per_byte_change": str(own[i] if text == z else 0.1)}
            for i, z in enumerate(texts)
            for text in texts
        ]

    hurt, number, chance, p = hurt_most(rows([0.5] * 4 + [0.1] * 6))
    assert (hurt, number, chance) == (4, 10, pytest.approx(1))
    assert p == pytest.approx(scipy.stats.binomtest(4, 10, 0.1, "greater").pvalue)


def test_a_table_of_conditions_says_nothing_of_its_own(tmp_path):
    path = tsv(tmp_path / "t.tsv", ["model", "method", "neurons", "none"], ("M", "LAPE", 3, 50))
    assert finding_of(Rendered("interventions", path, SCORED)) is None
    assert finding_of(Rendered(None, path)) is None


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "t.tsv").write_text("")
    with pytest.raises(ValueError, match=r"t\.tsv: holds no header"):
        paragraph("split_half", tmp_path / "t.tsv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("\t0.5\t", "\tnan\t"), "nan is no finite number"),
        (lambda text: text.replace("\t0.5\t", "\thalf\t"), "could not convert string to float: 'half'"),
        (lambda text: text.replace("jaccard", "index", 1), "has no column 'jaccard'"),
        (lambda text: text[:-9], "another number of fields"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, change, said):
    text = "model\tmethod\tlanguage\tjaccard\tjaccard_random\n" + "M\tlape\tvi\t0.5\t0.01\n" * 2
    (tmp_path / "split.tsv").write_text(text)
    assert "Over 2 sets" in paragraph("split_half", tmp_path / "split.tsv").text
    (tmp_path / "split.tsv").write_text(change(text))
    with pytest.raises(ValueError, match=rf"split\.tsv: .*({said}).*; render the table again"):
        paragraph("split_half", tmp_path / "split.tsv")
