"""Intervals against their definitions and simulation, and predictions files."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from artifact_files import predictions_file
from task_pieces import XNLI
from task_pieces import XQUAD as SCORED_XQUAD

import langneurons
from langneurons.evaluation.significance import aligned, cluster_bootstrap, interval, read_predictions, wilson
from langneurons.experiment.condition import Condition

XQUAD = ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens")


def write_xnli(path, scores, ids=None):
    premises = [f"p{i // 3}" for i in range(len(scores))] if ids is None else [f"p-{name}" for name in ids]
    ids = [f"q{i}" for i in range(len(scores))] if ids is None else ids
    columns = {"id": pa.array(ids, pa.string()), "premise": pa.array(premises, pa.string())}
    return predictions_file(path, columns | {"score": pa.array(scores, pa.float64())})


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


# Files


def test_conditions_are_matched_by_id(tmp_path):
    a = read_predictions(write_xnli(tmp_path / "a.parquet", [1, 1, 1, 0, 1, 1], [*"abcdef"]), XNLI)
    b = read_predictions(write_xnli(tmp_path / "b.parquet", [0, 0, 1, 0, 0, 1], [*"fedcba"]), XNLI)
    found = aligned(a, b)
    assert found.ids == a.ids and found.path == b.path
    assert found.of("accuracy").tolist() == [1, 0, 0, 1, 0, 0]
    assert aligned(b, found).of("accuracy").tolist() == b.of("accuracy").tolist()


def test_each_metric_takes_its_interval(tmp_path):
    rng = np.random.default_rng(9)
    paragraphs = [f"p{i // 3}" for i in range(60)]
    em, f1 = rng.integers(0, 2, 60).astype(float), rng.random(60)
    xquad = read_predictions(write_xquad(tmp_path / "a.parquet", em, f1, paragraphs), SCORED_XQUAD)
    for name, scores in (("exact_match", em), ("f1", f1), ("exact_match_model_tokens", em), ("f1_model_tokens", f1)):
        assert interval(xquad, name, 0.9, 500, 3) == cluster_bootstrap(scores, paragraphs, 0.9, 500, 3)
    xnli = read_predictions(write_xnli(tmp_path / "c.parquet", em), XNLI)
    assert interval(xnli, "accuracy", 0.9, 500, 3) == cluster_bootstrap(em, np.arange(60) // 3, 0.9, 500, 3)
    independent = replace(XNLI, clusters=None)
    assert interval(replace(xnli, scoring=independent), "accuracy", 0.9) == wilson(int(em.sum()), 60, 0.9)
    with pytest.raises(ValueError, match=r"c\.parquet: no metric 'f1'; write one of accuracy"):
        interval(xnli, "f1")


def test_other_examples_are_refused(tmp_path):
    a = read_predictions(write_xnli(tmp_path / "a.parquet", [1, 0, 1], ["x", "y", "z"]), XNLI)
    b = read_predictions(write_xnli(tmp_path / "b.parquet", [1, 0], ["x", "z"]), XNLI)
    for pair in ((a, b), (b, a)):
        with pytest.raises(ValueError, match=r"do not hold the same examples .*b\.parquet has no 'y'"):
            aligned(*pair)
    c = read_predictions(write_xquad(tmp_path / "c.parquet", [1, 0], [1, 0], ["p", "q"]), SCORED_XQUAD)
    d = read_predictions(write_xquad(tmp_path / "d.parquet", [1, 0], [1, 0], ["p", "p"]), SCORED_XQUAD)
    with pytest.raises(ValueError, match=r"c\.parquet and .*d\.parquet assign examples to different paragraphs"):
        aligned(c, d)


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
