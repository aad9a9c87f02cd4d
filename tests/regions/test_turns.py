"""One region goes ahead, one's failure is not the others', and Ctrl-C starts no further one."""

from __future__ import annotations

import threading

import pytest

from lib.checks import verification
from lib.checks.verification import Check, Verification
from lib.deploy.outcomes import Outcome
from lib.errors import Interrupted
from lib.inputs.jobs import Options
from lib.polling import Clock
from lib.regions.crews import Ended
from lib.regions.desk import Desk
from lib.regions.plan import NotStarted, OnFailure
from lib.regions.turns import Turns
from lib.regions.work import verify
from tests.support import factories
from tests.support.rehearsal import (
    THREE,
    Person,
    Rehearsal,
    actions,
    create,
    fail,
    plan_of,
    sites,
    stay,
)


def work(desk: Rehearsal, region: str) -> Outcome:
    outcome = create(desk, region)
    desk.working(region)
    return outcome


def work_long(desk: Rehearsal, region: str) -> Outcome:
    """Work for long enough that regions meet, however busy the machine is."""
    outcome = create(desk, region)
    desk.working(region, 0.5)
    return outcome


def test_the_first_region_goes_alone_and_the_rest_go_together() -> None:
    desk = Rehearsal(Person(), dict.fromkeys((*THREE, "ap-southeast-1"), work_long))
    rollout = desk.run()
    assert desk.order[0] == "us-east-1"
    assert desk.most == 3
    assert actions(rollout) == ["created"] * 4
    assert rollout.exit_code == 0


def test_no_more_regions_change_at_once_than_allowed() -> None:
    names = (*THREE, "ap-southeast-1", "eu-north-1")
    desk = Rehearsal(Person(), dict.fromkeys(names, work_long), plan_of(concurrency=2))
    desk.run()
    assert desk.most == 2


def test_sequential_regions_follow_each_other_in_the_order_given() -> None:
    desk = Rehearsal(Person(), dict.fromkeys(THREE, work_long), plan_of(concurrency=1))
    desk.run()
    assert (desk.order, desk.most) == (list(THREE), 1)


def test_a_canary_that_is_up_to_date_hands_its_part_to_the_next() -> None:
    names = (*THREE, "ap-southeast-1")
    desk = Rehearsal(Person(), {names[0]: stay} | dict.fromkeys(names[1:], work_long))
    rollout = desk.run()
    assert desk.order[0] == "us-west-2"
    assert desk.most == 2
    assert actions(rollout) == ["unchanged", "created", "created", "created"]


def test_a_canary_that_is_up_to_date_but_does_not_answer_leaves_the_others_untouched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = Verification("app", "us-east-1", (Check("health", False, "answers 503"),))
    monkeypatch.setattr(verification, "follow_up", lambda *_: silent)

    def stay_and_verify(desk: Rehearsal, region: str) -> Outcome:
        site, access = desk.sites[region], desk.access[region]
        return verify(site.job, access, stay(desk, region), Options())

    person = Person()
    desk = Rehearsal(person, {"us-east-1": stay_and_verify, "us-west-2": work})
    rollout = desk.run()
    assert actions(rollout) == ["failed", "declined"]
    assert desk.order == []
    failure = rollout.outcomes[0].failure
    assert failure is not None
    assert failure.reason == "up to date, but health: answers 503"


def test_a_failed_canary_leaves_the_others_untouched() -> None:
    desk = Rehearsal(Person(), {"us-east-1": fail, "us-west-2": work, "eu-west-1": work})
    rollout = desk.run()
    assert actions(rollout) == ["failed", "declined", "declined"]
    assert desk.order == []
    assert rollout.failed == ("us-east-1",)
    assert rollout.exit_code == 1
    held = rollout.outcomes[1].failure
    assert held is not None
    assert "us-east-1 failed" in held.reason


