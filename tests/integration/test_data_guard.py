"""No update loses data that nobody agreed to lose, and what is agreed to is backed up first."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import (
    ITEMS,
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
  DataBucketName: { Type: String }
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
        ("!If [HasJobsTableName, !Ref JobsTableName, !Ref AWS::NoValue]", "jobs"),
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


DEFINED = """
        - { AttributeName: user_id, AttributeType: S }
        - { AttributeName: created_at, AttributeType: S }
"""
DEFINITION = "        - { AttributeName: state, AttributeType: S }\n"
INDEXED = """
            - { AttributeName: created_at, KeyType: RANGE }
          Projection:
            ProjectionType: ALL
"""
INDEX = """        - IndexName: state-index
          KeySchema: [{ AttributeName: state, KeyType: HASH }]
          Projection: { ProjectionType: ALL }
"""


def test_an_index_comes_without_a_question_though_aws_says_conditionally(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    tables = cloud.tables()
    operator.clone.edit("database", (DEFINED, f"{DEFINED}{DEFINITION}"), (INDEXED, INDEXED + INDEX))
    done = operator.inv("update", "--no-verify", "--yes", "--json")
    document = done.document
    assert document["action"] == "updated"
    row = next(row for row in document["changes"] if row["path"] == JOBS)
    assert (row["replacement"], row["data_loss"], row["follows"]) == ("False", "none", False)
    assert row["proof"] == (
        "AWS cannot rule it out; no item of AttributeDefinitions that stays is edited"
    )
    assert "AttributeDefinitions" in [detail["property"] for detail in row["details"]]
    assert row["proof"] in " ".join(done.err.split())
    assert cloud.tables() == tables
    others = [row for row in document["changes"] if row["path"] != JOBS]
    assert {row["replacement"] for row in others} <= {"False"}
    assert all(row["proof"] for row in others if row["follows"])


@pytest.mark.parametrize("flags", [(), ("--shallow",)])
def test_an_output_of_a_nested_stack_is_carried_out_though_no_resource_changes(
    operator: Operator, flags: tuple[str, ...]
) -> None:
    cloud = operator.cloud()
    operator.clone.edit("database", ("\nOutputs:\n", "\nOutputs:\n  Extra:\n    Value: more\n"))
    previewed = operator.inv("update", "--preview", "--json", *flags)
    # What reads the outputs of that stack can only be told after it, as far as AWS knows.
    assert all(row["proof"] and row["follows"] for row in previewed.document["changes"])
    assert previewed.document["besides"] == ["the output Extra of DatabaseStack"]
    assert "no resource would change" in previewed.err
    done = operator.inv("update", "--no-verify", "--yes", "--json", *flags)
    assert done.document["action"] == "updated"
    assert "changes, only: the output Extra of DatabaseStack." in done.err
    (database,) = cloud.cfn.describe_stacks(StackName=cloud.tree()["DatabaseStack"])["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in database["Outputs"]}
    assert outputs["Extra"] == "more"
    assert cloud.change_sets() == []
    assert operator.inv("update", "--yes", "--json", *flags).document["action"] == "unchanged"


def test_a_phantom_replacement_in_a_sibling_says_why_it_does_not_come(operator: Operator) -> None:
    operator.clone.edit("api", ("MemorySize: 256", "MemorySize: 512"))
    rows = operator.inv("update", "--preview", "--json").document["changes"]
    assert {row["replacement"] for row in rows} == {"False"}
    assert all(row["proof"] for row in rows if row["follows"])
