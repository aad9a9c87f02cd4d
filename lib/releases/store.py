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

from lib.access import Access
from lib.errors import NotOurs
from lib.inputs import jobs
from lib.inputs.jobs import Job
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


@dataclass(frozen=True)
class Bucket:
    """A bucket with templates. `owner` is the account that has to own it.

    It goes with every call: a bucket's name can be guessed, and a stranger's bucket must not
    supply templates.
    """

    s3: S3Client
    name: str
    owner: str

    def explain(self, exc: ClientError) -> Exception:
        """Return `NotOurs` where AWS refuses a bucket that exists, else the error itself."""
        if error_code(exc) not in ("AccessDenied", "403"):
            return exc
        return NotOurs(
            f"The bucket {self.name} is not account {self.owner}'s, or this identity may not use "
            f"it: {error_message(exc)}",
            next_step="Check that the credentials are the right account's and may use the bucket; "
            "if another account owns it, set TemplatesBucketName to a bucket of your own.",
        )

    def list_objects(self, prefix: str) -> list[tuple[str, datetime]]:
        """Return key and time of every object under a prefix; none when there is no bucket.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        """
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, ExpectedBucketOwner=self.owner
        )
        try:
            return [
                (entry["Key"], entry["LastModified"])
                for page in pages
                for entry in page.get("Contents", [])
            ]
        except ClientError as exc:
            if error_code(exc) == "NoSuchBucket":
                return []
            raise self.explain(exc) from exc

    def read_object(self, key: str) -> bytes | None:
        """Return an object's bytes, or None when there is none under the key."""
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner)
        except ClientError as exc:
            if error_code(exc) in ("NoSuchKey", "404"):
                return None
            raise
        return answer["Body"].read()


def open_bucket(access: Access, name: str) -> Bucket:
    """Return a bucket by its name, as one that has to be this account's."""
    return Bucket(access.aws.client("s3"), name, access.aws.identity().account)


def bucket_of(job: Job, access: Access) -> Bucket:
    """Return the bucket that a job's templates are published to."""
    own = jobs.bucket_name(access.aws.identity().account, job.region)
    return open_bucket(access, job.values.get("TemplatesBucketName") or own)


def ensure_bucket(bucket: Bucket, *, region: str, tags: Mapping[str, str]) -> bool:
    """Create the templates bucket if needed and harden it; tell whether it was created.

    A bucket that exists is only completed where a setting is missing, so that an
    organisation's own choices (its KMS key, its policy) stay, and a run that was cut off
    after the creation is made good. Raises `NotOurs` when another account has the name.
    """
    created = _create_bucket(bucket, region)
    settings = _settings(bucket.name, tags, bucket.s3.meta.partition)
    if not created:
        lacks = functools.partial(_lacks, bucket)
        lacking = side_by_side(lacks, settings, at_once=len(settings))
        settings = tuple(itertools.compress(settings, lacking))
    # One after the other: S3 refuses two changes to one bucket's settings at once.
    for setting in settings:
        put = getattr(bucket.s3, setting.write)
        put(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner, **setting.value)
    return created


def _create_bucket(bucket: Bucket, region: str) -> bool:
    """Create the bucket; tell whether it is new."""
    extra: dict[str, Any] = {}
    # us-east-1 is the one region that may not be named here.
    if region != "us-east-1":
        extra["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        bucket.s3.head_bucket(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner)
        return False
    except ClientError as exc:
        if is_passing(exc):
            raise
        if error_code(exc) not in ("404", "NoSuchBucket"):
            # 403 and 301 both mean that somebody has it; the settings' owner check says who.
            return False
    try:
        bucket.s3.create_bucket(Bucket=bucket.name, ObjectOwnership="BucketOwnerEnforced", **extra)
    except ClientError as exc:
        # OperationAborted: another machine is creating it at this moment.
        if error_code(exc) in ("BucketAlreadyOwnedByYou", "OperationAborted"):
            return False
        if error_code(exc) == "BucketAlreadyExists":
            raise NotOurs(
                f"The bucket name {bucket.name} is taken by another account.",
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


def _settings(name: str, tags: Mapping[str, str], partition: str) -> tuple[_Setting, ...]:
    arn = f"arn:{partition}:s3:::{name}"
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


def _lacks(bucket: Bucket, setting: _Setting) -> bool:
    get = getattr(bucket.s3, setting.read)
    try:
        answer = get(Bucket=bucket.name, ExpectedBucketOwner=bucket.owner)
    except ClientError as exc:
        if error_code(exc) == setting.absent:
            return True
        raise bucket.explain(exc) from exc
    return not setting.absent and not answer.get("Status")
