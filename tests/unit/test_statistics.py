"""Statistics from counts against numpy on the values themselves."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from langneurons.activations.sketch import LOWER, UPPER, NeuronCounts, bins_of
from langneurons.activations.statistics import (
    ACTIVATIONS,
    batch_mean,
    layer_percentile,
    mean,
    model_percentile,
    percentile,
    positive_share,
    share_above,
    std,
    summarize,
)

TOKENS = 4001
PERCENTILES = range(1, 100)


def distributions():
    """name -> values of one neuron. Those above magnitude 2^11 are in HUGE."""
    rng = np.random.default_rng(7)
    normal = rng.standard_normal(TOKENS)
    return {
        "normal": normal,
        "heavy_tailed": np.clip(rng.standard_t(2, TOKENS), -2000, 2000),
        "bimodal": np.where(rng.random(TOKENS) < 0.4, normal * 0.1 - 3, normal * 0.3 + 5),
        "constant": np.full(TOKENS, 5.3),
        "all_zero": np.zeros(TOKENS),
        "mostly_zero": np.maximum(normal - 1, 0),
        "mostly_negative": -rng.gamma(2.0, 0.3, TOKENS) + 0.05,
        "denormal_small": normal * 1e-40,
        "below_resolution": normal * 1e-4,
        "sorted": np.sort(rng.uniform(-1, 1, TOKENS)),
        "log_normal": rng.lognormal(0, 2, TOKENS).clip(max=2000),
        "bfloat16": torch.tensor(normal).bfloat16().double().numpy(),
        "two_points": np.where(rng.random(TOKENS) < 0.25, -1.0, 2.0),
        "huge": normal * 1e6,
        "constant_huge": np.full(TOKENS, -7e4),
    }


HUGE = {"huge"}
VALUES = {name: values.astype(np.float32) for name, values in distributions().items()}


def counts_of(values):
    """Counts of one neuron a column, in one layer."""
    counts = NeuronCounts.empty(1, values.shape[1] if values.ndim == 2 else 1)
    counts.update(values.reshape(len(values), 1, -1))
    return counts


def quantile(values, q, method="linear"):
    return np.percentile(values.astype(np.float64), q, method=method)


@pytest.mark.parametrize("name", VALUES)
def test_percentiles_are_within_the_bound_of_numpy(name):
    values = VALUES[name]
    counts = counts_of(values)
    previous = -np.inf
    for q in PERCENTILES:
        found = percentile(counts, q)[0, 0]
        assert values.min() <= found <= values.max()
        assert found >= previous
        previous = found
        if name in HUGE:
            continue
        between = [abs(quantile(values, q, method)) for method in ("lower", "higher")]
        assert abs(found - quantile(values, q)) <= max(max(between) / 64, 2.0**-10) * (1 + 1e-12), q


@pytest.mark.parametrize("name", VALUES)
def test_extremes_are_exact(name):
    values, counts = VALUES[name], counts_of(VALUES[name])
    assert percentile(counts, 0)[0, 0] == values.min()
    assert percentile(counts, 100)[0, 0] == values.max()


@pytest.mark.parametrize("tokens", [1, 2, 3, 10])
def test_few_tokens_interpolate_as_numpy_does(tokens):
    values = np.float32([-3, 1, 0, 7, -1, 2, 8, -5, 0.5, 4])[:tokens]
    counts = counts_of(values)
    for q in (0, 10, 25, 33.3, 50, 75, 90, 100):
        error = max(abs(quantile(values, q, m)) for m in ("lower", "higher")) / 64
        assert percentile(counts, q)[0, 0] == pytest.approx(quantile(values, q), abs=error)


def test_percentiles_of_many_neurons_are_those_of_each():
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((50, 2, 5000)) * rng.uniform(0.01, 30, (2, 5000))).astype(np.float32)
    counts = NeuronCounts.empty(2, 5000)  # more than one part
    counts.update(values)
    exact = np.percentile(values, 90, axis=0)
    higher = np.abs(np.stack([np.percentile(values, 90, axis=0, method=m) for m in ("lower", "higher")])).max(axis=0)
    assert (np.abs(percentile(counts, 90) - exact) <= np.maximum(higher / 64, 2.0**-10) * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", VALUES)
def test_mean_std_and_positive_share(name):
    values = VALUES[name].astype(np.float64)
    counts = counts_of(VALUES[name])
    assert mean(counts)[0, 0] == pytest.approx(values.mean(), rel=1e-12, abs=1e-11)
    assert std(counts)[0, 0] == pytest.approx(values.std(), rel=1e-6, abs=2.0**-18)
    assert positive_share(counts)[0, 0] == (values > 0).sum() / TOKENS


def test_layer_and_model_percentiles_are_over_all_values():
    rng = np.random.default_rng(5)
    values = (rng.standard_normal((300, 2, 40)) * rng.uniform(0.1, 3, (2, 40)) + [[[0], [2]]]).astype(np.float32)
    counts = NeuronCounts.empty(2, 40)
    counts.update(values)
    for q in (0, 5, 50, 90, 100):
        by_layer = np.percentile(values, q, axis=(0, 2))
        np.testing.assert_allclose(layer_percentile(counts, q), by_layer, rtol=1 / 64, atol=2.0**-10)
        assert model_percentile(counts, q) == pytest.approx(np.percentile(values, q), rel=1 / 64, abs=2.0**-10)


REFERENCE = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "relu": functional.relu,
}


@pytest.mark.parametrize("activation", REFERENCE)
def test_activation_functions_are_torchs(activation):
    function, lowest = ACTIVATIONS[activation]
    z = np.concatenate([np.linspace(-12, 12, 4001), [-3e38, -3000.0, 3000.0, 3e38]])
    expected = REFERENCE[activation](torch.tensor(z)).numpy()
    np.testing.assert_allclose(function(z), expected, rtol=1e-12, atol=1e-14)
    if np.isfinite(lowest):
        assert abs(z[:4001][function(z[:4001]).argmin()] - lowest) <= 24 / 4000
        assert function(np.array(lowest)) <= function(z[:4001]).min()


@pytest.mark.parametrize("activation", REFERENCE)
@pytest.mark.parametrize("name", VALUES)
def test_statistics_at_act_are_those_of_the_activations(activation, name):
    """A value's error is what f makes of its bin; an ordered value's then lies between those of a - e and a + e."""
    z = VALUES[name].astype(np.float64)
    function, lowest = ACTIVATIONS[activation]
    a = REFERENCE[activation](torch.tensor(z)).numpy()
    lower, upper = (
        np.where(np.isinf(x[bins_of(z)]), y, x[bins_of(z)]) for x, y in ((LOWER, z.min()), (UPPER, z.max()))
    )
    ends = np.stack([function(x) for x in (lower, upper, np.clip(lowest, lower, upper))])
    error = ends.max(axis=0) - ends.min(axis=0) + 1e-12 * (1 + np.abs(z))  # f over the whole bin: twice the bound
    counts = counts_of(VALUES[name])
    previous = -np.inf
    for q in (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100):
        found = percentile(counts, q, "act", activation)[0, 0]
        assert np.percentile(a - error, q) <= found <= np.percentile(a + error, q), q
        assert a.min() - error.max() <= found <= a.max() * (1 + 1e-12)
        assert found >= previous
        previous = found
    average, spread = mean(counts, "act", activation)[0, 0], std(counts, "act", activation)[0, 0]
    assert average == pytest.approx(a.mean(), abs=error.mean())
    assert spread == pytest.approx(a.std(), abs=np.sqrt((error**2).mean()) + 1e-6 * np.abs(a).max())


def test_act_is_closer_than_the_worst_case_on_ordinary_values():
    z = VALUES["normal"].astype(np.float64)
    counts, a = counts_of(VALUES["normal"]), z / (1 + np.exp(-z))
    for q in PERCENTILES:
        exact = np.percentile(a, q)
        assert percentile(counts, q, "act", "silu")[0, 0] == pytest.approx(exact, rel=0.02, abs=2.0**-10)
    assert mean(counts, "act", "silu")[0, 0] == pytest.approx(a.mean(), abs=1e-3)
    assert std(counts, "act", "silu")[0, 0] == pytest.approx(a.std(), rel=2e-3)


@pytest.mark.parametrize("name", VALUES)
def test_share_above_is_within_the_thresholds_bin(name):
    values, counts = VALUES[name].astype(np.float64), counts_of(VALUES[name])
    thresholds = [values.min() - 1, values.min(), values.max(), 0.0, 0.3, -0.7, *np.percentile(values, [10, 50, 90])]
    for threshold in thresholds:
        inside = (bins_of(values) == bins_of(np.array([threshold]))[0]).sum()
        found = share_above(counts, threshold)[0, 0]
        assert abs(found - (values > threshold).mean()) <= inside / TOKENS + 1e-12
    assert share_above(counts, 0.0)[0, 0] == (values > 0).mean()
    assert share_above(counts, values.min() - 1)[0, 0] == 1
    assert share_above(counts, values.max())[0, 0] == 0


def test_share_above_takes_thresholds_by_neuron_layer_or_all():
    rng = np.random.default_rng(9)
    values = rng.standard_normal((2000, 2, 2)).astype(np.float32)  # square: a threshold a layer, not a neuron
    counts = NeuronCounts.empty(2, 2)
    counts.update(values)
    by_neuron = np.array([[0.1, 0.7], [-0.4, 1.2]])
    for thresholds, full in (
        (by_neuron, by_neuron),
        (np.array([0.1, 1.0]), np.array([[0.1, 0.1], [1.0, 1.0]])),
        (0.5, np.full((2, 2), 0.5)),
    ):
        np.testing.assert_allclose(share_above(counts, thresholds), (values > full).mean(axis=0), atol=0.006)
    with pytest.raises(ValueError, match="thresholds have shape"):
        share_above(counts, np.zeros(3))


def test_summarize_makes_the_contracts_table():
    import pyarrow as pa

    rng = np.random.default_rng(11)
    counts = NeuronCounts.empty(2, 3)
    counts.update(rng.standard_normal((100, 2, 3)))
    table = summarize(counts, [5, 2.5, 90])
    assert table.column_names == ["layer", "neuron", "tokens", "mean", "std", "positive", "p5", "p2.5", "p90"]
    assert [field.type for field in table.schema] == [pa.int32()] * 2 + [pa.int64()] + [pa.float64()] * 6
    assert table["layer"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert table["neuron"].to_pylist() == [0, 1, 2, 0, 1, 2]
    assert set(table["tokens"].to_pylist()) == {100}
    for column, expected in (
        ("p2.5", percentile(counts, 2.5)),
        ("p90", percentile(counts, 90)),
        ("mean", mean(counts)),
        ("std", std(counts)),
        ("positive", positive_share(counts)),
    ):
        assert (table[column].to_numpy() == expected.ravel()).all()
    act = summarize(counts, [5], site="act", activation="gelu")
    assert (act["p5"].to_numpy() == percentile(counts, 5, "act", "gelu").ravel()).all()
    assert act["positive"].equals(table["positive"])


def test_batch_mean_is_what_was_collected_and_nothing_else():
    counts = NeuronCounts.empty(1, 2, (90.0,), 1, 16)
    counts.update(np.zeros((32, 1, 2)))
    with pytest.raises(ValueError, match="no shard held a full batch of 16"):
        batch_mean(counts, 90)
    counts.sums += [[[3.0, 5.0]]]
    counts.batches = 2
    assert summarize(counts, [90], estimate="batch_mean")["p90"].to_pylist() == [1.5, 2.5]
    with pytest.raises(ValueError, match=r"percentile 75 was not collected by batches \(collected: 90\)"):
        summarize(counts, [90, 75], estimate="batch_mean")
    with pytest.raises(ValueError, match="site: gate"):
        summarize(counts, [90], site="act", estimate="batch_mean")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"percentiles": [101]}, "0 to 100"),
        ({"percentiles": [5], "site": "mlp"}, "gate"),
        ({"percentiles": [5], "site": "act", "activation": "tanh"}, "known: gelu"),
        ({"percentiles": [5], "estimate": "mean"}, "batch_mean"),
    ],
)
def test_summarize_says_what_to_write(arguments, message):
    with pytest.raises(ValueError, match=message):
        summarize(counts_of(VALUES["normal"]), **arguments)


def test_no_tokens_have_no_statistics():
    with pytest.raises(ValueError, match="no tokens"):
        percentile(NeuronCounts.empty(1, 1), 50)
