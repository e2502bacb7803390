"""A whole fine-tuning of a tiny snapshot, and the same in a process of its own that a signal ends at a given step."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np

SETTINGS = {
    "rank": 4,
    "alpha": 8,
    "learning_rate": 5e-3,
    "batch": 4,
    "epochs": 2,
    "checkpoint_epoch": None,
    "betas": (0.95, 0.999),
    "weight_decay": 0.1,
    "max_grad_norm": 10.0,
    "warmup_ratio": 0.01,
    "targets": ["gate_proj"],
    "group_by_length": False,
    "validation": 6,
}
SHAPE = {
    "architecture": "llama",
    "layers": 2,
    "hidden": 64,
    "neurons": 128,
    "heads": 2,
    "key_value_heads": 1,
    "head_dim": 32,
    "vocabulary": 400,
}
NEURONS = {"en": {0: [3, 9]}, "vi": {0: [9, 77], 1: [0, 127]}}
STEPS = 12  # 24 examples in batches of 4, twice

# Importing the libraries takes longer than these trainings do: one process imports them, and each run is its fork.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["langneurons.finetuning.training", "transformers.trainer", "datasets", "finetuning_runs"]
)


def make_inputs(folder: Path) -> None:
    """A snapshot, task files of both tasks and a mask below ``folder``."""
    from langneurons.demo import world
    from langneurons.demo.pretraining import build_model, train_tokenizer
    from langneurons.methods.mask import mask_from
    from langneurons.models.loading import snapshot_digest
    from langneurons.tasks.files import write_task

    (folder / "tiny").mkdir()
    examples = {
        (task, split): [write("en", 1, split, i) for i in range(24 if split == "train" else 8)]
        for task, write in (("xnli", world.write_inference), ("xquad", world.write_question))
        for split in ("train", "test")
    }
    train_tokenizer([e["premise"] for e in examples["xnli", "train"]], SHAPE["vocabulary"], folder / "tiny")
    build_model(SHAPE, seed=3).save_pretrained(str(folder / "tiny"))
    for (task, split), rows in examples.items():
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        write_task(folder / f"{task}.{split}.parquet", task, columns, {"task": task, "language": "en", "split": split})
    scores = {code: {layer: np.ones(len(i)) for layer, i in layers.items()} for code, layers in NEURONS.items()}
    facts = {"layers": 2, "neurons_per_layer": 128, "model": snapshot_digest(folder / "tiny")}
    mask_from("lape-set1", NEURONS, scores, **facts).write(folder / "mask.parquet", model_key="tiny")


def run(folder: Path, out: Path, *, task: str = "xnli", finetuning: str = "en+vi@lape-set1", **changes) -> list[dict]:
    """Fine-tune to ``out/adapter`` and ``out/curve.tsv``, a checkpoint every third step; returns the curve.

    ``changes``: settings, or arguments of ``finetune``.
    """
    import functools

    from langneurons.finetuning import training
    from langneurons.finetuning.finetune import Base, Mask, Outputs, TaskData, finetune

    settings = {name: changes.pop(name, value) for name, value in SETTINGS.items()}
    whole, training.Execution = training.Execution, functools.partial(training.Execution, checkpoint_steps=3)
    own = {"prompt": "{context}\n{question}\n"} if task == "xquad" else {"separator": "spaced_eos"}
    model = {"quantization": "none", "dtype": "float32"}
    fields = ("quantization", "dtype", "repository", "revision", "attention_targets")
    model |= {name: changes.pop(name) for name in fields if name in changes}
    masks = changes.pop("masks", [folder / "mask.parquet"] if "@" in finetuning else None)
    data = TaskData(
        task,
        task,
        {"max_tokens": changes.pop("max_tokens", 300), **own},
        folder / f"{task}.train.parquet",
        changes.pop("train_facts", None),
        changes.pop("validation_path", folder / f"{task}.test.parquet"),
        changes.pop("validation_facts", None),
    )
    try:
        return finetune(
            Base(folder / "tiny", "tiny", **model),
            data,
            finetuning,
            Mask(masks, changes.pop("mask_settings", None)) if masks else None,
            settings,
            Outputs(out / "adapter", out / "curve.tsv", out / "checkpoints"),
            **{"seed": 7} | changes,
        )
    finally:
        training.Execution = whole


def run_until(folder: Path, out: Path, step: int | None, number: int = signal.SIGKILL, **changes) -> int:
    """``run`` in a process of its own that gets the signal within training step ``step``; its exit code."""
    process = _forks.Process(target=_run_until, args=(folder, out, step, number, changes))
    process.start()
    process.join(300)
    return process.exitcode


def _run_until(folder: Path, out: Path, step: int | None, number: int, changes: dict) -> None:
    import torch

    from langneurons.finetuning.trainer import trainer_class

    torch.set_num_threads(1)
    whole = trainer_class().training_step

    def training_step(self, *arguments, **options):
        loss = whole(self, *arguments, **options)
        if self.state.global_step + 1 == step:
            os.kill(os.getpid(), number)
        return loss

    trainer_class().training_step = training_step
    run(folder, out, **changes)
