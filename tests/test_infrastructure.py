"""The shipped templates and settings keep their promises: names, retention, rights, settings.

What cfn-lint and checkov can see is theirs; this is what only this application knows.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from lib.inputs import environments, parameters
from lib.templates import contracts, naming, templates
from lib.templates.templates import Template

INFRASTRUCTURE = Path(__file__).resolve().parent.parent / "infrastructure"
FOLDER = templates.read_folder(INFRASTRUCTURE / "cloudformation")
SHIPPED = list(FOLDER.values())
# No part of the application; tests/test_deploy_role.py looks at them.
del FOLDER["deploy-role.yaml"], FOLDER["service-role.yaml"]
MASTER = FOLDER[templates.MASTER]
CHILDREN = {child.logical_id: child for child in templates.children(MASTER)}
REGIONS = json.loads((INFRASTRUCTURE / "regions.json").read_text())
ENVIRONMENTS = ("development", "staging", "production")

#: What other tooling of the application relies on, from the original requirements.
PROMISED_PARAMETERS = {
    "EnvironmentName": {"Type": "String", "Default": "production"},
    "AdminEmail": {"Type": "String"},
    "InitialBudgetLimit": {"Type": "Number", "Default": 100, "MinValue": 1, "MaxValue": 10000},
    "LogRetentionDays": {"Type": "Number", "Default": 7},
    "TemplatesBucketName": {"Type": "String", "Default": ""},
}
PROMISED_OUTPUTS = {
    "ApiEndpoint": "APIStack.Outputs.ApiEndpoint",
    "UserPoolId": "AuthStack.Outputs.UserPoolId",
    "UserPoolClientId": "AuthStack.Outputs.UserPoolClientId",
    "FrontendUrl": "FrontendStack.Outputs.AmplifyAppUrl",
    "BucketName": "StorageStack.Outputs.BucketName",
    "ECSClusterName": "ComputeStack.Outputs.ClusterName",
}
PROMISED_CHILD_PARAMETERS = {
    "NetworkStack": {"EnvironmentName"},
    "StorageStack": {"EnvironmentName"},
    "DatabaseStack": {"EnvironmentName"},
    "IAMStack": {
        "S3BucketName",
        "JobsTableArn",
        "QueueTableArn",
        "TemplatesTableArn",
        "CostTrackingTableArn",
    },
    "AuthStack": {"EnvironmentName", "AdminEmail"},
    "APIStack": {"UserPoolId", "UserPoolClientId", "LambdaExecutionRoleArn", "LogRetentionDays"},
    "ComputeStack": {"EnvironmentName", "ECSTaskRoleArn", "SubnetIds", "SecurityGroupId"},
    # AmplifyServiceRoleArn was promised too. That role only ever wrote the logs of Amplify's own
    # builds, and the app has no repository to build from.
    "FrontendStack": {"ApiEndpoint", "UserPoolId", "UserPoolClientId", "EnvironmentName"},
}
PROMISED_CHILD_OUTPUTS = {
    "network-stack.yaml": {"PublicSubnetIds", "ECSSecurityGroupId"},
    "storage-stack.yaml": {"BucketName"},
    "database-stack.yaml": {
        "JobsTableArn",
        "QueueTableArn",
        "TemplatesTableArn",
        "CostTrackingTableArn",
    },
    "iam-stack.yaml": {"ECSTaskRoleArn", "LambdaExecutionRoleArn"},
    "auth-stack.yaml": {"UserPoolId", "UserPoolClientId"},
    "api-stack.yaml": {"ApiEndpoint"},
    "compute-stack.yaml": {"ClusterName"},
    "frontend-stack.yaml": {"AmplifyAppUrl"},
}

#: Types that hold what cannot be made again by deploying, with the policy on deletion. Tables
#: and pools have deletion protection, which would break the rollback of a failed create. A
#: retained pool is of no use without what is inside it.
STATEFUL = {
    "AWS::DynamoDB::Table": "Retain",
    "AWS::Cognito::UserPool": "Retain",
    "AWS::Cognito::UserPoolClient": "RetainExceptOnCreate",
    "AWS::Cognito::UserPoolGroup": "RetainExceptOnCreate",
    "AWS::Cognito::UserPoolUser": "RetainExceptOnCreate",
    "AWS::Cognito::UserPoolUserToGroupAttachment": "RetainExceptOnCreate",
    "AWS::S3::Bucket": "RetainExceptOnCreate",
    "AWS::S3::BucketPolicy": "RetainExceptOnCreate",
    "AWS::ECR::Repository": "RetainExceptOnCreate",
    "AWS::Logs::LogGroup": "RetainExceptOnCreate",
    "AWS::KMS::Key": "RetainExceptOnCreate",
}

#: Types that stay when their stack goes and not when they are replaced, with the reason.
GIVEN_UP_WHEN_REPLACED = {
    "AWS::Cognito::UserPoolUserToGroupAttachment": "a former administrator leaves the group",
}

#: Properties that give a resource a physical name which AWS keeps unique in a region, an
#: account or the world. Names that live inside a resource of ours (policy, route, group of a
#: pool, branch of an app, index of a table) cannot collide.
PHYSICAL_NAMES = {
    "AWS::Amplify::App": "Name",
    "AWS::ApiGatewayV2::Api": "Name",
    "AWS::Budgets::Budget": "Budget.BudgetName",
    "AWS::Cognito::UserPool": "UserPoolName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::TaskDefinition": "Family",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
}

#: Every right on the resource "*", with the reason why AWS leaves no choice.
RIGHTS_ON_EVERYTHING = {
    ("ECSTaskExecutionRole", "ecr:GetAuthorizationToken"): "a login is for the whole registry",
    ("FlowLogRole", "logs:DescribeLogGroups"): "a list of groups can be held to none of them",
}

#: Where the region of an ARN in a policy is "*", with the reason.
RIGHTS_IN_EVERY_REGION = {
    "foundation-model": "a cross-region profile calls its model in a region that AWS picks",
    "inference-profile": "Fn::Join has no room for the region; a Condition names it",
}

ALL_RESOURCES = [
    pytest.param(template, logical_id, id=f"{name.removesuffix('-stack.yaml')}-{logical_id}")
    for name, template in FOLDER.items()
    for logical_id in template.resources
]
ALL_TEMPLATES = [pytest.param(template, id=name) for name, template in FOLDER.items()]


def properties(template: Template, logical_id: str) -> dict[str, Any]:
    """Return a resource's properties, none being an empty mapping."""
    return template.resources[logical_id].get("Properties") or {}


