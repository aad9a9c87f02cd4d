"""Provision the resource types that upstream lacks, and tables as DynamoDB would.

The amendments `missing_types_exist`, `tables_keep_their_data` and
`change_sets_know_what_replaces` put what stands here in place and say why.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cognito, dynamodb, s3
from ministack.services.cloudformation import provisioners

Json = dict[str, Any]
Resolved = tuple[str, Json]
Create = Callable[[str, Json, str], Resolved]
Delete = Callable[[str, Json], None]

MEMBERSHIP = ("GroupName", "UserPoolId", "Username")


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def _succeed(response: Sequence[Any]) -> None:
    """Raise ValueError with the service's own answer unless its status says success."""
    if response[0] >= 400:
        raise ValueError(response[2].decode())


def _amplify_app(_logical_id: str, props: Json, _stack: str) -> Resolved:
    app_id = "d" + uuid.uuid4().hex[:13]
    arn = _arn("amplify", f"apps/{app_id}")
    return arn, {
        "AppId": app_id,
        "AppName": props["Name"],
        "Arn": arn,
        "DefaultDomain": f"{app_id}.amplifyapp.com",
    }


def _amplify_branch(_logical_id: str, props: Json, _stack: str) -> Resolved:
    arn = _arn("amplify", f"apps/{props['AppId']}/branches/{props['BranchName']}")
    return arn, {"Arn": arn, "BranchName": props["BranchName"]}


def _model_profile(logical_id: str, props: Json, _stack: str) -> Resolved:
    """Record an application inference profile; Ref is its ARN.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-bedrock-applicationinferenceprofile.html
    """
    profile_id = uuid.uuid4().hex[:12]
    arn = _arn("bedrock", f"application-inference-profile/{profile_id}")
    return arn, {
        "InferenceProfileArn": arn,
        "InferenceProfileId": profile_id,
        "InferenceProfileIdentifier": arn,
        "Status": "ACTIVE",
        "Type": "APPLICATION",
    }


def _budget(logical_id: str, props: Json, stack_name: str) -> Resolved:
    generated = provisioners._physical_name(stack_name, logical_id, max_len=100)
    return props["Budget"].get("BudgetName") or generated, {}


def _user(logical_id: str, props: Json, _stack: str) -> Resolved:
    name = props.get("Username") or f"{logical_id}-{uuid.uuid4().hex[:12]}"
    request = {key: value for key, value in props.items() if key != "ClientMetadata"}
    _succeed(cognito._admin_create_user({**request, "Username": name}))
    return name, {}


def _delete_user(physical_id: str, props: Json) -> None:
    cognito._admin_delete_user({"UserPoolId": props["UserPoolId"], "Username": physical_id})


def _group_membership(_logical_id: str, props: Json, _stack: str) -> Resolved:
    wanted = {key: props[key] for key in MEMBERSHIP}
    _succeed(cognito._admin_add_user_to_group(wanted))
    return "|".join(wanted.values()), {}


def _leave_group(_physical_id: str, props: Json) -> None:
    cognito._admin_remove_user_from_group({key: props[key] for key in MEMBERSHIP})


def _address(_logical_id: str, _props: Json, _stack: str) -> Resolved:
    number = uuid.uuid4().int
    ip = f"203.0.113.{number % 254 + 1}"  # TEST-NET-3, which belongs to nobody
    return ip, {"AllocationId": f"eipalloc-{uuid.uuid4().hex[:17]}", "PublicIp": ip}


def _nat_gateway(_logical_id: str, _props: Json, _stack: str) -> Resolved:
    gateway_id = f"nat-{uuid.uuid4().hex[:17]}"
    return gateway_id, {"NatGatewayId": gateway_id}


def _flow_log(_logical_id: str, _props: Json, _stack: str) -> Resolved:
    """Record a flow log; Ref and its one attribute are its id.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-flowlog.html
    """
    flow_log_id = f"fl-{uuid.uuid4().hex[:17]}"
    return flow_log_id, {"Id": flow_log_id}


def _keep(_physical_id: str, _props: Json) -> None:
    """Do nothing for a resource that exists only in its stack's record."""


def _handler(create: Create, delete: Delete = _keep) -> Json:
    """Return upstream's form of a type; what needs a new resource never comes to `update`."""
    return {
        "create": create,
        "delete": delete,
        "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
    }


