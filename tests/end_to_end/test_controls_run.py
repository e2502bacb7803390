"""The controls run on top of the finished smallest run, held against what plain numpy says of its files."""

import csv
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from snakemake_calls import SMALLEST, parse, planned, snakemake

TABLES = ("xnli_random_controls", "split_half", "relevance_spread", "perplexity_change")
EDIT = {
    "run": {"tables": ["xnli", *TABLES]},
    "tables": {
        "xnli_random_controls": {"models": ["tiny-llama"], "method_groups": ["LAPE"], "interventions": ["zero"]},
        "split_half": {"models": ["tiny-llama"], "methods": ["lape-set1", "act-prob-90p"]},
        "perplexity_change": {"methods": ["lape-set1"]},
    },
}


@pytest.fixture(scope="module")
def controlled(finished, tmp_path_factory):
    """A copy of the finished run with the tables of controls, and the configurations it was called with."""
    directory = tmp_path_factory.mktemp("controls") / "run"
    shutil.copytree(finished, directory, symlinks=True)
    (directory / "controls.json").write_text(json.dumps(EDIT), encoding="utf-8")  # JSON is YAML too
    configs = (*SMALLEST, directory / "controls.json")
    expected = {
        "identify_neurons": 2,  # two more draws
        "identify_half_neurons": 2 * (1 + 3),  # Act Prob 90p by language
        "evaluate": 3,  # zero on three draws
        "draw_curves": 1,  # without the tables of fine-tunings, base's alone
        "render_table": 4 + 1,  # fewer comparisons are corrected for in xnli's
        "compare": 2,  # against none and against random neurons
        "write_report": 1,
    }
    assert planned(directory, configs=configs) == expected
    done = snakemake(directory, configs=configs, warm=True)
    assert done.returncode == 0, done.stdout[-10_000:]
    return directory / "results", configs


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def neurons(path, language):
    """(layer, neuron) of a language, from the file itself."""
    return {(row["layer"], row["neuron"]) for row in pq.read_table(path).to_pylist() if row["language"] == language}


def test_a_half_is_identified_on_its_own_shards(controlled):
    """LAPE as the paper writes it, from the counts of one shard of each language (two shards: one each half)."""
    results, _ = controlled
    for half, shard in (("even", "0000"), ("odd", "0001")):
        shares = []
        for language in ("en", "vi"):
            file = pq.ParquetFile(results / f"tiny-llama/activations/{language}/{shard}.parquet")
            tokens = json.loads(file.metadata.metadata[b"langneurons"])["tokens"]
            shares.append(file.read(["positive"])["positive"].to_numpy() / tokens)
        p = np.stack(shares)
        tau = np.quantile(p, 0.6)
        q = p / p.sum(axis=0).clip(min=1e-300)
        entropy = -(q * np.log(q, where=q > 0, out=np.zeros_like(q))).sum(axis=0)
        candidates = np.flatnonzero((p > tau).any(axis=0))
        chosen = candidates[np.argsort(entropy[candidates], kind="stable")][: round(0.05 * p.shape[1])]
        for place, language in enumerate(("en", "vi")):
            own = {divmod(int(n), 128) for n in chosen[p[place, chosen] > tau]}
            assert own == neurons(results / f"tiny-llama/neurons/lape-set1.{half}.parquet", language)


def test_the_index_is_that_of_the_files(controlled):
    results, _ = controlled
    found = rows(results / "tables/split_half.tsv")
    assert [(r["method"], r["language"]) for r in found] == [
        *(("lape-set1", language) for language in ("en", "vi")),
        *(("act-prob-90p", language) for language in ("en", "vi", "hi")),
    ]
    for row in found:
        name = row["method"] if row["method"] == "lape-set1" else f"{row['method']}/{row['language']}"
        even, odd = (
            neurons(results / f"tiny-llama/neurons/{name}.{half}.parquet", row["language"]) for half in ("even", "odd")
        )
        assert (int(row["neurons_even"]), int(row["neurons_odd"])) == (len(even), len(odd))
        assert float(row["jaccard"]) == len(even & odd) / len(even | odd)
        assert 0 < float(row["jaccard_random"]) < 0.1


