"""Zero-shot transfer of the fine-tuned base model, with each language's neurons set to a constant at test time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import NONE, Condition
from langneurons.sections.tables import TransferTable
from langneurons.tables import condition_layout as layout
from langneurons.tables.base import Context
from langneurons.tables.common import condition_inputs, models_of, task_of
from langneurons.tables.rows import Row

if TYPE_CHECKING:
    import pandas

ENTRY_OF = "tables"
DECIMALS = layout.DECIMALS
MEANING = """\
The model is fine-tuned on the task's English training data (not at all where the caption says *pretrained*) and
evaluated in the language EL. *No Int* is that model as it is. In the other columns every neuron of EL's mask (*Neurons*
of them) is set to a constant at every token of the input and of the answer: to its own mean or percentile over EL's
text in the corpus, or to 0. A star says that the number differs from *No Int* on the same examples, ≈ that the two are
equivalent; the TSV has the difference, its 95 % interval and its p-value.
"""


class Section(TransferTable):
    """Zero-shot transfer of the base model: one row per language, one column per intervention."""

    kind: Literal["interventions"]


def rows(section: Section, context: Context) -> list[Row]:
    """Rows of the table, in print order."""
    return layout.rows_of(section, context, lambda source, target, method: [("", section.finetuning)])


def baselines(section: Section, context: Context) -> list[Condition]:
    """The source language without intervention: what a transfer is measured against."""
    source = task_of(section, context).source_language
    return [Condition(model, section.task, section.finetuning, source, NONE) for model in models_of(section, context)]


def conditions(section: Section, context: Context) -> list[Condition]:
    wanted = {cell for row in rows(section, context) for cell in row.cells.values()}
    return sorted(wanted | set(baselines(section, context)))


def comparisons(section: Section, context: Context) -> list[Compared]:
    return layout.comparisons(rows(section, context))


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    return condition_inputs(conditions(section, context), context)


def params(section: Section, context: Context) -> dict[str, Any]:
    return layout.params(section, context, rows(section, context), baselines(section, context))


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    return layout.frame(params, inputs, finetuning=False)


checks, text, caption, findings = layout.checks, layout.text, layout.caption, layout.findings
