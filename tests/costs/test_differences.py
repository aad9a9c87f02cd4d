"""Two estimates differ by lines that add up, each with its reason."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from lib.costs import differences, pricing, usage
from lib.costs.pricing import Estimate
from lib.templates import resolution, templates
from tests.support.pricing import (
    FARGATE,
    INFRASTRUCTURE,
    REGION,
    TASK,
    TODAY,
    estimate,
    make_book,
    make_tree,
    make_usage,
    price_application,
    shipped_book,
)


@pytest.mark.parametrize(
    ("values", "dimensions"),
    [
        ({"EnableNatGateway": "true"}, {"nat.hour", "nat.gb", "ipv4.hour"}),
        ({"LogRetentionDays": "365"}, {"logs.storage"}),
        ({"DeployFrontend": "false"}, {"amplify.served_gb", "amplify.stored_gb"}),
        (
            {"DeployBudget": "false"},
            {"lambda.request", "lambda.gb_second", "logs.ingest", "logs.storage", "sns.request"},
        ),
        (
            {"LambdaCodeBucket": "code-bucket", "LambdaCodeKey": "app.zip"},
            {"lambda.request", "lambda.gb_second", "logs.ingest", "logs.storage"},
        ),
    ],
)
def test_switching_a_parameter_moves_the_total_by_exactly_its_lines(
    values: dict[str, Any], dimensions: set[str]
) -> None:
    before = price_application("production")
    after = price_application("production", **values)
    found = differences.compare(before, after).lines
    assert {difference.dimension for difference in found} >= dimensions - {"sns.request"}
    assert {difference.dimension for difference in found} <= dimensions | {"amplify.build_minute"}
    moved = sum((difference.monthly for difference in found), usage.ZERO)
    assert moved == after.exact() - before.exact()
    assert moved != usage.ZERO


def test_removing_a_resource_moves_the_total_by_exactly_its_lines() -> None:
    whole = price_application("production")
    gone = "DatabaseStack/JobsTable"
    own = [line.monthly for line in whole.lines if line.resource == gone and line.monthly]
    text = (INFRASTRUCTURE / "cloudformation" / "database-stack.yaml").read_text()
    table = templates.parse("database-stack.yaml", text)
    body = json.loads(json.dumps(table.body))
    del body["Resources"]["JobsTable"]
    body["Outputs"] = {}
    database = dataclasses.replace(table, body=body)
    used = usage.parse((INFRASTRUCTURE / "usage" / "production.json").read_text(), "p.json")

    def price_alone(template: templates.Template) -> Estimate:
        tree = resolution.resolve(
            {template.name: template},
            {"EnvironmentName": "production"},
            region=REGION,
            account="",
            stack_name="s",
            master=template.name,
        )
        return pricing.estimate(
            tree,
            used,
            shipped_book(),
            environment="production",
            region=REGION,
            today=TODAY,
            free_tier=False,
        )

    before, after = price_alone(table), price_alone(database)
    assert len(own) > 4
    assert before.exact() - after.exact() == sum(own, usage.ZERO)
    assert {difference.reason for difference in differences.compare(before, after).lines} == {
        "the resource is gone"
    }


def test_with_the_free_tier_the_differences_still_add_up() -> None:
    before = price_application("production", free_tier=True)
    after = price_application(
        "production", free_tier=True, LogRetentionDays="90", DeployBudget="false"
    )
    moved = sum((d.monthly for d in differences.compare(before, after).lines), usage.ZERO)
    assert moved == after.exact() - before.exact()


# Reasons of a difference


def reasons(before: Estimate, after: Estimate) -> dict[str, str]:
    return {d.dimension: d.reason for d in differences.compare(before, after).lines}


def test_a_difference_names_the_property_the_usage_or_the_price_behind_it() -> None:
    used = make_usage({"Task": {"task_hours": 300}})
    base = estimate(make_tree(TASK), used, make_book(**FARGATE))
    larger = estimate(make_tree(TASK.replace('"256"', '"512"')), used, make_book(**FARGATE))
    assert reasons(base, larger) == {"fargate.vcpu_hour": "Cpu: 256 → 512"}
    busier = estimate(
        make_tree(TASK), make_usage({"Task": {"task_hours": 600}}), make_book(**FARGATE)
    )
    assert reasons(base, busier)["fargate.gb_hour"] == (
        "task_hours: 300 (300 to 300) units → 600 (600 to 600) units"
    )
    dearer = estimate(make_tree(TASK), used, make_book(**{**FARGATE, "fargate__gb_hour": "1"}))
    assert reasons(base, dearer) == {"fargate.gb_hour": "price: $0.004445 → $1.00"}
    public = estimate(
        make_tree(TASK, AssignPublicIp="ENABLED"), used, make_book(ipv4__hour="1", **FARGATE)
    )
    assert reasons(base, public) == {"ipv4.hour": "this charge is new"}
    assert reasons(base, base) == {}


def test_a_difference_without_a_price_is_listed_all_the_same() -> None:
    used = make_usage({"Task": {"task_hours": 300}})
    base = estimate(make_tree(TASK), used, make_book(**FARGATE))
    public = estimate(make_tree(TASK, AssignPublicIp="ENABLED"), used, make_book(**FARGATE))
    assert "this charge is new, but it is not priced" in reasons(base, public)["ipv4.hour"]
