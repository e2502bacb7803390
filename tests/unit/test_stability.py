"""Agreement of two masks: against sets of tuples, enumeration and simulation."""

from itertools import combinations

import numpy as np
import pytest

from langneurons.methods.mask import mask_from
from langneurons.methods.stability import agreement, expected_jaccard

SHAPE = {"layers": 3, "neurons_per_layer": 10, "model": "a"}


def masked(neurons, **shape):
    """A mask of vi with these (layer, neuron), and of hi without any."""
    layers = {layer: [n for k, n in neurons if k == layer] for layer in range(3)}
    scores = {layer: [0.0] * len(found) for layer, found in layers.items()}
    return mask_from("m", {"vi": layers}, {"vi": scores}, languages=["vi", "hi"], **{**SHAPE, **shape})


def test_the_index_is_that_of_the_sets():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = ({tuple(n) for n in rng.integers(0, (3, 10), (12, 2)).tolist()} for _ in range(2))
        found = agreement(masked(one), masked(other), "vi")
        assert (found.first, found.second, found.shared) == (len(one), len(other), len(one & other))
        assert found.jaccard == len(one & other) / len(one | other)


def test_the_same_index_in_another_layer_is_another_neuron():
    assert agreement(masked({(0, 3)}), masked({(1, 3)}), "vi").jaccard == 0


def test_a_language_without_neurons_in_either_half_has_no_index():
    found = agreement(masked({(0, 3)}), masked({(0, 3)}), "hi")
    assert (found.first, found.second, found.shared, found.jaccard, found.by_chance) == (0, 0, 0, None, None)


def test_neurons_in_one_half_alone_agree_in_nothing():
    found = agreement(masked({(0, 3), (1, 4)}), masked([]), "vi")
    assert (found.jaccard, found.by_chance) == (0, 0)


def test_masks_of_different_models_are_refused():
    with pytest.raises(ValueError, match="different models"):
        agreement(masked({(0, 3)}), masked({(0, 3)}, model="b"), "vi")


@pytest.mark.parametrize(("first", "second", "neurons"), [(2, 3, 6), (4, 4, 6), (1, 1, 5), (0, 2, 5), (6, 3, 6)])
def test_the_expectation_is_the_mean_over_all_pairs_of_sets(first, second, neurons):
    pairs = [
        len(set(a) & set(b)) / len(set(a) | set(b))
        for a in combinations(range(neurons), first)
        for b in combinations(range(neurons), second)
    ]
    assert expected_jaccard(first, second, neurons) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_the_expectation_holds_at_the_size_of_a_model():
    """Sizes of the paper: shared neurons are nearly Poisson, so the index is about ab / N / (a + b)."""
    assert expected_jaccard(2000, 1500, 458_752) == pytest.approx(2000 * 1500 / 458_752 / 3500, rel=5e-3)


def test_two_empty_sets_have_no_expectation_and_impossible_ones_are_refused():
    assert expected_jaccard(0, 0, 5) is None
    with pytest.raises(ValueError, match="of 5 neurons cannot be"):
        expected_jaccard(6, 1, 5)
