"""Which documents are taken, and what is reported of them: length, repetition, and whose script they are written in."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator

import numpy as np

from langneurons.corpus.scripts import scripts_of
from langneurons.files import write_atomically

COLUMNS = ("language", "read", "empty", "short", "repeated", "foreign", "kept", "characters", "letters", "own_letters")


@functools.cache
def _kinds(language: str) -> np.ndarray:
    """Of each code point: 0 no letter, 1 a letter, 2 a letter of the language's script.

    Letters that Unicode counts to no script (Common, as the long vowel of kana) are left out. No letter lies beyond
    the table's end, whose last place stands for the rest.
    """
    import regex

    everything = "".join(map(chr, range(0x40000)))
    kinds = np.zeros(len(everything), dtype=np.uint8)
    own = "".join(rf"\p{{Script={name}}}" for name in scripts_of(language) or ())
    for pattern, kind in ((r"[\p{L}--[\p{Script=Common}\p{Script=Inherited}]]+", 1), (rf"[\p{{L}}&&[{own}]]+", 2)):
        for found in regex.finditer(pattern, everything, flags=regex.V1):
            kinds[found.start() : found.end()] = kind
    return kinds


def count_letters(text: str, language: str) -> tuple[int, int]:
    """Letters of a text (Unicode's category L), and those in the language's own script.

    ValueError for a language whose script the table does not say.
    """
    if not scripts_of(language):
        raise ValueError(f"the script of '{language}' is not known; write 0 as corpus.min_own_script")
    kinds = _kinds(language)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found = kinds[np.minimum(points, len(kinds) - 1)]
    return int(np.count_nonzero(found)), int(np.count_nonzero(found == 2))


class DocumentFilter:
    """Takes documents that hold something new, and counts what it leaves out.

    Left out, in this order: empty texts; texts of fewer than ``min_characters`` characters; repetitions of an earlier
    text (by a hash of all of it); texts with less than ``min_own_script`` of their letters in the language's script
    (0: none is left out).
    """

    def __init__(self, language: str, min_characters: int = 0, min_own_script: float = 0.0) -> None:
        self.language, self.min_characters, self.min_own_script = language, min_characters, min_own_script
        self.counts = dict.fromkeys(COLUMNS[1:], 0)
        self._seen: set[bytes] = set()

    def __call__(self, documents: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield the documents taken, in order."""
        for identity, text in documents:
            self.counts["read"] += 1
            fault = self._fault(text)
            if fault:
                self.counts[fault] += 1
            else:
                yield identity, text

    def _fault(self, text: str) -> str | None:
        if not text.strip():
            return "empty"
        if len(text) < self.min_characters:
            return "short"
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            return "repeated"
        self._seen.add(digest)
        if self.min_own_script:
            letters, own = count_letters(text, self.language)
            if own < self.min_own_script * letters or not letters:
                return "foreign"
        return None

    def measured(self, documents: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Pass documents on, and count what a shard then holds: documents, characters, letters."""
        known = scripts_of(self.language) is not None
        for identity, text in documents:
            self.counts["kept"] += 1
            self.counts["characters"] += len(text)
            if known:
                letters, own = count_letters(text, self.language)
                self.counts["letters"] += letters
                self.counts["own_letters"] += own
            yield identity, text

    def summary(self) -> str:
        """What was read and left out, in a line."""
        left = ", ".join(f"{self.counts[fault]} {fault}" for fault in COLUMNS[2:6])
        return f"{self.counts['read']} documents read; left out: {left}; kept in this shard: {self.counts['kept']}"

    def write(self, path: str | os.PathLike) -> None:
        """Write one line: what was read and left out of the source, what the shard holds, its share of own letters.

        The share is empty where there is no letter, or the language's script is not known.
        """
        letters = self.counts["letters"]
        share = f"{self.counts['own_letters'] / letters:.6f}" if letters else ""
        row = [self.language, *(str(self.counts[column]) for column in COLUMNS[1:]), share]
        with write_atomically(path) as partial:
            partial.write_text(
                "\t".join([*COLUMNS, "own_script_share"]) + "\n" + "\t".join(row) + "\n", encoding="utf-8"
            )
