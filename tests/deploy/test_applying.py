"""Exactly the plan is applied, or nothing is touched and what differs is named."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.deploy import applying, deployments, plans
from lib.deploy.outcomes import Outcome
from lib.deploy.plans import PlanFile
from lib.errors import Declined, DeploymentError, NotOurs, Refused, StateForbids
from lib.inputs.jobs import Options
from lib.operators import Level, Note
from lib.releases import releases
from lib.releases.releases import Published
from lib.stacks import changesets, previews
from lib.stacks.changesets import Proposal
from tests.deploy.test_change import REPLACED, TOUCHED
from tests.deploy.world import World
from tests.support.aws_fakes import START, refusal
from tests.support.factories import template

NETWORK = {"ParameterKey": "VpcCidr", "ParameterValue": "10.9.0.0/16"}


class Planned(World):
    """A world of which there is a plan; what S3 holds is in `objects`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        super().__init__()
        self.rows = [TOUCHED]
        self.execution = "AVAILABLE"
        self.objects: dict[str, bytes] = {}
        release = releases.build(self.job.templates)
        published = Published("bucket", self.job.region, release.name, 0, 0, "https://s3/m.yaml")
        monkeypatch.setattr(deployments, "publish", lambda *_: (release, published))
        self.verified: list[Mapping[str, str]] = []
        monkeypatch.setattr(releases, "verify", lambda _, files: self.verified.append(files))
        self.options = Options(**options)

    def plan(self) -> PlanFile:
        until = self.access.clock.now() + timedelta(hours=1)
        made = deployments.propose(self.job, self.access, self.options, expires=until)
        plan = plans.make(made, None)
        self.calls.clear()
        return plan

    def apply(self, plan: PlanFile) -> Outcome:
        return applying.apply(self.job, self.access, plan, "plan.json")

    def refuse(self, plan: PlanFile) -> str:
        """Apply a plan that has to be refused with nothing touched, and return why."""
        with pytest.raises(Refused) as caught:
            self.apply(plan)
        assert self.changes == []
        assert caught.value.exit_code == 3
        assert caught.value.next_step
        return caught.value.message

    def keep(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "ListObjectsV2":
            return {"Contents": [{"Key": key, "LastModified": START} for key in self.objects]}
        if operation == "GetObject" and arguments["Key"] in self.objects:
            return {"Body": io.BytesIO(self.objects[arguments["Key"]])}
        if operation == "PutObject":
            self.objects[arguments["Key"]] = arguments["Body"]
        return super().keep(operation, arguments)

    def _DescribeChangeSet(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        return {**super()._DescribeChangeSet(), "ExecutionStatus": self.execution}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Planned:
    return Planned(monkeypatch)


def test_a_plan_is_executed_and_recorded_with_its_digest_and_the_approver(world: Planned) -> None:
    plan = world.plan()
    outcome = world.apply(plan)
    assert outcome.action == "updated"
    assert world.changes == ["ExecuteChangeSet"]
    [executed] = world.arguments("ExecuteChangeSet")
    assert executed["ChangeSetName"] == plan.change_set
    assert [record["plan"] for record in world.records] == [plan.digest] * 2
    assert world.records[0]["by"] == "arn:aws:iam::111111111111:user/ann"
    assert world.verified[0] == plan.files


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"status": "UPDATE_COMPLETE"}, "the stack is UPDATE_COMPLETE, and was CREATE_COMPLETE"),
        ({"status": "UPDATE_IN_PROGRESS"}, "the stack is UPDATE_IN_PROGRESS"),
        ({"more": {"LastUpdatedTime": START + timedelta(days=1)}}, "the stack was last changed"),
        ({"more": {"StackId": "arn:aws:cloudformation:x:1:stack/a/b"}}, "another one of that name"),
        (
            {
                "more": {
                    "Parameters": [{"ParameterKey": "VpcCidr", "ParameterValue": "10.9.0.0/16"}]
                }
            },
            "the stack's parameter VpcCidr is '10.9.0.0/16', and was 'not set'",
        ),
        ({"rows": [REPLACED]}, "its change set says something else of Modify Table"),
        ({"execution": "OBSOLETE"}, "its change set  is CREATE_COMPLETE, OBSOLETE"),
        ({"rows": []}, "is FAILED"),
        (
            {"refusals": {"DescribeChangeSet": refusal("ChangeSetNotFound", "gone")}},
            "its change set arn:aws:cloudformation:eu-west-1",
        ),
    ],
)
def test_what_changed_in_the_world_is_refused_by_name(
    world: Planned, change: Mapping[str, Any], named: str
) -> None:
    plan = world.plan()
    for name, value in change.items():
        setattr(world, name, value)
    assert named in world.refuse(plan)