def resources_of(*types: str) -> list[tuple[Template, str]]:
    """List every resource of the given types."""
    return [
        (template, logical_id)
        for template in FOLDER.values()
        for logical_id, resource in template.resources.items()
        if resource["Type"] in types
    ]


def nodes(value: object) -> Iterator[object]:
    """Yield a value and everything inside it."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from nodes(item)


def statements(template: Template, logical_id: str) -> list[dict[str, Any]]:
    """List the policy statements of a resource, those behind an Fn::If included."""
    return [
        node
        for node in nodes(properties(template, logical_id))
        if isinstance(node, dict) and node.get("Effect") in ("Allow", "Deny")
    ]


def as_list(value: Any) -> list[Any]:
    """Return one or several as several."""
    return value if isinstance(value, list) else [value]


def merged(environment: str, region: str) -> dict[str, str]:
    """Return an environment's parameters with those of a region laid over them."""
    return environments.merge(
        environments.read_environment(environment, INFRASTRUCTURE / "parameters"),
        environments.read_regions(INFRASTRUCTURE / "regions.json")[region],
    )


# ── the master and its children ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", PROMISED_PARAMETERS)
def test_the_master_takes_the_parameters_that_were_promised(name: str) -> None:
    assert PROMISED_PARAMETERS[name].items() <= MASTER.parameters[name].items()


def test_environments_and_retention_periods_are_those_that_were_promised() -> None:
    assert set(MASTER.parameters["EnvironmentName"]["AllowedValues"]) == set(ENVIRONMENTS)
    retention = MASTER.parameters["LogRetentionDays"]["AllowedValues"]
    assert retention == [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365]


@pytest.mark.parametrize("name", PROMISED_OUTPUTS)
def test_the_master_gives_the_outputs_that_were_promised(name: str) -> None:
    stack, _, output = PROMISED_OUTPUTS[name].partition(".")
    assert MASTER.outputs[name]["Value"] == {"Fn::GetAtt": [stack, output]}


#: Outputs that no other stack may import, because CloudFormation refuses to change an export
#: that is in use, with what changes them.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
NOT_EXPORTED = {
    "TaskDefinitionArn": "its revision, with each change of the task",
    "AmplifyBranchName": "nothing, but what it is for, deployments, needs no export",
    "FrontendConfig": "whatever of API, pool and client is replaced",
}


@pytest.mark.parametrize("name", MASTER.outputs)
def test_the_master_exports_each_output_that_stays_under_its_own_stack_name(name: str) -> None:
    own = {"Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}"}}
    assert MASTER.outputs[name].get("Export") == (None if name in NOT_EXPORTED else own)


@pytest.mark.parametrize("logical_id", PROMISED_CHILD_PARAMETERS)
def test_the_master_passes_each_child_what_was_promised(logical_id: str) -> None:
    assert PROMISED_CHILD_PARAMETERS[logical_id] <= set(CHILDREN[logical_id].parameters)


@pytest.mark.parametrize("name", PROMISED_CHILD_OUTPUTS)
def test_each_child_gives_the_outputs_that_were_promised(name: str) -> None:
    assert PROMISED_CHILD_OUTPUTS[name] <= set(FOLDER[name].outputs)


def test_master_and_children_agree_on_parameters_and_outputs() -> None:
    assert contracts.check_contracts(FOLDER) == ()


