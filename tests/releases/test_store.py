"""A bucket for templates is made once, hardened in every way, and never a stranger's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib.errors import NotOurs
from lib.inputs import jobs
from lib.releases import store
from tests.support.aws_fakes import ACCOUNT, Call, client, intercept, operations, refusal
from tests.support.factories import bucket

BUCKET = jobs.bucket_name(ACCOUNT, "us-east-1")
TAGS = {"Project": "plot-palette"}
HARDENING = [
    "PutPublicAccessBlock",
    "PutBucketVersioning",
    "PutBucketEncryption",
    "PutBucketPolicy",
    "PutBucketTagging",
]


# URLs


def test_an_objects_url_has_the_bucket_in_its_path() -> None:
    url = store.object_url("b", "templates/ab/a b.yaml", "cn-north-1", "amazonaws.com.cn")
    assert url == "https://s3.cn-north-1.amazonaws.com.cn/b/templates/ab/a%20b.yaml"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_quick_create_link_fills_in_url_name_and_parameters(region: str, host: str) -> None:
    link = urlsplit(
        store.quick_create_url(
            "https://s3/b/m.yaml",
            region=region,
            stack_name="app",
            parameters={"Mail": "a+b@example.com", "Name": "two words & more"},
        )
    )
    assert (link.netloc, link.path) == (host, "/cloudformation/home")
    assert link.query == f"region={region}"
    page, _, query = link.fragment.partition("?")
    assert page == "/stacks/quickcreate"
    assert "+" not in query
    assert parse_qs(query) == {
        "templateURL": ["https://s3/b/m.yaml"],
        "stackName": ["app"],
        "param_Mail": ["a+b@example.com"],
        "param_Name": ["two words & more"],
    }


# Creation


def test_a_name_that_a_stranger_took_meanwhile_is_refused() -> None:
    s3 = client("s3")

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        code = "404" if operation == "HeadBucket" else "BucketAlreadyExists"
        raise refusal(code, operation=operation, status=404)

    calls = intercept(s3, answer)
    with pytest.raises(NotOurs, match="taken by another account"):
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert operations(calls) == ["HeadBucket", "CreateBucket"]


def test_a_refused_creation_is_told_as_it_is() -> None:
    s3 = client("s3")

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        code = "404" if operation == "HeadBucket" else "TooManyBuckets"
        raise refusal(code, operation=operation)

    intercept(s3, answer)
    with pytest.raises(ClientError, match="TooManyBuckets"):
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)


def test_a_passing_fault_is_not_taken_for_a_bucket_that_is_there() -> None:
    s3 = client("s3")

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        raise refusal("503", operation=operation, status=503)

    calls = intercept(s3, answer)
    with pytest.raises(ClientError, match="503"):
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert operations(calls) == ["HeadBucket"]


# Hardening


def hardened(s3: Any, bucket: str, partition: str = "aws") -> None:
    """Assert that a bucket has every setting that keeps templates safe."""
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert access == dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = f"arn:{partition}:s3:::{bucket}"
    assert statement["Resource"] == [arn, f"{arn}/*"]
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [
        {"Key": "Project", "Value": "plot-palette"}
    ]


@pytest.mark.parametrize(
    ("region", "place", "partition"),
    [
        ("us-east-1", None, "aws"),
        ("eu-west-1", "eu-west-1", "aws"),
        ("us-gov-west-1", "us-gov-west-1", "aws-us-gov"),
    ],
)
def test_a_new_bucket_is_hardened_in_every_way(
    region: str, place: str | None, partition: str
) -> None:
    with mock_aws():
        s3 = client("s3", region)
        calls = intercept(s3)
        assert store.ensure_bucket(bucket(s3), region=region, tags=TAGS)
        assert operations(calls) == ["HeadBucket", "CreateBucket", *HARDENING]
        given = calls[1].arguments.get("CreateBucketConfiguration")
        assert given == ({"LocationConstraint": place} if place else None)
        assert owners(calls) == {ACCOUNT}
        hardened(s3, BUCKET, partition)


def owners(calls: list[Call]) -> set[str]:
    """Return the owners that were expected; CreateBucket alone cannot expect one."""
    return {
        call.arguments["ExpectedBucketOwner"] for call in calls if call.operation != "CreateBucket"
    }


def test_a_bucket_that_is_hardened_is_only_looked_at() -> None:
    with mock_aws():
        s3 = client("s3")
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
        calls = intercept(s3)
        assert not store.ensure_bucket(bucket(s3), region="us-east-1", tags={"Other": "tag"})
        assert not set(operations(calls)) & set(HARDENING)
        assert owners(calls) == {ACCOUNT}
        hardened(s3, BUCKET)


def test_a_run_cut_off_between_creation_and_hardening_is_made_good() -> None:
    for position in range(len(HARDENING)):
        with mock_aws():
            s3 = client("s3")
            stop_before(s3, HARDENING[position])
            with pytest.raises(ClientError, match="InternalError"):
                store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
            other = client("s3")
            calls = intercept(other)
            assert not store.ensure_bucket(bucket(other), region="us-east-1", tags=TAGS)
            assert [c for c in operations(calls) if c in HARDENING] == HARDENING[position:]
            hardened(other, BUCKET)


def stop_before(s3: Any, stop: str) -> None:
    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        if operation == stop:
            raise refusal("InternalError", operation=operation, status=500)

    intercept(s3, answer)


def test_an_organisations_own_settings_stay(s3: Any) -> None:
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/0"
    chosen = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": chosen}]
        },
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == chosen
    assert s3.get_bucket_policy(Bucket=BUCKET)["Policy"] == policy
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Suspended"
    assert s3.get_public_access_block(Bucket=BUCKET)
    assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]


def test_two_runs_that_create_the_bucket_at_once_both_go_on(s3: Any) -> None:
    answers = [
        refusal("404", operation="HeadBucket", status=404),
        refusal("BucketAlreadyOwnedByYou", operation="CreateBucket", status=409),
    ]

    def answer(_operation: str, _arguments: Mapping[str, Any]) -> None:
        if answers:
            raise answers.pop(0)

    intercept(s3, answer)
    assert not store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
