"""Tasks as a configuration of a few keys has them: their scoring, and the import of their files."""

from __future__ import annotations

from langneurons.evaluation.scoring import Scoring
from langneurons.registry import entry
from langneurons.tasks.base import scoring_of
from langneurons.tasks.imports import import_task


def section(kind: str, **keys):
    """A task's section; keys that are not given are its own."""
    return entry("tasks", kind).Section.model_validate({"kind": kind, "source": "files", "languages": ["vi"], **keys})


def scoring(kind: str, metric: str = "mlqa") -> Scoring:
    """How a task is scored; ``metric``: XQuAD's."""
    return scoring_of(section(kind, **({"metric": metric} if kind == "xquad" else {})))


XNLI, XQUAD = scoring("xnli"), scoring("xquad")


def import_xnli(source, out, language: str, fraction: float = 1.0) -> int:
    """The first ``fraction`` of a file of pairs, as a job imports it; the number of rows."""
    facts = {"task": "xnli", "language": language, "split": "test"}
    return import_task(source, out, "xnli", facts, {"fraction": fraction}, {})


def import_xquad(
    source, out, part: str = "all", train_fraction: float = 0.8, language="vi", split="test", train=None, **known
) -> int:
    """A part of a file of questions, as a job imports it; training questions are English. The number of rows."""
    facts = {"task": "xquad", "language": language, "split": split}
    settings = {"part": part, "train_fraction": train_fraction, "source_language": "en"}
    others = {"train": (train, {"language": "en", "split": "train"})} if train else {}
    others |= {name: (path, {"language": "en", "split": "test"}) for name, path in known.items()}
    return import_task(source, out, "xquad", facts, settings, others)
