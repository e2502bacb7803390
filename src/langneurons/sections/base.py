"""What every section shares: types of keys, the base class, and checks of paths and revisions."""

from __future__ import annotations

import re
from string import Formatter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

KEY = r"^[a-z0-9][a-z0-9.-]*$"
Percentile = Annotated[float, Field(gt=0, lt=100)]
Share = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
ModelKey = Annotated[str, Field(pattern=KEY)]
TableKey = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=False)


def fields_of(*needed: str, optional: tuple[str, ...] = ("data",)):
    """A validator: a path's pattern holds the ``needed`` fields in braces, and no others but ``optional``."""

    def check(pattern: str) -> str:
        try:
            found = {field for _, field, _, _ in Formatter().parse(pattern) if field is not None}
        except ValueError as error:
            raise ValueError(f"is no pattern ({error}); write fields as {{language}}") from None
        missing, unknown = [f for f in needed if f not in found], sorted(found - {*needed, *optional})
        if missing or unknown:
            known = ", ".join(f"{{{f}}}" for f in (*needed, *optional))
            raise ValueError(
                f"must hold {', '.join(f'{{{f}}}' for f in missing)}"
                if missing
                else f"has unknown fields; known: {known}"
            )
        return pattern

    return check


COMMIT = r"^[0-9a-f]{40}$"


def commit_check(prefix: str):
    """A validator: a revision is a commit; if not, say how to get the one to write. ``prefix``: of the name."""

    def check(revision: str, info: ValidationInfo) -> str:
        if not re.fullmatch(COMMIT, revision):
            name = prefix + info.data.get("repository", "OWNER/NAME")
            raise ValueError(
                "should be a commit of 40 hexadecimal digits, not a branch: a branch moves; "
                f"write the one that this prints: python -m langneurons.hub commit {name}"
            )
        return revision

    return check


Commit = Annotated[str, Field(json_schema_extra={"pattern": COMMIT})]
