"""A plan is a file that says what it is, and that no one can edit unseen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lib.deploy import change, plans
from lib.deploy.plans import Cost, PlanFile
from lib.document import as_document, keys_of
from lib.errors import InputError, Refused
from tests.deploy.test_change import REPLACED, TOUCHED
from tests.deploy.world import World
from tests.support.factories import REPOSITORY

SCHEMA = json.loads((REPOSITORY / "docs" / "plan.schema.json").read_text())


def plan_of(world: World, cost: Cost | None = None, **options: Any) -> PlanFile:
    """Return the plan of a world's change."""
    run = world.run(**options)
    object.__setattr__(run, "expires", "2999-01-01T00:00:00+00:00")
    return plans.make(change.offer(run, "UPDATE", world.stack), cost)


def written(folder: Path, world: World | None = None) -> Path:
    world = world or World()
    world.rows = world.rows or [TOUCHED]
    path = folder / "plan.json"
    plans.write(path, plan_of(world))
    return path


@pytest.mark.parametrize("cost", [None, Cost(1.5, 2)])
def test_a_plan_is_what_the_published_schema_says(cost: Cost | None) -> None:
    world = World()
    world.rows = [REPLACED]
    document = json.loads(json.dumps(as_document(plan_of(world, cost))))
    # A test's release has no objects and its commit is none.
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(keys_of(PlanFile))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    world = World()
    world.rows = [REPLACED]
    made = plan_of(world, Cost(1, 2.25), allow_data_loss=frozenset({"Table"}))
    plans.write(tmp_path / "p.json", made)
    found = plans.read(tmp_path / "p.json", expected=made.digest.upper())
    assert as_document(found) == as_document(made)
    assert plans.read_options(found).allow_data_loss == {"Table"}


def test_a_plan_of_an_edition_that_did_not_say_what_is_unchanged_can_be_applied(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text())
    del document["unchanged"]
    document["digest"] = plans._digest(document)
    path.write_text(json.dumps(document))
    assert plans.read(path).unchanged == {}


@pytest.mark.parametrize("key", ["change_set", "consents", "parameters", "expires", "digest"])
def test_an_edited_plan_is_refused_whatever_was_edited(tmp_path: Path, key: str) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text())
    document[key] = "edited"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="was edited") as caught:
        plans.read(path)
    assert caught.value.exit_code == 3


def test_a_plan_of_many_regions_holds_each_and_is_one(tmp_path: Path) -> None:
    world = World()
    world.rows = [TOUCHED]
    one = plan_of(world)
    assert plans.combine([one]) is one
    whole = plans.combine([one, replace(one, region="us-west-2")])
    assert whole.digest != one.digest
    path = tmp_path / "p.json"
    plans.write(path, whole)
    assert [region.region for region in plans.read(path).regions] == ["eu-west-1", "us-west-2"]
    document = json.loads(path.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert whole.digest in plans.draw_summary(whole)
    document["regions"][1]["region"] = "us-east-1"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="was edited"):
        plans.read(path)


def test_a_plan_that_was_only_laid_out_anew_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert plans.read(path)


def test_another_plan_than_was_approved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not the one that was approved"):
        plans.read(written(tmp_path), expected="0" * 64)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "change_set": ""}'])
def test_what_is_no_plan_is_bad_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        plans.read(path)
    assert caught.value.exit_code == 2
    assert caught.value.next_step


def test_a_secret_value_is_not_in_the_file() -> None:
    world = World()
    world.rows = [TOUCHED]
    secret = {"Type": "String", "NoEcho": True}
    world.job.templates["master-stack.yaml"].parameters["Password"] = secret  # type: ignore[index]
    object.__setattr__(world.job, "values", {"VpcCidr": "10.0.0.0/16", "Password": "hunter2!"})
    made = plan_of(world)
    assert made.parameters["Password"] == "****"
    assert "hunter2" not in json.dumps(as_document(made))


def test_a_plan_keeps_its_change_set_and_marks_it_as_a_plan_s() -> None:
    world = World()
    world.rows = [TOUCHED]
    made = plan_of(world)
    assert world.changes == ["CreateChangeSet"]
    [asked] = world.arguments("CreateChangeSet")
    assert asked["Description"].endswith(", a plan until 2999-01-01T00:00:00+00:00")
    assert made.change_set.endswith(":changeSet/update-1/1a2b")


def test_a_plan_is_shown_to_people_and_as_markdown() -> None:
    world = World()
    world.rows = [TOUCHED]
    made = plan_of(world, Cost(1, 2.25))
    for text in (plans.draw(made), plans.draw_summary(made)):
        assert made.digest in text
        assert "1 to 2.25 USD a month" in text
        assert "Timeout" in text
    assert plans.draw_summary(made).startswith("### Plan for ")
    # Who makes a plan has been shown its changes already.
    assert made.digest in plans.draw_facts(made)
    assert "Timeout" not in plans.draw_facts(made)


@pytest.mark.parametrize("text", ["0", "721", "a", "1.5", "-1"])
def test_hours_that_no_plan_may_last_are_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="--expires takes 1 to 720 hours"):
        plans.read_hours(text)


def test_a_form_that_there_is_not_is_bad_input() -> None:
    with pytest.raises(InputError, match="text, markdown or json"):
        plans.choose_format("yaml")
