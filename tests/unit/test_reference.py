"""The paper's numbers go in as measurements and come out as its printed tables; and beside ours."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import yaml
from artifact_files import statistic_file
from task_pieces import scoring, section

from langneurons.config.load import load_config
from langneurons.config.table_checks import table_context
from langneurons.experiment.condition import Condition
from langneurons.registry import entry
from langneurons.tables import reference
from langneurons.tables.captions import against_paper
from langneurons.tables.condition_tables import condition_table, condition_text, statistics_table
from langneurons.tables.files import write_table
from langneurons.tasks import xquad

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "src/langneurons/tables/paper"
TITLES = {"llama-3.1-8b": "Llama 3.1", "mistral-nemo": "Mistral Nemo"}
NUMBERS = dict(zip(reference.TABLES, (60, 120, 45, 108, 216, 70, 90, 6), strict=True))  # counted in the paper
CONDITIONS = [name for name in reference.TABLES if name != "activation_statistics"]
# The paper prints this one condition, Llama 3.1 in Vietnamese without intervention, with two F1s: 73.5, and in the
# rows of Act Prob 90p 73.6.
TWICE = ("Llama 3.1", "Act Prob 90p", "", "vi")


@pytest.fixture(scope="module")
def config():
    return load_config(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))


def table_rows(config, name):
    section = config.tables[name]
    return entry("tables", section.kind).rows(section, table_context(config))


def baselines(config, name):
    params = entry("tables", config.tables[name].kind).params(config.tables[name], table_context(config))
    return [Condition(**condition) for condition in params["baselines"]]


def printed_rows(table):
    """The paper's rows as text: (model, method, whose neurons, language) -> column -> text."""
    with (PAPER / f"{table}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = {}
    for row in rows:
        labels = [row.pop(name, "") for name in ("model", "method", "finetuned_neurons", "language")]
        if labels[2] == "rand":
            labels[1:3] = "Random", labels[3]
        found[tuple(labels)] = row
    assert len(found) == len(rows)
    return found


def cells_of(row, values):
    """The cells of a printed row, numbers to one decimal: ``80.5``, or ``41.0 (73.5)``."""
    if "none_em" not in row:
        return [f"{float(row[value]):.1f}" for value in values]
    return [f"{float(row[f'{value}_em']):.1f} ({float(row[f'{value}_f1']):.1f})" for value in values]


def as_measured(config, table, rows):
    """The paper's numbers as metrics of the conditions of ``rows``; the first where it has two."""
    printed, metrics = printed_rows(table), {}
    for row in rows:
        texts = printed[TITLES[row.model], row.group, row.neurons, row.language]
        for value, condition in row.cells.items():
            if condition.task == "xnli":
                values = {"accuracy": float(texts[value])}
            else:
                pair = float(texts[f"{value}_em"]), float(texts[f"{value}_f1"])
                values = dict(zip(("exact_match_model_tokens", "f1_model_tokens"), pair, strict=True))
            counts = {"neurons": 0 if value == "none" else 7, "examples": 9, "dropped": 0}
            metrics.setdefault(condition, values | counts)
    for condition in baselines(config, table):
        metrics[condition] = next(iter(metrics.values())) | {"neurons": 0}
    return metrics


def render(config, table, rows, stem):
    spec = config.tables[table]
    columns = scoring(spec.task, "model_tokens").columns
    finetuning, sources = spec.kind == "finetuning", baselines(config, table)
    frame = condition_table(rows, as_measured(config, table, rows), columns, TITLES, finetuning, sources)
    return write_table(frame, condition_text(frame, 1, "Caption"), stem)


def as_printed(frame):
    """A table of statistics, and its text."""
    return frame, entry("tables", "statistics").text({}, frame)


def markdown(path):
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, line, strict=True)) for line in body]


def latex(path):
    """The rows of a LaTeX table, each after the group that it stands in."""
    group, found = "", []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if named := re.match(r"\\multicolumn\{\d+\}\{c\}\{(.*)\} \\\\$", line):
            group = named[1]
        elif group and line.endswith(r" \\"):
            found.append([group, *line.removesuffix(r" \\").split(" & ")])
    return found


# The printed tables


