"""Tables against tables made by hand, and against the numbers that the paper prints."""

from __future__ import annotations

import dataclasses
import html
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from artifact_files import statistic_file, tsv_file
from markdown_it import MarkdownIt
from task_pieces import XNLI, XQUAD, scoring

import langneurons
from langneurons.experiment.condition import Condition
from langneurons.tables.condition_tables import (
    NO_NEURON,
    condition_table,
    condition_text,
    read_metrics,
    statistics_table,
)
from langneurons.tables.files import write_table
from langneurons.tables.formats import to_latex, to_markdown
from langneurons.tables.rows import Row

TITLES = {"llama": "Llama 3.1", "nemo": "Mistral Nemo"}
VALUES = ("none", "mean", "p90", "zero", "p10")
INTERVENTIONS = ("No Int", "Int Mean", "Int P90", "Int 0", "Int P10")

# Table 1 as printed: (model, method, language) -> none mean p90 zero p10.
TABLE1 = {
    ("llama", "LAPE", "vi"): "80.5 79.5 79.0 79.8 77.7",
    ("llama", "LAPE", "hi"): "75.0 75.2 74.9 74.4 75.1",
    ("llama", "LAPE", "ur"): "70.0 70.4 69.3 68.5 68.7",
    ("llama", "Act Prob 90p", "vi"): "80.5 78.2 79.3 79.0 77.4",
    ("llama", "Act Prob 90p", "hi"): "75.0 74.1 71.8 73.7 74.6",
    ("llama", "Act Prob 90p", "ur"): "70.0 69.7 69.3 69.6 69.5",
    ("nemo", "LAPE", "vi"): "80.5 80.4 80.6 79.2 80.5",
    ("nemo", "LAPE", "hi"): "76.1 69.8 66.9 74.9 72.4",
    ("nemo", "LAPE", "ur"): "66.8 66.5 67.0 66.9 65.4",
    ("nemo", "Act Prob 90p", "vi"): "80.5 67.4 81.1 79.8 40.7",
    ("nemo", "Act Prob 90p", "hi"): "76.1 72.2 74.5 74.5 66.3",
    ("nemo", "Act Prob 90p", "ur"): "66.8 65.9 61.3 66.4 61.6",
}


def row(model, comparison, language, values=VALUES, task="xnli", finetuning="base", neurons=""):
    method = comparison.lower().replace(" ", "-")
    cells = {v: Condition(model, task, finetuning, language, v if v == "none" else f"{v}@{method}") for v in values}
    return Row(model, comparison, neurons, language, cells)


def measured(accuracy, neurons=7):
    return {"neurons": neurons, "examples": 10, "dropped": 0, "accuracy": accuracy}


def write_metrics(path, condition, **values):
    record = vars(condition) | {"neurons": "3", "examples": "10", "dropped": "0"} | values
    return tsv_file(path, "\t".join(record) + "\n" + "\t".join(map(str, record.values())) + "\n")


