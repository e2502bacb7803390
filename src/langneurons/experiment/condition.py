"""Conditions: what one evaluation is of, and how its parts are spelled."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, order=True)
class Condition:
    """One evaluation: everything that a metric file's path says.

    ``finetuning`` is ``base`` or ``languages@method`` (``en+vi@lape-set1``); ``intervention`` is ``none``
    or ``value@method`` (``p90@lape-set1``).
    """

    model: str
    task: str
    finetuning: str
    language: str
    intervention: str


def condition_facts(condition: Condition) -> dict[str, str]:
    """What a condition's files say of themselves; ``model_key``, since ``model`` is the snapshot's digest there."""
    facts = asdict(condition)
    return {"model_key": facts.pop("model"), **facts}


def split_finetuning(finetuning: str) -> tuple[tuple[str, ...], str | None]:
    """``en+vi@lape-set1`` -> (("en", "vi"), "lape-set1"); ``base`` -> ((), None)."""
    if finetuning == "base":
        return (), None
    languages, method = finetuning.split("@")
    return tuple(languages.split("+")), method


def split_intervention(intervention: str) -> tuple[str, str | None]:
    """``p90@lape-set1`` -> ("p90", "lape-set1"); ``none`` -> ("none", None)."""
    value, _, method = intervention.partition("@")
    return value, method or None
