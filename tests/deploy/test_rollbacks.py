"""A rollback does what the stack's state asks for, and skips only what is stuck."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from lib import session
from lib.access import Access
from lib.deploy import report, rollbacks
from lib.deploy.outcomes import Outcome
from lib.errors import Declined, InputError, OperationFailed, StateForbids
from lib.inputs import jobs
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Options
from lib.operators import (
    Level,
    Listing,
    Note,
    OnInterrupt,
    Operator,
    Progress,
    ResourceProgress,
)
from lib.releases import history, releases
from lib.releases.history import Record
from lib.releases.releases import Release
from lib.releases.store import Bucket
from lib.stacks import obstacles
from tests.deploy import world as deploying
from tests.support.aws_fakes import (
    START,
    FakeTime,
    Happening,
    event_entry,
    intercept,
    name_of,
    no_such_stack,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.factories import REGION, STACK, job, template

APP = "app"


class World:
    """A stack that goes from one state to another when it is told to roll back."""

    def __init__(self, before: str, after: str = "UPDATE_ROLLBACK_COMPLETE") -> None:
        self.status, self.after = before, after
        self.agrees = True
        self.told: list[Progress] = []
        self.asked: list[str] = []
        self.words: list[str] = []
        self.reason = "no such key"
        self.records: list[dict[str, Any]] = []
        self.locking: list[str] = []
        self.table: dict[str, Any] = {"TableName": "jobs"}
        self.items: list[dict[str, Any]] = []
        self.refusal: Exception | None = None
        self.more: dict[str, Any] = {}
        self.aws = session.connect("us-east-1")
        self.calls = intercept(self.aws.client("cloudformation"), self.answer)
        intercept(self.aws.client("s3"), self.answer_s3)
        intercept(self.aws.client("dynamodb"), self.answer_dynamodb)
        intercept(
            self.aws.client("sts"),
            lambda *_: {"Account": "1" * 12, "Arn": "arn:aws:iam::1:user/ann"},
        )
        operator = Operator(self.told.append, self.confirm, lambda _: OnInterrupt.DETACH)
        self.time = FakeTime(seconds=100.0)
        self.access = Access(self.aws, operator, self.time.clock)

    def confirm(self, question: str, word: str) -> bool:
        self.asked.append(question)
        self.words.append(word)
        return self.agrees

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStacks":
            if self.status == "ABSENT":
                raise no_such_stack(APP)
            if name_of(arguments.get("StackName", APP)) != APP:
                return {"Stacks": [stack_entry("api", "UPDATE_ROLLBACK_FAILED")]}
            return {"Stacks": [stack_entry(APP, self.status, **self.more)]}
        if operation == "DescribeStackEvents":
            events: list[Happening] = [own("before", 0, APP, "UPDATE_FAILED")]
            if self.status == self.after:
                events.insert(0, own("after", 5, APP, self.after))
            return {"StackEvents": [event_entry(APP, event) for event in events]}
        if operation == "ListStackResources":
            return {"StackResourceSummaries": self.resources(arguments["StackName"])}
        if self.refusal:
            raise self.refusal
        self.status = self.after
        self.time.seconds += 30
        return {"StackId": stack_id(APP)} if operation == "RollbackStack" else {}

    def answer_s3(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if arguments.get("Key") == f"locks/{APP}.json":
            self.locking.append(operation)
            return {"ETag": '"1"'} if operation == "PutObject" else {}
        if operation == "GetObject":
            record = self.records[int(arguments["Key"].rsplit("-", 1)[1].split(".")[0])]
            return {"Body": io.BytesIO(json.dumps(record).encode())}
        keys = [f"deployments/{APP}/{n}-{n}.json" for n in range(len(self.records))]
        return {"Contents": [{"Key": key, "LastModified": START} for key in keys]}

    def answer_dynamodb(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        return {"Items": self.items} if operation == "Scan" else {"Table": self.table}

    def resources(self, stack: str) -> list[dict[str, Any]]:
        failed = {
            "LastUpdatedTimestamp": START,
            "ResourceStatus": "UPDATE_FAILED",
            "ResourceStatusReason": self.reason,
        }
        if self.status == "CREATE_FAILED":
            table = {"LogicalResourceId": "Jobs", "PhysicalResourceId": "jobs"}
            done = {**failed, "ResourceStatus": "CREATE_COMPLETE"}
            return [{**table, **done, "ResourceType": "AWS::DynamoDB::Table"}]
        if stack == stack_id(APP):
            nested = {"LogicalResourceId": "APIStack", "PhysicalResourceId": stack_id("api")}
            return [{**nested, **failed, "ResourceType": "AWS::CloudFormation::Stack"}]
        return [
            {"LogicalResourceId": "Function", "ResourceType": "AWS::Lambda::Function", **failed}
        ]

    def roll_back(self, *skip: str, **given: Any) -> Outcome:
        return rollbacks.roll_back(
            job(stack_name=APP, region="us-east-1", **given), self.access, skip=frozenset(skip)
        )

    def call(self, operation: str) -> Mapping[str, Any]:
        [found] = [call.arguments for call in self.calls if call.operation == operation]
        return found

    def changes(self) -> list[str]:
        reads = ("Describe", "List", "Get")
        return [name for name in operations(self.calls) if not name.startswith(reads)]


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("UPDATE_FAILED", "RollbackStack"),
        ("UPDATE_ROLLBACK_FAILED", "ContinueUpdateRollback"),
        ("UPDATE_IN_PROGRESS", "CancelUpdateStack"),
    ],
)
def test_each_state_has_its_own_way_back(before: str, call: str) -> None:
    world = World(before)
    outcome = world.roll_back()
    assert world.changes() == [call]
    assert (outcome.action, outcome.status) == ("rolled-back", "UPDATE_ROLLBACK_COMPLETE")
    assert outcome.failure is None
    assert len(world.asked) == 1


def test_a_creation_without_rollback_is_removed() -> None:
    outcome = World("CREATE_FAILED", "ROLLBACK_COMPLETE").roll_back()
    assert (outcome.action, outcome.status) == ("rolled-back", "ROLLBACK_COMPLETE")


def test_a_rollback_that_fails_again_is_a_failure_with_the_next_command() -> None:
    outcome = World("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED").roll_back()
    assert outcome.action == "failed"
    assert outcome.next_step.startswith("inv rollback")


def test_an_operator_who_says_no_changes_nothing() -> None:
    world = World("UPDATE_FAILED")
    world.agrees = False
    with pytest.raises(Declined, match="Nothing was done"):
        world.roll_back()
    assert world.changes() == []


def test_what_is_stuck_is_named_by_its_logical_ids_and_skipped_by_the_child_s_own_name() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("APIStack.Function")
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert [row[0] for row in listing.rows] == ["APIStack.Function"]
    # "Don't confuse a child stack's name with its corresponding logical ID".
    assert world.call("ContinueUpdateRollback")["ResourcesToSkip"] == ["api.Function"]


def test_all_stands_for_everything_that_is_stuck() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    assert world.call("ContinueUpdateRollback")["ResourcesToSkip"] == ["api.Function"]


def test_after_skipping_only_what_helps_is_advised() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    [warning] = [note.text for note in world.told if isinstance(note, Note)]
    assert "NOT_CHECKED" in warning
    assert "--revert-drift" not in warning
    assert "change of the property" in warning
    assert "import" in warning


def test_a_rollback_that_fails_again_names_what_holds_it_up_and_the_command_that_frees_it() -> None:
    world = World("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
    outcome = world.roll_back()
    assert "  In the way: APIStack.Function (AWS::Lambda::Function): no such key" in (
        report.describe_failure(outcome).splitlines()
    )
    assert outcome.next_step.endswith(f"inv rollback {job().flags} --skip APIStack.Function")


def test_what_was_only_cancelled_is_not_offered_to_be_skipped() -> None:
    world = World("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
    world.reason = "Resource update cancelled"
    outcome = world.roll_back()
    assert "--skip" not in outcome.next_step


RECORD = {
    **dict.fromkeys(("time", "by", "stack", "stack_id"), ""),
    "release": "0123456789ab",
    "action": "update",
    "parameters": {},
}


@pytest.mark.parametrize("by", ["aws", "record"])
def test_after_express_mode_the_rollback_says_so_and_a_refusal_names_another_way_back(
    by: str,
) -> None:
    world = World("UPDATE_FAILED")
    if by == "aws":
        world.more = {"DeploymentConfig": {"Mode": "EXPRESS"}}
    good = {**RECORD, "status": "UPDATE_COMPLETE"}
    failed = {**RECORD, "status": "UPDATE_FAILED", "release": "ffffffffffff"}
    world.records = [good, {**failed, "express": by == "record"}]
    world.refusal = refusal("ValidationError", "not for express", "RollbackStack")
    with pytest.raises(StateForbids) as caught:
        world.roll_back()
    assert world.call("RollbackStack")["DeploymentConfig"] == {"Mode": "EXPRESS"}
    assert "not for express" in caught.value.message
    assert caught.value.next_step.startswith("inv rollback --to 0123456789ab ")


def test_where_aws_does_roll_express_mode_back_that_is_all() -> None:
    world = World("UPDATE_FAILED")
    world.more = {"DeploymentConfig": {"Mode": "EXPRESS"}}
    assert world.roll_back().action == "rolled-back"


def test_without_express_mode_the_rollback_does_not_mention_it() -> None:
    world = World("UPDATE_FAILED")
    world.roll_back()
    assert "DeploymentConfig" not in world.call("RollbackStack")


def test_a_refused_rollback_is_told_in_aws_s_words() -> None:
    world = World("UPDATE_FAILED")
    world.refusal = refusal("ValidationError", "something else", "RollbackStack")
    with pytest.raises(OperationFailed, match="something else"):
        world.roll_back()


@pytest.mark.parametrize(
    ("table", "items", "goes"),
    [
        ({}, [], True),
        ({"DeletionProtectionEnabled": True}, [], False),
        ({}, [{"id": {"S": "1"}}], False),
    ],
)
def test_a_failed_creation_takes_its_tables_with_it_only_when_they_are_free_to_go(
    table: dict[str, Any], items: list[dict[str, Any]], goes: bool
) -> None:
    world = World("CREATE_FAILED", "ROLLBACK_COMPLETE")
    world.table |= table
    world.items = items
    world.roll_back()
    assert world.call("RollbackStack").get("RetainExceptOnCreate", False) is goes
    assert ("its empty tables" in world.asked[0]) is goes


def test_a_failed_creation_may_be_gone_after_its_rollback() -> None:
    # "This operation will delete a stack if it doesn't contain a last known stable state."
    outcome = World("CREATE_FAILED", "DELETE_COMPLETE").roll_back()
    assert (outcome.action, outcome.failure) == ("rolled-back", None)


def test_what_is_not_stuck_cannot_be_skipped() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(InputError, match=r"DatabaseStack\.JobsTable did not"):
        world.roll_back("DatabaseStack.JobsTable")
    assert world.changes() == []


def test_skipping_needs_a_rollback_that_failed() -> None:
    with pytest.raises(StateForbids, match="--skip only helps"):
        World("UPDATE_FAILED").roll_back("APIStack.Function")


def test_a_rollback_that_is_done_already_is_nothing_to_do() -> None:
    world = World("UPDATE_ROLLBACK_COMPLETE")
    assert world.roll_back().action == "unchanged"
    assert world.changes() == []


def test_a_stack_that_is_not_there_cannot_be_rolled_back() -> None:
    with pytest.raises(StateForbids, match="there is no such stack"):
        World("ABSENT").roll_back()


@pytest.mark.parametrize(
    ("status", "after", "operation"),
    [
        ("UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE", "RollbackStack"),
        ("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE", "ContinueUpdateRollback"),
    ],
)
def test_a_rollback_hands_cloudformation_the_service_role(
    status: str, after: str, operation: str
) -> None:
    world = World(status, after)
    world.roll_back(role_arn="arn:aws:iam::123456789012:role/service")
    [call] = [call for call in world.calls if call.operation == operation]
    assert call.arguments["RoleARN"] == "arn:aws:iam::123456789012:role/service"


def test_a_rollback_follows_only_what_happens_after_it_began() -> None:
    world = World("UPDATE_FAILED")
    world.roll_back()
    told = [told for told in world.told if isinstance(told, ResourceProgress)]
    assert [one.status for one in told] == ["UPDATE_ROLLBACK_COMPLETE"]


def test_the_question_names_the_stack_its_region_and_its_state() -> None:
    asked = {}
    for status in ("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED", "UPDATE_IN_PROGRESS"):
        world = World(status)
        world.agrees = False
        with pytest.raises(Declined) as caught:
            world.roll_back()
        assert caught.value.message == f"Nothing was done to stack app in us-east-1 ({status})."
        (asked[status],) = world.asked
    assert asked["UPDATE_FAILED"].startswith("Roll back stack app in us-east-1 (UPDATE_FAILED): ")
    assert asked["UPDATE_ROLLBACK_FAILED"] == (
        "Continue the rollback of stack app in us-east-1 (UPDATE_ROLLBACK_FAILED)?"
    )
    assert asked["UPDATE_IN_PROGRESS"] == (
        "Cancel the update of stack app in us-east-1 (UPDATE_IN_PROGRESS) and roll it back?"
    )
    assert world.words == ["y"]


def test_what_is_skipped_is_warned_of_and_what_is_stuck_has_a_heading() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    [warning] = [note for note in world.told if isinstance(note, Note)]
    assert warning.level is Level.WARNING
    assert "mark APIStack.Function as rolled back" in warning.text
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert listing.title == "Not rolled back in stack app in us-east-1:"
    assert listing.columns == obstacles.COLUMNS


def test_before_a_rollback_goes_on_the_command_that_leaves_out_what_holds_it_up_is_told() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back()
    [note] = [note for note in world.told if isinstance(note, Note)]
    assert note.level is Level.INFO
    assert f"`inv rollback {job().flags} --skip APIStack.Function`" in note.text


def test_where_nothing_can_be_skipped_nothing_is_advised() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.reason = "Resource update cancelled"
    world.roll_back()
    assert [note for note in world.told if isinstance(note, Note)] == []


def test_a_skip_that_names_what_is_not_stuck_is_answered_with_what_is() -> None:
    with pytest.raises(InputError) as caught:
        World("UPDATE_ROLLBACK_FAILED").roll_back("Elsewhere")
    assert caught.value.next_step.startswith(f"inv rollback {job().flags}")


@pytest.mark.parametrize("status", ["UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_skip_that_does_not_help_is_answered_with_the_command_that_does(status: str) -> None:
    world = World(status)
    with pytest.raises(StateForbids) as caught:
        world.roll_back("all")
    assert f"is {status}." in caught.value.message
    assert caught.value.next_step == f"inv rollback {job().flags}"
    assert world.changes() == []


def test_a_rollback_with_nothing_to_do_says_why() -> None:
    world = World("UPDATE_ROLLBACK_COMPLETE")
    outcome = world.roll_back()
    [note] = [note.text for note in world.told if isinstance(note, Note)]
    assert note.startswith("Stack app in us-east-1: ")
    assert outcome.status == "UPDATE_ROLLBACK_COMPLETE"
    assert world.asked == []


@pytest.mark.parametrize(
    "before", ["UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED", "UPDATE_IN_PROGRESS"]
)
def test_the_request_carries_a_token_by_which_a_lost_answer_is_known(before: str) -> None:
    world = World(before)
    world.roll_back()
    [change] = [call for call in world.calls if call.operation in world.changes()]
    assert change.arguments["StackName"] == stack_id(APP)
    assert change.arguments["ClientRequestToken"].startswith("plot-palette-")


def test_a_creation_that_could_not_be_rolled_back_has_failed() -> None:
    outcome = World("CREATE_FAILED", "ROLLBACK_FAILED").roll_back()
    assert outcome.action == "failed"
    assert outcome.failure is not None


def test_after_a_rollback_there_is_nothing_more_to_type() -> None:
    assert World("UPDATE_FAILED").roll_back().next_step == ""


def test_a_deleted_stack_was_rolled_back_only_if_it_was_being_created() -> None:
    outcome = World("UPDATE_FAILED", "DELETE_COMPLETE").roll_back()
    assert outcome.action == "failed"


def test_how_long_a_rollback_took_is_part_of_its_outcome() -> None:
    # Half a second until the first look, then half a minute of silence.
    assert World("UPDATE_FAILED").roll_back().seconds == 30.5


# A return to an earlier release

#: That of the caller in `tests.deploy.world`.
CALLER = "1" * 12
BUCKET = jobs.bucket_name(CALLER, REGION)


class Past(deploying.World):
    """A stack whose earlier releases lie in a bucket of moto's, with a record of each run."""

    def __init__(self, status: str = "UPDATE_COMPLETE") -> None:
        super().__init__(status)
        self.s3 = self.access.aws.client("s3")
        where: Any = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        self.bucket = Bucket(self.s3, BUCKET, CALLER)
        self.rows = [{"Action": "Modify", "LogicalResourceId": "Table", "Replacement": "False"}]
        self.rows[0] |= {"ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": "jobs"}

    def keep(self, _operation: str, _arguments: dict[str, Any]) -> Any:
        return None

    def publish(self, comment: str) -> Release:
        made = releases.build({"master-stack.yaml": template(f"# {comment}{deploying.MASTER}")})
        nothing: frozenset[str] = frozenset()
        releases.publish(self.bucket, made, published=nothing, commit="", now=START, by="me")
        return made

    def record(self, release: str, status: str, minute: int, cidr: str = "10.1.0.0/16") -> None:
        time = f"2026-11-20T08:{minute:02d}:00.000Z"
        values = {"VpcCidr": cidr}
        done = Record(release, time, "update", status, "ann", STACK, "arn", values)
        history.write(self.bucket, done)

    def return_to(self, name: str, **given: Any) -> Outcome:
        return rollbacks.return_to(replace(self.job, **given), self.access, Options(), name)


