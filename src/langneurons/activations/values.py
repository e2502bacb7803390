"""What a bin stands for at a site: z as counted, or a = f(z), from the values of the counted data type."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from langneurons.activations.datatypes import BFloat16, Float32, data_type
from langneurons.activations.sketch import BINS

_erf = np.frompyfunc(math.erf, 1, 1)


def _silu(z: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(z))
    return z * np.where(z < 0, small, 1.0) / (1 + small)


def _gelu(z: np.ndarray) -> np.ndarray:
    return 0.5 * z * (1 + np.asarray(_erf(z / math.sqrt(2)), dtype=np.float64))


def _gelu_tanh(z: np.ndarray) -> np.ndarray:
    bounded = np.clip(z, -100, 100)  # tanh is -1 or 1 well before, and the cube of a float32 could overflow
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (bounded + 0.044715 * bounded**3)))


def _relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0.0)


# name as in a model's configuration -> (f, where f is lowest). f must fall before that place and rise after it, and
# beyond magnitude 2^11 it must be 0 on the negative side and z on the positive one (see ``statistics``).
ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "silu": (_silu, -1.2784645427610738),
    "gelu": (_gelu, -0.7517915246935645),
    "gelu_pytorch_tanh": (_gelu_tanh, -0.7524614220710162),
    "relu": (_relu, -math.inf),
}


@dataclass(frozen=True)
class Values:
    """What a bin stands for at a site."""

    datatype: Float32 | BFloat16
    function: Callable[[np.ndarray], np.ndarray] | None  # None: z itself
    lowest: float
    middles: np.ndarray  # [BINS]: the mean values of the bins; the open bins' serve for the order only
    order: np.ndarray | None  # [BINS]: the bins in ascending order of value; None: as they are

    def range(self, minimum: np.ndarray, maximum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value for z between ``minimum`` and ``maximum``."""
        if self.function is None:
            return minimum, maximum
        ends = np.maximum(self.function(minimum), self.function(maximum))
        return self.function(np.clip(self.lowest, minimum, maximum)), ends

    def at(self, bins: np.ndarray, share: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
        """The value at ``share`` (0 to 1) of the bin's own of a neuron with these extremes: between what they allow.

        Of a = f(z) one value stands for a bin: bins overlap there, so that more than one would not stay in order.
        """
        if self.function is None:
            return self.datatype.at(bins, share, minimum, maximum)
        inner = (bins > 0) & (bins < BINS - 1)
        middle = self.function(self.datatype.at(bins, np.full(bins.shape, 0.5), minimum, maximum))
        return np.clip(np.where(inner, self.middles[bins], middle), *self.range(minimum, maximum))


def values_at(site: str, activation: str, dtype: str) -> Values:
    """What bins of counts of data type ``dtype`` stand for; ValueError for a site or an activation not known."""
    datatype = data_type(dtype)
    if site == "gate":
        return Values(datatype, None, -math.inf, datatype.middles, None)
    if site != "act":
        raise ValueError(f"site is {site!r}; write gate (z) or act (a = f(z))")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is not known (known: {', '.join(sorted(ACTIVATIONS))}); write site: gate, or "
            "add it to ACTIVATIONS in src/langneurons/activations/values.py"
        )
    function, lowest = ACTIVATIONS[activation]
    through = function(datatype.middles)
    return Values(datatype, function, lowest, through, np.argsort(through, kind="stable"))
