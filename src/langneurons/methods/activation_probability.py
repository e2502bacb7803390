"""Neurons of one language by activation probability: how often z exceeds a percentile of the language's activations."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from langneurons.methods.lape import number_selected
from langneurons.methods.mask import Entries, by_layer

log = logging.getLogger(__name__)


def select_by_relevance(
    relevance: Mapping[str, np.ndarray], tokens: Mapping[str, int], top_fraction: float
) -> tuple[Entries, Entries, dict]:
    """Select, for each language by itself, the neurons of the highest relevance.

    ``relevance``: language -> ``[L, D]``, share of its tokens with z above the threshold. ``tokens``: language ->
    number of tokens that share is over. ``top_fraction``: share of the model's neurons to select for each language, in
    (0, 1]. Ties go to the lower (layer, neuron).

    Returns (entries, scores, details): language -> layer -> sorted indices; the relevances beside them; by language
    ``spread`` (standard deviation of the relevance over the neurons), ``sampling_noise`` (what that deviation would be
    if all neurons had the same relevance and tokens were independent: sqrt(mean(r(1-r)) / tokens)), ``degenerate``
    (the spread is no more than the noise: the ranking means nothing) and ``warning`` (that in words, or "").

    Raises ValueError for a language without tokens, relevances outside 0 to 1, and a fraction that selects none.
    """
    entries: Entries = {}
    scores: Entries = {}
    details: dict[str, dict] = {}
    for language, values in relevance.items():
        r = _checked(language, values, tokens)
        flat = r.ravel()
        chosen = np.argsort(-flat, kind="stable")[: number_selected(top_fraction, flat.size)]
        width = r.shape[1]
        entries[language], scores[language] = by_layer(chosen // width, chosen % width, flat[chosen])
        details[language] = _spread(language, flat, tokens[language])
    return entries, scores, details


def _checked(language: str, values: np.ndarray, tokens: Mapping[str, int]) -> np.ndarray:
    if tokens.get(language, 0) <= 0:
        raise ValueError(f"{language}: no tokens behind its relevance; give the number its statistics were taken over")
    r = np.asarray(values, dtype=np.float64)
    if r.ndim != 2:
        raise ValueError(f"{language}: relevance has shape {r.shape}; give [layers, neurons]")
    if not ((r >= 0) & (r <= 1)).all():
        raise ValueError(f"{language}: relevance must lie between 0 and 1; it is a share of tokens")
    return r


def _spread(language: str, r: np.ndarray, tokens: int) -> dict:
    # Identical values can differ from their own mean by rounding: that spread is none.
    spread = 0.0 if (r == r[0]).all() else float(r.std())
    noise = float(np.sqrt((r * (1 - r)).mean() / tokens))
    degenerate, warning = spread <= noise, ""
    if degenerate:
        warning = (
            f"{language}: relevance varies over the neurons by {spread:.3g}, no more than the sampling noise of "
            f"{noise:.3g}: the ranking is noise; write threshold: layer or threshold: model"
        )
        log.warning(warning)
    return {"spread": spread, "sampling_noise": noise, "degenerate": degenerate, "warning": warning}
