"""From every failed state there is a way back, and to every release that was deployed."""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import (
    ITEMS,
    STACK,
    Cloud,
    Operator,
    Seed,
    break_late,
    change_settings,
    fork,
)

pytestmark = pytest.mark.integration

CODE = "application-code"


def put_code(cloud: Cloud, key: str) -> None:
    """Put the application's archive where the stack looks for it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return {}\n")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=CODE)
    s3.put_object(Bucket=CODE, Key=key, Body=content.getvalue())


@pytest.fixture(scope="module")
def stuck(seed: Seed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a stack whose rollback failed, because the code it needs is gone."""
    folder = tmp_path_factory.mktemp("stuck")
    operator = fork(seed.state, folder)
    cloud = operator.cloud()
    put_code(cloud, "one.zip")
    put_code(cloud, "two.zip")
    operator.clone.set_parameters(LambdaCodeBucket=CODE, LambdaCodeKey="one.zip")
    operator.inv("deploy", "--no-verify")
    cloud.client("s3").delete_object(Bucket=CODE, Key="one.zip")
    operator.clone.set_parameters(LambdaCodeKey="two.zip")
    break_late(operator.clone)
    allowed = ("--yes", "--allow-data-loss", "DatabaseStack/JobsTable", "--no-backup")
    failed = operator.inv("deploy", *allowed, "--json", code=1)
    assert failed.document["status"] == "UPDATE_ROLLBACK_FAILED"
    assert failed.document["failure"]["path"] == "FrontendStack/Never"
    assert "CloudFormation could not return to the earlier state." in failed.err
    assert "Next: inv rollback --env development" in failed.err
    operator.run("local.stop")
    return folder / "state"


@pytest.fixture
def rescuer(stuck: Path, tmp_path: Path) -> Iterator[Operator]:
    """Somebody who finds the stack stuck, with the parameters that it worked with."""
    someone = fork(stuck, tmp_path)
    someone.clone.set_parameters(LambdaCodeBucket=CODE, LambdaCodeKey="one.zip")
    yield someone
    someone.leave()


def test_a_failed_rollback_can_be_continued_once_its_cause_is_mended(rescuer: Operator) -> None:
    cloud = rescuer.cloud()
    refused = rescuer.inv("deploy", "--json", code=3)
    assert "the last rollback failed" in refused.document["error"]
    assert refused.document["next_step"].startswith("inv rollback --env development")

    again = rescuer.inv("rollback", "--json", code=1)
    assert again.document["status"] == "UPDATE_ROLLBACK_FAILED"
    assert "APIStack.ApplicationFunction" in again.err

    put_code(cloud, "one.zip")
    done = rescuer.inv("rollback", "--json").document
    assert (done["action"], done["status"]) == ("rolled-back", "UPDATE_ROLLBACK_COMPLETE")
    assert cloud.parameters()["LambdaCodeKey"] == "one.zip"
    assert {cloud.items(name) for name in cloud.tables().values()} == {ITEMS}
    assert rescuer.inv("deploy", "--json").document["action"] == "unchanged"


def test_a_failed_rollback_can_be_continued_without_what_keeps_it_from_ending(
    rescuer: Operator,
) -> None:
    cloud = rescuer.cloud()
    wrong = rescuer.inv("rollback", "--skip", "APIStack.HealthFunction", code=2)
    assert "APIStack.HealthFunction did not" in wrong.err
    assert "APIStack.ApplicationFunction failed" in wrong.err
    assert cloud.status() == "UPDATE_ROLLBACK_FAILED"

    done = rescuer.inv("rollback", "--skip", "APIStack.ApplicationFunction", "--json")
    assert done.document["action"] == "rolled-back"
    assert "they drift from the template" in done.err
    assert cloud.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert {cloud.items(name) for name in cloud.tables().values()} == {ITEMS}


def test_the_command_that_the_tool_prints_frees_the_stack(rescuer: Operator) -> None:
    cloud = rescuer.cloud()
    stuck = rescuer.inv("status", "--json").document
    [obstacle] = stuck["obstacles"]
    assert obstacle["path"] == "APIStack/ApplicationFunction"
    assert "key does not exist" in obstacle["reason"]
    printed = stuck["next_step"].rpartition("without them: ")[2]
    assert printed.startswith("inv rollback ")
    done = rescuer.run(*shlex.split(printed)[1:], "--json")
    assert done.document["status"] == cloud.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert {cloud.items(name) for name in cloud.tables().values()} == {ITEMS}


