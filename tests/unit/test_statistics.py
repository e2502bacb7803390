"""Statistics from counts against numpy on the values themselves."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from langneurons.activations.sketch import LOWER, UPPER, NeuronCounts, bins_of
from langneurons.activations.statistic_names import settings_of
from langneurons.activations.statistics import (
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
from langneurons.activations.values import ACTIVATIONS

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
Q = (5, 10, 25, 50, 75, 90, 95)


def bfloat16(values):
    """The values as a model in bfloat16 has them, float32."""
    return torch.tensor(values).bfloat16().float().numpy()


def counts_of(values, dtype="float32"):
    """Counts of one neuron a column, in one layer."""
    counts = NeuronCounts.empty(1, values.shape[1] if values.ndim == 2 else 1, dtype=dtype)
    counts.update(values.reshape(len(values), 1, -1))
    return counts


def quantile(values, q, method="linear"):
    return np.percentile(values.astype(np.float64), q, method=method)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", VALUES)
def test_percentiles_are_within_the_bound_of_numpy(name, dtype):
    values = VALUES[name] if dtype == "float32" else bfloat16(VALUES[name])
    counts = counts_of(values, dtype)
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


def populations(tokens=4000, neurons=400):
    """name -> bfloat16 values of neurons of many scales, ``[tokens, neurons]``."""
    rng = np.random.default_rng(3)
    normal, scale = rng.standard_normal((tokens, neurons)), rng.uniform(0.2, 3, neurons)
    values = {
        "normal": normal * scale + rng.normal(0, 0.5, neurons),
        "skewed": (rng.gamma(2, 0.5, normal.shape) - 1.5) * scale,
        "gated": np.where(rng.random(normal.shape) < 0.2, normal * 2 + 1, normal * 0.3 - 0.4) * scale,
        "laplace": rng.laplace(0, 1, normal.shape) * scale - 0.3,
    }
    return {name: bfloat16(each) for name, each in values.items()}


@pytest.fixture(scope="module")
def recorded():
    return populations()


def test_percentiles_of_bfloat16_are_unbiased(recorded):
    """Against numpy on the very values counted: a tenth, at most, of the bias that bins' middles have."""
    bias = {"float32": [], "bfloat16": []}
    for values in recorded.values():
        exact = np.percentile(values.astype(np.float64), Q, axis=0)
        for dtype, found in bias.items():
            counts = counts_of(values, dtype)
            found.append([(percentile(counts, q)[0] - e).mean() for q, e in zip(Q, exact, strict=True)])
    middles, own = np.abs(bias["float32"]), np.abs(bias["bfloat16"])
    assert middles.mean() > 0.004  # what would be wrong: the values counted as float32
    assert own.mean() < middles.mean() / 10
    assert (own.mean(axis=1) < middles.mean(axis=1) / 10).all()  # in every distribution


def test_layer_percentiles_of_bfloat16_are_the_values_that_numpy_finds(recorded):
    values = np.stack(list(recorded.values()), axis=1)  # a distribution a layer
    counts = NeuronCounts.empty(*values.shape[1:], dtype="bfloat16")
    counts.update(values)
    same = 0
    for q in Q:
        exact = np.percentile(values.astype(np.float64), q, axis=(0, 2))
        found = layer_percentile(counts, q)
        np.testing.assert_allclose(found, exact, rtol=1 / 64, atol=2.0**-10)
        same += (found == exact).sum()
        assert model_percentile(counts, q) == pytest.approx(np.percentile(values, q), rel=1 / 64, abs=2.0**-10)
    assert same >= 14  # of 28: the others are the next value


