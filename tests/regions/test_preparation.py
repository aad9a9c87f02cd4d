"""All regions are checked before the first is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.checks.preflight import Look
from lib.errors import AwsUnavailable, NotOurs, StateForbids
from tests.support.rehearsal import THREE, Person, Rehearsal, create


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


def test_credentials_that_mean_two_accounts_are_refused() -> None:
    class Split(Rehearsal):
        def look(self, region: str) -> Look:
            found = super().look(region)
            return replace(found, account="2" * 12) if region == "us-west-2" else found

    with pytest.raises(NotOurs, match="several accounts"):
        Split(Person(), dict.fromkeys(THREE, create)).run()
