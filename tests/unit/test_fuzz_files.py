"""Damaged and swapped files, through the readers of the jobs that would use them: none is used silently.

Every kind of intermediate file is written small, as the workflow writes it. Then copies of it are truncated, have bits
flipped and bytes changed, or are replaced by another job's file of the same kind. Each must be refused in one line that
names it. The seed is fixed: the same copies in every run.
"""

import functools
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from task_pieces import XNLI

from langneurons.activations.sketch import NeuronCounts
from langneurons.activations.statistics import summarize
from langneurons.activations.statistics_file import read_statistic, write_statistic
from langneurons.activations.storage import merge_files, read_counts, read_positive, write_counts
from langneurons.corpus.documents import read_documents, shard_budget, write_documents
from langneurons.corpus.packing import read_blocks, write_blocks
from langneurons.evaluation.condition import write_condition
from langneurons.evaluation.perplexity import perplexity_rows, write_perplexity
from langneurons.experiment.condition import Condition
from langneurons.finetuning.adapters import load_adapter, save_adapter
from langneurons.finetuning.curves import read_curve, write_curve
from langneurons.methods.mask import NeuronMask, mask_from
from langneurons.models.loading import TOKENIZER, load_base, open_snapshot, seal_snapshot
from langneurons.tables.condition_files import agreeing
from langneurons.tables.condition_tables import read_metrics
from langneurons.tables.perplexity_file import read_changes
from langneurons.tasks.files import read_task, write_task