def test_stop_lets_regions_that_run_finish() -> None:
    began = threading.Event()

    def slow(desk: Rehearsal, region: str) -> Outcome:
        outcome = create(desk, region)
        began.set()
        desk.working(region, 1.0)
        return outcome

    def fail_meanwhile(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        began.wait(60)
        return factories.outcome("failed", region=region)

    acts = {"us-east-1": work, "us-west-2": fail_meanwhile, "eu-west-1": slow, "eu-north-1": work}
    rollout = Rehearsal(Person(), acts, plan_of(concurrency=2)).run()
    assert actions(rollout) == ["created", "failed", "created", "declined"]


def test_continue_does_them_all() -> None:
    acts = {"us-east-1": fail, "us-west-2": work, "eu-west-1": work}
    rollout = Rehearsal(Person(), acts, plan_of(on_failure=OnFailure.CONTINUE)).run()
    assert actions(rollout) == ["failed", "created", "created"]
    assert rollout.exit_code == 1


def test_ctrl_c_starts_no_further_region_and_follows_what_runs() -> None:
    person = Person()
    person.interrupt_at = ["us-east-1: started"]
    rollout = Rehearsal(person, dict.fromkeys(THREE, work)).run()
    assert actions(rollout) == ["created", "declined", "declined"]
    assert rollout.exit_code == Interrupted.exit_code


def test_a_second_ctrl_c_leaves_every_region_to_aws() -> None:
    def endless(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        try:
            while True:
                desk.access[region].say("still running")
                desk.access[region].clock.sleep(0.05)
        except KeyboardInterrupt:
            raise Interrupted(f"AWS goes on in {region}", next_step="inv events --follow") from None

    person = Person()
    person.interrupt_at = ["still running", "still running"]
    rollout = Rehearsal(person, {"us-east-1": endless, "us-west-2": work}).run()
    assert rollout.exit_code == Interrupted.exit_code
    first, second = rollout.outcomes
    assert first.failure is not None
    assert first.failure.reason == "AWS goes on in us-east-1"
    assert first.next_step == "inv events --follow"
    assert second.action == "declined"


def test_a_second_ctrl_c_counts_even_while_the_first_is_answered() -> None:
    def endless(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        while True:
            desk.access[region].clock.sleep(0.05)

    person = Person()
    person.interrupt_at = ["us-east-1: started", "no further region is started"]
    rollout = Rehearsal(person, {"us-east-1": endless, "us-west-2": work}).run()
    assert rollout.exit_code == Interrupted.exit_code
    assert actions(rollout) == ["failed", "declined"]


# What is told, and what is held back


def test_each_region_s_start_is_told_in_its_turn() -> None:
    person = Person()
    Rehearsal(person, dict.fromkeys(THREE, create), plan_of(concurrency=1)).run()
    assert [text for text in person.seen if text.endswith(": started.")] == [
        f"info: {region}: started." for region in THREE
    ]


def held(desk: Rehearsal, region: str) -> NotStarted:
    error = desk.crew.ended[region].error
    assert isinstance(error, NotStarted)
    return error


def test_what_is_held_back_says_who_failed_and_how_to_go_on() -> None:
    desk = Rehearsal(Person(), {"us-east-1": fail, "us-west-2": work})
    desk.run()
    error = held(desk, "us-west-2")
    assert error.message == "not started, because us-east-1 failed"
    assert error.next_step == "run the same command again"
    assert desk.desk.lines["us-west-2"].state == "not started"
    assert desk.desk.lines["us-west-2"].started == 0.0


def test_ctrl_c_is_told_with_what_is_followed_and_only_once() -> None:
    person = Person()
    person.interrupt_at = ["us-east-1: started"]
    desk = Rehearsal(person, {"us-east-1": work, "us-west-2": work})
    assert desk.run().interrupted
    assert [text for text in person.seen if "Interrupted" in text] == [
        (
            "warning: Interrupted: no further region is started. Following us-east-1; press Ctrl-C "
            "again to leave, AWS goes on."
        )
    ]
    assert held(desk, "us-west-2").message == "not started, because the rollout was interrupted"


def test_ctrl_c_when_nothing_runs_says_so() -> None:
    person = Person()
    turns = Turns(Desk(sites(), person.operator(), plan_of(), Clock(), None))
    turns._presses = 1
    turns._heed_interrupts()
    assert "Following nothing;" in person.seen[0]
    turns._heed_interrupts()
    assert len(person.seen) == 1


def test_without_an_interruption_nothing_is_said_of_one() -> None:
    person = Person()
    turns = Turns(Desk(sites(), person.operator(), plan_of(), Clock(), None))
    assert not turns.interrupted
    turns._heed_interrupts()
    assert person.seen == []


@pytest.mark.parametrize(
    ("on_failure", "failed", "presses", "stops"),
    [
        (OnFailure.STOP, False, 0, False),
        (OnFailure.STOP, True, 0, True),
        (OnFailure.CONTINUE, True, 0, False),
        (OnFailure.CONTINUE, False, 1, True),
    ],
)
def test_no_region_more_is_started_after_a_failure_or_ctrl_c(
    on_failure: OnFailure, failed: bool, presses: int, stops: bool
) -> None:
    plan = plan_of(on_failure=on_failure)
    turns = Turns(Desk(sites(), Person().operator(), plan, Clock(), None))
    action = "failed" if failed else "created"
    turns.crew.ended["us-east-1"] = Ended(factories.outcome(action, region="us-east-1"))
    turns._presses = presses
    assert turns.must_stop() is stops


@pytest.mark.parametrize(
    ("concurrency", "started", "ended", "room"),
    [
        (None, 0, 0, 1),
        (None, 1, 0, 0),
        (None, 1, 1, 3),
        (None, 2, 1, 2),
        (2, 1, 1, 2),
        (2, 3, 1, 0),
        (1, 3, 1, 0),
    ],
)
def test_one_region_may_change_until_the_canary_has_ended_and_then_as_many_as_allowed(
    concurrency: int | None, started: int, ended: int, room: int
) -> None:
    desk = Desk(sites(), Person().operator(), plan_of(concurrency=concurrency), Clock(), None)
    turns = Turns(desk)
    desk.started += THREE[:started]
    for region in THREE[:ended]:
        desk.crew.ended[region] = Ended(factories.outcome("created", region=region))
    assert turns._room() == room


def test_a_region_that_is_let_go_is_shown_as_starting_from_that_moment() -> None:
    person = Person()
    clock = Clock(monotonic=lambda: 12.5)
    desk = Desk(sites(["us-east-1"]), person.operator(), plan_of(), clock, None)
    turns = Turns(desk)
    desk.crew.start("us-east-1", lambda: desk.access["us-east-1"].operator.confirm("Go?", "y"))
    while not turns.waiting():
        desk.crew.take(0.01)
    turns._let_go("us-east-1")
    line = desk.lines["us-east-1"]
    assert (line.started, line.state) == (12.5, "starting")
    assert (desk.started, turns.waiting()) == (["us-east-1"], [])
    while "us-east-1" not in desk.crew.ended:
        desk.crew.take(0.01)
    assert desk.crew.ended["us-east-1"].result is True
