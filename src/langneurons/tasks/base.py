"""What a task is: an entry of this package, a module with ``ENTRY_OF = "tasks"``, named as the task's kind.

An entry has the members of ``Task`` at its top level. Those that take ``section`` are pure functions of the
configuration, called when the workflow is parsed; the others run in jobs, which know ``settings`` alone: what the
entry's own ``settings`` said of their stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from langneurons.evaluation.scoring import Metric, Scoring
from langneurons.models.heads import Head
from langneurons.registry import entry
from langneurons.sections.tasks import TaskSection

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from transformers import PreTrainedTokenizerBase

    from langneurons.models.types import LanguageModel
    from langneurons.sections.tasks import Split
    from langneurons.tasks.encoding import Encoded

JOB_FUNCTIONS = {
    "import": ("COLUMNS", "read"),
    "demo": ("COLUMNS", "DEMO"),
    "finetune": ("COLUMNS", "HEAD", "SHARED_IDS", "encode_train", "collate", "adapter_facts", "usage"),
    "evaluate": ("COLUMNS", "HEAD", "METRICS", "CLUSTERS", "evaluate"),
}
"""What each stage's jobs call of an entry: the code that its results come from."""

Stage = Literal["import", "finetune", "evaluate"]


class HubFile(NamedTuple):
    """One Parquet file of a data set on the Hub: ``{folder}/{split}-*.parquet``, the only one of that form.

    ``rows``: how many it must have; None for any number.
    """

    repository: str
    revision: str
    folder: str
    split: str
    rows: int | None


@dataclass(frozen=True)
class Evaluated:
    """A condition's ``metrics`` (percent, by name), how many examples were ``dropped``, and ``predictions``.

    ``predictions`` have a line per example: ``id``, the columns of the metrics and of the clusters, and what the entry
    wants to keep beside them.
    """

    metrics: Mapping[str, float]
    dropped: int
    predictions: pa.Table


class Task(Protocol):
    """The members of an entry."""

    ENTRY_OF: ClassVar[str]
    Section: ClassVar[type[TaskSection]]
    """The task's keys in the configuration; its docstring says what the task asks."""
    NAME: ClassVar[str]
    """What captions and the report call the task."""
    ASKS: ClassVar[str]
    """The field's name of what it asks of a model: ``question answering``."""
    HEAD: ClassVar[Head]
    COLUMNS: ClassVar[Mapping[str, str]]
    """Columns of its data and their types: names of pyarrow's types, or ``strings`` for a list of texts."""
    METRICS: ClassVar[Mapping[str, Metric]]
    """Name -> metric, in the order of the metric files."""
    CLUSTERS: ClassVar[str | None]
    """The column of predictions whose equal values mark examples that stand or fall together."""
    TOKENS: ClassVar[int]
    """Mean tokens of an example, for an estimate of a job's time."""
    DEMO: ClassVar[str | None]
    """What the miniature world writes of it (``demo.world.WRITERS``); None for a task without ``source: demo``."""
    SHARED_IDS: ClassVar[bool]
    """Whether an id names the same example in training and test data: then none of the former may be tested."""

    @staticmethod
    def checks(section: Any) -> Iterator[tuple[str, str]]:
        """(key, what is wrong) of what keys of the section contradict in each other."""

    @staticmethod
    def file(section: Any, split: str) -> tuple[str, str]:
        """For ``source: files``: the key of the section and the pattern in it that give the path of a split."""

    @staticmethod
    def hub(section: Any, language: str, split: Split) -> HubFile:
        """For ``source: hub``: the file of a language and split."""

    @staticmethod
    def known(section: Any, language: str, split: str) -> dict[str, tuple[str, str]]:
        """Name -> (language, split) of the task's other data that reading this split compares with."""

    @staticmethod
    def settings(section: Any, stage: Stage, split: str = "") -> dict[str, Any]:
        """All that a stage's results depend on beside the data, as plain values of JSON; ``split`` of ``import``."""

    @staticmethod
    def examples(section: Any, split: str) -> int:
        """How many examples the public data set's split gives, for an estimate of a job's time."""

    @staticmethod
    def columns(section: Any) -> dict[str, str]:
        """Suffix of a table's column -> the metric that it prints."""

    @staticmethod
    def notes(section: Any, beside_paper: bool = False) -> list[str]:
        """Notes below a table on its metrics; ``beside_paper``: below one beside the paper's numbers."""

    @staticmethod
    def read(
        source: str, language: str, split: str, settings: Mapping[str, Any], known: Mapping[str, pa.Table]
    ) -> dict[str, list]:
        """The columns (``COLUMNS``) of a person's or the Hub's file; ``known``: the data that ``known`` named.

        ValueError naming file and place for what is missing, damaged or ambiguous.
        """

    @staticmethod
    def encode_train(table: pa.Table, tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> Encoded:
        """Token ids and labels to train on: columns ``id``, ``input_ids``, ``labels``."""

    @staticmethod
    def collate(batch: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
        """The model's inputs and ``labels``, padded, of examples that ``encode_train`` made."""

    @staticmethod
    def adapter_facts(tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What an adapter says of its input: the settings, and what a person must know to repeat the encoding."""

    @staticmethod
    def usage(facts: Mapping[str, Any]) -> list[str]:
        """Paragraphs of an adapter's card: what the model reads and what it answers. ``facts``: the adapter's."""

    @staticmethod
    def evaluate(
        model: LanguageModel,
        tokenizer: PreTrainedTokenizerBase,
        table: pa.Table,
        language: str,
        settings: Mapping[str, Any],
        batch_tokens: int,
        where: str,
    ) -> Evaluated:
        """Metrics and predictions of a model. ``where`` is the condition, for errors.

        ValueError for a logit that is not finite, and where every example is dropped.
        """


def task_of(section: TaskSection) -> Any:
    """The entry of a task's section."""
    return entry("tasks", section.kind)


def answers_in_words(section: TaskSection) -> bool:
    """Whether a task needs no head but the model's own: one that was not fine-tuned has an answer too."""
    return task_of(section).HEAD.kind == "causal"


def scoring_of(section: TaskSection) -> Scoring:
    """How the conditions of a task are scored, and what a table prints of it."""
    task = task_of(section)
    columns = task.columns(section)
    labels = [task.METRICS[name].label for name in columns.values()]
    title = section.title or task.NAME
    return Scoring(task.METRICS, task.CLUSTERS, columns, title, f"{title} {' and '.join(labels)} (%)")