def markdown_cells(path):
    """Header and lines of the one table of a Markdown file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert all(len(line) == len(cells[0]) for line in cells)
    return cells[0], cells[2:]


# Reading


def test_metrics_read_back(tmp_path):
    first = Condition("llama", "xnli", "base", "vi", "p90@lape-set1")
    second = Condition("llama", "xquad", "base", "vi", "none")
    scores = {"exact_match": "12.5", "f1": "100", "exact_match_model_tokens": "0.0", "f1_model_tokens": "33.25"}
    metrics = read_metrics([write_metrics(tmp_path / "a.tsv", first, accuracy="66.66666666666667")], XNLI.metrics)
    metrics |= read_metrics([write_metrics(tmp_path / "b.tsv", second, **scores)], XQUAD.metrics)
    assert metrics == {
        first: {"neurons": 3, "examples": 10, "dropped": 0, "accuracy": 66.66666666666667},
        second: {"neurons": 3, "examples": 10, "dropped": 0, "exact_match": 12.5, "f1": 100.0}
        | {"exact_match_model_tokens": 0.0, "f1_model_tokens": 33.25},
    }
    assert isinstance(metrics[first]["neurons"], int)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accuracy": "high"}, "accuracy is 'high'"),
        ({"accuracy": ""}, "accuracy is ''; evaluate this condition again"),
        ({"accuracy": "nan"}, "accuracy is 'nan'"),
        ({"accuracy": "100.5"}, "from 0 to 100"),
        ({"neurons": ""}, "neurons is ''"),
        ({"examples": "1.5"}, "examples is '1.5'"),
    ],
)
def test_wrong_value_names_file(tmp_path, change, said):
    values = {"accuracy": "50.0"} | change
    path = write_metrics(tmp_path / "wrong.tsv", Condition("llama", "xnli", "base", "vi", "none"), **values)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_metrics([path], XNLI.metrics)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "model\ttask\tfinetuning\tlanguage\tintervention\n"
            "llama\txnli\tbase\tvi\tnone\nllama\txnli\tbase\tvi\tnone\n",
            "2 rows",
        ),
        ("model\ttask\nllama\txnli\n", "no column finetuning, language, intervention"),
        (
            "model\ttask\tfinetuning\tlanguage\tintervention\tneurons\texamples\tdropped\n"
            "llama\txnli\tbase\tvi\tnone\t0\t9\t0\n",
            "no column accuracy",
        ),
    ],
)
def test_wrong_shape_names_file(tmp_path, text, said):
    path = tsv_file(tmp_path / "wrong.tsv", text)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_metrics([path], XNLI.metrics)
    assert str(path) in str(error.value)
    for whole in ("", "model\ttask\n", text):
        path.write_text(whole)
        with pytest.raises(ValueError, match=r"wrong\.tsv: (is damaged|carries no checksum)"):
            read_metrics([path], XNLI.metrics)


def test_metrics_of_another_condition_name_file(tmp_path):
    own = Condition("llama", "xnli", "base", "vi", "zero@lape")
    path = write_metrics(tmp_path / "a.tsv", own, accuracy="50.0")
    assert list(read_metrics({own: path}, XNLI.metrics)) == [own]
    for change in ({"language": "hi"}, {"finetuning": "en@lape"}, {"intervention": "none"}, {"model": "nemo"}):
        (name, value), was = *change.items(), vars(own)
        with pytest.raises(ValueError, match=rf"a\.tsv: {name} is '{was[name]}', '{value}' was expected"):
            read_metrics({dataclasses.replace(own, **change): path}, XNLI.metrics)


def test_missing_file_and_duplicate(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.tsv: no such file"):
        read_metrics([tmp_path / "gone.tsv"], XNLI.metrics)
    condition = Condition("llama", "xnli", "base", "vi", "none")
    paths = [write_metrics(tmp_path / f"{name}.tsv", condition, accuracy="50.0") for name in "ab"]
    with pytest.raises(ValueError, match=r"b\.tsv: the same condition as .*a\.tsv"):
        read_metrics(paths, XNLI.metrics)


# Gathering


def test_table_by_hand():
    rows = [row("llama", "LAPE", c, ("none", "zero")) for c in ("vi", "hi")]
    rows += [row("nemo", "LAPE", "vi", ("none", "zero"))]
    baselines = [Condition(m, "xnli", "base", "en", "none") for m in ("llama", "nemo")]
    metrics = {
        baselines[0]: measured(90.5, 0),
        baselines[1]: measured(91.0, 0),
        rows[0].cells["none"]: measured(80.123456789, 0),
        rows[0].cells["zero"]: measured(79.0, 41),
        rows[1].cells["none"]: measured(0.0, 0),
        rows[1].cells["zero"]: measured(3.0, 5),
        rows[2].cells["none"]: measured(61.0, 0),
        rows[2].cells["zero"]: measured(60.0, 0),
    }
    table = condition_table(rows, metrics, XNLI.columns, TITLES, False, baselines)
    assert list(table.columns) == [
        *("model", "model_key", "method", "method_key", "language", "neurons", "examples", "dropped", "none", "zero")
    ]
    expected = [
        ["Llama 3.1", "llama", "", "", "en", None, 10, 0, 90.5, None],  # a source has no intervention
        ["Llama 3.1", "llama", "LAPE", "lape", "vi", 41, 10, 0, 80.123456789, 79.0],
        ["Llama 3.1", "llama", "LAPE", "lape", "hi", 5, 10, 0, 0.0, 3.0],
        ["Mistral Nemo", "nemo", "", "", "en", None, 10, 0, 91.0, None],
        ["Mistral Nemo", "nemo", "LAPE", "lape", "vi", 0, 10, 0, 61.0, 60.0],
    ]
    found = [[None if v is pd.NA else v for v in line.values()] for line in table.to_dict("records")]
    assert found == expected


def test_a_hole_is_named_and_never_printed():
    rows = [row("llama", "LAPE", c, ("none", "zero")) for c in ("vi", "hi")]
    baseline = Condition("llama", "xnli", "base", "en", "none")
    whole = {c: measured(50.0) for c in (baseline, *rows[0].cells.values(), *rows[1].cells.values())}
    condition_table(rows, whole, XNLI.columns, TITLES, False, [baseline])
    failed = rows[1].cells["zero"]
    for metrics in (
        {c: v for c, v in whole.items() if c not in (failed, baseline)},
        whole | {failed: {}, baseline: {}},
    ):
        with pytest.raises(ValueError, match="2 conditions of the table have no number") as error:
            condition_table(rows, metrics, XNLI.columns, TITLES, False, [baseline])
        assert "llama/xnli/base/hi/zero@lape, llama/xnli/base/en/none" in str(error.value)


def test_uncertainty_follows_its_number():
    rows = [row("llama", "LAPE", "vi", ("none", "zero"), task="xquad")]
    baseline = Condition("llama", "xquad", "base", "en", "none")
    scores = {"exact_match": 1.0, "f1": 2.0, "exact_match_low": 0.5, "exact_match_high": 3.0, "f1_low": 1.5}
    scores |= {"f1_high": 4.0, "neurons": 5, "examples": 10, "dropped": 0}
    tests = {"exact_match_p": 0.2, "exact_match_p_adjusted": 0.4, "f1_p": 0.01, "f1_p_adjusted": 0.02}
    tests |= {"exact_match_effect": 0.0, "exact_match_effect_low": -1.0, "exact_match_effect_high": 1.0}
    tests |= {"f1_effect": 0.0, "f1_effect_low": -2.0, "f1_effect_high": 2.0, "f1_verdict": "worse"}
    tests |= {"exact_match_verdict": "undecided"}
    metrics = {baseline: scores, rows[0].cells["none"]: scores, rows[0].cells["zero"]: scores | tests}
    table = condition_table(rows, metrics, XQUAD.columns, TITLES, False, [baseline])
    ends = ("", "_low", "_high")
    found = ("_effect", "_effect_low", "_effect_high", "_p", "_p_adjusted", "_verdict")
    assert list(table.columns[8:]) == [
        *[f"none_{metric}{end}" for metric in ("em", "f1") for end in ends],
        *[f"zero_{metric}{end}" for metric in ("em", "f1") for end in (*ends, *found)],
    ]
    assert table.iloc[1, 8:].tolist() == [
        *(1, 0.5, 3, 2, 1.5, 4),
        *(1, 0.5, 3, 0, -1, 1, 0.2, 0.4, "undecided"),
        *(2, 1.5, 4, 0, -2, 2, 0.01, 0.02, "worse"),
    ]
    assert table.iloc[0, 14:].isna().all()


def test_what_differs_is_marked(tmp_path):
    rows = [row("llama", "LAPE", c, ("none", "zero"), task="xquad") for c in ("vi", "hi")]
    scores = {"exact_match": 1.0, "f1": 2.0, "neurons": 5, "examples": 10, "dropped": 4}
    metrics = {c: dict(scores) for r in rows for c in r.cells.values()}
    metrics[rows[0].cells["zero"]] |= {"exact_match_verdict": "worse", "f1_verdict": "equivalent"}
    metrics[rows[1].cells["zero"]] |= {"exact_match_verdict": "undecided", "f1_verdict": "better"}
    table = condition_table(rows, metrics, XQUAD.columns, TITLES, False, [])
    write_table(table, condition_text(table, 1, ""), tmp_path / "t")
    cells = [line[4:] for line in markdown_cells(tmp_path / "t.md")[1]]
    assert cells == [["10", "4", "1.0 (2.0)", "1.0\\* (2.0≈)"], ["10", "4", "1.0 (2.0)", "1.0 (2.0\\*)"]]
    assert r"vi & 5 & 10 & 4 & 1.0 (2.0) & 1.0$^{*}$ (2.0$^{\approx}$) \\" in (tmp_path / "t.tex").read_text()


def test_xquad_metric_picks_the_pair():
    rows = [row("llama", "LAPE", "zh", ("none", "p90"), task="xquad")]
    scores = {"exact_match": 1.0, "f1": 2.0, "exact_match_model_tokens": 3.0, "f1_model_tokens": 4.0}
    metrics = {cell: {"neurons": 5, "examples": 1, "dropped": 0} | scores for cell in rows[0].cells.values()}
    for metric, (em, f1) in {"mlqa": (1.0, 2.0), "model_tokens": (3.0, 4.0)}.items():
        table = condition_table(rows, metrics, scoring("xquad", metric).columns, TITLES, False, [])
        assert list(table.columns[8:]) == ["none_em", "none_f1", "p90_em", "p90_f1"]
        assert table.iloc[0, 8:].tolist() == [em, f1, em, f1]


def test_finetuned_neurons_column():
    rows = [row("llama", "LAPE", "vi", finetuning=f"{n}@lape", neurons=n) for n in ("en", "vi", "en+vi")]
    metrics = {cell: measured(50.0) for r in rows for cell in r.cells.values()}
    table = condition_table(rows, metrics, XNLI.columns, TITLES, True, [])
    labels = ["model", "model_key", "method", "method_key", "finetuned_neurons", "language", "neurons"]
    assert list(table.columns[:9]) == [*labels, "examples", "dropped"]
    assert table["method_key"].tolist() == ["lape"] * 3
    assert table["finetuned_neurons"].tolist() == ["en", "vi", "en+vi"]


def test_gathering_refuses():
    rows = [row("llama", "LAPE", "vi", ("none", "mean", "zero"))]
    metrics = {rows[0].cells["mean"]: measured(1.0, 5), rows[0].cells["zero"]: measured(1.0, 6)}
    metrics[rows[0].cells["none"]] = measured(1.0, 0)
    with pytest.raises(ValueError, match=r"different numbers of neurons .*mean@lape: 5, zero@lape: 6"):
        condition_table(rows, metrics, XNLI.columns, TITLES, False, [])
    with pytest.raises(ValueError, match="no title for model 'llama'"):
        condition_table(rows, metrics, XNLI.columns, {}, False, [])
    metrics[rows[0].cells["zero"]] = measured(1.0, 5) | {"dropped": 3}
    with pytest.raises(ValueError, match=r"conditions of one row differ in dropped .*none: 0, .*zero@lape: 3"):
        condition_table(rows, metrics, XNLI.columns, TITLES, False, [])


def write_statistics(path, of=("llama", "en"), **columns):
    path.mkdir()
    count = len(next(iter(columns.values())))
    fixed = {"layer": pa.array([0] * count, pa.int32()), "neuron": pa.array(range(count), pa.int32())}
    return {
        name: statistic_file(path / f"{name}.parquet", name, fixed | {name: pa.array(values, pa.float64())}, *of)
        for name, values in columns.items()
    }


def test_statistics_are_means_over_neurons(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 1000))
    files = {
        ("nemo", "vi"): write_statistics(tmp_path / "a", ("nemo", "vi"), **{"mean": values[0], "p2.5": values[1]}),
        ("llama", "en"): write_statistics(tmp_path / "b", **{"mean": values[2], "p2.5": values[3]}),
    }
    table = statistics_table(files, ["p2.5", "mean"], TITLES)
    assert table.columns.tolist() == ["model", "model_key", "language", "p2.5", "mean"]
    assert table[["model", "language"]].to_numpy().tolist() == [["Mistral Nemo", "vi"], ["Llama 3.1", "en"]]
    expected = [[math.fsum(values[k]) / 1000 for k in line] for line in ((1, 0), (3, 2))]
    np.testing.assert_allclose(table[["p2.5", "mean"]].to_numpy(), expected, rtol=0, atol=1e-14)


def test_statistics_refuse(tmp_path):
    files = write_statistics(tmp_path / "a", mean=[1.0, None], p5=[1.0, 2.0], p10=[1.0, math.nan])
    with pytest.raises(ValueError, match=r"p5\.parquet: statistic is 'p5', 'p90' was expected"):
        statistics_table({("llama", "en"): {"p90": files["p5"]}}, ["p90"], TITLES)
    for column in ("mean", "p10"):
        with pytest.raises(ValueError, match=rf"{column}\.parquet: {column} is NaN at layer 0, neuron \d \(1 of 2"):
            statistics_table({("llama", "en"): files}, [column], TITLES)
    with pytest.raises(ValueError, match=r"gone\.parquet: no such file"):
        statistics_table({("llama", "en"): {"mean": tmp_path / "gone.parquet"}}, ["mean"], TITLES)


# Writing


def paper_table():
    rows = [row(*key[:2], key[2]) for key in TABLE1]
    metrics = {
        cell: measured(float(value))
        for r in rows
        for cell, value in zip(r.cells.values(), TABLE1[r.model, r.group, r.language].split(), strict=True)
    }
    return condition_table(rows, metrics, XNLI.columns, TITLES, False, [])


def test_paper_table_gives_its_printed_cells(tmp_path):
    write_table(paper_table(), condition_text(paper_table(), 1, "XNLI"), tmp_path / "xnli")
    header, body = markdown_cells(tmp_path / "xnli.md")
    assert header == ["Model", "Method", "EL", "Neurons", "n", "Dropped", *INTERVENTIONS]
    assert body == [[TITLES[m], c, k, "7", "10", "0", *cells.split()] for (m, c, k), cells in TABLE1.items()]
    latex = (tmp_path / "xnli.tex").read_text()
    lines = re.findall(r"^(\w\w(?: & [\d.]+)+) \\\\$", latex, re.MULTILINE)
    assert lines == [f"{k} & 7 & 10 & 0 & " + " & ".join(cells.split()) for (_, _, k), cells in TABLE1.items()]
    groups = re.findall(r"\\multicolumn\{9\}\{c\}\{(.*)\}", latex)
    assert groups == [f"{m} with {c}" for m in TITLES.values() for c in ("LAPE", "Act Prob 90p")]


def test_tsv_reads_back_exactly(tmp_path):
    rows = [row("llama", "LAPE", "vi", ("none", "zero"))]
    baseline = Condition("llama", "xnli", "base", "en", "none")
    metrics = {rows[0].cells["none"]: measured(100 / 3), rows[0].cells["zero"]: measured(0.0, 12)}
    metrics[baseline] = measured(200 / 3, 0)
    table = condition_table(rows, metrics, XNLI.columns, TITLES, False, [baseline])
    write_table(table, condition_text(table, 1, ""), tmp_path / "t")
    assert (tmp_path / "t.tsv").read_bytes().decode() == (
        "model\tmodel_key\tmethod\tmethod_key\tlanguage\tneurons\texamples\tdropped\tnone\tzero\n"
        "Llama 3.1\tllama\t\t\ten\t\t10\t0\t66.66666666666667\t\n"
        "Llama 3.1\tllama\tLAPE\tlape\tvi\t12\t10\t0\t33.333333333333336\t0.0\n"
    )


def test_pairs_marks_missing_and_notes(tmp_path):
    rows = [row("llama", "LAPE", c, ("none", "zero"), task="xquad") for c in ("vi", "hi")]
    baseline = Condition("llama", "xquad", "base", "en", "none")
    scores = {"exact_match": 41.04, "f1": 73.46}
    counts = {"examples": 9, "dropped": 0}
    metrics = {
        rows[0].cells["none"]: counts | scores | {"neurons": 0},
        rows[0].cells["zero"]: counts | scores | {"neurons": 0},
        rows[1].cells["none"]: counts | scores | {"neurons": 0},
        rows[1].cells["zero"]: counts | {"exact_match": 0.0, "f1": 0.04, "neurons": 3},
        baseline: counts | scores | {"neurons": 0},
    }
    table = condition_table(rows, metrics, XQUAD.columns, TITLES, False, [baseline])
    paths = write_table(table, condition_text(table, 1, "A & B", ["50 % of {x}_y | z"]), tmp_path / "t")
    assert paths == [f"{tmp_path}/t.{ending}" for ending in ("tsv", "md", "tex")]
    assert markdown_cells(tmp_path / "t.md")[1] == [
        ["Llama 3.1", "", "en", "–", "9", "0", "41.0 (73.5)", "–"],
        ["Llama 3.1", "LAPE", "vi", "0", "9", "0", "41.0 (73.5)", "41.0 (73.5)†"],
        ["Llama 3.1", "LAPE", "hi", "3", "9", "0", "41.0 (73.5)", "0.0 (0.0)"],
    ]
    markdown, latex = ((tmp_path / f"t.{ending}").read_text() for ending in ("md", "tex"))
    assert f"† {NO_NEURON}" in markdown
    assert r"50 % of {x}\_y \| z" in markdown
    assert r"vi & 0 & 9 & 0 & 41.0 (73.5) & 41.0 (73.5)$^{\dagger}$ \\" in latex
    assert r"en & -- & 9 & 0 & 41.0 (73.5) & -- \\" in latex
    assert r"\caption{A \& B}" in latex
    assert rf"$^{{\dagger}}$ {NO_NEURON}" in latex
    assert r"50 \% of \{x\}\_y \textbar{} z" in latex


def test_no_mark_and_no_note_without_cause(tmp_path):
    write_table(paper_table(), condition_text(paper_table(), 1, "XNLI"), tmp_path / "t")
    for ending in ("md", "tex"):
        text = (tmp_path / f"t.{ending}").read_text()
        assert NO_NEURON not in text
        assert "†" not in text and "dagger" not in text


def test_finetuning_layout_of_the_random_table(tmp_path):
    rows = [row("llama", "Random", "vi", ("none",), finetuning="vi@random", neurons="vi")]
    table = condition_table(rows, {rows[0].cells["none"]: measured(80.1)}, XNLI.columns, TITLES, True, [])
    assert table["neurons"].isna().all()
    write_table(table, condition_text(table, 1, "Random"), tmp_path / "t")
    assert markdown_cells(tmp_path / "t.md") == (
        ["Model", "Method", "FTL", "EL", "n", "Dropped", "No Int"],
        [["Llama 3.1", "Random", "vi", "vi", "10", "0", "80.1"]],
    )


def test_statistics_layout(tmp_path):
    files = write_statistics(tmp_path / "a", mean=[-0.26214], p75=[-0.04931], positive=[0.25])
    table = statistics_table({("llama", "en"): files}, ["mean", "p75", "positive"], TITLES)
    write_table(table, condition_text(table, 4, "Statistics"), tmp_path / "t")
    header, body = markdown_cells(tmp_path / "t.md")
    assert header == ["Model", "EL", "Mean", "P75", "Positive"]
    assert body == [["Llama 3.1", "en", "-0.2621", "-0.0493", "0.2500"]]
    assert (tmp_path / "t.tsv").read_text().splitlines()[1] == "Llama 3.1\tllama\ten\t-0.26214\t-0.04931\t0.25"


def test_latex_braces_balance_and_columns_agree(tmp_path):
    frame = paper_table().assign(model="50% {of} \\a_b & #1 $x$ ~ ^")
    write_table(frame, condition_text(frame, 1, "c_%"), tmp_path / "t")
    latex = (tmp_path / "t.tex").read_text()
    assert r"50\% \{of\} \textbackslash{}a\_b \& \#1 \$x\$ \textasciitilde{} \textasciicircum{}" in latex
    bare = re.sub(r"\\[{}\\&%$#_]", "", latex)
    assert bare.count("{") == bare.count("}")
    columns = len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", latex)[1])
    cells = [line for line in latex.splitlines() if re.match(r"\w\w &", line)]
    assert len(cells) == 13
    assert {line.count("&") + 1 for line in cells} == {columns}


def test_same_input_same_bytes_and_nothing_left_over(tmp_path):
    for folder in ("a", "b"):
        write_table(paper_table(), condition_text(paper_table(), 1, "XNLI", ["note"]), tmp_path / folder / "t")
    for ending in ("tsv", "md", "tex"):
        assert (tmp_path / "a" / f"t.{ending}").read_bytes() == (tmp_path / "b" / f"t.{ending}").read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["t.md", "t.tex", "t.tsv"]


def test_importing_stays_light():
    """Of the entries too: they are imported when the workflow is parsed."""
    code = (
        "import sys, langneurons.tables.condition_tables; from langneurons.registry import entries, entry; "
        "found = [entry('tables', name) for name in entries('tables')]; assert len(found) == 7; "
        "print({'pandas', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(langneurons.__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "set()"


HOSTILE = r"</script> A &lt; `b` *c* _d_ |e| <i>f</i> [g](h) ~~i~~ \\j $k$ #l 5 % {m} ^n & ![o](p)"


def test_a_title_is_text_in_markdown():
    """As a reader of Markdown sees it, in the caption, a cell and a note; no tag but the table's own."""
    header, cells = ["Model", "No Int"], [[HOSTILE, "50.0"]]
    page = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .render(to_markdown(header, cells, HOSTILE, [HOSTILE]))
    )
    tags = set(re.findall(r"<(/?[a-z]+)", page))
    assert {tag.removeprefix("/") for tag in tags} == {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.unescape(re.sub("<[^>]*>", "", page)).split("\n").count(HOSTILE) == 3
    assert r"\$k\$" in to_markdown(header, cells, HOSTILE, [])  # GitHub would set it as mathematics


def test_a_title_is_text_in_latex():
    text = to_latex(["Model", "EL", "No Int"], [[HOSTILE, "vi", "50.0"]], HOSTILE, [HOSTILE], "t")
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}"):
        assert text.count(command) >= 3
    (shown,) = re.findall(r"\\multicolumn\{2\}\{c\}\{(.*)\} \\\\", text)
    plain = re.sub(r"\\text\w+\{\}|\$\^\{\*\}\$|\\[&%$#_{}]", "", shown)
    assert not set(plain) & set(r"\&%$#_{}~^<>|*")
