"""The picture of the stacks says what the graph says, and is drawn without anything installed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from lib.templates import templates
from manual import graph as graphs
from manual import stacks_svg
from manual.graph import Edge, Graph, Node
from tests.support import factories

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def application() -> Graph:
    return graphs.read(
        templates.read_folder(factories.REPOSITORY / "infrastructure" / "cloudformation")
    )


def test_the_svg_shows_each_stack_right_of_what_it_waits_for(application: Graph) -> None:
    root = ET.fromstring(stacks_svg.draw(application))
    left = {
        group.findtext(f"{SVG}text"): float(group.find(f"{SVG}rect").attrib["x"])  # type: ignore[union-attr]
        for group in root.iter(f"{SVG}g")
    }
    assert len(left) == len(application.nodes)
    assert all(left[edge.source] < left[edge.reader] for edge in application.edges)


def test_no_two_boxes_of_the_svg_overlap(application: Graph) -> None:
    boxes = [rect.attrib for rect in ET.fromstring(stacks_svg.draw(application)).iter(f"{SVG}rect")]
    places = [tuple(float(box[k]) for k in ("x", "y", "width", "height")) for box in boxes]
    for index, (x, y, width, height) in enumerate(places):
        for other_x, other_y, _, _ in places[index + 1 :]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height


def test_a_stack_with_a_condition_has_a_dashed_border(application: Graph) -> None:
    assert stacks_svg.draw(application).count("stroke-dasharray") == 2


def test_an_arrow_says_what_is_read_and_a_name_may_hold_anything() -> None:
    nodes = tuple(Node(path, "<&>.yaml", 1) for path in "ABC")
    edges = (Edge("A", "B", ()), Edge("A", "C", ("One", "Two")))
    text = stacks_svg.draw(Graph("<&>", nodes, edges))
    told = {path.findtext(f"{SVG}title") for path in ET.fromstring(text).iter(f"{SVG}path")}
    assert told - {None} == {"A to B: DependsOn", "A to C: One, Two"}


def test_a_graph_without_stacks_is_still_a_picture() -> None:
    assert ET.fromstring(stacks_svg.draw(Graph("none", (), ()))).tag == f"{SVG}svg"
