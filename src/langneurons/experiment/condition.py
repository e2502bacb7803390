"""Conditions: what one evaluation is of, and the one spelling of it and of its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields

BASE, PRETRAINED, NONE = "base", "pretrained", "none"


@dataclass(frozen=True, order=True)
class Condition:
    """One evaluation: everything that a metric file's path says.

    ``finetuning`` is ``pretrained`` (no training at all), ``base`` or ``languages@method`` (``en+vi@lape-set1``);
    ``intervention`` is ``none`` or ``value@method`` (``p90@lape-set1``).
    """

    model: str
    task: str
    finetuning: str
    language: str
    intervention: str

    def __str__(self) -> str:
        """As in a path: ``model/task/finetuning/language/intervention``."""
        return "/".join(astuple(self))

    @classmethod
    def parse(cls, text: str) -> Condition:
        """What ``str`` wrote. ValueError for a text of another form."""
        parts = text.split("/")
        if len(parts) != len(fields(cls)) or not all(parts):
            raise ValueError(f"{text}: is no condition; write {'/'.join(field.name for field in fields(cls))}")
        return cls(*parts)


def condition_facts(condition: Condition) -> dict[str, str]:
    """What a condition's files say of themselves; ``model_key``, since ``model`` is the snapshot's digest there."""
    facts = asdict(condition)
    return {"model_key": facts.pop("model"), **facts}


def spell_finetuning(languages: Iterable[str] = (), method: str | None = None) -> str:
    """(("en", "vi"), "lape-set1") -> ``en+vi@lape-set1``; without a method ``base``."""
    return BASE if method is None else f"{'+'.join(languages)}@{method}"


def split_finetuning(finetuning: str) -> tuple[tuple[str, ...], str | None]:
    """``en+vi@lape-set1`` -> (("en", "vi"), "lape-set1"); ``base`` and ``pretrained`` -> ((), None)."""
    languages, _, method = finetuning.partition("@")
    return (tuple(languages.split("+")), method) if method else ((), None)


def spell_intervention(value: str, method: str | None) -> str:
    """("p90", "lape-set1") -> ``p90@lape-set1``; ``none``, whose value acts on no neurons, whatever the method."""
    return NONE if value == NONE or method is None else f"{value}@{method}"


def split_intervention(intervention: str) -> tuple[str, str | None]:
    """``p90@lape-set1`` -> ("p90", "lape-set1"); ``none`` -> ("none", None)."""
    value, _, method = intervention.partition("@")
    return value, method or None
