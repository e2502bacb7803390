"""The library's floors: a module imports only from floors below its own."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "langneurons"
FLOORS = [
    {"files", "finite", "foreign_files", "hub", "locks", "processes", "progress", "versions"},
    {"artifacts", "hub_requests", "unlock"},
    {"downloads"},
    {"sections"},
    {"config_faults"},
    {"config_tables"},
    {"config"},
    {"config_document", "config_files", "conditions"},
    {"own_files", "paths", "resources", "warm"},
    {"plan"},
    {"jobs"},
    {"tokenization"},
    {"corpus"},
    {"models"},
    {"access"},
    {"activations"},
    {"identification"},
    {"interventions"},
    {"tasks"},
    {"finetuning"},
    {"evaluation"},
    {"publishing"},
    {"demo"},
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
# The one loop: a warm process prepares a job's environment, and a job asks for a warm process.
ALLOWED = {("warm", "jobs")}


def imported(path: Path) -> set[str]:
    """First components, below langneurons, of everything that a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("langneurons"):
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("langneurons.")}
    return names


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_import_upwards(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    upwards = {
        name for name in imported(path) if name != own and FLOOR[name] >= FLOOR[own] and (own, name) not in ALLOWED
    }
    assert not upwards


def test_every_module_has_a_floor():
    found = {p.relative_to(SOURCE).parts[0].removesuffix(".py") for p in SOURCE.rglob("*.py")} - {"__init__"}
    assert found == set(FLOOR)
