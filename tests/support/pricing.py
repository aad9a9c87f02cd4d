"""Trees, usage and price books of a few lines, and what they come to."""

from __future__ import annotations

import functools
import json
import textwrap
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from lib.costs import pricing, usage
from lib.costs.book import Book, Dimension, FreeTier, Price, Tier, parse
from lib.costs.pricing import Estimate, Line, dollars
from lib.costs.usage import Usage
from lib.inputs import environments
from lib.templates import resolution, templates
from lib.templates.resolution import Tree

ROOT = Path(__file__).resolve().parents[2]
INFRASTRUCTURE = ROOT / "infrastructure"
REGION = "us-east-1"
TODAY = date(2026, 11, 22)


def make_tree(text: str, **values: str) -> Tree:
    master = templates.parse("master-stack.yaml", textwrap.dedent(text))
    return resolution.resolve(
        {master.name: master}, values, region=REGION, account="", stack_name="s"
    )


def make_usage(scopes: Mapping[str, Mapping[str, Any]]) -> Usage:
    """Build usage from plain numbers, or (min, typical, max)."""

    def entry(amount: Any) -> dict[str, Any]:
        low, usual, high = amount if isinstance(amount, tuple) else (amount,) * 3
        return {"min": low, "typical": usual, "max": high, "unit": "units", "reason": "a test"}

    document = {s: {m: entry(a) for m, a in measures.items()} for s, measures in scopes.items()}
    return usage.parse(json.dumps({"usage": document}), "usage.json")


def make_book(free: Mapping[str, int] | None = None, /, **rows: Any) -> Book:
    """Build a book from `dimension__name=price`, `(price, per)` or a list of tiers."""
    dimensions: dict[str, Dimension] = {}
    found: dict[tuple[str, str], Price] = {}
    for key, value in rows.items():
        name = key.replace("__", ".")
        price, per = value if isinstance(value, tuple) else (value, 1)
        listed = price if isinstance(price, list) else [(0, price)]
        tiers = tuple(Tier(Decimal(start), Decimal(amount)) for start, amount in listed)
        dimensions[name] = Dimension(name, name.partition(".")[0], "unit", Decimal(per), None)
        found[name, REGION] = Price(name, REGION, tiers, "this test", "2026-10-01")
    allowances = {
        name: FreeTier(name, Decimal(quantity), "this test", "2026-10-01")
        for name, quantity in (free or {}).items()
    }
    return Book("book.json", dimensions, found, allowances)


def estimate(tree: Tree, used: Usage, book: Book, **options: Any) -> Estimate:
    return pricing.estimate(
        tree, used, book, environment="test", region=REGION, today=TODAY, **options
    )


def price_of(found: Estimate, dimension: str, kind: str | None = None) -> str:
    lines = [
        line
        for line in found.lines
        if line.dimension == dimension and (kind is None or line.kind == kind)
    ]
    assert len(lines) == 1, lines
    assert lines[0].monthly is not None
    return dollars(lines[0].monthly.typical)


def price_of_line(line: Line) -> str:
    assert line.monthly is not None
    return dollars(line.monthly.typical)


TASK = """
Parameters: {AssignPublicIp: {Type: String, Default: DISABLED}}
Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties: {Cpu: "256", Memory: "1024"}
"""
FARGATE: dict[str, Any] = {"fargate__vcpu_hour": "0.04048", "fargate__gb_hour": "0.004445"}


TABLE = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
"""
DYNAMODB: dict[str, Any] = {
    "dynamodb__write": ("0.625", 1_000_000),
    "dynamodb__read": ("0.125", 1_000_000),
    "dynamodb__storage": "0.25",
    "dynamodb__pitr": "0.20",
}
TABLE_USAGE = {"write_units": 3_000_000, "read_units": 8_000_000, "storage_gb": 230}


@functools.cache
def shipped_book() -> Book:
    """Read the price book of the repository once."""
    return parse((INFRASTRUCTURE / "prices.json").read_text(), "prices.json")


def price_application(
    environment: str, region: str = REGION, *, free_tier: bool = False, **values: Any
) -> Estimate:
    chosen = environments.read_environment(environment, INFRASTRUCTURE / "parameters")
    place = environments.read_regions(INFRASTRUCTURE / "regions.json")[region]
    tree = resolution.resolve(
        templates.read_folder(INFRASTRUCTURE / "cloudformation"),
        {**environments.merge(chosen, place), **values},
        region=region,
        account="",
        stack_name="s",
    )
    path = INFRASTRUCTURE / "usage" / f"{environment}.json"
    used = usage.parse(path.read_text(), path.name)
    return pricing.estimate(
        tree,
        used,
        shipped_book(),
        environment=environment,
        region=region,
        today=TODAY,
        free_tier=free_tier,
    )
