"""The two roles of a deployment may do what it needs, and nothing else.

The pipeline's role calls what the tasks call, which is read from the code
(tests/support/api_calls.py). The service role, which only CloudFormation takes, does what the
resources need, which is read from the handlers in CloudFormation's own resource schemas, as
cfn-lint ships them. What AWS wants beside either stands in tests/support/authorization.py.
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
from lib.templates.templates import Template
from tests.support import api_calls, authorization

FOLDER = templates.read_folder(api_calls.ROOT / "infrastructure" / "cloudformation")
ROLE = FOLDER["deploy-role.yaml"]
SERVICE_ROLE = FOLDER["service-role.yaml"]
ROLES = (ROLE, SERVICE_ROLE)
APPLICATION = [template for template in FOLDER.values() if template not in ROLES]


def policies_of(role: Template) -> tuple[str, ...]:
    """Name the policies of a role's template."""
    kind = "AWS::IAM::ManagedPolicy"
    return tuple(name for name, one in role.resources.items() if one["Type"] == kind)


TOOL_POLICIES = policies_of(ROLE)
RESOURCE_POLICIES = policies_of(SERVICE_ROLE)
HOLDER = {name: role for role in ROLES for name in policies_of(role)}

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
    r"(autoscaling|codecommit|elasticfilesystem|firehose|kinesis|s3files|s3tables|vpc-lattice|"
    r"vpce):.*": "services that no template uses",
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
        [f"cloudformation:{verb}ChangeSet" for verb in ("Create", "Delete", "Describe", "Execute")],
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/change-sets-for-nested-stacks.html",
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
        for one in HOLDER[name].resources[name]["Properties"]["PolicyDocument"]["Statement"]
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
    calls = api_calls.find_calls()
    needed = {a for call in calls for a in actions_of(*call)} | authorization.beside(calls)
    assert granted(*TOOL_POLICIES) == needed


def test_what_aws_wants_beside_a_call_is_found_on_its_pages() -> None:
    for actions, pages in authorization.BESIDE.values():
        assert actions
        assert pages
        assert all(page.startswith("https://docs.aws.amazon.com/") for page in pages)
    # The mistake that this table is there for: stack tags need a right that no schema names.
    assert "cloudformation:TagResource" in authorization.beside({("cloudformation", "CreateStack")})
    assert "cloudformation:TagResource" not in HANDLERS[templates.STACK_TYPE]


def test_a_preview_role_can_change_nothing_but_change_sets_and_new_releases() -> None:
    assert ROLE.resources["ChangePolicy"]["Condition"] == "CanDeploy"
    assert "Condition" not in ROLE.resources["LookPolicy"]
    assert TOOL_POLICIES == ("LookPolicy", "ChangePolicy")
    writing = {a for a in granted("LookPolicy") if not re.search(":(Get|List|Describe|View)", a)}
    assert writing == {
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
        "iam:SimulatePrincipalPolicy",  # asks, and changes nothing
        "s3:PutObject",
    }


def places(statement: dict[str, Any]) -> set[str]:
    """Return what a statement on the templates bucket is about, below the bucket's name."""
    bucket = "arn:${AWS::Partition}:s3:::plot-palette-cfn-${AWS::AccountId}-*"
    arns = [one["Fn::Sub"] for one in as_list(statement["Resource"])]
    assert all(arn.startswith(bucket) for arn in arns)
    return {arn.removeprefix(bucket) for arn in arns}


def test_what_was_published_cannot_be_overwritten_by_either_role() -> None:
    writing = [
        one for one in statements(*TOOL_POLICIES) if "s3:PutObject" in as_list(one["Action"])
    ]
    publishing, recording, locking = writing
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    assert publishing["Condition"] == {"Null": {"s3:if-none-match": "false"}}
    assert places(publishing) == {"/code/*", "/releases/*", "/templates/*"}
    # A record of the history is completed later, so that it may be, but only one's own.
    assert places(recording) == {
        "/deployments/plot-palette-${EnvironmentName}/*",
        "/deployments/plot-palette-${EnvironmentName}-*/*",
    }
    assert recording in statements("ChangePolicy")
    # A lock is written anew while it holds, and only those of one's own environment.
    assert places(locking) == {
        "/locks/plot-palette-${EnvironmentName}.json",
        "/locks/plot-palette-${EnvironmentName}-*.json",
    }
    assert locking in statements("ChangePolicy")


def test_a_preview_role_cannot_change_the_bucket_s_protection() -> None:
    settings = [a for a in granted("LookPolicy") if re.match("s3:(Put|Create|Delete)", a)]
    assert settings == ["s3:PutObject"]


def test_nothing_but_a_release_and_a_lock_can_be_deleted_from_the_bucket() -> None:
    pruning, releasing = (
        one for one in statements(*TOOL_POLICIES) if "s3:DeleteObject" in as_list(one["Action"])
    )
    locks = {place for place in places(pruning) | places(releasing) if place.startswith("/locks/")}
    assert places(pruning) | places(releasing) == {"/code/*", "/releases/*", "/templates/*"} | locks
    assert all("plot-palette-${EnvironmentName}" in place for place in locks)


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
    needed = {action for action in HANDLERS[kind] if not is_needless(action)}
    allowed = granted(*RESOURCE_POLICIES)
    assert {action for action in needed if not matches(action, allowed)} == set()


