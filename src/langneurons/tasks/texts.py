"""What a text of a task must be: characters that UTF-8 can hold, no marks of a prompt template, and not empty."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langneurons.artifacts.foreign_files import string
from langneurons.models.tokenization import Template

_EMPTY = (
    "is empty or white space alone; write the text, or delete the row (pandas writes missing values so, and takes "
    "words such as n/a and null for missing values unless it reads with keep_default_na=False)"
)


class Texts:
    """Checks the texts of one file, ``name``, and counts the rows whose empty texts are kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._empty: dict[str, str] = {}

    def text(self, value: Any, place: str, what: str, keep_empty: bool = False) -> str:
        """``value``, the text called ``what`` at ``place``; one of white space alone only where ``keep_empty``.

        ValueError, naming file and place, for no text, half of a character, U+FDD0 or U+FDD1, and an empty text.
        """
        at = f"{self._name}, {place}: {what}"
        found = string(value, at)
        with named(at):
            Template.plain(found)
        if not found.strip():
            if not keep_empty:
                raise ValueError(f"{at} {_EMPTY}")
            self._empty.setdefault(place, what)
        return found

    def report(self) -> None:
        """Print how many rows with an empty text were kept, and the first of them; nothing where there is none."""
        if self._empty:
            place, what = next(iter(self._empty.items()))
            print(
                f"{self._name}: {len(self._empty)} rows have an empty text and are kept; the first is {place} ({what})"
            )


@contextmanager
def named(what: str) -> Iterator[None]:
    """Put ``what``, the text's place or id, before a ValueError of the body."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def normal(text: str) -> str:
    """A text to compare: compatible characters are one (NFKC), and case and white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
