"""What a run needs of the configuration: the rest may be contradicted, and nothing may be written wrongly."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from langneurons.config.files import base_file
from langneurons.config.load import ConfigError, load_config
from langneurons.config.needed import drawn_methods, entry_at, left_out_text, needed_entries
from langneurons.experiment.conditions import table_conditions
from langneurons.experiment.finetunings import trained
from langneurons.experiment.own_files import own_files
from langneurons.experiment.published import all_tables, drawn_pairs, table_input

ROOT = Path(__file__).parents[2]
FEWER_LANGUAGES = {
    "run": {"models": ["llama-3.1-8b"], "tables": ["xnli"]},
    "corpus": {"languages": ["en", "vi", "hi"]},
    "language_sets": {"set1": ["en", "vi", "hi"]},
    "tasks": {"xnli": {"languages": ["vi"]}},
    "tables": {"xnli": {"method_groups": ["LAPE"]}},
}
"""A first overlay of the paper's configuration: one table of one model, and of nothing else a word."""


def over(overlay):
    """An overlay on the file that it extends."""
    raw = yaml.safe_load(Path(base_file(overlay, ROOT)).read_text(encoding="utf-8"))
    update_config(raw, copy.deepcopy(overlay))
    return raw


def study():
    """The README's own study."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (listing,) = re.findall(r"^```yaml\n# study\.yaml\n(.*?)^```$", text, flags=re.M | re.S)
    return yaml.safe_load(listing)


def leaves(node):
    return sum(map(leaves, node.values())) if isinstance(node, dict) else 1


def faults(raw):
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    return str(caught.value).splitlines()[1:]


def test_the_readmes_study_is_valid_and_short():
    config = load_config(over(study()))
    assert leaves(study()) <= 15
    assert not config.left_out
    assert drawn_pairs(config) == [("mine", "lape")]
    lape = config.methods["lape"]
    assert (lape.top_fraction, lape.activity_quantile) == (0.01, 0.95)  # Tang et al.: 1 %, 95th percentile


def test_nothing_is_to_be_run_in_the_base():
    raw = over({"extends": "config/base.yaml"})
    assert {line.split(":")[0].strip() for line in faults(raw)} == {
        "run",
        "corpus.source",
        "corpus.languages",
        "corpus.tokens",
    }


def test_a_first_overlay_of_the_papers_need_not_mention_the_rest():
    config = load_config(over(FEWER_LANGUAGES))
    assert drawn_methods(config) == ["lape-set1"]
    left = set(config.left_out)
    assert {("language_sets", "set6"), ("methods", "lape-set6"), ("methods", "act-prob-90p")} <= left
    assert {("method_groups", "LAPE", "zh"), ("method_groups", "LAPE", "hi"), ("tables", "xquad")} <= left
    assert list(config.method_groups["LAPE"]) == ["vi"]
    assert "tables.xquad" in left_out_text(config)
    assert not left & needed_entries(config)


def test_a_table_that_was_left_out_says_why():
    config = load_config(over(FEWER_LANGUAGES))
    assert "xquad" in all_tables(config)
    with pytest.raises(
        ConfigError, match=r"tables\.xquad\.method_groups\[0\]: method group 'LAPE' names no method for 'zh'"
    ):
        table_input(config, "xquad")


def test_nothing_is_left_out_of_the_papers_and_the_demos():
    assert not load_config(over({})).left_out
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    assert not load_config(over(demo)).left_out


def test_what_the_run_needs_is_a_fault():
    raw = over(FEWER_LANGUAGES)
    raw["tasks"]["xnli"]["languages"] = ["vi", "hi"]  # hi by lape-set6, whose set has languages of no text
    assert faults(raw)[0] == "  language_sets.set6[1]: 'bn' is not in corpus.languages (en, vi, hi); add it there"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("methods/lape-set6/set", "sett6", "methods.lape-set6.set: unknown language set 'sett6'"),
        (
            "methods/random-act-prob-0/matched_to",
            "LAEP",
            "methods.random-act-prob-0.matched_to: unknown method group 'LAEP'",
        ),
        ("method_groups/Act Prob 90p/vi", "act-prob", "method_groups.Act Prob 90p.vi: unknown method 'act-prob'"),
        ("tables/split_half/methods", ["lape-set7"], "tables.split_half.methods[0]: unknown method 'lape-set7'"),
        ("tables/xquad/task", "xqaud", "tables.xquad.task: unknown task 'xqaud'"),
        ("tables/xquad/models", ["llama"], "tables.xquad.models[0]: unknown model 'llama'"),
        ("finetuning/xnil", {"rank": 8}, "finetuning.xnil"),
    ],
)
def test_a_name_that_is_written_wrongly_is_a_fault_wherever_it_stands(path, value, says):
    raw = over(FEWER_LANGUAGES)
    *way, last = path.split("/")
    node = raw
    for key in way:
        node = node[key]
    node[last] = value
    assert any(line.strip().startswith(says) for line in faults(raw))


def test_a_name_that_an_overlay_removed_is_no_fault_where_it_is_not_needed():
    raw = over(FEWER_LANGUAGES | {"tasks": FEWER_LANGUAGES["tasks"] | {"xquad": None}})
    left = load_config(raw).left_out
    assert {("tables", "xquad"), ("finetuning", "xquad")} <= set(left)
    raw["run"]["tables"].append("xquad")
    assert any("tables.xquad.task: unknown task 'xquad'" in line for line in faults(raw))


def test_controls_of_a_needed_comparison_are_needed():
    """A table finds its controls by itself: one that is contradicted must not be missing without a word."""
    raw = over(FEWER_LANGUAGES)
    raw["run"]["tables"] = ["xnli_random_controls"]
    raw["tables"]["xnli_random_controls"]["method_groups"] = ["LAPE"]
    raw["methods"]["random-lape-2"]["seed"] = 1
    assert faults(raw) == [
        "  methods.random-lape-2.seed: 1 draws the same neurons as methods.random-lape-1; write another"
    ]


def test_the_place_of_a_fault_is_in_the_innermost_entry():
    entries = {
        ("method_groups", "LAPE 0.5"),
        ("method_groups", "LAPE 0.5", "hi"),
        ("tables", "xnli"),
        ("tables", "xnli_all"),
    }
    assert entry_at("method_groups.LAPE 0.5.hi", entries) == ("method_groups", "LAPE 0.5", "hi")
    assert entry_at("tables.xnli_all.task", entries) == ("tables", "xnli_all")
    assert entry_at("tables.xnli[0]", entries) == ("tables", "xnli")
    assert entry_at("corpus.tokens", entries) is None


@pytest.mark.parametrize("named", ["config/bas.yaml", 7, None, "config"])
def test_a_base_that_is_not_there_is_refused_with_both_that_are(named):
    with pytest.raises(ConfigError, match=r"extends: is .*; write config/config\.yaml or config/base\.yaml"):
        base_file({"extends": named}, ROOT)


def test_the_base_is_the_papers_where_an_overlay_says_nothing():
    assert base_file({}, ROOT) == str(ROOT / "config/config.yaml")


def test_a_pretrained_model_needs_no_settings_of_finetuning():
    overlay = study() | {
        "run": {"models": ["mine"], "tables": ["answers"]},
        "method_groups": {"LAPE": {"vi": "lape"}},
        "tasks": {"xquad": {"kind": "xquad", "source": "files", "languages": ["vi"]}},
    }
    table = {"kind": "interventions", "task": "xquad", "method_groups": ["LAPE"], "interventions": ["none", "zero"]}
    overlay["tables"] = {"answers": table}
    assert any("tables.answers.task: needs models fine-tuned on 'xquad'" in line for line in faults(over(overlay)))
    table["finetuning"] = "pretrained"
    config = load_config(over(overlay))
    assert {c.finetuning for c in table_conditions(config, "answers")} == {"pretrained"}
    assert trained(config) == {}
    assert not [key for key, path in own_files(config) if "train" in path]
