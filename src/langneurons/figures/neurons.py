"""Figures: what a neuron mask says, as Altair charts, the matrix of changes, and saving charts byte for byte the same.

Every chart reads dark as much: colours run light to dark and are safe for colour-blind readers, and text in a cell is
black or white by the luminance of the cell. ``width`` and ``height`` are pixels of the plotting area. ``expected``: the
facts (``model_key`` and ``method``; of a perplexity file ``model`` and ``method``) that the file drawn must have.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import altair as alt
import numpy as np

from langneurons.files import write_atomically
from langneurons.methods.mask import NeuronMask, read_masks

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # the first is part of vl-convert: same bytes everywhere
AMOUNT = alt.SchemeParams(name="viridis", extent=[1, 0])
INK = "#31688e"
NOTHING = "#f2f2f2"
Axis = TypeVar("Axis", alt.X, alt.Y)
Masks = str | os.PathLike | Sequence[str | os.PathLike]
"""The files of one method's mask."""
ENDINGS = (".svg", ".html", ".pdf")
LESS = "\ue000less\ue000"
"""Stands for "<" while a page is made: within a script, ``</script>`` and ``<!--`` of a title would end it."""


def neuron_counts(
    masks: Masks, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Bars: number of neurons of each language of the mask, with the number; also of languages without any."""
    mask = read_masks(masks, expected)
    values = [{"language": code, "neurons": mask.count(code)} for code in mask.languages]
    most = max(map(mask.count, mask.languages)) or 1
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("neurons:Q", title="Neurons", scale=alt.Scale(domain=[0, most * 1.12], nice=False)).axis(
            format=",d", values=_ticks(most), labelFlush=False
        ),
        y=_band(alt.Y, "language", "Language", mask.languages),
        tooltip=["language:N", alt.Tooltip("neurons:Q", format=",d")],
    )
    bars = chart.mark_bar(color=INK)
    numbers = chart.mark_text(align="left", dx=4, fontSize=11).encode(text=alt.Text("neurons:Q", format=",d"))
    return _finish([bars, numbers], title, [f"Neurons of each language ({mask.method})"], width, height)


def neuron_overlap(
    masks: Masks, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Heat map: number of neurons that two languages share, grey where none; on the diagonal a language's own."""
    mask = read_masks(masks, expected)
    sets = {code: _flat(mask, code) for code in mask.languages}
    shared = {
        (a, b): int(np.intersect1d(sets[a], sets[b], assume_unique=True).size)
        for a in mask.languages
        for b in mask.languages
    }
    values = [{"language": a, "other": b, "shared": count} for (a, b), count in shared.items()]
    most = max(shared.values()) or 1
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=_band(alt.X, "other", "Language", mask.languages),
        y=_band(alt.Y, "language", "Language", mask.languages),
        tooltip=["language:N", "other:N", alt.Tooltip("shared:Q", format=",d")],
    )
    none, cells = _cells(
        chart,
        alt.datum.shared > 0,
        alt.Color("shared:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, most], scheme=AMOUNT)),
    )
    numbers = _cell_numbers(chart, alt.Text("shared:Q", format=",d"), "shared", len(mask.languages), width)
    lines = [f"Neurons that two languages share ({mask.method})", "on the diagonal, all of the language"]
    return _finish([none, cells, numbers], title, lines, width, height)


def neuron_layers(
    masks: Masks, title: str, width: int, height: int, expected: Mapping[str, str] | None = None
) -> alt.LayerChart:
    """Heat map: number of neurons of each language in each layer, counted from 0; grey where there is none."""
    mask = read_masks(masks, expected)
    counts: dict[tuple[str, int], int] = {}
    for code in mask.languages:
        found = mask.neurons(code)
        counts |= {(code, layer): len(found.get(layer, ())) for layer in range(mask.layers)}
    values = [{"language": code, "layer": layer, "neurons": count} for (code, layer), count in counts.items()]
    most = max(counts.values()) or 1
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=_band(alt.X, "layer", "Layer", range(mask.layers)).axis(values=_ticks(mask.layers - 1, 12)),
        y=_band(alt.Y, "language", "Language", mask.languages),
        tooltip=["language:N", "layer:O", alt.Tooltip("neurons:Q", format=",d")],
    )
    legend = alt.Legend(title="Neurons", format=",d", values=_ticks(most), gradientLength=min(height, 200))
    none, cells = _cells(
        chart,
        alt.datum.neurons > 0,
        alt.Color("neurons:Q", legend=legend, scale=alt.Scale(type="sqrt", domain=[0, most], scheme=AMOUNT)),
    )
    lines = [f"Neurons of each language by layer, from 0 ({mask.method}); grey: none"]
    return _finish([none, cells], title, lines, width, height)


