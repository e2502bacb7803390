"""The report: whole, self-contained, the same each time, and true to the tables it shows."""

import csv
import re
from html.parser import HTMLParser

import pytest
from report_pieces import FIGURES, SOURCES, TABLES, body, write_pieces

from langneurons.registry import entries, entry
from langneurons.report import page as report
from langneurons.report.answer import counts


@pytest.fixture
def pieces(tmp_path):
    return write_pieces(tmp_path)


class Reader(HTMLParser):
    """Tags with their attributes, headings and text; raises nothing by itself, so nesting is checked here."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_opens_with_the_question_and_the_answer(pieces):
    text = body(pieces)
    places = [text.index(words) for words in ("<h1>", ">Question<", ">Answer<", ">Tables<", ">Figures<")]
    assert places == sorted(places)
    assert report.QUESTION.partition(" a language")[0] in text
    opening = re.search(r"<h2>Answer</h2>\s*<p>(.*?)</p>", text)[1]
    assert opening.startswith("No: none of 2 interventions makes the model better, and a gain of 5 points")
    assert (
        "1 of 1 differs from the same on random neurons (3 draws): zero of lape, M, XNLI in vi (−5.0 points)." in text
    )


def test_every_table_and_figure_is_there_with_what_it_means(pieces):
    page = Reader(report.report_page(body(pieces), SOURCES))
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert {f"table-{name}" for name in TABLES} | {f"figures-{kind}" for kind in FIGURES} <= ids
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2 * len(FIGURES)
    assert all(image["alt"] and image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    meanings = re.findall(r'<div class="meaning">(.*?)</div>', report.report_page(body(pieces), SOURCES), flags=re.S)
    assert len(meanings) == len(TABLES) + len(FIGURES)
    assert all(len(meaning) > 80 for meaning in meanings)
    assert len(set(meanings)) == len(meanings)


def test_cells_are_those_of_the_table(pieces):
    text = body(pieces)
    article = text[text.index('id="table-xnli"') :]
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", article[: article.index("</article>")])
    assert cells == ["Model", "Method", "No Int", "Tiny &lt;M&gt;", "LAPE", "50.0"]


def test_nothing_is_fetched(pieces):
    page = Reader(report.report_page(body(pieces), SOURCES))
    named = [a[key] for _, a in page.tags for key in ("src", "href", "action", "srcset") if a.get(key)]
    assert [name for name in named if not name.startswith(("data:", "#"))] == []
    assert [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")] == []
    assert not re.search(r"@import|url\(", body(pieces))


def test_only_a_miniature_says_that_it_is_one(pieces):
    assert "A miniature." in body(pieces, miniature=True)
    assert "miniature." not in body(pieces, miniature=False)


def test_a_long_table_is_folded(pieces):
    rows = "\n".join("| M | LAPE | 1 |" for _ in range(41))
    pieces["tables"]["xnli"].path.with_suffix(".md").write_text(
        f"**X**\n\n| A | B | C |\n| --- | --- | --- |\n{rows}\n"
    )
    assert "<summary>41 rows</summary>" in body(pieces)


def test_the_same_pieces_give_the_same_bytes(pieces):
    assert body(pieces) == body(pieces)


def test_no_line_is_too_long_for_docutils(pieces):
    """Snakemake's report takes the body in through docutils."""
    assert max(map(len, body(pieces).splitlines())) < 10_000


def test_a_file_that_is_no_rendered_table_is_named(pieces):
    pieces["tables"]["xnli"].path.with_suffix(".md").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"xnli\.md: is no rendered table"):
        body(pieces)


def test_the_counts_are_written_as_they_are_shown(pieces, tmp_path):
    report.write_answer(counts(pieces["questions"]), tmp_path / "answer.tsv")
    with (tmp_path / "answer.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = ("question", "intervention", "compared", "better", "worse", "equivalent", "undecided", "largest_gain")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("intervention", "zero", "2", "0", "0", "1", "1", "4.0"),
        ("random", "zero", "1", "0", "1", "0", "0", "-2.0"),
    ]
    text = body(pieces)
    table = text[text.index("<tbody>") : text.index("</tbody>")]
    assert re.findall(r'<td class="number">(.*?)</td>', table) == [*"20011", "4.0", *"10100", "-2.0"]


@pytest.mark.parametrize("kind", entries("tables"))
def test_every_kind_of_table_has_its_caption(kind):
    """One paragraph, as the report shows it."""
    shown = report.caption(SOURCES, "table.rst", params={"meaning": entry("tables", kind).MEANING})
    assert shown.count("<p>") == 1 and len(shown) > 100


def test_every_kind_is_in_the_report(pieces):
    assert {kind for kind, _ in TABLES.values()} == {None, *entries("tables")}


def test_without_figures_the_page_has_no_section_of_them(pieces):
    pieces["figures"] = {kind: [] for kind in FIGURES}
    page = report.report_page(body(pieces), SOURCES)
    assert '<section id="figures">' not in page
    assert not any(heading in page for heading in report.HEADINGS.values())
    assert '<section id="tables">' in page


@pytest.mark.parametrize("name", list(report.HEADINGS))
def test_a_caption_needs_only_what_snakemake_gives(name):
    assert "<p>" in report.caption(SOURCES, f"{name}.rst")


def test_a_title_is_text_in_the_page(pieces):
    """In a figure's label; the tables' titles are escaped where their Markdown is written."""
    hostile = "</script><script>alert(1)</script><!-- & \"'"
    kind, figures = next(iter(pieces["figures"].items()))
    pieces["figures"][kind] = [(hostile, path) for _, path in figures]
    page = report.report_page(body(pieces), SOURCES)
    read = Reader(page)
    assert "script" not in {tag for tag, _ in read.tags} and "<!--" not in page
    assert read.text.count(hostile) == 2
    assert sum(hostile in attributes.get("alt", "") for tag, attributes in read.tags if tag == "img") == 2
