"""What evaluating a condition costs, side by side in one run: ours, the reference's way, ours without an intervention.

    PYTHONPATH=src python benchmarks/evaluation.py [--device cpu|cuda] [--shape NAME] [--rounds N] [--json FILE]

(a) ours: ``classify`` and ``generate_answers`` under ``intervene``: batches by length, a cache, one write per layer.
(b) reference: an example at a time, padded to the task's maximum, no cache; its intervention is a Python loop that
    writes one neuron after the other.
(c) plain: (a) without an intervention.

All three run a model of random weights with LoRA on its attention, a Llama and a Mistral, on token ids drawn at random
in the lengths of the shape's tasks. A sixth of the vocabulary ends an answer, so that the tiny models' answers are
about as long as the demo's. First (a) and (b) must agree: logits within 1e-4 in float32, answers equal. Then they take
turns: a round is one turn of (b) and ``--repeat`` pairs of (a) and (c), which of the two is first changing from pair to
pair. (a)/(c) is the median of the pairs' ratios, (b)/(a) of the rounds', each with its interval: a disturbance strikes
both of a pair. The shapes of an 8B model's width, cut to two layers, show (a)/(c) alone.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import shapes
import torch
from measuring import exact, finish, machine, need_gpu, quiet, ratio, said_of

from langneurons.evaluation.classification import classify
from langneurons.evaluation.generation import generate_answers
from langneurons.finetuning.masked_lora import add_lora
from langneurons.interventions.hook import intervene
from langneurons.models.neurons import find_neurons
from langneurons.models.pooling import position_ids
from langneurons.runner.environment import keep_freed_memory

PAD = 0
ARCHITECTURES = ("llama", "mistral")
GAINS = {"xnli": 3.0, "xquad": 8.0}  # (b)/(a), at least
COST = 1.03  # (a)/(c), at most
LOGITS = {torch.float32: 1e-4}  # what the logits of (a) and (b) may differ by; bfloat16 is printed, not judged


@dataclass(frozen=True)
class Task:
    """How many examples, their lengths (normally distributed), what the reference pads to, and tokens generated."""

    examples: int
    mean: float
    deviation: float
    longest: int
    new: int = 0


@dataclass(frozen=True)
class Shape:
    """A model, how many neurons of each layer are overwritten, the tasks, and the budget of a forward pass."""

    config: dict
    overwritten: int
    rank: int
    tasks: dict[str, Task]
    batch_tokens: int
    dtype: torch.dtype = torch.float32
    reference: bool = True  # whether (b) is measured too

    @property
    def vocabulary(self) -> int:
        return self.config["vocab_size"]


CUT = {"xnli": Task(16, 50, 20, 256)}
SHAPES = {
    # config/demo.yaml, with the lengths that its examples have; its masks hold 1 to 7 neurons per layer and language.
    "demo": Shape(
        shapes.DEMO, 8, 16, {"xnli": Task(150, 36, 5, 96), "xquad": Task(100, 50, 6, 160, 8)}, 4096
    ),
    # config/config.yaml; 1 % of 458,752 neurons over seven languages are about 24 per layer and language.
    "llama-3.1-8b": Shape(
        shapes.LLAMA_8B, 24, 8, {"xnli": Task(256, 50, 20, 256), "xquad": Task(64, 250, 80, 512, 64)}, 16384,
        torch.bfloat16,
    ),
    # Its width alone, and few or many neurons: what an intervention costs beside a layer as wide.
    "8b-width-100": Shape(shapes.LLAMA_8B_CUT, 100, 8, CUT, 1024, torch.bfloat16, reference=False),
    "8b-width-1000": Shape(shapes.LLAMA_8B_CUT, 1000, 8, CUT, 1024, torch.bfloat16, reference=False),
}  # fmt: skip
SHAPE_OF = {"cpu": "demo", "cuda": "llama-3.1-8b"}


def build(shape: Shape, architecture: str, task: str, device: str) -> torch.nn.Module:
    """Random weights with a LoRA on the attention, made on the device."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    config = AutoConfig.for_model(
        architecture,
        **shape.config,
        tie_word_embeddings=False,
        initializer_range=shape.config["hidden_size"] ** -0.5,
        num_labels=3,
        pad_token_id=PAD,
        **({"sliding_window": None} if architecture == "mistral" else {}),
    )
    config._attn_implementation = "sdpa"
    kind, task_type = (
        (AutoModelForSequenceClassification, "SEQ_CLS") if task == "xnli" else (AutoModelForCausalLM, "CAUSAL_LM")
    )
    with shapes.made_in(shape.dtype, device):
        model = kind.from_config(config)
    model = add_lora(model, shape.rank, 2 * shape.rank, task_type=task_type, seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)  # zero at first: an adapter that does nothing
    return model.eval()


