"""``zero``, ``mean``, ``p90``, ...: neurons are overwritten with 0, or with their own statistic in a language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langneurons.interventions.base import statistic_in

if TYPE_CHECKING:
    import numpy as np

ENTRY_OF = "interventions"

apply = None  # overwritten


def parse(name: str) -> str | None:
    """``zero``, or the statistic that neurons are set to."""
    return name if name == "zero" else statistic_in(name)


def statistics(parsed: str) -> list[str]:
    """None for zero."""
    return [] if parsed == "zero" else [parsed]


def values(parsed: str, statistics: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """Each neuron's constant."""
    import numpy as np

    return np.zeros(number) if parsed == "zero" else statistics[parsed]


def known(percentiles: Sequence[str]) -> list[str]:
    """Every constant."""
    return ["zero", "mean", *percentiles]
