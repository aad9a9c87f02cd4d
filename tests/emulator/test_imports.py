"""An import reaches into nested stacks where AWS documents it, and is refused where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import (
    Cloud,
    Json,
    database,
    deploy,
    nested,
    note,
    rows,
    still_defective,
    table,
)

ORPHAN = "orphan"
WANTED: Json = {"ImportExistingResources": True}


def make_orphan(cloud: Cloud, key: str = "id") -> None:
    cloud.dynamodb.create_table(
        TableName=ORPHAN, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
    )  # fmt: skip
    cloud.dynamodb.put_item(TableName=ORPHAN, Item={key: {"S": "1"}})


def with_orphan(cloud: Cloud, template: Json, extra: Json | None = None, **more: Json) -> Json:
    """Return a deployed root's template with a table more in its child, under a literal name."""
    orphan = extra or table(policy="Retain", TableName=ORPHAN)
    child = cloud.put("db-with", database(Orphan=orphan, **more))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = child
    return template


def inside(cloud: Cloud, root: Json, logical_id: str = "Database") -> Json:
    return cloud.read(rows(root)[logical_id]["ChangeSetId"])


def execute(cloud: Cloud, change_set: Json) -> str:
    cloud.cfn.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    return cloud.wait("app")


def test_a_root_s_change_set_imports_what_its_child_adds_by_name(cloud: Cloud) -> None:
    template = deploy(cloud)
    make_orphan(cloud)
    root = cloud.change_set("app", with_orphan(cloud, template), **WANTED)
    row = rows(inside(cloud, root))["Orphan"]
    assert (row["Action"], row["PhysicalResourceId"]) == ("Import", ORPHAN)
    assert execute(cloud, root) == "UPDATE_COMPLETE"
    child = cloud.physical("app", "Database")
    assert cloud.physical(child, "Orphan") == ORPHAN
    assert "Orphan IMPORT_COMPLETE" in cloud.trail(child)
    assert cloud.dynamodb.scan(TableName=ORPHAN)["Count"] == 1


@pytest.mark.parametrize(
    ("policy", "name"),
    [("Retain", {"Fn::Sub": ORPHAN}), ("Retain", {"Ref": "Size"})],
)
def test_a_name_that_a_function_gives_is_not_imported(cloud: Cloud, policy: str, name: Any) -> None:
    template = deploy(cloud)
    make_orphan(cloud)
    extra = table(policy=policy, TableName=name)
    root = cloud.change_set("app", with_orphan(cloud, template, extra), **WANTED)
    assert rows(inside(cloud, root))["Orphan"]["Action"] == "Add"


def test_what_is_not_retained_is_refused_in_aws_s_words(cloud: Cloud) -> None:
    template = deploy(cloud)
    make_orphan(cloud)
    extra = table(policy="Delete", TableName=ORPHAN)
    root = cloud.change_set("app", with_orphan(cloud, template, extra), **WANTED)
    assert root["Status"] == "FAILED"
    child = cloud.read(root["StatusReason"].split()[3])
    assert "must have the DeletionPolicy attribute set to 'Retain'" in child["StatusReason"]


def test_what_another_stack_has_is_refused(cloud: Cloud) -> None:
    template = deploy(cloud)
    other = {"Resources": {"Taken": table(TableName=ORPHAN)}}
    assert cloud.create("other", other) == "CREATE_COMPLETE"
    root = cloud.change_set("app", with_orphan(cloud, template), **WANTED)
    child = cloud.read(root["StatusReason"].split()[3])
    owner = cloud.describe("other")["StackId"]
    assert child["StatusReason"] == f"{ORPHAN} already exists in stack {owner}"


def test_without_nested_stacks_nothing_inside_is_imported(cloud: Cloud) -> None:
    template = deploy(cloud)
    make_orphan(cloud)
    more = {**WANTED, "IncludeNestedStacks": False}
    root = cloud.change_set("app", with_orphan(cloud, template), **more)
    assert execute(cloud, root) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.dynamodb.scan(TableName=ORPHAN)["Count"] == 1


def test_an_import_that_is_rolled_back_lets_go_of_the_table(cloud: Cloud) -> None:
    template = deploy(cloud)
    make_orphan(cloud)
    late = note({"Fn::ImportValue": "nothing"}, DependsOn="Orphan")
    root = cloud.change_set("app", with_orphan(cloud, template, Late=late), **WANTED)
    assert execute(cloud, root) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.dynamodb.scan(TableName=ORPHAN)["Count"] == 1
    with pytest.raises(ClientError):
        cloud.physical(cloud.physical("app", "Database"), "Orphan")


