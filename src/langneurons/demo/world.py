"""The miniature world: documents, inference pairs and questions about people, places and things.

Everything is drawn by seed. Facts are drawn anew for each document or example, so a reader must take
them from the text; task examples of one number are the same facts in every language (parallel data).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from langneurons.demo.lexicon import ITEMS, RELATIONS, Lexicon, load_lexicon

LABELS = ("entailment", "neutral", "contradiction")
PERSONAL = tuple(r for r, (subject, _) in RELATIONS.items() if subject == "person")


@dataclass(frozen=True)
class Fact:
    """A relation between a subject and a value, by the names of their items."""

    relation: str
    subject: str
    value: str


def joiner(language: str) -> str:
    """What stands between two sentences."""
    return "" if language in ("ja", "zh") else " "


def say(lexicon: Lexicon, fact: Fact, kind: str) -> tuple[str, str]:
    """The fact as a sentence of ``kind``, and the surface of its value ("" in a question)."""
    subject, value = RELATIONS[fact.relation]
    slot = "friend" if fact.relation == "friend" else value
    items = {subject: fact.subject, slot: fact.value}
    sentence, used = lexicon.fill(lexicon.sentences[fact.relation][kind], fact.subject, **items)
    return sentence, used.get(slot, "")


def _value(rng: random.Random, relation: str, subject: str, other_than: str = "") -> str:
    names = ITEMS[RELATIONS[relation][1]]
    return rng.choice([n for n in names if n not in (subject, other_than)])


def _facts(rng: random.Random, subject: str, count: int) -> list[Fact]:
    return [Fact(r, subject, _value(rng, r, subject)) for r in rng.sample(PERSONAL, count)]


def write_document(language: str, seed: int, shard: int, number: int) -> str:
    """One encyclopedia-like article: facts of two people and a place, told twice, one denied; then, one line each,
    questions about it and their answers."""
    lexicon = load_lexicon(language)
    rng = random.Random(f"{seed}/document/{language}/{shard}/{number}")
    first, second = rng.sample(ITEMS["person"], 2)
    told = _facts(rng, first, 3) + _facts(rng, second, 1)
    place = rng.choice(ITEMS["place"])
    told.append(Fact("located", place, _value(rng, "located", place)))
    rng.shuffle(told)
    intro = lexicon.introductions[rng.randrange(len(lexicon.introductions))]
    sentences = [lexicon.fill(intro, first, person=first)[0]]
    wordings = [rng.choice(("statement", "paraphrase")) for _ in told]
    sentences += [say(lexicon, f, wording)[0] for f, wording in zip(told, wordings, strict=True)]
    for fact, wording in rng.sample(list(zip(told, wordings, strict=True)), len(told)):
        sentences.append(say(lexicon, fact, "paraphrase" if wording == "statement" else "statement")[0])
    fact = rng.choice(told)
    denied = Fact(fact.relation, fact.subject, _value(rng, fact.relation, fact.subject, fact.value))
    sentences.append(say(lexicon, denied, "negation")[0])
    lines = [joiner(language).join(sentences)]
    for fact in rng.sample(told, 3):
        lines += [say(lexicon, fact, "question")[0], say(lexicon, fact, "statement")[1]]
    return "\n".join(lines)


def write_documents(language: str, seed: int, shard: int, count: int) -> Iterator[tuple[str, str]]:
    """``count`` documents (id, text) of one shard."""
    for number in range(count):
        yield f"{language}-{shard}-{number}", write_document(language, seed, shard, number)


def write_inference(language: str, seed: int, split: str, number: int) -> dict:
    """One XNLI-like example: id, premise, hypothesis, label (0 entailment, 1 neutral, 2 contradiction)."""
    lexicon = load_lexicon(language)
    rng = random.Random(f"{seed}/inference/{split}/{number}")
    subject = rng.choice(ITEMS["person"])
    told = _facts(rng, subject, 3)
    premise = joiner(language).join(say(lexicon, f, "statement")[0] for f in told[:2])
    fact, label = rng.choice(told[:2]), rng.randrange(3)
    if label == 0:
        kind = "paraphrase"
    elif label == 1:
        fact, kind = told[2], "paraphrase"
    elif rng.random() < 0.5:
        kind = "negation"
    else:
        fact = Fact(fact.relation, subject, _value(rng, fact.relation, subject, fact.value))
        kind = "paraphrase"
    hypothesis = say(lexicon, fact, kind)[0]
    return {"id": f"{split}-{number}", "premise": premise, "hypothesis": hypothesis, "label": label}


def write_question(language: str, seed: int, split: str, number: int) -> dict:
    """One XQuAD-like example: id, paragraph, context, question, answers (a span of the context)."""
    lexicon = load_lexicon(language)
    rng = random.Random(f"{seed}/question/{split}/{number // 2}")
    first, second = rng.sample(ITEMS["person"], 2)
    told = _facts(rng, first, 3) + _facts(rng, second, 1)
    rng.shuffle(told)
    context = joiner(language).join(say(lexicon, f, "statement")[0] for f in told)
    asked = rng.sample(told, 2)[number % 2]
    return {
        "id": f"{split}-{number}",
        "paragraph": f"{split}-{number // 2}",
        "context": context,
        "question": say(lexicon, asked, "question")[0],
        "answers": [say(lexicon, asked, "statement")[1]],
    }


WRITERS = {"inference": write_inference, "question": write_question}
"""What a task's ``DEMO`` names -> the function that writes one example of it: (language, seed, split, number)."""