@pytest.fixture
def past() -> Iterator[Past]:
    with mock_aws():
        yield Past()


def test_a_return_deploys_the_release_with_the_parameters_of_its_last_good_run(past: Past) -> None:
    earlier = past.publish("earlier")
    past.record(earlier.name, "UPDATE_COMPLETE", 1, "10.9.0.0/16")
    past.record(earlier.name, "UPDATE_COMPLETE", 2, "10.7.0.0/16")
    past.record(earlier.name, "UPDATE_ROLLBACK_COMPLETE", 3, "10.8.0.0/16")
    outcome = past.return_to(earlier.name)
    assert (outcome.action, outcome.release) == ("rolled-back", earlier.name)
    [request] = past.arguments("CreateChangeSet")
    assert request["TemplateURL"].endswith(f"/{BUCKET}/{earlier.master_key}")
    given = {p["ParameterKey"]: p["ParameterValue"] for p in request["Parameters"]}
    assert given["VpcCidr"] == "10.7.0.0/16"
    said = f"Returning to release {earlier.name}, deployed 2026-11-20T08:02:00.000Z by ann."
    assert said in past.notes
    assert past.changes[:2] == ["CreateChangeSet", "ExecuteChangeSet"]


def test_a_release_that_never_ran_well_on_this_stack_is_no_way_back(past: Past) -> None:
    known, failed = past.publish("known"), past.publish("failed")
    past.record(known.name, "UPDATE_COMPLETE", 1)
    past.record(known.name, "UPDATE_COMPLETE", 2)
    past.record(failed.name, "UPDATE_ROLLBACK_COMPLETE", 3)
    with pytest.raises(InputError) as caught:
        past.return_to(failed.name)
    assert caught.value.message == (
        f"Release {failed.name!r} was never deployed to stack {STACK} in {REGION}. "
        f"Deployed: {known.name}."
    )
    assert caught.value.next_step == f"inv history {past.job.flags}"
    assert past.changes == []


