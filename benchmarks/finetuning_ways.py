"""The ways of training that benchmarks/finetuning.py sets side by side, each a model with its optimiser."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import shapes
import torch
from torch import nn
from torch.nn import functional

from langneurons.finetuning.masked_lora import add_lora
from langneurons.models.neurons import find_neurons
from langneurons.models.pooling import use_last_real_token

SHARE = 0.01  # of the model's neurons in the mask
WAYS = ("attention", "masked", "gradient mask", "reference")


@dataclass(frozen=True)
class Shape:
    """A Llama, its batches and LoRA, the neurons of the mask, and what the figures should be."""

    config: dict
    batch: int
    tokens: int
    rank: int
    overhead: float  # masked / attention, at most
    memory: float | None = None  # the same of memory, at most
    gain: float | None = None  # reference / masked, at least
    masked: int | None = None  # neurons per layer; None: 1 % of the model's


def build(shape: Shape, device: str, nf4: bool) -> nn.Module:
    """A classifier with random weights, made on the device: bfloat16 on a GPU, float32 on a CPU; ``nf4``: 4 bits."""
    from transformers.models.llama import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(
        **shape.config, pad_token_id=0, num_labels=3, initializer_range=shape.config["hidden_size"] ** -0.5
    )
    config._attn_implementation = "sdpa"
    with shapes.made_in(torch.bfloat16 if device == "cuda" else torch.float32, device):
        model = LlamaForSequenceClassification(config)
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
    """Neurons drawn over all layers."""
    layers, width = shape.config["num_hidden_layers"], shape.config["intermediate_size"]
    number = round(SHARE * layers * width) if shape.masked is None else shape.masked * layers
    drawn = np.random.default_rng(0).choice(layers * width, number, replace=False)
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
