"""Training an adapter on the Hugging Face Trainer: the paper's optimiser and schedule, resumable, repeatable.

AdamW, linear warm-up, linear decay, clipped gradients (paper, appendix B.3). A checkpoint holds the parameters that
train, the optimiser, the schedule and the random states, never the base; the same inputs and seed give the same
weights, interrupted or not.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from langneurons.files import write_atomically
from langneurons.progress import Progress

if TYPE_CHECKING:
    import datasets

WEIGHTS = "trainable.safetensors"
COMPLETE = "complete.json"  # written last: a checkpoint without it, or of another run, is not resumed
STATE = "trainer_state.json"

logger = logging.getLogger(__name__)


def train(
    model: nn.Module,
    train_dataset: datasets.Dataset,
    collator: Callable[[list[dict]], dict[str, torch.Tensor]],
    output_dir_for_checkpoints: str | os.PathLike,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.95, 0.999),
    weight_decay: float = 0.1,
    max_grad_norm: float = 10.0,
    warmup_ratio: float = 0.01,
    seed: int = 42,
    bf16: bool = True,
    checkpoint_epoch: int | None = None,
    gradient_accumulation_steps: int = 1,
    checkpoint_steps: int = 500,
    group_by_length: bool = False,
) -> list[dict]:
    """Train the parameters of ``model`` that require gradients, in place; return the loss of every step.

    The learning rate warms up over ``warmup_ratio`` of all steps and decays to zero at the end of ``epochs``. With
    ``checkpoint_epoch`` training stops at the end of that epoch, on the schedule of all epochs. ``bf16`` is autocast
    to bfloat16. ``collator`` gets examples with all their columns and returns the model's inputs with ``labels``. The
    device is the model's.

    A checkpoint is kept every ``checkpoint_steps`` steps and at the end. A call with the same model, data and arguments
    goes on from the last complete one; checkpoints of anything else are removed. The caller deletes the directory once
    the adapter is saved.

    Returns dicts with step (from 1), epoch (fraction), loss and learning_rate (of that step), a dict a step.

    Raises FloatingPointError naming step and learning rate if the loss is not finite, ValueError for arguments that
    cannot be meant.
    """
    if len(train_dataset) == 0:
        raise ValueError("train_dataset holds no example; raise the task's maximum length or its share of the data")
    if checkpoint_epoch is not None and not 1 <= checkpoint_epoch <= epochs:
        raise ValueError(f"checkpoint_epoch is {checkpoint_epoch}; write an epoch from 1 to {epochs}, or null")
    if not trainable_parameters(model):
        raise ValueError("no parameter of the model requires gradients; pass what masked_lora.add_lora returns")
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "betas": list(betas),
        "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm,
        "warmup_ratio": warmup_ratio,
        "seed": seed,
        "bf16": bf16,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "group_by_length": group_by_length,
    }
    directory = Path(output_dir_for_checkpoints)
    identity = _identity(model, train_dataset, settings)
    steps_per_epoch = math.ceil(math.ceil(len(train_dataset) / batch_size) / gradient_accumulation_steps)
    stop = steps_per_epoch * (checkpoint_epoch or epochs)
    checkpoint = _last_checkpoint(directory, identity, stop)
    if checkpoint is not None and _step(checkpoint) == stop:
        _load_trainable(model, checkpoint)
        model.eval()
        return _history(json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["log_history"])

    arguments = _arguments(model, directory, settings, checkpoint_steps)
    use_cache = model.config.use_cache
    with _deterministic(), Progress(stop, "steps", "train") as done:
        done(0 if checkpoint is None else _step(checkpoint))
        trainer = _trainer_class()(
            model=model,
            args=arguments,
            train_dataset=train_dataset,
            data_collator=collator,
            callbacks=[_callback(identity, stop, done)],
        )
        _silence(trainer)
        try:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        finally:
            trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # takes the autocast off again
            model.config.use_cache = use_cache
    if trainer.state.global_step != stop:
        raise RuntimeError(f"training stopped after step {trainer.state.global_step} of {stop}")
    for name, parameter in trainable_parameters(model).items():
        if not torch.isfinite(parameter).all():
            raise FloatingPointError(
                f"{name} is not finite after the last step ({stop}), learning rate {learning_rate:g}"
            )
    model.eval()
    return _history(trainer.state.log_history)


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require gradients, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _arguments(model: nn.Module, directory: Path, settings: dict, checkpoint_steps: int):
    from transformers import TrainingArguments

    device = next(model.parameters()).device
    arguments = TrainingArguments(
        output_dir=str(directory),
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"],
        gradient_accumulation_steps=settings["gradient_accumulation_steps"],
        learning_rate=settings["learning_rate"],
        optim="adamw_torch",
        adam_beta1=settings["betas"][0],
        adam_beta2=settings["betas"][1],
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        lr_scheduler_type="linear",
        warmup_steps=settings["warmup_ratio"],  # below 1 it is a share of all steps
        seed=settings["seed"],
        bf16=settings["bf16"],
        use_cpu=device.type == "cpu",
        train_sampling_strategy="group_by_length" if settings["group_by_length"] else "random",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type != "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=checkpoint_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one model on one device: the Trainer would spread batches over all it sees
    return arguments


@functools.cache
def _trainer_class():
    from transformers import Trainer

    class AdapterTrainer(Trainer):
        """The Trainer, which here stops at a loss that is not finite and saves what trains and nothing else."""

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if num_items_in_batch is None or self._loss_shifts_labels:
                return result
            # A classifier's loss is its batch's mean whatever the Trainer asks, and the Trainer would add up the means
            # of an accumulated batch's parts: weight each by its share of the examples.
            share = inputs["labels"].numel() / num_items_in_batch
            return (result[0] * share, result[1]) if return_outputs else result * share

        def training_step(self, model, inputs, num_items_in_batch=None):
            loss = super().training_step(model, inputs, num_items_in_batch)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} at step {self.state.global_step + 1}, learning rate "
                    f"{self._get_learning_rate():g}; lower finetuning's learning_rate or look at the data"
                )
            return loss

        def _save(self, output_dir=None, state_dict=None):
            from safetensors.torch import save_file

            Path(output_dir).mkdir(parents=True, exist_ok=True)
            tensors = {name: p.detach().cpu().contiguous() for name, p in trainable_parameters(self.model).items()}
            save_file(tensors, Path(output_dir) / WEIGHTS)

        def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
            _load_trainable(model or self.model, Path(resume_from_checkpoint))

    return AdapterTrainer


def _silence(trainer) -> None:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _callback(identity: str, stop: int, done: Progress):
    from transformers import TrainerCallback

    class Run(TrainerCallback):
        """Stops after step ``stop``, marks checkpoints complete, and tells how far it is."""

        def on_step_end(self, args, state, control, **kwargs):
            done()
            if state.global_step == stop:
                control.should_training_stop = control.should_save = True

        def on_save(self, args, state, control, **kwargs):
            with write_atomically(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE) as partial:
                partial.write_text(json.dumps({"identity": identity}), encoding="utf-8")

    return Run()


def _history(log: list[dict]) -> list[dict]:
    keys = ("step", "epoch", "loss", "learning_rate")
    return [{key: entry[key] for key in keys} for entry in log if "loss" in entry]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _last_checkpoint(directory: Path, identity: str, stop: int) -> Path | None:
    """The last complete checkpoint of this very run, at most at step ``stop``; removes all that are of no use."""
    usable = []
    for checkpoint in directory.glob("checkpoint-*"):
        mark = checkpoint / COMPLETE
        if mark.is_file() and json.loads(mark.read_text(encoding="utf-8"))["identity"] == identity:
            if _step(checkpoint) <= stop:
                usable.append(checkpoint)
        else:
            logger.info("removing %s: incomplete, or of other inputs", checkpoint)
            shutil.rmtree(checkpoint)
    return max(usable, key=_step, default=None)


def _load_trainable(model: nn.Module, checkpoint: Path) -> None:
    from safetensors.torch import load_file

    held, parameters = load_file(checkpoint / WEIGHTS), trainable_parameters(model)
    if held.keys() != parameters.keys():
        raise ValueError(f"{checkpoint}: its parameters are not the model's; delete the directory and train again")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(held[name])


def _identity(model: nn.Module, dataset: datasets.Dataset, settings: dict) -> str:
    """SHA-256 over all that decides the result: settings, data, what trains, the mask, and a sample of the base."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    table = dataset.with_format("arrow")[:]
    digest.update(str(table.schema.remove_metadata()).encode())
    for batch in table.to_batches(max_chunksize=1024):
        digest.update(batch.serialize())
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            whole = tensor.requires_grad or name.endswith(".neurons")
            part = tensor.flatten() if whole else tensor.flatten()[:256]
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(part.cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def _deterministic() -> Iterator[None]:
    """PyTorch's deterministic kernels where it has them, as they were before afterwards."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill
