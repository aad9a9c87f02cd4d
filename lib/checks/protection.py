"""Say what leaves a table, a bucket or a user pool unprotected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data import tables
from lib.refusals import error_code

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client

    from lib.access import Access
    from lib.stacks.stacks import StackResource


SHORTEST_PASSWORD = 12

_LOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_REQUIRED = ("RequireLowercase", "RequireUppercase", "RequireNumbers", "RequireSymbols")

#: What S3 says of a setting that a bucket does not have.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NOT_SET = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchPublicAccessBlockConfiguration",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)


def table_flaws(access: Access, resource: StackResource, is_production: bool) -> Iterator[str]:
    """Yield what is wrong with a table: not active, not recoverable, not encrypted.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
    """
    dynamodb: DynamoDBClient = access.aws.client("dynamodb")
    table = dynamodb.describe_table(TableName=resource.physical_id)["Table"]
    if table.get("TableStatus") != "ACTIVE":
        yield f"is {table.get('TableStatus')}"
    # A table under the key that DynamoDB owns has no description: nobody can audit that key.
    if table.get("SSEDescription", {}).get("Status") != "ENABLED":
        yield "is not encrypted with a key of this account"
    if is_production and not table.get("DeletionProtectionEnabled"):
        yield "is not protected against deletion"
    window = tables.read_window(dynamodb, resource.physical_id, access.clock)
    if window is None or not window.is_on:
        yield "has no point-in-time recovery"


def bucket_flaws(access: Access, resource: StackResource, _is_production: bool) -> Iterator[str]:
    """Yield what is wrong with a bucket: open, unversioned, unencrypted, reachable without TLS."""
    s3: S3Client = access.aws.client("s3")
    where = {"Bucket": resource.physical_id, "ExpectedBucketOwner": access.aws.identity().account}
    blocked = _read_setting(lambda: s3.get_public_access_block(**where))
    settings = blocked.get("PublicAccessBlockConfiguration", {})
    if not all(settings.get(lock) for lock in _LOCKS):
        yield "does not block all public access"
    if s3.get_bucket_versioning(**where).get("Status") != "Enabled":
        yield "is not versioned"
    encryption = _read_setting(lambda: s3.get_bucket_encryption(**where))
    if not encryption.get("ServerSideEncryptionConfiguration", {}).get("Rules"):
        yield "is not encrypted"
    policy = _read_setting(lambda: s3.get_bucket_policy(**where)).get("Policy", "")
    if not requires_tls(policy):
        yield "accepts requests without TLS"
    controls = _read_setting(lambda: s3.get_bucket_ownership_controls(**where))
    rules = controls.get("OwnershipControls", {}).get("Rules", [])
    if [rule.get("ObjectOwnership") for rule in rules] != ["BucketOwnerEnforced"]:
        yield "lets access control lists decide who owns an object"


def _read_setting(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a bucket's setting, empty where it is not set."""
    try:
        return call()
    except ClientError as error:
        if error_code(error) in _NOT_SET:
            return {}
        raise


def requires_tls(policy: str) -> bool:
    """Tell whether a bucket policy denies everybody everything over plain HTTP."""
    try:
        statements = json.loads(policy)["Statement"]
    except (ValueError, KeyError, TypeError):
        return False
    return any(_denies_plain_http(one) for one in _as_list(statements) if isinstance(one, dict))


def _denies_plain_http(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and bool({"*", "s3:*"} & {str(action) for action in _as_list(statement.get("Action"))})
        and {str(value).lower() for value in _as_list(condition)} == {"false"}
        and any(str(arn).endswith("/*") for arn in _as_list(statement.get("Resource")))
    )


def _as_list(value: Any) -> list[Any]:
    """Return one or several as several."""
    return value if isinstance(value, list) else [value]


def pool_flaws(access: Access, resource: StackResource, is_production: bool) -> Iterator[str]:
    """Yield what is wrong with a user pool: weak passwords, or no protection in production.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DescribeUserPool.html
    """
    cognito = access.aws.client("cognito-idp")
    pool = cognito.describe_user_pool(UserPoolId=resource.physical_id)["UserPool"]
    policy = pool.get("Policies", {}).get("PasswordPolicy", {})
    if policy.get("MinimumLength", 0) < SHORTEST_PASSWORD:
        yield f"accepts passwords of {policy.get('MinimumLength', 0)} characters"
    missing = [name.removeprefix("Require").lower() for name in _REQUIRED if not policy.get(name)]
    if missing:
        yield f"accepts passwords without {', '.join(missing)}"
    if is_production and pool.get("DeletionProtection") != "ACTIVE":
        yield "is not protected against deletion"
