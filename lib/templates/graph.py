"""Draw the tree of stacks from the templates: who nests whom, and who reads from whom.

Pure: templates in, Mermaid or SVG text out, nothing installed for it. An arrow goes from the
stack that is read to the one that waits for it, so it points the way a deployment goes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from lib.errors import InputError, TemplateError
from lib.templates import templates
from lib.templates.templates import STACK_TYPE, Template

_BOX = (150, 50)
_LANE = 14  # the height of an arrow that passes between boxes
_GAPS = (90, 22)
_MARGIN = 24
_HEAD = 40
_SWEEPS = 4  # over the columns, to put boxes near what they read


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


@dataclass(frozen=True)
class Graph:
    """The nested stacks under a master in the order of the template, and their edges."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


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
    _rank(graph)
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
    for source, output in _references(resource):
        waits.setdefault(source, [])
        if output not in waits[source]:
            waits[source].append(output)
    return [
        Edge(f"{prefix}{source}", f"{prefix}{logical_id}", tuple(outputs))
        for source, outputs in waits.items()
        if source in siblings
    ]


def _references(node: object) -> Iterator[tuple[str, str]]:
    """Yield the logical ID and the output of everything that reads a stack's output."""
    if isinstance(node, Mapping):
        target = node.get("Fn::GetAtt")
        if isinstance(target, str):
            target = target.split(".", 1)
        if isinstance(target, list) and len(target) == 2:
            yield str(target[0]), str(target[1]).removeprefix("Outputs.")
        text = node.get("Fn::Sub")
        text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, str):
            yield from re.findall(r"\$\{(\w+)\.Outputs\.(\w+)\}", text)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _rank(graph: Graph) -> dict[str, int]:
    """Return how many steps each stack waits for at least; raise for a circle."""
    sources: dict[str, list[str]] = {node.path: [] for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.reader].append(edge.source)
    ranks: dict[str, int] = {}

    def rank(path: str, trail: tuple[str, ...]) -> int:
        if path in trail:
            circle = " > ".join([*trail[trail.index(path) :], path])
            raise TemplateError(f"Stacks wait for each other in a circle: {circle}.")
        if path not in ranks:
            steps = [rank(source, (*trail, path)) + 1 for source in sources[path]]
            ranks[path] = max(steps, default=0)
        return ranks[path]

    for node in graph.nodes:
        rank(node.path, ())
    return ranks


def as_document(graph: Graph) -> dict[str, Any]:
    """Return a graph as a JSON document."""
    return {
        "nodes": [
            {
                "path": node.path,
                "file": node.file,
                "resources": node.resources,
                "condition": node.condition,
            }
            for node in graph.nodes
        ],
        "edges": [
            {"from": edge.source, "to": edge.reader, "outputs": list(edge.outputs)}
            for edge in graph.edges
        ],
    }


def choose_format(name: str) -> Callable[[Graph], str]:
    """Return the function that draws in a format, or raise `InputError` for any other name."""
    if name not in _FORMATS:
        raise InputError(f"--format takes {', '.join(_FORMATS)}, not {name!r}.")
    return _FORMATS[name]


def draw_mermaid(graph: Graph) -> str:
    """Return a graph as a Mermaid flowchart; a stack with a condition has a dashed border.

    https://mermaid.js.org/syntax/flowchart.html
    """
    lines = ["flowchart LR"]
    for node in graph.nodes:
        label = f"<b>{node.path}</b><br/>{node.file}<br/>{_count(node.resources)}"
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


def _count(resources: int) -> str:
    return f"{resources} resource{'' if resources == 1 else 's'}"


def _count_outputs(edge: Edge) -> str:
    return f"{len(edge.outputs)} output{'' if len(edge.outputs) == 1 else 's'}"


def draw_svg(graph: Graph) -> str:
    """Return a graph as the text of an SVG file that reads on light and dark ground.

    Stacks stand in columns: each right of everything that it waits for, so that what stands
    in one column is created at the same time.
    """
    columns = _arrange(graph)
    places, width, height = _place(columns)
    arrows = [_draw_arrow(graph, edge, columns, places) for edge in graph.edges]
    boxes = [_draw_box(node, *places[node.path]) for node in graph.nodes]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="t" '
        'font-family="sans-serif" font-size="12">\n'
        f'<title id="t">{escape(graph.title)}: an arrow goes from a stack to one that reads '
        "its outputs</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7a8794"/></marker></defs>'
    )
    title = (
        f'<text x="{_MARGIN}" y="26" font-size="15" font-weight="bold" fill="#7a8794">'
        f"{escape(graph.title)}</text>"
    )
    return "\n".join([head, title, *arrows, *boxes, "</svg>\n"])


@dataclass(frozen=True)
class _Lane:
    """Where the arrows of one stack pass a column on their way to a later one."""

    source: str
    column: int


_Slot = str | _Lane


