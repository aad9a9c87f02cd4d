"""The pipeline's role may do what the tasks and their resources need, and nothing else.

What the tasks need is read from the code (tests/support/api_calls.py), what the resources need from
the handlers in CloudFormation's own resource schemas, as cfn-lint ships them.
"""

from __future__ import annotations

import fnmatch
import json
import re
from importlib import resources
from typing import Any

import pytest

from lib.releases import releases
from lib.templates import contracts, templates
from tests.support import api_calls

FOLDER = templates.read_folder(api_calls.ROOT / "infrastructure" / "cloudformation")
ROLE = FOLDER["deploy-role.yaml"]
APPLICATION = [template for template in FOLDER.values() if template is not ROLE]
TOOL_POLICIES = ("LookPolicy", "ChangePolicy")
RESOURCE_POLICIES = ("NetworkPolicy", "DataPolicy", "IdentityPolicy", "ApplicationPolicy")

#: IAM's prefix of a service, where it is not botocore's name.
#: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
PREFIXES = {"service-quotas": "servicequotas"}

S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html"
RESTORE = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_IAM.html"
_TARGET_TABLE = frozenset(
    f"dynamodb:{name}"
    for name in (
        *("BatchWriteItem", "DeleteItem", "GetItem", "PutItem"),
        *("Query", "Scan", "UpdateItem"),
    )
)

#: Operations whose actions are not simply their own name, with the page that says so.
EXCEPTIONS: dict[tuple[str, str], tuple[frozenset[str], str]] = {
    ("s3", "HeadObject"): (frozenset({"s3:GetObject"}), S3),
    ("s3", "HeadBucket"): (frozenset({"s3:ListBucket"}), S3),
    ("s3", "ListObjectsV2"): (frozenset({"s3:ListBucket"}), S3),
    ("s3", "DeleteObjects"): (frozenset({"s3:DeleteObject"}), S3),
    ("s3", "GetBucketEncryption"): (frozenset({"s3:GetEncryptionConfiguration"}), S3),
    ("s3", "PutBucketEncryption"): (frozenset({"s3:PutEncryptionConfiguration"}), S3),
    ("s3", "GetPublicAccessBlock"): (frozenset({"s3:GetBucketPublicAccessBlock"}), S3),
    ("s3", "PutPublicAccessBlock"): (frozenset({"s3:PutBucketPublicAccessBlock"}), S3),
    ("s3", "CreateBucket"): (
        # Because the call sets the object ownership.
        frozenset({"s3:CreateBucket", "s3:PutBucketOwnershipControls"}),
        "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html",
    ),
    ("cloudformation", "DescribeStacks"): (
        # Asked for all stacks, it also wants the right to list them.
        frozenset({"cloudformation:DescribeStacks", "cloudformation:ListStacks"}),
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html",
    ),
    ("cloudformation", "DetectStackDrift"): (
        frozenset({"cloudformation:DetectStackDrift", "cloudformation:DetectStackResourceDrift"}),
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html",
    ),
    ("dynamodb", "RestoreTableFromBackup"): (
        frozenset({"dynamodb:RestoreTableFromBackup"}) | _TARGET_TABLE,
        RESTORE,
    ),
    ("dynamodb", "RestoreTableToPointInTime"): (
        frozenset({"dynamodb:RestoreTableToPointInTime"}) | _TARGET_TABLE,
        RESTORE,
    ),
    ("budgets", "DescribeBudgets"): (
        frozenset({"budgets:ViewBudget"}),
        "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html",
    ),
    ("sts", "GetCallerIdentity"): (
        frozenset(),
        "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
    ),
}

