"""Tables and figures as a finished run leaves them, small and written here: what a report is made of."""

from __future__ import annotations

from pathlib import Path

from langneurons.report import page as report
from langneurons.report.answer import Question
from langneurons.report.findings import Rendered
from langneurons.tasks import xnli
from langneurons.tasks.base import scoring_of

XNLI = scoring_of(xnli.Section.model_validate({"kind": "xnli", "source": "files", "languages": ["vi", "hi"]}))
SOURCES = Path(__file__).parents[1] / "workflow/report"
FIGURES = ("neuron_counts", "neuron_overlap", "neuron_layers", "perplexity_change", "bits_per_byte_change")
# Name -> kind, TSV; lines of a table of its own kind, as its renderer writes them.
TABLES = {
    "xnli": (
        "interventions",
        "model\tmethod\tlanguage\tneurons\tnone\tzero\n"
        "M\tLAPE\tvi\t3\t50\t45\nM\tLAPE\thi\t3\t50\t51\nM\t\ten\t\t70\t\n",
    ),
    "xnli_vs_paper": (None, "model\tours\ttheirs\nM\t50\t51\n"),
    "finetuning": ("finetuning", "model\tmethod\tfinetuned_neurons\tlanguage\tnone\nM\tLAPE\ten\tvi\t50\n"),
    "statistics": ("statistics", "model\tlanguage\tmean\nM\tvi\t-0.2\n"),
    "controls": (
        "random_controls",
        "model\tmethod\tlanguage\tintervention\tmetric\tneurons\tnone\town\trandom_mean\tdifference\tmore_than_random\n"
        "M\tLAPE\tvi\tzero\taccuracy\t3\t50\t45\t50\t-5\tyes\n",
    ),
    "split_half": (
        "split_half",
        "model\tmethod\tlanguage\tjaccard\tjaccard_random\nM\tlape-set1\tvi\t0.5\t0.01\n",
    ),
    "relevance_spread": ("relevance_spread", "model\tmethod\tlanguage\tratio\tnote\nM\tact\tvi\t12.5\t\n"),
    "perplexity_change": (
        "perplexity_change",
        "model\tmethod\tlanguage\tzeroed\tneurons\tbits_per_byte_change\nM\tlape\tvi\tvi\t3\t0.1\n",
    ),
}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="420" height="280"><rect width="420" height="280" fill="#31688e"/>'
    "<text x='20' y='40'>{label}</text></svg>"
)


def compared(verdict="undecided", effect=-1.0, ends=(-4.0, 2.0), intervention="zero", language="vi", **changed):
    """A row of ``comparisons/{question}.tsv``, in the primary metric."""
    row = {"model": "M", "task": "xnli", "method_key": "lape", "language": language, "intervention": intervention}
    row |= {"against": "none", "metric": "accuracy", "primary": "yes", "effect": str(effect), "verdict": verdict}
    return row | {"effect_low": str(ends[0]), "effect_high": str(ends[1])} | changed


DRAWS = "zero@random, zero@random-1, zero@random-2"
QUESTIONS = [
    Question("intervention", XNLI, 5.0, [compared(), compared("equivalent", 1.0, (-2.0, 4.0), language="hi")]),
    Question("random", XNLI, 5.0, [compared("worse", -5.0, (-8.0, -2.0), against=DRAWS)]),
]


def write_pieces(directory: Path) -> dict:
    """Write the pieces; the arguments of ``report_body`` that name them, and the answer's questions."""
    tables = {}
    for name, (kind, text) in TABLES.items():
        (directory / f"{name}.tsv").write_text(text, encoding="utf-8")
        printed = (
            f"**The table {name}**\n\n| Model | Method | No Int |\n| :--- | :--- | ---: |\n"
            "| Tiny \\<M\\> | LAPE | 50.0 |\n\nA note.\n"
        )
        (directory / f"{name}.md").write_text(printed, encoding="utf-8")
        of_task = kind in ("interventions", "finetuning", "random_controls")
        tables[name] = Rendered(kind, directory / f"{name}.tsv", XNLI if of_task else None)
    figures = {}
    for kind in FIGURES:
        figures[kind] = []
        for label in ("Tiny M, lape-set1", "Tiny M, act-prob-90p"):
            path = directory / f"{kind}.{len(figures[kind])}.svg"
            path.write_text(SVG.format(label=label) + "<!-- " + "x" * 9000 + " -->", encoding="utf-8")
            figures[kind].append((label, path))
    return {"questions": QUESTIONS, "tables": tables, "figures": figures}


def body(pieces: dict, miniature: bool = True) -> str:
    return report.report_body(pieces["questions"], pieces["tables"], pieces["figures"], SOURCES, miniature)
