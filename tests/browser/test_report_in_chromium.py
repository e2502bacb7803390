"""The report in a real browser, without a network: no error, everything to be seen on a wide and on a narrow screen."""

import os
import shutil
from pathlib import Path

import pytest
from chromium import PROGRAM, Page
from report_pieces import FIGURES, SOURCES, TABLES, body, write_pieces

from langneurons.report.page import report_page

DEMO = Path(__file__).parents[2] / "results" / "demo"
WIDTHS = (1280, 400)

pytestmark = pytest.mark.skipif(
    PROGRAM is None and "BROWSER_REQUIRED" not in os.environ, reason="no Chromium: apt-get install chromium"
)

# Of each element: its corners after it is scrolled to, and whether the point in the middle of what can be seen of it is
# its own. A table may be wider than the screen: its box scrolls.
SEEN = """[...document.querySelectorAll(%r)].map(e => {
  e.scrollIntoView({block: 'center'});
  const box = e.getBoundingClientRect();
  const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
  const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
  const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return {width: right - left, height: bottom - top, own: e === at || e.contains(at)};
})"""
LOADED = "[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.naturalHeight > 0)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with Page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    path = directory / "index.html"
    path.write_text(report_page(body(write_pieces(directory)), SOURCES), encoding="utf-8")
    (alone := directory / "alone").mkdir()
    return Path(shutil.move(path, alone / "index.html"))  # nothing lies beside it


def look(page, path, width, tables, figures):
    """Open a report and hold it to what a person must see."""
    page.errors.clear()
    page.open(path, width)
    page.wait("document.querySelector('.neurons-report') !== null")
    page.wait(LOADED)
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself scrolls sideways"
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for selector, number in ((".neurons-report article table", tables), (".neurons-report figure img", figures)):
        found = page.evaluate(SEEN % selector)
        assert len(found) == number
        assert [e for e in found if e["width"] < 150 or e["height"] < 30 or not e["own"]] == [], selector
    assert page.errors == []


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_seen(page, written, width):
    look(page, written, width, len(TABLES), 2 * len(FIGURES))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_question_and_the_answer_come_first(page, written, width):
    page.open(written, width)
    tops = [
        page.evaluate(f"document.querySelector({selector!r}).getBoundingClientRect().top")
        for selector in ("h1", "#question", "#controls", "#tables", "#figures")
    ]
    assert tops == sorted(tops)
    assert tops[1] < 900, "the question is not on the first screen"


def test_a_request_and_an_error_would_be_noticed(page, tmp_path):
    """The test's own eyes: a page that asks the network for an image, and one that throws."""
    for name, content in {
        "request": '<img src="http://example.invalid/x.png">',
        "error": "<script>throw new Error('broken')</script>",
        "console": "<script>console.error('said')</script>",
    }.items():
        page.errors.clear()
        (tmp_path / f"{name}.html").write_text(f"<!doctype html><title>x</title>{content}", encoding="utf-8")
        page.open(tmp_path / f"{name}.html", 1280)
        assert page.errors, name
    page.errors.clear()


@pytest.mark.parametrize("name", ["report/index.html", "report.html"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_demos_reports_are_seen(page, name, width):
    """The demo's own page, and Snakemake's report, which opens with the same."""
    if not (DEMO / name).is_file() and "DEMO_REQUIRED" not in os.environ:
        pytest.skip(f"no results/demo/{name}: run `make demo` and `make report` first")
    printed = list((DEMO / "tables").glob("*.md"))
    drawn = [path for path in (DEMO / "figures").glob("*.svg") if path.name.partition(".")[0] in FIGURES]
    page.errors.clear()
    page.open(DEMO / name, width)
    page.wait("document.querySelector('.neurons-report') !== null")
    assert page.evaluate("document.querySelector('.miniature').textContent").startswith("A miniature.")
    look(page, DEMO / name, width, len(printed), len(drawn))
