"""Would the same neurons be found again: what the masks of two halves of the text share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from langneurons.methods.mask import NeuronMask


@dataclass(frozen=True)
class Agreement:
    """Two sets of neurons of one language: their sizes, what they share, and the Jaccard index (0 to 1).

    ``jaccard`` = shared / (all of either); ``by_chance`` is its expectation for random sets of these sizes. Both are
    None where neither set has a neuron.
    """

    first: int
    second: int
    shared: int
    jaccard: float | None
    by_chance: float | None


def agreement(first: NeuronMask, second: NeuronMask, language: str) -> Agreement:
    """How far two masks of one model agree on a language; ValueError if they are of different models."""
    if (first.model, first.layers, first.neurons_per_layer) != (second.model, second.layers, second.neurons_per_layer):
        raise ValueError(f"masks {first.method} and {second.method} are of different models; compare those of one")
    one, other = first.neurons(language), second.neurons(language)
    shared = sum(np.intersect1d(one[layer], other[layer]).size for layer in one.keys() & other.keys())
    sizes = first.count(language), second.count(language)
    either = sum(sizes) - shared
    expected = expected_jaccard(*sizes, first.layers * first.neurons_per_layer)
    return Agreement(*sizes, int(shared), shared / either if either else None, expected)


def expected_jaccard(first: int, second: int, neurons: int) -> float | None:
    """Expectation of the Jaccard index of two sets of ``first`` and ``second`` of ``neurons``, drawn independently.

    What they share is hypergeometric: the sum of P(i) i / (first + second - i) over i. None for two empty sets.
    """
    from scipy.stats import hypergeom

    if not 0 <= max(first, second) <= neurons or min(first, second) < 0:
        raise ValueError(
            f"sets of {first} and {second} of {neurons} neurons cannot be; write sizes from 0 to {neurons}"
        )
    if not first + second:
        return None
    shared = np.arange(max(0, first + second - neurons), min(first, second) + 1)
    return float((hypergeom.pmf(shared, neurons, first, second) * shared / (first + second - shared)).sum())
