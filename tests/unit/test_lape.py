"""LAPE against scipy, a written-out selection, and planted neurons."""

import logging

import numpy as np
import pytest
import scipy.stats

from langneurons.methods.base import number_selected
from langneurons.methods.lape import entropy, select_lape
from langneurons.methods.mask import mask_from

LAYERS, WIDTH = 3, 40


def planted(counts, seed=0):
    """Probabilities in which counts[language] distinct neurons are active in that language alone."""
    rng = np.random.default_rng(seed)
    common = rng.uniform(0.2, 0.3, size=(LAYERS, WIDTH))
    probabilities = {language: common + rng.uniform(-0.01, 0.01, size=common.shape) for language in counts}
    places = iter(rng.permutation(LAYERS * WIDTH))
    truth = {language: sorted(int(next(places)) for _ in range(n)) for language, n in counts.items()}
    for language, neurons in truth.items():
        for other, p in probabilities.items():
            p.ravel()[neurons] = rng.uniform(0.8, 0.9) if other == language else rng.uniform(0.001, 0.01)
    return probabilities, truth


def flat(by_layers):
    return [layer * WIDTH + int(neuron) for layer, indices in by_layers.items() for neuron in indices]


def by_definition(probabilities, top_fraction, quantile):
    """The definition (paper, section 2.1), neuron by neuron."""
    everything = np.concatenate([p.ravel() for p in probabilities.values()])
    tau = np.quantile(everything, quantile)
    shape = next(iter(probabilities.values())).shape
    candidates = []
    for layer in range(shape[0]):
        for neuron in range(shape[1]):
            p = [values[layer, neuron] for values in probabilities.values()]
            if max(p) > tau:
                candidates.append((scipy.stats.entropy(p), layer, neuron))
    chosen = sorted(candidates)[: round(top_fraction * shape[0] * shape[1])]
    belongs = {
        language: sorted((layer, neuron) for _, layer, neuron in chosen if values[layer, neuron] > tau)
        for language, values in probabilities.items()
    }
    return belongs, tau, len(candidates), len(chosen)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_entropy_is_scipys(scale):
    p = np.random.default_rng(0).uniform(size=(7, 5, 11)) * scale
    np.testing.assert_allclose(entropy(p), scipy.stats.entropy(p, axis=0), rtol=1e-12)


def test_entropy_of_zeros_and_extremes():
    p = np.zeros((4, 1, 4))
    p[1, 0, 1] = 0.3  # one language: 0
    p[:, 0, 2] = 0.7  # all alike: ln 4
    p[:2, 0, 3] = [0.1, 0.1]  # two alike, two zero: ln 2
    with np.errstate(all="raise"):
        found = entropy(p)
    assert found[0, 0] == np.inf
    np.testing.assert_allclose(found[0, 1:], [0, np.log(4), np.log(2)], atol=1e-15)


def test_planted_neurons_are_found_exactly():
    probabilities, truth = planted({"en": 4, "hi": 3, "vi": 5})
    entries, scores, details = select_lape(probabilities, top_fraction=12 / 120, activity_quantile=0.95)
    assert {language: flat(found) for language, found in entries.items()} == truth
    assert details["selected"] == 12
    stack = np.stack(list(probabilities.values()))
    for language, by_layers in entries.items():
        for layer, neurons in by_layers.items():
            expected = scipy.stats.entropy(stack[:, layer, neurons], axis=0)
            np.testing.assert_allclose(scores[language][layer], expected, rtol=1e-12)


def test_a_language_without_neurons_is_normal():
    probabilities, truth = planted({"en": 4, "zz": 0, "vi": 5})
    entries, scores, _ = select_lape(probabilities, 9 / 120, 0.95)
    assert entries["zz"] == {} == scores["zz"]
    assert {language: flat(found) for language, found in entries.items()} == truth
    mask = mask_from("lape", entries, scores, layers=LAYERS, neurons_per_layer=WIDTH, model="m")
    assert mask.languages == ("en", "zz", "vi") and mask.count("zz") == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_selection_is_the_definition(seed, quantile):
    rng = np.random.default_rng(seed)
    probabilities = {language: rng.beta(0.3, 2, size=(4, 50)) for language in ("en", "hi", "ta", "ur")}
    belongs, tau, candidates, chosen = by_definition(probabilities, 0.1, quantile)
    entries, _, details = select_lape(probabilities, 0.1, quantile)
    found = {
        language: [(layer, int(neuron)) for layer, neurons in by.items() for neuron in neurons]
        for language, by in entries.items()
    }
    assert found == belongs
    assert details == {"tau": tau, "candidates": candidates, "selected": chosen}


