"""``add0.5*p90``, ``add-1*mean``: a multiple of its own statistic is added to each neuron, at every token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langneurons.interventions.base import number_of, statistic_in

if TYPE_CHECKING:
    import numpy as np
    import torch

ENTRY_OF = "interventions"


def parse(name: str) -> tuple[float, str] | None:
    """The factor and the statistic. ValueError for the factor 0, which changes nothing."""
    factor, star, statistic = name.removeprefix("add").partition("*")
    if not name.startswith("add") or not star:
        return None
    number, read = number_of(factor), statistic_in(statistic)
    if number is None or read is None:
        return None
    if number == 0:
        raise ValueError(f"is {name}, which changes nothing; write none")
    return number, read


def statistics(parsed: tuple[float, str]) -> list[str]:
    """The one in the name."""
    return [parsed[1]]


def values(parsed: tuple[float, str], statistics: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """What is added to each neuron."""
    factor, name = parsed
    return factor * statistics[name]


def apply(own: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``own``: ``[..., n]``, ``values``: ``[n]``."""
    return own + values


def known(percentiles: Sequence[str]) -> list[str]:
    """Two examples."""
    return [f"add0.5*{percentiles[-1]}" if percentiles else "add0.5*mean", "add-1*mean"]
