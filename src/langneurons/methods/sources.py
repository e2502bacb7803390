"""What a method reads in its job: counts of activations and other methods' masks, each file verified."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from langneurons.artifacts.facts import compare
from langneurons.methods.mask import NeuronMask, read_masks

Paths = Sequence[str | os.PathLike]


class Sources:
    """The files of one identification.

    ``counts``: language -> its files of counts, which are added up: the merged one, or some of its shards. ``masks``:
    method -> its masks' files. All must be of one model (where given, of ``model_key``), and the counts of exactly
    these ``shards`` together. ``model`` and ``shape`` (layers, neurons per layer) are known once a file is read.

    Every reading method raises ValueError naming the file that is of another model, shape, language or method.
    """

    def __init__(
        self,
        counts: Mapping[str, Paths],
        masks: Mapping[str, Paths] | None = None,
        model_key: str | None = None,
        shards: Sequence[str] | None = None,
    ) -> None:
        self._counts, self._masks, self._shards = counts, masks or {}, shards
        self._wanted: dict[str, Any] = {} if model_key is None else {"model_key": model_key}
        self.model: str = ""
        self.shape: tuple[int, int] = (0, 0)

    def where(self, language: str) -> str:
        """The first file of a language's counts, for errors."""
        return os.fspath(self._counts[language][0])

    def active_share(self, language: str) -> np.ndarray:
        """``[L, D]``, share of the language's tokens at which each neuron is active (z > 0)."""
        from langneurons.activations.storage import read_positive

        active: np.ndarray = np.zeros((), np.int64)
        seen, held = 0, []
        for path in self._counts[language]:
            positive, tokens, metadata = read_positive(path, self._wanted | {"language": language})
            held += metadata["shards"]
            self._check(path, metadata["model"], positive.shape)
            active, seen = active + positive, seen + tokens
        if self._shards is not None:
            files = ", ".join(os.fspath(path) for path in self._counts[language])
            compare(files, {"shards": sorted(held)}, {"shards": sorted(self._shards)})
        if not seen:
            raise ValueError(
                f"{self.where(language)}: the counts of {language} are of no token; add text to its corpus"
            )
        return active / seen

    def counts(self, language: str) -> Any:
        """All counts of a language (``activations.sketch``), its histograms too."""
        from langneurons.activations.storage import sum_files

        expected = self._wanted | {"language": language} | ({} if self._shards is None else {"shards": self._shards})
        counts, metadata = sum_files(self._counts[language], expected)
        self._check(self.where(language), metadata["model"], counts.shape)
        return counts

    def mask(self, method: str) -> NeuronMask:
        """Another method's neurons, of the languages that its files hold."""
        mask = read_masks(self._masks[method], self._wanted | {"method": method})
        self._check(self._masks[method][0], mask.model, (mask.layers, mask.neurons_per_layer))
        return mask

    def _check(self, path: str | os.PathLike, digest: str, shape: tuple[int, int]) -> None:
        if not self.model:
            self.model, self.shape = digest, shape
        elif (digest, shape) != (self.model, self.shape):
            raise ValueError(f"{path}: of another model than the files before it; make them again from one model")
