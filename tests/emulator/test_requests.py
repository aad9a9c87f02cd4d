"""What CloudFormation refuses, remembers and answers before it touches a resource."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import (
    ACCOUNT,
    REGION,
    WAITING,
    Cloud,
    Json,
    database,
    deploy,
    nested,
    note,
    still_defective,
    table,
)

NOTES: Json = {"Resources": {"Note": note()}}
ROLE: Json = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
}
BROKEN_NOTES: Json = {"Resources": {"Note": note({"Fn::ImportValue": "nothing"})}}


def refused(words: str) -> Any:
    return pytest.raises(ClientError, match=words)


def make_role(cloud: Cloud, name: str = "deployer") -> str:
    arn: str = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")[
        "Role"
    ]["Arn"]
    return arn


# Capabilities


def test_a_role_needs_a_capability_in_a_creation_and_in_a_change_set(cloud: Cloud) -> None:
    template = {"Resources": {"Role": ROLE}}
    words = r"InsufficientCapabilitiesException.*Requires capabilities : \[CAPABILITY_IAM\]"
    with refused(words):
        cloud.create("app", template)
    with refused(words):
        cloud.change_set("app", template, ChangeSetType="CREATE")
    assert cloud.create("app", template, Capabilities=["CAPABILITY_IAM"]) == "CREATE_COMPLETE"


def test_a_role_with_a_name_needs_the_capability_for_names(cloud: Cloud) -> None:
    properties = {**ROLE["Properties"], "RoleName": "named"}
    template = {"Resources": {"Role": {**ROLE, "Properties": properties}}}
    with refused(r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        cloud.create("app", template, Capabilities=["CAPABILITY_IAM"])


def test_a_role_in_a_child_needs_the_capability_of_the_root(cloud: Cloud) -> None:
    template = {"Resources": {"Child": nested(cloud.put("iam", {"Resources": {"Role": ROLE}}))}}
    made = cloud.change_set("app", template, ChangeSetType="CREATE")
    assert made["Status"] == "FAILED"
    child = made["StatusReason"].split()[3]
    assert cloud.read(child)["StatusReason"] == "Requires capabilities : [CAPABILITY_IAM]"
    assert cloud.create("other", template) == "ROLLBACK_COMPLETE"
    granted = cloud.create("third", template, Capabilities=["CAPABILITY_IAM"])
    assert granted == "CREATE_COMPLETE"


def test_canary_capabilities_are_checked(upstream: Cloud) -> None:
    status = upstream.create("app", {"Resources": {"Role": ROLE}})
    still_defective(status == "CREATE_COMPLETE", "capabilities_are_checked")


# Parameters


def test_parameters_that_the_template_does_not_declare_are_refused(cloud: Cloud) -> None:
    given = [{"ParameterKey": "Colour", "ParameterValue": "red"}]
    with refused(r"Parameters: \[Colour\] do not exist in the template"):
        cloud.create("app", database(), Parameters=given)
    with refused("Parameter values specified for a template which does not require them"):
        cloud.create("app", NOTES, Parameters=given)


def test_parameters_without_a_value_are_all_named(cloud: Cloud) -> None:
    declared = {"First": {"Type": "String"}, "Second": {"Type": "String"}}
    with refused(r"Parameters: \[First, Second\] must have values"):
        cloud.create("app", {**NOTES, "Parameters": declared})


def test_a_parameter_that_a_child_does_not_declare_fails_the_child(cloud: Cloud) -> None:
    template = {"Resources": {"Child": nested(cloud.put("db", database()), Colour="red")}}
    made = cloud.change_set("app", template, ChangeSetType="CREATE")
    assert cloud.read(made["StatusReason"].split()[3])["StatusReason"] == (
        "Parameters: [Colour] do not exist in the template"
    )


def test_canary_parameters_are_checked(upstream: Cloud) -> None:
    given = [{"ParameterKey": "Colour", "ParameterValue": "red"}]
    status = upstream.create("app", NOTES, Parameters=given)
    still_defective(status == "CREATE_COMPLETE", "parameters_are_checked")


# States


def start_waiting(cloud: Cloud) -> str:
    started = cloud.cfn.create_stack(StackName="app", TemplateBody=json.dumps(WAITING))
    stack_id: str = started["StackId"]
    return stack_id


def test_nothing_starts_while_an_operation_is_in_progress(cloud: Cloud) -> None:
    stack_id = start_waiting(cloud)
    words = f"Stack:{stack_id} is in CREATE_IN_PROGRESS state and can not be updated."
    with refused(words):
        cloud.change_set("app", NOTES)
    with refused(words):
        cloud.update("app", NOTES)


def test_a_change_set_that_waited_is_not_executed_into_a_running_operation(cloud: Cloud) -> None:
    cloud.create("app", NOTES)
    made = cloud.change_set("app", {"Resources": {"Note": note("other")}})
    waiting = {"Resources": {**NOTES["Resources"], **WAITING["Resources"]}}
    cloud.cfn.update_stack(StackName="app", TemplateBody=json.dumps(waiting))
    with refused("InvalidChangeSetStatus|is in UPDATE_IN_PROGRESS state"):
        cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])


def test_a_stack_that_rolled_back_is_neither_created_over_nor_updated(cloud: Cloud) -> None:
    assert cloud.create("app", BROKEN_NOTES) == "ROLLBACK_COMPLETE"
    with refused(r"AlreadyExistsException.*Stack \[app\] already exists"):
        cloud.create("app", NOTES)
    words = r"\[app\] already exists and cannot be created again with the changeSet \[preview\]"
    with refused(f"ValidationError.*{words}"):
        cloud.change_set("app", NOTES, ChangeSetType="CREATE")
    for act in (cloud.change_set, cloud.update):
        with refused("is in ROLLBACK_COMPLETE state and can not be updated"):
            act("app", NOTES)
    cloud.delete("app")
    assert cloud.create("app", NOTES) == "CREATE_COMPLETE"


def test_canary_states_are_guarded(upstream: Cloud) -> None:
    upstream.create("app", BROKEN_NOTES)
    created = upstream.create("app", NOTES)
    still_defective(created == "CREATE_COMPLETE", "states_are_guarded (ROLLBACK_COMPLETE)")
    upstream.cfn.delete_stack(StackName="app")
    start_waiting(upstream)
    made = upstream.change_set("app", NOTES)
    still_defective(made["Status"] == "CREATE_COMPLETE", "states_are_guarded (in progress)")


def test_a_deleted_stack_is_found_by_its_arn_only_even_after_another_has_its_name(
    cloud: Cloud,
) -> None:
    cloud.create("app", NOTES)
    first = cloud.describe("app")["StackId"]
    cloud.delete("app")
    with refused("does not exist"):
        cloud.events("app")
    with refused(f"Stack:{first} is in DELETE_COMPLETE state and can not be updated"):
        cloud.update(first, NOTES)
    cloud.create("app", NOTES)
    assert cloud.describe(first)["StackStatus"] == "DELETE_COMPLETE"
    assert cloud.describe("app")["StackId"] != first
    assert cloud.trail(first)[-1] == "app DELETE_COMPLETE"


def test_canary_deleted_stacks_are_remembered(upstream: Cloud) -> None:
    upstream.create("app", NOTES)
    first = upstream.describe("app")["StackId"]
    upstream.delete("app")
    still_defective(bool(upstream.events("app")), "deleted_stacks_are_remembered (name)")
    upstream.create("app", NOTES)
    with contextlib.suppress(ClientError):
        upstream.describe(first)
        still_defective(False, "deleted_stacks_are_remembered (ARN)")


# Roles and what DescribeStacks shows


def test_a_service_role_is_kept_for_later_operations(cloud: Cloud) -> None:
    role = make_role(cloud)
    cloud.create("app", NOTES, RoleARN=role)
    assert cloud.describe("app")["RoleARN"] == role
    cloud.update("app", {"Resources": {"Note": note("other")}})
    assert cloud.describe("app")["RoleARN"] == role


def test_the_service_role_of_a_change_set_is_the_stacks_from_its_execution_on(
    cloud: Cloud,
) -> None:
    role = make_role(cloud)
    made = cloud.change_set("app", NOTES, ChangeSetType="CREATE", RoleARN=role)
    assert "RoleARN" not in cloud.describe("app")
    cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
    assert cloud.wait("app") == "CREATE_COMPLETE"
    assert cloud.describe("app")["RoleARN"] == role


def test_a_service_role_that_does_not_exist_is_refused(cloud: Cloud) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    with refused(f"Role {arn} is invalid or cannot be assumed"):
        cloud.create("app", NOTES, RoleARN=arn)


def test_canary_service_roles_are_remembered(upstream: Cloud) -> None:
    status = upstream.create("app", NOTES, RoleARN=f"arn:aws:iam::{ACCOUNT}:role/nobody")
    still_defective(status == "CREATE_COMPLETE", "service_roles_are_remembered")


def test_a_nested_stack_is_described_with_its_family(cloud: Cloud) -> None:
    deploy(cloud)
    root, child = cloud.describe("app"), cloud.describe(cloud.physical("app", "Database"))
    assert "ParentId" not in root
    assert child["ParentId"] == child["RootId"] == root["StackId"]


def test_canary_stacks_are_described_whole(upstream: Cloud) -> None:
    deploy(upstream)
    child = upstream.describe(upstream.physical("app", "Database"))
    still_defective("RootId" not in child, "stacks_are_described_whole")


# Templates


def umlaut(value: str = "x") -> str:
    return json.dumps({"Description": "Größe – 文", **NOTES}, ensure_ascii=False).replace(
        '"x"', f'"{value}"'
    )


def test_a_template_comes_back_with_a_question_mark_for_each_character_beyond_ascii(
    cloud: Cloud,
) -> None:
    cloud.cfn.create_stack(StackName="app", TemplateBody=umlaut())
    cloud.wait("app")
    body = cloud.cfn.get_template(StackName="app")["TemplateBody"]
    assert body["Description"] == "Gr??e ? ?"


def test_canary_templates_come_back_mangled(upstream: Cloud) -> None:
    upstream.cfn.create_stack(StackName="app", TemplateBody=umlaut())
    body = upstream.cfn.get_template(StackName="app")["TemplateBody"]
    still_defective("?" not in json.dumps(body), "templates_come_back_mangled")


def test_a_stack_under_review_has_no_template_but_its_change_set_has(cloud: Cloud) -> None:
    made = cloud.change_set("app", NOTES, ChangeSetType="CREATE")
    assert "TemplateBody" not in cloud.cfn.get_template(StackName="app")
    proposed = cloud.cfn.get_template(ChangeSetName=made["ChangeSetId"], StackName="app")
    assert proposed["TemplateBody"] == NOTES
    with refused("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks"):
        cloud.cfn.get_template_summary(StackName="app")


def test_canary_templates_under_review_are_absent(upstream: Cloud) -> None:
    upstream.change_set("app", NOTES, ChangeSetType="CREATE")
    answer = upstream.cfn.get_template(StackName="app")
    still_defective("TemplateBody" in answer, "templates_under_review_are_absent")


def test_a_second_change_set_of_a_creation_joins_the_stack_of_the_first(cloud: Cloud) -> None:
    first = cloud.change_set("app", NOTES, ChangeSetType="CREATE", ChangeSetName="first")
    second = cloud.change_set("app", NOTES, ChangeSetType="CREATE", ChangeSetName="second")
    assert first["StackId"] == second["StackId"]
    cloud.cfn.execute_change_set(ChangeSetName="second", StackName="app")
    assert cloud.wait("app") == "CREATE_COMPLETE"
    listed = cloud.cfn.list_change_sets(StackName="app")["Summaries"]
    assert [one["ChangeSetName"] for one in listed] == ["second"]


def test_canary_shells_keep_their_id(upstream: Cloud) -> None:
    first, second = (
        upstream.change_set("app", NOTES, ChangeSetType="CREATE", ChangeSetName=name)
        for name in ("first", "second")
    )
    still_defective(first["StackId"] != second["StackId"], "shells_keep_their_id")


# Conditions and outputs


def conditional(condition: Any) -> Json:
    return {
        "Parameters": {"Size": {"Type": "String", "Default": "small"}},
        "Mappings": {"Sizes": {REGION: {"small": "yes"}}},
        "Conditions": {"Wanted": condition},
        "Resources": {"Always": note(), "Maybe": {**note(), "Condition": "Wanted"}},
    }


HERE = {"Fn::Equals": [{"Ref": "AWS::Region"}, REGION]}


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (HERE, True),
        ({"Fn::Not": [HERE]}, False),
        ({"Fn::Equals": [{"Ref": "AWS::AccountId"}, ACCOUNT]}, True),
        ({"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-cn"]}, False),
        ({"Fn::And": [HERE, {"Fn::Equals": [{"Ref": "Size"}, "small"]}]}, True),
        (
            {
                "Fn::Equals": [
                    {"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, {"Ref": "Size"}]},
                    "yes",
                ]
            },
            True,
        ),
        ({"Fn::Equals": [{"Fn::Sub": "${AWS::Region}-${Size}"}, f"{REGION}-small"]}, True),
    ],
)
def test_conditions_see_pseudo_parameters_and_functions(
    cloud: Cloud, condition: Json, wanted: bool
) -> None:
    cloud.create("app", conditional(condition))
    assert ("Maybe CREATE_COMPLETE" in cloud.trail("app")) is wanted


def test_canary_conditions_see_pseudo_parameters(upstream: Cloud) -> None:
    upstream.create("app", conditional(HERE))
    still_defective(
        "Maybe CREATE_COMPLETE" not in upstream.trail("app"), "conditions_see_pseudo_parameters"
    )


def with_output(**output: Any) -> Json:
    return {**NOTES, "Outputs": {"Name": {"Value": {"Ref": "Note"}, **output}}}


def test_a_change_set_of_outputs_alone_is_executable_and_lists_nothing(cloud: Cloud) -> None:
    cloud.create("app", NOTES)
    made = cloud.change_set("app", with_output(Export={"Name": "shared"}))
    assert (made["Status"], made["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert made["Changes"] == []
    cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
    assert cloud.wait("app") == "UPDATE_COMPLETE"
    assert list(cloud.outputs("app")) == ["Name"]
    renamed = cloud.change_set("app", with_output(Export={"Name": "other"}), ChangeSetName="second")
    assert (renamed["ExecutionStatus"], renamed["Changes"]) == ("AVAILABLE", [])


def test_a_change_of_a_childs_outputs_alone_is_a_change_set_without_rows(cloud: Cloud) -> None:
    template = deploy(cloud)
    more = database()
    more["Outputs"]["Again"] = {"Value": {"Ref": "Jobs"}}
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = cloud.put("db2", more)
    root = cloud.change_set("app", template)
    changes = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]
        for change in root["Changes"]
    }
    child = cloud.read(changes["Database"]["ChangeSetId"])
    assert (child["Status"], child["Changes"]) == ("CREATE_COMPLETE", [])


def test_canary_output_changes_have_no_rows(upstream: Cloud) -> None:
    upstream.create("app", NOTES)
    made = upstream.change_set("app", with_output())
    still_defective(made["Status"] == "FAILED", "output_changes_have_no_rows")


def test_a_table_is_no_reason_for_a_capability(cloud: Cloud) -> None:
    assert cloud.create("app", {"Resources": {"Jobs": table()}}) == "CREATE_COMPLETE"
