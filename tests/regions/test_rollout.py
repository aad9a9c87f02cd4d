"""Many regions: one question, and one outcome each, whatever became of the others."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from lib.deploy.outcomes import Outcome, telling_changes
from lib.errors import (
    AwsUnavailable,
    DataLossRefused,
    Declined,
    InputError,
    Interrupted,
    OperationFailed,
    Refused,
)
from lib.operators import Progress
from lib.polling import Clock
from lib.regions import handover, rollout
from lib.regions.desk import Desk
from lib.regions.plan import NotStarted, OnFailure, Plan, Rollout
from lib.regions.stacksets import ROLES
from lib.regions.work import Work
from lib.stacks.statuses import Move
from lib.templates.changes import Change
from lib.templates.resolution import Resource, Tree
from lib.templates.templates import STACK_TYPE
from tests.support import factories
from tests.support.aws_fakes import START
from tests.support.rehearsal import (
    THREE,
    Act,
    Person,
    Rehearsal,
    actions,
    create,
    fail,
    look_at,
    plan_of,
    sites,
    stay,
)


def test_engines_are_chosen_by_name() -> None:
    assert rollout.choose_engine("direct", local=True) is rollout.carry_out
    assert rollout.choose_engine("stacksets", local=False) is handover.carry_out
    with pytest.raises(InputError, match="direct or stacksets, not 'terraform'"):
        rollout.choose_engine("terraform", local=False)


def test_stacksets_are_refused_where_they_cannot_be_with_what_to_leave_out() -> None:
    with pytest.raises(InputError, match="emulator has no StackSets") as local:
        rollout.choose_engine("stacksets", local=True)
    assert local.value.next_step == "leave out --engine, or --local"
    role = "arn:aws:iam::1:role/x"
    with pytest.raises(InputError, match=f"not for StackSets.*{ROLES[1]}") as given:
        rollout.choose_engine("stacksets", local=False, role_arn=role)
    assert given.value.next_step == "leave out --role-arn, or --engine"


def test_an_engine_gets_every_site_the_plan_and_whoever_watches() -> None:
    person, plan, drawn = Person(), plan_of(concurrency=2), list[object]()
    done = Rollout("0123456789ab", ())

    def engine(desk: Desk, work: Work) -> Rollout:
        assert list(desk.sites) == list(work.sites) == list(THREE)
        assert desk.plan is work.plan is plan
        desk.started.append(THREE[0])
        desk.drain()
        assert desk.clock.now().tzinfo is not None
        return done

    found = rollout.deploy(sites(), person.operator(), plan, engine, draw=drawn.append)
    assert found is done
    assert len(drawn) == 1


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


TABLE = Change("DatabaseStack/JobsTable", "AWS::DynamoDB::Table", "Modify")


def update_a_table(desk: Rehearsal, region: str) -> Outcome:
    with telling_changes([TABLE]):
        return update(desk, region)


def test_no_to_the_question_changes_nothing_anywhere_and_says_what_it_was_about() -> None:
    desk = Rehearsal(Person(False), dict.fromkeys(THREE, update_a_table), move=Move.UPDATE)
    with pytest.raises(Declined, match="No region was changed") as caught:
        desk.run()
    told = caught.value.details["regions"]
    assert [(one["region"], one["action"]) for one in told] == [(r, "declined") for r in THREE]
    assert [[row["path"] for row in one["changes"]] for one in told] == [[TABLE.path]] * 3
    assert all(isinstance(end.error, Declined) for end in desk.crew.ended.values())


def test_after_a_no_every_region_has_discarded_what_it_proposed_before_the_task_ends() -> None:
    discarded: list[str] = []

    def propose(desk: Rehearsal, region: str) -> Outcome:
        try:
            return update(desk, region)
        except Declined:
            threading.Event().wait(0.2)
            discarded.append(region)
            raise

    desk = Rehearsal(Person(False), dict.fromkeys(THREE, propose), move=Move.UPDATE)
    with pytest.raises(Declined):
        desk.run()
    assert set(discarded) == set(THREE)


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
    told = caught.value.details["regions"]
    assert [one["action"] for one in told] == ["declined", "declined"]


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


def test_a_bug_in_one_region_is_raised_after_the_others_have_finished() -> None:
    def bug(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise ZeroDivisionError

    person = Person()
    acts = {"us-east-1": create, "us-west-2": bug, "eu-west-1": create}
    with pytest.raises(ZeroDivisionError):
        Rehearsal(person, acts).run()
    assert any("eu-west-1 was created" in text for text in person.seen)


def test_when_every_failure_is_about_credentials_the_exit_code_says_so() -> None:
    def expired(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise AwsUnavailable("expired")

    assert Rehearsal(Person(), {"us-east-1": expired}).run().exit_code == 4


# What is shown before the question


def proposed(acts: dict[str, Act], plan: Plan | None = None, **given: Any) -> list[str]:
    """Return the lines of the listing that the one question is asked about."""
    person = Person()
    desk = Rehearsal(person, acts, plan, **given)
    desk.run()
    [listing] = [text for text in person.seen if text.startswith("Release ")]
    title, *lines = listing.splitlines()
    waiting = [name for name, act in acts.items() if act not in (stay, unfit, unwell)]
    assert title == f"Release {desk.release.name}, {waiting[0]} first:"
    return [" ".join(line.split()) for line in lines]


def unfit(_desk: Rehearsal, _region: str) -> Outcome:
    raise OperationFailed("no room")


def unwell(_desk: Rehearsal, region: str) -> Outcome:
    """Be up to date, and not answer."""
    return factories.outcome("failed", region=region)


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (Move.CREATE, "create"),
        (Move.CREATE_BY_CHANGE_SET, "create"),
        (Move.REPLACE, "delete what is left and create again"),
        (Move.UPDATE, "update"),
    ],
)
def test_each_region_s_line_says_what_happens_there(move: Move, words: str) -> None:
    lines = proposed(dict.fromkeys(THREE, update), move=move)
    assert lines[-3:] == [f"{region} {words}" for region in THREE]


def test_a_region_where_nothing_happens_says_why() -> None:
    acts = {"us-east-1": stay, "us-west-2": unfit, "eu-west-1": unwell, "eu-north-1": update}
    lines = proposed(acts, plan_of(on_failure=OnFailure.CONTINUE), move=Move.UPDATE)
    assert lines[-4:] == [
        "us-east-1 nothing: up to date",
        "us-west-2 nothing: no room",
        "eu-west-1 nothing: up to date, but its verification failed",
        "eu-north-1 update",
    ]


def test_where_every_region_is_up_to_date_nothing_is_shown_or_asked() -> None:
    person = Person()
    found = Rehearsal(person, dict.fromkeys(THREE, stay), move=Move.UPDATE).run()
    assert actions(found) == ["unchanged"] * 3
    assert found.exit_code == 0
    assert person.asked == []
    assert not any(text.startswith("Release ") for text in person.seen)


def test_one_new_stack_among_others_is_asked_about_with_them() -> None:
    person = Person()
    desk = Rehearsal(person, dict.fromkeys(THREE, update), move=Move.UPDATE)
    moves = dict(zip(THREE, (Move.CREATE, Move.CREATE, Move.UPDATE), strict=True))
    desk.look = lambda region: look_at(region, moves[region])  # type: ignore[method-assign]
    desk.run()
    assert len(person.asked) == 1


def test_what_a_region_shows_comes_before_the_question_about_its_data() -> None:
    person = Person()
    seen: list[int] = []

    def show(desk: Rehearsal, region: str) -> Outcome:
        for _ in range(20):
            desk.access[region].say("what would be lost")
        path = "DatabaseStack/JobsTable"
        desk.access[region].operator.confirm(f"{path} will be destroyed. Agree?", path)
        return stay(desk, region)

    confirm = person._confirm

    def count(question: str, word: str) -> bool:
        seen.append(sum("what would be lost" in text for text in person.seen))
        return confirm(question, word)

    person._confirm = count  # type: ignore[method-assign]
    Rehearsal(person, {"us-east-1": show}, move=Move.UPDATE).run()
    assert seen == [20]


def test_what_a_region_shows_is_seen_while_it_still_works() -> None:
    shown = threading.Event()
    person = Person()
    report = person._report

    def look(progress: Progress) -> None:
        report(progress)
        if "hello" in person.seen[-1]:
            shown.set()

    person._report = look  # type: ignore[method-assign]

    def greet(desk: Rehearsal, region: str) -> Outcome:
        desk.access[region].say("hello")
        assert shown.wait(20), "nobody looked meanwhile"
        return update(desk, region)

    found = Rehearsal(person, {"us-east-1": greet}, move=Move.UPDATE).run()
    assert actions(found) == ["updated"]


def test_what_regions_show_comes_before_the_one_question() -> None:
    person = Person()

    def show(desk: Rehearsal, region: str) -> Outcome:
        for _ in range(20):
            desk.access[region].say("what would change")
        return update(desk, region)

    Rehearsal(person, dict.fromkeys(THREE, show), move=Move.UPDATE).run()
    listing = next(n for n, text in enumerate(person.seen) if text.startswith("Release "))
    assert sum("what would change" in text for text in person.seen[:listing]) == 60


# A failure before the first change


def test_a_region_that_fails_before_any_has_changed_holds_back_the_others() -> None:
    person = Person()
    acts = {"us-east-1": unfit, "us-west-2": update, "eu-west-1": update}
    desk = Rehearsal(person, acts, move=Move.UPDATE)
    found = desk.run()
    assert actions(found) == ["failed", "declined", "declined"]
    assert person.asked == []
    for region in ("us-west-2", "eu-west-1"):
        error = desk.crew.ended[region].error
        assert isinstance(error, NotStarted)
        assert error.message == "not started, because us-east-1 failed"
    assert found.exit_code == 1


def test_with_continue_the_others_go_on_although_one_failed_before_any_changed() -> None:
    acts = {"us-east-1": unfit, "us-west-2": update, "eu-west-1": stay}
    plan = plan_of(on_failure=OnFailure.CONTINUE)
    found = Rehearsal(Person(), acts, plan, move=Move.UPDATE).run()
    assert actions(found) == ["failed", "updated", "unchanged"]


def test_an_interruption_in_one_region_before_the_question_changes_none() -> None:
    def interrupted(_desk: Rehearsal, _region: str) -> Outcome:
        raise KeyboardInterrupt

    desk = Rehearsal(Person(), {"us-east-1": update, "us-west-2": interrupted}, move=Move.UPDATE)
    with pytest.raises(Interrupted, match=r"No region was changed\."):
        desk.run()
    error = desk.crew.ended["us-east-1"].error
    assert isinstance(error, NotStarted)
    assert error.message == "another region was refused"


# The live view


def test_a_creation_s_line_counts_what_is_sure_to_be_made() -> None:
    def resource(path: str, kind: str = "AWS::DynamoDB::Table", condition: str = "") -> Resource:
        return Resource(path, path, kind, {}, "", "", "master-stack.yaml", condition)

    tree = Tree(
        (resource("A"), resource("B"), resource("C", STACK_TYPE), resource("D", condition="If")),
        {},
        {},
    )
    for move, total in ((Move.CREATE, 2), (Move.UPDATE, 0)):
        desk = Rehearsal(Person(), {"us-east-1": update}, move=move)
        line = desk.desk.lines["us-east-1"]
        states: list[str] = []

        def watch(made: Rehearsal, region: str, states: list[str] = states) -> Outcome:
            states.append(made.desk.lines[region].state)
            return update(made, region)

        desk.acts["us-east-1"] = watch
        desk.look = lambda region, move=move: replace(look_at(region, move), tree=tree)  # type: ignore[method-assign]
        desk.run()
        assert line.total == total
        assert states == ["preparing"]


# The end


def test_before_a_bug_is_raised_each_region_s_end_is_told_as_what_it_is() -> None:
    def bug(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise ZeroDivisionError("ours")

    person = Person()
    with pytest.raises(ZeroDivisionError, match="ours"):
        Rehearsal(person, {"us-east-1": create, "us-west-2": bug}).run()
    told = [text for text in person.seen if "us-west-2: failed" in text or "was created" in text]
    assert [text.partition(":")[0] for text in told] == ["done", "error"]
    assert "ZeroDivisionError" in told[1]


def test_credentials_are_not_blamed_where_one_region_failed_for_another_reason() -> None:
    def expired(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise AwsUnavailable("expired")

    plan = plan_of(on_failure=OnFailure.CONTINUE)
    found = Rehearsal(Person(), {"us-east-1": expired, "us-west-2": fail}, plan).run()
    assert found.failed == ("us-east-1", "us-west-2")
    assert found.exit_code == 1


def test_a_rollout_tells_its_release_and_how_long_each_region_took() -> None:
    now = iter(range(100, 100_000))
    desk = Rehearsal(Person(), {"us-east-1": create, "us-west-2": stay})
    desk.desk.clock = Clock(monotonic=lambda: float(next(now)), now=lambda: START)
    found = desk.run()
    assert found.release == desk.release.name
    created, unchanged = found.outcomes
    assert created.seconds > 0
    assert unchanged.seconds == 0
    assert found.interrupted is False
