"""A bucket for templates is made once, hardened in every way, and never a stranger's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib import session
from lib.errors import NotOurs
from lib.inputs import jobs
from lib.releases import store
from tests.support.aws_fakes import ACCOUNT, Call, client, intercept, operations, refusal
from tests.support.factories import bucket, job
from tests.support.people import Person

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


# Reading


def test_objects_are_listed_under_their_prefix_with_the_time_they_were_written(s3: Any) -> None:
    for key in ("templates/a", "templates/b", "code/a"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    calls = intercept(s3)
    listed = store.Bucket(s3, BUCKET, ACCOUNT).list_objects("templates/")
    assert [key for key, _ in listed] == ["templates/a", "templates/b"]
    written = s3.head_object(Bucket=BUCKET, Key="templates/a")["LastModified"]
    assert listed[0][1] == written
    assert calls[0].arguments == {
        "Bucket": BUCKET,
        "Prefix": "templates/",
        "ExpectedBucketOwner": ACCOUNT,
    }


def test_a_bucket_that_is_not_there_holds_nothing() -> None:
    with mock_aws():
        assert bucket(client("s3")).list_objects("templates/") == []


def test_an_object_is_read_from_the_account_s_own_bucket_or_is_none(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"text")
    calls = intercept(s3)
    assert bucket(s3).read_object("k") == b"text"
    assert bucket(s3).read_object("gone") is None
    assert calls[0].arguments == {"Bucket": BUCKET, "Key": "k", "ExpectedBucketOwner": ACCOUNT}


@pytest.mark.parametrize(
    ("code", "absent"), [("NoSuchKey", True), ("404", True), ("AccessDenied", False)]
)
def test_only_an_object_that_is_not_there_is_none(code: str, absent: bool) -> None:
    s3 = client("s3")
    intercept(s3, refusing(code))
    if absent:
        assert bucket(s3).read_object("k") is None
    else:
        with pytest.raises(ClientError, match=code):
            bucket(s3).read_object("k")


def refusing(code: str, operation: str = "") -> Any:
    """Answer every call, or those of one operation, with an error."""

    def answer(called: str, _arguments: Mapping[str, Any]) -> None:
        if operation in ("", called):
            raise refusal(code, "Access Denied", called, 403)

    return answer


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_a_listing_that_is_denied_says_whose_bucket_it_has_to_be(code: str) -> None:
    s3 = client("s3")
    intercept(s3, refusing(code))
    with pytest.raises(NotOurs) as caught:
        bucket(s3).list_objects("templates/")
    assert caught.value.message == (
        f"The bucket {BUCKET} is not account {ACCOUNT}'s, or this identity may not use it: "
        "Access Denied"
    )
    assert "TemplatesBucketName" in caught.value.next_step


def test_other_refusals_of_a_listing_are_told_as_they_are() -> None:
    s3 = client("s3")
    intercept(s3, refusing("SlowDown"))
    with pytest.raises(ClientError, match="SlowDown"):
        bucket(s3).list_objects("templates/")


@pytest.mark.parametrize(
    ("values", "name"),
    [({}, f"plot-palette-cfn-{ACCOUNT}-eu-west-1"), ({"TemplatesBucketName": "own"}, "own")],
)
def test_a_job_s_bucket_is_the_region_s_or_the_one_that_its_file_names(
    values: dict[str, str], name: str
) -> None:
    aws = session.connect("eu-west-1")
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    intercept(aws.client("sts"), lambda *_: {"Account": ACCOUNT, "Arn": arn})
    found = store.bucket_of(job(values=values), Person().access(aws))
    assert (found.name, found.owner) == (name, ACCOUNT)
    assert found.s3.meta.service_model.service_name == "s3"
    assert found.s3.meta.region_name == "eu-west-1"


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


@pytest.mark.parametrize("code", ["BucketAlreadyOwnedByYou", "OperationAborted"])
def test_a_bucket_that_another_machine_is_creating_is_there_and_not_made_by_this_run(
    s3: Any, code: str
) -> None:
    intercept(s3, refusing(code, "CreateBucket"))
    heads = intercept(s3, refusing("404", "HeadBucket"))
    assert not store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert "HeadBucket" in operations(heads)
    hardened_but_for_ownership(s3)


def hardened_but_for_ownership(s3: Any) -> None:
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_public_access_block(Bucket=BUCKET)


def test_a_bucket_that_somebody_has_is_not_created_and_its_settings_say_whose_it_is() -> None:
    s3 = client("s3")
    calls = intercept(s3, refusing("403"))
    with pytest.raises(NotOurs, match=f"is not account {ACCOUNT}'s"):
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert "CreateBucket" not in operations(calls)


def test_a_name_that_another_account_took_is_to_be_chosen_anew() -> None:
    s3 = client("s3")
    intercept(s3, refusing("BucketAlreadyExists", "CreateBucket"))
    intercept(s3, refusing("404", "HeadBucket"))
    with pytest.raises(NotOurs) as caught:
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
    assert caught.value.message == f"The bucket name {BUCKET} is taken by another account."
    assert "TemplatesBucketName" in caught.value.next_step


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
    assert rule["BucketKeyEnabled"] is True
    access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert access == dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert set(policy) == {"Version", "Statement"}
    assert policy["Version"] == "2012-10-17"
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert (statement["Sid"], statement["Principal"]) == ("TlsOnly", "*")
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
