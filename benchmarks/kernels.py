"""What the kernels of a CPU cost alone, side by side in one run: nanoseconds per value, on one core.

    PYTHONPATH=src python benchmarks/kernels.py [--rounds N] [--json FILE]

Of 2,048 tokens and 1,536 neurons: counting each value (histogram, exact sums, extremes), and selecting a percentile of
every neuron. Numba's and torch's kernels take turns; times are of this process's CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from measuring import Figure, finish, machine, ratio, said_of

from langneurons.activations import numba_kernel, numba_select, torch_kernel
from langneurons.activations.kernels import room

TOKENS, NEURONS = 2048, 1536
TARGETS = {"count": 2.0, "percentile": 4.0}  # torch / Numba, at least


def ways_of(dtype: torch.dtype) -> dict[str, Callable]:
    z = (torch.randn(TOKENS, NEURONS, generator=torch.Generator().manual_seed(0)) * 1.5).to(dtype)
    buffers, rank = room(NEURONS, z.device), int(0.9 * (TOKENS - 1))
    return {
        "count, Numba": lambda: numba_kernel.count(z, *buffers),
        "count, torch": lambda: torch_kernel.count_on_cpu(z, *buffers),
        "percentile, Numba": lambda: numba_select.select(z, [rank]),
        "percentile, torch": lambda: torch_kernel.select(z, [rank]),
    }


def compare(dtype: torch.dtype, rounds: int) -> tuple[list[Figure], dict[str, float]]:
    """Ratios of one data type, and nanoseconds per value by kernel."""
    ways, name = ways_of(dtype), str(dtype).removeprefix("torch.")
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            ways[way]()
            if turn:  # the first compiles
                taken[way].append((time.process_time() - start) * 1e9 / (TOKENS * NEURONS))
    found = {way: statistics.median(values) for way, values in taken.items()}
    print(f"\n{name}: " + ", ".join(f"{way} {value:.2f} ns per value" for way, value in found.items()))
    figures = [
        ratio(f"{name}: {what}, torch / Numba", taken[f"{what}, torch"], taken[f"{what}, Numba"], "at least", target)
        for what, target in TARGETS.items()
    ]
    return figures, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(said_of(machine()))
    figures, found = [], {}
    for dtype in (torch.bfloat16, torch.float32):
        own, found[str(dtype)] = compare(dtype, arguments.rounds)
        figures += own
    return finish(figures, arguments.json, ns_per_value=found)


if __name__ == "__main__":
    sys.exit(main())
