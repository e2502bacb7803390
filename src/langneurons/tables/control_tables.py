"""The tables of controls as printed: what each column is called, and what the numbers mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from langneurons.files import write_atomically
from langneurons.tables.captions import METRICS
from langneurons.tables.formats import MISSING, to_latex, to_markdown, to_tsv

if TYPE_CHECKING:
    import pandas

# Kind -> column -> (heading, format of a number); a column that is not here stands in the TSV alone.
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    "random_controls": {
        "model": ("Model", ""),
        "method": ("Method", ""),
        "language": ("EL", ""),
        "intervention": ("Intervention", ""),
        "metric": ("Metric", ""),
        "neurons": ("Neurons", "d"),
        "none": ("No Int", ".1f"),
        "own": ("Own", ".1f"),
        "random_mean": ("Random", ".1f"),
        "random_low": ("Lowest", ".1f"),
        "random_high": ("Highest", ".1f"),
        "difference": ("Own - random", "+.1f"),
        "p_random_holm": ("p", ".3f"),
        "differs_from_none": ("Differs from none", ""),
        "more_than_random": ("More than random", ""),
    },
    "split_half": {
        "model": ("Model", ""),
        "method": ("Method", ""),
        "language": ("Language", ""),
        "neurons_even": ("Even half", "d"),
        "neurons_odd": ("Odd half", "d"),
        "shared": ("Shared", "d"),
        "jaccard": ("Jaccard", ".3f"),
        "jaccard_random": ("Jaccard by chance", ".4f"),
    },
    "relevance_spread": {
        "model": ("Model", ""),
        "method": ("Method", ""),
        "language": ("Language", ""),
        "spread": ("Spread of r", ".2g"),
        "sampling_noise": ("By sampling alone", ".2g"),
        "ratio": ("Ratio", ".3g"),
        "note": ("Note", ""),
    },
    "perplexity_change": {
        "model": ("Model", ""),
        "method": ("Method", ""),
        "language": ("Text", ""),
        "zeroed": ("Zeroed", ""),
        "neurons": ("Neurons", "d"),
        "perplexity_base": ("Perplexity", ".2f"),
        "change": ("Change", "+.3f"),
        "bits_per_byte_base": ("Bits/byte", ".3f"),
        "bits_per_byte_change": ("Change, bits/byte", "+.4f"),
    },
}
CAPTIONS = {
    "random_controls": "{task}: interventions on the language's own neurons, and on as many random ones.",
    "split_half": "Split-half reliability: neurons identified on the even and on the odd shards of the text.",
    "relevance_spread": "Spread of the relevance r over all neurons, against sampling noise.",
    "perplexity_change": "Change of perplexity with a language's neurons at zero, plain and in bits per byte of text.",
}
TASKS = {"xnli": "XNLI accuracy (%)", "xquad": "XQuAD exact match and F1 (%)"}
NOTES = {
    "random_controls": [
        "Random: mean, lowest and highest over {draws} of random neurons, as many in each layer as the language's own.",
        "p: own against the mean of the draws on the same examples, paired bootstrap, Holm-corrected over this table. "
        "Differs from none: p at most {alpha} by McNemar's test (F1: paired bootstrap), Holm-corrected. More than "
        "random: p at most {alpha}, beyond every draw, and further from no intervention than the draws' mean.",
    ],
    "split_half": [
        "Jaccard: neurons shared / neurons of either half. By chance: its expectation for two random sets of these "
        f"sizes. {MISSING}: neither half has a neuron.",
        "A half has half of the tokens, so that the whole text's neurons are at least as stable.",
    ],
    "relevance_spread": [
        "r: share of the language's tokens at which a neuron exceeds the threshold. By sampling alone: the standard "
        "deviation of r if all neurons had the same r and tokens were independent, sqrt(mean(r(1 - r)) / tokens). "
        "At a ratio of 1 or less the ranking of the neurons is noise.",
    ],
    "perplexity_change": [
        "The same held-out text with and without. A change of perplexity grows with the perplexity itself and is over "
        "the model's own tokens; bits per byte are over the text and compare between languages and models.",
    ],
}


def write_control_table(
    frame: pandas.DataFrame,
    stem: str | os.PathLike,
    kind: str,
    task: str | None = None,
    metric: str | None = None,
    alpha: float = 0.05,
) -> None:
    """Write ``stem`` + ``.tsv`` (every column, full precision), ``.md`` and ``.tex`` (as printed).

    ``frame`` is what :mod:`langneurons.tables.controls` gives for ``kind``; ``task``, ``metric`` and
    ``alpha`` of random_controls. KeyError for a column that the frame lacks: that is a fault of the program.
    """
    columns = {name: spec for name, spec in COLUMNS[kind].items() if not (name == "metric" and task == "xnli")}
    header = [heading for heading, _ in columns.values()]
    body = [[_text(line[name], form) for name, (_, form) in columns.items()] for line in frame.to_dict("records")]
    caption = CAPTIONS[kind].format(task=TASKS.get(task))
    number = int(frame["draws"].max()) if "draws" in frame else 0
    draws = f"{number} draw{'s' if number > 1 else ''}"
    notes = [note.format(draws=draws, alpha=f"{alpha:g}") for note in NOTES[kind]] + (
        [METRICS[metric]] if metric else []
    )
    texts = {
        "tsv": to_tsv(frame),
        "md": to_markdown(header, body, caption, notes),
        "tex": to_latex(header, body, caption, notes, label=os.path.basename(stem)),
    }
    for ending, text in texts.items():
        with write_atomically(f"{os.fspath(stem)}.{ending}") as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")


def _text(value: object, form: str) -> str:
    import pandas as pd

    if isinstance(value, str):
        return {"zero": "0", "exact_match": "EM", "f1": "F1", "accuracy": "Accuracy"}.get(value, value)
    return MISSING if pd.isna(value) else format(value, form).replace("-", "−")