SEED = 20260711
DAMAGED = 56  # copies of each file
SECONDS = 25  # of a core, at most, for one kind of file
DIGEST, OTHER_DIGEST = "ab" * 32, "cd" * 32


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is written from facts, how a job reads it, and the facts of other jobs' files.

    ``file``: what is damaged, below what is written; ``read`` gets what was written.
    """

    facts: dict
    others: list[dict]
    write: Callable[[Path, dict], object]
    read: Callable[[Path], object]
    file: str = ""


def documents(path, facts):
    write_documents(path, [(f"{facts['language']}-{i}", f"text {i} Größe नदी") for i in range(60)], facts)


def read_shard(path):
    facts = {"language": "vi", "shard": "0001"}
    return list(read_documents(path, facts)), shard_budget(path, 100, 4, facts)


def blocks(path, facts):
    rng = np.random.default_rng(3)
    found = [(rng.integers(0, 500, facts["block"]).tolist(), 90 + i) for i in range(20)]
    write_blocks(path, {"statistics": found, "heldout": found[:4]}, facts)


BLOCKS = {"language": "vi", "shard": "0001", "model_key": "tiny", "tokenizer": DIGEST, "block": 32}


def counted(tokens=40):
    counts = NeuronCounts.empty(2, 6)
    counts.update(np.random.default_rng(tokens).standard_normal((tokens, 2, 6)))
    return counts


def counts(path, facts):
    write_counts(path, counted(), facts | {"activation": "silu"})


COUNTS = {"model": DIGEST, "model_key": "tiny", "language": "vi", "shards": ["0000"], "site": "gate"}
OTHER_COUNTS = [{"language": "hi"}, {"model_key": "other"}, {"site": "act"}, {"shards": ["0001"]}]


def merged(path):
    expected = {name: COUNTS[name] for name in ("model_key", "language", "site")} | {"shards": ["0000", "0001"]}
    second = path.parent / "second-shard"
    write_counts(second, counted(50), COUNTS | {"activation": "silu", "shards": ["0001"]})
    try:
        merge_files([path, second], path.parent / "merged", expected)
    finally:
        second.unlink()


def statistics(path, facts):
    write_statistic(path, summarize(counted(), facts["statistic"]), facts)


STATISTICS = {"model": DIGEST, "model_key": "tiny", "language": "vi", "site": "gate", "estimate": "exact"}
STATISTICS |= {"statistic": "p90"}


def mask(path, facts):
    entries = {"en": {0: [1, 5]}, "vi": {0: [2], 1: [0, 3, 4]}}
    scores = {language: {layer: [0.25] * len(n) for layer, n in found.items()} for language, found in entries.items()}
    shape = {"layers": 2, "neurons_per_layer": 6}
    found = mask_from(facts["method"], entries, scores, model=facts["model"], details={"tau": 0.5}, **shape)
    found.write(path, model_key=facts["model_key"], half=facts["half"])


MASK = {"method": "lape", "model": DIGEST, "model_key": "tiny", "half": None}


def read_mask(path):
    NeuronMask.read(path, {"method": "lape", "model_key": "tiny", "model": DIGEST})


TASKS = {
    "xnli": {"id": ["0", "1"], "premise": ["p", "q"], "hypothesis": ["h", "i"], "label": [0, 2]},
    "xquad": {
        **{name: [f"{name} {i}" for i in range(3)] for name in ("id", "paragraph", "context", "question")},
        "answers": [["a"], ["b", "c"], ["d"]],
    },
}


def task(path, facts):
    write_task(path, facts["task"], TASKS[facts["task"]], {k: facts[k] for k in ("task", "language", "split")})


OWN = Condition("tiny", "xnli", "vi@lape", "vi", "p90@lape")
CONDITION = vars(OWN) | {"digest": DIGEST, "correct": 3}
OTHER_CONDITIONS = [
    {"model": "other"},
    {"language": "hi"},
    {"finetuning": "base"},
    {"intervention": "none"},
    {"intervention": "p90@act"},
    {"correct": 4},  # of another run of the same condition
]


def condition(path, facts):
    """A directory with the two files of a condition."""
    import pyarrow as pa

    path.mkdir()
    scores = [1.0] * facts["correct"] + [0.0] * (12 - facts["correct"])
    table = pa.table({"id": [f"{i}" for i in range(12)], "premise": [f"{i // 3}" for i in range(12)], "score": scores})
    own = Condition(*(facts[name] for name in vars(OWN)))
    metrics = {"neurons": 7, "examples": 12, "dropped": 1, "accuracy": 100 * facts["correct"] / 12}
    write_condition(own, metrics, table, XNLI.metrics, path / "m.tsv", path / "p.parquet", facts["digest"])


def read_condition(path):
    metrics = read_metrics({OWN: path / "m.tsv"}, XNLI.metrics)
    return agreeing(path / "p.parquet", OWN, metrics[OWN], XNLI)


def perplexity(path, facts):
    base = {"en": (200.0, 100), "vi": (300.0, 100)}
    zeroed = {"en": {"en": (210.0, 100), "vi": (301.0, 100)}, "vi": {"en": (199.0, 100), "vi": (330.0, 100)}}
    rows = perplexity_rows(base, zeroed, {"en": 400, "vi": 250}, {"en": 3, "vi": 4})
    write_perplexity(path, rows, facts["model"], facts["method"])


def read_perplexity(path):
    return read_changes(path, {"model": "tiny", "method": "lape"})


CURVE = {"model": "tiny", "task": "xnli", "finetuning": "vi@lape"}


def curve(path, facts):
    names = ("learning_rate", "loss", "gradient_norm")
    steps = [dict.fromkeys(names, 1 / i) | {"step": i, "epoch": i / 4, "validation_loss": None} for i in range(1, 9)]
    write_curve(steps, path, facts)


@functools.cache
def base():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


ADAPTER = {"base_digest": DIGEST, "base_model": "tiny", "task": "xquad", "finetuning": "vi@lape"}
ADAPTER |= {"quantization": "none", "dtype": "float32"}
OTHER_ADAPTERS = [
    {"base_digest": OTHER_DIGEST},
    {"base_model": "other"},
    {"task": "xnli"},
    {"finetuning": "en@lape"},
    {"quantization": "nf4"},
    {"dtype": "bfloat16"},
]


@functools.cache
def adapted():
    import copy

    from langneurons.finetuning.masked_lora import add_lora

    return add_lora(copy.deepcopy(base()), 2, 4, rows={0: np.array([3])}, task_type="CAUSAL_LM")


def adapter(path, facts):
    save_adapter(adapted(), path, facts, "# a card")


def read_adapter(path):
    import copy

    expected = {name: ADAPTER[name] for name in ADAPTER if name != "base_digest"}
    load_adapter(copy.deepcopy(base()), path, DIGEST, expected)


def snapshot(path, facts):
    path.mkdir()
    base().save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).write_text('{"model": {"vocab": {}}}')
    seal_snapshot(path, facts)


def read_snapshot(path):
    """As a job of the model ``tiny`` does; the tokenizer's files as a job that packs."""
    open_snapshot(path, "tiny", TOKENIZER)
    open_snapshot(path, "tiny")
    load_base(path)


