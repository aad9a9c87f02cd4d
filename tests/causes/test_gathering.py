"""Behind a failure's event stands more, and looking for it neither fails nor gives secrets away."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from lib.causes import evidence, gathering
from lib.causes.evidence import UNREAD, Evidence
from lib.stacks.events import Failure
from tests.support import factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.many_clients import Account
from tests.support.people import Person

CLUSTER = "plot-palette-staging-cluster"
SERVICE_ID = f"arn:aws:ecs:eu-west-1:123456789012:service/{CLUSTER}/worker"
TASK = f"arn:aws:ecs:eu-west-1:123456789012:task/{CLUSTER}/0a1b2c3d4e5f60718293"
DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/worker:7"
BREAKER = (
    "Resource handler returned message: \"Error occurred during operation 'ECS Deployment Circuit "
    "Breaker was triggered'.\" (RequestToken: 1, HandlerErrorCode: GeneralServiceException)"
)
ANN = "arn:aws:sts::123456789012:assumed-role/deploy/ann"
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/deploy/ann is not authorized to perform: "
    "iam:CreateRole on resource: arn:aws:iam::123456789012:role/x because no identity-based policy "
    "allows the iam:CreateRole action (Service: Iam, Status Code: 403)"
)


def look(
    account: Account, kind: str, reason: str, *, physical_id: str = "", **event: Any
) -> tuple[Evidence, ...]:
    failed = factories.event(
        "It",
        "CREATE_FAILED",
        type=kind,
        path="ComputeStack/It",
        reason=reason,
        physical_id=physical_id,
        **event,
    )
    failure = Failure("ComputeStack/It", "It", kind, "CREATE_FAILED", failed.told)
    access = Person().access(account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    return gathering.look(factories.job(), access, failure, (failed,))


def texts(found: tuple[Evidence, ...]) -> dict[str, str]:
    return {one.source: one.text for one in found}


def task(**given: Any) -> dict[str, Any]:
    return {
        "taskArn": TASK,
        "taskDefinitionArn": DEFINITION,
        "stoppedReason": "Essential container in task exited",
        "stopCode": "EssentialContainerExited",
        "stoppedAt": datetime(2026, 10, 1, 12, tzinfo=UTC),
        "containers": [
            {"name": "sidecar", "exitCode": 0},
            {"name": "worker", "exitCode": 1},
        ],
        **given,
    }


def container(name: str) -> dict[str, Any]:
    options = {"awslogs-group": f"/plot/{name}", "awslogs-stream-prefix": "ecs"}
    return {
        "name": name,
        "environment": [{"name": "STRIPE", "value": "sk_live_0123456789"}],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }


def ecs(**answers: Any) -> Account:
    said: dict[str, Any] = {
        "ListTasks": {"taskArns": [TASK]},
        "DescribeTasks": {"tasks": [task()]},
        "DescribeTaskDefinition": {
            "taskDefinition": {
                "containerDefinitions": [container("sidecar"), container("worker")],
            }
        },
        "GetLogEvents": {
            "events": [
                {"message": "starting\n"},
                {"message": "stripe sk_live_0123456789 said no\nKeyError: 'REGION'\n"},
            ]
        },
    }
    return Account("eu-west-1", **said | answers)


def test_a_failed_service_is_explained_by_its_stopped_task_and_the_end_of_its_log() -> None:
    account = ecs()
    found = texts(look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID))
    assert found["ECS task 0a1b2c3d4e5f"].splitlines() == [
        "Essential container in task exited (EssentialContainerExited)",
        "sidecar: exit code 0",
        "worker: exit code 1",
    ]
    assert found["log /plot/worker"].splitlines()[-1] == "KeyError: 'REGION'"
    assert account.asked("ListTasks") == [
        {"cluster": CLUSTER, "serviceName": "worker", "desiredStatus": "STOPPED", "maxResults": 10}
    ]
    [asked] = account.asked("GetLogEvents")
    assert asked["logStreamName"] == "ecs/worker/0a1b2c3d4e5f60718293"


def test_the_values_of_environment_variables_never_stand_in_evidence() -> None:
    found = look(ecs(), "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    assert "sk_live" not in str(found)
    assert "stripe **** said no" in texts(found)["log /plot/worker"]


def test_of_several_stopped_tasks_the_one_that_was_not_stopped_on_purpose_tells() -> None:
    scaled = task(
        taskArn=TASK.replace("0a1b", "ffff"),
        stopCode="ServiceSchedulerInitiated",
        stoppedReason="Scaling activity initiated by (deployment ecs-svc/1)",
        stoppedAt=datetime(2026, 10, 1, 13, tzinfo=UTC),
    )
    found = look(
        ecs(DescribeTasks={"tasks": [scaled, task()]}),
        "AWS::ECS::Service",
        BREAKER,
        physical_id=SERVICE_ID,
    )
    assert "ECS task 0a1b2c3d4e5f" in texts(found)


def test_a_service_without_a_stopped_task_is_explained_by_what_it_says_itself() -> None:
    events = [{"message": "(service worker) was unable to place a task"}]
    account = ecs(ListTasks={"taskArns": []}, DescribeServices={"services": [{"events": events}]})
    found = look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    assert texts(found) == {"ECS service": "(service worker) was unable to place a task"}


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (refusal("AccessDeniedException", "no", "ListTasks"), "AWS denies ListTasks"),
        (refusal("InvalidAction", "", "ListTasks"), "not available at this endpoint"),
        (refusal("ClusterNotFoundException", "x", "ListTasks"), "gone, or never there"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_no_failure(refused: Exception, why: str) -> None:
    account = ecs(ListTasks=refused)
    found = look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    assert found == (Evidence(UNREAD, f"stopped tasks: {why}"),)
    assert [call.operation for call in account.calls] == ["ListTasks"]


def test_a_bug_in_the_looking_is_told_and_takes_nothing_from_the_report() -> None:
    account = ecs(DescribeTasks={"tasks": [{"containers": []}]})
    found = look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    assert texts(found)[UNREAD].startswith("the rest: ")


def test_a_call_that_hangs_delays_the_report_no_longer_than_it_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gathering, "LONGEST", 0.05)
    hanging = threading.Event()
    account = ecs(ListTasks=lambda _asked: hanging.wait(30) or {"taskArns": []})
    try:
        found = look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    finally:
        hanging.set()
    assert found == (Evidence(UNREAD, "the rest: it took too long"),)


def test_no_failure_is_worth_more_than_a_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_CALLS", 3)
    account = ecs()
    found = look(account, "AWS::ECS::Service", BREAKER, physical_id=SERVICE_ID)
    assert len(account.calls) == 3
    assert texts(found)[UNREAD] == "log /plot/worker: it would have taken too long"


def test_a_custom_resource_is_explained_by_the_log_of_the_function_behind_it() -> None:
    account = Account(
        "eu-west-1",
        GetFunctionConfiguration={
            "Environment": {"Variables": {"KEY": "very-secret-value"}},
            "LoggingConfig": {"LogGroup": "/own/group"},
        },
        GetLogEvents={"events": [{"message": "boom very-secret-value password=hunter2"}]},
    )
    reason = (
        "Received response status [FAILED] from custom resource. Message returned: See the details "
        "in CloudWatch Log Stream: 2021/08/17/[$LATEST]0a1b (RequestId: 1f2e)"
    )
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:seed"
    found = look(
        account, "Custom::Seed", reason, properties=json.dumps({"ServiceToken": arn, "A": "b"})
    )
    assert texts(found) == {"log /own/group": "boom **** password=****"}
    [asked] = account.asked("GetLogEvents")
    assert asked["logStreamName"] == "2021/08/17/[$LATEST]0a1b"


def test_the_log_of_a_function_that_is_gone_keeps_the_secrets_of_its_environment() -> None:
    gone = refusal("ResourceNotFoundException", "gone", "GetFunctionConfiguration")
    account = Account(
        "eu-west-1",
        GetFunctionConfiguration=gone,
        DescribeLogStreams={"logStreams": [{"logStreamName": "newest"}]},
        GetLogEvents={"events": [{"message": "asked with very-secret-value"}]},
    )
    properties = json.dumps({"Environment": {"Variables": {"KEY": "very-secret-value"}}})
    known = look(
        account, "AWS::Lambda::Function", "no", physical_id="health", properties=properties
    )
    assert texts(known)["log /aws/lambda/health"] == "asked with ****"
    unknown = look(account, "AWS::Lambda::Function", "no", physical_id="health")
    assert "log /aws/lambda/health" not in texts(unknown)
    assert "the function's environment is not known" in texts(unknown)[UNREAD]


def test_a_function_is_explained_by_its_state_and_its_newest_log() -> None:
    account = Account(
        "eu-west-1",
        GetFunctionConfiguration={"StateReason": "The function's image is gone"},
        DescribeLogStreams={"logStreams": [{"logStreamName": "newest"}]},
        GetLogEvents={"events": [{"message": "Task timed out"}]},
    )
    found = look(account, "AWS::Lambda::Function", "NotStabilized", physical_id="health")
    assert texts(found) == {
        "function health": "The function's image is gone",
        "log /aws/lambda/health": "Task timed out",
    }


def test_a_denied_action_is_taken_apart_and_looked_up_in_cloudtrail() -> None:
    record = {
        "eventTime": "2026-10-01T11:59:00Z",
        "eventName": "CreateRole",
        "errorCode": "AccessDenied",
        "errorMessage": "User: ann is not authorized",
        "userIdentity": {"arn": "arn:aws:sts::123456789012:assumed-role/deploy/ann"},
        "requestParameters": {"password": "hunter2"},
    }
    fine = {"eventName": "CreateRole", "userIdentity": {"arn": "somebody"}}
    account = Account(
        "eu-west-1",
        LookupEvents={"Events": [{"CloudTrailEvent": json.dumps(one)} for one in (fine, record)]},
    )
    found = look(account, "AWS::IAM::Role", DENIED)
    assert [(one.source, one.text) for one in found] == [
        ("denied action", "iam:CreateRole"),
        ("denied to", "arn:aws:sts::123456789012:assumed-role/deploy/ann"),
        ("on", "arn:aws:iam::123456789012:role/x"),
        ("because", "no identity-based policy allows the iam:CreateRole action"),
        ("CloudTrail", f"2026-10-01T11:59:00Z CreateRole by {ANN}: User: ann is not authorized"),
    ]
    [asked] = account.asked("LookupEvents")
    assert asked["LookupAttributes"] == [
        {"AttributeKey": "EventName", "AttributeValue": "CreateRole"}
    ]


def test_a_denial_that_names_no_action_is_looked_up_by_its_service() -> None:
    account = Account("eu-west-1", LookupEvents={"Events": []})
    found = look(account, "AWS::S3::Bucket", "Access Denied (Service: S3, Status Code: 403)")
    assert texts(found) == {UNREAD: "CloudTrail: has no denied call yet; it is some 5 minutes late"}
    [asked] = account.asked("LookupEvents")
    assert asked["LookupAttributes"][0]["AttributeValue"] == "s3.amazonaws.com"


def test_a_coded_denial_is_decoded() -> None:
    decoded = {
        "allowed": False,
        "explicitDeny": True,
        "context": {
            "action": "ec2:CreateVpc",
            "principal": {"arn": "arn:aws:iam::123456789012:user/ann"},
            "resource": "arn:aws:ec2:eu-west-1:123456789012:vpc/*",
        },
    }
    account = Account(
        "eu-west-1",
        DecodeAuthorizationMessage={"DecodedMessage": json.dumps(decoded)},
        LookupEvents=refusal("AccessDeniedException", "no", "LookupEvents"),
    )
    reason = "You are not authorized. Encoded authorization failure message: x1-y2_z3"
    found = texts(look(account, "AWS::EC2::VPC", reason))
    assert found["denied action"] == "ec2:CreateVpc"
    assert found["because"] == "a policy denies it explicitly"
    assert found[UNREAD] == "CloudTrail: AWS denies LookupEvents"


def test_a_quota_that_is_used_up_is_told_with_its_value() -> None:
    account = Account(
        "eu-west-1",
        GetServiceQuota=refusal("NoSuchResourceException", "", "GetServiceQuota"),
        GetAWSDefaultServiceQuota={"Quota": {"Value": 5.0}},
    )
    found = look(account, "AWS::EC2::VPC", "The maximum number of VPCs has been reached.")
    assert texts(found) == {"quota": "5 VPCs in eu-west-1 (Service Quotas, vpc L-F678F1CE)"}


def test_a_name_that_is_taken_is_told_with_its_owner() -> None:
    owner = {
        "StackName": "plot-palette-old",
        "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/plot-palette-old/1",
        "LogicalResourceId": "JobsTable",
        "PhysicalResourceId": "jobs",
        "ResourceType": "AWS::DynamoDB::Table",
        "Timestamp": datetime(2026, 10, 1, tzinfo=UTC),
        "ResourceStatus": "CREATE_COMPLETE",
    }
    account = Account("eu-west-1", DescribeStackResources={"StackResources": [owner]})
    reason = "Resource of type 'AWS::DynamoDB::Table' with identifier 'jobs' already exists."
    found = look(account, "AWS::DynamoDB::Table", reason)
    assert texts(found) == {"name taken": "jobs is JobsTable of stack plot-palette-old"}
    assert account.asked("DescribeStackResources") == [{"PhysicalResourceId": "jobs"}]


def test_a_name_that_no_stack_has_is_told_as_nobodys() -> None:
    missing = refusal("ValidationError", "Stack for jobs does not exist", "DescribeStackResources")
    account = Account("eu-west-1", DescribeStackResources=missing)
    found = look(account, "AWS::DynamoDB::Table", "jobs already exists")
    assert texts(found) == {
        "name taken": "jobs belongs to no other stack of this account in eu-west-1"
    }


def test_a_hook_is_asked_what_it_has_against_a_resource() -> None:
    hook_id = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
    account = Account(
        "eu-west-1",
        GetHookResult={
            "HookStatusReason": "1 of 2 checks failed",
            "Annotations": [
                {"AnnotationName": "S3.1", "Status": "PASSED"},
                {
                    "AnnotationName": "S3.8",
                    "Status": "FAILED",
                    "StatusMessage": "Bucket does not block public access",
                    "RemediationMessage": "Block public access to the bucket",
                },
            ],
        },
    )
    found = look(
        account,
        "AWS::S3::Bucket",
        "",
        hook_type="Acme::Guard::Hook",
        hook_status="HOOK_COMPLETE_FAILED",
        hook_mode="FAIL",
        hook_id=hook_id,
    )
    assert [one.text for one in found] == [
        "1 of 2 checks failed",
        "S3.8: Bucket does not block public access\nBlock public access to the bucket",
    ]
    assert account.asked("GetHookResult") == [{"HookResultId": hook_id}]


def test_a_wording_that_nobody_knows_costs_no_call() -> None:
    account = Account("eu-west-1")
    assert look(account, "AWS::SNS::Topic", "Something entirely new") == ()
    assert account.calls == []


def test_values_of_noecho_parameters_never_stand_in_evidence() -> None:
    job = factories.job(values={"EnvironmentName": "staging", "Password": "correct-horse"})
    case = evidence.Case(
        "",
        "AWS::Lambda::Function",
        "health",
        factories.STACK_ID,
        "CREATE_FAILED",
        "x",
        factories.NOON,
    )
    account = Account(
        "eu-west-1",
        GetFunctionConfiguration={"StateReason": "login with correct-horse failed"},
        DescribeLogStreams={"logStreams": []},
    )
    access = Person().access(account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    found = gathering.investigate(job, access, case)
    assert texts(found)["function health"] == "login with **** failed"
