"""The DAG of rules as SVG, from Snakemake's own digraph."""

import io
import xml.etree.ElementTree as ElementTree

import pytest

from langneurons.runner.rulegraph import draw, layers_of, main, parse_dot

DOT = """digraph snakemake_dag {
    node[shape=box, style=rounded];
\t0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
\t1[label = "render_table", color = "0.47 0.6 0.85", style="rounded"];
\t2[label = "a<b", color = "0.1 0.6 0.85", style="rounded"];
\t3[label = "pack", color = "0.1 0.6 0.85", style="rounded"];
\t1 -> 0
\t2 -> 1
\t3 -> 0
\t3 -> 2
}
"""


def test_nodes_and_edges():
    nodes, edges = parse_dot(DOT)
    assert nodes == {"0": "all", "1": "render_table", "2": "a<b", "3": "pack"}
    assert edges == [("1", "0"), ("2", "1"), ("3", "0"), ("3", "2")]


def test_a_rule_that_reads_its_own_outputs_is_drawn_once():
    assert draw(DOT.replace("\t3 -> 2\n", "\t3 -> 2\n\t2 -> 2\n")) == draw(DOT)


def test_every_edge_goes_down():
    nodes, edges = parse_dot(DOT)
    depth = {node: i for i, layer in enumerate(layers_of(nodes, edges)) for node in layer}
    assert depth == {"3": 0, "2": 1, "1": 2, "0": 3}
    assert all(depth[source] < depth[target] for source, target in edges)


def test_the_svg_holds_every_rule_and_edge():
    root = ElementTree.fromstring(draw(DOT))
    space = "{http://www.w3.org/2000/svg}"
    assert sorted(t.text for t in root.iter(f"{space}text")) == ["a<b", "all", "pack", "render_table"]
    assert len(list(root.iter(f"{space}path"))) == 4


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="pipe the output of snakemake --rulegraph"):
        draw("Building DAG of jobs...")


@pytest.mark.parametrize("graph", ["", "Building DAG of jobs..."])
def test_no_graph_is_one_line(monkeypatch, capsys, graph):
    monkeypatch.setattr("sys.stdin", io.StringIO(graph))
    assert main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: no digraph in the input; pipe the output of snakemake --rulegraph in\n"
