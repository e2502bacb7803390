"""Random neurons: the reference's counts, independent draws, uniform and repeatable."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from langneurons.methods.mask import mask_from
from langneurons.methods.random import select_random

REFERENCE = {
    "en": {0: np.arange(5), 2: np.arange(30)},
    "hi": {0: np.arange(5), 1: np.arange(2)},
    "vi": {},
    "zh": {1: np.array([], dtype=np.int64), 2: np.arange(50)},
}


def lists(entries):
    return {language: {layer: n.tolist() for layer, n in by.items()} for language, by in entries.items()}


def test_as_many_per_layer_and_language_without_repeats():
    entries, scores = select_random(REFERENCE, 50, seed=0)
    assert {language: {layer: len(set(n.tolist())) for layer, n in by.items()} for language, by in entries.items()} == {
        "en": {0: 5, 2: 30},
        "hi": {0: 5, 1: 2},
        "vi": {},
        "zh": {2: 50},
    }
    assert entries["zh"][2].tolist() == list(range(50))
    mask = mask_from("random", entries, scores, layers=3, neurons_per_layer=50, model="m")
    assert [mask.count(language) for language in mask.languages] == [35, 7, 0, 50]


def test_scores_are_the_draws_below_all_others():
    whole, draws = select_random({"en": {4: np.arange(50)}}, 50, seed=3)
    part, scores = select_random({"en": {4: np.arange(8)}}, 50, seed=3)
    by_draw = np.argsort(draws["en"][4])[:8]
    assert part["en"][4].tolist() == sorted(whole["en"][4][by_draw].tolist())
    assert sorted(scores["en"][4]) == sorted(draws["en"][4])[:8]
    assert (draws["en"][4] >= 0).all() and (draws["en"][4] < 1).all()


def test_another_language_or_layer_changes_no_other():
    entries = lists(select_random(REFERENCE, 50, seed=7)[0])
    more = {"aa": {0: np.arange(9)}} | {k: REFERENCE[k] | {5: np.arange(3)} for k in reversed(REFERENCE)}
    found = lists(select_random(more, 50, seed=7)[0])
    for language, by_layers in entries.items():
        assert {layer: found[language][layer] for layer in by_layers} == by_layers


def test_seed_language_and_layer_each_change_the_draw():
    reference = {language: {layer: np.arange(20) for layer in range(3)} for language in ("en", "hi", "ne")}
    draws = [
        tuple(neurons)
        for seed in (0, 1, 2**40)
        for by in lists(select_random(reference, 200, seed)[0]).values()
        for neurons in by.values()
    ]
    assert len(set(draws)) == len(draws) == 27


def test_every_neuron_is_as_likely():
    counts = np.zeros(30)
    for seed in range(600):
        counts[select_random({"en": {1: np.arange(6)}}, 30, seed)[0]["en"][1]] += 1
    # Without replacement the counts vary less than a multinomial's, so a uniform draw passes with room to spare.
    assert counts.sum() == 3600 and scipy.stats.chisquare(counts).pvalue > 0.01


def test_the_same_in_another_process():
    code = (
        "import numpy as np; from langneurons.methods.random import select_random;"
        "print(select_random({'hi': {3: np.arange(6)}}, 100, 11)[0]['hi'][3].tolist())"
    )
    here = select_random({"hi": {3: np.arange(6)}}, 100, 11)[0]["hi"][3].tolist()
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout.strip()
        for env in ({"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)} for seed in ("1", "2"))
    }
    assert outputs == {str(here)}


@pytest.mark.parametrize(
    ("reference", "seed", "message"),
    [
        ({"en": {0: np.arange(11)}}, 0, "en, layer 0: 11 neurons of 10 cannot be drawn"),
        ({"en": {-1: np.arange(3)}}, 0, "en: layer -1"),
        ({}, -1, "seed is -1; write 0 or more"),
    ],
)
def test_bad_requests(reference, seed, message):
    with pytest.raises(ValueError, match=message):
        select_random(reference, 10, seed)
