"""The finished smallest run, held against what plain numpy, scipy, transformers and PEFT say of the same files."""

import csv
import itertools
import json
import re
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.stats
from snakemake_calls import ROOT, SMALLEST, snakemake

from langneurons.artifacts.parquet import read_parquet, write_parquet

LANGUAGES = ("en", "vi", "hi")
SETS = {"lape-set1": (("en", "vi"), 0.6), "lape-set6": (("en", "hi", "vi"), 0.95)}  # languages, activity_quantile
TABLES = ("xnli", "xquad", "xnli_finetuning", "activation_statistics", "xnli_random_neurons")
FIGURES = ("neuron_counts", "neuron_overlap", "neuron_layers", "perplexity_change", "bits_per_byte_change")
PERCENTILES = (5, 10, 25, 75, 90, 95)
LAYERS, NEURONS, BATCH = 2, 128, 4096  # of smallest.yaml's model; activations.batch_tokens of demo.yaml
# The conditions of smallest.yaml.
TARGETS = [f"{value}@{method}" for value, method in [("zero", "lape-set1"), ("zero", "act-prob-90p")]]
CONDITIONS = [
    *[("xnli", "base", language, "none") for language in ("en", "vi")],
    *[("xnli", "base", "vi", intervention) for intervention in TARGETS],
    *[("xquad", "base", language, "none") for language in ("en", "vi")],
    ("xquad", "base", "vi", "p90@lape-set1"),
]
LLAMA_CONDITIONS = [
    ("xnli", "en+vi@lape-set1", "vi", "none"),
    ("xnli", "en+vi@lape-set1", "vi", "mean@lape-set1"),
    ("xnli", "vi@random", "vi", "none"),
]
ALL = [(model, *c) for model in ("tiny-llama", "tiny-mistral") for c in CONDITIONS]
ALL += [("tiny-llama", *c) for c in LLAMA_CONDITIONS]

# transformers warns of a name of its own.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def results(finished):
    return finished / "results"


@pytest.fixture(scope="module")
def snapshot(finished):
    return finished / "resources/models/tiny-llama"


