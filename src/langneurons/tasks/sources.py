"""Task data from a person's or the Hub's files: read, checked and written in the workflow's own layout."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from langneurons.tasks.files import SCHEMAS, read_task, write_task
from langneurons.tasks.splits import check_part, chosen, first

LABELS = ("entailment", "neutral", "contradiction")
"""XNLI's labels; the position of a label is its number in a file and in the logits."""

_LABEL_NUMBERS = {name: i for i, name in enumerate(LABELS)} | {str(i): i for i in range(len(LABELS))}


def import_xnli(
    source_path: str | os.PathLike,
    out_path: str | os.PathLike,
    language: str,
    fraction: float = 1.0,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Write the first ``fraction`` of an XNLI file as Parquet; return the number of rows.

    The source is TSV (with a header, no quoting), JSON lines or Parquet, by its ending, with the columns
    ``premise``, ``hypothesis`` and ``label`` (a word or 0, 1, 2). Where it also has a column ``language``,
    only ``language``'s rows count. Ids are the running numbers of the rows. ``floor(rows * fraction)`` rows
    are kept: a quarter of 392,702 is 98,175. ``where`` is the configuration key that errors name.

    ValueError: no such file, an empty one, not UTF-8, a missing column or value, an unknown label.
    """
    name = _name(source_path, where)
    if not 0 < fraction <= 1:
        raise ValueError(f"{name}: fraction is {fraction}; write a share above 0 and at most 1")
    rows = list(_records(source_path, name, ("premise", "hypothesis", "label"), optional="language"))
    languages = sorted({str(r["language"]) for _, r in rows if "language" in r})
    if languages:
        rows = [(place, r) for place, r in rows if r["language"] == language]
        if not rows:
            raise ValueError(f"{name}: no row of language '{language}'; the file has: {', '.join(languages)}")
    kept = rows[: first(len(rows), fraction)]
    if not kept:
        raise ValueError(f"{name}: a fraction of {fraction} of {len(rows)} rows is no row; write a larger fraction")
    columns: dict[str, list] = {"id": [str(i) for i in range(len(kept))]}
    for column in ("premise", "hypothesis"):
        columns[column] = [_string(r[column], f"{name}, {place}: {column}") for place, r in kept]
    columns["label"] = [_label(r["label"], f"{name}, {place}") for place, r in kept]
    return write_task(out_path, "xnli", columns, {"language": language, **(facts or {})})


def import_xquad(
    source_path: str | os.PathLike,
    out_path: str | os.PathLike,
    part: str = "all",
    train_fraction: float = 0.8,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
    train: str | os.PathLike | None = None,
    source_test: str | os.PathLike | None = None,
) -> int:
    """Write a part of a question answering file as Parquet; return the number of questions.

    The source is SQuAD v1.1 JSON or the Hub's Parquet (columns ``id``, ``context``, ``question``,
    ``answers{text, answer_start}``), by its ending. ``part``: ``all``, ``train`` (the first
    ``floor(questions * train_fraction)``) or ``test`` (the others); it may divide a paragraph (the reference code cuts
    so too). ``train`` and ``source_test`` are this workflow's files of the training questions and of the source
    language's test questions: none of the former is tested, and another language's test questions are those with the
    ids of the latter, wherever they lie in its file (``tasks.splits``). ``paragraph`` is the running number of a
    question's context, so that the questions of one context stay together in a file of any order.

    ValueError: no such file, an empty one, not UTF-8, a missing column or value, no answer, an id twice, and as
    :func:`langneurons.tasks.splits.chosen`.
    """
    name = _name(source_path, where)
    check_part(part, train_fraction, name)
    suffix = Path(source_path).suffix.lower()
    if suffix == ".json":
        records: Iterable[tuple[str, dict]] = _squad(source_path, name)
    elif suffix == ".parquet":
        records = _parquet(source_path, name, ("id", "context", "question", "answers"))
    else:
        raise ValueError(f"{name}: ends in '{suffix}'; write a .json file (SQuAD v1.1) or a .parquet file (Hub)")
    columns: dict[str, list] = {field: [] for field in SCHEMAS["xquad"].names}
    seen: dict[str, str] = {}
    paragraphs: dict[str, int] = {}
    for place, record in records:
        at = f"{name}, {place}"
        identity = _string(record["id"], f"{at}: id")
        if identity in seen:
            raise ValueError(f"{at}: id '{identity}' stands already at {seen[identity]}; ids must differ")
        seen[identity] = place
        context = _string(record["context"], f"{at}: context")
        columns["id"].append(identity)
        columns["paragraph"].append(str(paragraphs.setdefault(context, len(paragraphs))))
        columns["context"].append(context)
        columns["question"].append(_string(record["question"], f"{at}: question"))
        columns["answers"].append(_answers(record["answers"], at))
    given = (("train", train), ("test", source_test))
    known = {split: read_task(path, "xquad", {"split": split})["id"].to_pylist() for split, path in given if path}
    kept = chosen(columns["id"], part, train_fraction, name, known.get("train"), known.get("test"))
    columns = {field: [values[i] for i in kept] for field, values in columns.items()}
    return write_task(out_path, "xquad", columns, {"part": part, **(facts or {})})


def _name(path: str | os.PathLike, where: str) -> str:
    return f"{where}: {path}" if where else str(path)


def _string(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{at} is {value!r}; write a text")
    return value


def _label(value: Any, at: str) -> int:
    key = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    if key not in _LABEL_NUMBERS:
        known = ", ".join(f"{name} or {i}" for i, name in enumerate(LABELS))
        raise ValueError(f"{at}: unknown label {value!r}; write one of: {known}")
    return _LABEL_NUMBERS[key]


def _answers(value: Any, at: str) -> list[str]:
    texts = value.get("text") if isinstance(value, dict) else value  # the Hub's layout, or SQuAD's
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"{at}: answers is {value!r}; every question needs an answer (SQuAD v1.1, not v2)")
    texts = [text.get("text") if isinstance(text, dict) else text for text in texts]
    return [_string(text, f"{at}: answers[{i}].text") for i, text in enumerate(texts)]


def _check_file(path: str | os.PathLike, name: str) -> None:
    if not Path(path).is_file():
        raise ValueError(f"{name}: no such file; put it there or write another path")
    if not Path(path).stat().st_size:
        raise ValueError(f"{name}: the file is empty")


def _text(path: str | os.PathLike, name: str) -> str:
    _check_file(path, name)
    raw = Path(path).read_bytes()
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}, line {line}: byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8; save the file as UTF-8"
        ) from None
    if not text.strip():
        raise ValueError(f"{name}: the file is empty")
    return text


def _records(
    path: str | os.PathLike, name: str, columns: tuple[str, ...], optional: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, values of ``columns`` and, if it is there, of ``optional``) of each row, by the file's ending."""
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path, name, columns, optional)
    elif suffix == ".tsv":
        yield from _tsv(path, name, columns, optional)
    elif suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(_lines(_text(path, name)), start=1):
            record = _json(line, f"{name}, line {number}")
            if not isinstance(record, dict):
                raise ValueError(f"{name}, line {number}: is no JSON object; write one object a line")
            _need(columns, list(record), f"{name}, line {number}")
            yield f"line {number}", record
    else:
        raise ValueError(f"{name}: ends in '{suffix}'; write a .tsv, .jsonl or .parquet file")


