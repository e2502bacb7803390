"""The check of numbers that become results: it says which value, and where the first one is."""

import math

import numpy as np
import pytest

from langneurons.finite import check_finite


def test_finite_values_pass():
    for values in (0, 1.5, [], [1, 2], np.zeros((2, 3)), np.float32(3e38), 10**300):
        check_finite(values, "x")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_place_is_named(value):
    said = {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(value)]
    values = np.zeros((3, 4))
    values[1, 2] = values[2, 0] = value
    count = r" \(2 of 12 values are not finite\); do this$"
    with pytest.raises(ValueError, match=rf"^a\.parquet: p5 is {said} at layer 1, neuron 2{count}"):
        check_finite(values, "a.parquet: p5", ("layer", "neuron"), advice="do this")
    with pytest.raises(ValueError, match=rf"^w is {said} at \[1, 2\]{count}"):
        check_finite(values, "w", advice="do this")
    with pytest.raises(ValueError, match=rf"^logits is {said} at example q7 \(1 of 2 "):
        check_finite([0, value], "logits", ("example",), ["q3", "q7"])
    with pytest.raises(ValueError, match=rf"^loss is {said}; check the model's snapshot"):
        check_finite(value, "loss")
