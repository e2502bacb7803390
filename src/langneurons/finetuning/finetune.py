"""One fine-tuning of the workflow: base model, mask and task data to an adapter and its training curve."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langneurons.experiment.condition import split_finetuning
from langneurons.registry import entry

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from langneurons.finetuning.training import TrainingSettings

PathLike = str | os.PathLike


@dataclass(frozen=True)
class Base:
    """The model that is adapted: its snapshot, its key, how it is loaded, and where on the Hub it is from.

    ``attention_targets``: modules of its attention that are adapted; None for its architecture's own.
    """

    path: PathLike
    key: str
    quantization: str
    dtype: str
    repository: str | None = None
    revision: str | None = None
    attention_targets: Sequence[str] | None = None


@dataclass(frozen=True)
class TaskData:
    """What is trained on: a task's key and kind, its ``settings`` of fine-tuning, and its files.

    ``validation``: the file whose first examples give the validation loss, or None. ``facts`` and
    ``validation_facts``: what these files must say of themselves (``task``, ``language``, ``split``).
    """

    key: str
    kind: str
    settings: Mapping[str, Any]
    train: PathLike
    facts: Mapping[str, str] | None = None
    validation: PathLike | None = None
    validation_facts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Mask:
    """The files of the mask whose neurons train, and the settings that each must have been made with."""

    paths: Sequence[PathLike]
    settings: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Outputs:
    """Where the adapter and the curve are written, and where training keeps its checkpoints until then."""

    adapter: PathLike
    curve: PathLike
    checkpoints: PathLike


def finetune(
    base: Base,
    data: TaskData,
    finetuning: str,
    mask: Mask | None,
    settings: Mapping[str, Any],
    outputs: Outputs,
    seed: int,
    gradient_checkpointing: bool = False,
) -> list[dict]:
    """Train LoRA on attention, and on the mask's neurons, and write the adapter (paper, appendix B.3) and its curve.

    ``finetuning`` is ``base`` or ``languages@method``; ``settings`` are the keys of the configuration's
    ``finetuning.{task}`` that change the result (``targets`` only with neurons). Returns the curve
    (``training.train``).

    Raises ValueError for a mask of another model or method, for other task data than said, and for validation examples
    that train, and what ``train`` and ``save_adapter`` raise.
    """
    from langneurons.finetuning.adapters import save_adapter, trained_with
    from langneurons.finetuning.card import model_card
    from langneurons.finetuning.curves import write_curve
    from langneurons.finetuning.masked_lora import add_lora
    from langneurons.finetuning.training import Execution, train
    from langneurons.models.attention import attention_targets as default_targets
    from langneurons.models.loading import load_base, load_tokenizer, snapshot_digest
    from langneurons.models.pooling import use_last_real_token

    task, tokenizer = entry("tasks", data.kind), load_tokenizer(base.path)
    training, validation = _examples(data, tokenizer, settings["validation"])
    loaded = load_base(base.path, quantization=base.quantization, dtype=base.dtype, **task.HEAD.loading())
    digest = snapshot_digest(base.path)
    targets = default_targets(loaded) if base.attention_targets is None else base.attention_targets
    rows, found = _neurons(loaded, digest, base.key, finetuning, mask)
    metadata = {
        "base_model": base.key,
        "base_digest": digest,
        "base_repository": base.repository,
        "base_revision": base.revision,
        "task": data.key,
        "task_kind": data.kind,
        "finetuning": finetuning,
        "seed": seed,
        "settings": trained_with(settings),
        "quantization": base.quantization,
        "dtype": base.dtype,
        **task.adapter_facts(tokenizer, data.settings),
        "attention_targets": list(targets),
        **found,
    }
    model = add_lora(
        loaded,
        settings["rank"],
        settings["alpha"],
        targets,
        rows=rows,
        task_type=task.HEAD.task_type,
        seed=seed,
        targets=settings.get("targets", ()),
    )
    if task.HEAD.kind == "classification":
        use_last_real_token(model)
    collate = functools.partial(task.collate, pad_id=tokenizer.pad_token_id)
    training_settings = _training_settings(settings, seed, base.dtype == "bfloat16")
    execution = Execution(gradient_checkpointing=gradient_checkpointing)
    trained = train(model, training, collate, outputs.checkpoints, training_settings, validation, execution)
    write_curve(trained.curve, outputs.curve, {"model": base.key, "task": data.key, "finetuning": finetuning})
    save_adapter(model, outputs.adapter, metadata, model_card(metadata))
    shutil.rmtree(trained.checkpoints)
    with contextlib.suppress(OSError):  # not empty: checkpoints of other parameters
        Path(outputs.checkpoints).rmdir()
    return trained.curve


def _examples(data: TaskData, tokenizer: PreTrainedTokenizerBase, count: int) -> tuple[Dataset, Dataset | None]:
    """Encoded training examples, and the first ``count`` of validation, if there are any."""
    from langneurons.tasks.files import read_task
    from langneurons.tasks.splits import check_untrained

    task = entry("tasks", data.kind)
    training = task.encode_train(read_task(data.train, data.kind, data.facts), tokenizer, data.settings)
    dropped, longest = training.dropped, data.settings.get("max_tokens")
    print(f"{len(training.examples)} examples; {dropped} dropped as longer than {longest} tokens")
    if not data.validation or not count:
        return training.examples, None
    table = read_task(data.validation, data.kind, data.validation_facts)[:count]
    validation = task.encode_train(table, tokenizer, data.settings).examples
    if task.SHARED_IDS:
        check_untrained(validation["id"][:], training.examples["id"][:], str(data.validation))
    return training.examples, validation


def _neurons(
    model: torch.nn.Module, digest: str, key: str, finetuning: str, mask: Mask | None
) -> tuple[dict | None, dict[str, Any]]:
    """The rows that train by layer, and what the adapter says of them; None and nothing for ``base``."""
    from langneurons.methods.mask import read_masks
    from langneurons.models.neurons import find_neurons

    languages, method = split_finetuning(finetuning)
    if method is None:
        return None, {}
    if mask is None:
        raise ValueError(f"{finetuning}: trains neurons, and there is no mask; give one")
    read = read_masks(mask.paths, {"method": method, "model_key": key}, mask.settings)
    sites = find_neurons(model)
    try:
        read.check_model(len(sites.layers), sites.neurons_per_layer, digest)
    except ValueError as error:
        raise ValueError(f"{', '.join(map(str, mask.paths))}: {error}") from None
    rows = read.union(languages)
    neurons = sum(len(chosen) for chosen in rows.values())
    print(f"{neurons} neurons of {'+'.join(languages)} train")
    said = {"method": method, "languages": list(languages), "mask_digest": read.digest(), "neurons": neurons}
    return rows, said


def _training_settings(settings: Mapping[str, Any], seed: int, bf16: bool) -> TrainingSettings:
    """The keys of ``finetuning.{task}`` as training takes them."""
    from langneurons.finetuning.training import TrainingSettings

    return TrainingSettings(
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        learning_rate=settings["learning_rate"],
        betas=tuple(settings["betas"]),
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        warmup_ratio=settings["warmup_ratio"],
        seed=seed,
        bf16=bf16,
        group_by_length=settings["group_by_length"],
        checkpoint_epoch=settings["checkpoint_epoch"],
    )
