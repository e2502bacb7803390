"""The report: one HTML page with the question, the answer, the tables and the figures; nothing outside it is needed."""

from __future__ import annotations

import base64
import csv
import io
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langneurons.experiment.comparison import AGAINST
from langneurons.files import write_atomically
from langneurons.registry import entry
from langneurons.report.answer import QUESTION, Count, Question, answer, counts
from langneurons.report.findings import Tables, finding_of
from langneurons.tables.reference import MEANING as BESIDE_THE_PAPER

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Language-specific neurons and cross-lingual transfer"
HEADINGS = {
    "neuron_counts": "Neurons by language",
    "neuron_overlap": "Neurons shared by languages",
    "neuron_layers": "Neurons by layer",
    "perplexity_change": "Change of perplexity",
    "bits_per_byte_change": "Change of bits per byte",
}
_LINE = 4_000  # characters of a line of an embedded image


def write_answer(found: Iterable[Count], path: str | os.PathLike) -> None:
    """Write the counts as TSV, one line each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, Count._fields, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(count._asdict() for count in found)
    with write_atomically(path) as partial:
        partial.write_text(out.getvalue(), encoding="utf-8", newline="\n")


def report_body(
    questions: Sequence[Question],
    tables: Tables,
    figures: Mapping[str, list[tuple[str, str | os.PathLike]]],
    sources: str | os.PathLike,
    miniature: bool,
    alpha: float = 0.05,
) -> str:
    """The report as a piece of HTML: style, question, answer, tables and figures, all inside it.

    ``questions``: what was compared, of which the answer speaks. ``tables``: the Markdown beside each TSV is what is
    shown. ``figures``: kind -> (label, SVG) of each; without any, the page has no section of figures. ``sources``:
    directory of the templates and captions (``workflow/report``). ``miniature``: say that the numbers are the demo's.
    ``alpha``: the largest p-value that counts as a difference. ValueError naming the file for a table that is no
    rendered one.
    """
    from markupsafe import Markup

    findings = [finding_of(table) for table in tables.values()]
    template = _environment(sources).get_template("body.html.jinja2")
    return template.render(
        style=Markup(_read(sources, "style.css")),
        title=TITLE,
        miniature=miniature,
        question=QUESTION,
        answer=answer(questions),
        counts=counts(questions),
        against=AGAINST,
        alpha=f"{alpha:g}",
        paragraphs=[found for found in findings if found],
        tables=[_table(name, table.kind, table.path, sources) for name, table in tables.items()],
        figures=[_figures(kind, found, sources) for kind, found in figures.items() if found],
    )


def report_page(body: str, sources: str | os.PathLike) -> str:
    """A whole page around ``report_body``'s HTML."""
    from markupsafe import Markup

    return _environment(sources).get_template("page.html.jinja2").render(title=TITLE, body=Markup(body))


def caption(sources: str | os.PathLike, name: str, **snakemake: object) -> str:
    """A caption of ``workflow/report`` as HTML: reStructuredText with Jinja, which may name ``snakemake``'s facts."""
    from docutils.core import publish_parts

    text = _environment(sources, escape=False).from_string(_read(sources, name)).render(snakemake=snakemake)
    return publish_parts(text, writer="html5", settings_overrides={"report_level": 2, "halt_level": 2})["body"]


def _table(name: str, kind: str | None, path: str | os.PathLike, sources: str | os.PathLike) -> dict:
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    meaning = BESIDE_THE_PAPER if kind is None else entry("tables", kind).MEANING
    text = Path(path).with_suffix(".md").read_text(encoding="utf-8")
    heading, _, rest = text.partition("\n\n")
    if not (heading.startswith("**") and heading.endswith("**") and rest.startswith("|")):
        raise ValueError(f"{Path(path).with_suffix('.md')}: is no rendered table; render it again")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    content = markdown.render(rest).replace("<table>", '<div class="scroll" tabindex="0"><table>')
    return {
        "name": name,
        "heading": Markup(markdown.renderInline(heading[2:-2])),
        "meaning": Markup(caption(sources, "table.rst", params={"meaning": meaning})),
        "content": Markup(content.replace("</table>", "</table></div>")),
        "rows": sum(line.startswith("|") for line in rest.splitlines()) - 2,
    }


def _figures(kind: str, found: list[tuple[str, str | os.PathLike]], sources: str | os.PathLike) -> dict:
    from markupsafe import Markup

    return {
        "name": kind,
        "heading": HEADINGS[kind],
        "meaning": Markup(caption(sources, f"{kind}.rst")),
        "figures": [{"label": label, "source": Markup(_embedded(path))} for label, path in found],
    }


def _embedded(path: str | os.PathLike) -> str:
    """An SVG as a data URI. In an image of its own, its ids do not meet the others'; its lines are not long."""
    coded = base64.b64encode(Path(path).read_bytes()).decode()
    return "data:image/svg+xml;base64," + "\n".join(textwrap.wrap(coded, _LINE))


def _read(sources: str | os.PathLike, name: str) -> str:
    return (Path(sources) / name).read_text(encoding="utf-8")


def _environment(sources: str | os.PathLike, escape: bool = True) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(sources),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
