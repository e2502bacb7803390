"""The Hugging Face Trainer as fine-tuning needs it: exact in small memory, careful with what it saves.

A batch that does not fit into the accelerator's memory is halved, and its parts' gradients are added up: the update is
that of the whole batch. A loss or a parameter that is not finite stops training before it is saved. A scheduler's
request to stop saves a checkpoint first.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from langneurons.files import telling_of_a_full_disk
from langneurons.finetuning.checkpoints import (
    load_trainable,
    mark,
    save_trainable,
    trainable_parameters,
    write_mark,
)
from langneurons.progress import Progress
from langneurons.tasks.encoding import IGNORED

if TYPE_CHECKING:
    import datasets
    from transformers import Trainer as _Trainer
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
else:
    _Trainer = object  # transformers' Trainer imports slowly: ``trainer_class`` adds it where it is needed

IDS = "example_ids"

logger = logging.getLogger(__name__)


class EpochSampler(torch.utils.data.Sampler):
    """Groups examples of like length: an order drawn from the seed and the epoch alone, so that it can be resumed."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        from transformers.trainer_pt_utils import get_length_grouped_indices

        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


def with_ids(collator: Callable) -> Callable:
    """The collator, which also hands on its examples' ids: for the message of a loss that is not finite."""

    def collate(batch: list[dict]) -> dict:
        return collator(batch) | {IDS: [str(example.get("id")) for example in batch]}

    return collate


def items(labels: torch.Tensor) -> int:
    """What a mean loss is the mean over: examples of a classifier, predicted tokens of a language model."""
    return labels.numel() if labels.ndim == 1 else int((labels[:, 1:] != IGNORED).sum())


class AdapterSteps(_Trainer):
    """What ``trainer_class`` puts before the Trainer's own methods.

    ``identity``, ``sampler`` (or None) and ``micro_batch``, the examples of a forward pass, are set after construction;
    the model's loss must be a mean over ``items``.
    """

    model: nn.Module
    identity: str
    sampler: EpochSampler | None = None
    micro_batch: int

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        model.train()
        ids: Any = inputs.get(IDS)
        inputs = self._prepare_inputs({name: value for name, value in inputs.items() if name != IDS})
        loss = None
        while loss is None:
            try:
                loss = self._backward(model, inputs)
            except torch.OutOfMemoryError:
                if self.micro_batch == 1:
                    raise
            if loss is None:  # outside the except, whose traceback holds the activations
                self._halve(model)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1}, learning rate "
                f"{self._get_learning_rate():g}, on examples {', '.join(ids)}; the last good checkpoint stays. "
                "Lower finetuning's learning_rate or look at these examples"
            )
        return loss

    def _backward(self, model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Add the gradients of the batch's mean loss, part by part; return that loss."""
        labels = inputs["labels"]
        if self.micro_batch >= len(labels):
            with self.compute_loss_context_manager():
                loss = model(**inputs)["loss"]
            self.accelerator.backward(loss)
            return loss.detach()
        total, all_items = torch.zeros((), device=labels.device), items(labels)
        for start in range(0, len(labels), self.micro_batch):
            part = {name: value[start : start + self.micro_batch] for name, value in inputs.items()}
            own = items(part["labels"])
            if own:
                with self.compute_loss_context_manager():
                    loss = model(**part)["loss"] * (own / all_items)
                self.accelerator.backward(loss)
                total += loss.detach()
        return total

    def _halve(self, model: nn.Module) -> None:
        self.micro_batch = -(-self.micro_batch // 2)
        logger.warning(
            "out of memory: from step %d on, %d examples per forward pass, gradients added up over the batch",
            self.state.global_step + 1,
            self.micro_batch,
        )
        model.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def validation_loss(
        self, model: nn.Module, dataset: datasets.Dataset, collator: Callable, batch_size: int
    ) -> float:
        """Mean loss over ``items`` of all of ``dataset``, in the precision of training."""
        was_training, total, seen = model.training, 0.0, 0
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(dataset), batch_size):
                batch = collator([dataset[i] for i in range(start, min(start + batch_size, len(dataset)))])
                batch = self._prepare_inputs(batch)
                own = items(batch["labels"])
                total, seen = total + model(**batch)["loss"].item() * own, seen + own
        model.train(was_training)
        return total / max(1, seen)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler | None:
        return self.sampler or super()._get_train_sampler(*args, **kwargs)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save what trains, the optimiser, the schedule and the random states; the mark of a whole one last."""
        for name, parameter in trainable_parameters(self.model).items():
            if not torch.isfinite(parameter).all():
                raise FloatingPointError(
                    f"{name} is not finite after step {self.state.global_step}, learning rate "
                    f"{self._get_learning_rate():g}; the last good checkpoint stays. Lower finetuning's "
                    "learning_rate"
                )
        target = Path(cast(str, self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        whole = False
        try:
            with telling_of_a_full_disk(target, "a checkpoint", "the one before it stays"):
                super()._save_checkpoint(model, trial)
                write_mark(target, {"identity": self.identity, "micro_batch": self.micro_batch})
            whole = True
        finally:
            if not whole:
                shutil.rmtree(target, ignore_errors=True)

    def _save(self, output_dir: Any = None, state_dict: dict | None = None) -> None:
        save_trainable(self.model, output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        checkpoint = Path(resume_from_checkpoint)
        load_trainable(model or self.model, checkpoint)
        self.micro_batch = mark(checkpoint)["micro_batch"]


@functools.cache
def trainer_class() -> type[AdapterSteps]:
    """The Trainer with ``AdapterSteps``: a class made when it is first needed, since transformers imports slowly."""
    from transformers import Trainer

    return type("AdapterTrainer", (AdapterSteps, Trainer), {})


def run_callback(
    trainer: AdapterSteps,
    stop: int,
    steps_per_epoch: int,
    done: Progress,
    stopped: Stopped,
    validate: Callable[[nn.Module], float] | None,
) -> TrainerCallback:
    """Stops after step ``stop``, or when a signal asks, validates after every epoch and reports how far it is."""
    from transformers import TrainerCallback

    class Run(TrainerCallback):
        def on_epoch_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            if trainer.sampler is not None:
                trainer.sampler.epoch = state.global_step // steps_per_epoch

        def on_step_end(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            model: Any = None,
            **kwargs: Any,
        ) -> None:
            done()
            # Here, before a checkpoint of this step: so that a resumed run has the epoch's validation too.
            if validate is not None and state.global_step % steps_per_epoch == 0:
                state.log_history.append({"step": state.global_step, "validation_loss": validate(model)})
            if state.global_step == stop or stopped.by is not None:
                control.should_training_stop = control.should_save = True

    return Run()


class Stopped:
    """Which signal asked to stop, or None."""

    by: int | None = None


@contextmanager
def stopping_on_request() -> Iterator[Stopped]:
    """Note a SIGTERM, as a scheduler sends before it kills, instead of dying of it; die of it at the end."""
    stopped = Stopped()
    if threading.current_thread() is not threading.main_thread():
        yield stopped  # only the main thread receives signals
        return

    def note(number: int, frame: FrameType | None) -> None:
        stopped.by = number

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
        if stopped.by is not None:
            logger.warning("asked to stop: a checkpoint is saved, the next start goes on from it")
            os.kill(os.getpid(), stopped.by)
