"""Tables and figures in the workflow: every kind by one rule, and figures of no method at all."""

import json

from snakemake_calls import SMALLEST, planned, snakemake


def plan(directory, overlay):
    path = directory / "overlay.json"
    path.write_text(json.dumps(overlay), encoding="utf-8")  # JSON is YAML too
    return planned(directory, configs=(*SMALLEST, path))


def test_tables_of_every_kind_are_rendered_by_one_rule(tmp_path):
    kinds = ["xnli", "xnli_finetuning", "activation_statistics", "xnli_random_controls"]
    kinds += ["split_half", "relevance_spread", "perplexity_change"]
    found = plan(tmp_path, {"run": {"tables": kinds}, "tables": {"split_half": {"methods": ["lape-set1"]}}})
    assert found["render_table"] == 7
    assert found["identify_half_neurons"] == 2 * 2  # of two models


def test_without_methods_to_draw_nothing_is_drawn_or_measured_for_figures(tmp_path):
    drawn = {"draw_neurons", "draw_perplexity", "measure_perplexity", "pack_heldout_tokens"}
    tables = {"run": {"tables": ["xnli"]}}
    assert drawn <= plan(tmp_path, tables).keys()
    found = plan(tmp_path, tables | {"figures": {"methods": []}})
    assert not drawn & found.keys()
    assert (found["write_report"], found["draw_curves"]) == (1, 2)


OWN = '''"""The languages of the text."""

from typing import Literal

from langneurons.sections.tables import TableSection
from langneurons.tables.base import Finding, Text
from langneurons.tables.common import common_params

ENTRY_OF = "tables"
MEANING = "The languages of the text."
DECIMALS = 0


class Section(TableSection):
    """The languages of the text."""

    kind: Literal["languages"]


def checks(name, section, context):
    return iter(())


def conditions(section, context):
    return []


def comparisons(section, context):
    return []


def inputs(section, context):
    return {}


def params(section, context):
    return common_params(section, context) | {"languages": context.config.corpus.languages}


def frame(params, inputs):
    import pandas as pd

    return pd.DataFrame({"language": params["languages"]})


def caption(params):
    return "Languages."


def text(params, frame):
    return Text(["Language"], [[code] for code in frame["language"]], caption(params), [])


def findings(rows, scoring):
    return Finding("Which languages?", ", ".join(row["language"] for row in rows))
'''


def test_a_kind_of_ones_own_is_rendered_and_reported_like_any(tmp_path):
    """A table of a kind in a file of one's own, and the report with it: both run."""
    (tmp_path / "languages.py").write_text(OWN, encoding="utf-8")
    overlay = {
        "extensions": [str(tmp_path / "languages.py")],
        "run": {"tables": ["own"]},
        "tables": {"own": {"kind": "languages"}},
        "figures": {"methods": []},
    }
    assert plan(tmp_path, overlay) == {"render_table": 1, "write_report": 1}
    done = snakemake(tmp_path, configs=(*SMALLEST, tmp_path / "overlay.json"))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "results/tables/own.tsv").read_text(encoding="utf-8") == "language\nen\nvi\nhi\n"
    assert "<p>en, vi, hi</p>" in (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    assert plan(tmp_path, overlay) == {}
    (tmp_path / "languages.py").write_text(OWN.replace('"Languages."', '"All languages."'), encoding="utf-8")
    assert plan(tmp_path, overlay) == {"render_table": 1, "write_report": 1}
