"""What jobs ask for, by model, rule and attempt."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from langneurons.activations.sketch import BINS
from langneurons.config.load import load_config
from langneurons.runner.resources import (
    HISTOGRAM,
    HOLDS_MODEL,
    examples,
    loaded_bytes,
    memory,
    parameters,
    runtime,
    seconds,
)

GPU = sorted(HOLDS_MODEL)
EVALUATION = {"model": "llama-3.1-8b", "task": "xnli", "finetuning": "base", "language": "vi", "intervention": "none"}


@pytest.fixture(scope="module")
def raw(root):
    return yaml.safe_load((root / "config/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def paper(raw):
    return load_config(raw)


@pytest.fixture(scope="module")
def bf16(raw):
    """The paper's models without quantisation."""
    edited = copy.deepcopy(raw)
    update_config(edited, {"models": {key: {"quantization": "none"} for key in raw["models"]}})
    return load_config(edited)


@pytest.fixture(scope="module")
def demo(raw, root):
    edited = copy.deepcopy(raw)
    update_config(edited, yaml.safe_load((root / "config/demo.yaml").read_text(encoding="utf-8")))
    return load_config(edited)


# MB: what torch takes (4,000), the snapshot at two bytes a parameter, histograms where they are held.
MEMORY = {
    ("llama-3.1-8b", "evaluate"): 20_000,
    ("llama-3.1-8b", "finetune"): 20_000,
    ("llama-3.1-8b", "collect_activations"): 24_000,
    ("llama-3.1-8b", "merge_activations"): 13_900,
    ("llama-3.1-8b", "identify_neurons"): 23_800,
    ("llama-3.1-8b", "pack_tokens"): 4_000,
    ("llama-3.1-8b", "quantize_model"): 20_000,
    ("llama-3.1-8b", "identify_half_neurons"): 23_800,
    ("mistral-nemo", "evaluate"): 28_400,
    ("mistral-nemo", "collect_activations"): 34_500,
    ("mistral-nemo", "identify_neurons"): 34_100,
}


@pytest.mark.parametrize(("model", "rule"), MEMORY)
def test_memory_by_model_and_rule(paper, bf16, model, rule):
    assert memory(paper, rule, model) == MEMORY[model, rule]
    assert memory(bf16, rule, model) == MEMORY[model, rule]  # the snapshot is the same, 4 bits or not
    assert memory(paper, rule, model, attempt=2) == 1.5 * MEMORY[model, rule]


def test_4_bit_weights_are_read_sooner(paper, bf16):
    """Of Llama 3.1 8B: 6.98 billion parameters in its linear layers, which alone are quantised; the rest at 16 bits.

    4 bits each, a scale of 8 bits for 64 of them, and one of 32 bits for 256 scales.
    """
    linear, embeddings = 6.98e9, 2 * 128_256 * 4096
    expected = linear * (4 + 8 / 64 + 32 / 64 / 256) / 8 + 2 * embeddings
    assert loaded_bytes(paper.models["llama-3.1-8b"]) == pytest.approx(expected, rel=0.05)
    assert loaded_bytes(bf16.models["llama-3.1-8b"]) == 16e9


def test_memory_holds_the_snapshot_and_the_histograms(paper):
    neurons = {"llama-3.1-8b": 32 * 14336, "mistral-nemo": 40 * 14336}
    for model, number in neurons.items():
        weights, counts = 2 * paper.models[model].parameters / 1e6, number * BINS * 4 / 1e6
        for rule in GPU:
            assert memory(paper, rule, model) >= weights + 4_000
        assert memory(paper, "collect_activations", model) >= weights + 2 * counts
        assert memory(paper, "merge_activations", model) >= 2 * counts + 3_000


def test_a_histogram_is_the_sketch_s():
    assert HISTOGRAM == BINS * 4


def test_tiny_models_ask_for_little(demo):
    for model in demo.run.models:
        assert 1e5 < parameters(demo.models[model]) < 2e6
        for rule in (*GPU, "merge_activations", "identify_neurons"):
            assert memory(demo, rule, model) <= 4_200
    assert runtime(demo, "evaluate", EVALUATION | {"model": "tiny-llama"}) <= 10


def test_the_parameters_of_a_tiny_model_are_transformers_own(demo):
    from transformers import LlamaConfig, LlamaForCausalLM

    spec = demo.models["tiny-llama"]
    shape = LlamaConfig(
        hidden_size=spec.hidden,
        intermediate_size=spec.neurons,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.key_value_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocabulary,
        tie_word_embeddings=False,
    )
    own = sum(p.numel() for p in LlamaForCausalLM(shape).parameters())
    assert parameters(spec) == pytest.approx(own, rel=0.01)  # norms left out


@pytest.mark.parametrize("rule", GPU)
def test_time_grows_with_the_model_and_the_attempt(paper, rule):
    wildcards = EVALUATION | {"method": "lape-set6", "shard": "0000"}
    small = runtime(paper, rule, wildcards)
    larger = wildcards | {"model": "mistral-nemo"}
    assert small <= runtime(paper, rule, larger)
    assert seconds(paper, rule, wildcards) < seconds(paper, rule, larger)
    assert runtime(paper, rule, wildcards, attempt=2) == 2 * small
    assert small * 60 >= 1.5 * seconds(paper, rule, wildcards)


def test_training_is_longer_in_4_bits(paper, bf16):
    assert seconds(paper, "finetune", EVALUATION) > seconds(bf16, "finetune", EVALUATION)


def test_a_rule_without_a_model_takes_a_start(paper):
    assert seconds(paper, "write_demo_corpus", {"language": "vi"}) < 60


def test_a_directory_s_size_counts_where_none_is_declared(raw, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    edited = copy.deepcopy(raw)
    own = {"title": "Own", "source": "files", "path": str(tmp_path)}
    edited["models"]["own"] = own
    edited["models"]["declared"] = own | {"parameters": "7.0e9"}
    models = load_config(edited).models
    assert parameters(models["own"]) == 500
    assert parameters(models["declared"]) == 7e9


@pytest.mark.parametrize(
    ("task", "split", "number"),
    [("xnli", "train", 98_176), ("xnli", "test", 5_010), ("xquad", "train", 952), ("xquad", "test", 238)],
)
def test_examples_are_the_public_data_sets_shares(paper, task, split, number):
    assert examples(paper, task, split) == number
