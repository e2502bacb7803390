"""The controls' data frames: against scipy, numpy and numbers worked out by hand."""

import csv

import numpy as np
import pytest
import scipy.stats
from artifact_files import changed_tsv
from task_pieces import XNLI

from langneurons.evaluation.perplexity import COLUMNS, perplexity_rows, write_perplexity
from langneurons.evaluation.randomisation import randomisation_test
from langneurons.evaluation.significance import Predictions
from langneurons.experiment.condition import Condition
from langneurons.methods.activation_probability import select_by_relevance
from langneurons.methods.mask import mask_from
from langneurons.registry import entry
from langneurons.tables.files import write_table
from langneurons.tables.perplexity_change import perplexity_change
from langneurons.tables.perplexity_file import PERPLEXITY, read_changes
from langneurons.tables.random_controls import RANDOM_COLUMNS, random_controls
from langneurons.tables.relevance_spread import relevance_spread
from langneurons.tables.rows import ControlRow
from langneurons.tables.split_half import split_half

TITLES = {"m": "Model M"}


def condition(intervention, language="vi"):
    return Condition("m", "xnli", "base", language, intervention)


def row(language="vi", draws=3):
    names = ("none", "zero@lape", *(f"zero@random-{i}" for i in range(draws)))
    none, own, *random = (condition(name, language) for name in names)
    return ControlRow("m", "LAPE", language, "zero", none, own, tuple(random))


def predictions(scores, path="p", ids=None):
    scores = np.asarray(scores, float)
    ids = tuple(f"e{i:04}" for i in range(len(scores))) if ids is None else ids
    return Predictions(path, ids, np.array(ids), {"accuracy": scores}, XNLI)


def params(family=1, **changed):
    rules = {"level": 0.95, "resamples": 10_000, "seed": 0, "margin": None} | changed
    families = {f"xnli.{kind}": family for kind in ("intervention", "random")}
    return {"scoring": XNLI.plain(), "significance": rules, "families": families, "titles": TITLES, "task": "xnli"}


def metrics_of(neurons):
    return {c: {"neurons": number, "dropped": 2} for c, number in neurons.items()}


def frame_of(by_language, neurons=5, **changed):
    """The table of scores: language -> those of none, own and the draws."""
    rows = [row(language, len(scores) - 2) for language, scores in by_language.items()]
    read = {
        c: predictions(scores, path=c.intervention)
        for r in rows
        for c, scores in zip((r.none, r.own, *r.random), by_language[r.language], strict=True)
    }
    return random_controls(rows, read.get, metrics_of(dict.fromkeys(read, neurons)), params(**changed))


def scores(right, of=200, start=0):
    values = np.zeros(of)
    values[start : start + right] = 1
    return values


def test_numbers_are_the_means_and_their_range():
    frame = frame_of({"vi": [scores(100), scores(60), scores(96), scores(98), scores(103)]})
    (line,) = frame.to_dict("records")
    assert tuple(frame.columns) == RANDOM_COLUMNS
    assert (line["model"], line["method"], line["language"], line["intervention"]) == ("Model M", "LAPE", "vi", "zero")
    assert (line["neurons"], line["draws"], line["metric"]) == (5, 3, "accuracy")
    assert (line["examples"], line["dropped"]) == (200, 2)
    assert (line["none"], line["own"], line["random_low"], line["random_high"]) == (50.0, 30.0, 48.0, 51.5)
    assert line["random_mean"] == pytest.approx((48 + 49 + 51.5) / 3)
    assert line["difference"] == pytest.approx(30 - (48 + 49 + 51.5) / 3)
    assert line["effect"] == -20.0 and line["effect_low"] < -20 < line["effect_high"] < 0
    assert line["difference_low"] < line["difference"] < line["difference_high"] < 0


def test_a_large_effect_is_more_than_random_and_a_small_one_is_not():
    none = scores(100)
    frame = frame_of(
        {
            "vi": [none, scores(60), scores(98), scores(99), scores(101)],  # far below all
            "hi": [none, scores(98), scores(99), scores(100), scores(101)],  # beyond all, but by next to nothing
            "ur": [none, none, none, none, none],  # nothing changes
        }
    )
    assert frame["more_than_random"].tolist() == ["yes", "no", "no"]
    assert frame["verdict"].tolist() == ["worse", "undecided", "undecided"]
    assert frame["p_random"].tolist()[2] == frame["p_none"].tolist()[2] == 1.0


