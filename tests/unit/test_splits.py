"""Test questions that were trained on: the cut is by id, whatever the order of a language's file."""

import json
import random

import pytest
from task_pieces import import_xquad

from langneurons.demo.world import write_question
from langneurons.tasks.files import read_task

QUESTIONS = 1190
CUT = 952  # floor(0.8 * 1190)
IDS = [f"{i * 7919 % 99991:05x}" for i in range(QUESTIONS)]  # no order of their own
ROWS = {i: (f"context {n // 5}", f"question {i}", f"answer {i}") for n, i in enumerate(IDS)}


def squad_file(path, ids):
    """A SQuAD file of these questions in this order, a paragraph each."""
    paragraphs = [
        {"context": ROWS[i][0], "qas": [{"id": i, "question": ROWS[i][1], "answers": [{"text": ROWS[i][2]}]}]}
        for i in ids
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The source language's training and test questions, of a file in its normal order."""
    folder = tmp_path_factory.mktemp("source")
    file = squad_file(folder / "en.json", IDS)
    assert import_xquad(file, folder / "train", "train", language="en", split="train") == CUT
    known = {"train": folder / "train"}
    assert import_xquad(file, folder / "test", "test", language="en", **known) == QUESTIONS - CUT
    assert ids_of(folder / "train") == IDS[:CUT]
    assert ids_of(folder / "test") == IDS[CUT:]
    return {"train": folder / "train", "source_test": folder / "test"}


def ids_of(path):
    return read_task(path, "xquad")["id"].to_pylist()


def shuffled(ids):
    return random.Random(3).sample(ids, len(ids))


@pytest.mark.parametrize(
    "ids",
    [
        IDS,
        IDS[::-1],
        shuffled(IDS),
        [*IDS[:10], *IDS[12:]],  # two training questions missing: by position two of the others would be tested
        IDS[:-2],
        shuffled(IDS)[:900],
    ],
    ids=["parallel", "reversed", "shuffled", "two missing at the start", "two missing at the end", "many missing"],
)
def test_a_target_language_is_tested_on_the_source_languages_test_questions(tmp_path, source, ids):
    import_xquad(squad_file(tmp_path / "hi.json", ids), tmp_path / "out", "test", **source)
    table = read_task(tmp_path / "out", "xquad").to_pylist()
    expected = [i for i in ids if i in set(IDS[CUT:])]
    assert [row["id"] for row in table] == expected
    assert not {row["id"] for row in table} & set(ids_of(source["train"]))
    assert [(row["context"], row["question"], *row["answers"]) for row in table] == [ROWS[i] for i in expected]
    contexts = {}
    for row in table:  # a paragraph is a context, in any order
        assert contexts.setdefault(row["paragraph"], row["context"]) == row["context"]
    assert len(set(contexts.values())) == len(contexts)


def test_ids_that_the_source_language_lacks_are_refused(tmp_path, source):
    others = [f"other{i}" for i in range(3)]
    ROWS.update({i: ("c", "q", "a") for i in others})
    file = squad_file(tmp_path / "hi.json", [*others, *IDS[3:]])
    with pytest.raises(ValueError, match=r"hi\.json: 3 of 1190 ids do not occur.*'other0'.*write train: squad"):
        import_xquad(file, tmp_path / "out", "test", **source)
    with pytest.raises(ValueError, match="none of the 238 test questions"):
        import_xquad(squad_file(tmp_path / "hi.json", IDS[:9]), tmp_path / "out", "test", **source)
    assert not (tmp_path / "out").exists()


def test_a_test_question_that_was_trained_on_is_named(tmp_path, source):
    """Another training set (SQuAD), or a training file made from another version of the source's file."""
    told = rf"the test question with id '{IDS[0]}' is among the training questions \(952 of 1190 are\)"
    with pytest.raises(ValueError, match=told):
        import_xquad(squad_file(tmp_path / "a.json", IDS), tmp_path / "out", "all", train=source["train"])
    with pytest.raises(ValueError, match="is among the training questions"):
        import_xquad(squad_file(tmp_path / "a.json", IDS[::-1]), tmp_path / "out", "test", train=source["train"])
    assert import_xquad(squad_file(tmp_path / "a.json", IDS[CUT:]), tmp_path / "out", "all", train=source["train"])


def renamed(path, ids, others, change=str):
    """A file of these questions under other ids, with contexts and questions changed."""
    paragraphs = [
        {"context": change(ROWS[i][0]), "qas": [{"id": o, "question": change(ROWS[i][1]), "answers": [{"text": "a"}]}]}
        for i, o in zip(ids, others, strict=True)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


@pytest.mark.parametrize("change", [str, str.upper, lambda text: f" {text}\n".replace(" ", "\u00a0 ")])
def test_a_training_question_under_another_id_is_no_test_question(tmp_path, source, change):
    """A training file (train: squad) that holds the test questions under ids of its own."""
    ids = [*IDS[CUT:], IDS[3], IDS[7]]
    file = renamed(tmp_path / "a.json", ids, [f"new{i}" for i in range(len(ids))], change)
    first, known = f"new{QUESTIONS - CUT}", {"train": source["train"]}
    told = rf"a\.json: the test question with id '{first}' is the training question with id '{IDS[3]}' \(2 of 240 test"
    with pytest.raises(ValueError, match=told):
        import_xquad(file, tmp_path / "out", "all", language="en", **known)
    assert not (tmp_path / "out").exists()
    # Another language's questions are not compared: its texts are translations.
    assert import_xquad(file, tmp_path / "out", "all", language="hi", **known) == 240
    file = renamed(tmp_path / "b.json", IDS[CUT:], [f"new{i}" for i in range(QUESTIONS - CUT)], change)
    assert import_xquad(file, tmp_path / "out", "all", language="en", **known) == 238


def test_files_of_other_splits_are_no_record_of_what_trains(tmp_path, source):
    file = squad_file(tmp_path / "hi.json", IDS)
    with pytest.raises(ValueError, match=f"{source['source_test']}.*split"):
        import_xquad(file, tmp_path / "out", "test", train=source["source_test"])
    with pytest.raises(ValueError, match=f"{source['train']}.*split"):
        import_xquad(file, tmp_path / "out", "test", train=source["train"], source_test=source["train"])


def test_no_question_of_the_demo_is_both_trained_and_tested():
    questions = {split: [write_question("en", 42, split, i) for i in range(400)] for split in ("train", "test")}
    ids, texts = (
        {split: {tuple(q[k] for k in keys) for q in found} for split, found in questions.items()}
        for keys in (("id",), ("context", "question"))
    )
    assert not ids["train"] & ids["test"]
    assert not texts["train"] & texts["test"]
