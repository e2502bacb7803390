"""XNLI as token ids: EOS between the sentences, BOS once, long examples counted, padding on the right."""

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from langneurons.tasks import pairs as xnli
from langneurons.tasks.metrics import accuracy

WORDS = ["<pad>", "<s>", "</s>", "a", "b", "c", "d", "<", "s", ">", "[unk]"]


def word_tokenizer(template="<s> $A", **special):
    """A word is a token: ids can be read off ``WORDS``."""
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[unk]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=core, **{k: v for k, v in names.items() if v})


def pairs(*rows):
    schema = pa.schema(
        [("id", pa.string()), ("premise", pa.string()), ("hypothesis", pa.string()), ("label", pa.int8())]
    )
    return pa.Table.from_pylist(
        [{"id": str(i), "premise": p, "hypothesis": h, "label": y} for i, (p, h, y) in enumerate(rows)], schema=schema
    )


def test_encode_puts_eos_between_and_bos_once():
    encoded = xnli.encode(pairs(("a b", "c", 2), ("d", "", 0), ("a b", "", 1)), word_tokenizer(), 10)
    assert encoded.examples[:] == {
        "id": ["0", "1", "2"],
        "premise": ["0", "1", "0"],  # the first pair with the same one
        "input_ids": [[1, 3, 4, 2, 5], [1, 6, 2], [1, 3, 4, 2]],
        "labels": [2, 0, 1],
    }
    assert encoded.dropped == 0


@pytest.mark.parametrize(
    ("template", "ids"), [("$A", [3, 2, 4]), ("$A </s>", [3, 2, 4, 2]), ("<s> $A </s>", [1, 3, 2, 4, 2])]
)
def test_encode_keeps_what_the_tokenizer_adds(template, ids):
    assert xnli.encode(pairs(("a", "b", 1)), word_tokenizer(template), 10).examples[0]["input_ids"] == ids


def test_special_tokens_in_the_data_are_text():
    ids = xnli.encode(pairs(("a </s> b", "<s>", 1)), word_tokenizer(), 99).examples[0]["input_ids"]
    assert ids.count(2) == 1 and ids.count(1) == 1


def test_encode_drops_and_counts_long_examples():
    table = pairs(("a b", "c", 2), ("a b c", "c d", 0), ("a", "b", 1))
    encoded = xnli.encode(table, word_tokenizer(), 5)  # 5, 7 and 4 tokens
    assert (encoded.examples["id"][:], encoded.dropped) == (["0", "2"], 1)
    with pytest.raises(ValueError, match=r"at most 3 tokens \(the shortest has 4\); raise max_tokens"):
        xnli.encode(table, word_tokenizer(), 3)


def test_encode_needs_an_eos_token():
    with pytest.raises(ValueError, match="no EOS token"):
        xnli.encode(pairs(("a", "b", 1)), word_tokenizer(eos_token=None), 9)


def test_collate_pads_right():
    examples = xnli.encode(pairs(("a b", "c", 2), ("a", "b", 0)), word_tokenizer(), 9).examples
    batch = xnli.collate([examples[0], examples[1]], pad_id=7)
    assert batch["input_ids"].tolist() == [[1, 3, 4, 2, 5], [1, 3, 2, 4, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert batch["labels"].tolist() == [2, 0]
    assert {t.dtype for t in batch.values()} == {torch.int64}


def test_accuracy_is_percent():
    assert accuracy([0, 1, 2, 2], [0, 1, 2, 1]) == 75.0
    with pytest.raises(ValueError, match="2 predictions for 1 labels"):
        accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="no example was scored"):
        accuracy([], [])