def test_a_creation_imports_into_its_nested_stacks(cloud: Cloud) -> None:
    make_orphan(cloud)
    cloud.client("s3").create_bucket(
        Bucket="old-files", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    files = {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "Properties": {"BucketName": "old-files"},
    }
    child = database(table(policy="Retain", TableName=ORPHAN), Files=files)
    template = {"Resources": {"Database": nested(cloud.put("db-new", child))}}
    root = cloud.change_set("app", template, ChangeSetType="CREATE", **WANTED)
    found = {name: row["Action"] for name, row in rows(inside(cloud, root)).items()}
    assert found == {"Jobs": "Import", "Files": "Import"}
    assert execute(cloud, root) == "CREATE_COMPLETE"
    assert cloud.outputs(cloud.physical("app", "Database"))["Name"] == ORPHAN


def test_an_import_change_set_does_not_include_nested_stacks(cloud: Cloud) -> None:
    template = deploy(cloud)
    with pytest.raises(ClientError, match="not supported for changeSet type: IMPORT"):
        cloud.change_set("app", template, ChangeSetType="IMPORT", ResourcesToImport=[
            {"ResourceType": "AWS::DynamoDB::Table", "LogicalResourceId": "Jobs",
             "ResourceIdentifier": {"TableName": ORPHAN}},
        ])  # fmt: skip


def test_canary_imports_reach_nested_stacks(upstream: Cloud) -> None:
    template = deploy(upstream)
    make_orphan(upstream)
    root = upstream.change_set("app", with_orphan(upstream, template), **WANTED)
    assert root["Status"] == "CREATE_COMPLETE"
    upstream.cfn.execute_change_set(ChangeSetName=root["ChangeSetId"])
    upstream.wait("app")
    child = upstream.physical("app", "Database")
    trail = [] if child is None else upstream.trail(child)
    still_defective("Orphan IMPORT_COMPLETE" not in trail, "imports_reach_nested_stacks")


def test_a_physical_id_leads_to_its_stack(cloud: Cloud) -> None:
    deploy(cloud)
    child = cloud.describe(cloud.physical("app", "Database"))
    name = cloud.physical(child["StackId"], "Jobs")
    found = cloud.cfn.describe_stack_resources(PhysicalResourceId=name)["StackResources"]
    assert {one["StackName"] for one in found} == {child["StackName"]}
    with pytest.raises(ClientError, match="Stack for nobody does not exist"):
        cloud.cfn.describe_stack_resources(PhysicalResourceId="nobody")


def test_canary_resources_know_their_stack(upstream: Cloud) -> None:
    upstream.create("app", {"Resources": {"Jobs": table(TableName="jobs")}})
    try:
        upstream.cfn.describe_stack_resources(PhysicalResourceId="jobs")
    except ClientError:
        return
    still_defective(False, "resources_know_their_stack")


def restore_encrypted(cloud: Cloud) -> Json:
    cloud.create("app", {"Resources": {"Jobs": table(TableName="jobs")}})
    backup = cloud.dynamodb.create_backup(TableName="jobs", BackupName="before")["BackupDetails"]
    cloud.dynamodb.restore_table_from_backup(
        TargetTableName="copy",
        BackupArn=backup["BackupArn"],
        SSESpecificationOverride={"Enabled": True},
    )
    described: Json = cloud.dynamodb.describe_table(TableName="copy")["Table"]
    return described.get("SSEDescription") or {}


def test_a_restored_table_is_encrypted_as_the_restore_says(cloud: Cloud) -> None:
    assert restore_encrypted(cloud)["Status"] == "ENABLED"


def test_canary_restores_take_encryption(upstream: Cloud) -> None:
    still_defective(restore_encrypted(upstream) == {}, "restores_take_encryption")


def test_a_creation_imports_although_an_earlier_change_set_still_waits(cloud: Cloud) -> None:
    make_orphan(cloud)
    child = database(table(policy="Retain", TableName=ORPHAN))
    template = {"Resources": {"Database": nested(cloud.put("db-new", child))}}
    cloud.change_set("app", template, ChangeSetType="CREATE", ChangeSetName="first", **WANTED)
    root = cloud.change_set("app", template, ChangeSetType="CREATE", **WANTED)
    assert rows(inside(cloud, root))["Jobs"]["Action"] == "Import"
    assert execute(cloud, root) == "CREATE_COMPLETE"
    assert cloud.outputs(cloud.physical("app", "Database"))["Name"] == ORPHAN
