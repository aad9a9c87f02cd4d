"""A change set is asked for as the run wants it, and never outlives the run by accident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from lib.deploy import proposals
from lib.deploy.publishing import Run
from lib.errors import Refused
from lib.operators import Level, Note
from lib.stacks.changesets import Proposal
from tests.deploy.world import CHANGE_SET, World
from tests.support.aws_fakes import refusal, stack_id
from tests.support.factories import REGION, STACK, template

MADE = Proposal(f"arn:aws:cloudformation:{REGION}:1:changeSet/c/1", stack_id(STACK), "UPDATE")
SECRETS = """
Parameters:
  VpcCidr: {Type: String}
  Known: {Type: String, NoEcho: true}
  Kept: {Type: String, NoEcho: true}
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
"""


@pytest.fixture
def world() -> World:
    return World()


def asked(world: World) -> Mapping[str, Any]:
    (arguments,) = world.arguments("CreateChangeSet")
    return arguments


# Asking


@pytest.mark.parametrize("kind", ["CREATE", "UPDATE"])
def test_a_change_set_is_named_after_time_and_release_and_known_by_its_request(
    world: World, kind: str
) -> None:
    assert proposals.propose(world.run(), kind) == replace(MADE, kind=kind)
    request = asked(world)
    token = request["ClientToken"]
    assert request["ChangeSetName"] == f"update-20261120-090000-0123456789ab-{token[-6:]}"
    assert request["ChangeSetType"] == kind
    until = "2026-11-21T09:00:00+00:00"
    assert request["Description"] == f"Request {token}, a deployment until {until}"
    assert token.startswith("plot-palette-")
    assert (request["StackName"], request["IncludeNestedStacks"]) == (STACK, True)
    assert "DeploymentMode" not in request
    assert "OnStackFailure" not in request


@pytest.mark.parametrize(("kind", "previous"), [("UPDATE", ["Kept"]), ("CREATE", [])])
def test_a_secret_that_nobody_gave_stays_as_it_is_deployed(
    world: World, kind: str, previous: list[str]
) -> None:
    world.job = replace(
        world.job,
        templates={"master-stack.yaml": template(SECRETS)},
        values={"VpcCidr": "10.0.0.0/16", "Known": "given"},
    )
    proposals.propose(world.run(), kind)
    given = asked(world)["Parameters"]
    assert [p["ParameterKey"] for p in given if p.get("UsePreviousValue")] == previous
    values = {p["ParameterKey"]: p["ParameterValue"] for p in given if "ParameterValue" in p}
    assert values == {"VpcCidr": "10.0.0.0/16", "Known": "given"}


def test_a_shallow_run_leaves_out_what_is_nested(world: World) -> None:
    proposals.propose(world.run(shallow=True), "UPDATE")
    assert asked(world)["IncludeNestedStacks"] is False


def test_drift_is_taken_back_only_where_that_was_asked_for(world: World) -> None:
    proposals.propose(world.run(revert_drift=True), "UPDATE")
    assert asked(world)["DeploymentMode"] == "REVERT_DRIFT"


@pytest.mark.parametrize("keeps", [True, False])
def test_in_express_mode_the_change_set_says_what_a_failure_does(world: World, keeps: bool) -> None:
    proposals.propose(world.run(express=True), "UPDATE", disable_rollback=keeps)
    assert asked(world)["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": keeps}


def test_without_saying_so_a_failure_rolls_back(world: World) -> None:
    proposals.propose(world.run(express=True), "UPDATE")
    assert asked(world)["DeploymentConfig"]["DisableRollback"] is False


# A request whose answer is lost


def losing(world: World, error: BaseException, *, description: str = "") -> None:
    """Let the request for a change set be carried out, and its answer be lost."""
    answer = world.answer

    def reply(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "CreateChangeSet":
            answer(operation, arguments)
            raise error
        if operation == "DescribeChangeSet":
            said = description or asked(world)["Description"]
            return {**answer(operation, arguments), "Description": said}
        return answer(operation, arguments)

    world.reply = reply


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), ConnectionClosedError(endpoint_url="https://x")],
    ids=["Ctrl-C", "a connection that broke"],
)
def test_what_a_request_made_before_its_answer_was_lost_is_discarded(
    world: World, error: BaseException
) -> None:
    losing(world, error)
    with pytest.raises(type(error)):
        proposals.propose(world.run(), "UPDATE")
    assert world.arguments("DeleteChangeSet") == [{"ChangeSetName": CHANGE_SET}]
    (looked,) = world.arguments("DescribeChangeSet")
    assert looked == {"StackName": STACK, "ChangeSetName": asked(world)["ChangeSetName"]}
    assert world.notes == []


def test_what_somebody_else_made_is_not_discarded(world: World) -> None:
    losing(world, KeyboardInterrupt(), description="Request somebody-else-s")
    with pytest.raises(KeyboardInterrupt):
        proposals.propose(world.run(), "UPDATE")
    assert world.arguments("DeleteChangeSet") == []


def test_the_shell_of_a_creation_goes_with_its_change_set(world: World) -> None:
    world.status = "REVIEW_IN_PROGRESS"
    losing(world, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        proposals.propose(world.run(), "CREATE")
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]


def test_the_first_error_is_told_and_what_may_be_left_is_a_warning(world: World) -> None:
    losing(world, KeyboardInterrupt())
    world.refusals = {"DeleteChangeSet": refusal("AccessDenied", "not you", "DeleteChangeSet")}
    with pytest.raises(KeyboardInterrupt):
        proposals.propose(world.run(), "UPDATE")
    assert world.told == [
        Note(
            f"A change set of stack {STACK} in {REGION} may be left: not you",
            Level.WARNING,
        )
    ]


def test_drift_that_aws_does_not_take_back_is_refused_with_what_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.refusals = {"CreateChangeSet": refusal("ValidationError", "no", "CreateChangeSet")}
    said = Refused("drifted", next_step="by hand")
    asked: list[tuple[Any, ...]] = []

    def refuse(*given: Any) -> Refused:
        asked.append(given)
        return said

    monkeypatch.setattr(proposals.reverting, "refuse", refuse)
    run = world.run(revert_drift=True)
    with pytest.raises(Refused) as caught:
        proposals.propose(run, "UPDATE")
    assert caught.value is said
    assert asked == [(run, world.refusals["CreateChangeSet"])]
    with pytest.raises(ClientError, match="no"):
        proposals.propose(world.run(), "UPDATE")


def test_another_refusal_of_a_request_that_takes_drift_back_is_told_as_it_is(world: World) -> None:
    world.refusals = {"CreateChangeSet": refusal("AccessDenied", "not you", "CreateChangeSet")}
    with pytest.raises(ClientError, match="not you"):
        proposals.propose(world.run(revert_drift=True), "UPDATE")


# Discarding

Discard = Callable[[Run, Proposal], None]


@pytest.mark.parametrize("discard", [proposals.discard, proposals.withdraw, proposals.abandon])
def test_what_is_not_executed_is_deleted(world: World, discard: Discard) -> None:
    discard(world.run(), MADE)
    assert world.arguments("DeleteChangeSet") == [{"ChangeSetName": MADE.change_set_id}]
    assert world.notes == []


def test_a_preview_s_change_set_is_deleted_once_more_when_the_first_try_is_cut_off(
    world: World,
) -> None:
    world.interrupted_at = {"DeleteChangeSet"}
    with pytest.raises(KeyboardInterrupt):
        proposals.withdraw(world.run(), MADE)
    assert len(world.arguments("DeleteChangeSet")) == 2


def test_abandoning_takes_no_error_s_place(world: World) -> None:
    world.refusals = {"DeleteChangeSet": refusal("AccessDenied", "not you", "DeleteChangeSet")}
    proposals.abandon(world.run(), MADE)
    assert [note.partition(" may be left")[0] for note in world.notes] == [
        f"A change set of stack {STACK} in {REGION}"
    ]
    with pytest.raises(ClientError, match="not you"):
        proposals.discard(world.run(), MADE)


def test_a_plan_s_change_set_stays_on_the_way_out_of_an_error(world: World) -> None:
    proposals.abandon(replace(world.run(), plan="ab" * 32), MADE)
    assert world.calls == []


@pytest.mark.parametrize(
    ("error", "discarded"),
    [
        (refusal("AccessDenied", "not you", "ExecuteChangeSet"), True),
        (refusal("Throttling", "slowly", "ExecuteChangeSet"), False),
        (refusal("AccessDenied", "not you", "DescribeStackEvents"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=["refused", "throttled", "a read is refused", "Ctrl-C"],
)
def test_a_change_set_is_discarded_only_when_aws_has_refused_to_begin_it(
    world: World, error: BaseException, discarded: bool
) -> None:
    with pytest.raises(type(error)), proposals.discarding_refused(world.run(), MADE):
        raise error
    assert (world.changes == ["DeleteChangeSet"]) is discarded
    assert bool(world.calls) is discarded


def test_a_change_set_that_is_under_way_stays(world: World) -> None:
    with proposals.discarding_refused(world.run(), MADE):
        pass
    assert world.calls == []
