"""Tests and verdicts against their definitions, scipy, other papers' formulas, and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from task_pieces import XNLI, XQUAD

from langneurons.evaluation.comparisons import (
    Rules,
    compare,
    effect_interval,
    least_difference,
    one_against_sample,
    verdict,
)
from langneurons.evaluation.randomisation import randomisation_test
from langneurons.evaluation.significance import Predictions

# The test


def by_all_signs(differences, clusters):
    """The definition: the share of all sign assignments whose sum lies as far from 0 as the observed one."""
    by_name = {name: differences[clusters == name].sum() for name in np.unique(clusters)}
    sums = list(by_name.values())
    observed = abs(sum(sums))
    totals = [
        abs(sum(s * x for s, x in zip(signs, sums, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(sums))
    ]
    return np.mean([total >= observed - 1e-9 for total in totals])


@pytest.mark.parametrize("kind", ["binary", "thirds", "real"])
def test_the_test_is_its_definition(kind):
    rng = np.random.default_rng(1)
    for _ in range(20):
        clusters = rng.integers(0, 9, 24)
        if kind == "real":
            differences = rng.normal(0.1, 0.3, 24)
        else:
            differences = rng.integers(-1, 2, 24) / (3 if kind == "thirds" else 1)
        parts = 3 if kind == "thirds" else 1
        assert randomisation_test(differences, clusters, parts) == pytest.approx(by_all_signs(differences, clusters))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (3, 9), (121, 59), (150, 86)])
def test_without_clusters_it_is_mcnemars_exact_test(gained, lost):
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * 11)
    n, k = gained + lost, min(gained, lost)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert randomisation_test(differences, np.arange(len(differences))) == pytest.approx(expected, rel=1e-9)
    assert randomisation_test(-differences, np.arange(len(differences))) == pytest.approx(expected, rel=1e-9)


def test_drawn_signs_are_scipys_permutation_test():
    rng = np.random.default_rng(2)
    clusters, differences = np.repeat(np.arange(40), 3), rng.normal(0.05, 0.25, 120)
    sums = np.bincount(clusters, weights=differences)
    reference = scipy.stats.permutation_test(
        (sums,), np.mean, permutation_type="samples", n_resamples=40_000, rng=np.random.default_rng(3)
    )
    found = randomisation_test(differences, clusters, draws=40_000, seed=5)
    assert found == pytest.approx(reference.pvalue, abs=0.01)
    assert found == randomisation_test(differences, clusters, draws=40_000, seed=5)
    assert found != randomisation_test(differences, clusters, draws=40_000, seed=6)
    assert randomisation_test(np.full(120, 0.3), clusters, draws=999) == pytest.approx(1 / 1000)  # never 0


def test_what_cancels_out_or_never_changed_is_no_difference():
    assert randomisation_test(np.zeros(30), np.arange(30)) == 1.0
    assert randomisation_test(np.array([0.6, -0.6, 0.0]), [0, 1, 2]) == 1.0
    assert randomisation_test(np.array([1.0, 1.0]), ["p", "p"]) == 1.0  # one cluster: either sign is as far
    with pytest.raises(ValueError, match="3 scores in 2 clusters"):
        randomisation_test(np.zeros(3), [0, 1])


def test_clusters_weaken_a_difference_of_exact_match_too():
    """Ten answers of a paragraph change together: 12 paragraphs against 8 are no evidence; 120 answers to 80 are."""
    differences = np.repeat([1.0] * 12 + [-1.0] * 8, 10)
    assert randomisation_test(differences, np.arange(200)) < 0.01
    assert randomisation_test(differences, np.repeat(np.arange(20), 10)) > 0.2


def test_the_level_holds_with_strong_clustering():
    """Nominal 5 %: at most 7.5 % of 400 data sets whose paragraphs' answers change together (three standard errors)."""
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(48), 5)
    rejected = independent = 0
    for _ in range(400):
        changed = np.repeat(rng.integers(-1, 2, 48), 5) * (rng.random(240) < 0.9)
        rejected += randomisation_test(changed.astype(float), clusters) <= 0.05
        independent += randomisation_test(changed.astype(float), np.arange(240)) <= 0.05
    assert rejected / 400 <= 0.075
    assert independent / 400 > 0.15  # what McNemar's test would have said