def test_act_prob_selects_the_neurons_that_brute_force_selects():
    """Neurons of two layers in bfloat16, by the share of values above a threshold: numpy's on the values themselves."""
    rng = np.random.default_rng(8)
    scale, gates = rng.uniform(0.2, 3, (2, 600)), rng.uniform(0.02, 0.3, (2, 600))
    normal = rng.standard_normal((4096, 2, 600))
    values = bfloat16(np.where(rng.random(normal.shape) < gates, normal * 2 + 1, normal * 0.3 - 0.4) * scale)
    wide = values.astype(np.float64)
    counts = {dtype: NeuronCounts.empty(2, 600, dtype=dtype) for dtype in ("float32", "bfloat16")}
    for own in counts.values():
        own.update(values)
    batches = np.percentile(wide.reshape(8, 512, 2, 600), 90, axis=1).mean(axis=0)  # no bfloat16: anywhere in its bin
    thresholds = {
        "batch_mean": (batches, lambda own: batches),
        "layer": (np.percentile(wide, 90, axis=(0, 2))[:, None], lambda own: layer_percentile(own, 90)[:, None]),
        "model": (np.percentile(wide, 90), lambda own: model_percentile(own, 90)),
    }
    for name, (exact, estimate) in thresholds.items():
        share = (wide > exact).mean(axis=0)
        found = {dtype: share_above(own, estimate(own)) for dtype, own in counts.items()}
        bias = {dtype: abs((each - share).mean()) for dtype, each in found.items()}
        assert bias["bfloat16"] < bias["float32"] / 10
        # Shares above a neuron's own percentile hardly differ: how a neuron's 10 or 20 values fall in the threshold's
        # bin decides, which no histogram says. Above one threshold for all, the neurons are numpy's.
        chosen, own = (set(np.argsort(-s.ravel(), kind="stable")[:60].tolist()) for s in (share, found["bfloat16"]))
        assert len(chosen - own) <= (6 if name == "batch_mean" else 1), name


def test_shares_above_values_of_bfloat16_count_the_values_above_them():
    """A threshold that is one of a bin's four values, each as frequent: three, two, one or none are above it."""
    values = np.repeat(np.float32([1.75, 1.7578125, 1.765625, 1.7734375, 3.0]), 100)
    counts = counts_of(values, "bfloat16")
    for threshold in (1.75, 1.7578125, 1.76, 1.765625, 1.7734375, 1.78):
        assert share_above(counts, threshold)[0, 0] == pytest.approx((values > threshold).mean()), threshold


def test_bfloat16_merges_in_any_order_to_the_same_percentiles(recorded):
    parts = [counts_of(part, "bfloat16") for part in np.array_split(recorded["skewed"], 5)]
    one, other = NeuronCounts.merge(parts), NeuronCounts.merge(parts[::-1])
    for q in Q:
        assert percentile(one, q).tobytes() == percentile(other, q).tobytes()


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