@pytest.fixture(scope="module")
def model(snapshot):
    """The float32 model as transformers alone loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(snapshot, dtype="float32").eval()


@pytest.fixture(scope="module")
def tokenizer(snapshot):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(snapshot)


@pytest.fixture(scope="module")
def activations(results, model):
    """z of every token of the statistics, by language: float64 [layers, tokens, neurons]."""
    return {language: record(model, blocks(results, language, "statistics")) for language in LANGUAGES}


def record(model, shards):
    import torch

    seen = [[] for _ in range(LAYERS)]
    handles = [
        layer.mlp.gate_proj.register_forward_hook(lambda module, given, z, kept=kept: kept.append(z.flatten(0, 1)))
        for layer, kept in zip(model.model.layers, seen, strict=True)
    ]
    with torch.inference_mode():
        for batch in (part for shard in shards for part in torch.tensor(shard).split(BATCH // shard.shape[1])):
            model(input_ids=batch)
    for handle in handles:
        handle.remove()
    return np.stack([torch.cat(kept).double().numpy() for kept in seen])


def blocks(results, language, split):
    """The blocks of a split, an array [blocks, tokens] a shard."""
    names = ["heldout"] if split == "heldout" else ["0000", "0001"]
    tables = [pq.read_table(results / f"tiny-llama/tokens/{language}/{name}.parquet") for name in names]
    assert all(set(table["split"].to_pylist()) == {split} for table in tables)
    return [np.array(table["input_ids"].to_pylist(), dtype=np.int64) for table in tables]


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def condition_file(results, kind, condition, ending):
    model, task, finetuning, language, intervention = condition
    return results / model / kind / task / finetuning / language / f"{intervention}.{ending}"


def mask(results, method, model="tiny-llama"):
    """Language -> layer -> set of neurons, from the file itself; every language of the method is a key."""
    whole, folder = results / f"{model}/neurons/{method}.parquet", results / f"{model}/neurons/{method}"
    found = {}
    for path in [whole] if whole.exists() else sorted(folder.iterdir()):
        languages = json.loads(pq.read_metadata(path).metadata[b"langneurons"])["languages"]
        assert languages == [path.stem] or path == whole
        found |= {name: {} for name in languages}
        for row in pq.read_table(path).to_pylist():
            found[row["language"]].setdefault(row["layer"], set()).add(row["neuron"])
    return found


def flat(layers):
    return {layer * NEURONS + neuron for layer, neurons in layers.items() for neuron in neurons}


# Files


def test_every_table_and_figure_is_there(results):
    for table, ending in itertools.product(TABLES, ("tsv", "md", "tex")):
        assert (results / f"tables/{table}.{ending}").stat().st_size > 50
    for kind, model, method in itertools.product(
        FIGURES, ("tiny-llama", "tiny-mistral"), ("lape-set1", "act-prob-90p")
    ):
        for ending in ("svg", "html"):
            figure = (results / f"figures/{kind}.{model}.{method}.{ending}").read_text(encoding="utf-8")
            assert f"<{ending}" in figure and len(figure) > 1000
        assert (results / f"figures/{kind}.{model}.{method}.pdf").read_bytes().startswith(b"%PDF-")
    for model, task in itertools.product(("tiny-llama", "tiny-mistral"), ("xnli", "xquad")):
        figure = (results / f"figures/finetuning_curves.{model}.{task}.svg").read_text(encoding="utf-8")
        assert (
            "Fine-tuning" in figure
            and "base" in figure
            and ("vi@random" in figure) == ((model, task) == ("tiny-llama", "xnli"))
        )
    assert {p.name.partition(".")[0] for p in (results / "tables").iterdir()} == set(TABLES)


def test_every_condition_and_no_other_was_evaluated(results):
    for kind, ending in (("metrics", "tsv"), ("predictions", "parquet")):
        expected = {condition_file(results, kind, condition, ending) for condition in ALL}
        assert set(results.glob(f"*/{kind}/**/*.{ending}")) == expected


def test_every_job_has_a_log_that_tells_no_error(results):
    logs = {str(path.relative_to(results / "logs")): path.read_text() for path in (results / "logs").rglob("*.log")}
    assert len(logs) == 137  # jobs of the run
    assert [name for name, text in logs.items() if re.search(r"^error:|Traceback", text, flags=re.M)] == []


def test_nothing_is_left_half_written(finished):
    assert [p for p in finished.rglob("*.partial*") if ".snakemake" not in p.parts] == []
    assert not list((finished / "results").glob("*/checkpoints/**/*.*"))


def test_no_output_says_where_or_when_it_was_made(finished):
    """No absolute path, host name or date, in the bytes of any file nor inside its Parquet columns."""
    words = [str(finished), str(ROOT), str(Path.home()) + "/", time.strftime("%Y-%m-%d"), time.strftime("%d %b %Y")]
    words += [socket.gethostname()] * (len(socket.gethostname()) > 5)  # a shorter one is anywhere by chance
    told = re.compile("|".join(map(re.escape, words)).encode())
    clock = re.compile(rb"\b\d\d:\d\d:\d\d\b")
    files = [path for root in ("results", "resources") for path in (finished / root).rglob("*") if path.is_file()]
    files = [path for path in files if path.name != ".snakemake_timestamp"]
    checked = [path for path in files if not {"logs", "benchmarks"} & set(path.relative_to(finished).parts)]
    assert len(checked) > 150
    for path in checked:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            content += repr(pq.read_metadata(path).metadata).encode() + repr(pq.ParquetFile(path).metadata).encode()
            texts = [
                table[name].to_pylist()
                for name, kind in zip(table.column_names, table.schema.types, strict=True)
                if str(kind) == "string"
            ]
            content += repr(texts).encode()
        assert not told.search(content), f"{path}: {told.search(content)}"
        assert path.suffix not in (".tsv", ".md", ".tex", ".json", ".svg") or not clock.search(content), path


def test_a_second_call_has_nothing_to_do(finished):
    done = snakemake(finished)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


# Statistics


@pytest.mark.parametrize("language", ["en", "vi"])
def test_percentiles_are_those_of_the_model_itself(results, activations, language):
    files = sorted((results / f"tiny-llama/statistics/{language}").iterdir())
    assert {file.stem for file in files} == {"mean", *(f"p{percentile}" for percentile in PERCENTILES)}
    z, table = activations[language], {}
    assert 5000 < z.shape[1] <= 6000
    for file in files:
        read = pq.read_table(file).to_pydict()
        assert list(read) == ["layer", "neuron", file.stem]
        assert (read["layer"], read["neuron"]) == (
            [layer for layer in range(LAYERS) for _ in range(NEURONS)],
            list(range(NEURONS)) * LAYERS,
        )
        assert json.loads(pq.read_metadata(file).metadata[b"langneurons"])["tokens"] == z.shape[1]
        table |= read
    for percentile in PERCENTILES:
        lower, upper = (np.quantile(z, percentile / 100, axis=1, method=m).ravel() for m in ("lower", "higher"))
        exact = np.quantile(z, percentile / 100, axis=1).ravel()
        bound = np.maximum(np.maximum(abs(lower), abs(upper)) / 64, 2.0**-10)
        found = np.array(table[f"p{percentile}"])
        assert (abs(found - exact) <= bound + 1e-6).all()
        assert np.ptp(found) > 0.1
    np.testing.assert_allclose(table["mean"], z.mean(axis=1).ravel(), atol=1e-6)


def test_counts_and_statistics_say_which_data_type_was_counted(results):
    for file in ("activations/en/0000", "activations/en", "statistics/en/mean"):
        metadata = pq.read_metadata(results / f"tiny-llama/{file}.parquet").metadata
        assert json.loads(metadata[b"langneurons"])["dtype"] == "float32"


def test_the_table_of_statistics_is_their_mean_over_the_neurons(results, activations):
    found = {(row["model"], row["language"]): row for row in rows(results / "tables/activation_statistics.tsv")}
    assert set(found) == set(itertools.product(("Tiny Llama", "Tiny Mistral"), ("en", "vi")))
    for language in ("en", "vi"):
        row, z = found["Tiny Llama", language], activations[language]
        assert float(row["mean"]) == pytest.approx(z.mean(), abs=1e-6)
        for percentile in (75, 90, 95, 5, 10, 25):
            exact = np.quantile(z, percentile / 100, axis=1)
            assert float(row[f"p{percentile}"]) == pytest.approx(exact.mean(), abs=abs(exact).mean() / 64 + 2.0**-10)


# Masks


@pytest.mark.parametrize("method", SETS)
def test_lape_finds_the_neurons_that_scipy_finds(results, activations, method):
    languages, quantile = SETS[method]
    shares = np.stack([(activations[language] > 0).mean(axis=1).ravel() for language in languages])
    threshold = np.quantile(shares, quantile)
    candidates = np.flatnonzero((shares > threshold).any(axis=0))
    order = np.argsort(scipy.stats.entropy(shares, axis=0)[candidates], kind="stable")
    chosen = candidates[order[: round(0.05 * shares.shape[1])]]
    assert len(chosen) == 13
    found = mask(results, method)
    assert set(found) == set(languages)
    for share, language in zip(shares, languages, strict=True):
        assert flat(found[language]) == set(chosen[share[chosen] > threshold].tolist())
    assert method != "lape-set1" or all(found.values())


def test_lape_scores_are_entropies(results, activations):
    shares = np.stack([(activations[language] > 0).mean(axis=1) for language in SETS["lape-set6"][0]])
    entropy = scipy.stats.entropy(shares, axis=0)
    for row in pq.read_table(results / "tiny-llama/neurons/lape-set6.parquet").to_pylist():
        assert row["score"] == pytest.approx(entropy[row["layer"], row["neuron"]], abs=1e-9)


def test_activation_probability_takes_the_neurons_that_fire_most(results, activations):
    found = mask(results, "act-prob-90p")
    assert set(found) == set(LANGUAGES)
    for language, z in activations.items():
        threshold = np.quantile(z, 0.9, axis=(1, 2))  # one per layer; the workflow knows it within 1/64
        relevance = (z > threshold[:, None, None]).mean(axis=1).ravel()
        assert len(flat(found[language])) == round(0.01 * LAYERS * NEURONS)
        best = np.sort(relevance)[-len(flat(found[language]))]
        assert min(relevance[sorted(flat(found[language]))]) >= best - 0.02
        assert best > 3 * relevance.mean()


def test_random_neurons_have_the_numbers_of_what_they_control(results):
    found = mask(results, "random")
    assert set(found) == {"vi", "hi"}
    for language, method in (("vi", "lape-set1"), ("hi", "lape-set6")):
        reference = mask(results, method)[language]
        assert {layer: len(n) for layer, n in found[language].items()} == {k: len(n) for k, n in reference.items()}
    assert found["vi"] != mask(results, "lape-set1")["vi"]


# Evaluation


@pytest.mark.parametrize("condition", ALL, ids="/".join)
def test_metrics_are_those_of_the_predictions(finished, results, condition):
    model, task, _, language, intervention = condition
    (metrics,) = rows(condition_file(results, "metrics", condition, "tsv"))
    predictions = pq.read_table(condition_file(results, "predictions", condition, "parquet")).to_pydict()
    test = pq.read_table(finished / f"resources/tasks/{task}/{language}.test.parquet").to_pydict()
    assert tuple(metrics[key] for key in ("model", "task", "finetuning", "language", "intervention")) == condition
    assert int(metrics["examples"]) == len(predictions["id"]) == len(set(predictions["id"]))
    assert int(metrics["examples"]) + int(metrics["dropped"]) == len(test["id"])
    given = dict(zip(test["id"], test["label" if task == "xnli" else "answers"], strict=True))
    assert predictions["gold"] == [given[i] for i in predictions["id"]]
    if task == "xnli":
        gold, predicted = np.array(predictions["gold"]), np.array(predictions["prediction"])
        assert (predicted == np.argmax(predictions["logits"], axis=1)).all()
        assert float(metrics["accuracy"]) == pytest.approx(100 * np.mean(gold == predicted), abs=1e-9)
    else:
        for name in ("exact_match", "f1", "exact_match_model_tokens", "f1_model_tokens"):
            assert float(metrics[name]) == pytest.approx(100 * np.mean(predictions[name]), abs=1e-9)
    method = intervention.partition("@")[2]
    expected = len(flat(mask(results, method, model)[language])) if method else 0
    assert int(metrics["neurons"]) == expected
    assert bool(method) == bool(expected)


def test_the_tables_hold_the_metrics(results):
    titles = {"tiny-llama": "Tiny Llama", "tiny-mistral": "Tiny Mistral"}
    methods = {"lape-set1": "LAPE", "act-prob-90p": "Act Prob 90p", "": ""}
    table = {(r["model"], r["method"], r["language"]): r for r in rows(results / "tables/xnli.tsv")}
    assert len(table) == 2 * 3
    for model, finetuning, language, intervention in [(c[0], *c[2:]) for c in ALL if c[1:3] == ("xnli", "base")]:
        (metrics,) = rows(
            condition_file(results, "metrics", (model, "xnli", finetuning, language, intervention), "tsv")
        )
        value, _, method = intervention.partition("@")
        where = [methods[method]] if method else ["LAPE", "Act Prob 90p"] if language == "vi" else [""]
        for name in where:
            row = table[titles[model], name, language]
            assert row[value] == metrics["accuracy"]
            if method:
                assert row["neurons"] == metrics["neurons"]
    assert all(row["zero"] == "" for (_, method, _), row in table.items() if not method)  # missing is no number


def drawn_interval(right, of):
    """95 % of the shares of premises drawn with replacement, whole, by the run's seed; Wilson's where all are alike."""
    if sum(right) in (0, sum(of)):
        found = scipy.stats.binomtest(len(of) if sum(right) else 0, len(of)).proportion_ci(0.95, method="wilson")
        return 100 * found.low, 100 * found.high
    rng, right, of = np.random.default_rng(42), np.array(right), np.array(of)
    drawn = np.concatenate([rng.integers(0, len(of), (1_000, len(of))) for _ in range(10)])
    return tuple(100 * np.percentile(right[drawn].sum(axis=1) / of[drawn].sum(axis=1), [2.5, 97.5]))


def test_the_tables_say_what_their_numbers_can_bear(results):
    """Intervals, p-values and their correction in Table 1's miniature, by numpy alone from the predictions."""
    titles = {"Tiny Llama": "tiny-llama", "Tiny Mistral": "tiny-mistral"}
    methods = {"LAPE": "lape-set1", "Act Prob 90p": "act-prob-90p"}

    def right(model, language, intervention):
        path = condition_file(results, "predictions", (model, "xnli", "base", language, intervention), "parquet")
        table = pq.read_table(path).to_pydict()
        premises.update(zip(table["id"], table["premise"], strict=True))
        assert table["score"] == [float(p == g) for p, g in zip(table["prediction"], table["gold"], strict=True)]
        return {i: p == g for i, p, g in zip(table["id"], table["prediction"], table["gold"], strict=True)}

    tests, premises = {}, {}
    table = rows(results / "tables/xnli.tsv")
    family = len(rows(results / "comparisons/xnli.intervention.tsv"))
    assert family == 4 + 1  # of this table and of the fine-tunings'
    for row in table:
        for value in ("none", "zero"):
            if row[value] == "":
                continue
            intervention = value if value == "none" else f"{value}@{methods[row['method']]}"
            own = right(titles[row["model"]], row["language"], intervention)
            names = sorted({premises[i] for i in own})
            by_premise = [[own[i] for i in own if premises[i] == name] for name in names]
            ends = float(row[f"{value}_low"]), float(row[f"{value}_high"])
            assert ends == pytest.approx(drawn_interval([sum(g) for g in by_premise], [len(g) for g in by_premise]))
            assert (int(row["examples"]), int(row["dropped"])) == (len(own), 12 - len(own))
        if row["method"]:
            none = right(titles[row["model"]], row["language"], "none")
            sums = [sum(own[i] - none[i] for i in own if premises[i] == name) for name in set(premises.values())]
            totals = [abs(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=len(sums))]
            p = np.mean([total >= abs(sum(sums)) for total in totals])
            assert float(row["zero_p"]) == pytest.approx(p)
            assert float(row["zero_effect"]) == pytest.approx(100 * sum(sums) / len(own))
            assert float(row["zero_p_adjusted"]) == pytest.approx(min(1, family * p))
            tests[row["model"], row["method"]] = p
    assert len(tests) == 4