def test_a_stack_without_a_past_has_no_release_to_return_to(past: Past) -> None:
    with pytest.raises(InputError, match=r"Deployed: none\."):
        past.return_to("0123456789ab")


def test_a_release_that_was_pruned_is_no_way_back(past: Past) -> None:
    past.record("0123456789ab", "UPDATE_COMPLETE", 1)
    with pytest.raises(InputError) as caught:
        past.return_to("0123456789ab")
    assert caught.value.message == f"Release 0123456789ab is no longer in {BUCKET}."
    assert caught.value.next_step == f"inv history {past.job.flags}"
    assert past.changes == []


@pytest.mark.parametrize(
    ("status", "release", "replayed"),
    [
        ("UPDATE_FAILED", "last", True),
        ("UPDATE_FAILED", "older", False),
        ("UPDATE_COMPLETE", "last", False),
    ],
)
def test_only_a_paused_stack_s_last_stable_release_is_deployed_although_nothing_changes(
    past: Past, status: str, release: str, replayed: bool
) -> None:
    made = {name: past.publish(name) for name in ("older", "last")}
    past.status, past.rows = status, []
    past.record(made["older"].name, "UPDATE_COMPLETE", 1)
    past.record(made["last"].name, "UPDATE_COMPLETE", 2)
    past.record(made["last"].name, "UPDATE_FAILED", 3)
    past.return_to(made[release].name)
    assert ("UpdateStack" in past.changes) is replayed


