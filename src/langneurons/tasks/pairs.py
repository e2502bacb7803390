"""Pairs of sentences to classify: as token ids, in batches, and scored by the classifier's largest logit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langneurons.models.tokenization import Template, TextEncoder
from langneurons.tasks.base import Evaluated
from langneurons.tasks.encoding import Encoded, eos_token, keep_short
from langneurons.tasks.texts import named

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedTokenizerBase

    from langneurons.models.types import LanguageModel

SEPARATORS = ("spaced_eos", "eos")
"""What stands between premise and hypothesis; the first is the paper's."""

_FIELDS = ("premise", "hypothesis")


def encode(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, separator: str = SEPARATORS[0]
) -> Encoded:
    """Token ids of premise, EOS, hypothesis; examples of more than ``max_tokens`` are dropped and counted.

    ``separator``: ``spaced_eos``, one text in which the EOS token stands between spaces (paper's code); ``eos``, the
    token alone between the two, each tokenised by itself. The result's columns are ``id``, ``premise`` (the id of the
    first pair with the same premise), ``input_ids`` and ``labels`` (from 0). What the tokenizer puts around a text
    (BOS) is put around the whole, once. Special tokens spelt out in the data are plain text.

    ValueError for an unknown separator, if the tokenizer has no EOS token, or if every example is too long.
    """
    if separator not in SEPARATORS:
        raise ValueError(f"unknown separator '{separator}'; write one of: {', '.join(SEPARATORS)}")
    eos = eos_token(tokenizer)
    pairs = list(zip(table["premise"].to_pylist(), table["hypothesis"].to_pylist(), strict=True))
    form: Template | TextEncoder
    if separator == "spaced_eos":
        form = Template(tokenizer, f"{{premise}} {tokenizer.eos_token} {{hypothesis}}", _FIELDS, "the separator")
    else:
        form = TextEncoder(tokenizer)
    ids, identities = [], table["id"].to_pylist()
    for identity, (premise, hypothesis) in zip(identities, pairs, strict=True):
        with named(f"the pair with id '{identity}'"):
            if isinstance(form, Template):
                inner = form.encode(form.fill({"premise": premise, "hypothesis": hypothesis}))
            else:
                inner = [*form.encode(premise).ids, eos, *form.encode(hypothesis).ids]
        ids.append(form.before + inner + form.after)
    first: dict[str, str] = {}
    premises = [first.setdefault(premise, identity) for identity, (premise, _) in zip(identities, pairs, strict=True)]
    columns = {"id": identities, "premise": premises, "input_ids": ids, "labels": table["label"].to_pylist()}
    return keep_short(columns, ids, max_tokens)


def collate(batch: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded ``input_ids`` and ``attention_mask`` [batch, longest], and ``labels`` [batch]; all int64."""
    import torch

    from langneurons.models.padding import pad_right

    ids, mask = pad_right([example["input_ids"] for example in batch], pad_id)
    labels = torch.tensor([int(example["labels"]) for example in batch], dtype=torch.long)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def classified(
    model: LanguageModel, encoded: Encoded, tokenizer: PreTrainedTokenizerBase, batch_tokens: int, where: str
) -> Evaluated:
    """Accuracy and predictions of a classifier on encoded pairs (paper, appendix B.1).

    ``where`` is the condition, for errors. ValueError for a logit that is not finite.
    """
    import pyarrow as pa

    from langneurons.evaluation.classification import classify
    from langneurons.tasks.metrics import accuracy

    logits = classify(model, encoded.examples, batch_tokens, tokenizer.pad_token_id, f"{where}: a logit")
    gold, predicted = list(encoded.examples["labels"]), logits.argmax(axis=1).tolist()
    predictions = pa.table(
        {
            "id": pa.array(list(encoded.examples["id"]), pa.string()),
            "premise": pa.array(list(encoded.examples["premise"]), pa.string()),
            "gold": pa.array(gold, pa.int8()),
            "prediction": pa.array(predicted, pa.int8()),
            "score": pa.array([float(p == g) for p, g in zip(predicted, gold, strict=True)], pa.float64()),
            "logits": pa.array(logits.tolist(), pa.list_(pa.float32())),
        }
    )
    return Evaluated({"accuracy": accuracy(predicted, gold)}, encoded.dropped, predictions)


def padding_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """A token with which no example ends, so that transformers finds the last real one before it; None: there is none.

    Special tokens do not come of a text, but the tokenizer may put one after it.
    """
    after = TextEncoder(tokenizer).after
    ids = [tokenizer.pad_token_id, *sorted(tokenizer.all_special_ids)]
    return next((i for i in ids if i not in after[-1:]), None)


def reading(facts: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """Paragraphs of a card: what a classifier of pairs reads and answers, and who cannot use it."""
    if (pad := facts.get("pad_token_id")) is None:
        padding = "Give one example at a time, without padding: the head reads the last token."
    else:
        padding = (
            f"Pad on the right with token {pad}, with an attention mask: the head reads the last token that is not "
            "`config.pad_token_id`, and no example ends with it."
        )
    eos = f"`{facts['eos_token']}`"
    if facts["separator"] == "spaced_eos":
        form = f"premise, {eos} between two spaces, hypothesis, tokenised as one text"
    else:
        form = f"the tokens of the premise, {eos}, those of the hypothesis, either tokenised by itself"
    numbered = ", ".join(f"{number} {label}" for number, label in enumerate(labels))
    return [
        f"Labels: {numbered}. Input: {form}; longer ones than {facts['max_tokens']} tokens were left out. {padding}",
        "This adapter classifies. It has no meaning for tools that load causal language models (text generation, "
        "evaluation harnesses, inference servers): they drop its head, `score`, and its LoRA was not trained to write.",
    ]