def test_random_neurons_that_do_more_are_not_taken_for_own_ones():
    """Own neurons differ from random ones, but it is the random ones that change the result."""
    frame = frame_of({"vi": [scores(100), scores(100), scores(50), scores(52), scores(48)]})
    assert frame["p_random_adjusted"].item() <= 0.05
    assert frame["more_than_random"].item() == "no"


def test_masks_that_differ_among_themselves_are_no_sharp_comparison():
    """On these examples the difference is beyond doubt, but one draw does as much as the own neurons."""
    frame = frame_of({"vi": [scores(100), scores(60), scores(55), scores(100), scores(100)]})
    difference = (scores(60) - np.mean([scores(55), scores(100), scores(100)], axis=0)).sum()
    assert scipy.stats.binomtest(0, int(abs(difference))).pvalue < 1e-6
    assert frame["p_random"].item() > 0.2
    assert frame["more_than_random"].item() == "no"


def test_p_values_are_mcnemars_and_crawford_and_howells():
    rng = np.random.default_rng(3)
    none, own, *draws = (rng.random(400) < share for share in (0.5, 0.4, 0.5, 0.5, 0.5, 0.52, 0.48))
    (line,) = frame_of({"vi": [none, own, *draws]}).to_dict("records")
    gained, lost = int((own & ~none).sum()), int((none & ~own).sum())
    assert line["p_none"] == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue)
    means = [draw.mean() for draw in draws]
    t = (own.mean() - np.mean(means)) / (np.std(means, ddof=1) * np.sqrt(1 + 1 / 5))
    masks = 2 * scipy.stats.t.sf(abs(t), 4)
    examples = randomisation_test(own - np.mean(draws, axis=0), np.arange(400), 5)
    assert line["p_random"] == pytest.approx(max(masks, examples)) and masks != examples


def test_one_draw_is_no_population():
    frame = frame_of({"vi": [scores(200), scores(0), scores(200)]})
    assert frame["p_random"].item() == 1.0 and frame["more_than_random"].item() == "no"
    assert frame["p_none"].item() < 1e-9


def test_p_values_are_corrected_for_the_run_not_for_the_table():
    data = {"vi": [scores(100), scores(80), *[scores(100)] * 3]}
    alone, many = frame_of(data), frame_of(data | {"hi": [scores(100), *[scores(99)] * 4]}, family=40)
    assert many["p_none"].tolist()[0] == alone["p_none"].item() == alone["p_none_adjusted"].item()
    assert many["p_none_adjusted"].tolist()[0] == pytest.approx(40 * alone["p_none"].item())


def test_another_number_of_random_neurons_is_refused():
    rows = [row()]
    counts = {c: 5 for c in (rows[0].own, *rows[0].random)} | {rows[0].random[1]: 4}
    with pytest.raises(ValueError, match=r"m, vi: not as many random neurons .*zero@random-1: 4"):
        random_controls(rows, lambda c: predictions([1, 0]), metrics_of(counts), params())


def test_other_examples_are_refused_by_the_files_names():
    rows = [row()]
    counts = dict.fromkeys((rows[0].own, *rows[0].random), 5)

    def read(c):
        return predictions([1, 0], c.intervention, ("b", "c") if c.intervention.endswith("2") else ("a", "b"))

    with pytest.raises(ValueError, match=r"zero@lape and zero@random-2 do not hold the same examples"):
        random_controls(rows, read, metrics_of(counts), params())


def test_the_level_decides_what_counts():
    """p is exactly 0.0625: five examples of forty changed, all for the worse."""
    data = {"vi": [scores(10, of=40), scores(5, of=40), *[scores(10, of=40)] * 3]}
    found = [frame_of(data, level=level)["verdict"].item() for level in (0.95, 0.9)]
    assert found == ["undecided", "worse"]