def test_a_table_without_a_prediction_is_not_written(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = "results/tiny-llama/predictions/xquad/base/vi/p90@lape-set1.parquet"
    table, facts = read_parquet(run / path, "predictions")
    write_parquet(run / path, table.slice(1), "predictions", facts)
    done = snakemake(run, "results/tables/xquad.tsv", "--rerun-triggers=mtime", warm=True)
    assert done.returncode != 0
    said = f"{path}: holds {len(table) - 1} examples where the metrics count {len(table)}; evaluate this condition"
    assert said in done.stdout
    assert not list((run / "results/tables").glob("xquad.*"))


@pytest.fixture(scope="module")
def classifier(results, snapshot):
    """A function of an adapter's name: the float32 classifier with that adapter, by transformers and PEFT alone."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    def load(finetuning):
        base = AutoModelForSequenceClassification.from_pretrained(snapshot, dtype="float32", num_labels=3)
        return PeftModel.from_pretrained(base, results / "tiny-llama/adapters/xnli" / finetuning).eval()

    return load


@pytest.mark.parametrize(
    ("finetuning", "language", "intervention"),
    [c[2:] for c in ALL if c[:2] == ("tiny-llama", "xnli")],
    ids=lambda part: part,
)
def test_adapters_and_interventions_give_their_logits_without_this_library(
    finished, results, tokenizer, classifier, finetuning, language, intervention
):
    import torch

    classify = classifier(finetuning)
    value, _, method = intervention.partition("@")
    if method:
        overwrite(classify, results, mask(results, method)[language], value, language)
    test = pq.read_table(finished / f"resources/tasks/xnli/{language}.test.parquet").to_pylist()
    path = condition_file(results, "predictions", ("tiny-llama", "xnli", finetuning, language, intervention), "parquet")
    kept = {row["id"]: row["logits"] for row in pq.read_table(path).to_pylist()}
    assert kept
    for example in test:
        if example["id"] not in kept:
            continue
        ids = tokenizer(f"{example['premise']} {tokenizer.eos_token} {example['hypothesis']}").input_ids
        with torch.inference_mode():
            logits = classify(input_ids=torch.tensor([ids])).logits[0]
        np.testing.assert_allclose(kept[example["id"]], logits.numpy(), atol=2e-5)


def overwrite(model, results, neurons, value, language):
    """Plain hooks that set a = silu(z) of ``neurons`` to 0, or to their ``value`` of the language's statistics."""
    table = None
    if value != "zero":
        file = results / f"tiny-llama/statistics/{language}/{value}.parquet"
        table = pq.read_table(file).to_pandas().set_index(["layer", "neuron"])
    names = dict(model.named_modules())
    for layer, indices in neurons.items():
        (act,) = [module for name, module in names.items() if name.endswith(f"layers.{layer}.mlp.act_fn")]
        own = sorted(indices)
        constants = [0.0 if value == "zero" else float(table.loc[(layer, neuron), value]) for neuron in own]

        def hook(module, given, output, own=own, constants=constants):
            output = output.clone()
            for neuron, constant in zip(own, constants, strict=True):
                output[..., neuron] = constant
            return output

        act.register_forward_hook(hook)


def test_an_intervention_changes_the_logits(results):
    def logits(finetuning, intervention):
        condition = ("tiny-llama", "xnli", finetuning, "vi", intervention)
        return np.array(
            pq.read_table(condition_file(results, "predictions", condition, "parquet"))["logits"].to_pylist()
        )

    for finetuning, intervention in [("base", target) for target in TARGETS] + [("en+vi@lape-set1", "mean@lape-set1")]:
        assert abs(logits(finetuning, intervention) - logits(finetuning, "none")).max() > 1e-4
    assert abs(logits("base", "none") - logits("en+vi@lape-set1", "none")).max() > 1e-4


@pytest.mark.parametrize("intervention", ["none", "p90@lape-set1"])
def test_answers_are_those_of_plain_generation(finished, results, snapshot, tokenizer, intervention):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(snapshot, dtype="float32")
    answer = PeftModel.from_pretrained(base, results / "tiny-llama/adapters/xquad/base").eval()
    value, _, method = intervention.partition("@")
    if method:
        overwrite(answer, results, mask(results, method)["vi"], value, "vi")
    path = condition_file(results, "predictions", ("tiny-llama", "xquad", "base", "vi", intervention), "parquet")
    kept = {row["id"]: row["prediction"] for row in pq.read_table(path).to_pylist()}
    test = pq.read_table(finished / "resources/tasks/xquad/vi.test.parquet").to_pylist()
    assert kept
    for example in (example for example in test if example["id"] in kept):
        prompt = tokenizer(f"{example['context'].strip()}\n{example['question'].strip()}\n", add_special_tokens=False)
        ids = torch.tensor([[tokenizer.bos_token_id, *prompt.input_ids]])
        with torch.inference_mode():
            written = answer.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=3, do_sample=False
            )
        text = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert kept[example["id"]] == text


