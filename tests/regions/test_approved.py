"""A plan of many regions is applied canary first, and each region refuses for itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lib import session
from lib.deploy import applying, plans
from lib.deploy.outcomes import Outcome, unchanged
from lib.deploy.plans import PlanFile
from lib.errors import Interrupted, OperationFailed, Refused
from lib.regions import approved
from lib.regions.plan import Rollout, Site
from tests.deploy.test_change import TOUCHED
from tests.deploy.test_plans import plan_of
from tests.deploy.world import World
from tests.support.factories import job
from tests.support.people import Person

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")


def whole() -> PlanFile:
    world = World()
    world.rows = [TOUCHED]
    one = plan_of(world)
    return plans.combine([replace(one, region=region) for region in REGIONS])


def apply(monkeypatch: pytest.MonkeyPatch, **becomes: BaseException | str) -> tuple[Rollout, Any]:
    """Apply a plan of three regions, of which some end otherwise than well."""
    began: list[tuple[str, str]] = []

    def apply_one(where: Any, _access: Any, plan: PlanFile, _file: str, **_: Any) -> Outcome:
        began.append((where.region, plan.digest))
        end = becomes.get(where.region.replace("-", "_"), "updated")
        if isinstance(end, BaseException):
            raise end
        return replace(unchanged(where, None), action=end)

    monkeypatch.setattr(applying, "apply", apply_one)
    sites = [Site(job(region=region), session.connect(region)) for region in REGIONS]
    plan = whole()
    begin = {region: lambda: None for region in REGIONS}
    done = approved.apply(sites, Person().operator(), plan, "plan.json", begin=begin, checks=False)
    assert {digest for _, digest in began} == {plan.digest}
    return done, [region for region, _ in began]


def actions(done: Rollout) -> list[str]:
    return [outcome.action for outcome in done.outcomes]


def test_every_region_is_applied_in_the_plan_s_order_by_the_digest_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, began = apply(monkeypatch)
    assert began == list(REGIONS)
    assert actions(done) == ["updated"] * 3
    assert done.exit_code == 0


@pytest.mark.parametrize(("end", "code"), [(Refused("moved"), 3), ("failed", 1)])
def test_no_region_follows_a_canary_that_is_not_well(
    monkeypatch: pytest.MonkeyPatch, end: BaseException | str, code: int
) -> None:
    done, began = apply(monkeypatch, us_east_1=end)
    assert began == ["us-east-1"]
    assert done.exit_code == code
    assert actions(done)[1:] == ["declined", "declined"]


def test_a_region_that_refuses_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    done, began = apply(monkeypatch, us_west_2=Refused("moved"))
    assert began == list(REGIONS)
    assert actions(done) == ["updated", "declined", "updated"]
    assert done.outcomes[1].changes
    assert done.exit_code == 3


@pytest.mark.parametrize(
    ("end", "code"),
    [(OperationFailed("no"), 1), (Interrupted("left"), 130), (KeyboardInterrupt(), 130)],
)
def test_no_region_is_begun_after_a_failure_or_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, end: BaseException, code: int
) -> None:
    done, began = apply(monkeypatch, us_west_2=end)
    assert began == ["us-east-1", "us-west-2"]
    assert done.exit_code == code


def test_once_a_region_is_changed_only_another_plan_leads_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = OperationFailed("no", next_step="run the same command again")
    done, _ = apply(monkeypatch, us_east_1=error)
    assert done.outcomes[0].next_step == "run the same command again"
    done, _ = apply(monkeypatch, us_west_2=error)
    assert [one.next_step for one in done.outcomes] == ["", "plan.json", "plan.json"]


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        apply(monkeypatch, us_east_1=ZeroDivisionError())
