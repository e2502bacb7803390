"""The paper's own numbers, and a table of ours beside them. Importing this module is light: the workflow's rules do.

``paper/{table}.tsv`` are Tables 1-8 as printed (Table 8's second "vi" of Mistral Nemo is hi, as its place says).
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

from langneurons.files import write_atomically
from langneurons.tables.formats import HEADINGS, KEYS, MISSING, UNCERTAINTY, to_markdown, to_tsv

if TYPE_CHECKING:
    import pandas

TABLES = (
    "xnli",
    "xquad",
    "xnli_finetuning",
    "xnli_all_interventions",
    "xquad_all_interventions",
    "activation_statistics",
    "xnli_finetuning_all",
    "xnli_random_neurons",
)
"""Tables 1-8 of the paper, by the configuration's keys."""

MODELS = {"Llama 3.1": "llama-3.1-8b", "Mistral Nemo": "mistral-nemo"}
"""The paper's names of the models: the configuration's keys."""

MEANING = """\
Our number, the paper's, and the difference; where ours has an interval, whether the paper's lies in it.
"""
"""What the report says above a table of ours beside the paper's."""

LABELS = ("model", "method", "finetuned_neurons", "language")
COUNTS = ("neurons", "examples", "dropped")
COLUMNS = ("ours", "low", "high", "theirs", "difference", "inside")
PRINTED = {"exact_match": "EM", "f1": "F1"}
_METRICS = {"_em": "exact_match", "_f1": "f1"}


class Cell(NamedTuple):
    """What a number stands for; ``""`` where a table has no such label.

    ``model`` is the configuration's key, ``method`` the name of the method group; ``column`` is an intervention (with
    ``_em`` or ``_f1`` in XQuAD), or a statistic in Table 6.
    """

    model: str
    method: str
    finetuned_neurons: str
    language: str
    column: str


def paper_numbers(table: str) -> dict[Cell, float]:
    """The paper's numbers of one of ``TABLES``, in print order.

    ValueError for a table that the paper has not.
    """
    if table not in TABLES:
        raise ValueError(f"the paper has no table {table!r}; it has {', '.join(TABLES)}")
    text = (resources.files("langneurons.tables") / "paper" / f"{table}.tsv").read_text(encoding="utf-8")
    found: dict[Cell, float] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        labels = {name: row.pop(name, "") for name in LABELS}
        labels["model"] = MODELS[labels["model"]]
        if labels["finetuned_neurons"] == "rand":  # Table 8: as many as the target language has, at random
            labels |= {"method": "Random", "finetuned_neurons": labels["language"]}
        for column, value in row.items():
            cell = Cell(**labels, column=column)
            if cell in found:
                raise ValueError(f"paper/{table}.tsv: {' '.join(cell)} is duplicated")
            found[cell] = float(value)
    return found


