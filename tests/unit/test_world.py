"""The miniature world: every label and answer is derived anew from the text, by reading it back."""

import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import product

import pytest

from langneurons.demo.lexicon import ITEMS, KINDS, RELATIONS, load_lexicon
from langneurons.demo.world import (
    PERSONAL,
    Fact,
    joiner,
    say,
    write_document,
    write_documents,
    write_inference,
    write_question,
)

LANGUAGES = ("en", "fr", "es", "vi", "id", "ja", "zh", "bn", "hi", "ta", "te", "mr", "ur", "kn", "ml", "pa")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)


@cache
def readings(language):
    """What each sentence about a person says: sentence -> (kind, fact); a question's value is empty."""
    lexicon, found = load_lexicon(language), {}
    for relation in PERSONAL:
        for subject, value in product(ITEMS["person"], ITEMS[RELATIONS[relation][1]]):
            fact = Fact(relation, subject, value)
            for kind in KINDS:
                told = Fact(relation, subject, "") if kind == "question" else fact
                found[say(lexicon, fact, kind)[0]] = (kind, told)
    return found


def read(language, text):
    """The sentences of a text as (kind, fact), by the longest known sentence at each place."""
    known, gap = readings(language), joiner(language)
    longest, facts, start = max(map(len, known)), [], 0
    while start < len(text):
        end = next(e for e in range(min(len(text), start + longest), start, -1) if text[start:e] in known)
        facts.append(known[text[start:end]])
        assert end == len(text) or text.startswith(gap, end)
        start = end + len(gap)
    return facts


def derived_label(told, kind, fact):
    """The label of a hypothesis by definition, from the facts that the premise tells."""
    values = {(f.relation, f.subject): f.value for f in told}
    if (fact.relation, fact.subject) not in values:
        return NEUTRAL
    same = values[fact.relation, fact.subject] == fact.value
    return ENTAILMENT if same == (kind == "paraphrase") else CONTRADICTION


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_follow_from_the_text(language):
    forms = Counter()
    for number in range(120):
        example = write_inference(language, 42, "test", number)
        premise = read(language, example["premise"])
        ((kind, fact),) = read(language, example["hypothesis"])
        assert [k for k, _ in premise] == ["statement", "statement"]
        told = [f for _, f in premise]
        assert len({f.relation for f in told}) == 2
        assert {f.subject for f in told} == {fact.subject}
        assert example["label"] == derived_label(told, kind, fact)
        assert kind in ("paraphrase", "negation")
        if kind == "negation":
            assert example["label"] == CONTRADICTION
            assert fact in told
        forms[example["label"], kind] += 1
    # Contradictions deny a told fact or change one: a reader cannot go by the negation alone.
    assert set(forms) == {
        (ENTAILMENT, "paraphrase"),
        (NEUTRAL, "paraphrase"),
        (CONTRADICTION, "paraphrase"),
        (CONTRADICTION, "negation"),
    }


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_balanced(split):
    """Each within 4 standard deviations of a third."""
    count = 1500
    labels = Counter(write_inference("en", 42, split, n)["label"] for n in range(count))
    assert set(labels) == {0, 1, 2}
    deviation = (count * (1 / 3) * (2 / 3)) ** 0.5
    assert all(abs(n - count / 3) < 4 * deviation for n in labels.values())


@pytest.mark.parametrize("language", [k for k in LANGUAGES if k != "en"])
def test_tasks_are_parallel_to_english(language):
    """The same ids, labels, paragraphs and the very same facts."""
    for number in range(40):
        here, english = (write_inference(k, 42, "test", number) for k in (language, "en"))
        assert (here["id"], here["label"]) == (english["id"], english["label"])
        for part in ("premise", "hypothesis"):
            assert read(language, here[part]) == read("en", english[part])
        here, english = (write_question(k, 42, "test", number) for k in (language, "en"))
        assert (here["id"], here["paragraph"]) == (english["id"], english["paragraph"])
        for part in ("context", "question"):
            assert read(language, here[part]) == read("en", english[part])


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_spans_of_the_sentence_that_answers(language):
    lexicon = load_lexicon(language)
    for number in range(200):
        example = write_question(language, 42, "test", number)
        (answer,) = example["answers"]
        assert answer
        assert answer == answer.strip()
        assert answer in example["context"]
        ((kind, asked),) = read(language, example["question"])
        assert kind == "question"
        context = read(language, example["context"])
        assert {k for k, _ in context} == {"statement"}
        (fact,) = [f for _, f in context if (f.relation, f.subject) == (asked.relation, asked.subject)]
        sentence, surface = say(lexicon, fact, "statement")
        assert answer == surface
        assert answer in sentence
        assert sentence in example["context"]
        assert answer not in example["question"]


