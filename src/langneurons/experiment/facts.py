"""Which lines of the library's tables of facts a job uses: the architecture of its model, the language of its text."""

from __future__ import annotations

import json
from pathlib import Path

from langneurons.config.load import Config
from langneurons.sections.languages import primary

Facts = tuple[tuple[str, str], ...]


def of_model(config: Config, model: str) -> Facts:
    """The model's architecture, as its ``config.json`` calls it; nothing where that is not known before a download."""
    spec = config.models[model]
    architecture = getattr(spec, "architecture", None)
    if spec.source == "files":
        try:
            architecture = json.loads((Path(spec.path) / "config.json").read_text(encoding="utf-8")).get("model_type")
        except (OSError, ValueError, AttributeError):  # import_model says what is wrong
            architecture = None
    return (("architecture", architecture),) if isinstance(architecture, str) else ()


def of_language(config: Config, language: str) -> Facts:
    """The language of a job's text."""
    return (("language", primary(language)),)


def of_evaluation(config: Config, model: str, language: str) -> Facts:
    """Architecture and language of a condition."""
    return of_model(config, model) + of_language(config, language)
