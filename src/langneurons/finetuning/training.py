"""Training an adapter on the Hugging Face Trainer: the paper's optimiser and schedule, resumable, repeatable.

AdamW, linear warm-up, linear decay, clipped gradients (paper, appendix B.3). A checkpoint holds the parameters that
train, the optimiser, the schedule and the random states, never the base; the same inputs and seed give the same
weights, interrupted or not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from langneurons.finetuning.checkpoints import (
    history_of,
    identity,
    last_checkpoint,
    load_trainable,
    run_directory,
    step_of,
    trainable_parameters,
)
from langneurons.finetuning.trainer import (
    EpochSampler,
    run_callback,
    stopping_on_request,
    trainer_class,
    with_ids,
)
from langneurons.progress import Progress

if TYPE_CHECKING:
    import datasets
    from peft import PeftModel
    from transformers import TrainingArguments

    from langneurons.finetuning.trainer import AdapterSteps


class Trained(NamedTuple):
    """What training leaves beside the weights: a dict per step, and its directory of checkpoints."""

    curve: list[dict]
    checkpoints: Path


@dataclass(frozen=True)
class TrainingSettings:
    """What the weights depend on beside the model and the data; the defaults are the paper's (appendix B.3).

    ``bf16`` is autocast to bfloat16. ``group_by_length`` makes batches of examples of like length, drawn anew every
    epoch. With ``checkpoint_epoch`` training stops at the end of that epoch, on the schedule of all epochs.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = 0.1
    max_grad_norm: float = 10.0
    warmup_ratio: float = 0.01
    seed: int = 42
    bf16: bool = True
    group_by_length: bool = False
    checkpoint_epoch: int | None = None

    def of_every_step(self) -> dict[str, Any]:
        """What every step depends on, wherever training stops."""
        return {**asdict(self), "betas": list(self.betas)} | {"checkpoint_epoch": None}


@dataclass(frozen=True)
class Execution:
    """What changes memory, time and the checkpoints alone.

    A checkpoint is kept every ``checkpoint_steps`` steps. ``gradient_checkpointing`` computes activations again instead
    of keeping them. ``micro_batch`` is how many examples pass through the model at a time (default: the batch); their
    gradients add up to those of the whole batch.
    """

    checkpoint_steps: int = 500
    gradient_checkpointing: bool = False
    micro_batch: int | None = None


def train(
    model: PeftModel,
    train_dataset: datasets.Dataset,
    collator: Callable[[list[dict]], dict[str, torch.Tensor]],
    output_dir_for_checkpoints: str | os.PathLike,
    settings: TrainingSettings,
    validation_dataset: datasets.Dataset | None = None,
    execution: Execution = Execution(),
) -> Trained:
    """Train the parameters of ``model`` that require gradients, in place; return what every step said.

    The learning rate warms up over ``warmup_ratio`` of all steps and decays to zero at the end of ``epochs``.
    ``collator`` gets examples with all their columns and returns the model's inputs with ``labels``. The device is the
    model's; a batch that does not fit into its memory is halved until it does. The loss on ``validation_dataset`` is
    taken after every epoch and changes nothing.

    Checkpoints lie in a directory of the run's own below ``output_dir_for_checkpoints``. A call with the same model,
    data and settings continues from the last whole one; those of other runs are left aside. A SIGTERM saves one and
    then ends the process.

    Returns the curve: a dict per step with step (from 1), epoch (fraction), learning_rate (of that step), loss,
    gradient_norm (before clipping) and validation_loss (None but at the end of an epoch). With it the run's own
    directory of checkpoints, for the caller to delete once the adapter is saved.

    Raises FloatingPointError naming step, examples and learning rate if the loss is not finite, DiskFull if a
    checkpoint cannot be saved, ValueError for arguments that cannot be meant.
    """
    run, directory = _checked_run(model, train_dataset, output_dir_for_checkpoints, settings, validation_dataset)
    steps_per_epoch = math.ceil(len(train_dataset) / settings.batch_size)
    stop = steps_per_epoch * (settings.checkpoint_epoch or settings.epochs)
    checkpoint = last_checkpoint(directory, run, stop)
    if checkpoint is not None and step_of(checkpoint) == stop:
        load_trainable(model, checkpoint)
        model.eval()
        return Trained(_curve(history_of(checkpoint)), directory)

    use_cache = model.config.use_cache
    with _deterministic(), stopping_on_request() as stopped, Progress(stop, "steps", "train") as done:
        done(0 if checkpoint is None else step_of(checkpoint))
        trainer = trainer_class()(
            model=model,
            args=_arguments(model, directory, settings, execution),
            train_dataset=train_dataset,
            data_collator=with_ids(collator),
        )
        trainer.identity = run
        trainer.micro_batch = min(execution.micro_batch or settings.batch_size, settings.batch_size)
        if settings.group_by_length:
            lengths = [len(ids) for ids in train_dataset["input_ids"]]
            trainer.sampler = EpochSampler(lengths, settings.batch_size, settings.seed)

        def validate(model: nn.Module) -> float:
            return trainer.validation_loss(model, validation_dataset, collator, trainer.micro_batch)

        trainer.add_callback(
            run_callback(trainer, stop, steps_per_epoch, done, stopped, validate if validation_dataset else None)
        )
        _silence(trainer)
        try:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        finally:
            trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # takes the autocast off again
            model.config.use_cache = use_cache
            if execution.gradient_checkpointing:
                model.gradient_checkpointing_disable()
    if trainer.state.global_step != stop:
        raise RuntimeError(f"training stopped after step {trainer.state.global_step} of {stop}")
    model.eval()
    return Trained(_curve(trainer.state.log_history), directory)


