"""The answer, counted from finished tables: what differs from no intervention, what from as many random neurons.

Reads the tables' TSV alone: what is said is what was printed.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

QUESTION = (
    "Some neurons of a multilingual language model fire for one language and hardly for any other. Does setting a "
    "language's neurons to a constant make the model better at a task in that language? Does it do anything that as "
    "many random neurons would not?"
)
NONE, RANDOM = "no intervention", "random neurons"
METRIC = {"": "accuracy", "_em": "exact match", "_f1": "F1"}
NAMES = {"exact_match": "exact match", "f1": "F1"}
Paragraph = tuple[str, str]


@dataclass(frozen=True)
class Count:
    """Comparisons of one intervention in one table ``against`` NONE or RANDOM: how many, and how many differ."""

    against: str
    table: str
    metric: str
    intervention: str
    compared: int
    higher: int
    lower: int


def read_tsv(path: str | os.PathLike) -> list[dict[str, str]]:
    """Rows of a table's TSV; ValueError naming the file if it has no header, or a row of another length."""
    with _reading(path), open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if not reader.fieldnames:
            raise ValueError("holds no header")
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(f"line {number} has another number of fields than the header")
        return rows


def against_none(path: str | os.PathLike, alpha: float = 0.05) -> list[Count]:
    """Counts of a table of conditions, an intervention and metric each: what differs from none (p at most ``alpha``).

    A row whose mask has no neuron is not compared: its intervention is none.
    """
    with _reading(path):
        rows = [row for row in read_tsv(path) if row.get("method") and row.get("neurons") != "0"]
        counts = []
        for column in (c.removesuffix("_p_holm") for c in (rows[0] if rows else {}) if c.endswith("_p_holm")):
            suffix = next((s for s in ("_em", "_f1") if column.endswith(s)), "")
            intervention = column.removesuffix(suffix)
            compared = [row for row in rows if row[f"{column}_p_holm"]]
            differ = [row for row in compared if _number(row[f"{column}_p_holm"]) <= alpha]
            higher = sum(_number(row[column]) > _number(row[f"none{suffix}"]) for row in differ)
            values = (METRIC[suffix], intervention, len(compared), higher, len(differ) - higher)
            counts.append(Count(NONE, Path(path).stem, *values))
        return counts


def against_random(path: str | os.PathLike) -> list[Count]:
    """Counts of a table of random controls, an intervention and metric each: what does more than random neurons."""
    with _reading(path):
        rows = [row for row in read_tsv(path) if row["neurons"] != "0"]
        counts = []
        for intervention, metric in dict.fromkeys((row["intervention"], row["metric"]) for row in rows):
            compared = [row for row in rows if (row["intervention"], row["metric"]) == (intervention, metric)]
            more = [row for row in compared if row["more_than_random"] == "yes"]
            higher = sum(_number(row["difference"]) > 0 for row in more)
            values = (NAMES.get(metric, metric), intervention, len(compared), higher, len(more) - higher)
            counts.append(Count(RANDOM, Path(path).stem, *values))
        return counts


def sentences(counts: Iterable[Count]) -> list[str]:
    """The answer in words: a sentence against no intervention, one against random neurons."""
    counts = list(counts)
    said = []
    for against, verb, none in (
        (NONE, "differ from no intervention", "No table of this run compares interventions with none."),
        (RANDOM, "do more than as many random neurons", "No table of this run compares them with random neurons."),
    ):
        mine = [count for count in counts if count.against == against and count.compared]
        if not mine:
            said.append(none)
            continue
        total, higher, lower = (sum(getattr(c, name) for c in mine) for name in ("compared", "higher", "lower"))
        if not higher + lower:
            said.append(f"None of {total} comparisons {verb.replace('differ ', 'differs ').replace('do ', 'does ')}.")
            continue
        which = {True: [], False: []}
        for count in mine:
            for up, number in ((True, count.higher), (False, count.lower)):
                if number:
                    which[up].append(f"{count.intervention} in {count.table} ({count.metric}, {number})")
        parts = [
            f"{number} {word}: {', '.join(which[up])}"
            for up, word, number in ((True, "higher", higher), (False, "lower", lower))
            if number
        ]
        said.append(f"{higher + lower} of {total} comparisons {verb}. {'; '.join(parts)}.")
    return said


