"""The model card of an adapter: how it was made, in PEFT's front matter. It says nothing that its metadata do not."""

from __future__ import annotations

import json
from collections.abc import Mapping

PIPELINES = {"xnli": "text-classification", "xquad": "text-generation"}
CLASSES = {"xnli": "AutoPeftModelForSequenceClassification", "xquad": "AutoPeftModelForCausalLM"}
TASKS = {"xnli": "XNLI (natural language inference)", "xquad": "XQuAD (question answering)"}
# Loaded by plain libraries, a classifier needs to be told what the adapter does not say.
EXTRA = {"xnli": ", num_labels=3", "xquad": ""}


def model_card(metadata: Mapping) -> str:
    """README.md of the adapter that ``metadata`` describes (``langneurons.finetuning.finetune`` makes them)."""
    base = metadata.get("base_repository") or metadata["base_model"]
    task, settings = metadata["task"], metadata["settings"]
    front = [
        "---",
        f"base_model: {base}",
        "library_name: peft",
        f"pipeline_tag: {PIPELINES[task]}",
        "tags:",
        *(f"- {tag}" for tag in (f"base_model:adapter:{base}", "lora", "transformers")),
        "---",
    ]
    revision = f", revision `{metadata['base_revision']}`" if metadata.get("base_revision") else ""
    trained = ["LoRA on `q_proj`, `k_proj`, `v_proj` and `o_proj` of every layer"]
    if metadata.get("method"):
        targets = " and ".join(f"`{target}`" for target in settings["targets"])
        trained.append(
            f"LoRA on {targets} for {metadata['neurons']} neurons alone: those of {', '.join(metadata['languages'])} "
            f"by `{metadata['method']}` (mask SHA-256 `{metadata['mask_digest']}`)"
        )
    if task == "xnli":
        trained.append("the classification head, in full")
    facts = {
        "base model": f"{base}{revision}; SHA-256 of its configuration and weights `{metadata['base_digest']}`",
        "precision": f"{metadata['dtype']}, 4-bit nf4 weights"
        if metadata["quantization"] == "nf4"
        else metadata["dtype"],
        "training data": f"{TASKS[task]}, the workflow's training split, seed {metadata['seed']}",
        "trained": "; ".join(trained),
        **{name: _printed(value) for name, value in settings.items() if name != "targets"},
    }
    where = "" if metadata.get("base_repository") else f", run where a directory `{base}` holds the base model"
    lines = [
        *front,
        "",
        f"# {metadata['base_model']}, {task}, {metadata['finetuning']}",
        "",
        "An adapter of PEFT's ordinary kind. What the neuron mask leaves out is zero in it.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items()),
        "",
        f"With plain PEFT{where}:",
        "",
        "```python",
        f"from peft import {CLASSES[task]}",
        "",
        f'model = {CLASSES[task]}.from_pretrained("path/to/this/directory"{EXTRA[task]})',
        "```",
        "",
    ]
    if task == "xnli":
        lines += [
            "Labels: 0 entailment, 1 neutral, 2 contradiction. Input: premise, end-of-text token, hypothesis; pad on "
            "the right, with a token that the text does not hold.",
            "",
        ]
    return "\n".join(lines)


def _printed(value: object) -> str:
    return json.dumps(value) if isinstance(value, (list, tuple, bool)) or value is None else f"{value}"
