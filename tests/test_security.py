"""A stranger's bucket, a tampered release and the wrong account stop a deployment in time.

On the emulator an access key of twelve digits is an account, so there can be a stranger.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from commands import target as targets
from lib.access import Access
from lib.deploy import deployments, publishing, rollbacks
from lib.document import as_document
from lib.errors import InputError, NotOurs
from lib.inputs import environments, jobs
from lib.inputs.jobs import Job, Options
from lib.releases import history, releases
from lib.session import LOCAL_ACCOUNT, Aws
from tests.support import factories
from tests.support.people import Person
from tests.support.shapes import any_json, any_text, attempt, tried

REGION = factories.REGION
STRANGER = "111111111111"
BUCKET = jobs.bucket_name(LOCAL_ACCOUNT, REGION)

MASTER = """
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  VpcCidr: {Type: String}
  BedrockModelIds: {Type: String}
  BedrockInferenceProfileIds: {Type: String}
  EnvironmentName: {Type: String}
  AdminEmail: {Type: String}
Resources:
  NotesStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub
        - https://s3.${AWS::Region}.${AWS::URLSuffix}/${Bucket}/notes-stack.yaml
        - Bucket: !Sub plot-palette-cfn-${AWS::AccountId}-${AWS::Region}
"""
NOTES = "Resources: {Note: {Type: 'AWS::SSM::Parameter', Properties: {Type: String, Value: WORD}}}"


# ── somebody else's hands, on the emulator ──────────────────────────────────────────────────


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "emulator.server", "--port", str(port)],
        cwd=factories.REPOSITORY,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


def connect(endpoint: str, account: str) -> Aws:
    """Return the services as an account sees them."""
    keys = {"aws_access_key_id": account, "aws_secret_access_key": "throw-away"}
    return Aws(boto3.Session(region_name=REGION, **keys), REGION, endpoint)


@pytest.fixture
def aws(endpoint: str) -> Aws:
    """The services of an account in which there is nothing yet."""
    address = f"{endpoint}/_ministack/reset"
    with urllib.request.urlopen(urllib.request.Request(address, data=b"", method="POST")):
        return connect(endpoint, LOCAL_ACCOUNT)


def access(aws: Aws) -> Access:
    """Return access for somebody who agrees to everything that is not a loss of data."""
    return Person("y").access(aws)


def small(folder: Path, word: str = "one") -> Job:
    """Return a job of a master with one child, and of nothing to lint."""
    root = factories.repository(folder, master=MASTER)
    notes = root / "infrastructure" / "cloudformation" / "notes-stack.yaml"
    notes.write_text(NOTES.replace("WORD", word))
    return jobs.prepare(root, "staging", REGION, None, flags="--env staging")


def publish(job: Job, aws: Aws) -> releases.Release:
    """Publish a job's release without the linter, which takes seconds."""
    keys = frozenset(file.key for file in releases.build(job.templates).files)
    return publishing.publish(job, access(aws), linted=keys)[0]


def stacks_of(aws: Aws) -> list[str]:
    return [
        stack["StackName"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]
    ]


def tamper(aws: Aws, release: releases.Release) -> str:
    """Overwrite a child of a release as somebody would who may write to the bucket."""
    key = release.files[0].key
    body = NOTES.replace("WORD", "evil").encode()
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    return key


@pytest.mark.integration
def test_a_squatter_s_bucket_is_refused_before_a_template_is_read_or_written(
    aws: Aws, endpoint: str, tmp_path: Path
) -> None:
    squatter = connect(endpoint, STRANGER).client("s3")
    place: Any = {"LocationConstraint": REGION}
    squatter.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    job = small(tmp_path)
    with pytest.raises(NotOurs) as caught:
        publish(job, aws)
    assert BUCKET in caught.value.message
    assert caught.value.exit_code == 3
    assert "TemplatesBucketName" in caught.value.next_step
    assert "Contents" not in squatter.list_objects_v2(Bucket=BUCKET)
    assert stacks_of(aws) == []


@pytest.mark.integration
def test_a_squatter_s_bucket_with_a_release_in_it_is_refused(
    aws: Aws, endpoint: str, tmp_path: Path
) -> None:
    squatter = connect(endpoint, STRANGER)
    place: Any = {"LocationConstraint": REGION}
    squatter.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    job = small(tmp_path)
    release = releases.build(job.templates)
    for file in release.files:
        squatter.client("s3").put_object(Bucket=BUCKET, Key=file.key, Body=file.content)
    with pytest.raises(NotOurs):
        deployments.deploy(job, access(aws), Options())
    assert stacks_of(aws) == []


@pytest.mark.integration
def test_a_tampered_release_creates_no_stack(aws: Aws, tmp_path: Path) -> None:
    job = small(tmp_path)
    key = tamper(aws, publish(job, aws))
    with pytest.raises(NotOurs, match=f"{key} holds other bytes than published"):
        deployments.deploy(job, access(aws), Options())
    assert stacks_of(aws) == []


@pytest.mark.integration
def test_a_tampered_release_changes_no_stack_and_leaves_no_change_set(
    aws: Aws, tmp_path: Path
) -> None:
    before, after = small(tmp_path / "before"), small(tmp_path / "after", "two")
    publish(before, aws)
    assert deployments.deploy(before, access(aws), Options()).action == "created"
    key = tamper(aws, publish(after, aws))
    with pytest.raises(NotOurs, match=f"{key} holds other bytes than published"):
        deployments.deploy(after, access(aws), Options())
    cfn = aws.client("cloudformation")
    assert cfn.describe_stacks(StackName=before.stack_name)["Stacks"][0]["StackStatus"] == (
        "CREATE_COMPLETE"
    )
    assert cfn.list_change_sets(StackName=before.stack_name)["Summaries"] == []