def test_a_refusal_lists_what_differs_and_says_how_to_a_plan_that_fits(world: Planned) -> None:
    plan = world.plan()
    world.status = "UPDATE_COMPLETE"
    world.execution = "OBSOLETE"
    text = world.refuse(plan)
    assert text.splitlines() == [
        f"The plan {plan.digest[:12]} cannot be applied to {plan.where}; nothing was touched:",
        "  - the stack is UPDATE_COMPLETE, and was CREATE_COMPLETE",
        "  - its change set  is CREATE_COMPLETE, OBSOLETE",
    ]
    with pytest.raises(Refused) as caught:
        applying.apply(world.job, world.access, plan, "make another plan")
    assert caught.value.next_step == "make another plan"


def test_a_look_at_the_change_set_that_aws_denies_is_no_sign_that_it_is_gone(
    world: Planned,
) -> None:
    plan = world.plan()
    world.refusals = {"DescribeChangeSet": refusal("AccessDenied", "not you")}
    with pytest.raises(ClientError, match="not you"):
        world.apply(plan)
    assert world.changes == []


def test_a_checkout_with_other_templates_applies_the_plan_s_release(world: Planned) -> None:
    plan = world.plan()
    release = releases.build(world.job.templates)
    world.objects = {file.key: file.content for file in release.files}
    other = template("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}\nParameters: {VpcCidr: {}}")
    world.job = replace(world.job, templates={"master-stack.yaml": other})
    assert world.apply(plan).release == plan.release
    assert world.changes == ["ExecuteChangeSet"]
    warned = Note(
        f"This checkout has other templates than the plan; the plan's release {plan.release} is "
        "applied.",
        Level.WARNING,
    )
    assert warned in world.told


def test_the_checkout_s_own_templates_are_not_read_again(world: Planned) -> None:
    plan = world.plan()
    world.told.clear()
    world.apply(plan)
    assert not any("other templates" in note for note in world.notes)