def test_a_neuron_may_belong_to_several_languages():
    p = {language: np.full((1, 40), 0.1) for language in ("a", "b", "c")}
    p["a"][0, 7] = p["b"][0, 7] = 0.9
    p["c"][0, 7] = 0.0
    entries, scores, details = select_lape(p, 1 / 40, 0.95)
    assert entries["a"][0].tolist() == entries["b"][0].tolist() == [7] and entries["c"] == {}
    assert scores["a"][0][0] == pytest.approx(np.log(2)) and details["candidates"] == 1


def test_ties_go_to_the_lower_layer_and_neuron():
    rng = np.random.default_rng(5)
    kinds = np.array([[0.8, 0.0], [0.8, 0.8], [0.1, 0.1]])
    p = kinds[rng.integers(0, 3, size=(5, 200))]
    entries, _, details = select_lape({"a": p[..., 0], "b": p[..., 1]}, 0.4, 0.4)
    belongs, _, candidates, _ = by_definition({"a": p[..., 0], "b": p[..., 1]}, 0.4, 0.4)
    found = {k: [(layer, int(n)) for layer, ns in by.items() for n in ns] for k, by in entries.items()}
    assert found == belongs and len(found["b"]) > 20
    assert details["candidates"] == candidates > details["selected"] == 400


def test_tau_is_strict_and_a_silent_neuron_is_never_chosen():
    p = {"a": np.zeros((1, 10)), "b": np.zeros((1, 10))}
    p["a"][0, 3] = 0.5
    entries, _, details = select_lape(p, 1.0, 0.5)
    assert details == {"tau": 0.0, "candidates": 1, "selected": 1}
    assert entries["a"][0].tolist() == [3] and entries["b"] == {}


def test_fewer_candidates_than_asked_for_are_all_taken_with_a_warning(caplog):
    probabilities, _ = planted({"en": 4, "vi": 2})
    with caplog.at_level(logging.WARNING):
        _, _, details = select_lape(probabilities, 0.5, 0.97)
    assert details["selected"] == details["candidates"] < 60
    assert "60 were asked for" in caplog.text


def test_order_of_languages_changes_nothing():
    probabilities, _ = planted({"en": 4, "hi": 3, "vi": 5})
    first, _, _ = select_lape(probabilities, 0.1, 0.9)
    second, _, _ = select_lape(dict(reversed(probabilities.items())), 0.1, 0.9)
    assert {k: flat(v) for k, v in first.items()} == {k: flat(v) for k, v in second.items()}


@pytest.mark.parametrize(
    ("fraction", "neurons", "number"),
    [(0.01, 32 * 14336, 4588), (0.00125, 32 * 14336, 573), (0.00125, 40 * 14336, 717), (1.0, 7, 7)],
)
def test_number_selected_is_the_papers(fraction, neurons, number):
    assert number_selected(fraction, neurons) == number


@pytest.mark.parametrize(
    ("probabilities", "fraction", "quantile", "message"),
    [
        ({"en": np.ones((1, 4))}, 0.5, 0.95, "LAPE compares languages, and has en; give at least two"),
        ({"en": np.ones((1, 4)), "hi": np.ones((1, 5))}, 0.5, 0.95, "one shape"),
        ({"en": np.ones(4), "hi": np.ones(4)}, 0.5, 0.95, "one shape"),
        ({"en": np.ones((1, 4)), "hi": np.full((1, 4), np.nan)}, 0.5, 0.95, "hi: activation probabilities"),
        ({"en": np.full((1, 4), 1.2), "hi": np.ones((1, 4))}, 0.5, 0.95, "en: activation probabilities"),
        ({"en": np.ones((1, 4)), "hi": np.ones((1, 4))}, 0.01, 0.95, "write at least 0.25"),
        ({"en": np.ones((1, 4)), "hi": np.ones((1, 4))}, 0, 0.95, "top_fraction is 0"),
        ({"en": np.ones((1, 4)), "hi": np.ones((1, 4))}, 0.5, 95, "activity_quantile is 95"),
    ],
)
def test_bad_requests(probabilities, fraction, quantile, message):
    with pytest.raises(ValueError, match=message):
        select_lape(probabilities, fraction, quantile)
