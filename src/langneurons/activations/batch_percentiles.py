"""Percentiles within batches of tokens, added up: what the reference code averages."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from langneurons.activations.kernels import Selection
from langneurons.activations.sketch import BATCH_QUANTUM


class BatchPercentiles:
    """Sums of each neuron's percentiles within batches of a fixed number of tokens, however the passes cut them."""

    def __init__(
        self,
        layers: int,
        neurons: int,
        device: torch.device,
        shape: tuple[int, ...],
        percentiles: Sequence[float],
        every: int,
        reference_tokens: int,
        select: Selection,
    ) -> None:
        self.percentiles, self.every, self.select = percentiles, every, select
        self.span = max(1, reference_tokens // shape[1])  # blocks per batch
        self.full = shape[0] // self.span if percentiles else 0  # batches that are full
        self.number = -(-self.full // every)  # batches taken
        self.sums = torch.zeros((len(percentiles), layers, neurons), dtype=torch.float64, device=device)
        self.parts: list[list[torch.Tensor]] = [[] for _ in range(layers)]  # of a batch begun in an earlier pass

    def count(self, layer: int, z: torch.Tensor, start: int) -> None:
        """``z``: ``[blocks, tokens, D]``, from block ``start`` on."""
        stop = start + len(z)
        for batch in range(start // self.span, min(self.full, -(-stop // self.span))):
            if batch % self.every:
                continue
            begin, end = batch * self.span, (batch + 1) * self.span
            part = z[max(begin, start) - start : end - start]
            if end <= stop:
                self._add(layer, torch.cat([*self.parts[layer], part]) if begin < start else part)
                self.parts[layer].clear()
            else:
                self.parts[layer].append(part.clone())

    def _add(self, layer: int, values: torch.Tensor) -> None:
        values = values.flatten(0, 1)  # [reference_tokens, D]
        ranks = [(len(values) - 1) * (q / 100) for q in self.percentiles]
        low, high = (found.double() for found in self.select(values, [int(rank) for rank in ranks]))
        share = low.new_tensor([[rank - int(rank)] for rank in ranks])
        exact = low + (high - low) * share
        self.sums[:, layer] += (exact / BATCH_QUANTUM).round() * BATCH_QUANTUM