def test_the_controls_are_as_many_random_neurons_in_each_layer(controlled):
    results, _ = controlled
    layers = lambda path: sorted(layer for layer, _ in neurons(path, "vi"))  # noqa: E731
    masks = [results / f"tiny-llama/neurons/{name}/vi.parquet" for name in ("random", "random-lape-1", "random-lape-2")]
    own = results / "tiny-llama/neurons/lape-set1.parquet"
    assert [layers(mask) for mask in masks] == [layers(own)] * 3
    assert len({frozenset(neurons(mask, "vi")) for mask in (own, *masks)}) == 4


def test_the_table_of_controls_says_what_was_measured(controlled):
    results, _ = controlled
    (row,) = rows(results / "tables/xnli_random_controls.tsv")
    measured = {}
    for path in (results / "tiny-llama/metrics/xnli/base/vi").glob("*.tsv"):
        (found,) = rows(path)
        measured[found["intervention"]] = float(found["accuracy"])
    draws = [measured[f"zero@{name}"] for name in ("random", "random-lape-1", "random-lape-2")]
    assert float(row["none"]) == pytest.approx(measured["none"])
    assert float(row["own"]) == pytest.approx(measured["zero@lape-set1"])
    assert [float(row[name]) for name in ("random_mean", "random_low", "random_high")] == pytest.approx(
        [np.mean(draws), min(draws), max(draws)]
    )
    assert int(row["neurons"]) == len(neurons(results / "tiny-llama/neurons/lape-set1.parquet", "vi"))


def test_the_report_shows_every_table(controlled):
    results, _ = controlled
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert all(f'id="table-{name}"' in page for name in ("xnli", *TABLES))
    assert page.count("<figure>") == 5 * 2 * 2  # kinds, models, methods
    assert "A miniature." in page
    assert [r["question"] for r in rows(results / "report/answer.tsv")].count("random") == 1


def test_snakemakes_own_report_opens_with_the_same(controlled):
    results, configs = controlled
    done = parse(results.parent, "--report", "report.html", configs=configs)
    assert done.returncode == 0, done.stdout
    text = (results.parent / "report.html").read_text(encoding="utf-8")
    assert "neurons-report" in text and "A miniature." in text


def test_a_run_without_the_report_has_snakemakes_own(controlled):
    results, configs = controlled
    done = parse(results.parent, "results/tables/split_half.tsv", "--report", "one.html", configs=configs)
    assert done.returncode == 0, done.stdout
    assert "neurons-report" not in (results.parent / "one.html").read_text(encoding="utf-8")


EDITS = {
    "another draw": (
        {"methods": {"random-lape-1": {"seed": 9}}},
        {"identify_neurons": 1, "evaluate": 1, "render_table": 1, "compare": 1, "write_report": 1},
    ),
    "a method less": (
        {"tables": {"split_half": {"methods": ["lape-set1"]}}},
        {"render_table": 1, "write_report": 1},
    ),
    "statistics.site": ({"statistics": {"site": "act"}, "run": {"tables": ["split_half"]}}, {"write_report": 1}),
}


@pytest.mark.parametrize(("edit", "expected"), EDITS.values(), ids=EDITS)
def test_an_edit_runs_again_what_it_must_and_no_more(controlled, tmp_path, edit, expected):
    results, configs = controlled
    (tmp_path / "edit.json").write_text(json.dumps(edit), encoding="utf-8")
    assert planned(results.parent, configs=(*configs, tmp_path / "edit.json")) == expected


def test_half_of_one_shard_is_refused(tmp_path):
    (tmp_path / "edit.json").write_text(json.dumps({"corpus": {"shards": 1}}), encoding="utf-8")
    target = "results/tiny-llama/neurons/lape-set1.odd.parquet"
    done = parse(tmp_path, "--dry-run", target, configs=(*SMALLEST, tmp_path / "edit.json"))
    assert done.returncode
    assert "corpus.shards: one shard has no halves; write 2 or more" in done.stdout
