"""XNLI (Conneau et al., 2018): does a premise entail a hypothesis, contradict it, or neither? Scored by accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from langneurons.evaluation.scoring import Metric
from langneurons.models.heads import Head
from langneurons.sections.base import Positive, Share, fields_of
from langneurons.sections.base import Section as Keys
from langneurons.sections.tasks import DemoTask, HubTask, TaskSection
from langneurons.tasks.base import Evaluated, HubFile
from langneurons.tasks.pairs import collate, encode, padding_token, reading

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from langneurons.models.types import LanguageModel
    from langneurons.sections.tasks import Split
    from langneurons.tasks.encoding import Encoded

__all__ = ["collate"]

ENTRY_OF = "tasks"
NAME, ASKS = "XNLI", "natural language inference"
LABELS = ("entailment", "neutral", "contradiction")
"""The position of a label is its number in a file and in the logits."""
HEAD = Head("classification", len(LABELS))
COLUMNS = {"id": "string", "premise": "string", "hypothesis": "string", "label": "int8"}
METRICS = {"accuracy": Metric("score", "accuracy")}
CLUSTERS = "premise"
TOKENS = 60
DEMO = "inference"
SHARED_IDS = False  # examples are numbered anew in each file


class Files(Keys):
    pattern: str = Field(
        "{data}/xnli/{language}.{split}.tsv",
        description="Path by {language} and {split}: .tsv (with a header), .jsonl or .parquet.",
    )
    _fields = field_validator("pattern")(fields_of("language", "split"))


class Section(TaskSection):
    """Natural language inference: the label of a premise and a hypothesis."""

    kind: Literal["xnli"]
    source: Literal["hub", "files", "demo"] = Field(description="Where the task's data comes from.")
    train_fraction: Share = Field(0.25, description="First share of the training set that is used.")
    separator: Literal["spaced_eos", "eos"] = Field(
        "spaced_eos",
        description="Between premise and hypothesis: the EOS token between spaces (paper), or the EOS token alone.",
    )
    max_tokens: Positive = Field(255, description="Longer examples are dropped, and counted (paper: 255).")
    hub: HubTask = Field(
        default_factory=lambda: HubTask(
            repository="facebook/xnli",
            revision="b8dd5d7af51114dbda02c0e3f6133f332186418e",
            rows={"train": 392_702, "test": 5_010},
        ),
        description="Used when source is hub.",
    )
    files: Files = Field(default_factory=Files, description="Used when source is files.")
    demo: DemoTask = Field(default_factory=DemoTask, description="Used when source is demo.")


def checks(section: Section) -> Iterator[tuple[str, str]]:
    yield from ()


def file(section: Section, split: str) -> tuple[str, str]:
    return "files.pattern", section.files.pattern


def hub(section: Section, language: str, split: Split) -> HubFile:
    where = section.hub
    return HubFile(where.repository, where.revision, language, split, where.rows.get(split))


def known(section: Section, language: str, split: str) -> dict[str, tuple[str, str]]:
    return {}


def settings(section: Section, stage: str, split: str = "") -> dict[str, Any]:
    if stage == "import":
        return {"fraction": section.train_fraction if split == "train" else 1.0}
    return {"max_tokens": section.max_tokens, "separator": section.separator}


def examples(section: Section, split: str) -> int:
    return math.ceil(392_702 * section.train_fraction) if split == "train" else 5_010


def columns(section: Section) -> dict[str, str]:
    return {"": "accuracy"}


def notes(section: Section, beside_paper: bool = False) -> list[str]:
    return []


def read(
    source: str, language: str, split: str, settings: Mapping[str, Any], known: Mapping[str, pa.Table]
) -> dict[str, list]:
    """The first ``settings["fraction"]`` of an XNLI file: ``floor(rows * fraction)`` rows, 98,175 of 392,702.

    The source is TSV (with a header), JSON lines or Parquet, by its ending, with the columns ``premise``,
    ``hypothesis`` and ``label`` (a word or 0, 1, 2), under these or XNLI's own names (``tasks.readers.ALIASES``). Rows
    whose label is -1 or - are left out, and counted in the log. Where the file also has a column ``language``, only
    ``language``'s rows count. Ids are the running numbers of the rows.

    ValueError: as :func:`langneurons.tasks.readers.labelled_pairs`.
    """
    from langneurons.tasks.readers import labelled_pairs
    from langneurons.tasks.splits import first

    fraction = settings["fraction"]
    if not 0 < fraction <= 1:
        raise ValueError(f"{source}: fraction is {fraction}; write a share above 0 and at most 1")
    pairs, dropped = labelled_pairs(source, str(source), language, LABELS)
    kept = pairs[: first(len(pairs), fraction)]
    if not kept:
        raise ValueError(f"{source}: a fraction of {fraction} of {len(pairs)} rows is no row; write a larger fraction")
    if dropped:
        print(f"{source}: {dropped} rows without a label (-1 or -) are left out; {len(pairs)} have one")
    premises, hypotheses, labels = map(list, zip(*kept, strict=True))
    return {"id": [str(i) for i in range(len(kept))], "premise": premises, "hypothesis": hypotheses, "label": labels}


def encode_train(table: pa.Table, tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> Encoded:
    return encode(table, tokenizer, settings["max_tokens"], settings["separator"])


def adapter_facts(tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, "eos_token": tokenizer.eos_token, "pad_token_id": padding_token(tokenizer)}


def usage(facts: Mapping[str, Any]) -> list[str]:
    return reading(facts, LABELS)


def evaluate(
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    table: pa.Table,
    language: str,
    settings: Mapping[str, Any],
    batch_tokens: int,
    where: str,
) -> Evaluated:
    from langneurons.tasks.pairs import classified

    encoded = encode(table, tokenizer, settings["max_tokens"], settings["separator"])
    return classified(model, encoded, tokenizer, batch_tokens, where)
