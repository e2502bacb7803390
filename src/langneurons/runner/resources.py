"""What a job asks a cluster for: host memory and time, from the model's size, the rule and the attempt.

Time is estimated from the operations of a job: 2 for each parameter and token of a forward pass. ``RATES`` say how
many of them one GPU does per second; they are assumptions for an 80 GB A100 and printed as such by ``make plan``. A
limit is an estimate with a margin, and grows with the attempt, as memory does: who is wrong is killed and tried again.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from langneurons.config.load import Config
from langneurons.experiment.identification import method_languages
from langneurons.sections import DemoModel, FilesModel, HubModel
from langneurons.tasks.base import task_of

# Operations per second of one GPU. nf4: weights are expanded to bfloat16 in every pass, which long batches hide better
# than the short ones of training.
RATES = {
    ("nf4", "pass"): 1.2e14,
    ("none", "pass"): 1.6e14,
    ("nf4", "training"): 4e13,
    ("none", "training"): 6e13,
}
LOADING = 0.5e9  # bytes of a snapshot a second, from a network file system
START = 45  # seconds of imports, and of Snakemake in the job
STEP = 4e-12  # seconds of one generated token a batch, by parameter: the weights are read once
FORWARD, TRAINING = 2, 6  # operations a parameter and token
COUNTING = 1.3  # a pass that counts every activation, over one that does not
PACKING = 1e5  # tokens per second of the tokenizer, on one core

# Host memory in MB: what torch and its libraries take; the copies of a model's histograms that are held at once.
BASE_MB = 4_000
COPIES = {
    "collect_activations": 2,
    "merge_activations": 5,
    "summarize_activations": 5,
    "identify_neurons": 10,
    "identify_half_neurons": 10,
}
HOLDS_MODEL = {"quantize_model", "collect_activations", "finetune", "evaluate", "measure_perplexity"}
QUANTIZED = 0.7  # bytes a parameter of 4-bit weights: 4.1 bits, and 16 in the embeddings
# Rules that do little more than start. A rule that stands nowhere here is refused: say what it takes.
PACKS = {"pack_tokens", "pack_heldout_tokens"}
FETCHES = {f"{how}_{what}" for how in ("download", "import") for what in ("corpus_shard", "model", "task")}
WRITES = {"write_demo_corpus", "write_demo_task", "write_report", "compare_with_paper"}
DRAWS = {"render_table", "compare", "draw_curves", "draw_neurons", "draw_perplexity"}
KNOWN = {*COPIES, *HOLDS_MODEL, *PACKS, *FETCHES, *WRITES, *DRAWS, "pretrain_demo_model"}
NEURON_SHARE = 6e-5  # neurons a parameter: 5.7e-5 in Llama 3.1 8B, 4.7e-5 in Mistral Nemo
HISTOGRAM = 1027 * 4  # bytes per neuron: a test holds the number of bins to langneurons.activations.sketch's

MARGIN, SLACK = 1.5, 5  # a limit is SLACK minutes and MARGIN times the estimate

Model = HubModel | FilesModel | DemoModel


def parameters(model: Model) -> float:
    """Number of a model's parameters: as declared, by its shapes (demo), or by the size of its files."""
    if isinstance(model, DemoModel):
        attention = 2 * model.hidden * model.head_dim * (model.heads + model.key_value_heads)
        return 2.0 * model.vocabulary * model.hidden + model.layers * (attention + 3 * model.hidden * model.neurons)
    if model.parameters is not None:
        return model.parameters
    return snapshot_bytes(model) / 2


def snapshot_bytes(model: Model) -> float:
    """Bytes of a model's weights on the disk: of a folder what it holds, else two a parameter (four in the demo)."""
    if isinstance(model, FilesModel):
        found = [file.stat().st_size for file in Path(model.path).glob("*.safetensors")]
        if found or model.parameters is None:
            return float(sum(found))
    return parameters(model) * (4 if isinstance(model, DemoModel) else 2)