def test_cloudformation_has_what_aws_wants_beside_the_calls_of_the_handlers() -> None:
    asked = {action for actions in HANDLERS.values() for action in actions}
    calls = [call for call in authorization.BESIDE if ":".join(call) in asked]
    assert ("cloudformation", "CreateStack") in calls  # a nested stack
    for action in authorization.beside(calls):
        assert matches(action, granted(*RESOURCE_POLICIES)), action


def test_nothing_is_granted_that_no_type_needs() -> None:
    needed = {a for actions in HANDLERS.values() for a in actions if not is_needless(a)}
    calls = [call for call in authorization.BESIDE if ":".join(call) in needed]
    needed |= set(ADDITIONS) | authorization.beside(calls)
    for action in granted(*RESOURCE_POLICIES):
        assert any(fnmatch.fnmatchcase(one, action) for one in needed), action


def test_the_pipeline_has_no_right_on_resources_but_what_the_tasks_call() -> None:
    # That is what the service role is for: Security Hub's CloudFormation.4.
    changing = {
        action
        for action in granted("ChangePolicy")
        if not action.startswith(("cloudformation:", "s3:", "dynamodb:"))
    }
    assert changing == {
        "amplify:CreateDeployment",
        "amplify:GetJob",
        "amplify:StartDeployment",
        "iam:PassRole",
        "iam:CreateServiceLinkedRole",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "ecs:StopTask",
        # What explains a failure, which changes nothing.
        "cloudtrail:LookupEvents",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "lambda:GetFunctionConfiguration",
        "logs:DescribeLogStreams",
        "logs:GetLogEvents",
        "sts:DecodeAuthorizationMessage",
    }
    [making] = [
        one for one in statements("ChangePolicy") if one["Action"] == "iam:CreateServiceLinkedRole"
    ]
    assert making["Resource"]["Fn::Sub"].endswith("/ecs.amazonaws.com/AWSServiceRoleForECS")
    assert making["Condition"] == {"StringEquals": {"iam:AWSServiceName": "ecs.amazonaws.com"}}
    [passing] = [one for one in statements("ChangePolicy") if one["Action"] == "iam:PassRole"]
    assert passing["Resource"] == {"Ref": "ServiceRoleArn"}
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}
    }


def test_a_deploy_role_cannot_be_made_without_a_service_role() -> None:
    [rule] = ROLE.body["Rules"].values()
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Access"}, "deploy"]}
    [assertion] = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ServiceRoleArn"}, ""]}]}