#: What the handlers may ask for and these templates give them no reason to, by pattern.
NOT_NEEDED = {
    r"(codecommit|elasticfilesystem|firehose|kinesis|s3files|s3tables|vpc-lattice|vpce):.*": (
        "services that no template uses"
    ),
    r"kms:.*": "no key of our own; keys that AWS manages need no right of the caller",
    r"billing:.*": "asked for beside the budget's own action, for billing views",
    r"s3:(getObject|REST\.PUT\.OBJECT)": "no such action",
    r"s3:(Delete|Get|Put)Object.*": "no template reads or writes objects, but see the code bucket",
    r"s3:(Delete|Put)Bucket(Cors|Encryption|Lifecycle|Tagging|Replication|Website|"
    r"AnalyticsConfiguration|MetricsConfiguration)(?<!PutBucketTagging)": "no such action",
    r"s3:(Create|Delete|Put|Update).*(Abac|Accelerate|Acl|Analytics|Inventory|Logging|Metadata|"
    r"Metrics|Notification|ObjectLock|Replication|Tiering|Website).*": "settings left alone",
    r"dynamodb:(Associate|Create).*Replica|dynamodb:(Import|Enable|Disable|Update).*"
    r"(Table|Destination|Insights)(?<!UpdateTable)|dynamodb:(Delete|Put)ResourcePolicy": (
        "no replicas, imports, streams or policies of tables"
    ),
    r"dynamodb:(BatchWriteItem|(Delete|Get|Put|Update)Item|Query|Scan)": "only for imports",
    r"ec2:(Accept|Assign|Unassign).*": "no transfers and private addresses of gateways",
    r"ec2:.*(AttachVpnGateway|DetachVpnGateway|NatGatewayAddress|SubnetCidrBlock|VpcTenancy|"
    r"CreateVpcEncryptionControl|SecurityGroupIngress|RuleDescriptions(In|E)gress)": "not used",
    r"iam:.*(User|Group)Policy": "no users, no groups",
    r"iam:(Attach|Detach)RolePolicy|iam:(Delete|Put)RolePermissionsBoundary": (
        "roles have their policies written out"
    ),
    r"lambda:(Associate|Pass|Publish).*|lambda:(Delete|Put)Function(Code|Conc|Rec|Scal).*|"
    r"lambda:PutRuntime.*": ("functions are made plain"),
    r"logs:.*(Bearer|DeletionProtection|IndexPolicy|KmsKey).*|logs:CreateLogStream|"
    r"logs:(Delete|Put)DataProtectionPolicy|logs:PutLogEvents|logs:DeleteResourcePolicy": (
        "groups have a retention and nothing else"
    ),
    r"sns:PutDataProtectionPolicy|ecr:(Delete|Set)RepositoryPolicy|ecs:PutAccountSetting.*|"
    r"cognito-idp:AddCustomAttributes|cloudformation:(SetStackPolicy|"
    r"UpdateTerminationProtection)": "not used",
    r"apigateway:(Tag|Untag)Resource": "no such action: tags are paths below /tags",
}

#: Rights beyond the handlers', with the reason and its page.
ADDITIONS = {
    **dict.fromkeys(
        (
            *("logs:DeleteLogDelivery", "logs:GetLogDelivery"),
            *("logs:ListLogDeliveries", "logs:UpdateLogDelivery"),
        ),
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html",
    ),
    **dict.fromkeys(
        ("s3:GetObject", "s3:GetObjectVersion"),
        "https://docs.aws.amazon.com/lambda/latest/dg/lambda-permissions.html (the code)",
    ),
}


