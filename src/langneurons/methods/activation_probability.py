"""Neurons of one language by activation probability: how often z exceeds a percentile of the language's activations."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langneurons.config.faults import outside
from langneurons.methods.base import Inputs, number_selected
from langneurons.sections.base import Language, Percentile, Share
from langneurons.sections.methods import MethodSection

if TYPE_CHECKING:
    import numpy as np

    from langneurons.methods.mask import Entries
    from langneurons.methods.sources import Sources
    from langneurons.sections.configuration import Config

ENTRY_OF = "methods"
PER_LANGUAGE = True
COUNTS = True
SPREAD = True

log = logging.getLogger(__name__)


class Section(MethodSection):
    """Activation probability: neurons that exceed a percentile of activations most often, by language."""

    kind: Literal["activation_probability"]
    languages: list[Language] = Field(min_length=1, description="Languages to find neurons of.")
    percentile: Percentile = Field(90, description="Percentile of the threshold.")
    threshold: Literal["batch_mean", "layer", "model"] = Field(
        "batch_mean", description="batch_mean: paper, by neuron; layer or model: over all neurons of either."
    )
    top_fraction: Share = Field(0.00125, description="Share of the model's neurons selected for each language.")


def languages(section: Section, config: Config) -> list[str]:
    return list(section.languages)


def inputs(section: Section, config: Config, languages: Sequence[str]) -> Inputs:
    return Inputs(counts=list(languages))


def settings(section: Section, config: Config, languages: Sequence[str]) -> dict[str, Any]:
    return section.model_dump(exclude={"kind", "languages"})


def matched_to(section: Section) -> None:
    return None


def checks(key: str, section: Section, config: Config) -> Iterator[tuple[str, str]]:
    yield from outside(section.languages, config.corpus.languages, f"methods.{key}.languages")
    if section.threshold == "batch_mean" and section.percentile not in config.activations.batch_percentiles:
        yield (
            f"methods.{key}.threshold",
            f"batch_mean needs {section.percentile:g} in activations.batch_percentiles; add it, "
            "or write layer or model",
        )


def select(settings: Mapping[str, Any], sources: Sources) -> tuple[Entries, Entries, dict]:
    relevance, tokens = {}, {}
    for language in settings["languages"]:
        relevance[language], tokens[language] = _relevance(sources, language, settings)
    return select_by_relevance(relevance, tokens, settings["top_fraction"])


def _relevance(sources: Sources, language: str, settings: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    """Share of tokens above the threshold [L, D] (paper, section 2.1), and the number of tokens."""
    import numpy as np

    from langneurons.activations import statistics
    from langneurons.finite import check_finite

    counts, percentile = sources.counts(language), settings["percentile"]
    thresholds: np.ndarray | float
    if settings["threshold"] == "batch_mean":
        thresholds = statistics.batch_mean(counts, percentile)
    elif settings["threshold"] == "layer":
        thresholds = statistics.layer_percentile(counts, percentile)[:, None]
    else:
        thresholds = statistics.model_percentile(counts, percentile)
    where = f"{sources.where(language)}: the threshold of Act Prob"
    check_finite(thresholds, where, ("layer", "neuron"), advice="collect again")
    return statistics.share_above(counts, np.broadcast_to(thresholds, counts.shape)), counts.tokens


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
    import numpy as np

    from langneurons.methods.mask import by_layer

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
    import numpy as np

    if tokens.get(language, 0) <= 0:
        raise ValueError(f"{language}: no tokens behind its relevance; give the number its statistics were taken over")
    r = np.asarray(values, dtype=np.float64)
    if r.ndim != 2:
        raise ValueError(f"{language}: relevance has shape {r.shape}; give [layers, neurons]")
    if not ((r >= 0) & (r <= 1)).all():
        raise ValueError(f"{language}: relevance must lie between 0 and 1; it is a share of tokens")
    return r


def _spread(language: str, r: np.ndarray, tokens: int) -> dict:
    import numpy as np

    # Identical values can differ from their own mean by rounding: that spread is none.
    spread = 0.0 if (r == r[0]).all() else float(r.std())
    noise = float(np.sqrt((r * (1 - r)).mean() / tokens))
    degenerate, warning = spread <= noise, ""
    if degenerate:
        warning = (
            f"{language}: relevance varies over the neurons by {spread:.3g}, no more than the sampling noise of "
            f"{noise:.3g}: the ranking is noise; a table of kind split_half says whether the neurons are found again"
        )
        log.warning(warning)
    return {"spread": spread, "sampling_noise": noise, "degenerate": degenerate, "warning": warning}
