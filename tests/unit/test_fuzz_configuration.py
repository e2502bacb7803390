"""Mutated configurations: each loads, or is refused by its keys; none ends in another error or is taken by halves."""

import copy
import math
import random
import re
import unicodedata
from pathlib import Path

import yaml
from snakemake.utils import update_config

from langneurons.config.load import Config, ConfigError, load_config
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.own_files import own_files

ROOT = Path(__file__).parents[2]
SEED, COUNT = 20, 2_400
OVERLAYS = ((), ("config/demo.yaml",), ("config/demo.yaml", "config/local-files.yaml"), ("config/small.yaml",))

NUMBERS = (0, -1, 1, 2, 3, 0.5, 1e-300, 95, 0.99999, 2**31, 2**53, 2**64, 10**400, -(10**30), 1e308, math.inf, math.nan)
TEXTS = (
    "", " ", "no", "x" * 5000, "a\nb", "a\tb", "a\0b", "{language}", "{", "}}", "{0}", "{a.b}", "{data!r:>9}", "../..",
    "~/a", "</script>", "hindi", "Lape", "p90", "p0", "p1e3", "pinf", "1e400", "-inf", "nan", "0042", "10:00", "é",
    "\ud800", "\u202e", "\u2028", "none", "null", "on", "vi", "en", "[en, vi]", "8.0e9", "1_000", "٣", "main", "नमस्ते",
)  # fmt: skip
OTHERS = (
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    {"": None},
    {1: 2},
    {None: None},
    {True: 1},
    {"x": {"x": {"x": 1}}},
    b"x",
)


