"""A stranger's bucket, a tampered release and the wrong account stop a deployment in time.

At the end: what AWS Security Hub would say of the templates, control by control.

On the emulator an access key of twelve digits is an account, so there can be a stranger.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
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
from lib.releases.store import Bucket
from lib.session import LOCAL_ACCOUNT, Aws
from lib.templates import templates
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


def small(folder: Path, word: str = "one", master: str = MASTER) -> Job:
    """Return a job of a master with one child, and of nothing to lint."""
    root = factories.repository(folder, master=master)
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
    left = cfn.list_change_sets(StackName=before.stack_name)["Summaries"]
    # The one that created the stack; AWS lists active ones only.
    assert [one["ExecutionStatus"] for one in left] == ["EXECUTE_COMPLETE"]


@pytest.mark.integration
def test_a_child_that_should_not_have_changed_is_held_against_its_digest_once_aws_sees_it_change(
    aws: Aws, tmp_path: Path
) -> None:
    before = small(tmp_path / "before")
    after = small(tmp_path / "after", master=f"{MASTER}\nOutputs: {{Said: {{Value: more}}}}\n")
    publish(before, aws)
    assert deployments.deploy(before, access(aws), Options()).action == "created"
    key = tamper(aws, publish(after, aws))
    with pytest.raises(NotOurs, match=f"{key} holds other bytes than published"):
        deployments.deploy(after, access(aws), Options())


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


ROLE = "arn:aws:iam::123456789012:role/path/plot-palette-service"


def test_an_account_may_name_the_service_role_of_its_environment(tmp_path: Path) -> None:
    entry = {"account": "123456789012", "role_arn": ROLE}
    path = accounts_file(tmp_path, {"staging": entry, "production": "210987654321"})
    found = environments.read_accounts(path, ["staging", "production"])
    assert found["staging"] == environments.Account("123456789012", ROLE)
    assert found["production"] == environments.Account("210987654321")


def test_every_fault_of_an_account_with_a_role_is_named(tmp_path: Path) -> None:
    document = {
        "a": {"account": "123456789012", "role": ROLE},
        "b": {"account": "123456789012", "role_arn": "plot-palette-service"},
        "c": {"account": "210987654321", "role_arn": ROLE},
        "d": {"role_arn": ROLE},
        "e": {"account": "123456789012", "role_arn": 7},
    }
    with pytest.raises(InputError) as caught:
        environments.read_accounts(accounts_file(tmp_path, document), list(document))
    assert caught.value.problems == (
        "a: unknown key 'role'",
        "b: role_arn 'plot-palette-service' is not the ARN of a role",
        f"c: role_arn '{ROLE}' is a role of another account than 210987654321",
        "d: None is not an account's 12 digits in quotes",
        "e: role_arn 7 is not the ARN of a role",
    )


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:role/service",
        "arn:aws-us-gov:iam::123456789012:role/a/b/service+=,.@-_",
        "arn:aws-eusc:iam::123456789012:role/service",
        "arn:aws-iso-b:iam::123456789012:role/service",
    ],
)
def test_the_arn_of_a_role_is_taken_in_every_partition(arn: str) -> None:
    assert environments.check_role_arn(arn) == arn


@pytest.mark.parametrize(
    "text",
    [
        "service",
        "arn:aws:iam::123456789012:user/ann",
        "arn:aws:iam::1234:role/service",
        "arn:aws:sts::123456789012:assumed-role/service/ann",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/a b",
        "arn:aws:iam::123456789012:role/service\n",
    ],
)
def test_what_is_no_role_s_arn_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="--role-arn takes the ARN of an IAM role") as caught:
        environments.check_role_arn(text)
    assert caught.value.exit_code == 2


def test_a_flag_comes_before_the_file_and_an_empty_one_is_as_good_as_none() -> None:
    job = factories.job(role_arn=ROLE)
    other = "arn:aws:iam::123456789012:role/other"
    assert jobs.choose_role(job, other, is_local=False).role_arn == other
    assert jobs.choose_role(job, None, is_local=False).role_arn == ROLE
    assert jobs.choose_role(job, "", is_local=False).role_arn == ROLE
    # What the file says is about AWS; the emulator takes what it is given by hand.
    assert jobs.choose_role(job, "", is_local=True).role_arn == ""
    assert jobs.choose_role(job, other, is_local=True).role_arn == other


def test_a_role_of_another_account_is_refused_before_anything_is_touched() -> None:
    with pytest.raises(NotOurs, match=f"CloudFormation cannot take {ROLE}") as caught:
        jobs.require_account(factories.job(role_arn=ROLE), lambda: "999999999999")
    assert "--role-arn" in caught.value.next_step
    jobs.require_account(factories.job(role_arn=ROLE), lambda: "123456789012")


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
        releases.find(Bucket(shelf, "shelf", factories.ACCOUNT), "0123456789ab")


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


# ── what Security Hub would say of the templates ────────────────────────────────────────────

#: Each control and what it looks at:
#: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-controls-reference.html

TEMPLATES = templates.read_folder(factories.REPOSITORY / "infrastructure" / "cloudformation")
PRODUCTION_ONLY = {"Fn::If": ["IsProduction", True, False]}


def of_type(kind: str) -> list[dict[str, Any]]:
    """Return the properties of every resource of a type."""
    return [
        resource["Properties"]
        for template in TEMPLATES.values()
        for resource in template.resources.values()
        if resource["Type"] == kind
    ]


def every(kind: str, check: Callable[[dict[str, Any]], bool]) -> bool:
    """Tell whether there are resources of a type, and all of them pass."""
    found = of_type(kind)
    return bool(found) and all(check(one) for one in found)


def containers() -> list[dict[str, Any]]:
    [task] = of_type("AWS::ECS::TaskDefinition")
    found: list[dict[str, Any]] = task["ContainerDefinitions"]
    return found


def routes() -> dict[str, str]:
    found = of_type("AWS::ApiGatewayV2::Route")
    return {one["RouteKey"]: one["AuthorizationType"] for one in found}


#: Controls that pass in production, with what makes them.
MET: dict[str, Callable[[], bool]] = {
    "APIGateway.9": lambda: every("AWS::ApiGatewayV2::Stage", lambda p: "AccessLogSettings" in p),
    "CloudFormation.4": lambda: "service-role.yaml" in TEMPLATES,
    "Cognito.6": lambda: every("AWS::Cognito::UserPool", lambda p: "DeletionProtection" in p),
    "DynamoDB.1": lambda: every(
        "AWS::DynamoDB::Table", lambda p: p["BillingMode"] == "PAY_PER_REQUEST"
    ),
    "DynamoDB.2": lambda: every(
        "AWS::DynamoDB::Table",
        lambda p: p["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True,
    ),
    "DynamoDB.6": lambda: every(
        "AWS::DynamoDB::Table", lambda p: p["DeletionProtectionEnabled"] == PRODUCTION_ONLY
    ),
    "EC2.6": lambda: every("AWS::EC2::FlowLog", lambda p: p["TrafficType"] == "REJECT"),
    "EC2.15": lambda: every("AWS::EC2::Subnet", lambda p: p["MapPublicIpOnLaunch"] is False),
    "ECR.1": lambda: every(
        "AWS::ECR::Repository", lambda p: p["ImageScanningConfiguration"]["ScanOnPush"] is True
    ),
    "ECR.3": lambda: every("AWS::ECR::Repository", lambda p: "LifecyclePolicy" in p),
    "ECS.4": lambda: not any(one.get("Privileged") for one in containers()),
    "ECS.5": lambda: all(one["ReadonlyRootFilesystem"] is True for one in containers()),
    "ECS.9": lambda: all("LogConfiguration" in one for one in containers()),
    "ECS.20": lambda: all(one["User"].split(":")[0] not in ("0", "root") for one in containers()),
    "Lambda.2": lambda: every("AWS::Lambda::Function", lambda p: p["Runtime"] == "python3.13"),
    "S3.8": lambda: every(
        "AWS::S3::Bucket",
        lambda p: set(p["PublicAccessBlockConfiguration"].values()) == {True},
    ),
    "S3.14": lambda: every(
        "AWS::S3::Bucket", lambda p: p["VersioningConfiguration"]["Status"] == "Enabled"
    ),
}

#: Controls that stay red: why, and what in the templates makes them so.
LEFT: dict[str, tuple[str, Callable[[], bool]]] = {
    "APIGateway.8": (
        "GET /health alone: monitors have no user, and it tells no name and no data",
        lambda: {key for key, kind in routes().items() if kind == "NONE"} == {"GET /health"},
    ),
    "CloudFormation.3": (
        "termination protection is set on a stack and not in its template: for the tasks to do",
        lambda: every(templates.STACK_TYPE, lambda p: "EnableTerminationProtection" not in p),
    ),
    "CloudWatch.16": (
        "wants a year; LogRetentionDays goes up to that, and an idle installation pays for less",
        lambda: 365 in TEMPLATES[templates.MASTER].parameters["LogRetentionDays"]["AllowedValues"],
    ),
    "Cognito.1": (
        "threat protection takes the Plus tier, several times the price of a user",
        lambda: every("AWS::Cognito::UserPool", lambda p: "UserPoolAddOns" not in p),
    ),
    "Cognito.5": (
        "a second factor for all would keep the invited administrator out; each user may have one",
        lambda: every("AWS::Cognito::UserPool", lambda p: p["MfaConfiguration"] == "OPTIONAL"),
    ),
    "DynamoDB.4": (
        "35 days of point-in-time recovery, and the tasks back up before a change costs data",
        lambda: not of_type("AWS::Backup::BackupPlan"),
    ),
    "EC2.2": (
        "CloudFormation cannot take the rules of a VPC's default group away; nothing is ever in it",
        lambda: every("AWS::EC2::SecurityGroup", lambda p: "SecurityGroupIngress" not in p),
    ),
    "EC2.10": (
        "an endpoint for EC2's API is billed by the hour, and nothing in the VPC calls that API",
        lambda: every("AWS::EC2::VPCEndpoint", lambda p: p["VpcEndpointType"] == "Gateway"),
    ),
    "ECR.2": (
        "every tag is immutable but latest, which the task definition follows",
        lambda: every(
            "AWS::ECR::Repository",
            lambda p: p["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION",
        ),
    ),
    "ECS.12": (
        "container insights are billed by the metric: on in production, off elsewhere",
        lambda: every("AWS::ECS::Cluster", lambda p: "IsProduction" in json.dumps(p)),
    ),
    "Lambda.3": (
        "a function in the VPC needs paid endpoints or a NAT gateway to reach what it calls",
        lambda: every("AWS::Lambda::Function", lambda p: "VpcConfig" not in p),
    ),
    "S3.7": (
        "a copy of all data in another region doubles its price; who needs it adds the rule",
        lambda: every("AWS::S3::Bucket", lambda p: "ReplicationConfiguration" not in p),
    ),
    "S3.9": (
        "access logs need a second retained bucket; CloudTrail's data events answer who read what",
        lambda: every("AWS::S3::Bucket", lambda p: "LoggingConfiguration" not in p),
    ),
    "S3.17": (
        "a key of our own would have to outlive all retained objects; S3's own key encrypts",
        lambda: not of_type("AWS::KMS::Key"),
    ),
    "SNS.1": (
        "Budgets and EventBridge publish only to topics with a customer key, or with none",
        lambda: every("AWS::SNS::Topic", lambda p: "KmsMasterKeyId" not in p),
    ),
}

#: Where a control that is met in production is red, and why that is meant.
ELSEWHERE = {
    "Cognito.6": "a development pool is there to be thrown away",
    "DynamoDB.6": "so is a development table",
    "EC2.6": "a flow log is billed by what it takes in, and nobody reads one of development",
}


@pytest.mark.parametrize("control", MET)
def test_a_control_of_security_hub_that_we_count_on_is_met(control: str) -> None:
    assert MET[control]()


@pytest.mark.parametrize("control", LEFT)
def test_a_control_that_stays_red_is_argued_and_is_still_as_argued(control: str) -> None:
    reason, still = LEFT[control]
    assert len(reason) > 30
    assert still()
    assert control not in MET


def test_what_is_met_in_production_alone_is_argued_too() -> None:
    assert set(ELSEWHERE) <= set(MET)
    [log] = [
        resource
        for template in TEMPLATES.values()
        for resource in template.resources.values()
        if resource["Type"] == "AWS::EC2::FlowLog"
    ]
    assert log["Condition"] == "IsProduction"
