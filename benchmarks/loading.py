"""Loading a 4-bit model: quantising at each load, or its 4-bit weights made once; side by side in one run.

    PYTHONPATH=src python benchmarks/loading.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--json FILE]

What a job does before its work: the model on the device, and the digest of its snapshot. Both ways take turns, in
another order each round; the files are in the disk's cache, so what is saved is work and reading it from there. The
ratio is the median of the rounds' ratios. On a CPU the times are those of the processor, which a busy machine disturbs
less than the clock on the wall.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import shapes
import torch
from measuring import Figure, finish, machine, need_gpu, ratio, said_of

from langneurons.models.loading import load_base, snapshot_digest
from langneurons.models.quantized import write_quantized

SHAPES = {
    "demo": shapes.DEMO,
    "small": shapes.sizes(4, 512, 1536, 8, 4, 4096),
    "llama-3.1-8b": shapes.LLAMA_8B,
}
SHAPE_OF = {"cpu": "small", "cuda": "llama-3.1-8b"}
GAIN = 1.0  # at least


def write_snapshot(shape: str, folder: Path, device: str) -> None:
    """A Llama with random bfloat16 weights, and empty files of a tokenizer, which a snapshot needs."""
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    with shapes.made_in(torch.bfloat16, device):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape]))
    model.save_pretrained(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}", encoding="utf-8")


def timed(folder: Path, device: str) -> float:
    """Seconds until the model is on the device and its digest known."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    model = load_base(folder, "causal", "nf4", "bfloat16", device)
    snapshot_digest(folder)
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = clock() - start
    del model
    gc.collect()
    return seconds


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def compare(shape: str, device: str, rounds: int) -> tuple[list[Figure], dict]:
    """Measure one shape: its ratio, and all that was measured."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"at each load": Path(scratch) / "original", "once": Path(scratch) / "quantized"}
        write_snapshot(shape, folders["at each load"], device)
        gc.collect()
        start = time.perf_counter()
        write_quantized(folders["at each load"], folders["once"], "nf4", "bfloat16")
        writing = time.perf_counter() - start
        taken: dict[str, list[float]] = {way: [] for way in folders}
        for folder in folders.values():
            timed(folder, device)  # warm: imports, the disk's cache
        for turn in range(rounds):
            for way in list(folders)[:: 1 if turn % 2 else -1]:
                taken[way].append(timed(folders[way], device))
        sizes = {way: size(folder) for way, folder in folders.items()}
    print(f"\n{shape}, {device}, {rounds} rounds; written in {writing:.1f} s")
    for way, seconds in taken.items():
        print(f"  quantised {way:13s}{statistics.median(seconds):9.3f} s{sizes[way] / 1e6:12.1f} MB of weights")
    found = {"device": device, "rounds": rounds, "write_seconds": writing, "seconds": taken, "bytes": sizes}
    return [ratio(f"{shape}: at each load / once", taken["at each load"], taken["once"], "at least", GAIN)], found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="(default: that of the device)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    arguments = parser.parse_args()
    need_gpu(arguments.device)
    from transformers.utils import logging

    logging.disable_progress_bar()
    print(said_of(machine(arguments.device)))
    shape = arguments.shape or SHAPE_OF[arguments.device]
    figures, found = compare(shape, arguments.device, arguments.rounds)
    return finish(figures, arguments.json, arguments.device, shapes={shape: found})


if __name__ == "__main__":
    sys.exit(main())