def write_mask(path, neurons, languages=("en", "vi"), details=None, method="lape", **facts):
    entries = {"vi": {0: neurons}} if neurons else {}
    scored = {"vi": {0: [0.0] * len(neurons)}} if neurons else {}
    shape = {"layers": 2, "neurons_per_layer": 8, "model": "digest"}
    mask = mask_from(method, entries, scored, languages=languages, details=details, **shape)
    mask.write(path, model_key="m", **facts)
    return path


def halves(folder, even, odd):
    return write_mask(folder / "even", even, half="even"), write_mask(folder / "odd", odd, half="odd")


def test_halves_are_compared_language_by_language(tmp_path):
    even, odd = halves(tmp_path, [1, 2, 3], [2, 3, 4, 5])
    frame = split_half({("m", "lape"): (even, odd)}, TITLES)
    assert frame["language"].tolist() == ["en", "vi"]
    assert frame.iloc[0][["neurons_even", "neurons_odd", "shared"]].tolist() == [0, 0, 0]
    assert frame["jaccard"].isna().tolist() == frame["jaccard_random"].isna().tolist() == [True, False]
    assert frame.iloc[1][["neurons_even", "neurons_odd", "shared"]].tolist() == [3, 4, 2]
    assert frame.iloc[1]["jaccard"] == pytest.approx(2 / 5)
    shared = range(4)
    weights = [scipy.stats.hypergeom(16, 3, 4).pmf(i) * i / (7 - i) for i in shared]
    assert frame.iloc[1]["jaccard_random"] == pytest.approx(sum(weights))


def test_the_relevance_spread_tells_noise_from_a_ranking(tmp_path):
    rng = np.random.default_rng(0)
    tokens, shape = 10_000, (2, 400)
    relevance = {
        "en": rng.binomial(tokens, 0.1, shape) / tokens,  # the same share everywhere: nothing but sampling
        "vi": rng.binomial(tokens, rng.uniform(0.05, 0.15, shape)) / tokens,
    }
    relevance["hi"] = np.full(shape, 0.1)
    *_, details = select_by_relevance(relevance, dict.fromkeys(relevance, tokens), 0.01)
    path = write_mask(tmp_path / "mask", [], languages=list(relevance), details=details, method="act")
    frame = relevance_spread({("m", "act"): path}, TITLES).set_index("language")
    assert frame.loc["en", "ratio"] == pytest.approx(1, abs=0.1)
    noise = np.sqrt(0.1 * 0.9 / tokens)
    assert frame["sampling_noise"].tolist() == pytest.approx([noise] * 3, rel=0.05)
    assert frame.loc["vi", "ratio"] == pytest.approx(np.hypot(0.1 / np.sqrt(12), noise) / noise, rel=0.1)
    assert frame.loc["hi", "spread"] == frame.loc["hi", "ratio"] == 0
    assert frame.loc["vi", "note"] == ""
    assert "the ranking means nothing" in frame.loc["hi", "note"]


def test_a_mask_of_another_method_has_no_relevance(tmp_path):
    path = write_mask(tmp_path / "lape.parquet", [1], details={"tau": 0.5})
    with pytest.raises(ValueError, match=r"lape\.parquet: says nothing of the relevance"):
        relevance_spread({("m", "lape"): path}, TITLES)


@pytest.fixture
def perplexities(tmp_path):
    base = {"en": (200.0, 100), "vi": (300.0, 100)}
    zeroed = {"en": {"en": (210.0, 100), "vi": (300.0, 100)}, "vi": {"en": (199.0, 100), "vi": (330.0, 100)}}
    rows = perplexity_rows(base, zeroed, {"en": 400, "vi": 250}, {"en": 3, "vi": 4})
    write_perplexity(tmp_path / "lape.tsv", rows, "m", "lape")
    return tmp_path / "lape.tsv"


