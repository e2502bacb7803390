"""Where the paper's text and its numbers part, both ways: each runs, and the numbers differ as their definitions do.

The definitions are worked out here with numpy, from z as the model's own modules give it. That a value reaches its job
is in tests/workflow/test_switches.py.
"""

import json

import numpy as np
import pytest
import torch
from task_pieces import import_xquad, scoring, section

from langneurons.activations.collector import collect
from langneurons.activations.statistics import summarize
from langneurons.activations.storage import write_counts
from langneurons.evaluation.condition import write_condition
from langneurons.experiment.condition import Condition
from langneurons.interventions.hook import intervene
from langneurons.methods.identify import identify
from langneurons.methods.sources import Sources
from langneurons.tables.condition_tables import condition_table, read_metrics
from langneurons.tables.rows import Row
from langneurons.tasks import xquad
from langneurons.tasks.files import read_task
from langneurons.tasks.metrics import percent, score_answer

LAYERS, WIDTH, BLOCK, BATCH = 2, 160, 8, 64
FRACTION = 0.05
SITES = ("gate", "act")


@pytest.fixture(scope="module")
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.3, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.layers[1].mlp.gate_proj.weight *= 2  # layers differ, as those of real models do
    return model


@pytest.fixture(scope="module")
def blocks():
    """Text whose beginning has other words than its end, as articles of a corpus do: batches differ."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(10 * i, 10 * i + 10, (40, BLOCK), dtype=np.int32) for i in range(5)])


@pytest.fixture(scope="module")
def z(model, blocks):
    """float64 [tokens, layers, neurons]."""
    seen = [[] for _ in range(LAYERS)]
    handles = [
        layer.mlp.gate_proj.register_forward_hook(lambda m, given, out, kept=kept: kept.append(out.flatten(0, 1)))
        for layer, kept in zip(model.model.layers, seen, strict=True)
    ]
    with torch.no_grad():
        model(input_ids=torch.tensor(blocks.astype(np.int64)))
    for handle in handles:
        handle.remove()
    return np.stack([torch.cat(kept).double().numpy() for kept in seen], axis=1)


@pytest.fixture(scope="module")
def counts(model, blocks):
    return collect(model, blocks, 128, batch_percentiles=(5, 90), every=1, reference_tokens=BATCH)


def silu(z):
    return z / (1 + np.exp(-z))


def batch_mean(z, q):
    batches = z.reshape(-1, BATCH, LAYERS, WIDTH)
    return np.mean([np.percentile(batch, q, axis=0) for batch in batches], axis=0)


def column(counts, name, **options):
    return summarize(counts, name, **options)[name].to_numpy().reshape(LAYERS, WIDTH)


def logits(model, neurons, constants, site):
    values = {layer: constants[layer, indices] for layer, indices in neurons.items()}
    with torch.inference_mode(), intervene(model, neurons, values, site):
        return model(input_ids=torch.tensor([[3, 14, 25, 36, 47]])).logits.numpy()


# statistics.site: gate (paper) or act


def test_statistics_of_z_and_of_its_activation(counts, z):
    found = {site: {name: column(counts, name, site=site) for name in ("mean", "p5", "p90")} for site in SITES}
    expected = {"gate": z, "act": silu(z)}
    for site, values in expected.items():
        np.testing.assert_allclose(found[site]["mean"], values.mean(axis=0), atol=0.01)
        for q in (5, 90):
            np.testing.assert_allclose(found[site][f"p{q}"], np.percentile(values, q, axis=0), rtol=0.03, atol=0.01)
    # Table 6's P5 of -0.79 can only be z: SiLU is nowhere below -0.2785.
    assert found["gate"]["p5"].min() < -0.79 and found["act"]["p5"].min() >= -0.2785
    assert np.array_equal(column(counts, "positive", site="gate"), column(counts, "positive", site="act"))


# interventions.site: act (paper) or gate


def test_overwriting_z_is_overwriting_its_activation_with_silu_of_the_constant(model, counts):
    neurons = {0: np.array([2, 5, 11]), 1: np.array([0, 7])}
    constants = column(counts, "p90", site="gate")
    at = {site: logits(model, neurons, constants, site) for site in SITES}
    assert np.abs(at["gate"] - at["act"]).max() > 0.1
    np.testing.assert_allclose(at["gate"], logits(model, neurons, silu(constants), "act"), atol=1e-5)


def test_recording_and_overwriting_at_one_site_is_the_same_at_either(model, counts, z):
    """SiLU rises above -1.28: a percentile of z there goes to the same percentile of a. The paper mixes the sites."""
    neurons = {layer: np.flatnonzero(np.percentile(z, 90, axis=0)[layer] > 0.5)[:6] for layer in range(LAYERS)}
    both = {site: logits(model, neurons, column(counts, "p90", site=site), site) for site in SITES}
    paper = logits(model, neurons, column(counts, "p90", site="gate"), "act")
    np.testing.assert_allclose(both["gate"], both["act"], atol=1e-3)
    assert np.abs(paper - both["act"]).max() > 0.05


# statistics.estimate: exact or batch_mean (the paper's code)


def test_percentiles_over_all_tokens_and_their_mean_over_batches(counts, z):
    for q in (5, 90):
        true, averaged = np.percentile(z, q, axis=0), batch_mean(z, q)
        exact, mean = (column(counts, f"p{q}", estimate=way) for way in ("exact", "batch_mean"))
        np.testing.assert_allclose(exact, true, rtol=1 / 32, atol=0.02)  # a bin wide
        np.testing.assert_allclose(mean, averaged, atol=1e-5)
        assert np.abs(mean - exact).max() > 0.2
        large = np.abs(averaged - true) > 0.1
        assert (np.sign(mean - exact) == np.sign(averaged - true))[large].all()


# methods.*.threshold: batch_mean (paper), layer or model


def test_neurons_above_each_threshold(counts, z, tmp_path):
    write_counts(tmp_path / "en.parquet", counts, {"model": "d" * 64, "language": "en", "shards": ["0"]})
    thresholds = {
        "batch_mean": batch_mean(z, 90),
        "layer": np.percentile(z, 90, axis=(0, 2))[:, None],
        "model": np.percentile(z, 90),
    }
    number = round(FRACTION * LAYERS * WIDTH)
    chosen, spread = {}, {}
    for name, threshold in thresholds.items():
        relevance = (z > threshold).mean(axis=0)
        spec = {"kind": "activation_probability", "percentile": 90, "threshold": name, "top_fraction": FRACTION}
        sources = Sources({"en": [tmp_path / "en.parquet"]})
        mask = identify("act-prob-90p", spec | {"languages": ["en"]}, sources)
        chosen[name] = {(layer, int(n)) for layer, found in mask.neurons("en").items() for n in found}
        least = np.sort(relevance, axis=None)[-number]
        assert len(chosen[name]) == number
        assert min(relevance[layer, n] for layer, n in chosen[name]) > least - 0.02  # as near as bins tell
        for layer, scores in mask.scores["en"].items():
            np.testing.assert_allclose(scores, relevance[layer, mask.neurons("en")[layer]], atol=0.02)
        spread[name] = mask.details["en"]["spread"]
        assert spread[name] == pytest.approx(relevance.std(), rel=0.1)
    assert len({frozenset(found) for found in chosen.values()}) == 3
    # A neuron's own percentile leaves every neuron near a share of 10 %: what is ranked is how uneven its batches are.
    assert spread["batch_mean"] < spread["layer"] / 4


# tasks.xquad.train: xquad (paper) or squad


def test_xquad_trains_on_its_own_first_questions_or_tests_on_all(tmp_path):
    asked = [{"id": str(i), "question": f"q{i}", "answers": [{"text": "a", "answer_start": 0}]} for i in range(1190)]
    paragraphs = [{"context": f"a {i}", "qas": asked[5 * i : 5 * i + 5]} for i in range(238)]
    (tmp_path / "x.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    ids = {}
    for part in ("train", "test", "all"):
        import_xquad(tmp_path / "x.json", tmp_path / "out.parquet", part, 0.8)
        ids[part] = read_task(tmp_path / "out.parquet", "xquad")["id"].to_pylist()
    assert (len(ids["train"]), len(ids["test"]), len(ids["all"])) == (952, 238, 1190)
    assert ids["train"] + ids["test"] == ids["all"] == [str(i) for i in range(1190)]


# tasks.xquad.metric: model_tokens (paper) or mlqa


def test_the_table_takes_the_metric_that_is_asked_for(tmp_path):
    # text, gold answers, the model's tokens of the text, those of the first answer. By MLQA's rules 1, 1 and 0 are
    # equal, with F1 1, 1, 2/3; by tokens of the first answer 1, 0 and 0, with F1 1, 2/5 and 2/4.
    answered = [
        ("Paris", ["Paris"], [7, 8], [7, 8]),
        ("The Broncos", ["broncos"], [3, 4, 5], [4, 9]),
        ("Santa Clara", ["x", "Clara"], [1, 2], [2, 6]),
    ]
    scores = [score_answer(text, gold, "en", tokens, first) for text, gold, tokens, first in answered]
    metrics = {"neurons": 0, "examples": 3, "dropped": 0} | {
        name: percent(s[name] for s in scores) for name in scores[0]
    }
    condition = Condition("tiny", "xquad", "base", "en", "none")
    write_condition(condition, metrics, read_nothing(), {}, tmp_path / "m.tsv", tmp_path / "p.parquet")
    row = Row("tiny", "LAPE", "", "en", {"none": condition})
    expected = {"mlqa": (200 / 3, (1 + 1 + 2 / 3) / 0.03), "model_tokens": (100 / 3, (1 + 0.4 + 0.5) / 0.03)}
    notes = {}
    for metric, numbers in expected.items():
        scored = scoring("xquad", metric)
        measured = read_metrics([tmp_path / "m.tsv"], scored.metrics)
        table = condition_table([row], measured, scored.columns, {"tiny": "Tiny"}, False, [])
        assert (table["none_em"][0], table["none_f1"][0]) == pytest.approx(numbers)
        (notes[metric],) = xquad.notes(section("xquad", metric=metric))
    assert "model's own tokens of the first answer, as in the paper" in notes["model_tokens"]
    assert "MLQA's rules" in notes["mlqa"]


def read_nothing():
    import pyarrow as pa

    return pa.table({"id": pa.array([], pa.string())})