@pytest.mark.parametrize("table", CONDITIONS)
def test_the_papers_table_comes_back_cell_by_cell(config, tmp_path, table):
    rows, printed = table_rows(config, table), printed_rows(table)
    values = config.tables[table].interventions
    labels = [(TITLES[r.model], r.group, r.neurons, r.language) for r in rows]
    assert labels == list(printed)  # in print order
    _, md, tex = render(config, table, rows, tmp_path / table)
    ours = [line for line in markdown(md) if line["Method"]]
    assert [(r["Model"], r["Method"], r.get("FTL", ""), r["EL"]) for r in ours] == labels
    headings = ["No Int", "Int Mean", "Int P75", "Int P90", "Int P95", "Int 0", "Int P5", "Int P10", "Int P25"]
    shown = [name for name in headings if name in ours[0]]
    labelled = {"Model", "Method", "FTL", "EL", "Neurons", "n", "Dropped"} & set(ours[0])
    assert len(shown) == len(values) == len(ours[0]) - len(labelled)
    found = {key: [line[name] for name in shown] for key, line in zip(labels, ours, strict=True)}
    expected = {key: cells_of(row, values) for key, row in printed.items()}
    other = {key for key in expected if found[key] != expected[key]}
    assert other == ({TWICE} if table.startswith("xquad") else set())
    if other:
        assert (found[TWICE][0], expected[TWICE][0]) == ("41.0 (73.5)", "41.0 (73.6)")
        assert found[TWICE][1:] == expected[TWICE][1:]
    lines = [line for line in latex(tex) if " with " in line[0]]
    assert [line[0] for line in lines] == [f"{model} with {method}" for model, method, *_ in labels]
    assert [line[-len(shown) :] for line in lines] == list(found.values())


@pytest.mark.parametrize("table", ["xquad", "xquad_all_interventions"])
def test_each_method_alone_comes_back_without_exception(config, tmp_path, table):
    for comparison in config.tables[table].method_groups:
        rows = [row for row in table_rows(config, table) if row.group == comparison]
        _, md, _ = render(config, table, rows, tmp_path / table)
        ours = [list(line.values())[6:] for line in markdown(md) if line["Method"]]
        wanted = [row for key, row in printed_rows(table).items() if key[1] == comparison]
        assert ours == [cells_of(row, config.tables[table].interventions) for row in wanted]


def statistics(config, folder):
    """Two neurons per language, whose means are the paper's averages."""
    spec, files = config.tables["activation_statistics"], {}
    for (model, _, _, language), row in printed_rows("activation_statistics").items():
        key = {title: key for key, title in TITLES.items()}[model]
        pairs = {name: [float(text) - 0.5, float(text) + 0.5] for name, text in row.items()}
        place = {"layer": [0, 0], "neuron": [0, 1]}
        files[key, language] = {
            name: statistic_file(folder / f"{key}.{language}.{name}", name, place | {name: pair}, key, language)
            for name, pair in pairs.items()
        }
    assert list(files) == [(model, language) for model in config.run.models for language in spec.languages]
    return statistics_table(files, spec.columns, TITLES)


def test_the_papers_statistics_come_back_cell_by_cell(config, tmp_path):
    _, md, tex = write_table(*as_printed(statistics(config, tmp_path)), tmp_path / "t")
    printed = printed_rows("activation_statistics")
    expected = [[*(k for k in key if k), *(f"{float(x):.4f}" for x in row.values())] for key, row in printed.items()]
    assert [list(line.values()) for line in markdown(md)] == expected
    assert list(markdown(md)[0])[2:] == ["Mean", "P75", "P90", "P95", "P5", "P10", "P25"]
    assert latex(tex) == expected


# The reference data


def test_all_eight_tables_are_there_and_the_configuration_has_them(config):
    assert sorted(path.stem for path in PAPER.glob("*")) == sorted(reference.TABLES)
    assert config.run.tables[:8] == list(reference.TABLES)  # controls follow
    assert config.run.compare_with_paper
    assert set(reference.MODELS.values()) == set(config.run.models)
    assert {table: len(reference.paper_numbers(table)) for table in reference.TABLES} == NUMBERS


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("xnli", "xnli_all_interventions"),
        ("xquad", "xquad_all_interventions"),
        ("xnli_finetuning", "xnli_finetuning_all"),
    ],
)
def test_what_the_paper_prints_twice_agrees(small, large):
    assert reference.paper_numbers(small).items() <= reference.paper_numbers(large).items()


