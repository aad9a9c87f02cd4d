"""Which operations StackSets is asked for, with which values."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import StateForbids
from lib.inputs.jobs import Options
from lib.regions import steps as planning
from lib.regions.plan import OnFailure, Plan
from lib.regions.stacksets import Instance, StackSet, Step
from tests.support.rehearsal import THREE


def instance(region: str, status: str = "CURRENT", **overrides: str) -> Instance:
    return Instance(region, f"arn:{region}", status, overrides)


def stack_set(*instances: Instance, release: str = "old", **values: str) -> StackSet:
    return StackSet(release, values, {one.region: one for one in instances})


def steps(found: StackSet | None, names: tuple[str, ...] = THREE, **given: Any) -> tuple[Step, ...]:
    overrides = given.pop("overrides", {name: {} for name in names})
    concurrency = given.pop("concurrency", None)
    return planning.plan_steps(found, "new", given, overrides, concurrency=concurrency)


# --- which operations


def test_new_regions_are_created_one_by_one_because_each_overrides_something() -> None:
    found = steps(None, overrides={"us-east-1": {}, "us-west-2": {"VpcCidr": "10.1.0.0/16"}})
    assert found == (
        Step("create", ("us-east-1",), {}),
        Step("create", ("us-west-2",), {"VpcCidr": "10.1.0.0/16"}),
    )


def test_a_new_release_reaches_the_canary_first_and_then_all_others_at_once() -> None:
    found = steps(stack_set(*map(instance, THREE)))
    assert found == (
        Step("update set", ("us-east-1",)),
        Step("update", ("us-west-2", "eu-west-1")),
    )


def test_waves_hold_no_more_regions_than_may_change_at_once() -> None:
    found = steps(stack_set(*map(instance, THREE)), concurrency=1)
    assert [step.regions for step in found] == [("us-east-1",), ("us-west-2",), ("eu-west-1",)]


def test_regions_that_are_up_to_date_are_left_alone() -> None:
    behind = instance("eu-west-1", "OUTDATED")
    current = stack_set(instance("us-east-1"), instance("us-west-2"), behind, release="new")
    assert steps(current) == (Step("update", ("eu-west-1",)),)
    assert steps(stack_set(*map(instance, THREE), release="new")) == ()


def test_changed_values_of_one_region_are_its_own_operation() -> None:
    there = stack_set(instance("us-east-1", VpcCidr="10.0.0.0/16"), release="new")
    found = steps(there, overrides={"us-east-1": {"VpcCidr": "10.9.0.0/16"}})
    assert found == (Step("update", ("us-east-1",), {"VpcCidr": "10.9.0.0/16"}),)


def test_a_set_that_only_lives_elsewhere_is_not_updated_behind_its_back() -> None:
    with pytest.raises(StateForbids, match="eu-north-1"):
        steps(stack_set(instance("eu-north-1")))


def test_an_empty_set_is_updated_before_its_first_instance() -> None:
    found = steps(stack_set(), ("us-east-1",))
    assert [step.action for step in found] == ["update set", "create"]


def test_what_only_some_regions_set_is_the_declared_default_in_the_set() -> None:
    wanted = {"a": {"X": "1"}, "b": {"X": "2", "Y": "9"}}
    base, overrides = planning.split_values(wanted, {"Y": {"Default": 5}})
    assert base == {"X": "1", "Y": "5"}
    assert overrides == {"a": {}, "b": {"X": "2", "Y": "9"}}


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(Options()), ("PARALLEL", 0)),
        (Plan(Options(), on_failure=OnFailure.CONTINUE), ("PARALLEL", 100)),
        (Plan(Options(), concurrency=1), ("SEQUENTIAL", 0)),
    ],
)
def test_flags_become_operation_preferences(plan: Plan, expected: tuple[str, int]) -> None:
    made = planning.preferences(THREE, plan)
    assert (made["RegionConcurrencyType"], made["FailureTolerancePercentage"]) == expected
    assert made["RegionOrder"] == list(THREE)
