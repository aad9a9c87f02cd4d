"""It is said, step by step, how restored data comes into use."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from lib.data import new_tables, settings, switching
from lib.data.new_tables import Restored
from lib.data.settings import TableSettings
from lib.data.sources import Source
from tests.support.aws_fakes import FakeTime
from tests.support.dynamodb_wire import REGION, SESSION
from tests.support.tables import access_to, create_table, make_backup, restore


def explain(restored: Restored, current: TableSettings | None) -> str:
    return "\n".join(
        switching.explain_switch_over(restored, current, stack="plot-palette-test", region=REGION)
    )


def test_the_steps_name_both_tables_the_stack_and_the_import(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))
    steps = explain(restored, settings.read_settings(dynamodb, "jobs", passing.clock))
    assert "copy the items into jobs" in steps
    assert "Every item needs id;" in steps
    command = f"inv restore --switch --table jobs --target-table {restored.table} --region {REGION}"
    assert f"{command} --stack-name plot-palette-test" in steps
    assert steps.index("--no-deletion-protection-enabled") < steps.index("delete-table")


def test_a_table_restored_under_its_old_name_gets_what_its_template_declares(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    declared = settings.read_declared(
        "jobs",
        {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": "true"},
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            "DeletionProtectionEnabled": True,
            "Tags": [{"Key": "Component", "Value": "Database"}],
        },
        {"Project": "plot-palette"},
    )
    restored = new_tables.create_from(
        Source("jobs", arn),
        access_to(dynamodb, passing.clock),
        target_table="jobs",
        original=declared,
    )
    now = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert now is not None
    assert now.is_pitr_on
    assert now.is_protected
    assert now.ttl_attribute == "expires_at"
    assert now.tags == {"Project": "plot-palette", "Component": "Database"}
    assert (restored.items, restored.expected_items) == (3, None)
    steps = "\n".join(
        switching.explain_switch_over(restored, declared, stack="plot-palette-test", region=REGION)
    )
    assert "nothing is to switch" in steps


def test_the_printed_commands_reach_the_same_aws(dynamodb: Any) -> None:
    lines = switching.explain_switch_over(
        Restored("arn", "copy", "ACTIVE", 1, None),
        None,
        stack="plot-palette-test",
        region=REGION,
        shell="AWS_PROFILE=blue ",
    )
    assert any("AWS_PROFILE=blue .venv/bin/python -c" in line for line in lines)
    assert any("AWS_PROFILE=blue aws dynamodb delete-table" in line for line in lines)


def test_without_a_table_in_the_stack_the_steps_begin_with_creating_it() -> None:
    steps = explain(Restored("arn", "copy", "ACTIVE", 1, None), None)
    assert "let the stack create its table" in steps


def test_the_printed_command_copies_every_item(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table(dynamodb, "copy", items=60)
    create_table(dynamodb, "jobs", items=0)
    command = switching.copy_command("copy", "jobs", REGION)
    program = command.split("'", 1)[1].rstrip("'")
    assert "'" not in program
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", SESSION)
    exec(program, {})  # the very text that an operator pastes
    assert dynamodb.scan(TableName="jobs")["Items"] == dynamodb.scan(TableName="copy")["Items"]
