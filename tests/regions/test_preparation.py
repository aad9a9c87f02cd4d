"""All regions are checked before the first is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lib.access import Access
from lib.checks import quotas
from lib.checks.findings import ready
from lib.checks.preflight import Look
from lib.errors import AwsUnavailable, Declined, NotOurs, Refused, StateForbids
from lib.inputs.jobs import Job, Options
from lib.regions import preparation
from lib.stacks.statuses import Move
from lib.templates.resolution import Resource, Tree
from tests.support.aws_fakes import START, FakeTime, refusal
from tests.support.many_clients import Account
from tests.support.rehearsal import THREE, Person, Rehearsal, create, plan_of


def test_whatever_stops_one_region_stops_all_before_the_first_is_touched() -> None:
    class Busy(Rehearsal):
        def look(self, region: str) -> Look:
            if region == "us-west-2":
                raise StateForbids("an update is running")
            if region == "eu-west-1":
                raise AwsUnavailable("expired")
            return super().look(region)

    desk = Busy(Person(), dict.fromkeys(THREE, create))
    with pytest.raises(AwsUnavailable) as caught:
        desk.run()
    assert "us-west-2: an update is running" in caught.value.message
    assert "eu-west-1: expired" in caught.value.message


@pytest.mark.parametrize(("move", "asked"), [(Move.CREATE, list(THREE)), (Move.UPDATE, [])])
def test_what_one_region_s_creation_leaves_to_a_person_stops_all(
    move: Move, asked: list[str]
) -> None:
    seen: list[str] = []

    def require_decided(job: Job, access: Access) -> None:
        seen.append(job.region)
        assert access.aws is None
        if job.region == "us-west-2":
            raise Refused("a table lies there", next_step="say so")

    acts = dict.fromkeys(THREE, create)
    desk = Rehearsal(Person(True), acts, plan_of(require_decided=require_decided), move=move)
    if asked:
        with pytest.raises(Refused, match="us-west-2: a table lies there") as caught:
            desk.run()
        assert caught.value.next_step == "say so"
        assert desk.order == []
    else:
        desk.run()
    assert sorted(seen) == sorted(asked)


def test_credentials_that_mean_two_accounts_are_refused() -> None:
    class Split(Rehearsal):
        def look(self, region: str) -> Look:
            found = super().look(region)
            return replace(found, account="2" * 12) if region == "us-west-2" else found

    with pytest.raises(NotOurs, match="several accounts"):
        Split(Person(), dict.fromkeys(THREE, create)).run()


# The role that ECS keeps in each account


class Fresh(Rehearsal):
    """A rollout in an account without ECS's own role."""

    def __init__(self, person: Person, move: Move = Move.CREATE, **given: Any) -> None:
        self.account = Account(
            "us-east-1",
            GetRole=self._tell,
            CreateServiceLinkedRole=self._make,
            DescribeRegions={
                "Regions": [{"RegionName": n, "OptInStatus": "opted-in"} for n in THREE]
            },
            GetAccountSummary={"SummaryMap": {"Roles": 1, "RolesQuota": 1000}},
        )
        self.made = False
        plan = plan_of(home=self.account, **given)
        super().__init__(person, dict.fromkeys(THREE, create), plan, move=move)
        self.time = FakeTime()
        self.desk.clock = self.time.clock
        for region, site in self.desk.sites.items():
            self.desk.sites[region] = replace(site, aws=self.account)

    def look(self, region: str) -> Look:
        cluster = Resource("C", "C", "AWS::ECS::Cluster", {}, "Delete", "Delete", "compute.yaml")
        return replace(super().look(region), tree=Tree((cluster,), {}, {}))

    def _tell(self, _arguments: Any) -> Any:
        if not self.made:
            raise refusal("NoSuchEntity")
        return ROLE

    def _make(self, _arguments: Any) -> Any:
        self.made = True
        return ROLE


ROLE = {
    "Role": {
        "Path": "/",
        "RoleName": "AWSServiceRoleForECS",
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": "arn:aws:iam::123456789012:role/AWSServiceRoleForECS",
        "CreateDate": START,
    }
}


def test_the_role_that_ecs_lacks_is_made_once_for_all_regions_after_one_question() -> None:
    person = Person()
    fresh = Fresh(person)
    preparation.check(fresh.desk, fresh)
    assert len(person.asked) == 1
    assert "AWSServiceRoleForECS" in person.asked[0][0]
    assert len(fresh.account.asked("CreateServiceLinkedRole")) == 1


def test_a_no_to_the_role_touches_no_region() -> None:
    fresh = Fresh(Person(False))
    with pytest.raises(Declined, match="AWSServiceRoleForECS"):
        preparation.check(fresh.desk, fresh)
    assert not fresh.made


@pytest.mark.parametrize(
    ("move", "options"),
    [(Move.UPDATE, Options()), (Move.CREATE, Options(preview=True))],
)
def test_neither_an_update_nor_a_preview_looks_for_the_role(move: Move, options: Options) -> None:
    fresh = Fresh(Person(), move)
    fresh.desk.plan = replace(fresh.desk.plan, options=options)
    preparation.check(fresh.desk, fresh)
    assert fresh.account.asked("GetRole") == []


def test_what_a_look_finds_that_stops_a_region_is_told_with_its_way_out() -> None:
    class Short(Rehearsal):
        def look(self, region: str) -> Look:
            row = quotas.Headroom(region, "VPCs", 1, 5, 5)
            found = (quotas.find_shortage(row), ready(region, "names", "free"))
            return replace(super().look(region), findings=found)

    person = Person()
    with pytest.raises(Refused, match="quota of 5 VPCs is too small") as caught:
        Short(person, {"us-east-1": create}).run()
    assert caught.value.next_step == "ask for more in the Service Quotas console"
    assert not any("free" in text for text in person.seen)