def test_some_of_the_papers_numbers():
    cell = reference.Cell
    tables = {table: reference.paper_numbers(table) for table in reference.TABLES}
    assert tables["xnli"][cell("mistral-nemo", "Act Prob 90p", "", "vi", "p10")] == 40.7
    assert tables["xquad"][cell("llama-3.1-8b", "LAPE", "", "zh", "p90_em")] == 3
    assert tables["xnli_finetuning"][cell("llama-3.1-8b", "LAPE", "en+ur", "ur", "mean")] == 70.6
    assert tables["activation_statistics"][cell("mistral-nemo", "", "", "ur", "p5")] == -1.1722
    assert tables["xnli_random_neurons"][cell("mistral-nemo", "Random", "hi", "hi", "none")] == 75.6
    with pytest.raises(ValueError, match="the paper has no table 'squad'; it has xnli, xquad"):
        reference.paper_numbers("squad")


# Ours beside the paper's


@pytest.mark.parametrize("table", CONDITIONS)
def test_the_papers_own_numbers_differ_in_nothing(config, tmp_path, table):
    tsv, _, _ = render(config, table, table_rows(config, table), tmp_path / table)
    frame = reference.compare_with_paper(tsv, table, TITLES)
    assert len(frame) == NUMBERS[table]
    assert reference.missing_numbers(tsv, table, TITLES) == 0
    differing = frame[frame["difference"] != 0]
    assert len(differing) == table.startswith("xquad")
    for line in differing.to_dict("records"):
        assert (line["model"], line["method"], line["language"], line["intervention"]) == (*TWICE[:2], "vi", "none")
        assert (line["metric"], line["ours"], line["theirs"]) == ("f1", 73.5, 73.6)
    assert frame["inside"].isna().all()  # nothing was measured, so nothing has an interval


def test_the_papers_own_statistics_differ_in_nothing(config, tmp_path):
    tsv, _, _ = write_table(*as_printed(statistics(config, tmp_path)), tmp_path / "t")
    frame = reference.compare_with_paper(tsv, "activation_statistics", TITLES)
    assert list(frame.columns[:4]) == ["model", "model_key", "language", "statistic"]
    assert dict(zip(frame["model_key"], frame["model"], strict=True)) == TITLES
    assert len(frame) == 70 and (frame["difference"].abs() < 1e-12).all()


def write_tsv(path, lines):
    path.write_text("".join("\t".join(line.split()) + "\n" for line in lines).replace("_LAPE", " LAPE"))
    return path


LLAMA = "llama-3.1-8b"
HEADER = "model method language neurons none none_low none_high zero zero_low zero_high zero_p zero_p_holm"
OURS = [
    "Nemo LAPE ur 3 66.9 65.5 68.0 66.0 65.1 66.9 0.1 0.2",
    "Llama LAPE vi 9 80.0 79.0 80.4 79.8 79.8 80.5 0.5 0.6",
]
OWN = {"llama-3.1-8b": "Llama", "mistral-nemo": "Nemo"}


