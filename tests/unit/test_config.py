"""The configuration: its documents, the base file, and what a person reads who made a mistake."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from langneurons.config import document as config_document
from langneurons.config.load import Config, ConfigError, load_config

ROOT = Path(__file__).parents[2]
DELETE = object()


@pytest.fixture(scope="module")
def base():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def changed(base, *changes):
    """A copy of ``base`` with (path, value) changes; dictionaries on the way are made."""
    raw = copy.deepcopy(base)
    for path, value in changes:
        node = raw
        for key in path[:-1]:
            node = node.setdefault(key, {})
        if value is DELETE:
            del node[path[-1]]
        else:
            node[path[-1]] = value
    return raw


def faults(raw):
    """The lines of the error below its heading, and the heading's count of them."""
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    heading, *lines = str(caught.value).splitlines()
    count = "a fault" if len(lines) == 1 else f"{len(lines)} faults"
    assert heading == f"the configuration has {count}:"
    assert all(line.startswith("  ") and line[2] != " " for line in lines)
    return [line[2:] for line in lines]


# The documents


def test_the_schema_in_the_repository_is_the_models():
    assert (ROOT / config_document.SCHEMA_FILE).read_text(encoding="utf-8") == config_document.schema_json()


def test_the_reference_in_the_repository_is_the_models():
    assert (ROOT / config_document.REFERENCE_FILE).read_text(encoding="utf-8") == config_document.reference_markdown()


def test_the_papers_own_limits_are_the_defaults(base):
    """The reference code keeps what is shorter than 256 and 511 tokens, and puts spaces around EOS."""
    short = changed(base, *((("tasks", "xnli", key), DELETE) for key in ("max_tokens", "separator")))
    del short["tasks"]["xquad"]["max_tokens"]
    for raw in (base, short):
        tasks = load_config(raw).tasks
        found = tasks["xnli"].max_tokens, tasks["xnli"].separator, tasks["xquad"].max_tokens
        assert found == (255, "spaced_eos", 510)


def test_main_writes_both_and_refuses_another_directory(tmp_path):
    with pytest.raises(ValueError, match=r"no config/config\.yaml here"):
        config_document.write(str(tmp_path))
    assert not list(tmp_path.iterdir())
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").touch()
    config_document.write(str(tmp_path))
    for name in (config_document.SCHEMA_FILE, config_document.REFERENCE_FILE):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_schema_text_is_sorted_and_ends_in_a_newline():
    text = config_document.schema_json()
    assert text.endswith("}\n")
    parsed = json.loads(text)
    assert list(parsed) == sorted(parsed)
    assert list(parsed["$defs"]) == sorted(parsed["$defs"])


def test_the_schema_accepts_the_base_file_and_refuses_a_fault(base):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(config_document.schema_json()))
    assert [e.message for e in validator.iter_errors(base)] == []
    assert list(validator.iter_errors(changed(base, (["corpus", "tokns"], 1))))
    assert list(validator.iter_errors(changed(base, (["statistics", "percentiles"], [100]))))


