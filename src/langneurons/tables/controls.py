"""Controls beyond the paper, as data frames: random neurons, split halves, and what the relevance owes to chance.

pandas is imported inside the functions, so that importing this module stays light.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from langneurons.artifacts.tsv import read_tsv
from langneurons.evaluation.significance import RESAMPLES, Predictions, compare, holm, paired_bootstrap
from langneurons.experiment.condition import Condition, split_intervention
from langneurons.methods.mask import NeuronMask
from langneurons.methods.stability import agreement
from langneurons.tables.rows import ControlRow

if TYPE_CHECKING:
    import pandas

RANDOM_COLUMNS = (
    *("model", "model_key", "method", "method_key", "language", "intervention", "metric", "neurons", "draws"),
    *("none", "own", "random_mean", "random_low", "random_high", "difference"),
    *("p_none", "p_none_holm", "p_random", "p_random_holm", "differs_from_none", "more_than_random"),
)
PERPLEXITY = ("perplexity_base", "change", "bits_per_byte_base", "bits_per_byte_zeroed")


def random_controls(
    rows: Iterable[ControlRow],
    predictions: Callable[[Condition], Predictions],
    neurons: Mapping[Condition, int],
    metrics: Iterable[str],
    titles: Mapping[str, str],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pandas.DataFrame:
    """Every intervention on a language's own neurons beside the same on random ones: a line a row and metric.

    ``predictions(condition)`` reads a condition's scores, ``neurons`` says how many it overwrites, ``metrics`` are
    names in the predictions; ``resamples`` and ``seed`` are the bootstrap's. Columns (``RANDOM_COLUMNS``): the metric
    (percent) without intervention (``none``), with the own neurons, and with random ones: mean, lowest and highest of
    the ``draws``; ``difference`` = own - random mean.
    ``p_none``: own against none, McNemar or paired bootstrap (``significance.compare``). ``p_random``: own against the
    mean of the draws, example by example, by paired bootstrap. Both Holm-corrected over the table (``*_holm``).
    ``differs_from_none``: p_none_holm at most 1 - ``level``. ``more_than_random``: p_random_holm at most that, own
    beyond all of the draws, and further from none than their mean is.

    ValueError if the draws overwrite another number of neurons than the own mask, and for examples that differ.
    """
    import pandas as pd

    lines, metrics, alpha = [], list(metrics), 1 - level
    for row in rows:
        counts = {c.intervention: neurons[c] for c in (row.own, *row.random)}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise ValueError(f"{row.model}, {row.language}: not as many random neurons ({said}); evaluate them again")
        none, own = predictions(row.none), predictions(row.own)
        draws = [predictions(condition) for condition in row.random]
        for name in metrics:
            lines.append(
                {
                    "model": titles[row.model],
                    "model_key": row.model,
                    "method": row.comparison,
                    "method_key": split_intervention(row.own.intervention)[1],
                    "language": row.language,
                    "intervention": row.intervention,
                    "metric": name.removesuffix("_model_tokens"),
                    "neurons": neurons[row.own],
                    "draws": len(draws),
                    **_against_random(none, own, draws, name, resamples, seed),
                }
            )
    frame = pd.DataFrame(lines, columns=[c for c in RANDOM_COLUMNS if c in lines[0]])
    for name in ("p_none", "p_random"):
        frame.insert(frame.columns.get_loc(name) + 1, f"{name}_holm", holm(frame[name].tolist()))
    outside = (frame["own"] < frame["random_low"]) | (frame["own"] > frame["random_high"])
    further = (frame["own"] - frame["none"]).abs() > (frame["random_mean"] - frame["none"]).abs()
    frame["differs_from_none"] = _words(frame["p_none_holm"] <= alpha)
    frame["more_than_random"] = _words((frame["p_random_holm"] <= alpha) & outside & further)
    return frame[list(RANDOM_COLUMNS)]


def _against_random(
    none: Predictions, own: Predictions, draws: list[Predictions], metric: str, resamples: int, seed: int
) -> dict[str, float]:
    """One line's numbers, in percent, and its p-values, uncorrected."""
    values = [100 * float(p.scores[metric].mean()) for p in (none, own, *draws)]
    for draw in draws:
        if draw.ids != own.ids:
            raise ValueError(f"{own.path} and {draw.path} hold other examples or another order; evaluate both again")
    mean = np.mean([draw.scores[metric] for draw in draws], axis=0)  # [examples]
    return {
        "none": values[0],
        "own": values[1],
        "random_mean": float(np.mean(values[2:])),
        "random_low": min(values[2:]),
        "random_high": max(values[2:]),
        "difference": values[1] - float(np.mean(values[2:])),
        "p_none": compare(own, none, metric, resamples, seed).p,
        "p_random": paired_bootstrap(own.scores[metric], mean, own.clusters, resamples, seed),
    }


