"""Which questions test and which train, by id: no question is tested that was trained on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from langneurons.tasks.texts import normal

PARTS = ("all", "train", "test")


def chosen(
    ids: Sequence[str],
    part: str,
    train_fraction: float,
    name: str,
    trained: Collection[str] | None = None,
    tested: Collection[str] | None = None,
) -> list[int]:
    """Positions of the questions of ``part`` among a file's ``ids``, in the file's order.

    ``all``: every one; ``train``: the first ``floor(questions * train_fraction)``; ``test``: the others, or, with
    ``tested`` (the ids of the source language's test questions), those with one of these ids. So the split of a
    language follows the ids of the source language, wherever the questions lie in the language's own file.
    ``trained`` are the ids that train; of a test file with ``tested`` every id must be among the two. ``name`` is the
    file's, for errors.

    ValueError: no question left, a test id that was trained on, ids that the source language does not have (a language
    that lacks some ids has fewer questions).
    """
    cut = first(len(ids), train_fraction)
    if part == "test" and tested is not None:
        _check_parallel(ids, set(trained or ()) | set(tested), name)
        wanted = set(tested)
        kept = [i for i, identity in enumerate(ids) if identity in wanted]
    else:
        start, end = {"all": (0, len(ids)), "train": (0, cut), "test": (cut, len(ids))}[part]
        kept = list(range(start, end))
    if not kept and tested is not None:
        raise ValueError(f"{name}: has none of the {len(tested)} test questions of the source language")
    if not kept:
        raise ValueError(f"{name}: part {part} of {len(ids)} questions is empty; write another train_fraction")
    check_untrained([ids[i] for i in kept], trained or (), name)
    return kept


def check_part(part: str, train_fraction: float, name: str) -> None:
    """ValueError for an unknown part, or a share outside (0, 1)."""
    if part not in PARTS:
        raise ValueError(f"{name}: part is '{part}'; write all, train or test")
    if not 0 < train_fraction < 1:
        raise ValueError(f"{name}: train_fraction is {train_fraction}; write a share between 0 and 1")


def check_untrained(ids: Sequence[str], trained: Collection[str], name: str) -> None:
    """ValueError, naming the first of them, if test ids are among those that train."""
    known = set(trained)
    if leaked := [identity for identity in ids if identity in known]:
        raise ValueError(
            f"{name}: the test question with id '{leaked[0]}' is among the training questions "
            f"({len(leaked)} of {len(ids)} are); test questions must not be trained on. Give a training file without "
            "them, or delete what was made from another version of the files"
        )


def check_new(test: Mapping[str, Sequence[str]], train: Mapping[str, Sequence[str]], name: str) -> None:
    """ValueError, naming both ids of the first, if test questions are training questions under other ids.

    Both have the columns ``id``, ``context`` and ``question``, of the same language: a question is known by its context
    and wording (``tasks.texts.normal``).
    """
    tested, known = (
        [((normal(c), normal(q)), i) for i, c, q in zip(t["id"], t["context"], t["question"], strict=True)]
        for t in (test, train)
    )
    trained = dict(known)
    if leaked := [(identity, trained[question]) for question, identity in tested if question in trained]:
        raise ValueError(
            f"{name}: the test question with id '{leaked[0][0]}' is the training question with id '{leaked[0][1]}' "
            f"({len(leaked)} of {len(tested)} test questions are trained on, by context and question); test questions "
            "must not be trained on. Give a training file without them, or another train_fraction"
        )


def _check_parallel(ids: Sequence[str], source: set[str], name: str) -> None:
    if foreign := [identity for identity in ids if identity not in source]:
        raise ValueError(
            f"{name}: {len(foreign)} of {len(ids)} ids do not occur in the source language's file, the first is "
            f"'{foreign[0]}'. With train: xquad the files of all languages must have the same questions under the same "
            "ids; give parallel files, or write train: squad"
        )


def first(count: int, share: float) -> int:
    """floor(count * share), without the binary fraction's error."""
    return math.floor(count * share + 1e-9)
