"""Does the relevance of neurons vary more than sampling alone would make it?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.methods.base import mask_files
from langneurons.sections.tables import MethodTable
from langneurons.tables.base import Context, Finding, Text
from langneurons.tables.checks import method_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import mask_params, masks_by_pair, pairs_of
from langneurons.tables.findings import number, place

if TYPE_CHECKING:
    import pandas

ENTRY_OF = "tables"
DECIMALS = 3
MEANING = """\
Act Prob 90p ranks neurons by their relevance r, the share of a language's tokens at which a neuron exceeds a threshold.
Where r varies over the neurons no more than it would by drawing tokens, that ranking is noise, and so are its neurons.
"""
COLUMNS = {
    "model": ("Model", ""),
    "method": ("Method", ""),
    "language": ("Language", ""),
    "spread": ("Spread of r", ".2g"),
    "sampling_noise": ("By sampling alone", ".2g"),
    "ratio": ("Ratio", ".3g"),
    "note": ("Note", ""),
}
NOTES = (
    "r: share of the language's tokens at which a neuron exceeds the threshold. By sampling alone: the standard "
    "deviation of r if all neurons had the same r and tokens were independent, sqrt(mean(r(1 - r)) / tokens). "
    "At a ratio of 1 or less the ranking of the neurons is noise.",
)


class Section(MethodTable):
    """Act Prob 90p's relevance against sampling noise, by language."""

    kind: Literal["relevance_spread"]


def checks(name: str, section: Section, context: Context) -> Iterator[tuple[str, str]]:
    yield from method_checks(name, section, context, context.ranked)


def conditions(section: Section, context: Context) -> list[Condition]:
    return []


def comparisons(section: Section, context: Context) -> list[Compared]:
    return []


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    pairs = pairs_of(section, context)
    return {"masks": [file for pair in pairs for file in mask_files(context.config, *pair)]}


def params(section: Section, context: Context) -> dict[str, Any]:
    return mask_params(section, context)


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    return relevance_spread(masks_by_pair(params, inputs.masks), params["titles"])


def relevance_spread(
    masks: Mapping[tuple[str, str], str | os.PathLike | Sequence[str | os.PathLike]], titles: Mapping[str, str]
) -> pandas.DataFrame:
    """Does the relevance of Act Prob 90p vary over the neurons more than sampling alone would make it?

    ``masks``: (model, method) -> files of its mask, which hold what identification measured. Columns: model, method,
    language, spread (standard deviation of r over all neurons), sampling_noise (that of binomial sampling alone, all
    neurons having one r: sqrt(mean(r(1-r)) / tokens)), ratio (missing where there is no noise), note. ValueError
    naming the file for a mask of another method.
    """
    import pandas as pd

    from langneurons.methods.mask import read_masks

    lines = []
    for (model, method), files in masks.items():
        mask = read_masks(files, {"model_key": model, "method": method})
        where = files if isinstance(files, str | os.PathLike) else ", ".join(map(str, files))
        for language in mask.languages:
            found = mask.details.get(language)
            if not isinstance(found, dict) or not {"spread", "sampling_noise", "degenerate"} <= found.keys():
                raise ValueError(
                    f"{where}: says nothing of the relevance's spread; write a method by activation probability"
                )
            spread, noise = found["spread"], found["sampling_noise"]
            note = "no more than noise: the ranking means nothing" if found["degenerate"] else ""
            lines.append(
                (titles[model], model, method, language, spread, noise, spread / noise if noise else None, note)
            )
    columns = ["model", "model_key", "method", "language", "spread", "sampling_noise", "ratio", "note"]
    return pd.DataFrame(lines, columns=columns).astype({"ratio": "Float64"})


def caption(params: Mapping[str, Any]) -> str:
    return "Spread of the relevance r over all neurons, against sampling noise."


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    return columns_text(frame, COLUMNS, caption(params), list(NOTES))


def findings(rows: list[dict[str, str]], scoring: None) -> Finding:
    noise = [row for row in rows if row["note"]]
    ratios = [number(row["ratio"]) for row in rows if row["ratio"]]
    said = f"In {len(rows) - len(noise)} of {len(rows)} cases it does"
    if ratios:
        said += f"; the ratio of its spread to sampling noise goes from {min(ratios):.2g} to {max(ratios):.3g}"
    said += "."
    if noise:
        said += f" In the others the ranking means nothing: {'; '.join(map(place, noise))}."
    return Finding("Does the relevance of Act Prob 90p vary over neurons more than by chance?", said)
