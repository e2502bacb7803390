"""How often the report says what is not so, and how often it finds what is: predictions in, answer out.

    PYTHONPATH=src python benchmarks/null_simulation.py [--runs 400] [--examples 5010] [--draws 3] [--effect 0]

Each run writes the metrics and predictions of XNLI in three languages: without an intervention, with three on a
language's own neurons, and the same on masks of random neurons. Masks move the accuracy by a normal amount (--between:
its standard deviation in points, one for each intervention in turn), own ones by --effect more. What differs from no
intervention and from random neurons is read from the comparisons, and the answer from the report's first sentence.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from langneurons.evaluation.condition import write_condition
from langneurons.experiment.comparison import INTERVENTION, RANDOM, Compared
from langneurons.experiment.condition import NONE, Condition
from langneurons.experiment.paths import Paths
from langneurons.registry import entry
from langneurons.report.answer import Question, answer
from langneurons.tables.verdicts import comparison_frame
from langneurons.tasks.base import scoring_of

SCORING = scoring_of(
    entry("tasks", "xnli").Section.model_validate({"kind": "xnli", "source": "files", "languages": ["vi", "hi", "ur"]})
)
LANGUAGES, INTERVENTIONS = ("vi", "hi", "ur"), ("mean", "p90", "zero")
CHANGED = 0.08
"""Share of the answers that an intervention changes."""


def condition(language: str, intervention: str) -> Condition:
    return Condition("m", "xnli", "base", language, intervention)


def changed(rng: np.random.Generator, base: np.ndarray, gain: float) -> np.ndarray:
    """``base`` after an intervention that changes answers either way, and gains ``gain`` points more than it loses."""
    share = base.mean()
    lost, won = (CHANGED - gain / 100) / 2 / share, (CHANGED + gain / 100) / 2 / (1 - share)
    moved = rng.random(len(base))
    return np.where(base, moved >= np.clip(lost, 0, 1), moved < np.clip(won, 0, 1))


def write_run(rng: np.random.Generator, paths: Paths, options: argparse.Namespace) -> list[Compared]:
    """One run's files, and what is compared in it."""
    compared = []
    for language in LANGUAGES:
        base = rng.random(options.examples) < options.accuracy
        write(paths, condition(language, NONE), base, 0)
        for i, value in enumerate(INTERVENTIONS):
            between = options.between[i % len(options.between)]
            own = condition(language, f"{value}@lape")
            random = tuple(condition(language, f"{value}@random-{k}") for k in range(options.draws))
            for one in (own, *random):
                gain = between * rng.normal() + options.effect * (one == own)
                write(paths, one, changed(rng, base, gain), 5)
            compared += [Compared(INTERVENTION, own, (condition(language, NONE),)), Compared(RANDOM, own, random)]
    return compared


def write(paths: Paths, one: Condition, right: np.ndarray, neurons: int) -> None:
    number = len(right)
    columns = {"id": [f"{i}" for i in range(number)], "premise": [f"{i // 3}" for i in range(number)]}
    files = Path(paths.metrics(one)), Path(paths.predictions(one))
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"neurons": neurons, "examples": number, "dropped": 0, "accuracy": 100 * float(right.mean())}
    write_condition(one, numbers, pa.table(columns | {"score": right.astype(float)}), SCORING.metrics, *files)


def questions_of(paths: Paths, compared: list[Compared]) -> list[Question]:
    """The comparisons of a run's files, as the report reads them."""
    found = []
    for kind in (INTERVENTION, RANDOM):
        mine = [one for one in compared if one.kind == kind]
        needed = {c for one in mine for c in (one.condition, *one.references)}
        inputs = {name: [getattr(paths, name)(c) for c in sorted(needed)] for name in ("metrics", "predictions")}
        params = {
            "compared": [one.plain() for one in mine],
            "scoring": SCORING.plain(),
            "significance": {"level": 0.95, "resamples": 10_000, "seed": 0, "margin": 1.0},
            "families": {f"xnli.{kind}": len(mine)},
            "titles": {"m": "M"},
        }
        frame = comparison_frame(params, SimpleNamespace(**inputs)).astype(str)
        found.append(Question(kind, SCORING, 1.0, frame.to_dict("records")))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--examples", type=int, default=5_010)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--between", type=float, nargs="+", default=[0.0])
    parser.add_argument("--effect", type=float, default=0.0, help="points, of the language's own neurons")
    parser.add_argument("--accuracy", type=float, default=0.5, help="without an intervention")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    said = {"Yes": 0, "No": 0, "Undecided": 0}
    beyond = found = 0
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            paths = Paths(folder, folder)
            none, random = questions_of(paths, write_run(rng, paths, options))
        said[answer([none, random])[0].partition(":")[0]] += 1
        beyond += any(row["verdict"] in ("better", "worse") for row in random.acting())
        found += sum(row["verdict"] == "better" for row in none.acting())
    compared = len(LANGUAGES) * len(INTERVENTIONS)
    print(f"{options.runs} runs of {compared} comparisons at n = {options.examples}, {options.draws} draws")
    print(f"answers: {', '.join(f'{number} {word}' for word, number in said.items())}")
    print(f"runs with a difference from random neurons: {beyond} ({100 * beyond / options.runs:.1f} %)")
    print(f"comparisons that are better: {100 * found / options.runs / compared:.1f} %")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
