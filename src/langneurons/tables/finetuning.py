"""Zero-shot transfer after fine-tuning the neurons of a language beside the attention layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition, spell_finetuning
from langneurons.sections.tables import TaskTable
from langneurons.tables import condition_layout as layout
from langneurons.tables.base import Context
from langneurons.tables.checks import known_groups
from langneurons.tables.common import condition_inputs, targets_of, task_of
from langneurons.tables.rows import Row

if TYPE_CHECKING:
    import pandas

ENTRY_OF = "tables"
DECIMALS = layout.DECIMALS
MEANING = """\
Beside the attention layers, the neurons of the languages FTL are fine-tuned (LoRA on their rows of the gate projection
alone) on the task's English training data; the model is then evaluated in the language EL, without an intervention and
with EL's neurons set to a constant. A star says that an intervention's number differs from *No Int* of its row, ≈ that
the two are equivalent.
"""


class Section(TaskTable):
    """Transfer after fine-tuning neurons beside the attention layers: one row per fine-tuned neuron set."""

    kind: Literal["finetuning"]
    neurons: list[Literal["source", "target", "source+target"]] = Field(
        ["source", "target", "source+target"], min_length=1, description="Whose neurons are fine-tuned."
    )


def checks(name: str, section: Section, context: Context) -> Iterator[tuple[str, str]]:
    yield from layout.checks(name, section, context)
    if all(whose == "target" for whose in section.neurons):
        return
    source = task_of(section, context).source_language
    for where, _, members in known_groups(name, section, context):
        for method in (members[language] for language in targets_of(section, context) if language in members):
            known = context.languages_of(method) if method in context.config.methods else []
            if known and source not in known:
                yield where, f"'{method}' has no neurons of the source '{source}'; write neurons: [target]"


def rows(section: Section, context: Context) -> list[Row]:
    """Rows of the table, in print order."""

    def finetunings(source: str, target: str, method: str) -> list[tuple[str, str]]:
        chosen = {"source": [source], "target": [target], "source+target": [source, target]}
        return [("+".join(chosen[whose]), spell_finetuning(chosen[whose], method)) for whose in section.neurons]

    return layout.rows_of(section, context, finetunings)


def conditions(section: Section, context: Context) -> list[Condition]:
    return sorted({cell for row in rows(section, context) for cell in row.cells.values()})


def comparisons(section: Section, context: Context) -> list[Compared]:
    return layout.comparisons(rows(section, context))


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    return condition_inputs(conditions(section, context), context)


def params(section: Section, context: Context) -> dict[str, Any]:
    return layout.params(section, context, rows(section, context), [])


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    return layout.frame(params, inputs, finetuning=True)


text, caption, findings = layout.text, layout.caption, layout.findings