def test_a_stack_that_only_half_went_is_got_rid_of_by_the_command_that_is_printed(
    operator: Operator,
) -> None:
    spare = "  Spare:\n    Type: AWS::S3::Bucket\n"
    operator.clone.add_resource("frontend", spare)
    operator.inv("deploy", "--no-verify")
    cloud = operator.cloud()
    bucket = cloud.tree()["FrontendStack/Spare"]
    cloud.client("s3").put_object(Bucket=bucket, Key="left", Body=b"over")
    agreed = ("--delete", "--yes", "--allow-data-loss", "FrontendStack/Spare")
    failed = operator.inv("deploy", *agreed, "--json", code=1).document
    assert failed["status"] == "DELETE_FAILED"
    assert [one["name"] for one in failed["obstacles"]] == ["FrontendStack.Spare"]
    assert operator.inv("deploy", "--json", code=3).document["action"] == "declined"

    printed = failed["next_step"].rpartition("in the account: ")[2]
    done = operator.run(*shlex.split(printed)[1:], "--yes", "--json").document
    assert done["action"] == "deleted"
    assert bucket in done["retained"]
    assert cloud.names() == set()
    cloud.client("s3").head_object(Bucket=bucket, Key="left")


def test_an_earlier_release_comes_back_with_its_templates_and_its_parameters(
    seed: Seed, operator: Operator
) -> None:
    cloud, clone = operator.cloud(), operator.clone
    first = seed.created.document["release"]
    digests, parameters = cloud.digests(), cloud.parameters()
    change_settings(clone)
    clone.set_parameters(LogRetentionDays="3")
    second = operator.inv("deploy", "--no-verify", "--json").document["release"]
    assert cloud.parameters()["LogRetentionDays"] == "3"
    assert cloud.digests() != digests

    unknown = operator.inv("rollback", "--to", "0123456789ab", "--json", code=2)
    assert f"Deployed: {second}, {first}." in unknown.document["error"]

    done = operator.inv("rollback", "--to", first, "--json").document
    assert (done["action"], done["release"]) == ("rolled-back", first)
    assert cloud.digests() == digests
    assert cloud.parameters() == parameters

    recorded = operator.inv("history", "--json").document
    assert [(one["release"], one["action"], one["status"]) for one in recorded] == [
        (first, "rollback", "UPDATE_COMPLETE"),
        (second, "update", "UPDATE_COMPLETE"),
        (first, "create", "CREATE_COMPLETE"),
    ]
    assert all(one["by"].startswith("arn:") and one["time"] for one in recorded)
    assert [one["time"] for one in recorded] == sorted(
        (one["time"] for one in recorded), reverse=True
    )


def test_pruning_removes_what_no_stack_and_none_of_the_newest_releases_need(
    seed: Seed, operator: Operator
) -> None:
    cloud = operator.cloud()
    *older, newest = (upload["release"] for upload in seed.uploads)
    notes = "notes-of-somebody.txt"
    bucket = seed.uploads[0]["bucket"]
    cloud.client("s3").put_object(Bucket=bucket, Key=notes, Body=b"keep me")
    before = cloud.keys()

    with operator.at_a_terminal("prune", "--keep", "1") as terminal:
        terminal.expect(f"{older[-1]}  removed")
        terminal.expect(f"{older[0]}  removed")
        terminal.expect("[y/N]")
        terminal.type("n\n")
        terminal.finish(code=3)
    assert cloud.keys() == before

    pruned = operator.inv("prune", "--keep", "1", "--json").document
    assert pruned["removed"] == older[::-1]
    assert {kept["release"]: kept["because"] for kept in pruned["kept"]} == {
        newest: "among the newest 1",
        seed.created.document["release"]: f"deployed as {STACK}",
    }
    gone = before - cloud.keys()
    assert {key.rsplit("/", 1)[-1] for key in gone} == {
        "manifest.json",
        "master-stack.yaml",
        "database-stack.yaml",
        "frontend-stack.yaml",
    }
    assert len(gone) == 6
    assert operator.inv("deploy", "--json").document["action"] == "unchanged"
