"""The control: random neurons, as many in each layer as a method found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from langneurons.methods.mask import Entries


def select_random(
    reference: Mapping[str, Mapping[int, np.ndarray]], neurons_per_layer: int, seed: int
) -> tuple[Entries, Entries]:
    """Draw as many neurons per layer and language as ``reference`` has, without replacement.

    ``reference``: language -> layer -> indices, shape ``[n]``. Every (seed, language, layer) is a draw of its own: a
    language more changes no other's neurons. Each neuron of the layer gets a uniform number and the lowest are taken;
    the numbers are the raw output of PCG64, which numpy keeps the same from version to version.

    Returns (entries, scores): language -> layer -> sorted int64 indices, and the numbers they were taken by, in [0, 1).
    Raises ValueError for a negative seed, a negative layer, and more neurons than the layer has.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; write 0 or more")
    entries: Entries = {}
    scores: Entries = {}
    for language, layers in reference.items():
        entries[language], scores[language] = {}, {}
        for layer, indices in sorted(layers.items()):
            if layer < 0:
                raise ValueError(f"{language}: layer {layer} is no layer; write 0 or more")
            if len(indices) > neurons_per_layer:
                raise ValueError(
                    f"{language}, layer {layer}: {len(indices)} neurons of {neurons_per_layer} cannot be drawn"
                )
            if len(indices):
                draws = _draws(seed, language, layer, neurons_per_layer)
                chosen = np.sort(np.argsort(draws, kind="stable")[: len(indices)])
                entries[language][layer] = chosen
                scores[language][layer] = (draws[chosen] >> np.uint64(11)) * 2.0**-53
    return entries, scores


def _draws(seed: int, language: str, layer: int, number: int) -> np.ndarray:
    """``number`` uniform 64-bit integers; the language enters by a hash that is the same in every process."""
    words = np.frombuffer(hashlib.sha256(language.encode()).digest(), dtype="<u4").tolist()
    return np.random.PCG64(np.random.SeedSequence([*words, layer, seed])).random_raw(number)
