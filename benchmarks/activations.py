"""What counting every neuron costs, side by side in one run: the bare pass, the collector, the reference's way.

    PYTHONPATH=src python benchmarks/activations.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--memory]

(a) bare: the decoder's forward pass over the blocks, nothing else.
(b) collector: ``langneurons.activations.collector.collect`` on the same blocks, with the same batches.
(c) reference: the same pass keeping every layer's z; of each batch torch.quantile and mean a neuron, on the host.

The three take turns within a round, in another order each round, so that a disturbance strikes all of them; the ratios
are of medians. The wider the model, the more its pass outweighs what else is done, in all three: both ratios shrink.
``--memory`` instead runs the collector over tokens and ten times the tokens, each in a process of its own, and prints
what each took at most beyond the model.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import torch

from langneurons.activations.collector import collect
from langneurons.models.neurons import find_neurons

PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
QUANTILE_LIMIT = 2**24  # torch.quantile refuses larger inputs


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


def reference(model: torch.nn.Module, blocks: np.ndarray, batch: int) -> np.ndarray:
    """Mean over batches of each neuron's percentiles and mean within a batch, float64 ``[L, 8, D]``."""
    layers = find_neurons(model).layers
    kept: list[torch.Tensor] = []
    sums = np.zeros((len(layers), len(PERCENTILES) + 1, model.config.intermediate_size))
    levels = torch.tensor(PERCENTILES, dtype=torch.float32) / 100

    def summarise() -> None:
        for layer, z in enumerate(kept):
            values = z.flatten(0, 1).float().cpu()  # [tokens, D]
            width = max(1, QUANTILE_LIMIT // len(values))
            parts = [torch.quantile(part, levels, dim=0) for part in values.split(width, dim=1)]
            sums[layer, :-1] += torch.cat(parts, dim=1).numpy()
            sums[layer, -1] += values.mean(dim=0).numpy()
        kept.clear()

    handles = [site.gate.register_forward_hook(lambda _, args, z: kept.append(z)) for site in layers]
    try:
        forward(model, blocks, batch, summarise)
    finally:
        for handle in handles:
            handle.remove()
    return sums / (len(blocks) // batch)


def compare(name: str, device: str, rounds: int) -> bool:
    """Measure one shape; whether it keeps its targets."""
    shape = SHAPES[name]
    model = build(shape, device)
    blocks = blocks_of(shape, shape.batches)
    tokens = shape.batch * shape.block
    ways = {
        "bare": lambda: forward(model, blocks, shape.batch),
        "collector": lambda: collect(model, blocks, tokens),
        "reference": lambda: reference(model, blocks, shape.batch),
    }
    print(f"\n{name}: {blocks.size} tokens, {shape.batch} x {shape.block} a pass, {device}, {rounds} rounds")
    taken: dict[str, list[float]] = {way: [] for way in ways}
    extra = dict.fromkeys(ways, 0)
    for way in ways.values() if device == "cpu" else list(ways.values())[:2]:
        way()  # warm: allocators, and on a GPU compilation
    gc.collect()
    for turn in range(rounds):
        order = list(ways)
        for way in order[turn % 3 :] + order[: turn % 3]:
            seconds, peak = timed(ways[way], device)
            taken[way].append(seconds)
            extra[way] = max(extra[way], peak)
    medians = {way: statistics.median(values) for way, values in taken.items()}
    for way, median in medians.items():
        memory = f", {extra[way] / 2**20:9.1f} MiB more at most" if device == "cuda" else ""
        spread = f"{min(taken[way]):.3f} to {max(taken[way]):.3f}"
        print(f"  {way:10s} {median:8.3f} s ({spread}), {blocks.size / median:10.0f} tokens/s{memory}")
    overhead, gain = medians["collector"] / medians["bare"], medians["reference"] / medians["collector"]
    kept = overhead <= shape.overhead and gain >= shape.gain
    print(f"  collector / bare      {overhead:6.3f}  (target: at most {shape.overhead})")
    print(f"  reference / collector {gain:6.2f}  (target: at least {shape.gain})")
    print(f"  {'kept' if kept else 'MISSED'}")
    return kept


def timed(way, device: str) -> tuple[float, int]:
    """Seconds, and on a GPU the bytes it held at most beyond those it found."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    start = time.perf_counter()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter() - start, torch.cuda.max_memory_allocated() - before
    return time.perf_counter() - start, 0


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


def peak(name: str, device: str, batches: int) -> int:
    """Bytes the collector holds at most beyond the model and one pass, over ``batches`` batches."""
    shape = SHAPES[name]
    model = build(shape, device)
    blocks = blocks_of(shape, batches)
    forward(model, blocks[: shape.batch], shape.batch)
    if device == "cuda":
        return timed(lambda: collect(model, blocks, shape.batch * shape.block), device)[1]
    before = resident()
    watch = _Watch()
    watch.start()
    collect(model, blocks, shape.batch * shape.block)
    watch.over.set()
    watch.join()
    return watch.highest - before


def memory(name: str, device: str) -> bool:
    """Print the memory of some tokens and of ten times as many; whether it stays."""
    shape = SHAPES[name]
    found = []
    for batches in (4, 40):
        command = [sys.executable, __file__, "--device", device, "--shape", name, "--peak", str(batches)]
        found.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        tokens = batches * shape.batch * shape.block
        print(f"{name}: {tokens:9d} tokens: {found[-1] / 2**20:8.1f} MiB beyond the model")
    ratio = found[1] / found[0]
    print(f"{name}: ratio {ratio:.2f} (target: at most 1.1)")
    return ratio <= 1.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="(default: those of the device)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="memory at two numbers of tokens, instead of times")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.shape or SHAPES_OF[arguments.device]
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU here: torch sees none; leave out --device cuda")
    if arguments.peak:
        print(peak(names[0], arguments.device, arguments.peak))
        return 0
    print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads")
    with contextlib.suppress(ImportError):
        import triton

        print(f"triton {triton.__version__}")
    measure = memory if arguments.memory else compare
    extra = () if arguments.memory else (arguments.rounds,)
    results = [measure(name, arguments.device, *extra) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
