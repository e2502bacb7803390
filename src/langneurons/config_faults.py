"""What to say of a fault in the configuration: the key's path, the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pydantic_core import ErrorDetails


def listed(faults: list[str]) -> str:
    """The message of an error: how many faults, and each on a line of its own."""
    head = "the configuration has a fault" if len(faults) == 1 else f"the configuration has {len(faults)} faults"
    return head + ":\n" + "\n".join(f"  {fault}" for fault in faults)


def explain(error: ErrorDetails, schema: dict) -> str:
    """One line of one pydantic error: the key's path, what is wrong, what to write.

    ``schema`` is the whole configuration's, for the names it knows.
    """
    keys = _without_tags(error["loc"])
    path = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".") or "the file"
    if error["type"] == "extra_forbidden":
        known = _siblings(schema, keys[:-1], str(error["loc"][2]) if _tagged(error["loc"]) else None)
        return f"{path}: unknown key{_did_you_mean(str(keys[-1]), known)}"
    if error["type"] == "missing":
        return f"{path}: missing; add it, config/README.md says what it means"
    if error["type"].startswith("union_tag"):
        context = error["ctx"]
        name = context["discriminator"].strip("'")
        tags = ", ".join(sorted(tag for node in _nodes(schema, keys) for tag in node["discriminator"]["mapping"]))
        what = f"is {context['tag']!r}" if "tag" in context else "missing"
        return f"{path}.{name}: {what}; write one of: {tags}"
    if error["type"] == "model_type":
        return f"{path}: must be a dictionary of keys; config/README.md lists them"
    message = error["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(error["input"], (dict, list)) else f" is {error['input']!r};"
    if error["type"] == "string_pattern_mismatch":
        message = f"should match {error['ctx']['pattern']}"
    return f"{path}:{shown} {message[0].lower()}{message[1:]}"


def _without_tags(location: tuple) -> list:
    """Drop what pydantic puts into a location and a person did not write: union tags and "[key]"."""
    return [key for i, key in enumerate(location) if key != "[key]" and not (_tagged(location) and i == 2)]


def _tagged(location: tuple) -> bool:
    """Whether the third place of a location is a union's tag."""
    return location[:1] in {("models",), ("methods",), ("tables",)} and len(location) > 2


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
            if tag is None or tag in (kind.get("const"), *kind.get("enum", ())):
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
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'? ({', '.join(known)})" if near else f"; write one of: {', '.join(known)}"


def unknown(word: str, known: list[str], what: str) -> str:
    """What to say of a ``what`` named ``word`` that is none of ``known``: the nearest one, and all."""
    return f"unknown {what} '{word}'{_did_you_mean(word, sorted(known))}"
