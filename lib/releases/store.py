"""Keep the bucket that releases lie in, and name what is in it."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError

from lib.errors import NotOurs
from lib.parallel import side_by_side
from lib.refusals import error_code, error_message, is_passing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

#: Reads and uploads under way at once, well below what S3 allows of one prefix.
AT_ONCE = 8

#: Consoles of the partitions that have their own, by the beginning of a region's name.
_CONSOLES = {
    "cn-": "console.amazonaws.cn",
    "eusc-": "console.amazonaws-eusc.eu",
    "us-gov-": "console.amazonaws-us-gov.com",
}


def object_url(bucket: str, key: str, region: str, url_suffix: str) -> str:
    """Return the path-style URL of an object, the form that every endpoint understands."""
    return f"https://s3.{region}.{url_suffix}/{bucket}/{quote(key)}"


def quick_create_url(
    master_url: str, *, region: str, stack_name: str, parameters: Mapping[str, str]
) -> str:
    """Return the link that opens the console's create page with everything filled in.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-create-stacks-quick-create-links.html
    """
    query = {"templateURL": master_url, "stackName": stack_name}
    query |= {f"param_{name}": value for name, value in sorted(parameters.items())}
    domain = next(
        (domain for start, domain in _CONSOLES.items() if region.startswith(start)),
        "console.aws.amazon.com",
    )
    return (
        f"https://{region}.{domain}/cloudformation/home?region={region}"
        f"#/stacks/quickcreate?{urlencode(query, quote_via=quote)}"
    )


def strange_bucket(exc: ClientError, bucket: str, owner: str) -> Exception:
    """Return `NotOurs` for a bucket that AWS refuses although it exists, else the error itself."""
    if error_code(exc) in ("AccessDenied", "403"):
        return NotOurs(
            f"The bucket {bucket} is not account {owner}'s, or this identity may not use it: "
            f"{error_message(exc)}",
            next_step="Check that the credentials are the right account's and may use the bucket; "
            "if another account owns it, set TemplatesBucketName to a bucket of your own.",
        )
    return exc


def list_objects(
    s3: S3Client, bucket: str, prefix: str, *, owner: str
) -> list[tuple[str, datetime]]:
    """Return key and time of every object under a prefix; none when there is no bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
    """
    found: list[tuple[str, datetime]] = []
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=owner
        )
        for page in pages:
            found += [(entry["Key"], entry["LastModified"]) for entry in page.get("Contents", [])]
    except ClientError as exc:
        if error_code(exc) == "NoSuchBucket":
            return []
        raise strange_bucket(exc, bucket, owner) from exc
    return found


def read_object(s3: S3Client, bucket: str, key: str, *, owner: str) -> bytes | None:
    """Return an object's bytes, or None when there is none under the key."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=owner)
    except ClientError as exc:
        if error_code(exc) in ("NoSuchKey", "404"):
            return None
        raise
    return answer["Body"].read()


def ensure_bucket(
    s3: S3Client, bucket: str, *, region: str, owner: str, tags: Mapping[str, str]
) -> bool:
    """Create the templates bucket if needed and harden it; tell whether it was created.

    A bucket that exists is only completed where a setting is missing, so that an
    organisation's own choices (its KMS key, its policy) stay, and a run that was cut off
    after the creation is made good. Raises `NotOurs` when another account has the name.
    """
    created = _create_bucket(s3, bucket, region, owner)
    settings = _settings(bucket, tags, s3.meta.partition)
    if not created:
        lacks = functools.partial(_lacks, s3, bucket, owner)
        lacking = side_by_side(lacks, settings, at_once=len(settings))
        settings = tuple(itertools.compress(settings, lacking))
    # One after the other: S3 refuses two changes to one bucket's settings at once.
    for setting in settings:
        put = getattr(s3, setting.write)
        put(Bucket=bucket, ExpectedBucketOwner=owner, **setting.value)
    return created


def _create_bucket(s3: S3Client, bucket: str, region: str, owner: str) -> bool:
    """Create the bucket; tell whether it is new."""
    extra: dict[str, Any] = {}
    # us-east-1 is the one region that may not be named here.
    if region != "us-east-1":
        extra["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
        return False
    except ClientError as exc:
        if is_passing(exc):
            raise
        if error_code(exc) not in ("404", "NoSuchBucket"):
            # 403 and 301 both mean that somebody has it; the settings' owner check says who.
            return False
    try:
        s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerEnforced", **extra)
    except ClientError as exc:
        # OperationAborted: another machine is creating it at this moment.
        if error_code(exc) in ("BucketAlreadyOwnedByYou", "OperationAborted"):
            return False
        if error_code(exc) == "BucketAlreadyExists":
            raise NotOurs(
                f"The bucket name {bucket} is taken by another account.",
                next_step="Set TemplatesBucketName in the parameter file to a bucket of your own.",
            ) from None
        raise
    return True


@dataclass(frozen=True)
class _Setting:
    """One piece of hardening: how to read and to write it, AWS's word for its absence, its value.

    The calls are written out, because the deploy role is held against the names in the code.
    """

    read: str
    write: str
    absent: str
    value: Mapping[str, Any]


_PUBLIC_ACCESS = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
_ENCRYPTION = {
    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
    "BucketKeyEnabled": True,
}

#: What every bucket gets, whatever its name; versioning that was never set has no word.
_SAME_FOR_ALL = (
    _Setting(
        "get_public_access_block",
        "put_public_access_block",
        "NoSuchPublicAccessBlockConfiguration",
        {"PublicAccessBlockConfiguration": dict.fromkeys(_PUBLIC_ACCESS, True)},
    ),
    _Setting(
        "get_bucket_versioning",
        "put_bucket_versioning",
        "",
        {"VersioningConfiguration": {"Status": "Enabled"}},
    ),
    _Setting(
        "get_bucket_encryption",
        "put_bucket_encryption",
        "ServerSideEncryptionConfigurationNotFoundError",
        {"ServerSideEncryptionConfiguration": {"Rules": [_ENCRYPTION]}},
    ),
)


def _settings(bucket: str, tags: Mapping[str, str], partition: str) -> tuple[_Setting, ...]:
    """List what makes a bucket fit to hold templates."""
    arn = f"arn:{partition}:s3:::{bucket}"
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [tls_only]})
    tag_set = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return (
        *_SAME_FOR_ALL,
        _Setting(
            "get_bucket_policy", "put_bucket_policy", "NoSuchBucketPolicy", {"Policy": policy}
        ),
        _Setting(
            "get_bucket_tagging",
            "put_bucket_tagging",
            "NoSuchTagSet",
            {"Tagging": {"TagSet": tag_set}},
        ),
    )


def _lacks(s3: S3Client, bucket: str, owner: str, setting: _Setting) -> bool:
    """Tell whether a bucket lacks a setting."""
    try:
        answer = getattr(s3, setting.read)(Bucket=bucket, ExpectedBucketOwner=owner)
    except ClientError as exc:
        if error_code(exc) == setting.absent:
            return True
        raise strange_bucket(exc, bucket, owner) from exc
    return not setting.absent and not answer.get("Status")