def test_how_long_it_took_is_part_of_the_outcome(world: Planned) -> None:
    plan = world.plan()
    answer = world.reply

    def slow(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "ExecuteChangeSet":
            world.access.clock.sleep(40)
        return answer(operation, arguments)

    world.reply = slow
    assert 40 <= world.apply(plan).seconds < 60


# A plan that creates


@pytest.fixture
def creating(world: Planned) -> tuple[Planned, PlanFile]:
    """Return the plan of a stack that is not there, whose change set has made a shell."""
    gone = refusal("ValidationError", "Stack with id plot-palette-staging does not exist")
    world.refusals = {"DescribeStacks": gone}
    plan = world.plan()
    world.refusals = {}
    world.status, world.ending = "REVIEW_IN_PROGRESS", "CREATE_COMPLETE"
    return world, plan


def test_a_creation_has_its_own_looks_before_anything_is_executed(
    creating: tuple[Planned, PlanFile],
) -> None:
    world, plan = creating
    assert plan.kind == "CREATE"
    begun: list[list[str]] = []

    def begin() -> None:
        begun.append(list(world.changes))

    outcome = applying.apply(world.job, world.access, plan, "plan.json", begin=begin)
    assert outcome.action == "created"
    assert begun == [[]]
    assert world.changes == ["ExecuteChangeSet"]


def test_an_update_is_not_slowed_down_by_a_creation_s_looks(world: Planned) -> None:
    plan = world.plan()

    def begin() -> None:
        raise AssertionError("nothing is created")

    outcome = applying.apply(world.job, world.access, plan, "plan.json", begin=begin)
    assert outcome.action == "updated"


def test_a_creation_whose_shell_is_gone_or_has_become_a_stack_is_refused(
    creating: tuple[Planned, PlanFile],
) -> None:
    world, plan = creating
    world.status = "CREATE_COMPLETE"
    text = world.refuse(plan)
    assert "the stack is CREATE_COMPLETE, and was REVIEW_IN_PROGRESS" in text


def test_a_creation_s_looks_come_after_what_differs(creating: tuple[Planned, PlanFile]) -> None:
    world, plan = creating
    world.execution = "OBSOLETE"

    def begin() -> None:
        raise AssertionError("nothing is created")

    with pytest.raises(Refused, match="OBSOLETE"):
        applying.apply(world.job, world.access, plan, "plan.json", begin=begin)


def test_a_stack_that_is_gone_is_refused(world: Planned) -> None:
    plan = world.plan()
    gone = refusal("ValidationError", "Stack with id plot-palette-staging does not exist")
    world.refusals = {"DescribeStacks": gone, "DescribeChangeSet": gone}
    text = world.refuse(plan)
    assert "the stack is ABSENT, and was CREATE_COMPLETE" in text
    assert "its change set" in text


def test_other_values_in_this_checkout_are_refused(world: Planned) -> None:
    plan = world.plan()
    world.job = replace(world.job, values={"VpcCidr": "10.1.0.0/16"})
    assert "in this checkout the parameter VpcCidr is '10.1.0.0/16', and was '10.0.0.0/16'" in (
        world.refuse(plan)
    )


def test_another_account_is_told_to_choose_its_profile(world: Planned) -> None:
    plan = replace(world.plan(), account="2" * 12)
    with pytest.raises(NotOurs) as caught:
        world.apply(plan)
    assert caught.value.next_step == (
        f"choose the right --profile, then inv apply again ({world.job.flags})"
    )
    with pytest.raises(NotOurs):
        applying.discard(world.job, world.access, plan)
    assert world.changes == []


def test_another_account_is_refused_before_its_stack_is_looked_at(world: Planned) -> None:
    plan = replace(world.plan(), account="2" * 12)
    assert "The plan is for account 222222222222" in world.refuse(plan)
    assert world.calls == []


def test_an_expired_plan_is_refused(world: Planned) -> None:
    plan = replace(world.plan(), expires=world.access.clock.now().isoformat())
    assert "it expired at" in world.refuse(plan)


def test_a_release_that_was_tampered_with_is_refused(
    world: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = world.plan()

    def tampered(*_: object) -> None:
        raise NotOurs("x holds other bytes than published", next_step="look")

    monkeypatch.setattr(releases, "verify", tampered)
    assert "other bytes" in world.refuse(plan)


def test_a_second_apply_says_that_it_was_applied(world: Planned) -> None:
    plan = world.plan()
    world.apply(plan)
    world.calls.clear()
    world.execution = "EXECUTE_COMPLETE"
    text = world.refuse(plan)
    assert "it was applied already, " in text
    assert "by arn:aws:iam::111111111111:user/ann (UPDATE_COMPLETE)" in text


def test_a_refusal_says_which_changes_it_is_about_and_what_differs(world: Planned) -> None:
    plan = world.plan()
    world.status = "UPDATE_COMPLETE"
    with pytest.raises(Refused) as caught:
        world.apply(plan)
    [change] = caught.value.details["changes"]  # type: ignore[misc]
    assert change["path"] == "Table"
    assert caught.value.details["differs"] == [
        "the stack is UPDATE_COMPLETE, and was CREATE_COMPLETE"
    ]


def stop(_question: str, _word: str) -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("confirm", "error"), [(stop, KeyboardInterrupt), (lambda *_: False, Declined)]
)
def test_a_plan_that_is_interrupted_or_declined_stays_and_can_be_applied(
    world: Planned, confirm: Any, error: type[BaseException]
) -> None:
    plan = world.plan()
    access = world.access
    world.access = replace(access, operator=replace(access.operator, confirm=confirm))
    with pytest.raises(error):
        world.apply(plan)
    assert world.changes == []
    world.access = access
    assert world.apply(plan).action == "updated"


def test_a_plan_that_aws_refuses_to_begin_stays_and_can_be_applied(world: Planned) -> None:
    plan = world.plan()
    world.refusals = {"ExecuteChangeSet": refusal("AccessDenied", "not authorized")}
    with pytest.raises(DeploymentError):
        world.apply(plan)
    assert world.changes == ["ExecuteChangeSet"]
    world.refusals = {}
    assert world.apply(plan).action == "updated"


def test_a_plan_that_is_overtaken_at_the_last_moment_is_refused_and_not_made_anew(
    world: Planned,
) -> None:
    plan = world.plan()
    world.refusals = {"ExecuteChangeSet": refusal("InvalidChangeSetStatus", "is OBSOLETE")}
    with pytest.raises(Refused, match="cannot be applied"):
        world.apply(plan)
    assert world.changes == ["ExecuteChangeSet"]


def test_a_plan_that_changes_nothing_keeps_nothing_and_is_applied_by_doing_nothing(
    world: Planned,
) -> None:
    world.rows = []
    plan = world.plan()
    assert (plan.change_set, plan.changes) == ("", ())
    assert world.apply(plan).action == "unchanged"
    assert world.changes == []


def test_a_stack_that_waits_half_way_gets_no_plan(world: Planned) -> None:
    world.status = "UPDATE_FAILED"
    with pytest.raises(StateForbids, match="depends on what is done about that first"):
        world.plan()
    assert world.changes == []


def test_a_new_plan_removes_what_expired_ones_of_the_same_stack_left(world: Planned) -> None:
    def summary(until: str, name: str = "update-20261001-120000-0123456789ab-1a2b3c") -> Any:
        said = f"Request plot-palette-1, a plan until {until}"
        return {"ChangeSetName": name, "ChangeSetId": f"{name} {until}", "Description": said}

    now = world.access.clock.now()
    late, early = (now + timedelta(days=n) for n in (1, -1))
    listed = [summary(one.isoformat()) for one in (late, early)]
    listed.append(summary(early.isoformat(), "somebody-else-s"))
    answer = world.reply
    world.reply = lambda operation, arguments: (
        {"Summaries": listed} if operation == "ListChangeSets" else answer(operation, arguments)
    )
    until = now + timedelta(hours=1)
    deployments.propose(world.job, world.access, world.options, expires=until)
    assert [one["ChangeSetName"] for one in world.arguments("DeleteChangeSet")] == [
        listed[1]["ChangeSetId"]
    ]


def test_a_plan_that_is_interrupted_while_it_clears_up_keeps_no_change_set(world: Planned) -> None:
    world.interrupted_at = {"ListChangeSets"}
    until = world.access.clock.now() + timedelta(hours=1)
    with pytest.raises(KeyboardInterrupt):
        deployments.propose(world.job, world.access, world.options, expires=until)
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet"]


def test_a_plan_passes_no_role_that_the_stack_has(world: Planned) -> None:
    role = "arn:aws:iam::111111111111:role/cloudformation"
    world.job = replace(world.job, role_arn=role)
    for more in ({}, {"RoleARN": role}):
        world.more = more
        until = world.access.clock.now() + timedelta(hours=1)
        deployments.propose(world.job, world.access, world.options, expires=until)
    first, second = world.arguments("CreateChangeSet")
    assert first["RoleARN"] == role
    assert "RoleARN" not in second


@pytest.mark.parametrize(
    ("execution", "discarded"),
    [("AVAILABLE", True), ("OBSOLETE", True), ("EXECUTE_COMPLETE", False)],
)
def test_discarding_removes_what_was_not_applied_and_nothing_else(
    world: Planned, execution: str, discarded: bool
) -> None:
    plan = world.plan()
    world.execution = execution
    assert applying.discard(world.job, world.access, plan).discarded is discarded
    assert world.changes == (["DeleteChangeSet"] if discarded else [])


def test_discarding_once_more_removes_the_empty_stack_that_was_left(
    world: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(world.plan(), kind="CREATE")
    tidied: list[Proposal] = []
    monkeypatch.setattr(previews, "find_execution", lambda *_: None)
    monkeypatch.setattr(changesets, "discard", lambda _cfn, which, _clock: tidied.append(which))
    assert applying.discard(world.job, world.access, plan).discarded is False
    assert tidied == [plan.proposal]
    applying.discard(world.job, world.access, replace(plan, kind="UPDATE"))
    assert tidied == [plan.proposal]
