"""A deletion shows what becomes of data, asks, and refuses what no consent names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lib import session
from lib.access import Access
from lib.data import consent, proving, tables
from lib.data.catalogue import Backup
from lib.data.proving import BackupRun, Failed
from lib.deploy import deletions, report
from lib.drawing import draw_report
from lib.errors import (
    AwsUnavailable,
    BackupFailed,
    DataLossRefused,
    Declined,
    InputError,
    OperationFailed,
    StateForbids,
)
from lib.inputs.jobs import Options
from lib.operators import (
    Drawing,
    Level,
    Listing,
    Note,
    OnInterrupt,
    Operator,
    Progress,
    ResourceProgress,
)
from lib.stacks import obstacles
from lib.stacks.deployed import Deployed
from lib.stacks.stacks import StackResource, describe
from lib.stacks.statuses import Status
from lib.templates.changes import Change
from tests.support.aws_fakes import (
    START,
    FakeTime,
    Happening,
    event_entry,
    intercept,
    name_of,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.factories import job, stack

APP = "app"
TEMPLATE = """
Resources:
  Kept: {Type: 'AWS::DynamoDB::Table', DeletionPolicy: Retain}
  Lost: {Type: 'AWS::S3::Bucket'}
  Topic: {Type: 'AWS::SNS::Topic'}
"""


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No DynamoDB is there to tell how much a table holds."""
    monkeypatch.setattr(consent, "_count", lambda *_: None)


class World:
    """One stack with a table that is retained and a bucket that is not."""

    def __init__(self, status: str = "CREATE_COMPLETE", **more: Any) -> None:
        self.status, self.more = status, more
        self.ending = "DELETE_COMPLETE"
        self.template = TEMPLATE
        self.agrees = True
        self.types = ""
        self.clusters: list[str] = []
        self.refusal: Exception | None = None
        self.told: list[Progress] = []
        self.asked: list[str] = []
        self.statuses: dict[str, str] = {}
        self.aws = session.connect("us-east-1")
        self.cfn = self.aws.client("cloudformation")
        self.calls = intercept(self.cfn, self.answer)
        intercept(
            self.aws.client("sts"),
            lambda *_: {"Account": "1" * 12, "Arn": "arn:aws:iam::111111111111:user/ann"},
        )
        operator = Operator(self.told.append, self.confirm, lambda _: OnInterrupt.DETACH)
        self.access = Access(self.aws, operator, FakeTime().clock)

    def confirm(self, question: str, word: str) -> bool:
        self.asked.append(question)
        return self.agrees and word in ("y", self.types)

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
                        "ResourceStatus": self.statuses.get(name, "CREATE_COMPLETE"),
                    }
                    for name, kind in kinds.items()
                ]
                + [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": name,
                        "ResourceType": "AWS::ECS::Cluster",
                        "LastUpdatedTimestamp": START,
                        "ResourceStatus": "CREATE_COMPLETE",
                    }
                    for name in self.clusters
                ]
            }
        if operation == "UpdateTerminationProtection":
            return {"StackId": stack_id(APP)}
        if self.refusal:
            raise self.refusal
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
    [shown] = [draw_report(told) for told in world.told if isinstance(told, Drawing)]
    assert "2 at risk" in shown
    assert "1 removed" in shown
    kept, lost = shown.partition("-   Kept")[2].split("-   Lost")
    assert "DeletionPolicy Retain" in " ".join(kept.split())
    assert "! destroyed" in lost
    assert world.deleted


def test_the_question_names_the_stack_and_counts_what_holds_no_data() -> None:
    world = World()
    world.delete("Lost")
    # The topic; table and bucket are named one by one.
    assert world.asked == ["Delete stack app and 1 other resources?"]
    [shown] = [draw_report(told) for told in world.told if isinstance(told, Drawing)]
    assert shown.startswith("Deleting stack app in eu-west-1 does this:")


def test_what_an_earlier_deletion_skipped_does_not_go_again() -> None:
    world = World()
    world.statuses = {"Lost": "DELETE_SKIPPED"}
    world.delete()
    assert world.deleted
    [shown] = [draw_report(told) for told in world.told if isinstance(told, Drawing)]
    assert "Lost" not in shown


