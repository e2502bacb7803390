"""Intervals and tests against their definitions, worked examples of others, and simulation."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from artifact_files import predictions_file
from task_pieces import XNLI
from task_pieces import XQUAD as SCORED_XQUAD

import langneurons
from langneurons.evaluation.significance import (
    cluster_bootstrap,
    compare,
    holm,
    interval,
    mcnemar,
    paired,
    paired_bootstrap,
    read_predictions,
    wilson,
)
from langneurons.experiment.condition import Condition

XQUAD = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")


def write_xnli(path, scores, ids=None):
    ids = [f"q{i}" for i in range(len(scores))] if ids is None else ids
    columns = {"id": pa.array(ids, pa.string()), "score": pa.array(scores, pa.float64())}
    return predictions_file(path, columns)


def write_xquad(path, em, f1, paragraphs, ids=None):
    ids = [f"q{i}" for i in range(len(em))] if ids is None else ids
    columns = {"id": pa.array(ids, pa.string()), "paragraph": pa.array(paragraphs, pa.string())}
    columns |= {name: pa.array(em if "exact" in name else f1, pa.float64()) for name in XQUAD}
    return predictions_file(path, columns, task="xquad")


# Intervals


@pytest.mark.parametrize(
    ("correct", "total", "level"), [(0, 12, 0.95), (12, 12, 0.9), (7, 300, 0.99), (4033, 5010, 0.95)]
)
def test_wilson_is_the_formula(correct, total, level):
    z = {0.9: 1.6448536269514722, 0.95: 1.959963984540054, 0.99: 2.5758293035489004}[level]  # normal quantiles
    p, n = correct / total, total
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(correct, total, level) == pytest.approx((100 * (middle - half), 100 * (middle + half)), abs=1e-9)
    low, high = wilson(correct, total, level)
    assert 0 <= low <= 100 * p <= high <= 100


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses(correct, total):
    with pytest.raises(ValueError, match=f"{correct} right of {total}"):
        wilson(correct, total)


def test_bootstrap_is_the_definition():
    """Clusters drawn whole, the ratio of sums: against a loop with another stream of random numbers."""
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 40, 238)
    scores = np.clip(rng.normal(0.6, 0.2, 238) + rng.normal(0, 0.2, 40)[clusters], 0, 1)
    groups = [scores[clusters == c] for c in np.unique(clusters)]
    drawn = [np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]).mean() for _ in range(4000)]
    expected = 100 * np.quantile(drawn, [0.025, 0.975])
    found = cluster_bootstrap(scores, clusters, 0.95, 10_000, 7)
    assert found == pytest.approx(expected, abs=0.35)  # each end's own noise is about 0.1
    assert found == cluster_bootstrap(scores, clusters, 0.95, 10_000, 7) != cluster_bootstrap(scores, clusters, seed=8)


def test_what_stands_or_falls_together_counts_once():
    """Five answers of each paragraph with one score each say no more than one answer a paragraph."""
    scores = np.random.default_rng(2).random(60)
    alone = cluster_bootstrap(scores, np.arange(60), seed=3)
    together = cluster_bootstrap(np.repeat(scores, 5), np.repeat(np.arange(60), 5), seed=3)
    assert together == pytest.approx(alone, abs=1e-9)
    apart = cluster_bootstrap(np.repeat(scores, 5), np.arange(300), seed=3)
    assert apart[1] - apart[0] == pytest.approx((alone[1] - alone[0]) / math.sqrt(5), rel=0.05)


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    hits = 0
    for seed in range(200):
        clusters = np.repeat(np.arange(48), 5)
        scores = rng.random(240) < np.repeat(rng.beta(2, 2, 48), 5)  # true mean: one half
        low, high = cluster_bootstrap(scores, clusters, 0.95, 400, seed)
        hits += low <= 50 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_where_the_bootstrap_has_no_width():
    clusters = np.repeat(np.arange(12), 4)
    assert cluster_bootstrap(np.zeros(48), clusters) == wilson(0, 12)
    assert cluster_bootstrap(np.ones(48), clusters) == wilson(12, 12)
    assert cluster_bootstrap([0.2, 0.9], ["p", "p"]) == (0.0, 100.0)


def test_bootstrap_refuses():
    for scores, clusters, said in (
        ([], [], "at least one"),
        ([1.5], ["a"], "0 and 1"),
        ([1.0, 0.0], ["a"], "2 scores"),
    ):
        with pytest.raises(ValueError, match=said):
            cluster_bootstrap(scores, clusters)


# Comparisons


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (3, 9), (121, 59)])
def test_mcnemar_is_the_binomial_sum(gained, lost):
    a = [1] * gained + [0] * lost + [1] * 7 + [0] * 4
    b = [0] * gained + [1] * lost + [1] * 7 + [0] * 4
    n, k = gained + lost, min(gained, lost)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(b, a) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_agresti():
    """Agresti, Categorical Data Analysis, table 10.1: 150 and 86 changed their rating; the statistic is z = -4.17."""
    p = mcnemar([1] * 150 + [0] * 86, [0] * 150 + [1] * 86)
    z = (86 - 150) / math.sqrt(86 + 150)
    assert z == pytest.approx(-4.17, abs=0.005)
    assert p == pytest.approx(math.erfc(-z / math.sqrt(2)), rel=0.5)  # exact against asymptotic
    assert p < 1e-4


def test_paired_bootstrap_agrees_with_the_t_test_on_independent_examples():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(5)
    b = rng.random(400) * 0.8
    for shift in (0.0, 0.004, 0.01):
        a = np.clip(b + shift + rng.normal(0, 0.05, 400), 0, 1)
        assert paired_bootstrap(a, b, np.arange(400)) == pytest.approx(ttest_rel(a, b).pvalue, abs=0.03)


def test_paired_bootstrap_at_its_ends():
    rng = np.random.default_rng(6)
    a, clusters = rng.random(100), rng.integers(0, 20, 100)
    assert paired_bootstrap(a, a, clusters) == 1.0
    assert paired_bootstrap(a, a / 2, clusters, 999) == pytest.approx(2 / 1000)
    assert paired_bootstrap(a / 2, a, clusters, 999) == pytest.approx(2 / 1000)
    assert paired_bootstrap(a, a / 2, ["p"] * 100) == 1.0
    assert paired_bootstrap([0.1, 0.7, 0.2], [0.7, 0.1, 0.2], [0, 1, 2]) == 1.0  # 0.6 and -0.6 cancel out
    with pytest.raises(ValueError, match="3 examples against 2"):
        paired_bootstrap([0, 0, 1], [0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="3 examples against 2"):
        mcnemar([0, 0, 1], [0, 1])


def test_clusters_weaken_a_difference():
    b = np.full(200, 0.5)
    a = b + np.repeat([0.1] * 12 + [-0.1] * 8, 10)  # the ten answers of a paragraph change together
    assert paired_bootstrap(a, b, np.arange(200)) < 0.01  # 120 against 80
    assert paired_bootstrap(a, b, np.repeat(np.arange(20), 10)) > 0.2  # 12 against 8


# Holm


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x 0.005, 3 x 0.01, 2 x 0.03, then no smaller
        ([0.05, 0.04, 0.03, 0.02, 0.01], [0.09, 0.09, 0.09, 0.08, 0.05]),  # R: p.adjust(..., "holm")
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
        ([0.001, 0.001, 1.0], [0.003, 0.003, 1.0]),
    ],
)
def test_holm_by_hand(p, adjusted):
    assert holm(p) == pytest.approx(adjusted, abs=1e-12)


def test_holm_rejects_what_the_step_down_rejects():
    """Holm's own words: go up the ordered p-values while p_(i) <= alpha / (m + 1 - i)."""
    rng = np.random.default_rng(8)
    for _ in range(50):
        p = rng.random(9) ** 3
        rejected = set()
        for i, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (9 - i):
                break
            rejected.add(int(index))
        assert {i for i, q in enumerate(holm(p)) if q <= 0.05} == rejected


