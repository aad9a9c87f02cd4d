"""Draw the tree of stacks from the templates: who nests whom, and who reads from whom.

Pure: templates in, Mermaid text out. An edge goes from the stack that is read to the one that
waits for it, so it points the way a deployment goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lib.errors import TemplateError
from lib.templates import templates
from lib.templates.templates import STACK_TYPE, Template


@dataclass(frozen=True)
class Node:
    """One nested stack: its path from the master, its file and how many resources it holds.

    `condition` is the name of the condition under which it exists, or "".
    """

    path: str
    file: str
    resources: int
    condition: str = ""


@dataclass(frozen=True)
class Edge:
    """One stack that waits for another: it reads these outputs, or only says DependsOn."""

    source: str
    reader: str
    outputs: tuple[str, ...]

    KEYS: ClassVar[Mapping[str, str]] = {"from": "source", "to": "reader", "outputs": "outputs"}


@dataclass(frozen=True)
class Graph:
    """The nested stacks under a master in the order of the template, and their edges."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    KEYS: ClassVar[Mapping[str, str]] = {"nodes": "nodes", "edges": "edges"}


def read(folder: Mapping[str, Template], master: str = templates.MASTER) -> Graph:
    """Return the graph of a folder of templates.

    Raises `TemplateError` for a child that is missing or nests itself, and for stacks that
    wait for each other in a circle.
    """
    if master not in folder:
        raise TemplateError(f"There is no {master} among the templates.")
    nodes: list[Node] = []
    edges: list[Edge] = []
    _collect(folder, master, "", (), nodes, edges)
    graph = Graph(f"{master} and the stacks nested in it", tuple(nodes), tuple(edges))
    rank(graph)
    return graph


def _collect(
    folder: Mapping[str, Template],
    file: str,
    prefix: str,
    trail: tuple[str, ...],
    nodes: list[Node],
    edges: list[Edge],
) -> None:
    """Add the children of one template, and theirs."""
    if file in trail:
        raise TemplateError(f"Templates nest in a circle: {' > '.join([*trail, file])}.")
    parent = folder[file]
    for child in templates.children(parent):
        if child.file not in folder:
            raise TemplateError(f"{file} loads {child.file or 'a child'}, which does not exist.")
        path = f"{prefix}{child.logical_id}"
        resource = parent.resources[child.logical_id]
        held = [r for r in folder[child.file].resources.values() if r["Type"] != STACK_TYPE]
        nodes.append(Node(path, child.file, len(held), str(resource.get("Condition") or "")))
        edges += _edges_of(parent, child.logical_id, prefix)
        _collect(folder, child.file, f"{path}/", (*trail, file), nodes, edges)


def _edges_of(parent: Template, logical_id: str, prefix: str) -> list[Edge]:
    """Return what one nested stack waits for among its siblings."""
    siblings = {child.logical_id for child in templates.children(parent)} - {logical_id}
    resource = parent.resources[logical_id]
    named = resource.get("DependsOn") or []
    waits: dict[str, list[str]] = {
        name: [] for name in ([named] if isinstance(named, str) else named)
    }
    for source, attribute in templates.attribute_references(resource):
        output = attribute.removeprefix("Outputs.")
        if output not in waits.setdefault(source, []):
            waits[source].append(output)
    return [
        Edge(f"{prefix}{source}", f"{prefix}{logical_id}", tuple(outputs))
        for source, outputs in waits.items()
        if source in siblings
    ]


def rank(graph: Graph) -> dict[str, int]:
    """Return how many steps each stack waits for at least, by its path; raise for a circle."""
    sources: dict[str, list[str]] = {node.path: [] for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.reader].append(edge.source)
    ranks: dict[str, int] = {}

    def find(path: str, trail: tuple[str, ...]) -> int:
        if path in trail:
            circle = " > ".join([*trail[trail.index(path) :], path])
            raise TemplateError(f"Stacks wait for each other in a circle: {circle}.")
        if path not in ranks:
            steps = [find(source, (*trail, path)) + 1 for source in sources[path]]
            ranks[path] = max(steps, default=0)
        return ranks[path]

    for node in graph.nodes:
        find(node.path, ())
    return ranks


def draw_mermaid(graph: Graph) -> str:
    """Return a graph as a Mermaid flowchart; a stack with a condition has a dashed border.

    https://mermaid.js.org/syntax/flowchart.html
    """
    lines = ["flowchart LR"]
    for node in graph.nodes:
        label = f"<b>{node.path}</b><br/>{node.file}<br/>{count_resources(node)}"
        lines.append(f'  {_identify(node.path)}["{label}"]')
    for edge in graph.edges:
        label = f'|"{_count_outputs(edge)}"| ' if edge.outputs else ""
        lines.append(f"  {_identify(edge.source)} -->{label or ' '}{_identify(edge.reader)}")
    lines.append("  classDef conditional stroke-dasharray: 5 4")
    optional = [_identify(node.path) for node in graph.nodes if node.condition]
    if optional:
        lines.append(f"  class {','.join(optional)} conditional")
    return "\n".join(lines)


def _identify(path: str) -> str:
    return re.sub(r"\W", "_", path)


def count_resources(node: Node) -> str:
    """Return how much a stack holds, in words."""
    return f"{node.resources} resource{'' if node.resources == 1 else 's'}"


def _count_outputs(edge: Edge) -> str:
    return f"{len(edge.outputs)} output{'' if len(edge.outputs) == 1 else 's'}"