def test_a_paragraph_has_two_different_questions():
    for number in range(0, 60, 2):
        first, second = (write_question("en", 42, "test", n) for n in (number, number + 1))
        assert first["paragraph"] == second["paragraph"] == f"test-{number // 2}"
        assert first["context"] == second["context"]
        assert first["question"] != second["question"]
        assert first["id"] != second["id"]
        assert write_question("en", 42, "test", number + 2)["context"] != first["context"]


def test_questions_ask_of_both_people():
    """A context tells of two people, so that the question must be read."""
    about = Counter()
    for number in range(100):
        example = write_question("en", 42, "test", number)
        subjects = Counter(f.subject for _, f in read("en", example["context"]))
        assert sorted(subjects.values()) == [1, 3]
        ((_, asked),) = read("en", example["question"])
        about[subjects[asked.subject]] += 1
    assert min(about[1], about[3]) > 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_seed_gives_a_text(language):
    def texts(seed):
        return [
            *(t for _, t in write_documents(language, seed, 0, 3)),
            *(str(write_inference(language, seed, "test", n)) for n in range(5)),
            *(str(write_question(language, seed, "test", n)) for n in range(5)),
        ]

    assert texts(42) == texts(42)
    assert not set(texts(42)) & set(texts(43))


def test_the_text_does_not_depend_on_the_process():
    """Neither on hash randomisation nor on what was drawn before."""
    code = (
        "from langneurons.demo.world import write_document, write_question\n"
        "print(write_document('ta', 42, 1, 5), write_question('ta', 42, 'train', 3))"
    )
    expected = f"{write_document('ta', 42, 1, 5)} {write_question('ta', 42, 'train', 3)}"
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hashing, "PYTHONUTF8": "1"},
        )
        assert done.stdout.decode().strip() == expected


def test_splits_and_shards_are_different_texts():
    for write in (write_inference, write_question):
        train, test = ([write("en", 42, split, n) for n in range(50)] for split in ("train", "test"))
        assert not {e["id"] for e in train} & {e["id"] for e in test}
        assert train != test
    shards = [dict(write_documents("en", 42, shard, 30)) for shard in range(3)]
    assert len({i for s in shards for i in s}) == len({t for s in shards for t in s.values()}) == 90


def test_documents_of_two_languages_are_not_parallel():
    """The corpus, unlike the tasks, is not a translation: its facts are drawn for each language."""

    def people(language):
        names = load_lexicon(language).words["person"]
        texts = [write_document(language, 42, 0, number) for number in range(20)]
        return [{person for person, forms in names.items() if forms["name"] in text} for text in texts]

    assert people("en") != people("fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_document_holds_every_kind_of_sentence(language):
    """Its personal sentences are facts told at least twice, one denial, and questions with their answers."""
    lexicon = load_lexicon(language)
    for number in range(5):
        text = write_document(language, 42, 0, number)
        found = [reading for sentence, reading in readings(language).items() if sentence in text]
        kinds = Counter(kind for kind, _ in found)
        told = {fact for kind, fact in found if kind == "statement"}
        assert {fact for kind, fact in found if kind == "paraphrase"} == told
        assert len(told) == 4
        values = {(f.relation, f.subject): f.value for f in told}
        assert all((f.relation, f.subject) in values for kind, f in found if kind == "question")
        for kind, fact in found:
            if kind == "negation":
                assert values[fact.relation, fact.subject] != fact.value
        assert kinds["question"] <= 3
        article, *lines = text.split("\n")
        assert len(lines) == 6
        assert all(answer and answer in article for answer in lines[1::2])
        assert kinds["negation"] <= 1
        starts = {lexicon.fill(i, p, person=p)[0] for i in lexicon.introductions for p in ITEMS["person"]}
        assert any(text.startswith(start) for start in starts)
