"""Figures: their data against counts made by hand, their files parsed, their colours measured."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET

import pytest
from artifact_files import changed_tsv, tsv_file

from langneurons.figures.neurons import (
    neuron_counts,
    neuron_layers,
    neuron_overlap,
    save_chart,
)
from langneurons.figures.perplexity import perplexity_change
from langneurons.methods.mask import mask_from

ENTRIES = {"vi": {0: [1, 4], 2: [7, 3, 5]}, "en": {0: [4], 1: [0], 2: [3, 5]}, "ur": {1: [1]}}
LANGUAGES = ["vi", "en", "hi", "ur"]  # hi has no neuron
COLUMNS = ("language", "zeroed", "neurons", "perplexity_base", "change", "bits_per_byte_base", "bits_per_byte_zeroed")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def mask(tmp_path):
    return write_mask(tmp_path / "lape.parquet", ENTRIES, LANGUAGES)


def write_mask(path, entries, languages, layers=3, neurons=8):
    scores = {code: {k: [0.0] * len(v) for k, v in found.items()} for code, found in entries.items()}
    mask_from(
        "lape", entries, scores, layers=layers, neurons_per_layer=neurons, model="digest", languages=languages
    ).write(path)
    return path


def write_changes(path, changes):
    """``changes``: (zeroed, language of the text) -> change, as text or number."""
    lines = [[text, zeroed, 5, 100, change, 1, 1] for (zeroed, text), change in changes.items()]
    return tsv_file(path, "\n".join("\t".join(map(str, line)) for line in [COLUMNS, *lines]))


def matrix(languages, diagonal=500.0):
    return {
        (a, b): diagonal * (i + 1) ** 2 if a == b else (-1) ** (i + j) * 0.07 * (i + 2 * j)
        for i, a in enumerate(languages)
        for j, b in enumerate(languages)
    }


def values(chart):
    """The chart's data, which all its layers share."""
    spec = chart.to_dict()
    assert not any("data" in layer for layer in spec["layer"])
    return spec["data"]["values"]


def encodings(chart, channel):
    return [layer["encoding"][channel] for layer in chart.to_dict()["layer"] if channel in layer["encoding"]]


def texts_of(path):
    return [element.text for element in ET.parse(path).iter(f"{SVG}text")]


# Data


def test_counts(mask):
    chart = neuron_counts(mask, "Llama", 300, 200)
    assert {r["language"]: r["neurons"] for r in values(chart)} == {"vi": 5, "en": 4, "hi": 0, "ur": 1}
    assert encodings(chart, "y")[0]["sort"] == LANGUAGES


def test_overlap(mask):
    found = {(r["language"], r["other"]): r["shared"] for r in values(neuron_overlap(mask, "Llama", 300, 200))}
    own = {"vi": 5, "en": 4, "hi": 0, "ur": 1}
    # vi and en share (0, 4), (2, 3), (2, 5); ur's (1, 1) has the index of vi's (0, 1) in another layer.
    expected = {(a, b): own[a] if a == b else 0 for a in LANGUAGES for b in LANGUAGES}
    assert found == expected | {("vi", "en"): 3, ("en", "vi"): 3}


def test_layers(mask):
    chart = neuron_layers(mask, "Llama", 300, 200)
    found = {(r["language"], r["layer"]): r["neurons"] for r in values(chart)}
    expected = {(code, layer): 0 for code in LANGUAGES for layer in range(3)}
    expected |= {("vi", 0): 2, ("vi", 2): 3, ("en", 0): 1, ("en", 1): 1, ("en", 2): 2, ("ur", 1): 1}
    assert found == expected
    assert encodings(chart, "y")[0]["sort"] == LANGUAGES
    assert encodings(chart, "x")[0]["sort"] == [0, 1, 2]


