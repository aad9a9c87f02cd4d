"""The graph of stacks says what the templates say, and is drawn without anything installed."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from lib.errors import InputError, TemplateError
from lib.templates import graph as graphs
from lib.templates import templates
from lib.templates.graph import Edge
from lib.templates.templates import Template
from tests.support import factories

SVG = "{http://www.w3.org/2000/svg}"


def folder(master: str, **children: str) -> dict[str, Template]:
    """Return a folder of a master's resources and of children by name, each with one bucket."""
    texts = {"master-stack.yaml": master} | {f"{k}.yaml": v for k, v in children.items()}
    return {name: factories.template(text, name) for name, text in texts.items()}


def nested(file: str, **more: object) -> dict[str, object]:
    """Return a nested stack that loads a file."""
    properties = {"TemplateURL": f"https://x/{file}", **more.pop("properties", {})}  # type: ignore[dict-item]
    return {"Type": "AWS::CloudFormation::Stack", "Properties": properties, **more}


def master(**resources: object) -> str:
    return json.dumps({"Resources": resources})


CHILD = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})
READS_A = {"Parameters": {"P": {"Fn::GetAtt": ["A", "Outputs.Name"]}}}


@pytest.fixture
def application() -> graphs.Graph:
    return graphs.read(
        templates.read_folder(factories.REPOSITORY / "infrastructure" / "cloudformation")
    )


def test_every_nested_stack_of_the_application_is_a_node(application: graphs.Graph) -> None:
    assert len(application.nodes) == 9
    assert {node.condition for node in application.nodes} == {"", "HasFrontend", "HasBudget"}


def test_an_arrow_goes_from_what_is_read_to_what_reads_it(application: graphs.Graph) -> None:
    assert Edge("StorageStack", "IAMStack", ("BucketName",)) in application.edges
    assert Edge("DatabaseStack", "BudgetStack", ("CostTrackingTableName",)) in application.edges
    assert not [edge for edge in application.edges if edge.reader == "DatabaseStack"]


@pytest.mark.parametrize(
    "reference",
    [
        {"Fn::GetAtt": ["A", "Outputs.Name"]},
        {"Fn::GetAtt": "A.Outputs.Name"},
        {"Fn::Sub": "x-${A.Outputs.Name}"},
        {"Fn::Sub": ["x-${A.Outputs.Name}-${B}", {"B": "b"}]},
        {"Fn::If": ["C", {"Fn::GetAtt": ["A", "Outputs.Name"]}, "none"]},
    ],
)
def test_an_output_is_found_however_it_is_read(reference: object) -> None:
    reader = nested("b.yaml", properties={"Parameters": {"P": reference}})
    graph = graphs.read(folder(master(A=nested("a.yaml"), B=reader), a=CHILD, b=CHILD))
    assert graph.edges == (Edge("A", "B", ("Name",)),)


@pytest.mark.parametrize("named", ["A", ["A"]])
def test_a_stack_that_only_says_depends_on_gets_an_arrow_without_outputs(named: object) -> None:
    text = master(A=nested("a.yaml"), B=nested("b.yaml", DependsOn=named))
    graph = graphs.read(folder(text, a=CHILD, b=CHILD))
    assert graph.edges == (Edge("A", "B", ()),)
    assert "A --> B" in graphs.draw_mermaid(graph)
    assert "A to B: DependsOn" in graphs.draw_svg(graph)


def test_children_of_children_are_named_by_their_path() -> None:
    inner = json.dumps({"Resources": {"Inner": nested("a.yaml")}})
    graph = graphs.read(folder(master(Outer=nested("b.yaml")), a=CHILD, b=inner))
    assert [node.path for node in graph.nodes] == ["Outer", "Outer/Inner"]
    assert "Outer_Inner[" in graphs.draw_mermaid(graph)


def test_stacks_that_wait_for_each_other_are_an_error_that_names_them() -> None:
    reads_b = {"Parameters": {"P": {"Fn::GetAtt": ["B", "Outputs.Name"]}}}
    text = master(A=nested("a.yaml", properties=reads_b), B=nested("b.yaml", properties=READS_A))
    with pytest.raises(TemplateError, match="circle: A > B > A"):
        graphs.read(folder(text, a=CHILD, b=CHILD))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "There is no master-stack.yaml"),
        (folder(master(A=nested("a.yaml"))), "loads a.yaml, which does not exist"),
        (folder(master(A=nested("master-stack.yaml"))), "nest in a circle"),
    ],
)
def test_a_tree_that_cannot_be_walked_is_an_error(found: dict[str, Template], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        graphs.read(found)


def test_the_svg_shows_each_stack_right_of_what_it_waits_for(application: graphs.Graph) -> None:
    root = ET.fromstring(graphs.draw_svg(application))
    left = {
        group.findtext(f"{SVG}text"): float(group.find(f"{SVG}rect").attrib["x"])  # type: ignore[union-attr]
        for group in root.iter(f"{SVG}g")
    }
    assert len(left) == len(application.nodes)
    assert all(left[edge.source] < left[edge.reader] for edge in application.edges)


def test_no_two_boxes_of_the_svg_overlap(application: graphs.Graph) -> None:
    boxes = [rect.attrib for rect in ET.fromstring(graphs.draw_svg(application)).iter(f"{SVG}rect")]
    places = [tuple(float(box[k]) for k in ("x", "y", "width", "height")) for box in boxes]
    for index, (x, y, width, height) in enumerate(places):
        for other_x, other_y, _, _ in places[index + 1 :]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height


def test_a_stack_with_a_condition_has_a_dashed_border(application: graphs.Graph) -> None:
    assert "class FrontendStack,BudgetStack conditional" in graphs.draw_mermaid(application)
    assert graphs.draw_svg(application).count("stroke-dasharray") == 2


def test_a_format_is_chosen_by_name_and_others_are_refused() -> None:
    assert graphs.choose_format("svg") is graphs.draw_svg
    with pytest.raises(InputError, match="--format takes mermaid, svg, not 'png'"):
        graphs.choose_format("png")


def test_the_document_names_nodes_and_what_each_edge_reads(application: graphs.Graph) -> None:
    document = graphs.as_document(application)
    assert document["nodes"][0]["path"] == "NetworkStack"
    assert {"from": "StorageStack", "to": "IAMStack", "outputs": ["BucketName"]} in document[
        "edges"
    ]


def test_the_tasks_print_the_graph_and_say_that_the_pages_are_in_step() -> None:
    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=factories.REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout

    assert run("graph").startswith("flowchart LR")
    assert json.loads(run("docs", "--check", "--json"))["stale"] == []
