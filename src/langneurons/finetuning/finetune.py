"""One fine-tuning of the workflow: base model, mask and task data to an adapter and its training curve."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from langneurons.experiment.condition import split_finetuning

KINDS = {"xnli": ("classification", "SEQ_CLS"), "xquad": ("causal", "CAUSAL_LM")}


def finetune(
    model_path: str | os.PathLike,
    train_path: str | os.PathLike,
    adapter_path: str | os.PathLike,
    curve_path: str | os.PathLike,
    checkpoints: str | os.PathLike,
    *,
    name: str,
    task: str,
    finetuning: str,
    mask_path: str | os.PathLike | None,
    validation_path: str | os.PathLike | None,
    settings: Mapping,
    quantization: str,
    dtype: str,
    max_tokens: int,
    prompt: str | None,
    separator: str | None,
    seed: int,
    repository: str | None = None,
    revision: str | None = None,
    attention_targets: Sequence[str] | None = None,
    gradient_checkpointing: bool = False,
    train_facts: Mapping | None = None,
    validation_facts: Mapping | None = None,
    mask_settings: Mapping | None = None,
) -> list[dict]:
    """Train LoRA on attention, and on the mask's neurons, and write the adapter (paper, appendix B.3) and its curve.

    ``finetuning`` is ``base`` or ``languages@method``; ``settings`` are the keys of the configuration's
    ``finetuning.{task}`` that change the result (``targets`` only with neurons); ``name`` is the model's key,
    ``repository`` and ``revision`` where on the Hub it is from; ``attention_targets`` its attention's modules that are
    adapted, None for its architecture's own; ``prompt`` is XQuAD's, ``separator`` XNLI's. The first
    ``settings["validation"]`` examples of ``validation_path`` give the validation loss. ``train_facts`` and
    ``validation_facts``: the language and the split that these files must be of; ``mask_settings``: what the mask must
    have been made with. Returns the curve (``training.train``).

    Raises ValueError for a mask of another model or method, for other task data than said, and for validation questions
    of XQuAD that train, and what ``train`` and ``save_adapter`` raise.
    """
    import functools

    from langneurons.finetuning.adapters import save_adapter, trained_with
    from langneurons.finetuning.card import model_card
    from langneurons.finetuning.curves import write_curve
    from langneurons.finetuning.masked_lora import add_lora
    from langneurons.finetuning.training import train
    from langneurons.methods.mask import NeuronMask
    from langneurons.models.attention import attention_targets as default_targets
    from langneurons.models.loading import load_base, load_tokenizer, snapshot_digest
    from langneurons.models.neurons import find_neurons
    from langneurons.tasks import xnli, xquad
    from langneurons.tasks.files import read_task
    from langneurons.tasks.splits import check_untrained

    kind, task_type = KINDS[task]
    tokenizer = load_tokenizer(model_path)

    def encoded(path, facts, count=None):
        table = read_task(path, task, facts)[:count]
        if task == "xnli":
            return xnli.encode(table, tokenizer, max_tokens, separator)
        return xquad.encode_training(table, tokenizer, max_tokens, prompt)

    training = encoded(train_path, train_facts)
    print(f"{len(training.examples)} examples; {training.dropped} dropped as longer than {max_tokens} tokens")
    validation = None
    if validation_path:
        validation = encoded(validation_path, validation_facts, settings["validation"]).examples
    if validation and task == "xquad":  # XNLI's examples are numbered anew in each file
        check_untrained(validation["id"][:], training.examples["id"][:], str(validation_path))

    model = load_base(model_path, kind, quantization, dtype)
    digest = snapshot_digest(model_path)
    languages, method = split_finetuning(finetuning)
    metadata = {"base_model": name, "base_digest": digest, "task": task, "finetuning": finetuning, "seed": seed}
    metadata |= {"base_repository": repository, "base_revision": revision}
    metadata |= {"settings": trained_with(settings)}
    metadata |= {"quantization": quantization, "dtype": dtype}
    metadata |= {"max_tokens": max_tokens}
    if task == "xnli":
        metadata |= {"separator": separator, "eos_token": tokenizer.eos_token, "pad_token_id": _padding(tokenizer)}
    else:
        metadata |= {"prompt": prompt}
    targets = default_targets(model) if attention_targets is None else attention_targets
    metadata |= {"attention_targets": list(targets)}
    rows = None
    if method:
        expected = {"method": method, "model_key": name} | ({"settings": mask_settings} if mask_settings else {})
        mask = NeuronMask.read(mask_path, expected)
        sites = find_neurons(model)
        try:
            mask.check_model(len(sites.layers), sites.neurons_per_layer, digest)
        except ValueError as error:
            raise ValueError(f"{mask_path}: {error}") from None
        rows = mask.union(languages)
        neurons = sum(len(r) for r in rows.values())
        metadata |= {"method": method, "languages": list(languages), "mask_digest": mask.digest(), "neurons": neurons}
        print(f"{neurons} neurons of {'+'.join(languages)} train")
    model = add_lora(
        model,
        settings["rank"],
        settings["alpha"],
        targets,
        rows=rows,
        task_type=task_type,
        seed=seed,
        targets=settings.get("targets", ()),
    )
    if task == "xnli":
        from langneurons.models.pooling import use_last_real_token

        use_last_real_token(model)
    trained = train(
        model,
        training.examples,
        functools.partial((xnli if task == "xnli" else xquad).collate, pad_id=tokenizer.pad_token_id),
        checkpoints,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        learning_rate=settings["learning_rate"],
        betas=tuple(settings["betas"]),
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        warmup_ratio=settings["warmup_ratio"],
        checkpoint_epoch=settings["checkpoint_epoch"],
        group_by_length=settings["group_by_length"],
        validation_dataset=validation,
        seed=seed,
        bf16=dtype == "bfloat16",
        gradient_checkpointing=gradient_checkpointing,
    )
    write_curve(trained.curve, curve_path, {"model": name, "task": task, "finetuning": finetuning})
    save_adapter(model, adapter_path, metadata, model_card(metadata))
    shutil.rmtree(trained.checkpoints)
    with contextlib.suppress(OSError):  # not empty: checkpoints of other parameters
        Path(checkpoints).rmdir()
    return trained.curve


def _padding(tokenizer) -> int | None:
    """A token with which no example ends, so that transformers finds the last real one before it; None: there is none.

    Special tokens do not come of a text, but the tokenizer may put one after it.
    """
    from langneurons.models.tokenization import TextEncoder

    after = TextEncoder(tokenizer).after
    ids = [tokenizer.pad_token_id, *sorted(tokenizer.all_special_ids)]
    return next((i for i in ids if i not in after[-1:]), None)
