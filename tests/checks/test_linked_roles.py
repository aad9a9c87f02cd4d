"""ECS's own role is made before the first cluster wants it, and only when that is agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.checks import linked_roles
from lib.checks.findings import Readiness
from lib.checks.linked_roles import SETTLE, WANTED
from lib.errors import AwsUnavailable, Declined, OperationFailed
from tests.support.aws_fakes import ACCOUNT, START, FakeTime, operations, refusal
from tests.support.many_clients import Account
from tests.support.people import Person

ECS = WANTED["AWS::ECS::Cluster"]
COMMAND = "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
ABSENT = refusal("NoSuchEntity", "The role with name AWSServiceRoleForECS cannot be found.")
ROLE = {
    "Role": {
        "Path": "/aws-service-role/ecs.amazonaws.com/",
        "RoleName": ECS.name,
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/{ECS.name}",
        "CreateDate": START,
    }
}


def appearing(after: int) -> Any:
    """Return how IAM tells of a role that it shows from one look on."""
    looks = []

    def tell(_arguments: dict[str, Any]) -> Mapping[str, Any]:
        looks.append(1)
        if len(looks) <= after:
            raise ABSENT
        return ROLE

    return tell


def make(account: Account, person: Person, time: FakeTime) -> None:
    access = person.access(account, time.clock)  # type: ignore[arg-type]  # stands in
    linked_roles.make(access, [ECS], "plot-palette-staging")


def look(**answers: Any) -> Any:
    time = FakeTime()
    access = Person().access(Account("us-west-2", **answers), time.clock)  # type: ignore[arg-type]
    (found,) = linked_roles.look(access, [ECS])
    return found


def test_a_role_that_exists_is_ready_and_one_that_does_not_names_the_command() -> None:
    assert look(GetRole=ROLE).state is Readiness.READY
    found = look(GetRole=ABSENT)
    assert (found.state, found.next_step) == (Readiness.MISSING, COMMAND)


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling"])
def test_a_role_that_may_not_be_looked_for_is_not_called_missing(code: str) -> None:
    found = look(GetRole=refusal(code, "no"))
    assert found.state is Readiness.UNKNOWN
    assert f"AWSServiceRoleForECS: AWS answers {code} no" in found.message


def test_expired_credentials_end_the_look() -> None:
    with pytest.raises(ClientError, match="ExpiredToken"):
        look(GetRole=refusal("ExpiredToken"))


def test_a_role_is_made_and_waited_for_until_services_can_take_it() -> None:
    account = Account("us-west-2", CreateServiceLinkedRole=ROLE, GetRole=appearing(after=2))
    person, time = Person(True), FakeTime()
    make(account, person, time)
    assert account.asked("CreateServiceLinkedRole") == [{"AWSServiceName": "ecs.amazonaws.com"}]
    assert operations(account.calls).count("GetRole") == 3
    assert time.slept[-1] == SETTLE
    assert "AWSServiceRoleForECS does not exist in this account" in person.asked[0][0]


def test_a_no_makes_nothing_and_names_the_command() -> None:
    account = Account("us-west-2")
    with pytest.raises(Declined, match="plot-palette-staging in us-west-2") as caught:
        make(account, Person(False), FakeTime())
    assert caught.value.next_step == COMMAND
    assert account.calls == []


def test_without_the_right_to_make_it_an_administrator_is_told_how() -> None:
    denied = refusal("AccessDenied", "is not authorized to perform: iam:CreateServiceLinkedRole")
    with pytest.raises(AwsUnavailable, match="iam:CreateServiceLinkedRole") as caught:
        make(Account("us-west-2", CreateServiceLinkedRole=denied), Person(), FakeTime())
    assert caught.value.next_step == f"an administrator runs {COMMAND}"
    assert "us-west-2" in caught.value.message


def test_a_role_that_somebody_else_has_just_made_is_as_good() -> None:
    taken = refusal(
        "InvalidInput",
        "Service role name AWSServiceRoleForECS has been taken in this account, please try a "
        "different suffix.",
    )
    make(Account("us-west-2", CreateServiceLinkedRole=taken, GetRole=ROLE), Person(), FakeTime())
    with pytest.raises(OperationFailed, match="has been taken"):
        make(
            Account("us-west-2", CreateServiceLinkedRole=taken, GetRole=ABSENT),
            Person(),
            FakeTime(),
        )


def test_a_role_that_never_appears_stops_before_the_stack_is_begun() -> None:
    account = Account("us-west-2", CreateServiceLinkedRole=ROLE, GetRole=ABSENT)
    time = FakeTime()
    with pytest.raises(OperationFailed, match="IAM does not show it after 60 s") as caught:
        make(account, Person(), time)
    assert caught.value.next_step == "aws iam get-role --role-name AWSServiceRoleForECS"
    assert 60 <= time.seconds < 75
