"""Split-half reliability: would the same neurons be found again?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.methods.base import half_mask_files
from langneurons.sections.tables import MethodTable
from langneurons.tables.base import Context, Finding, Text
from langneurons.tables.checks import method_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import mask_params, masks_by_pair, pairs_of
from langneurons.tables.findings import number, place
from langneurons.tables.formats import MISSING

if TYPE_CHECKING:
    import pandas

Masks = str | os.PathLike | Sequence[str | os.PathLike]

ENTRY_OF = "tables"
DECIMALS = 3
MEANING = """\
Would the same neurons be found again? Each method is run on the even and on the odd shards of the text by themselves,
and the two sets of neurons are compared: 1 if they are the same, 0 if they share none.
"""
COLUMNS = {
    "model": ("Model", ""),
    "method": ("Method", ""),
    "language": ("Language", ""),
    "neurons_even": ("Even half", "d"),
    "neurons_odd": ("Odd half", "d"),
    "shared": ("Shared", "d"),
    "jaccard": ("Jaccard", ".3f"),
    "jaccard_random": ("Jaccard by chance", ".4f"),
}
HALVES = ("even", "odd")
NOTES = (
    "Jaccard: neurons shared / neurons of either half. By chance: its expectation for two random sets of these "
    f"sizes. {MISSING}: neither half has a neuron.",
    "A half has half of the tokens, so that the whole text's neurons are at least as stable.",
)


class Section(MethodTable):
    """Neurons found again on the other half of the shards, by language: their Jaccard index."""

    kind: Literal["split_half"]


def checks(name: str, section: Section, context: Context) -> Iterator[tuple[str, str]]:
    yield from method_checks(name, section, context, context.counted)
    if name in context.config.run.tables and context.config.corpus.shards < 2:
        yield (
            f"tables.{name}",
            f"one shard has no halves; write corpus.shards: 2 or more, or take {name} out of run.tables",
        )


def conditions(section: Section, context: Context) -> list[Condition]:
    return []


def comparisons(section: Section, context: Context) -> list[Compared]:
    return []


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    pairs = pairs_of(section, context)
    return {half: [f for pair in pairs for f in half_mask_files(context.config, *pair, half)] for half in HALVES}


def params(section: Section, context: Context) -> dict[str, Any]:
    return mask_params(section, context)


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    even, odd = (masks_by_pair(params, files) for files in (inputs.even, inputs.odd))
    return split_half({pair: (even[pair], odd[pair]) for pair in even}, params["titles"])


def split_half(masks: Mapping[tuple[str, str], tuple[Masks, Masks]], titles: Mapping[str, str]) -> pandas.DataFrame:
    """Split-half reliability: neurons of two halves of the shards, and their Jaccard index, by language.

    ``masks``: (model, method) -> files of its masks, of the even and of the odd shards. Columns: model, model_key,
    method, language, neurons_even, neurons_odd, shared, jaccard, jaccard_random (of two random sets of these sizes,
    drawn from all neurons of the model); the last two are missing where neither half has a neuron.
    """
    import pandas as pd

    from langneurons.methods.mask import read_masks
    from langneurons.methods.stability import agreement

    lines = []
    for (model, method), halves in masks.items():
        even, odd = (
            read_masks(files, {"model_key": model, "method": method, "half": half})
            for files, half in zip(halves, HALVES, strict=True)
        )
        for language in even.languages:
            found = agreement(even, odd, language)
            numbers = (found.first, found.second, found.shared, found.jaccard, found.by_chance)
            lines.append((titles[model], model, method, language, *numbers))
    names = ("neurons_even", "neurons_odd", "shared", "jaccard", "jaccard_random")
    frame = pd.DataFrame(lines, columns=["model", "model_key", "method", "language", *names])
    return frame.astype({"jaccard": "Float64", "jaccard_random": "Float64"})


def caption(params: Mapping[str, Any]) -> str:
    return "Split-half reliability: neurons identified on the even and on the odd shards of the text."


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    return columns_text(frame, COLUMNS, caption(params), list(NOTES))


def findings(rows: list[dict[str, str]], scoring: None) -> Finding:
    found = [row for row in rows if row["jaccard"]]
    said = []
    if found:
        ordered = sorted(found, key=lambda row: number(row["jaccard"]))
        low, high = ordered[0], ordered[-1]
        index = median(number(row["jaccard"]) for row in found)
        said.append(
            f"Over {len(found)} sets of neurons the median Jaccard index of the two halves is "
            f"{index:.2f}, from {number(low['jaccard']):.2f} ({place(low)}) to "
            f"{number(high['jaccard']):.2f} ({place(high)}); of two random sets of these sizes at most "
            f"{max(number(row['jaccard_random']) for row in found):.3f} is expected."
        )
    if len(found) < len(rows):
        said.append(f"{len(rows) - len(found)} languages have no neuron in either half.")
    return Finding("Would the same neurons be found again?", " ".join(said))
