"""The graph of stacks says what the templates say, and is drawn without anything installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lib.document import as_document
from lib.errors import TemplateError
from lib.templates import templates
from lib.templates.templates import Template
from manual import graph as graphs
from manual.graph import Edge
from tests.support import factories


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


def test_a_stack_with_a_condition_has_a_dashed_border(application: graphs.Graph) -> None:
    assert "class FrontendStack,BudgetStack conditional" in graphs.draw_mermaid(application)


def test_the_document_names_nodes_and_what_each_edge_reads(application: graphs.Graph) -> None:
    document = as_document(application)
    assert document["nodes"][0]["path"] == "NetworkStack"
    assert {"from": "StorageStack", "to": "IAMStack", "outputs": ["BucketName"]} in document[
        "edges"
    ]


def run(*arguments: str, expected: int = 0) -> str:
    """Run a task and return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=factories.REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == expected, ran.stderr
    return ran.stdout + ran.stderr if expected else ran.stdout


def test_the_tasks_print_the_graph_and_say_that_the_pages_are_in_step() -> None:
    assert run("graph").startswith("flowchart LR")
    assert run("graph", "--format", "svg").startswith("<svg ")
    assert json.loads(run("docs", "--check", "--json"))["stale"] == []


def test_a_format_that_there_is_not_is_refused() -> None:
    assert "--format takes mermaid, svg, not 'png'" in run("graph", "--format", "png", expected=2)
