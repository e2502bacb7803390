"""The configuration's JSON schema and its reference, both made from the pydantic models.

``langneurons docs`` in the repository's root writes them; a test compares the
files with the models.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from langneurons import sections
from langneurons.config.load import Config, config_schema
from langneurons.files import write_atomically
from langneurons.sections.languages import LANGUAGE

SCHEMA_FILE = "workflow/schemas/config.schema.json"
REFERENCE_FILE = "config/README.md"

INTRODUCTION = """\
# Configuration

`config/config.yaml`, the paper's experiment, is read first. An overlay changes single keys of it:
`snakemake --configfile config/demo.yaml`. One that begins with `extends: config/base.yaml` builds on that file instead,
which has nothing to run. Dictionaries are merged key by key, at every depth; lists and single values are replaced.
`null` removes an entry of `models`, `methods`, `language_sets`, `method_groups`, `tasks`, `finetuning` or `tables`. To
take a model from elsewhere, add it under a key of its own: under an existing key the two forms' keys would mix. Several
overlays apply from left to right.

The whole is checked before any job starts, and every fault is a line with the key's path. What a run needs must also
fit together; an entry that other keys contradict, and that nothing which is run or drawn names, is left out, as
Snakemake's log and `langneurons plan` report. The files are also read as text: a key that is duplicated, and what YAML
reads otherwise than it looks (`0042` is 34, `10:00` is 600, `no` is false), is a fault with file and line. A list holds
each entry once. A *default* below is what a key has if no file sets it, in JSON (which is YAML too); keys without one
are *required*. This page and `workflow/schemas/config.schema.json`, for editors, are made by `langneurons docs`.
"""

# Patterns that have a name; any other is shown as it is.
PATTERNS: dict[str | None, str] = {
    f"^{LANGUAGE}$": "language code (BCP 47)",
    r"^[0-9a-f]{40}$": "commit (40 hexadecimal digits)",
    r"^\d{8}$": "date (8 digits)",
    sections.KEY: "key of methods",
}
KEYS: dict[str | None, str] = {sections.KEY: "`a-z`, `0-9`, `.` and `-`", r"^[a-z0-9_]+$": "`a-z`, `0-9` and `_`"}
BOUNDS = (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))


def schema_json() -> str:
    """The JSON schema of the configuration: indented, keys sorted, a newline at the end."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **config_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def reference_markdown() -> str:
    """Every key of the configuration in Markdown: a table per section, and one per variant of a union."""
    schema = config_schema()
    parts = [INTRODUCTION, "## Top level\n", _table(_rows(schema, schema, Config, top=True))]
    for key, node in schema["properties"].items():
        if _is_section(node, schema) or _values(node):
            parts += _section(key, node, schema, depth=2)
    return "\n".join(parts)


def _section(path: str, node: dict, schema: dict, depth: int) -> Iterator[str]:
    """Heading, meaning and table(s) of a section or of a dictionary with free keys."""
    yield f"{'#' * depth} {path}\n"
    if "description" in node:
        yield f"{node['description']}\n"
    values = _values(node)
    if values:
        yield from _dictionary(path, *values, schema, depth)
        return
    body = _resolve(node, schema)
    required = body.get("required", ())
    nested = {k: v for k, v in body["properties"].items() if k in required and _is_section(v, schema)}
    rows = _rows(body, schema, _model(node), skip=tuple(nested))
    if rows:
        yield _table(rows)
    same = {child["$ref"] for child in nested.values()}
    if len(nested) > 1 and len(same) == 1:
        title = " and ".join(f"{path}.{key}" for key in nested)
        meanings = " ".join(child["description"] for child in nested.values())
        yield from _section(title, {"$ref": same.pop(), "description": meanings}, schema, depth + 1)
        return
    for key, child in nested.items():
        yield from _section(f"{path}.{key}", child, schema, depth + 1)


def _dictionary(path: str, pattern: str | None, value: dict, schema: dict, depth: int) -> Iterator[str]:
    """A dictionary with free keys: a table per variant of a union, or one row."""
    if _is_section(value, schema):
        yield f"Each entry `{path}.<key>` has these keys.\n"
        yield _table(_rows(_resolve(value, schema), schema, _model(value)))
        return
    if "discriminator" not in value:
        entry = f"{path}.<key>"
        inner = _values(value)
        if inner:
            entry, value = f"{entry}.<{PATTERNS.get(inner[0], 'key')}>", inner[1]
        yield _table([(f"`{entry}`", _type(value, schema), "", "As many as wanted.")])
        return
    tag, mapping = value["discriminator"]["propertyName"], value["discriminator"]["mapping"]
    keys = KEYS.get(pattern, "anything")
    yield f"Each entry `{path}.<key>` has one of these forms, by its `{tag}`; its key is written in {keys}.\n"
    for variant in value["oneOf"]:
        body = _resolve(variant, schema)
        tags = [name for name, reference in mapping.items() if reference == variant["$ref"]]
        tags = body["properties"][tag].get("enum", tags)
        yield f"{'#' * (depth + 1)} {path}, {tag}: {' or '.join(tags)}\n"
        if "description" in body:
            yield f"{body['description']}\n"
        yield _table(_rows(body, schema, _model(variant)))


