"""LAPE: language activation probability entropy.

Tang et al. 2024, "Language-Specific Neurons: The Key to Multilingual Capabilities in Large Language Models"
(arXiv:2402.16438): a neuron that is often active in few languages has a low entropy of its activation probabilities
over the languages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from langneurons.config.faults import unknown
from langneurons.methods.base import Inputs, number_selected
from langneurons.sections.base import Share
from langneurons.sections.methods import MethodSection

if TYPE_CHECKING:
    import numpy as np

    from langneurons.methods.mask import Entries
    from langneurons.methods.sources import Sources
    from langneurons.sections.configuration import Config

ENTRY_OF = "methods"
PER_LANGUAGE = False
COUNTS = True
SPREAD = False

log = logging.getLogger(__name__)


class Section(MethodSection):
    """LAPE: neurons whose activation is concentrated on few languages of a set."""

    kind: Literal["lape"]
    set: str | None = Field(None, description="Key of language_sets; null for all languages of the corpus.")
    top_fraction: Share = Field(0.01, description="Share of the model's neurons selected.")
    activity_quantile: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.95, description="Quantile of all activation probabilities that a language must exceed."
    )


def languages(section: Section, config: Config) -> list[str]:
    return list(config.corpus.languages if section.set is None else config.language_sets.get(section.set, []))


def inputs(section: Section, config: Config, languages: Sequence[str]) -> Inputs:
    return Inputs(counts=list(languages))


def settings(section: Section, config: Config, languages: Sequence[str]) -> dict[str, Any]:
    return section.model_dump(exclude={"kind", "set"})


def matched_to(section: Section) -> None:
    return None


def checks(key: str, section: Section, config: Config) -> Iterator[tuple[str, str]]:
    if section.set is not None and section.set not in config.language_sets:
        yield f"methods.{key}.set", unknown(section.set, list(config.language_sets), "language set")


def select(settings: Mapping[str, Any], sources: Sources) -> tuple[Entries, Entries, dict]:
    shares = {language: sources.active_share(language) for language in settings["languages"]}
    return select_lape(shares, settings["top_fraction"], settings["activity_quantile"])


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of each neuron's activation over the languages, in nats.

    ``probabilities``: ``[K, L, D]``, share of each language's tokens at which the neuron is active. Returns ``[L, D]``:
    -sum p' ln p' with p' = p / sum over the languages and 0 ln 0 = 0; +inf for a neuron that no language activates.
    """
    import numpy as np

    p = np.asarray(probabilities, dtype=np.float64)
    total = p.sum(axis=0)
    result = np.zeros(p.shape[1:])
    for language in p:
        share = np.divide(language, total, out=np.zeros_like(total), where=total > 0)
        result -= share * np.log(share, out=np.zeros_like(share), where=share > 0)
    result[total == 0] = np.inf
    return result


def select_lape(
    probabilities: Mapping[str, np.ndarray], top_fraction: float, activity_quantile: float
) -> tuple[Entries, Entries, dict]:
    """Select language-specific neurons by LAPE over a set of languages.

    ``probabilities``: language -> ``[L, D]``, share of the language's tokens at which each neuron is active.
    ``top_fraction``: share of the model's neurons to select, in (0, 1]. ``activity_quantile``: the quantile tau of all
    probabilities together; a candidate has p > tau in some language, and a selected neuron belongs to every language
    in which its p > tau. Ties in the entropy go to the lower (layer, neuron).

    Returns (entries, scores, details): language -> layer -> sorted indices (a language without neurons has no layers);
    the entropies beside them; ``{"tau", "candidates", "selected"}``. Fewer candidates than asked for are all selected,
    with a warning in the log.

    Raises ValueError for fewer than two languages, shapes that differ, and shares outside 0 to 1.
    """
    import numpy as np

    from langneurons.methods.mask import by_layer

    stack = _stack(probabilities)
    if not 0 < activity_quantile < 1:
        raise ValueError(f"activity_quantile is {activity_quantile}; write a number between 0 and 1, for instance 0.95")
    wanted = number_selected(top_fraction, stack[0].size)
    tau = float(np.quantile(stack, activity_quantile))
    active = stack > tau
    candidates = np.flatnonzero(active.any(axis=0))
    values = entropy(stack).ravel()
    if len(candidates) < wanted:
        log.warning("only %d neurons are candidates, %d were asked for: all are selected", len(candidates), wanted)
    chosen = candidates[np.argsort(values[candidates], kind="stable")[:wanted]]
    width = stack.shape[2]
    entries: Entries = {}
    scores: Entries = {}
    for position, language in enumerate(probabilities):
        own = chosen[active[position].ravel()[chosen]]
        entries[language], scores[language] = by_layer(own // width, own % width, values[own])
    return entries, scores, {"tau": tau, "candidates": len(candidates), "selected": len(chosen)}


def _stack(probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
    import numpy as np

    if len(probabilities) < 2:
        raise ValueError(f"LAPE compares languages, and has {', '.join(probabilities) or 'none'}; give at least two")
    shapes = {language: np.shape(p) for language, p in probabilities.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"activation probabilities must have one shape [layers, neurons] in every language: {shapes}")
    stack = np.stack([np.asarray(p, dtype=np.float64) for p in probabilities.values()])
    for language, p in zip(probabilities, stack, strict=True):
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError(
                f"{language}: activation probabilities must lie between 0 and 1; make its statistics again"
            )
    return stack
