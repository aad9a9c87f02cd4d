"""A stack's tables are found wherever they are, and what protects each is read."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.data import tables
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import Wire
from tests.support.tables import create_table, resource


def test_tables_are_found_anywhere_in_the_tree() -> None:
    found = tables.find_tables(
        [
            resource("DatabaseStack", "arn:child", "AWS::CloudFormation::Stack"),
            resource("Bucket", "bucket", "AWS::S3::Bucket"),
            resource("DatabaseStack/JobsTable", "jobs", "AWS::DynamoDB::Table"),
            resource("A/B/World", "world", "AWS::DynamoDB::GlobalTable"),
            resource("DatabaseStack/Same", "jobs", "AWS::DynamoDB::Table"),
        ]
    )
    assert found == ("jobs", "world")


def test_tables_that_were_never_created_are_left_out() -> None:
    found = tables.find_tables(
        [
            resource("A", "", "AWS::DynamoDB::Table", "CREATE_IN_PROGRESS"),
            resource("B", "b", "AWS::DynamoDB::Table", "CREATE_FAILED"),
            resource("C", "c", "AWS::DynamoDB::Table", "UPDATE_FAILED"),
        ]
    )
    assert found == ("c",)


def test_a_window_tells_whether_a_table_can_go_back_in_time(
    dynamodb: Any, passing: FakeTime
) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    dynamodb.update_continuous_backups(
        TableName="jobs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    jobs, queue, gone = (
        tables.read_window(dynamodb, name, passing.clock) for name in ("jobs", "queue", "gone")
    )
    assert jobs
    assert jobs.is_on
    assert queue
    assert not queue.is_on
    assert gone is None


def test_a_window_that_cannot_be_read_is_an_error(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("DescribeContinuousBackups", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        tables.read_window(dynamodb, "jobs", passing.clock)