KINDS = {
    "corpus shard": Kind(
        {"language": "vi", "shard": "0001"}, [{"language": "hi"}, {"shard": "0000"}], documents, read_shard
    ),
    "token blocks": Kind(
        BLOCKS,
        [{"language": "hi"}, {"shard": "heldout"}, {"model_key": "other"}, {"tokenizer": OTHER_DIGEST}],
        blocks,
        lambda path: read_blocks(path, "statistics", {k: v for k, v in BLOCKS.items() if k != "block"}),
    ),
    "counts, summarized": Kind(COUNTS, OTHER_COUNTS, counts, lambda path: read_counts(path, COUNTS)),
    "counts, identified": Kind(COUNTS, OTHER_COUNTS, counts, lambda path: read_positive(path, COUNTS)),
    "counts, merged": Kind(COUNTS, [*OTHER_COUNTS, {"model": OTHER_DIGEST}], counts, merged),
    "statistics": Kind(
        STATISTICS,
        [
            {"language": "hi"},
            {"model": OTHER_DIGEST},
            {"model_key": "x"},
            {"site": "act"},
            {"estimate": "batch_mean"},
            {"statistic": "mean"},
        ],
        statistics,
        lambda path: read_statistic(path, "p90", {k: v for k, v in STATISTICS.items() if k != "statistic"}),
    ),
    "neuron mask": Kind(
        MASK, [{"method": "act"}, {"model": OTHER_DIGEST}, {"model_key": "x"}, {"half": "even"}], mask, read_mask
    ),
    "xnli": Kind(
        {"task": "xnli", "language": "vi", "split": "test"},
        [{"language": "hi"}, {"split": "train"}, {"task": "xquad"}],
        task,
        lambda path: read_task(path, "xnli", {"language": "vi", "split": "test"}),
    ),
    "xquad": Kind(
        {"task": "xquad", "language": "vi", "split": "train"},
        [{"language": "hi"}, {"split": "test"}, {"task": "xnli"}],
        task,
        lambda path: read_task(path, "xquad", {"language": "vi", "split": "train"}),
    ),
    "predictions": Kind(CONDITION, OTHER_CONDITIONS, condition, read_condition, "p.parquet"),
    "metrics": Kind(CONDITION, OTHER_CONDITIONS, condition, read_condition, "m.tsv"),
    "perplexity": Kind(
        {"model": "tiny", "method": "lape"}, [{"model": "other"}, {"method": "act"}], perplexity, read_perplexity
    ),
    "curve": Kind(
        CURVE,
        [{"model": "other"}, {"task": "xquad"}, {"finetuning": "base"}],
        curve,
        lambda path: read_curve(path, CURVE),
    ),
    "adapter's weights": Kind(ADAPTER, [], adapter, read_adapter, "adapter_model.safetensors"),
    "adapter's configuration": Kind(ADAPTER, [], adapter, read_adapter, "adapter_config.json"),
    "adapter's seal": Kind(ADAPTER, [], adapter, read_adapter, "langneurons.json"),
    "adapter": Kind(ADAPTER, OTHER_ADAPTERS, adapter, read_adapter),
    **{
        f"snapshot's {name}": Kind({"model_key": "tiny"}, [], snapshot, read_snapshot, name)
        for name in ("model.safetensors", "config.json", "tokenizer.json", "langneurons.json")
    },
    "snapshot": Kind({"model_key": "tiny"}, [{"model_key": "other"}], snapshot, read_snapshot),
}


