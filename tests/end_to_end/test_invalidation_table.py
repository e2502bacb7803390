"""docs/invalidation.md, tried out: a row per key of the configuration, an edit of it, and the rules that it reruns."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args, get_origin

import pytest
import worlds
import yaml
from pydantic import BaseModel
from rerun_counts import COUNTS, with_what_follows
from snakemake_calls import ROOT, SMALLEST, job_counts, parse, planned

from langneurons.config.load import Config
from langneurons.sections.registered import Registered

DOCUMENT = (ROOT / "docs/invalidation.md").read_text(encoding="utf-8")


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the schema, of each form of a section: ``models.<hub>.revision``, ``corpus.hub.snapshot``."""
    for name, field in model.model_fields.items():
        yield from _keys_of(field.annotation, prefix + name)


def _keys_of(annotation, path: str) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from keys(annotation, f"{path}.")
        return
    forms = list(_forms(get_args(annotation)[1])) if get_origin(annotation) is dict else []
    if not forms:
        yield path
    for form in forms:
        tag = next((form.model_fields[n] for n in ("kind", "source") if n in form.model_fields), None)
        names = ("task",) if tag is None else get_args(tag.annotation)
        yield from keys(form, f"{path}.<{' or '.join(names)}>.")


def _forms(annotation) -> Iterator[type[BaseModel]]:
    """The sections that a union, with or without its discriminator, is of."""
    registered = [part for part in get_args(annotation) if isinstance(part, Registered)]
    if registered:
        yield from registered[0].sections()
        return
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _forms(part)


def rows() -> dict[str, tuple[str, str, str]]:
    """Key -> (whose run it is tried on, the edit, what it reruns)."""
    found = {}
    for section in re.split(r"^## ", DOCUMENT, flags=re.M)[1:]:
        world = re.search(r"(?:sources|run): `(\w+)`", section.splitlines()[0])
        for key, edit, reruns in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.*) \|$", section, flags=re.M):
            assert world, section.splitlines()[0]
            assert key not in found
            found[key] = world[1], edit, reruns
    return found


def named_sets() -> dict[str, set[str]]:
    """The document's short names of several rules."""
    return {name: rules(text) for name, text in re.findall(r"^- \*([^*]+)\*: (.*)$", DOCUMENT, flags=re.M)}


def rules(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def rerun_by(text: str, world: str) -> set[str]:
    """The rules that a cell names, singly and by the names of sets (*in italics*), and what follows from them."""
    sets = named_sets()
    found = rules(text).union(*(sets[name] for name in re.findall(r"\*([^*]+)\*", text)))
    if "render_table" in found and world == "hub":
        found.add("compare_with_paper")
    if found & {"render_table", "compare", "compare_with_paper", "draw_neurons", "draw_perplexity"}:
        found.add("write_report")
    return found


@pytest.fixture(scope="session")
def runs(finished, tmp_path_factory):
    """Finished runs by their sources: directory, and configuration files."""
    made = {"demo": (finished, SMALLEST)}
    overlays = {"controls": worlds.controls_overlay, "hub": worlds.hub_overlay, "files": worlds.files_overlay}
    for name, overlay in overlays.items():
        directory = tmp_path_factory.mktemp(name)
        configs = overlay(directory)
        worlds.take_for_finished(directory, configs)
        made[name] = directory, configs
    return made


def test_every_key_has_a_row():
    known, written = set(keys()), set(rows())
    assert sorted(known - written) == []
    assert sorted(written - known) == []


def test_every_run_is_finished(runs):
    assert {name: planned(directory, configs=configs) for name, (directory, configs) in runs.items()} == {
        "demo": {},
        "controls": {},
        "hub": {},
        "files": {},
    }


@pytest.fixture(scope="session")
def reran(runs, tmp_path_factory):
    """Key -> a dry run after its edit: two at a time, since each is a process of its own."""
    folder = tmp_path_factory.mktemp("edits")

    def dry_run(number: int, world: str, edit: str):
        directory, configs = runs[world]
        overlay = folder / f"{number}.yaml"
        overlay.write_text(edit.replace("DIRECTORY", str(directory)), encoding="utf-8")
        return parse(directory, "--dry-run", "--quiet=rules", configs=(*configs, overlay))

    with ThreadPoolExecutor(2) as pool:
        found = {key: pool.submit(dry_run, i, *row[:2]) for i, (key, row) in enumerate(rows().items())}
    return {key: future.result() for key, future in found.items()}


@pytest.mark.parametrize("key", rows())
def test_an_edit_reruns_what_the_document_says(reran, key):
    world, edit, reruns = rows()[key]
    assert names_the_key(yaml.safe_load(edit), key)
    done = reran[key]
    assert done.returncode == 0, done.stdout
    counts = job_counts(done.stdout)
    assert set(counts) == rerun_by(reruns, world)
    if key in COUNTS:
        assert counts == with_what_follows(COUNTS[key])


def test_the_counts_are_of_rows_of_the_demo():
    assert {rows()[key][0] for key in COUNTS} == {"demo"}


def names_the_key(edit: dict, key: str) -> bool:
    """Whether an edit reaches a key, any name standing for ``<form>``; what follows free keys is theirs."""
    node = [edit]
    for part in key.split("."):
        if part.startswith("<"):
            node = [value for item in node for value in item.values() if isinstance(value, dict)]
        else:
            node = [item[part] for item in node if isinstance(item, dict) and part in item]
    return bool(node)
