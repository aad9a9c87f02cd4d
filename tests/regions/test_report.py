"""What became of all regions is told at once."""

from __future__ import annotations

from dataclasses import replace

from lib.operators import Level
from lib.regions import report
from tests.support.rehearsal import THREE, Person, Rehearsal, create, fail, sites


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


def test_what_does_not_work_yet_is_told_region_by_region() -> None:
    person = Person()
    rollout = Rehearsal(person, {"us-east-1": create}).run()
    [made] = rollout.outcomes
    lacking = replace(rollout, outcomes=(replace(made, missing=("No site: …",)),))
    report.answer(lacking, person.operator())
    assert any("us-east-1: No site: …" in text for text in person.seen)
