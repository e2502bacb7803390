"""Planning the paper's experiment: all of it, quickly, with nothing heavy imported."""

import re
import resource
import subprocess
import sys

import pytest
import yaml
from snakemake_calls import ROOT, job_counts, parse, planned

from langneurons.config.load import load_config
from langneurons.experiment.conditions import table_conditions
from langneurons.runner.rulegraph import draw

PAPER = ()  # no overlay: config/config.yaml alone
# In CPU time of LOOP, which takes 0.27 s on a processor of 2024 and three times that on a slow or shared one. A dry
# run takes 22 to 31 of them, parsing alone 4 to 5.
LIMIT, PARSING = 45, 9
LOOP = """
x = 0
for i in range(5_000_000):
    x += i
"""
HEAVY = ("torch", "transformers", "peft", "datasets", "tokenizers", "bitsandbytes", "scipy", "altair", "safetensors")
# Snakemake and its plugins import some of these themselves; ours may not.
HEAVY_FOR_US = (*HEAVY, "numpy", "pandas", "pyarrow", "huggingface_hub")

DRY_RUN = f"""
import sys
from snakemake.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
print("imported:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def config():
    return load_config(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))


def cpu_seconds(call):
    """(what the call returned, seconds of CPU that its processes took)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    found = call()
    return found, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def in_loops(call):
    """(what the call returned, its CPU time in LOOPs run just before and after it)."""

    def loop():
        return subprocess.run([sys.executable, "-c", LOOP], check=True)

    before, (found, seconds), after = cpu_seconds(loop)[1], cpu_seconds(call), cpu_seconds(loop)[1]
    return found, seconds / ((before + after) / 2)


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """A dry run in an empty directory: its output, the CPU time it took in LOOPs, and the directory."""
    directory = tmp_path_factory.mktemp("plan")
    command = [sys.executable, "-c", DRY_RUN, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)]
    command += ["--dry-run", "--quiet=rules", "--cores", "2", "--nocolor"]
    done, loops = in_loops(lambda: subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, loops, directory


def test_the_paper_is_planned_whole(dry_run, config):
    conditions = {
        condition
        for name in config.run.tables
        if config.tables[name].kind != "statistics"
        for condition in table_conditions(config, name)
    }
    finetunings = {(c.model, c.task, c.finetuning) for c in conditions}
    models, languages, shards = 2, 16, 10
    assert job_counts(dry_run[0]) == {
        "download_corpus_shard": languages * shards,
        "download_model": models,
        "download_task": 10,  # XNLI: English to train; English, Vietnamese, Hindi, Urdu to test; XQuAD: zh for ur
        "pack_tokens": models * languages * shards,
        "collect_activations": models * languages * shards,
        "merge_activations": models * languages,
        "summarize_activations": models * 5 * 7,  # en, vi, hi, ur, zh: Table 6, and all that is intervened with
        # LAPE of two sets; Act Prob 90p of five languages; three draws for each of two comparisons, of four languages.
        "identify_neurons": models * (2 + 5 + 3 * 2 * 4),
        "identify_half_neurons": models * (2 + 5) * 2,
        "quantize_model": models,
        "finetune": len(finetunings),
        "draw_curves": models * 2,
        "evaluate": len(conditions),
        "pack_heldout_tokens": models * languages,
        "measure_perplexity": models * 3,
        "draw_neurons": models * 3,
        "draw_perplexity": models * 3,
        "render_table": 8 + 5,  # of the paper, and of controls
        "compare": 4,  # two tasks, against none and against random neurons
        "compare_with_paper": 8,
        "write_report": 1,
    }


def test_the_paper_has_so_many_conditions(dry_run):
    """Counted by hand from the paper's tables, so that conditions.py cannot lose some unseen."""
    rows = 2 * 3  # methods, target languages; of two tasks and two models below
    interventions = (
        2 * 2 * (4 + rows * 8)
    )  # sources and targets without, targets with 8 interventions (Tables 1, 2, 4, 5)
    # Table 7: neurons of the source, the target and both, five interventions; Table 8: one condition a target and model
    finetuning, random = rows * 3 * 5, 2 * 3
    controls = 2 * 2 * rows * 8 * 3  # each intervention of Tables 4 and 5 on three draws of random neurons
    assert job_counts(dry_run[0])["evaluate"] == interventions + finetuning + random + controls


def test_planning_takes_seconds_and_writes_nothing(dry_run):
    _, loops, directory = dry_run
    assert loops < LIMIT
    assert [path.name for path in directory.iterdir() if path.name != ".snakemake"] == []


def test_planning_imports_nothing_heavy(dry_run):
    assert re.findall(r"^imported:(.*)$", dry_run[0], flags=re.M) == [""]


def test_what_the_rules_import_is_light():
    """Each cluster job parses the workflow again: it may import no more than the configuration's models."""
    files = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    found = {
        name
        for file in files
        for name in re.findall(r"^\s*(?:from|import)\s+([\w.]+)", file.read_text(encoding="utf-8"), flags=re.M)
    }
    assert {name.partition(".")[0] for name in found} <= {"inspect", "os", "re", "snakemake", "langneurons"}
    ours = sorted(name for name in found if name.startswith("langneurons"))
    assert ours
    code = f"import sys, {', '.join(ours)}; print(*sorted(set({HEAVY_FOR_US!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_rule_graph_holds_every_rule(dry_run, tmp_path):
    done = parse(tmp_path, "--rulegraph", configs=PAPER)
    assert done.returncode == 0, done.stdout
    graph = re.search(r"^digraph \w+ \{.*^\}", done.stdout, flags=re.M | re.S)
    assert graph, done.stdout
    drawn = set(re.findall(r'label = "(\w+)', graph.group()))
    assert drawn == {*job_counts(dry_run[0]), "all"}


# A table alone, counted by hand: fine-tunings, conditions, masks. The sources' baselines stand in Tables 1, 2, 4, 5.
ALONE = {
    "xnli": {"finetune": 2, "evaluate": 2 * (1 + 3 + 6 * 4), "identify_neurons": 2 * (2 + 3), "download_task": 5},
    "xquad": {"finetune": 2, "evaluate": 2 * (1 + 3 + 6 * 4), "identify_neurons": 2 * (2 + 3), "download_task": 5},
    "xnli_finetuning": {"finetune": 3 + 5, "evaluate": 9 * 5, "identify_neurons": 2, "download_task": 5},
    "xnli_all_interventions": {"finetune": 2, "evaluate": 2 * (1 + 3 + 6 * 8), "identify_neurons": 2 * (2 + 3)},
    "xquad_all_interventions": {"finetune": 2, "evaluate": 2 * (1 + 3 + 6 * 8), "identify_neurons": 2 * (2 + 3)},
    "activation_statistics": {"summarize_activations": 2 * 5 * 7},
    "xnli_finetuning_all": {"finetune": 8 + 7, "evaluate": 18 * 5, "identify_neurons": 2 + 4, "download_task": 5},
    # The random masks copy the numbers of LAPE's of both sets.
    "xnli_random_neurons": {"finetune": 2 * 3, "evaluate": 2 * 3, "identify_neurons": 2 * (2 + 3), "download_task": 5},
}


@pytest.fixture
def one_shard(tmp_path):
    """The paper's experiment with one shard per language: fewer jobs to plan, and no halves for split_half."""
    (tmp_path / "one.yaml").write_text(
        "corpus: {shards: 1, hub: {characters: null}}\nrun: {tables: [xnli]}\n", encoding="utf-8"
    )
    return (tmp_path / "one.yaml",)


@pytest.mark.parametrize("table", ALONE)
def test_each_table_alone_pulls_its_own_and_no_more(tmp_path, one_shard, table):
    counts = planned(tmp_path, f"results/tables/{table}_vs_paper.md", configs=one_shard)
    expected = {"render_table": 1, "compare_with_paper": 1} | ALONE[table]
    assert {rule: counts.get(rule) for rule in expected} == expected
    tasks = set() if "evaluate" in expected else {"download_task"}
    foreign = {"draw_neurons", "draw_perplexity", "measure_perplexity", "pack_heldout_tokens", *tasks}
    assert not foreign & set(counts)


def test_only_the_paper_s_own_configuration_is_set_beside_it(tmp_path):
    demo = ("config/demo.yaml",)
    counts = planned(tmp_path, configs=demo)
    assert "render_table" in counts and "compare_with_paper" not in counts
    done = parse(tmp_path, "--dry-run", "results/demo/tables/xnli_vs_paper.tsv", configs=demo)
    assert done.returncode != 0 and "No rule to produce results/demo/tables/xnli_vs_paper.tsv" in done.stdout


# Which file is which of the paper's figures. Its text gives each kind's numbers; within a kind they go by model, then
# by method, as here.
FIGURES = {
    1: "perplexity_change.llama-3.1-8b.lape-set1",
    2: "neuron_counts.llama-3.1-8b.lape-set1",
    3: "neuron_counts.llama-3.1-8b.lape-set6",
    4: "neuron_counts.llama-3.1-8b.act-prob-90p",
    5: "neuron_counts.mistral-nemo.lape-set1",
    6: "neuron_counts.mistral-nemo.lape-set6",
    7: "neuron_counts.mistral-nemo.act-prob-90p",
    8: "neuron_overlap.llama-3.1-8b.lape-set1",
    9: "neuron_overlap.llama-3.1-8b.lape-set6",
    10: "neuron_overlap.llama-3.1-8b.act-prob-90p",
    11: "neuron_overlap.mistral-nemo.lape-set1",
    12: "neuron_overlap.mistral-nemo.lape-set6",
    13: "neuron_overlap.mistral-nemo.act-prob-90p",
    14: "neuron_layers.llama-3.1-8b.lape-set1",
    15: "neuron_layers.llama-3.1-8b.lape-set6",
    16: "neuron_layers.llama-3.1-8b.act-prob-90p",
    17: "neuron_layers.mistral-nemo.lape-set1",
    18: "neuron_layers.mistral-nemo.lape-set6",
    19: "neuron_layers.mistral-nemo.act-prob-90p",
    20: "perplexity_change.llama-3.1-8b.lape-set6",
    21: "perplexity_change.llama-3.1-8b.act-prob-90p",
    22: "perplexity_change.mistral-nemo.lape-set1",
    23: "perplexity_change.mistral-nemo.lape-set6",
    24: "perplexity_change.mistral-nemo.act-prob-90p",
}


def test_the_paper_s_24_figures_are_planned_in_three_formats(tmp_path, one_shard):
    done = parse(tmp_path, "--dry-run", "figures", configs=one_shard)
    assert done.returncode == 0, done.stdout
    drawn = set(re.findall(r"results/figures/[\w.-]+\.[a-z]+", done.stdout))
    names = [*FIGURES.values()]
    names += [n.replace("perplexity", "bits_per_byte") for n in names if n.startswith("perplexity_change")]  # beyond
    names += [f"finetuning_curves.{model}.xnli" for model in ("llama-3.1-8b", "mistral-nemo")]  # one_shard's table
    assert drawn == {f"results/figures/{name}.{ending}" for name in names for ending in ("svg", "pdf", "html")}
    assert list(FIGURES) == list(range(1, 25)) and len(drawn) == 3 * (24 + 6 + 2)


@pytest.mark.parametrize(("number", "languages", "perplexity"), [(13, 5, 0), (20, 10, 1)])
def test_a_figure_alone_pulls_its_own_mask(tmp_path, one_shard, number, languages, perplexity):
    counts = planned(tmp_path, f"results/figures/{FIGURES[number]}.pdf", configs=one_shard)
    expected = {
        "download_model": 1,
        "quantize_model": 1,
        "download_corpus_shard": languages,
        "pack_tokens": languages,
        "collect_activations": languages,
        "merge_activations": languages,
        "identify_neurons": languages if "act-prob" in FIGURES[number] else 1,
    }
    if perplexity:
        expected |= {"pack_heldout_tokens": languages, "measure_perplexity": 1, "draw_perplexity": 1}
    else:
        expected |= {"draw_neurons": 1}
    assert counts == expected


def test_parsing_takes_seconds(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--list-rules"]
    done, loops = in_loops(lambda: subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT))
    assert loops < PARSING
    assert "collect_activations" in done.stdout.split()


def test_the_readme_s_picture_is_the_demo_s_rule_graph(tmp_path):
    """Made by: make dag CONFIG=config/demo.yaml, then cp results/dag.svg docs/demo-dag.svg."""
    done = parse(tmp_path, "--rulegraph", configs=("config/demo.yaml",))
    assert draw(done.stdout) == (ROOT / "docs/demo-dag.svg").read_text(encoding="utf-8")


def test_a_table_pulls_only_its_own_conditions(tmp_path, config):
    counts = planned(tmp_path, "results/tables/xnli.tsv", configs=PAPER)
    conditions = table_conditions(config, "xnli")
    assert {c.task for c in conditions} == {"xnli"}
    assert counts["evaluate"] == len(conditions)
    assert counts["finetune"] == 2  # XNLI's base, of both models
    assert counts["identify_neurons"] == 2 * (2 + 3)  # not the random ones
    assert counts["render_table"] == 1
    assert counts["download_task"] == 5  # none of XQuAD
    elsewhere = ("draw_neurons", "draw_perplexity", "measure_perplexity", "pack_heldout_tokens")
    assert [rule for rule in elsewhere if rule in counts] == []


def test_one_condition_can_be_asked_for_by_its_path(tmp_path):
    target = "results/mistral-nemo/metrics/xquad/vi@random/vi/p75@lape-set1.tsv"
    counts = planned(tmp_path, target, configs=PAPER)
    assert (counts["evaluate"], counts["finetune"], counts["download_model"]) == (1, 1, 1)
    assert counts["identify_neurons"] == 2  # lape-set1, and random of the language
    assert counts["summarize_activations"] == 1


def test_a_condition_of_an_unknown_intervention_says_so(tmp_path):
    target = "results/mistral-nemo/metrics/xnli/base/vi/meen@lape-set1.tsv"
    done = parse(tmp_path, "--dry-run", "--quiet=rules", target, configs=PAPER)
    assert done.returncode == 1
    assert "ValueError: meen@lape-set1: is meen, which is no intervention" in done.stdout


def test_zero_needs_no_statistics(tmp_path):
    target = "results/mistral-nemo/metrics/xnli/base/vi/zero@lape-set1.tsv"
    assert "summarize_activations" not in planned(tmp_path, target, configs=PAPER)


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_the_profile_parses(tmp_path, dry_run, profile):
    assert planned(tmp_path, "--profile", ROOT / "profiles" / profile, configs=PAPER) == job_counts(dry_run[0])
