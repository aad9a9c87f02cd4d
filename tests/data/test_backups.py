"""A stack's tables are found, backed up and reported, those that failed among them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from moto import mock_aws

from lib import document, session
from lib.access import Access
from lib.data import backups
from lib.data.catalogue import Backup
from lib.data.proving import BackupRun, Failed
from lib.errors import BackupFailed, StateForbids
from lib.operators import OnInterrupt, Operator, Progress
from tests.support import factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, STAMP, Wire
from tests.support.tables import make_backup, texts


@pytest.fixture
def access(said: list[Progress]) -> Iterator[Access]:
    with mock_aws():
        operator = Operator(said.append, lambda *_: False, lambda _: OnInterrupt.DETACH)
        yield Access(session.connect(factories.REGION), operator, FakeTime(start=NOW).clock)


def make_stack(access: Access, *kinds: str) -> None:
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": "jobs",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    }
    known = {"Table": table, "Bucket": {"Type": "AWS::S3::Bucket"}}
    access.aws.client("cloudformation").create_stack(
        StackName=factories.STACK,
        TemplateBody=json.dumps({"Resources": {kind: known[kind] for kind in kinds}}),
    )


def test_the_tables_of_a_stack_are_backed_up_and_the_keys_are_those_promised(
    access: Access,
) -> None:
    make_stack(access, "Table", "Bucket")
    answer = backups.back_up(factories.job(), access, keep=None)
    [backup] = answer.document["backups"]
    assert list(answer.document) == ["backups", "failed", "pruned"]
    assert list(backup) == ["table", "arn", "name", "bytes"]
    assert (backup["table"], backup["name"]) == ("jobs", f"plot-palette-staging-{STAMP}-jobs")
    assert (answer.document["failed"], answer.document["pruned"]) == ([], [])
    assert answer.exit_code == 0
    assert backup["name"] in answer.text


def test_the_keys_can_be_listed_without_a_run() -> None:
    assert list(document.keys_of(BackupRun)) == ["backups", "failed", "pruned"]
    assert list(document.keys_of(Backup)) == ["table", "arn", "name", "bytes"]
    assert list(document.keys_of(Failed)) == ["table", "reason"]


def test_older_backups_go_only_where_a_number_to_keep_is_given(access: Access) -> None:
    make_stack(access, "Table")
    older = make_backup(access.aws.client("dynamodb"), days_ago=1)
    assert backups.back_up(factories.job(), access, keep=None).document["pruned"] == []
    make_backup(access.aws.client("dynamodb"), days_ago=0)
    assert older in backups.back_up(factories.job(), access, keep=1).document["pruned"]


def test_a_tree_without_tables_is_an_error_that_names_stack_and_region(access: Access) -> None:
    make_stack(access, "Bucket")
    with pytest.raises(
        BackupFailed,
        match=r"stack plot-palette-staging in eu-west-1 or in any stack nested in it; nothing was",
    ) as error:
        backups.back_up(factories.job(), access, keep=None)
    assert error.value.exit_code == 1


def test_a_stack_that_is_not_there_is_an_error(access: Access) -> None:
    with pytest.raises(StateForbids, match="There is no stack plot-palette-staging"):
        backups.back_up(factories.job(), access, keep=None)


def test_a_table_that_failed_is_told_with_its_reason_and_an_exit_code(
    access: Access, said: list[Progress]
) -> None:
    make_stack(access, "Table")
    wire = Wire(access.aws.client("dynamodb"))
    wire.always("CreateBackup", refusal("ValidationException", "not that one"))
    answer = backups.back_up(factories.job(), access, keep=1)
    reason = "ValidationException: not that one"
    assert answer.document == {
        "backups": [],
        "failed": [{"table": "jobs", "reason": reason}],
        "pruned": [],
    }
    assert answer.exit_code == 1
    assert texts(said)[-1] == f"jobs was not backed up: {reason}"


def test_credentials_that_end_half_way_are_told_as_such(
    access: Access, said: list[Progress]
) -> None:
    make_stack(access, "Table")
    wire = Wire(access.aws.client("dynamodb"))
    wire.always("ListBackups", refusal("ExpiredTokenException", "The token has expired"))
    answer = backups.back_up(factories.job(), access, keep=None)
    assert answer.exit_code == 4
    assert "is not proven" in answer.document["failed"][0]["reason"]
    assert "sign in" in texts(said)[-1].lower()