@pytest.mark.parametrize("p", [[0.5, 1.1], [-0.1], [math.nan]])
def test_holm_refuses(p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(p)


# Files


def test_conditions_are_matched_by_id(tmp_path):
    a = write_xnli(tmp_path / "a.parquet", [1, 1, 1, 0, 1, 1], [*"abcdef"])
    b = write_xnli(tmp_path / "b.parquet", [0, 0, 1, 0, 0, 1], [*"fedcba"])  # a right; b, e, f wrong; d right
    found = paired(a, b, XNLI, "accuracy")
    assert found.difference == pytest.approx(100 * (5 - 2) / 6)
    assert found.p == pytest.approx(mcnemar([1, 1, 1, 0, 1, 1], [1, 0, 0, 1, 0, 0]))
    back = paired(b, a, XNLI, "accuracy")
    assert (back.difference, back.p) == (-found.difference, found.p)


def test_each_metric_takes_its_test(tmp_path):
    rng = np.random.default_rng(9)
    paragraphs = [f"p{i // 3}" for i in range(60)]
    em_a, em_b = rng.integers(0, 2, (2, 60)).astype(float)
    f1_a, f1_b = rng.random((2, 60))
    a = read_predictions(write_xquad(tmp_path / "a.parquet", em_a, f1_a, paragraphs), SCORED_XQUAD)
    b = read_predictions(write_xquad(tmp_path / "b.parquet", em_b, f1_b, paragraphs), SCORED_XQUAD)
    for name in ("exact_match", "exact_match_model_tokens"):
        assert compare(a, b, name) == pytest.approx((100 * (em_a - em_b).mean(), mcnemar(em_a, em_b)))
        assert interval(a, name, 0.9, 500, 3) == cluster_bootstrap(em_a, paragraphs, 0.9, 500, 3)
    for name in ("f1", "f1_model_tokens"):
        p = paired_bootstrap(f1_a, f1_b, paragraphs, 500, 3)
        assert compare(a, b, name, 500, 3) == pytest.approx((100 * (f1_a - f1_b).mean(), p))
        assert interval(a, name, 0.9, 500, 3) == cluster_bootstrap(f1_a, paragraphs, 0.9, 500, 3)
    xnli = read_predictions(write_xnli(tmp_path / "c.parquet", em_a), XNLI)
    assert interval(xnli, "accuracy", 0.9) == wilson(int(em_a.sum()), 60, 0.9)
    with pytest.raises(ValueError, match=r"c\.parquet: no metric 'f1'; write one of accuracy"):
        interval(xnli, "f1")


def test_other_examples_are_refused(tmp_path):
    a = write_xnli(tmp_path / "a.parquet", [1, 0, 1], ["x", "y", "z"])
    b = write_xnli(tmp_path / "b.parquet", [1, 0], ["x", "z"])
    for pair in ((a, b), (b, a)):
        with pytest.raises(ValueError, match=r"do not hold the same examples .*b\.parquet has no 'y'"):
            paired(*pair, XNLI, "accuracy")
    c = write_xquad(tmp_path / "c.parquet", [1, 0], [1, 0], ["p", "q"])
    d = write_xquad(tmp_path / "d.parquet", [1, 0], [1, 0], ["p", "p"])
    with pytest.raises(ValueError, match=r"c\.parquet and .*d\.parquet assign examples to different paragraphs"):
        paired(c, d, SCORED_XQUAD, "f1")


@pytest.mark.parametrize(
    ("ids", "scores", "said"),
    [
        (["a", "b", "a"], [1, 0, 1], "id 'a' is there 2 times"),
        (["a", None, "c"], [1, 0, 1], "no id in row 2"),
        (["a", "b", "c"], [1, 0, None], "no score in row 3"),
        (["a", "b"], [1, 2], "score has values that are not from 0 to 1"),
        (["a", "b"], [1, math.nan], "score has values that are not from 0 to 1"),
        ([], [], "holds no example"),
    ],
)
def test_faulty_predictions_name_the_file(tmp_path, ids, scores, said):
    path = write_xnli(tmp_path / "bad.parquet", scores, ids)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_predictions(path, XNLI)
    assert str(path) in str(error.value)


def test_what_is_no_predictions_file(tmp_path):
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(ValueError, match=r"text\.parquet: is no whole Parquet file"):
        read_predictions(tmp_path / "text.parquet", XNLI)
    with pytest.raises(ValueError, match=r"gone\.parquet: no such file"):
        read_predictions(tmp_path / "gone.parquet", XNLI)
    other = Condition("tiny", "xquad", "base", "vi", "none")
    with pytest.raises(ValueError, match=r"a\.parquet: .*'xquad' was expected"):
        read_predictions(write_xnli(tmp_path / "a.parquet", [1.0]), SCORED_XQUAD, other)
    scores = predictions_file(tmp_path / "b.parquet", {"id": ["a"], "score": [1.0]}, task="xquad")
    with pytest.raises(ValueError, match=r"b\.parquet: has no column paragraph, exact_match, "):
        read_predictions(scores, SCORED_XQUAD)


def test_importing_stays_light():
    code = (
        "import sys, langneurons.evaluation.significance as s; print({'scipy', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(langneurons.__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "set()"