# The interval


def test_the_interval_is_bonett_and_prices_without_clusters():
    """Their formula (2012) for paired proportions: p12 = (gained + 1) / (n + 2) and p21 = (lost + 1) / (n + 2)."""
    for gained, lost, n in ((0, 0, 300), (4, 1, 300), (40, 70, 1000)):
        differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost))
        p12, p21 = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
        half = scipy.stats.norm.ppf(0.975) * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
        expected = (100 * (p12 - p21 - half), 100 * (p12 - p21 + half))
        assert effect_interval(differences, np.arange(n)) == pytest.approx(expected, rel=0.01, abs=0.01)


def test_nothing_changed_still_leaves_something_possible():
    low, high = effect_interval(np.zeros(200), np.arange(200))
    assert low == pytest.approx(-high) and 0.5 < high < 3
    assert effect_interval(np.zeros(200), np.repeat(np.arange(40), 5))[1] > 3 * high  # 40 paragraphs know less
    assert effect_interval(np.array([1.0, 0.0]), ["p", "p"]) == (-100.0, 100.0)


@pytest.mark.parametrize("share", [0.004, 0.05, 0.3])
def test_the_interval_covers_the_truth_as_often_as_it_says(share):
    """Of rare changes too, where a bootstrap's interval is often a point at 0."""
    rng, hits = np.random.default_rng(6), 0
    clusters = np.repeat(np.arange(100), 3)
    for _ in range(400):
        together = np.repeat(rng.random(100) < share, 3)
        differences = together * np.where(np.repeat(rng.random(100), 3) < 0.7, 1.0, -1.0) * (rng.random(300) < 0.8)
        low, high = effect_interval(differences, clusters)
        hits += low <= 100 * share * 0.8 * 0.4 <= high
    assert hits / 400 >= 0.92


# One mask against masks of random neurons


def test_crawford_and_howell():
    """Their worked case: a score of 70 against five controls of mean 88 and standard deviation 6 has t = -2.739."""
    sample = 88 + 6 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    assert sample.std(ddof=1) == pytest.approx(6)
    t = (70 - 88) / (6 * math.sqrt(6 / 5))
    assert t == pytest.approx(-2.739, abs=0.001)
    p, half = one_against_sample(0.70, sample / 100)
    assert p == pytest.approx(2 * scipy.stats.t.cdf(t, 4))
    assert half == pytest.approx(scipy.stats.t.ppf(0.975, 4) * 0.06 * math.sqrt(6 / 5))


def test_one_draw_tells_nothing_of_its_population():
    assert one_against_sample(0.9, np.array([0.1])) == (1.0, math.inf)
    assert least_difference(3, 0.05) == pytest.approx(4.303 * math.sqrt(4 / 3), abs=0.001)
    assert least_difference(20, 0.05) < 2.2


def predictions(scores, path="p", scoring=XNLI, clusters=None):
    ids = tuple(f"e{i:05}" for i in range(len(scores)))
    names = list(scoring.columns.values())
    scores = np.asarray(scores, float)
    return Predictions(
        path, ids, np.array(ids) if clusters is None else clusters, dict.fromkeys(names, scores), scoring
    )


def controlled(rng, examples, between, draws=3, shift=0.0, changed=0.06):
    """Answers of own neurons and of ``draws`` random masks, whose accuracies vary by ``between`` points among masks."""
    base = rng.random(examples) < 0.7
    masks = []
    for number in range(draws + 1):
        gain = (between * rng.normal() + shift * (number == 0)) / 100
        lose, win = changed / 2 - gain / 2, changed / 2 + gain / 2
        moved = rng.random(examples)
        masks.append(np.where(base, moved >= max(0, lose) / 0.7, moved < max(0, win) / 0.3))
    return predictions(masks[0], "own"), [predictions(mask, f"random-{i}") for i, mask in enumerate(masks[1:])]