def loaded_bytes(model: Model) -> float:
    """Bytes that a job reads which holds the model: the snapshot, or its 4-bit weights."""
    return snapshot_bytes(model) if model.quantization == "none" else QUANTIZED * parameters(model)


def memory(config: Config, rule: str, model: str, attempt: int = 1) -> int:
    """Host memory of a job in MB, half as much again with each attempt. Without model or histograms: the base.

    ValueError for a rule that this module does not know; so :func:`seconds`.
    """
    _check(rule)
    spec = config.models[model]
    need = BASE_MB * 1e6
    if rule in HOLDS_MODEL:  # room for all of the snapshot, 4 bits or not
        need += snapshot_bytes(spec)
    need += COPIES.get(rule, 0) * parameters(spec) * NEURON_SHARE * HISTOGRAM
    return math.ceil(need / 1e6 / 100) * 100 * (1 + attempt) // 2


def runtime(config: Config, rule: str, wildcards: dict[str, str], attempt: int = 1, most: int | None = None) -> int:
    """A job's time limit in minutes. It grows with the attempt, up to ``most`` minutes where that is given."""
    first = SLACK + math.ceil(MARGIN * seconds(config, rule, wildcards) / 60)
    return first * attempt if most is None else max(first, min(first * attempt, most))


def seconds(config: Config, rule: str, wildcards: dict[str, str]) -> float:
    """A job's estimated time: starting, loading the model where it holds one, and its work."""
    _check(rule)
    if "model" not in wildcards:
        return START
    spec = config.models[wildcards["model"]]
    size, work = parameters(spec), 0.0
    rate = {kind: RATES[spec.quantization, kind] for kind in ("pass", "training")}
    if rule == "collect_activations":
        work = COUNTING * FORWARD * size * shard_tokens(config) / rate["pass"]
    elif rule == "measure_perplexity":
        languages = len(method_languages(config, wildcards["method"]))
        work = FORWARD * size * config.perplexity.tokens * languages * (languages + 1) / rate["pass"]
    elif rule == "finetune":
        key = wildcards["task"]
        settings, mean = config.finetuning[key], task_of(config.tasks[key]).TOKENS
        tokens = examples(config, key, "train") * mean * (settings.checkpoint_epoch or settings.epochs)
        work = TRAINING * size * tokens / rate["training"]
    elif rule == "evaluate":
        section = config.tasks[wildcards["task"]]
        tokens = examples(config, wildcards["task"], "test") * task_of(section).TOKENS
        work = FORWARD * size * tokens / rate["pass"]
        if generated := task_of(section).settings(section, "evaluate").get("max_new_tokens"):
            work += math.ceil(tokens / config.evaluation.batch_tokens) * generated * (0.03 + STEP * size)
    elif rule == "pack_tokens":
        work = shard_tokens(config) / PACKING
    elif rule == "pack_heldout_tokens":
        work = config.perplexity.tokens / PACKING
    elif rule == "pretrain_demo_model":
        work = 300.0
    elif rule == "summarize_activations":
        work = size * 4e-9  # one statistic: reading is most of it
    elif rule in COPIES:
        work = size * 3e-8  # about 4 minutes of an 8B model's histograms
    if rule == "quantize_model":
        work = (snapshot_bytes(spec) + loaded_bytes(spec)) / LOADING  # read and written
    elif rule in HOLDS_MODEL:
        work += loaded_bytes(spec) / LOADING
    return START + work


def _check(rule: str) -> None:
    if rule not in KNOWN:
        raise ValueError(f"rule {rule}: nobody knows what it takes; add it to src/langneurons/runner/resources.py")


def shard_tokens(config: Config) -> int:
    """Tokens of a shard, of a language's budget."""
    return -(-config.corpus.tokens // config.corpus.shards)


def examples(config: Config, task: str, split: str) -> int:
    """Examples of a task's split: the demo's as configured, else those of the public data set, files too."""
    section: Any = config.tasks[task]  # of the entry's own type
    own = section.source == "demo"
    number = getattr(section.demo, split) if own else task_of(section).examples(section, split)
    return min(number, section.limit or number) if split == "test" else number