def _rows(
    body: dict,
    schema: dict,
    model: type[sections.Section],
    prefix: str = "",
    defaults: dict | None = None,
    skip: tuple[str, ...] = (),
    top: bool = False,
) -> list[tuple[str, str, str, str]]:
    """Rows (key, type, default, meaning). An optional subsection gives a row for each of its keys.

    ``defaults`` are those that the section above gives this one, where they differ from its own.
    """
    rows = []
    for key, node in body["properties"].items():
        if key in skip:
            continue
        name, meaning = f"`{prefix}{key}`", node.get("description", "Which form this is.")
        if top and (_is_section(node, schema) or _values(node)):
            rows.append((name, f"[section](#{key})", _default(key, node, body), meaning))
        elif _is_section(node, schema):
            given = model.model_fields[key].get_default(call_default_factory=True).model_dump()
            for row in _rows(_resolve(node, schema), schema, _model(node), f"{prefix}{key}.", given):
                rows.append((*row[:3], f"{row[3]} {meaning}"))
        else:
            default = _code(defaults[key]) if defaults and key in defaults else _default(key, node, body)
            rows.append((name, _type(node, schema), default, meaning))
    return rows


def _default(key: str, node: dict, body: dict) -> str:
    if key in body.get("required", ()):
        return "*required*"
    return _code(node["default"]) if "default" in node else "its keys' own"


def _code(value: object) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(node: dict, schema: dict) -> str:
    """A schema node in words: choices, range, what a list holds."""
    node = _resolve(node, schema)
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return " or ".join(f"`{choice}`" for choice in node["enum"])
    if "anyOf" in node:
        return ", or ".join(_type(choice, schema) for choice in node["anyOf"])
    kind = node["type"]
    if kind == "array":
        if "prefixItems" in node:
            items = ", ".join(_type(item, schema) for item in node["prefixItems"])
            return f"list of {len(node['prefixItems'])}: {items}"
        least = f" (at least {node['minItems']})" if "minItems" in node else ""
        return f"list{least}: {_type(node['items'], schema)}"
    if kind == "string":
        pattern = node.get("pattern")
        return "text" if pattern is None else PATTERNS.get(pattern, f"text matching `{pattern}`")
    if kind == "null":
        return "`null`"
    bounds = [f"{sign} {node[bound]}" for bound, sign in BOUNDS if bound in node]
    return " ".join([kind, " and ".join(bounds)]).strip()


def _values(node: dict) -> tuple[str | None, dict] | None:
    """(pattern of the keys, schema of the values) of a dictionary with free keys, else None."""
    if "patternProperties" in node:
        return next(iter(node["patternProperties"].items()))
    if isinstance(node.get("additionalProperties"), dict):
        return None, node["additionalProperties"]
    return None


def _is_section(node: dict, schema: dict) -> bool:
    return "properties" in _resolve(node, schema)


def _resolve(node: dict, schema: dict) -> dict:
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def _model(node: dict) -> type[sections.Section]:
    """The pydantic model that a reference names: it knows the defaults of subsections, which the schema omits."""
    name = node["$ref"].rsplit("/", 1)[1]
    if "__" in name:  # several sections have one name: those of a registry's entries, each in its own module
        module, _, name = name.replace("__", ".").rpartition(".")
        return getattr(importlib.import_module(module), name)
    return getattr(sections, name)


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| key | type, range or choices | default | meaning |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write(root: str = ".") -> None:
    """Write both files below ``root``, the repository; ValueError if it is not one."""
    if not (Path(root) / "config/config.yaml").is_file():
        raise ValueError(f"{Path(root).resolve()}: no config/config.yaml here; run this in the repository's root")
    for name, text in ((SCHEMA_FILE, schema_json()), (REFERENCE_FILE, reference_markdown())):
        with write_atomically(Path(root) / name) as partial:
            partial.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """``[ROOT]``, the repository; the exit status."""
    parser = argparse.ArgumentParser(
        prog="langneurons docs", description=f"Write {REFERENCE_FILE} and {SCHEMA_FILE} from the library's sections."
    )
    parser.add_argument("root", nargs="?", default=".", metavar="ROOT", help="the repository (.)")
    try:
        write(parser.parse_args(arguments).root)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