def paragraphs(tables: Mapping[str, tuple[str, str | os.PathLike]]) -> list[Paragraph]:
    """A heading and a paragraph for each table of controls: what it says, in words.

    ``tables``: name -> (kind, TSV). Tables of other kinds are left out.
    """
    write = {
        "random_controls": _random,
        "split_half": _split_half,
        "relevance_spread": _relevance,
        "perplexity_change": _perplexity,
    }
    found = []
    for name, (kind, path) in tables.items():
        if kind in write:
            with _reading(path):
                found.append(write[kind](name, read_tsv(path)))
    return found


def _random(name: str, rows: list[dict[str, str]]) -> Paragraph:
    acting = [row for row in rows if row["neurons"] != "0"]
    more = [row for row in acting if row["more_than_random"] == "yes"]
    task = {"accuracy": "XNLI"}.get(rows[0]["metric"] if rows else "", "XQuAD")
    said = [f"{len(more)} of {len(acting)} comparisons do more than on as many random neurons."]
    if acting:
        own = mean(abs(_number(row["own"]) - _number(row["none"])) for row in acting)
        random = mean(abs(_number(row["random_mean"]) - _number(row["none"])) for row in acting)
        said.append(
            f"On average an intervention moves the metric by {own:.2f} points with the language's own neurons, and by "
            f"{random:.2f} with random ones (mean over the draws)."
        )
    if more:
        said.append("More than random: " + "; ".join(_place(row) + f" {row['intervention']}" for row in more) + ".")
    if len(acting) < len(rows):
        said.append(f"{len(rows) - len(acting)} comparisons have no neuron to act on.")
    return f"Does an intervention do more than on as many random neurons? {task}", " ".join(said)


def _split_half(name: str, rows: list[dict[str, str]]) -> Paragraph:
    found = [row for row in rows if row["jaccard"]]
    said = []
    if found:
        ordered = sorted(found, key=lambda row: _number(row["jaccard"]))
        low, high = ordered[0], ordered[-1]
        index = median(_number(row["jaccard"]) for row in found)
        said.append(
            f"Over {len(found)} sets of neurons the median Jaccard index of the two halves is "
            f"{index:.2f}, from {_number(low['jaccard']):.2f} ({_place(low)}) to "
            f"{_number(high['jaccard']):.2f} ({_place(high)}); of two random sets of these sizes at most "
            f"{max(_number(row['jaccard_random']) for row in found):.3f} is expected."
        )
    if len(found) < len(rows):
        said.append(f"{len(rows) - len(found)} languages have no neuron in either half.")
    return "Would the same neurons be found again?", " ".join(said)


def _relevance(name: str, rows: list[dict[str, str]]) -> Paragraph:
    noise = [row for row in rows if row["note"]]
    ratios = [_number(row["ratio"]) for row in rows if row["ratio"]]
    said = f"In {len(rows) - len(noise)} of {len(rows)} cases it does"
    if ratios:
        said += f"; the ratio of its spread to sampling noise goes from {min(ratios):.2g} to {max(ratios):.3g}"
    said += "."
    if noise:
        said += f" In the others the ranking means nothing: {'; '.join(map(_place, noise))}."
    return "Does the relevance of Act Prob 90p vary over neurons more than by chance?", said


def _perplexity(name: str, rows: list[dict[str, str]]) -> Paragraph:
    acting = [row for row in rows if row["neurons"] != "0"]
    own = [_number(r["bits_per_byte_change"]) for r in acting if r["language"] == r["zeroed"]]
    other = [_number(r["bits_per_byte_change"]) for r in acting if r["language"] != r["zeroed"]]
    said = "No language that has neurons was measured on its own text and on others'."
    if own and other:
        said = (
            f"With a language's neurons at zero the loss on its own text changes by {mean(own):+.4f} bits per byte, on "
            f"the text of other languages by {mean(other):+.4f} (means over {len(own)} and {len(other)} pairs)."
        ).replace("-", "−")
    return "Does a language suffer most from losing its own neurons?", said


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


@contextmanager
def _reading(path: str | os.PathLike) -> Iterator[None]:
    """Name the table in whatever is wrong with its columns and numbers."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path}: has no column {error}; render the table again") from None
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}; render the table again") from None


def _place(row: Mapping[str, str]) -> str:
    return f"{row['model']}, {row['method']}, {row['language']}"