def _lines(text: str) -> list[str]:
    """Lines by the line feed alone: text may hold other separators of Unicode."""
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


def _tsv(path: str | os.PathLike, name: str, columns: tuple[str, ...], optional: str) -> Iterator[tuple[str, dict]]:
    header, *lines = _lines(_text(path, name))
    present = header.split("\t")
    _need(columns, present, f"{name}, line 1")
    if not lines:
        raise ValueError(f"{name}: the file is empty but for its header")
    wanted = {c: present.index(c) for c in (*columns, optional) if c in present}
    for number, line in enumerate(lines, start=2):
        fields = line.split("\t")
        if len(fields) != len(present):
            raise ValueError(
                f"{name}, line {number}: has {len(fields)} fields, the header has {len(present)}; "
                "write one tab between fields and none within"
            )
        yield f"line {number}", {c: fields[i] for c, i in wanted.items()}


def _read_parquet(path: str | os.PathLike, name: str) -> pa.Table:
    _check_file(path, name)
    try:
        return pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name}: is no Parquet file ({str(error).splitlines()[0]})") from None


def _parquet(
    path: str | os.PathLike, name: str, columns: tuple[str, ...], optional: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    table = _read_parquet(path, name)
    _need(columns, table.column_names, name)
    if not table.num_rows:
        raise ValueError(f"{name}: the file is empty (no row)")
    table = table.select([c for c in (*columns, optional) if c in table.column_names])
    try:
        for number, record in enumerate(table.to_pylist(), start=1):
            yield f"row {number}", record
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: holds text that is not UTF-8 ({error}); save it as UTF-8") from None


def _need(columns: tuple[str, ...], present: list[str], at: str) -> None:
    if missing := [c for c in columns if c not in present]:
        raise ValueError(f"{at}: has no column {', '.join(missing)}; it has: {', '.join(present)}")


def _json(text: str, at: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{at}: is no JSON ({error})") from None


def _squad(path: str | os.PathLike, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of each question of a SQuAD v1.1 file."""

    def inside(parent: Any, key: str, place: str) -> list:
        if not isinstance(parent, dict) or not isinstance(parent.get(key), list):
            raise ValueError(f"{name}: {place} has no list '{key}'; write a SQuAD v1.1 file")
        return parent[key]

    document = _json(_text(path, name), name)
    empty = True
    for a, article in enumerate(inside(document, "data", "the file")):
        for p, paragraph in enumerate(inside(article, "paragraphs", f"data[{a}]")):
            at = f"data[{a}].paragraphs[{p}]"
            for q, question in enumerate(inside(paragraph, "qas", at)):
                record = {"context": paragraph.get("context")} | (question if isinstance(question, dict) else {})
                _need(("id", "question", "answers"), list(record), f"{name}, {at}.qas[{q}]")
                empty = False
                yield f"{at}.qas[{q}]", record
    if empty:
        raise ValueError(f"{name}: the file is empty (no question)")
