"""What the flags of a rollout say, and what contradicts itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.errors import InputError, TemplateError
from lib.regions import plan
from lib.regions.plan import OnFailure
from tests.support import factories
from tests.support.rehearsal import THREE, sites


def test_regions_keep_the_order_in_which_they_are_named() -> None:
    assert plan.read_names(" us-west-2, us-east-1,") == ("us-west-2", "us-east-1")


@pytest.mark.parametrize("text", [None, "", " , ", "us-east-1,us-west-2,us-east-1"])
def test_no_region_and_a_region_twice_are_bad_input(text: str | None) -> None:
    with pytest.raises(InputError):
        plan.read_names(text)


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
