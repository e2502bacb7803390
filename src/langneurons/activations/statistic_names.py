"""Statistics of a neuron by name: ``mean``, ``std``, ``positive``, and a percentile as ``p90`` or ``p2.5``."""

from __future__ import annotations

import re

PLAIN = ("mean", "std", "positive")
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)")


def percentile_name(q: float) -> str:
    """90 -> ``p90``, 2.5 -> ``p2.5``: the only spelling of a percentile."""
    return f"p{q:g}"


def percentile_of(name: str) -> float | None:
    """``p90`` -> 90.0; None for a name that is no percentile's."""
    found = _PERCENTILE.fullmatch(name)
    return float(found[1]) if found else None


def settings_of(name: str, site: str, estimate: str) -> dict[str, str]:
    """Of these two keys of ``statistics`` those that a statistic depends on.

    A percentile depends on both, the mean and the deviation on the site alone; a neuron is positive at one site if it
    is at the other.
    """
    keys = {"site": site, "estimate": estimate}
    used = {"mean": ("site",), "std": ("site",), "positive": ()}.get(name, ("site", "estimate"))
    return {key: keys[key] for key in used}
