"""From a stack and what an operator names to a new table and the steps that use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from moto import mock_aws

from lib import document, session
from lib.access import Access
from lib.data import restores
from lib.data.new_tables import Restored
from lib.operators import Answer, Level, Note, OnInterrupt, Operator, Progress
from lib.session import Aws
from lib.stacks import deployed
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


def table_of(name: str, **more: Any) -> dict[str, Any]:
    properties = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        **more,
    }
    return {"Type": "AWS::DynamoDB::Table", "Properties": properties}


def make_stack(access: Access) -> None:
    recovered = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    resources = {
        "AuditTable": table_of("audit"),
        "JobsTable": table_of("jobs", **recovered),
        "UsersTable": table_of("users"),
    }
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
    warned = [note.level for note in said if isinstance(note, Note) and "Not rest" in note.text]
    assert set(warned) == {Level.WARNING}
    first, *steps = answer.text.splitlines()
    assert "copy" in first
    assert steps[0].startswith("The data is in copy; ")
    assert f"--region {factories.REGION}" in answer.text
    assert factories.STACK in answer.text


def test_the_steps_lead_to_where_the_table_was_restored(access: Access) -> None:
    make_stack(access)
    make_backup(access.aws.client("dynamodb"))
    elsewhere = replace(access, aws=cast(Aws, Elsewhere(access.aws)))
    answer = restore(elsewhere, table="JobsTable", target_table="copy")
    assert "     AWS_PROFILE=another aws dynamodb delete-table" in answer.text


class Elsewhere:
    """An account that a command line reaches by settings of its own."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.shell = "AWS_PROFILE=another "

    def __getattr__(self, name: str) -> Any:
        return getattr(self.aws, name)


def test_the_keys_can_be_listed_without_a_restore() -> None:
    assert list(document.keys_of(Restored)) == KEYS


def test_a_stack_that_is_gone_does_not_stand_in_the_way(access: Access) -> None:
    dynamodb = access.aws.client("dynamodb")
    create_table(dynamodb, items=2)
    answer = restore(access, backup=make_backup(dynamodb))
    assert answer.document["items"] == 2
    assert "let the stack create its table" in answer.text


def test_a_stack_and_a_table_that_are_gone_are_restored_from_what_outlived_them(
    access: Access,
) -> None:
    dynamodb = access.aws.client("dynamodb")
    create_table(dynamodb, items=2)
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    assert restore(access, backup=arn, target_table="jobs").document["items"] == 2


def test_a_table_that_the_stack_never_had_takes_nothing_from_its_template(access: Access) -> None:
    make_stack(access)
    dynamodb = access.aws.client("dynamodb")
    create_table(dynamodb, "stray")
    arn = make_backup(dynamodb, "stray")
    dynamodb.delete_table(TableName="stray")
    answer = restore(access, backup=arn, target_table="stray")
    assert "point-in-time recovery" not in answer.document["reapplied"]


def test_a_table_whose_template_cannot_be_read_comes_back_with_what_its_backup_remembers(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stack(access)
    dynamodb = access.aws.client("dynamodb")
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    monkeypatch.setattr(deployed, "resolve_deployed", lambda *_: None)
    answer = restore(access, backup=arn, target_table="jobs")
    assert answer.document["items"] is not None
    assert "point-in-time recovery" not in answer.document["reapplied"]


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
