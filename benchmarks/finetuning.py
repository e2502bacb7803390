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
import json
import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from langneurons.finetuning.masked_lora import add_lora
from langneurons.models.neurons import find_neurons
from langneurons.models.pooling import use_last_real_token
from langneurons.runner.environment import keep_freed_memory

STEPS = 12
SHARE = 0.01  # of the model's neurons in the mask
WAYS = ("attention", "masked", "gradient mask", "reference")


@dataclass(frozen=True)
class Shape:
    """A Llama, its batches and LoRA, and what the figures should be."""

    config: dict
    batch: int
    tokens: int
    rank: int
    overhead: float  # masked / attention, at most
    memory: float | None  # the same of memory, at most
    gain: float | None  # reference / masked, at least


def _config(layers: int, hidden: int, neurons: int, heads: int, key_value_heads: int, vocabulary: int) -> dict:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": neurons,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": 2048,
        "pad_token_id": 0,
        "num_labels": 3,
    }


SHAPES = {
    "demo": Shape(_config(3, 128, 256, 4, 2, 3072), 16, 64, 16, 1.03, None, None),
    "llama-3.1-8b": Shape(_config(32, 4096, 14336, 32, 8, 128256), 8, 256, 8, 1.05, 1.02, 1.5),
}
SHAPE_OF = {"cpu": "demo", "cuda": "llama-3.1-8b"}


def build(shape: Shape, device: str, nf4: bool) -> nn.Module:
    """A classifier with random weights, made on the device: bfloat16 on a GPU, float32 on a CPU; ``nf4``: 4 bits."""
    from transformers.models.llama import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(**shape.config, initializer_range=shape.config["hidden_size"] ** -0.5)
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            model = LlamaForSequenceClassification(config)
    finally:
        torch.set_default_dtype(before)
    if nf4:
        quantise(model.model, device)
        model.is_loaded_in_4bit = True
    return use_last_real_token(model)


