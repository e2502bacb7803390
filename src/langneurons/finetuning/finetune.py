"""One fine-tuning of the workflow: base model, mask and task data to an adapter."""

from __future__ import annotations

import os
from collections.abc import Mapping

from langneurons.conditions import split_finetuning

KINDS = {"xnli": ("classification", "SEQ_CLS"), "xquad": ("causal", "CAUSAL_LM")}


def finetune(
    model_path: str | os.PathLike,
    train_path: str | os.PathLike,
    adapter_path: str | os.PathLike,
    checkpoints: str | os.PathLike,
    *,
    name: str,
    task: str,
    finetuning: str,
    mask_path: str | os.PathLike | None,
    settings: Mapping,
    quantization: str,
    dtype: str,
    max_tokens: int,
    prompt: str | None,
    seed: int,
) -> list[dict]:
    """Train LoRA on attention, and on the mask's rows of ``gate_proj``, and write the adapter (paper, appendix B.3).

    ``finetuning`` is ``base`` or ``languages@method``; ``settings`` are the keys of the configuration's
    ``finetuning.{task}``; ``name`` is the model's key. Returns the loss of every step.
    """
    import functools

    from langneurons.finetuning.adapters import save_adapter
    from langneurons.finetuning.masked_lora import add_lora
    from langneurons.finetuning.training import train
    from langneurons.identification.mask import NeuronMask
    from langneurons.models.loading import load_base, load_tokenizer, snapshot_digest
    from langneurons.models.neurons import find_neurons
    from langneurons.tasks import xnli, xquad
    from langneurons.tasks.sources import read_task

    kind, task_type = KINDS[task]
    tokenizer = load_tokenizer(model_path)
    table = read_task(train_path, task)
    if task == "xnli":
        encoded, collate = xnli.encode(table, tokenizer, max_tokens), xnli.collate
    else:
        encoded, collate = xquad.encode_training(table, tokenizer, max_tokens, prompt), xquad.collate
    print(f"{len(encoded.examples)} examples; {encoded.dropped} dropped as longer than {max_tokens} tokens")

    model = load_base(model_path, kind, quantization, dtype)
    digest = snapshot_digest(model_path)
    languages, method = split_finetuning(finetuning)
    metadata = {"base_model": name, "base_digest": digest, "task": task, "finetuning": finetuning, "seed": seed}
    metadata |= {"settings": dict(settings), "quantization": quantization, "dtype": dtype}
    rows = None
    if method:
        mask = NeuronMask.read(mask_path)
        sites = find_neurons(model)
        mask.check_model(len(sites.layers), sites.neurons_per_layer, digest)
        rows = mask.union(languages)
        metadata |= {"method": method, "languages": list(languages), "mask_digest": mask.digest()}
        print(f"{sum(len(r) for r in rows.values())} neurons of {'+'.join(languages)} train")
    model = add_lora(model, settings["rank"], settings["alpha"], rows=rows, task_type=task_type, seed=seed)
    if task == "xnli":
        from langneurons.models.pooling import use_last_real_token

        use_last_real_token(model)
    history = train(
        model,
        encoded.examples,
        functools.partial(collate, pad_id=tokenizer.pad_token_id),
        checkpoints,
        epochs=settings["epochs"],
        batch_size=settings["batch"],
        learning_rate=settings["learning_rate"],
        betas=tuple(settings["betas"]),
        weight_decay=settings["weight_decay"],
        max_grad_norm=settings["max_grad_norm"],
        warmup_ratio=settings["warmup_ratio"],
        checkpoint_epoch=settings["checkpoint_epoch"],
        seed=seed,
        bf16=dtype == "bfloat16",
    )
    save_adapter(model, adapter_path, metadata)
    return history
