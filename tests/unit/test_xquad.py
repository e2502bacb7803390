"""XQuAD: prompts, labels on the answer alone, padding, and the two ways to score an answer."""

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from langneurons.models.padding import pad_left
from langneurons.tasks import metrics, prompts

ASKED = "Context: {context} Question: {question} Answer:"


@pytest.fixture(scope="module")
def tokenizer():
    """A token a byte, after <pad> <s> </s>."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def questions(*rows):
    fields = ("context", "question", "answers")
    return pa.Table.from_pylist(
        [{"id": str(i), "paragraph": "0"} | dict(zip(fields, row, strict=True)) for i, row in enumerate(rows)]
    )


def test_training_labels_only_answer_and_eos(tokenizer):
    table = questions(("कमल went.", "Who {context}?", ["कमल", "other"]))
    example = prompts.encode_training(table, tokenizer, 500, ASKED).examples[0]
    assert tokenizer.decode(example["input_ids"]) == "<s>Context: कमल went. Question: Who {context}? Answer: कमल</s>"
    answer = [t for t in example["labels"] if t != -100]
    assert tokenizer.decode(answer) == " कमल</s>"
    assert (
        example["labels"] == [-100] * (len(example["input_ids"]) - len(answer)) + example["input_ids"][-len(answer) :]
    )


def test_prompts_are_the_beginning_of_training_examples(tokenizer):
    table = questions(("c", "q", ["a1", "a2"]), ("d e", "f", ["g"]))
    trained, asked = (f(table, tokenizer, 500, ASKED) for f in (prompts.encode_training, prompts.encode_prompts))
    for one, two in zip(trained.examples, asked.examples, strict=True):
        assert one["input_ids"] == two["input_ids"] + two["first_answer_ids"] + [2]
    assert asked.examples["answers"][:] == [["a1", "a2"], ["g"]]
    assert prompts.answer_text(tokenizer, [*asked.examples[0]["first_answer_ids"], 2]) == "a1"


def test_no_second_space_after_a_prompt_that_ends_in_one(tokenizer):
    table = questions(("c", "q", ["a"]))
    ids = prompts.encode_training(table, tokenizer, 500, "{context}\n{question}\n").examples[0]["input_ids"]
    assert tokenizer.decode(ids) == "<s>c\nq\na</s>"


def test_long_examples_are_dropped_and_counted(tokenizer):
    table = questions(("c", "q", ["a"]), ("c" * 40, "q", ["a"]), ("c", "q", ["abcd"]))
    short = len(prompts.encode_training(table, tokenizer, 500, "{context}{question}").examples[0]["input_ids"])
    assert short == 6  # <s> c q space a </s>
    trained = prompts.encode_training(table, tokenizer, short, "{context}{question}")
    assert (trained.examples["id"][:], trained.dropped) == (["0"], 2)
    asked = prompts.encode_prompts(table, tokenizer, short, "{context}{question}")
    assert (asked.examples["id"][:], asked.dropped) == (["0", "2"], 1)


def test_a_prompt_without_its_fields_is_refused(tokenizer):
    with pytest.raises(ValueError, match="must hold {context} and {question}"):
        prompts.encode_prompts(questions(("c", "q", ["a"])), tokenizer, 50, "{context}")


def test_collate_and_left_padding():
    batch = prompts.collate([{"input_ids": [5, 6, 2], "labels": [-100, 6, 2]}, {"input_ids": [8], "labels": [-100]}], 9)
    assert batch["input_ids"].tolist() == [[5, 6, 2], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 2], [-100, -100, -100]]
    ids, mask = pad_left([[5, 6, 2], [8, 4]], 9)
    assert ids.tolist() == [[5, 6, 2], [9, 8, 4]] and mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert ids.dtype == mask.dtype == torch.int64


@pytest.mark.parametrize(
    ("language", "text", "normal"),
    [
        ("en", "  The «Quick», brown-fox's $5 a-day!", "quick brownfoxs 5 aday"),
        ("en", "an Apple the", "apple"),
        ("es", "El año de la Luna", "año de luna"),
        ("de", "Der Baum des Königs", "baum königs"),
        ("vi", "Những chiếc xe của ông", "xe ông"),
        ("hi", "वह घर गया। the", "वह घर गया the"),
        ("zh", "在2015年,NBA 冠军。", "在 2015 年 nba 冠 军"),
        ("ur", "وہ گھر گیا۔", "وہ گھر گیا"),
        ("ja", "東京タワー", "東 京 タ ワ ー"),
    ],
)
def test_normal_form(language, text, normal):
    assert metrics.normalize_answer(text, language) == normal


def test_mlqa_scores_take_the_best_answer():
    assert metrics.exact_match("the Cat.", ["dog", "cat"], "en") == 1.0
    assert metrics.exact_match("the Cat.", ["dog", "cat"], "hi") == 0.0
    # words: red big cat against big cat sat down: 2 shared, precision 2/3, recall 2/4
    assert metrics.f1("red big cat", ["x", "big cat sat down"], "en") == pytest.approx(
        2 * (2 / 3) * 0.5 / (2 / 3 + 0.5)
    )
    # characters: 3 of 4 against 3 of 3
    assert metrics.f1("北京大学", ["北京大"], "zh") == pytest.approx(6 / 7)
    assert metrics.f1("北京大学", ["北京大"], "vi") == 0.0
    with pytest.raises(ValueError, match="without a gold answer"):
        metrics.f1("a", [], "en")


def test_token_f1_counts_a_multiset():
    assert metrics.token_f1([1, 1, 2], [1, 2, 2]) == pytest.approx(2 / 3)
    assert metrics.token_f1([3], [4]) == metrics.token_f1([], []) == 0.0


def test_score_answer_has_both_metrics():
    scores = metrics.score_answer("b", ["a", "b"], "en", [7, 8], [8, 7])
    assert scores == {"exact_match": 1.0, "f1": 1.0, "exact_match_model_tokens": 0.0, "f1_model_tokens": 1.0}
    assert metrics.percent([scores["f1"], 0.0]) == 50.0