MISSING: dict[str, Json] = {
    "AWS::Amplify::App": _handler(_amplify_app),
    "AWS::Amplify::Branch": _handler(_amplify_branch),
    "AWS::Bedrock::ApplicationInferenceProfile": _handler(_model_profile),
    "AWS::Budgets::Budget": _handler(_budget),
    "AWS::Cognito::UserPoolUser": _handler(_user, _delete_user),
    "AWS::Cognito::UserPoolUserToGroupAttachment": _handler(_group_membership, _leave_group),
    "AWS::EC2::EIP": _handler(_address),
    "AWS::EC2::FlowLog": _handler(_flow_log),
    "AWS::EC2::NatGateway": _handler(_nat_gateway),
}

# createOnlyProperties of the resource provider schemas (us-east-1, cfn-lint 1.58.0).
MISSING_CREATE_ONLY: dict[str, tuple[str, ...]] = {
    "AWS::Amplify::App": (),
    "AWS::Amplify::Branch": ("AppId", "BranchName"),
    "AWS::Bedrock::ApplicationInferenceProfile": (
        "Description",
        "InferenceProfileName",
        "ModelSource",
    ),
    "AWS::Budgets::Budget": ("NotificationsWithSubscribers",),
    "AWS::Cognito::UserPoolUser": (
        "ClientMetadata",
        "DesiredDeliveryMediums",
        "ForceAliasCreation",
        "MessageAction",
        "UserAttributes",
        "UserPoolId",
        "Username",
        "ValidationData",
    ),
    "AWS::Cognito::UserPoolUserToGroupAttachment": MEMBERSHIP,
    "AWS::EC2::EIP": ("Address", "IpamPoolId", "NetworkBorderGroup", "TransferAddress"),
    "AWS::EC2::FlowLog": (
        "DeliverCrossAccountRole",
        "DeliverLogsPermissionArn",
        "DestinationOptions",
        "LogDestination",
        "LogDestinationType",
        "LogFormat",
        "LogGroupName",
        "MaxAggregationInterval",
        "ResourceId",
        "ResourceType",
        "TagFieldSpecifications",
        "TrafficType",
    ),
    "AWS::EC2::NatGateway": (
        "AllocationId",
        "ConnectivityType",
        "PrivateIpAddress",
        "SubnetId",
        "VpcId",
    ),
}

# The same for types of this application that upstream provisions but says nothing of.
CREATE_ONLY: dict[str, tuple[str, ...]] = {
    "AWS::ApiGatewayV2::Api": ("ProtocolType",),
    "AWS::ApiGatewayV2::Authorizer": ("ApiId",),
    "AWS::ApiGatewayV2::Integration": ("ApiId",),
    "AWS::ApiGatewayV2::Route": ("ApiId",),
    "AWS::ApiGatewayV2::Stage": ("ApiId", "StageName"),
    "AWS::Cognito::UserPoolClient": ("GenerateSecret", "UserPoolId"),
    "AWS::EC2::InternetGateway": (),
    "AWS::EC2::Route": (
        "DestinationCidrBlock",
        "DestinationIpv6CidrBlock",
        "DestinationPrefixListId",
        "RouteTableId",
    ),
    "AWS::EC2::RouteTable": ("VpcId",),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::EC2::Subnet": ("AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "VpcId"),
    "AWS::EC2::SubnetRouteTableAssociation": ("RouteTableId", "SubnetId"),
    "AWS::EC2::VPC": ("CidrBlock",),
    "AWS::EC2::VPCEndpoint": ("ServiceName", "VpcEndpointType", "VpcId"),
    "AWS::EC2::VPCGatewayAttachment": ("VpcId",),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::TaskDefinition": (
        "ContainerDefinitions",
        "Cpu",
        "EphemeralStorage",
        "ExecutionRoleArn",
        "Family",
        "Memory",
        "NetworkMode",
        "RequiresCompatibilities",
        "RuntimePlatform",
        "TaskRoleArn",
        "Volumes",
    ),
    "AWS::Events::Rule": ("Name",),
    "AWS::IAM::Policy": (),
    "AWS::Lambda::Permission": (
        "Action",
        "EventSourceToken",
        "FunctionName",
        "FunctionUrlAuthType",
        "Principal",
        "PrincipalOrgID",
        "SourceAccount",
        "SourceArn",
    ),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName", "BucketNamePrefix"),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SNS::Subscription": ("Endpoint", "Protocol", "TopicArn"),
    "AWS::SNS::TopicPolicy": (),
}

TABLE = "AWS::DynamoDB::Table"
# A table with another key or other local indexes is another table.
FIXED = ("KeySchema", "LocalSecondaryIndexes")


def replaces(kind: str, old: Json, new: Json) -> bool:
    """Return whether an update from `old` to `new` needs a new physical resource."""
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    fixed = {*CREATE_ONLY.get(kind, ()), *(FIXED if kind == TABLE else ())}
    needed: bool = provisioners._requires_replacement(kind, old, new)
    return needed or bool(changed & fixed)


