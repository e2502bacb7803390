"""Intermediate files as the workflow writes them, for tests that make their columns by hand."""

import csv

import pyarrow as pa

from langneurons.artifacts.parquet import read_parquet, write_parquet
from langneurons.artifacts.tsv import write_tsv
from langneurons.experiment.condition import condition_facts


def predictions_file(path, columns, condition=None, task="xnli", **facts):
    """A predictions file of ``columns``, of a condition, or of any of ``task``."""
    facts |= {"task": task} if condition is None else condition_facts(condition)
    write_parquet(path, pa.table(columns), "predictions", facts)
    return path


def statistic_file(path, name, columns, model_key="llama", language="vi", **facts):
    """A file of the statistic ``name``, of ``columns`` (pyarrow arrays, or what makes them), whatever their values."""
    facts |= {"model_key": model_key, "language": language, "statistic": name}
    write_parquet(path, pa.table(columns), "statistics", facts)
    return path


def tsv_file(path, text):
    """A small table with a checksum, from the text of one without."""
    header, *rows = csv.reader(text.splitlines(), delimiter="\t")
    write_tsv(path, header, [dict(zip(header, row, strict=True)) for row in rows])
    return path


def changed_tsv(path, change):
    """The lines of a small table without its checksum, changed by ``change``, with a checksum again."""
    lines = [line.rpartition("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    return tsv_file(path, "\n".join(change(lines)))


def changed_parquet(path, kind, change, out=None):
    """The file with ``change(table, facts)`` -> (table, facts) applied, and a checksum that fits."""
    table, facts = read_parquet(path, kind)
    table, facts = change(table, facts)
    write_parquet(out or path, table, kind, facts)
    return out or path
