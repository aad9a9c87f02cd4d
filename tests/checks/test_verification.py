"""A deployment is verified by what AWS has, every check is made, and one failure fails the run.

Tables and buckets are moto's; CloudFormation and Cognito are answered in the test, since moto
has no nested stacks and no user pools installed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from lib import polling, session
from lib.access import Access
from lib.checks import health, protection, verification
from lib.checks.verification import Check
from lib.errors import StateForbids
from lib.inputs.jobs import Options
from lib.operators import Answer, Level, Note, OnInterrupt, Operator
from lib.releases import releases
from lib.stacks.statuses import Status
from lib.templates import templates
from tests.support.aws_fakes import (
    START,
    FakeTime,
    intercept,
    no_such_stack,
    refusal,
    stack_entry,
)
from tests.support.factories import REGION, STACK, STACK_ID, job, stack
from tests.support.people import Person

HEALTH = "https://api.example/health"
BODY = json.dumps({"status": "ok", "tables": {"JobsTable": "ACTIVE"}}).encode()
MASTER = """
Parameters:
  Deploy: {Type: String, Default: 'false'}
Conditions:
  HasMore: !Equals [!Ref Deploy, 'true']
Resources:
  Child: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: https://x/child.yaml}}
Outputs:
  HealthUrl: {Value: !GetAtt Child.Outputs.HealthUrl, Export: {Name: !Sub '${AWS::StackName}-x'}}
  Extra: {Value: !GetAtt Child.Outputs.Extra, Condition: HasMore}