def test_every_template_but_the_master_is_a_child() -> None:
    assert {child.file for child in CHILDREN.values()} == set(FOLDER) - {templates.MASTER}


@pytest.mark.parametrize("logical_id", CHILDREN)
def test_a_child_is_loaded_path_style_from_the_regional_endpoint(logical_id: str) -> None:
    url, variables = properties(MASTER, logical_id)["TemplateURL"]["Fn::Sub"]
    file = CHILDREN[logical_id].file
    assert url == (
        "https://s3.${AWS::Region}.${AWS::URLSuffix}/${Bucket}/${TemplatesKeyPrefix}" + file
    )
    assert json.dumps(MASTER.body["Resources"][logical_id]).count(file) == 1
    condition, given, conventional = variables["Bucket"]["Fn::If"]
    assert MASTER.body["Conditions"][condition] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "TemplatesBucketName"}, ""]}]
    }
    assert given == {"Ref": "TemplatesBucketName"}
    assert conventional == {"Fn::Sub": "plot-palette-cfn-${AWS::AccountId}-${AWS::Region}"}


@pytest.mark.parametrize("logical_id", MASTER.resources)
def test_the_master_holds_nothing_but_plain_nested_stacks(logical_id: str) -> None:
    resource = MASTER.resources[logical_id]
    assert resource["Type"] == templates.STACK_TYPE
    # Capabilities belong to the operation; Retain here would orphan a whole child; an order
    # beyond what outputs imply makes every deployment slower.
    assert not {"DependsOn", "DeletionPolicy", "UpdateReplacePolicy"} & set(resource)
    assert set(resource["Properties"]) == {"TemplateURL", "Parameters", "Tags"}


def test_stacks_without_a_reason_to_wait_start_at_once() -> None:
    waiting = {
        logical_id
        for logical_id in MASTER.resources
        if any(
            isinstance(n, dict) and "Fn::GetAtt" in n for n in nodes(properties(MASTER, logical_id))
        )
    }
    assert set(MASTER.resources) - waiting == {
        "NetworkStack",
        "StorageStack",
        "DatabaseStack",
        "AuthStack",
    }


@pytest.mark.parametrize(
    ("logical_id", "switch"), [("FrontendStack", "DeployFrontend"), ("BudgetStack", "DeployBudget")]
)
def test_an_optional_child_and_its_outputs_share_one_condition(
    logical_id: str, switch: str
) -> None:
    condition = MASTER.resources[logical_id]["Condition"]
    assert MASTER.body["Conditions"][condition] == {"Fn::Equals": [{"Ref": switch}, "true"]}
    outputs = [o for o in MASTER.outputs.values() if logical_id in json.dumps(o["Value"])]
    assert outputs
    assert {output.get("Condition") for output in outputs} == {condition}


def test_the_master_is_small_enough_to_be_sent_as_text() -> None:
    assert len(MASTER.text.encode()) <= 51_200


def test_no_template_needs_more_than_the_plain_iam_capability() -> None:
    assert contracts.capabilities(FOLDER) == ("CAPABILITY_IAM",)