def _arrange(graph: Graph) -> list[list[_Slot]]:
    """Return what stands in each column from top to bottom: stacks, and lanes for arrows."""
    ranks = _rank(graph)
    columns: list[list[_Slot]] = [[] for _ in range(max(ranks.values(), default=0) + 1)]
    for node in graph.nodes:
        columns[ranks[node.path]].append(node.path)
    before: dict[_Slot, list[_Slot]] = {}
    after: dict[_Slot, list[_Slot]] = {}
    for edge in graph.edges:
        way = _way(edge, ranks)
        for left, right in itertools.pairwise(way):
            if right not in after.setdefault(left, []):
                after[left].append(right)
                before.setdefault(right, []).append(left)
        for slot in way[1:-1]:
            if isinstance(slot, _Lane) and slot not in columns[slot.column]:
                columns[slot.column].append(slot)
    for _ in range(_SWEEPS):
        for index in range(1, len(columns)):
            _sort(columns[index], columns[index - 1], before)
        for index in range(len(columns) - 2, -1, -1):
            _sort(columns[index], columns[index + 1], after)
    return columns


def _way(edge: Edge, ranks: Mapping[str, int]) -> list[_Slot]:
    """Return the slots that an arrow goes through."""
    between = range(ranks[edge.source] + 1, ranks[edge.reader])
    return [edge.source, *(_Lane(edge.source, column) for column in between), edge.reader]


def _sort(
    column: list[_Slot], other: Sequence[_Slot], neighbours: Mapping[_Slot, Sequence[_Slot]]
) -> None:
    """Order a column by the middle of what each slot is joined to in the column beside it."""
    heights = {slot: index / max(len(other) - 1, 1) for index, slot in enumerate(other)}

    def middle(slot: _Slot) -> float:
        near = [heights[one] for one in neighbours.get(slot, ()) if one in heights]
        return sum(near) / len(near) if near else 0.5

    column.sort(key=middle)


def _place(
    columns: Sequence[Sequence[_Slot]],
) -> tuple[dict[_Slot, tuple[int, int]], int, int]:
    """Return the upper left corner of every slot, and the picture's width and height."""
    heights = [
        sum((_LANE if isinstance(slot, _Lane) else _BOX[1]) + _GAPS[1] for slot in column)
        for column in columns
    ]
    tallest = max(heights, default=0)
    places: dict[_Slot, tuple[int, int]] = {}
    for index, column in enumerate(columns):
        y = _HEAD + _MARGIN + (tallest - heights[index]) // 2
        for slot in column:
            places[slot] = (_MARGIN + index * (_BOX[0] + _GAPS[0]), y)
            y += (_LANE if isinstance(slot, _Lane) else _BOX[1]) + _GAPS[1]
    width = 2 * _MARGIN + len(columns) * (_BOX[0] + _GAPS[0]) - _GAPS[0]
    return places, width, _HEAD + _MARGIN + tallest


def _draw_arrow(
    graph: Graph,
    edge: Edge,
    columns: Sequence[Sequence[_Slot]],
    places: Mapping[_Slot, tuple[int, int]],
) -> str:
    """Return one arrow: curves between columns, straight through each lane."""
    way = _way(edge, _rank(graph))
    x, y = places[way[0]]
    x, y = x + _BOX[0], y + _BOX[1] // 2
    path = f"M{x} {y}"
    for slot in way[1:]:
        to_x, to_y = places[slot]
        to_y += (_LANE if isinstance(slot, _Lane) else _BOX[1]) // 2
        half = (to_x - x) // 2
        path += f"C{x + half} {y} {to_x - half} {to_y} {to_x} {to_y}"
        x, y = to_x, to_y
        if isinstance(slot, _Lane):
            x += _BOX[0]
            path += f"H{x}"
    names = ", ".join(edge.outputs) or "DependsOn"
    about = f"{edge.source} to {edge.reader}: {names}"
    return (
        f'<path d="{path}" fill="none" stroke="#7a8794" stroke-width="1.3" '
        f'marker-end="url(#tip)"><title>{escape(about)}</title></path>'
    )


def _draw_box(node: Node, x: int, y: int) -> str:
    """Return one stack: its name, its file and how much it holds."""
    dash = ' stroke-dasharray="5 4"' if node.condition else ""
    middle = x + _BOX[0] // 2
    about = f"only with {node.condition}" if node.condition else "always there"
    return (
        f'<g text-anchor="middle"><title>{escape(f"{node.path}: {about}")}</title>'
        f'<rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6" fill="#eef4fa" '
        f'stroke="#3b82c4"{dash}/>'
        f'<text x="{middle}" y="{y + 17}" font-weight="bold" fill="#17324d">'
        f"{escape(node.path)}</text>"
        f'<text x="{middle}" y="{y + 31}" font-size="10" fill="#44566a">{escape(node.file)}</text>'
        f'<text x="{middle}" y="{y + 43}" font-size="10" fill="#44566a">'
        f"{_count(node.resources)}</text></g>"
    )


_FORMATS: Mapping[str, Callable[[Graph], str]] = {"mermaid": draw_mermaid, "svg": draw_svg}
