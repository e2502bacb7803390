"""What counting every neuron costs, side by side in one run: the bare pass, the collector, and two other ways.

    PYTHONPATH=src python benchmarks/activations.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--json FILE]

(a) bare: the decoder's forward pass over the blocks, nothing else.
(b) collector: ``langneurons.activations.collector.collect`` on the same blocks, with the same batches.
(c) reference: the same pass keeping every layer's z; of each batch mean, standard deviation and seven torch.quantile a
    layer, on the host.
(d) positives: the same pass counting, of each neuron, the tokens above zero: all that LAPE needs, and no percentile.
(e) percentiles: (b) with all percentiles of every batch as well.

They take turns within a round, in another order each round, so that a disturbance strikes all of them. A ratio is the
median of the rounds' ratios with its interval: of wall time on a GPU, on a CPU of this process's CPU time, which other
processes disturb less. The wider the model, the more its pass outweighs what else is done: the ratios shrink. Peak
memory is what a way holds at most beyond the model: on a GPU in the runs timed, on a CPU in a process of its own
(resident memory).
``--memory`` instead runs the collector over tokens and ten times the tokens, each in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapes
import torch
from measuring import Bound, Figure, exact, finish, highest_resident, machine, need_gpu, quiet, ratio, said_of

from langneurons.activations.collector import collect
from langneurons.models.neurons import find_neurons
from langneurons.runner.environment import keep_freed_memory

PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
QUANTILE_LIMIT = 2**24  # torch.quantile refuses larger inputs
GPU_MEMORY = 2.5  # GiB that the collector may hold beyond the model, at the shape of an 8B model


@dataclass(frozen=True)
class Shape:
    """A Llama, the blocks it reads, the ways that are measured, and the targets of ratios of two of them."""

    config: dict
    block: int
    batch: int  # blocks a pass
    batches: int
    targets: dict[tuple[str, str], tuple[Bound, float]]
    dtype: torch.dtype = torch.float32

    @property
    def ways(self) -> list[str]:
        return list(dict.fromkeys(["bare", "collector", *(way for pair in self.targets for way in pair)]))


def _targets(overhead: float, gain: float | None = None, percentiles: float | None = None) -> dict:
    found = {("collector", "bare"): ("at most", overhead)}
    found |= {("reference", "collector"): ("at least", gain)} if gain else {}
    return found | ({("percentiles", "bare"): ("at most", percentiles)} if percentiles else {})


SMOL = shapes.SMOLLM2 | {"num_hidden_layers": 6}
SHAPES = {
    "demo": Shape(shapes.DEMO, 64, 64, 8, _targets(1.15, 2.5)),
    "smollm2-bfloat16": Shape(SMOL, 512, 2, 2, _targets(1.25, percentiles=1.6), torch.bfloat16),
    "smollm2-float32": Shape(SMOL, 512, 2, 2, _targets(1.10)),
    "llama-3.1-8b-cut": Shape(shapes.LLAMA_8B_CUT, 512, 2, 1, _targets(1.10), torch.bfloat16),
    "llama-3.1-8b": Shape(shapes.LLAMA_8B, 512, 16, 4, _targets(1.10, 4.0), torch.bfloat16),
}
SHAPES_OF = {"cpu": ["demo", "smollm2-bfloat16", "smollm2-float32"], "cuda": ["llama-3.1-8b"]}


def build(shape: Shape, device: str) -> torch.nn.Module:
    """A Llama of random weights."""
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **shape.config, tie_word_embeddings=False, initializer_range=shape.config["hidden_size"] ** -0.5
    )
    config._attn_implementation = "sdpa"
    with shapes.made_in(shape.dtype, device):
        return LlamaForCausalLM(config).eval()


def blocks_of(shape: Shape, batches: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, shape.config["vocab_size"], (shape.batch * batches, shape.block), dtype=np.int32)


def forward(model: torch.nn.Module, blocks: np.ndarray, batch: int, after=None) -> None:
    """The decoder over all blocks; ``after`` is called after each pass."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(blocks), batch):
            ids = torch.from_numpy(blocks[start : start + batch].astype(np.int64)).to(device)
            model.model(input_ids=ids, use_cache=False)
            if after:
                after()


