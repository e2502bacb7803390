"""The model card of an adapter: how it was made, in PEFT's front matter. It says nothing that its metadata do not.

The code that it prints gives the workflow's own numbers without this library: it loads the base as
``langneurons.models.loading.load_base`` does, in the same data type and with the same 4-bit weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from langneurons.registry import entry

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def model_card(metadata: Mapping) -> str:
    """README.md of the adapter that ``metadata`` describes (``langneurons.finetuning.finetune`` makes them)."""
    base = metadata.get("base_repository") or metadata["base_model"]
    task, settings = entry("tasks", metadata["task_kind"]), metadata["settings"]
    front = [
        "---",
        f"base_model: {base}",
        "library_name: peft",
        f"pipeline_tag: {task.HEAD.pipeline}",
        "tags:",
        *(f"- {tag}" for tag in (f"base_model:adapter:{base}", "lora", "transformers")),
        "---",
    ]
    revision = f", revision `{metadata['base_revision']}`" if metadata.get("base_revision") else ""
    trained = [f"LoRA on {_names(metadata.get('attention_targets') or ATTENTION)} of every layer"]
    if metadata.get("method"):
        trained.append(
            f"LoRA on {_names(settings['targets'])} for {metadata['neurons']} neurons alone: those of "
            f"{', '.join(metadata['languages'])} by `{metadata['method']}` (mask SHA-256 `{metadata['mask_digest']}`)"
        )
    if task.HEAD.kind == "classification":
        trained.append("the classification head, in full")
    facts = {
        "base model": f"{base}{revision}; SHA-256 of its configuration and weights `{metadata['base_digest']}`",
        "precision": f"{metadata['dtype']}, 4-bit nf4 weights"
        if metadata["quantization"] == "nf4"
        else metadata["dtype"],
        "training data": f"{task.NAME} ({task.ASKS}), the workflow's training split, seed {metadata['seed']}",
        "trained": "; ".join(trained),
        **{name: _printed(value) for name, value in settings.items() if name != "targets"},
    }
    lines = [
        *front,
        "",
        f"# {metadata['base_model']}, {metadata['task']}, {metadata['finetuning']}",
        "",
        "An adapter of PEFT's ordinary kind. What the neuron mask leaves out is zero in it.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items()),
        "",
        *_loading(metadata, base),
    ]
    lines += [line for paragraph in task.usage(metadata) for line in (*paragraph.split("\n"), "")]
    return "\n".join(lines)


def _loading(metadata: Mapping, base: str) -> list[str]:
    """The code that loads base and adapter, and what it takes for granted."""
    four_bit = metadata["quantization"] == "nf4"
    said = (
        f"`transformers` and `peft` alone{', with `bitsandbytes`,' if four_bit else ''} load it, with the same numbers"
    )
    if not metadata.get("base_repository"):
        said += f", where a directory `{base}` of the working directory holds the base model"
    other = (
        "the base in full precision, and the numbers differ"
        if four_bit
        else "the base in a data type of their own choice"
    )
    kind = entry("tasks", metadata["task_kind"]).HEAD.model_class
    return [
        f"{said}:",
        "",
        "```python",
        *_code(metadata, base),
        "```",
        "",
        f"Load the base as above: `{kind.replace('Model', 'PeftModel')}` and pipelines load {other}.",
        "",
    ]


def _code(metadata: Mapping, base: str) -> list[str]:
    four_bit, head = metadata["quantization"] == "nf4", entry("tasks", metadata["task_kind"]).HEAD
    kind = head.model_class
    revision = [f'    revision="{metadata["base_revision"]}",'] if metadata.get("base_revision") else []
    labels = [f"    num_labels={head.labels},"] if head.labels else []
    quantization = [
        "    quantization_config=BitsAndBytesConfig(",
        "        load_in_4bit=True,",
        '        bnb_4bit_quant_type="nf4",',
        "        bnb_4bit_use_double_quant=True,",
        f"        bnb_4bit_compute_dtype=torch.{metadata['dtype']},",
        '        llm_int8_skip_modules=["lm_head", "score"],',
        "    ),",
    ]
    unpacked = [
        "for module in base.modules():",
        "    if isinstance(module, bitsandbytes.nn.Linear4bit):",
        "        module.support_avx512bf16_for_cpu = False  # as in training: packed, the numbers differ",
    ]
    return [
        *(["import bitsandbytes"] if four_bit else []),
        "import torch",
        "from peft import PeftModel",
        f"from transformers import {kind}{', BitsAndBytesConfig' if four_bit else ''}",
        "",
        'device = "cuda" if torch.cuda.is_available() else "cpu"',
        f"base = {kind}.from_pretrained(",
        f'    "{base}",',
        *revision,
        f"    dtype=torch.{metadata['dtype']},",
        *labels,
        *(quantization if four_bit else []),
        '    device_map={"": device},',
        "    use_safetensors=True,",
        "    trust_remote_code=False,",
        ")",
        *(unpacked if four_bit else []),
        'model = PeftModel.from_pretrained(base, "path/to/this/directory").eval()',
        *([f"model.config.pad_token_id = {metadata.get('pad_token_id')}"] if labels else []),
    ]


def _names(modules: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    names = [f"`{module}`" for module in modules]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _printed(value: object) -> str:
    return json.dumps(value) if isinstance(value, (list, tuple, bool)) or value is None else f"{value}"
