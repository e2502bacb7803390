"""Values of the configuration that mean something else than they seem to: each is refused, with the one to write."""

import copy
import math
from pathlib import Path

import pytest
import yaml

from langneurons.config.load import Config, ConfigError, load_config
from langneurons.sections.base import Section

ROOT = Path(__file__).parents[2]
TINY = {"source": "demo", "title": "Tiny", "architecture": "llama"}


@pytest.fixture(scope="module")
def base():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def fault(base, path, value):
    """The one line that ``value`` at the dotted ``path`` gives."""
    raw = copy.deepcopy(base)
    *way, last = path.split("/")
    node = raw
    for key in way:
        node = node.setdefault(key, {})
    node[last] = value
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    heading, line = str(caught.value).splitlines()
    assert heading == "the configuration has a fault:"
    return line[2:]


def sections(section=Section):
    for child in section.__subclasses__():
        yield child
        yield from sections(child)


FAULTS = {
    # Numbers that are none. PyYAML reads 1e400 as a text, .inf and 1.0e+400 as infinity; 2**64 overflows a seed.
    "infinity": ("perplexity/tokens", math.inf, "perplexity.tokens: is inf; input should be a finite number"),
    "infinite share": (
        "corpus/heldout_fraction",
        math.inf,
        "corpus.heldout_fraction: is inf; input should be a finite",
    ),
    "infinity as a text": (
        "finetuning/xnli/alpha",
        "1e400",
        "finetuning.xnli.alpha: is '1e400'; input should be a fin",
    ),
    "infinite parameters": (
        "models/mistral-nemo/parameters",
        math.inf,
        "models.mistral-nemo.parameters: is inf; input",
    ),
    "no number": (
        "finetuning/xnli/learning_rate",
        math.nan,
        "finetuning.xnli.learning_rate: is nan; input should be a",
    ),
    "no percentile": (
        "statistics/percentiles",
        [5, math.nan],
        "statistics.percentiles[1]: is nan; input should be a fin",
    ),
    "no beta": ("finetuning/xnli/betas", [math.nan, 0.9], "finetuning.xnli.betas[0]: is nan; input should be a finite"),
    "an integer without end": ("seed", 10**400, "seed: is too large; write a number of at most 9007199254740992"),
    "a seed of 65 bits": ("seed", 2**64, "seed: is 1.84467e+19; write a number of at most 9007199254740992"),
    "more shards than names": (
        "corpus/shards",
        10_001,
        "corpus.shards: is 10001; input should be less than or equal to",
    ),
    # Truth values
    "yes as a share": (
        "methods/lape-set1/top_fraction",
        True,
        "methods.lape-set1.top_fraction: is true, a truth value; write a number",
    ),
    "yes as shards": ("corpus/shards", True, "corpus.shards: is true, a truth value; write a number"),
    "no as a seed": ("seed", False, "seed: is false, a truth value; write a number"),
    "yes in a list": (
        "statistics/percentiles",
        [5, True],
        "statistics.percentiles[1]: is true, a truth value; write a",
    ),
    "yes in a pair": (
        "finetuning/xnli/betas",
        [True, 0.9],
        "finetuning.xnli.betas[0]: is true, a truth value; write a",
    ),
    "yes by language": (
        "models/tiny",
        TINY | {"shares": {"en": True}},
        "models.tiny.shares.en: is true, a truth value",
    ),
    "yes where null is allowed": ("activations/batch_tokens", True, "activations.batch_tokens: is true, a truth value"),
    "no as a language": (
        "corpus/languages",
        ["en", False],
        "corpus.languages[1]: is False; input should be a valid string. YAML reads yes, no, on and off as truth "
        'values: write it in quotes, as "no"',
    ),
    "no as the language of a task": (
        "tasks/xnli/source_language",
        False,
        "tasks.xnli.source_language: is False; input",
    ),
    "a date as a text": (
        "corpus/hub/snapshot",
        20231101,
        "corpus.hub.snapshot: is 20231101; input should be a valid st",
    ),
    # Duplicates
    "models": ("run/models", ["mistral-nemo"] * 2, "run.models: 'mistral-nemo' is duplicated; write it once"),
    "tables": ("run/tables", ["xnli", "xquad", "xnli"], "run.tables: 'xnli' is duplicated; write it once"),
    "figures": ("figures/methods", ["lape-set1"] * 2, "figures.methods: 'lape-set1' is duplicated; write it once"),
    "models of a table": (
        "tables/xnli/models",
        ["mistral-nemo"] * 2,
        "tables.xnli.models: 'mistral-nemo' is duplicated",
    ),
    "method_groups": (
        "tables/xnli/method_groups",
        ["LAPE"] * 2,
        "tables.xnli.method_groups: 'LAPE' is duplicated; write it",
    ),
    "interventions": (
        "tables/xnli/interventions",
        ["none"] * 2,
        "tables.xnli.interventions: 'none' is duplicated; write",
    ),
    "languages of a table": (
        "tables/xnli/languages",
        ["hi", "hi"],
        "tables.xnli.languages: 'hi' is duplicated; write it",
    ),
    "neurons": (
        "tables/xnli_finetuning/neurons",
        ["target"] * 2,
        "tables.xnli_finetuning.neurons: 'target' is duplicated",
    ),
    "columns": (
        "tables/activation_statistics/columns",
        ["mean"] * 2,
        "tables.activation_statistics.columns: 'mean' is duplicated; write it once",
    ),
    "methods of a table": (
        "tables/split_half/methods",
        ["lape-set1"] * 2,
        "tables.split_half.methods: 'lape-set1' is duplicated; write it once",
    ),
    "languages of a method": (
        "methods/act-prob-90p/languages",
        ["en", "en"],
        "methods.act-prob-90p.languages: 'en' is duplicated; write it once",
    ),
    "languages of a set": ("language_sets/set1", ["en", "en"], "language_sets.set1: 'en' is duplicated; write it once"),
    "languages of the corpus": (
        "corpus/languages",
        ["en", "en"],
        "corpus.languages: 'en' is duplicated; write it once",
    ),
    "percentiles": (
        "statistics/percentiles",
        [5, 90, 90.0],
        "statistics.percentiles: '90' is duplicated; write it once",
    ),
    "modules": (
        "finetuning/xnli/targets",
        ["gate_proj"] * 2,
        "finetuning.xnli.targets: 'gate_proj' is duplicated; write",
    ),
    "titles": (
        "models/mistral-nemo/title",
        "Llama 3.1",
        "models.mistral-nemo.title: 'Llama 3.1' is the title of models.ll",
    ),
    # Names and places
    "no results": ("results", "", "results: is ''; is empty; write a text"),
    "blank resources": ("resources", "  ", "resources: is '  '; is empty; write a text"),
    "blank data": ("data", "\t", "data: is '\\t'; must be one line of text without a tab; take it out"),
    "null as a place": ("results", None, "results: is None; input should be a valid string"),
    "braces in a place": ("results", "out/{model}", "results: is 'out/{model}'; must hold no braces; write out/model"),
    "home as a place": (
        "data",
        "~/texts",
        "data: is '~/texts'; starts with ~, which the shell alone expands; write the",
    ),
    "braces in a title": (
        "models/mistral-nemo/title",
        "N{emo}",
        "models.mistral-nemo.title: is 'N{emo}'; must hold no b",
    ),
    "a title of two lines": (
        "models/mistral-nemo/title",
        "a\nb",
        r"models.mistral-nemo.title: is 'a\nb'; must be one line",
    ),
    "a title with a tab": (
        "models/mistral-nemo/title",
        "a\tb",
        r"models.mistral-nemo.title: is 'a\tb'; must be one line",
    ),
    "half a character": (
        "models/mistral-nemo/title",
        "a\ud800",
        r"models.mistral-nemo.title: is 'a\ud800'; must be one",
    ),
    "an empty title": ("models/mistral-nemo/title", "", "models.mistral-nemo.title: is ''; is empty; write a text"),
    "braces in a method group": (
        "method_groups/L{APE",
        {"vi": "lape-set1"},
        "method_groups.L{APE: is 'L{APE'; must hold no br",
    ),
    "braces in a path": (
        "models/mine",
        {"source": "files", "title": "M", "path": "m/{x}"},
        "models.mine.path: is 'm/{x}'",
    ),
    "doubled braces": (
        "corpus/files/pattern",
        "{data}/{{x}}/{language}",
        "corpus.files.pattern: is '{data}/{{x}}/{langua",
    ),
    "a width in a path": (
        "corpus/files/pattern",
        "{data}/{language:>9}",
        "corpus.files.pattern: is '{data}/{language:>9}'",
    ),
    "no repository": (
        "models/mistral-nemo/repository",
        "a/b/c",
        "models.mistral-nemo.repository: is 'a/b/c'; is no name",
    ),
    # Lists that are too short
    "no target language": ("tasks/xnli/languages", [], "tasks.xnli.languages: is empty; write at least 1 entry"),
    "no question's language": ("tasks/xquad/languages", [], "tasks.xquad.languages: is empty; write at least 1 entry"),
    "an empty set": ("language_sets/set1", [], "language_sets.set1: is empty; write at least 2 entries"),
    "a set of one": ("language_sets/set1", ["en"], "language_sets.set1: has only 1; write at least 2 entries"),
    "no models of a table": ("tables/xnli/models", [], "tables.xnli.models: is empty; write at least 1 entry"),
    "no models of methods": ("tables/split_half/models", [], "tables.split_half.models: is empty; write at least 1"),
    "no languages of a table": ("tables/xnli/languages", [], "tables.xnli.languages: is empty; write at least 1"),
    "no neurons": ("tables/xnli_finetuning/neurons", [], "tables.xnli_finetuning.neurons: is empty; write at least 1"),
    # Percentiles
    "the intervention p0": (
        "tables/xnli/interventions",
        ["p0"],
        "tables.xnli.interventions[0]: is p0, and percentiles lie between 0 and 100, exclusive; write one of: p5, p10,",
    ),
    "the intervention p100": (
        "tables/xnli/interventions",
        ["none", "p100"],
        "tables.xnli.interventions[1]: is p100, and percentiles lie between 0 and 100, exclusive; write one of: p5,",
    ),
    "the column p100": (
        "tables/activation_statistics/columns",
        ["p100"],
        "tables.activation_statistics.columns[0]: is p100, and percentiles lie between 0 and 100, exclusive; write",
    ),
    "percentiles that print alike": (
        "statistics/percentiles",
        [5, 10, 25, 50, 75, 90, 95, 90.0000001],
        "statistics.percentiles[7]: is 90.0000001; has more than 4 decimals; write 90",
    ),
    "a percentile of many decimals": (
        "methods/act-prob-90p/percentile",
        90.0000004,
        "methods.act-prob-90p.percentile: is 90.0000004; has more than 4 decimals; write 90",
    ),
    # Keys that name other files
    "a model like a directory": (
        "models/tables",
        TINY,
        "models.tables: results has a directory tables of its own; write another key for the model",
    ),
    "a method like no intervention": (
        "methods/none",
        {"kind": "lape", "set": "set1"},
        "methods.none: none is the evaluation without intervention; write another key for the method",
    ),
    "a method like a half": (
        "methods/lape-set1.even",
        {"kind": "lape", "set": "set6"},
        "methods.lape-set1.even: is the name of a half of methods.lape-set1; write another key",
    ),
    "a table like a comparison": (
        "tables/xnli_vs_paper",
        {"kind": "perplexity_change", "methods": ["lape-set1"]},
        "tables.xnli_vs_paper: is the name of tables.xnli beside the paper's numbers; write another key",
    ),
    # The prompt
    "a prompt's unknown field": (
        "tasks/xquad/prompt",
        "{context} {question} {language}",
        "tasks.xquad.prompt: is '{context} {question} {language}'; has the unknown field {language}; known: {c",
    ),
    "a prompt's field with a layout": (
        "tasks/xquad/prompt",
        "{context} {question} {question!r}",
        "tasks.xquad.prompt: is '{context} {question} {question!r}'; has the unknown field {question!r}; kno",
    ),
    "a prompt without a question": (
        "tasks/xquad/prompt",
        "{context}",
        "tasks.xquad.prompt: is '{context}'; must hold {question}",
    ),
    # Between keys
    "a batch of parts of blocks": (
        "activations/reference_tokens",
        2000,
        "activations.reference_tokens: is 2000, no multiple of corpus.block (512); write 2048",
    ),
    "an odd head": (
        "models/tiny",
        TINY | {"head_dim": 33},
        "models.tiny: head_dim (33) must be even: positions turn pai",
    ),
    # What to write
    "per cent as a share": (
        "methods/lape-set1/top_fraction",
        5,
        "methods.lape-set1.top_fraction: is 5; input should be l",
    ),
    "Hindi": (
        "tasks/xnli/source_language",
        "hindi",
        "tasks.xnli.source_language: is 'hindi'; should be a language's code",
    ),
    "a list of one": (
        "run/models",
        "mistral-nemo",
        "run.models: is 'mistral-nemo'; input should be a valid list; write [m",
    ),
    "another case": (
        "methods/random/matched_to",
        "Lape",
        "methods.random.matched_to: unknown method group 'Lape'; did you mean 'LAPE'?",
    ),
    "another spelling": ("tables/xnli/interventions", ["p90.0"], "tables.xnli.interventions[0]: is p90.0; write p90"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_value_is_refused_with_its_path(base, name):
    path, value, says = FAULTS[name]
    assert fault(base, path, value).startswith(says)


@pytest.mark.parametrize(
    ("path", "value", "ending"),
    [
        ("significance/level", 95, "; write 0.95 for 95 %"),
        ("methods/lape-set1/top_fraction", 5, "; write 0.05 for 5 %"),
        ("tasks/xnli/train_fraction", 80, "; write 0.8 for 80 %"),
        ("tasks/xquad/train_fraction", 80, "; write 0.8 for 80 %"),
        ("corpus/heldout_fraction", 1, "than 0.5"),
        ("tasks/xnli/source_language", "hindi", "; write hi"),
        ("tasks/xnli/source_language", "hin", "; write hi"),
        ("tasks/xnli/source_language", "English", "; write en"),
        ("tasks/xnli/source_language", "zh_cn", "; write zh-CN"),
        ("tasks/xnli/source_language", "EN", "; write en"),
        ("tasks/xnli/source_language", "jp", "; write ja"),
        (
            "activations/batch_tokens",
            "null",
            "; write null in a file of --configfile: within a dictionary --config knows texts alone",
        ),
        ("tasks/xnli/source_language", "klingon", "; write one such as hi, ceb or zh-Hant"),
        ("models/mistral-nemo/title", 3.1, '; write it in quotes: "3.1"'),
        ("statistics/estimate", "Exact", "; did you mean 'exact'?"),
        ("methods/lape-set1/kind", "LAPE", "did you mean 'lape'? (activation_probability, lape, random)"),
        ("models/tiny", TINY | {"head_dim": 33}, "write 34"),
    ],
)
def test_a_refusal_says_what_to_write(base, path, value, ending):
    assert fault(base, path, value).endswith(ending)


@pytest.mark.parametrize("directory", ["figures", "report", "logs", "benchmarks"])
def test_a_model_shares_no_directory_of_results(base, directory):
    assert fault(base, f"models/{directory}", TINY).startswith(f"models.{directory}: results has a directory")


@pytest.mark.parametrize("prompt", ['{context} {question}\n{"answer": ""}', "{{language}} {context}{question} {a, b}"])
def test_braces_of_a_prompt_that_are_no_field_are_text(base, prompt):
    raw = copy.deepcopy(base)
    raw["tasks"]["xquad"]["prompt"] = prompt
    assert load_config(raw).tasks["xquad"].prompt == prompt


def test_lists_that_mean_something_when_empty_pass(base):
    raw = copy.deepcopy(base)
    raw["run"]["tables"], raw["activations"]["batch_percentiles"] = [], []
    raw["methods"]["act-prob-90p"]["threshold"] = "layer"
    loaded = load_config(raw)
    assert loaded.run.tables == [] and list(loaded.activations.batch_percentiles) == []


@pytest.mark.parametrize("table", ["xnli", "xnli_random_controls"])
@pytest.mark.parametrize("same", [True, False], ids=["one method", "methods alike"])
def test_comparisons_of_one_table_select_different_neurons(base, table, same):
    """Rows of one selection of neurons would be tested twice in one family, and counted twice."""
    raw = copy.deepcopy(base)
    raw["language_sets"]["again"] = raw["language_sets"]["set1"][::-1]
    raw["methods"]["copy"] = raw["methods"]["lape-set1"] | {"set": "again"}
    raw["methods"]["random-copy"] = {"kind": "random", "matched_to": "LAPE copy"}
    raw["method_groups"]["LAPE copy"] = {"vi": "lape-set1" if same else "copy"}
    load_config(raw)  # each in tables of its own
    raw["tables"][table] |= {"method_groups": ["LAPE", "LAPE copy"], "languages": ["vi"]}
    methods = "method 'lape-set1'" if same else "one selection ('lape-set1' and 'copy')"
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    assert str(caught.value).splitlines()[1:] == [
        f"  tables.{table}.method_groups[1]: 'LAPE' and 'LAPE copy' have {methods} for 'vi', so its rows would count "
        "twice; take one of them out, or name another method in method_groups"
    ]
    raw["methods"]["copy"]["top_fraction"] = 0.02
    raw["method_groups"]["LAPE copy"]["vi"] = "copy"
    load_config(raw)


def test_random_neurons_like_an_empty_comparison_are_refused_where_they_are_needed(base):
    raw = copy.deepcopy(base)
    raw["method_groups"]["Empty"] = {}
    load_config(raw)
    says = "methods.random-lape-1.matched_to: method group 'Empty' has no languages; add one to method_groups"
    raw["methods"]["random-lape-1"]["matched_to"] = "Empty"
    assert load_config(raw).left_out == {("methods", "random-lape-1"): [says]}
    assert fault(raw, "figures/methods", ["random-lape-1"]) == says


def test_a_statistic_of_a_is_no_constant_for_z(base):
    raw = base | {"statistics": base["statistics"] | {"site": "act"}, "interventions": {"site": "gate"}}
    with pytest.raises(ConfigError, match="statistics.site: is act, but interventions.site: gate overwrites z"):
        load_config(raw)
    load_config(raw | {"interventions": {"site": "act"}})


def test_a_batch_that_nobody_sorts_may_have_any_length(base):
    raw = copy.deepcopy(base)
    raw["activations"] = {"batch_percentiles": [], "reference_tokens": 2000}
    raw["methods"]["act-prob-90p"]["threshold"] = "layer"
    assert load_config(raw).activations.reference_tokens == 2000


def test_numbers_that_the_command_line_gives_as_texts_are_numbers(base):
    """``--config 'corpus={tokens: 24000}'`` hands down texts, as YAML does of 1e-5."""
    raw = copy.deepcopy(base)
    raw["perplexity"]["tokens"], raw["finetuning"]["xnli"]["learning_rate"] = "24000", "1e-5"
    config = load_config(raw)
    assert (config.perplexity.tokens, config.finetuning["xnli"].learning_rate) == (24000, 1e-5)
    assert fault(base, "perplexity/tokens", "many").startswith(
        "perplexity.tokens: is 'many'; input should be a valid int"
    )


def test_a_list_that_holds_itself_is_refused(base):
    percentiles = [5]
    percentiles.append(percentiles)
    assert fault(base, "statistics/percentiles", percentiles).startswith("statistics.percentiles[1]: ")


def test_every_section_checks_its_numbers_and_lists():
    """No section may set pydantic's own looser reading for itself."""
    found = {Config, *sections()}
    assert len(found) > 20
    for section in found:
        assert issubclass(section, Section)
        assert section.model_config["allow_inf_nan"] is False and section.model_config["extra"] == "forbid"


def test_a_share_of_ones_own_script_needs_a_known_one(base):
    raw = copy.deepcopy(base)
    raw["corpus"]["languages"] = [*raw["corpus"]["languages"], "qqq"]
    load_config(raw)
    says = (
        "corpus.languages[16]: the script of 'qqq' is not known, which corpus.min_own_script: 0.5 asks for; name it in "
        "the code, as qqq-Latn, or write min_own_script: 0"
    )
    assert fault(raw, "corpus/min_own_script", 0.5) == says
    raw["corpus"] |= {"languages": [*raw["corpus"]["languages"][:-1], "qqq-Latn", "zh-Hant"], "min_own_script": 0.5}
    load_config(raw)
