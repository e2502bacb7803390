"""A table's intervals and verdicts, against their functions on the same predictions; and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from artifact_files import predictions_file
from task_pieces import XNLI, XQUAD

from langneurons.evaluation.comparisons import effect_interval
from langneurons.evaluation.randomisation import randomisation_test
from langneurons.evaluation.significance import cluster_bootstrap
from langneurons.experiment.comparison import INTERVENTION, Compared
from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import Paths, condition_of
from langneurons.tables.captions import uncertainty
from langneurons.tables.uncertainty import with_uncertainty

NONE = Condition("llama", "xnli", "base", "vi", "none")
ZERO = Condition("llama", "xnli", "base", "vi", "zero@lape")
MEAN = Condition("llama", "xnli", "base", "vi", "mean@lape")
OTHER = Condition("llama", "xnli", "en@lape", "vi", "zero@lape")  # its own none is not in the table
COMPARED = [Compared(INTERVENTION, condition, (NONE,)) for condition in (ZERO, MEAN)]
SETTINGS = {"level": 0.95, "resamples": 10_000, "seed": 3, "margin": 8.0}


def params(scoring=XNLI, family=2):
    families = {f"{task}.intervention": family for task in ("xnli", "xquad")}
    return {"scoring": scoring.plain(), "significance": SETTINGS, "families": families}


def found_in(metrics, files, compared=COMPARED, **changed):
    """``with_uncertainty`` of files under the paths of a run: a path says its condition."""
    return with_uncertainty(metrics, files.values(), compared, params(**changed))


def xnli(path, right, ids=None, condition=NONE):
    ids = ids or [f"{i}" for i in range(len(right))]
    premises = pa.array([f"{i // 3}" for i in range(len(ids))], pa.string())
    columns = {"id": pa.array(ids, pa.string()), "premise": premises, "score": np.asarray(right, float)}
    return predictions_file(path, columns, condition)


def path_of(directory, condition):
    """The file of a condition's predictions, in a directory made for it."""
    path = Path(Paths(str(directory), "").predictions(condition))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def measured(right):
    return {"neurons": 3, "examples": len(right), "dropped": 0, "accuracy": 100 * float(np.mean(right))}


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    none = rng.random(200) < 0.7
    zero = none & (rng.random(200) < 0.85)
    return {NONE: none, ZERO: zero, MEAN: none ^ (rng.random(200) < 0.05), OTHER: none}


@pytest.fixture
def table(tmp_path, scores):
    files = {c: xnli(path_of(tmp_path, c), right, condition=c) for c, right in scores.items()}
    return {c: measured(right) for c, right in scores.items()}, files


def test_intervals_and_verdicts_are_those_of_the_predictions(table, scores):
    found = found_in(*table)
    premises = np.arange(200) // 3
    for condition, right in scores.items():
        ends = found[condition]["accuracy_low"], found[condition]["accuracy_high"]
        assert ends == cluster_bootstrap(right.astype(float), [f"{i}" for i in premises], 0.95, 10_000, 3)
        assert found[condition]["accuracy"] == table[0][condition]["accuracy"]
        if condition in (ZERO, MEAN):
            differences = right.astype(float) - scores[NONE]
            p = randomisation_test(differences, premises)
            assert found[condition]["accuracy_p"] == pytest.approx(p)
            assert found[condition]["accuracy_p_adjusted"] == pytest.approx(min(1, 2 * p))
            assert found[condition]["accuracy_effect"] == pytest.approx(100 * differences.mean())
            ends = found[condition]["accuracy_effect_low"], found[condition]["accuracy_effect_high"]
            assert ends == pytest.approx(effect_interval(differences, premises))
        else:
            assert "accuracy_p" not in found[condition]
    assert (found[ZERO]["accuracy_verdict"], found[MEAN]["accuracy_verdict"]) == ("worse", "equivalent")
    assert "accuracy_low" not in table[0][NONE]  # what was given stays as it was


def test_a_verdict_does_not_depend_on_what_else_is_in_the_table(table):
    metrics, files = table
    part = {c: metrics[c] for c in (NONE, MEAN)}
    alone = found_in(part, {c: files[c] for c in part}, [COMPARED[1]])
    assert alone[MEAN] == found_in(metrics, files)[MEAN]


def test_a_mask_without_neurons_has_no_verdict(table, scores):
    metrics, files = table
    metrics = metrics | {ZERO: measured(scores[ZERO]) | {"neurons": 0}}
    assert found_in(metrics, files)[ZERO]["accuracy_verdict"] == "no neuron"


