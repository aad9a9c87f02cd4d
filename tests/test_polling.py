"""A look at AWS comes soon after a short operation, rarely in a long one, and bears faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from lib import polling
from lib.refusals import THROTTLING_CODES
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.people import Person


def failing(*errors: BaseException, then: str = "answer") -> Callable[[], str]:
    waiting = list(errors)

    def call() -> str:
        if waiting:
            raise waiting.pop(0)
        return then

    return call


@pytest.mark.parametrize(
    ("waited", "pause"), [(0, 0.1), (0.5, 0.1), (10, 1.0), (49, 4.9), (50, 5.0), (3600, 5.0)]
)
def test_a_pause_is_a_tenth_of_the_time_waited_within_bounds(waited: float, pause: float) -> None:
    assert polling.pause_after(waited) == pytest.approx(pause)


def test_pauses_after_refusals_double_up_to_half_a_minute() -> None:
    assert [polling.backoff_after(n) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_an_answer_that_comes_at_once_costs_no_pause() -> None:
    time = FakeTime()
    assert polling.ask_patiently(failing(), time.clock) == "answer"
    assert time.slept == []


@pytest.mark.parametrize("code", sorted(THROTTLING_CODES))
def test_every_throttling_code_is_waited_out(code: str) -> None:
    time = FakeTime()
    call = failing(refusal(code), refusal(code))
    assert polling.ask_patiently(call, time.clock) == "answer"
    assert time.slept == [1.0, 2.0]


@pytest.mark.parametrize(
    "error",
    [
        refusal("InternalFailure", status=500),
        refusal("ServiceUnavailable", status=503),
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectionClosedError(endpoint_url="https://x"),
        ReadTimeoutError(endpoint_url="https://x"),
    ],
)
def test_faults_of_aws_and_of_the_network_are_waited_out(error: Exception) -> None:
    time = FakeTime()
    assert polling.ask_patiently(failing(error), time.clock) == "answer"
    assert time.slept == [1.0]


@pytest.mark.parametrize(
    "code", ["ValidationError", "AccessDenied", "ExpiredToken", "LimitExceededException"]
)
def test_an_error_that_waiting_does_not_mend_is_raised_at_once(code: str) -> None:
    time = FakeTime()
    with pytest.raises(ClientError, match=code):
        polling.ask_patiently(failing(refusal(code, operation="CreateStack")), time.clock)
    assert time.slept == []


def test_a_bug_is_raised_at_once() -> None:
    time = FakeTime()
    with pytest.raises(ZeroDivisionError):
        polling.ask_patiently(failing(ZeroDivisionError()), time.clock)
    assert time.slept == []


def test_patience_ends_with_the_error_itself() -> None:
    time = FakeTime()

    def call() -> str:
        raise refusal("Throttling", "Rate exceeded")

    with pytest.raises(ClientError, match="Rate exceeded"):
        polling.ask_patiently(call, time.clock)
    assert polling.PATIENCE < time.seconds <= polling.PATIENCE + polling.LONGEST_BACKOFF


def test_an_interrupt_passes_through() -> None:
    time = FakeTime()
    with pytest.raises(KeyboardInterrupt):
        polling.ask_patiently(failing(KeyboardInterrupt()), time.clock)
    assert time.slept == []


def test_the_real_clock_gives_an_aware_date_in_utc() -> None:
    now = polling.Clock().now()
    assert now.utcoffset() is not None
    assert now.tzname() == "UTC"


def test_waiting_ends_with_what_a_look_finds() -> None:
    time = FakeTime()
    looks = iter([None, None, "found"])
    assert polling.until(lambda _waited: next(looks), time.clock) == "found"


def test_waiting_gives_up_after_the_longest_time_and_returns_nothing() -> None:
    time = FakeTime()
    waits: list[float] = []

    def look(waited: float) -> str | None:
        waits.append(waited)
        return None

    assert polling.until(look, time.clock, longest=60) is None
    assert 60 < waits[-1] < 66


def test_a_long_wait_says_why_after_some_seconds_and_again_every_minute() -> None:
    time = FakeTime()
    told: list[tuple[float, str]] = []
    clock = replace(time.clock, explain=lambda text: told.append((time.seconds, text)))
    throttled = refusal("Throttling", "Rate exceeded", "DescribeStacks")
    polling.ask_patiently(failing(*[throttled] * 9), clock)
    assert [at for at, _ in told] == [7, 91]
    assert told[0][1] == (
        "AWS does not answer DescribeStacks yet (Throttling: Rate exceeded); it is tried again "
        "for up to 15 min."
    )


def test_a_short_wait_is_silent() -> None:
    time = FakeTime()
    told: list[str] = []
    clock = replace(time.clock, explain=told.append)
    polling.ask_patiently(failing(*[refusal("Throttling")] * 3), clock)
    assert (time.seconds, told) == (7, [])


def test_what_an_endpoint_lacks_is_raised_at_once() -> None:
    time = FakeTime()
    lacking = refusal("InternalFailure", "not yet implemented", "CreateBackup", 501)
    with pytest.raises(ClientError):
        polling.ask_patiently(failing(lacking), time.clock)
    assert time.slept == []


def test_whoever_waits_for_aws_in_a_workflow_is_told() -> None:
    time, person = FakeTime(), Person()
    access = person.access(None, time.clock)  # type: ignore[arg-type]  # nothing is asked
    polling.ask_patiently(failing(*[refusal("Throttling")] * 5), access.clock)
    assert len(person.notes) == 1
