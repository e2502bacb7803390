"""A part of the configuration whose forms are the sections of a registry's entries, an extension's too."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Union

from pydantic import Field, TypeAdapter
from pydantic_core import core_schema

from langneurons.registry import entries, entry
from langneurons.sections.base import Section


class Registered:
    """Metadata of a type: the union of the entries' ``Section``, by its ``kind``, as it is when a value is read.

    ``Annotated[Section, Registered("tables")]`` is the type of a table's section.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def sections(self) -> tuple[type[Section], ...]:
        """The sections of all entries, by the entries' names."""
        return tuple(entry(self.package, name).Section for name in entries(self.package))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: _union(self.sections()).validate_python(value)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict:
        return handler(_union(self.sections()).core_schema)


@functools.cache
def _union(sections: tuple[type[Section], ...]) -> TypeAdapter:
    union: Any = Union[sections]  # noqa: UP007, known at run time alone
    return TypeAdapter(Annotated[union, Field(discriminator="kind")])
