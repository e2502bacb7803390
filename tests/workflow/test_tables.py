"""Tables and figures in the workflow: every kind by one rule, and figures of no method at all."""

import json

from snakemake_calls import SMALLEST, planned


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