@pytest.mark.parametrize(
    ("between", "draws"), [((0.0,), 3), ((0.3,), 3), ((1.0,), 3), ((0.0, 0.3, 1.0), 3), ((0.0, 0.3, 1.0), 10)]
)
def test_random_masks_in_the_place_of_ones_own_are_seldom_more_than_random(between, draws):
    """The family-wise error over 12 comparisons, of equal or different spread: at most 5 % and its sampling error.

    A test that takes the draws for the whole population errs more often. ``benchmarks/null_simulation.py``: for longer.
    """
    rng, families, size = np.random.default_rng(8), 40, 12
    wrong = naive = 0
    for _ in range(families):
        found = [controlled(rng, 600, between[i % len(between)], draws) for i in range(size)]
        p = [compare(own, others, "accuracy", Rules(family=size), population=True) for own, others in found]
        wrong += min(one.p_adjusted for one in p) <= 0.05
        if max(between) == 1.0:
            naive += (
                min(compare(own, others, "accuracy", Rules(family=size)).p_adjusted for own, others in found) <= 0.05
            )
    assert wrong <= scipy.stats.binom.ppf(0.999, families, 0.05)
    assert naive >= wrong


def test_an_effect_far_beyond_random_masks_is_found():
    rng = np.random.default_rng(9)
    own, others = controlled(rng, 5_000, 0.3, draws=10, shift=-5.0, changed=0.1)
    found = compare(own, others, "accuracy", Rules(family=24), population=True)
    assert found.verdict == "worse" and -6.5 < found.effect < -3.5 and found.low < -5 < found.high
    few = compare(own, others[:1], "accuracy", Rules(), population=True)
    assert (few.p, few.low, few.high, few.verdict) == (1.0, -100.0, 100.0, "undecided")


# Verdicts


@pytest.mark.parametrize(
    ("effect", "low", "high", "p", "margin", "said"),
    [
        (2.0, 0.5, 3.5, 0.05, 1.0, "better"),
        (-2.0, -3.5, -0.5, 0.01, 1.0, "worse"),
        (0.1, -0.7, 0.9, 0.9, 1.0, "equivalent"),
        (0.1, -0.7, 1.0, 0.9, 1.0, "undecided"),  # the end lies on the margin
        (0.1, -0.7, 0.9, 0.9, None, "undecided"),
        (2.0, 0.5, 3.5, 0.051, 5.0, "equivalent"),
    ],
)
def test_verdicts(effect, low, high, p, margin, said):
    assert verdict(effect, low, high, p, 0.05, margin) == said


def test_the_correction_is_bonferronis():
    none, own = predictions([1.0] * 20 + [0.0] * 80), predictions([0.0] * 9 + [1.0] * 11 + [0.0] * 80)
    alone = compare(own, [none], "accuracy", Rules())
    assert alone.p == alone.p_adjusted == pytest.approx(2 / 2**9)
    assert (alone.verdict, alone.value, alone.reference, alone.effect) == ("worse", 11.0, 20.0, pytest.approx(-9.0))
    many = compare(own, [none], "accuracy", Rules(family=30))
    assert many.p_adjusted == pytest.approx(30 * 2 / 2**9) and many.verdict == "undecided"
    assert (many.p, many.low, many.high) == (alone.p, alone.low, alone.high)


def test_a_test_has_draws_enough_for_its_family():
    assert Rules().draws() == 10_000
    assert Rules(family=180).draws() == pytest.approx(20 * 180 / 0.05, abs=1)
    rng, paragraphs = np.random.default_rng(10), np.repeat(np.arange(60), 4)
    f1 = np.clip(rng.normal(0.4, 0.1, 240), 0, 1)
    none, own = (predictions(scores, scoring=XQUAD, clusters=paragraphs) for scores in (f1, f1 / 2))
    assert compare(own, [none], "f1", Rules(family=180)).verdict == "worse"  # 10,000 draws would leave p at 0.018


def test_a_planted_effect_of_three_points_is_found():
    """n = 5,010, three hypotheses a premise, a tenth of the answers changes, 24 comparisons: in 95 % or more."""
    rng, found = np.random.default_rng(11), 0
    premises = np.repeat(np.arange(1_670), 3)
    for _ in range(100):
        none = rng.random(5_010) < 0.7
        moved = rng.random(5_010)
        own = np.where(none, moved >= 0.035 / 0.7, moved < 0.065 / 0.3)
        one, other = (predictions(scores, clusters=premises) for scores in (own, none))
        found += compare(one, [other], "accuracy", Rules(family=24)).verdict == "better"
    assert found >= 95
