"""The emulator behaves like AWS where deployments can tell, and says when upstream does too.

The canaries run ministack without our amendments and assert that the defect is still there.
When one fails, upstream has mended it: drop the amendment that the failure names.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
import urllib.request
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import (
    ACCOUNT,
    BROKEN,
    FUNCTION_ZIP,
    REGION,
    WAITING,
    Cloud,
    Json,
    database,
    deploy,
    master,
    nested,
    note,
    reach_a_failed_rollback_inside_a_child,
    reader,
    reset,
    rows,
    serving,
    still_defective,
    table,
)

# Nested stacks


def test_a_nested_stack_is_created_with_events_and_outputs_in_parent_and_child(
    cloud: Cloud,
) -> None:
    template = master(cloud.put("db", database()), cloud.put("api", reader()))
    cloud.create("app", template, ClientRequestToken="token-1")
    child = cloud.physical("app", "Database")
    assert cloud.outputs("app")["Table"] == cloud.physical(child, "Jobs")
    assert cloud.trail(child)[1:3] == ["Jobs CREATE_IN_PROGRESS", "Jobs CREATE_COMPLETE"]
    tokens = {e["ClientRequestToken"] for n in ("app", child) for e in cloud.events(n)}
    assert tokens == {"token-1"}
    root = cloud.describe("app")["StackId"]
    assert cloud.describe(child)["ParentId"] == cloud.describe(child)["RootId"] == root


def test_a_child_in_creation_can_be_found_through_its_parent(cloud: Cloud) -> None:
    url = cloud.put("slow", WAITING)
    template = {"Resources": {"Slow": nested(url)}}
    cloud.cfn.create_stack(StackName="app", TemplateBody=json.dumps(template))
    deadline = time.monotonic() + 60
    while "Wait CREATE_IN_PROGRESS" not in str(
        [
            cloud.trail(r["PhysicalResourceId"])
            for r in cloud.cfn.list_stack_resources(StackName="app")["StackResourceSummaries"]
        ]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = cloud.physical("app", "Slow")
    cloud.cfn.signal_resource(
        StackName=child, LogicalResourceId="Wait", UniqueId="1", Status="SUCCESS"
    )
    assert cloud.wait("app") == "CREATE_COMPLETE"


def test_an_update_leaves_unchanged_resources_and_their_events_alone(cloud: Cloud) -> None:
    template = deploy(cloud, Note=note("before"))
    child = cloud.physical("app", "Database")
    seen = len(cloud.events(child))
    url = cloud.put("db2", database(Note=note("after")))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    assert cloud.update("app", template) == "UPDATE_COMPLETE"
    trail = cloud.trail(child)[seen:]
    assert [line for line in trail if not line.startswith("app-")] == [
        "Note UPDATE_IN_PROGRESS",
        "Note UPDATE_COMPLETE",
    ]


def test_a_failed_create_rolls_back_every_child_and_gives_the_cause_where_it_arose(
    cloud: Cloud,
) -> None:
    template = master(cloud.put("db", database(Bad=BROKEN)), cloud.put("api", reader()))
    assert cloud.create("app", template) == "ROLLBACK_COMPLETE"
    assert cloud.tables() == []
    failed = [e for e in cloud.events("app") if e["ResourceStatus"] == "CREATE_FAILED"]
    child = failed[0]["ResourceStatusReason"].split()[2]
    assert (
        "was not successfully created: The following resource(s) failed to create: [Bad]"
        in (failed[0]["ResourceStatusReason"])
    )
    assert cloud.describe(child)["StackStatus"] == "DELETE_COMPLETE"
    assert "no-such-export" in next(
        e["ResourceStatusReason"]
        for e in cloud.events(child)
        if e["ResourceStatus"] == "CREATE_FAILED"
    )


def test_a_failed_create_with_disabled_rollback_keeps_the_child_until_it_is_rolled_back(
    cloud: Cloud,
) -> None:
    template = master(cloud.put("db", database(Bad=BROKEN)), cloud.put("api", reader()))
    assert cloud.create("app", template, DisableRollback=True) == "CREATE_FAILED"
    assert len(cloud.tables()) == 1
    cloud.cfn.rollback_stack(StackName="app")
    assert cloud.wait("app") == "ROLLBACK_COMPLETE"
    assert cloud.tables() == []


@pytest.mark.parametrize(
    ("policy", "left_by_rollback", "left_by_delete"),
    [("Delete", 0, 0), ("RetainExceptOnCreate", 0, 1), ("Retain", 1, 1)],
)
def test_the_deletion_policy_inside_a_child_is_honoured(
    cloud: Cloud, policy: str, left_by_rollback: int, left_by_delete: int
) -> None:
    url = cloud.put("db", database(table(policy=policy)))
    api = cloud.put("api", reader(Bad=note({"Fn::ImportValue": "nothing"})))
    assert cloud.create("broken", master(url, api)) == "ROLLBACK_COMPLETE"
    assert len(cloud.tables()) == left_by_rollback
    for name in cloud.tables():
        cloud.dynamodb.delete_table(TableName=name)
    deploy(cloud, table(policy=policy))
    child = cloud.physical("app", "Database")
    assert cloud.delete("app") == "DELETE_COMPLETE"
    assert len(cloud.tables()) == left_by_delete
    skipped = "Jobs DELETE_SKIPPED" in cloud.trail(child)
    assert skipped is bool(left_by_delete)
    assert cloud.describe(child)["StackStatus"] == "DELETE_COMPLETE"


def test_a_stack_with_retained_tables_can_be_created_again(cloud: Cloud) -> None:
    deploy(cloud, table(policy="Retain"))
    cloud.delete("app")
    deploy(cloud, table(policy="Retain"))
    assert len(set(cloud.tables())) == 2


@pytest.mark.parametrize(("policy", "left"), [("Delete", 1), ("Retain", 2)])
def test_a_replaced_table_goes_or_stays_as_its_update_replace_policy_says(
    cloud: Cloud, policy: str, left: int
) -> None:
    template = deploy(cloud, table(policy=policy))
    old = cloud.outputs("app")["Table"]
    url = cloud.put("db2", database(table(key="other", policy=policy)))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    assert cloud.update("app", template) == "UPDATE_COMPLETE"
    new = cloud.outputs("app")["Table"]
    assert new != old
    assert len(cloud.tables()) == left
    assert cloud.dynamodb.describe_table(TableName=new)["Table"]["KeySchema"] == [
        {"AttributeName": "other", "KeyType": "HASH"}
    ]


def test_an_update_that_fails_after_a_child_replaced_its_table_brings_the_items_back(
    cloud: Cloud,
) -> None:
    template = deploy(cloud, Extra=table())
    name, child = cloud.outputs("app")["Table"], cloud.physical("app", "Database")
    extra = cloud.physical(child, "Extra")
    for kept in (name, extra):
        cloud.dynamodb.put_item(TableName=kept, Item={"id": {"S": "1"}})
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = cloud.put(
        "db2", database(table(key="other"))
    )
    template["Resources"]["Api"]["Properties"]["TemplateURL"] = cloud.put(
        "api2", reader(Bad=note({"Fn::ImportValue": "nothing"}))
    )
    assert cloud.update("app", template) == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.outputs("app")["Table"] == name == cloud.physical(child, "Jobs")
    assert cloud.physical(child, "Extra") == extra
    assert sorted(cloud.tables()) == sorted([name, extra])
    for kept in (name, extra):
        assert cloud.dynamodb.scan(TableName=kept)["Count"] == 1
    assert cloud.describe(child)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    template["Resources"]["Api"]["Properties"]["TemplateURL"] = cloud.put("api3", reader())
    assert cloud.update("app", template) == "UPDATE_COMPLETE"
    assert len(cloud.tables()) == 1


def test_a_rollback_that_misses_a_template_fails_and_can_be_continued(cloud: Cloud) -> None:
    template = deploy(cloud)
    s3 = cloud.client("s3")
    s3.delete_object(Bucket="templates", Key="db1")
    url = cloud.put("db2", database(Bad=BROKEN))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    assert cloud.update("app", template) == "UPDATE_ROLLBACK_FAILED"
    cloud.put("db1", database())
    cloud.cfn.continue_update_rollback(StackName="app")
    assert cloud.wait("app") == "UPDATE_ROLLBACK_COMPLETE"


def test_a_failed_rollback_inside_a_child_can_be_continued_once_the_cause_is_gone(
    cloud: Cloud,
) -> None:
    child = reach_a_failed_rollback_inside_a_child(cloud)
    cloud.cfn.continue_update_rollback(StackName="app")
    assert cloud.wait("app") == "UPDATE_ROLLBACK_FAILED"
    cloud.client("s3").put_object(Bucket="templates", Key="code1", Body=FUNCTION_ZIP.getvalue())
    cloud.cfn.continue_update_rollback(StackName="app")
    assert cloud.wait("app") == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.describe(child)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_a_removed_child_is_deleted_with_what_it_does_not_retain(cloud: Cloud) -> None:
    template = deploy(cloud, table(policy="Retain"), Extra=table())
    assert len(cloud.tables()) == 2
    template["Resources"] = {"Note": note()}
    template["Outputs"] = {}
    assert cloud.update("app", template) == "UPDATE_COMPLETE"
    assert len(cloud.tables()) == 1


def test_three_levels_share_one_root(cloud: Cloud) -> None:
    inner = cloud.put("inner", database())
    middle = cloud.put("middle", {"Resources": {"Inner": nested(inner)}})
    cloud.create("app", {"Resources": {"Middle": nested(middle)}})
    root = cloud.describe("app")["StackId"]
    middle_stack = cloud.physical("app", "Middle")
    leaf = cloud.describe(cloud.physical(middle_stack, "Inner"))
    assert (leaf["RootId"], leaf["ParentId"]) == (root, middle_stack)
    assert cloud.delete("app") == "DELETE_COMPLETE"
    assert cloud.tables() == []


# Tables


def test_a_table_with_a_taken_name_is_refused(cloud: Cloud) -> None:
    named = {"Resources": {"Jobs": table(TableName="jobs")}}
    cloud.create("one", named)
    cloud.dynamodb.put_item(TableName="jobs", Item={"id": {"S": "1"}})
    assert cloud.create("two", named) == "ROLLBACK_COMPLETE"
    assert cloud.dynamodb.scan(TableName="jobs")["Count"] == 1


def test_a_protected_table_is_not_deleted(cloud: Cloud) -> None:
    deploy(cloud, table(DeletionProtectionEnabled=True))
    assert cloud.delete("app") == "DELETE_FAILED"
    assert len(cloud.tables()) == 1


def test_recovery_lifetime_and_encryption_of_a_table_follow_the_template(cloud: Cloud) -> None:
    settings: Json = {
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
        "SSESpecification": {"SSEEnabled": True},
    }
    template = {"Resources": {"Jobs": table(TableName="jobs", **settings)}}
    cloud.create("one", template)

    def recovery() -> str:
        answer = cloud.dynamodb.describe_continuous_backups(TableName="jobs")
        found: str = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"][
            "PointInTimeRecoveryStatus"
        ]
        return found

    assert recovery() == "ENABLED"
    lifetime = cloud.dynamodb.describe_time_to_live(TableName="jobs")["TimeToLiveDescription"]
    assert lifetime == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    described = cloud.dynamodb.describe_table(TableName="jobs")["Table"]
    assert described["SSEDescription"]["Status"] == "ENABLED"
    settings["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] = False
    cloud.update("one", {"Resources": {"Jobs": table(TableName="jobs", **settings)}})
    assert recovery() == "DISABLED"


# Change sets


def test_a_nested_change_set_shows_the_change_inside_the_child(cloud: Cloud) -> None:
    template = deploy(cloud)
    url = cloud.put("db2", database(table(key="other", policy="Retain")))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    root = cloud.change_set("app", template)
    assert (root["Status"], root["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert root["IncludeNestedStacks"] is True
    assert "ParentChangeSetId" not in root
    row = rows(root)["Database"]
    assert row["Replacement"] == "False"
    assert row["Details"][-1] == {
        "Target": {"Attribute": "Properties", "RequiresRecreation": "Never"},
        "Evaluation": "Dynamic",
        "ChangeSource": "Automatic",
    }
    child = cloud.read(row["ChangeSetId"])
    assert (child["Status"], child["ExecutionStatus"], child["StatusReason"]) == (
        "CREATE_COMPLETE",
        "UNAVAILABLE",
        "Executable from root change set",
    )
    assert child["ParentChangeSetId"] == child["RootChangeSetId"] == root["ChangeSetId"]
    assert child["StackId"] == cloud.physical("app", "Database")
    change = rows(child)["Jobs"]
    assert (change["Action"], change["Replacement"]) == ("Modify", "Conditional")
    key = next(d for d in change["Details"] if d["Target"].get("Name") == "KeySchema")
    assert key["Target"] == {
        "Attribute": "Properties",
        "Name": "KeySchema",
        "RequiresRecreation": "Conditionally",
        "Path": "/Properties/KeySchema",
        "AttributeChangeType": "Modify",
        "BeforeValue": '[{"AttributeName":"id","KeyType":"HASH"}]',
        "AfterValue": '[{"AttributeName":"other","KeyType":"HASH"}]',
    }
    assert json.loads(change["BeforeContext"])["DeletionPolicy"] == "Delete"
    assert json.loads(change["AfterContext"])["DeletionPolicy"] == "Retain"


def test_values_are_only_shown_when_asked_for(cloud: Cloud) -> None:
    template = deploy(cloud)
    template["Resources"]["Note"] = note()
    made = cloud.change_set("app", template)
    bare = cloud.cfn.describe_change_set(ChangeSetName=made["ChangeSetId"])
    assert "AfterContext" in rows(made)["Note"]
    assert "AfterContext" not in rows(bare)["Note"]


def test_secret_values_are_masked(cloud: Cloud) -> None:
    def template(default: str) -> Json:
        secret = {"Type": "String", "NoEcho": True, "Default": default}
        return {"Parameters": {"Key": secret}, "Resources": {"Note": note({"Ref": "Key"})}}

    cloud.create("app", template("first-secret"))
    made = cloud.change_set("app", template("second-secret"))
    assert rows(made)["Note"]["Action"] == "Modify"
    assert "-secret" not in json.dumps(made["Changes"])


def test_a_child_without_changes_has_an_empty_failed_change_set(cloud: Cloud) -> None:
    template = deploy(cloud)
    url = cloud.put("api2", reader(Note=note()))
    template["Resources"]["Api"]["Properties"]["TemplateURL"] = url
    root = cloud.change_set("app", template)
    assert root["ExecutionStatus"] == "AVAILABLE"
    child = cloud.read(rows(root)["Database"]["ChangeSetId"])
    assert (child["Status"], child["ExecutionStatus"], child["Changes"]) == (
        "FAILED",
        "UNAVAILABLE",
        [],
    )
    assert "didn't contain changes" in child["StatusReason"]
    api = cloud.read(rows(root)["Api"]["ChangeSetId"])
    assert set(rows(api)) == {"Note"}, "an output that does not change must change nothing"


def test_what_reads_the_output_of_a_changing_child_is_a_dynamic_change(cloud: Cloud) -> None:
    template = deploy(cloud)
    url = cloud.put("db2", database(table(key="other")))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    root = cloud.change_set("app", template)
    change = rows(cloud.read(rows(root)["Api"]["ChangeSetId"]))["Reader"]
    assert {d["Evaluation"] for d in change["Details"]} == {"Dynamic"}
    assert change["Details"][0]["Target"]["AfterValue"] == "{{changeSet:KNOWN_AFTER_APPLY}}"


def test_nothing_to_change_anywhere_fails_the_root(cloud: Cloud) -> None:
    root = cloud.change_set("app", deploy(cloud))
    assert (root["Status"], root["ExecutionStatus"], root["Changes"]) == (
        "FAILED",
        "UNAVAILABLE",
        [],
    )
    assert "didn't contain changes" in root["StatusReason"]


def test_a_new_stack_can_be_reviewed_executed_and_is_the_one_that_was_shown(
    cloud: Cloud,
) -> None:
    template = master(cloud.put("db", database()), cloud.put("api", reader()))
    root = cloud.change_set("app", template, ChangeSetType="CREATE")
    child = cloud.read(rows(root)["Database"]["ChangeSetId"])
    assert cloud.describe(child["StackId"])["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert rows(child)["Jobs"]["Action"] == "Add"
    cloud.cfn.execute_change_set(ChangeSetName=root["ChangeSetId"])
    assert cloud.wait("app") == "CREATE_COMPLETE"
    assert cloud.physical("app", "Database") == child["StackId"]


def test_deleting_the_root_change_set_deletes_the_children_and_what_was_under_review(
    cloud: Cloud,
) -> None:
    template = deploy(cloud)
    template["Resources"]["Second"] = nested(cloud.put("second", database()))
    root = cloud.change_set("app", template)
    second = cloud.read(rows(root)["Second"]["ChangeSetId"])
    assert cloud.describe(second["StackId"])["StackStatus"] == "REVIEW_IN_PROGRESS"
    cloud.cfn.delete_change_set(ChangeSetName=root["ChangeSetId"])
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        cloud.read(second["ChangeSetId"])
    with pytest.raises(ClientError, match="does not exist"):
        cloud.describe(second["StackId"])


@pytest.mark.parametrize("operation", ["execute_change_set", "delete_change_set"])
def test_a_child_change_set_is_executed_and_deleted_from_its_root_only(
    cloud: Cloud, operation: str
) -> None:
    template = deploy(cloud)
    template["Resources"]["Note"] = note()
    root = cloud.change_set("app", template)
    child = rows(root)["Database"]["ChangeSetId"]
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        getattr(cloud.cfn, operation)(ChangeSetName=child)


def test_executing_the_root_executes_the_children(cloud: Cloud) -> None:
    template = deploy(cloud)
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = cloud.put(
        "db2", database(Note=note())
    )
    root = cloud.change_set("app", template)
    cloud.cfn.execute_change_set(ChangeSetName="preview", StackName=root["StackId"])
    assert cloud.wait("app") == "UPDATE_COMPLETE"
    assert cloud.physical(cloud.physical("app", "Database"), "Note")
    assert cloud.read(root["ChangeSetId"])["ExecutionStatus"] == "EXECUTE_COMPLETE"


def test_a_removed_child_and_its_policy_are_listed(cloud: Cloud) -> None:
    template = deploy(cloud)
    template["Resources"].pop("Api")
    row = rows(cloud.change_set("app", template))["Api"]
    assert (row["Action"], row["PolicyAction"]) == ("Remove", "Delete")


def test_a_condition_that_turns_false_removes_what_it_guards(cloud: Cloud) -> None:
    def template(wanted: str) -> Json:
        return {
            "Parameters": {"Wanted": {"Type": "String", "Default": wanted}},
            "Conditions": {"IsWanted": {"Fn::Equals": [{"Ref": "Wanted"}, "yes"]}},
            "Resources": {"Jobs": {**table(), "Condition": "IsWanted"}, "Note": note()},
        }

    cloud.create("app", template("yes"))
    row = rows(cloud.change_set("app", template("no")))["Jobs"]
    assert (row["Action"], row["PolicyAction"]) == ("Remove", "Delete")


def test_a_tag_replaces_nothing(cloud: Cloud) -> None:
    template = deploy(cloud)
    url = cloud.put("db2", database(table(Tags=[{"Key": "a", "Value": "b"}])))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    root = cloud.change_set("app", template)
    change = rows(cloud.read(rows(root)["Database"]["ChangeSetId"]))["Jobs"]
    assert (change["Replacement"], change["Scope"]) == ("False", ["Tags"])


def bucket(days: int) -> Json:
    rule = {"Id": "old", "Status": "Enabled", "ExpirationInDays": days}
    properties = {"LifecycleConfiguration": {"Rules": [rule]}}
    return {"Resources": {"Data": {"Type": "AWS::S3::Bucket", "Properties": properties}}}


def test_a_setting_of_a_bucket_replaces_nothing(cloud: Cloud) -> None:
    cloud.create("app", bucket(1))
    assert rows(cloud.change_set("app", bucket(2)))["Data"]["Replacement"] == "False"


def test_a_missing_child_template_fails_the_whole_change_set(cloud: Cloud) -> None:
    template = deploy(cloud)
    url = template["Resources"]["Api"]["Properties"]["TemplateURL"]
    template["Resources"]["Api"]["Properties"]["TemplateURL"] = url + "-missing"
    root = cloud.change_set("app", template)
    assert root["Status"] == "FAILED"
    assert "was not successfully created: Currently in FAILED" in root["StatusReason"]


def test_lists_of_change_sets_tell_roots_from_children(cloud: Cloud) -> None:
    template = deploy(cloud)
    template["Resources"]["Note"] = note()
    root = cloud.change_set("app", template)
    stack = cloud.physical("app", "Database")
    listed = cloud.cfn.list_change_sets(StackName=stack)["Summaries"]
    assert [entry["RootChangeSetId"] for entry in listed] == [root["ChangeSetId"]]


# Types, endpoints, regions, persistence


def test_the_types_upstream_lacks_can_be_created_updated_and_deleted(cloud: Cloud) -> None:
    template: Json = {
        "Resources": {
            "Pool": {"Type": "AWS::Cognito::UserPool", "Properties": {}},
            "Admins": {
                "Type": "AWS::Cognito::UserPoolGroup",
                "Properties": {"UserPoolId": {"Ref": "Pool"}, "GroupName": "admins"},
            },
            "Admin": {
                "Type": "AWS::Cognito::UserPoolUser",
                "Properties": {"UserPoolId": {"Ref": "Pool"}, "Username": "admin"},
            },
            "Member": {
                "Type": "AWS::Cognito::UserPoolUserToGroupAttachment",
                "DependsOn": "Admins",
                "Properties": {
                    "UserPoolId": {"Ref": "Pool"},
                    "Username": {"Ref": "Admin"},
                    "GroupName": "admins",
                },
            },
            "App": {"Type": "AWS::Amplify::App", "Properties": {"Name": "web"}},
            "Main": {
                "Type": "AWS::Amplify::Branch",
                "Properties": {
                    "AppId": {"Fn::GetAtt": ["App", "AppId"]},
                    "BranchName": "main",
                },
            },
            "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
            "Gateway": {
                "Type": "AWS::EC2::NatGateway",
                "Properties": {
                    "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
                    "SubnetId": "subnet-1",
                },
            },
            "Log": {
                "Type": "AWS::EC2::FlowLog",
                "Properties": {"ResourceId": "vpc-1", "ResourceType": "VPC"},
            },
            "Profile": {
                "Type": "AWS::Bedrock::ApplicationInferenceProfile",
                "Properties": {
                    "InferenceProfileName": "tagged",
                    "ModelSource": {"CopyFrom": "arn:aws:bedrock:::foundation-model/m"},
                },
            },
            "Budget": {
                "Type": "AWS::Budgets::Budget",
                "Properties": {"Budget": {"BudgetType": "COST", "TimeUnit": "MONTHLY"}},
            },
        },
        "Outputs": {
            "Domain": {"Value": {"Fn::GetAtt": ["App", "DefaultDomain"]}},
            "Branch": {"Value": {"Ref": "Main"}},
            "Pool": {"Value": {"Ref": "Pool"}},
            "Profile": {"Value": {"Fn::GetAtt": ["Profile", "InferenceProfileArn"]}},
        },
    }
    assert cloud.create("app", template) == "CREATE_COMPLETE"
    outputs = cloud.outputs("app")
    assert outputs["Domain"].endswith(".amplifyapp.com")
    assert outputs["Branch"].startswith(f"arn:aws:amplify:{REGION}:{ACCOUNT}:apps/")
    members = cloud.client("cognito-idp").list_users_in_group(
        UserPoolId=outputs["Pool"], GroupName="admins"
    )
    assert [user["Username"] for user in members["Users"]] == ["admin"]
    template["Resources"]["App"]["Properties"]["Description"] = "changed"
    assert cloud.update("app", template) == "UPDATE_COMPLETE"
    assert cloud.outputs("app") == outputs
    assert cloud.delete("app") == "DELETE_COMPLETE"


HEALTH = """
import boto3, json, os