BEYOND = {
    "positive": lambda z: np.where(np.arange(len(z)) % 40 == 0, 2100 + 5e4 * np.abs(z) ** 3, z),
    "negative": lambda z: np.where(np.arange(len(z)) % 40 == 0, -2100 - 5e4 * np.abs(z) ** 3, z),
    "one_far_out": lambda z: np.concatenate([z[1:] + np.where(np.arange(len(z) - 1) % 50 == 0, 3000, 0), [9e6]]),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("activation", REFERENCE)
def test_the_mean_at_act_counts_values_beyond_the_bins_by_the_exact_sums(name, activation, dtype):
    values = BEYOND[name](np.random.default_rng(5).standard_normal(4000)).astype(np.float32)
    values = bfloat16(values) if dtype == "bfloat16" else values
    a = REFERENCE[activation](torch.tensor(values, dtype=torch.float64)).numpy()
    counts = counts_of(values, dtype)
    inside = np.abs(values[np.abs(values) < 2048]).astype(np.float64)
    # What the bins below 2^11 can be off by, in f(z) and in z; in practice far less.
    bound = 2.2 * np.maximum(inside / 64, 2.0**-10).sum() / len(values)
    assert mean(counts, "act", activation)[0, 0] == pytest.approx(a.mean(), abs=bound)
    assert mean(counts, "act", activation)[0, 0] == pytest.approx(a.mean(), rel=1e-3, abs=1e-3)
    assert std(counts, "act", activation)[0, 0] == pytest.approx(a.std(), rel=1e-3)


def test_beyond_the_bins_on_both_sides_the_extremes_bound_the_mean_at_act():
    z = np.random.default_rng(6).standard_normal(4000)
    values = (
        z + np.where(np.arange(4000) % 20 == 0, 5000.0, 0) - np.where(np.arange(4000) % 20 == 1, 9000.0, 0)
    ).astype(np.float32)
    positive = values[values > 2048].astype(np.float64)
    off = abs(mean(counts_of(values), "act", "relu")[0, 0] - np.maximum(values.astype(np.float64), 0).mean())
    negative = -values[values < -2048].astype(np.float64)
    slack = min(positive.max() - 2048, negative.max() - 2048) * len(positive) / 2
    assert off <= slack / 4000


@pytest.mark.parametrize("activation", REFERENCE)
def test_beyond_the_bins_an_activation_is_z_or_nothing(activation):
    function, _ = ACTIVATIONS[activation]
    z = np.array([2.0**11, 2.0**12 + 1, 1e30])
    assert (function(z) == z).all() and (function(-z) == 0).all()


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
    for name, expected in (
        ("p2.5", percentile(counts, 2.5)),
        ("p90", percentile(counts, 90)),
        ("mean", mean(counts)),
        ("std", std(counts)),
        ("positive", positive_share(counts)),
    ):
        table = summarize(counts, name)
        assert table.column_names == ["layer", "neuron", name]
        assert [field.type for field in table.schema] == [pa.int32()] * 2 + [pa.float64()]
        assert table["layer"].to_pylist() == [0, 0, 0, 1, 1, 1]
        assert table["neuron"].to_pylist() == [0, 1, 2, 0, 1, 2]
        assert (table[name].to_numpy() == expected.ravel()).all()
    act = summarize(counts, "p5", site="act", activation="gelu")
    assert (act["p5"].to_numpy() == percentile(counts, 5, "act", "gelu").ravel()).all()
    assert summarize(counts, "positive", site="act").equals(summarize(counts, "positive"))


def test_a_statistic_names_the_settings_that_it_depends_on():
    """By what changes with either setting: a file says those settings alone, and an edit of another reruns nothing."""
    counts = NeuronCounts.empty(2, 3, (5.0,), 1, 16)
    counts.update(np.random.default_rng(12).standard_normal((64, 2, 3)))
    counts.sums += [np.arange(6.0).reshape(2, 3)]
    counts.batches = 4
    for name in ("mean", "std", "positive", "p5"):
        found = summarize(counts, name)
        changes = {
            "site": not summarize(counts, name, site="act").equals(found),
            "estimate": not summarize(counts, name, estimate="batch_mean").equals(found),
        }
        assert settings_of(name, "gate", "exact") == {
            key: value for key, value in (("site", "gate"), ("estimate", "exact")) if changes[key]
        }


def test_batch_mean_is_what_was_collected_and_nothing_else():
    counts = NeuronCounts.empty(1, 2, (90.0,), 1, 16)
    counts.update(np.zeros((32, 1, 2)))
    with pytest.raises(ValueError, match="no shard held a full batch of 16"):
        batch_mean(counts, 90)
    counts.sums += [[[3.0, 5.0]]]
    counts.batches = 2
    assert summarize(counts, "p90", estimate="batch_mean")["p90"].to_pylist() == [1.5, 2.5]
    with pytest.raises(ValueError, match=r"percentile 75 was not collected by batches \(collected: 90\)"):
        summarize(counts, "p75", estimate="batch_mean")
    with pytest.raises(ValueError, match="site: gate"):
        summarize(counts, "p90", site="act", estimate="batch_mean")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "p101"}, "0 to 100"),
        ({"name": "median"}, "median is no statistic; write mean, std, positive, or a percentile as p90"),
        ({"name": "p5", "site": "mlp"}, "gate"),
        ({"name": "p5", "site": "act", "activation": "tanh"}, "known: gelu"),
        ({"name": "p5", "estimate": "mean"}, "batch_mean"),
    ],
)
def test_summarize_says_what_to_write(arguments, message):
    with pytest.raises(ValueError, match=message):
        summarize(counts_of(VALUES["normal"]), **arguments)


def test_no_tokens_have_no_statistics():
    with pytest.raises(ValueError, match="no tokens"):
        percentile(NeuronCounts.empty(1, 1), 50)
