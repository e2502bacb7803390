"""XQuAD: questions as instruction prompts, and the answer that is to follow them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from langneurons.tasks.xnli import Encoded, eos_token, keep_short, pad_right, surrounding_tokens, tokenize

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

PROMPT = "Answer the question from the context.\nContext: {context}\nQuestion: {question}\nAnswer:"
IGNORED = -100
"""The label of a position that has no part in the loss."""

_FIELD = re.compile(r"\{(context|question)\}")


def encode_training(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, prompt: str = PROMPT
) -> Encoded:
    """Prompt, first gold answer and EOS as token ids, with labels on the answer and EOS alone.

    The result's columns are ``id``, ``input_ids`` and ``labels`` (``IGNORED`` on the prompt; not shifted:
    the model shifts them). Examples of more than ``max_tokens`` in all are dropped and counted.
    """
    prompts = _prompts(table, tokenizer, prompt)
    answers = [[*answer, eos_token(tokenizer)] for answer in _first_answers(table, tokenizer, prompt)]
    ids = [p + a for p, a in zip(prompts, answers, strict=True)]
    labels = [[IGNORED] * len(p) + a for p, a in zip(prompts, answers, strict=True)]
    return keep_short({"id": table["id"].to_pylist(), "input_ids": ids, "labels": labels}, ids, max_tokens)


def encode_prompts(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, prompt: str = PROMPT
) -> Encoded:
    """Prompts to generate from, token for token those of :func:`encode_training`.

    The result's columns are ``id``, ``paragraph``, ``answers``, ``input_ids`` (the prompt) and
    ``first_answer_ids`` (the first gold answer as training spells it, without EOS). Prompts of more than
    ``max_tokens`` are dropped and counted.
    """
    prompts = _prompts(table, tokenizer, prompt)
    columns = {name: table[name].to_pylist() for name in ("id", "paragraph", "answers")}
    columns["input_ids"] = prompts
    columns["first_answer_ids"] = _first_answers(table, tokenizer, prompt)
    return keep_short(columns, prompts, max_tokens)


def collate(batch: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded ``input_ids``, ``attention_mask`` and ``labels``, each int64 [batch, longest]."""
    ids, mask = pad_right([example["input_ids"] for example in batch], pad_id)
    labels, _ = pad_right([example["labels"] for example in batch], IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids, padded before their starts: (ids, mask), each int64 [rows, longest]; 1 is a real token."""
    ids, mask = pad_right([row[::-1] for row in rows], pad_id)
    return ids.flip(1), mask.flip(1)


def answer_text(tokenizer: PreTrainedTokenizerBase, tokens: Iterable[int]) -> str:
    """The text of generated tokens, without special tokens and surrounding white space."""
    return tokenizer.decode(list(tokens), skip_special_tokens=True).strip()


def _prompts(table: pa.Table, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[list[int]]:
    fields = set(_FIELD.findall(prompt))
    if fields != {"context", "question"}:
        raise ValueError(f"prompt is {prompt!r}; it must hold {{context}} and {{question}}")
    texts = []
    for context, question in zip(table["context"].to_pylist(), table["question"].to_pylist(), strict=True):
        # One pass: braces within the data stay as they are.
        values = {"context": context.strip(), "question": question.strip()}
        texts.append(_FIELD.sub(lambda match, values=values: values[match.group(1)], prompt))
    before, _ = surrounding_tokens(tokenizer)
    return [before + ids for ids in tokenize(tokenizer, texts)]


def _first_answers(table: pa.Table, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[list[int]]:
    """Token ids of each first answer, after a space unless the prompt itself ends in white space."""
    space = "" if prompt[-1:].isspace() else " "
    return tokenize(tokenizer, [space + answers[0].strip() for answers in table["answers"].to_pylist()])
