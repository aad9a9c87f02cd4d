"""What IAM's simulation says is told as it is: denied, forbidden, or cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.checks import permissions
from lib.checks.findings import Readiness, RegionFinding
from lib.inputs import jobs
from lib.inputs.jobs import Job
from tests.support import api_calls
from tests.support.aws_fakes import ACCOUNT, START, FakeTime, refusal
from tests.support.many_clients import USER, Account
from tests.support.people import Person

SSO_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1a"
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/plot-palette-service"


@pytest.fixture(scope="module")
def job() -> Job:
    return jobs.prepare(api_calls.ROOT, "staging", "us-west-2", None, flags="")


def result(action: str, decision: str = "allowed", **more: Any) -> dict[str, Any]:
    """Return one decision as IAM answers it."""
    return {
        "EvalActionName": action,
        "EvalResourceName": "*",
        "EvalDecision": decision,
        "MatchedStatements": [],
        "MissingContextValues": [],
        **more,
    }


def deciding(**decisions: Any) -> Any:
    """Return how IAM answers: everything allowed but what is named, "iam:PassRole" by PassRole."""

    def answer(arguments: dict[str, Any]) -> Mapping[str, Any]:
        results = [
            result(action, **decisions.get(action.partition(":")[2], {}))
            for action in arguments["ActionNames"]
        ]
        return {"EvaluationResults": results, "IsTruncated": False}

    return answer


def look(job: Job, account: Account, **given: Any) -> Sequence[RegionFinding]:
    access = Person().access(account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    return permissions.look(job, access, **given)


def test_a_caller_who_may_do_everything_is_ready(job: Job) -> None:
    account = Account("us-west-2", SimulatePrincipalPolicy=deciding())
    (found,) = look(job, account)
    assert found.state is Readiness.READY
    asked = account.asked("SimulatePrincipalPolicy")
    assert {one["PolicySourceArn"] for one in asked} == {USER}
    # Whoever hands no service role over does all that CloudFormation does in their name.
    actions = {action for one in asked for action in one["ActionNames"]}
    assert {"cloudformation:CreateStack", "ec2:CreateVpc", "ecs:CreateCluster"} <= actions


def test_who_hands_a_service_role_over_needs_no_rights_on_resources(job: Job) -> None:
    account = Account("us-west-2", SimulatePrincipalPolicy=deciding())
    look(job, account, role_arn=SERVICE_ROLE)
    asked = account.asked("SimulatePrincipalPolicy")
    actions = {action: one for one in asked for action in one["ActionNames"]}
    assert "ec2:CreateVpc" not in actions
    assert actions["iam:PassRole"]["ResourceArns"] == [SERVICE_ROLE]


def test_iam_is_asked_about_resources_that_can_be_and_never_by_wildcard(job: Job) -> None:
    account = Account("us-west-2", SimulatePrincipalPolicy=deciding())
    look(job, account)
    asked = account.asked("SimulatePrincipalPolicy")
    arns = {arn for one in asked for arn in one.get("ResourceArns", [])}
    assert f"arn:aws:s3:::plot-palette-cfn-{ACCOUNT}-us-west-2" in arns
    stack = f"arn:aws:cloudformation:us-west-2:{ACCOUNT}:stack/plot-palette-staging/preflight"
    assert stack in arns
    assert not any("*" in text for text in arns)
    assert not any("*" in action for one in asked for action in one["ActionNames"])
    # Releases are only ever written with If-None-Match, which a policy may ask for.
    context = {entry["ContextKeyName"] for entry in asked[0]["ContextEntries"]}
    assert {"s3:if-none-match", "iam:PassedToService", "aws:RequestedRegion"} <= context


def test_what_no_policy_allows_and_what_one_forbids_are_told_apart(job: Job) -> None:
    account = Account(
        "us-west-2",
        SimulatePrincipalPolicy=deciding(
            ExecuteChangeSet={"decision": "implicitDeny"}, CreateBackup={"decision": "explicitDeny"}
        ),
    )
    forbidden, denied = look(job, account, role_arn=SERVICE_ROLE)
    assert {forbidden.state, denied.state} == {Readiness.MISSING}
    assert forbidden.message == "a policy forbids alice dynamodb:CreateBackup"
    assert denied.message == "alice may not call cloudformation:ExecuteChangeSet"
    assert "deploy-role.yaml" in denied.next_step


@pytest.mark.parametrize("decision", ["implicitDeny", "explicitDeny"])
def test_a_decision_for_want_of_context_is_not_called_a_denial(job: Job, decision: str) -> None:
    lacking = {"decision": decision, "MissingContextValues": ["aws:MultiFactorAuthPresent"]}
    account = Account("us-west-2", SimulatePrincipalPolicy=deciding(ExecuteChangeSet=lacking))
    (found,) = look(job, account, role_arn=SERVICE_ROLE)
    assert found.state is Readiness.UNKNOWN
    assert "cloudformation:ExecuteChangeSet" in found.message


def test_an_action_is_allowed_when_it_is_on_the_resource_that_it_is_for() -> None:
    # s3:ListBucket is denied on objects to everybody who is given it on the bucket alone.
    per_resource = [
        {"EvalResourceName": "bucket", "EvalResourceDecision": "allowed"},
        {"EvalResourceName": "bucket/key", "EvalResourceDecision": "implicitDeny"},
    ]
    found = permissions.judge(
        [result("s3:ListBucket", "implicitDeny", ResourceSpecificResults=per_resource)]
    )
    assert (found.denied, found.asked) == (frozenset(), {"s3:ListBucket"})
    one_by_one = [result("s3:ListBucket", "implicitDeny"), result("s3:ListBucket")]
    assert permissions.judge(one_by_one).denied == frozenset()


def test_many_denials_are_counted_and_not_all_named(job: Job) -> None:
    denied = {
        "EvaluationResults": [result(f"ec2:Create{n}", "implicitDeny") for n in range(8)],
        "IsTruncated": False,
    }
    (found,) = look(job, Account("us-west-2", SimulatePrincipalPolicy=denied))
    assert found.message.endswith("ec2:Create5 and 2 more")


def test_further_pages_of_an_answer_are_read(job: Job) -> None:
    def page(arguments: dict[str, Any]) -> Mapping[str, Any]:
        if "Marker" in arguments:
            return {"EvaluationResults": [result("a:Late", "implicitDeny")], "IsTruncated": False}
        return {"EvaluationResults": [result("a:Early")], "IsTruncated": True, "Marker": "more"}

    (found,) = look(job, Account("us-west-2", SimulatePrincipalPolicy=page))
    assert "a:Late" in found.message


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "ServiceUnavailable"])
def test_a_simulation_that_is_refused_cannot_be_told_and_denies_nothing(
    job: Job, code: str
) -> None:
    account = Account("us-west-2", SimulatePrincipalPolicy=refusal(code, "not for you"))
    (found,) = look(job, account)
    assert found.state is Readiness.UNKNOWN
    assert f"AWS answers {code} not for you" in found.message


def test_credentials_that_end_on_the_way_end_the_look(job: Job) -> None:
    account = Account("us-west-2", SimulatePrincipalPolicy=refusal("ExpiredToken"))
    with pytest.raises(ClientError, match="ExpiredToken"):
        look(job, account)


def test_a_role_is_simulated_with_the_path_that_its_session_does_not_show(job: Job) -> None:
    role = {
        "Path": "/aws-reserved/sso.amazonaws.com/",
        "RoleName": "AWSReservedSSO_Admin_1a",
        "RoleId": "AROAEXAMPLEEXAMPLE",
        "Arn": SSO_ROLE,
        "CreateDate": START,
    }
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_1a/alice@example.com"
    account = Account(
        "us-west-2", arn=session, GetRole={"Role": role}, SimulatePrincipalPolicy=deciding()
    )
    (found,) = look(job, account)
    assert found.state is Readiness.READY
    assert {one["PolicySourceArn"] for one in account.asked("SimulatePrincipalPolicy")} == {
        SSO_ROLE
    }


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        (f"arn:aws:iam::{ACCOUNT}:root", "root user"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", "neither a user nor a role"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/job", "role cannot be read: AWS answers"),
    ],
)
def test_callers_that_iam_does_not_simulate_are_told(job: Job, arn: str, words: str) -> None:
    account = Account("us-west-2", arn=arn, GetRole=refusal("AccessDenied", "no"))
    (found,) = look(job, account)
    assert found.state is Readiness.UNKNOWN
    assert words in found.message
    assert account.asked("SimulatePrincipalPolicy") == []


def test_a_folder_without_the_roles_cannot_say_what_is_needed(job: Job) -> None:
    bare = {name: one for name, one in job.templates.items() if name != "deploy-role.yaml"}
    lacking = Job(**{**vars(job), "templates": bare, "folder": Path("folder")})
    (found,) = look(lacking, Account("us-west-2"))
    assert (found.state, found.message) == (
        Readiness.UNKNOWN,
        "deploy-role.yaml and service-role.yaml, which list the rights, are not in folder",
    )
