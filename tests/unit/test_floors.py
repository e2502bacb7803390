"""The library's floors: a module imports only from floors below its own."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "langneurons"
# Packages and modules from the ground up; of a module that is named beside its package, its own floor counts.
FLOORS = [
    {"files", "finite", "progress", "registry"},
    {"artifacts"},
    {"hub", "sections"},
    {"experiment.condition", "config.faults"},
    {"experiment.comparison", "experiment.paths"},
    {"models"},
    {"activations", "corpus", "hub.access", "hub.command"},
    {"methods"},
    {"interventions"},
    {"evaluation"},
    {"tasks"},
    {"finetuning"},
    {"tables"},
    {"figures"},
    {"report"},
    {"demo"},
    {"config"},
    {"experiment"},
    {"runner"},
    {"__main__"},
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}


def name_of(path: Path) -> str:
    """A module's dotted name below langneurons."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem != "__init__"}


def floor_of(module: str) -> str:
    """The entry of FLOORS that a module belongs to: the longest that its name begins with."""
    parts = module.split(".")
    return next(name for i in range(len(parts), 0, -1) if (name := ".".join(parts[:i])) in FLOOR)


def imported(path: Path) -> set[str]:
    """Every module of the library that a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "langneurons":
            module = node.module.partition(".")[2]
            inner = {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
            names |= {name if name in MODULES else module for name in inner}
        elif isinstance(node, ast.Import):
            names |= {a.name.partition(".")[2] for a in node.names if a.name.startswith("langneurons.")}
    return names


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_upwards(module):
    own = floor_of(module)
    upwards = {
        name for name in imported(MODULES[module]) if floor_of(name) != own and FLOOR[floor_of(name)] >= FLOOR[own]
    }
    assert not upwards


def test_no_circle_within_a_floor():
    within = {
        module: {name for name in imported(path) - {module} if floor_of(name) == floor_of(module)}
        for module, path in MODULES.items()
    }
    done: set[str] = set()
    while ready := {module for module in within if module not in done and within[module] <= done}:
        done |= ready
    assert sorted(set(within) - done) == []


def test_every_floor_has_a_module():
    assert set(FLOOR) == {floor_of(module) for module in MODULES}
