"""Questions on texts, as SQuAD and XQuAD have them: a part of a file, checked, in the workflow's columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langneurons.artifacts.foreign_files import string
from langneurons.tasks.readers import hub_questions, squad_questions
from langneurons.tasks.splits import check_new, check_part, chosen
from langneurons.tasks.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {"id": "string", "paragraph": "string", "context": "string", "question": "string", "answers": "strings"}


def read_questions(
    source: str | os.PathLike,
    part: str,
    train_fraction: float,
    known: Mapping[str, pa.Table],
    same_language: bool = False,
) -> dict[str, list]:
    """The columns (``COLUMNS``) of a part of a question answering file.

    The source is SQuAD v1.1 JSON or the Hub's Parquet (columns ``id``, ``context``, ``question``,
    ``answers{text, answer_start}``), by its ending. ``part``: ``all``, ``train`` (the first
    ``floor(questions * train_fraction)``) or ``test`` (the others); it may divide a paragraph (the reference code cuts
    so too). ``known``: the training questions (``train``) and the source language's test questions (``source_test``):
    none of the former is tested, and another language's test questions are those with the ids of the latter, wherever
    they lie in its file (``tasks.splits``). ``paragraph`` is the running number of a question's context, so that the
    questions of one context stay together in a file of any order.

    With ``same_language``, that of the training questions, no test question may have the context and question of one
    of them either, whatever its id (``tasks.splits.check_new``).

    ValueError: no such file, an empty one, not UTF-8, a missing column or value, an empty text (Parquet, as the Hub has
    it, may have empty questions, which the log counts), no answer, a duplicate id, and as
    :func:`langneurons.tasks.splits.chosen`.
    """
    name = str(source)
    check_part(part, train_fraction, name)
    columns = _all_questions(source, name)
    ids = {split: table["id"].to_pylist() for split, table in known.items()}
    kept = chosen(columns["id"], part, train_fraction, name, ids.get("train"), ids.get("source_test"))
    columns = {field: [values[i] for i in kept] for field, values in columns.items()}
    if same_language and "train" in known:
        check_new(columns, known["train"].to_pydict(), name)
    return columns


def _all_questions(source: str | os.PathLike, name: str) -> dict[str, list]:
    """Every question of a file, in its order."""
    suffix = Path(source).suffix.lower()
    if suffix == ".json":
        records: Iterable[tuple[str, dict]] = squad_questions(source, name)
    elif suffix == ".parquet":
        records = hub_questions(source, name)
    else:
        raise ValueError(f"{name}: ends in '{suffix}'; write a .json file (SQuAD v1.1) or a .parquet file (Hub)")
    columns: dict[str, list] = {field: [] for field in COLUMNS}
    seen: dict[str, str] = {}
    paragraphs: dict[str, int] = {}
    texts = Texts(name)
    for place, record in records:
        at = f"{name}, {place}"
        identity = string(record["id"], f"{at}: id")
        if identity in seen:
            raise ValueError(f"{at}: id '{identity}' stands already at {seen[identity]}; ids must differ")
        seen[identity] = place
        context = texts.text(record["context"], place, "context")
        columns["id"].append(identity)
        columns["paragraph"].append(str(paragraphs.setdefault(context, len(paragraphs))))
        columns["context"].append(context)
        columns["question"].append(texts.text(record["question"], place, "question", suffix == ".parquet"))
        answers = _answers(record["answers"], at)
        columns["answers"].append([texts.text(a, place, f"answers[{i}].text") for i, a in enumerate(answers)])
    texts.report()
    return columns


def _answers(value: Any, at: str) -> list[Any]:
    texts = value.get("text") if isinstance(value, dict) else value  # the Hub's layout, or SQuAD's
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"{at}: answers is {value!r}; every question needs an answer (SQuAD v1.1, not v2)")
    return [text.get("text") if isinstance(text, dict) else text for text in texts]
