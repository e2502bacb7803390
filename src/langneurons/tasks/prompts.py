"""Questions as instruction prompts, and the answer that is to follow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langneurons.models.tokenization import Template
from langneurons.tasks.encoding import IGNORED, Encoded, eos_token, keep_short
from langneurons.tasks.texts import named

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedTokenizerBase


def encode_training(table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, prompt: str) -> Encoded:
    """Prompt, first gold answer and EOS as token ids, with labels on the answer and EOS alone.

    The result's columns are ``id``, ``input_ids`` and ``labels`` (``IGNORED`` on the prompt; not shifted:
    the model shifts them). Examples of more than ``max_tokens`` in all are dropped and counted.
    """
    prompts, answers = _encode(table, tokenizer, prompt)
    answers = [[*answer, eos_token(tokenizer)] for answer in answers]
    ids = [p + a for p, a in zip(prompts, answers, strict=True)]
    labels = [[IGNORED] * len(p) + a for p, a in zip(prompts, answers, strict=True)]
    return keep_short({"id": table["id"].to_pylist(), "input_ids": ids, "labels": labels}, ids, max_tokens)


def encode_prompts(table: pa.Table, tokenizer: PreTrainedTokenizerBase, max_tokens: int, prompt: str) -> Encoded:
    """Prompts to generate from, token for token those of :func:`encode_training`.

    The result's columns are ``id``, ``paragraph``, ``answers``, ``input_ids`` (the prompt) and
    ``first_answer_ids`` (the first gold answer as training spells it, and as a model would generate it, without EOS).
    Prompts of more than ``max_tokens`` are dropped and counted.
    """
    prompts, answers = _encode(table, tokenizer, prompt)
    columns = {name: table[name].to_pylist() for name in ("id", "paragraph", "answers")}
    columns |= {"input_ids": prompts, "first_answer_ids": answers}
    return keep_short(columns, prompts, max_tokens)


def collate(batch: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded ``input_ids``, ``attention_mask`` and ``labels``, each int64 [batch, longest]."""
    from langneurons.models.padding import pad_right

    ids, mask = pad_right([example["input_ids"] for example in batch], pad_id)
    labels, _ = pad_right([example["labels"] for example in batch], IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def answer_text(tokenizer: PreTrainedTokenizerBase, tokens: Iterable[int]) -> str:
    """The text of generated tokens, without special tokens and surrounding white space."""
    return tokenizer.decode(list(tokens), skip_special_tokens=True).strip()  # type: ignore[union-attr]  # one sequence: one text


def _encode(
    table: pa.Table, tokenizer: PreTrainedTokenizerBase, prompt: str
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of each prompt, and of each first answer behind it.

    The prompt's own special tokens are special, those that context, question and answer spell are text. A prompt's
    tokens do not depend on the answer: they are those of the prompt alone. The answer is tokenised together with the
    prompt, after a space unless the prompt ends in white space or a special token, and its tokens are those behind the
    prompt's: so a tokenizer that puts a space before every text puts none before the answer. Where the answer changes
    the prompt's last tokens (in a prompt that ends in a space, which many tokenizers join to the next word), the
    answer's tokens are those that it has behind a line break, which joins to nothing; and where it does join, those of
    the answer alone.
    """
    form = Template(tokenizer, prompt, ("context", "question"), "prompt")
    for name in form.not_special:
        print(f"the prompt's {name} is no special token of this model's tokenizer; it is read as text")
    space = " " if form.open_ended else ""
    prompts, answers = [], []
    columns = (table[name].to_pylist() for name in ("id", "context", "question", "answers"))
    for identity, context, question, gold in zip(*columns, strict=True):
        with named(f"the question with id '{identity}'"):
            text = form.fill({"context": context.strip(), "question": question.strip()})
            answer = space + form.plain(gold[0].strip())
            ids = form.encode(text)
            prompts.append(form.begin(ids))
            answers.append(next(_continuations(form, text, ids, answer)))
    return prompts, answers


def _continuations(form: Template, text: str, ids: list[int], answer: str) -> Iterator[list[int]]:
    """Tokens of ``answer`` behind a text, behind a line break, and alone: the first that leave what is before alone."""
    for before, known in ((text, ids), ("\n", form.encode("\n"))):
        together = form.encode(before + answer)
        if together[: len(known)] == known:
            yield together[len(known) :]
    yield form.encode(answer)
