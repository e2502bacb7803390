"""Checkpoints of a training run: whose they are, which is the last whole one, what they hold.

Every run has a directory of its own, named by all that decides its result. So a checkpoint of other parameters, data or
neurons is never resumed: it stays aside, under its own name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from langneurons.artifacts.directories import open_directory, seal_directory
from langneurons.artifacts.facts import ArtifactError

if TYPE_CHECKING:
    import datasets

WEIGHTS = "trainable.safetensors"
KIND = "checkpoint"  # of a sealed directory: one without a seal is a half one
STATE = "trainer_state.json"
NAME_LENGTH = 16

logger = logging.getLogger(__name__)


def identity(model: nn.Module, dataset: datasets.Dataset, settings: dict) -> str:
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
            digest.update(part.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def run_directory(directory: str | os.PathLike, identity: str) -> Path:
    """Where the run of ``identity`` keeps its checkpoints; reports those of other runs that lie beside it."""
    own = Path(directory) / identity[:NAME_LENGTH]
    others = sorted(path.name for path in Path(directory).glob("*") if path.is_dir() and path.name != own.name)
    if others:
        logger.warning(
            "%s: checkpoints of other parameters, data or neurons are set aside, not used (%s); delete them if they "
            "are no longer wanted",
            directory,
            ", ".join(others),
        )
    return own


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def last_checkpoint(own: Path, identity: str, stop: int) -> Path | None:
    """The last whole checkpoint in a run's directory, at most at step ``stop``; half and damaged ones are removed."""
    usable = []
    for checkpoint in own.glob("checkpoint-*"):
        try:
            open_directory(checkpoint, KIND, {"identity": identity})
        except ArtifactError as error:
            logger.warning("%s is no whole checkpoint of this run: removed (%s)", checkpoint, error)
            shutil.rmtree(checkpoint)
            continue
        if step_of(checkpoint) <= stop:
            usable.append(checkpoint)
    return max(usable, key=step_of, default=None)


def mark(checkpoint: Path) -> dict:
    """What the mark of a whole checkpoint says. ArtifactError, naming the file, for a half or a damaged one."""
    return open_directory(checkpoint, KIND)[0]


def write_mark(checkpoint: Path, content: dict) -> None:
    """Say that a checkpoint is whole, and what its files' checksums are: it is written last."""
    seal_directory(checkpoint, KIND, content)


def history_of(checkpoint: Path) -> list[dict]:
    """The log of the steps up to the checkpoint."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["log_history"]


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require gradients, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_trainable(model: nn.Module, checkpoint: str | os.PathLike) -> None:
    from safetensors.torch import save_file

    Path(checkpoint).mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().cpu().contiguous() for name, p in trainable_parameters(model).items()}
    save_file(tensors, Path(checkpoint) / WEIGHTS)


def load_trainable(model: nn.Module, checkpoint: Path) -> None:
    from safetensors.torch import load_file

    held, parameters = load_file(checkpoint / WEIGHTS), trainable_parameters(model)
    if held.keys() != parameters.keys():
        raise ValueError(f"{checkpoint}: its parameters are not the model's; delete the directory and train again")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(held[name])