def test_exact_match_and_f1_are_tested_over_whole_paragraphs(tmp_path):
    rng = np.random.default_rng(1)
    names = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")
    none, zero = (Condition("llama", "xquad", "base", "zh", value) for value in ("none", "zero@lape"))
    paragraphs = [f"p{i // 4}" for i in range(80)]
    data, files, metrics = {}, {}, {}
    for i, condition in enumerate((none, zero)):
        f1 = np.clip(rng.random(80) - 0.15 * i, 0, 1)
        data[condition] = {name: (f1 > 0.5).astype(float) if "exact" in name else f1 for name in names}
        files[condition] = path_of(tmp_path, condition)
        ids = {"id": [f"{k}" for k in range(80)], "paragraph": paragraphs}
        predictions_file(files[condition], ids | data[condition], condition)
        metrics[condition] = {name: 100 * float(v.mean()) for name, v in data[condition].items()}
        metrics[condition] |= {"examples": 80, "neurons": 3}
    found = found_in(metrics, files, [Compared(INTERVENTION, zero, (none,))], scoring=XQUAD)
    for name in ("exact_match", "f1"):
        p = randomisation_test(data[zero][name] - data[none][name], paragraphs, draws=10_000, seed=3)
        assert found[zero][f"{name}_p"] == p
        ends = found[none][f"{name}_low"], found[none][f"{name}_high"]
        assert ends == cluster_bootstrap(data[none][name], paragraphs, 0.95, 10_000, 3)
    assert not [name for name in found[zero] if "model_tokens_" in name]


def refused(table, said, *words):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        found_in(*table)
    assert all(str(word) in str(error.value) for word in words)


def test_no_predictions(table):
    metrics, files = table
    refused((metrics, {c: p for c, p in files.items() if c != MEAN}), "no predictions of llama/xnli/base/vi/mean@lape")
    files[MEAN].unlink()
    refused(table, "no such file", files[MEAN])


def test_a_missing_example_is_told_by_the_count(table, scores):
    path = xnli(table[1][ZERO], scores[ZERO][1:], condition=ZERO)
    refused(table, "holds 199 examples where the metrics count 200", path)


def test_a_double_id_and_one_too_many(table, scores):
    path = xnli(table[1][ZERO], scores[ZERO], ["0", "0", *map(str, range(2, 200))], ZERO)
    refused(table, "id '0' is there 2 times", path)


def test_other_examples(table, scores):
    path = xnli(table[1][ZERO], scores[ZERO], ["x", *map(str, range(1, 200))], ZERO)
    refused(table, "do not hold the same examples", path, table[1][NONE], "'0'")


def test_predictions_of_another_run(table, scores):
    path = xnli(table[1][ZERO], ~scores[ZERO], condition=ZERO)
    refused(table, "over these examples and", path, "in the metrics")


def test_predictions_of_another_condition(table, scores):
    path = xnli(table[1][ZERO], scores[ZERO], condition=MEAN)
    refused(table, "intervention is 'mean@lape', 'zero@lape' was expected", path)


@pytest.mark.parametrize("name", ["neurons", "dropped", "accuracy"])
def test_every_number_of_the_metrics_is_that_of_the_predictions(table, scores, name):
    """Also those that no score tells: how many neurons were overwritten, how many examples were dropped."""
    metrics, files = table
    said = metrics[ZERO] | {name: metrics[ZERO][name] + 1e-12 * (name == "accuracy") + (name != "accuracy")}
    columns = {"id": [f"{i}" for i in range(200)], "premise": [f"{i // 3}" for i in range(200)]}
    columns["score"] = scores[ZERO].astype(float)
    predictions_file(files[ZERO], columns, ZERO, metrics=said)
    refused(table, f"was written with {name} {said[name]!r}, its metrics file says", files[ZERO])


def test_two_snapshots_are_not_compared(table, scores):
    columns = {"id": [f"{i}" for i in range(200)], "premise": [f"{i // 3}" for i in range(200)]}
    columns["score"] = scores[ZERO].astype(float)
    path = predictions_file(table[1][ZERO], columns, ZERO, model="cd" * 32)
    refused(table, "are of different snapshots of the model", path)


# Paths and notes


@pytest.mark.parametrize("intervention", ["none", "p90@lape-set1", "p2.5@act-prob-90p"])
def test_a_path_says_its_condition(intervention):
    condition = Condition("llama-3.1-8b", "xquad", "en+vi@lape-set1", "vi", intervention)
    for root in ("results", "/a/b/results/demo"):
        paths = Paths(root, "resources")
        assert condition_of(paths.metrics(condition)) == condition
        assert condition_of(paths.predictions(condition)) == condition
    with pytest.raises(ValueError, match="is no file of a condition"):
        condition_of("results/tables/xnli.tsv")


def notes(frame, family=102, level=0.95):
    said = params(family=family)
    said["significance"] = SETTINGS | {"level": level}
    return uncertainty(XNLI, pd.DataFrame(frame), said | {"task": "xnli"})


def test_notes():
    labels = {"model": ["M", "M"], "method": ["LAPE", "LAPE"], "language": ["vi", "hi"], "neurons": [3, 0]}
    one = labels | {"zero_effect_high": [1.25, 9.0], "zero_verdict": ["undecided", "no neuron"]}
    differs, gain, interval = notes(one)
    assert differs.startswith("No intervention differs from No Int") and "for the 102 comparisons" in differs
    assert "randomisation test over whole premises" in differs
    assert gain == "The largest gain in accuracy that is not excluded (95 %): 1.2 points (M, LAPE, vi, Int 0)."
    assert interval.startswith("The TSV has each number's 95 % interval (by bootstrap, 10,000 draws of whole premises)")
    differs, same, *_ = notes(one | {"mean_verdict": ["worse", "equivalent"]})
    assert differs.startswith("* differs from No Int on the same examples: p at most 0.05 (")
    assert same == "≈ equivalent: the 95 % interval of the difference lies within 8 points of 0."
    (only,) = notes(labels, level=0.9)
    assert "90 % interval" in only
