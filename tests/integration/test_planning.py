"""What was approved is what is applied: elsewhere, later, once, and nothing else."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.conftest import (
    REPOSITORY,
    STACK,
    Clone,
    Operator,
    Result,
    change_key,
    change_settings,
    until,
)

pytestmark = pytest.mark.integration


def write_plan(operator: Operator, *flags: str, code: int = 0) -> tuple[Path, Result]:
    """Plan what the clone has, and return the file."""
    path = operator.clone.folder / "plan.json"
    return path, operator.inv("plan", "--out", str(path), "--json", *flags, code=code)


def change_sets(operator: Operator) -> list[str]:
    cfn = operator.cloud().client("cloudformation")
    found = cfn.list_change_sets(StackName=STACK)["Summaries"]
    return [one["ChangeSetName"] for one in found if one["ExecutionStatus"] == "AVAILABLE"]


def test_a_plan_is_applied_in_a_second_clone_and_only_once(
    operator: Operator, tmp_path: Path
) -> None:
    change_settings(operator.clone)
    path, made = write_plan(operator)
    assert made.document == json.loads(path.read_text())
    assert len(change_sets(operator)) == 1
    digest = made.document["digest"]
    page = tmp_path / "plan.md"
    told = operator.run("plan.show", str(path), "--format", "markdown", "--out", str(page)).out
    assert told == ""
    shown = page.read_text()
    assert digest in shown
    assert "DatabaseStack/JobsTable" in shown
    # The other clone has the templates as they were, and applies the plan's all the same.
    other = replace(operator, clone=Clone(tmp_path / "second"))
    done = other.inv("apply", str(path), "--digest", digest, "--yes", "--json").document
    assert (done["action"], done["release"]) == ("updated", made.document["release"])
    assert operator.inv("deploy", "--preview", "--json").document["changes"] == []
    again = other.inv("apply", str(path), "--yes", "--json", code=3).document
    assert "it was applied already" in again["error"]
    assert again["changes"]
    assert again["action"] == "declined"


def test_a_plan_brings_its_code_to_who_has_no_build(operator: Operator, tmp_path: Path) -> None:
    code = REPOSITORY / "tests" / "support" / "artifacts" / "api"
    path, made = write_plan(operator, "--code", str(code))
    key = made.document["parameters"]["LambdaCodeKey"]
    other = replace(operator, clone=Clone(tmp_path / "second"))
    artifacts = other.clone.folder / "infrastructure" / "artifacts.json"
    artifacts.write_text('{"code": "not/built/here", "site": "neither/this"}')
    assert other.inv("apply", str(path), "--yes", "--json").document["action"] == "updated"
    assert operator.cloud().parameters()["LambdaCodeKey"] == key
    # Nor does taking it off need the build.
    log = ("--allow-data-loss", "APIStack/ApplicationLogs")
    path = write_plan(operator, "--code", "none", *log)[0]
    assert other.inv("apply", str(path), "--yes", "--json").document["action"] == "updated"
    assert operator.cloud().parameters()["LambdaCodeKey"] == ""


def test_a_plan_that_the_world_has_overtaken_is_refused_and_can_be_discarded(
    operator: Operator,
) -> None:
    change_settings(operator.clone)
    path, made = write_plan(operator)
    s3, bucket = operator.cloud().client("s3"), "plot-palette-cfn-000000000000-us-east-1"
    key = next(iter(made.document["files"]))
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=text + b"# mine\n")
    tampered = operator.inv("apply", str(path), "--yes", code=3).err
    assert f"{key} holds other bytes" in tampered
    s3.put_object(Bucket=bucket, Key=key, Body=text)
    other = write_plan(operator)[1].document
    operator.inv("deploy", "--yes")
    moved = operator.inv("apply", str(path), "--yes", code=3).err
    assert "the stack is UPDATE_COMPLETE, and was CREATE_COMPLETE" in moved
    assert other["digest"][:12] in moved
    assert f"then inv apply {path} --local" in moved
    operator.inv("plan.discard", str(path))
    assert change_sets(operator) == []


def test_a_plan_whose_apply_was_declined_or_killed_can_be_applied(operator: Operator) -> None:
    change_settings(operator.clone)
    path, _ = write_plan(operator)
    with operator.at_a_terminal("apply", str(path)) as terminal:
        terminal.expect("Update stack")
        terminal.type("n\n")
        terminal.finish(code=3)
    with operator.at_a_terminal("apply", str(path)) as terminal:
        terminal.expect("Update stack")
        terminal.type("\x03")
        terminal.finish(code=130)
    killed = operator.start("apply", str(path), "--yes", "--local")
    assert killed.stderr
    until(lambda: "Environment" in (killed.stderr.readline() if killed.stderr else ""), "a start")
    killed.send_signal(signal.SIGKILL)
    operator.finish(killed, code=None)
    ended = operator.inv("apply", str(path), "--yes", code=0)
    assert "was updated" in ended.err


def test_a_plan_of_an_environment_s_path_is_applied_with_that_path(
    operator: Operator, tmp_path: Path
) -> None:
    parameters = tmp_path / "mine.json"
    own = operator.clone.folder / "infrastructure" / "parameters" / "development.json"
    operator.clone.set_parameters(LogRetentionDays="14")
    parameters.write_text(own.read_text())
    operator.clone.set_parameters(LogRetentionDays="7")
    path, made = write_plan(operator, "--env", str(parameters))
    assert f"--digest {made.document['digest']} --env {parameters}" in made.err
    refused = operator.inv("apply", str(path), "--yes", "--json", code=3).document
    assert "parameter LogRetentionDays is '7', and was '14'" in refused["error"]
    assert (refused["stack"], refused["region"]) == (STACK, "us-east-1")
    another = operator.inv("apply", str(path), "--env", "staging", "--yes", code=2).err
    assert "The plan is of the environment development, not of staging" in another
    flags = ("--env", str(parameters), "--yes", "--json")
    assert operator.inv("apply", str(path), *flags).document["action"] == "updated"


def test_a_region_that_cannot_be_planned_is_named_with_what_was_planned_of_the_others(
    operator: Operator,
) -> None:
    operator.clone.set_parameters(LogRetentionDays="14")
    flags = ("--regions", "us-east-1,us-west-2", "--update")
    _, refused = write_plan(operator, *flags, code=3)
    assert refused.document["region"] == "us-west-2"
    assert [one["region"] for one in refused.document["regions"]] == ["us-east-1"]
    assert refused.document["regions"][0]["changes"]
    assert change_sets(operator) == []


def test_a_loss_of_data_that_the_plan_did_not_agree_to_is_refused_with_its_changes(
    operator: Operator,
) -> None:
    change_key(operator.clone)
    path, made = write_plan(operator)
    assert made.document["consents"] == []
    refused = operator.inv("apply", str(path), "--yes", "--json", code=3).document
    assert {"DatabaseStack/JobsTable"} <= {
        one["path"] for one in refused["changes"] if one["data_loss"] != "none"
    }
    operator.inv("plan.discard", str(path))
    assert change_sets(operator) == []
