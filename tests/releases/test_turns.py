"""Of two operators one changes the stack, and the other is told who does, or waits for a turn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lib.errors import Locked, Refused
from lib.machine import Machine
from lib.releases import locks, turns
from lib.releases.turns import take_turn
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.factories import STACK, job
from tests.support.lock_store import LockStore
from tests.support.people import Person

KEY = f"locks/{STACK}.json"
JOB = job()


def kept(store: LockStore) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(store.objects[KEY].body)
    return said


def change(store: LockStore, person: Person, ending: BaseException) -> None:
    """Claim a turn, and be ended by something."""
    with take_turn(JOB, store.access(person), "update") as access:
        access.claim()
        raise ending


def test_nothing_is_asked_of_aws_until_the_turn_is_claimed() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update"):
        pass
    assert store.calls == []


def test_a_turn_costs_one_write_and_one_delete() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as access:
        assert access.claim() is False
        assert access.claim() is False
        said = kept(store)
    assert store.operations == ["PutObject", "DeleteObject"]
    assert store.objects == {}
    assert said["by"].endswith("user/ann")
    assert (said["task"], said["stack"]) == ("update", STACK)
    assert said["since"] == "2026-11-20T09:00:00.000Z"
    assert said["until"] == "2026-11-20T09:05:00.000Z"
    assert "host" not in said


def test_the_second_operator_is_told_who_since_when_until_when_and_what_to_type() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as first:
        first.claim()
        with (
            take_turn(JOB, store.access(Person(), "bob"), "deploy") as second,
            pytest.raises(Locked) as caught,
        ):
            second.claim()
        # Who was refused takes nothing away.
        assert kept(store)["by"].endswith("ann")
    text = str(caught.value)
    assert "ann (update since 2026-11-20 09:00:00 UTC) is changing stack" in text
    assert "until 2026-11-20 09:05:00 UTC and is renewed" in text
    assert f"--wait to go next; `inv status {JOB.flags}`" in text
    assert caught.value.exit_code == 3


def test_who_waits_is_told_for_whom_and_reads_nothing_before() -> None:
    time = FakeTime()
    store = LockStore(time)
    person = Person()
    first = take_turn(JOB, store.access(Person()), "update")
    first.__enter__().claim()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.seconds > 30:
            first.__exit__(None, None, None)
            time_up.append(True)

    time_up: list[bool] = []
    clock = replace(time.clock, sleep=lambda s: time.sleep(s) if time_up else sleep(s))
    waiting = replace(JOB, waits=True)
    with take_turn(waiting, store.access(person, "bob", clock=clock), "deploy") as second:
        # With --wait the turn comes before anything is read, so that nothing is old.
        assert second.claim() is False
        assert kept(store)["by"].endswith("bob")
        assert kept(store)["since"] > "2026-11-20T09:00:30"
    assert [note for note in person.notes if "Waiting for ann (update since" in note]
    assert "this run's turn" in person.notes[-1]
    assert store.objects == {}


def test_who_waits_only_reads_meanwhile() -> None:
    time = FakeTime()
    store = LockStore(time)
    dead = take_turn(JOB, store.access(Person()), "update")
    dead.__enter__().claim()
    with take_turn(replace(JOB, waits=True), store.access(Person(), "bob"), "deploy") as access:
        access.claim()
    assert store.operations.count("PutObject") == 4
    assert store.operations.count("GetObject") > 20


@pytest.mark.parametrize(("seconds", "free"), [(300, False), (310, False), (311, True)])
def test_a_lock_that_is_not_renewed_holds_for_its_lease_and_no_longer(
    seconds: float, free: bool
) -> None:
    store = LockStore()
    dead = take_turn(JOB, store.access(Person()), "update")
    dead.__enter__().claim()
    store.time.seconds = seconds
    person = Person()
    with take_turn(JOB, store.access(person, "bob"), "deploy") as access:
        if free:
            # Whoever left it may have changed what was read.
            assert access.claim() is True
            assert access.claim() is False
            assert "left by ann (update since" in person.notes[0]
            assert "it has expired, so it was taken over" in person.notes[0]
        else:
            with pytest.raises(Locked):
                access.claim()


def test_no_clock_but_s3_s_own_decides_whether_a_lock_has_expired() -> None:
    store = LockStore()
    dead = take_turn(JOB, store.access(Person()), "update")
    dead.__enter__().claim()
    fast = FakeTime(seconds=86_400)
    with (
        take_turn(JOB, store.access(Person(), "bob", clock=fast.clock), "deploy") as access,
        pytest.raises(Locked),
    ):
        access.claim()


def test_the_lock_of_a_run_that_was_killed_here_is_taken_over_at_once() -> None:
    store = LockStore()
    here = Machine(lambda: "here", lambda: "1", lambda _: False)
    dead = take_turn(JOB, replace(store.access(Person()), machine=here), "update")
    dead.__enter__().claim()
    person = Person()
    again = Machine(lambda: "here", lambda: "2", lambda process: process == "1")
    with take_turn(JOB, replace(store.access(person), machine=again), "update") as access:
        access.claim()
    assert "its process here has ended" in person.notes[0]
    elsewhere = Machine(lambda: "elsewhere", lambda: "2", lambda _: True)
    dead = take_turn(JOB, replace(store.access(Person()), machine=here), "update")
    dead.__enter__().claim()
    with (
        take_turn(JOB, replace(store.access(person), machine=elsewhere), "update") as access,
        pytest.raises(Locked),
    ):
        access.claim()


def test_pauses_renew_the_lock_so_that_a_long_operation_keeps_it() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        for _ in range(1000):
            access.clock.sleep(5)
        assert kept(store)["since"] == "2026-11-20T09:00:00.000Z"
        with (
            take_turn(JOB, store.access(Person(), "bob"), "deploy") as second,
            pytest.raises(Locked),
        ):
            second.claim()
    # 5,000 seconds, each 125.
    assert store.operations.count("PutObject") == 1 + 40 + 1
    assert store.objects == {}


def test_a_lease_that_ran_out_over_a_question_is_renewed_before_anything_is_changed() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        store.time.seconds += 3600
        assert access.claim() is False
        assert store.objects[KEY].written == 3600


def test_who_was_overtaken_over_a_question_changes_nothing_and_deletes_nobody_s_lock() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        store.time.seconds += 3600
        with take_turn(JOB, store.access(Person(), "bob"), "deploy") as second:
            second.claim()
            with pytest.raises(Refused, match=r"bob \(deploy since .* has taken it over"):
                access.claim()
            with pytest.raises(Refused, match="lost"):
                access.claim()
            assert kept(store)["by"].endswith("bob")
    assert store.objects == {}


def test_a_lock_that_is_lost_in_a_pause_ends_no_operation() -> None:
    store = LockStore()
    person = Person()
    with take_turn(JOB, store.access(person), "update") as access:
        access.claim()
        store.objects = {}
        access.clock.sleep(200)
        access.clock.sleep(200)
    assert len([note for note in person.notes if "was lost" in note]) == 1
    assert store.operations.count("DeleteObject") == 0


@pytest.mark.parametrize("operation", ["PutObject", "DeleteObject"])
def test_an_answer_that_was_lost_and_asked_for_again_is_no_refusal(operation: str) -> None:
    """botocore sends the same request again, and S3 answers the second with 412 or 404."""
    store = LockStore()

    def twice(asked_for: str, asked: Any) -> None:
        if asked_for == operation and store.operations.count(operation) == 1:
            store.ask(operation, **asked)

    store.spoil = twice
    person = Person()
    with take_turn(JOB, store.access(person), "update") as access:
        access.claim()
        assert KEY in store.objects
    assert store.objects == {}
    assert person.notes == []


def test_a_renewal_whose_answer_was_lost_keeps_the_lock() -> None:
    store = LockStore()

    def twice(operation: str, asked: Any) -> None:
        if operation == "PutObject" and store.operations.count(operation) == 2:
            store.ask(operation, **asked)

    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        store.spoil = twice
        access.clock.sleep(200)
        access.clock.sleep(1)
        assert access.claim() is False
    assert store.objects == {}


@pytest.mark.parametrize(
    "error",
    [
        refusal("AccessDenied", "not authorized to perform: s3:PutObject", "PutObject", 403),
        refusal("NotImplemented", "A header you provided implies …", "PutObject", 501),
        EndpointConnectionError(endpoint_url="https://s3"),
    ],
)
def test_where_no_lock_can_be_kept_that_is_said_in_one_line_and_the_work_goes_on(
    error: Exception,
) -> None:
    store = LockStore()

    def refuse(operation: str, _asked: Any) -> None:
        if operation == "PutObject":
            raise error

    store.spoil = refuse
    person = Person()
    with take_turn(JOB, store.access(person), "update") as access:
        assert access.claim() is False
        assert access.claim() is False
    assert len(person.notes) == 1
    assert person.notes[0].startswith(f"No lock is kept on stack {STACK} in {JOB.region}")
    assert "AWS itself refuses two operations at once" in person.notes[0]
    # Only where S3 did not answer may a lock lie there.
    answered = isinstance(error, ClientError)
    assert store.operations == ["PutObject", *([] if answered else ["GetObject"])]


def test_where_there_is_no_bucket_yet_the_lock_is_taken_once_there_is_one() -> None:
    store = LockStore()

    def refuse(operation: str, _asked: Any) -> None:
        if store.operations == ["PutObject"]:
            raise refusal("NoSuchBucket", "The specified bucket does not exist", operation, 404)

    store.spoil = refuse
    person = Person()
    with take_turn(replace(JOB, waits=True), store.access(person), "deploy") as access:
        assert store.objects == {}
        access.claim()
        assert KEY in store.objects
    assert person.notes == []


def test_credentials_that_have_expired_are_no_reason_to_go_on_without_a_lock() -> None:
    store = LockStore()

    def refuse(operation: str, _asked: Any) -> None:
        raise refusal("ExpiredToken", "The provided token has expired.", operation)

    store.spoil = refuse
    with (
        take_turn(JOB, store.access(Person()), "update") as access,
        pytest.raises(ClientError, match="ExpiredToken"),
    ):
        access.claim()


def test_what_cannot_be_released_is_told_with_its_end_and_takes_no_error_s_place() -> None:
    store = LockStore()
    person = Person()

    def refuse(operation: str, _asked: Any) -> None:
        if operation == "DeleteObject":
            raise refusal("ExpiredToken", "The provided token has expired.", operation)

    store.spoil = refuse
    with pytest.raises(ZeroDivisionError):
        change(store, person, ZeroDivisionError())
    told = (
        f"The lock of stack {STACK} in {JOB.region} could not be released: The provided token has "
        "expired. It expires at 2026-11-20 09:05:00 UTC."
    )
    assert person.notes == [told]


def test_ctrl_c_releases_the_lock() -> None:
    store = LockStore()
    with pytest.raises(KeyboardInterrupt):
        change(store, Person(), KeyboardInterrupt())
    assert store.objects == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EndpointConnectionError(endpoint_url="s")])
def test_a_lock_whose_writing_was_never_answered_is_looked_for_and_released(
    error: BaseException,
) -> None:
    store = LockStore()
    store.spoil = lambda operation, _: error if operation == "PutObject" else None
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        change(store, Person(), ZeroDivisionError())
    assert store.operations == ["PutObject", "GetObject", "DeleteObject"]
    assert store.objects == {}


def test_somebody_s_lock_outlives_whoever_asked_for_it_without_an_answer() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person(), "bob"), "update") as first:
        first.claim()
        store.spoil = lambda operation, _: KeyboardInterrupt() if operation == "PutObject" else None
        with pytest.raises(KeyboardInterrupt):
            change(store, Person(), ZeroDivisionError())
        assert kept(store)["by"].endswith("bob")


def test_ctrl_c_in_a_renewal_releases_what_it_wrote() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        store.spoil = lambda operation, _: KeyboardInterrupt() if operation == "PutObject" else None
        with pytest.raises(KeyboardInterrupt):
            access.clock.sleep(200)
    assert store.operations == ["PutObject"] * 2 + ["DeleteObject", "GetObject", "DeleteObject"]
    assert store.objects == {}


@pytest.mark.parametrize("carried_out", [False, True])
def test_ctrl_c_while_the_lock_is_released_releases_it_and_ends_the_run(carried_out: bool) -> None:
    store = LockStore()

    def interrupt(operation: str, _asked: Any) -> BaseException | None:
        if operation != "DeleteObject" or store.operations.count(operation) > 1:
            return None
        if carried_out:
            return KeyboardInterrupt()
        raise KeyboardInterrupt

    store.spoil = interrupt
    with pytest.raises(KeyboardInterrupt), take_turn(JOB, store.access(Person()), "x") as access:
        access.claim()
    assert store.objects == {}


def test_two_writers_in_one_moment_try_again() -> None:
    store = LockStore()
    conflict = refusal("ConditionalRequestConflict", "conflicting operation", "PutObject", 409)

    def once(operation: str, _asked: Any) -> None:
        if store.operations.count(operation) == 1 and operation != "GetObject":
            raise conflict

    store.spoil = once
    with take_turn(JOB, store.access(Person()), "update") as access:
        access.claim()
        assert KEY in store.objects
    assert store.objects == {}


def test_a_workflow_within_a_turn_shares_it() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person()), "deploy-multi-region") as access:
        access.claim()
        with take_turn(JOB, access, "deploy") as inner:
            inner.claim()
        assert KEY in store.objects
    assert store.operations == ["PutObject", "DeleteObject"]


def test_an_object_that_is_no_lock_is_somebody_s_and_expires() -> None:
    store = LockStore()
    store.client.put_object(
        Bucket="b",
        Key=KEY,
        Body=b"?",
        ExpectedBucketOwner=store.access(Person()).aws.identity().account,
    )
    with take_turn(JOB, store.access(Person()), "update") as access:
        with pytest.raises(Locked, match="somebody"):
            access.claim()
        store.time.seconds = locks.LEASE + locks.GRACE + 1
        access.claim()
    assert store.objects == {}


def test_a_lease_is_renewed_in_time_whatever_is_waited_for() -> None:
    longest_pause = 30.0  # lib.polling.LONGEST_BACKOFF
    assert turns.RENEWED_AFTER + 2 * longest_pause < locks.LEASE


def leave(store: LockStore) -> None:
    """Leave a lock behind that nobody renews, as a killed run does."""
    with take_turn(JOB, store.access(Person(), "bob"), "update") as left:
        left.claim()
        kept_by_bob = store.objects
    store.objects = kept_by_bob
    store.time.seconds += 400
    store.calls.clear()


def test_who_takes_a_lock_over_and_cannot_renew_it_in_time_does_not_go_on() -> None:
    store = LockStore()
    leave(store)

    def dawdle(operation: str, _asked: Any) -> None:
        if store.operations == ["PutObject"]:
            store.time.seconds += 320
        if operation == "PutObject" and store.operations.count(operation) == 3:
            raise EndpointConnectionError(endpoint_url="https://s3")

    store.spoil = dawdle
    person = Person()
    with (
        take_turn(JOB, store.access(person), "update") as access,
        pytest.raises(EndpointConnectionError),
    ):
        access.claim()
    assert store.operations == ["PutObject", "GetObject", *["PutObject"] * 2, "DeleteObject"]
    assert not any("No lock is kept" in note for note in person.notes)
    assert store.objects == {}


def test_who_has_waited_and_then_can_keep_no_lock_reads_everything_again() -> None:
    store = LockStore()
    with take_turn(JOB, store.access(Person(), "bob"), "update") as first:
        first.claim()
        person = Person()
        waiting = replace(JOB, waits=True)
        with take_turn(waiting, store.access(person), "update", early=False) as second:

            def refuse(operation: str, _asked: Any) -> None:
                if store.operations.count("GetObject") == 2:
                    raise refusal("AccessDenied", "no longer", operation, 403)

            store.calls.clear()
            store.spoil = refuse
            assert second.claim() is True
            store.spoil = lambda *_: None
            assert second.claim() is False
    assert sum("No lock is kept" in note for note in person.notes) == 1
