"""Which conditions the paper's tables need, counted by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from langneurons.config.load import load_config
from langneurons.config.table_checks import table_context
from langneurons.experiment.condition import (
    Condition,
    spell_finetuning,
    spell_intervention,
    split_finetuning,
    split_intervention,
)
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.identification import mask_inputs, mask_settings, method_languages
from langneurons.experiment.paths import Paths
from langneurons.registry import entry
from langneurons.tables import interventions

ROOT = Path(__file__).parents[2]
MODELS = ("llama-3.1-8b", "mistral-nemo")


@pytest.fixture(scope="module")
def raw():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def config(raw):
    return load_config(raw)


def table_rows(config, name):
    section = config.tables[name]
    return entry("tables", section.kind).rows(section, table_context(config))


# Base tables: a model and language has `none` once (the methods share it) and each other column twice,
# once per method; and each model has its English baseline. Fine-tuning tables share nothing.
COUNTS = {
    "xnli": (12, 2 * 3 * (1 + 2 * 4) + 2),  # Table 1
    "xquad": (12, 2 * 3 * (1 + 2 * 4) + 2),  # Table 2
    "xnli_finetuning": (9, 3 * 3 * 5),  # Table 3
    "xnli_all_interventions": (12, 2 * 3 * (1 + 2 * 8) + 2),  # Table 4
    "xquad_all_interventions": (12, 2 * 3 * (1 + 2 * 8) + 2),  # Table 5
    "xnli_finetuning_all": (18, 2 * 3 * 3 * 5),  # Table 7
    "xnli_random_neurons": (6, 2 * 3),  # Table 8
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(config, name):
    rows, conditions = COUNTS[name]
    assert len(table_rows(config, name)) == rows
    found = table_conditions(config, name)
    assert len(found) == len(set(found)) == conditions
    assert found == sorted(found)


def test_every_table_of_conditions_is_counted(config):
    kinds = ("interventions", "finetuning")
    assert {name for name, table in config.tables.items() if table.kind in kinds} == COUNTS.keys()


@pytest.mark.parametrize("task", ["xnli", "xquad"])
def test_every_intervention_has_its_three_random_controls(config, task):
    rows = table_rows(config, f"{task}_random_controls")
    interventions = {c for c in table_conditions(config, f"{task}_all_interventions") if c.intervention != "none"}
    assert {row.own for row in rows} == interventions
    assert len(rows) == len(interventions) == 2 * 2 * 3 * 8
    for row in rows:
        value, method = split_intervention(row.own.intervention)
        assert (value, method) == (row.intervention, config.method_groups[row.group][row.language])
        assert row.none == replace(row.own, intervention="none")
        draws = [split_intervention(c.intervention) for c in row.random]
        assert [replace(c, intervention="none") for c in row.random] == [row.none] * 3
        assert {value for value, _ in draws} == {row.intervention}
        assert [config.methods[m].seed for _, m in draws] == [0, 1, 2]
        assert {config.methods[m].matched_to for _, m in draws} == {row.group}
        assert all(mask_settings(config, f"{m}/{row.language}")["references"][row.language] == method for _, m in draws)
    wanted = {c for row in rows for c in (row.none, row.own, *row.random)}
    assert table_conditions(config, f"{task}_random_controls") == sorted(wanted)
    assert len(wanted) == len(rows) * 4 + 2 * 3


def test_a_table_of_methods_needs_no_condition(config):
    for name in ("split_half", "relevance_spread", "perplexity_change", "activation_statistics"):
        assert table_conditions(config, name) == []


# By hand: in the table, and not in it.
PRESENT = {
    "xnli": [
        ("llama-3.1-8b", "xnli", "base", "vi", "none"),
        ("llama-3.1-8b", "xnli", "base", "vi", "p90@lape-set1"),
        ("mistral-nemo", "xnli", "base", "hi", "zero@lape-set6"),
        ("mistral-nemo", "xnli", "base", "ur", "mean@lape-set6"),
        ("llama-3.1-8b", "xnli", "base", "ur", "p10@act-prob-90p"),
        ("mistral-nemo", "xnli", "base", "en", "none"),
    ],
    "xquad": [
        ("llama-3.1-8b", "xquad", "base", "zh", "p90@lape-set1"),
        ("llama-3.1-8b", "xquad", "base", "hi", "p90@lape-set6"),
        ("mistral-nemo", "xquad", "base", "zh", "zero@act-prob-90p"),
        ("llama-3.1-8b", "xquad", "base", "en", "none"),
    ],
    "xnli_finetuning": [
        ("llama-3.1-8b", "xnli", "en@lape-set1", "vi", "none"),
        ("llama-3.1-8b", "xnli", "vi@lape-set1", "vi", "mean@lape-set1"),
        ("llama-3.1-8b", "xnli", "en+vi@lape-set1", "vi", "p90@lape-set1"),
        ("llama-3.1-8b", "xnli", "en@lape-set6", "hi", "zero@lape-set6"),
        ("llama-3.1-8b", "xnli", "en+ur@lape-set6", "ur", "p10@lape-set6"),
    ],
    "xnli_all_interventions": [
        ("mistral-nemo", "xnli", "base", "vi", "p75@lape-set1"),
        ("llama-3.1-8b", "xnli", "base", "ur", "p25@act-prob-90p"),
    ],
    "xquad_all_interventions": [
        ("mistral-nemo", "xquad", "base", "zh", "p95@lape-set1"),
        ("llama-3.1-8b", "xquad", "base", "hi", "p5@lape-set6"),
    ],
    "xnli_finetuning_all": [
        ("llama-3.1-8b", "xnli", "en+hi@act-prob-90p", "hi", "p90@act-prob-90p"),
        ("llama-3.1-8b", "xnli", "en+hi@lape-set6", "hi", "p90@lape-set6"),
        ("llama-3.1-8b", "xnli", "en@act-prob-90p", "vi", "none"),
    ],
    "xnli_random_neurons": [(m, "xnli", f"{k}@random", k, "none") for m in MODELS for k in ("vi", "hi", "ur")],
}
ABSENT = {
    "xnli": [
        ("llama-3.1-8b", "xnli", "base", "vi", "p90@lape-set6"),
        ("llama-3.1-8b", "xnli", "base", "hi", "p90@lape-set1"),
        ("llama-3.1-8b", "xnli", "base", "zh", "none"),
        ("llama-3.1-8b", "xnli", "base", "vi", "p75@lape-set1"),
        ("llama-3.1-8b", "xnli", "base", "vi", "none@lape-set1"),
        ("llama-3.1-8b", "xnli", "base", "en", "zero@lape-set1"),
    ],
    "xquad": [("llama-3.1-8b", "xquad", "base", "ur", "none")],
    "xnli_finetuning": [
        ("mistral-nemo", "xnli", "vi@lape-set1", "vi", "none"),
        ("llama-3.1-8b", "xnli", "vi@lape-set1", "hi", "none"),
        ("llama-3.1-8b", "xnli", "vi+en@lape-set1", "vi", "none"),
        ("llama-3.1-8b", "xnli", "base", "en", "none"),
    ],
    "xnli_finetuning_all": [("llama-3.1-8b", "xnli", "en+hi@lape-set6", "hi", "p90@act-prob-90p")],
    "xnli_random_neurons": [("llama-3.1-8b", "xnli", "en@random", "vi", "none")],
}


@pytest.mark.parametrize("name", COUNTS)
def test_conditions_by_hand(config, name):
    found = set(table_conditions(config, name))
    assert {Condition(*c) for c in PRESENT[name]} <= found
    assert not {Condition(*c) for c in ABSENT.get(name, [])} & found
    if name == "xnli_random_neurons":
        assert found == {Condition(*c) for c in PRESENT[name]}


def test_table_5_holds_table_2_and_table_4_table_1(config):
    for small, large in (("xnli", "xnli_all_interventions"), ("xquad", "xquad_all_interventions")):
        assert set(table_conditions(config, small)) < set(table_conditions(config, large))
    assert set(table_conditions(config, "xnli_finetuning")) < set(table_conditions(config, "xnli_finetuning_all"))


@pytest.mark.parametrize("name", COUNTS)
def test_the_method_is_the_languages_own(config, name):
    """LAPE takes vi and zh from set1, hi and ur from set6, in the intervention and in the fine-tuning."""
    lape = {"vi": "lape-set1", "zh": "lape-set1", "hi": "lape-set6", "ur": "lape-set6"}
    wanted = {
        "LAPE": lape,
        "Act Prob 90p": dict.fromkeys(lape, "act-prob-90p"),
        "Random": dict.fromkeys(lape, "random"),
    }
    for row in table_rows(config, name):
        method = wanted[row.group][row.language]
        for column, cell in row.cells.items():
            assert (cell.model, cell.language, cell.task) == (row.model, row.language, config.tables[name].task)
            assert cell.intervention == ("none" if column == "none" else f"{column}@{method}")
            assert cell.finetuning == (f"{row.neurons}@{method}" if row.neurons else "base")


def test_rows_stand_in_print_order(config):
    assert [(r.model, r.group, r.language) for r in table_rows(config, "xquad")] == [
        (model, comparison, language)
        for model in MODELS
        for comparison in ("LAPE", "Act Prob 90p")
        for language in ("vi", "hi", "zh")
    ]
    rows = table_rows(config, "xnli_finetuning")
    assert [(r.neurons, r.language) for r in rows[:4]] == [("en", "vi"), ("vi", "vi"), ("en+vi", "vi"), ("en", "hi")]
    assert list(rows[0].cells) == ["none", "mean", "p90", "zero", "p10"]


def test_baselines_are_the_source_language_untouched(config):
    found = interventions.baselines(config.tables["xquad"], table_context(config))
    assert found == [Condition(m, "xquad", "base", "en", "none") for m in MODELS]
    assert set(found) <= set(table_conditions(config, "xquad"))
    assert "en" not in {condition.language for condition in table_conditions(config, "xnli_finetuning")}


@pytest.mark.parametrize(
    ("finetuning", "languages", "method"),
    [
        ("base", (), None),
        ("en@lape-set1", ("en",), "lape-set1"),
        ("en+vi@lape-set1", ("en", "vi"), "lape-set1"),
        ("vi@random", ("vi",), "random"),
        ("en+ur@act-prob-90p", ("en", "ur"), "act-prob-90p"),
    ],
)
def test_split_finetuning(finetuning, languages, method):
    assert split_finetuning(finetuning) == (languages, method)


@pytest.mark.parametrize(
    ("intervention", "value", "method"),
    [("none", "none", None), ("p90@lape-set1", "p90", "lape-set1"), ("p2.5@act-prob-90p", "p2.5", "act-prob-90p")],
)
def test_split_intervention(intervention, value, method):
    assert split_intervention(intervention) == (value, method)


def test_a_condition_is_spelled_as_its_path():
    text = "llama/xnli/en+vi@lape-set1/vi/p90@lape-set1"
    assert str(Condition("llama", "xnli", "en+vi@lape-set1", "vi", "p90@lape-set1")) == text
    for wrong in ("llama/xnli/base/vi", text + "/more", "llama//base/vi/none"):
        with pytest.raises(ValueError, match="is no condition; write model/task/finetuning/language/intervention"):
            Condition.parse(wrong)


def test_splitting_is_undone_by_joining(config):
    """Over every condition of every table: nothing of the name is lost."""
    seen = set()
    for name in COUNTS:
        for condition in table_conditions(config, name):
            languages, method = split_finetuning(condition.finetuning)
            assert spell_finetuning(languages, method) == condition.finetuning
            value, by = split_intervention(condition.intervention)
            assert spell_intervention(value, by) == condition.intervention
            assert Condition.parse(str(condition)) == condition
            assert {method, by} - {None} <= config.methods.keys()
            for key in {method, by} - {None}:
                asked = {*languages, condition.language} if key == method else {condition.language}
                assert asked <= set(method_languages(config, key))
            seen.add((method, by))
    assert len(seen) > 6


def test_paths_of_all_conditions_differ(config):
    paths = Paths(config.results, config.resources)
    conditions = {c for name in COUNTS for c in table_conditions(config, name)}
    # Tables 1 and 2 are within 4 and 5, Table 3 within 7.
    assert len(conditions) == sum(COUNTS[n][1] for n in COUNTS if n.endswith(("_all", "_interventions", "_neurons")))
    assert len({paths.metrics(c) for c in conditions} | {paths.predictions(c) for c in conditions}) == 2 * len(
        conditions
    )
    assert (
        paths.metrics(Condition("llama-3.1-8b", "xnli", "en+vi@lape-set1", "vi", "p90@lape-set1"))
        == "results/llama-3.1-8b/metrics/xnli/en+vi@lape-set1/vi/p90@lape-set1.tsv"
    )


def test_languages_of_the_methods(config):
    assert method_languages(config, "lape-set1") == ["en", "fr", "es", "vi", "id", "ja", "zh"]
    assert method_languages(config, "lape-set6")[:4] == ["en", "bn", "hi", "ta"]
    assert method_languages(config, "act-prob-90p") == ["en", "vi", "hi", "ur", "zh"]
    assert method_languages(config, "random") == ["vi", "zh", "hi", "ur"]
    assert mask_inputs(config, "lape-set1").counts == method_languages(config, "lape-set1")
    assert mask_inputs(config, "random/hi").counts == []


def test_random_copies_the_numbers_of_each_languages_own_mask(config):
    references = {"vi": "lape-set1", "zh": "lape-set1", "hi": "lape-set6", "ur": "lape-set6"}
    for language, reference in references.items():
        assert mask_settings(config, f"random/{language}")["references"] == {language: reference}


def test_a_tables_own_models_and_languages_come_first(raw):
    narrow = {**raw["tables"]["xnli"], "models": ["mistral-nemo"], "languages": ["ur"], "method_groups": ["LAPE"]}
    config = load_config({**raw, "tables": {**raw["tables"], "narrow": narrow}})
    assert set(table_conditions(config, "narrow")) == {
        Condition("mistral-nemo", "xnli", "base", "ur", value)
        for value in ("none", "mean@lape-set6", "p90@lape-set6", "zero@lape-set6", "p10@lape-set6")
    } | {Condition("mistral-nemo", "xnli", "base", "en", "none")}