def examples_of(shape: Shape, task: Task) -> list[list[int]]:
    rng = np.random.default_rng(0)
    lengths = rng.normal(task.mean, task.deviation, task.examples).round().clip(8, task.longest).astype(int)
    return [rng.integers(1, shape.vocabulary, length).tolist() for length in lengths]


def constants_of(shape: Shape) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Neurons of every layer, and what they are set to."""
    rng = np.random.default_rng(1)
    layers, width = shape.config["num_hidden_layers"], shape.config["intermediate_size"]
    neurons = {i: np.sort(rng.permutation(width)[: shape.overwritten]) for i in range(layers)}
    return neurons, {i: rng.normal(size=shape.overwritten) for i in neurons}


# The reference's way


@contextlib.contextmanager
def neuron_by_neuron(model: torch.nn.Module, neurons: dict, values: dict) -> Iterator[None]:
    def hook_of(layer: int) -> Callable:
        def hook(_module, _inputs, output):
            for neuron, value in zip(neurons[layer], values[layer], strict=True):
                output[:, :, neuron] = value
            return output

        return hook

    layers = find_neurons(model).layers
    handles = [layers[layer].act.register_forward_hook(hook_of(layer)) for layer in neurons]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def classify_one_by_one(model: torch.nn.Module, rows: list[list[int]], longest: int) -> np.ndarray:
    """Logits of rows padded on the right, from their last real tokens."""
    inner = model.get_base_model()
    device = inner.get_input_embeddings().weight.device
    found = []
    for row in rows:
        ids = torch.tensor([row + [PAD] * (longest - len(row))], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row))], device=device)
        hidden = inner.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = hidden[:, len(row) - 1].to(next(inner.score.parameters()).dtype)
        found.append(inner.score(last).float().cpu())
    return torch.cat(found).numpy()


@torch.inference_mode()
def generate_one_by_one(
    model: torch.nn.Module, prompts: list[list[int]], longest: int, new: int, stop: set[int]
) -> list[list[int]]:
    """Greedy answers to prompts padded on the left, each token from the whole sequence anew."""
    device = model.get_input_embeddings().weight.device
    answers = []
    for prompt in prompts:
        padding = longest - len(prompt)
        ids, answer = [PAD] * padding + prompt, []
        for _ in range(new):
            mask = torch.tensor([[0] * padding + [1] * (len(ids) - padding)], device=device)
            logits = model(
                input_ids=torch.tensor([ids], device=device),
                attention_mask=mask,
                position_ids=position_ids(mask),
                use_cache=False,
                logits_to_keep=1,
            ).logits
            token = int(logits[0, -1].argmax())
            if token in stop:
                break
            answer.append(token)
            ids = [*ids, token]
        answers.append(answer)
    return answers


# Measuring


def ways_of(model: torch.nn.Module, shape: Shape, task: Task) -> dict[str, Callable]:
    rows, (neurons, values) = examples_of(shape, task), constants_of(shape)
    stop = set(range(1, shape.vocabulary, 6))

    def plain():
        if not task.new:
            return classify(model, [{"input_ids": row} for row in rows], shape.batch_tokens, PAD)
        return generate_answers(model, rows, task.new, stop, PAD, shape.batch_tokens)

    def ours():
        with intervene(model, neurons, values):
            return plain()

    def reference():
        with neuron_by_neuron(model, neurons, values):
            if not task.new:
                return classify_one_by_one(model, rows, task.longest)
            return generate_one_by_one(model, rows, task.longest, task.new, stop)

    return {"ours": ours, "reference": reference, "plain": plain}


def agreement(ways: dict[str, Callable], task: Task, dtype: torch.dtype) -> tuple[str, bool]:
    """What (a) and (b) say of the same examples, in words; whether they say the same."""
    ours, reference, plain = (ways[way]() for way in ("ours", "reference", "plain"))
    if task.new:
        equal = sum(a == b for a, b in zip(ours, reference, strict=True))
        changed = sum(a != b for a, b in zip(ours, plain, strict=True))
        length = statistics.mean(map(len, ours))
        said = f"{equal} of {len(ours)} answers equal ({changed} changed by the intervention, {length:.1f} tokens long)"
        return said, changed > 0 and (equal == len(ours) or dtype not in LOGITS)
    apart, change = float(np.abs(ours - reference).max()), float(np.abs(ours - plain).max())
    said = f"logits at most {apart:.1e} apart (the intervention changes them by {change:.1e})"
    return said, change > 1e-2 and apart <= LOGITS.get(dtype, np.inf)


def timed(way: Callable, device: str) -> float:
    start = time.perf_counter()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(name: str, architecture: str, task_name: str, device: str, rounds: int, repeat: int) -> tuple[list, dict]:
    """Measure one task of one model: its ratios, and all that was measured."""
    shape, task = SHAPES[name], SHAPES[name].tasks[task_name]
    model = build(shape, architecture, task_name, device)
    ways = ways_of(model, shape, task)
    label = f"{name}, {architecture}, {task_name}"
    said, same = "", True
    if shape.reference:
        said, same = agreement(ways, task, model.get_input_embeddings().weight.dtype)  # warms the three up as well
    else:
        ways["ours"](), ways["plain"]()
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for pair in range(repeat):
            for way in ("ours", "plain") if (turn + pair) % 2 else ("plain", "ours"):
                taken[way].append(timed(ways[way], device))
        if shape.reference:
            taken["reference"].append(timed(ways["reference"], device))
    print(f"\n{label}: {task.examples} examples; {said}{'' if same else ': NOT THE SAME'}", flush=True)
    figures = [
        ratio(f"{label}: ours / plain", taken["ours"], taken["plain"], "at most", COST),
        exact(f"{label}: not the same", float(not same), "at most", 0),
    ]
    if shape.reference:
        ours = [statistics.median(taken["ours"][i * repeat : (i + 1) * repeat]) for i in range(rounds)]
        figures.append(ratio(f"{label}: reference / ours", taken["reference"], ours, "at least", GAINS[task_name]))
    return figures, {"examples": task.examples, "seconds": taken, "agreement": said}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="(default: that of the device)")
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append", help="(default: both)")
    parser.add_argument("--task", choices=sorted(GAINS), action="append", help="(default: both)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=15, help="turns of (a) and (c) per round")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured to FILE")
    arguments = parser.parse_args()
    keep_freed_memory()  # as every job does
    need_gpu(arguments.device)
    print(said_of(machine(arguments.device)))
    figures, found, settings = [], {}, (arguments.device, arguments.rounds, arguments.repeat)
    with quiet():
        for name in arguments.shape or [SHAPE_OF[arguments.device]]:
            for architecture in arguments.architecture or ARCHITECTURES:
                for task in sorted(set(arguments.task or GAINS) & set(SHAPES[name].tasks)):
                    own, found[f"{name}, {architecture}, {task}"] = compare(name, architecture, task, *settings)
                    figures += own
    return finish(figures, arguments.json, arguments.device, conditions=found)


if __name__ == "__main__":
    sys.exit(main())
