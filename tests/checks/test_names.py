"""A name that is taken is found before the creation is half done."""

from __future__ import annotations

from typing import Any

import pytest

from lib.checks import names
from lib.checks.findings import Readiness, RegionFinding
from lib.templates.resolution import Resource
from lib.templates.unknowns import Unknown
from tests.support import factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.many_clients import Account
from tests.support.people import Person

GROUPS = {"logGroups": [{"logGroupName": "/aws/lambda/health-2"}]}


def resource(kind: str, **properties: Any) -> Resource:
    return Resource("DataStack/It", "It", kind, properties, "Retain", "Retain", "data.yaml")


def look(*resources: Resource, **answers: Any) -> tuple[list[RegionFinding], Account]:
    account = Account(factories.REGION, **answers)
    access = Person().access(account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    return list(names.look(factories.job(), access, resources)), account


TABLE = resource("AWS::DynamoDB::Table", TableName="jobs")
BUCKET = resource("AWS::S3::Bucket", BucketName="data")
GROUP = resource("AWS::Logs::LogGroup", LogGroupName="/aws/lambda/health")


@pytest.mark.parametrize(
    ("named", "answers"),
    [
        (TABLE, {"DescribeTable": {"Table": {"TableName": "jobs"}}}),
        (BUCKET, {"HeadBucket": {}}),
        (BUCKET, {"HeadBucket": refusal("403", "Forbidden", "HeadBucket", 403)}),
        (BUCKET, {"HeadBucket": refusal("301", "Moved", "HeadBucket", 301)}),
        (GROUP, {"DescribeLogGroups": {"logGroups": [{"logGroupName": "/aws/lambda/health"}]}}),
    ],
)
def test_a_resource_that_stands_where_a_new_one_is_to_be_stops_the_creation(
    named: Resource, answers: dict[str, Any]
) -> None:
    (found,), _ = look(named, **answers)
    assert (found.state, found.stops) == (Readiness.MISSING, True)
    assert found.message.startswith("DataStack/It is to be named ")
    assert found.message.endswith(", which exists already")


@pytest.mark.parametrize(
    ("named", "answers"),
    [
        (TABLE, {"DescribeTable": refusal("ResourceNotFoundException")}),
        (BUCKET, {"HeadBucket": refusal("404", "Not Found", "HeadBucket", 404)}),
        (GROUP, {"DescribeLogGroups": GROUPS}),
    ],
)
def test_a_free_name_is_ready(named: Resource, answers: dict[str, Any]) -> None:
    (found,), account = look(named, **answers)
    assert found.state is Readiness.READY
    assert len(account.calls) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_a_name_that_may_not_be_looked_up_stops_nothing(code: str) -> None:
    (found,), _ = look(TABLE, DescribeTable=refusal(code, "no"))
    assert (found.state, found.stops) == (Readiness.UNKNOWN, False)
    assert "whether jobs is taken" in found.message


def test_names_that_aws_makes_are_not_looked_for() -> None:
    made = resource("AWS::DynamoDB::Table", TableName=Unknown("${AWS::StackId}-jobs"))
    (found,), account = look(made, resource("AWS::S3::Bucket"))
    assert found.state is Readiness.READY
    assert account.calls == []