# ── people at the console ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("template", ALL_TEMPLATES)
def test_every_parameter_is_labelled_grouped_described_and_says_what_it_accepts(
    template: Template,
) -> None:
    interface = template.body["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template.parameters)
    assert set(interface["ParameterLabels"]) == set(template.parameters)
    for name, declaration in template.parameters.items():
        assert declaration.get("Description"), name
        if name in fed_by_siblings(template):
            continue
        assert declaration.get("ConstraintDescription"), name
        assert {"AllowedValues", "AllowedPattern", "MinValue"} & set(declaration), name


def fed_by_siblings(template: Template) -> set[str]:
    """Return the parameters of a child that the master fills with outputs of other children."""
    return {
        parameter
        for child in CHILDREN.values()
        if child.file == template.name
        for parameter in child.parameters
        if "Fn::GetAtt" in json.dumps(properties(MASTER, child.logical_id)["Parameters"][parameter])
    }


@pytest.mark.parametrize("template", ALL_TEMPLATES)
def test_what_siblings_feed_takes_any_text(template: Template) -> None:
    # In a change set with nested stacks, an output that is not known yet arrives as a text like
    # {{IntrinsicFunction:arn:aws:cloudformation:.../Fn::GetAtt}}; if AWS holds it to the child's
    # pattern or type, no change set of the whole application can be made. Recorded in
    # https://github.com/aws/serverless-application-model/issues/3824.
    for name in fed_by_siblings(template):
        declaration = template.parameters[name]
        assert declaration["Type"] in ("String", "CommaDelimitedList"), name
        assert set(declaration) <= {"Type", "Default", "Description"}, name


def test_what_people_type_is_still_checked() -> None:
    assert fed_by_siblings(MASTER) == set()
    assert {name for t in FOLDER.values() for name in fed_by_siblings(t)} >= {
        "SubnetIds",
        "SecurityGroupId",
        "JobsTableArn",
        "CostTrackingTableName",
    }
    assert "AdminEmail" not in fed_by_siblings(FOLDER["auth-stack.yaml"])


@pytest.mark.parametrize("template", SHIPPED, ids=lambda template: template.name)
def test_a_template_is_plain_ascii(template: Template) -> None:
    # GetTemplate answers with a question mark for every other character, so that what is
    # deployed could not be recognised as what was published. CDK compensates for the same:
    # https://github.com/aws/aws-cdk-cli, mangleLikeCloudFormation.
    strange = [
        f"line {number}: {line}"
        for number, line in enumerate(template.text.splitlines(), 1)
        if not line.isascii()
    ]
    assert strange == []


@pytest.mark.parametrize("template", ALL_TEMPLATES)
def test_every_default_is_a_value_that_the_parameter_accepts(template: Template) -> None:
    defaults = {
        name: str(declaration["Default"])
        for name, declaration in template.parameters.items()
        if "Default" in declaration
    }
    faults = parameters.check(defaults, template.parameters)
    assert [fault for fault in faults if fault.parameter in defaults] == []


@pytest.mark.parametrize("template", ALL_TEMPLATES)
def test_conditions_read_as_has_or_is_and_outputs_are_described(template: Template) -> None:
    for name in template.body.get("Conditions") or {}:
        assert re.match(r"(Has|Is)[A-Z]", name), name
    for name, output in template.outputs.items():
        assert output.get("Description"), name


def test_the_budget_can_be_deployed_alone_without_a_single_parameter() -> None:
    budget = FOLDER["budget-stack.yaml"]
    assert [n for n, p in budget.parameters.items() if "Default" not in p] == []
    for optional in ("RecorderFunction", "RecorderSubscription", "RecorderInvocation"):
        assert budget.resources[optional]["Condition"] == "HasCostTrackingTable"
    assert budget.resources["EmailSubscription"]["Condition"] == "HasAdminEmail"


# ── data outlives its stack ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("template", "logical_id"), ALL_RESOURCES)
def test_what_holds_data_is_retained_on_the_resource_itself(
    template: Template, logical_id: str
) -> None:
    resource = template.resources[logical_id]
    policies = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
    expected = STATEFUL.get(resource["Type"])
    replaced = "Delete" if resource["Type"] in GIVEN_UP_WHEN_REPLACED else "Retain"
    assert policies == ((expected, replaced) if expected else (None, None))


@pytest.mark.parametrize(
    ("type_", "count"),
    [("AWS::DynamoDB::Table", 4), ("AWS::S3::Bucket", 1), ("AWS::Cognito::UserPool", 1)],
)
def test_the_application_has_its_tables_its_bucket_and_its_pool(type_: str, count: int) -> None:
    assert len(resources_of(type_)) == count


@pytest.mark.parametrize("logical_id", FOLDER["database-stack.yaml"].resources)
def test_a_table_is_on_demand_recoverable_encrypted_and_protected_in_production(
    logical_id: str,
) -> None:
    table = properties(FOLDER["database-stack.yaml"], logical_id)
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["IsProduction", True, False]}
    keys = [table["KeySchema"], *(index["KeySchema"] for index in table["GlobalSecondaryIndexes"])]
    used = {key["AttributeName"] for schema in keys for key in schema}
    # DynamoDB refuses attributes that are defined but in no key, and the other way round.
    assert used == {definition["AttributeName"] for definition in table["AttributeDefinitions"]}
    assert "user_id" in {
        index["KeySchema"][0]["AttributeName"] for index in table["GlobalSecondaryIndexes"]
    }


def test_short_lived_items_expire_by_themselves() -> None:
    database = FOLDER["database-stack.yaml"]
    expiring = {
        logical_id
        for logical_id in database.resources
        if properties(database, logical_id).get("TimeToLiveSpecification", {}).get("Enabled")
    }
    assert expiring == {"QueueTable", "CostTrackingTable"}


