"""Neuron masks: what is written is what is read, and parts that do not fit are refused."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artifact_files import changed_parquet

from langneurons.methods.mask import NeuronMask, by_layer, mask_from, read_masks

ENTRIES = {"en": {2: [9, 1, 4], 0: [3], 1: []}, "hi": {2: [4, 7]}, "vi": {}}
SCORES = {"en": {2: [0.9, 0.1, 0.4], 0: [0.3], 1: []}, "hi": {2: [0.25, 1 / 3]}, "vi": {}}
DETAILS = {"tau": np.float64(0.1) + 0.2, "candidates": np.int64(12), "by": {"en": [1, 2.5, "x", True, None]}}


def build(**changes):
    arguments = dict(
        method="lape-set1",
        entries=ENTRIES,
        scores=SCORES,
        layers=3,
        neurons_per_layer=10,
        model="ab12",
        details=DETAILS,
    )
    return mask_from(**(arguments | changes))


def same(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(first[k], second[k]) and first[k].dtype == second[k].dtype for k in first
    )


def test_mask_from_sorts_neurons_with_their_scores_and_drops_empty_layers():
    mask = build()
    assert mask.languages == ("en", "hi", "vi")
    assert same(mask.neurons("en"), {0: np.array([3]), 2: np.array([1, 4, 9])})
    assert mask.scores["en"][2].tolist() == [0.1, 0.4, 0.9]
    assert list(mask.neurons("en")) == [0, 2]


def test_languages_without_neurons_are_normal():
    mask = build(languages=["zh", "en", "hi", "vi"])
    assert mask.neurons("vi") == {} and mask.neurons("zh") == {}
    assert [mask.count(language) for language in mask.languages] == [0, 4, 2, 0]
    with pytest.raises(ValueError, match="no language 'fr'; it has zh, en, hi, vi"):
        mask.neurons("fr")


def test_union():
    mask = build()
    assert same(mask.union(["en", "hi", "vi"]), {0: np.array([3]), 2: np.array([1, 4, 7, 9])})
    assert mask.union(["vi"]) == {} == mask.union([])


def test_neurons_are_copies():
    mask = build()
    mask.neurons("hi")[2][:] = 0
    assert mask.neurons("hi")[2].tolist() == [4, 7]


@pytest.mark.parametrize("entries", [ENTRIES, {"vi": {}, "en": {}}])
def test_roundtrip(tmp_path, entries):
    scores = {language: {k: np.ones(len(v)) / 3 for k, v in by.items()} for language, by in entries.items()}
    mask = build(entries=entries, scores=scores)
    mask.write(tmp_path / "deep" / "mask.parquet")
    read = NeuronMask.read(tmp_path / "deep" / "mask.parquet")
    for name in ("method", "languages", "layers", "neurons_per_layer", "model", "details"):
        assert getattr(read, name) == getattr(mask, name)
    for language in mask.languages:
        assert same(read.neurons(language), mask.neurons(language))
        assert same(read.scores.get(language, {}), mask.scores[language])
    assert read.digest() == mask.digest()


def test_file_is_as_agreed_and_the_same_twice(tmp_path):
    build().write(tmp_path / "a.parquet")
    NeuronMask.read(tmp_path / "a.parquet").write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pq.read_table(tmp_path / "a.parquet")
    assert [(f.name, f.type) for f in table.schema] == [
        ("layer", pa.int32()),
        ("neuron", pa.int32()),
        ("language", pa.string()),
        ("score", pa.float64()),
    ]
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert rows[:2] == [(0, 3, "en", 0.3), (2, 1, "en", 0.1)] and rows[-1] == (2, 7, "hi", 1 / 3) and len(rows) == 6
    facts = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"langneurons"])
    assert facts["languages"] == ["en", "hi", "vi"] and facts["details"]["tau"] == 0.1 + 0.2
    assert list(tmp_path.iterdir()) and not list(tmp_path.glob("*.partial"))


def test_digest_is_of_the_content():
    digest = build().digest()
    assert build(languages=["vi", "hi", "en"]).digest() == digest
    others = [
        build(method="other"),
        build(model="cd34"),
        build(layers=4),
        build(neurons_per_layer=11),
        build(details={}),
        build(languages=["en", "hi", "vi", "fr"]),
        build(entries=ENTRIES | {"hi": {2: [4, 8]}}),
        build(entries=ENTRIES | {"hi": {1: [4, 7]}}, scores=SCORES | {"hi": {1: [0.25, 1 / 3]}}),
        build(scores=SCORES | {"hi": {2: [0.25, 0.33]}}),
        build(entries=ENTRIES | {"hi": {}, "vi": ENTRIES["hi"]}, scores=SCORES | {"hi": {}, "vi": SCORES["hi"]}),
    ]
    assert len({digest, *(mask.digest() for mask in others)}) == len(others) + 1


def test_check_model():
    mask = build()
    mask.check_model(3, 10)
    mask.check_model(3, 10, "ab12")
    with pytest.raises(ValueError, match="3 layers of 10 neurons, the model has 4 of 10"):
        mask.check_model(4, 10)
    with pytest.raises(ValueError, match="snapshot ab12, the model is ef"):
        mask.check_model(3, 10, "ef")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ["en", "hi"]}, "vi has neurons but is not in languages"),
        ({"languages": ["en", "hi", "vi", "en"]}, "is duplicated"),
        ({"layers": 2}, "en, layer 2: the model has layers 0 to 1"),
        ({"neurons_per_layer": 9}, "en, layer 2: a neuron is outside 0 to 8"),
        ({"entries": ENTRIES | {"hi": {2: [-1, 4]}}}, "hi, layer 2: a neuron is outside"),
        ({"entries": ENTRIES | {"hi": {2: [4, 4]}}}, "hi, layer 2: indices must be int64, sorted, distinct"),
        ({"entries": ENTRIES | {"hi": {2: [4]}}}, "hi, layer 2: give one score per neuron"),
        ({"entries": ENTRIES | {"hi": {1: [4, 7]}}}, "hi's neurons and scores name different layers"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_details_that_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="details hold a set"):
        build(details={"a": {1}}).write(tmp_path / "mask.parquet")
    assert not list(tmp_path.iterdir())


def test_reading_another_file(tmp_path):
    pq.write_table(pa.table({"layer": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet: carries no checksum"):
        NeuronMask.read(tmp_path / "other.parquet")
    build().write(tmp_path / "mask.parquet")
    old = changed_parquet(
        tmp_path / "mask.parquet", "neuron mask", lambda table, facts: (table, {"method": "x", "half": None})
    )
    old.rename(tmp_path / "old.parquet")
    with pytest.raises(ValueError, match=r"old\.parquet: does not say its languages, layers"):
        NeuronMask.read(tmp_path / "old.parquet")


def test_files_of_languages_are_one_mask(tmp_path):
    """As the whole was written, language by language; details by language are brought together."""
    whole = build(details={"seed": 3, "by": {"vi": 1, "en": 2, "hi": 3}})
    files = []
    for language in whole.languages:
        files.append(tmp_path / f"{language}.parquet")
        parts = {name: getattr(whole, name) for name in ("entries", "scores")}
        own = {name: {language: part[language]} if language in part else {} for name, part in parts.items()}
        own["languages"] = (language,)
        own["details"] = {"seed": 3, "by": {language: whole.details["by"].get(language, 0)}}
        dataclasses.replace(whole, **own).write(files[-1], settings={"of": language})
    read = read_masks(files, {"method": whole.method}, [{"of": language} for language in whole.languages])
    assert read.languages == whole.languages
    assert read.details["seed"] == 3 and set(read.details["by"]) == set(whole.languages)
    assert dataclasses.replace(read, details=whole.details).digest() == whole.digest()
    assert read_masks(files[0]).languages == whole.languages[:1]
    with pytest.raises(ValueError, match=rf"{files[0].name}: .* is in .*{files[0].name} too; give"):
        read_masks([*files, files[0]])
    with pytest.raises(ValueError, match=rf"{files[0].name}: settings"):
        read_masks(files, None, [{"of": "another"} for _ in files])
    other = tmp_path / "other.parquet"
    dataclasses.replace(whole, neurons_per_layer=999, languages=("xx",), entries={}, scores={}).write(other)
    with pytest.raises(ValueError, match=r"other\.parquet: of another neurons per layer than "):
        read_masks([*files, other])


def test_by_layer():
    neurons, scores = by_layer(np.array([2, 0, 2, 1]), np.array([5, 9, 3, 1], np.int32), np.array([0.5, 0.9, 0.3, 0.1]))
    assert same(neurons, {0: np.array([9]), 1: np.array([1]), 2: np.array([3, 5])})
    assert same(scores, {0: np.array([0.9]), 1: np.array([0.1]), 2: np.array([0.3, 0.5])})
    assert by_layer(np.array([], int), np.array([], int), np.array([])) == ({}, {})
