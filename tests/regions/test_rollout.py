"""Many regions: all are checked first, one goes ahead, one's failure is not the others'."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.checks.preflight import Look
from lib.deploy.outcomes import Outcome
from lib.errors import (
    AwsUnavailable,
    DataLossRefused,
    Declined,
    InputError,
    Interrupted,
    NotOurs,
    Refused,
    StateForbids,
    TemplateError,
)
from lib.inputs.jobs import Options
from lib.operators import Level, Note, OnInterrupt, Operator, Progress, ResourceProgress
from lib.polling import Clock
from lib.regions import plan, report
from lib.regions import rollout as regions
from lib.regions.crews import Crew
from lib.regions.plan import NotStarted, OnFailure, Plan, Rollout, Site
from lib.regions.rollout import Desk
from lib.releases.releases import Published
from lib.stacks.statuses import Decision, Move
from lib.templates.resolution import Tree
from tests.support import factories
from tests.support.aws_fakes import START

ACCOUNT = factories.ACCOUNT
THREE = ("us-east-1", "us-west-2", "eu-west-1")

Act = Callable[["Rehearsal", str], Outcome]


def sites(names: Sequence[str] = THREE, **changes: Any) -> list[Site]:
    return [
        Site(factories.job(region=name, flags=f"--region {name}", **changes), None)  # type: ignore[arg-type]  # a rehearsal calls nothing
        for name in names
    ]


class Person:
    """Somebody who notes what is shown, and answers as told."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.interrupt_at: list[str] = []

    def operator(self) -> Operator:
        return Operator(self._report, self._confirm, lambda _can: OnInterrupt.DETACH)

    def _report(self, progress: Progress) -> None:
        text = regions.as_text(progress)
        self.seen.append(text)
        if self.interrupt_at and self.interrupt_at[0] in text:
            self.interrupt_at.pop(0)
            raise KeyboardInterrupt

    def _confirm(self, question: str, word: str) -> bool:
        self.asked.append((question, word))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer


def create(desk: Rehearsal, region: str) -> Outcome:
    """Wait for the turn, then come up."""
    if not desk.access[region].operator.confirm(f"Create in {region}?", "y"):
        raise Declined(f"{region} declined")
    return factories.outcome("created", region=region, outputs={"Url": f"https://{region}"})


def fail(desk: Rehearsal, region: str) -> Outcome:
    create(desk, region)
    return factories.outcome("failed", region=region, status="ROLLBACK_COMPLETE")


def stay(_desk: Rehearsal, region: str) -> Outcome:
    return factories.outcome("unchanged", region=region)


