"""The registries: methods, tasks, interventions and tables, one module per entry, found by its name in its package.

A module is an entry where it has the line ``ENTRY_OF = "methods"`` (or another package of ``PACKAGES``); its file's
name is the entry's name. Finding entries imports none of them, and importing one is light: numpy, pandas and torch
belong inside functions. What each registry's entries provide stands in its package's ``base`` module.

A person's own entry is a file like these anywhere (``extensions`` in the configuration).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args

PACKAGES = {"methods": "Method", "interventions": "Operation", "tables": "Kind", "tasks": "Task"}
"""Package -> the protocol in its ``base`` module, whose members an entry provides."""

OWN = "langneurons_extensions"
"""The package under which modules of a person's own are imported."""

_SOURCE = Path(__file__).parent
_MARK = re.compile(r'^ENTRY_OF = "(\w+)"$', re.M)
_extensions: dict[tuple[str, str], Path] = {}


def load_extensions(paths: Iterable[str]) -> None:
    """Make the entries of these files known; those of an earlier call are forgotten.

    ValueError, naming the file, for one that is missing, marks no entry, has the name of another entry, cannot be
    imported, or lacks what an entry provides.
    """
    _extensions.clear()
    for name in paths:
        path = Path(name)
        if not path.is_file() or path.suffix != ".py":
            raise ValueError(f"extensions: {name}: is no Python file; write the path of a .py file")
        package = _mark(path)
        if package not in PACKAGES:
            known = ", ".join(f'ENTRY_OF = "{package}"' for package in PACKAGES)
            raise ValueError(f"extensions: {name}: does not say what it is; write one of these lines: {known}")
        if not path.stem.isidentifier():
            raise ValueError(f"extensions: {name}: its name is no name of a module; rename the file")
        if path.stem in entries(package):
            raise ValueError(f"extensions: {name}: {package} has an entry '{path.stem}' already; rename the file")
        _extensions[package, path.stem] = path
    for package, name in _extensions:
        _check(package, name)


def entries(package: str) -> list[str]:
    """Names of a package's entries, sorted; extensions too."""
    return sorted([*_built_in(package), *(name for kind, name in _extensions if kind == package)])


def entry(package: str, name: str) -> ModuleType:
    """The module of an entry. ValueError for an unknown name, with the nearest one."""
    if (path := _extensions.get((package, name))) is not None:
        return _from_file(module_of(package, name), path)
    if name not in _built_in(package):
        near = difflib.get_close_matches(name, entries(package), n=1, cutoff=0.5)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"{package} has no entry '{name}'{meant} ({', '.join(entries(package))})")
    return importlib.import_module(module_of(package, name))


def module_of(package: str, name: str) -> str:
    """The dotted name under which an entry is imported."""
    return f"{OWN if (package, name) in _extensions else 'langneurons'}.{package}.{name}"


def file_of(package: str, name: str) -> Path:
    """The file of an entry, for its code version."""
    return _extensions.get((package, name)) or _SOURCE / package / f"{name}.py"


@cache
def _built_in(package: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (_SOURCE / package).glob("*.py") if _mark(path) == package))


def _mark(path: Path) -> str | None:
    found = _MARK.search(path.read_text(encoding="utf-8"))
    return found[1] if found else None


def _check(package: str, name: str) -> None:
    """ValueError where an extension cannot be imported, or lacks a member of its package's protocol."""
    where = f"extensions: {_extensions[package, name]}"
    try:
        module = entry(package, name)
    except Exception as error:  # a person's module may raise anything
        raise ValueError(f"{where}: cannot be imported ({type(error).__name__}: {error}); correct it") from error
    _check_members(package, name, where)
    section = getattr(module, "Section", None)
    if section is not None and _kinds(section) != (name,):
        raise ValueError(f'{where}: the kind of its Section must be its file\'s name; write kind: Literal["{name}"]')


def _kinds(section: Any) -> tuple:
    """What the ``kind`` of a section may be."""
    return get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()


def _check_members(package: str, name: str, where: str) -> None:
    """ValueError, saying ``where``, for an entry that lacks a member of its package's protocol."""
    protocol = getattr(importlib.import_module(f"langneurons.{package}.base"), PACKAGES[package])
    functions = {member for member, value in vars(protocol).items() if isinstance(value, (FunctionType, staticmethod))}
    members = {member for member in {*protocol.__annotations__, *functions} if not member.startswith("_")}
    if missing := sorted(member for member in members if not hasattr(entry(package, name), member)):
        raise ValueError(f"{where}: has no {', '.join(missing)}; src/langneurons/{package}/base.py says what they are")


def _from_file(name: str, path: Path) -> ModuleType:
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"extensions: {path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # first: pydantic looks there for what annotations name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