def test_perplexity_rows_are_the_zeroed_language(tmp_path):
    # The file lists texts in another order than the languages at zero: the diagonal still lies on the diagonal.
    changes = {(a, b): 0.5 for b in ("hi", "zh", "en", "vi") for a in ("en", "vi", "hi")} | {("vi", "en"): 12.25}
    chart = perplexity_change(write_changes(tmp_path / "lape-set1.tsv", changes), "Llama", 300, 200)
    found = {(r["zeroed"], r["language"]): (r["change"], r["label"]) for r in values(chart)}
    assert found == {pair: (0.5, "0.50") for pair in changes} | {("vi", "en"): (12.25, "12.2")}
    x, y = encodings(chart, "x")[0], encodings(chart, "y")[0]
    assert (x["field"], x["sort"]) == ("language", ["en", "vi", "hi", "zh"])
    assert (y["field"], y["sort"]) == ("zeroed", ["en", "vi", "hi"])
    assert "lape-set1" in chart.to_dict()["title"]["subtitle"][0]


def test_perplexity_labels(tmp_path):
    printed = {
        "0.0": "0",
        "-0.001": "0.00",
        "-1.2": "−1.20",
        "9.996": "10.0",
        "99.96": "100",
        "-4321.4": "−4,321",
        "9999.6": "10k",
        "999600": "1.0M",
        "3e12": "3e+12",
    }
    changes = {("en", f"t{i}"): text for i, text in enumerate(printed)}
    chart = perplexity_change(write_changes(tmp_path / "m.tsv", changes), "", 300, 200)
    assert [r["label"] for r in values(chart)] == list(printed.values())
    assert [r["change"] for r in values(chart)] == list(map(float, printed))


@pytest.mark.parametrize("text", ["nan", "inf", "much", ""])
def test_perplexity_refuses_what_is_no_number(tmp_path, text):
    path = write_changes(tmp_path / "m.tsv", {("en", "vi"): text})
    with pytest.raises(ValueError, match=r"m\.tsv: text vi with en at zero has a value that is no number"):
        perplexity_change(path, "", 300, 200)


def test_perplexity_refuses_wrong_files(tmp_path):
    path = write_changes(tmp_path / "m.tsv", {("en", "vi"): 1.0})
    changed_tsv(path, lambda lines: [*lines, lines[-1]])
    with pytest.raises(ValueError, match="is duplicated"):
        perplexity_change(path, "", 300, 200)
    tsv_file(path, "language\tzeroed\nvi\ten")
    with pytest.raises(ValueError, match=r"m\.tsv: has no column neurons, perplexity_base, change, bits"):
        perplexity_change(path, "", 300, 200)


def test_a_figure_draws_the_model_and_method_asked_for(tmp_path, mask):
    path = tsv_file(
        tmp_path / "m.tsv", "\n".join(["\t".join(("model", "method", *COLUMNS)), "a\tlape\tvi\ten\t5\t10\t1.0\t1\t1"])
    )
    perplexity_change(path, "", 300, 200, {"model": "a", "method": "lape"})
    with pytest.raises(ValueError, match=r"m\.tsv: model is 'a', 'b' was expected"):
        perplexity_change(path, "", 300, 200, {"model": "b", "method": "lape"})
    for draw in (neuron_counts, neuron_overlap, neuron_layers):
        with pytest.raises(ValueError, match=r"lape\.parquet: method is 'lape', 'act' was expected"):
            draw(mask, "", 300, 200, {"method": "act"})


# Files


def drawn(tmp_path, mask):
    changes = write_changes(tmp_path / "m.tsv", matrix(LANGUAGES))
    charts = {
        draw.__name__: draw(mask, "A <b> & C", 300, 200) for draw in (neuron_counts, neuron_overlap, neuron_layers)
    }
    return charts | {"perplexity_change": perplexity_change(changes, "A <b> & C", 300, 200)}


def test_svg_parses_and_names_every_language(tmp_path, mask):
    for name, chart in drawn(tmp_path, mask).items():
        save_chart(chart, tmp_path / f"{name}.svg")
        texts = texts_of(tmp_path / f"{name}.svg")
        assert set(LANGUAGES) < set(texts)
        assert "A <b> & C" in texts


def test_numbers_stand_in_the_cells(tmp_path, mask):
    charts = drawn(tmp_path, mask)
    for name, numbers in {"neuron_counts": "5401", "neuron_overlap": "5300340000000001"}.items():
        save_chart(charts[name], tmp_path / f"{name}.svg")
        texts = [text for text in texts_of(tmp_path / f"{name}.svg") if re.fullmatch(r"\d", text or "")]
        assert "".join(texts).endswith(numbers)


