"""A workflow begins with what the state allows, and refuses before anything is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib import session
from lib.access import Access
from lib.deploy import deployments
from lib.deploy.deployments import Mode
from lib.errors import InputError, Refused, StateForbids
from lib.inputs.jobs import Options
from tests.support import factories
from tests.support.aws_fakes import ACCOUNT, intercept, no_such_stack, operations, stack_entry
from tests.support.people import Person

JOB = factories.job(region="us-east-1")


class World:
    """One stack in one state, or none, and no bucket: whoever publishes fails."""

    def __init__(self, status: str = "") -> None:
        self.person = Person()
        self.aws = session.connect("us-east-1")
        self.status = status
        self.calls = intercept(self.aws.client("cloudformation"), self.answer)
        arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
        intercept(self.aws.client("sts"), lambda *_: {"Account": ACCOUNT, "Arn": arn})

    def answer(self, operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        assert operation == "DescribeStacks", operation
        if not self.status:
            raise no_such_stack(JOB.stack_name)
        return {"Stacks": [stack_entry(JOB.stack_name, self.status)]}

    @property
    def access(self) -> Access:
        return self.person.access(self.aws)


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        ((), Mode.ANY),
        (("create",), Mode.CREATE),
        (("update",), Mode.UPDATE),
        (("delete",), Mode.DELETE),
    ],
)
def test_a_flag_chooses_a_mode_and_none_leaves_it_to_the_state(
    flags: tuple[str, ...], mode: Mode
) -> None:
    given = {name: name in flags for name in ("create", "update", "delete")}
    assert deployments.choose_mode(**given) is mode


def test_two_modes_at_once_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="--create and --delete cannot be asked for at once"):
        deployments.choose_mode(create=True, update=False, delete=True)


def test_express_mode_is_refused_for_production_before_aws_is_asked() -> None:
    world = World("CREATE_COMPLETE")
    master = factories.template()
    job = factories.job(
        environment="production",
        templates={"master-stack.yaml": master},
        values={"EnvironmentName": "production", "AdminEmail": "a@b.io"},
    )
    with pytest.raises(Refused, match="refused for production"):
        deployments.deploy(job, world.access, Options(express=True))
    assert world.calls == []


def test_create_is_refused_where_the_stack_exists() -> None:
    world = World("UPDATE_COMPLETE")
    with pytest.raises(StateForbids, match="exists already, so --create does not apply") as caught:
        deployments.deploy(JOB, world.access, Options(), Mode.CREATE)
    assert caught.value.next_step == f"inv deploy {JOB.flags}"
    assert operations(world.calls) == ["DescribeStacks"]


def test_update_is_refused_where_there_is_no_stack() -> None:
    with pytest.raises(StateForbids):
        deployments.deploy(JOB, World().access, Options(), Mode.UPDATE)


class Begun(Exception):
    """What the first part of a creation raises here, to show that it came to it."""


def begin() -> None:
    raise Begun


@pytest.mark.parametrize("status", ["", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_a_creation_begins_with_its_own_looks_before_anything_is_published(status: str) -> None:
    world = World(status)
    with pytest.raises(Begun):
        deployments.deploy(JOB, world.access, Options(), begin=begin)
    assert operations(world.calls) == ["DescribeStacks"]


def test_an_update_is_not_slowed_down_by_them() -> None:
    world = World("UPDATE_COMPLETE")

    class Published(Exception):
        pass

    def refuse(_operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Published

    intercept(world.aws.client("s3"), refuse)
    with pytest.raises(Published):
        deployments.deploy(JOB, world.access, Options(), begin=begin)


def test_values_that_do_not_fit_are_refused_before_aws_is_asked() -> None:
    world = World()
    job = factories.job(values={"EnvironmentName": "staging", "AdminEmail": "nobody"})
    with pytest.raises(InputError):
        deployments.deploy(job, world.access, Options())
    assert world.calls == []


def test_deleting_a_stack_that_is_gone_changes_nothing_and_says_so() -> None:
    world = World()
    outcome = deployments.delete(JOB, world.access, Options())
    assert (outcome.action, outcome.status, outcome.stack_id) == ("unchanged", "ABSENT", "")
    assert len(world.person.notes) == 1
    assert world.person.asked == []
