"""Change of perplexity with a language's neurons at zero, in bits per byte too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from langneurons.experiment.comparison import Compared
from langneurons.experiment.condition import Condition
from langneurons.experiment.paths import paths_of
from langneurons.sections.tables import MethodTable
from langneurons.tables.base import Context, Finding, Text
from langneurons.tables.checks import method_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import by_pair, pair_params, pairs_of
from langneurons.tables.findings import number
from langneurons.tables.perplexity_file import PERPLEXITY, read_changes

if TYPE_CHECKING:
    import pandas

ENTRY_OF = "tables"
DECIMALS = 3
MEANING = """\
Perplexity of held-out text of one language with the neurons of one language set to 0, less its perplexity without. A
positive change is worse text modelling; where the neurons are a language's own, its own text should suffer most.
"""
COLUMNS = {
    "model": ("Model", ""),
    "method": ("Method", ""),
    "language": ("Text", ""),
    "zeroed": ("Zeroed", ""),
    "neurons": ("Neurons", "d"),
    "perplexity_base": ("Perplexity", ".2f"),
    "change": ("Change", "+.3f"),
    "bits_per_byte_base": ("Bits/byte", ".3f"),
    "bits_per_byte_change": ("Change, bits/byte", "+.4f"),
}
NOTES = (
    "The same held-out text with and without. A change of perplexity grows with the perplexity itself and is over "
    "the model's own tokens; bits per byte are over the text and compare between languages and models.",
)


class Section(MethodTable):
    """Change of perplexity with each language's neurons at zero, plain and in bits per byte."""

    kind: Literal["perplexity_change"]


checks = method_checks


def conditions(section: Section, context: Context) -> list[Condition]:
    return []


def comparisons(section: Section, context: Context) -> list[Compared]:
    return []


def inputs(section: Section, context: Context) -> dict[str, list[str]]:
    paths = paths_of(context.config)
    return {"perplexities": [paths.perplexity(*pair) for pair in pairs_of(section, context)]}


def params(section: Section, context: Context) -> dict[str, Any]:
    return pair_params(section, context)


def frame(params: Mapping[str, Any], inputs: Any) -> pandas.DataFrame:
    return perplexity_change(by_pair(params, inputs.perplexities), params["titles"])


def perplexity_change(
    paths: Mapping[tuple[str, str], str | os.PathLike], titles: Mapping[str, str]
) -> pandas.DataFrame:
    """Change of perplexity, plain (paper, section 4.2) and in bits per byte of text, which compares between languages.

    ``paths``: (model, method) -> perplexity file. Columns: model, model_key, method, language (of the text), zeroed,
    neurons, perplexity_base, change, bits_per_byte_base, bits_per_byte_change. ValueError naming the file for a missing
    column or a value that is no number.
    """
    import pandas as pd

    lines = []
    for (model, method), path in paths.items():
        for row in read_changes(path, {"model": model, "method": method}):
            base, change, bits, zeroed = (row[name] for name in PERPLEXITY)
            pair = (row["language"], row["zeroed"], row["neurons"])
            lines.append((titles[model], model, method, *pair, base, change, bits, zeroed - bits))
    names = ("perplexity_base", "change", "bits_per_byte_base", "bits_per_byte_change")
    return pd.DataFrame(lines, columns=["model", "model_key", "method", "language", "zeroed", "neurons", *names])


def caption(params: Mapping[str, Any]) -> str:
    return "Change of perplexity with a language's neurons at zero, plain and in bits per byte of text."


def text(params: Mapping[str, Any], frame: pandas.DataFrame) -> Text:
    return columns_text(frame, COLUMNS, caption(params), list(NOTES))


def findings(rows: list[dict[str, str]], scoring: None) -> Finding:
    acting = [row for row in rows if row["neurons"] != "0"]
    masks = dict.fromkeys((row["model"], row["method"]) for row in acting)
    said = []
    for model, method in masks:
        mine = [row for row in acting if (row["model"], row["method"]) == (model, method)]
        own = [number(r["bits_per_byte_change"]) for r in mine if r["language"] == r["zeroed"]]
        other = [number(r["bits_per_byte_change"]) for r in mine if r["language"] != r["zeroed"]]
        if own and other:
            hurt, number_of, chance, p = hurt_most(mine)
            said.append(
                f"{model}, {method}: own text is hurt most by {hurt} of {number_of} masks ({chance:.1f} expected by "
                f"chance, p = {p:.2g}); its loss changes by {mean(own):+.4f} bits per byte, that of other languages' "
                f"text by {mean(other):+.4f}."
            )
    if not said:
        said = ["No language that has neurons was measured on its own text and on others'."]
    return Finding("Does a language suffer most from losing its own neurons?", " ".join(said).replace(" -", " −"))


def hurt_most(rows: Sequence[Mapping[str, str]]) -> tuple[int, int, float, float]:
    """Of one model and method: by how many masks the loss of the mask's own language rises most, of how many masks.

    ``rows``: of the table's TSV, of masks with neurons. A mask counts if its own text was measured beside others'; a
    tie is no success. Then how many are expected if each text were as likely, and the one-sided p-value of that
    (Poisson-binomial: the product of the masks' own chances).
    """
    import numpy as np

    hurt, chances = 0, []
    for zeroed in dict.fromkeys(row["zeroed"] for row in rows):
        changes = {r["language"]: number(r["bits_per_byte_change"]) for r in rows if r["zeroed"] == zeroed}
        own = changes.pop(zeroed, None)
        if own is not None and changes:
            hurt += own > max(changes.values())
            chances.append(1 / (len(changes) + 1))
    distribution = np.ones(1)  # of the number of masks that hurt their own text most
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return hurt, len(chances), sum(chances), min(1.0, float(distribution[hurt:].sum()))