def test_only_cloudformation_takes_the_service_role_and_hands_it_to_nested_stacks() -> None:
    role = SERVICE_ROLE.resources["ServiceRole"]["Properties"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert trust["Condition"]["StringEqualsIfExists"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    own = [one for one in statements("StacksPolicy") if one["Action"] == "iam:PassRole"]
    assert [(one["Resource"], one["Condition"]) for one in own] == [
        (
            {"Fn::GetAtt": ["ServiceRole", "Arn"]},
            {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
        )
    ]


def test_the_service_role_cannot_rewrite_itself() -> None:
    assert "RoleName" not in SERVICE_ROLE.resources["ServiceRole"]["Properties"]
    guide = (api_calls.ROOT / "docs" / "pipeline.md").read_text()
    names = re.findall(r"--stack-name (\S*role\S*)", guide)
    assert names
    # The role may change roles whose names begin like the application's, and a role's name
    # begins with its stack's.
    for name in names:
        assert not re.match(r"plot-palette-(development|staging|production)", name)


# What AWS lets a statement be held to, by the Service Authorization Reference


ALL_STATEMENTS = [
    pytest.param(one, id=f"{name}-{one['Sid']}") for name in HOLDER for one in statements(name)
]


def arns_of(statement: dict[str, Any]) -> list[str]:
    """Return a statement's ARNs as text, with parameters as something that fits."""
    text = json.dumps(statement["Resource"])
    text = text.replace('{"Ref": "ServiceRoleArn"}', '"arn:aws:iam::1:role/x"')
    text = text.replace('{"Fn::GetAtt": ["ServiceRole", "Arn"]}', '"arn:aws:iam::1:role/x"')
    return [
        re.sub(r"\$\{[^}]+\}", "x", one["Fn::Sub"] if isinstance(one, dict) else one)
        for one in as_list(json.loads(text))
    ]


@pytest.mark.parametrize("statement", ALL_STATEMENTS)
def test_each_action_exists_and_can_be_held_to_the_resources_of_its_statement(
    statement: dict[str, Any],
) -> None:
    arns = arns_of(statement)
    for text in as_list(statement["Action"]):
        service = text.partition(":")[0]
        types = {kind for one in known(text) for kind in authorization.resource_types(one)}
        if arns != ["*"]:
            assert any(authorization.is_of_type(a, service, t) for a in arns for t in types), text


def known(action: str) -> list[str]:
    """Return what an action stands for, which has to be something."""
    found = authorization.matching(action)
    assert found, f"{action} is no action"
    return found


@pytest.mark.parametrize("statement", ALL_STATEMENTS)
def test_a_condition_on_tags_of_a_resource_is_one_that_its_type_knows(
    statement: dict[str, Any],
) -> None:
    condition = json.dumps(statement.get("Condition", {}))
    if "aws:ResourceTag" not in condition:
        return
    for action in (one for text in as_list(statement["Action"]) for one in known(text)):
        service = action.partition(":")[0]
        keys = [
            authorization.condition_keys(service, kind)
            for kind in authorization.resource_types(action)
            if any(
                a == "*" or authorization.is_of_type(a, service, kind) for a in arns_of(statement)
            )
        ]
        assert any("aws:ResourceTag" in one for one in keys), action


#: What AWS names by an id of its own, so that no ARN can tell ours from another's, and the
#: statement on all of them is held to a tag.
NAMED_BY_AWS = ("apis/*", "apps/*", "userpool/*", "budget/*", "application-inference-profile/*")


@pytest.mark.parametrize("end", NAMED_BY_AWS)
def test_what_aws_names_is_held_to_the_environment_s_tag(end: str) -> None:
    found = [
        one
        for one in statements(*RESOURCE_POLICIES)
        if any(arn.endswith(end) and "/tags/" not in arn for arn in arns_of(one))
    ]
    assert found
    for one in found:
        [(key, value)] = one["Condition"]["StringEquals"].items()
        assert key in ("aws:ResourceTag/Environment", "aws:RequestTag/Environment")
        assert value == {"Ref": "EnvironmentName"}


def test_what_is_tagged_after_its_creation_can_be_changed_before() -> None:
    [later] = [
        one for one in statements("NetworkPolicy") if one["Sid"] == "ChangeWhatIsTaggedLater"
    ]
    assert later["Condition"] == {
        "StringEqualsIfExists": {"aws:ResourceTag/Project": "plot-palette"}
    }
    assert {"ec2:CreateTags", "ec2:AuthorizeSecurityGroupEgress", "ec2:AssociateAddress"} <= set(
        later["Action"]
    )
    assert all(re.search(r":(elastic-ip|security-group(-rule)?)/\*$", a) for a in arns_of(later))


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
    "AskWhoWasDenied": "reads; no resource to name",
    "LookAtNetworks": "reads; no resource to name",
    "MakeNetworks": "what does not exist has no name",
    "TagWhatIsMade": "only as part of a creation, by ec2:CreateAction",
    "ChangeOwnNetworks": "only what carries the project's tag",
    "MakeUserPools": "only with the environment's tag",
    "MakeWebApplications": "only with the environment's tag",
    "ListTasksThatKeepTheStack": "only in the environment's clusters, by ecs:cluster",
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
    condition = passing["Condition"]["StringEqualsIfExists"]
    assert set(condition["iam:PassedToService"]) == services


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
        (
            "GitHubRepository",
            ["a/b", "an-org/plot.palette_1", "an-org@123456/plot.palette_1@456789"],
            ["a/*", "*/b", "a", "a/b/c", "", "a@1/b", "a/b@1", "a@*/b@*", "a@b/c@d", "a@1/b@1/c"],
        ),
        ("ServiceRoleArn", ["", "arn:aws:iam::111122223333:role/x"], ["*", "x", "arn:aws:iam::1"]),
        ("GitHubEnvironment", ["staging"], ["*", "st*", "a:b", ""]),
    ],
)
def test_names_admit_no_wildcard(parameter: str, good: list[str], bad: list[str]) -> None:
    pattern = ROLE.parameters[parameter]["AllowedPattern"]
    assert all(re.fullmatch(pattern, text) for text in good)
    assert not any(re.fullmatch(pattern, text) for text in bad)


# The template


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_is_part_of_no_release(role: Template) -> None:
    assert role.name not in [file.name for file in releases.build(FOLDER).files]


def test_the_roles_ask_for_no_more_capabilities_than_the_application() -> None:
    without = {template.name: template for template in APPLICATION}
    assert contracts.capabilities(FOLDER) == contracts.capabilities(without)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_parameters_are_labelled_grouped_described_and_constrained(role: Template) -> None:
    interface = role.body["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(role.parameters) == sorted(interface["ParameterLabels"])
    for declared in role.parameters.values():
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
        if "Ref" in node or "Fn::GetAtt" in node:
            return "arn:aws-us-gov:iam::111111111111:role/" + "r" * 64
        if "Fn::If" in node:
            return longest(node["Fn::If"][1])
        return {key: longest(value) for key, value in node.items()}
    return [longest(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("name", [*TOOL_POLICIES, *RESOURCE_POLICIES])
def test_each_policy_is_small_enough_for_iam(name: str) -> None:
    document = HOLDER[name].resources[name]["Properties"]["PolicyDocument"]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(json.dumps(longest(document), separators=(",", ":"))) <= 6144
