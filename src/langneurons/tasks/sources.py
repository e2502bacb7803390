"""Task data from a person's or the Hub's files: read, checked and written in the workflow's own layout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from langneurons.artifacts.foreign_files import string
from langneurons.tasks.files import SCHEMAS, read_task, task_language, write_task
from langneurons.tasks.readers import hub_questions, labelled_pairs, squad_questions
from langneurons.tasks.splits import check_new, check_part, chosen, first
from langneurons.tasks.texts import Texts


def import_xnli(
    source_path: str | os.PathLike,
    out_path: str | os.PathLike,
    language: str,
    fraction: float = 1.0,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Write the first ``fraction`` of an XNLI file as Parquet; return the number of rows.

    The source is TSV (with a header), JSON lines or Parquet, by its ending, with the columns ``premise``,
    ``hypothesis`` and ``label`` (a word or 0, 1, 2), under these or XNLI's own names (``tasks.readers.ALIASES``). Rows
    whose label is -1 or - are left out, and counted in the log. Where the file also has a column ``language``, only
    ``language``'s rows count. Ids are the running numbers of the rows. ``floor(rows * fraction)`` rows are kept: a
    quarter of 392,702 is 98,175. ``where`` is the configuration key that errors name.

    ValueError: as :func:`langneurons.tasks.readers.labelled_pairs`.
    """
    name = _name(source_path, where)
    if not 0 < fraction <= 1:
        raise ValueError(f"{name}: fraction is {fraction}; write a share above 0 and at most 1")
    pairs, dropped = labelled_pairs(source_path, name, language)
    kept = pairs[: first(len(pairs), fraction)]
    if not kept:
        raise ValueError(f"{name}: a fraction of {fraction} of {len(pairs)} rows is no row; write a larger fraction")
    if dropped:
        print(f"{name}: {dropped} rows without a label (-1 or -) are left out; {len(pairs)} have one")
    columns: dict[str, list] = {"id": [str(i) for i in range(len(kept))]}
    columns |= dict(zip(("premise", "hypothesis", "label"), map(list, zip(*kept, strict=True)), strict=True))
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

    Where ``facts`` give the training file's language, no test question may have the context and question of one of
    the training questions either, whatever its id (``tasks.splits.check_new``).

    ValueError: no such file, an empty one, not UTF-8, a missing column or value, an empty text (Parquet, as the Hub has
    it, may have empty questions, which the log counts), no answer, an id twice, and as
    :func:`langneurons.tasks.splits.chosen`.
    """
    name = _name(source_path, where)
    check_part(part, train_fraction, name)
    suffix = Path(source_path).suffix.lower()
    if suffix == ".json":
        records: Iterable[tuple[str, dict]] = squad_questions(source_path, name)
    elif suffix == ".parquet":
        records = hub_questions(source_path, name)
    else:
        raise ValueError(f"{name}: ends in '{suffix}'; write a .json file (SQuAD v1.1) or a .parquet file (Hub)")
    columns: dict[str, list] = {field: [] for field in SCHEMAS["xquad"].names}
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
    given = (("train", train), ("test", source_test))
    tables = {split: read_task(path, "xquad", {"split": split}) for split, path in given if path}
    known = {split: table["id"].to_pylist() for split, table in tables.items()}
    kept = chosen(columns["id"], part, train_fraction, name, known.get("train"), known.get("test"))
    columns = {field: [values[i] for i in kept] for field, values in columns.items()}
    if train and (facts or {}).get("language") == task_language(train):
        check_new(columns, tables["train"].to_pydict(), name)
    return write_task(out_path, "xquad", columns, {"part": part, **(facts or {})})


def _name(path: str | os.PathLike, where: str) -> str:
    return f"{where}: {path}" if where else str(path)


def _answers(value: Any, at: str) -> list[Any]:
    texts = value.get("text") if isinstance(value, dict) else value  # the Hub's layout, or SQuAD's
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"{at}: answers is {value!r}; every question needs an answer (SQuAD v1.1, not v2)")
    return [text.get("text") if isinstance(text, dict) else text for text in texts]