def damages(whole: bytes, draw: random.Random, count: int):
    """(what was done, bytes) of ``count`` damaged copies."""
    for i in range(count):
        place = draw.randrange(len(whole))
        if i % 4 == 0:
            yield f"cut to {place} bytes", whole[:place]
        elif i % 4 == 1:
            size = draw.randrange(1, min(64, len(whole) - place) + 1)
            zeros = whole[:place] + bytes(size) + whole[place + size :]
            yield (f"{size} zeros at {place}", zeros) if zeros != whole else ("a byte more", whole + b"\0")
        else:
            bit = draw.randrange(8)
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            yield f"bit {bit} of byte {place} flipped", bytes(changed)


def refusal(kind: Kind, path: Path, done: str) -> str:
    """The message that a job ends with; fails if the file is used, or the error is no error of the project's."""
    try:
        kind.read(path)
    except ValueError as error:  # what langneurons.runner.jobs turns into one line
        message = str(error)
    else:
        pytest.fail(f"{path}, {done}: was used silently")
    assert str(path) in message and "\n" not in message, f"{done}: {message}"
    return message


@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_file_is_used_silently(name, tmp_path):
    kind, draw, begun = KINDS[name], random.Random(f"{SEED}/{name}"), time.process_time()
    kind.write(tmp_path / "own", kind.facts)
    kind.read(tmp_path / "own")
    if kind.file or (tmp_path / "own").is_file():
        path = tmp_path / "own" / kind.file if kind.file else tmp_path / "own"
        whole = path.read_bytes()
        for done, content in damages(whole, draw, DAMAGED):
            path.write_bytes(content)
            refusal(kind, tmp_path / "own", done)
        path.unlink()
        refusal(kind, tmp_path / "own", "removed")
        path.write_bytes(whole)
        kind.read(tmp_path / "own")
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("name", KINDS)
def test_no_swapped_file_is_used_silently(name, tmp_path):
    """A whole file of another language, model, method, task, split, fine-tuning or condition; or of another kind."""
    kind = KINDS[name]
    for number, other in enumerate(kind.others):
        kind.write(tmp_path / f"{number}", kind.facts | other)
        kind.write(tmp_path / f"{number}-own", kind.facts)
        if kind.file:
            shutil.copyfile(tmp_path / f"{number}" / kind.file, tmp_path / f"{number}-own" / kind.file)
            refusal(kind, tmp_path / f"{number}-own", f"swapped for {other}")
        else:
            refusal(kind, tmp_path / f"{number}", f"swapped for {other}")
    for foreign in ("corpus shard", "neuron mask", "perplexity"):
        if foreign != name and not kind.file:
            shutil.rmtree(tmp_path / "kind", ignore_errors=True)
            (tmp_path / "kind").unlink(missing_ok=True)
            KINDS[foreign].write(tmp_path / "kind", KINDS[foreign].facts)
            refusal(kind, tmp_path / "kind", f"swapped for a file of kind {foreign}")


def test_there_are_enough():
    folders = (KINDS["adapter"], KINDS["snapshot"])  # what is damaged is in their files
    damaged = sum(kind not in folders for kind in KINDS.values()) * DAMAGED
    assert damaged + sum(len(kind.others) for kind in KINDS.values()) >= 500
    assert replace(OWN, language="hi") != OWN
