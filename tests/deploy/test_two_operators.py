"""Whatever two operators of one stack do, and whatever goes wrong, what the lock promises holds.

The search runs the real code through every order of steps; see `two_operators`. Each defect that is
planted here is one that somebody could make, and the search has to find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lib.deploy import change
from lib.releases import locks
from lib.releases.turns import Turn
from tests.deploy.two_operators import LONG, SHORT, Search, Setting
from tests.support import lock_store

QUIET: dict[str, Any] = {"faults": 0, "kills": False}
NEITHER = (False, False)

#: What is played whenever the tests run.
SHORT_SETTINGS = {
    "nothing goes wrong": Setting(ticks=0, **QUIET),
    "neither waits": Setting(ticks=0, waits=NEITHER, **QUIET),
    "one thing goes wrong": Setting(ticks=0, waits=(True, False)),
}
#: What takes minutes.
LONG_SETTINGS = {
    "a lock has to be renewed": Setting(tick=SHORT, waits=(True, False), **QUIET),
    "leases run out": Setting(tick=LONG, **QUIET),
    "leases run out and neither waits": Setting(tick=LONG, waits=NEITHER, **QUIET),
    "one thing goes wrong and leases run out": Setting(tick=LONG),
    "one thing goes wrong, leases run out, and neither waits": Setting(tick=LONG, waits=NEITHER),
    "a killed run is seen on its own machine": Setting(ticks=0, one_machine=True),
    "two things go wrong": Setting(ticks=0, faults=2),
}


@pytest.mark.parametrize("name", SHORT_SETTINGS)
def test_in_every_order_of_steps_the_promises_hold(name: str) -> None:
    search = Search(SHORT_SETTINGS[name])
    assert search.run() == ""
    assert sum(search.ends.values())


@pytest.mark.faults
@pytest.mark.parametrize("name", LONG_SETTINGS)
def test_in_every_longer_order_of_steps_the_promises_hold(name: str) -> None:
    assert Search(LONG_SETTINGS[name]).run() == ""


def test_both_who_wait_change_the_stack_one_after_the_other() -> None:
    search = Search(SHORT_SETTINGS["nothing goes wrong"])
    search.run()
    assert set(search.ends) == {("updated", "updated")}


def delete_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    _leave_out(patch, "DeleteObject", "IfMatch")


def take_over_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    _leave_out(patch, "PutObject", "IfMatch")


def write_over_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    _leave_out(patch, "PutObject", "IfNoneMatch")


def _leave_out(patch: pytest.MonkeyPatch, operation: str, condition: str) -> None:
    """Have S3 not told of a condition, as if the code did not name it."""
    answer = lock_store.answer

    def deaf(objects: Any, asked_for: str, asked: Any, now: float) -> Any:
        heard = {k: v for k, v in asked.items() if (asked_for, k) != (operation, condition)}
        return answer(objects, asked_for, heard, now)

    patch.setattr(lock_store, "answer", deaf)


def take_a_lost_answer_for_a_no(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(locks, "is_ours", lambda *_: False)


def compare_the_lease_the_wrong_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(locks.Found, "has_expired", property(lambda self: self.age < self.lock.lease))


def let_locks_hold_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(locks.Found, "has_expired", property(lambda _: False))


def do_not_plan_again_after_waiting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(change, "_claim", lambda run, _proposal: run.access.claim())


def execute_without_looking_at_the_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "_keep", lambda _: None)


def claim_nothing_at_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "claim", lambda _: False)


def forget_to_release(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "give_back", lambda _: None)


#: Each defect, where it shows, and the promise that it breaks.
Defect = Callable[[pytest.MonkeyPatch], None]
DEFECTS: list[tuple[Defect, Setting, str]] = [
    (delete_whatever_is_there, Setting(tick=LONG, waits=NEITHER, **QUIET), "deletes the lock of"),
    (take_over_whatever_is_there, Setting(tick=LONG, waits=NEITHER, **QUIET), "overwrites"),
    (write_over_whatever_is_there, Setting(ticks=0, waits=NEITHER, **QUIET), "overwrites the lock"),
    (take_a_lost_answer_for_a_no, Setting(ticks=0, waits=NEITHER), "refused by its own lock"),
    (compare_the_lease_the_wrong_way, Setting(ticks=0, waits=NEITHER, **QUIET), "overwrites"),
    (let_locks_hold_for_ever, Setting(ticks=0, waits=NEITHER), "a lock is left for ever"),
    (
        do_not_plan_again_after_waiting,
        Setting(tick=LONG, waits=NEITHER, **QUIET),
        "what it planned before",
    ),
    (
        execute_without_looking_at_the_lease,
        Setting(tick=LONG, waits=NEITHER, **QUIET),
        "its lease has run out",
    ),
    (claim_nothing_at_all, Setting(ticks=0, **QUIET), "without having asked for the lock"),
    (forget_to_release, Setting(ticks=0, waits=NEITHER, **QUIET), "a lock is left"),
]


@pytest.mark.parametrize(
    ("defect", "setting", "promise"), DEFECTS, ids=[one.__name__ for one, _, _ in DEFECTS]
)
def test_the_search_finds_a_defect_that_is_planted(
    monkeypatch: pytest.MonkeyPatch, defect: Defect, setting: Setting, promise: str
) -> None:
    defect(monkeypatch)
    assert promise in Search(setting).run()
