"""What methods share in the configuration."""

from __future__ import annotations

from typing import Annotated

from langneurons.sections.base import Section
from langneurons.sections.registered import Registered


class MethodSection(Section):
    """Keys of every method. An entry narrows ``kind`` to its name."""

    kind: str


Method = Annotated[MethodSection, Registered("methods")]
