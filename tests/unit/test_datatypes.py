"""Which values a bin holds, against all finite bfloat16 values and what torch rounds to them."""

import numpy as np
import pytest
import torch

from langneurons.activations.datatypes import data_type
from langneurons.activations.sketch import BINS, LOWER, UPPER, ZERO_BIN, bins_of

BFLOAT16 = data_type("bfloat16")
ANY = (np.float64(-np.inf), np.float64(np.inf))  # extremes that allow everything


def bfloat16_values():
    """All finite ones, ascending, 0 once."""
    values = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).double()
    return torch.unique(values[torch.isfinite(values)]).numpy()


ALL = bfloat16_values()
BIN = bins_of(ALL)


def rounded(numbers):
    return torch.tensor(numbers, dtype=torch.float32).bfloat16().double().numpy()


def spread_over(index):
    """Values that evenly spread numbers around a bin round to, those in the bin, ascending."""
    width = UPPER[index] - LOWER[index]
    found = rounded(np.linspace(LOWER[index] - width / 4, UPPER[index] + width / 4, 60_001))
    return np.sort(found[bins_of(found) == index])


def test_every_bin_knows_its_least_and_its_greatest_value():
    for index in range(BINS):
        own = ALL[index == BIN]
        assert (BFLOAT16.first[index], BFLOAT16.last[index]) == (own[0], own[-1])


def test_a_bin_of_relative_width_holds_four_values_and_their_mean_is_at_three_eighths():
    for index in range(ZERO_BIN + 33, BINS - 1):
        own, width = ALL[index == BIN], UPPER[index] - LOWER[index]
        assert ((own - LOWER[index]) / width).tolist() == [0, 0.25, 0.5, 0.75]
        power_of_two = np.log2(LOWER[index]) % 1 == 0  # fewer numbers round to it: those below it lie closer
        expected = (0.25 + 0.5 + 0.75) / 3.75 if power_of_two else 0.375
        assert (BFLOAT16.middles[index] - LOWER[index]) / width == pytest.approx(expected)
    assert (BFLOAT16.middles == -BFLOAT16.middles[::-1]).all()


@pytest.mark.parametrize("key", [1, 2, 3, 5, 9, 16, 17, 32, 33, 34, 64, 65, 100, 500])
@pytest.mark.parametrize("sign", [-1, 1])
def test_shares_and_values_are_those_of_numbers_that_round_to_them(key, sign):
    index = ZERO_BIN + sign * key
    own, width = spread_over(index), UPPER[index] - LOWER[index]
    assert BFLOAT16.middles[index] == pytest.approx(own.mean(), abs=width / 1000)
    bins = np.array([index])
    for threshold in np.linspace(LOWER[index], UPPER[index], 21):
        found = BFLOAT16.above(bins, np.array([threshold]), *ANY)[0]
        assert found == pytest.approx((own > threshold).mean(), abs=1e-3), threshold
    shares = np.linspace(0.001, 0.999, 201)
    found = BFLOAT16.at(np.full(len(shares), index), shares, *ANY)
    assert (np.diff(found) >= 0).all() and found[0] >= own[0] and found[-1] <= own[-1]
    bound = np.maximum(np.abs(own) / 64, 2.0**-10)
    assert all((np.abs(value - own) <= bound * (1 + 1e-12)).all() for value in found)
    assert found.mean() == pytest.approx(own.mean(), abs=width / 40)  # the middle: width / 8


def test_the_extremes_cut_the_first_and_the_last_bin():
    index = bins_of(np.array([1.75]))[0]  # 1.75, 1.7578125, 1.765625, 1.7734375
    bins, low, high = np.array([index]), np.array([1.7578125]), np.array([1.765625])
    above = [BFLOAT16.above(bins, np.array([t]), low, high)[0] for t in (1.75, 1.7578125, 1.76, 1.765625, 1.77)]
    assert above == [1, 0.5, 0.5, 0, 0]
    assert [BFLOAT16.at(bins, np.array([s]), low, high)[0] for s in (0.2, 0.8)] == [1.7578125, 1.765625]
    assert BFLOAT16.at(bins, np.array([0.2]), low, low)[0] == 1.7578125


def test_zero_and_the_open_bins():
    assert BFLOAT16.at(np.array([ZERO_BIN]), np.array([0.5]), *ANY)[0] == 0
    assert BFLOAT16.above(np.array([ZERO_BIN]), np.array([0.0]), *ANY)[0] == 0
    low, high = np.array([-3.0]), np.array([4096.0])
    shares = np.linspace(0.01, 0.99, 50)
    found = BFLOAT16.at(np.full(50, BINS - 1), shares, low, high)
    assert np.isin(found, ALL).all() and found[0] >= 2048 and found[-1] <= 4096
    assert found.mean() == pytest.approx(3072, rel=0.01)


def test_a_data_type_that_is_not_counted():
    with pytest.raises(ValueError, match="'float16'; collect them in one of float32, bfloat16"):
        data_type("float16")
