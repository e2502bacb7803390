"""Neuron masks: which neurons belong to which language, as one method says, in one file."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from langneurons.artifacts.facts import AGAIN, ArtifactError
from langneurons.finite import check_finite

Entries = dict[str, dict[int, np.ndarray]]
KIND = "neuron mask"
UNITS = {"layer": "from 0", "neuron": "from 0", "score": "as the method measures it"}
_FACTS = ("method", "languages", "layers", "neurons_per_layer", "model", "details")


@dataclass(frozen=True, eq=False)
class NeuronMask:
    """Neurons by language and layer.

    ``languages``: all languages the method looked at, also those it found no neuron for. ``entries``: language ->
    layer -> sorted, distinct int64 indices, shape ``[n]``, no empty layers; ``scores``: same keys, float64, shape
    ``[n]``. ``model``: digest of the snapshot. ``details``: what the method says about itself, as JSON.
    ``mask_from`` makes one from unsorted lists.

    Raises ValueError if the parts do not fit each other.
    """

    method: str
    languages: tuple[str, ...]
    layers: int
    neurons_per_layer: int
    model: str
    entries: Entries
    scores: Entries
    details: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"mask {self.method}: a language is duplicated in {', '.join(self.languages)}")
        unknown = [language for language in (*self.entries, *self.scores) if language not in self.languages]
        if unknown:
            raise ValueError(f"mask {self.method}: {unknown[0]} has neurons but is not in languages; add it there")
        for language in self.languages:
            entries, scores = self.entries.get(language, {}), self.scores.get(language, {})
            if entries.keys() != scores.keys():
                raise ValueError(f"mask {self.method}: {language}'s neurons and scores name different layers")
            for layer, indices in entries.items():
                self._check_layer(language, layer, indices, scores[layer])

    def _check_layer(self, language: str, layer: int, indices: np.ndarray, scores: np.ndarray) -> None:
        where = f"mask {self.method}: {language}, layer {layer}"
        if not 0 <= layer < self.layers:
            raise ValueError(f"{where}: the model has layers 0 to {self.layers - 1}")
        if indices.dtype != np.int64 or indices.ndim != 1 or not len(indices) or (np.diff(indices) <= 0).any():
            raise ValueError(f"{where}: indices must be int64, sorted, distinct and not none; build it with mask_from")
        if indices[0] < 0 or indices[-1] >= self.neurons_per_layer:
            raise ValueError(f"{where}: a neuron is outside 0 to {self.neurons_per_layer - 1}")
        if scores.dtype != np.float64 or scores.shape != indices.shape:
            raise ValueError(f"{where}: {len(indices)} neurons but scores {scores.dtype}{scores.shape}; give one each")
        check_finite(scores, f"{where}: the score", ("neuron",), indices, "identify the neurons again")

    def neurons(self, language: str) -> dict[int, np.ndarray]:
        """Layer -> sorted int64 indices of one language; empty for a language without neurons."""
        if language not in self.languages:
            raise ValueError(f"mask {self.method} has no language {language!r}; it has {', '.join(self.languages)}")
        return {layer: indices.copy() for layer, indices in sorted(self.entries.get(language, {}).items())}

    def union(self, languages: Iterable[str]) -> dict[int, np.ndarray]:
        """Layer -> sorted int64 indices of the neurons of any of ``languages``."""
        found: dict[int, list[np.ndarray]] = {}
        for language in languages:
            for layer, indices in self.neurons(language).items():
                found.setdefault(layer, []).append(indices)
        return {layer: np.unique(np.concatenate(parts)) for layer, parts in sorted(found.items())}

    def count(self, language: str) -> int:
        """Number of neurons of one language."""
        return sum(len(indices) for indices in self.neurons(language).values())

    def digest(self) -> str:
        """SHA-256 (hex) of all the mask says; the same for the same content in any order of languages."""
        facts = {name: getattr(self, name) for name in _FACTS} | {"languages": sorted(self.languages)}
        digest = hashlib.sha256(_to_json(facts))
        for language in sorted(self.languages):
            for layer, indices in self.neurons(language).items():
                digest.update(f"\n{language} {layer} {len(indices)}\n".encode())
                digest.update(indices.astype("<i8").tobytes())
                digest.update(self.scores[language][layer].astype("<f8").tobytes())
        return digest.hexdigest()

    def check_model(self, layers: int, neurons_per_layer: int, digest: str | None = None) -> None:
        """Raise ValueError unless the mask is one of a model of this shape (and, if given, of this snapshot)."""
        if (layers, neurons_per_layer) != (self.layers, self.neurons_per_layer):
            raise ValueError(
                f"mask {self.method} is for {self.layers} layers of {self.neurons_per_layer} neurons, the model has "
                f"{layers} of {neurons_per_layer}; use the mask identified on this model"
            )
        if digest is not None and digest != self.model:
            raise ValueError(
                f"mask {self.method} was identified on snapshot {self.model[:12]}, the model is {digest[:12]}; "
                "identify the neurons of this snapshot"
            )

    def write(self, path: str | os.PathLike, **facts: Any) -> None:
        """Write the Parquet file: layer, neuron (int32), language, score (float64), by language, layer, neuron.

        ``facts``: what the file says of itself beside the mask's own: ``model_key``, ``settings`` (the method's keys in
        the configuration) and, of half of the text, ``half`` (``even`` or ``odd``).
        """
        import pyarrow as pa

        from langneurons.artifacts.parquet import write_parquet

        parts = [
            (language, layer, indices, self.scores[language][layer])
            for language in self.languages
            for layer, indices in self.neurons(language).items()
        ]
        none = [np.empty(0)]
        columns = {
            "layer": pa.array(np.concatenate([np.full(len(p[2]), p[1], np.int32) for p in parts] or none), pa.int32()),
            "neuron": pa.array(np.concatenate([p[2] for p in parts] or none), pa.int32()),
            "language": pa.array([p[0] for p in parts for _ in p[2]], pa.string()),
            "score": pa.array(np.concatenate([p[3] for p in parts] or none), pa.float64()),
        }
        own = json.loads(_to_json({name: getattr(self, name) for name in _FACTS}))
        write_parquet(path, pa.table(columns), KIND, {**own, "half": None, **facts, "units": UNITS})

    @classmethod
    def read(cls, path: str | os.PathLike, expected: Mapping[str, Any] | None = None) -> NeuronMask:
        """Read what ``write`` wrote.

        ArtifactError, naming the file, if it is missing, damaged, no neuron mask, or if its facts (``method``,
        ``languages``, ``model``, ``model_key``, ``settings``) are not the ``expected`` ones, or if it is of half of the
        text and no ``half`` is expected; ValueError, naming it too, for parts that do not fit each other.
        """
        from langneurons.artifacts.parquet import read_parquet

        expected = {"half": None, **(expected or {})}
        table, said = read_parquet(path, KIND, expected, ("layer", "neuron", "language", "score"))
        if missing := [name for name in _FACTS if name not in said]:
            raise ArtifactError(f"{path}: does not say its {', '.join(missing)}; {AGAIN}")
        facts = {name: said[name] for name in _FACTS} | {"languages": tuple(said["languages"])}
        layer, neuron, score = (np.asarray(table[name]) for name in ("layer", "neuron", "score"))
        language = table["language"].to_numpy()
        entries: Entries = {}
        scores: Entries = {}
        for code in dict.fromkeys(language.tolist()):
            rows = language == code
            entries[code], scores[code] = by_layer(layer[rows], neuron[rows], score[rows])
        try:
            return cls(entries=entries, scores=scores, **facts)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def read_masks(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    expected: Mapping[str, Any] | None = None,
    settings: Sequence[Mapping[str, Any]] | None = None,
) -> NeuronMask:
    """One mask of one method from its files, each of other languages; ``details`` are those of all files together.

    ``expected``: facts of every file; ``settings``: what each was made with. Raises as ``NeuronMask.read``, and
    ValueError naming the file that is of another method, model or shape than the first, or whose language another has.
    """
    paths = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    own: Sequence[Mapping[str, Any]] = [{} for _ in paths]
    if settings is not None:
        own = [{"settings": dict(one)} for one in settings]
    parts = [NeuronMask.read(path, {**(expected or {}), **facts}) for path, facts in zip(paths, own, strict=True)]
    first, seen = parts[0], dict.fromkeys(parts[0].languages, paths[0])
    for path, part in zip(paths[1:], parts[1:], strict=True):
        for name in ("method", "model", "layers", "neurons_per_layer"):
            if getattr(part, name) != getattr(first, name):
                raise ValueError(f"{path}: of another {name.replace('_', ' ')} than {paths[0]}; identify them again")
        if shared := seen.keys() & set(part.languages):
            raise ValueError(f"{path}: {min(shared)} is in {seen[min(shared)]} too; give each language's file once")
        seen |= dict.fromkeys(part.languages, path)
    return NeuronMask(
        first.method,
        tuple(seen),
        first.layers,
        first.neurons_per_layer,
        first.model,
        {language: entries for part in parts for language, entries in part.entries.items()},
        {language: scores for part in parts for language, scores in part.scores.items()},
        functools.reduce(_merged, (part.details for part in parts)),
    )


def _merged(one: dict, other: dict) -> dict:
    """All keys of both; dictionaries that both have are merged, other values of such a key are equal."""
    both = {key: _merged(one[key], other[key]) for key in one if isinstance(one[key], dict) and key in other}
    return {**one, **other, **both}


def mask_from(
    method: str,
    entries: Mapping[str, Mapping[int, Iterable[int]]],
    scores: Mapping[str, Mapping[int, Iterable[float]]],
    *,
    layers: int,
    neurons_per_layer: int,
    model: str,
    languages: Iterable[str] | None = None,
    details: dict | None = None,
) -> NeuronMask:
    """A mask from indices in any order, with their scores beside them; empty layers are left out.

    ``languages``: all the method's languages; those of ``entries`` by default. ``layers``, ``neurons_per_layer``,
    ``model``: shape and snapshot digest of the model. Raises ValueError as ``NeuronMask`` does.
    """
    ordered: Entries = {}
    ordered_scores: Entries = {}
    for language, by_layers in entries.items():
        ordered[language], ordered_scores[language] = {}, {}
        if scores.get(language, {}).keys() != by_layers.keys():
            raise ValueError(f"mask {method}: {language}'s neurons and scores name different layers")
        for layer, indices in sorted(by_layers.items()):
            found = np.asarray(indices, dtype=np.int64)
            score = np.asarray(scores[language][layer], dtype=np.float64)
            if score.shape != found.shape:
                raise ValueError(f"mask {method}: {language}, layer {layer}: give one score per neuron")
            if len(found):
                order = np.argsort(found, kind="stable")
                ordered[language][int(layer)], ordered_scores[language][int(layer)] = found[order], score[order]
    names = tuple(entries if languages is None else languages)
    return NeuronMask(method, names, layers, neurons_per_layer, model, ordered, ordered_scores, details or {})


def by_layer(
    layer: np.ndarray, neuron: np.ndarray, score: np.ndarray
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Split neurons, given as three arrays ``[n]``, into layer -> sorted indices and layer -> their scores."""
    order = np.lexsort((neuron, layer))
    layer, neuron, score = layer[order], neuron[order].astype(np.int64), score[order].astype(np.float64)
    found, starts = np.unique(layer, return_index=True)
    cuts = starts[1:]
    keys = found.tolist()
    return (
        dict(zip(keys, np.split(neuron, cuts), strict=True)) if keys else {},
        dict(zip(keys, np.split(score, cuts), strict=True)) if keys else {},
    )


def _to_json(facts: dict) -> bytes:
    """Canonical JSON; numbers of numpy become Python's, so that a file says what the memory said."""
    try:
        return json.dumps(facts, sort_keys=True, allow_nan=False, default=_plain).encode()
    except ValueError as error:
        raise ValueError(f"mask {facts['method']}: details cannot be written ({error})") from None


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise ValueError(f"details hold a {type(value).__name__}; write numbers, strings, lists or dictionaries")
