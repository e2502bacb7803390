"""Counting the pre-activations of every neuron while a model reads packed blocks of tokens.

Counts stay on the model's device; what reaches the host is the finished counts. Only the decoder runs, and each pass
ends at the last layer's gate: neither that layer's down projection nor the head is computed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

import numpy as np
import torch

from langneurons.activations.sketch import BATCH_QUANTUM, BINS, KEY_OFFSET, QUANTA, SHIFT, ZERO_BIN, NeuronCounts
from langneurons.models.neurons import NeuronSites, find_neurons

log = logging.getLogger(__name__)

# What one step works on. On a CPU it should fit the cache (measured: 2,048 x 512 values is 8 times faster a value than
# 8,192 x 512); on a GPU it bounds temporary memory, about 40 bytes a value.
_CPU_TOKENS, _CPU_NEURONS = 2048, 512
_GPU_VALUES = 2**25
_INT32_MAX = 2**31 - 1


class _LastGateSeen(Exception):
    """Ends a forward pass: all gates have been counted."""


def collect(
    model: torch.nn.Module,
    blocks: np.ndarray,
    batch_tokens: int,
    batch_percentiles: tuple[float, ...] = (),
    every: int = 1,
    reference_tokens: int = 2048,
) -> NeuronCounts:
    """Count z, the output of every layer's gate, at every token of ``blocks``.

    ``blocks``: int32 ``[n, block]``, token ids, no padding; a block is read by itself. ``batch_tokens``: tokens a
    forward pass, rounded down to whole blocks but at least one; it changes the speed only (as far as the model's own
    arithmetic does not depend on the batch's size). ``batch_percentiles``: percentiles (0 to 100) also taken within
    each ``every``-th batch of ``reference_tokens`` consecutive tokens, the first included, and summed: numpy's linear
    interpolation, float64, as the paper's code does; a last batch that is not full is left out.

    On a GPU out of memory it starts again, once, with half the batch.

    ValueError for blocks, percentiles or a model that cannot be counted. RuntimeError if a gate did not fire exactly
    once a pass, if tokens are missing, or if a value is NaN or infinite.
    """
    sites = find_neurons(model)
    decoder = _decoder(model)
    _check(model, decoder, blocks, batch_percentiles, every, reference_tokens)
    size = max(1, batch_tokens // blocks.shape[1])
    settings = (batch_percentiles, every, reference_tokens)
    try:
        return _collect(decoder, sites, blocks, size, *settings)
    except torch.OutOfMemoryError:
        if size == 1:
            raise
        log.warning("out of GPU memory with %d blocks a pass: starting again with %d", size, size // 2)
    # Outside the handler, so that the exception no longer holds the first attempt's tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return _collect(decoder, sites, blocks, size // 2, *settings)


def _decoder(model: torch.nn.Module) -> torch.nn.Module:
    from transformers import PreTrainedModel

    return next(module for module in model.modules() if isinstance(module, PreTrainedModel)).base_model


def _check(model, decoder, blocks: np.ndarray, percentiles, every: int, reference_tokens: int) -> None:
    if blocks.ndim != 2 or not blocks.size or not np.issubdtype(blocks.dtype, np.integer):
        raise ValueError(f"blocks are {blocks.dtype} {blocks.shape}; give token ids as integers [blocks, tokens]")
    if model.training:
        raise ValueError("the model is in training mode, where dropout changes its values; call model.eval() first")
    vocabulary = decoder.get_input_embeddings().num_embeddings
    if blocks.min() < 0 or blocks.max() >= vocabulary:
        raise ValueError(
            f"blocks hold token ids {blocks.min()} to {blocks.max()}, the model has 0 to {vocabulary - 1}; "
            "pack the text with this model's tokenizer"
        )
    if not all(0 <= q <= 100 for q in percentiles):
        raise ValueError(f"batch_percentiles are {list(percentiles)}; write numbers from 0 to 100")
    if every < 1:
        raise ValueError(f"every is {every}; write 1 for every batch, or n for every n-th")
    block = blocks.shape[1]
    if percentiles and (reference_tokens < block or reference_tokens % block):
        raise ValueError(f"reference_tokens is {reference_tokens}; write a multiple of the block, {block} tokens")


def _collect(decoder, sites: NeuronSites, blocks: np.ndarray, size: int, percentiles, every, reference) -> NeuronCounts:
    """One attempt, with ``size`` blocks a forward pass."""
    device = next(decoder.parameters()).device
    layers = len(sites.layers)
    counter = _Counter(layers, sites.neurons_per_layer, device)
    batches = _BatchPercentiles(layers, sites.neurons_per_layer, device, blocks.shape, percentiles, every, reference)
    fired: list[int] = []  # layers, in the order their gates fired in this pass
    start = 0  # first block of this pass

    def hook(layer: int) -> Callable:
        def count(module, args, z: torch.Tensor) -> None:
            # z: [blocks, block, D]
            fired.append(layer)
            counter.count(layer, z)
            batches.count(layer, z, start)
            if layer == layers - 1:
                raise _LastGateSeen

        return count

    handles = [site.gate.register_forward_hook(hook(layer)) for layer, site in enumerate(sites.layers)]
    try:
        with torch.inference_mode():
            for start in range(0, len(blocks), size):
                batch = torch.from_numpy(blocks[start : start + size].astype(np.int64)).to(device)
                counter.expect(batch.numel())
                fired.clear()
                with contextlib.suppress(_LastGateSeen):
                    decoder(input_ids=batch, use_cache=False)
                if fired != list(range(layers)):
                    raise RuntimeError(
                        f"gates fired in layers {fired}, expected 0 to {layers - 1} once each: the forward does not "
                        "call the modules in models/neurons.py (a fused kernel, or gradient checkpointing?)"
                    )
    finally:
        for handle in handles:
            handle.remove()
    counts = counter.counts(blocks.size)
    if percentiles:
        counts.percentiles, counts.every, counts.reference_tokens = tuple(percentiles), every, reference
        counts.batches, counts.sums = batches.number, batches.sums.cpu().numpy()
    return counts


class _Counter:
    """Counts on the device: the histogram in int32, moved to int64 on the host before a bin could overflow."""

    def __init__(self, layers: int, neurons: int, device: torch.device, limit: int = _INT32_MAX) -> None:
        self.layers, self.neurons, self.limit = layers, neurons, limit
        self.histogram = torch.zeros((layers, neurons * BINS), dtype=torch.int32, device=device)
        self.moments = torch.zeros((2, len(QUANTA), layers, neurons), dtype=torch.float64, device=device)
        self.minimum = torch.full((layers, neurons), torch.inf, device=device)
        self.maximum = torch.full((layers, neurons), -torch.inf, device=device)
        self.seen = [0] * layers  # tokens counted
        self.held = 0  # tokens in `histogram`
        self.moved: np.ndarray | None = None  # int64, those moved before
        self.on_cpu = device.type == "cpu"
        # bin of a neuron's zero in its layer's histogram
        self.zeros = torch.arange(neurons, dtype=torch.int32, device=device) * BINS + ZERO_BIN

    def expect(self, tokens: int) -> None:
        """Make room for ``tokens`` more."""
        if self.held + tokens > self.limit and self.held:
            counted = self.histogram.cpu().numpy()
            self.moved = counted.astype(np.int64) if self.moved is None else self.moved + counted
            self.histogram.zero_()
            self.held = 0
        self.held += tokens

    def count(self, layer: int, z: torch.Tensor) -> None:
        if z.ndim != 3 or z.shape[2] != self.neurons:
            raise RuntimeError(
                f"layer {layer}: z has shape {tuple(z.shape)}, expected [blocks, tokens, {self.neurons}]"
            )
        blocks, tokens, neurons = z.shape
        self.seen[layer] += blocks * tokens
        width = _CPU_NEURONS if self.on_cpu else neurons
        height = max(1, (_CPU_TOKENS if self.on_cpu else _GPU_VALUES // neurons) // tokens)
        for column in range(0, neurons, width):
            for part in z[:, :, column : column + width].split(height):
                self._count(layer, slice(column, column + width), part.float().contiguous())

    def _count(self, layer: int, own: slice, z: torch.Tensor) -> None:
        """``z``: float32 ``[blocks, tokens, neurons of own]``, contiguous."""
        width = z.shape[2]
        bins = _bins(z).add_(self.zeros[:width]).view(-1)
        histogram = self.histogram[layer, own.start * BINS : (own.start + width) * BINS]
        if self.on_cpu:
            histogram += torch.bincount(bins, minlength=width * BINS).int()
        else:
            histogram.scatter_add_(0, bins.long(), torch.ones((), dtype=torch.int32, device=z.device).expand(len(bins)))
        self.minimum[layer, own] = torch.minimum(self.minimum[layer, own], z.amin((0, 1)) + 0.0)  # + 0: no -0
        self.maximum[layer, own] = torch.maximum(self.maximum[layer, own], z.amax((0, 1)) + 0.0)
        wide = z.double()
        rest = torch.stack([wide.sum(1), wide.square_().sum(1)])  # [2, blocks, neurons]: a term of the sums a block
        for limb, quantum in enumerate(QUANTA):
            multiple = (rest / quantum).round_() * quantum
            self.moments[:, limb, layer, own] += multiple.sum(1)
            rest -= multiple

    def counts(self, tokens: int) -> NeuronCounts:
        """The counts on the host; RuntimeError unless every layer saw ``tokens`` tokens, all finite."""
        short = [layer for layer, seen in enumerate(self.seen) if seen != tokens]
        if short:
            raise RuntimeError(f"layers {short} counted {[self.seen[i] for i in short]} tokens, {tokens} were read")
        minimum, maximum = self.minimum.cpu().numpy(), self.maximum.cpu().numpy()
        broken = np.argwhere(~(np.isfinite(minimum) & np.isfinite(maximum)))
        if len(broken):
            raise RuntimeError(
                f"{len(broken)} neurons took NaN or infinite values, the first in layer {broken[0][0]}, neuron "
                f"{broken[0][1]}; check the snapshot, or load the model in another dtype"
            )
        histogram = self.histogram.cpu().numpy()
        if self.moved is not None:
            histogram = self.moved + histogram
            if tokens <= _INT32_MAX:
                histogram = histogram.astype(np.int32)
        shape = (self.layers, self.neurons, BINS)
        return NeuronCounts(tokens, self.moments.cpu().numpy(), minimum, maximum, histogram.reshape(shape))


def _bins(z: torch.Tensor) -> torch.Tensor:
    """The bin of each float32 less that of zero, int32, by its bits; in place where possible: memory is the cost."""
    bits = z.view(torch.int32)
    magnitude = bits & 0x7FFFFFFF
    key = (magnitude >> SHIFT).sub_(KEY_OFFSET).clamp_(1, ZERO_BIN)
    key.clamp_(max=magnitude)  # 0 for zero; any other magnitude's bits are at least 1
    sign = torch.bitwise_right_shift(bits, 31, out=magnitude)  # 0, or -1 if negative
    return key.bitwise_xor_(sign).sub_(sign)


class _BatchPercentiles:
    """Sums of each neuron's percentiles within batches of a fixed number of tokens, however the passes cut them."""

    def __init__(self, layers, neurons, device, shape, percentiles, every, reference_tokens) -> None:
        self.percentiles, self.every = percentiles, every
        self.span = max(1, reference_tokens // shape[1])  # blocks a batch
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
        width = max(1, _GPU_VALUES // len(values))
        for column in range(0, values.shape[1], width):
            ordered = values[:, column : column + width].t().float().contiguous().sort(1).values
            for i, q in enumerate(self.percentiles):
                rank = (len(values) - 1) * (q / 100)
                low = ordered[:, int(rank)].double()
                high = ordered[:, min(int(rank) + 1, len(values) - 1)].double()
                exact = low + (high - low) * (rank - int(rank))
                self.sums[i, layer, column : column + width] += (exact / BATCH_QUANTUM).round() * BATCH_QUANTUM
