"""The text of a table: TSV at full precision; Markdown and LaTeX as the paper prints. Nothing is computed here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langneurons.experiment.comparison import BETTER, EQUIVALENT, WORSE
from langneurons.finite import check_finite

if TYPE_CHECKING:
    import pandas

HEADINGS = {"finetuned_neurons": "FTL", "language": "EL", "examples": "n"}
LABELS = ("model", "method", "finetuned_neurons", "language", "neurons", "examples", "dropped")
KEYS = ("model_key", "method_key")
"""Columns with the configuration's keys of what the titles beside them name: stored, not printed."""
UNCERTAINTY = re.compile("_(low|high|effect|p|p_adjusted|verdict)$")
"""Ends of the columns that say what the number before them can bear: stored, not printed."""
MARK = "†"
DIFFERS, SAME = "*", "≈"
MARKS = {BETTER: DIFFERS, WORSE: DIFFERS, EQUIVALENT: SAME}
"""What follows a number by its verdict."""
MISSING = "–"
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    MARK: r"$^{\dagger}$",
    DIFFERS: r"$^{*}$",
    SAME: r"$^{\approx}$",
    MISSING: "--",
}


def printed(frame: pandas.DataFrame, decimals: int) -> tuple[list[str], list[list[str]]]:
    """Header and cells as printed, numbers to ``decimals``.

    Labels come first, under the paper's names; the columns of a pair ``_em``, ``_f1`` share a cell, EM (F1); a number
    is followed by the mark of its ``_verdict``; a cell whose intervention acted on no neuron
    ends with ``MARK``; a missing value is ``MISSING``.
    """
    labels = [name for name in frame.columns if name in LABELS]
    if "neurons" in labels and frame["neurons"].isna().all():
        labels.remove("neurons")
    values: dict[str, list[str]] = {}
    for name in frame.columns:
        if name not in (*LABELS, *KEYS) and not UNCERTAINTY.search(name):
            values.setdefault(re.sub("_(em|f1)$", "", name), []).append(name)
    conditions = "method" in frame
    header = [HEADINGS.get(name, name.capitalize()) for name in labels]
    header += [heading(name) if conditions else name.capitalize() for name in values]
    body = []
    for line in frame.to_dict("records"):
        cells = [_text(line[name], decimals) for name in labels]
        unchanged = "neurons" in labels and not _missing(line["neurons"]) and line["neurons"] == 0
        for name, columns in values.items():
            cell = _cell([_number(line, column, decimals) for column in columns])
            cells.append(cell + MARK if unchanged and name != "none" and cell != MISSING else cell)
        body.append(cells)
    return header, body


def heading(intervention: str) -> str:
    """What a column of an intervention is called."""
    return {"none": "No Int", "zero": "Int 0"}.get(intervention, f"Int {intervention.capitalize()}")


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _text(value: object, decimals: int) -> str:
    if _missing(value):
        return MISSING
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)


def _number(line: dict, column: str, decimals: int) -> str:
    verdict = line.get(f"{column}_verdict")
    mark = "" if verdict is None or _missing(verdict) else MARKS.get(verdict, "")
    return _text(line[column], decimals) + mark


def _cell(texts: list[str]) -> str:
    if len(texts) == 1 or set(texts) == {MISSING}:
        return texts[0]
    return f"{texts[0]} ({texts[1]})"


def to_tsv(frame: pandas.DataFrame) -> str:
    """Tab-separated values at full precision (``repr``); nothing where a value is missing.

    ValueError, naming the row and the column, for a number that is not finite.
    """
    for number, line in enumerate(frame.to_dict("records")):
        where = ", ".join(str(value) for value in line.values() if isinstance(value, str))
        for name, value in line.items():
            if isinstance(value, float):
                check_finite(value, f"row {number + 1} of the table ({where}): {name}", advice="look at what it is of")
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(frame.columns)
    for line in frame.to_dict("records"):
        writer.writerow(
            ["" if _missing(v) else repr(float(v)) if isinstance(v, float) else str(v) for v in line.values()]
        )
    return out.getvalue()


def _is_text(heading: str) -> bool:
    return heading in ("Model", "Method", "FTL", "EL", "Statistic", "Intervention", "Metric", "Paper inside")


def to_markdown(header: list[str], body: list[list[str]], caption: str, notes: list[str]) -> str:
    """A GitHub table of what ``printed`` gave, below its caption and above its notes, a paragraph each."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def escaped(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", " ".join(text.split()))

    rule = line(":---" if _is_text(name) else "---:" for name in header)
    table = [line(map(escaped, header)), rule, *(line(map(escaped, cells)) for cells in body)]
    return "\n\n".join([f"**{escaped(caption)}**", "\n".join(table), *map(escaped, notes)]) + "\n"


def to_latex(header: list[str], body: list[list[str]], caption: str, notes: list[str], label: str) -> str:
    """A booktabs table; the model and method of following rows stand once, in a line above them, as in the paper."""

    def escaped(text: str) -> str:
        return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))

    grouped = sum(name in ("Model", "Method") for name in header)
    shown = header[grouped:]
    lines, group = [], None
    for cells in body:
        if cells[:grouped] != group:
            group = cells[:grouped]
            name = " with ".join(filter(None, group))
            lines += [r"\midrule", rf"\multicolumn{{{len(shown)}}}{{c}}{{{escaped(name)}}} \\", r"\midrule"]
        lines.append(" & ".join(map(escaped, cells[grouped:])) + r" \\")
    alignment = "".join("l" if _is_text(name) else "r" for name in shown)
    wide = len(shown) > 8
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{table{'*' if wide else ''}}}",
            r"\centering",
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{tab:{label}}}",
            r"\scriptsize\setlength{\tabcolsep}{2pt}" if wide else r"\small",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(map(escaped, shown)) + r" \\",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\smallskip {escaped(note)}" for note in notes),
            rf"\end{{table{'*' if wide else ''}}}",
            "",
        ]
    )
