"""The version of a stage: a digest of the code that its results come from, for its rule's ``params``.

A stage is a script in ``workflow/scripts``. Its version covers the script and, of this library, each definition that
the script reaches: the functions, classes and values that it imports, whatever those name in their own modules, and so
on. Comments, docstrings, formatting and annotations of functions do not count, nor does the date of a file. So an edit
of a comment reruns nothing, and an edit of LAPE reruns identification and what follows.

Imports next to nothing of the library that it reads: parsing stays fast.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from langneurons.artifacts.format import FORMAT
from langneurons.registry import OWN, file_of, module_of

SOURCE = Path(__file__).parents[1]
PACKAGE = SOURCE.name
# How a job starts, reports and writes: not what it computes.
NOT_MEANT = {
    f"{PACKAGE}.{name}"
    for name in (
        *("files", "finite", "progress", "registry"),
        *(f"artifacts.{module}" for module in ("directories", "facts", "format", "locks", "parquet", "tsv")),
        *(f"hub.{module}" for module in ("errors", "requests")),
        *(f"runner.{module}" for module in ("environment", "jobs", "processes", "warm")),
    )
}
# Data that belongs to a module, by module.
DATA = {f"{PACKAGE}.demo.lexicon": "demo/lexicons/*.toml"}
# Tables of facts, by module and name: what a line's key is. A line that a job does not use is no part of its version.
FACTS = {
    (f"{PACKAGE}.models.architectures", "ARCHITECTURES"): "architecture",
    (f"{PACKAGE}.tasks.metrics", "_ARTICLES"): "language",
    (f"{PACKAGE}.tasks.metrics", "_SINGLE"): "language",
    (f"{PACKAGE}.corpus.scripts", "_LANGUAGES"): "language",
}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Facts = tuple[tuple[str, str], ...]
"""(kind of fact, key) pairs: which lines of the tables in ``FACTS`` a job uses, as (("language", "vi"),)."""


@cache
def version(script: str, facts: Facts = ()) -> str:
    """The version of the stage whose script lies at ``script``: 12 hexadecimal digits.

    Of a table of facts that it reaches, the line alone counts that ``facts`` names; without one, the whole table.
    FileNotFoundError for a script, or a module of the library that it imports, that is not there.
    """
    tree = _parse(Path(script))
    return _version(_digest_of(tree), [target for node in ast.walk(tree) for target in _imports(node)], facts)


@cache
def entry_version(package: str, name: str, facts: Facts = (), job: str | None = None) -> str:
    """The version of what jobs use of a registry's entry: the names in ``JOB_FUNCTIONS`` of its package's base.

    ``job``: which of them, where the base has names for several kinds of jobs.
    What configures an entry (its section, inputs and checks) does not count: that shows in a rule's other ``params``.
    FileNotFoundError for an entry without one of these names.
    """
    own = module_of(package, name)
    return _version(f"{package} {name}", [(own, function) for function in _job_functions(package, job)], facts)


def _version(start: str, todo: list[tuple[str, str]], facts: Facts) -> str:
    reached: dict[str, str] = {}
    while todo:
        module, name = todo.pop()
        if module in NOT_MEANT or f"{module}:{name}" in reached:
            continue
        key = dict(facts).get(FACTS.get((module, name), ""))
        reached[f"{module}:{name}"], further = _definition(module, name) if key is None else _fact(module, name, key)
        todo += further
    digest = hashlib.sha256(f"{FORMAT} {start}".encode())
    for key in sorted(reached):
        digest.update(f"{key}={reached[key]}".encode())
    return digest.hexdigest()[:12]


def content(files: Iterable[str]) -> str:
    """SHA-256 of these files' bytes, one after another: a checkout elsewhere, or a newer date, changes nothing.

    OSError for a file that cannot be read.
    """
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


@cache
def _job_functions(package: str, job: str | None) -> tuple[str, ...]:
    statements, _ = _module(f"{PACKAGE}.{package}.base")
    if "JOB_FUNCTIONS" not in statements:
        raise FileNotFoundError(f"{PACKAGE}.{package}.base has no JOB_FUNCTIONS")
    assignments: list[Any] = statements["JOB_FUNCTIONS"]
    (assignment,) = assignments
    names = ast.literal_eval(assignment.value)
    return names if job is None else names[job]


@cache
def _fact(module: str, name: str, key: str) -> tuple[str, list[tuple[str, str]]]:
    """As ``_definition`` of a table of facts, a dictionary: its lines for ``key`` alone, and what these reach.

    A line is for its own key, and one whose value is a text of several words for each of these.
    """
    statements, _ = _module(module)
    found: list[str] = []
    further = [(module, "")]
    assignments: list[Any] = statements[name]
    for table in (node.value for node in assignments):
        for own, value in zip(table.keys, table.values, strict=True):
            if own.value == key:
                found.append(_digest_of(value))
                names = [part.id for part in ast.walk(value) if isinstance(part, ast.Name)]
                further += [(module, other) for other in names if other in statements]
            elif isinstance(value, ast.Constant) and isinstance(value.value, str) and key in value.value.split():
                found.append(own.value)
    return " ".join(sorted(found)), further


@cache
def _definition(module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """Digest of one top-level name of a module (``*``: of all of it), and what it reaches."""
    statements, effects = _module(module)
    if name == "*":
        wanted = [node for nodes in statements.values() for node in nodes]
    elif name in statements:
        wanted = statements[name]
    elif name == "":
        wanted = effects
    else:
        raise FileNotFoundError(f"{module} has no {name}: a stage imports it")
    further = [(module, "")] if name else []
    for node in wanted:
        for part in ast.walk(node):
            further += _imports(part)
            if isinstance(part, ast.Name) and part.id in statements and name != "*":
                further.append((module, part.id))
    return "".join(_digest_of(node) for node in wanted) + (_data(module) if not name else ""), further


@cache
def _module(module: str) -> tuple[dict[str, list[ast.stmt]], list[ast.stmt]]:
    """A module's top-level statements by the name that they bind, and those that bind none."""
    statements: dict[str, list[ast.stmt]] = {}
    effects = []
    for node in _parse(_file(module)).body:
        names = _bound(node)
        for name in names:
            statements.setdefault(name, []).append(node)
        if not names:
            effects.append(node)
    return statements, effects


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.With, ast.Try, ast.If)):
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return []