_upstream_table = dict(provisioners._RESOURCE_HANDLERS[TABLE])


def _on(value: object) -> bool:
    """Return a template's boolean, which may come as text from a parameter."""
    return str(value).lower() == "true"


def _apply_settings(name: str, props: Json) -> None:
    """Give the table the protection, recovery, lifetime and encryption of its template."""
    record = dynamodb._tables[name]
    record["DeletionProtectionEnabled"] = _on(props.get("DeletionProtectionEnabled"))
    recovery = props.get("PointInTimeRecoverySpecification") or {}
    dynamodb._pitr_settings[name] = _on(recovery.get("PointInTimeRecoveryEnabled"))
    lifetime = props.get("TimeToLiveSpecification")
    if lifetime:
        spec = {**lifetime, "Enabled": _on(lifetime.get("Enabled"))}
        dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": spec})
    else:
        dynamodb._ttl_settings.pop(name, None)
    encryption = props.get("SSESpecification") or {}
    kind = encryption.get("SSEType", "KMS")
    record["SSEDescription"] = (
        {"Status": "ENABLED", "SSEType": kind} if _on(encryption.get("SSEEnabled")) else None
    )


def create_table(logical_id: str, props: Json, stack_name: str) -> Resolved:
    """Create a table unless its name is taken."""
    name = props.get("TableName")
    if name and name in dynamodb._tables:
        raise ValueError(
            f"Resource of type 'AWS::DynamoDB::Table' with identifier '{name}' already exists."
        )
    made: Resolved = _upstream_table["create"](logical_id, props, stack_name)
    _apply_settings(made[0], props)
    return made


def update_table(
    physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str | None = None
) -> Resolved:
    """Change a table in place, or create the one that replaces it under a new name."""
    if any(old.get(key) != new.get(key) for key in FIXED) and not new.get("TableName"):
        provisioners._NAME_SEED.set(uuid.uuid4().hex[:8])
        return create_table(logical_id or physical_id, new, stack_name)
    # Upstream takes a template's SSESpecification for the API's, which has other members.
    before, after = (
        {key: value for key, value in props.items() if key != "SSESpecification"}
        for props in (old, new)
    )
    made: Resolved = _upstream_table["update"](physical_id, before, after, stack_name, logical_id)
    _apply_settings(made[0], new)
    return made


def delete_table(physical_id: str, props: Json) -> None:
    """Delete a table unless it is protected."""
    record = dynamodb._tables.get(physical_id)
    if record and record.get("DeletionProtectionEnabled"):
        raise ValueError(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    _upstream_table["delete"](physical_id, props)


_upstream_function = dict(provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"])


def _find_code(props: Json) -> None:
    """Raise ValueError, in Lambda's words, when the object that holds the code is missing."""
    code = props.get("Code") or {}
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    if not bucket or not key or code.get("ZipFile"):
        return
    if bucket not in s3._buckets:
        problem = "NoSuchBucket. S3 Error Message: The specified bucket does not exist"
    elif s3._get_object_data(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
        problem = "NoSuchKey. S3 Error Message: The specified key does not exist."
    else:
        return
    words = f"Error occurred while GetObject. S3 Error Code: {problem}"
    raise ValueError(
        f'Resource handler returned message: "{words} (Service: Lambda, Status Code: 400, Request '
        f'ID: {uuid.uuid4()})" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: InvalidRequest)'
    )


def create_function(logical_id: str, props: Json, stack_name: str) -> Resolved:
    """Create a function unless its code is missing."""
    _find_code(props)
    made: Resolved = _upstream_function["create"](logical_id, props, stack_name)
    return made


def update_function(physical_id: str, old: Json, new: Json, *more: Any) -> Resolved:
    """Update a function unless its new code is missing."""
    if old.get("Code") != new.get("Code"):
        _find_code(new)
    made: Resolved = _upstream_function["update"](physical_id, old, new, *more)
    return made


def heed_encryption() -> None:
    """Let both restores of a table take the encryption that they are asked for."""

    def wrap(upstream: Callable[[Json], Any]) -> Callable[[Json], Any]:
        def restore(data: Json) -> Any:
            response = upstream(data)
            table = dynamodb._tables.get(data.get("TargetTableName", ""))
            wanted = data.get("SSESpecificationOverride")
            if response[0] == 200 and table is not None and wanted:
                table["SSEDescription"] = dynamodb._sse_description_from_spec(wanted)
            return response

        return restore

    for name in ("_restore_table_from_backup", "_restore_table_to_point_in_time"):
        setattr(dynamodb, name, wrap(getattr(dynamodb, name)))