@pytest.mark.integration
def test_no_stack_returns_to_a_release_that_was_tampered_with(aws: Aws, tmp_path: Path) -> None:
    before, after = small(tmp_path / "before"), small(tmp_path / "after", "two")
    earlier = publish(before, aws)
    assert deployments.deploy(before, access(aws), Options()).action == "created"
    publish(after, aws)
    assert deployments.deploy(after, access(aws), Options()).action == "updated"
    key = tamper(aws, earlier)
    with pytest.raises(NotOurs, match=f"{key} in {BUCKET} does not hold the bytes"):
        rollbacks.return_to(after, access(aws), Options(), earlier.name)
    waiting = aws.client("cloudformation").list_change_sets(StackName=after.stack_name)
    assert {one["ExecutionStatus"] for one in waiting["Summaries"]} <= {"EXECUTE_COMPLETE"}


# ── the wrong account ───────────────────────────────────────────────────────────────────────


def accounts_file(folder: Path, document: object) -> Path:
    path = folder / "accounts.json"
    path.write_text(json.dumps(document))
    return path


def test_without_a_file_of_accounts_every_account_will_do(tmp_path: Path) -> None:
    assert environments.read_accounts(tmp_path / "accounts.json", ["staging"]) == {}
    job = jobs.prepare(factories.repository(tmp_path), "staging", REGION, None, flags="")
    jobs.require_account(job, lambda: pytest.fail("nobody had to be asked"))


def test_every_fault_of_the_accounts_is_named_at_once(tmp_path: Path) -> None:
    document = {"staging": 123456789012, "produktion": "123456789012", "production": "1234"}
    with pytest.raises(InputError) as caught:
        environments.read_accounts(accounts_file(tmp_path, document), ["staging", "production"])
    assert caught.value.problems == (
        "there is no environment 'produktion'",
        "staging: 123456789012 is not an account's 12 digits in quotes",
        "production: '1234' is not an account's 12 digits in quotes",
    )


@tried
@given(document=any_json(st.just("staging") | any_text))
def test_any_json_is_accounts_or_refused_with_a_message(tmp_path: Path, document: object) -> None:
    path = accounts_file(tmp_path, document)
    found = attempt(lambda: environments.read_accounts(path, ["staging"]))
    assert found.message if isinstance(found, InputError) else set(found) <= {"staging"}


def target(root: Path, monkeypatch: pytest.MonkeyPatch, account: str) -> targets.Target:
    """Return a target whose environment belongs in an account."""
    accounts_file(root / "infrastructure", {"staging": account})
    monkeypatch.setattr(targets, "ROOT", root)
    console, _, _ = factories.console()
    return targets.Target("staging", REGION, None, None, False, console)


@mock_aws
def test_a_task_is_refused_in_another_account_than_its_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = target(factories.repository(tmp_path), monkeypatch, "999999999999")
    with pytest.raises(NotOurs) as caught:
        _ = chosen.aws
    assert "belongs in account 999999999999" in caught.value.message
    assert f"account {factories.ACCOUNT}'s" in caught.value.message
    assert "--profile" in caught.value.next_step
    assert caught.value.exit_code == 3


@mock_aws
def test_a_task_goes_on_in_its_environment_s_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = target(factories.repository(tmp_path), monkeypatch, factories.ACCOUNT)
    assert chosen.aws.identity().account == factories.ACCOUNT


# ── what stands in the bucket may be anything ───────────────────────────────────────────────

_KEYS = st.sampled_from(["release", "digest", "files", "key", "sha256", "parameters"]) | any_text


@pytest.fixture(scope="module")
def shelf() -> Iterator[Any]:
    """A bucket in which anything may lie."""
    with mock_aws():
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        s3 = boto3.client("s3", region_name="us-east-1", **keys)
        s3.create_bucket(Bucket="shelf")
        yield s3


@tried
@given(content=any_json(_KEYS).map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_bytes_are_a_manifest_or_refused_as_a_stranger_s(shelf: Any, content: bytes) -> None:
    shelf.put_object(Bucket="shelf", Key="releases/0123456789ab/manifest.json", Body=content)
    with pytest.raises(NotOurs, match="is not a manifest of this tool"):
        releases.find(shelf, "shelf", "0123456789ab", owner=factories.ACCOUNT)


@tried
@given(content=any_json(_KEYS).map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_bytes_are_a_record_of_history_or_none(content: bytes) -> None:
    found = history.parse(content)
    assert found is None or as_document(found)["release"] == found.release


def test_what_a_link_carries_is_no_secret(tmp_path: Path) -> None:
    root = factories.repository(
        tmp_path,
        values={"EnvironmentName": "staging", "AdminEmail": "a@b.io", "Password": "hush-hush"},
    )
    job = jobs.prepare(root, "staging", REGION, None, flags="")
    published = releases.Published("b", REGION, "0123456789ab", 1, 0, "https://s3/b/master")
    link = publishing.console_link(job, published)
    assert "param_AdminEmail" in link
    assert "Password" not in link
    assert "hush-hush" not in link