def _imports(node: ast.AST) -> list[tuple[str, str]]:
    """(module, name) of everything of the library that an import statement brings; a whole module's name is ``*``."""
    if isinstance(node, ast.Import):
        return [(alias.name, "*") for alias in node.names if alias.name.split(".")[0] == PACKAGE]
    if not isinstance(node, ast.ImportFrom) or not node.module or node.module.split(".")[0] != PACKAGE:
        return []
    found = []
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        found.append((inner, "*") if _is_module(inner) else (node.module, alias.name))
    return found


@cache
def _is_module(module: str) -> bool:
    path = SOURCE.parent.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _file(module: str) -> Path:
    if module.startswith(f"{OWN}."):
        return file_of(*module.split(".")[1:])
    path = SOURCE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _parse(path: Path) -> ast.Module:
    """A file's syntax tree without docstrings, annotations of functions, and imports that annotations alone need."""
    tree = ast.parse(path.read_bytes(), str(path))
    tree.body = [node for node in tree.body if not _is_for_types(node)]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and isinstance(node, (*_DEFINITIONS, ast.Module))
            and ast.get_docstring(node) is not None
        ):
            node.body = body[1:] or [ast.Pass()]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def _is_for_types(node: ast.stmt) -> bool:
    """Whether a statement is an ``if TYPE_CHECKING`` without an else."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse


def _digest_of(node: ast.AST) -> str:
    return hashlib.sha256(ast.dump(node, annotate_fields=False).encode()).hexdigest()


def _data(module: str) -> str:
    if module not in DATA:
        return ""
    digest = hashlib.sha256()
    for file in sorted(SOURCE.glob(DATA[module])):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
