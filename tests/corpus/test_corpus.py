"""Strangers' templates, good and bad, are read, walked, drawn, compared and priced, or refused.

`nox -s corpus` fetches them: the fixtures in cfn-lint's source distribution, among which are
AWS's public sample templates and quick starts. They are too many to keep here.
"""

from __future__ import annotations

import functools
import json
from datetime import date
from pathlib import Path

import pytest

from lib.costs import book, pricing, usage
from lib.data import loss
from lib.document import as_document
from lib.errors import InputError
from lib.templates import comparison, contracts, resolution, templates
from lib.templates.resolution import Tree
from lib.templates.templates import Template
from manual import graph as graphs
from manual import stacks_svg
from tests.support.shapes import attempt

pytestmark = pytest.mark.corpus

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / ".cache" / "corpus"
REGION = "us-east-1"


def find_templates() -> list[Path]:
    """Return every file among the fixtures that may be a template."""
    kinds = (".json", ".template", ".yaml", ".yml")
    found = CORPUS.glob("*/test/fixtures/templates/**/*")
    return sorted(path for path in found if path.suffix in kinds)


@functools.cache
def read(path: Path) -> Template | None:
    """Return a template, or None for one that is refused in words that name its file."""
    text = path.read_bytes().decode(errors="replace")
    found = attempt(lambda: templates.parse(path.name, text))
    if isinstance(found, InputError):
        assert path.name in found.message
        return None
    return found


def walk(path: Path) -> Tree | None:
    """Evaluate a template and what it nests from its own folder, or None where it is refused."""
    siblings = (p for p in sorted(path.parent.iterdir()) if p.suffix == path.suffix)
    folder = {sibling.name: found for sibling in siblings if (found := read(sibling))}
    found = attempt(lambda: evaluate(folder, path.name))
    if isinstance(found, InputError):
        assert found.message
        return None
    return found


def evaluate(folder: dict[str, Template], master: str) -> Tree:
    """Draw and check a tree of templates, and evaluate it."""
    graph = graphs.read(folder, master)
    graphs.draw_mermaid(graph)
    stacks_svg.draw(graph)
    contracts.check_contracts(folder)
    contracts.capabilities(folder)
    return resolution.resolve(
        folder, {}, region=REGION, account="123456789012", stack_name="s", master=master
    )


@functools.cache
def price_book() -> book.Book:
    place = ROOT / "infrastructure" / "prices.json"
    return book.parse(place.read_text(), place.name)


def test_the_corpus_is_there() -> None:
    assert len(find_templates()) > 200, "run `nox -s corpus`, which fetches it"


def test_three_in_five_are_evaluated_to_their_end() -> None:
    # The rest are broken on purpose, lack the templates that they nest, or need a transform.
    evaluated = [path for path in find_templates() if read(path) and walk(path)]
    assert len(evaluated) > len(find_templates()) * 0.6


@pytest.mark.parametrize(
    "path", find_templates(), ids=lambda path: "/".join(path.parts[path.parts.index("templates") :])
)
def test_a_stranger_s_template_is_understood_or_refused(path: Path) -> None:
    if read(path) is None:
        return
    tree = walk(path)
    if tree is None:
        return
    again = walk(path)
    assert again is not None
    assert comparison.compare(tree, again, region=REGION) == ()
    empty = Tree((), {}, {})
    added = comparison.compare(empty, tree, region=REGION)
    removed = comparison.compare(tree, empty, region=REGION)
    assert {change.action for change in added} <= {"Add"}
    assert {change.action for change in removed} <= {"Remove"}
    loss.judge(removed, tree, empty)
    used = usage.parse('{"usage": {}}', "usage.json")
    estimate = pricing.estimate(
        tree,
        used,
        price_book(),
        environment="development",
        region=REGION,
        today=date(2026, 11, 22),
    )
    json.dumps(as_document(estimate))