"""
POOL = {
    "DeletionProtection": "ACTIVE",
    "Policies": {
        "PasswordPolicy": {
            "MinimumLength": 12,
            "RequireLowercase": True,
            "RequireUppercase": True,
            "RequireNumbers": True,
            "RequireSymbols": True,
        }
    },
}


class World:
    """One deployed stack: a table, a bucket and a user pool, all as they should be."""

    def __init__(self, aws: session.Aws) -> None:
        self.said: list[Note] = []
        self.time = FakeTime()
        self.aws = aws
        self.outputs = {"HealthUrl": HEALTH}
        self.parameters = {"Deploy": "false"}
        self.status = "CREATE_COMPLETE"
        self.exists = True
        self.pool: dict[str, Any] = POOL
        self.refuse: dict[str, Exception] = {}
        self.told: dict[str, Mapping[str, Any]] = {}
        self.answers: list[tuple[int, bytes] | Exception] = [(200, BODY)]
        self.dynamodb = self.aws.client("dynamodb")
        self.s3 = self.aws.client("s3")
        self._fill()
        operator = Operator(self.said.append, lambda *_: True, lambda _: OnInterrupt.WAIT)  # type: ignore[arg-type]
        self.access = Access(self.aws, operator, self.time.clock)

    def _fill(self) -> None:
        self.dynamodb.create_table(
            TableName="jobs",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            SSESpecification={"Enabled": True},
        )
        self.set_recovery(True)
        location: Any = {"LocationConstraint": REGION}
        self.s3.create_bucket(
            Bucket="data",
            CreateBucketConfiguration=location,
            ObjectOwnership="BucketOwnerEnforced",
        )
        self.s3.put_public_access_block(
            Bucket="data",
            PublicAccessBlockConfiguration=dict.fromkeys(protection._LOCKS, True),  # type: ignore[arg-type]
        )
        self.set_versioning("Enabled")
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        self.s3.put_bucket_encryption(
            Bucket="data", ServerSideEncryptionConfiguration={"Rules": [rule]}
        )
        policy = {"Version": "2012-10-17", "Statement": [TLS_ONLY]}
        self.s3.put_bucket_policy(Bucket="data", Policy=json.dumps(policy))

    def set_recovery(self, on: bool) -> None:
        self.dynamodb.update_continuous_backups(
            TableName="jobs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
        )

    def describe_table_as(self, **changed: Any) -> None:
        """Have DynamoDB tell of a table what moto cannot bring it to."""
        table = {"TableStatus": "ACTIVE", "SSEDescription": {"Status": "ENABLED"}}
        self.told["DescribeTable"] = {"Table": {**table, **changed}}

    def set_versioning(self, status: Any) -> None:
        self.s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": status})

    def fetch(self, url: str) -> tuple[int, bytes]:
        assert url == HEALTH
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return given

    def verify(self, environment: str = "staging", **given: Any) -> dict[str, Check]:
        wanted = job(environment=environment)
        found = verification.verify(wanted, self.access, fetch=self.fetch, **given)
        return {check.name: check for check in found.checks}

    def flaws(self, name: str, environment: str = "staging") -> str:
        check = self.verify(environment)[name]
        return "" if check.passed else check.detail

    def answer(self, operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if operation in self.refuse:
            raise self.refuse[operation]
        if operation in self.told:
            return self.told[operation]
        made = {
            "DescribeStacks": self._stack,
            "ListStackResources": lambda: {"StackResourceSummaries": RESOURCES},
            "GetTemplate": lambda: {"TemplateBody": MASTER},
            "DescribeUserPool": lambda: {"UserPool": self.pool},
            "DetectStackDrift": lambda: {"StackDriftDetectionId": "d"},
        }.get(operation)
        return made() if made else None

    def _stack(self) -> dict[str, Any]:
        if not self.exists:
            raise no_such_stack(STACK)
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()]
        return {"Stacks": [stack_entry(STACK, self.status, Outputs=outputs, Parameters=given)]}


def resource(logical_id: str, kind: str, physical_id: str) -> dict[str, Any]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": kind,
        "PhysicalResourceId": physical_id,
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": FakeTime().clock.now(),
    }


RESOURCES = [
    resource("Jobs", "AWS::DynamoDB::Table", "jobs"),
    resource("Data", "AWS::S3::Bucket", "data"),
    resource("Pool", "AWS::Cognito::UserPool", "eu-west-1_abc"),
    resource("Role", "AWS::IAM::Role", "role"),
]


TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.fixture(scope="module")
def connected() -> tuple[session.Aws, list[World]]:
    """Make the clients once, since each takes half a second; they ask the world of the test."""
    # With throw-away keys, since this comes before the environment is given any.
    aws = session.connect(REGION, local=True)
    worlds: list[World] = []
    for service in ("cloudformation", "cognito-idp", "dynamodb", "s3"):
        intercept(aws.client(service), lambda *asked: worlds[-1].answer(*asked) if worlds else None)
    return aws, worlds


@pytest.fixture
def world(connected: tuple[session.Aws, list[World]]) -> Iterator[World]:
    aws, worlds = connected
    with mock_aws():
        worlds.clear()
        worlds.append(World(aws))
        yield worlds[0]


# What is checked


def test_a_sound_deployment_passes_every_check(world: World) -> None:
    checks = world.verify()
    assert list(checks) == ["stack", "health", "outputs", "Jobs", "Data", "Pool"]
    assert all(check.passed and not check.warning for check in checks.values()), checks
    assert checks["health"].detail == f"{HEALTH} answers 200: JobsTable ACTIVE"


def test_a_stack_that_does_not_exist_is_refused(world: World) -> None:
    world.exists = False
    with pytest.raises(StateForbids, match="There is no stack"):
        world.verify()


def test_a_rolled_back_stack_fails(world: World) -> None:
    world.status = "UPDATE_ROLLBACK_FAILED"
    assert world.flaws("stack") == "UPDATE_ROLLBACK_FAILED"


def test_every_check_is_made_though_one_fails(world: World) -> None:
    world.answers = [OSError("refused")]
    world.set_recovery(False)
    world.set_versioning("Suspended")
    checks = world.verify()
    assert {name for name, check in checks.items() if not check.passed} == {
        "health",
        "Jobs",
        "Data",
    }


def test_a_table_without_recovery_fails(world: World) -> None:
    world.set_recovery(False)
    assert world.flaws("Jobs") == "has no point-in-time recovery"


def test_a_table_that_is_not_active_fails(world: World) -> None:
    world.describe_table_as(TableStatus="ARCHIVED")
    assert world.flaws("Jobs") == "is ARCHIVED"


def test_what_failed_in_a_stack_that_calls_itself_complete_fails_with_its_reason(
    world: World,
) -> None:
    broken = {
        **resource("Broken", "AWS::SSM::Parameter", ""),
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": "No export named no-such-export found.",
    }
    jobs = {**RESOURCES[0], "ResourceStatus": "UPDATE_FAILED"}
    listed = [jobs, *RESOURCES[1:], broken]
    world.told["ListStackResources"] = {"StackResourceSummaries": listed}
    checks = world.verify()
    assert checks["stack"].passed
    assert checks["Broken"] == Check(
        "Broken", False, "is CREATE_FAILED: No export named no-such-export found."
    )
    assert checks["Jobs"] == Check("Jobs", False, "is UPDATE_FAILED: AWS gives no reason")


def test_only_production_has_to_protect_its_data_against_deletion(world: World) -> None:
    assert world.flaws("Jobs", "staging") == ""
    assert world.flaws("Jobs", "production") == "is not protected against deletion"
    world.dynamodb.update_table(TableName="jobs", DeletionProtectionEnabled=True)
    assert world.flaws("Jobs", "production") == ""
    world.pool = {**POOL, "DeletionProtection": "INACTIVE"}
    assert world.flaws("Pool", "staging") == ""
    assert world.flaws("Pool", "production") == "is not protected against deletion"


def test_a_table_under_the_key_that_nobody_can_audit_fails(world: World) -> None:
    world.describe_table_as(SSEDescription={})
    assert world.flaws("Jobs") == "is not encrypted with a key of this account"


@pytest.mark.parametrize(
    ("remove", "flaw"),
    [
        ("delete_public_access_block", "does not block all public access"),
        ("delete_bucket_policy", "accepts requests without TLS"),
        ("delete_bucket_encryption", "is not encrypted"),
        (
            "delete_bucket_ownership_controls",
            "lets access control lists decide who owns an object",
        ),
    ],
)
def test_a_bucket_that_lost_a_lock_fails(world: World, remove: str, flaw: str) -> None:
    getattr(world.s3, remove)(Bucket="data")
    assert world.flaws("Data") == flaw


def test_a_bucket_that_lets_one_kind_of_public_access_through_fails(world: World) -> None:
    locks: Any = {**dict.fromkeys(protection._LOCKS, True), "RestrictPublicBuckets": False}
    world.s3.put_public_access_block(Bucket="data", PublicAccessBlockConfiguration=locks)
    assert world.flaws("Data") == "does not block all public access"


def test_weak_passwords_fail(world: World) -> None:
    world.pool = {"Policies": {"PasswordPolicy": {"MinimumLength": 8, "RequireNumbers": True}}}
    assert world.flaws("Pool") == (
        "accepts passwords of 8 characters; accepts passwords without lowercase, uppercase, symbols"
    )


def test_outputs_are_those_of_the_deployed_master_whose_condition_holds(world: World) -> None:
    assert world.verify()["outputs"].detail == "all 1 are there"
    world.parameters = {"Deploy": "true"}
    assert world.flaws("outputs") == "missing: Extra"
    world.outputs["Extra"] = "x"
    assert world.verify()["outputs"].detail == "all 2 are there"


def test_drift_is_detected_only_when_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "drift" not in world.verify()
    drifted = [verification.drift.Drift("Jobs", "AWS::DynamoDB::Table", "MODIFIED", "", "", "")]
    monkeypatch.setattr(verification.drift, "detect", lambda *_: tuple(drifted))
    assert world.verify(detect_drift=True)["drift"] == Check("drift", False, "drifted: Jobs")


# The health endpoint


def test_an_api_that_warms_up_is_asked_again(world: World) -> None:
    world.answers = [(404, b""), OSError("no such name"), (503, b"{}"), (200, BODY)]
    assert world.verify()["health"].passed
    assert world.time.slept == [polling.SHORTEST_PAUSE] * 3


def test_an_api_that_stays_broken_fails_after_the_warm_up_with_the_tables_it_names(
    world: World,
) -> None:
    down = {"status": "degraded", "tables": {"JobsTable": "ResourceNotFoundException"}}
    world.answers = [(503, json.dumps(down).encode())]
    assert world.flaws("health") == f"{HEALTH} answers 503: JobsTable ResourceNotFoundException"
    assert world.time.slept == sorted(world.time.slept)
    assert 0 <= sum(world.time.slept) - health.WARM_UP < health.WARM_UP * polling.SHARE_OF_WAIT


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"tables": []}', b'{"tables": {}}'])
def test_a_body_of_another_shape_is_left_out(world: World, body: bytes) -> None:
    world.answers = [(200, body)]
    assert world.verify()["health"] == Check("health", True, f"{HEALTH} answers 200")


def test_a_health_endpoint_that_is_missing_fails_where_the_template_declares_it(
    world: World,
) -> None:
    del world.outputs["HealthUrl"]
    checks = world.verify()
    assert checks["health"] == Check(
        "health", True, "the stack has no output HealthUrl", warning=True
    )
    assert checks["outputs"] == Check("outputs", False, "missing: HealthUrl")


# What cannot be asked


def test_what_an_endpoint_cannot_answer_is_a_warning(world: World) -> None:
    world.refuse["DescribeUserPool"] = refusal("NotImplemented", "", "DescribeUserPool", 501)
    found = world.verify()["Pool"]
    assert found == Check("Pool", True, "not available at this endpoint", warning=True)


def test_a_denied_call_is_a_failed_check_in_aws_s_words(world: World) -> None:
    world.refuse["GetBucketPolicy"] = refusal("AccessDenied", "not authorized", "GetBucketPolicy")
    assert world.flaws("Data") == "AccessDenied: not authorized"


def test_a_bucket_of_another_account_fails(world: World) -> None:
    world.refuse["GetPublicAccessBlock"] = refusal("AccessDenied", "Access Denied")
    assert "Access Denied" in world.flaws("Data")


# After a deployment


def test_express_mode_is_not_verified_and_says_how_to_do_it_later(world: World) -> None:
    options = Options(express=True)
    assert verification.follow_up(job(), world.access, options) is None
    [note] = world.said
    assert note.level is Level.WARNING
    assert f"inv verify {job().flags}" in note.text


def test_a_stack_that_cannot_be_read_any_more_fails_the_verification_not_the_deployment(
    world: World,
) -> None:
    world.refuse["DescribeStacks"] = refusal("ExpiredToken", "expired", "DescribeStacks")
    found = verification.follow_up(job(), world.access, Options())
    assert found is not None
    assert found.failed == ("stack",)
    world.refuse.clear()
    world.exists = False
    found = verification.follow_up(job(), world.access, Options())
    assert found is not None
    assert "There is no stack" in found.checks[0].detail


def test_a_stack_that_was_described_a_moment_ago_is_not_asked_for_again(world: World) -> None:
    world.refuse["DescribeStacks"] = refusal("ExpiredToken", "expired", "DescribeStacks")
    seen = stack(Status.UPDATE_COMPLETE, outputs={"HealthUrl": ""})
    found = verification.follow_up(job(), world.access, Options(), seen)
    assert found is not None
    assert "stack" not in found.failed


def made(*checks: Check) -> verification.Verification:
    return verification.Verification(STACK, REGION, checks)


def test_a_failed_check_makes_the_run_fail_and_leaves_the_outcome_as_it_was(world: World) -> None:
    told = Answer({"action": "created"}, "outputs")
    bad = made(Check("health", False, "answers 503"), Check("Pool", True, "n/a", warning=True))
    added = verification.add(told, bad, world.access)
    assert added.exit_code == 1
    assert added.document["action"] == "created"
    assert added.document["verification"] == {
        "passed": False,
        "checks": [
            {"name": "health", "passed": False, "detail": "answers 503", "warning": False},
            {"name": "Pool", "passed": True, "detail": "n/a", "warning": True},
        ],
    }
    assert added.text.endswith("outputs")
    assert [note.level for note in world.said] == [Level.WARNING, Level.ERROR]
    assert "1 of 2 checks" in world.said[1].text
    assert "health: answers 503" in world.said[1].text


def test_a_passed_verification_leaves_the_exit_code_alone(world: World) -> None:
    told = Answer({"action": "updated"}, "outputs")
    added = verification.add(told, made(Check("health", True, "ok")), world.access)
    assert (added.exit_code, added.text) == (0, "outputs")
    assert verification.add(told, None, world.access) is told
    failed = replace(told, exit_code=1)
    assert verification.add(failed, made(), world.access).exit_code == 1


def test_the_task_answers_with_every_check(world: World) -> None:
    good = verification.answer(made(Check("health", True, "ok")), world.access)
    assert (good.exit_code, good.document["passed"]) == (0, True)
    assert "✓   health" in good.text
    bad = verification.answer(made(Check("health", False, "no")), world.access)
    assert bad.exit_code == 1
    assert "✗   health" in bad.text


def test_a_stack_that_is_up_to_date_after_a_rollback_is_in_order_only_as_a_follow_up(
    world: World,
) -> None:
    world.status = "UPDATE_ROLLBACK_COMPLETE"
    assert world.flaws("stack") == "UPDATE_ROLLBACK_COMPLETE"
    found = verification.follow_up(job(), world.access, Options())
    assert found is not None
    assert "stack" not in found.failed


def test_a_stack_that_was_never_created_is_refused(world: World) -> None:
    world.status = "REVIEW_IN_PROGRESS"
    with pytest.raises(StateForbids, match="nothing is deployed"):
        world.verify()


# What it costs


TREE = {
    "master-stack.yaml": """