def test_numbers_are_matched_by_what_they_stand_for(tmp_path):
    path = write_tsv(tmp_path / "t.tsv", [HEADER, *OURS])
    frame = reference.compare_with_paper(path, "xnli", OWN)
    expected = [  # in the paper's order; the paper: Llama vi 80.5 and 79.8, Nemo ur 66.8 and 66.9
        ["Llama", LLAMA, "LAPE", "vi", "none", "accuracy", 80.0, 79.0, 80.4, 80.5, -0.5, "no"],
        ["Llama", LLAMA, "LAPE", "vi", "zero", "accuracy", 79.8, 79.8, 80.5, 79.8, 0.0, "yes"],
        ["Nemo", "mistral-nemo", "LAPE", "ur", "none", "accuracy", 66.9, 65.5, 68.0, 66.8, 0.1, "yes"],
        ["Nemo", "mistral-nemo", "LAPE", "ur", "zero", "accuracy", 66.0, 65.1, 66.9, 66.9, -0.9, "yes"],
    ]
    labels = ["model", "model_key", "method", "language", "intervention", "metric"]
    assert list(frame.columns) == [*labels, *reference.COLUMNS]
    found = frame.to_numpy().tolist()
    assert [line[:6] + line[11:] for line in found] == [line[:6] + line[11:] for line in expected]
    for ours, wanted in zip(found, expected, strict=True):
        assert ours[6:11] == pytest.approx(wanted[6:11], abs=1e-9)
    assert reference.missing_numbers(path, "xnli", OWN) == 60 - 4
    columns = HEADER.split()
    turned = [line.split() for line in (HEADER, *OURS)]
    turned = [" ".join(line[columns.index(name)] for name in reversed(columns)) for line in (turned[0], *turned[:0:-1])]
    again = reference.compare_with_paper(write_tsv(tmp_path / "turned.tsv", turned), "xnli", OWN)
    assert again.equals(frame)


def test_the_comparison_as_written(tmp_path):
    frame = reference.compare_with_paper(write_tsv(tmp_path / "t.tsv", [HEADER, OURS[1]]), "xnli", OWN)
    notes = against_paper(1, frame["inside"].dropna().tolist(), 58, 0.95, [])
    paths = reference.write_comparison(frame, tmp_path / "xnli_vs_paper", 1, 0.95, "Ours and Table 1", notes)
    assert paths == [f"{tmp_path}/xnli_vs_paper.{ending}" for ending in ("tsv", "md")]
    tsv, md = (Path(path).read_text(encoding="utf-8") for path in paths)
    assert tsv.splitlines()[0].split("\t") == list(frame.columns)
    assert tsv.splitlines()[1] == f"Llama\t{LLAMA}\tLAPE\tvi\tnone\taccuracy\t80.0\t79.0\t80.4\t80.5\t-0.5\tno"
    header = ["Model", "Method", "EL", "Intervention", "Metric", "Ours", "Paper", "Difference", "Our 95 % interval"]
    cells = [list(line.values()) for line in markdown(paths[1])]
    assert list(markdown(paths[1])[0]) == [*header, "Paper inside"]
    assert cells[0] == ["Llama", "LAPE", "vi", "none", "accuracy", "80.0", "80.5", "-0.5", "79.0 to 80.4", "no"]
    assert cells[1] == ["Llama", "LAPE", "vi", "zero", "accuracy", "79.8", "79.8", "0.0", "79.8 to 80.5", "yes"]
    assert "in our 95 % interval in 1 of 2 cases" in md
    assert "58 numbers of the paper's Table 1 have no counterpart here" in md


def test_notes_say_what_cannot_be_compared():
    assert "has no interval" in " ".join(against_paper(6, [], 0, 0.95, []))
    for metric, other in (("mlqa", True), ("model_tokens", False)):
        notes = xquad.notes(section("xquad", metric=metric), beside_paper=True)
        said = " ".join(against_paper(2, ["yes"], 0, 0.95, notes))
        assert notes[0] in said and ("another metric than ours" in said) == other


def test_comparing_refuses(tmp_path):
    path = write_tsv(tmp_path / "t.tsv", [HEADER, *OURS])
    with pytest.raises(ValueError, match=r"t\.tsv: unknown model 'Nemo'; known: Llama"):
        reference.compare_with_paper(path, "xnli", {"llama-3.1-8b": "Llama"})
    with pytest.raises(ValueError, match="two models have one title"):
        reference.compare_with_paper(path, "xnli", OWN | {"other": "Nemo"})
    with pytest.raises(ValueError, match=r"t\.tsv: no number stands for one of the paper's xnli; .*compare_with_paper"):
        reference.compare_with_paper(path, "xnli", {"tiny-llama": "Llama", "tiny-mistral": "Nemo"})
    wrong = write_tsv(tmp_path / "w.tsv", [HEADER, OURS[0].replace("66.9", "x", 1)])
    with pytest.raises(ValueError, match=r"w\.tsv: none is 'x'; render the table again"):
        reference.compare_with_paper(wrong, "xnli", OWN)
