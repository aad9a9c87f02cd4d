"""A deployment ends by looking at itself, and leaves a log of what it did."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.integration.conftest import STACK, Operator, Seed, change_settings, until

pytestmark = pytest.mark.integration


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def test_a_new_stack_is_verified_and_the_document_says_so(seed: Seed) -> None:
    verification = seed.created.document["verification"]
    assert verification["passed"] is True
    names = [check["name"] for check in verification["checks"]]
    assert names[:3] == ["stack", "health", "outputs"]
    assert {"DatabaseStack/JobsTable", "StorageStack/DataBucket", "AuthStack/UserPool"} < set(names)
    assert not any(check["warning"] for check in verification["checks"])


def test_an_update_beside_a_table_that_lost_its_recovery_is_updated_and_exits_1(
    operator: Operator,
) -> None:
    table = operator.cloud().tables()["JobsTable"]
    operator.cloud().client("dynamodb").update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    checked = operator.inv("verify", "--json", code=1)
    assert checked.document["passed"] is False
    failed = [check for check in checked.document["checks"] if not check["passed"]]
    assert [check["name"] for check in failed] == ["DatabaseStack/JobsTable"]
    assert failed[0]["detail"] == "has no point-in-time recovery"
    # Not the table itself, whose update would put the recovery back.
    operator.clone.edit("api", ("MemorySize: 256", "MemorySize: 512"))
    updated = operator.inv("update", "--json", code=1)
    assert updated.document["action"] == "updated"
    assert updated.document["failure"] is None
    assert updated.document["verification"]["passed"] is False
    assert "DatabaseStack/JobsTable" in updated.err
    # A second run has nothing to change, and what was wrong still is.
    again = operator.inv("deploy", "--json", code=1)
    assert again.document["action"] == "unchanged"
    assert again.document["verification"] == updated.document["verification"]
    unverified = operator.inv("deploy", "--no-verify", "--json").document
    assert "verification" not in unverified


def test_a_preview_and_a_deployment_without_verification_look_at_nothing(
    operator: Operator,
) -> None:
    change_settings(operator.clone)
    assert "verification" not in operator.inv("deploy", "--preview", "--json").document
    updated = operator.inv("deploy", "--no-verify", "--json").document
    assert updated["action"] == "updated"
    assert "verification" not in updated


def test_nothing_to_do_costs_seven_calls_and_its_log_has_each(
    operator: Operator, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    operator.inv("deploy", "--no-verify", PLOT_PALETTE_LOG_FOLDER=str(folder))
    [log] = logs(folder)
    assert log.name.endswith(f"-deploy-{STACK}.log")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    assert len([line for line in lines if line.startswith("aws ")]) == 7
    assert lines[0] == "inv deploy --no-verify --local"
    assert any("is up to date" in line for line in lines)
    assert lines[-1] == "exit code 0"


def test_looking_leaves_no_log_and_debug_shows_each_call_beside_the_json(
    operator: Operator, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    seen = operator.inv("outputs", "--json", "--debug", PLOT_PALETTE_LOG_FOLDER=str(folder))
    assert seen.document["HealthUrl"]
    calls = [line for line in seen.err.splitlines() if line.startswith("aws ")]
    assert [line.split()[2] for line in calls] == ["DescribeStacks"]
    assert " 200  request " in calls[0]
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_stops_no_deployment(
    operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("a file")
    done = operator.inv("deploy", PLOT_PALETTE_LOG_FOLDER=str(tmp_path / "logs"))
    assert "No log file is kept" in done.err


def test_in_github_events_are_grouped_failures_annotated_and_changes_summed_up(
    operator: Operator, tmp_path: Path
) -> None:
    page = tmp_path / "summary.md"
    settings = {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_STEP_SUMMARY": str(page)}
    change_settings(operator.clone)
    operator.inv("deploy", "--preview", **settings)
    assert "| DatabaseStack/JobsTable | DynamoDB::Table | Modify |" in page.read_text()
    done = operator.inv("deploy", **settings)
    assert done.err.count("::group::Events") == done.err.count("::endgroup::") >= 1
    assert page.read_text().count("### Stack") == 2
    refused = operator.inv("deploy", "--create", code=3, **settings)
    [error] = [line for line in refused.err.splitlines() if line.startswith("::error ")]
    assert error.startswith(f"::error title=inv deploy%3A {STACK}::Stack {STACK} in us-east-1")


def test_a_budget_alert_that_is_published_is_written_to_the_cost_tracking_table(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    topic = cloud.tree()["BudgetStack/AlertTopic"]
    table = cloud.tables()["CostTrackingTable"]
    before = cloud.items(table)
    cloud.client("sns").publish(
        TopicArn=topic, Subject="AWS Budgets: 80 % reached", Message="The actual amount is $80.00"
    )
    until(lambda: cloud.items(table) == before + 1, "the alert to be written")
