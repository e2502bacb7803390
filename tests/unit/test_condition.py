"""A condition's intervention: whose mask it takes, whose values; and that evaluation drops nothing unsaid."""

import json

import numpy as np
import pytest
import torch
from artifact_files import statistic_file

from langneurons.evaluation.condition import intervention
from langneurons.evaluation.perplexity import measure_changes
from langneurons.experiment.condition import Condition
from langneurons.methods.mask import mask_from
from langneurons.models.loading import load_base, snapshot_digest

LAYERS, NEURONS = 2, 24
SHAPE = {"layers": LAYERS, "neurons_per_layer": NEURONS}
ENTRIES = {"vi": {0: [3, 5], 1: [7]}, "hi": {}}


def snapshot(folder, seed):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=NEURONS, num_hidden_layers=LAYERS, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.4, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # a snapshot has them; nothing here reads them
        (folder / name).write_text(json.dumps({}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """Two models of one shape."""
    return [snapshot(tmp_path_factory.mktemp(f"model{seed}"), seed) for seed in (0, 1)]


def mask_of(folder, **changes):
    scores = {k: {layer: np.ones(len(n)) for layer, n in v.items()} for k, v in ENTRIES.items()}
    return mask_from("lape-set1", ENTRIES, scores, **SHAPE | {"model": snapshot_digest(folder)} | changes)


def of(value, language="vi"):
    return Condition("tiny", "xnli", "base", language, value)


def test_a_mask_of_another_model_of_the_same_shape_is_refused(snapshots, tmp_path):
    own, other = snapshots
    model = load_base(own)
    message = (
        "mask lape-set1 was identified on snapshot .{12}, the model is .{12}; identify the neurons of this snapshot"
    )
    mask_of(other).write(tmp_path / "other.parquet", model_key="tiny")
    with pytest.raises(ValueError, match=r"other\.parquet: model is .{12}…, .{12}… was expected"):
        intervention(model, own, of("zero@lape-set1"), tmp_path / "other.parquet", None, "act")
    texts = {"vi": (np.ones((2, 8), dtype=np.int32), np.array([9, 9]))}
    seen = []
    hook = model.register_forward_pre_hook(lambda module, given: seen.append(1))
    with pytest.raises(ValueError, match=f"^{message}$"):
        measure_changes(model, own, mask_of(other), texts, "act", 64)
    hook.remove()
    assert seen == []  # refused before the model runs


def test_a_mask_of_another_shape_is_refused(snapshots, tmp_path):
    own, _ = snapshots
    model, mask = load_base(own), mask_of(own, layers=3)
    mask.write(tmp_path / "mask.parquet", model_key="tiny")
    with pytest.raises(ValueError, match="is for 3 layers of 24 neurons, the model has 2 of 24"):
        intervention(model, own, of("zero@lape-set1"), tmp_path / "mask.parquet", {}, "act")
    with pytest.raises(ValueError, match="is for 3 layers of 24 neurons, the model has 2 of 24"):
        measure_changes(model, own, mask, {}, "act", 64)


def test_an_intervention_takes_its_own_models_mask(snapshots, tmp_path):
    own, _ = snapshots
    model = load_base(own)
    mask_of(own).write(tmp_path / "mask.parquet", model_key="tiny")
    values = np.arange(LAYERS * NEURONS) / 10
    columns = {"layer": np.repeat([0, 1], NEURONS), "neuron": np.tile(np.arange(NEURONS), 2), "mean": values}
    statistic_file(tmp_path / "mean.parquet", "mean", columns, "tiny", "vi", model=snapshot_digest(own))
    seen = {}
    with torch.inference_mode():
        context, count = intervention(
            model, own, of("mean@lape-set1"), tmp_path / "mask.parquet", {"mean": tmp_path / "mean.parquet"}, "act"
        )
        with context:
            for i, layer in enumerate(model.model.layers):
                layer.mlp.act_fn.register_forward_hook(lambda m, given, a, i=i: seen.update({i: a.clone()}))
            model(input_ids=torch.tensor([[4, 5, 6]]))
    assert count == 3
    for layer, neurons in ENTRIES["vi"].items():
        for neuron in neurons:
            assert seen[layer][0, :, neuron].tolist() == pytest.approx([values[layer * NEURONS + neuron]] * 3)
    assert intervention(model, own, of("zero@lape-set1", "hi"), tmp_path / "mask.parquet", {}, "act")[1] == 0
    assert intervention(model, "nowhere", of("none"), None, {}, None)[1] == 0  # reads no file


def test_files_of_another_job_are_refused(snapshots, tmp_path):
    """A mask of another method, statistics of another language, model, site: each by its name."""
    own, _ = snapshots
    model = load_base(own)
    mask, mean = tmp_path / "mask.parquet", tmp_path / "mean.parquet"
    mask_of(own).write(mask, model_key="tiny", settings={"top_fraction": 0.05})
    columns = {"layer": np.repeat([0, 1], NEURONS), "neuron": np.tile(np.arange(NEURONS), 2), "mean": np.ones(48)}

    def refused(message, name="mean@lape-set1", settings=None):
        with pytest.raises(ValueError, match=message):
            intervention(model, own, of(name), mask, {"mean": mean}, "act", {"mean": {"site": "gate"}}, settings)

    statistic_file(mean, "mean", columns, "tiny", "vi", site="gate")
    refused(r"mean\.parquet: does not say its model")
    said = r"mask\.parquet: settings is \{'top_fraction': 0\.05\}, \{'top_fraction': 0\.01\} was expected"
    refused(said, settings={"top_fraction": 0.01})
    refused(r"mask\.parquet: method is 'lape-set1', 'lape-set6' was expected", "mean@lape-set6")
    statistic_file(mean, "mean", columns, "tiny", "hi", site="gate")
    refused(r"mean\.parquet: language is 'hi', 'vi' was expected")
    statistic_file(mean, "mean", columns, "other", "vi", site="gate")
    refused(r"mean\.parquet: model key is 'other', 'tiny' was expected")
    statistic_file(mean, "mean", columns, "tiny", "vi", site="act")
    refused(r"mean\.parquet: .*site is 'act', 'gate' was expected")
    statistic_file(mean, "p90", columns, "tiny", "vi", site="gate", model=snapshot_digest(own))
    refused(r"mean\.parquet: statistic is 'p90', 'mean' was expected")


def test_both_runs_of_a_perplexity_read_the_same_tokens(snapshots):
    """The ids that the model saw without and with each language's neurons at zero; another sample would show."""
    own, _ = snapshots
    model = load_base(own)
    rng = np.random.default_rng(0)
    texts = {
        language: (rng.integers(1, 30, (5, 12), dtype=np.int32), np.full(5, 40)) for language in ("vi", "hi", "en")
    }
    entries = {"vi": {0: [3]}, "hi": {1: [4, 9]}, "en": {}}
    scores = {k: {layer: np.ones(len(n)) for layer, n in v.items()} for k, v in entries.items()}
    mask = mask_from("lape-set1", entries, scores, model=snapshot_digest(own), **SHAPE)
    runs = {}  # neurons that are zero -> ids, in the order read

    def record(module, given, kwargs):
        hooked = sum(len(layer.mlp.act_fn._forward_hooks) for layer in model.model.layers)
        zeroed = tuple(i for i, layer in enumerate(model.model.layers) if layer.mlp.act_fn._forward_hooks)
        assert hooked == len(zeroed)
        runs.setdefault(zeroed, []).extend(kwargs["input_ids"].tolist())

    hook = model.register_forward_pre_hook(record, with_kwargs=True)
    rows = measure_changes(model, own, mask, texts, "act", 24)
    hook.remove()
    given = [block for blocks, _ in texts.values() for block in blocks.tolist()]
    assert runs == {(): given, (0,): given, (1,): given}
    assert {row["tokens"] for row in rows} == {5 * 11} and len(rows) == 9
    assert all((row["change"] == 0) == (row["zeroed"] == "en") for row in rows)
