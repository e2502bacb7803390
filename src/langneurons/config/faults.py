"""What to say of a fault in the configuration: the key's path, the nearest known key."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator
from typing import Any

from pydantic_core import ErrorDetails

from langneurons.sections.base import NoNumber

RENAMED = {"comparisons": "method_groups", "like": "matched_to"}
"""Keys of an earlier version."""


def listed(faults: list[str]) -> str:
    """The message of an error: how many faults, and each on a line of its own."""
    head = "the configuration has a fault" if len(faults) == 1 else f"the configuration has {len(faults)} faults"
    return head + ":\n" + "\n".join(f"  {_one_line(fault)}" for fault in faults)


def _one_line(text: str) -> str:
    """Control characters, which a key or a value may hold, written as escapes."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Cf" else repr(c)[1:-1] for c in text)


def key_faults(raw: Any) -> Iterator[str]:
    """One line of each key of a parsed configuration that is no text: ``no`` is False to YAML, ``1`` a number."""
    places: list[tuple[tuple, Any]] = [((), raw)]
    for place, value in places:
        if not isinstance(value, (dict, list)) or len(place) > 8:  # an anchor may hold itself
            continue
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and not isinstance(key, str):
                what = f"the key is {key!r} to YAML, and keys are texts; write it in quotes"
                yield f"{_spelled([*place, str(key)])}: {what}"
            elif isinstance(key, str) and not key.isascii() and any(unicodedata.category(c) == "Cs" for c in key):
                yield f"{_spelled([*place, key])}: the key holds half of a character (a lone surrogate); write another"
            places.append(((*place, str(key) if isinstance(value, dict) else key), entry))


def _spelled(keys: list) -> str:
    """A key's path: dots between keys, indices in brackets, '' for an empty key."""
    path = "".join(f"[{key}]" if type(key) is int else f".{key}" if key != "" else ".''" for key in keys)
    return path.removeprefix(".") or "the file"


def explain(error: ErrorDetails, schema: dict) -> str:
    """One line of one pydantic error: the key's path, what is wrong, what to write.

    ``schema`` is the whole configuration's, for the names it knows.
    """
    keys = _without_tags(error["loc"])
    if error["type"] == "within":
        keys += error["ctx"]["place"]
    path = _spelled(keys)
    if isinstance(error["input"], NoNumber):
        return f"{path}: {error['input'].what}"
    if error["type"] == "within":
        return f"{path}: {error['ctx']['what']}"
    if error["type"] == "extra_forbidden":
        if keys[-1] in RENAMED:
            return f"{path}: was renamed; write {RENAMED[keys[-1]]}"
        known = _siblings(schema, keys[:-1], str(error["loc"][2]) if _tagged(error["loc"]) else None)
        return f"{path}: unknown key{_did_you_mean(str(keys[-1]), known)}"
    if error["type"] == "missing":
        return f"{path}: missing; add it, config/README.md says what it means"
    if error["type"].startswith("union_tag"):
        context = error["ctx"]
        name = context["discriminator"].strip("'")
        tags = sorted(tag for node in _nodes(schema, keys) for tag in node["discriminator"]["mapping"])
        what = f"is {_shown(context['tag'])}" if "tag" in context else "missing"
        near = _near(str(context.get("tag", "")), tags)
        meant = f"did you mean '{near}'? ({', '.join(tags)})" if near else f"write one of: {', '.join(tags)}"
        return f"{path}.{name}: {what}; {meant}"
    if error["type"] == "too_short":
        least, found = error["ctx"]["min_length"], error["ctx"]["actual_length"]
        is_short = f"has only {found}" if found else "is empty"
        return f"{path}: {is_short}; write at least {least} {'entry' if least == 1 else 'entries'}"
    if error["type"] == "model_type":
        return f"{path}: must be a dictionary of keys; config/README.md lists them"
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(error["input"], (dict, list)) else f" is {_shown(error['input'])};"
    if error["type"] == "string_pattern_mismatch":
        message = f"should match {error['ctx']['pattern']}"
    return f"{path}:{shown} {message[0].lower()}{message[1:]}{_advice(error)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _advice(error: ErrorDetails) -> str:
    """What to write instead, where a value shows what was meant; else nothing."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "string_type" and isinstance(value, bool):
        word = "yes" if value else "no"
        return f'. YAML reads yes, no, on and off as truth values: write it in quotes, as "{word}"'
    if kind == "string_type" and value is not None and not isinstance(value, (dict, list)):
        return f'; write it in quotes: "{value}"'
    if kind in ("int_parsing", "float_parsing") and value.strip().lower() in ("", "~", "null", "none"):
        return "; write null in a file of --configfile: within a dictionary --config knows texts alone"
    if kind == "list_type" and isinstance(value, (str, int, float)):
        return f"; write [{value}]"
    if kind in ("less_than", "less_than_equal"):
        limit, number = context["lt" if kind == "less_than" else "le"], float(value)
        if limit <= 1 < number <= 100 and number / 100 <= limit:
            return f"; write {number / 100:g} for {number:g} %"
    if kind == "literal_error" and isinstance(value, str):
        near = _near(value, [choice.strip("' ") for choice in context["expected"].replace(" or ", ", ").split(",")])
        return f"; did you mean '{near}'?" if near else ""
    return ""


def _without_tags(location: tuple) -> list:
    """Drop what pydantic puts into a location and a person did not write: union tags and "[key]"."""
    return [key for i, key in enumerate(location) if key != "[key]" and not (_tagged(location) and i == 2)]


def _tagged(location: tuple) -> bool:
    """Whether the third place of a location is a union's tag."""
    return location[:1] in {("models",), ("methods",), ("tasks",), ("tables",)} and len(location) > 2


