"""Change sets are asked for whole, executed as they were shown, and never outlive their purpose."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.errors import Refused, StateForbids
from lib.polling import Clock
from lib.stacks import changesets, watching
from lib.stacks.changesets import OwnChangeSet, Proposal, Purpose
from lib.stacks.previews import ChangeSetStale
from lib.stacks.stacks import Request, Stack
from lib.stacks.statuses import Status
from tests.support import factories
from tests.support.answers import Aws, Json, error
from tests.support.aws_fakes import FakeTime
from tests.support.factories import stack

ARN = "arn:aws:cloudformation:us-west-2:123456789012"
ROOT = f"{ARN}:changeSet/my-root-stack-change-set/4eca1a01-e285-xmpl-8026-9a1967bfb4b0"
CHILD = f"{ARN}:changeSet/my-nested-stack-change-set/4eca1a01-e285-xmpl-8026-9a1967bfb4b1"
ROOT_STACK = f"{ARN}:stack/my-root-stack/d0a825a0-e4cd-xmpl-b9fb-061c69e99204"
PROPOSAL = Proposal(ROOT, ROOT_STACK, "UPDATE")

# Creating


def test_two_change_sets_of_one_release_in_one_second_have_different_names() -> None:
    now = datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC)
    tokens = [watching.new_token() for _ in range(2)]
    first, second = (changesets.name_for(now, "20f8960ff7bb", token) for token in tokens)
    assert first != second
    assert first.startswith("update-20261122-093005-20f8960ff7bb-")
    # What CloudFormation takes for a name.
    assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", first)


def test_creating_asks_for_the_whole_tree_and_returns_both_arns(aws: Aws) -> None:
    aws.reply("CreateChangeSet", "update-1", {"Id": ROOT, "StackId": ROOT_STACK})
    found = changesets.create(
        aws.client,
        Request(
            "my-root-stack",
            "https://s3.us-west-2.amazonaws.com/b/releases/1/master-stack.yaml",
            parameters={"Environment": "staging", "AdminEmail": "ignored"},
            capabilities=("CAPABILITY_IAM",),
            tags={"Project": "plot-palette"},
            token="t-1",
            previous=frozenset({"AdminEmail"}),
        ),
        name="update-1",
        kind="UPDATE",
    )
    assert found == PROPOSAL
    (asked,) = aws.calls("CreateChangeSet")
    assert asked["IncludeNestedStacks"] is True
    assert asked["ChangeSetType"] == "UPDATE"
    assert asked["ClientToken"] == "t-1"
    assert asked["Parameters"] == [
        {"ParameterKey": "Environment", "ParameterValue": "staging"},
        {"ParameterKey": "AdminEmail", "UsePreviousValue": True},
    ]
    assert "DeploymentMode" not in asked
    assert "DeploymentConfig" not in asked


def test_creating_can_leave_out_what_is_nested(aws: Aws) -> None:
    aws.reply("CreateChangeSet", "update-1", {"Id": ROOT, "StackId": ROOT_STACK})
    changesets.create(aws.client, bare_request("t"), name="update-1", kind="UPDATE", nested=False)
    assert aws.calls("CreateChangeSet")[0]["IncludeNestedStacks"] is False


def test_creating_can_ask_to_revert_drift_and_for_express_mode(aws: Aws) -> None:
    aws.reply("CreateChangeSet", "update-1", {"Id": ROOT, "StackId": ROOT_STACK})
    request = replace(bare_request("t"), express=True)
    changesets.create(aws.client, request, name="update-1", kind="UPDATE", revert_drift=True)
    (asked,) = aws.calls("CreateChangeSet")
    assert asked["DeploymentMode"] == "REVERT_DRIFT"
    assert asked["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": False}


def bare_request(token: str) -> Request:
    return Request("my-root-stack", "https://example.com/t", {}, (), {}, token)


def create_named(aws: Aws) -> Proposal:
    return changesets.create(aws.client, bare_request("t-1"), name="update-1", kind="UPDATE")


@pytest.mark.parametrize("code", ["AlreadyExistsException", "TokenAlreadyExistsException"])
def test_a_request_repeated_after_a_lost_answer_finds_the_change_set_it_made(
    aws: Aws, code: str
) -> None:
    aws.reply("CreateChangeSet", "update-1", error(code))
    made = {"ChangeSetId": ROOT, "StackId": ROOT_STACK, "Description": "Request t-1"}
    aws.reply("DescribeChangeSet", "update-1", made)
    assert create_named(aws) == PROPOSAL
    assert aws.calls("CreateChangeSet")[0]["Description"] == "Request t-1"


def test_a_stack_that_somebody_has_begun_to_change_meanwhile_is_theirs_and_no_failure(
    aws: Aws,
) -> None:
    words = f"Stack:{ROOT_STACK} is in UPDATE_IN_PROGRESS state and can not be updated."
    aws.reply("CreateChangeSet", "update-1", error("ValidationError", words))
    with pytest.raises(StateForbids, match="Somebody else has begun to change stack") as caught:
        create_named(aws)
    assert "same command again" in caught.value.next_step


def test_somebody_else_s_change_set_of_the_same_name_is_not_taken_for_ours(aws: Aws) -> None:
    aws.reply("CreateChangeSet", "update-1", error("AlreadyExistsException"))
    theirs = {"ChangeSetId": ROOT, "StackId": ROOT_STACK, "Description": "Request t-2"}
    aws.reply("DescribeChangeSet", "update-1", theirs)
    with pytest.raises(Refused, match="Somebody else") as caught:
        create_named(aws)
    assert caught.value.exit_code == 3


def test_of_every_refusal_only_those_of_a_repetition_lead_to_a_look(aws: Aws) -> None:
    aws.reply("CreateChangeSet", "update-1", error("InsufficientCapabilitiesException"))
    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        create_named(aws)
    assert aws.calls("DescribeChangeSet") == []


def test_a_stack_that_somebody_created_meanwhile_is_to_be_looked_at_anew(aws: Aws) -> None:
    said = f"Stack [{ROOT_STACK}] already exists and cannot be created again with the changeSet [x]"
    aws.reply("CreateChangeSet", "update-1", error("ValidationError", said))
    with pytest.raises(StateForbids) as caught:
        changesets.create(aws.client, bare_request("t"), name="update-1", kind="CREATE")
    assert caught.value.message == (
        "Somebody else has just created stack my-root-stack in us-west-2."
    )
    assert caught.value.next_step.startswith("run the same command again")
    aws.reply("CreateChangeSet", "update-1", error("ValidationError", "No updates"))
    with pytest.raises(ClientError, match="No updates"):
        changesets.create(aws.client, bare_request("t"), name="update-1", kind="CREATE")


def find(aws: Aws, token: str = "t-1") -> Proposal | None:
    return changesets.find_own(aws.client, bare_request(token), name="update-1", kind="UPDATE")


@pytest.mark.parametrize(
    "answer",
    [
        error("ChangeSetNotFound"),
        error("ValidationError", "Stack [my-root-stack] does not exist"),
    ],
)
def test_a_change_set_that_was_never_made_is_not_found(aws: Aws, answer: Json) -> None:
    aws.reply("DescribeChangeSet", "update-1", answer)
    assert find(aws) is None
    assert aws.calls("DescribeChangeSet") == [
        {"StackName": "my-root-stack", "ChangeSetName": "update-1"}
    ]


def test_a_look_that_is_refused_is_no_sign_that_there_is_none(aws: Aws) -> None:
    aws.reply("DescribeChangeSet", "update-1", error("AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        find(aws)


# The change sets of plans

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RELEASE = "20f8960ff7bb"


def planned(aws: Aws, status: Status = Status.UPDATE_COMPLETE, **changes: str) -> Stack:
    """Let a stack have the change set of one plan, as `create` makes it, with changes."""
    kept = changesets.say_kept(Purpose.PLAN, NOON)
    request = replace(bare_request(watching.new_token()), kept=kept)
    name = changesets.name_for(NOON, RELEASE, request.token)
    aws.reply("CreateChangeSet", name, {"Id": ROOT, "StackId": ROOT_STACK})
    changesets.create(aws.client, request, name=name, kind="UPDATE")
    (asked,) = aws.calls("CreateChangeSet")
    summary = {"ChangeSetName": name, "ChangeSetId": ROOT, "Description": asked["Description"]}
    theirs = {"ChangeSetName": "theirs", "ChangeSetId": CHILD}
    pages = [{"Summaries": [theirs], "NextToken": "n"}, {"Summaries": [{**summary, **changes}]}]
    aws.reply("ListChangeSets", ROOT_STACK, pages[0])
    aws.reply("ListChangeSets", f"{ROOT_STACK}n", pages[1])
    return factories.stack(status, id=ROOT_STACK)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(Status.UPDATE_COMPLETE, "UPDATE"), (Status.REVIEW_IN_PROGRESS, "CREATE")],
)
def test_a_plan_is_known_by_the_name_and_the_description_that_it_was_made_with(
    aws: Aws, status: Status, kind: str
) -> None:
    stack = planned(aws, status)
    assert changesets.list_own(aws.client, stack) == (
        OwnChangeSet(Proposal(ROOT, ROOT_STACK, kind), RELEASE, Purpose.PLAN, NOON),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"ChangeSetName": "theirs"},
        {"ChangeSetName": f"update-20261122-120000-{RELEASE}-1a2b3c-more"},
        {"Description": "Somebody's, a plan until 2026-11-22T12:00:00+00:00"},
    ],
)
def test_no_other_change_set_is_taken_for_a_plan_s(aws: Aws, changes: dict[str, str]) -> None:
    assert changesets.list_own(aws.client, planned(aws, **changes)) == ()


@pytest.mark.parametrize(("seconds", "stays"), [(-1, True), (0, False), (1, False)])
def test_a_plan_s_change_set_goes_with_the_second_in_which_it_expires(
    aws: Aws, clock: Clock, seconds: int, stays: bool
) -> None:
    stack = planned(aws)
    aws.reply("DeleteChangeSet", ROOT, {})
    then = replace(clock, now=lambda: NOON + timedelta(seconds=seconds))
    left = changesets.discard_expired(aws.client, stack, then)
    assert [one.release for one in left] == ([RELEASE] if stays else [])
    assert aws.calls("DeleteChangeSet") == ([] if stays else [{"ChangeSetName": ROOT}])


# Executing and discarding


def discard(aws: Aws, clock: Clock, kind: str = "UPDATE") -> None:
    changesets.discard(aws.client, Proposal(ROOT, ROOT_STACK, kind), clock)


def execute(aws: Aws, token: str, **more: Any) -> None:
    changesets.execute(aws.client, PROPOSAL, token=token, **more)


def test_executing_names_the_change_set_by_the_arn_that_was_shown(aws: Aws) -> None:
    aws.reply("ExecuteChangeSet", ROOT, {})
    execute(aws, "t-1")
    execute(aws, "t-2", disable_rollback=True)
    assert aws.calls("ExecuteChangeSet") == [
        {"ChangeSetName": ROOT, "ClientRequestToken": "t-1", "DisableRollback": False},
        {"ChangeSetName": ROOT, "ClientRequestToken": "t-2", "DisableRollback": True},
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "InvalidChangeSetStatus",
            f"ChangeSet [{ROOT}] cannot be executed in its current execution status of [OBSOLETE]",
        ),
        ("ChangeSetNotFound", f"ChangeSet [{ROOT}] does not exist"),
        ("ValidationError", "Stack [my-root-stack] does not exist"),
    ],
)
def test_executing_after_the_stack_was_changed_is_refused_by_name(
    aws: Aws, code: str, message: str
) -> None:
    aws.reply("ExecuteChangeSet", ROOT, error(code, message))
    aws.reply("DescribeStackEvents", ROOT_STACK, {"StackEvents": [begun_by("somebody else")]})
    with pytest.raises(ChangeSetStale, match="Nothing was changed") as caught:
        execute(aws, "t")
    assert caught.value.message.startswith(f"The change set {ROOT} cannot be used any more: ")
    assert message in caught.value.message
    assert caught.value.exit_code == 3


def begun_by(token: str) -> Json:
    """Return the event by which a stack says whose request it has begun to carry out."""
    return {
        "StackId": ROOT_STACK,
        "EventId": "e-1",
        "StackName": "my-root-stack",
        "Timestamp": datetime(2026, 11, 20, tzinfo=UTC),
        "ClientRequestToken": token,
    }


def test_executing_again_after_a_lost_answer_finds_the_update_that_has_begun(aws: Aws) -> None:
    executed = "cannot be executed in its current execution status of [EXECUTE_IN_PROGRESS]"
    aws.reply("ExecuteChangeSet", ROOT, error("InvalidChangeSetStatus", executed))
    aws.reply("DescribeStackEvents", ROOT_STACK, {"StackEvents": [begun_by("t")]})
    execute(aws, "t")
    aws.reply("ExecuteChangeSet", ROOT, error("TokenAlreadyExistsException"))
    execute(aws, "t")


def test_in_express_mode_the_change_set_has_said_what_a_failure_does(aws: Aws) -> None:
    aws.reply("ExecuteChangeSet", ROOT, {})
    execute(aws, "t", express=True)
    assert aws.calls("ExecuteChangeSet") == [{"ChangeSetName": ROOT, "ClientRequestToken": "t"}]


def test_other_refusals_to_execute_pass_as_they_are(aws: Aws) -> None:
    aws.reply("ExecuteChangeSet", ROOT, error("InsufficientCapabilitiesException"))
    with pytest.raises(ClientError):
        execute(aws, "t")


def test_discarding_deletes_only_the_root(aws: Aws, clock: Clock) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    discard(aws, clock)
    assert aws.asked == [("DeleteChangeSet", {"ChangeSetName": ROOT})]


@pytest.mark.parametrize(
    "answer",
    [error("ChangeSetNotFound"), error("ValidationError", "Stack [x] does not exist")],
)
def test_discarding_what_is_gone_is_fine(aws: Aws, clock: Clock, answer: Json) -> None:
    aws.reply("DeleteChangeSet", ROOT, answer)
    discard(aws, clock)


def test_discarding_reports_what_aws_refuses(aws: Aws, clock: Clock) -> None:
    aws.reply("DeleteChangeSet", ROOT, error("InvalidChangeSetStatus"))
    with pytest.raises(ClientError):
        discard(aws, clock)


def test_discarding_is_insisted_on_for_half_a_minute(
    aws: Aws, clock: Clock, pauses: list[float]
) -> None:
    aws.reply("DeleteChangeSet", ROOT, error("Throttling"), {})
    discard(aws, clock)
    assert len(aws.calls("DeleteChangeSet")) == 2
    aws.reply("DeleteChangeSet", ROOT, error("Throttling"))
    pauses.clear()
    with pytest.raises(ClientError, match="Throttling"):
        discard(aws, clock)
    assert 20 < sum(pauses) < 60


def test_each_call_that_tidies_up_a_creation_is_insisted_on(aws: Aws, clock: Clock) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    busy = error("Throttling", "Rate exceeded")
    aws.reply("DescribeStacks", ROOT_STACK, busy, stack_answer("REVIEW_IN_PROGRESS"))
    aws.reply("ListChangeSets", ROOT_STACK, busy, summaries())
    aws.reply("DeleteStack", ROOT_STACK, busy, {})
    discard(aws, clock, "CREATE")
    assert len(aws.calls("DeleteStack")) == 2


def test_a_change_set_that_could_not_be_deleted_is_no_reason_to_wait(
    aws: Aws, clock: Clock, pauses: list[float]
) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    aws.reply("DescribeStacks", ROOT_STACK, stack_answer("REVIEW_IN_PROGRESS"))
    aws.reply("ListChangeSets", ROOT_STACK, summaries(ROOT, status="DELETE_FAILED"))
    aws.reply("DeleteStack", ROOT_STACK, {})
    discard(aws, clock, "CREATE")
    assert pauses == []
    assert aws.calls("DeleteStack") == [{"StackName": ROOT_STACK}]


def stack_answer(status: str) -> Json:
    stack = {
        "StackName": "my-root-stack",
        "StackId": ROOT_STACK,
        "StackStatus": status,
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return {"Stacks": [stack]}


def summaries(*ids: str, status: str = "DELETE_IN_PROGRESS") -> Json:
    return {"Summaries": [{"ChangeSetId": arn, "Status": status} for arn in ids]}


def test_a_declined_create_takes_its_empty_stack_along_once_its_change_set_is_gone(
    aws: Aws, clock: Clock, pauses: list[float]
) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    aws.reply("DescribeStacks", ROOT_STACK, stack_answer("REVIEW_IN_PROGRESS"))
    aws.reply("ListChangeSets", ROOT_STACK, summaries(ROOT), summaries())
    aws.reply("DeleteStack", ROOT_STACK, {})
    discard(aws, clock, "CREATE")
    assert [name for name, _ in aws.asked] == [
        "DeleteChangeSet",
        "DescribeStacks",
        "ListChangeSets",
        "ListChangeSets",
        "DeleteStack",
    ]
    assert len(pauses) == 1


def test_a_declined_create_leaves_a_stack_in_which_another_change_set_waits(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    aws.reply("DescribeStacks", ROOT_STACK, stack_answer("REVIEW_IN_PROGRESS"))
    aws.reply("ListChangeSets", ROOT_STACK, summaries(CHILD, status="CREATE_COMPLETE"))
    discard(aws, clock, "CREATE")
    assert aws.calls("DeleteStack") == []


@pytest.mark.parametrize(
    "answer",
    [stack_answer("CREATE_COMPLETE"), error("ValidationError", "Stack does not exist")],
)
def test_a_declined_create_leaves_a_stack_that_is_more_than_a_shell(
    aws: Aws, clock: Clock, answer: Json
) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    aws.reply("DescribeStacks", ROOT_STACK, answer)
    discard(aws, clock, "CREATE")
    assert aws.calls("DeleteStack") == []


def test_a_change_set_that_will_not_go_does_not_hold_up_a_declined_create_for_ever(
    aws: Aws, clock: Clock, pauses: list[float]
) -> None:
    aws.reply("DeleteChangeSet", ROOT, {})
    aws.reply("DescribeStacks", ROOT_STACK, stack_answer("REVIEW_IN_PROGRESS"))
    aws.reply("ListChangeSets", ROOT_STACK, summaries(ROOT))
    aws.reply("DeleteStack", ROOT_STACK, {})
    discard(aws, clock, "CREATE")
    assert 60 < sum(pauses) < 70
    assert len(aws.calls("DeleteStack")) == 1


# What this tool's own are kept for

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def own(description: str, **more: Any) -> Json:
    name = "update-20261122-090000-20f8960ff7bb-1a2b3c"
    return {"ChangeSetName": name, "ChangeSetId": description, "Description": description, **more}


@pytest.mark.parametrize("purpose", changesets.Purpose)
def test_what_a_change_set_is_kept_for_is_read_back_as_it_was_said(
    aws: Aws, purpose: changesets.Purpose
) -> None:
    aws.reply("CreateChangeSet", "update-1", {"Id": ROOT, "StackId": ROOT_STACK})
    request = replace(bare_request(watching.new_token()), kept=changesets.say_kept(purpose, NOON))
    changesets.create(aws.client, request, name="update-1", kind="UPDATE")
    said = aws.calls("CreateChangeSet")[0]["Description"]
    aws.reply("ListChangeSets", ROOT_STACK, {"Summaries": [own(said)]})
    (found,) = changesets.list_own(aws.client, stack(id=ROOT_STACK))
    assert (found.purpose, found.expires, found.release) == (purpose, NOON, "20f8960ff7bb")


def test_only_own_change_sets_that_have_expired_are_removed(aws: Aws) -> None:
    time = FakeTime()
    now = time.clock.now()
    past, coming = now - timedelta(minutes=1), now + timedelta(minutes=1)
    until = f"a preview until {past.isoformat()}"
    gone = [
        own(f"Request plot-palette-1, {until}"),
        own(f"Request plot-palette-2, a deployment until {past.isoformat()}"),
        # An earlier edition did not say until when.
        own("Request plot-palette-3", CreationTime=now - timedelta(hours=25)),
    ]
    stays = [
        own(f"Request plot-palette-4, a preview until {coming.isoformat()}"),
        own("Request plot-palette-5", CreationTime=now - timedelta(hours=23)),
        own("Request plot-palette-6"),
        own(f"Request plot-palette-7, {until}", ExecutionStatus="EXECUTE_IN_PROGRESS"),
        own(f"Request plot-palette-8, {until}", ChangeSetName="theirs"),
        own(f"Request somebody-9, {until}"),
    ]
    aws.reply("ListChangeSets", ROOT_STACK, {"Summaries": [*gone, *stays]})
    for one in gone:
        aws.reply("DeleteChangeSet", one["ChangeSetId"], {})
    left = changesets.discard_expired(aws.client, stack(id=ROOT_STACK), time.clock)
    assert [one["ChangeSetName"] for one in aws.calls("DeleteChangeSet")] == [
        one["ChangeSetId"] for one in gone
    ]
    assert [one.proposal.change_set_id for one in left] == [one["ChangeSetId"] for one in stays[:2]]


def test_a_shell_that_went_with_its_change_set_has_none(aws: Aws) -> None:
    missing = error("ValidationError", f"Stack [{ROOT_STACK}] does not exist")
    aws.reply("ListChangeSets", ROOT_STACK, missing)
    assert changesets.list_own(aws.client, stack(id=ROOT_STACK)) == ()