def _words(flags: pandas.Series) -> list[str]:
    return ["yes" if flag else "no" for flag in flags]


def split_half(
    masks: Mapping[tuple[str, str], tuple[str | os.PathLike, str | os.PathLike]], titles: Mapping[str, str]
) -> pandas.DataFrame:
    """Split-half reliability: neurons of two halves of the shards, and their Jaccard index, by language.

    ``masks``: (model, method) -> masks of the even and of the odd shards. Columns: model, model_key, method, language,
    neurons_even, neurons_odd, shared, jaccard, jaccard_random (of two random sets of these sizes, drawn from all
    neurons of the model); the last two are missing where neither half has a neuron.
    """
    import pandas as pd

    lines = []
    for (model, method), paths in masks.items():
        even, odd = (
            NeuronMask.read(path, {"model_key": model, "method": method, "half": half})
            for path, half in zip(paths, ("even", "odd"), strict=True)
        )
        for language in even.languages:
            found = agreement(even, odd, language)
            numbers = (found.first, found.second, found.shared, found.jaccard, found.by_chance)
            lines.append((titles[model], model, method, language, *numbers))
    names = ("neurons_even", "neurons_odd", "shared", "jaccard", "jaccard_random")
    frame = pd.DataFrame(lines, columns=["model", "model_key", "method", "language", *names])
    return frame.astype({"jaccard": "Float64", "jaccard_random": "Float64"})


def relevance_spread(masks: Mapping[tuple[str, str], str | os.PathLike], titles: Mapping[str, str]) -> pandas.DataFrame:
    """Does the relevance of Act Prob 90p vary over the neurons more than sampling alone would make it?

    ``masks``: (model, method) -> its mask, which holds what identification measured. Columns: model, method,
    language, spread (standard deviation of r over all neurons), sampling_noise (that of binomial sampling alone, all
    neurons having one r: sqrt(mean(r(1-r)) / tokens)), ratio (missing where there is no noise), note. ValueError
    naming the file for a mask of another method.
    """
    import pandas as pd

    lines = []
    for (model, method), path in masks.items():
        mask = NeuronMask.read(path, {"model_key": model, "method": method})
        for language in mask.languages:
            found = mask.details.get(language)
            if not isinstance(found, dict) or not {"spread", "sampling_noise", "degenerate"} <= found.keys():
                raise ValueError(
                    f"{path}: says nothing of the relevance's spread; write a method by activation probability"
                )
            spread, noise = found["spread"], found["sampling_noise"]
            note = "no more than noise: the ranking means nothing" if found["degenerate"] else ""
            lines.append(
                (titles[model], model, method, language, spread, noise, spread / noise if noise else None, note)
            )
    columns = ["model", "model_key", "method", "language", "spread", "sampling_noise", "ratio", "note"]
    return pd.DataFrame(lines, columns=columns).astype({"ratio": "Float64"})


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


def read_changes(path: str | os.PathLike, expected: Mapping[str, str] | None = None) -> list[dict]:
    """Rows of a perplexity file: language, zeroed, neurons (int) and the columns of ``PERPLEXITY`` (float).

    ``expected``: the ``model`` and ``method`` (keys) that it must be of. ValueError naming the file for one that is
    damaged or of another model or method, a missing column, a value that is no number, or a pair that stands there
    twice.
    """
    rows, seen = [], set()
    for row in read_tsv(path, ("language", "zeroed", "neurons", *PERPLEXITY), expected):
        pair = (row["language"], row["zeroed"])
        try:
            numbers = {name: float(row[name]) for name in PERPLEXITY} | {"neurons": int(row["neurons"])}
        except ValueError:
            numbers = {"change": math.nan}
        if pair in seen or not all(map(math.isfinite, numbers.values())):
            what = "stands there twice" if pair in seen else "has a value that is no number"
            raise ValueError(f"{path}: text {pair[0]} with {pair[1]} at zero {what}; measure the perplexity again")
        seen.add(pair)
        rows.append({"language": pair[0], "zeroed": pair[1], **numbers})
    return rows
