"""The layouts in which others write task data: XNLI as TSV, JSON lines or Parquet; SQuAD's JSON; the Hub's Parquet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langneurons.artifacts.foreign_files import lines, need, parquet, parsed, records, string, text, tsv
from langneurons.tasks.texts import Texts

ALIASES = {
    "premise": ("premise", "sentence1"),
    "hypothesis": ("hypothesis", "hypo", "sentence2"),
    "label": ("label", "gold_label"),
}
"""Names of a column in the workflow's examples, XNLI's machine-translated training set and XNLI's test set."""

_OTHER_NAMES = {"contradictory": "contradiction"}  # XNLI's training set
_UNLABELLED = ("-1", "-")  # the Hub's and MultiNLI's way to say that annotators did not agree


def labelled_pairs(
    path: str | os.PathLike, name: str, language: str, labels: Sequence[str]
) -> tuple[list[tuple[str, str, int]], int]:
    """(premise, hypothesis, number of the label) of each row of a file of pairs, and how many rows have no label.

    ``labels``: their names, in the order of their numbers from 0; a file may have either.
    Where the file has a column ``language``, only ``language``'s rows count. ``name`` is what errors call the file.
    Empty texts are refused, but for those of Parquet, as the Hub has it: these are kept, and counted in the log.
    ValueError: no such file, an empty one, not UTF-8, a missing column or value, two columns for one, an unknown label,
    a language that only some rows have, or that some rows spell otherwise.
    """
    rows = list(_rows(path, name))
    said = [bool(str(row.get("language") or "").strip()) for _, row in rows]
    if any(said):
        if not all(said):
            place = rows[said.index(False)][0]
            raise ValueError(f"{name}, {place}: has no language, and other rows have one; write it in every row")
        languages = sorted({string(row["language"], f"{name}, {place}: language") for place, row in rows})
        _check_spelling(rows, name, language)
        rows = [(place, row) for place, row in rows if row["language"] == language]
        if not rows:
            raise ValueError(f"{name}: no row of language '{language}'; the file has: {', '.join(languages)}")
    pairs, texts, keep_empty = [], Texts(name), Path(path).suffix.lower() == ".parquet"
    for place, row in rows:
        label = _label(row["label"], f"{name}, {place}", labels)
        if label is not None:
            premise, hypothesis = (
                texts.text(row[column], place, column, keep_empty) for column in ("premise", "hypothesis")
            )
            pairs.append((premise, hypothesis, label))
    if not pairs:
        raise ValueError(f"{name}: no row has a label; write one of: {', '.join(labels)}")
    texts.report()
    return pairs, len(rows) - len(pairs)


def _check_spelling(rows: list[tuple[str, dict[str, Any]]], name: str, language: str) -> None:
    """ValueError where a row's language is ``language`` but for case, white space or a region: it would be lost."""
    wanted = _without_region(language)
    for place, row in rows:
        if row["language"] != language and _without_region(row["language"]) == wanted:
            raise ValueError(
                f"{name}, {place}: language is '{row['language']}', and '{language}' is wanted; "
                f"write '{language}' if it is the same, or delete the row"
            )


def _without_region(language: str) -> tuple[str, ...]:
    """The subtags of a language's code in lower case, but for regions (two letters or three digits)."""
    start, *rest = (tag.strip() for tag in language.lower().replace("_", "-").split("-"))
    return start, *(tag for tag in rest if not re.fullmatch(r"[a-z]{2}|[0-9]{3}", tag))


def _label(value: Any, at: str, labels: Sequence[str]) -> int | None:
    """The number of a label; None where it says that there is none."""
    key = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    if key in _UNLABELLED:
        return None
    numbers = {name: i for i, name in enumerate(labels)} | {str(i): i for i in range(len(labels))}
    number = numbers.get(_OTHER_NAMES.get(str(key), str(key)))
    if key is None or number is None:
        known = ", ".join(f"{name} or {i}" for i, name in enumerate(labels))
        raise ValueError(f"{at}: unknown label {value!r}; write one of: {known}")
    return number


def _rows(path: str | os.PathLike, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, premise, hypothesis, label and, where it is there, language) of every row, by the file's ending."""
    ending = Path(path).suffix.lower()
    if ending == ".parquet":
        known = tuple(alias for aliases in ALIASES.values() for alias in aliases)
        table = parquet(path, name, (), (*known, "language"))
        columns = _columns(table.column_names, name)
        for number, row in records(table, name):
            yield f"row {number}", {column: row[alias] for column, alias in columns.items()}
    elif ending == ".tsv":
        (_, header), *rows = tsv(path, name)
        columns = _columns(header, f"{name}, line 1")
        if not rows:
            raise ValueError(f"{name}: the file is empty but for its header")
        places = {column: header.index(alias) for column, alias in columns.items()}
        for number, fields in rows:
            if len(fields) != len(header):
                raise ValueError(
                    f"{name}, line {number}: has {len(fields)} fields, the header has {len(header)}; "
                    "write one tab between fields and none within"
                )
            yield f"line {number}", {column: fields[place] for column, place in places.items()}
    elif ending in (".jsonl", ".ndjson"):
        found = False
        for number, line in lines(path, name):
            if line.strip():
                found, at = True, f"{name}, line {number}"
                record = parsed(line, at, "; write one object per line")
                if not isinstance(record, dict):
                    raise ValueError(f"{at}: is no JSON object; write one object per line")
                yield f"line {number}", {c: record[alias] for c, alias in _columns(list(record), at).items()}
        if not found:
            raise ValueError(f"{name}: the file is empty")
    else:
        raise ValueError(f"{name}: ends in '{ending}'; write a .tsv, .jsonl or .parquet file")


def _columns(present: list[str], at: str) -> dict[str, str]:
    """Column -> its name among those ``present``; ValueError where it has none, or several."""
    found = {}
    for column, aliases in ALIASES.items():
        names = [alias for alias in aliases if alias in present]
        if len(names) > 1:
            raise ValueError(f"{at}: has the columns {' and '.join(names)}, both for the {column}; keep one")
        found[column] = names[0] if names else column
    need(tuple(found.values()), present, at)
    if "language" in present:
        need(("language",), present, at)
        found["language"] = "language"
    return found


def hub_questions(path: str | os.PathLike, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of each question of a Parquet file of the Hub."""
    for number, record in records(parquet(path, name, ("id", "context", "question", "answers")), name):
        yield f"row {number}", record


def squad_questions(path: str | os.PathLike, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of each question of a SQuAD v1.1 file."""

    def inside(parent: Any, key: str, place: str) -> list:
        if not isinstance(parent, dict) or not isinstance(parent.get(key), list):
            raise ValueError(f"{name}: {place} has no list '{key}'; write a SQuAD v1.1 file")
        return parent[key]

    document = parsed(text(path, name), name)
    empty = True
    for a, article in enumerate(inside(document, "data", "the file")):
        for p, paragraph in enumerate(inside(article, "paragraphs", f"data[{a}]")):
            at = f"data[{a}].paragraphs[{p}]"
            for q, question in enumerate(inside(paragraph, "qas", at)):
                record = question if isinstance(question, dict) else {}
                place, context = f"{at}.qas[{q}]", paragraph.get("context")
                need(("id", "question", "answers"), list(record), f"{name}, {place}")
                if record.get("context", context) != context:
                    raise ValueError(f"{name}, {place}: has another context than its paragraph; delete one of the two")
                empty = False
                yield place, record | {"context": context}
    if empty:
        raise ValueError(f"{name}: the file is empty (no question)")
