"""What an intervention's module provides, and how interventions are found by their names.

An intervention is one operation on chosen neurons: overwriting them with a constant, scaling them, ... Its module has
the line ``ENTRY_OF = "interventions"`` and the members of ``Operation``; the module's name is not part of the
intervention's. A table's ``interventions`` names it by the operation's own grammar (``zero``, ``p90``, ``x2``,
``add0.5*p90``), which is also its part of a condition's path: letters, digits, ``.``, ``*``, ``+`` and ``-``. ``none``
is no intervention and belongs to no module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from langneurons.activations.statistic_names import percentile_name, percentile_of
from langneurons.registry import entries, entry

if TYPE_CHECKING:
    import numpy as np
    import torch

PACKAGE = "interventions"
JOB_FUNCTIONS = ("parse", "statistics", "values", "apply")
"""What jobs call of an entry: the code that an intervention's numbers come from."""
_NAME = re.compile(r"[A-Za-z0-9.*+-]+")  # safe in a path, and apart from "@", which the method follows
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Operation(Protocol):
    """The members of an intervention's module."""

    apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
    """``apply(own, values)``: what the neurons become. ``own``: their values at every token, ``[..., n]``; ``values``:
    what ``values`` gave, ``[n]``; both in float32 (float64 where the model computes in it), so that the result, which
    has ``own``'s shape, is rounded to the activation's data type once. None: the neurons are overwritten with
    ``values``, which needs none of their own values and is quicker."""

    def parse(self, name: str) -> Any | None:
        """What a name says, in any form; None for a name outside the operation's grammar.

        Each operation has one name: ValueError for another spelling of it (``p90.0``), and for one that is of the
        grammar but has no meaning. The error's text follows the name: ``is p90.0; write p90``.
        """

    def statistics(self, parsed: Any) -> list[str]:
        """The statistics of each neuron that the operation reads: ``mean``, ``std``, ``positive``, ``p90``, ..."""

    def values(self, parsed: Any, statistics: Mapping[str, np.ndarray], number: int) -> np.ndarray:
        """A finite number per neuron, float64 ``[number]``, of some neurons of a layer.

        ``statistics``: name -> the neurons' values of each statistic that the operation reads, float64 ``[number]``.
        """

    def known(self, percentiles: Sequence[str]) -> list[str]:
        """Names for an error message to propose; ``percentiles``: those that the configuration collects, as p90."""


def find(name: str) -> tuple[str, Any]:
    """The entry that reads an intervention's name, and what the entry reads in it.

    ValueError, with a text that follows the name, for a name that no operation reads or two do, or that its operation
    refuses.
    """
    found = {}
    for key in entries(PACKAGE) if _NAME.fullmatch(name) else ():
        parsed = operation(key).parse(name)
        if parsed is not None:
            found[key] = parsed
    if len(found) > 1:
        raise ValueError(f"is {name}, which {' and '.join(found)} both read; change the grammar of one of them")
    if not found:
        raise UnknownIntervention(f"is {name}, which is no intervention")
    return next(iter(found.items()))


class UnknownIntervention(ValueError):
    """A name that no operation reads."""


def operation(key: str) -> Operation:
    """An entry's module."""
    return cast(Operation, entry(PACKAGE, key))


def statistics_of(name: str) -> list[str]:
    """The statistics that an intervention reads. ValueError as ``find``."""
    key, parsed = find(name)
    return operation(key).statistics(parsed)


def known(percentiles: Sequence[str]) -> list[str]:
    """Names of interventions to propose."""
    return [name for key in entries(PACKAGE) for name in operation(key).known(percentiles)]


def number_of(text: str) -> float | None:
    """A number in an intervention's name; None where it is none.

    ValueError, with what to write, for a second spelling of it (``0.50``).
    """
    if not _NUMBER.fullmatch(text):
        return None
    canonical = f"{float(text) or 0.0:g}"
    if not _NUMBER.fullmatch(canonical):
        raise ValueError(f"has {text}; write a number with 6 digits at most")
    if text != canonical:
        raise ValueError(f"has {text}; write {canonical}")
    return float(text)


def statistic_in(name: str) -> str | None:
    """A statistic in an intervention's name: ``mean`` or a percentile; None for anything else.

    ValueError, with what to write, for a second spelling of a percentile. Which percentiles there are, the
    configuration says.
    """
    if name == "mean":
        return name
    q = percentile_of(name)
    if q is None:
        return None
    if name != percentile_name(q):
        raise ValueError(f"is {name}; write {percentile_name(q)}")
    return name
