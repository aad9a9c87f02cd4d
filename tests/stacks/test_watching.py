"""Whoever stops watching is told what goes on, and is not told so of what never began."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from lib.errors import AwsUnavailable, DeploymentError, Interrupted, OperationFailed
from lib.operators import Drawing, Level, Note, ResourceProgress, Rested
from lib.session import Aws
from lib.stacks import watching
from tests.support import factories
from tests.support.aws_fakes import FakeTime, FakeTree, Happening, own, refusal
from tests.support.people import Person

GOES_ON = f"CloudFormation goes on with stack {factories.STACK}"


def leave(error: BaseException, stop: str = watching.STOP_UPDATE) -> DeploymentError:
    """Return what an error becomes while an operation is running."""
    aws = Aws(None, factories.REGION)  # type: ignore[arg-type]  # only the region is read
    with (
        pytest.raises(DeploymentError) as caught,
        watching.leaving_running(factories.job(), Person().access(aws), stop=stop),
    ):
        raise error
    return caught.value


def test_an_interrupt_says_how_to_watch_and_to_stop_what_goes_on() -> None:
    error = leave(KeyboardInterrupt())
    assert isinstance(error, Interrupted)
    assert GOES_ON in error.message
    assert "inv events --follow" in error.next_step
    assert "stop it with `inv rollback" in error.next_step
    assert "stop it" not in leave(KeyboardInterrupt(), watching.UNSTOPPABLE).next_step


@pytest.mark.parametrize(
    "error",
    [
        refusal("ExpiredToken", "expired", "DescribeStackEvents"),
        EndpointConnectionError(endpoint_url="https://cloudformation"),
    ],
)
def test_who_cannot_watch_any_more_is_told_that_it_goes_on(error: Exception) -> None:
    found = leave(error)
    assert isinstance(found, AwsUnavailable)
    assert GOES_ON in found.message
    assert "Then watch it with `inv events --follow" in found.next_step


@pytest.mark.parametrize("code", ["ExpiredToken", "AccessDenied", "LimitExceededException"])
def test_what_aws_refused_to_begin_is_not_said_to_go_on(code: str) -> None:
    found = leave(refusal(code, "no", "CreateStack"))
    assert GOES_ON not in str(found)
    assert "watch" not in found.next_step


def test_what_an_endpoint_lacks_is_not_said_to_go_on() -> None:
    words = "API for service 'cloudformation' has not yet been implemented in LocalEmu."
    found = leave(refusal("InternalFailure", words, "RollbackStack", status=501))
    assert isinstance(found, AwsUnavailable)
    assert found.message.startswith("RollbackStack is not available at this endpoint")
    assert "goes on" not in str(found)
    assert "watch" not in found.next_step


def test_a_request_whose_answer_was_an_error_of_aws_s_own_may_go_on() -> None:
    found = leave(refusal("InternalFailure", "", "CreateStack", status=500))
    assert isinstance(found, OperationFailed)
    assert GOES_ON in found.message


def test_a_hook_that_only_warns_is_told_as_a_warning_and_one_that_stops_as_an_event() -> None:
    said = {"HookType": "Acme::Audit::Hook", "HookStatus": "HOOK_COMPLETE_FAILED"}
    warned = {**said, "HookFailureMode": "WARN", "HookStatusReason": "hm"}
    stopped = {**said, "HookFailureMode": "FAIL", "HookStatusReason": "no"}
    happened = [
        own("a0", 0, factories.STACK, "CREATE_IN_PROGRESS"),
        Happening("h1", 1, "Bucket", "CREATE_IN_PROGRESS", hook=warned),
        Happening("h2", 2, "Table", "CREATE_IN_PROGRESS", hook=stopped),
        own("a1", 3, factories.STACK, "CREATE_FAILED"),
    ]
    person = watch(happened, (3, "CREATE_FAILED"))
    assert Note("Bucket: Acme::Audit::Hook: hm", Level.WARNING) in person.told
    events = [one for one in person.told if isinstance(one, ResourceProgress)]
    assert [(e.path, e.reason) for e in events if e.path] == [("Table", "Acme::Audit::Hook: no")]


@pytest.mark.parametrize(("at_once", "seconds"), [(False, 0.5), (True, 0.0)])
def test_what_was_only_just_asked_for_is_not_looked_at_in_the_same_instant(
    at_once: bool, seconds: float
) -> None:
    time, done = FakeTime(), [(0, "CREATE_COMPLETE")]
    happened = {factories.STACK: [own("a0", 0, factories.STACK, "CREATE_COMPLETE")]}
    tree = FakeTree(time, happened, done)
    aws = Aws(Mock(client=lambda *_, **__: tree.client()), factories.REGION)
    access, stop = Person().access(aws, time.clock), watching.UNSTOPPABLE
    watching.wait(factories.job(), access, factories.STACK, None, stop=stop, at_once=at_once)
    assert time.seconds == seconds


def watch(happened: list[Happening], end: tuple[float, str]) -> Person:
    """Watch a creation that has ended to its end."""
    tree = FakeTree(FakeTime(999), {factories.STACK: happened}, [(0, "CREATE_IN_PROGRESS"), end])
    aws = Aws(Mock(client=lambda *_, **__: tree.client()), factories.REGION)
    person = Person()
    access = person.access(aws, tree.time.clock)
    watching.wait(factories.job(), access, factories.STACK, None, stop=watching.UNSTOPPABLE)
    return person


def create_in(seconds: float) -> Person:
    """Watch a creation of one resource that took so long."""
    return watch(
        [
            own("a0", 0, factories.STACK, "CREATE_IN_PROGRESS"),
            Happening("t0", 1, "Table", "CREATE_IN_PROGRESS"),
            Happening("t1", seconds - 1, "Table", "CREATE_COMPLETE"),
            own("a1", seconds, factories.STACK, "CREATE_COMPLETE"),
        ],
        (seconds, "CREATE_COMPLETE"),
    )


def test_events_tell_how_long_after_the_first_they_happened_however_late_they_are_seen() -> None:
    events = [one for one in create_in(90).told if isinstance(one, ResourceProgress)]
    assert [one.elapsed for one in events] == [0, 1, 89, 90]


def test_once_it_has_ended_nothing_is_redrawn_and_what_took_long_is_said() -> None:
    *_, rested, longest = create_in(90).told
    assert rested == Rested()
    assert isinstance(longest, Drawing)
    title, line = (line.text for line in longest.draw(80, False))
    assert title == f"What took longest on stack {factories.STACK} in {factories.REGION}:"
    assert line.split()[:2] == ["1:28", "Table"]
    assert create_in(30).told[-1] == Rested()
