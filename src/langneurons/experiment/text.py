"""The text of an experiment: its shards."""

from __future__ import annotations

from langneurons.config.load import Config


def shards(config: Config) -> list[str]:
    """Names of a language's shards, in order."""
    return [f"{i:04d}" for i in range(config.corpus.shards)]
