"""``x2``, ``x0.5``, ``x-1``: each neuron's own value is multiplied, at every token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langneurons.interventions.base import number_of

if TYPE_CHECKING:
    import numpy as np
    import torch

ENTRY_OF = "interventions"


def parse(name: str) -> float | None:
    """The factor. ValueError for 1, which changes nothing, and 0, which has a name of its own."""
    if not name.startswith("x"):
        return None
    factor = number_of(name[1:])
    if factor == 1:
        raise ValueError("is x1, which changes nothing; write none")
    if factor == 0:
        raise ValueError("is x0; write zero")
    return factor


def statistics(parsed: float) -> list[str]:
    """None."""
    return []


def values(parsed: float, statistics: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """The factor, per neuron."""
    import numpy as np

    return np.full(number, parsed)


def apply(own: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``own``: ``[..., n]``, ``values``: ``[n]``."""
    return own * values


def known(percentiles: Sequence[str]) -> list[str]:
    """Two examples."""
    return ["x0.5", "x2"]
