"""The configuration's files as they are written: what YAML reads otherwise than it looks, with file and line.

Snakemake parses the files itself, and hands on values alone: of two equal keys the last, 34 for ``0042``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from langneurons.config.faults import listed
from langneurons.config.load import Config, ConfigError

_PLAIN = "tag:yaml.org,2002:"
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_TRUE = ("true", "false", "True", "False", "TRUE", "FALSE")


BASES = ("config/config.yaml", "config/base.yaml")


def base_file(overlays: Mapping[str, Any], root: str | os.PathLike) -> str:
    """The file that overlays change, by their key ``extends``: a path from the repository ``root``.

    ConfigError if it is not there.
    """
    named = overlays.get("extends", BASES[0])
    if not isinstance(named, str) or not (Path(root) / named).is_file():
        what = f"is {named}, and there is no such file" if isinstance(named, str) else f"is {named!r}, and no path"
        raise ConfigError(listed([f"extends: {what} in {root}; write {' or '.join(BASES)}"]))
    return str(Path(root) / named)


def check_files(paths: Iterable[str | os.PathLike]) -> None:
    """Read configuration files again, as text.

    ConfigError lists, with file, line and key: duplicate keys, octal and sexagesimal numbers, infinity, dates,
    and words that YAML takes for truth values where the configuration has texts.
    """
    faults = [fault for path in paths for fault in _faults(Path(path))]
    if faults:
        raise ConfigError(listed(list(dict.fromkeys(faults))))


def check_overlays(paths: Iterable[str | os.PathLike]) -> None:
    """As :func:`check_files`, of files that Snakemake has not read yet: each is there, and holds keys.

    ConfigError also lists what is missing, no file, empty or of another form.
    """
    files = [Path(path) for path in paths]
    check_files(files)
    if faults := [fault for file in files for fault in _form(file)]:
        raise ConfigError(listed(list(dict.fromkeys(faults))))


def check_directories(config: Config) -> None:
    """ConfigError where ``results`` or ``resources`` is, or would lie in, what is no directory."""
    faults = []
    for key in ("results", "resources"):
        for place in (path := Path(getattr(config, key)), *path.parents):
            if place.is_symlink() and not place.exists():
                what = f"{place} is a symbolic link to {os.readlink(place)}, which is not there; make that directory"
            elif place.exists() and not place.is_dir():
                what = f"{place} is a file, and no directory; move it"
            else:
                continue
            faults.append(f"{key}: {what}, or name another directory: --config {key}=DIRECTORY")
            break
    if faults:
        raise ConfigError(listed(faults))


def _form(path: Path) -> Iterator[str]:
    import yaml

    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)  # as Snakemake reads it: indented by tabs it is no YAML
    except ValueError:
        try:
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:  # as of a list as a key
            yield f"{path}: {getattr(error, 'problem', None) or 'cannot be read as YAML'}; correct it"
            return
    if not isinstance(found, dict):
        what = {list: "a list", type(None): "nothing"}.get(type(found), "a single value")
        yield f"{path}: holds {what}; write keys of the configuration with their values, as in config/config.yaml"


def _faults(path: Path) -> Iterator[str]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        yield f"{path}: cannot be read ({error.strerror}); write the path of a configuration file"
        return
    except UnicodeDecodeError as error:
        yield f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        return
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found = [] if root is None else list(_walk(root, "", set()))
    except yaml.YAMLError as error:
        yield from _json_faults(path, text, error)
        return
    except RecursionError:
        yield f"{path}: is nested too deeply to be a configuration"
        return
    for line, key, what in found:
        yield f"{path}, line {line + 1}: {key}{': ' if key else ''}{what}"


def _json_faults(path: Path, text: str, error: Exception) -> Iterator[str]:
    """Of a file that is JSON but no YAML (it may be indented by tabs): keys that are duplicated."""
    duplicates: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict:
        keys = [key for key, _ in found]
        duplicates.extend(key for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(found)

    try:
        json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        yield f"{path}{line}: is neither YAML nor JSON ({getattr(error, 'problem', None) or 'it cannot be read'})"
    for key in duplicates:
        yield f"{path}: the key '{key}' is duplicated in one dictionary; write it once"


def _walk(node: Any, key: str, seen: set[int]) -> Iterator[tuple[int, str, str]]:
    """(line from 0, key's path, what is wrong) of every fault in a YAML node; an anchor's node counts once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if node.id == "scalar":
        what = _scalar(node)
        if what:
            yield node.start_mark.line, key, what
    elif node.id == "sequence":
        for i, entry in enumerate(node.value):
            place = f"{key}[{i}]"
            if entry.tag == f"{_PLAIN}bool" and entry.value not in _TRUE:
                truth = "true" if entry.value.lower() in ("yes", "on") else "false"
                yield entry.start_mark.line, place, f'YAML reads {entry.value} as {truth}; write "{entry.value}"'
            else:
                yield from _walk(entry, place, seen)
    else:
        first: dict[str, int] = {}
        for name, value in node.value:
            word = name.value if name.id == "scalar" else "?"
            place, line = f"{key}.{word}".lstrip("."), name.start_mark.line
            if name.tag not in [f"{_PLAIN}{kind}" for kind in ("str", "merge", "value")]:
                kind = name.tag.removeprefix(_PLAIN)
                yield line, place, f'YAML reads the key as {kind}, and keys are texts; write it in quotes: "{word}"'
            if word in first:
                yield (
                    line,
                    place,
                    f"the key is already in line {first[word] + 1}; the last would win. Write it once",
                )
            first.setdefault(word, line)
            yield from _walk(value, place, seen)


def _scalar(node: Any) -> str | None:
    """What is wrong with a value that YAML does not read as a text."""
    kind, word = node.tag.removeprefix(_PLAIN), node.value
    if kind in ("int", "float") and ":" in word:
        return f'YAML reads {word} as a number of base 60; write the number, or "{word}"'
    if kind == "int" and _OCTAL.fullmatch(word):
        plain = word.lstrip("+-0_") or "0"
        return f'YAML reads {word} as octal, {int(word.replace("_", ""), 8)}; write {plain}, or "{word}"'
    if kind == "float" and not math.isfinite(float(re.sub(r"_|\.(?=[a-z])", "", word.lower()))):
        return f"{word} is no finite number; write one"
    if kind == "timestamp":
        return f'YAML reads {word} as a date; write "{word}"'
    if kind not in ("str", "int", "float", "bool", "null", "value"):
        return f"has the tag {node.tag}; write the value alone"
    return None
