"""Tiny models: a tokenizer and a language model trained on the run's own corpus."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.files import write_directory_atomically
from langneurons.models.tokenization import TextEncoder, read_tokenizer
from langneurons.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def train_tokenizer(texts: list[str], vocabulary: int, directory: str | os.PathLike) -> None:
    """Train a byte-level BPE on ``texts`` and write it as a fast tokenizer (BOS is put before each text)."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    # Letters stay with their combining marks (the vowel signs of Indic scripts), unlike in GPT-2's
    # pattern; byte-level, so no script is unknown.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[\p{L}\p{M}\u200c\u200d]+| ?\p{N}+|[^\s\p{L}\p{M}\p{N}]|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(target / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
    }
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def build_model(settings: dict, seed: int) -> PreTrainedModel:
    """A randomly initialised tiny Llama or Mistral from the keys of a ``source: demo`` model."""
    import torch

    shape = dict(
        vocab_size=settings["vocabulary"],
        hidden_size=settings["hidden"],
        intermediate_size=settings["neurons"],
        num_hidden_layers=settings["layers"],
        num_attention_heads=settings["heads"],
        num_key_value_heads=settings["key_value_heads"],
        head_dim=settings["head_dim"],
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
        # 1 / sqrt(width): the 0.02 of large models leaves so narrow a one asleep for hundreds of steps
        initializer_range=settings["hidden"] ** -0.5,
    )
    torch.manual_seed(seed)
    if settings["architecture"] == "llama":
        from transformers.models.llama import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(LlamaConfig(**shape))
    from transformers.models.mistral import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**shape, sliding_window=None))


def language_weights(languages: list[str], shares: dict[str, float]) -> list[float]:
    """Share of each language: those given, and an equal part of the rest for the others."""
    rest = [language for language in languages if language not in shares]
    left = 1 - sum(shares[language] for language in languages if language in shares)
    return [shares[language] if language in shares else left / len(rest) for language in languages]


def pretrain(model: PreTrainedModel, documents: dict[str, list[list[int]]], settings: dict, seed: int) -> list[float]:
    """Train ``model`` on token lists by language. Returns the losses.

    Each step takes ``batch`` blocks of ``block`` tokens at random offsets of the languages' streams, a
    language drawn by its share (``shares``; what they leave is divided equally: as in real corpora, one
    language may dominate). AdamW, linear warm-up over 5 % of the steps, cosine decay to a tenth.
    """
    import math

    import torch

    streams = {k: torch.tensor([t for d in v for t in d], dtype=torch.long) for k, v in sorted(documents.items())}
    block, batch, steps = settings["block"], settings["batch"], settings["steps"]
    for language, stream in streams.items():
        if len(stream) <= block:
            raise ValueError(
                f"the corpus of '{language}' has {len(stream)} tokens; pretraining needs more than {block}"
            )
    languages, weights = list(streams), language_weights(list(streams), settings["shares"])
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], betas=(0.9, 0.98), weight_decay=0.05
    )
    warm = max(1, steps // 20)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    losses = []
    with Progress(steps * batch * block, "tokens", "pretrain") as done:
        for step in range(steps):
            chosen = rng.choices(languages, weights, k=batch)
            rows = []
            for language in chosen:
                start = rng.randrange(len(streams[language]) - block)
                rows.append(streams[language][start : start + block])
            ids = torch.stack(rows)
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"pretraining: the loss is {losses[-1]} at step {step + 1}")
            done(ids.numel())
    model.eval()
    return losses


def make_model(
    corpus: list[str | os.PathLike],
    directory: str | os.PathLike,
    settings: dict,
    heldout_fraction: float,
    seed: int,
    model_key: str = "",
) -> None:
    """Train a tokenizer and a tiny model on corpus shards (``…/{language}/{shard}.parquet``): a sealed snapshot.

    Held-out documents are left out. The directory appears whole or not at all. ``model_key`` is the model's key in the
    configuration, a fact of the snapshot.
    """
    from langneurons.corpus.documents import STATISTICS, read_documents, split_of
    from langneurons.models.loading import seal_snapshot

    texts: dict[str, list[str]] = {}
    for path in corpus:
        kept = texts.setdefault(Path(path).parent.name, [])
        facts = {"language": Path(path).parent.name, "shard": Path(path).stem}
        kept += [t for _, t in read_documents(path, facts) if split_of(t, heldout_fraction, seed) == STATISTICS]
    with write_directory_atomically(directory, "the model") as partial:
        train_tokenizer([t for language in sorted(texts) for t in texts[language]], settings["vocabulary"], partial)
        tokenizer = read_tokenizer(partial)
        encoder, end = TextEncoder(tokenizer), tokenizer.eos_token_id
        ids = {lang: [[*encoder.whole(text).ids, end] for text in kept] for lang, kept in texts.items()}
        model = build_model(settings | {"vocabulary": len(tokenizer)}, seed)
        print(f"{sum(p.numel() for p in model.parameters())} parameters")
        losses = pretrain(model, ids, settings, seed)
        first, last = losses[:100], losses[-100:]
        print(f"loss: {sum(first) / len(first):.3f} over the first steps, {sum(last) / len(last):.3f} over the last")
        model.save_pretrained(str(partial))
        seal_snapshot(partial, {"model_key": model_key})
