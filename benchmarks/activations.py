"""What counting every neuron costs, side by side in one run: the bare pass, the collector, and two other ways.

    PYTHONPATH=src python benchmarks/activations.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--json FILE]

(a) bare: the decoder's forward pass over the blocks, nothing else.
(b) collector: ``langneurons.activations.collector.collect`` on the same blocks, with the same batches.
(c) reference: the same pass keeping every layer's z; of each batch mean, standard deviation and seven torch.quantile a
    layer, on the host.
(d) positives: the same pass counting, of each neuron, the tokens above zero: all that LAPE needs, and no percentile.

They take turns within a round, in another order each round, so that a disturbance strikes all of them. The ratios are
of medians: of wall time on a GPU, on a CPU of this process's CPU time, which other processes disturb less. The wider
the model, the more its pass outweighs what else is done: the ratios shrink. Peak memory is what a way holds at most
beyond the model: on a GPU in the runs timed, on a CPU in a process of its own (resident memory).
``--memory`` instead runs the collector over tokens and ten times the tokens, each in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from langneurons.activations.collector import collect
from langneurons.models.neurons import find_neurons
from langneurons.runner.environment import keep_freed_memory

PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
QUANTILE_LIMIT = 2**24  # torch.quantile refuses larger inputs
GPU_MEMORY = 2.5 * 2**30  # that the collector may hold beyond the model, at the shape of an 8B model


@dataclass(frozen=True)
class Shape:
    """A Llama, the blocks it reads, and what the ratios should be."""

    config: dict
    block: int
    batch: int  # blocks a pass
    batches: int
    overhead: float  # (b)/(a), at most
    gain: float  # (c)/(b), at least


def _config(layers: int, hidden: int, neurons: int, heads: int, key_value_heads: int, vocabulary: int) -> dict:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": neurons,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
    }


SHAPES = {
    "demo": Shape(_config(3, 128, 256, 4, 2, 4096), 64, 64, 8, 1.25, 2.5),
    "small": Shape(_config(4, 256, 1024, 8, 4, 8192), 128, 16, 3, 1.25, 2.5),
    "wide": Shape(_config(6, 512, 1536, 8, 4, 8192), 256, 8, 2, 1.25, 2.5),
    "llama-3.1-8b": Shape(_config(32, 4096, 14336, 32, 8, 128256), 512, 16, 4, 1.10, 4.0),
}
SHAPES_OF = {"cpu": ["demo", "small"], "cuda": ["llama-3.1-8b"]}


def build(shape: Shape, device: str) -> torch.nn.Module:
    """Random weights, made on the device: bfloat16 on a GPU, float32 on a CPU."""
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **shape.config, tie_word_embeddings=False, initializer_range=shape.config["hidden_size"] ** -0.5
    )
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)


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


def ways_of(model: torch.nn.Module, shape: Shape, blocks: np.ndarray) -> dict:
    return {
        "bare": lambda: forward(model, blocks, shape.batch),
        "collector": lambda: collect(model, blocks, shape.batch * shape.block),
        "reference": lambda: reference(model, blocks, shape.batch),
        "positives": lambda: positives(model, blocks, shape.batch),
    }


def compare(name: str, device: str, rounds: int) -> dict:
    """Measure and print one shape; what was found."""
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
            ways[way]()  # warm: allocators, and on a GPU compilation
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
    medians = {way: statistics.median(values) for way, values in taken.items()}
    print(f"  {'way':10s} {'median s':>9s} {'from':>8s} {'to':>8s} {'wall s':>8s} {'/ bare':>7s} {'peak MiB':>9s}")
    for way, median in medians.items():
        print(
            f"  {way:10s} {median:9.3f} {min(taken[way]):8.3f} {max(taken[way]):8.3f} "
            f"{statistics.median(walls[way]):8.3f} {median / medians['bare']:7.3f} {extra[way] / 2**20:9.1f}"
        )
    overhead, gain = medians["collector"] / medians["bare"], medians["reference"] / medians["collector"]
    kept = overhead <= shape.overhead and gain >= shape.gain
    print(f"  collector / bare      {overhead:6.3f}  (target: at most {shape.overhead})")
    print(f"  reference / collector {gain:6.2f}  (target: at least {shape.gain})")
    if device == "cuda":
        kept &= extra["collector"] <= GPU_MEMORY
        print(f"  collector's peak      {extra['collector'] / 2**30:6.2f} GiB (target: at most {GPU_MEMORY / 2**30})")
    print(f"  {'kept' if kept else 'MISSED'}")
    return {
        "shape": name,
        "device": device,
        "tokens": int(blocks.size),
        "seconds": taken,
        "wall_seconds": walls,
        "peak_bytes": extra,
        "collector_over_bare": overhead,
        "reference_over_collector": gain,
        "positives_over_bare": medians["positives"] / medians["bare"],
        "kept": bool(kept),
    }


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


class _Watch(threading.Thread):
    """The highest resident memory of this process while it runs, looked at every 2 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.highest = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.002):
            self.highest = max(self.highest, resident())


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


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
    before = resident()
    watch = _Watch()
    watch.start()
    ways[way]()
    watch.over.set()
    watch.join()
    return max(0, watch.highest - before)


def in_a_process(name: str, device: str, way: str, batches: int) -> int:
    """``peak`` in a process of its own."""
    command = [sys.executable, __file__, "--device", device, "--shape", name, "--peak", way, str(batches)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(name: str, device: str) -> dict:
    """Print the memory of some tokens and of ten times as many."""
    shape = SHAPES[name]
    found = {}
    for batches in (4, 40):
        tokens = batches * shape.batch * shape.block
        found[tokens] = in_a_process(name, device, "collector", batches)
        print(f"{name}: {tokens:9d} tokens: {found[tokens] / 2**20:8.1f} MiB beyond the model")
    few, many = found.values()
    print(f"{name}: ratio {many / few:.2f} (target: at most 1.1)")
    return {"shape": name, "device": device, "peak_bytes": found, "ratio": many / few, "kept": many / few <= 1.1}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="(default: those of the device)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="memory at two numbers of tokens, instead of times")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.shape or SHAPES_OF[arguments.device]
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU here: torch sees none; leave out --device cuda")
    if arguments.peak:
        way, batches = arguments.peak
        print(peak(names[0], arguments.device, way, int(batches)))
        return 0
    keep_freed_memory()  # as every job does
    print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads")
    with contextlib.suppress(ImportError):
        import triton

        print(f"triton {triton.__version__}")
    measure = memory if arguments.memory else compare
    extra = () if arguments.memory else (arguments.rounds,)
    results = [measure(name, arguments.device, *extra) for name in names]
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if all(result["kept"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