def test_the_image_and_the_code_that_the_release_ran_are_looked_for_beforehand(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(*given: Any) -> None:
        assert past.changes == []
        seen.append(given)

    monkeypatch.setattr(rollbacks.images, "require_earlier", look)
    monkeypatch.setattr(rollbacks.archives, "require", look)
    earlier = past.publish("earlier")
    past.record(earlier.name, "UPDATE_COMPLETE", 1, "10.7.0.0/16")
    past.return_to(earlier.name, artifacts=Artifacts(image="today"))
    (today, access, stack, values), (job, same, there) = seen
    # The access of this run's turn at the stack, to the same AWS.
    assert access == same
    assert access.aws is past.access.aws
    assert stack == there
    assert stack.name == STACK
    assert values["VpcCidr"] == "10.7.0.0/16"
    # Today's flags say what is to be typed; the release says what it runs.
    assert today.artifacts.image == "today"
    assert job.artifacts == Artifacts()
    assert job.values == {"VpcCidr": "10.7.0.0/16"}
    assert list(job.templates) == ["master-stack.yaml"]


def test_today_s_artefacts_are_not_an_earlier_release_s(past: Past) -> None:
    earlier = past.publish("earlier")
    past.record(earlier.name, "UPDATE_COMPLETE", 1)
    outcome = past.return_to(earlier.name, artifacts=Artifacts(image="today"))
    assert outcome.action == "rolled-back"
    [request] = past.arguments("CreateChangeSet")
    assert "today" not in str(request["Parameters"])
