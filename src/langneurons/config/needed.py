"""Which entries of the configuration a run needs: what it runs and draws, and whatever these name."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from langneurons.methods.base import method_of

NAMED = ("models", "methods", "language_sets", "method_groups", "tasks")
"""Sections whose keys other sections name."""

Entry = tuple[str, ...]
"""Section and key, as ("tables", "xnli"); of a method group's language these three: ("method_groups", "LAPE", "hi")."""


def needed_entries(config: Any) -> set[Entry]:
    """The entries that ``run`` and ``figures`` need.

    An entry needs every other whose key it holds as a text: rather too many than too few, and right for an extension's
    own keys too. Of a method group, only the languages that a needed task or table names are needed; and with it its
    controls, which a table finds by themselves.
    """
    found: set[Entry] = set()
    waiting: list[Entry] = [("tables", key) for key in config.run.tables if key in config.tables]
    waiting += _named(config, config.run.models, ("models",)) + _named(
        config, config.figures.methods or [], ("methods",)
    )
    while waiting:
        section, key, *_ = entry = waiting.pop()
        if entry in found:
            continue
        found.add(entry)
        if section != "method_groups":
            waiting += _named(config, _texts(getattr(config, section)[key]), NAMED)
        if section == "tasks" and key in config.finetuning:
            found.add(("finetuning", key))
        # After each entry, since a method group may be found before the task that names its languages.
        for name, language in _members(config, found) - {entry[1:] for entry in found}:
            found.add(("method_groups", name, language))
            waiting += _named(config, [config.method_groups[name][language]], ("methods",))
        waiting += [("methods", key) for key in _controls(config, found)]
    return found


def drawn_methods(config: Any) -> list[str]:
    """The methods whose neurons are drawn: ``figures.methods``, or those that the run needs, but for controls."""
    if config.figures.methods is not None:
        return list(config.figures.methods)
    needed = needed_entries(config)
    return [
        key
        for key, spec in config.methods.items()
        if ("methods", key) in needed and method_of(spec).matched_to(spec) is None
    ]


def all_entries(config: Any) -> set[Entry]:
    """Every entry that a run may do without."""
    found = {(section, key) for section in (*NAMED, "finetuning", "tables") for key in getattr(config, section)}
    return found | {("method_groups", name, language) for name, of in config.method_groups.items() for language in of}


def entry_at(place: str, entries: Iterable[Entry]) -> Entry | None:
    """The innermost of these entries in which a fault's place lies: ``tables.xnli.task`` in ("tables", "xnli")."""
    inside = [e for e in entries if (name := ".".join(e)) == place or place.startswith((f"{name}.", f"{name}["))]
    return max(inside, key=len, default=None)


def left_out_text(config: Any) -> str:
    """What to say of the entries that were left out."""
    named = ", ".join(".".join(entry) for entry in config.left_out)
    return f"Left out, since other keys contradict it and run needs none of it: {named}"


def remove(config: Any, entry: Entry) -> None:
    """Take an entry out of the configuration."""
    section, *keys, last = entry
    place = getattr(config, section)
    for key in keys:
        place = place.get(key, {})
    place.pop(last, None)


def _named(config: Any, words: Iterable[str], sections: Iterable[str]) -> list[Entry]:
    """The entries of these sections whose keys are among ``words``."""
    return [(section, word) for word in words for section in sections if word in getattr(config, section)]


def _members(config: Any, found: Iterable[Entry]) -> set[Entry]:
    """(group, language) of the needed method_groups and of the languages that needed tasks and tables name."""
    languages, method_groups = set(), []
    for section, key, *rest in found:
        if section == "method_groups" and not rest:
            method_groups.append(key)
        elif section in ("tasks", "tables"):
            spec = getattr(config, section)[key]
            languages |= {*(getattr(spec, "languages", None) or []), getattr(spec, "source_language", None)}
    return {
        (name, language) for name in method_groups for language in config.method_groups[name] if language in languages
    }


def _controls(config: Any, found: Container[Entry]) -> list[str]:
    """Methods that copy the numbers of neurons of a needed method group, and are not among the needed ones yet."""
    unseen = [key for key in config.methods if ("methods", key) not in found]
    matched = {key: method_of(config.methods[key]).matched_to(config.methods[key]) for key in unseen}
    return [key for key, group in matched.items() if group and ("method_groups", group) in found]


def _texts(section: Any) -> list[str]:
    """Every text in a section, at any depth."""
    found, waiting = [], [section if isinstance(section, list) else section.model_dump()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, (list, tuple, dict)):
            waiting += value.values() if isinstance(value, dict) else value
    return found