@contextlib.contextmanager
def hooked(layers, hook):
    """``hook(layer, z)`` at every gate's output."""

    def of(layer: int):
        return lambda module, args, z: hook(layer, z)

    handles = [site.gate.register_forward_hook(of(layer)) for layer, site in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def positives(model: torch.nn.Module, blocks: np.ndarray, batch: int) -> np.ndarray:
    """Tokens above zero of each neuron, int64 ``[L, D]``."""
    layers = find_neurons(model).layers
    device = next(model.parameters()).device
    counts = torch.zeros((len(layers), model.config.intermediate_size), dtype=torch.int64, device=device)

    def count(layer: int, z: torch.Tensor) -> None:
        counts[layer] += (z > 0).sum(dim=(0, 1))

    with hooked(layers, count):
        forward(model, blocks, batch)
    return counts.cpu().numpy()


def reference(model: torch.nn.Module, blocks: np.ndarray, batch: int) -> np.ndarray:
    """Mean over batches of each neuron's percentiles, mean and deviation within one, float64 ``[L, 9, D]``."""
    layers = find_neurons(model).layers
    kept: list[torch.Tensor] = []
    sums = np.zeros((len(layers), len(PERCENTILES) + 2, model.config.intermediate_size))
    levels = [percentile / 100 for percentile in PERCENTILES]

    def summarise() -> None:
        for layer, z in enumerate(kept):
            values = z.flatten(0, 1).float().cpu()  # [tokens, D]
            width = max(1, QUANTILE_LIMIT // len(values))
            parts = values.split(width, dim=1)
            for row, level in enumerate(levels):  # a call each, as there
                sums[layer, row] += torch.cat([torch.quantile(part, level, dim=0) for part in parts]).numpy()
            sums[layer, -2] += values.mean(dim=0).numpy()
            sums[layer, -1] += values.std(dim=0).numpy()
        kept.clear()

    with hooked(layers, lambda layer, z: kept.append(z)):
        forward(model, blocks, batch, summarise)
    return sums / (len(blocks) // batch)


def ways_of(model: torch.nn.Module, shape: Shape, blocks: np.ndarray) -> dict[str, Callable]:
    tokens = shape.batch * shape.block
    ways = {
        "bare": lambda: forward(model, blocks, shape.batch),
        "collector": lambda: collect(model, blocks, tokens),
        "reference": lambda: reference(model, blocks, shape.batch),
        "positives": lambda: positives(model, blocks, shape.batch),
        "percentiles": lambda: collect(model, blocks, tokens, PERCENTILES, 1, shape.block * (2048 // shape.block)),
    }
    return {way: ways[way] for way in shape.ways}


def compare(name: str, device: str, rounds: int) -> tuple[list[Figure], dict]:
    """Measure and print one shape: its ratios, and all that was measured."""
    shape = SHAPES[name]
    model = build(shape, device)
    blocks = blocks_of(shape, shape.batches)
    ways = ways_of(model, shape, blocks)
    print(f"\n{name}: {blocks.size} tokens, {shape.batch} x {shape.block} a pass, {device}, {rounds} rounds")
    taken: dict[str, list[float]] = {way: [] for way in ways}
    walls: dict[str, list[float]] = {way: [] for way in ways}
    extra = dict.fromkeys(ways, 0)
    for way in ways:
        if device == "cpu" or way != "reference":
            ways[way]()  # warm: allocators and compilation
    gc.collect()
    for turn in range(rounds):
        order = list(ways)
        for way in order[turn % len(order) :] + order[: turn % len(order)]:
            wall, cpu, highest = timed(ways[way], device)
            taken[way].append(cpu if device == "cpu" else wall)
            walls[way].append(wall)
            extra[way] = max(extra[way], highest)
    if device == "cpu":
        extra = {way: in_a_process(name, device, way, shape.batches) for way in ways}
    print(f"  {'way':12s} {'median s':>9s} {'from':>8s} {'to':>8s} {'wall s':>8s} {'peak MiB':>9s}")
    for way, seconds in taken.items():
        print(
            f"  {way:12s} {statistics.median(seconds):9.3f} {min(seconds):8.3f} {max(seconds):8.3f} "
            f"{statistics.median(walls[way]):8.3f} {extra[way] / 2**20:9.1f}"
        )
    figures = [
        ratio(f"{name}: {one} / {other}", taken[one], taken[other], *target)
        for (one, other), target in shape.targets.items()
    ]
    if device == "cuda":
        figures.append(exact(f"{name}: collector's peak, GiB", extra["collector"] / 2**30, "at most", GPU_MEMORY))
    found = {"device": device, "tokens": int(blocks.size), "dtype": str(shape.dtype)}
    return figures, found | {"seconds": taken, "wall_seconds": walls, "peak_bytes": extra}


def timed(way, device: str) -> tuple[float, float, int]:
    """Seconds on the wall and of this process's CPUs, and on a GPU the bytes held at most beyond those it found."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    start, busy = time.perf_counter(), time.process_time()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter() - start, time.process_time() - busy
    return wall, cpu, torch.cuda.max_memory_allocated() - before if device == "cuda" else 0


def peak(name: str, device: str, way: str, batches: int) -> int:
    """Bytes that a way holds at most beyond the model, over ``batches`` batches; on a CPU, beyond one bare pass."""
    shape = SHAPES[name]
    model = build(shape, device)
    blocks = blocks_of(shape, batches)
    ways = ways_of(model, shape, blocks)
    if device == "cuda":
        return timed(ways[way], device)[2]
    if way != "bare":
        forward(model, blocks[: shape.batch], shape.batch)
    return highest_resident(ways[way])


def in_a_process(name: str, device: str, way: str, batches: int) -> int:
    """``peak`` in a process of its own."""
    command = [sys.executable, __file__, "--device", device, "--shape", name, "--peak", way, str(batches)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(name: str, device: str) -> tuple[list[Figure], dict]:
    """The memory of some tokens and of ten times as many."""
    shape = SHAPES[name]
    found = {}
    for batches in (4, 40):
        tokens = batches * shape.batch * shape.block
        found[tokens] = in_a_process(name, device, "collector", batches)
        print(f"{name}: {tokens:9d} tokens: {found[tokens] / 2**20:8.1f} MiB beyond the model")
    few, many = found.values()
    return [exact(f"{name}: memory of ten times the tokens", many / few, "at most", 1.1)], {"peak_bytes": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="(default: those of the device)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="memory at two numbers of tokens, instead of times")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.shape or SHAPES_OF[arguments.device]
    need_gpu(arguments.device)
    if arguments.peak:
        way, batches = arguments.peak
        print(peak(names[0], arguments.device, way, int(batches)))
        return 0
    keep_freed_memory()  # as every job does
    print(said_of(machine(arguments.device)))
    figures, found = [], {}
    with quiet():
        for name in names:
            measured = memory(name, arguments.device) if arguments.memory else None
            own, found[name] = measured or compare(name, arguments.device, arguments.rounds)
            figures += own
    return finish(figures, arguments.json, arguments.device, shapes=found)


if __name__ == "__main__":
    sys.exit(main())
