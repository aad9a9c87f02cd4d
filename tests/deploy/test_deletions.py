"""A deletion shows what becomes of data, asks, and refuses what no consent names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib import session
from lib.deploy import deletions
from lib.errors import DataLossRefused, Declined, OperationFailed, StateForbids
from lib.inputs.jobs import Options
from lib.operators import Listing
from lib.stacks.stacks import describe
from tests.support.aws_fakes import (
    START,
    FakeTime,
    event_entry,
    intercept,
    operations,
    own,
    stack_entry,
)
from tests.support.factories import job
from tests.support.people import Person

APP = "app"
TEMPLATE = """
Resources:
  Kept: {Type: 'AWS::DynamoDB::Table', DeletionPolicy: Retain}
  Lost: {Type: 'AWS::S3::Bucket'}
  Topic: {Type: 'AWS::SNS::Topic'}
"""


class World:
    """One stack with a table that is retained and a bucket that is not."""

    def __init__(self, status: str = "CREATE_COMPLETE", **more: Any) -> None:
        self.status, self.more = status, more
        self.ending = "DELETE_COMPLETE"
        self.template = TEMPLATE
        self.person = Person("y")
        self.aws = session.connect("us-east-1")
        self.cfn = self.aws.client("cloudformation")
        self.calls = intercept(self.cfn, self.answer)
        intercept(
            self.aws.client("sts"),
            lambda *_: {"Account": "1" * 12, "Arn": "arn:aws:iam::111111111111:user/ann"},
        )
        self.access = self.person.access(self.aws, FakeTime().clock)

    def answer(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStacks":
            return {"Stacks": [stack_entry(APP, self.status, **self.more)]}
        if operation == "GetTemplate":
            return {"TemplateBody": self.template}
        if operation == "DescribeStackEvents":
            events = [own("before", 0, APP, "CREATE_COMPLETE")]
            if self.status == self.ending:
                events.insert(0, own("after", 9, APP, self.ending, "the bucket is not empty"))
            return {"StackEvents": [event_entry(APP, event) for event in events]}
        if operation == "ListStackResources":
            kinds = {"Kept": "DynamoDB::Table", "Lost": "S3::Bucket", "Topic": "SNS::Topic"}
            return {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": name.lower(),
                        "ResourceType": f"AWS::{kind}",
                        "LastUpdatedTimestamp": START,
                        "ResourceStatus": "CREATE_COMPLETE",
                    }
                    for name, kind in kinds.items()
                ]
            }
        self.status = self.ending
        return {}

    def delete(self, *allowed: str, **given: Any) -> Any:
        stack = describe(self.cfn, APP)
        assert stack
        options = Options(allow_data_loss=frozenset(allowed))
        return deletions.delete(job(stack_name=APP, **given), self.access, options, stack)

    @property
    def deleted(self) -> bool:
        return "DeleteStack" in operations(self.calls)


def test_what_stays_and_what_goes_is_shown_before_anything_is_asked() -> None:
    world = World()
    world.delete("Lost")
    [listing] = [told for told in world.person.told if isinstance(told, Listing)]
    fates = {row[0]: row[3] for row in listing.rows}
    assert set(fates) == {"Kept", "Lost"}
    assert "DeletionPolicy Retain" in fates["Kept"]
    assert "destroyed" in fates["Lost"]
    assert world.deleted


def test_data_that_would_be_destroyed_has_to_be_named() -> None:
    world = World()
    with pytest.raises(Declined):
        world.delete()
    assert not world.deleted


def test_an_operator_who_says_no_deletes_nothing() -> None:
    world = World()
    world.person.answers = [False]
    with pytest.raises(Declined, match="was not deleted"):
        world.delete("Lost")
    assert not world.deleted


def test_termination_protection_is_respected_and_the_way_around_it_named() -> None:
    world = World(EnableTerminationProtection=True)
    with pytest.raises(StateForbids) as caught:
        world.delete("Lost")
    assert "--no-enable-termination-protection" in caught.value.next_step
    assert not world.deleted


def test_templates_that_cannot_be_read_put_everything_that_holds_data_at_risk() -> None:
    world = World()
    world.template = "Resources: {Child: {Type: 'AWS::CloudFormation::Stack'}}"
    with pytest.raises((Declined, DataLossRefused)):
        world.delete("Lost")
    assert not world.deleted


def test_an_empty_shell_has_nothing_to_lose() -> None:
    world = World("REVIEW_IN_PROGRESS")
    assert world.delete().action == "deleted"


def test_what_a_failed_creation_left_and_cannot_be_deleted_is_an_error() -> None:
    world = World("ROLLBACK_FAILED")
    world.ending = "DELETE_FAILED"
    stack = describe(world.cfn, APP)
    assert stack
    options = Options(allow_data_loss=frozenset({"Lost"}))
    with pytest.raises(OperationFailed, match="could not be deleted: the bucket is not empty"):
        deletions.clear(job(stack_name=APP), world.access, options, stack)


def test_a_deletion_hands_cloudformation_the_service_role() -> None:
    world = World()
    world.delete("Lost", role_arn="arn:aws:iam::123456789012:role/service")
    [call] = [call for call in world.calls if call.operation == "DeleteStack"]
    assert call.arguments["RoleARN"] == "arn:aws:iam::123456789012:role/service"
