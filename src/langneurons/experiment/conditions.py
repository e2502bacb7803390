"""Which conditions a table needs. Pure functions of the configuration."""

from __future__ import annotations

from langneurons.config.load import Config
from langneurons.config.table_checks import table_context
from langneurons.experiment.condition import Condition
from langneurons.registry import entry


def table_conditions(config: Config, name: str) -> list[Condition]:
    """Every condition that table ``name`` reads, sorted; none of a kind that reads other files."""
    section = config.tables[name]
    return entry("tables", section.kind).conditions(section, table_context(config))