# Perplexity


def test_perplexity_is_that_of_the_model_itself(results, model):
    import torch

    def perplexity(language, neurons):
        (ids,) = blocks(results, language, "heldout")
        handles = []
        for layer, indices in neurons.items():
            own = sorted(indices)
            act = model.model.layers[layer].mlp.act_fn
            handles.append(act.register_forward_hook(lambda m, i, o, own=own: o.index_fill(-1, torch.tensor(own), 0.0)))
        with torch.inference_mode():
            chances = model(input_ids=torch.tensor(ids)).logits.double().log_softmax(-1).numpy()
        for handle in handles:
            handle.remove()
        told = np.take_along_axis(chances[:, :-1], ids[:, 1:, None], axis=2)
        return float(np.exp(-told.mean())), told.size

    found = rows(results / "tiny-llama/perplexity/lape-set1.tsv")
    neurons = mask(results, "lape-set1")
    assert [(r["language"], r["zeroed"]) for r in found] == list(itertools.product(("en", "vi"), repeat=2))
    for row in found:
        base, tokens = perplexity(row["language"], {})
        zeroed, _ = perplexity(row["language"], neurons[row["zeroed"]])
        assert int(row["tokens"]) == tokens > 400
        assert int(row["neurons"]) == len(flat(neurons[row["zeroed"]])) > 0
        assert float(row["perplexity_base"]) == pytest.approx(base, rel=1e-5)
        assert float(row["perplexity_zeroed"]) == pytest.approx(zeroed, rel=1e-5)
        assert float(row["change"]) == pytest.approx(zeroed - base, abs=1e-5 * base)
        assert abs(zeroed - base) > 1e-3


