"""XQuAD (Artetxe et al., 2020): the answer to a question on a text, generated after an instruction prompt."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from langneurons.evaluation.scoring import Metric
from langneurons.models.heads import CAUSAL
from langneurons.sections.base import Positive, fields_of
from langneurons.sections.base import Section as Keys
from langneurons.sections.tasks import DemoTask, HubTask, TaskSection
from langneurons.tasks.base import Evaluated, HubFile
from langneurons.tasks.prompts import collate, encode_prompts, encode_training
from langneurons.tasks.questions import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from langneurons.models.types import LanguageModel
    from langneurons.sections.tasks import Split
    from langneurons.tasks.encoding import Encoded

__all__ = ["COLUMNS", "collate"]

ENTRY_OF = "tasks"
NAME, ASKS = "XQuAD", "question answering"
HEAD = CAUSAL
METRICS = {
    "exact_match": Metric("exact_match", "exact match"),
    "f1": Metric("f1", "F1", binary=False),
    "exact_match_model_tokens": Metric("exact_match_model_tokens", "exact match"),
    "f1_model_tokens": Metric("f1_model_tokens", "F1", binary=False),
}
CLUSTERS = "paragraph"
TOKENS = 300
DEMO = "question"
SHARED_IDS = True
ROWS, SQUAD_ROWS = 1_190, 87_599
NOTES = {
    "model_tokens": "Exact match and F1 are over the model's own tokens of the first answer, as in the paper; "
    "they do not compare between models.",
    "mlqa": "Exact match and F1 follow MLQA's rules and compare between models.",
}
OTHER_METRIC = "The paper's exact match and F1 are over the model's own tokens: another metric than ours."
# What looks like a field. Braces around anything with a quote or a space within, as JSON has, are text.
PROMPT_FIELD = re.compile(r"(?<!\{)\{\s*[^\s{}\"',]*\s*\}(?!\})")


class Files(Keys):
    pattern: str = Field("{data}/xquad/xquad.{language}.json", description="Path by {language}.")
    _fields = field_validator("pattern")(fields_of("language"))
    squad: str = Field("{data}/squad/train-v1.1.json", description="SQuAD v1.1 training file, for train: squad.")
    _squad = field_validator("squad")(fields_of())


class Section(TaskSection):
    """Extractive question answering: the model writes the answer."""

    kind: Literal["xquad"]
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    train: Literal["xquad", "squad"] = Field(
        "xquad",
        description="xquad: 80 % of the source language's questions train, the others test, in every language by id "
        "(paper); squad: SQuAD v1.1 trains.",
    )
    train_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(0.8, description="Training share for train: xquad.")
    metric: Literal["model_tokens", "mlqa"] = Field(
        "model_tokens", description="The table's metric: over the model's tokens (paper), or MLQA's. Both are stored."
    )
    prompt: str = Field(
        "Answer the question from the context.\nContext: {context}\nQuestion: {question}\nAnswer:",
        description="Instruction prompt with {context} and {question}; special tokens in it are special.",
    )
    max_tokens: Positive = Field(510, description="Longer examples are dropped, and counted (paper: 510).")
    max_new_tokens: Positive = Field(64, description="Tokens generated at most.")
    hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="google/xquad",
            revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
            rows={"validation": ROWS},
        ),
        description="Used when source is hub.",
    )
    squad_hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            rows={"train": SQUAD_ROWS},
        ),
        description="Used when source is hub and train is squad.",
    )
    files: Files = Field(default_factory=Files, description="Used when source is files.")
    demo: DemoTask = Field(default_factory=DemoTask, description="Used when source is demo.")

    @field_validator("prompt")
    @classmethod
    def _prompt(cls, prompt: str) -> str:
        fields = ("{context}", "{question}")
        if missing := [field for field in fields if field not in prompt]:
            raise ValueError(f"must hold {' and '.join(missing)}")
        if unknown := [field[0] for field in PROMPT_FIELD.finditer(prompt) if field[0] not in fields]:
            raise ValueError(f"has the unknown field {unknown[0]}; known: {', '.join(fields)}")
        return prompt


def checks(section: Section) -> Iterator[tuple[str, str]]:
    if section.train == "squad" and section.source == "demo":
        yield "train", "squad needs source: hub or files; the demo has a training set of its own: write xquad"


def _from_squad(section: Section, split: str) -> bool:
    return section.train == "squad" and split == "train"


def file(section: Section, split: str) -> tuple[str, str]:
    if _from_squad(section, split):
        return "files.squad", section.files.squad
    return "files.pattern", section.files.pattern


def hub(section: Section, language: str, split: Split) -> HubFile:
    stem: Split
    if _from_squad(section, split):
        where, folder, stem = section.squad_hub, "plain_text", "train"
    else:
        where, folder, stem = section.hub, f"xquad.{language}", "validation"
    return HubFile(where.repository, where.revision, folder, stem, where.rows.get(stem))


def known(section: Section, language: str, split: str) -> dict[str, tuple[str, str]]:
    if split != "test":
        return {}
    source = section.source_language
    files = {"train": (source, "train")}
    if section.train == "xquad" and language != source:
        files["source_test"] = (source, "test")
    return files


def settings(section: Section, stage: str, split: str = "") -> dict[str, Any]:
    if stage == "import":
        part = split if section.train == "xquad" else "all"
        return {"part": part, "train_fraction": section.train_fraction, "source_language": section.source_language}
    chosen = {"max_tokens": section.max_tokens, "prompt": section.prompt}
    return chosen | ({"max_new_tokens": section.max_new_tokens} if stage == "evaluate" else {})


def examples(section: Section, split: str) -> int:
    if section.train == "squad":
        return SQUAD_ROWS if split == "train" else ROWS
    return math.ceil(ROWS * (section.train_fraction if split == "train" else 1 - section.train_fraction))


def columns(section: Section) -> dict[str, str]:
    ending = {"mlqa": "", "model_tokens": "_model_tokens"}[section.metric]
    return {"_em": "exact_match" + ending, "_f1": "f1" + ending}


def notes(section: Section, beside_paper: bool = False) -> list[str]:
    own = NOTES[section.metric]
    if not beside_paper:
        return [own]
    return [own if section.metric == "model_tokens" else f"{own} {OTHER_METRIC}"]


def read(
    source: str, language: str, split: str, settings: Mapping[str, Any], known: Mapping[str, pa.Table]
) -> dict[str, list]:
    """A part of a file of questions: :func:`langneurons.tasks.questions.read_questions`."""
    from langneurons.tasks.questions import read_questions

    same = language == settings["source_language"]
    return read_questions(source, settings["part"], settings["train_fraction"], known, same)


def encode_train(table: pa.Table, tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> Encoded:
    return encode_training(table, tokenizer, settings["max_tokens"], settings["prompt"])


def adapter_facts(tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> dict[str, Any]:
    return dict(settings)


def usage(facts: Mapping[str, Any]) -> list[str]:
    import json

    return [
        f"The answer follows this prompt (a JSON string); longer ones than {facts['max_tokens']} tokens, answer "
        "included, were left out of the training:",
        f"```json\n{json.dumps(facts['prompt'], ensure_ascii=False)}\n```",
    ]


def evaluate(
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    table: pa.Table,
    language: str,
    settings: Mapping[str, Any],
    batch_tokens: int,
    where: str,
) -> Evaluated:
    """Exact match and F1 by both metrics, and the generated answers (paper, appendix B.1)."""
    import pyarrow as pa

    from langneurons.evaluation.generation import generate_answers
    from langneurons.tasks.metrics import percent, score_answer
    from langneurons.tasks.prompts import answer_text

    encoded = encode_prompts(table, tokenizer, settings["max_tokens"], settings["prompt"])
    rows = encoded.examples
    generated = generate_answers(
        model,
        list(rows["input_ids"]),
        settings["max_new_tokens"],
        [tokenizer.eos_token_id],
        tokenizer.pad_token_id,
        batch_tokens,
        list(rows["id"]),
        f"{where}: the best logit",
    )
    texts = [answer_text(tokenizer, tokens) for tokens in generated]
    gold = list(rows["answers"])
    scores = [
        score_answer(text, answers, language, tokens, first)
        for text, answers, tokens, first in zip(texts, gold, generated, rows["first_answer_ids"], strict=True)
    ]
    predictions: dict = {
        "id": pa.array(list(rows["id"]), pa.string()),
        "paragraph": pa.array(list(rows["paragraph"]), pa.string()),
        "gold": pa.array(gold, pa.list_(pa.string())),
        "prediction": pa.array(texts, pa.string()),
    }
    predictions |= {name: pa.array([score[name] for score in scores], pa.float64()) for name in METRICS}
    metrics = {name: percent(score[name] for score in scores) for name in METRICS}
    return Evaluated(metrics, encoded.dropped, pa.table(predictions))
