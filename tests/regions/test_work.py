"""One region's part of a rollout treats artefacts as `inv deploy` does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib import session
from lib.checks import preflight
from lib.errors import StateForbids
from lib.inputs.artifacts import Artifacts
from lib.operators import Operator
from lib.regions.desk import Desk
from lib.regions.plan import Site
from lib.regions.work import Work
from tests.support.aws_fakes import FakeTime
from tests.support.rehearsal import Person, look_at, plan_of, sites


def test_an_image_that_cannot_be_there_stops_every_region_before_any_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [site] = sites(["us-east-1"])
    job = replace(site.job, artifacts=Artifacts(image="v7"))
    operator: Operator = Person().operator()
    desk = Desk(
        [Site(job, session.connect("us-east-1"))], operator, plan_of(), FakeTime().clock, None
    )
    monkeypatch.setattr(preflight, "look", lambda *_, **__: look_at("us-east-1"))
    with pytest.raises(StateForbids, match="no repository yet"):
        Work(desk).look("us-east-1")