def test_the_change_is_plain_and_in_bits_per_byte(perplexities):
    frame = perplexity_change({("m", "lape"): perplexities}, TITLES)
    pairs = list(zip(frame["language"], frame["zeroed"], strict=True))
    assert sorted(pairs) == [("en", "en"), ("en", "vi"), ("vi", "en"), ("vi", "vi")]
    own = frame.set_index(["language", "zeroed"]).loc[("vi", "vi")]
    assert own["change"] == pytest.approx(np.exp(3.3) - np.exp(3.0))
    assert own["bits_per_byte_base"] == pytest.approx(300 / np.log(2) / 250)
    assert own["bits_per_byte_change"] == pytest.approx(30 / np.log(2) / 250)
    assert own["neurons"] == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [line.rpartition("\t")[0] for line in lines], "no column bits_per_byte_zeroed"),
        (lambda lines: [*lines, lines[1]], "is duplicated"),
        (lambda lines: [lines[0], lines[1].rpartition("\t")[0] + "\tnan"], "no number"),
        (lambda lines: [lines[0], lines[1].rpartition("\t")[0] + "\t"], "no number"),
    ],
)
def test_a_faulty_perplexity_file_is_named(perplexities, change, said):
    changed_tsv(perplexities, change)
    with pytest.raises(ValueError, match=rf"lape\.tsv: .*{said}"):
        read_changes(perplexities)


def test_files_of_another_job_are_named(perplexities, tmp_path):
    for key in (("other", "lape"), ("m", "act")):
        with pytest.raises(ValueError, match=r"lape\.tsv: (model is 'm'|method is 'lape'), '(other|act)' was expected"):
            perplexity_change({key: perplexities}, TITLES | {"other": "Other"})
    even, odd = halves(tmp_path, [1, 2], [2])
    with pytest.raises(ValueError, match=r"odd: half is 'odd', 'even' was expected"):
        split_half({("m", "lape"): (odd, even)}, TITLES)


def test_the_columns_read_are_those_written():
    assert {"language", "zeroed", "neurons", *PERPLEXITY} <= set(COLUMNS)


# As printed


def printed(tmp_path, frame, kind, **params):
    """The header, the cells and the text of a table's Markdown; its TSV's rows."""
    write_table(frame, entry("tables", kind).text(params, frame), tmp_path / "table")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    with (tmp_path / "table.tsv").open(encoding="utf-8", newline="") as file:
        return lines[0], lines[2:], text, list(csv.DictReader(file, delimiter="\t"))


def test_random_controls_as_printed(tmp_path):
    frame = frame_of({"vi": [scores(100), scores(60), scores(96), scores(98), scores(103)]})
    header, body, text, rows = printed(
        tmp_path,
        frame,
        "random_controls",
        **params(family=4),
        finetuning="base",
        notes=[],
    )
    line = dict(zip(header, body[0], strict=True))
    assert "Metric" not in header
    assert [line[name] for name in ("No Int", "Own", "Random", "Lowest", "Highest")] == [
        "50.0",
        "30.0",
        "49.5",
        "48.0",
        "51.5",
    ]
    assert (line["Intervention"], line["Own - random"], line["More than random"]) == ("0", "−19.5", "yes")
    assert "XNLI accuracy" in text and "over 3 draws of random neurons" in text
    assert "Bonferroni's correction for the 4 comparisons of this run" in text
    assert "with 3 draws, 10.2 times the standard deviation" in text  # t of 2 degrees of freedom at 0.00625, sqrt(4/3)
    assert float(rows[0]["random_mean"]) == frame["random_mean"].item()
    assert r"\label{tab:table}" in (tmp_path / "table.tex").read_text(encoding="utf-8")


def test_a_missing_index_is_printed_as_missing(tmp_path):
    masks = halves(tmp_path, [1, 2], [2])
    frame = split_half({("m", "lape"): masks}, TITLES)
    header, body, _, rows = printed(tmp_path, frame, "split_half")
    assert [cells[header.index("Jaccard")] for cells in body] == ["–", "0.500"]
    assert [row["jaccard"] for row in rows] == ["", "0.5"]


def test_the_same_frame_gives_the_same_bytes(tmp_path, perplexities):
    frame = perplexity_change({("m", "lape"): perplexities}, TITLES)
    for name in ("one", "two"):
        write_table(frame, entry("tables", "perplexity_change").text({}, frame), tmp_path / name / "table")
    for ending in ("tsv", "md", "tex"):
        one, two = ((tmp_path / name / f"table.{ending}").read_bytes() for name in ("one", "two"))
        assert one == two