def fields(model, prefix=""):
    """Every (dotted key, description) of a pydantic model's own sections, by its annotations alone."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description


def test_the_reference_has_every_key_with_its_meaning():
    rows = [line for line in config_document.reference_markdown().splitlines() if line.startswith("| `")]
    for name, description in fields(Config):
        parts = name.split(".")
        tails = {".".join(parts[i:]) for i in range(len(parts))}
        assert any(row.split("`")[1] in tails and (description or "") in row for row in rows), name


def test_every_table_of_the_reference_has_four_cells_a_row():
    text = config_document.reference_markdown().replace(r"\|", "")
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {5}


@pytest.mark.parametrize(
    "row",
    [
        "| `percentiles` | list (at least 1): number > 0 and < 100 | `[5, 10, 25, 50, 75, 90, 95]` | Percentiles that",
        '| `hub.repository` | text | `"facebook/xnli"` | Data set repository',
        '| `hub.repository` | text | `"google/xquad"` | Data set repository',
        '| `squad_hub.repository` | text | `"rajpurkar/squad"` | Data set repository',
        "| `checkpoint_epoch` | integer > 0, or `null` | `null` | Epoch evaluated",
        "| `heldout_fraction` | number > 0 and < 0.5 | `0.01` | Share of documents",
        '| `threshold` | `batch_mean` or `layer` or `model` | `"batch_mean"` |',
        "### methods, kind: lape\n",
        "### methods, kind: activation_probability\n",
        "### models, source: demo\n",
        "### tables, kind: interventions\n",
        "### tasks, kind: xquad\n",
    ],
)
def test_the_reference_says(row):
    assert config_document.reference_markdown().count("\n" + row) == 1


# The files


def test_the_base_file_is_valid(base):
    config = load_config(base)
    assert config.run.models == ["llama-3.1-8b", "mistral-nemo"]
    assert len(config.corpus.languages) == 16


def test_the_demo_overlay_over_the_base_file_is_valid(base):
    raw = copy.deepcopy(base)
    update_config(raw, yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8")))
    config = load_config(raw)
    assert {config.models[key].source for key in config.run.models} == {"demo"}
    assert config.results != "results"


def test_an_overlay_merges_dictionaries_and_replaces_lists(base):
    raw = copy.deepcopy(base)
    update_config(raw, {"statistics": {"percentiles": [10, 90]}, "corpus": {"hub": {"snapshot": "20240101"}}})
    assert raw["statistics"] == {**base["statistics"], "percentiles": [10, 90]}
    assert raw["corpus"] == {**base["corpus"], "hub": {**base["corpus"]["hub"], "snapshot": "20240101"}}


def test_null_removes_an_entry(base):
    raw = copy.deepcopy(base)
    figures, tables = ["lape-set1", "lape-set6"], ["xnli", "xquad"]
    gone = [name for name in base["tables"] if name not in tables]
    randoms = [name for name, method in base["methods"].items() if method["kind"] == "random"]
    update_config(
        raw,
        {
            "run": {"models": ["mistral-nemo"], "tables": tables},
            "models": {"llama-3.1-8b": None},
            "methods": {"act-prob-90p": None} | dict.fromkeys(randoms),
            "method_groups": {"Act Prob 90p": None, "Random": None, "LAPE": {"ur": None}},
            "tables": {**dict.fromkeys(gone), **{name: {"method_groups": ["LAPE"]} for name in tables}},
            "figures": {"methods": figures},
            "tasks": {"xnli": {"languages": ["vi", "hi"]}},
        },
    )
    config = load_config(raw)
    assert list(config.models) == ["mistral-nemo"]
    assert list(config.methods) == figures
    assert config.method_groups == {"LAPE": {"vi": "lape-set1", "zh": "lape-set1", "hi": "lape-set6"}}
    assert sorted(config.tables) == tables
    assert raw["models"]["llama-3.1-8b"] is None, "the caller's dictionary is not changed"


def test_what_is_removed_can_no_longer_be_named(base):
    found = faults(changed(base, (["models", "mistral-nemo"], None), (["methods", "random"], None)))
    assert {line.split(": ")[0] for line in found} == {
        "run.models[1]",
        "method_groups.Random.vi",
        "method_groups.Random.zh",
        "method_groups.Random.hi",
        "method_groups.Random.ur",
    }


# Faults: the change, the key's path, what the line must say.
FAULTS = {
    "unknown key at the top": (["seeds"], 1, "seeds", ["unknown key", "did you mean 'seed'?"]),
    "unknown key in a section": (["corpus", "token"], 1, "corpus.token", ["unknown key", "'tokens'"]),
    "unknown key two deep": (["corpus", "hub", "snapshott"], "1", "corpus.hub.snapshott", ["did you mean 'snapshot'?"]),
    "unknown key three deep": (["tasks", "xquad", "demo", "trains"], 1, "tasks.xquad.demo.trains", ["'train'?"]),
    "unknown key, no near one": (["finetuning", "xnli", "q"], 1, "finetuning.xnli.q", ["write one of: alpha, batch"]),
    "unknown key of a model": (
        ["models", "llama-3.1-8b", "quantisation"],
        "nf4",
        "models.llama-3.1-8b.quantisation",
        ["did you mean 'quantization'?"],
    ),
    "unknown key of a method": (
        ["methods", "lape-set1", "sett"],
        "x",
        "methods.lape-set1.sett",
        ["did you mean 'set'?"],
    ),
    "unknown key of a table": (
        ["tables", "xnli", "method_group"],
        ["x"],
        "tables.xnli.method_group",
        ["'method_groups'?"],
    ),
    "unknown model": (["run", "models"], ["llama-3.1"], "run.models[0]", ["unknown model", "'llama-3.1-8b'?"]),
    "unknown method": (
        ["method_groups", "LAPE", "vi"],
        "lape-set2",
        "method_groups.LAPE.vi",
        ["unknown method", "'lape-set"],
    ),
    "unknown table": (["run", "tables"], ["xnly"], "run.tables[0]", ["unknown table", "'xnli'?"]),
    "unknown method of figures": (["figures", "methods"], ["lap-set1"], "figures.methods[0]", ["'lape-set1'?"]),
    "a key of an earlier version": (["comparisons"], {}, "comparisons", ["was renamed; write method_groups"]),
    "a table's key of an earlier version": (
        ["tables", "xnli", "comparisons"],
        ["LAPE"],
        "tables.xnli.comparisons",
        ["was renamed; write method_groups"],
    ),
    "a method's key of an earlier version": (
        ["methods", "random", "like"],
        "LAPE",
        "methods.random.like",
        ["was renamed; write matched_to"],
    ),
    "unknown method group": (["tables", "xnli", "method_groups"], ["LAP"], "tables.xnli.method_groups[0]", ["'LAPE'?"]),
    "unknown method group of random": (
        ["methods", "random", "matched_to"],
        "LAP",
        "methods.random.matched_to",
        ["'LAPE'?"],
    ),
    "random like random": (
        ["methods", "random", "matched_to"],
        "Random",
        "methods.random.matched_to",
        ["itself random"],
    ),
    "unknown intervention": (["tables", "xnli", "interventions"], ["non"], "tables.xnli.interventions[0]", ["'none'?"]),
    "unknown column": (
        ["tables", "activation_statistics", "columns"],
        ["meen"],
        "tables.activation_statistics.columns[0]",
        ["unknown column", "'mean'?"],
    ),
    "percentile 0": (
        ["statistics", "percentiles"],
        [0, 5, 10, 25, 75, 90, 95],
        "statistics.percentiles[0]",
        ["is 0", "> 0"],
    ),
    "percentile 100": (
        ["methods", "act-prob-90p", "percentile"],
        100,
        "methods.act-prob-90p.percentile",
        ["is 100", "< 100"],
    ),
    "percentile twice": (
        ["statistics", "percentiles"],
        [5, 10, 25, 50, 75, 90, 90.0, 95],
        "statistics.percentiles",
        ["'90' is duplicated"],
    ),
    "negative budget": (["corpus", "tokens"], -1, "corpus.tokens", ["is -1", "> 0"]),
    "budget below a block per shard": (["corpus", "tokens"], 5119, "corpus.tokens", ["is 5119", "at least 5120"]),
    "language not in the corpus": (
        ["language_sets", "set1"],
        ["en", "fr", "es", "vi", "id", "sw", "zh"],
        "language_sets.set1[5]",
        ["'sw' is not in corpus.languages", "add it there"],
    ),
    "language of a method not in the corpus": (
        ["methods", "act-prob-90p", "languages"],
        ["en", "vi", "hi", "ur", "zh", "de"],
        "methods.act-prob-90p.languages[5]",
        ["'de' is not in corpus.languages"],
    ),
    "method without its set": (
        ["methods", "lape-set1", "set"],
        "set2",
        "methods.lape-set1.set",
        ["unknown language set"],
    ),
    "method that has not the language": (
        ["method_groups", "LAPE", "hi"],
        "lape-set1",
        "method_groups.LAPE.hi",
        ["'lape-set1' gives no neurons of 'hi'"],
    ),
    "percentile not collected": (
        ["tables", "xnli", "interventions"],
        ["none", "p33"],
        "tables.xnli.interventions[1]",
        ["p33 is not collected", "add 33 to statistics.percentiles"],
    ),
    "batch_mean without its percentile": (
        ["methods", "act-prob-90p", "percentile"],
        95,
        "methods.act-prob-90p.threshold",
        ["batch_mean needs 95 in activations.batch_percentiles"],
    ),
    "branch as a revision": (
        ["models", "llama-3.1-8b", "revision"],
        "main",
        "models.llama-3.1-8b.revision",
        ["is 'main'", "40 hexadecimal digits", "langneurons hub commit meta-llama/Llama-3.1-8B"],
    ),
    "fewer characters than the budget needs": (
        ["corpus", "hub", "characters"],
        79_999_999,
        "corpus.hub.characters",
        ["is 79999999", "at least 80000000"],
    ),
    "branch as the corpus's revision": (
        ["corpus", "hub", "revision"],
        "main",
        "corpus.hub.revision",
        ["40 hexadecimal", "commit datasets/wikimedia/wikipedia"],
    ),
    "unknown form": (["methods", "lape-set1", "kind"], "lap", "methods.lape-set1.kind", ["is 'lap'", "lape, random"]),
    "no form": (["models", "mistral-nemo", "source"], DELETE, "models.mistral-nemo.source", ["missing", "files, hub"]),
    "missing key": (["corpus", "languages"], DELETE, "corpus.languages", ["missing", "config/README.md"]),
    "a value for a section": (["corpus"], None, "corpus", ["must be a dictionary of keys"]),
    "bad key of a model": (["models", "Tiny"], {"source": "demo"}, "models.Tiny", ["should match"]),
    "epoch after the last": (
        ["finetuning", "xnli", "checkpoint_epoch"],
        3,
        "finetuning.xnli",
        ["(3)", "at most epochs (2)"],
    ),
    "source without neurons": (
        ["tables", "xnli_random_neurons", "neurons"],
        ["source"],
        "tables.xnli_random_neurons.method_groups[0]",
        ["no neurons of the source 'en'", "neurons: [target]"],
    ),
    "control of random neurons": (
        ["tables", "xnli_random_controls", "method_groups"],
        ["Random"],
        "tables.xnli_random_controls.method_groups[0]",
        ["'Random' is itself random"],
    ),
    "control of no intervention": (
        ["tables", "xquad_random_controls", "interventions"],
        ["none"],
        "tables.xquad_random_controls.interventions[0]",
        ["unknown intervention 'none'", "mean"],
    ),
    "the same draw twice": (
        ["methods", "random-lape-2", "seed"],
        1,
        "methods.random-lape-2.seed",
        ["1 draws the same neurons as methods.random-lape-1", "write another"],
    ),
    "halves of random neurons": (
        ["tables", "split_half", "methods"],
        ["lape-set1", "random"],
        "tables.split_half.methods[1]",
        ["'random' is of kind random", "activation_probability or lape"],
    ),
    "relevance of LAPE": (
        ["tables", "relevance_spread", "methods"],
        ["lape-set1"],
        "tables.relevance_spread.methods[0]",
        ["of kind lape", "activation_probability"],
    ),
    "unknown method of a table": (
        ["tables", "perplexity_change", "methods"],
        ["lape-set2"],
        "tables.perplexity_change.methods[0]",
        ["unknown method 'lape-set2'"],
    ),
    "beta of 1": (["finetuning", "xnli", "betas"], [0.9, 1.0], "finetuning.xnli.betas[1]", ["is 1.0", "< 1"]),
    "YAML's Norwegian": (["language_sets", "set9"], ["en", False], "language_sets.set9[1]", ["is False"]),
}
WORDS = {"> 0": "greater than 0", "< 100": "less than 100", "< 1": "less than 1"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_the_path_and_what_to_write(base, name):
    keys, value, path, says = FAULTS[name]
    found = faults(changed(base, (keys, value)))
    mine = [line for line in found if line.startswith(f"{path}: ")]
    assert len(mine) == 1, found
    for words in says:
        assert WORDS.get(words, words) in mine[0]
    if name != "bad key of a model":  # its section is not complete either
        assert found == mine


def test_a_comparison_without_random_neurons_has_no_control(base):
    found = faults(changed(base, *((["methods", f"random-act-prob-{i}"], None) for i in range(3))))
    assert found == [
        f"tables.{task}_random_controls.method_groups[1]: no method of kind random is matched_to 'Act Prob 90p'; "
        "add one to methods"
        for task in ("xnli", "xquad")
    ]


def test_one_shard_has_no_halves_and_is_no_fault_where_nobody_asks(base):
    one_shard = changed(base, (["corpus", "shards"], 1), (["corpus", "hub", "characters"], None))
    assert faults(one_shard) == [
        "tables.split_half: one shard has no halves; write corpus.shards: 2 or more, "
        "or take split_half out of run.tables"
    ]
    tables = [name for name in base["run"]["tables"] if name != "split_half"]
    load_config(changed(one_shard, (["run", "tables"], tables)))


def test_a_key_of_another_form_is_not_offered(base):
    """``steps`` is a key of demo models alone: a hub model must not be told that it is known."""
    (line,) = faults(changed(base, (["models", "llama-3.1-8b", "steps"], 3)))
    assert line == (
        "models.llama-3.1-8b.steps: unknown key; write one of: "
        "architecture, attention_targets, dtype, parameters, quantization, repository, revision, source, title"
    )


def test_all_faults_of_keys_come_at_once(base):
    raw = changed(
        base,
        (["seeds"], 1),
        (["corpus", "tokens"], -5),
        (["statistics", "percentiles"], [0, 100]),
        (["models", "mistral-nemo", "revision"], "main"),
        (["tasks", "xquad", "languages"], DELETE),
    )
    assert {line.split(": ")[0] for line in faults(raw)} == {
        "seeds",
        "corpus.tokens",
        "statistics.percentiles[0]",
        "statistics.percentiles[1]",
        "models.mistral-nemo.revision",
        "tasks.xquad.languages",
    }


def test_all_faults_between_keys_come_at_once(base):
    raw = changed(
        base,
        (["run", "models"], ["llama", "mistral-nemo", "nemo"]),
        (["methods", "lape-set1", "set"], "set7"),
        (["methods", "act-prob-90p", "percentile"], 75),
        (["tables", "xnli", "interventions"], ["none", "p1", "non"]),
        (["figures", "methods"], ["lape"]),
    )
    assert {line.split(": ")[0] for line in faults(raw)} == {
        "run.models[0]",
        "run.models[2]",
        "methods.lape-set1.set",
        "methods.act-prob-90p.threshold",
        "tables.xnli.interventions[1]",
        "tables.xnli.interventions[2]",
        "figures.methods[0]",
    }


def test_batches_have_percentiles_of_z_alone(base):
    raw = changed(
        base,
        (["statistics", "estimate"], "batch_mean"),
        (["activations", "batch_percentiles"], base["statistics"]["percentiles"]),
    )
    load_config(raw)
    (line,) = faults(changed(raw, (["statistics", "site"], "act")))
    assert line == "statistics.site: batches' percentiles are of z; write gate, or statistics.estimate: exact"


def test_the_demo_has_no_squad(base):
    load_config(changed(base, (["tasks", "xquad", "train"], "squad")))
    (line,) = faults(changed(base, (["tasks", "xquad", "train"], "squad"), (["tasks", "xquad", "source"], "demo")))
    assert line.startswith("tasks.xquad.train: squad needs source: hub or files")


@pytest.mark.parametrize("raw", [None, [], "models"])
def test_a_file_that_is_no_dictionary(raw):
    assert faults(raw) == ["the file: must be a dictionary of keys; config/README.md lists them"]


def test_a_demo_model_has_shapes_that_fit(base):
    tiny = {"source": "demo", "title": "Tiny", "architecture": "llama", "heads": 4, "key_value_heads": 3}
    (line,) = faults(changed(base, (["models", "tiny"], tiny)))
    assert line == "models.tiny: key_value_heads (3) must divide heads (4)"
    (line,) = faults(changed(base, (["models", "tiny"], {**tiny, "key_value_heads": 2, "hidden": 100})))
    assert line == "models.tiny: hidden must be a multiple of 64, for instance 128"


def test_what_the_overlay_of_another_form_leaves_behind_is_a_fault(base):
    """config/README.md warns of it: under an existing key the two forms' keys mix."""
    raw = copy.deepcopy(base)
    update_config(raw, {"models": {"llama-3.1-8b": {"source": "files", "path": "llama"}}})
    assert {line.split(": ")[0] for line in faults(raw)} == {
        "models.llama-3.1-8b.architecture",
        "models.llama-3.1-8b.repository",
        "models.llama-3.1-8b.revision",
    }


def test_reading_the_configuration_imports_nothing_heavy():
    code = (
        "import sys, langneurons.config.load, langneurons.experiment.conditions, langneurons.experiment.paths\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy', 'pyarrow', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
