"""Activation statistics, averaged over all neurons of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langneurons.activations.statistic_names import settings_of
from langneurons.config.faults import outside
from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import paths_of
from langneurons.sections.base import Language
from langneurons.sections.tables import TableSection
from langneurons.tables import captions
from langneurons.tables.base import Context, Text
from langneurons.tables.checks import column_checks
from langneurons.tables.common import common_params, models_of

if TYPE_CHECKING:
    import pandas

ENTRY_OF = "tables"
DECIMALS = 4
MEANING = """\
Each statistic is taken of one neuron over all tokens of the language's text and then averaged over all neurons
of the model. Percentiles come from exact counts in fixed bins, within 1/64 of their value (or 2⁻¹⁰).
"""


class Section(TableSection):
    """Activation statistics, averaged over all neurons of a model: one row per language."""

    kind: Literal["statistics"]
    languages: list[Language] = Field(min_length=1, description="Languages, one row each.")
    columns: list[str] = Field(min_length=1, description="Columns: mean, std, positive, p90 and the like.")

    def texts(self) -> list[str]:
        return self.languages


def checks(name: str, section: Section, context: Context) -> Iterator[tuple[str, str]]:
    yield from outside(section.languages, context.config.corpus.languages, f"tables.{name}.languages")
    yield from column_checks(section.columns, f"tables.{name}", context)


def conditions(section: Section, context: Context) -> list[Condition]:
    return []


def comparisons(section: Section, context: Context) -> list[Compared]:
    return []


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    paths, models = paths_of(context.config), models_of(section, context)
    places = product(models, section.languages, section.columns)
    return {"statistics": [paths.statistic(*place) for place in places]}


def params(section: Section, context: Context) -> dict[str, Any]:
    statistics = context.config.statistics
    facts = {name: settings_of(name, statistics.site, statistics.estimate) for name in section.columns}
    return common_params(section, context) | {"statistics": facts}


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    from langneurons.tables.condition_tables import statistics_table

    places = product(params["titles"], params["languages"], params["columns"])  # as inputs
    paths: dict[tuple[str, str], dict[str, str]] = {}
    for (model, language, name), path in zip(places, inputs.statistics, strict=True):
        paths.setdefault((model, language), {})[name] = path
    return statistics_table(paths, params["columns"], params["titles"], params["statistics"])


def caption(params: Mapping[str, Any]) -> str:
    return captions.STATISTICS


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    from langneurons.tables.condition_tables import condition_text

    return condition_text(frame, DECIMALS, caption(params))


def findings(rows: list[dict[str, str]], scoring: None) -> None:
    return None
