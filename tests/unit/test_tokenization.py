"""Text becomes tokens in one way: corpus and tasks alike, special tokens only where they are meant."""

import pyarrow as pa
import pytest
from tokenizer_kinds import CONFIGURED, KINDS, write_tokenizer

from langneurons.corpus.packing import Budget, pack
from langneurons.models.tokenization import Template, TextEncoder, read_tokenizer
from langneurons.tasks import metrics, pairs, prompts
from langneurons.tasks.encoding import IGNORED

SPELLING = [
    "the page is about <s> and </s> of the house",
    "<s>a river",
    "<s><s></s>",
    "<|im_start|>user where is the river",
    "a <tool> of stone <|im_start|>",
    "the <unk>",
    "a river",
]
CHAT = "<|im_start|>user\nthe context {context} question {question}<|im_start|>assistant\n"


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tmp_path_factory):
    found = read_tokenizer(write_tokenizer(request.param, tmp_path_factory.mktemp(request.param)))
    found.kind = request.param
    return found


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A tokenizer by the name of its kind."""
    return lambda kind: read_tokenizer(write_tokenizer(kind, tmp_path_factory.mktemp(kind)))


def packed(tokenizer, text):
    """What the corpus makes of a document, and the bytes of its tokens."""
    blocks = pack([("0", text)], tokenizer, 1, Budget(10**6, 0, 1e-12, 0), most_unknown=1.0)["statistics"]
    return [int(ids[0]) for ids, _ in blocks], [size for _, size in blocks]


def questions(*rows):
    columns = ("id", "paragraph", "context", "question", "answers")
    return pa.Table.from_pylist([dict(zip(columns, ("0", "0", *row), strict=True)) for row in rows])


def prompt_ids(tokenizer, prompt, *rows):
    return prompts.encode_prompts(questions(*rows), tokenizer, 10**6, prompt).examples["input_ids"][:]


def special_ids(tokenizer, *without):
    return {i for i, t in tokenizer.added_tokens_decoder.items() if t.special and t.content not in without}


@pytest.mark.parametrize("text", SPELLING)
def test_corpus_and_tasks_have_the_same_tokens_and_no_special_one_among_them(tokenizer, text):
    document, sizes = packed(tokenizer, text)
    assert prompt_ids(tokenizer, "{context}{question}", (text, "", ["a"])) == [document]
    inference = pa.Table.from_pylist([{"id": "0", "premise": text, "hypothesis": "", "label": 0}])
    apart = pairs.encode(inference, tokenizer, 10**6, "eos").examples["input_ids"][0]
    assert apart == [*document, tokenizer.eos_token_id]
    start, *inner = document
    assert start == tokenizer.bos_token_id
    assert not special_ids(tokenizer, "<unk>") & set(inner)
    assert sum(sizes) == len(text.encode())
    assert sizes[0] == 0


@pytest.mark.parametrize("kind", ["byte_level", "llama2", "metaspace"])
@pytest.mark.parametrize("text", SPELLING)
def test_no_character_of_a_spelling_is_lost(named, kind, text):
    tokenizer = named(kind)
    (_, *inner), _ = packed(tokenizer, text)
    assert tokenizer.decode(inner, skip_special_tokens=True) == text


def test_tokens_that_the_settings_alone_add_are_known_to_the_corpus(tokenizer):
    ids, _ = packed(tokenizer, "a <tool> of stone")
    assert tokenizer.convert_tokens_to_ids("<tool>") in ids
    assert not CONFIGURED["<tool>"]  # it is no special token: a word of the vocabulary


def test_without_special_spellings_nothing_changes(tokenizer):
    text = "the house of stone is a river"
    assert packed(tokenizer, text)[0] == tokenizer(text)["input_ids"]
    asked = "context {context} question {question}"
    assert prompt_ids(tokenizer, asked, (text, "where is the tree", ["a"])) == [
        tokenizer(f"context {text} question where is the tree")["input_ids"]
    ]


def test_the_settings_of_other_callers_do_not_matter(tokenizer):
    before = packed(tokenizer, SPELLING[0])
    tokenizer("a <s> b", truncation=True, max_length=4)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    assert packed(tokenizer, SPELLING[0]) == before


def test_a_templates_own_special_tokens_are_special_and_the_datas_are_text(tokenizer):
    context, question = "the river of stone", "where is it"
    (ids,) = prompt_ids(tokenizer, CHAT, (context, question, ["a"]))
    whole = CHAT.format(context=context, question=question)
    assert ids == tokenizer(whole)["input_ids"]  # as the tokenizer reads special tokens itself
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert ids.count(start) == 2
    (spelt,) = prompt_ids(tokenizer, CHAT, (f"{context} <|im_start|> </s>", question, ["a"]))
    assert (spelt.count(start), spelt.count(tokenizer.eos_token_id)) == (2, 0)
    assert max(ids) < len(tokenizer) and max(spelt) < len(tokenizer)


def test_a_templates_token_that_the_tokenizer_lacks_is_reported(named, capsys):
    prompt_ids(named("byte_level"), CHAT + "<|im_end|>", ("a", "b", ["a"]))
    assert capsys.readouterr().out.splitlines() == [
        "the prompt's <|im_end|> is no special token of this model's tokenizer; it is read as text"
    ]


def test_bos_of_a_template_is_not_doubled(tokenizer):
    (once,) = prompt_ids(tokenizer, "<s>{context} {question}", ("the river", "where", ["a"]))
    assert once == tokenizer("<s>the river where", add_special_tokens=False)["input_ids"]
    assert once.count(tokenizer.bos_token_id) == 1
    (data,) = prompt_ids(tokenizer, "{context} {question}", ("<s>the river", "where", ["a"]))
    assert data[0] == tokenizer.bos_token_id and data.count(tokenizer.bos_token_id) == 1


def test_the_sentences_of_an_inference_are_apart_by_eos_between_spaces(tokenizer):
    table = pa.Table.from_pylist([{"id": "0", "premise": "the river", "hypothesis": "a stone </s> house", "label": 0}])
    ids = pairs.encode(table, tokenizer, 99).examples["input_ids"][0]
    table = pa.Table.from_pylist([{"id": "0", "premise": "the river", "hypothesis": "a stone", "label": 0}])
    plain = pairs.encode(table, tokenizer, 99, "spaced_eos").examples["input_ids"][0]
    assert plain == tokenizer("the river </s> a stone")["input_ids"]  # the reference: the special token is read
    assert plain.count(tokenizer.eos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    with pytest.raises(ValueError, match="unknown separator 'sep'; write one of: spaced_eos, eos"):
        pairs.encode(table, tokenizer, 99, "sep")


ASKED = ["Context: {context}\nQuestion: {question}\nAnswer:", "{context}\n{question}\n", CHAT, "{context} {question} "]


@pytest.mark.parametrize("kind", ["llama2", "metaspace"])
@pytest.mark.parametrize("prompt", ASKED)
def test_a_wrong_word_shares_no_token_with_the_right_one(named, kind, prompt):
    tokenizer = named(kind)
    rows = [("the river of stone", "where is it", [answer]) for answer in ("river", "stone", "tree")]
    asked = prompts.encode_prompts(questions(*rows), tokenizer, 999, prompt).examples
    right, wrong, _ = asked["first_answer_ids"][:]

    def scores(tokens):
        return metrics.score_answer(prompts.answer_text(tokenizer, tokens), ["river"], "en", tokens, right)

    assert set(scores(right).values()) == {1.0}
    assert set(scores(wrong).values()) == {0.0}


@pytest.mark.parametrize("prompt", ASKED)
def test_answers_follow_the_prompts_own_tokens(tokenizer, prompt):
    rows = [("the river of stone", "where is it", [answer]) for answer in ("the river", "</s> stone", "")]
    trained = prompts.encode_training(questions(*rows), tokenizer, 999, prompt).examples
    asked = prompts.encode_prompts(questions(*rows), tokenizer, 999, prompt).examples
    assert len({tuple(ids) for ids in asked["input_ids"]}) == 1  # the prompt's tokens do not depend on the answer
    for one, two in zip(trained, asked, strict=True):
        assert one["input_ids"] == [*two["input_ids"], *two["first_answer_ids"], tokenizer.eos_token_id]
        assert tokenizer.eos_token_id not in two["first_answer_ids"]
        kept = [label for label in one["labels"] if label != IGNORED]
        assert kept == [*two["first_answer_ids"], tokenizer.eos_token_id]


def test_the_answer_of_llama_2_has_no_lone_space(named):
    tokenizer = named("llama2")
    (row,) = prompts.encode_prompts(questions(("the river", "where", ["river"])), tokenizer, 99, ASKED[0]).examples
    assert tokenizer.convert_ids_to_tokens(row["first_answer_ids"]) == ["▁river"]
    together = tokenizer("Context: the river\nQuestion: where\nAnswer: river")["input_ids"]
    assert row["input_ids"] + row["first_answer_ids"] == together


def test_byte_level_answers_are_those_of_the_answer_alone(named):
    tokenizer = named("byte_level")
    for prompt, space in zip(ASKED[:3], (" ", "", ""), strict=True):
        (row,) = prompts.encode_prompts(questions(("the river", "where", ["a stone."])), tokenizer, 99, prompt).examples
        assert row["first_answer_ids"] == tokenizer(space + "a stone.", add_special_tokens=False)["input_ids"]


def test_a_special_token_among_a_models_pieces_is_spelt_by_its_characters(named):
    tokenizer = named("unigram")
    assert tokenizer("<s>", add_special_tokens=False, split_special_tokens=True)["input_ids"][-1] == 1  # the trap
    ids, offsets = TextEncoder(tokenizer).encode("a <s>b")
    assert tokenizer.decode(ids).replace(" ", "") == "a<s>b"
    assert offsets == sorted(offsets) and offsets[-1][1] == 6


def test_characters_that_are_none_are_refused(named):
    with pytest.raises(ValueError, match="U\\+FDD0 or U\\+FDD1, which are no characters"):
        prompt_ids(named("byte_level"), CHAT, ("a \ufdd0<s>\ufdd1", "b", ["a"]))
    with pytest.raises(ValueError, match=r"prompt is '\{a\}'; it must hold \{a\} and \{b\}"):
        Template(named("byte_level"), "{a}", ("a", "b"), "prompt")


@pytest.mark.parametrize("row", [("a\ufdd0", "b", ["a"]), ("a", "b\ufdd1", ["a"]), ("a", "b", ["a\ufdd0"])])
def test_what_a_job_refuses_in_a_text_has_the_question_s_id(named, row):
    """Task data that an older version imported."""
    columns = dict(zip(("context", "question", "answers"), row, strict=True))
    table = questions(("a", "b", ["a"]))
    table = pa.Table.from_pylist([*table.to_pylist(), {"id": "q7", "paragraph": "0", **columns}])
    for encode in (prompts.encode_prompts, prompts.encode_training):
        with pytest.raises(ValueError, match=r"the question with id 'q7': holds U\+FDD0 or U\+FDD1.* at [01] "):
            encode(table, named("byte_level"), 10**6, ASKED[0])
    rows = [{"id": i, "premise": text, "hypothesis": "h", "label": 0} for i, text in (("0", "a"), ("p8", "\ufdd1"))]
    with pytest.raises(ValueError, match=r"the pair with id 'p8': holds U\+FDD0"):
        pairs.encode(pa.Table.from_pylist(rows), named("byte_level"), 10**6)
