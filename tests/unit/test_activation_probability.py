"""Selection by relevance: planted neurons, ties, and rankings that mean nothing."""

import logging

import numpy as np
import pytest

from langneurons.methods.activation_probability import select_by_relevance

SHAPE = (3, 40)


def flat(by_layers):
    return [layer * SHAPE[1] + int(neuron) for layer, indices in by_layers.items() for neuron in indices]


def test_planted_neurons_are_found_exactly_language_by_language():
    rng = np.random.default_rng(0)
    relevance, truth = {}, {}
    for language in ("en", "hi", "vi"):
        r = rng.uniform(0.05, 0.15, size=SHAPE)
        truth[language] = sorted(rng.choice(r.size, 6, replace=False).tolist())
        r.ravel()[truth[language]] = rng.uniform(0.5, 0.6, size=6)
        relevance[language] = r
    entries, scores, details = select_by_relevance(relevance, dict.fromkeys(relevance, 10_000), 6 / 120)
    assert {language: flat(found) for language, found in entries.items()} == truth
    for language, by_layers in entries.items():
        for layer, neurons in by_layers.items():
            assert scores[language][layer].tolist() == relevance[language][layer, neurons].tolist()
        assert details[language]["degenerate"] is False and details[language]["warning"] == ""


def test_ties_go_to_the_lower_layer_and_neuron():
    r = np.random.default_rng(3).integers(0, 5, size=(5, 200)) / 10
    entries, _, _ = select_by_relevance({"en": r}, {"en": 100}, 0.3)
    found = [(layer, int(neuron)) for layer, neurons in entries["en"].items() for neuron in neurons]
    everything = [(-r[layer, neuron], layer, neuron) for layer in range(5) for neuron in range(200)]
    assert found == sorted((layer, neuron) for _, layer, neuron in sorted(everything)[:300])


def test_spread_and_noise_are_their_formulas():
    r = np.random.default_rng(1).uniform(0.1, 0.4, size=SHAPE)
    details = select_by_relevance({"en": r}, {"en": 5000}, 0.1)[2]["en"]
    values = r.ravel().tolist()
    mean = sum(values) / len(values)
    assert details["spread"] == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)
    assert details["sampling_noise"] == pytest.approx((sum(v * (1 - v) for v in values) / len(values) / 5000) ** 0.5)


def test_noise_is_the_spread_of_neurons_that_are_all_alike():
    """Binomial draws of one probability spread by the noise the formula says."""
    r = np.random.default_rng(2).binomial(1000, 0.1, size=(40, 100)) / 1000
    details = select_by_relevance({"en": r}, {"en": 1000}, 0.1)[2]["en"]
    assert details["spread"] == pytest.approx(details["sampling_noise"], rel=0.05)


@pytest.mark.parametrize("value", [0.1, 0.0, 1.0])
def test_the_share_above_ones_own_percentile_is_degenerate(value, caplog):
    with caplog.at_level(logging.WARNING):
        _, _, details = select_by_relevance({"hi": np.full(SHAPE, value)}, {"hi": 10**8}, 0.1)
    assert details["hi"]["degenerate"] is True and details["hi"]["spread"] == 0
    assert "the ranking is noise" in details["hi"]["warning"] and details["hi"]["warning"] in caplog.text


def test_one_degenerate_language_leaves_the_others(caplog):
    relevance = {"hi": np.full(SHAPE, 0.1), "en": np.random.default_rng(0).uniform(size=SHAPE)}
    _, _, details = select_by_relevance(relevance, {"en": 10**6, "hi": 10**6}, 0.1)
    assert (details["hi"]["degenerate"], details["en"]["degenerate"]) == (True, False)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("layers", "number"), [(32, 573), (40, 717)])
def test_number_is_the_papers(layers, number):
    r = np.random.default_rng(0).uniform(size=(layers, 14336))
    entries, scores, _ = select_by_relevance({"en": r}, {"en": 10}, 0.00125)
    found = np.concatenate(list(scores["en"].values()))
    assert sum(map(len, entries["en"].values())) == number
    assert sorted(found) == sorted(r.ravel())[-number:]


@pytest.mark.parametrize(
    ("relevance", "tokens", "fraction", "message"),
    [
        (np.ones(SHAPE), {}, 0.1, "en: no tokens"),
        (np.ones(SHAPE), {"en": 0}, 0.1, "en: no tokens"),
        (np.full(SHAPE, np.nan), {"en": 9}, 0.1, "en: relevance must lie between 0 and 1"),
        (np.full(SHAPE, 1.5), {"en": 9}, 0.1, "en: relevance must lie between 0 and 1"),
        (np.ones(4), {"en": 9}, 0.1, r"give \[layers, neurons\]"),
        (np.ones(SHAPE), {"en": 9}, 1.5, "top_fraction is 1.5"),
        (np.ones(SHAPE), {"en": 9}, 0.001, "write at least"),
    ],
)
def test_bad_requests(relevance, tokens, fraction, message):
    with pytest.raises(ValueError, match=message):
        select_by_relevance({"en": relevance}, tokens, fraction)
