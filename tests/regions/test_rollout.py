"""Many regions: one question, and one outcome each, whatever became of the others."""

from __future__ import annotations

import pytest

from lib.deploy.outcomes import Outcome, telling_changes
from lib.errors import AwsUnavailable, DataLossRefused, Declined, InputError, Refused
from lib.regions import handover, rollout
from lib.regions.plan import NotStarted
from lib.stacks.statuses import Move
from lib.templates.changes import Change
from tests.support import factories
from tests.support.rehearsal import THREE, Person, Rehearsal, actions, create, stay


def test_engines_are_chosen_by_name() -> None:
    assert rollout.choose_engine("direct", local=True) is rollout.carry_out
    assert rollout.choose_engine("stacksets", local=False) is handover.carry_out
    with pytest.raises(InputError, match="emulator has no StackSets"):
        rollout.choose_engine("stacksets", local=True)
    with pytest.raises(InputError, match="direct or stacksets"):
        rollout.choose_engine("terraform", local=False)
    with pytest.raises(InputError, match="not for StackSets"):
        rollout.choose_engine("stacksets", local=False, role_arn="arn:aws:iam::1:role/x")


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