def our_numbers(path: str | os.PathLike, titles: Mapping[str, str]) -> dict[Cell, dict[str, float]]:
    """The numbers of one of our tables' TSV: ``ours``, and ``low`` and ``high`` where it has an interval.

    ``titles``: model's key -> the title that the table prints. ValueError naming the file for a model without a
    title or a number that is none, and for two models of one title.
    """
    keys = {title: key for key, title in titles.items()}
    if len(keys) < len(titles):
        raise ValueError(f"two models have one title ({', '.join(titles.values())}); give each model its own title")
    found: dict[Cell, dict[str, float]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        names = [name for name in reader.fieldnames or () if name not in (*LABELS, *KEYS, *COUNTS)]
        columns = [name for name in names if not UNCERTAINTY.search(name)]
        for row in reader:
            if row["model"] not in keys:
                raise ValueError(f"{path}: unknown model {row['model']!r}; known: {', '.join(keys)}")
            labels = {name: row.get(name, "") for name in LABELS} | {"model": keys[row["model"]]}
            for column in columns:
                parts = {"ours": column, "low": f"{column}_low", "high": f"{column}_high"}
                if row[column] != "":
                    found[Cell(**labels, column=column)] = {
                        part: _number(path, name, row[name]) for part, name in parts.items() if row.get(name)
                    }
    return found


def compare_with_paper(path: str | os.PathLike, table: str, titles: Mapping[str, str]) -> pandas.DataFrame:
    """Our table at ``path`` beside the paper's ``table``, a line a number that both have, in the paper's order.

    Columns: the table's labels (model is its title) and model_key; intervention and metric (statistic, in Table 6);
    ours, low and high (our interval; missing where there is none), theirs, difference (ours - theirs), and inside:
    ``yes`` if theirs, as printed, lies in our interval (ends included), else ``no``. Numbers are matched by what they
    stand for (``Cell``). ValueError if no number of the two stands for the same.
    """
    import pandas as pd

    ours, theirs = our_numbers(path, titles), paper_numbers(table)
    lines = []
    for cell, number in theirs.items():
        if cell not in ours:
            continue
        own = ours[cell]
        between = pd.NA if "low" not in own else "yes" if own["low"] <= number <= own["high"] else "no"
        line = {name: getattr(cell, name) for name in LABELS} | {"model": titles[cell.model]}
        line = {"model": line.pop("model"), "model_key": cell.model} | line
        line |= _column(cell)
        values = (own["ours"], own.get("low", pd.NA), own.get("high", pd.NA), number, own["ours"] - number, between)
        lines.append(line | dict(zip(COLUMNS, values, strict=True)))
    if not lines:
        raise ValueError(
            f"{path}: no number stands for one of the paper's {table}; set run.compare_with_paper to false"
        )
    frame = pd.DataFrame(lines).astype({name: "Float64" for name in COLUMNS[:-1]} | {"inside": "string"})
    return frame.drop(columns=[name for name in ("method", "finetuned_neurons") if (frame[name] == "").all()])


def write_comparison(
    frame: pandas.DataFrame, stem: str | os.PathLike, decimals: int, level: float, caption: str, notes: Iterable[str]
) -> list[str]:
    """Write what ``compare_with_paper`` gave as ``stem`` + ``.tsv`` (full precision) and ``.md`` (to ``decimals``).

    Returns the two paths. Same input, same bytes.
    """
    labels = [name for name in frame.columns if name not in (*COLUMNS, *KEYS)]
    header = [HEADINGS.get(name, name.capitalize()) for name in labels] + ["Ours", "Paper", "Difference"]
    body = [
        [PRINTED.get(line[name], line[name]) for name in labels]
        + [f"{line['ours']:.{decimals}f}", f"{line['theirs']:.{decimals}f}", _signed(line["difference"], decimals)]
        for line in frame.to_dict("records")
    ]
    measured = frame["low"].notna().tolist()
    if any(measured):
        header += [f"Our {100 * level:g} % interval", "Paper inside"]
        for cells, line, known in zip(body, frame.to_dict("records"), measured, strict=True):
            between = [f"{line['low']:.{decimals}f} to {line['high']:.{decimals}f}", line["inside"]] if known else []
            cells += between or [MISSING, MISSING]
    texts = {"tsv": to_tsv(frame), "md": to_markdown(header, body, caption, list(notes))}
    for ending, text in texts.items():
        with write_atomically(f"{os.fspath(stem)}.{ending}") as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    return [f"{os.fspath(stem)}.{ending}" for ending in texts]


def missing_numbers(path: str | os.PathLike, table: str, titles: Mapping[str, str]) -> int:
    """How many of the paper's numbers our table at ``path`` has no counterpart of."""
    return len(paper_numbers(table).keys() - our_numbers(path, titles).keys())


def _signed(difference: float, decimals: int) -> str:
    text = f"{difference:+.{decimals}f}"
    return text if float(text) else text.lstrip("+-")


def _column(cell: Cell) -> dict[str, str]:
    if not cell.method:
        return {"statistic": cell.column}
    for ending, metric in _METRICS.items():
        if cell.column.endswith(ending):
            return {"intervention": cell.column.removesuffix(ending), "metric": metric}
    return {"intervention": cell.column, "metric": "accuracy"}


def _number(path: str | os.PathLike, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path}: {column} is {text!r}; render the table again")
    return value