def _nodes(schema: dict, keys: list) -> list[dict]:
    """The schema's nodes at a place, whichever variant of a union they are in."""
    nodes = [schema]
    for key in keys:
        nodes = [
            child
            for node in nodes
            for branch in _branches(node, schema)
            for child in (
                branch.get("properties", {}).get(key),
                branch.get("additionalProperties"),
                branch.get("items"),
                *branch.get("patternProperties", {}).values(),
            )
            if isinstance(child, dict)
        ]
    return nodes


def _siblings(schema: dict, keys: list, tag: str | None) -> list[str]:
    """Keys that the schema knows at a place; of a union, those of the variant ``tag``."""
    found = set()
    for node in _nodes(schema, keys):
        for branch in _branches(node, schema):
            known = branch.get("properties", {})
            kind = known.get("kind", known.get("source", {}))
            if tag is None or len(keys) > 2 or tag in (kind.get("const"), *kind.get("enum", ())):
                found |= known.keys()
    return sorted(found)


def _branches(node: dict, schema: dict) -> Iterator[dict]:
    if "$ref" in node:
        yield from _branches(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
        return
    yield node
    for child in node.get("oneOf", []) + node.get("anyOf", []):
        yield from _branches(child, schema)


def _did_you_mean(word: str, known: list[str]) -> str:
    near = _near(word, known)
    return f"; did you mean '{near}'? ({', '.join(known)})" if near else f"; write one of: {', '.join(known)}"


def _near(word: str, known: list[str]) -> str | None:
    """The nearest of the known words, whatever the case: ``Lape`` is near ``LAPE``, and nearer than ``lape-set1``."""
    by_case = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(word[:200].lower(), by_case, n=1, cutoff=0.5)
    return by_case[near[0]] if near else None


class Unknown(str):
    """What is wrong with a name of which there is nothing; ``word``: the name."""

    word: str


def unknown(word: str, known: list[str], what: str) -> Unknown:
    """What to say of a ``what`` named ``word`` that is none of ``known``: the nearest one, and all."""
    said = Unknown(f"unknown {what} '{word}'{_did_you_mean(word, sorted(known))}")
    said.word = word
    return said


def outside(languages: list[str], corpus: list[str], where: str) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of every language that the corpus does not have."""
    for i, language in enumerate(languages):
        if language not in corpus:
            yield f"{where}[{i}]", f"'{language}' is not in corpus.languages ({', '.join(corpus)}); add it there"