def _checked_run(
    model: PeftModel,
    train_dataset: datasets.Dataset,
    checkpoints: str | os.PathLike,
    settings: TrainingSettings,
    validation_dataset: datasets.Dataset | None,
) -> tuple[str, Path]:
    """A run's identity and its directory of checkpoints; ValueError for arguments that cannot be meant."""
    if len(train_dataset) == 0:
        raise ValueError("train_dataset holds no example; raise the task's maximum length or its share of the data")
    epoch, epochs = settings.checkpoint_epoch, settings.epochs
    if epoch is not None and not 1 <= epoch <= epochs:
        raise ValueError(f"checkpoint_epoch is {epoch}; write an epoch from 1 to {epochs}, or null")
    if not trainable_parameters(model):
        raise ValueError("no parameter of the model requires gradients; pass what masked_lora.add_lora returns")
    validation = 0 if validation_dataset is None else len(validation_dataset)
    run = identity(model, train_dataset, settings.of_every_step() | {"validation": validation})
    return run, run_directory(checkpoints, run)


def _arguments(
    model: PeftModel, directory: Path, settings: TrainingSettings, execution: Execution
) -> TrainingArguments:
    from transformers import TrainingArguments

    device, recompute = next(model.parameters()).device, execution.gradient_checkpointing
    arguments = TrainingArguments(
        output_dir=str(directory),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_checkpointing=recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False} if recompute else None,
        learning_rate=settings.learning_rate,
        optim="adamw_torch",
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_ratio,  # below 1 it is a share of all steps
        seed=settings.seed,
        bf16=settings.bf16,
        use_cpu=device.type == "cpu",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type != "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=execution.checkpoint_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one model on one device: the Trainer would spread batches over all it sees
    return arguments


def _silence(trainer: AdapterSteps) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _curve(log: list[dict]) -> list[dict]:
    validation = {entry["step"]: entry["validation_loss"] for entry in log if "validation_loss" in entry}
    return [
        {
            "step": entry["step"],
            "epoch": entry["epoch"],
            "learning_rate": entry["learning_rate"],
            "loss": entry["loss"],
            "gradient_norm": entry["grad_norm"],
            "validation_loss": validation.get(entry["step"]),
        }
        for entry in log
        if "loss" in entry
    ]


@contextmanager
def _deterministic() -> Iterator[None]:
    """PyTorch's deterministic kernels where it has them, as they were before afterwards."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic  # its attribute is a property of the module's class
    fill = deterministic.fill_uninitialized_memory
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        deterministic.fill_uninitialized_memory = fill