def statements(*policies: str) -> list[dict[str, Any]]:
    """Return the statements of some of the role's policies, conditional ones included."""
    return [
        one["Fn::If"][1] if "Fn::If" in one else one
        for name in policies
        for one in ROLE.resources[name]["Properties"]["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(*policies: str) -> set[str]:
    return {action for one in statements(*policies) for action in as_list(one["Action"])}


def actions_of(service: str, operation: str) -> frozenset[str]:
    """Return the IAM actions that a call asks for."""
    if (service, operation) in EXCEPTIONS:
        return EXCEPTIONS[service, operation][0]
    return frozenset({f"{PREFIXES.get(service, service)}:{operation}"})


def handlers() -> dict[str, set[str]]:
    """Return what the handlers of each resource type of the application may ask for."""
    schemas = resources.files("cfnlint") / "data" / "schemas"
    index = json.loads((schemas / "providers" / "us-east-1.json").read_text())
    types = {one["Type"] for template in APPLICATION for one in template.resources.values()}
    found = {}
    for kind in sorted(types):
        schema = json.loads((schemas / "resources" / f"{index[kind]}.json").read_text())
        verbs = [schema["handlers"].get(v, {}) for v in ("create", "read", "update", "delete")]
        found[kind] = {a for verb in verbs for a in verb.get("permissions", [])}
        found[kind] |= set((schema.get("tagging") or {}).get("permissions", []))
    return found


HANDLERS = handlers()


def is_needless(action: str) -> bool:
    return any(re.fullmatch(pattern, action) for pattern in NOT_NEEDED)


def matches(action: str, patterns: set[str]) -> bool:
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns)


# What the tasks call


def test_the_role_may_do_exactly_what_the_code_calls() -> None:
    needed = {a for call in api_calls.find_calls() for a in actions_of(*call)}
    assert granted(*TOOL_POLICIES) == needed


def test_a_preview_role_can_change_nothing_but_change_sets_and_the_templates_bucket() -> None:
    assert ROLE.resources["ChangePolicy"]["Condition"] == "CanDeploy"
    assert all(ROLE.resources[name]["Condition"] == "CanDeploy" for name in RESOURCE_POLICIES)
    writing = {a for a in granted("LookPolicy") if not re.search(":(Get|List|Describe|View)", a)}
    assert {a for a in writing if not a.startswith("s3:")} == {
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
    }
    for one in statements("LookPolicy"):
        if any(a.startswith(("s3:Put", "s3:Create")) for a in as_list(one["Action"])):
            assert all("plot-palette-cfn-" in r["Fn::Sub"] for r in as_list(one["Resource"]))


def test_no_client_is_overlooked_when_the_code_is_read() -> None:
    assert api_calls.find_unknown_clients() == set()


def test_every_exception_is_one_that_the_code_calls_and_has_its_page() -> None:
    assert set(EXCEPTIONS) <= api_calls.find_calls()
    assert all(page.startswith("https://docs.aws.amazon.com/") for _, page in EXCEPTIONS.values())


def test_the_code_is_read_as_it_is_called() -> None:
    calls = api_calls.find_calls()
    assert ("s3", "PutBucketVersioning") in calls  # by a method looked up by its name
    assert ("dynamodb", "ListBackups") in calls  # by a paginator
    assert ("cloudformation", "RollbackStack") in calls  # by a plain call
    assert ("sts", "GetCallerIdentity") in calls  # by a client made on the spot
    assert ("s3", "DeleteBucket") not in calls


# What CloudFormation does in their name


@pytest.mark.parametrize("kind", HANDLERS)
def test_cloudformation_can_manage_each_type_of_the_templates(kind: str) -> None:
    allowed = granted(*RESOURCE_POLICIES) | granted(*TOOL_POLICIES)
    needed = {action for action in HANDLERS[kind] if not is_needless(action)}
    assert {action for action in needed if not matches(action, allowed)} == set()


def test_nothing_is_granted_that_no_type_needs() -> None:
    needed = {a for actions in HANDLERS.values() for a in actions if not is_needless(a)}
    needed |= set(ADDITIONS)
    for action in granted(*RESOURCE_POLICIES):
        assert any(fnmatch.fnmatchcase(one, action) for one in needed), action


def test_a_wildcard_only_ever_reads() -> None:
    for action in granted(*TOOL_POLICIES, *RESOURCE_POLICIES):
        assert "*" not in action or re.fullmatch(r"[a-z0-9-]+:(Get|Describe|List)\w*\*", action)


def test_what_is_left_out_has_a_reason_and_is_asked_for_by_some_type() -> None:
    asked = {action for actions in HANDLERS.values() for action in actions}
    for pattern, reason in NOT_NEEDED.items():
        assert reason
        assert any(re.fullmatch(pattern, action) for action in asked), pattern


#: Statements on every resource, with what holds them instead.
ON_EVERYTHING = {
    "ReadTheAccount": "reads; no resource to name",
    "LookAtNetworks": "reads; no resource to name",
    "MakeNetworks": "what does not exist has no name",
    "TagWhatIsMade": "only as part of a creation, by ec2:CreateAction",
    "ChangeOwnNetworks": "only what carries the project's tag",
    "MakeUserPools": "only with the environment's tag",
    "DeliverTheAccessLog": "log delivery knows no resource",
    "RetireTaskDefinitions": "ECS knows no resource",
    "ManageSubscriptions": "SNS knows no resource",
}


def test_every_other_statement_is_held_to_names_or_services() -> None:
    everywhere = {
        one["Sid"]
        for one in statements(*TOOL_POLICIES, *RESOURCE_POLICIES)
        if "*" in as_list(one["Resource"])
    }
    assert everywhere == set(ON_EVERYTHING)


def test_roles_are_only_passed_to_the_services_that_the_templates_name() -> None:
    services = {
        statement["Principal"]["Service"]
        for template in APPLICATION
        for one in template.resources.values()
        if one["Type"] == "AWS::IAM::Role"
        for statement in one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    [passing] = [one for one in statements("IdentityPolicy") if one["Action"] == "iam:PassRole"]
    assert set(passing["Condition"]["StringEquals"]["iam:PassedToService"]) == services


def test_role_names_start_with_the_stack_s_because_no_template_names_a_role() -> None:
    for template in APPLICATION:
        for one in template.resources.values():
            assert one["Type"] != "AWS::IAM::Role" or "RoleName" not in one["Properties"]


# Who may take it


def test_only_one_environment_of_one_repository_takes_the_role() -> None:
    role = ROLE.resources["DeployRole"]["Properties"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Principal"] == {"Federated": {"Ref": "OidcProviderArn"}}
    # StringEquals: a wildcard in a name would stay a plain character.
    assert set(trust["Condition"]) == {"StringEquals"}
    claims = trust["Condition"]["StringEquals"]
    issuer = "token.actions.githubusercontent.com"
    assert claims[f"{issuer}:aud"] == "sts.amazonaws.com"
    assert claims[f"{issuer}:sub"] == {
        "Fn::Sub": "repo:${GitHubRepository}:environment:${GitHubEnvironment}"
    }


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("GitHubRepository", ["a/b", "an-org/plot.palette_1"], ["a/*", "*/b", "a", "a/b/c", ""]),
        ("GitHubEnvironment", ["staging"], ["*", "st*", "a:b", ""]),
    ],
)
def test_names_admit_no_wildcard(parameter: str, good: list[str], bad: list[str]) -> None:
    pattern = ROLE.parameters[parameter]["AllowedPattern"]
    assert all(re.fullmatch(pattern, text) for text in good)
    assert not any(re.fullmatch(pattern, text) for text in bad)


# The template


def test_it_is_part_of_no_release() -> None:
    assert "deploy-role.yaml" not in [file.name for file in releases.build(FOLDER).files]


def test_it_asks_for_no_more_capabilities_than_the_application() -> None:
    without = {template.name: template for template in APPLICATION}
    assert contracts.capabilities(FOLDER) == contracts.capabilities(without)


def test_its_parameters_are_labelled_grouped_described_and_constrained() -> None:
    interface = ROLE.body["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(ROLE.parameters) == sorted(interface["ParameterLabels"])
    for declared in ROLE.parameters.values():
        assert declared["Description"]
        assert declared["ConstraintDescription"]


def longest(node: Any) -> Any:
    """Put the longest names in, as far as they matter for the size."""
    if isinstance(node, dict):
        if "Fn::Sub" in node:
            names = {
                "AWS::Partition": "aws-us-gov",
                "AWS::AccountId": "1" * 12,
                "EnvironmentName": "development",
                "LambdaCodeBucket": "b" * 63,
            }
            return re.sub(r"\$\{([^}]+)\}", lambda m: names[m[1]], node["Fn::Sub"])
        if "Ref" in node:
            return "development"
        if "Fn::If" in node:
            return longest(node["Fn::If"][1])
        return {key: longest(value) for key, value in node.items()}
    return [longest(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("name", [*TOOL_POLICIES, *RESOURCE_POLICIES])
def test_each_policy_is_small_enough_for_iam(name: str) -> None:
    document = ROLE.resources[name]["Properties"]["PolicyDocument"]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(json.dumps(longest(document), separators=(",", ":"))) <= 6144
