"""Draw the graph of stacks as an SVG file that reads on light and dark ground.

Pure: a graph in, text out. Stacks stand in columns, each right of everything that it waits
for, so that what stands in one column is created at the same time.
"""

from __future__ import annotations

from collections import Counter
from xml.sax.saxutils import escape

from manual.graph import Edge, Graph, Node, count_resources, rank

_WIDTH, _HEIGHT = 150, 50
_GAPS = (90, 22)
_MARGIN = 24
_HEAD = 64

_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7a8794"/></marker></defs>'
)


def draw(graph: Graph) -> str:
    """Return a graph as the text of an SVG file."""
    ranks = rank(graph)
    columns = Counter(ranks.values())
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAPS[0]) - _GAPS[0]
    height = _HEAD + max(columns.values(), default=0) * (_HEIGHT + _GAPS[1]) + _MARGIN
    places: dict[str, tuple[int, int]] = {}
    filled: Counter[int] = Counter()
    for node in graph.nodes:
        column = ranks[node.path]
        above = (height - _HEAD - columns[column] * (_HEIGHT + _GAPS[1])) // 2
        y = _HEAD + above + filled[column] * (_HEIGHT + _GAPS[1])
        places[node.path] = (_MARGIN + column * (_WIDTH + _GAPS[0]), y)
        filled[column] += 1
    title = escape(graph.title)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="t" '
        'font-family="sans-serif" font-size="12">\n'
        f'<title id="t">{title}: an arrow goes from a stack to one that reads its outputs</title>'
    )
    heading = f'<text x="{_MARGIN}" y="26" font-size="15" fill="#7a8794">{title}</text>'
    arrows = [_draw_arrow(edge, places[edge.source], places[edge.reader]) for edge in graph.edges]
    boxes = [_draw_box(node, *places[node.path]) for node in graph.nodes]
    return "\n".join([head, _TIP, heading, *arrows, *boxes, "</svg>\n"])


def _draw_arrow(edge: Edge, start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return a curve from one box's right side to another's left."""
    x, y = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    to_x, to_y = end[0], end[1] + _HEIGHT // 2
    half = (to_x - x) // 2
    about = f"{edge.source} to {edge.reader}: {', '.join(edge.outputs) or 'DependsOn'}"
    return (
        f'<path d="M{x} {y}C{x + half} {y} {to_x - half} {to_y} {to_x} {to_y}" fill="none" '
        f'stroke="#7a8794" stroke-width="1.3" marker-end="url(#tip)"><title>{escape(about)}</title>'
        "</path>"
    )


def _draw_box(node: Node, x: int, y: int) -> str:
    """Return one stack: its name, its file and how much it holds."""
    dash = ' stroke-dasharray="5 4"' if node.condition else ""
    about = f"only with {node.condition}" if node.condition else "always there"
    middle = x + _WIDTH // 2
    return (
        f'<g text-anchor="middle"><title>{escape(f"{node.path}: {about}")}</title>'
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef4fa" '
        f'stroke="#3b82c4"{dash}/>'
        f'<text x="{middle}" y="{y + 17}" font-weight="bold" fill="#17324d">'
        f"{escape(node.path)}</text>"
        f'<text x="{middle}" y="{y + 31}" font-size="10" fill="#44566a">{escape(node.file)}</text>'
        f'<text x="{middle}" y="{y + 43}" font-size="10" fill="#44566a">'
        f"{count_resources(node)}</text></g>"
    )