def test_the_outcome_names_what_stayed_once_and_the_request_has_a_token() -> None:
    world = World()
    outcome = world.delete("Lost")
    assert (outcome.action, outcome.status) == ("deleted", "DELETE_COMPLETE")
    assert (outcome.backups, outcome.retained) == ((), ())
    [call] = [call.arguments for call in world.calls if call.operation == "DeleteStack"]
    assert call["StackName"] == stack_id(APP)
    assert call["ClientRequestToken"].startswith("plot-palette-")
    assert "RetainResources" not in call
    assert "DeletionMode" not in call


def test_a_deletion_follows_only_what_happens_after_it_began() -> None:
    world = World()
    world.delete("Lost")
    told = [one for one in world.told if isinstance(one, ResourceProgress)]
    assert [one.status for one in told] == ["DELETE_COMPLETE"]
    assert not any(isinstance(one, Note) and "by itself" in one.text for one in world.told)


def test_tables_that_go_for_certain_are_backed_up_unless_no_backup_is_asked_for() -> None:
    world = World()
    world.template = TEMPLATE.replace(", DeletionPolicy: Retain", "")
    found = describe(world.cfn, APP)
    assert found
    options = Options(allow_data_loss=frozenset({"Lost", "Kept"}), backup=False)
    deletions.delete(job(stack_name=APP), world.access, options, found)
    warned = [note for note in world.told if isinstance(note, Note)]
    assert Note("No backup is taken, as --no-backup says.", Level.WARNING) in warned
    kept = World()
    found = describe(kept.cfn, APP)
    assert found
    deletions.delete(job(stack_name=APP), kept.access, options, found)
    assert not any("backup" in note.text for note in kept.told if isinstance(note, Note))


def test_a_backup_that_is_not_proven_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.template = TEMPLATE.replace(", DeletionPolicy: Retain", "")
    asked: list[Any] = []

    def take(*given: Any) -> BackupRun:
        asked.append(given)
        return BackupRun((), failed=(Failed("kept", "no room"),))

    monkeypatch.setattr(proving, "take_backups", take)
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    with pytest.raises(BackupFailed, match="no room"):
        world.delete("Lost", "Kept")
    [(_, _, names)] = asked
    assert tuple(names) == ("kept",)
    assert not world.deleted


def test_the_backups_made_before_a_deletion_are_part_of_its_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.template = TEMPLATE.replace(", DeletionPolicy: Retain", "")
    made = Backup("kept", "arn:backup", "name", 1, "AVAILABLE", START)
    monkeypatch.setattr(proving, "take_backups", lambda *_: BackupRun((made,)))
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    assert world.delete("Lost", "Kept").backups == ("arn:backup",)


def test_a_preview_shows_it_and_deletes_nothing() -> None:
    world = World()
    found = describe(world.cfn, APP)
    assert found
    shown = deletions.delete(job(stack_name=APP), world.access, Options(preview=True), found)
    assert shown.preview
    assert {change.path for change in shown.changes} == {"Kept", "Lost", "Topic"}
    assert not world.deleted


def test_data_that_would_be_destroyed_has_to_be_named() -> None:
    world = World()
    with pytest.raises(Declined) as caught:
        world.delete()
    assert not world.deleted
    told = {one["path"]: one["data_loss"] for one in caught.value.details["changes"]}
    assert "certain" in told.values()


def test_an_operator_who_says_no_deletes_nothing() -> None:
    world = World()
    world.agrees = False
    with pytest.raises(Declined, match="was not deleted") as caught:
        world.delete("Lost")
    assert not world.deleted
    assert {one["action"] for one in caught.value.details["changes"]} == {"Remove"}


def test_what_was_deleted_says_what_that_was() -> None:
    changes = World().delete("Lost").changes
    assert {one.action for one in changes} == {"Remove"}
    assert any(one.data_loss == "certain" for one in changes)


def test_a_protected_stack_goes_only_when_its_name_is_typed() -> None:
    world = World(EnableTerminationProtection=True)
    with pytest.raises(Declined, match="was not deleted"):
        world.delete("Lost")
    assert "UpdateTerminationProtection" not in operations(world.calls)
    world.types = APP
    world.delete("Lost")
    changes = [name for name in operations(world.calls) if name.startswith(("Update", "Delete"))]
    assert changes == ["UpdateTerminationProtection", "DeleteStack"]


