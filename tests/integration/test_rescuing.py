"""A recovery ends with the data managed: switched in, adopted, or taken over by a new stack."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import ITEMS, REGION, STACK, Cloud, Operator, until

pytestmark = pytest.mark.integration

JOBS = "DatabaseStack/JobsTable"


def require_in_sync(operator: Operator) -> None:
    assert operator.inv("update", "--json").document["action"] == "unchanged"
    assert operator.inv("status", "--drift", "--json").document["drift"] == "IN_SYNC"


def wrote_to(cloud: Cloud) -> set[str]:
    """The tables of jobs that functions of the stack are told of."""
    functions = [name for path, name in cloud.tree().items() if path.startswith("APIStack/")]
    found = set()
    for name in functions:
        with contextlib.suppress(Exception):
            told = cloud.client("lambda").get_function_configuration(FunctionName=name)
            for value in told["Environment"]["Variables"].values():
                found |= {json.loads(value)["JobsTable"]} if "JobsTable" in value else set()
    return found


def test_a_moment_is_switched_in_and_the_old_table_stays(operator: Operator) -> None:
    cloud = operator.cloud()
    old = cloud.tables()["JobsTable"]
    operator.inv("backup")
    previewed = operator.inv("restore", "--switch", "--table", "JobsTable", "--preview", "--json")
    assert previewed.document["status"] == "PREVIEW"
    assert "The whole way for stack plot-palette-development" in previewed.err

    done = operator.inv("restore", "--switch", "--table", "JobsTable", "--yes", "--json").document
    new = cloud.tables()["JobsTable"]
    assert done["table"] == new != old
    assert (done["items"], done["drift"], done["verification"]["passed"]) == (ITEMS, [], True)
    assert cloud.items(new) == cloud.items(old) == ITEMS
    assert wrote_to(cloud) == {new}
    assert cloud.change_sets() == []
    require_in_sync(operator)

    back = operator.inv("restore", "--switch", "--table", JOBS, "--target-table", old, "--yes")
    assert f"Retained: {new}" in back.err
    assert cloud.tables()["JobsTable"] == old
    require_in_sync(operator)


@pytest.mark.parametrize("said", ["Restoring", "Importing"])
def test_a_killed_switch_is_ended_by_the_same_command(operator: Operator, said: str) -> None:
    cloud = operator.cloud()
    old = cloud.tables()["JobsTable"]
    operator.inv("backup")
    wanted = ("restore", "--switch", "--table", "JobsTable", "--yes")
    process = operator.start(*wanted, "--local")
    assert process.stderr
    until(lambda: said in (process.stderr.readline() if process.stderr else ""), said)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: not cloud.status().endswith("IN_PROGRESS"), "the stack's rest")
    assert len(wrote_to(cloud)) == 1

    operator.inv(*wanted, "--json")
    new = cloud.tables()["JobsTable"]
    assert wrote_to(cloud) == {new}
    assert new != old
    assert cloud.items(new) == cloud.items(old) == ITEMS
    restored = [t for t in cloud.client("dynamodb").list_tables()["TableNames"] if "-rest" in t]
    assert restored == [new], "nothing was restored twice"
    require_in_sync(operator)


def test_a_deleted_stack_is_deployed_again_over_its_own_data(operator: Operator) -> None:
    cloud = operator.cloud()
    tables, bucket = cloud.tables(), cloud.tree()["StorageStack/DataBucket"]
    operator.inv("deploy", "--delete", "--yes")
    assert cloud.stack() is None
    done = operator.inv("deploy", "--adopt", "all", "--json").document
    assert (done["action"], done["verification"]["passed"]) == ("created", True)
    assert cloud.tables() == tables
    assert cloud.tree()["StorageStack/DataBucket"] == bucket
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}
    assert cloud.names() == {STACK}
    require_in_sync(operator)


def test_neither_many_regions_nor_a_plan_put_empty_tables_beside_what_is_retained(
    operator: Operator, tmp_path: Path
) -> None:
    cloud, plan = operator.cloud(), tmp_path / "plan.json"
    tables = cloud.tables()
    operator.inv("deploy", "--delete", "--yes")
    regions = ("deploy-multi-region", "--regions", f"{REGION},eu-west-1", "--no-verify")

    refused = operator.inv(*regions, "--json", code=3)
    taking = f"inv deploy --adopt all --env development --region {REGION} --local"
    for said in (f"{JOBS}: {tables['JobsTable']}", taking):
        assert said in refused.document["error"]
    assert f"{STACK} in eu-west-1" not in refused.document["error"]
    for answer in ([], ["--adopt", "all"]):
        planned = operator.inv("plan", "--out", str(plan), *answer, "--json", code=3).document
        assert f"{JOBS}: {tables['JobsTable']}" in planned["error"]
        assert not plan.exists()
    assert operator.inv("plan", "--adopt", "some", code=2).out == ""
    assert operator.inv(*regions, "--adopt", "some", code=2).out == ""
    operator.inv("plan", "--out", str(plan), "--adopt", "none")
    operator.inv("plan.discard", str(plan))
    previewed = operator.inv(*regions, "--preview")
    assert f"An earlier stack {STACK} in {REGION} retained:" in previewed.err
    assert cloud.stack() is None

    done = operator.inv(*regions, "--adopt", "all", "--json").document
    assert [one["action"] for one in done["regions"]] == ["created", "created"]
    assert cloud.tables() == tables
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}
    other = operator.cloud("eu-west-1")
    assert set(other.tables()) == set(tables)
    require_in_sync(operator)


def test_an_orphan_is_adopted(operator: Operator) -> None:
    cloud = operator.cloud()
    tables = cloud.tables()
    operator.inv("deploy", "--delete", "--yes")
    operator.inv("deploy", "--adopt", "none", "--no-verify")
    assert cloud.tables() != tables
    paths = ",".join(f"DatabaseStack/{name}" for name in tables)
    names = ",".join(tables.values())
    done = operator.inv(
        "rescue.adopt", "--resource", paths, "--physical-id", names, "--yes", "--json"
    ).document
    assert set(done["adopted"].values()) == set(tables.values())
    assert cloud.tables() == tables
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}
    require_in_sync(operator)
