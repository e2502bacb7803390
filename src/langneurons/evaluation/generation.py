"""Generating answers greedily, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from langneurons.evaluation.classification import batches_by_length, inference
from langneurons.finite import check_finite
from langneurons.models.padding import pad_left
from langneurons.models.pooling import position_ids
from langneurons.progress import Progress

if TYPE_CHECKING:
    from langneurons.models.types import LanguageModel

_LOOK = 4
"""Tokens between two looks at which rows have ended: a look waits for the device."""


def generate_answers(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos_ids: Iterable[int],
    pad_id: int,
    batch_tokens: int,
    names: Sequence[str] | None = None,
    what: str = "the best logit",
) -> list[list[int]]:
    """Greedy continuation of each prompt, in the order given: token ids up to an EOS, which is left out.

    ``model`` is a causal language model of transformers or a PEFT model around one. At most
    ``max_new_tokens`` are generated. ``batch_tokens`` bounds a batch (rows times prompt plus continuation);
    it and ``pad_id`` change the speed and not the answer, up to the rounding of the model's dtype.

    ``names`` are what an error calls the prompts, by default their numbers; ``what`` is how it calls their logits.

    ValueError on an empty prompt or a ``max_new_tokens`` below 1, and on a logit that is not finite, naming the first
    such prompt of its batch.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; write at least 1")
    empty = [i for i, prompt in enumerate(prompts) if not len(prompt)]
    if empty:
        raise ValueError(f"prompt {empty[0]} has no token")
    stop = sorted({int(i) for i in eos_ids})
    answers: list[list[int]] = [[] for _ in prompts]
    with inference(model), Progress(len(prompts), "prompts", "generate") as done:
        for batch in batches_by_length([len(p) + max_new_tokens for p in prompts], batch_tokens):
            ids, mask = pad_left([list(prompts[i]) for i in batch], pad_id)
            generated, worst = _generate(model, ids, mask, max_new_tokens, stop, pad_id)
            check_finite(worst, what, ("example",), [i if names is None else names[i] for i in batch])
            for i, tokens in zip(batch, generated, strict=True):
                answers[i] = _until(tokens, stop)
            done(len(batch))
    return answers


def _until(tokens: list[int], stop: list[int]) -> list[int]:
    """The tokens before the first of ``stop``."""
    end = next((i for i, token in enumerate(tokens) if token in stop), len(tokens))
    return tokens[:end]


def _generate(
    model: LanguageModel, ids: torch.Tensor, mask: torch.Tensor, max_new_tokens: int, stop: list[int], pad_id: int
) -> tuple[list[list[int]], list[float]]:
    """Greedy tokens of one left-padded batch; what follows a row's EOS has no meaning. And a number of each row that is
    not finite if a best logit of it was not: NaN and infinity are the best where there are any."""
    device: Any = model.get_input_embeddings().weight.device
    ids, mask = ids.to(device), mask.to(device)
    positions = position_ids(mask)
    ends = torch.tensor(stop, dtype=torch.long, device=device)
    answers = torch.full((len(ids), max_new_tokens), pad_id, dtype=torch.long, device=device)
    rows = torch.arange(len(ids), device=device)  # the answers that the batch's rows stand for
    ended = torch.zeros(len(ids), dtype=torch.bool, device=device)
    worst = torch.zeros(len(ids), dtype=torch.float32, device=device)
    cache = None
    for step in range(max_new_tokens):
        output = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        logits = output.logits[:, -1]
        token = logits.argmax(dim=-1)  # [rows]
        answers[rows, step] = token
        best = logits.gather(1, token.unsqueeze(1)).squeeze(1).float()
        broken = ~best.isfinite() & ~ended
        worst[rows] = torch.where(broken, best, worst[rows])  # looked at when the batch is done: it would wait here
        ended |= torch.isin(token, ends) | broken
        if (step + 1) % _LOOK == 0:
            alive = int((~ended).sum())
            if not alive:
                break
            if 2 * alive <= len(ended):  # half have ended: go on with the others alone
                keep = (~ended).nonzero().squeeze(1)
                cache.batch_select_indices(keep)
                rows, token, mask, positions, ended = (x[keep] for x in (rows, token, mask, positions, ended))
        ids = token.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return answers.tolist(), worst.tolist()
