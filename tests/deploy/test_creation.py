"""A first creation asks nothing, tells what AWS warns of, and leaves no shell when it is left.

CloudFormation is answered in the test: no emulator has validations that warn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib.deploy import change, publishing, records
from lib.deploy.outcomes import Outcome
from lib.deploy.publishing import Run
from lib.errors import OperationFailed, StateForbids
from lib.inputs.jobs import Options
from lib.operators import Level, Listing, Note
from lib.releases import releases
from lib.releases.releases import Published
from lib.session import Aws, Identity
from lib.stacks.statuses import Decision, Move
from tests.support import factories
from tests.support.aws_fakes import (
    ACCOUNT,
    FakeTime,
    client,
    intercept,
    no_such_stack,
    operations,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.people import Person

STACK = factories.STACK
MASTER = "Resources: {Bucket: {Type: 'AWS::S3::Bucket'}}"
SET = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:changeSet/new/1"
ADD = {"Action": "Add", "LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket"}
FULL = {
    "EventId": "1",
    "EventType": "VALIDATION_ERROR",
    "LogicalResourceId": "Bucket",
    "ResourceType": "AWS::S3::Bucket",
    "ValidationFailureMode": "WARN",
    "ValidationStatusReason": "100 of 100 buckets are in use",
}


class World:
    """CloudFormation before, during and after a creation through a change set."""

    def __init__(self) -> None:
        self.status = "ABSENT"
        self.made: Mapping[str, Any] = {"Status": "CREATE_COMPLETE", "Changes": [ADD]}
        self.refuse: dict[str, Exception] = {}
        self.findings: list[Mapping[str, Any]] = []
        self.person = Person(False)
        self.cfn = client("cloudformation")
        self.calls = intercept(self.cfn, self._answer)

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation in self.refuse:
            raise self.refuse[operation]
        named = {"ChangeSetId": SET, "StackId": stack_id(STACK), "StackName": STACK}
        if operation == "CreateChangeSet":
            self.status = "REVIEW_IN_PROGRESS"
            return {"Id": SET, "StackId": stack_id(STACK)}
        if operation == "ExecuteChangeSet":
            self.status = "CREATE_COMPLETE"
        if operation == "DeleteStack":
            self.status = "ABSENT"
        if operation == "DescribeStacks" and self.status == "ABSENT":
            raise no_such_stack(STACK)
        rows = [{"Type": "Resource", "ResourceChange": row} for row in self.made.get("Changes", ())]
        return {
            "DescribeChangeSet": {**named, **self.made, "Changes": rows},
            "DescribeEvents": {"OperationEvents": self.findings},
            "DescribeStacks": {"Stacks": [stack_entry(STACK, self.status)]},
            "DescribeStackEvents": {"StackEvents": []},
            "ListChangeSets": {"Summaries": []},
        }.get(operation, {})

    def create(self, move: Move = Move.CREATE, **options: Any) -> Outcome:
        aws = Aws(None, factories.REGION)  # type: ignore[arg-type]  # its one client is given
        aws._clients["cloudformation"] = self.cfn
        aws._identity = Identity(ACCOUNT, "arn:aws:iam::1:user/me")
        folder = {"master-stack.yaml": factories.template(MASTER)}
        release = releases.build(folder)
        access = self.person.access(aws, FakeTime().clock)
        run = Run(
            factories.job(templates=folder),
            access,
            Options(**options),
            release,
            Published("bucket", factories.REGION, release.name, 0, 1, "https://s3/b/master.yaml"),
            {},
        )
        return change.carry_out(run, None, Decision(move))

    @property
    def asked(self) -> list[str]:
        return operations(self.calls)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(publishing, "require_intact", lambda _run: None)
    monkeypatch.setattr(records, "_write", lambda _run, _record: None)
    monkeypatch.setattr(Aws, "partition", "aws")
    return World()


def test_a_first_creation_goes_through_a_change_set_and_asks_nothing(world: World) -> None:
    outcome = world.create()
    assert (outcome.action, outcome.status) == ("created", "CREATE_COMPLETE")
    assert world.person.asked == []
    assert not [told for told in world.person.told if isinstance(told, Listing)]
    assert world.asked[0] == "CreateChangeSet"
    assert "CreateStack" not in world.asked
    assert "ExecuteChangeSet" in world.asked


def test_what_only_a_change_set_s_validation_warns_of_is_told_before_anything_is_made(
    world: World,
) -> None:
    world.findings = [FULL]
    world.create()
    (warning,) = [
        told for told in world.person.told if isinstance(told, Note) and told.level is Level.WARNING
    ]
    assert "100 of 100 buckets are in use" in warning.text
    assert world.asked.index("DescribeEvents") < world.asked.index("ExecuteChangeSet")


def test_a_stack_that_waits_for_review_is_asked_about_as_before(world: World) -> None:
    world.person.answers = [True]
    assert world.create(Move.CREATE_BY_CHANGE_SET).action == "created"
    assert len(world.person.asked) == 1


@pytest.mark.parametrize("disabled", [True, False])
def test_whether_a_failed_creation_is_rolled_back_is_said_with_the_execution(
    world: World, disabled: bool
) -> None:
    world.create(disable_rollback=disabled)
    (execution,) = [c.arguments for c in world.calls if c.operation == "ExecuteChangeSet"]
    assert execution.get("DisableRollback", False) is disabled
    (made,) = [c.arguments for c in world.calls if c.operation == "CreateChangeSet"]
    # The two exclude each other.
    assert "OnStackFailure" not in made


def test_what_aws_cannot_create_leaves_neither_a_change_set_nor_a_shell(world: World) -> None:
    world.made = {"Status": "FAILED", "StatusReason": "Bucket exists", "Changes": []}
    with pytest.raises(OperationFailed, match="Bucket exists"):
        world.create()
    assert world.asked[-1] == "DeleteStack"
    assert world.status == "ABSENT"
    assert "ExecuteChangeSet" not in world.asked


def test_ctrl_c_before_the_execution_leaves_no_shell(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(_run: Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "require_intact", press)
    with pytest.raises(KeyboardInterrupt):
        world.create()
    assert world.status == "ABSENT"
    assert "ExecuteChangeSet" not in world.asked


def test_a_stack_that_somebody_has_created_meanwhile_is_left_alone(world: World) -> None:
    said = f"Stack [{STACK}] already exists and cannot be created again with the changeSet [x]."
    world.refuse["CreateChangeSet"] = refusal("ValidationError", said, "CreateChangeSet")
    with pytest.raises(StateForbids, match=f"Somebody else has just created stack {STACK} in"):
        world.create()
    assert not {"ExecuteChangeSet", "DeleteStack"} & set(world.asked)


def test_a_shell_that_somebody_filled_meanwhile_is_told_and_not_read_as_deployed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "FRESH_STARTS", 2)
    world.refuse["ExecuteChangeSet"] = refusal(
        "InvalidChangeSetStatus", "cannot be executed in its current status", "ExecuteChangeSet"
    )
    with pytest.raises(StateForbids, match="keeps being changed by others"):
        world.create()
    assert "GetTemplate" not in world.asked
