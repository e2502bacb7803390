"""Negative log-likelihood against its definition in float64, and the perplexity file."""

import math

import numpy as np
import pytest
import torch

from langneurons.evaluation.perplexity import COLUMNS, negative_log_likelihood, perplexity_rows, write_perplexity


@pytest.fixture(scope="module")
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            initializer_range=0.4,
            pad_token_id=0,
        )
    ).eval()


@pytest.fixture(scope="module")
def blocks():
    return np.random.default_rng(0).integers(0, 30, (7, 12), dtype=np.int32)


def definition(model, blocks):
    """Each token from the logits of its prefix alone, log-softmax in float64."""
    total = 0.0
    with torch.no_grad():
        for block in blocks:
            for i in range(1, len(block)):
                prefix = torch.tensor(block[None, :i].astype(np.int64))
                logits = model(input_ids=prefix).logits[0, -1].double().numpy()
                total += math.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[block[i]]
    return total


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
def test_equals_the_definition(model, blocks, batch_tokens):
    nats, tokens = negative_log_likelihood(model, blocks, batch_tokens)
    assert tokens == 7 * 11
    assert nats == pytest.approx(definition(model, blocks), rel=1e-5)


def test_equals_the_models_own_loss(model, blocks):
    ids = torch.as_tensor(blocks).long()
    nats, tokens = negative_log_likelihood(model, ids, 100)
    assert nats / tokens == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-5)


def test_a_block_knows_nothing_of_the_others(model, blocks):
    whole, _ = negative_log_likelihood(model, blocks, 10_000)
    assert whole == pytest.approx(sum(negative_log_likelihood(model, b[None], 50)[0] for b in blocks), rel=1e-6)


def test_faults(model, blocks):
    for bad in (blocks[0], blocks[:0], blocks[:, :1]):
        with pytest.raises(ValueError, match="give \\[number, length\\]"):
            negative_log_likelihood(model, bad, 10)
    with pytest.raises(ValueError, match="token ids from 3 to 30; the model has 30"):
        negative_log_likelihood(model, np.array([[3, 30]]), 10)
    with pytest.raises(ValueError, match="batch_tokens is 0"):
        negative_log_likelihood(model, blocks, 0)
    broken = model.model.norm.weight
    kept = broken.data.clone()
    broken.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"negative log-likelihood is NaN at block 0 \(7 of 7 values"):
        negative_log_likelihood(model, blocks, 100)
    broken.data.copy_(kept)
    embeddings = model.get_input_embeddings().weight
    kept = embeddings.data.clone()
    first = next(token for token in blocks[2].tolist() if token not in blocks[:2])
    embeddings.data[first] = float("inf")
    with pytest.raises(ValueError, match="text in vi is NaN at block 2 "):
        negative_log_likelihood(model, blocks, 100, "text in vi")
    embeddings.data.copy_(kept)


def test_rows_and_file(tmp_path):
    ln2 = math.log(2)
    base = {"vi": (8 * ln2, 4), "hi": (30 * ln2, 10)}
    zeroed = {
        "vi": {"vi": (12 * ln2, 4), "hi": (30 * ln2, 10)},
        "en": {"vi": (8 * ln2, 4), "hi": (40 * ln2, 10)},
    }
    rows = perplexity_rows(base, zeroed, {"vi": 16, "hi": 60}, {"vi": 7, "en": 0})
    assert [(r["language"], r["zeroed"], r["neurons"]) for r in rows] == [
        ("vi", "vi", 7), ("vi", "en", 0), ("hi", "vi", 7), ("hi", "en", 0),
    ]  # fmt: skip
    assert tuple(rows[0]) == COLUMNS
    assert [rows[0][c] for c in COLUMNS[3:]] == pytest.approx([4, 16, 4.0, 8.0, 4.0, 0.5, 0.75])
    assert [rows[3][c] for c in COLUMNS[3:]] == pytest.approx([10, 60, 8.0, 16.0, 8.0, 0.5, 2 / 3])
    assert rows[1]["change"] == 0.0
    write_perplexity(tmp_path / "a.tsv", rows, "tiny", "lape")
    header, *lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert header.split("\t") == ["model", "method", *COLUMNS, "checksum"] and len(lines) == 4
    back = dict(zip(header.split("\t"), lines[3].split("\t"), strict=True))
    assert (back["model"], back["method"]) == ("tiny", "lape")
    assert float(back["bits_per_byte_zeroed"]) == rows[3]["bits_per_byte_zeroed"] and back["neurons"] == "0"


def test_a_perplexity_that_is_not_finite_is_refused():
    """exp(800) is beyond what a number holds: an infinite change in a table would mean nothing."""
    with pytest.raises(ValueError, match="perplexity of vi with the neurons of hi zero, exp\\(800\\) is infinity"):
        perplexity_rows({"vi": (1.0, 4)}, {"hi": {"vi": (3200.0, 4)}}, {"vi": 9}, {"hi": 1})


def test_rows_must_be_of_the_same_text():
    with pytest.raises(ValueError, match="'vi' with the neurons of 'hi' zero: 5 tokens against 4"):
        perplexity_rows({"vi": (1.0, 4)}, {"hi": {"vi": (1.0, 5)}}, {"vi": 9}, {"hi": 1})
    with pytest.raises(ValueError, match="zeroed has nothing of 'vi'; it has: hi"):
        perplexity_rows({"vi": (1.0, 4)}, {"hi": {"hi": (1.0, 4)}}, {"vi": 9}, {"hi": 1})
    with pytest.raises(ValueError, match="neurons has nothing of 'hi'"):
        perplexity_rows({"vi": (1.0, 4)}, {"hi": {"vi": (1.0, 4)}}, {"vi": 9}, {"vi": 1})


def test_under_an_intervention(model, blocks):
    from langneurons.interventions.hook import intervene

    plain, _ = negative_log_likelihood(model, blocks, 40)
    with intervene(model, {1: np.array([2, 3])}, {1: np.array([5.0, -5.0])}) as record:
        changed, _ = negative_log_likelihood(model, blocks, 40)
        assert record.calls == {1: 3}  # 7 blocks of 12 tokens, 3 a forward pass
        assert changed == pytest.approx(definition(model, blocks), rel=1e-5)
    assert abs(changed - plain) > 0.1