@pytest.mark.parametrize("ending", ["svg", "pdf", "html"])
def test_two_saves_are_equal(tmp_path, mask, ending):
    chart = drawn(tmp_path, mask)["perplexity_change"]
    contents = set()
    for i in range(2 if ending == "html" else 6):
        save_chart(chart, tmp_path / f"{i}.{ending}")
        contents.add((tmp_path / f"{i}.{ending}").read_bytes())
    assert len(contents) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_pdf_is_a_pdf_with_one_font(tmp_path, mask):
    for name, chart in drawn(tmp_path, mask).items():
        save_chart(chart, tmp_path / f"{name}.pdf")
        content = (tmp_path / f"{name}.pdf").read_bytes()
        assert content.startswith(b"%PDF-")
        assert content.count(b"/Subtype /Type0") == 1  # several would come in an order drawn by chance
        assert not re.search(rb"/(CreationDate|ModDate|ID)\b", content)


HOSTILE = "x</script><script>alert(1)</script><!-- & <b>\"'"


def test_a_title_does_not_end_a_page_s_script(tmp_path, mask):
    """The page's two scripts, the libraries' and the chart's, are those of a plain title, and hold the title whole."""
    pages = []
    for title in ("Plain", HOSTILE):
        save_chart(neuron_counts(mask, title, 420, 280), tmp_path / "chart.html")
        pages.append((tmp_path / "chart.html").read_text(encoding="utf-8"))
    assert re.findall(r"</?script\b", pages[0]) == re.findall(r"</?script\b", pages[1])
    assert "alert(1)</script>" not in pages[1] and pages[1].count("<!--") == pages[0].count("<!--")
    found = re.search(r'"text":("(?:[^"\\]|\\.)*alert(?:[^"\\]|\\.)*")', pages[1])
    assert json.loads(found[1]) == HOSTILE
    assert f"<title>{html.escape(HOSTILE)}" in pages[1]


def test_html_needs_no_network(tmp_path, mask):
    save_chart(drawn(tmp_path, mask)["neuron_overlap"], tmp_path / "chart.html")
    page = (tmp_path / "chart.html").read_text()
    assert "<title>A &lt;b&gt; &amp; C" in page
    tags = re.findall(r"<(?:script|link|iframe)\b[^>]*>", page)
    assert [tag for tag in tags if tag.startswith("<script")]
    assert not [tag for tag in tags if re.search(r"\b(src|href)\s*=", tag)]
    assert not re.search(r"@import|url\(\s*['\"]?https?:", page)
    assert len(page) > 500_000  # the libraries are inside
    assert '"editor":false' in page  # no link that would send the data to a web page


def test_unknown_ending(tmp_path, mask):
    with pytest.raises(ValueError, match=r"a\.gif: cannot save a chart as \.gif; use \.svg, \.html, \.pdf"):
        save_chart(neuron_counts(mask, "", 300, 200), tmp_path / "a.gif")
    assert not (tmp_path / "a.gif").exists()


# Looks


def luminance(color):
    """Relative luminance of WCAG 2, 0 to 1, of a CSS colour as Vega writes it."""
    named = {"white": (255, 255, 255), "black": (0, 0, 0)}
    if color.startswith("rgb"):
        channels = [int(c) for c in re.findall(r"\d+", color)]
    elif color.startswith("#"):
        channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        channels = named[color]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (c / 255 for c in channels)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def cells_and_numbers(path):
    """Colour of each cell by its middle (the topmost wins), and (place, colour, text) of the numbers in them."""
    tree = ET.parse(path)
    cells, numbers = {}, []
    for group in tree.iter(f"{SVG}g"):
        marks = group.get("class", "")
        for element in group:
            if "mark-rect role-mark" in marks and element.tag == f"{SVG}path":
                x, y, w, h = map(
                    float, re.match(r"M([-\d.e]+),([-\d.e]+)h([-\d.e]+)v([-\d.e]+)", element.get("d")).groups()
                )
                cells[round(x + w / 2), round(y + h / 2)] = element.get("fill")
            if "mark-text role-mark" in marks and element.tag == f"{SVG}text":
                x, y = map(float, re.match(r"translate\(([-\d.e]+),([-\d.e]+)\)", element.get("transform")).groups())
                numbers.append((x, y - 4, element.get("fill"), element.text, float(element.get("font-size")[:-2])))
    return cells, numbers