def test_protection_is_put_back_when_aws_refuses_the_deletion() -> None:
    world = World(EnableTerminationProtection=True)
    world.types = APP
    world.refusal = refusal("AccessDenied", "not you", "DeleteStack")
    with pytest.raises(AwsUnavailable, match="not you"):
        world.delete("Lost")
    switched = [c.arguments for c in world.calls if c.operation == "UpdateTerminationProtection"]
    assert [one["EnableTerminationProtection"] for one in switched] == [False, True]


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
    with pytest.raises(OperationFailed) as caught:
        deletions.clear(job(stack_name=APP), world.access, options, stack)
    assert caught.value.message == (
        "Stack app in eu-west-1 could not be deleted: the bucket is not empty"
    )
    assert "inv deploy --delete" in caught.value.next_step
    assert world.asked == []


def test_what_a_failed_creation_left_goes_without_another_question_but_not_without_consent() -> (
    None
):
    world = World("ROLLBACK_COMPLETE")
    stack = describe(world.cfn, APP)
    assert stack
    with pytest.raises(Declined):
        deletions.clear(job(stack_name=APP), world.access, Options(), stack)
    assert not world.deleted
    options = Options(allow_data_loss=frozenset({"Lost"}))
    deletions.clear(job(stack_name=APP), world.access, options, stack)
    assert world.deleted
    assert not any(question.startswith("Delete stack") for question in world.asked)


STACK = "AWS::CloudFormation::Stack"
PARENT = """
Resources:
  Data: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: https://x/data.yaml}}
  Topic: {Type: 'AWS::SNS::Topic'}
"""
CHILD = "Resources: {Logs: {Type: 'AWS::S3::Bucket'}, Jobs: {Type: 'AWS::SQS::Queue'}}"


class Half(World):
    """A root and a nested stack in DELETE_FAILED, because a bucket in the latter is full."""

    def __init__(self) -> None:
        super().__init__("DELETE_FAILED")
        self.nested = {"Data": "data"}
        self.reason = {"ResourceStatusReason": "The bucket you tried to delete is not empty"}
        self.states = dict.fromkeys(("app", "data", "more"), "DELETE_FAILED")
        self.works = True

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        name = name_of(arguments["StackName"])
        status = self.states[name]
        if operation == "DescribeStacks":
            return {"Stacks": [stack_entry(name, status)]}
        if operation == "GetTemplate":
            return {"TemplateBody": PARENT if name == "app" else CHILD}
        if operation == "DescribeStackEvents":
            events = [own("before", 0, name, "DELETE_FAILED")]
            if name in {one["StackName"] for one in self.deletions()}:
                kept = f"logs-of-{name}"
                skipped = Happening("skip", 8, "Logs", "DELETE_SKIPPED", physical_id=kept)
                events = [own("after", 9, name, status), *[skipped][: name != "app"], *events]
            full = Happening("full", 0, "Logs", "DELETE_FAILED", reason="the bucket is full")
            events += [full][: name != "app"]
            return {"StackEvents": [event_entry(name, event) for event in events]}
        if operation == "ListStackResources":
            return {"StackResourceSummaries": self.resources(name)}
        if self.works:
            self.states[name] = "DELETE_COMPLETE"
        return {}

    def resources(self, name: str) -> list[dict[str, Any]]:
        row = {"LastUpdatedTimestamp": START, "ResourceStatus": "DELETE_FAILED"}
        if name == "app":
            ids = {path: stack_id(child) for path, child in self.nested.items()}
            children = [{"LogicalResourceId": p, "PhysicalResourceId": i} for p, i in ids.items()]
            return [{**child, **row, "ResourceType": STACK} for child in children]
        bucket = {"LogicalResourceId": "Logs", "PhysicalResourceId": "logs"}
        return [{**bucket, **row, **self.reason, "ResourceType": "AWS::S3::Bucket"}]

    def get_rid(self, *allowed: str, **options: Any) -> Any:
        stack = describe(self.cfn, APP)
        assert stack
        wanted = Options(allow_data_loss=frozenset(allowed), **options)
        return deletions.delete(job(stack_name=APP), self.access, wanted, stack)

    def deletions(self) -> list[dict[str, Any]]:
        return [
            {**call.arguments, "StackName": name_of(call.arguments["StackName"])}
            for call in self.calls
            if call.operation == "DeleteStack"
        ]