def quantise(decoder: nn.Module, device: str) -> None:
    """Every dense layer to nf4 with double quantisation, in place, one at a time."""
    import bitsandbytes as bnb

    for module in list(decoder.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                dtype = child.weight.dtype
                layer = bnb.nn.Linear4bit(
                    child.in_features, child.out_features, False, dtype, compress_statistics=True, quant_type="nf4"
                )
                layer.weight = bnb.nn.Params4bit(
                    child.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4"
                ).to(device)
                layer.support_avx512bf16_for_cpu = False
                setattr(module, name, layer)


def mask_of(shape: Shape) -> dict[int, np.ndarray]:
    """1 % of all neurons, drawn over all layers."""
    layers, width = shape.config["num_hidden_layers"], shape.config["intermediate_size"]
    drawn = np.random.default_rng(0).choice(layers * width, round(SHARE * layers * width), replace=False)
    rows = {layer: np.sort(drawn[drawn // width == layer] % width) for layer in range(layers)}
    return {layer: indices for layer, indices in rows.items() if len(indices)}


class Reference(nn.Module):
    """A gate projection with the update as a dense masked product, made in every forward pass."""

    def __init__(self, base: nn.Module, lora, rows: np.ndarray) -> None:
        super().__init__()
        self.base, self.scaling = base, lora.scaling["default"]
        self.a = nn.Parameter(lora.lora_A["default"].weight.detach().clone())
        self.b = nn.Parameter(torch.zeros_like(lora.lora_B["default"].weight))
        mask = torch.zeros(len(self.b), 1, device=self.b.device)
        mask[rows] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        update = self.mask * (self.b @ self.a) * self.scaling  # [out, in]
        return self.base(x) + functional.linear(x, update.to(x.dtype))


def adapt(model: nn.Module, way: str, shape: Shape) -> nn.Module:
    """The model as one of the ways trains it."""
    rows, rank = mask_of(shape), shape.rank
    if way == "attention":
        return add_lora(model, rank, 2 * rank)
    if way == "masked":
        return add_lora(model, rank, 2 * rank, rows=rows)
    from peft import LoraConfig, get_peft_model

    gates = [f"model.layers.{layer}.mlp.gate_proj" for layer in rows]
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", *gates]
    peft = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="SEQ_CLS"))
    for site in find_neurons(peft).layers:
        if site.index not in rows:
            continue
        if way == "reference":
            site.mlp.gate_proj = Reference(site.gate.base_layer, site.gate, rows[site.index])
        else:
            weight = site.gate.lora_B["default"].weight
            mask = torch.zeros(len(weight), 1, device=weight.device)
            mask[rows[site.index]] = 1
            weight.register_hook(lambda gradient, mask=mask: gradient * mask)
    return peft


class Training:
    """A model under one of the ways, with its optimiser."""

    def __init__(self, shape: Shape, way: str, device: str, nf4: bool) -> None:
        self.model = adapt(build(shape, device, nf4), way, shape).train()
        self.device = device
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, betas=(0.95, 0.999), weight_decay=0.1)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            return self.model(**batch).loss

    def step(self, batch: dict[str, torch.Tensor]) -> None:
        self.loss(batch).backward()
        nn.utils.clip_grad_norm_(self.parameters, 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def timed(self, batch: dict[str, torch.Tensor]) -> float:
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        _wait(self.device)
        start = clock()
        self.step(batch)
        _wait(self.device)
        return clock() - start

    def memory(self, batch: dict[str, torch.Tensor]) -> int:
        """Bytes, as at the top of this file."""
        if self.device == "cuda":
            _wait(self.device)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.step(batch)
            _wait(self.device)
            return self.resident() + torch.cuda.max_memory_allocated() - before
        kept: dict[int, int] = {}
        fixed = {p.untyped_storage().data_ptr() for p in self.model.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in fixed:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.loss(batch).backward()
        self.optimizer.zero_grad(set_to_none=True)
        return self.resident() + sum(kept.values())

    def resident(self) -> int:
        """Bytes of the weights and of the optimiser's state."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors) + self.sizes()[1]

    def sizes(self) -> tuple[int, int]:
        """(parameters that train, bytes of optimiser state that belong to them)."""
        moments = [state[name] for state in self.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
        return sum(p.numel() for p in self.parameters), sum(t.numel() * t.element_size() for t in moments)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


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


def compare(name: str, device: str, nf4: bool, rounds: int) -> dict:
    """Measure one shape: everything that is printed and written."""
    shape = SHAPES[name]
    rows = mask_of(shape)
    ways = {way: Training(shape, way, device, nf4) for way in WAYS}
    batches = batches_of(shape, device, STEPS)
    memory = {}
    for way, training in ways.items():
        for batch in batches[:3]:
            training.step(batch)  # warm: allocators, the optimiser's state
        memory[way] = training.memory(batches[0])
    gc.collect()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds * STEPS):
        for way in WAYS[turn % 4 :] + WAYS[: turn % 4]:
            taken[way].append(ways[way].timed(batches[turn % STEPS]))

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(taken[one], taken[other], strict=True))

    result = {
        "shape": name,
        "device": device,
        "quantization": "nf4" if nf4 else "none",
        "batch": shape.batch,
        "tokens": shape.tokens,
        "rank": shape.rank,
        "neurons": sum(map(len, rows.values())),
        "layers_with_neurons": len(rows),
        "rounds": rounds,
        "steps_a_round": STEPS,
        "ways": {},
    }
    for way, training in ways.items():
        parameters, state = training.sizes()
        result["ways"][way] = {
            "step_seconds": statistics.median(taken[way]),
            "step_seconds_by_round": [
                statistics.median(taken[way][start : start + STEPS]) for start in range(0, rounds * STEPS, STEPS)
            ],
            "trainable_parameters": parameters,
            "optimiser_bytes": state,
            "memory_bytes": memory[way],
            "step_over_attention": ratio(way, "attention"),
            "step_over_masked": ratio(way, "masked"),
        }
    # A of each masked layer is rank x d_model, its B neurons x rank; two moments each, float32.
    grown = shape.rank * (len(rows) * shape.config["hidden_size"] + result["neurons"])
    result["expected_optimiser_growth"] = 2 * 4 * grown
    return result


def report(result: dict) -> bool:
    """Print one result; whether it keeps its targets."""
    shape, ways = SHAPES[result["shape"]], result["ways"]
    print(
        f"\n{result['shape']}, {result['device']}, quantization {result['quantization']}: batch {shape.batch} x "
        f"{shape.tokens}, rank {shape.rank}, {result['neurons']} neurons in {result['layers_with_neurons']} layers; "
        f"{result['rounds']} rounds of {STEPS} steps"
    )
    print(
        f"  {'':14s}{'ms per step':>10s}{'/ attention':>13s}{'trainable':>12s}{'optimiser MB':>14s}{'memory MB':>11s}"
    )
    for way, found in ways.items():
        print(
            f"  {way:14s}{1e3 * found['step_seconds']:10.2f}{found['step_over_attention']:13.3f}"
            f"{found['trainable_parameters']:12,d}{found['optimiser_bytes'] / 1e6:14.2f}"
            f"{found['memory_bytes'] / 1e6:11.1f}"
        )
    ours, plain = ways["masked"], ways["attention"]
    growth = ours["optimiser_bytes"] - plain["optimiser_bytes"]
    figures = [
        ("masked / attention, time", ours["step_over_attention"], "at most", shape.overhead),
        ("masked / attention, memory", ours["memory_bytes"] / plain["memory_bytes"], "at most", shape.memory),
        ("reference / masked, time", ways["reference"]["step_over_masked"], "at least", shape.gain),
        ("optimiser growth / rows and A", growth / result["expected_optimiser_growth"], "at most", 1.0),
    ]
    kept = True
    for label, value, which, target in figures:
        good = target is None or (value <= target if which == "at most" else value >= target)
        kept &= good
        told = f"  (target: {which} {target}){'' if good else ' MISSED'}" if target else ""
        print(f"  {label:31s}{value:7.3f}{told}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="(default: that of the device)")
    parser.add_argument("--quantization", choices=["none", "nf4"], help="(default: none on a CPU, nf4 on a GPU)")
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU here: torch sees none; leave out --device cuda")
    if arguments.rounds < 5:
        parser.error("--rounds: a median needs at least 5")
    keep_freed_memory()  # as every job does
    quantization = arguments.quantization or ("nf4" if arguments.device == "cuda" else "none")
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads")
    shape = arguments.shape or SHAPE_OF[arguments.device]
    result = compare(shape, arguments.device, quantization == "nf4", arguments.rounds)
    kept = report(result)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result | {"kept": kept}, file, indent=2)
    print("kept" if kept else "MISSED")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
