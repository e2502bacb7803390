"""Bins, exact sums and merging of the counts."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from langneurons.activations.sketch import BINS, LOWER, UPPER, ZERO_BIN, NeuronCounts, bins_of, split


def mixed(tokens, seed=0, layers=2, neurons=3):
    """Values over many magnitudes, with both zeros."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((tokens, layers, neurons)) * 10.0 ** rng.integers(-6, 4, (tokens, layers, neurons))
    values[rng.random(values.shape) < 0.1] = 0.0
    values[rng.random(values.shape) < 0.1] = -0.0
    return values.astype(np.float32)


def counted(*parts):
    counts = NeuronCounts.empty(*parts[0].shape[1:])
    for part in parts:
        counts.update(part)
    return counts


def assert_same_bits(one, other):
    assert one.tokens == other.tokens
    for name in ("moments", "minimum", "maximum", "histogram"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


def test_a_model_of_8b_fits_the_memory_planned():
    assert 32 * 14336 * BINS * 4 <= 2.5 * 2**30


def test_bins_follow_the_bits_of_a_float32():
    rng = np.random.default_rng(1)
    values = (rng.choice([-1, 1], 20000) * 2.0 ** rng.uniform(-4, 11, 20000)).astype(np.float32)
    keys = (values.view(np.int32) & 0x7FFFFFFF) >> 18  # exponent and five mantissa bits
    first = (np.float32(2.0**-4).view(np.int32) >> 18) - 33
    assert (bins_of(values) == ZERO_BIN + np.sign(values) * (keys - first)).all()
    assert (np.diff(bins_of(np.sort(values))) >= 0).all()


def test_small_bins_are_of_one_width():
    values = np.random.default_rng(1).uniform(-(2.0**-4), 2.0**-4, 20000).astype(np.float32)
    steps = np.floor(np.abs(values).astype(float) * 512) + 1
    assert (bins_of(values) == ZERO_BIN + np.sign(values) * steps).all()
    bins = np.arange(ZERO_BIN + 1, ZERO_BIN + 33)
    assert (UPPER[bins] - LOWER[bins] == 2.0**-9).all()


def test_bins_hold_their_values_and_their_middles_are_close():
    rng = np.random.default_rng(2)
    values = rng.choice([-1, 1], 20000) * 2.0 ** rng.uniform(-30, 11, 20000)
    bins = bins_of(values)
    assert (LOWER[bins] <= values).all() and (values <= UPPER[bins]).all()
    middles = (LOWER[bins] + UPPER[bins]) / 2
    assert (np.abs(middles - values) <= np.maximum(np.abs(values) / 64, 2.0**-10)).all()


def below(value):
    return np.nextafter(np.float32(value), np.float32(0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, ZERO_BIN),
        (-0.0, ZERO_BIN),
        (1e-45, ZERO_BIN + 1),
        (-1e-45, ZERO_BIN - 1),
        (below(2.0**-9), ZERO_BIN + 1),
        (2.0**-9, ZERO_BIN + 2),
        (-(2.0**-9), ZERO_BIN - 2),
        (below(2.0**-4), ZERO_BIN + 32),
        (2.0**-4, ZERO_BIN + 33),
        (below(2.0**-3), ZERO_BIN + 64),
        (2.0**-3, ZERO_BIN + 65),
        (2.0**11, BINS - 1),
        (below(2.0**11), BINS - 2),
        (-(2.0**11), 0),
        (3e38, BINS - 1),
    ],
)
def test_bins_at_the_borders(value, expected):
    assert bins_of(np.float32([value]))[0] == expected


def test_nan_has_no_bin():
    with pytest.raises(ValueError, match="NaN"):
        bins_of(np.float32([1, np.nan]))


def test_split_keeps_a_term_to_the_last_quantum():
    terms = np.array([0.0, 1 / 3, -1e9 / 7, 2.0**-36, 5e15, -1e-12])
    limbs = split(terms)
    assert (np.abs(limbs.sum(axis=0) - terms) <= np.maximum(2.0**-37, np.abs(terms) * 2.0**-52)).all()
    for limb, quantum in zip(limbs, (2.0**16, 2.0**-10, 2.0**-36), strict=True):
        assert (np.mod(limb, quantum) == 0).all()


def test_update_counts_what_numpy_counts():
    values = mixed(500)
    counts = counted(values[:100], values[100:])
    assert counts.tokens == 500
    assert (counts.histogram.sum(axis=2) == 500).all()
    assert (counts.positive == (values > 0).sum(axis=0)).all()
    assert (counts.histogram[:, :, ZERO_BIN] == (values == 0).sum(axis=0)).all()
    assert (counts.minimum == values.min(axis=0)).all() and (counts.maximum == values.max(axis=0)).all()
    for layer, neuron in itertools.product(range(2), range(3)):
        own = [float(v) for v in values[:, layer, neuron]]
        assert counts.total[layer, neuron] == pytest.approx(math.fsum(own), rel=1e-14, abs=1e-9)
        assert counts.square[layer, neuron] == pytest.approx(math.fsum(v * v for v in own), rel=1e-14, abs=1e-9)


