"""Kinds of tables: each is one module, and a person's own is one file."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from artifact_files import tsv_file
from task_pieces import XNLI

from langneurons import registry
from langneurons.config.load import ConfigError, load_config
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.published import report_entries, report_tables, table_entries, table_input, table_params
from langneurons.registry import entries, entry
from langneurons.report.findings import Rendered
from langneurons.report.page import report_body
from langneurons.tables.base import JOB_FUNCTIONS, Kind
from langneurons.tables.files import write_table

ROOT = Path(__file__).parents[2]
OWN = '''"""How many neurons each method takes of each language's text, from the perplexity files."""

from typing import Literal

from langneurons.experiment.paths import paths_of
from langneurons.sections.tables import MethodTable
from langneurons.tables.base import Finding
from langneurons.tables.checks import method_checks
from langneurons.tables.columns import columns_text
from langneurons.tables.common import common_params, pairs_of

ENTRY_OF = "tables"
MEANING = "The perplexity of each text as it is."
DECIMALS = 2
COLUMNS = {"model": ("Model", ""), "language": ("Text", ""), "perplexity": ("Perplexity", ".2f")}


class Section(MethodTable):
    """The perplexity of each text as it is."""

    kind: Literal["plain_perplexity"]
    least: float = 0


checks = method_checks


def conditions(section, context):
    return []


def comparisons(section, context):
    return []


def inputs(section, context):
    return {"files": [paths_of(context.config).perplexity(*pair) for pair in pairs_of(section, context)]}


def params(section, context):
    return common_params(section, context) | {"pairs": pairs_of(section, context)}


def frame(params, inputs):
    import pandas as pd

    from langneurons.tables.perplexity_file import read_changes

    found = {}
    for (model, method), path in zip(params["pairs"], inputs.files, strict=True):
        for row in read_changes(path, {"model": model, "method": method}):
            found[params["titles"][model], row["language"]] = row["perplexity_base"]
    lines = [(*key, value) for key, value in found.items() if value >= params["least"]]
    return pd.DataFrame(lines, columns=["model", "language", "perplexity"])


def caption(params):
    return "Perplexity."


def text(params, frame):
    return columns_text(frame, COLUMNS, caption(params), ["A note."])


def findings(rows, scoring):
    return Finding("How hard is the text?", f"{len(rows)} texts were measured.")
'''


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def own(tmp_path):
    """A kind of a person's own, known as long as the test runs."""
    path = tmp_path / "plain_perplexity.py"
    path.write_text(OWN, encoding="utf-8")
    registry.load_extensions([str(path)])
    yield path
    registry.load_extensions([])


def with_own(raw, **keys):
    table = {"kind": "plain_perplexity", "models": ["mistral-nemo"], "methods": ["lape-set1"]} | keys
    changed = {"tables": raw["tables"] | {"own": table}, "run": raw["run"] | {"tables": ["own", "xnli"]}}
    own = "plain_perplexity" in entries("tables")
    return raw | changed | {"extensions": [str(registry.file_of("tables", "plain_perplexity"))] if own else []}


@pytest.mark.parametrize("name", entries("tables"))
def test_an_entry_provides_the_protocol(name):
    kind = entry("tables", name)
    needed = [name for name, value in vars(Kind).items() if callable(value) or isinstance(value, staticmethod)]
    needed = [name for name in needed if not name.startswith("_")]
    assert {"checks", "conditions", "comparisons", "inputs", "params", *JOB_FUNCTIONS} == {*needed, "MEANING"}
    assert all(callable(getattr(kind, function)) for function in needed)
    assert kind.ENTRY_OF == "tables" and kind.MEANING.strip() and kind.Section.__doc__


def test_params_are_plain_values(raw):
    """A job reads them from a file: what JSON cannot hold would come back as something else."""
    config = load_config(raw)
    for name in config.tables:
        params = table_params(config, name)
        assert json.loads(json.dumps(params)) == json.loads(json.dumps(params, allow_nan=False))
        assert params["kind"] == config.tables[name].kind


def test_a_kind_of_ones_own_is_one_file(raw, own, tmp_path):
    config = load_config(with_own(raw, least=250))
    assert table_conditions(config, "own") == []
    assert table_input(config, "own") == {"files": ["results/mistral-nemo/perplexity/lape-set1.tsv"]}
    assert table_entries(config, "own") == [("tables", "plain_perplexity")]
    assert report_entries(config) == [("tables", "plain_perplexity"), ("tables", "interventions")]
    header = (
        "model\tmethod\tlanguage\tzeroed\tneurons\tperplexity_base\tchange\tbits_per_byte_base\tbits_per_byte_zeroed"
    )
    lines = [
        f"mistral-nemo\tlape-set1\t{code}\ten\t3\t{value}\t1\t1\t1" for code, value in (("en", 200), ("vi", 300.125))
    ]
    file = tsv_file(tmp_path / "lape-set1.tsv", "\n".join([header, *lines]))
    params = json.loads(json.dumps(table_params(config, "own")))
    kind = entry("tables", params["kind"])
    frame = kind.frame(params, SimpleNamespace(files=[file]))
    write_table(frame, kind.text(params, frame), tmp_path / "own")
    with (tmp_path / "own.tsv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream, delimiter="\t")) == [
            {"model": "Mistral Nemo", "language": "vi", "perplexity": "300.125"}
        ]
    assert "| Mistral Nemo | vi | 300.12 |" in (tmp_path / "own.md").read_text(encoding="utf-8")
    assert r"\label{tab:own}" in (tmp_path / "own.tex").read_text(encoding="utf-8")
    tables = {"own": Rendered("plain_perplexity", tmp_path / "own.tsv")}
    body = report_body([], tables, {}, ROOT / "workflow/report", miniature=False)
    assert "<h3>How hard is the text?</h3>\n<p>1 texts were measured.</p>" in body
    assert "The perplexity of each text as it is." in body


def test_the_report_asks_the_entry_of_each_table_alone(raw, own):
    raw = with_own(raw)
    raw["run"]["compare_with_paper"] = True
    assert report_tables(load_config(raw)) == {
        "own": ("plain_perplexity", None),
        "xnli": ("interventions", XNLI.plain()),
        "xnli_vs_paper": (None, None),
    }


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"least": "much"}, "tables.own.least: is 'much'; input should be a valid number"),
        ({"leest": 1}, "tables.own.leest: unknown key; did you mean 'least'?"),
        ({"methods": ["lape-set2"]}, "tables.own.methods[0]: unknown method 'lape-set2'; did you mean 'lape-set"),
        ({"kind": "plain_perplexitie"}, "tables.own.kind: is 'plain_perplexitie'; did you mean 'plain_perplexity'?"),
    ],
)
def test_keys_of_ones_own_kind_are_checked_like_any(raw, own, keys, said):
    with pytest.raises(ConfigError) as refused:
        load_config(with_own(raw, **keys))
    assert said in str(refused.value)


def test_without_its_file_a_kind_is_unknown(raw):
    with pytest.raises(
        ConfigError, match=r"tables\.own\.kind: is 'plain_perplexity'; did you mean 'perplexity_change'"
    ):
        load_config(with_own(raw))


def test_no_method_to_draw_is_no_fault(raw):
    raw["figures"] = raw["figures"] | {"methods": []}
    assert load_config(raw).figures.methods == []
