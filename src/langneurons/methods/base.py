"""What a method is: an entry of this package, a module with ``ENTRY_OF = "methods"``, named as the method's kind.

An entry has the members of ``Method`` at its top level. Those that take ``section`` and ``config`` are pure functions
of the configuration, called when the workflow is parsed; ``select`` runs in the job, which knows ``settings`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from langneurons.experiment.paths import paths_of
from langneurons.registry import entry

if TYPE_CHECKING:
    from langneurons.methods.mask import Entries
    from langneurons.methods.sources import Sources
    from langneurons.sections.configuration import Config
    from langneurons.sections.methods import MethodSection

JOB_FUNCTIONS = ("select",)
"""What jobs call of an entry: the code that a mask's bytes come from."""


@dataclass(frozen=True)
class Inputs:
    """What identification reads: ``counts``, the languages whose activation counts; ``masks``, method -> languages."""

    counts: list[str] = field(default_factory=list)
    masks: dict[str, list[str]] = field(default_factory=dict)


class Method(Protocol):
    """The members of an entry."""

    ENTRY_OF: ClassVar[str]
    Section: ClassVar[type[MethodSection]]
    """The method's keys in the configuration; its docstring says what it selects."""
    PER_LANGUAGE: ClassVar[bool]
    """Whether a language's neurons depend on no other language's text: each is then identified by itself."""
    COUNTS: ClassVar[bool]
    """Whether it reads counts of activations, so that halves of the text give neurons too."""
    SPREAD: ClassVar[bool]
    """Whether ``details`` hold, by language, ``spread``, ``sampling_noise`` and ``degenerate`` of its scores."""

    @staticmethod
    def languages(section: Any, config: Config) -> list[str]:
        """Languages that it gives neurons of, in order; none where what the section names is unknown."""

    @staticmethod
    def inputs(section: Any, config: Config, languages: Sequence[str]) -> Inputs:
        """What is read to identify the neurons of these of its languages."""

    @staticmethod
    def settings(section: Any, config: Config, languages: Sequence[str]) -> dict[str, Any]:
        """All that the neurons of ``languages`` depend on beside these and the kind, as plain values of JSON."""

    @staticmethod
    def matched_to(section: Any) -> str | None:
        """The method group whose numbers of neurons a control copies; None for a method that is no control."""

    @staticmethod
    def checks(key: str, section: Any, config: Config) -> Iterator[tuple[str, str]]:
        """(place, what is wrong) of everything in ``methods.<key>`` that other sections contradict."""

    @staticmethod
    def select(settings: Mapping[str, Any], sources: Sources) -> tuple[Entries, Entries, dict]:
        """(entries, scores, details) of ``settings["languages"]``, as ``NeuronMask`` has them.

        ``sources`` reads the files of ``inputs``, each verified. ``details`` of a method that is ``PER_LANGUAGE`` are
        dictionaries by language, or equal for all languages.
        """


def method_of(section: MethodSection) -> Any:
    """The entry that a section of ``methods`` is of."""
    return entry("methods", section.kind)


def masks(config: Config, method: str, languages: Sequence[str] | None = None) -> list[str]:
    """The masks of ``method`` that hold the neurons of these of its languages; all of them by default.

    A mask is one file and one job: ``method/language`` of a method that is ``PER_LANGUAGE``, else ``method``.
    """
    spec = config.methods[method]
    if not method_of(spec).PER_LANGUAGE:
        return [method]
    chosen = method_of(spec).languages(spec, config) if languages is None else languages
    return [f"{method}/{language}" for language in chosen]


def mask_files(config: Config, model: str, method: str, languages: Sequence[str] | None = None) -> list[str]:
    """The files of ``masks``, of one model."""
    return [paths_of(config).neurons(model, mask) for mask in masks(config, method, languages)]


def half_mask_files(config: Config, model: str, method: str, half: str) -> list[str]:
    """The files of a method's masks on half of the shards; ``half`` is even or odd."""
    return [paths_of(config).half_neurons(model, mask, half) for mask in masks(config, method)]


def method_settings(section: MethodSection, config: Config, languages: Sequence[str]) -> dict[str, Any]:
    """All that the neurons of ``languages`` depend on: kind, languages, and the method's own settings."""
    own = method_of(section).settings(section, config, languages)
    return {"kind": section.kind, "languages": list(languages), **own}


def number_selected(top_fraction: float, neurons: int) -> int:
    """round(top_fraction * neurons); ValueError if the fraction is outside (0, 1] or selects none."""
    if not 0 < top_fraction <= 1:
        raise ValueError(f"top_fraction is {top_fraction}; write a number above 0 and up to 1, for instance 0.01")
    number = round(top_fraction * neurons)
    if not number:
        raise ValueError(f"top_fraction {top_fraction} of {neurons} neurons is none; write at least {1 / neurons:.2g}")
    return number
