"""A language's counts of an 8B model (458,752 neurons) as a file: its size, the time and the memory to read it.

    PYTHONPATH=src python benchmarks/storage.py [--layers 32] [--neurons 14336] [--tokens 100000000]

Synthetic counts: each neuron's values are normal with a mean and a spread of its own, so a histogram has some hundred
filled bins and every count its own noise, which no encoding can shrink: what is printed as noise is the entropy of
Poisson counts, and it grows with the tokens (ten times the tokens, 1.7 bits more a bin).

They are written by ``write_counts``; another process, with two threads, reads them with ``read_counts`` and makes the
table of statistics with seven percentiles. Run it under ``taskset -c 0,1`` to hold all of it to two cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import exact, finish

from langneurons.activations.sketch import BINS, LOWER, UPPER, NeuronCounts, carry, split
from langneurons.activations.statistics import summarize
from langneurons.activations.storage import read_counts, write_counts

PERCENTILES = [5, 10, 25, 50, 75, 90, 95]
SIZE, SECONDS, MEMORY = 400e6, 60.0, 3 * 2**30  # at most


def synthetic(layers: int, neurons: int, tokens: int) -> NeuronCounts:
    """Counts of normal values: of each bin the number expected, give or take its Poisson noise."""
    from scipy.special import ndtr

    rng = np.random.default_rng(0)
    counts = NeuronCounts.empty(layers, neurons, tokens=tokens)
    counts.tokens = tokens
    edges = np.append(LOWER[0], UPPER)  # of the bins; zero's has no width
    for layer in range(layers):
        mean, spread = rng.normal(-0.3, 0.4, neurons), rng.lognormal(-0.7, 0.5, neurons)
        for start in range(0, neurons, 1024):
            own = slice(start, start + 1024)
            share = np.diff(ndtr((edges - mean[own, None]) / spread[own, None]), axis=1).clip(0)
            expected = share * tokens
            drawn = rng.poisson(expected)
            drawn[np.arange(len(drawn)), expected.argmax(axis=1)] += tokens - drawn.sum(axis=1)
            counts.histogram[layer, own] = drawn
        counts.minimum[layer], counts.maximum[layer] = extremes(counts.histogram[layer])
        terms = np.stack([mean, mean**2 + spread**2]) * tokens
        counts.moments[:, :, layer] = split(terms + rng.normal(0, 1e-3, terms.shape)).swapaxes(0, 1)
    counts.moments = carry(counts.moments)
    return counts


def extremes(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A value within each neuron's first and last bin that are not empty."""
    filled = histogram != 0
    middle = (np.maximum(LOWER, -(2.0**12)) + np.minimum(UPPER, 2.0**12)) / 2
    return middle[filled.argmax(axis=1)], middle[BINS - 1 - filled[:, ::-1].argmax(axis=1)]


def read(path: str) -> None:
    start = time.perf_counter()
    counts, _ = read_counts(path)
    between = time.perf_counter()
    (rows,) = {summarize(counts, f"p{q:g}").num_rows for q in PERCENTILES}
    end = time.perf_counter()
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(rows, between - start, end - between, highest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--neurons", type=int, default=14336)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.parquet"
        counts = synthetic(arguments.layers, arguments.neurons, arguments.tokens)
        filled = np.mean([(layer != 0).sum(axis=1).mean() for layer in counts.histogram])
        print(f"{counts.minimum.size} neurons, {counts.tokens} tokens, {filled:.0f} filled bins per neuron")
        noise = sum(np.log2(2 * np.pi * np.e * layer[layer > 3]).sum() / 16 for layer in counts.histogram)
        print(f"noise alone: {noise / 1e6:.0f} MB")
        start = time.perf_counter()
        write_counts(path, counts, {"model": "synthetic", "language": "xx", "shards": ["0"]})
        print(f"written in {time.perf_counter() - start:.1f} s")
        del counts
        size = path.stat().st_size
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "2")
        command = [sys.executable, __file__, "--read", str(path)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, env={**threads, **os.environ})
    rows, reading, summing, highest = (float(word) for word in run.stdout.split())
    print(f"read in {reading:.1f} s, {rows:.0f} rows of statistics in {summing:.1f} s")
    figures = [
        exact("size, MB", size / 1e6, "at most", SIZE / 1e6),
        exact("reading and summing, s", reading + summing, "at most", SECONDS),
        exact("memory to read, GiB", highest / 2**30, "at most", MEMORY / 2**30),
    ]
    return finish(figures, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
