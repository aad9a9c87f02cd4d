"""No update loses data that nobody agreed to lose, and what is agreed to is backed up first."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import (
    ITEMS,
    OLD_KEY,
    STACK,
    Cloud,
    Operator,
    break_late,
    change_key,
    change_settings,
)

pytestmark = pytest.mark.integration

JOBS = "DatabaseStack/JobsTable"
WITHOUT_BUCKET = """
AWSTemplateFormatVersion: '2010-09-09'
Description: No storage any more
Parameters:
  EnvironmentName: { Type: String }
Resources:
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
Outputs:
  BucketName: { Value: !Sub 'none-of-${EnvironmentName}' }
  BucketArn: { Value: !Sub 'arn:${AWS::Partition}:s3:::none-of-${EnvironmentName}' }
"""


def picture(cloud: Cloud) -> tuple[object, ...]:
    """Everything of the stack that a refusal must leave alone."""
    stack = {k: v for k, v in (cloud.stack() or {}).items() if k != "StackStatus"}
    items = {name: cloud.items(name) for name in cloud.tables().values()}
    return stack, cloud.tree(), cloud.digests(), items, cloud.change_sets()


def backups(cloud: Cloud) -> list[str]:
    listed = cloud.client("dynamodb").list_backups()["BackupSummaries"]
    return [entry["BackupName"] for entry in listed if entry["BackupStatus"] == "AVAILABLE"]


def test_a_key_schema_changes_only_with_consent_by_path_and_its_items_come_back(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    old, before = cloud.tables()["JobsTable"], picture(cloud)
    change_key(operator.clone)

    refused = operator.inv("update", "--yes", "--json", code=3)
    assert JOBS in refused.document["error"]
    assert "KeySchema" in refused.document["error"]
    assert f"--allow-data-loss {JOBS}" in refused.document["next_step"]
    assert picture(cloud) == before

    wrong = operator.inv("update", "--yes", "--allow-data-loss", "DatabaseStack/Jobs", code=3)
    assert JOBS in wrong.err
    assert picture(cloud) == before

    with operator.at_a_terminal("update") as terminal:
        terminal.expect(f"(type {JOBS} to agree)")
        terminal.type("y\n")
        terminal.finish(code=3)
    assert picture(cloud) == before
    assert backups(cloud) == []

    done = operator.inv(
        "update", "--no-verify", "--yes", "--allow-data-loss", JOBS, "--json"
    ).document
    assert done["action"] == "updated"
    row = next(row for row in done["changes"] if row["path"] == JOBS)
    assert "KeySchema" in row["causes"]
    assert row["data_loss"] == "possible"
    assert "Retain" in row["verdict"]
    new = cloud.tables()["JobsTable"]
    assert new != old
    assert cloud.items(new) == 0
    assert cloud.items(old) == ITEMS, "the policy retains what is replaced"
    [arn] = done["backups"]
    [name] = backups(cloud)
    assert re.fullmatch(rf"plot-palette-development-\d{{8}}-\d{{6}}-{old}", name)

    restored = operator.inv("restore", "--backup", arn, "--json").document
    assert (restored["status"], restored["items"]) == ("ACTIVE", ITEMS)
    assert restored["source"] == arn
    assert restored["table"] not in (old, new)
    assert cloud.items(restored["table"]) == ITEMS


def test_removed_and_replaced_tables_buckets_and_user_pools_are_all_named_at_once(
    operator: Operator,
) -> None:
    cloud, clone = operator.cloud(), operator.clone
    before = picture(cloud)
    clone.remove_resource("database", "TemplatesTable")
    clone.edit(
        "database",
        ("TemplatesTable.Arn", "JobsTable.Arn"),
        ("!Ref TemplatesTable", "!Ref JobsTable"),
        (f"KeySchema:\n        {OLD_KEY}", f"TableName: jobs\n      KeySchema:\n        {OLD_KEY}"),
    )
    clone.template("storage").write_text(WITHOUT_BUCKET)
    clone.edit("auth", ("UsernameAttributes: [email]", "UsernameAttributes: [phone_number]"))

    previewed = operator.inv("update", "--preview", "--json").document
    risks = {row["path"]: row for row in previewed["changes"] if row["data_loss"] != "none"}
    assert risks.keys() == {
        JOBS,
        "DatabaseStack/TemplatesTable",
        "StorageStack/DataBucket",
        "AuthStack/UserPool",
    }
    assert risks[JOBS]["replacement"] == "True"
    assert "TableName" in risks[JOBS]["causes"]
    assert risks["DatabaseStack/TemplatesTable"]["action"] == "Remove"
    assert risks["StorageStack/DataBucket"]["action"] == "Remove"
    # CloudFormation's schema of a user pool does not say that this replaces it; we do.
    assert risks["AuthStack/UserPool"]["replacement"] == "True"
    assert "UsernameAttributes" in risks["AuthStack/UserPool"]["causes"]
    assert picture(cloud) == before

    refused = operator.inv("deploy", "--yes", "--json", code=3)
    for path in risks:
        assert path in refused.document["error"]
    assert picture(cloud) == before


def test_an_update_that_fails_half_way_returns_to_the_old_state_with_every_item(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    tables, outputs, digests = cloud.tables(), cloud.outputs(), cloud.digests()
    break_late(operator.clone)
    failed = operator.inv("update", "--yes", "--allow-data-loss", JOBS, "--json", code=1)
    document = failed.document
    assert (document["action"], document["status"]) == ("failed", "UPDATE_ROLLBACK_COMPLETE")
    assert document["failure"]["path"] == "FrontendStack/Never"
    assert len(document["backups"]) == 1
    told = failed.err[failed.err.index("✗") :]
    assert "Cause: FrontendStack/Never" in told
    assert "CloudFormation returned to the state before the update." in told
    assert "Next: mend the cause, then inv deploy" in told
    assert cloud.tables() == tables
    assert cloud.outputs() == outputs
    assert cloud.digests() == digests
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}
    assert cloud.change_sets() == []

    nothing = operator.inv("rollback", "--json").document
    assert nothing["action"] == "unchanged"
    operator.clone.restore()
    assert operator.inv("deploy", "--json").document["action"] == "unchanged"
    assert cloud.names() == {STACK}


def test_backups_are_proven_and_only_the_newest_of_each_table_are_kept(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    tables = set(cloud.tables().values())
    cloud.client("dynamodb").create_backup(
        TableName=cloud.tables()["JobsTable"], BackupName="somebody-elses"
    )
    first = operator.inv("backup", "--json").document
    assert {backup["table"] for backup in first["backups"]} == tables
    assert all(isinstance(backup["bytes"], int) for backup in first["backups"])
    second = operator.inv("backup", "--keep", "1", "--json").document
    arns = {backup["arn"] for backup in first["backups"]}
    assert set(second["pruned"]) == arns
    kept = {backup["name"] for backup in second["backups"]}
    assert set(backups(cloud)) == kept | {"somebody-elses"}


def test_drift_is_found_in_nested_stacks_and_an_update_onto_it_warns(operator: Operator) -> None:
    cloud = operator.cloud()
    tree = cloud.tree()
    cloud.client("s3").put_bucket_versioning(
        Bucket=tree["StorageStack/DataBucket"], VersioningConfiguration={"Status": "Suspended"}
    )
    cloud.client("dynamodb").update_table(
        TableName=tree[JOBS], BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )  # fmt: skip
    cloud.client("iam").update_assume_role_policy(
        RoleName=tree["IAMStack/ECSTaskRole"],
        PolicyDocument='{"Version": "2012-10-17", "Statement": []}',
    )
    seen = operator.inv("status", "--drift", "--json").document
    assert seen["drift"] == "DRIFTED"
    found = {(one["path"], one["property"].partition("/")[0]) for one in seen["drifts"]}
    assert found == {
        ("StorageStack/DataBucket", "VersioningConfiguration"),
        (JOBS, "BillingMode"),
        ("IAMStack/ECSTaskRole", "AssumeRolePolicyDocument"),
    }
    bucket = next(one for one in seen["drifts"] if "Bucket" in one["path"])
    assert (bucket["expected"], bucket["actual"]) == ("Enabled", "Suspended")

    change_settings(operator.clone)
    warned = operator.inv("update", "--preview")
    assert f"{JOBS} has drifted from its template" in warned.err