def test_a_language_without_neurons_is_a_normal_case(finished, tmp_path):
    """One neuron for three languages leaves one of them none: its rows are there, and change nothing."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    edit = {"methods": {"lape-set6": {"top_fraction": 0.004}}, "tasks": {"xnli": {"languages": ["vi", "hi"]}}}
    overlay = tmp_path / "one.yaml"
    overlay.write_text(json.dumps(edit), encoding="utf-8")
    metrics = [f"results/tiny-llama/metrics/xnli/base/hi/{i}.tsv" for i in ("none", "mean@lape-set6", "zero@lape-set6")]
    targets = ["results/tiny-llama/perplexity/lape-set6.tsv", *metrics]
    done = snakemake(run, *targets, configs=(*SMALLEST, overlay), warm=True)
    assert done.returncode == 0, done.stdout
    found = rows(run / targets[0])
    none = {row["zeroed"] for row in found if row["neurons"] == "0"}
    assert none == {language for language, layers in mask(run / "results", "lape-set6").items() if not layers}
    assert none and len(found) == 9
    for row in found:
        assert (row["change"] == "0.0") == (row["zeroed"] in none)
        assert (row["perplexity_base"] == row["perplexity_zeroed"]) == (row["zeroed"] in none)
    if "hi" in none:
        (without, mean, zero) = [rows(run / path)[0] for path in metrics]
        assert [row["neurons"] for row in (without, mean, zero)] == ["0"] * 3
        predictions = [
            pq.read_table(run / p.replace("metrics", "predictions").replace(".tsv", ".parquet")) for p in metrics
        ]
        assert predictions[0].equals(predictions[1]) and predictions[0].equals(predictions[2])
