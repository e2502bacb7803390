"""The control: random neurons, as many in each layer as a method found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from langneurons.config.faults import unknown
from langneurons.methods.base import Inputs, method_of
from langneurons.sections.methods import MethodSection

if TYPE_CHECKING:
    import numpy as np

    from langneurons.methods.mask import Entries
    from langneurons.methods.sources import Sources
    from langneurons.sections.configuration import Config

ENTRY_OF = "methods"
PER_LANGUAGE = True
COUNTS = False
SPREAD = False


class Section(MethodSection):
    """Random neurons: a control, with as many neurons per layer and language as other methods found."""

    kind: Literal["random"]
    matched_to: str = Field(
        description="Key of method_groups: as many neurons per layer as its masks, language by language."
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of the draw.")


def languages(section: Section, config: Config) -> list[str]:
    return list(config.method_groups.get(section.matched_to, {}))


def inputs(section: Section, config: Config, languages: Sequence[str]) -> Inputs:
    masks: dict[str, list[str]] = {}
    for language in languages:
        masks.setdefault(config.method_groups[section.matched_to][language], []).append(language)
    return Inputs(masks=dict(sorted(masks.items())))


def settings(section: Section, config: Config, languages: Sequence[str]) -> dict[str, Any]:
    members = config.method_groups[section.matched_to]
    return {"seed": section.seed, "references": {language: members[language] for language in languages}}


def matched_to(section: Section) -> str:
    return section.matched_to


def checks(key: str, section: Section, config: Config) -> Iterator[tuple[str, str]]:
    where, group = f"methods.{key}", section.matched_to
    if group not in config.method_groups:
        yield f"{where}.matched_to", unknown(group, list(config.method_groups), "method group")
        return
    members = [config.methods[name] for name in config.method_groups[group].values() if name in config.methods]
    if any(method_of(member).matched_to(member) is not None for member in members):
        yield f"{where}.matched_to", f"method group '{group}' is itself random; name one that is not"
    elif not config.method_groups[group]:
        yield f"{where}.matched_to", f"method group '{group}' has no languages; add one to method_groups"
    elif (same := next(name for name, other in config.methods.items() if other == section)) != key:
        yield f"{where}.seed", f"{section.seed} draws the same neurons as methods.{same}; write another"


def select(settings: Mapping[str, Any], sources: Sources) -> tuple[Entries, Entries, dict]:
    references = settings["references"]
    masks = {name: sources.mask(name) for name in sorted(set(references.values()))}
    wanted = {language: masks[name].neurons(language) for language, name in references.items()}
    entries, scores = select_random(wanted, sources.shape[1], settings["seed"])
    return entries, scores, {"seed": settings["seed"], "references": dict(references)}


def select_random(
    reference: Mapping[str, Mapping[int, np.ndarray]], neurons_per_layer: int, seed: int
) -> tuple[Entries, Entries]:
    """Draw as many neurons per layer and language as ``reference`` has, without replacement.

    ``reference``: language -> layer -> indices, shape ``[n]``. Every (seed, language, layer) is a draw of its own:
    another language changes no other's neurons. Each neuron of the layer gets a uniform number and the lowest are
    taken; the numbers are the raw output of PCG64, which numpy keeps the same from version to version.

    Returns (entries, scores): language -> layer -> sorted int64 indices, and the numbers they were taken by, in [0, 1).
    Raises ValueError for a negative seed, a negative layer, and more neurons than the layer has.
    """
    import numpy as np

    if seed < 0:
        raise ValueError(f"seed is {seed}; write 0 or more")
    entries: Entries = {}
    scores: Entries = {}
    for language, layers in reference.items():
        entries[language], scores[language] = {}, {}
        for layer, indices in sorted(layers.items()):
            if layer < 0:
                raise ValueError(f"{language}: layer {layer} is no layer; write 0 or more")
            if len(indices) > neurons_per_layer:
                raise ValueError(
                    f"{language}, layer {layer}: {len(indices)} neurons of {neurons_per_layer} cannot be drawn"
                )
            if len(indices):
                draws = _draws(seed, language, layer, neurons_per_layer)
                chosen = np.sort(np.argsort(draws, kind="stable")[: len(indices)])
                entries[language][layer] = chosen
                scores[language][layer] = (draws[chosen] >> np.uint64(11)) * 2.0**-53
    return entries, scores


def _draws(seed: int, language: str, layer: int, number: int) -> np.ndarray:
    """``number`` uniform 64-bit integers; the language enters by a hash that is the same in every process."""
    import numpy as np

    words = np.frombuffer(hashlib.sha256(language.encode()).digest(), dtype="<u4").tolist()
    return np.random.PCG64(np.random.SeedSequence([*words, layer, seed])).random_raw(number)