def test_what_is_kept_in_a_nested_stack_is_kept_by_deleting_that_one_first() -> None:
    world = Half()
    outcome = world.get_rid(retain=frozenset({"Data.Logs"}))
    first, second = world.deletions()
    # RetainResources takes resources of the very stack; the root's list would keep all of Data.
    assert (first["StackName"], first["RetainResources"]) == ("data", ["Logs"])
    assert second["StackName"] == "app"
    assert "RetainResources" not in second
    assert (outcome.action, outcome.retained) == ("deleted", ("logs-of-data",))


def test_what_stayed_of_every_nested_stack_is_part_of_the_outcome() -> None:
    world = Half()
    world.nested = {"Data": "data", "More": "more"}
    outcome = world.get_rid(retain=frozenset({"all"}))
    assert [one["StackName"] for one in world.deletions()] == ["data", "more", "app"]
    assert outcome.retained == ("logs-of-data", "logs-of-more")


def test_each_step_and_what_is_in_the_way_are_told() -> None:
    world = Half()
    world.get_rid(retain=frozenset({"Data.Logs"}))
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert listing.title == "Not deleted in stack app in eu-west-1:"
    assert listing.columns == obstacles.COLUMNS
    assert [row[0] for row in listing.rows] == ["Data.Logs"]
    assert Note("Deleting nested stack Data by itself first.", Level.INFO) in world.told


def test_a_reason_that_stands_in_the_events_alone_is_told() -> None:
    world = Half()
    world.reason = {}
    world.get_rid(retain=frozenset({"Data.Logs"}))
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert "the bucket is full" in " ".join(listing.rows[0])


def test_what_is_kept_by_name_needs_no_consent_to_its_loss_and_is_shown_as_kept() -> None:
    world = Half()
    world.get_rid(retain=frozenset({"all"}))
    [shown] = [draw_report(told) for told in world.told if isinstance(told, Drawing)]
    assert "! orphaned: stays in the account" in shown


def test_force_goes_through_the_data_guard() -> None:
    world = Half()
    with pytest.raises(Declined):
        world.get_rid(force=True)
    assert not world.deleted
    world.get_rid("Data/Logs", force=True)
    modes = [(one["StackName"], one["DeletionMode"]) for one in world.deletions()]
    assert modes == [("data", "FORCE_DELETE_STACK"), ("app", "FORCE_DELETE_STACK")]


def test_the_root_is_left_alone_when_a_nested_stack_still_does_not_go() -> None:
    world = Half()
    world.works = False
    outcome = world.get_rid(retain=frozenset({"Data.Logs"}))
    assert len(world.deletions()) == 1
    assert outcome.failed
    assert "In the way: Data.Logs (AWS::S3::Bucket, logs): The bucket" in report.describe_failure(
        outcome
    )
    assert outcome.next_step.endswith(f"inv deploy --delete {job().flags} --retain Data.Logs")


def test_a_plain_deletion_of_such_a_stack_tries_the_root_again() -> None:
    world = Half()
    world.get_rid("Data/Logs")
    assert [one["StackName"] for one in world.deletions()] == ["app"]


def test_only_what_failed_to_go_can_be_kept() -> None:
    with pytest.raises(InputError, match=r"--retain takes .*Data\.Jobs did not"):
        Half().get_rid(retain=frozenset({"Data.Jobs"}))
    with pytest.raises(InputError) as caught:
        Half().get_rid(retain=frozenset({"Data.Jobs"}))
    assert f"inv deploy --delete {job().flags}" in caught.value.next_step


@pytest.mark.parametrize("options", [{"retain": frozenset({"Lost"})}, {"force": True}])
def test_aws_takes_either_only_after_a_deletion_that_failed(options: dict[str, Any]) -> None:
    world = World()
    stack = describe(world.cfn, APP)
    assert stack
    flag = f"--{next(iter(options))}"
    with pytest.raises(StateForbids, match=f"^{flag} only helps a deletion that failed") as caught:
        deletions.delete(job(stack_name=APP), world.access, Options(**options), stack)
    assert "stack app in eu-west-1 is CREATE_COMPLETE." in caught.value.message
    assert caught.value.next_step == f"inv deploy --delete {job().flags}"
    assert not world.deleted