class Rehearsal(Desk):
    """A rollout whose regions do what a test says instead of asking AWS."""

    def __init__(
        self,
        person: Person,
        acts: dict[str, Act],
        plan: Plan | None = None,
        *,
        move: Move = Move.CREATE,
        draw: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        super().__init__(sites(tuple(acts)), person.operator(), plan or plan_of(), _CLOCK, draw)
        self.acts, self.move = acts, move
        self.most = 0
        self.now: set[str] = set()
        self.order: list[str] = []
        self._lock = threading.Lock()

    def _look(self, region: str) -> Look:
        return Look(region, ACCOUNT, None, Decision(self.move), Tree((), {}, {}), (), ())

    def _list_new(self, _region: str) -> list[str]:
        return []

    def _publish(self, region: str) -> Any:
        return self.release, Published("bucket", region, self.release.name, 0, 1, "https://master")

    def _deploy(self, region: str) -> Outcome:
        return self.acts[region](self, region)

    def run(self) -> Rollout:
        self.check()
        self.publish()
        return self.roll_out()

    def working(self, region: str, seconds: float = 0.05) -> None:
        """Count who works at the same time."""
        with self._lock:
            self.now.add(region)
            self.order.append(region)
            self.most = max(self.most, len(self.now))
        threading.Event().wait(seconds)
        with self._lock:
            self.now.discard(region)


_CLOCK = Clock(now=lambda: START)


def plan_of(**given: Any) -> Plan:
    return Plan(Options(), **given)


def work(desk: Rehearsal, region: str) -> Outcome:
    outcome = create(desk, region)
    desk.working(region)
    return outcome


def work_long(desk: Rehearsal, region: str) -> Outcome:
    """Work for long enough that regions meet, however busy the machine is."""
    outcome = create(desk, region)
    desk.working(region, 0.5)
    return outcome


def actions(rollout: Rollout) -> list[str]:
    return [outcome.action for outcome in rollout.outcomes]


# --- what the flags say


def test_regions_keep_the_order_in_which_they_are_named() -> None:
    assert plan.read_names(" us-west-2, us-east-1,") == ("us-west-2", "us-east-1")


@pytest.mark.parametrize("text", [None, "", " , ", "us-east-1,us-west-2,us-east-1"])
def test_no_region_and_a_region_twice_are_bad_input(text: str | None) -> None:
    with pytest.raises(InputError):
        plan.read_names(text)


def test_consent_counts_only_for_the_region_it_names() -> None:
    consents = plan.read_consents(frozenset({"us-west-2:A/B", "us-west-2:C"}), THREE)
    assert consents["us-west-2"] == {"A/B", "C"}
    assert consents["us-east-1"] == frozenset()


@pytest.mark.parametrize("one", ["A/B", "eu-north-1:A/B", "us-east-1:", ":A/B"])
def test_consent_without_a_region_of_the_rollout_is_bad_input(one: str) -> None:
    with pytest.raises(InputError, match="REGION:PATH"):
        plan.read_consents(frozenset({one}), THREE)


def test_on_failure_takes_two_words() -> None:
    assert plan.read_on_failure("continue") is OnFailure.CONTINUE
    with pytest.raises(InputError, match="stop or continue"):
        plan.read_on_failure("retry")


def test_sequential_is_a_concurrency_of_one_and_excludes_another() -> None:
    assert plan.read_concurrency(None, sequential=True) == 1
    assert plan.read_concurrency(1, sequential=True) == 1
    assert plan.read_concurrency(3, sequential=False) == 3
    with pytest.raises(InputError):
        plan.read_concurrency(2, sequential=True)


def test_templates_that_change_while_they_are_read_are_noticed() -> None:
    first, second = sites(THREE[:2])
    other = factories.template(factories.MASTER + "  Queue: {Type: 'AWS::SQS::Queue'}\n")
    second = replace(second, job=replace(second.job, templates={"master-stack.yaml": other}))
    with pytest.raises(TemplateError, match="us-west-2 would get another release"):
        plan.require_one_release([first, second])


# --- the order of things


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


# --- questions


def update(desk: Rehearsal, region: str) -> Outcome:
    if not desk.access[region].operator.confirm(f"Update {region}?", "y"):
        raise Declined(f"{region} declined")
    return factories.outcome("updated", region=region)


def test_one_question_speaks_for_all_regions_and_comes_before_any_change() -> None:
    person = Person()
    rollout = Rehearsal(person, dict.fromkeys(THREE, update), move=Move.UPDATE).run()
    assert person.asked == [("Deploy to us-east-1, us-west-2, eu-west-1?", "y")]
    assert actions(rollout) == ["updated"] * 3


def test_new_stacks_need_no_question_as_with_one_region() -> None:
    person = Person()
    Rehearsal(person, dict.fromkeys(THREE, create)).run()
    assert person.asked == []


def test_no_to_the_question_changes_nothing_anywhere() -> None:
    desk = Rehearsal(Person(False), dict.fromkeys(THREE, update), move=Move.UPDATE)
    with pytest.raises(Declined, match="No region was changed"):
        desk.run()
    assert all(isinstance(end.error, Declined) for end in desk.crew.ended.values())


def lose_data(desk: Rehearsal, region: str) -> Outcome:
    path = "DatabaseStack/JobsTable"
    operator = desk.access[region].operator
    try:
        agreed = operator.confirm(f"{path} will be destroyed. Agree?", path)
    except Refused:
        raise DataLossRefused("would be lost", details={"at_risk": [path]}) from None
    return update(desk, region) if agreed else stay(desk, region)


def test_data_is_agreed_to_by_typing_region_and_path() -> None:
    person = Person()
    acts = {"us-east-1": update, "us-west-2": lose_data}
    rollout = Rehearsal(person, acts, move=Move.UPDATE).run()
    assert [word for _, word in person.asked] == ["us-west-2:DatabaseStack/JobsTable", "y"]
    assert actions(rollout) == ["updated", "updated"]


def test_where_nobody_can_agree_no_region_is_changed_and_the_flag_is_named() -> None:
    acts = {"us-east-1": update, "us-west-2": lose_data}
    desk = Rehearsal(Person(Refused("nobody")), acts, move=Move.UPDATE)
    with pytest.raises(DataLossRefused) as caught:
        desk.run()
    assert "--allow-data-loss us-west-2:DatabaseStack/JobsTable" in caught.value.next_step
    assert isinstance(desk.crew.ended["us-east-1"].error, NotStarted)


def test_a_region_that_is_not_as_it_was_shown_is_refused_instead_of_asked_about() -> None:
    def overtaken(desk: Rehearsal, region: str) -> Outcome:
        update(desk, region)
        return update(desk, region)

    person = Person()
    acts = {"us-east-1": overtaken, "us-west-2": update}
    rollout = Rehearsal(person, acts, move=Move.UPDATE).run()
    assert actions(rollout) == ["declined", "declined"]
    assert len(person.asked) == 1
    assert rollout.exit_code == 3


# --- checks


def test_whatever_stops_one_region_stops_all_before_the_first_is_touched() -> None:
    class Busy(Rehearsal):
        def _look(self, region: str) -> Look:
            if region == "us-west-2":
                raise StateForbids("an update is running")
            if region == "eu-west-1":
                raise AwsUnavailable("expired")
            return super()._look(region)

    desk = Busy(Person(), dict.fromkeys(THREE, create))
    with pytest.raises(AwsUnavailable) as caught:
        desk.run()
    assert "us-west-2: an update is running" in caught.value.message
    assert "eu-west-1: expired" in caught.value.message


def test_credentials_that_mean_two_accounts_are_refused() -> None:
    class Split(Rehearsal):
        def _look(self, region: str) -> Look:
            found = super()._look(region)
            return replace(found, account="2" * 12) if region == "us-west-2" else found

    with pytest.raises(NotOurs, match="several accounts"):
        Split(Person(), dict.fromkeys(THREE, create)).run()


def test_a_bug_in_one_region_is_raised_after_the_others_have_finished() -> None:
    def bug(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise ZeroDivisionError

    person = Person()
    acts = {"us-east-1": work, "us-west-2": bug, "eu-west-1": work}
    with pytest.raises(ZeroDivisionError):
        Rehearsal(person, acts).run()
    assert any("eu-west-1 was created" in text for text in person.seen)


# --- Ctrl-C


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


def test_leaving_before_anything_runs_interrupts_those_who_wait() -> None:
    crew = Crew(Clock())
    caught: list[BaseException] = []
    crew.start("a", lambda: crew.operator("a").confirm("Go?", "y"))
    while not crew.open_question("a"):
        crew.take(0.01)
    crew.leave()
    while crew.busy():
        crew.take(0.01)
    error = crew.ended["a"].error
    caught += [error] if error else []
    assert isinstance(caught[0], KeyboardInterrupt)


def call_and_interrupt(call: Callable[[], None], step: int) -> bool:
    """Press Ctrl-C at one step of the interpreter; false when the call ended before it."""
    left = step

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_answer_arrives_at_whatever_step_ctrl_c_interrupts_it() -> None:
    for step in range(10_000):
        crew = Crew(Clock())
        crew.start("a", lambda crew=crew: crew.operator("a").confirm("Go?", "y"))
        while not crew.open_question("a"):
            crew.take(0.01)
        interrupted = call_and_interrupt(lambda crew=crew: crew.answer("a", True), step)
        # As a rollout's loops do: they count the interrupt and begin anew.
        crew.answer("a", True)
        until = time.monotonic() + 30
        while crew.busy() and time.monotonic() < until:
            crew.take(0.01)
        assert crew.ended["a"].result is True, f"interrupted at step {step}"
        if not interrupted:
            break
    assert step > 10


def test_a_thread_is_interrupted_once_so_that_it_can_clean_up() -> None:
    crew = Crew(Clock())

    def clean_up() -> str:
        clock = crew.clock("a")
        try:
            while True:
                clock.sleep(0.01)
        except KeyboardInterrupt:
            clock.sleep(0.01)
            return "cleaned up"

    crew.start("a", clean_up)
    crew.leave()
    while crew.busy():
        crew.take(0.01)
    assert crew.ended["a"].result == "cleaned up"


# --- what is shown


def event(status: str = "CREATE_COMPLETE", path: str = "Table") -> ResourceProgress:
    return ResourceProgress(START, path, "AWS::DynamoDB::Table", status, "because", 65)


def reporting(*progress: Progress) -> Act:
    def act(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        for one in progress:
            desk.access[region].operator.report(one)
        return factories.outcome("created", region=region)

    return act


def test_without_a_terminal_every_line_says_its_region() -> None:
    person = Person()
    Rehearsal(person, {"us-east-1": reporting(Note("hello"), event())}).run()
    assert "info: us-east-1      | hello" in person.seen
    assert any(
        text.startswith("info: us-east-1      |   1:05  CREATE_COMPLETE") for text in person.seen
    )


def test_on_a_terminal_each_region_is_one_line_and_only_failures_are_listed() -> None:
    person, boards = Person(), list[list[str]]()
    acts = {"us-east-1": reporting(event(), event("CREATE_FAILED", "Queue")), "us-west-2": stay}
    Rehearsal(person, acts, draw=lambda lines: boards.append(list(lines))).run()
    assert not any("CREATE_COMPLETE" in text for text in person.seen)
    assert any("CREATE_FAILED" in text and "because" in text for text in person.seen)
    assert "us-east-1       CREATED CREATE_COMPLETE" in boards[-1][0]
    assert "1/2 resources" in boards[-1][0]
    assert boards[-1][1].startswith("us-west-2       UNCHANGED")


def test_each_region_has_a_log_of_its_own_when_asked_for(tmp_path: Path) -> None:
    acts = {name: reporting(Note(f"only {name}")) for name in THREE}
    Rehearsal(Person(), acts, plan_of(log_folder=tmp_path / "logs")).run()
    for name in THREE:
        text = (tmp_path / "logs" / f"{name}.log").read_text()
        assert text == f"2026-11-20T09:00:00Z info: only {name}\n"


def test_nothing_that_is_said_at_the_very_end_is_lost() -> None:
    last = [Note(f"word {number}") for number in range(50)]
    person = Person()
    Rehearsal(person, dict.fromkeys(THREE, reporting(*last))).run()
    assert sum("word" in text for text in person.seen) == 150


def test_a_log_that_cannot_be_written_does_not_end_the_rollout(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands here")
    person = Person()
    plan = plan_of(log_folder=tmp_path / "logs")
    rollout = Rehearsal(person, {"us-east-1": reporting(Note("hello"))}, plan).run()
    assert rollout.exit_code == 0
    assert any("No log is written any more" in text for text in person.seen)


def test_merged_parameters_stand_side_by_side_without_secrets() -> None:
    one, two = sites(THREE[:2])
    one = replace(one, job=replace(one.job, values={"Budget": "5", "Password": "hush-hush"}))
    two = replace(two, job=replace(two.job, values={"Budget": "7"}))
    table = report.list_parameters([one, two])
    assert list(table.columns) == ["Parameter", "us-east-1", "us-west-2"]
    assert ["Budget", "5", "7"] in [list(row) for row in table.rows]
    assert "hush-hush" not in str(table.rows)


def test_the_answer_names_failed_regions_and_gathers_all_outputs() -> None:
    acts = {"us-east-1": create, "us-west-2": fail}
    person = Person()
    rollout = Rehearsal(person, acts).run()
    told = report.answer(rollout, person.operator())
    assert told.exit_code == 1
    assert told.document["failed"] == ["us-west-2"]
    assert told.document["outputs"]["us-east-1"] == {"Url": "https://us-east-1"}
    assert [one["region"] for one in told.document["regions"]] == ["us-east-1", "us-west-2"]
    assert "https://us-east-1" in told.text
    assert any(text.startswith(Level.ERROR.value) for text in person.seen)


def test_when_every_failure_is_about_credentials_the_exit_code_says_so() -> None:
    def expired(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise AwsUnavailable("expired")

    assert Rehearsal(Person(), {"us-east-1": expired}).run().exit_code == 4
