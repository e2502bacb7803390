"""Classification from the last real token: what the head of a decoder reads, in training and evaluation alike."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch


def pooled_logits(
    model: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any
) -> torch.Tensor:
    """Logits [batch, labels] of the head on the final hidden state of each row's last real token.

    Real is what ``attention_mask`` [batch, length] marks with 1, on whichever side the padding lies.
    transformers finds the token by ``input_ids != pad_token_id`` instead, which is wrong where the padding
    token occurs in the text, as an EOS does that serves for both. ``kwargs`` go to the decoder.
    """
    classifier = find_classifier(model)
    return _pooled(classifier, input_ids, attention_mask, kwargs)[0]


def find_classifier(model: torch.nn.Module) -> Any:
    """The ``...ForSequenceClassification`` itself, within a PEFT model or not; ValueError if there is none."""
    outer: Any = model
    inner = outer.get_base_model() if hasattr(outer, "get_base_model") else outer
    prefix = getattr(inner, "base_model_prefix", "")
    if not hasattr(inner, "score") or not prefix or not hasattr(inner, prefix):
        raise ValueError(
            f"{type(inner).__name__} is no classification model (a decoder with a head named 'score'); "
            'load it with load_base(path, task="classification")'
        )
    return inner


def use_last_real_token(model: torch.nn.Module) -> torch.nn.Module:
    """Make the ordinary forward of a classification model pool by the attention mask; return ``model``.

    Changes this one instance, in place, once: ``model(**batch)`` and its ``loss`` then use
    :func:`pooled_logits`, within a PEFT model too, whether it is wrapped before or after. The loss is the
    mean cross-entropy in float32, or its sum over ``num_items_in_batch`` where the Trainer gives it.
    """
    classifier = find_classifier(model)
    classifier.forward = MethodType(_forward, classifier)
    return model


def _forward(
    self: torch.nn.Module,
    input_ids: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    inputs_embeds: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    num_items_in_batch: torch.Tensor | int | None = None,
    return_dict: bool | None = None,
    **kwargs: Any,
) -> Any:
    """The forward that :func:`use_last_real_token` puts into place. Without a mask every token is real."""
    from transformers.modeling_outputs import SequenceClassifierOutputWithPast

    if inputs_embeds is not None:
        kwargs["inputs_embeds"] = inputs_embeds
    if attention_mask is None:
        given: Any = input_ids if input_ids is not None else inputs_embeds
        attention_mask = torch.ones(given.shape[:2], dtype=torch.long, device=given.device)
    logits, decoded = _pooled(self, input_ids, attention_mask, kwargs)
    loss = None
    if labels is not None:
        labels = labels.to(logits.device)
        reduction = "mean" if num_items_in_batch is None else "sum"
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction=reduction)
        if num_items_in_batch is not None:
            loss = loss / torch.as_tensor(num_items_in_batch, device=loss.device)
    output = SequenceClassifierOutputWithPast(
        loss=loss, logits=logits, hidden_states=decoded.hidden_states, attentions=decoded.attentions
    )
    return output if return_dict is not False else output.to_tuple()


def _pooled(
    classifier: Any, input_ids: torch.Tensor | None, attention_mask: torch.Tensor, kwargs: dict[str, Any]
) -> tuple[torch.Tensor, Any]:
    """(logits [batch, labels], the decoder's output)."""
    decoder = getattr(classifier, classifier.base_model_prefix)
    device = decoder.get_input_embeddings().weight.device
    mask = attention_mask.to(device)
    if not (mask != 0).any(dim=1).all():
        raise ValueError("a row of the batch has no real token: its attention mask is 0 throughout")
    options = {"use_cache": False, "position_ids": position_ids(mask)}
    options |= {name: value for name, value in kwargs.items() if value is not None}
    ids = None if input_ids is None else input_ids.to(device)
    decoded = decoder(input_ids=ids, attention_mask=mask, **options)
    hidden = decoded.last_hidden_state  # [batch, length, d_model]
    places = torch.arange(mask.shape[1], device=device)
    last = torch.where(mask != 0, places, -1).argmax(dim=1)  # [batch]
    chosen = hidden[torch.arange(len(last), device=hidden.device), last.to(hidden.device)]  # [batch, d_model]
    dtype = classifier.score.weight.dtype
    if dtype.is_floating_point:  # a head trained in float32 may sit on a bfloat16 decoder
        chosen = chosen.to(dtype)
    return classifier.score(chosen), decoded


def position_ids(attention_mask: torch.Tensor) -> torch.Tensor:
    """Positions [batch, length] that count real tokens alone, so that padding on the left moves nothing."""
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
