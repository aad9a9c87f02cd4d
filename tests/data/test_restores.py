"""From a stack and what an operator names to a new table and the steps that use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lib import document, session
from lib.access import Access
from lib.data import restores
from lib.data.new_tables import Restored
from lib.operators import Answer, OnInterrupt, Operator, Progress
from tests.support import factories
from tests.support.aws_fakes import FakeTime
from tests.support.dynamodb_wire import NOW
from tests.support.tables import create_table, make_backup, texts

KEYS = ["source", "table", "status", "items", "expected_items", "reapplied", "missing"]


@pytest.fixture
def access(said: list[Progress]) -> Iterator[Access]:
    with mock_aws():
        operator = Operator(said.append, lambda *_: False, lambda _: OnInterrupt.DETACH)
        yield Access(session.connect(factories.REGION), operator, FakeTime(start=NOW).clock)


def restore(access: Access, **asked: Any) -> Answer:
    given = {"backup": None, "table": None, "target_table": "", "point_in_time": None}
    return restores.restore(factories.job(), access, **{**given, **asked})


def make_stack(access: Access) -> None:
    properties = {
        "TableName": "jobs",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    resources = {"JobsTable": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}
    access.aws.client("cloudformation").create_stack(
        StackName=factories.STACK, TemplateBody=json.dumps({"Resources": resources})
    )


def test_a_table_of_the_stack_comes_back_beside_it(access: Access, said: list[Progress]) -> None:
    make_stack(access)
    arn = make_backup(access.aws.client("dynamodb"))
    answer = restore(access, table="JobsTable", target_table="copy")
    assert list(answer.document) == KEYS
    assert (answer.document["source"], answer.document["table"]) == (arn, "copy")
    assert isinstance(answer.document["reapplied"], list)
    assert "copy the items into jobs" in answer.text
    assert "Not restored: auto scaling policies" in texts(said)


def test_the_keys_can_be_listed_without_a_restore() -> None:
    assert list(document.keys_of(Restored)) == KEYS


def test_a_stack_that_is_gone_does_not_stand_in_the_way(access: Access) -> None:
    dynamodb = access.aws.client("dynamodb")
    create_table(dynamodb, items=2)
    answer = restore(access, backup=make_backup(dynamodb))
    assert answer.document["items"] == 2
    assert "let the stack create its table" in answer.text


def test_a_table_deleted_behind_the_stacks_back_becomes_what_its_template_says(
    access: Access,
) -> None:
    make_stack(access)
    dynamodb = access.aws.client("dynamodb")
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    answer = restore(access, backup=arn, target_table="jobs")
    assert "point-in-time recovery" in answer.document["reapplied"]
    assert "nothing is to switch" in answer.text
