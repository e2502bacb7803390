"""Classification from the last real token: padding changes nothing, in inference, in training, within PEFT."""

import functools

import numpy as np
import pytest
import torch

from langneurons.evaluation.classification import batches_by_length, classify
from langneurons.models.pooling import pooled_logits, use_last_real_token
from langneurons.tasks.pairs import collate

EOS = 2  # separator of the sentences and padding at once
LENGTHS = [5, 1, 9, 3, 9, 2, 7]


def build(kind="llama", seed=0):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind, vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, num_labels=3, pad_token_id=EOS, eos_token_id=EOS, initializer_range=0.3,
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(config).eval()


def adapted(model, zero=False):
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=2,
        target_modules=["q_proj", "gate_proj"],
        init_lora_weights=zero,
        lora_dropout=0.5,
    )
    model = get_peft_model(model, config)
    with torch.no_grad():  # a head of its own, unlike the base model's
        model.base_model.model.score.modules_to_save["default"].weight.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    rows = [rng.integers(3, 40, n).tolist() for n in LENGTHS]
    rows[0][2] = rows[2][4] = rows[6][6] = EOS  # EOS within a text, and as its last token
    return [{"input_ids": row, "labels": i % 3} for i, row in enumerate(rows)]


def reference(model, example, mlp=None):
    """Logits from the decoder and the head, one example alone; ``mlp`` is computed in place of each layer's MLP."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    try:
        for index, layer in enumerate(inner.model.layers if mlp else ()):
            layer.mlp.forward = functools.partial(mlp, index, layer.mlp)
        with torch.no_grad():
            hidden = inner.model(input_ids=torch.tensor([example["input_ids"]])).last_hidden_state
            return inner.score(hidden[0, -1]).numpy()
    finally:
        for layer in inner.model.layers if mlp else ():
            del layer.mlp.forward


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("peft", [False, True])
def test_batches_change_nothing(examples, kind, peft):
    model = adapted(build(kind)) if peft else build(kind)
    expected = np.stack([reference(model, e) for e in examples])
    for batch_tokens in (1, 18, 1000):
        for pad_id in (EOS, 5):
            logits = classify(model, examples, batch_tokens, pad_id)
            assert logits.dtype == np.float32 and logits.shape == (len(examples), 3)
            np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.1  # else any order would pass


def test_peft_head_and_adapter_are_in_use(examples):
    base = classify(build(), examples, 100, EOS)
    wrapped = adapted(build())
    assert np.abs(classify(wrapped, examples, 100, EOS) - base).max() > 0.1
    with wrapped.disable_adapter():
        np.testing.assert_allclose(classify(wrapped, examples, 100, EOS), base, atol=1e-6)


def test_padding_may_move(examples):
    model = build()
    row, n = examples[0]["input_ids"], LENGTHS[0]
    expected = reference(model, examples[0])
    for left, right in [(0, 0), (0, 4), (3, 0), (2, 5)]:
        ids = torch.tensor([[EOS] * left + row + [EOS] * right])
        mask = torch.tensor([[0] * left + [1] * n + [0] * right])
        with torch.no_grad():
            np.testing.assert_allclose(pooled_logits(model, ids, mask)[0].numpy(), expected, atol=1e-5)


def test_transformers_own_pooling_is_wrong_here(examples):
    """Why this module exists: example 6 ends in the padding token, so transformers reads the token before it."""
    batch = collate(examples, EOS)
    model = build()
    with torch.no_grad():
        theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        ours = use_last_real_token(model)(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert (theirs[6] - ours[6]).abs().max() > 1e-2
    np.testing.assert_allclose(theirs[:6], ours[:6], atol=1e-5)


@pytest.mark.parametrize("when", ["plain", "before", "after", "twice"])
def test_forward_pools_and_learns_like_single_examples(examples, when):
    model = build()
    if when in ("before", "twice"):
        use_last_real_token(model)
    if when != "plain":
        model = adapted(model)
    if when != "before":
        assert use_last_real_token(model) is model
    batch = collate(examples, EOS)
    expected = np.stack([reference(model, e) for e in examples])
    output = model(**batch)
    np.testing.assert_allclose(output.logits.detach(), expected, atol=1e-5)
    shifted = expected.astype(np.float64) - expected.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -logs[np.arange(len(examples)), batch["labels"].numpy()]
    assert output.loss.item() == pytest.approx(losses.mean(), abs=1e-5)
    assert model(**batch, num_items_in_batch=10).loss.item() == pytest.approx(losses.sum() / 10, abs=1e-5)

    def gradients(batches):
        model.zero_grad()
        for b in batches:
            (model(**b).loss * len(b["labels"]) / len(examples)).backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    whole, single = gradients([batch]), gradients([collate([e], EOS) for e in examples])
    assert any("score" in name for name in whole) and whole.keys() == single.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, single[name], atol=2e-5, rtol=1e-3)


def test_bfloat16_decoder_with_a_float32_head(examples):
    model = build().to(torch.bfloat16)
    model.score.float()
    logits = classify(model, examples, 1000, EOS)
    np.testing.assert_allclose(logits, classify(build(), examples, 1000, EOS), atol=0.3)


def test_modes_return_and_dropout_is_off(examples):
    model = adapted(build())
    model.train()
    model.get_base_model().model.layers[0].eval()
    before = [m.training for m in model.modules()]
    first = classify(model, examples, 1000, EOS)
    np.testing.assert_array_equal(first, classify(model, examples, 1000, EOS))
    assert [m.training for m in model.modules()] == before and len(set(before)) == 2


def test_faults(examples):
    model = build()
    with pytest.raises(ValueError, match="no example"):
        classify(model, [], 10, EOS)
    with pytest.raises(ValueError, match="example 1 has no token"):
        classify(model, [{"input_ids": [3]}, {"input_ids": []}], 10, EOS)
    with pytest.raises(ValueError, match="no real token"):
        pooled_logits(model, torch.tensor([[3], [4]]), torch.tensor([[1], [0]]))
    with pytest.raises(ValueError, match='LlamaModel is no classification model.*task="classification"'):
        use_last_real_token(model.model)


@pytest.mark.parametrize("budget", [1, 10, 25, 1000])
def test_batches_hold_every_row_once_within_the_budget(budget):
    lengths = np.random.default_rng(1).integers(1, 20, 50).tolist()
    batches = batches_by_length(lengths, budget)
    assert sorted(i for b in batches for i in b) == list(range(50))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    flat = [lengths[i] for b in batches for i in b]
    assert flat == sorted(lengths, reverse=True)
    for batch in batches[:-1]:  # none could have taken the next row too
        assert (len(batch) + 1) * lengths[batch[0]] > budget
    with pytest.raises(ValueError, match="batch_tokens is 0"):
        batches_by_length([1], 0)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("peft", [False, True])
@pytest.mark.parametrize("site", ["act", "gate"])
def test_batches_change_nothing_under_an_intervention(examples, kind, peft, site):
    from langneurons.interventions.hook import intervene

    model = adapted(build(kind)) if peft else build(kind)
    neurons = {0: np.array([1, 5]), 1: np.array([0])}
    values = {0: np.array([3.0, -2.0]), 1: np.array([4.0])}
    plain = classify(model, examples, 30, EOS)
    expected = np.stack([reference(model, e, edited(site, neurons, values)) for e in examples])
    for batch_tokens in (1, 30, 1000):
        with intervene(model, neurons, values, site) as record:
            logits = classify(model, examples, batch_tokens, EOS)
        assert batch_tokens == 1000 or min(record.calls.values()) > 1
        np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert np.abs(logits - plain).max() > 0.1
    np.testing.assert_array_equal(classify(model, examples, 30, EOS), plain)


def edited(site, neurons, values):
    """What an MLP computes with its neurons at constants, written out: a function of a layer's index, the MLP and x."""

    def forward(index, mlp, x):
        def put(activation):
            for neuron, value in zip(neurons[index], values[index], strict=True):
                activation[..., neuron] = value
            return activation

        z = mlp.gate_proj(x).clone()
        a = torch.nn.functional.silu(put(z) if site == "gate" else z)
        return mlp.down_proj((put(a) if site == "act" else a) * mlp.up_proj(x))

    return forward


def test_a_logit_that_is_not_finite_names_the_first_example(examples):
    """An adapter with one NaN gave "accuracy 25.0": an argmax of NaN is a label like any other."""
    model = build()
    for name in ("q0", None):
        given = [e | ({"id": f"q{i}"} if name else {}) for i, e in enumerate(examples)]
        with torch.no_grad():
            kept = model.model.embed_tokens.weight.clone()
            token = next(t for t in examples[4]["input_ids"] if not any(t in e["input_ids"] for e in examples[:4]))
            model.model.embed_tokens.weight[token] = float("nan")
        with pytest.raises(
            ValueError, match=rf"a logit is NaN at example {'q4' if name else 4}, label 0 .* not finite"
        ):
            classify(model, given, 18, EOS, "a logit")
        with torch.no_grad():
            model.model.embed_tokens.weight.copy_(kept)
    with torch.no_grad():
        model.score.weight[1] = float("inf")
    with pytest.raises(ValueError, match="the logits is -?(infinity|NaN) at example 0, label 1"):
        classify(model, examples, 18, EOS)