def test_merging_in_any_order_and_grouping_gives_the_same_bits():
    parts = [counted(mixed(tokens, seed)) for seed, tokens in enumerate((1, 70, 333, 40))]
    expected = NeuronCounts.merge(parts)
    for order in itertools.permutations(parts):
        assert_same_bits(NeuronCounts.merge(order), expected)
    grouped = NeuronCounts.merge([NeuronCounts.merge(parts[2:]), NeuronCounts.merge(parts[:2])])
    assert_same_bits(grouped, expected)
    assert parts[1].tokens == 70  # merging leaves its parts alone


def test_plain_float_sums_would_not_survive_the_reordering():
    """What the limbs are for: the same terms added as plain float64 in two orders differ."""
    terms = [part.astype(np.float64).sum(axis=0) for part in np.split(mixed(4000), 400)]
    assert (sum(terms) != sum(reversed(terms))).any()
    limbs = [split(term) for term in terms]
    assert (sum(limbs) == sum(reversed(limbs))).all()


def test_sharding_does_not_change_the_integers():
    values = mixed(600)
    whole = counted(values)
    for cuts in ([300], [1, 2, 3], [599], [100, 200, 400]):
        merged = NeuronCounts.merge([counted(part) for part in np.split(values, cuts)])
        assert (merged.histogram == whole.histogram).all()
        assert (merged.minimum == whole.minimum).all() and (merged.maximum == whole.maximum).all()
        np.testing.assert_allclose(merged.total, whole.total, rtol=1e-13, atol=1e-9)


def test_the_sign_of_a_zero_extreme_does_not_depend_on_the_order():
    plus, minus = (counted(np.full((2, 1, 1), zero, dtype=np.float32)) for zero in (0.0, -0.0))
    assert_same_bits(NeuronCounts.merge([plus, minus]), NeuronCounts.merge([minus, plus]))


def test_the_histogram_grows_to_int64_before_a_bin_could_overflow():
    part = counted(np.ones((1, 1, 1), dtype=np.float32))
    part.histogram *= 2**30
    part.tokens = 2**30
    assert NeuronCounts.merge([part]).histogram.dtype == np.int32
    merged = NeuronCounts.merge([part, part, part])
    assert merged.histogram.dtype == np.int64
    assert merged.positive[0, 0] == merged.tokens == 3 * 2**30


def test_batch_percentiles_add_up_and_must_agree():
    one = NeuronCounts.empty(1, 2, (90.0,), 2, 64)
    one.sums += 1.5
    one.batches = 3
    assert NeuronCounts.merge([one, one]).batches == 6
    assert (NeuronCounts.merge([one, one]).sums == 3.0).all()
    for other in (NeuronCounts.empty(1, 2), NeuronCounts.empty(1, 2, (90.0,), 1, 64), NeuronCounts.empty(1, 3)):
        with pytest.raises(ValueError, match="different"):
            NeuronCounts.merge([one, other])
    with pytest.raises(ValueError, match="nothing to merge"):
        NeuronCounts.merge([])


def test_update_refuses_what_cannot_be_counted():
    counts = NeuronCounts.empty(2, 3)
    with pytest.raises(ValueError, match=r"\[tokens, 2, 3\]"):
        counts.update(np.zeros((4, 3, 2)))
    with pytest.raises(ValueError, match="infinite"):
        counts.update(np.full((1, 2, 3), np.inf))
    assert counts.tokens == 0 and not counts.histogram.any()


def test_counts_of_two_data_types_are_not_added():
    one, other = NeuronCounts.empty(1, 2), NeuronCounts.empty(1, 2, dtype="bfloat16")
    for parts in ([one, other], [other, one]):
        with pytest.raises(
            ValueError, match="different dtype cannot be added: (float32 and bfloat16|bfloat16 and float32)"
        ):
            NeuronCounts.merge(parts)
    with pytest.raises(ValueError, match="'float16' are not counted; load the model in float32 or bfloat16"):
        NeuronCounts.empty(1, 2, dtype="float16")
    other.update(np.full((1, 1, 2), 1.0078125))
    with pytest.raises(ValueError, match="no bfloat16"):
        other.update(np.full((1, 1, 2), 1.001))
    assert other.tokens == 1


def test_carry_keeps_the_sum_and_writes_it_one_way():
    from langneurons.activations.sketch import QUANTA, carry

    rng = np.random.default_rng(5)
    limbs = rng.integers(-(2**40), 2**40, (2, 3, 4, 50)).astype(np.float64) * np.reshape(QUANTA, (3, 1, 1))
    moved = limbs + np.reshape([-(2.0**16), 2.0**16 - 5 * 2.0**-10, 5 * 2.0**-10], (3, 1, 1))  # the same sums
    carried = carry(limbs)
    assert carried.tobytes() == carry(moved).tobytes() == carry(carried).tobytes()
    exact = [[sum(Fraction(x) for x in part.reshape(3, -1)[:, i]) for i in range(200)] for part in limbs]
    assert exact == [[sum(Fraction(x) for x in part.reshape(3, -1)[:, i]) for i in range(200)] for part in carried]
    for limb, above in ((1, QUANTA[0]), (2, QUANTA[1])):
        assert (carried[:, limb] >= -above / 2).all() and (carried[:, limb] < above / 2).all()
    assert not np.signbit(carry(np.full((2, 3, 1, 1), -0.0))).any()


def test_each_value_is_a_term_so_their_order_changes_no_bit():
    values = mixed(3000)
    order = np.random.default_rng(6).permutation(len(values))
    assert_same_bits(counted(values), counted(*np.split(values[order], [1, 700, 701])))