def handler(event, context):
    names = boto3.client("dynamodb").list_tables()["TableNames"]
    return {"statusCode": 200, "body": json.dumps([os.environ["AWS_REGION"], names])}
"""


def web(name: str = "health") -> Json:
    """An HTTP API whose function asks DynamoDB for its tables."""
    invoke = {"Fn::GetAtt": ["Function", "Arn"]}
    return {
        "Resources": {
            "Jobs": table(),
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": name,
                    "Runtime": "python3.12",
                    "Handler": "index.handler",
                    "Role": f"arn:aws:iam::{ACCOUNT}:role/any",
                    "Code": {"ZipFile": HEALTH},
                },
            },
            "Api": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {"Name": "web", "ProtocolType": "HTTP"},
            },
            "Integration": {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": invoke,
                    "PayloadFormatVersion": "2.0",
                },
            },
            "Route": {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "RouteKey": "GET /health",
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "Integration"}]]},
                },
            },
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "StageName": "$default",
                    "AutoDeploy": True,
                },
            },
        },
        "Outputs": {
            "Url": {"Value": {"Fn::Sub": "${Api.ApiEndpoint}/health"}},
            "Table": {"Value": {"Ref": "Jobs"}},
        },
    }


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def test_the_reported_api_endpoint_answers_through_a_function_that_uses_aws(
    cloud: Cloud,
) -> None:
    assert cloud.create("web", web()) == "CREATE_COMPLETE"
    outputs = cloud.outputs("web")
    assert fetch(outputs["Url"]) == [REGION, [outputs["Table"]]]
    apis = cloud.client("apigatewayv2").get_apis()["Items"]
    assert [f"{api['ApiEndpoint']}/health" for api in apis] == [outputs["Url"]]


def test_regions_and_accounts_do_not_meet_but_bucket_names_are_global(server: str) -> None:
    reset(server)
    west, east = Cloud(server, "us-west-2"), Cloud(server, "eu-west-1")
    other = Cloud(server, "us-west-2", "111122223333")
    for cloud in (west, east, other):
        assert cloud.create("app", {"Resources": {"Jobs": table()}}) == "CREATE_COMPLETE"
        assert len(cloud.tables()) == 1
        assert cloud.describe("app")["StackId"].split(":")[3:5] == [cloud.region, cloud.account]
    west.put("x", {})
    with pytest.raises(ClientError, match="BucketAlready"):
        other.client("s3").create_bucket(
            Bucket="templates", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )


def test_state_survives_a_clean_stop(tmp_path: Path) -> None:
    with serving("--state", str(tmp_path)) as endpoint:
        cloud = Cloud(endpoint)
        template = deploy(cloud)
        name = cloud.outputs("app")["Table"]
        cloud.dynamodb.put_item(TableName=name, Item={"id": {"S": "1"}})
        cloud.create("web", web())
        body = json.dumps(WAITING)
        cloud.cfn.create_stack(StackName="interrupted", TemplateBody=body)
        port = int(endpoint.rsplit(":", 1)[1])
    with serving("--state", str(tmp_path), port=port) as endpoint:
        cloud = Cloud(endpoint)
        assert cloud.dynamodb.scan(TableName=name)["Count"] == 1
        assert fetch(cloud.outputs("web")["Url"])[0] == REGION
        assert cloud.describe("interrupted")["StackStatus"] == "CREATE_FAILED"
        url = cloud.put("db2", database(Note=note()))
        template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
        assert cloud.update("app", template) == "UPDATE_COMPLETE"
        assert cloud.outputs("app")["Table"] == name
        body = cloud.client("s3").get_object(Bucket="templates", Key="db1")["Body"].read()
        assert json.loads(body) == database()
        assert cloud.delete("interrupted") == "DELETE_COMPLETE"


def test_a_delay_per_resource_keeps_the_server_answering_and_stacks_side_by_side() -> None:
    with serving("--delay", "0.3") as endpoint:
        cloud = Cloud(endpoint)
        template = {"Resources": {"A": note(), "B": note(DependsOn="A")}}
        names = ("one", "two", "three")
        for name in names:
            cloud.cfn.create_stack(StackName=name, TemplateBody=json.dumps(template))
        assert {cloud.wait(name) for name in names} == {"CREATE_COMPLETE"}
        times = {name: [event["Timestamp"] for event in cloud.events(name)] for name in names}
        # Side by side: the last has begun before the first has ended, however slow the machine.
        assert min(times["three"]) < max(times["one"])
        assert all(max(one) - min(one) >= timedelta(seconds=0.6) for one in times.values())


def test_nothing_of_the_callers_aws_settings_reaches_a_function() -> None:
    show = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", show)
    leaked = {
        "AWS_PROFILE": "prod",
        "AWS_ENDPOINT_URL": "https://example.org",
        "AWS_SECRET_ACCESS_KEY": "real-secret",
    }
    with serving(environment=leaked) as endpoint:
        client = Cloud(endpoint).client("lambda")
        client.create_function(
            FunctionName="show",
            Runtime="python3.12",
            Handler="index.handler",
            Role=f"arn:aws:iam::{ACCOUNT}:role/any",
            Code={"ZipFile": archive.getvalue()},
        )
        seen = json.load(client.invoke(FunctionName="show")["Payload"])
    assert seen["AWS_ENDPOINT_URL"] == endpoint
    assert "AWS_PROFILE" not in seen
    assert seen["AWS_SECRET_ACCESS_KEY"] != "real-secret"


# Canaries: upstream, without the amendments


def test_canary_nested_stacks_are_whole(upstream: Cloud) -> None:
    template = deploy(upstream, table(policy="Retain"), Note=note("1"))
    url = upstream.put("db2", database(table(policy="Retain"), Note=note("2")))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    still_defective(
        upstream.update("app", template) != "UPDATE_COMPLETE", "nested_stacks_are_whole (update)"
    )
    upstream.delete("app")
    still_defective(upstream.tables() == [], "nested_stacks_are_whole (retain)")


def test_canary_nested_change_sets_exist(upstream: Cloud) -> None:
    template = deploy(upstream)
    template["Resources"]["Note"] = note()
    root = upstream.change_set("app", template)
    still_defective(
        not any("ChangeSetId" in row for row in rows(root).values()), "nested_change_sets_exist"
    )
    still_defective("AfterContext" not in rows(root)["Note"], "nested_change_sets_exist (values)")


VIRTUAL_HOST = f"https://templates.s3.{REGION}.amazonaws.com/db"


def test_a_template_url_may_name_the_bucket_in_its_host(cloud: Cloud) -> None:
    cloud.put("db", database())
    cloud.cfn.create_stack(StackName="app", TemplateURL=VIRTUAL_HOST)
    assert cloud.wait("app") == "CREATE_COMPLETE"
    assert cloud.create("parent", {"Resources": {"N": nested(VIRTUAL_HOST)}}) == "CREATE_COMPLETE"


def test_canary_virtual_hosted_template_urls_work(upstream: Cloud) -> None:
    upstream.put("db", database())
    with contextlib.suppress(ClientError):
        upstream.cfn.create_stack(StackName="app", TemplateURL=VIRTUAL_HOST)
        still_defective(False, "virtual_hosted_template_urls_work")


def test_canary_generated_names_are_fresh(upstream: Cloud) -> None:
    def name() -> str:
        upstream.create("app", {"Resources": {"Jobs": table()}})
        found = upstream.tables()[0]
        upstream.delete("app")
        return found

    still_defective(name() == name(), "generated_names_are_fresh")


def test_canary_updates_touch_only_what_changed(upstream: Cloud) -> None:
    upstream.create("app", {"Resources": {"A": note("1"), "B": note("1")}})
    upstream.update("app", {"Resources": {"A": note("1"), "B": note("2")}})
    still_defective("A UPDATE_COMPLETE" in upstream.trail("app"), "updates_touch_only_what_changed")


def restore_a_table(cloud: Cloud) -> Json:
    """Restore a table from a backup and return what is told of it and of the backup."""
    cloud.create("app", {"Resources": {"Jobs": table(TableName="jobs")}})
    backup = cloud.dynamodb.create_backup(TableName="jobs", BackupName="before")["BackupDetails"]
    cloud.dynamodb.restore_table_from_backup(TargetTableName="copy", BackupArn=backup["BackupArn"])
    described: Json = cloud.dynamodb.describe_table(TableName="copy")["Table"]
    return {"told": described.get("RestoreSummary", {}), "backup": backup["BackupArn"]}


def test_a_restored_table_tells_from_which_backup(cloud: Cloud) -> None:
    restored = restore_a_table(cloud)
    assert restored["told"]["SourceBackupArn"] == restored["backup"]


def test_canary_restored_tables_say_so(upstream: Cloud) -> None:
    still_defective(restore_a_table(upstream)["told"] == {}, "restored_tables_say_so")


def test_canary_tables_keep_their_data(upstream: Cloud) -> None:
    named = {"Resources": {"Jobs": table(TableName="jobs", DeletionProtectionEnabled=True)}}
    upstream.create("one", named)
    upstream.dynamodb.put_item(TableName="jobs", Item={"id": {"S": "1"}})
    upstream.create("two", named)
    still_defective(
        upstream.dynamodb.scan(TableName="jobs")["Count"] == 0, "tables_keep_their_data (names)"
    )
    upstream.delete("one")
    still_defective(upstream.tables() == [], "tables_keep_their_data (protection)")


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::Amplify::App",
        "AWS::Amplify::Branch",
        "AWS::Bedrock::ApplicationInferenceProfile",
        "AWS::Budgets::Budget",
        "AWS::Cognito::UserPoolUser",
        "AWS::Cognito::UserPoolUserToGroupAttachment",
        "AWS::EC2::EIP",
        "AWS::EC2::FlowLog",
        "AWS::EC2::NatGateway",
    ],
)
def test_canary_missing_types_exist(upstream: Cloud, kind: str) -> None:
    template = json.dumps({"Resources": {"Missing": {"Type": kind, "Properties": {}}}})
    with contextlib.suppress(ClientError):
        upstream.cfn.create_stack(StackName="app", TemplateBody=template)
        still_defective(False, f"missing_types_exist ({kind})")


def test_canary_api_endpoints_answer(upstream: Cloud) -> None:
    upstream.create("web", web())
    still_defective(
        ".execute-api.localhost" in upstream.outputs("web")["Url"], "api_endpoints_answer"
    )


def test_canary_interrupted_operations_end(tmp_path: Path) -> None:
    arguments = ("--plain", "--state", str(tmp_path))
    with serving(*arguments) as endpoint:
        body = json.dumps(WAITING)
        Cloud(endpoint).cfn.create_stack(StackName="app", TemplateBody=body)
    with serving(*arguments) as endpoint:
        status = Cloud(endpoint).describe("app")["StackStatus"]
    still_defective(status == "CREATE_IN_PROGRESS", "interrupted_operations_end")


def test_canary_change_sets_know_what_replaces(upstream: Cloud) -> None:
    upstream.create("app", bucket(1))
    row = rows(upstream.change_set("app", bucket(2)))["Data"]
    still_defective(row["Replacement"] == "Conditional", "change_sets_know_what_replaces")


# Amplify


def deployment(cloud: Cloud, app: str, content: bytes) -> str:
    """Deploy a zip by hand and return the state that its job ends in."""
    amplify, place = cloud.client("amplify"), {"appId": app, "branchName": "main"}
    made = amplify.create_deployment(**place)
    request = urllib.request.Request(made["zipUploadUrl"], content, method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass
    amplify.start_deployment(**place, jobId=made["jobId"])
    job = amplify.get_job(**place, jobId=made["jobId"])["job"]
    return str(job["summary"]["status"])


def test_a_site_is_deployed_from_a_zip_with_a_page_and_from_no_other(cloud: Cloud) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        opened.writestr("index.html", "hello")
    assert deployment(cloud, "d1", written.getvalue()) == "SUCCEED"
    assert deployment(cloud, "d1", b"no zip") == "FAILED"


def test_a_deployment_waits_for_the_one_before_and_jobs_that_are_not_there_are_not_found(
    cloud: Cloud,
) -> None:
    amplify = cloud.client("amplify")
    amplify.create_deployment(appId="d2", branchName="main")
    with pytest.raises(ClientError, match="was not finished, please wait"):
        amplify.create_deployment(appId="d2", branchName="main")
    with pytest.raises(ClientError, match="NotFoundException"):
        amplify.get_job(appId="d2", branchName="main", jobId="7")
    with pytest.raises(ClientError, match="501"):
        amplify.get_app(appId="d2")


def test_canary_sites_are_deployed(upstream: Cloud) -> None:
    with contextlib.suppress(ClientError):
        upstream.client("amplify").create_deployment(appId="d1", branchName="main")
        still_defective(False, "sites_are_deployed")
