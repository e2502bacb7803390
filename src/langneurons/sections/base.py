"""What every section shares: types of keys, the base class, and checks of paths and revisions."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator
from string import Formatter
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from langneurons.sections.languages import LANGUAGE, code_of

KEY = r"^[a-z0-9][a-z0-9.-]*$"


def _percentile(number: float) -> float:
    """ValueError for a percentile whose name in files and tables (``p90``) would be another one's."""
    if round(number, 4) != number:
        near = f"{min(max(round(number, 4), 0.0001), 99.9999):g}"
        raise ValueError(f"has more than 4 decimals; write {near}")
    return number


Percentile = Annotated[float, Field(gt=0, lt=100), AfterValidator(_percentile)]
Share = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
ModelKey = Annotated[str, Field(pattern=KEY)]
TableKey = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


LARGEST = 2**53
"""The largest number that a key takes: beyond it a double no longer holds every integer."""


class Section(BaseModel):
    """A part of the configuration. Refused in every section: unknown keys, numbers that are none, duplicate entries."""

    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_numbers(cls, raw: Any) -> Any:
        """Truth values are integers to Python: ``top_fraction: yes`` would be 1. Nor is 2**64 a number everywhere."""
        if not isinstance(raw, dict):
            return raw
        return {
            key: _numbers(value, kinds) if (kinds := _kinds(cls, key)) & {int, float} else value
            for key, value in raw.items()
        }

    @field_validator("*", mode="after")
    @classmethod
    def _entries_differ(cls, value: Any) -> Any:
        """A doubled entry of a list would count twice: in a table, an average, a number of comparisons."""
        for place, entry in _lists(value):
            for duplicate in dict.fromkeys(x for x in entry if entry.count(x) > 1):
                shown = f"{duplicate:g}" if isinstance(duplicate, float) else duplicate
                raise fault(place, f"'{shown}' is duplicated; write it once")
        return value


def fault(place: list, what: str) -> PydanticCustomError:
    """An error of a value within a field, ``place`` keys and indices below it; ``what`` is said as it is."""
    return PydanticCustomError("within", "{what}", {"place": place, "what": what})


class NoNumber:
    """Stands where a number must be for a value that is none, so that no validator takes it for one."""

    def __init__(self, what: str) -> None:
        self.what = what


@functools.cache
def _kinds(section: type[BaseModel], field: Any) -> frozenset[type]:
    """The plain types that a field's annotation names, at any depth but for those of sections."""

    def named(annotation: Any) -> Iterator[Any]:
        yield annotation
        for inner in get_args(annotation):
            yield from named(inner)

    if field not in section.model_fields:
        return frozenset()
    known = list(named(section.model_fields[field].annotation))
    return frozenset(kind for kind in (bool, int, float, str) if kind in known)


def _numbers(value: Any, kinds: frozenset[type], depth: int = 0) -> Any:
    """``value`` of lists and dictionaries of numbers, with a ``NoNumber`` for each that is none."""
    if depth < 4 and isinstance(value, list):  # a YAML list may hold itself
        return [_numbers(entry, kinds, depth + 1) for entry in value]
    if depth < 4 and isinstance(value, dict):
        return {key: _numbers(entry, kinds, depth + 1) for key, entry in value.items()}
    if isinstance(value, bool) and bool not in kinds:
        return NoNumber(f"is {str(value).lower()}, a truth value; write a number")
    if isinstance(value, (int, float)) and LARGEST < abs(value) < float("inf"):
        shown = f"{value:g}" if isinstance(value, float) or value.bit_length() < 1000 else "too large"
        return NoNumber(f"is {shown}; write a number of at most {LARGEST}")
    return value


def _lists(value: Any, place: tuple = ()) -> Iterator[tuple[list, list]]:
    """(place, list) of every list in dictionaries; a pair, as AdamW's betas, is a tuple and may repeat a number."""
    if isinstance(value, list):
        yield list(place), value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _lists(entry, (*place, key))


def _printable(text: str) -> None:
    """ValueError where a text has what a caption, a path or a line of a table cannot hold."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            name = {"\n": "a line break", "\t": "a tab"}.get(character, f"the character U+{ord(character):04X}")
            raise ValueError(f"must be one line of text without {name}; take it out")
    if not text.strip():
        raise ValueError("is empty; write a text")
    if text != text.strip():
        raise ValueError(f"starts or ends with a space; write {text.strip()}")


def _plain(text: str) -> str:
    _printable(text)
    if "{" in text or "}" in text:
        raise ValueError(f"must hold no braces; write {re.sub('[{}]', '', text).strip() or 'another'}")
    return text


def _path(text: str) -> str:
    _plain(text)
    if text.startswith("~"):
        raise ValueError("starts with ~, which the shell alone expands; write the whole path")
    return text


def _repository(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII):
        raise ValueError("is no name of a repository; write OWNER/NAME as the Hub does")
    return name


def _language(code: str) -> str:
    if (meant := code_of(code)) != code:
        raise ValueError(f"should be a language's code by BCP 47; write {meant or 'one such as hi, ceb or zh-Hant'}")
    return code


Title = Annotated[str, AfterValidator(_plain)]
DirectoryPath = Annotated[str, AfterValidator(_path)]
RepositoryName = Annotated[str, AfterValidator(_repository)]
Language = Annotated[str, AfterValidator(_language), Field(json_schema_extra={"pattern": f"^{LANGUAGE}$"})]


def fields_of(*needed: str, optional: tuple[str, ...] = ("data",)) -> Callable[[str], str]:
    """A validator: a path's pattern holds the ``needed`` fields in braces, and no others but ``optional``."""

    def check(pattern: str) -> str:
        _printable(pattern)
        try:
            parts = list(Formatter().parse(pattern))
        except ValueError as error:
            raise ValueError(f"is no pattern ({error}); write fields as {{language}}") from None
        found = {field for _, field, _, _ in parts if field is not None}
        missing, unknown = [f for f in needed if f not in found], sorted(found - {*needed, *optional})
        if missing or unknown:
            known = ", ".join(f"{{{f}}}" for f in (*needed, *optional))
            raise ValueError(
                f"must hold {', '.join(f'{{{f}}}' for f in missing)}"
                if missing
                else f"has unknown fields; known: {known}"
            )
        if any("{" in text or "}" in text or layout or conversion for text, _, layout, conversion in parts):
            raise ValueError("must hold no braces but those of its fields, as {language}")
        if pattern.startswith("~"):
            raise ValueError("starts with ~, which the shell alone expands; write the whole path")
        return pattern

    return check


COMMIT = r"^[0-9a-f]{40}$"


def commit_check(prefix: str) -> Callable[[str, ValidationInfo], str]:
    """A validator: a revision is a commit; if not, say how to get the one to write. ``prefix``: of the name."""

    def check(revision: str, info: ValidationInfo) -> str:
        if not re.fullmatch(COMMIT, revision):
            name = prefix + info.data.get("repository", "OWNER/NAME")
            raise ValueError(
                "should be a commit of 40 hexadecimal digits, not a branch: a branch moves; "
                f"write the one that this prints: langneurons hub commit {name}"
            )
        return revision

    return check


Commit = Annotated[str, Field(json_schema_extra={"pattern": COMMIT})]
