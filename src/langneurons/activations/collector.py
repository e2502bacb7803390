"""Counting the pre-activations of every neuron while a model reads packed blocks of tokens.

Counts stay on the model's device; what reaches the host is the finished counts. Only the decoder runs, and each pass
ends at the last layer's gate: neither that layer's down projection nor the head is computed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from langneurons.activations.batch_percentiles import BatchPercentiles
from langneurons.activations.kernels import kernel_for, selection_beside
from langneurons.activations.sketch import BINS, QUANTA, NeuronCounts, carry
from langneurons.models.neurons import NeuronSites, find_neurons
from langneurons.progress import Progress

log = logging.getLogger(__name__)

_INT32_MAX = 2**31 - 1
_DTYPES = {torch.float32: "float32", torch.float64: "float32", torch.bfloat16: "bfloat16"}  # as what they are counted
_MOST_TOKENS = {"cpu": 4096, "cuda": 16384}  # of a pass, by device: more are no faster


class _LastGateSeen(Exception):
    """Ends a forward pass: all gates have been counted."""


def collect(
    model: torch.nn.Module,
    blocks: np.ndarray,
    batch_tokens: int | None = None,
    batch_percentiles: tuple[float, ...] = (),
    every: int = 1,
    reference_tokens: int = 2048,
) -> NeuronCounts:
    """Count z, what every layer's gate (without a gate: its up projection) puts out, at every token of ``blocks``.

    ``blocks``: int32 ``[n, block]``, token ids, no padding; a block is read by itself. ``batch_tokens``: tokens a
    forward pass, rounded down to whole blocks but at least one; it changes the speed only (as far as the model's own
    arithmetic does not depend on the batch's size: the last bits of z, on most devices); None: as many blocks, a power
    of two, as fit half the free memory. ``batch_percentiles``: percentiles (0 to 100) also taken within each
    ``every``-th batch of ``reference_tokens`` consecutive tokens, the first included, and summed: numpy's linear
    interpolation, float64, as the paper's code does; a last batch that is not full is left out.

    On a GPU out of memory it starts again, once, with half the batch.

    ValueError for blocks, percentiles or a model that cannot be counted, and for a value that is NaN or infinite.
    RuntimeError if a gate did not fire exactly once a pass, if tokens are missing, or if layers put out different data
    types.
    """
    sites = find_neurons(model)
    decoder = _decoder(model)
    _check(model, decoder, blocks, batch_percentiles, every, reference_tokens)
    if batch_tokens is None:
        batch_tokens = _fitting_tokens(decoder, sites, blocks, batch_percentiles, reference_tokens)
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


def count_nothing(
    model: torch.nn.Module,
    batch_percentiles: tuple[float, ...] = (),
    every: int = 1,
    reference_tokens: int = 2048,
    dtype: str = "float32",
) -> NeuronCounts:
    """The counts of an empty shard, which merge with those of others, of ``dtype``; the model needs no weights."""
    sites = find_neurons(model)
    shape = (len(sites.layers), sites.neurons_per_layer)
    return NeuronCounts.empty(*shape, batch_percentiles, every, reference_tokens, dtype=dtype)


def _decoder(model: torch.nn.Module) -> Any:
    from transformers import PreTrainedModel

    return next(module for module in model.modules() if isinstance(module, PreTrainedModel)).base_model


def _check(
    model: torch.nn.Module,
    decoder: Any,
    blocks: np.ndarray,
    percentiles: Sequence[float],
    every: int,
    reference_tokens: int,
) -> None:
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


def _fitting_tokens(
    decoder: Any, sites: NeuronSites, blocks: np.ndarray, percentiles: Sequence[float], reference_tokens: int
) -> int:
    """Tokens a pass that need at most half of the memory left beside the counts."""
    weight = decoder.get_input_embeddings().weight
    width, bytes_each = sites.neurons_per_layer, weight.element_size()
    # Of a token: z, up, act and their product in a layer's MLP; some vectors of the hidden size beside and before it.
    token = (4 * width + 16 * weight.shape[1]) * bytes_each
    taken = len(sites.layers) * width * (BINS * 4 + 2 * len(QUANTA) * 8 + 8)
    taken += width * weight.shape[1] * 4  # one matrix of weights in full, of 4-bit ones
    if percentiles:
        taken += len(sites.layers) * width * reference_tokens * bytes_each  # of a batch begun in an earlier pass
    free = _free_memory(weight.device)
    most = min(_MOST_TOKENS.get(weight.device.type, _MOST_TOKENS["cpu"]), blocks.size)
    fitting = max(1, min(most, (free - taken) // 2 // token) // blocks.shape[1])
    tokens = (1 << (fitting.bit_length() - 1)) * blocks.shape[1]
    log.info("%d tokens a pass: %.1f GiB are free, a token takes %d bytes", tokens, free / 2**30, token)
    return tokens


def _free_memory(device: torch.device) -> int:
    """Bytes that can be had on the device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _batch(blocks: np.ndarray, device: torch.device) -> torch.Tensor:
    """Token ids on the device, int64; a GPU gets them from pinned memory, without the host waiting for it."""
    ids = torch.from_numpy(np.ascontiguousarray(blocks, dtype=np.int32))
    if device.type == "cuda":
        ids = ids.pin_memory().to(device, non_blocking=True)
    return ids.long()


def _collect(
    decoder: Any,
    sites: NeuronSites,
    blocks: np.ndarray,
    size: int,
    percentiles: Sequence[float],
    every: int,
    reference: int,
) -> NeuronCounts:
    """One attempt, with ``size`` blocks per forward pass."""
    device = next(decoder.parameters()).device
    layers = len(sites.layers)
    counter = _Counter(layers, sites.neurons_per_layer, device)
    settings = (percentiles, every, reference, selection_beside(counter.kernel))
    batches = BatchPercentiles(layers, sites.neurons_per_layer, device, blocks.shape, *settings)
    fired: list[int] = []  # layers, in the order their gates fired in this pass
    start = 0  # first block of this pass

    def hook(layer: int) -> Callable:
        def count(module: torch.nn.Module, args: tuple, output: torch.Tensor) -> None:
            z = output[..., sites.layers[layer].gate_columns]
            if z.ndim == 2:  # opt's layers flatten blocks and tokens into one dimension
                z = z.unflatten(0, batch.shape)
            # z: [blocks, block, D]
            fired.append(layer)
            counter.count(layer, z)
            batches.count(layer, z, start)
            if layer == layers - 1:
                raise _LastGateSeen

        return count

    handles = [site.gate.register_forward_hook(hook(layer)) for layer, site in enumerate(sites.layers)]
    try:
        with torch.inference_mode(), Progress(blocks.size, "tokens", "collect") as done:
            for start in range(0, len(blocks), size):
                batch = _batch(blocks[start : start + size], device)
                counter.expect(batch.numel())
                fired.clear()
                with contextlib.suppress(_LastGateSeen):
                    decoder(input_ids=batch, use_cache=False)
                if fired != list(range(layers)):
                    raise RuntimeError(
                        f"gates fired in layers {fired}, expected 0 to {layers - 1} once each: the forward does not "
                        "call the modules in models/architectures.py (a fused kernel, or gradient checkpointing?)"
                    )
                done(batch.numel())
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
        self.kernel = kernel_for(device)
        self.histogram = torch.zeros((layers, neurons * BINS), dtype=torch.int32, device=device)
        self.moments = torch.zeros((2, len(QUANTA), layers, neurons), dtype=torch.float64, device=device)
        self.minimum = torch.full((layers, neurons), torch.inf, device=device)
        self.maximum = torch.full((layers, neurons), -torch.inf, device=device)
        self.seen = [0] * layers  # tokens counted
        self.held = 0  # tokens in `histogram`
        self.dtype: torch.dtype | None = None  # of z
        self.moved: np.ndarray | None = None  # int64, those moved before

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
        self.dtype = self.dtype or z.dtype
        if z.dtype not in _DTYPES or z.dtype != self.dtype:
            other = "" if z.dtype == self.dtype else f", in other layers {self.dtype}"
            raise RuntimeError(f"layer {layer}: z is {z.dtype}{other}; load the whole model in float32 or bfloat16")
        values = z.flatten(0, 1)
        self.seen[layer] += len(values)
        self.kernel(values, self.histogram[layer], self.moments[:, :, layer], self.minimum[layer], self.maximum[layer])

    def counts(self, tokens: int) -> NeuronCounts:
        """The counts on the host; RuntimeError unless every layer saw ``tokens`` tokens, ValueError unless finite."""
        short = [layer for layer, seen in enumerate(self.seen) if seen != tokens]
        if short:
            raise RuntimeError(f"layers {short} counted {[self.seen[i] for i in short]} tokens, {tokens} were read")
        minimum, maximum = self.minimum.cpu().numpy(), self.maximum.cpu().numpy()
        broken = np.argwhere(~(np.isfinite(minimum) & np.isfinite(maximum)))
        if len(broken):
            raise ValueError(
                f"{len(broken)} neurons took NaN or infinite values, the first in layer {broken[0][0]}, neuron "
                f"{broken[0][1]}; check the snapshot, or load the model in another dtype"
            )
        histogram = self.histogram.cpu().numpy()
        if self.moved is not None:
            histogram = self.moved + histogram
            if tokens <= _INT32_MAX:
                histogram = histogram.astype(np.int32)
        shape = (self.layers, self.neurons, BINS)
        moments = carry(self.moments.cpu().numpy())
        return NeuronCounts(
            tokens, moments, minimum, maximum, histogram.reshape(shape), dtype=_DTYPES[self.dtype or torch.float32]
        )