Resources:
  Data: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: https://x/data-stack.yaml}}
  Network: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: https://x/net-stack.yaml}}
""",
    "data-stack.yaml": "Resources: {Jobs: {Type: 'AWS::DynamoDB::Table'}}",
    "net-stack.yaml": "Resources: {Vpc: {Type: 'AWS::EC2::VPC'}}",
}


def list_listed(deployed_text: str, *, network: str = "CREATE_COMPLETE") -> list[str]:
    """Return the stacks that a look for what is checked lists, in a tree with this master.

    `network` is the state of the nested stack in which nothing has to be checked.
    """
    folder = {name: templates.parse(name, text) for name, text in TREE.items()}
    aws = session.connect(REGION, local=True)

    def row(
        name: str, kind: str, physical_id: str, status: str = "CREATE_COMPLETE"
    ) -> dict[str, Any]:
        return {
            "LogicalResourceId": name,
            "PhysicalResourceId": physical_id,
            "ResourceType": kind,
            "LastUpdatedTimestamp": START,
            "ResourceStatus": status,
        }

    nested = "AWS::CloudFormation::Stack"
    rows = {
        STACK_ID: [row("Data", nested, "data-id"), row("Network", nested, "net-id", network)],
        "data-id": [row("Jobs", "AWS::DynamoDB::Table", "jobs")],
        "net-id": [row("Vpc", "AWS::EC2::VPC", "vpc-1")],
    }
    calls = intercept(
        aws.client("cloudformation"),
        lambda _, arguments: {"StackResourceSummaries": rows[arguments["StackName"]]},
    )
    access = Person().access(aws)
    found = verification._find_checked(access, job(templates=folder), stack(), deployed_text)
    failed = ["Network"] if network.endswith("_FAILED") else []
    assert [resource.path for resource in found] == [*failed, "Data/Jobs"]
    return [str(call.arguments["StackName"]) for call in calls]


def test_a_nested_stack_without_anything_to_check_is_not_listed() -> None:
    folder = {name: templates.parse(name, text) for name, text in TREE.items()}
    [*_, master] = releases.build(folder).files
    assert list_listed(master.content.decode()) == [STACK_ID, "data-id"]
    # Of one that failed, what failed in it is wanted.
    listed = list_listed(master.content.decode(), network="UPDATE_FAILED")
    assert listed == [STACK_ID, "data-id", "net-id"]


@pytest.mark.parametrize(
    "deployed_text",
    [
        pytest.param(TREE["master-stack.yaml"], id="loaded from other objects"),
        pytest.param("", id="AWS does not give the template"),
        pytest.param("Resources: [", id="not to be read"),
    ],
)
def test_what_was_deployed_from_elsewhere_is_listed_as_a_whole(deployed_text: str) -> None:
    assert list_listed(deployed_text) == [STACK_ID, "data-id", "net-id"]