def test_the_deepest_nested_stack_goes_first() -> None:
    resources = [
        StackResource(path, path.rsplit("/", 1)[-1], f"{path}-id", kind, "DELETE_FAILED", "", owner)
        for path, kind, owner in (
            ("Outer", STACK, "root"),
            ("Outer/Inner", STACK, "Outer-id"),
            ("Outer/Inner/Logs", "AWS::S3::Bucket", "Outer/Inner-id"),
            ("Topic", "AWS::SNS::Topic", "root"),
        )
    ]
    physical = {one.path: one.physical_id for one in resources}
    before = Deployed({}, {}, physical, tuple(resources))
    found = obstacles.find(resources, Status.DELETE_FAILED)
    root = stack(Status.DELETE_FAILED, id="root")
    steps = deletions.plan_steps(before, root, found, found, force=False)
    assert [(one.path, one.stack_id, one.retain) for one in steps] == [
        ("Outer/Inner", "Outer/Inner-id", ("Logs",)),
        ("Outer", "Outer-id", ()),
        ("", "root", ("Topic",)),
    ]
    assert [one.force for one in steps] == [False] * 3
    forced = deletions.plan_steps(before, root, found, (), force=True)
    assert [(one.path, one.retain, one.force) for one in forced] == [
        ("Outer/Inner", (), True),
        ("Outer", (), True),
        ("", (), True),
    ]
    plain = deletions.plan_steps(before, root, found, (), force=False)
    assert plain == (deletions.StackDeletion("", "root", (), force=False),)


def test_an_outer_stack_that_is_not_known_is_no_step() -> None:
    logs = StackResource("Out/In/Logs", "Logs", "l", "AWS::S3::Bucket", "DELETE_FAILED", "", "in")
    before = Deployed({}, {}, {"Out/In": "in"}, (logs,))
    found = obstacles.find([logs], Status.DELETE_FAILED)
    root = stack(Status.DELETE_FAILED, id="root")
    steps = deletions.plan_steps(before, root, found, found, force=False)
    assert [one.path for one in steps] == ["Out/In", ""]


@pytest.mark.parametrize(
    ("path", "spared"),
    [("Data", True), ("Data/Logs", True), ("Data/In/Logs", True), ("Data2/Logs", False)],
)
def test_what_is_inside_of_what_is_retained_stays_with_it(path: str, spared: bool) -> None:
    certain = Change(path, "AWS::S3::Bucket", "Remove", data_loss="certain", verdict="destroyed")
    possible = replace(certain, data_loss="possible", verdict="may go")
    kept = obstacles.find(
        [StackResource("Data", "Data", "d", STACK, "DELETE_FAILED", "", "root")],
        Status.DELETE_FAILED,
    )
    found = deletions._spare([certain, possible], kept)
    assert [one.data_loss for one in found] == ["possible" if spared else "certain", "possible"]
    assert (found[0].verdict.startswith("orphaned")) is spared
    assert found[1] == possible


def test_tasks_that_run_in_a_cluster_are_stopped_before_it_goes() -> None:
    world = World()
    world.clusters = ["the-cluster"]
    running = ["task/the-cluster/1"]

    def answer(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "ListTasks":
            return {"taskArns": list(running)}
        if operation == "StopTask":
            assert not world.deleted
            running.remove(arguments["task"])
            return {}
        return {"tasks": [{"taskArn": arn, "lastStatus": "RUNNING"} for arn in running]}

    calls = intercept(world.aws.client("ecs"), answer)
    world.delete("Lost")
    assert "StopTask" in operations(calls)
    assert world.deleted


def test_a_deletion_hands_cloudformation_the_service_role() -> None:
    world = World()
    world.delete("Lost", role_arn="arn:aws:iam::123456789012:role/service")
    [call] = [call for call in world.calls if call.operation == "DeleteStack"]
    assert call.arguments["RoleARN"] == "arn:aws:iam::123456789012:role/service"
