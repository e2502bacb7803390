"""What training a mask's neurons costs, side by side in one run, on the same batches.

    PYTHONPATH=src python benchmarks/finetuning.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--json FILE]

(a) attention: LoRA on q, k, v and o alone, and the classification head.
(b) masked: (a) and the mask's rows of gate_proj, as ``langneurons.finetuning.masked_lora`` trains them.
(c) gradient mask: (a) and PEFT's LoRA on the same gate_proj modules, gradients outside the mask's rows set to zero.
(d) reference: (a) and the dense product ``M o (B A)`` of d_ff x d_model made anew in every forward pass.

A step is forward, backward, clipping and AdamW. The four take turns step by step, in another order each time, so that a
disturbance strikes all of them. A ratio is the median over all turns of the ratio within a turn, on one batch; a round
is ``STEPS`` turns. Times on a CPU are those of the processor, on one thread, which a busy machine disturbs less
than the clock on the wall. Memory: the weights, the optimiser's state and, on a GPU, the most a step allocates beyond
them; on a CPU, what the forward pass keeps for the backward pass.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys

import shapes
import torch
from finetuning_ways import WAYS, Shape, Training, mask_of
from measuring import Figure, exact, finish, machine, need_gpu, ratio, said_of

from langneurons.runner.environment import keep_freed_memory

STEPS = 12
SHAPES = {
    "demo": Shape(shapes.DEMO, 16, 64, 16, 1.03),
    "llama-3.1-8b": Shape(shapes.LLAMA_8B, 8, 256, 8, 1.05, 1.02, 1.5),
    # Its width alone, and few or many neurons.
    "8b-width-100": Shape(shapes.LLAMA_8B_CUT, 2, 64, 8, 1.03, masked=100),
    "8b-width-1000": Shape(shapes.LLAMA_8B_CUT, 2, 64, 8, 1.03, masked=1000),
}
SHAPE_OF = {"cpu": "demo", "cuda": "llama-3.1-8b"}


def batches_of(shape: Shape, device: str, count: int) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    size = (shape.batch, shape.tokens)
    return [
        {
            "input_ids": torch.randint(1, shape.config["vocab_size"], size, generator=draw).to(device),
            "attention_mask": torch.ones(size, dtype=torch.long, device=device),
            "labels": torch.randint(0, 3, (shape.batch,), generator=draw).to(device),
        }
        for _ in range(count)
    ]


def compare(name: str, device: str, nf4: bool, rounds: int) -> tuple[list[Figure], dict]:
    """Measure one shape: its figures, and all that was measured."""
    shape = SHAPES[name]
    rows = mask_of(shape)
    ways = {way: Training(shape, way, device, nf4) for way in WAYS if way != "reference" or shape.masked is None}
    batches = batches_of(shape, device, STEPS)
    memory = {}
    for way, training in ways.items():
        for batch in batches[:3]:
            training.step(batch)  # warm: allocators, the optimiser's state
        memory[way] = training.memory(batches[0])
    gc.collect()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    order = list(ways)
    for turn in range(rounds * STEPS):
        shift = turn % len(order)
        for way in order[shift:] + order[:shift]:
            taken[way].append(ways[way].timed(batches[turn % STEPS]))
    found = {"device": device, "quantization": "nf4" if nf4 else "none", "neurons": sum(map(len, rows.values()))}
    found |= {"rounds": rounds, "steps_per_round": STEPS, "ways": {}}
    print(f"\n{name}, {device}, {found['quantization']}: {found['neurons']} neurons, {rounds} rounds of {STEPS} steps")
    print(f"  {'':14s}{'ms per step':>12s}{'trainable':>12s}{'optimiser MB':>14s}{'memory MB':>11s}")
    for way, training in ways.items():
        parameters, state = training.sizes()
        seconds = statistics.median(taken[way])
        print(f"  {way:14s}{1e3 * seconds:12.2f}{parameters:12,d}{state / 1e6:14.2f}{memory[way] / 1e6:11.1f}")
        found["ways"][way] = {
            "step_seconds": taken[way],
            "trainable_parameters": parameters,
            "optimiser_bytes": state,
            "memory_bytes": memory[way],
        }
    # A of each masked layer is rank x d_model, its B neurons x rank; two moments each, float32.
    expected = 2 * 4 * shape.rank * (len(rows) * shape.config["hidden_size"] + found["neurons"])
    growth = found["ways"]["masked"]["optimiser_bytes"] - found["ways"]["attention"]["optimiser_bytes"]
    figures = [
        ratio(f"{name}: masked / attention", taken["masked"], taken["attention"], "at most", shape.overhead),
        exact(f"{name}: memory, the same", memory["masked"] / memory["attention"], "at most", shape.memory),
        exact(f"{name}: optimiser growth / rows and A", growth / expected, "at most", 1.0),
    ]
    if "reference" in ways:
        figures.append(
            ratio(f"{name}: reference / masked", taken["reference"], taken["masked"], "at least", shape.gain)
        )
    return figures, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="(default: that of the device)")
    parser.add_argument("--quantization", choices=["none", "nf4"], help="(default: none on a CPU, nf4 on a GPU)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    arguments = parser.parse_args()
    need_gpu(arguments.device)
    keep_freed_memory()  # as every job does
    quantization = arguments.quantization or ("nf4" if arguments.device == "cuda" else "none")
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    print(said_of(machine(arguments.device)))
    figures, found = [], {}
    for name in arguments.shape or [SHAPE_OF[arguments.device]]:
        own, found[name] = compare(name, arguments.device, quantization == "nf4", arguments.rounds)
        figures += own
    return finish(figures, arguments.json, arguments.device, shapes=found)


if __name__ == "__main__":
    sys.exit(main())
