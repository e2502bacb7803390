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
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from langneurons.models.loading import load_base, snapshot_digest
from langneurons.models.quantized import write_quantized


def _config(layers: int, hidden: int, neurons: int, heads: int, key_value_heads: int, vocabulary: int) -> dict:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": neurons,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
    }


SHAPES = {
    "demo": _config(3, 128, 256, 4, 2, 3072),
    "small": _config(4, 512, 1536, 8, 4, 4096),
    "llama-3.1-8b": _config(32, 4096, 14336, 32, 8, 128256),
}
SHAPE_OF = {"cpu": "small", "cuda": "llama-3.1-8b"}


def write_snapshot(shape: str, folder: Path, device: str) -> None:
    """A Llama with random bfloat16 weights, and empty files of a tokenizer, which a snapshot needs."""
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape]))
    finally:
        torch.set_default_dtype(before)
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


def compare(shape: str, device: str, rounds: int) -> dict:
    """Measure one shape: everything that is printed and written."""
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
    return {
        "shape": shape,
        "device": device,
        "rounds": rounds,
        "write_seconds": writing,
        "seconds": taken,
        "median_seconds": {way: statistics.median(values) for way, values in taken.items()},
        "bytes": sizes,
        "gain": statistics.median(a / b for a, b in zip(taken["at each load"], taken["once"], strict=True)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="(default: that of the device)")
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU here: torch sees none; leave out --device cuda")
    if arguments.rounds < 5:
        parser.error("--rounds: a median needs at least 5")
    from transformers.utils import logging

    logging.disable_progress_bar()
    result = compare(arguments.shape or SHAPE_OF[arguments.device], arguments.device, arguments.rounds)
    print(
        f"{result['shape']}, {result['device']}, {result['rounds']} rounds; written in {result['write_seconds']:.1f} s"
    )
    for way, seconds in result["median_seconds"].items():
        print(f"  quantised {way:13s}{seconds:9.3f} s{result['bytes'][way] / 1e6:12.1f} MB of weights")
    print(f"  at each load / once    {result['gain']:.2f}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