def nodes(value, path=()):
    """Paths of everything below ``value``, dictionaries and lists too."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(entry, (dict, list)) and len(path) < 6:
            yield from nodes(entry, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def other(draw, value):
    """Another value than ``value``: of a near kind most of the time."""
    kind = draw.random()
    if kind < 0.3:
        return draw.choice(NUMBERS)
    if kind < 0.6:
        return draw.choice(TEXTS)
    if kind < 0.75:
        return copy.deepcopy(draw.choice(OTHERS))
    if isinstance(value, bool) or value is None:
        return draw.choice((not value, 1, "yes"))
    if isinstance(value, (int, float)):
        return draw.choice((-value, value * 100, value / 3, str(value), float(value), [value], bool(value)))
    if isinstance(value, str):
        return draw.choice((value.upper(), value[:-1], value + " ", value + "\n", [value], {value: value}, value * 2))
    if isinstance(value, list):
        return draw.choice((value * 2, value[:1], value[::-1], [value], dict.fromkeys(map(str, value)), str(value)))
    return draw.choice((list(value), list(value.values()), {key: None for key in value}, {**value, "extra": 1}))


def mutate(draw, raw):
    """Change ``raw`` in place, in one of the ways in which people and programs go wrong."""
    path = draw.choice(list(nodes(raw)))
    parent, key = at(raw, path[:-1]), path[-1]
    way = draw.choice(("change", "change", "change", "delete", "double", "rename", "swap", "add", "itself"))
    if way == "change":
        parent[key] = other(draw, parent[key])
    elif way == "delete":
        del parent[key]
    elif way == "double":
        lists = [p for p in nodes(raw) if isinstance(at(raw, p), list) and at(raw, p)]
        if lists:
            chosen = at(raw, draw.choice(lists))
            chosen.append(draw.choice(chosen))
    elif way == "rename" and isinstance(parent, dict):
        name = draw.choice(
            (f"{key}s", str(key)[:-1], str(key).upper(), f"{key}\n", "{key}", "", 7, None, False, "\ud800")
        )
        parent[name] = parent.pop(key)
    elif way == "swap":
        second = draw.choice(list(nodes(raw)))
        if second[: len(path)] != path and path[: len(second)] != second:
            one, two = at(raw, path), at(raw, second)
            parent[key], at(raw, second[:-1])[second[-1]] = two, one
    elif way == "add" and isinstance(parent, dict):
        parent[draw.choice(("new", "tokens", "kind", "source", "languages", 3))] = copy.deepcopy(
            other(draw, parent[key])
        )
    elif way == "itself" and draw.random() < 0.1 and isinstance(parent[key], (list, dict)):
        inner = parent[key]  # as an anchor within itself gives
        inner["self" if isinstance(inner, dict) else slice(0, 0)] = inner if isinstance(inner, dict) else [inner]


def spelled(parent, key):
    """The path of ``key`` below the path ``parent``, as errors write it."""
    if type(key) is int:
        return f"{parent}[{key}]"
    text = str(key) if key != "" else "''"
    if not text.isprintable():
        text = "".join(c if c.isprintable() or unicodedata.category(c) == "Cf" else repr(c)[1:-1] for c in text)
    return f"{parent}.{text}" if parent else text


def paths_of(raw, depth=9):
    """How errors may write every place of ``raw``; ``depth`` is where they leave off in a value within itself."""
    found, stack = {""}, [("", raw, 0)]
    while stack:
        path, value, height = stack.pop()
        if isinstance(value, (dict, list)) and height < depth:
            for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
                place = spelled(path, key if isinstance(value, list) else str(key))
                found.add(place)
                stack.append((place, entry, height + 1))
    return found


def known_keys(schema):
    keys = set(schema.get("properties", ()))
    return keys.union(*(body.get("properties", ()) for body in schema["$defs"].values()))


def check_refusal(error, raw, keys):
    """Every line names a place of ``raw``, or a key that is missing from one."""
    heading, *lines = str(error).split("\n")
    assert re.fullmatch(r"the configuration has (a fault|\d+ faults):", heading) and lines
    places = paths_of(raw)
    for line in lines:
        assert line.startswith("  ") and all(c.isprintable() or unicodedata.category(c) == "Cf" for c in line), line
        starts = [line[2:end] for end in range(2, len(line)) if line[end : end + 2] == ": "]
        named = [s for s in starts if s in places or (s.rpartition(".")[0] in places and s.rpartition(".")[2] in keys)]
        assert named, (line, sorted(places)[:50])


def check_loaded(config, raw):
    """No number that is none, no truth value as a number, no entry twice; and all that is made of it at parse time."""

    def walk(value, written):
        if isinstance(value, bool):
            return
        assert not isinstance(written, bool), (value, written)
        assert not isinstance(value, float) or math.isfinite(value)
        if isinstance(value, list):
            assert all(value.count(entry) == 1 for entry in value), value
        if isinstance(value, dict):
            for key, entry in value.items():
                walk(entry, written.get(key) if isinstance(written, dict) else None)
        elif isinstance(value, (list, tuple)):
            pairs = (
                written if isinstance(written, (list, tuple)) and len(written) == len(value) else [None] * len(value)
            )
            for entry, pair in zip(value, pairs, strict=True):
                walk(entry, pair)

    walk(config.model_dump(), raw)
    for name in config.run.tables:
        table_conditions(config, name)
    own_files(config)


def test_mutated_configurations_load_or_are_refused_by_their_keys():
    bases = []
    for overlays in OVERLAYS:
        texts = [(ROOT / overlay).read_text(encoding="utf-8").replace("FILL-IN", "a" * 40) for overlay in overlays]
        parsed = [yaml.safe_load(text) for text in texts]
        extended = next((overlay["extends"] for overlay in parsed if "extends" in overlay), "config/config.yaml")
        raw = yaml.safe_load((ROOT / extended).read_text(encoding="utf-8"))
        for overlay in parsed:
            update_config(raw, overlay)
        load_config(raw)
        bases.append(raw)
    keys = known_keys(Config.model_json_schema())
    draw, loaded = random.Random(SEED), 0
    for number in range(COUNT):
        raw = copy.deepcopy(bases[number % len(bases)])
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            mutate(draw, raw)
        try:
            config = load_config(raw)
        except ConfigError as error:
            check_refusal(error, raw, keys)
        except Exception as error:
            raise AssertionError(f"configuration {number} ends in {error!r}") from error
        else:
            loaded += 1
            check_loaded(config, raw)
    assert COUNT // 20 < loaded < COUNT // 2
