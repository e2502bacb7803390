"""One method's mask from the files of the workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from langneurons.artifacts.facts import compare
from langneurons.finite import check_finite
from langneurons.methods.mask import NeuronMask, mask_from


def identify(
    method: str,
    spec: Mapping,
    activations: Mapping[str, Sequence[str | os.PathLike]],
    model_key: str | None = None,
    shards: Sequence[str] | None = None,
) -> NeuronMask:
    """The mask of ``spec`` (kind lape or activation_probability) from the counts of each language.

    ``activations``: language -> its files of counts, which are added up: the merged one, or some of its shards.
    ``spec`` holds the keys of the configuration's method. Raises ValueError naming the file if the counts are of
    different models or shapes, of another language than said, or (where given) not of the model ``model_key``, or not
    of exactly these ``shards`` together.
    """
    wanted = {} if model_key is None else {"model_key": model_key}
    if spec["kind"] == "lape":
        from langneurons.activations.storage import read_positive
        from langneurons.methods.lape import select_lape

        probabilities, model = {}, _SameModel()
        for language, paths in activations.items():
            active, seen, held = np.int64(0), 0, []
            for path in paths:
                positive, tokens, metadata = read_positive(path, wanted | {"language": language})
                held += metadata["shards"]
                model.check(path, metadata["model"], positive.shape)
                active, seen = active + positive, seen + tokens
            if shards is not None:
                compare(", ".join(map(os.fspath, paths)), {"shards": sorted(held)}, {"shards": sorted(shards)})
            if not seen:
                raise ValueError(f"{paths[0]}: the counts of {language} are of no token; add text to its corpus")
            probabilities[language] = active / seen
        chosen = select_lape(probabilities, spec["top_fraction"], spec["activity_quantile"])
    else:
        from langneurons.methods.activation_probability import select_by_relevance

        relevance, tokens, model = {}, {}, _SameModel()
        for language, paths in activations.items():
            expected = wanted | {"language": language} | ({} if shards is None else {"shards": shards})
            relevance[language], tokens[language] = _relevance(paths, spec, model, expected)
        chosen = select_by_relevance(relevance, tokens, spec["top_fraction"])
    entries, scores, details = chosen
    layers, width = model.shape
    return mask_from(
        method,
        entries,
        scores,
        layers=layers,
        neurons_per_layer=width,
        model=model.digest,
        languages=activations,
        details=details,
    )


def _relevance(
    paths: Sequence[str | os.PathLike], spec: Mapping, model: _SameModel, expected: Mapping
) -> tuple[np.ndarray, int]:
    """Share of tokens above the threshold [L, D] (paper, section 2.1), and the number of tokens."""
    from langneurons.activations import statistics
    from langneurons.activations.storage import sum_files

    counts, metadata = sum_files(paths, expected)
    model.check(paths[0], metadata["model"], counts.shape)
    percentile = spec["percentile"]
    if spec["threshold"] == "batch_mean":
        thresholds = statistics.batch_mean(counts, percentile)
    elif spec["threshold"] == "layer":
        thresholds = statistics.layer_percentile(counts, percentile)[:, None]
    else:
        thresholds = statistics.model_percentile(counts, percentile)
    check_finite(thresholds, f"{paths[0]}: the threshold of Act Prob", ("layer", "neuron"), advice="collect again")
    shape = counts.shape
    return statistics.share_above(counts, np.broadcast_to(thresholds, shape)), counts.tokens


def identify_random(
    method: str, spec: Mapping, masks: Mapping[str, str | os.PathLike], model_key: str | None = None
) -> NeuronMask:
    """Random neurons, as many a layer and language as the masks that ``spec["references"]`` names by language.

    ``masks``: method -> its file. Raises ValueError, naming the file, for a mask of another method, of another model
    than ``model_key`` (where given), or of another snapshot than the others.
    """
    from langneurons.methods.random import select_random

    wanted = {} if model_key is None else {"model_key": model_key}
    read, model = {}, _SameModel()
    for name, path in masks.items():
        read[name] = NeuronMask.read(path, wanted | {"method": name})
        model.check(path, read[name].model, (read[name].layers, read[name].neurons_per_layer))
    reference = {language: read[name].neurons(language) for language, name in spec["references"].items()}
    one = next(iter(read.values()))
    entries, scores = select_random(reference, one.neurons_per_layer, spec["seed"])
    details = {"seed": spec["seed"], "references": dict(spec["references"])}
    return mask_from(
        method,
        entries,
        scores,
        layers=one.layers,
        neurons_per_layer=one.neurons_per_layer,
        model=one.model,
        languages=reference,
        details=details,
    )


class _SameModel:
    """Refuses counts of a second model."""

    digest: str = ""
    shape: tuple[int, int] = (0, 0)

    def check(self, path: str | os.PathLike, digest: str, shape: tuple[int, int]) -> None:
        if not self.digest:
            self.digest, self.shape = digest, shape
        elif (digest, shape) != (self.digest, self.shape):
            raise ValueError(f"{path}: of another model than the files before it; make them again from one model")