def change_matrix(
    changes: list[dict], title: str, lines: list[str], width: int, height: int, printed: float
) -> alt.LayerChart:
    """Matrix of ``changes``: dictionaries of language, zeroed, neurons, change and its label.

    ``printed``: the smallest step that a label shows. Orange is worse, blue better, pale no change. The scale is
    symmetric, linear up to the median change and logarithmic beyond it, so that a large diagonal does not turn the rest
    pale.
    """
    zeroed = list(dict.fromkeys(row["zeroed"] for row in changes))
    measured = dict.fromkeys(row["language"] for row in changes)
    texts = [code for code in zeroed if code in measured] + [code for code in measured if code not in zeroed]
    size = sorted(abs(row["change"]) for row in changes if row["change"]) or [0.0]
    most = max(size[-1], 10 * printed)  # what prints as 0.00 stays pale, here and in the constant
    scale = alt.Scale(
        type="symlog",
        constant=max(size[len(size) // 2], printed / 2),
        domain=[-most, most],
        domainMid=0,
        scheme=alt.SchemeParams(name="blueorange"),
    )
    chart = alt.Chart(alt.Data(values=changes)).encode(
        x=_band(alt.X, "language", "Language of the text", texts),
        y=_band(alt.Y, "zeroed", "Neurons at zero", zeroed),
        tooltip=["zeroed:N", "language:N", alt.Tooltip("neurons:Q", format=",d"), "change:Q"],
    )
    none, cells = _cells(chart, "isValid(datum.change)", alt.Color("change:Q", legend=None, scale=scale))
    numbers = _cell_numbers(chart, alt.Text("label:N"), "change", len(texts), width)
    return _finish([none, cells, numbers], title, [*lines, "orange: worse, blue: better"], width, height)


def save_chart(chart: alt.LayerChart, path: str | os.PathLike) -> None:
    """Write the chart as ``.svg``, ``.pdf`` or self-contained ``.html`` (its JavaScript inside, no network).

    The same chart gives the same bytes: all text is in one weight, because the converter writes a PDF's fonts in an
    order drawn by chance (so a title in a script that this font lacks may still reorder a PDF's objects); and no mark
    is see-through, of which the same is true. Raises ValueError for another ending.
    """
    import vl_convert

    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise ValueError(
            f"{path}: cannot save a chart as {ending or 'a file without ending'}; use {', '.join(ENDINGS)}"
        )
    spec, version = chart.to_dict(), ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    if ending == ".html":
        marked = json.loads(json.dumps(spec).replace("<", LESS))
        page = vl_convert.vegalite_to_html(marked, vl_version=version, bundle=True, renderer="svg")
        page = page.replace(LESS, r"\u003c")  # JSON's other way to write it
        heading = html.escape(spec.get("description", "Chart"))
        content = page.replace("<title>Chart</title>", f"<title>{heading}</title>", 1).encode()
    elif ending == ".svg":
        content = vl_convert.vegalite_to_svg(spec, vl_version=version).encode()
    else:
        content = vl_convert.vegalite_to_pdf(spec, vl_version=version)
    with write_atomically(path) as partial:
        partial.write_bytes(content)


def _flat(mask: NeuronMask, language: str) -> np.ndarray:
    """The language's neurons as distinct numbers layer * neurons_per_layer + index, int64 ``[n]``."""
    parts = [layer * mask.neurons_per_layer + indices for layer, indices in mask.neurons(language).items()]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _band(channel: type[Axis], field: str, title: str, order: Iterable) -> Axis:
    """A discrete axis that keeps ``order``."""
    return channel(field, type="ordinal", title=title, sort=list(order))


def _ticks(most: int, count: int = 5) -> list[int]:
    """Whole numbers from 0 to at most ``most``, in steps of 1, 2 or 5 times a power of ten, about ``count``."""
    steps = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
    return list(range(0, most + 1, next(step for step in steps if most <= step * count)))


def _cells(chart: alt.Chart, filled: str | alt.OperatorMixin, color: alt.Color) -> tuple[alt.Chart, alt.Chart]:
    """Cells of a heat map: grey ones everywhere, and coloured ones over them where ``filled`` holds."""
    grey = chart.mark_rect(color=NOTHING, stroke="white", strokeWidth=0.5)
    coloured = chart.transform_filter(filled).mark_rect(stroke="white", strokeWidth=0.5).encode(color=color)
    return grey, coloured


def _cell_numbers(chart: alt.Chart, text: alt.Text, field: str, columns: int, width: int) -> alt.Chart:
    """Numbers in the cells of a heat map: white on dark cells, black on light ones, small where cells are narrow."""
    dark = f"isValid(datum.{field}) && luminance(scale('color', datum.{field})) < 0.179"  # equal contrast with both
    size = min(12.0, max(7.0, width / columns / 3.6))
    return chart.mark_text(fontSize=round(size, 1)).encode(
        text=text, color=alt.when(dark).then(alt.value("white")).otherwise(alt.value("black"))
    )


def _finish(layers: list[alt.Chart], title: str, lines: list[str], width: int, height: int) -> alt.LayerChart:
    heading = alt.TitleParams(title, subtitle=lines, anchor="start", frame="group", offset=10)
    menu = {"embedOptions": {"actions": {"export": True, "source": False, "compiled": False, "editor": False}}}
    return (
        alt.LayerChart(layer=layers)
        .properties(title=heading, width=width, height=height, usermeta=menu, description=f"{title}. {lines[0]}")
        .configure(font=FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal", labelAngle=0, grid=False)
        .configure_title(fontSize=15, fontWeight="normal", subtitleFontSize=11, subtitleColor="#555555")
        .configure_legend(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
    )
