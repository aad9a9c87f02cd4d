"""What is behind a failure is told where the failure is, and asked for afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Clone, Operator, Seed, fork, until

pytestmark = pytest.mark.integration

#: A resource behind which code of somebody's own stands, and fails.
CUSTOM = """
  SeedingFunction:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt HealthRole.Arn
      Environment:
        Variables:
          API_KEY: key-that-nobody-may-see
      Code:
        ZipFile: |
          import json, os, urllib.request
          def handler(event, context):
              if event["RequestType"] == "Delete":
                  answer(event, context, "SUCCESS", "")
                  return
              print("asked with", os.environ["API_KEY"])
              print("KeyError: 'seeds.json'")
              answer(event, context, "FAILED", REASON)
          def answer(event, context, status, reason):
              told = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
              told |= {"Status": status, "PhysicalResourceId": "seeds"}
              told["Reason"] = reason.replace("STREAM", context.log_stream_name)
              url, body = event["ResponseURL"], json.dumps(told).encode()
              urllib.request.urlopen(
                  urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT"))
          REASON = "@REASON@"

  Seeds:
    Type: Custom::Seeds
    Properties:
      ServiceToken: !GetAtt SeedingFunction.Arn
      ServiceTimeout: 30
"""

DENIED = (
    "User: arn:aws:sts::000000000000:assumed-role/seeding/it is not authorized to perform: "
    "dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/jobs because no "
    "identity-based policy allows the dynamodb:PutItem action"
)


def fail_with(clone: Clone, reason: str) -> None:
    clone.add_resource("api", CUSTOM.replace("@REASON@", reason))


@pytest.fixture
def operator(seed: Seed, tmp_path: Path) -> Iterator[Operator]:
    someone = fork(seed.state, tmp_path)
    yield someone
    someone.leave()


def test_a_function_that_fails_is_explained_by_its_own_log(operator: Operator) -> None:
    fail_with(operator.clone, "See the details in CloudWatch Log Stream: STREAM")
    failed = operator.inv("update", "--yes", "--json", code=1)
    assert failed.document["failure"]["path"] == "APIStack/Seeds"
    told = {one["source"].partition(" ")[0]: one["text"] for one in failed.document["evidence"]}
    assert "KeyError: 'seeds.json'" in told["log"]
    assert "KeyError: 'seeds.json'" in failed.err
    assert "key-that-nobody-may-see" not in failed.out + failed.err


def test_explaining_afterwards_says_the_same_and_what_helps(operator: Operator) -> None:
    fail_with(operator.clone, "See the details in CloudWatch Log Stream: STREAM")
    operator.inv("update", "--yes", code=1)
    found = operator.inv("rescue.explain", "--json").document
    assert found["path"] == "APIStack/Seeds"
    assert found["means"]
    assert found["next_step"].startswith("mend what its log says, then inv deploy --env ")
    shown = operator.inv("rescue.explain").out
    assert "APIStack/Seeds failed." in " ".join(shown.split())
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_denied_action_is_explained_by_who_was_denied_what(operator: Operator) -> None:
    fail_with(operator.clone, DENIED)
    failed = operator.inv("update", "--yes", "--json", code=1)
    told = {one["source"]: one["text"] for one in failed.document["evidence"]}
    assert told["denied action"] == "dynamodb:PutItem"
    assert told["denied to"] == "arn:aws:sts::000000000000:assumed-role/seeding/it"
    assert told["because"].startswith("no identity-based policy")
    assert "CloudTrail" in told["not looked at"]
    found = operator.inv("rescue.explain", "--json").document
    assert found["means"].startswith("dynamodb:PutItem is denied to arn:aws:sts::")


def test_a_task_that_fails_is_explained_though_the_stack_is_well(operator: Operator) -> None:
    cloud = operator.cloud()
    ecs, cluster = cloud.client("ecs"), cloud.outputs()["ECSClusterName"]
    worker = {"name": "worker", "image": "worker:1"}
    made = ecs.register_task_definition(family="broken", containerDefinitions=[worker])
    definition = made["taskDefinition"]["taskDefinitionArn"]
    [task] = ecs.run_task(cluster=cluster, taskDefinition=definition)["tasks"]
    # The emulator runs no containers, so that none can fail: its task is stopped in their words.
    reason = "ResourceInitializationError: unable to pull secrets or registry auth"
    ecs.stop_task(cluster=cluster, task=task["taskArn"], reason=reason)
    until(lambda: ecs.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"], "the task")
    found = operator.inv("rescue.explain", "--json").document
    assert (found["path"], found["reason"]) == ("", "")
    [told] = [one for one in found["evidence"] if one["source"].startswith("ECS task")]
    assert reason in told["text"]
    assert "task execution role" in found["next_step"]
