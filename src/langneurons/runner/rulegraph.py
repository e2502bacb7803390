"""The DAG of rules as SVG, where graphviz is not installed.

``snakemake --rulegraph | langneurons rulegraph > rules.svg``
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from xml.sax.saxutils import escape

NODE = re.compile(r'^\s*(\d+)\s*\[.*?label\s*=\s*"([^"]*)"')
EDGE = re.compile(r"^\s*(\d+)\s*->\s*(\d+)")
WIDTH, HEIGHT, GAP, RISE = 190, 32, 18, 62


def parse_dot(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Nodes (id -> label) and edges (from, to) of a digraph as Snakemake prints it; ValueError if it is none.

    A rule that reads its own outputs (random neurons copy other masks' numbers) has an edge to itself: left out.
    """
    if "digraph" not in text:
        raise ValueError("no digraph in the input; pipe the output of snakemake --rulegraph in")
    nodes: dict[str, str] = {}
    edges = []
    for line in text.splitlines():
        if found := EDGE.match(line):
            edges += [(found[1], found[2])] if found[1] != found[2] else []
        elif found := NODE.match(line):
            nodes[found[1]] = found[2].replace("\\n", " ")
    return nodes, edges


def layers_of(nodes: dict[str, str], edges: list[tuple[str, str]]) -> list[list[str]]:
    """Nodes by depth (the longest way from a source), each layer ordered by the mean place of its parents."""
    parents = defaultdict(list)
    for source, target in edges:
        parents[target].append(source)
    depth: dict[str, int] = {}

    def deep(node: str) -> int:
        if node not in depth:
            depth[node] = 1 + max((deep(p) for p in parents[node]), default=-1)
        return depth[node]

    layers: list[list[str]] = [[] for _ in range(1 + max((deep(n) for n in nodes), default=-1))]
    for node in sorted(nodes, key=lambda n: nodes[n]):
        layers[depth[node]].append(node)
    place: dict[str, float] = {}
    for layer in layers:
        if place:
            layer.sort(key=lambda n: sum(place[p] for p in parents[n]) / len(parents[n]) if parents[n] else 0.5)
        for i, node in enumerate(layer):
            place[node] = (i + 0.5) / len(layer)
    return layers


def draw(text: str) -> str:
    """An SVG document of the digraph ``text``, data flowing down."""
    nodes, edges = parse_dot(text)
    layers = layers_of(nodes, edges)
    broadest = max((len(layer) for layer in layers), default=1)
    width = broadest * (WIDTH + GAP) + GAP
    height = len(layers) * RISE + GAP
    at = {}
    for row, layer in enumerate(layers):
        left = (width - len(layer) * (WIDTH + GAP) + GAP) / 2
        for i, node in enumerate(layer):
            at[node] = (left + i * (WIDTH + GAP), GAP + row * RISE)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for source, target in sorted(edges, key=lambda edge: (nodes[edge[0]], nodes[edge[1]])):  # Snakemake's order varies
        (x1, y1), (x2, y2) = at[source], at[target]
        x1, y1, x2 = x1 + WIDTH / 2, y1 + HEIGHT, x2 + WIDTH / 2
        bend = (y2 - y1) / 2
        path = f"M{x1:g},{y1:g} C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2:g}"
        parts.append(f'<path d="{path}" fill="none" stroke="#9aa5b1" stroke-width="1.2"/>')
    for node, (x, y) in at.items():
        middle = f'x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 4.5:g}"'
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3f8" stroke="#31688e"/>'
            f'<text {middle} text-anchor="middle">{escape(nodes[node])}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The graph of the standard input, as SVG on the standard output; its exit status."""
    parser = argparse.ArgumentParser(
        prog="langneurons rulegraph", description="Read the output of snakemake --rulegraph, write it as SVG."
    )
    parser.parse_args(arguments)
    try:
        sys.stdout.write(draw(sys.stdin.read()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
