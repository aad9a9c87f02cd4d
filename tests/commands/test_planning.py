"""The command that makes a stale plan anew can be typed as it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from commands import planning
from tasks import ns


def place(region: str, env: str = "staging", environment: str = "staging") -> Any:
    """Return a target in one region, of an environment or of its file."""
    return SimpleNamespace(
        env=env,
        region=region,
        flags=f"--env {env} --region {region} --local",
        job=SimpleNamespace(environment=environment),
        profile=None,
        local=True,
    )


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (
            [place("us-east-1")],
            (
                "inv plan --out 'a plan' --env staging --region us-east-1 --local, have that "
                "approved, then inv apply 'a plan' --local"
            ),
        ),
        (
            [place("us-east-1"), place("us-west-2")],
            (
                "inv plan --out 'a plan' --env staging --regions us-east-1,us-west-2 --local, have "
                "that approved, then inv apply 'a plan' --local"
            ),
        ),
        (
            [place("us-east-1", "/a/b.json")],
            (
                "inv plan --out 'a plan' --env /a/b.json --region us-east-1 --local, have that "
                "approved, then inv apply 'a plan' --env /a/b.json --local"
            ),
        ),
    ],
)
def test_a_renewal_names_the_same_place_and_the_flags_that_no_plan_holds(
    places: list[Any], said: str
) -> None:
    assert planning._say_renewal(places, "a plan") == said
    assert {"env", "local"} <= {argument.name for argument in ns["apply"].get_arguments()}