@pytest.mark.parametrize("diagonal", [0.4, 500.0, 4e6])
def test_every_number_contrasts_with_its_cell_and_fits(tmp_path, diagonal):
    languages = ["en", "bn", "hi", "ta", "te", "mr", "ur", "kn", "ml", "pa"]
    changes = matrix(languages, diagonal)
    entries = {code: {0: range(40 * i * i, 40 * i * i + 400 * i)} for i, code in enumerate(languages)}
    mask = write_mask(tmp_path / "m.parquet", entries, languages, neurons=9000)
    charts = [
        perplexity_change(write_changes(tmp_path / "m.tsv", changes), "Llama", 420, 280),
        neuron_overlap(mask, "Llama", 420, 280),
    ]
    for chart in charts:
        save_chart(chart, tmp_path / "m.svg")
        cells, numbers = cells_and_numbers(tmp_path / "m.svg")
        assert len(cells) == len(numbers) == 100
        inks = set()
        for x, y, ink, text, size in numbers:
            fill = min(cells, key=lambda at: (at[0] - x) ** 2 + (at[1] - y) ** 2)
            low, high = sorted((luminance(ink), luminance(cells[fill])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ink, cells[fill])
            assert size >= 7
            assert len(text) * size * 0.556 < 42, text
            inks.add(ink)
        assert inks == {"white", "black"}


def test_dominating_diagonal_leaves_the_rest_readable(tmp_path):
    languages = ["en", "vi", "hi", "zh"]
    changes = {(a, b): 5000.0 if a == b else 0.2 for a in languages for b in languages} | {("en", "vi"): 6.0}
    changes[("vi", "en")] = 0.0
    changes[("zh", "en")] = -6.0
    save_chart(perplexity_change(write_changes(tmp_path / "m.tsv", changes), "", 400, 400), tmp_path / "m.svg")
    cells, _ = cells_and_numbers(tmp_path / "m.svg")
    light = {(x // 100, y // 100): luminance(color) for (x, y), color in cells.items()}  # column, row
    unchanged, small, medium, large = light[0, 1], light[1, 2], light[1, 0], light[0, 0]
    assert unchanged - small > 0.02
    assert small - medium > 0.1
    assert medium - large > 0.1
    colors = {(x // 100, y // 100): color for (x, y), color in cells.items()}
    red, _, blue = (int(c) for c in re.findall(r"\d+", colors[0, 3]))
    assert blue > red  # better is blue
    red, _, blue = (int(c) for c in re.findall(r"\d+", colors[1, 0]))
    assert red > blue  # worse is orange


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_few_neurons_give_whole_and_distinct_ticks(tmp_path, most):
    mask = write_mask(tmp_path / "m.parquet", {"en": {0: range(most)}}, ["en", "vi"], layers=40)
    for draw in (neuron_counts, neuron_layers):
        save_chart(draw(mask, "Llama", 300, 200), tmp_path / "m.svg")
        axis = [t for t in ET.parse(tmp_path / "m.svg").iter(f"{SVG}g") if "role-legend" in t.get("class", "")]
        if draw is neuron_counts:
            axis = [t for t in ET.parse(tmp_path / "m.svg").iter(f"{SVG}g") if "X-axis" in t.get("aria-label", "")]
        labels = [t.text for t in axis[0].iter(f"{SVG}text") if t.text != "Neurons"]
        if most:
            assert sorted(labels) == [str(n) for n in range(most + 1)]
        else:
            assert sorted(labels) == ["0", "1"]


def test_forty_layers_label_some(tmp_path):
    mask = write_mask(tmp_path / "m.parquet", ENTRIES, LANGUAGES, layers=40)
    chart = neuron_layers(mask, "Nemo", 420, 280)
    assert len(values(chart)) == 160
    assert encodings(chart, "x")[0]["axis"]["values"] == [0, 5, 10, 15, 20, 25, 30, 35]
