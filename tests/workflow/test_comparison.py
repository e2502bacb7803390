"""The rule that sets a table beside the paper's, run on tables that are the paper's own."""

import csv

from snakemake_calls import ROOT, snakemake

PAPER = ROOT / "src/langneurons/tables/paper"


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_the_rule_writes_the_comparison(tmp_path):
    tables = tmp_path / "results/tables"
    tables.mkdir(parents=True)
    for name in ("xquad", "activation_statistics"):
        (tables / f"{name}.tsv").write_bytes((PAPER / f"{name}.tsv").read_bytes())
    header, *lines = (PAPER / "xnli.tsv").read_text(encoding="utf-8").splitlines()
    ends = [f"{line}\t75.0\t80.0" for line in lines]  # an interval of none: the paper's 70.0, 80.5, 66.8 lie outside
    (tables / "xnli.tsv").write_text("\n".join([f"{header}\tnone_low\tnone_high", *ends, ""]), encoding="utf-8")
    names = ("xnli", "xquad", "activation_statistics")
    targets = [f"results/tables/{name}_vs_paper.md" for name in names]
    done = snakemake(tmp_path, "--allowed-rules=compare_with_paper", *targets, configs=())
    assert done.returncode == 0, done.stdout
    found = {name: rows(tables / f"{name}_vs_paper.tsv") for name in names}
    assert {name: len(lines) for name, lines in found.items()} == {
        "xnli": 60,
        "xquad": 120,
        "activation_statistics": 70,
    }
    assert {line["difference"] for lines in found.values() for line in lines} == {"0.0"}
    inside = {(line["language"], line["theirs"]): line["inside"] for line in found["xnli"] if line["low"]}
    assert inside == {
        ("vi", "80.5"): "no",
        ("hi", "75.0"): "yes",
        ("ur", "70.0"): "no",
        ("hi", "76.1"): "yes",
        ("ur", "66.8"): "no",
    }
    pages = {name: (tables / f"{name}_vs_paper.md").read_text(encoding="utf-8") for name in names}
    for number, name in ((1, "xnli"), (2, "xquad"), (6, "activation_statistics")):
        assert f"ours and Table {number} of the paper." in pages[name]
    assert "in our 95 % interval in 4 of 12 cases" in pages["xnli"]
    assert "-0.0493 | -0.0493 | 0.0000" in pages["activation_statistics"]


def test_a_table_that_is_none_is_named(tmp_path):
    tables = tmp_path / "results/tables"
    tables.mkdir(parents=True)
    (tables / "xnli.tsv").write_text("model\tmethod\tlanguage\tnone\nLlama 3.1\tLAPE\tvi\tgood\n", encoding="utf-8")
    target = "results/tables/xnli_vs_paper.md"
    done = snakemake(tmp_path, "--allowed-rules=compare_with_paper", target, configs=())
    assert done.returncode != 0
    assert "error: results/tables/xnli.tsv: none is 'good'; render the table again" in done.stdout
    assert not (tmp_path / target).exists()