def test_the_bucket_is_private_versioned_and_takes_only_tls() -> None:
    storage = FOLDER["storage-stack.yaml"]
    bucket = properties(storage, "DataBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    denials = statements(storage, "DataBucketPolicy")
    assert {"Bool": {"aws:SecureTransport": "false"}} in [s["Condition"] for s in denials]
    assert {s["Effect"] for s in denials} == {"Deny"}


# ── names ───────────────────────────────────────────────────────────────────────────────────


NAMED_BY_IMPORT = {(one.file, one.logical_id): one for one in naming.list_namings(FOLDER)}


def test_what_can_be_imported_is_named_by_a_parameter_that_is_empty_until_then() -> None:
    assert {one.path: one.parameter for one in NAMED_BY_IMPORT.values()} == {
        "DatabaseStack/JobsTable": "JobsTableName",
        "DatabaseStack/QueueTable": "QueueTableName",
        "DatabaseStack/TemplatesTable": "TemplatesTableName",
        "DatabaseStack/CostTrackingTable": "CostTrackingTableName",
        "StorageStack/DataBucket": "DataBucketName",
    }
    for (file, logical_id), one in NAMED_BY_IMPORT.items():
        assert MASTER.parameters[one.parameter]["Default"] == ""
        name = properties(FOLDER[file], logical_id)[one.name_property]
        condition, given, otherwise = name["Fn::If"]
        assert FOLDER[file].body["Conditions"][condition] == {
            "Fn::Not": [{"Fn::Equals": [given, ""]}]
        }
        assert otherwise == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize(("template", "logical_id"), ALL_RESOURCES)
def test_a_physical_name_carries_environment_and_region(
    template: Template, logical_id: str
) -> None:
    value: Any = properties(template, logical_id)
    for part in PHYSICAL_NAMES.get(template.resources[logical_id]["Type"], "").split("."):
        value = value.get(part) if part else None
    if value is not None and (template.name, logical_id) not in NAMED_BY_IMPORT:
        text = json.dumps(value)
        assert "${EnvironmentName}" in text
        assert "${AWS::Region}" in text


def test_no_resource_of_a_retained_type_has_a_name_that_a_second_stack_would_want() -> None:
    named = {
        f"{template.name}/{logical_id}": json.dumps(properties(template, logical_id)[key])
        for template, logical_id in resources_of(*STATEFUL)
        if (key := PHYSICAL_NAMES.get(template.resources[logical_id]["Type"]))
        in properties(template, logical_id)
        and (template.name, logical_id) not in NAMED_BY_IMPORT
    }
    # The access log needs a certain beginning, and has the end of its stack's id.
    assert set(named) == {"api-stack.yaml/AccessLogs"}
    assert all("StackSuffix" in name and "AWS::StackId" in name for name in named.values())


def test_the_access_log_takes_no_room_in_the_region_s_resource_policy() -> None:
    name = properties(FOLDER["api-stack.yaml"], "AccessLogs")["LogGroupName"]["Fn::Sub"][0]
    assert name.startswith("/aws/vendedlogs/")


def test_the_budget_has_no_name_and_can_be_replaced() -> None:
    budget = properties(FOLDER["budget-stack.yaml"], "MonthlyBudget")
    assert "BudgetName" not in budget["Budget"]
    # The tasks find it by its tag, and the service role is held to that.
    assert {"Key": "Environment", "Value": {"Ref": "EnvironmentName"}} in budget["ResourceTags"]


# ── rights ──────────────────────────────────────────────────────────────────────────────────


def test_rights_on_everything_are_the_few_that_aws_forces() -> None:
    found = {
        (logical_id, action)
        for template, logical_id in resources_of("AWS::IAM::Role", "AWS::IAM::Policy")
        for statement in statements(template, logical_id)
        if "*" in as_list(statement.get("Resource", []))
        for action in as_list(statement["Action"])
    }
    assert found == set(RIGHTS_ON_EVERYTHING)


def test_no_role_may_do_everything_of_a_service() -> None:
    wildcards = [
        (logical_id, action)
        for template, logical_id in resources_of("AWS::IAM::Role", "AWS::IAM::Policy")
        for statement in statements(template, logical_id)
        for action in as_list(statement["Action"])
        if "*" in action
    ]
    assert wildcards == []


def test_arns_leave_region_or_account_open_only_where_it_is_explained() -> None:
    open_arns = {
        match[1]
        for template, logical_id in resources_of("AWS::IAM::Role", "AWS::IAM::Policy")
        for statement in statements(template, logical_id)
        for node in nodes(statement.get("Resource"))
        if isinstance(node, str)
        for match in re.finditer(r"arn:[^:]*:[^:]*:\*:[^:]*:([a-z-]+)", node)
    }
    assert open_arns == set(RIGHTS_IN_EVERY_REGION)


def test_models_may_be_called_only_from_the_region_of_the_stack() -> None:
    role = properties(FOLDER["iam-stack.yaml"], "ECSTaskRole")
    (models,) = (p for p in role["Policies"] if p["PolicyName"] == "models")
    calls = [n for n in nodes(models) if isinstance(n, dict) and "Sid" in n]
    assert len(calls) == 3
    for call in calls:
        assert call["Condition"] in (
            {"StringEquals": {"aws:RequestedRegion": {"Ref": "AWS::Region"}}},
            {
                "ArnLike": {
                    "bedrock:InferenceProfileArn": [
                        {
                            "Fn::Sub": "arn:${AWS::Partition}:bedrock:${AWS::Region}:"
                            f"${{AWS::AccountId}}:{kind}/*"
                        }
                        for kind in ("inference-profile", "application-inference-profile")
                    ]
                }
            },
        )


@pytest.mark.parametrize(
    ("file", "function"),
    [
        ("api-stack.yaml", "HealthFunction"),
        ("api-stack.yaml", "ApplicationFunction"),
        ("budget-stack.yaml", "RecorderFunction"),
    ],
)
def test_a_function_writes_to_a_retained_log_that_its_role_may_write(
    file: str, function: str
) -> None:
    template = FOLDER[file]
    log = properties(template, function)["LoggingConfig"]["LogGroup"]["Ref"]
    assert properties(template, log)["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    writable = [
        statement["Resource"]
        for logical_id in template.resources
        for statement in statements(template, logical_id)
        if "logs:PutLogEvents" in as_list(statement["Action"])
    ]
    assert {"Fn::GetAtt": [log, "Arn"]} in writable


@pytest.mark.parametrize(
    ("file", "function"),
    [("api-stack.yaml", "HealthFunction"), ("budget-stack.yaml", "RecorderFunction")],
)
def test_inline_code_compiles_has_its_handler_and_fits_the_limit(file: str, function: str) -> None:
    settings = properties(FOLDER[file], function)
    code = settings["Code"]["ZipFile"]
    compile(code, function, "exec")
    assert len(code) <= 4096
    module, _, name = settings["Handler"].partition(".")
    assert module == "index"
    assert f"\ndef {name}(event, context):" in code


def run_inline(file: str, function: str) -> dict[str, Any]:
    """Execute a template's inline code and return its names, as Lambda does on a cold start."""
    names: dict[str, Any] = {"__name__": "index"}
    code = properties(FOLDER[file], function)["Code"]["ZipFile"]
    exec(compile(code, function, "exec"), names)  # the code under test is text
    return names


def create_table(client: Any, logical_id: str) -> None:
    """Create one of the tables as the template describes it, named after its logical id."""
    table = properties(FOLDER["database-stack.yaml"], logical_id)
    shape = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    client.create_table(TableName=logical_id, **{key: table[key] for key in shape})


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Stand in for AWS, and hand over the means to set a function's environment."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield monkeypatch


def test_health_is_ok_while_every_table_serves_and_degraded_when_one_is_missing(
    aws: pytest.MonkeyPatch,
) -> None:
    settings = properties(FOLDER["api-stack.yaml"], "HealthFunction")
    tables = settings["Environment"]["Variables"]["TABLES"]["Fn::Sub"]
    aws.setenv("TABLES", re.sub(r"\$\{(\w+)Name\}", r"\1", tables))
    function = run_inline("api-stack.yaml", "HealthFunction")
    logical_ids = list(FOLDER["database-stack.yaml"].resources)
    for logical_id in logical_ids:
        create_table(function["dynamodb"], logical_id)

    answer = function["handler"]({}, None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "status": "ok",
        "tables": dict.fromkeys(logical_ids, "ACTIVE"),
    }

    function["dynamodb"].delete_table(TableName="QueueTable")
    answer = function["handler"]({}, None)
    assert answer["statusCode"] == 503
    body = json.loads(answer["body"])
    assert body["status"] == "degraded"
    assert body["tables"]["QueueTable"] == "ResourceNotFoundException"
    assert body["tables"]["JobsTable"] == "ACTIVE"


def test_a_budget_alert_becomes_one_item_even_when_it_is_delivered_twice(
    aws: pytest.MonkeyPatch,
) -> None:
    aws.setenv("TABLE_NAME", "CostTrackingTable")
    aws.setenv("BUDGET_NAME", "plot-palette-staging-eu-west-1-0123456789ab")
    aws.setenv("ENVIRONMENT", "staging")
    function = run_inline("budget-stack.yaml", "RecorderFunction")
    create_table(function["table"].meta.client, "CostTrackingTable")
    alert = {
        "MessageId": "a4e0",
        "Timestamp": "2026-11-01T12:00:00.000Z",
        "Subject": None,
        "Message": "Actual cost is above 80 %",
    }

    for _ in range(2):
        function["handler"]({"Records": [{"Sns": alert}]}, None)

    (item,) = function["table"].scan()["Items"]
    assert item["job_id"] == "budget-alert#plot-palette-staging-eu-west-1-0123456789ab"
    assert item["timestamp"].startswith("2026-11-01T12:00:00.000Z")
    assert item["message"] == "Actual cost is above 80 %"


def test_only_health_is_open() -> None:
    api = FOLDER["api-stack.yaml"]
    routes = {
        properties(api, i)["RouteKey"]: properties(api, i)["AuthorizationType"]
        for t, i in resources_of("AWS::ApiGatewayV2::Route")
    }
    assert {key for key, kind in routes.items() if kind != "JWT"} == {"GET /health"}
    methods = {key.partition(" ")[0] for key in routes}
    # A route for OPTIONS, which ANY is too, would take the preflights from API Gateway.
    assert not {"ANY", "OPTIONS"} & methods
    assert methods == set(properties(api, "HttpApi")["CorsConfiguration"]["AllowMethods"])


def test_nobody_but_the_health_route_runs_the_health_function() -> None:
    api = FOLDER["api-stack.yaml"]
    callers = [
        properties(api, i)["SourceArn"]["Fn::Sub"]
        for template, i in resources_of("AWS::Lambda::Permission")
        if template is api and properties(api, i)["FunctionName"] == {"Ref": "HealthFunction"}
    ]
    assert [arn.partition("${HttpApi}")[2] for arn in callers] == ["/*/GET/health"]


@pytest.mark.parametrize("logical_id", ["NatAddress", "NatGateway", "PublicDefaultRoute"])
def test_what_needs_the_internet_gateway_waits_until_it_is_attached(logical_id: str) -> None:
    resource = FOLDER["network-stack.yaml"].resources[logical_id]
    assert resource["DependsOn"] == "InternetGatewayAttachment"


def test_a_production_network_logs_what_it_rejects() -> None:
    network = FOLDER["network-stack.yaml"]
    [(_, logical_id)] = resources_of("AWS::EC2::FlowLog")
    log = properties(network, logical_id)
    assert network.resources[logical_id]["Condition"] == "IsProduction"
    assert log["ResourceId"] == {"Ref": "VPC"}
    assert log["TrafficType"] == "REJECT"
    assert network.resources[log["LogGroupName"]["Ref"]]["Condition"] == "IsProduction"


def test_a_task_is_one_family_and_not_root() -> None:
    task = properties(FOLDER["compute-stack.yaml"], "GenerationTask")
    assert task["Family"] == {"Fn::Sub": "plot-palette-${EnvironmentName}-${AWS::Region}"}
    for container in task["ContainerDefinitions"]:
        assert container["User"].partition(":")[0] not in ("", "0", "root")


def test_a_task_that_fails_is_told_to_the_alerts_and_one_that_is_stopped_is_not() -> None:
    compute = FOLDER["compute-stack.yaml"]
    rule = properties(compute, "FailedTasks")
    detail = rule["EventPattern"]["detail"]
    assert rule["EventPattern"]["source"] == ["aws.ecs"]
    assert detail["clusterArn"] == [{"Fn::GetAtt": ["Cluster", "Arn"]}]
    codes = [code for case in detail["$or"] for code in case["stopCode"]]
    assert codes == ["TaskFailedToStart", "EssentialContainerExited"]
    [target] = rule["Targets"]
    assert target["Arn"] == {"Ref": "TaskAlerts"}
    [admitted] = statements(compute, "TaskAlertsPolicy")
    assert admitted["Principal"] == {"Service": "events.amazonaws.com"}
    # AWS: "You can't use Condition blocks in Amazon SNS topic policies for EventBridge."
    assert "Condition" not in admitted


def test_the_application_may_tag_a_task_only_as_it_starts_it() -> None:
    [tagging] = [
        statement
        for statement in statements(FOLDER["compute-stack.yaml"], "RunJobs")
        if statement["Action"] == "ecs:TagResource"
    ]
    assert tagging["Condition"] == {"StringEquals": {"ecs:CreateAction": "RunTask"}}


def test_model_calls_can_be_billed_to_an_environment() -> None:
    compute = FOLDER["compute-stack.yaml"]
    profiles = [i for _, i in resources_of("AWS::Bedrock::ApplicationInferenceProfile")]
    most = max(
        len([m for m in entry["BedrockModels"] if re.match(r"(us|eu|apac|global)\.", m)])
        for entry in REGIONS.values()
    )
    assert len(profiles) >= most
    [call] = statements(compute, "CallTaggedProfiles")
    for profile, resource in zip(profiles, call["Resource"], strict=True):
        assert properties(compute, profile)["Tags"] == [
            {"Key": "Environment", "Value": {"Ref": "EnvironmentName"}}
        ]
        arn = resource["Fn::If"][1] if "Fn::If" in resource else resource
        assert arn == {"Fn::GetAtt": [profile, "InferenceProfileArn"]}
    # One switch: a budget that counts by tag, with calls that have none, would count too little.
    switch = {"Ref": "SplitCostsByEnvironment"}
    split, _ = MASTER.body["Conditions"]["HasTaggedProfiles"]["Fn::And"]
    assert split == {"Fn::Equals": [switch, "true"]}
    sources = properties(MASTER, "ComputeStack")["Parameters"]["TaggedProfileSources"]["Fn::If"]
    assert sources[0] == "HasTaggedProfiles"
    # One profile at least and the padding make as many as are selected.
    assert len(sources[1]["Fn::Join"][1][1].split(",")) == len(profiles) - 1
    assert sources[2].split(",") == ["none"] * len(profiles)
    assert properties(MASTER, "BudgetStack")["Parameters"]["FilterByEnvironmentTag"] == switch


def test_the_web_application_s_configuration_is_one_json_object_for_the_uploaded_build() -> None:
    value = FOLDER["frontend-stack.yaml"].outputs["Configuration"]["Value"]["Fn::Sub"]
    assert set(json.loads(value)) == {"apiEndpoint", "region", "userPoolId", "userPoolClientId"}
    assert MASTER.outputs["FrontendConfig"]["Value"] == {
        "Fn::GetAtt": ["FrontendStack", "Outputs.Configuration"]
    }
    app = properties(FOLDER["frontend-stack.yaml"], "AmplifyApp")
    # These two act in Amplify's own builds alone.
    assert not {"IAMServiceRole", "EnvironmentVariables"} & set(app)


@pytest.mark.parametrize(
    "type_",
    [
        "AWS::Amplify::App",
        "AWS::Amplify::Branch",
        "AWS::ApiGatewayV2::Api",
        "AWS::Cognito::UserPool",
    ],
)
def test_what_the_service_role_knows_by_its_tag_has_the_tag(type_: str) -> None:
    keys = {"AWS::Cognito::UserPool": "UserPoolTags"}
    for template, logical_id in resources_of(type_):
        tags = properties(template, logical_id)[keys.get(type_, "Tags")]
        mapping = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
        assert mapping["Environment"] == {"Ref": "EnvironmentName"}


def test_budget_alerts_go_out_at_80_100_and_120_percent() -> None:
    budget = properties(FOLDER["budget-stack.yaml"], "MonthlyBudget")
    alerts = budget["NotificationsWithSubscribers"]
    assert [alert["Notification"]["Threshold"] for alert in alerts] == [80, 100, 120]
    assert {alert["Notification"]["NotificationType"] for alert in alerts} == {"ACTUAL"}
    assert budget["Budget"]["BudgetLimit"]["Amount"] == {"Ref": "InitialBudgetLimit"}


@pytest.mark.parametrize(("template", "logical_id"), ALL_RESOURCES)
def test_every_skipped_policy_check_gives_its_reason(template: Template, logical_id: str) -> None:
    metadata = template.resources[logical_id].get("Metadata") or {}
    for skip in metadata.get("checkov", {}).get("skip", []):
        assert len(skip["comment"]) > 20, skip["id"]


# ── settings ────────────────────────────────────────────────────────────────────────────────


def test_address_ranges_of_the_regions_do_not_overlap() -> None:
    networks = [ipaddress.ip_network(entry["VPCCidr"]) for entry in REGIONS.values()]
    assert not [pair for pair in itertools.combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_exactly_one_region_owns_the_budget() -> None:
    owners = [r for r, e in REGIONS.items() if e["Parameters"]["DeployBudget"] == "true"]
    assert owners == ["us-east-1"]


def test_the_promised_regions_are_configured() -> None:
    assert {"us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1"} <= set(REGIONS)


@pytest.mark.parametrize("region", REGIONS)
def test_the_models_of_a_region_are_ids_that_the_roles_accept(region: str) -> None:
    profile = re.compile(MASTER.parameters["BedrockInferenceProfileIds"]["AllowedPattern"])
    model = re.compile(MASTER.parameters["BedrockModelIds"]["AllowedPattern"])
    models = REGIONS[region]["BedrockModels"]
    assert models
    assert len(set(models)) == len(models)
    for name in models:
        id_ = name
        if profile.fullmatch(name):
            geography, _, id_ = name.partition(".")
            allowed = {"us": "us", "eu": "eu", "ap": "apac"}[region.partition("-")[0]]
            assert geography in (allowed, "global")
        assert model.fullmatch(id_)
        assert ":" in id_ or "-4-" in id_, "an exact id carries its version"


@pytest.mark.parametrize("region", REGIONS)
def test_claude_is_called_where_it_is_cheapest_but_stays_in_europe_there(region: str) -> None:
    # docs/multi-region.md says why.
    expected = "eu" if region.startswith("eu-") else "global"
    claude = [m for m in REGIONS[region]["BedrockModels"] if ".anthropic." in m]
    assert claude
    assert {model.partition(".")[0] for model in claude} == {expected}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_is_accepted_by_the_master_in_every_region(
    environment: str, region: str
) -> None:
    values = merged(environment, region)
    assert parameters.check(values, MASTER.parameters) == ()
    assert values["EnvironmentName"] == environment


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_parameter_file_holds_nothing_that_belongs_to_a_region(environment: str) -> None:
    path = INFRASTRUCTURE / "parameters" / f"{environment}.json"
    assert isinstance(json.loads(path.read_text()), list)
    assert set(parameters.read(path).values) == set(PROMISED_PARAMETERS)


@pytest.mark.parametrize(
    ("environment", "budget", "retention"),
    [("production", "100", "30"), ("staging", "50", "7"), ("development", "10", "1")],
)
def test_environments_have_the_promised_budget_and_retention(
    environment: str, budget: str, retention: str
) -> None:
    values = parameters.read(INFRASTRUCTURE / "parameters" / f"{environment}.json").values
    assert values["InitialBudgetLimit"] == budget
    assert values["LogRetentionDays"] == retention
    assert values["TemplatesBucketName"] == ""
