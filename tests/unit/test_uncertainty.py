"""A table's intervals and p-values, against scipy on the same predictions; and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from artifact_files import predictions_file
from task_pieces import XNLI, XQUAD

from langneurons.evaluation.significance import cluster_bootstrap, holm, paired_bootstrap
from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import Paths, condition_of
from langneurons.tables.captions import uncertainty
from langneurons.tables.uncertainty import corrected, with_uncertainty

NONE = Condition("llama", "xnli", "base", "vi", "none")
ZERO = Condition("llama", "xnli", "base", "vi", "zero@lape")
MEAN = Condition("llama", "xnli", "base", "vi", "mean@lape")
OTHER = Condition("llama", "xnli", "en@lape", "vi", "zero@lape")  # its own none is not in the table
SETTINGS = {"level": 0.95, "resamples": 500, "seed": 3}


def xnli(path, right, ids=None, condition=NONE):
    ids = ids or [f"{i}" for i in range(len(right))]
    columns = {"id": pa.array(ids, pa.string()), "score": np.asarray(right, float)}
    return predictions_file(path, columns, condition)


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
    files = {c: xnli(tmp_path / f"{i}.parquet", right, condition=c) for i, (c, right) in enumerate(scores.items())}
    return {c: measured(right) for c, right in scores.items()}, files


def test_accuracy_against_scipy(table, scores):
    found = with_uncertainty(*table, XNLI, **SETTINGS)
    ps = []
    for condition, right in scores.items():
        interval = scipy.stats.binomtest(int(right.sum()), 200).proportion_ci(0.95, method="wilson")
        ends = found[condition]["accuracy_low"], found[condition]["accuracy_high"]
        assert ends == pytest.approx((100 * interval.low, 100 * interval.high))
        assert found[condition]["accuracy"] == table[0][condition]["accuracy"]
        if condition in (ZERO, MEAN):
            a, b = int((right & ~scores[NONE]).sum()), int((~right & scores[NONE]).sum())
            ps.append(scipy.stats.binomtest(a, a + b).pvalue)
            assert found[condition]["accuracy_p"] == pytest.approx(ps[-1])
        else:
            assert "accuracy_p" not in found[condition]
    assert [found[c]["accuracy_p_holm"] for c in (ZERO, MEAN)] == pytest.approx(
        [min(1, 2 * ps[0]), max(ps[1], min(1, 2 * ps[0]))]
    )
    assert ps[0] < 0.01 < ps[1]
    assert corrected(found) == [found[ZERO]["accuracy_p_holm"], found[MEAN]["accuracy_p_holm"]]
    assert "accuracy_low" not in table[0][NONE]  # what was given stays as it was


def test_answers_are_corrected_over_both_metrics(tmp_path):
    rng = np.random.default_rng(1)
    names = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")
    conditions = [Condition("llama", "xquad", "base", "zh", value) for value in ("none", "zero@lape", "p90@lape")]
    paragraphs = [f"p{i // 4}" for i in range(80)]
    data, files, metrics = {}, {}, {}
    for i, condition in enumerate(conditions):
        f1 = np.clip(rng.random(80) - 0.15 * i, 0, 1)
        data[condition] = {name: (f1 > 0.5).astype(float) if "exact" in name else f1 for name in names}
        files[condition] = tmp_path / f"{i}.parquet"
        ids = {"id": [f"{k}" for k in range(80)], "paragraph": paragraphs}
        predictions_file(files[condition], ids | data[condition], condition)
        metrics[condition] = {name: 100 * float(v.mean()) for name, v in data[condition].items()} | {"examples": 80}
    found = with_uncertainty(metrics, files, XQUAD, **SETTINGS)
    none, *others = conditions
    p = []
    for c in others:
        em, base = data[c]["exact_match"] == 1, data[none]["exact_match"] == 1
        p.append(scipy.stats.binomtest(int((em & ~base).sum()), int((em != base).sum())).pvalue)
        p.append(paired_bootstrap(data[c]["f1"], data[none]["f1"], paragraphs, 500, 3))
    assert [found[c][f"{m}_p"] for c in others for m in ("exact_match", "f1")] == pytest.approx(p)
    assert [found[c][f"{m}_p_holm"] for c in others for m in ("exact_match", "f1")] == pytest.approx(holm(p))
    for c in conditions:
        ends = found[c]["f1_low"], found[c]["f1_high"]
        assert ends == cluster_bootstrap(data[c]["f1"], paragraphs, 0.95, 500, 3)
        assert not [name for name in found[c] if "model_tokens_" in name]


def refused(table, said, *words):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        with_uncertainty(*table, XNLI, **SETTINGS)
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
    columns = {"id": [f"{i}" for i in range(200)], "score": scores[ZERO].astype(float)}
    predictions_file(files[ZERO], columns, ZERO, metrics=said)
    refused(table, f"was written with {name} {said[name]!r}, its metrics file says", files[ZERO])


def test_two_snapshots_are_not_compared(table, scores):
    columns = {"id": [f"{i}" for i in range(200)], "score": scores[ZERO].astype(float)}
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


def test_notes():
    assert "* differs from No Int" in uncertainty(XNLI, [0.05, 0.2], 0.95, 100)[0]
    assert "over the 2 comparisons" in uncertainty(XNLI, [0.05, 0.2], 0.95, 100)[0]
    assert uncertainty(XNLI, [0.051], 0.95, 100)[0].startswith("No intervention differs from No Int")
    (only,) = uncertainty(XNLI, [], 0.9, 100)
    assert "90 % interval (Wilson's)" in only
    assert not any("too few" in note for note in uncertainty(XQUAD, [1.0] * 192, 0.95, 10_000))
    assert any("too few" in note for note in uncertainty(XQUAD, [1.0] * 192, 0.95, 5_000))
