"""A small account on an emulator of its own, and the templates that its tests deploy."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

REPOSITORY = Path(__file__).resolve().parents[2]
REGION = "us-west-2"
ACCOUNT = "000000000000"
Json = dict[str, Any]


class Cloud:
    """A small account on one server: clients, templates and waiting."""

    def __init__(self, endpoint: str, region: str = REGION, account: str = ACCOUNT) -> None:
        self.endpoint, self.region, self.account = endpoint, region, account
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint,
                aws_access_key_id=self.account,
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    @property
    def cfn(self) -> Any:
        return self.client("cloudformation")

    @property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    def put(self, key: str, template: Json) -> str:
        s3 = self.client("s3")
        with contextlib.suppress(ClientError):
            s3.create_bucket(
                Bucket="templates",
                CreateBucketConfiguration={"LocationConstraint": self.region},
            )
        s3.put_object(Bucket="templates", Key=key, Body=json.dumps(template))
        return f"https://s3.{self.region}.amazonaws.com/templates/{key}"

    def create(self, name: str, template: Json, **more: Any) -> str:
        self.cfn.create_stack(StackName=name, TemplateBody=json.dumps(template), **more)
        return self.wait(name)

    def update(self, name: str, template: Json, **more: Any) -> str:
        self.cfn.update_stack(StackName=name, TemplateBody=json.dumps(template), **more)
        return self.wait(name)

    def delete(self, name: str) -> str:
        stack_id = self.describe(name)["StackId"]
        self.cfn.delete_stack(StackName=name)
        return self.wait(stack_id)

    def describe(self, name: str) -> Json:
        stack: Json = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        return stack

    def wait(self, name: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status: str = self.describe(name)["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.01)
        pytest.fail(f"{name} is still in progress after {seconds} s")

    def physical(self, stack: str, logical_id: str) -> str:
        answer = self.cfn.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        found: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return found

    def outputs(self, name: str) -> dict[str, str]:
        found = self.describe(name).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def events(self, name: str) -> list[Json]:
        found: list[Json] = self.cfn.describe_stack_events(StackName=name)["StackEvents"]
        return found[::-1]

    def trail(self, name: str) -> list[str]:
        return [f"{e['LogicalResourceId']} {e['ResourceStatus']}" for e in self.events(name)]

    def tables(self) -> list[str]:
        found: list[str] = self.dynamodb.list_tables()["TableNames"]
        return found

    def change_set(self, name: str, template: Json, **more: Any) -> Json:
        made = self.cfn.create_change_set(
            StackName=name,
            ChangeSetName=more.pop("ChangeSetName", "preview"),
            TemplateBody=json.dumps(template),
            **{"IncludeNestedStacks": True, **more},
        )
        return self.read(made["Id"])

    def read(self, change_set_id: str) -> Json:
        found: Json = self.cfn.describe_change_set(
            ChangeSetName=change_set_id, IncludePropertyValues=True
        )
        return found


def rows(change_set: Json) -> dict[str, Json]:
    """The resource changes of a change set by logical id."""
    changes = [change["ResourceChange"] for change in change_set["Changes"]]
    return {change["LogicalResourceId"]: change for change in changes}


def table(key: str = "id", policy: str = "Delete", **properties: Any) -> Json:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": policy,
        "UpdateReplacePolicy": "Retain" if policy.startswith("Retain") else policy,
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            **properties,
        },
    }


def note(value: object = "x", **more: Any) -> Json:
    """A cheap resource with one property that a test can change."""
    properties = {"Type": "String", "Value": value}
    return {"Type": "AWS::SSM::Parameter", "Properties": properties, **more}


WAITING: Json = {
    "Resources": {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Wait": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "120"},
        },
    }
}
BROKEN = note({"Fn::ImportValue": "no-such-export"}, DependsOn="Jobs")


def database(jobs: Json | None = None, **resources: Json) -> Json:
    return {
        "Parameters": {"Size": {"Type": "String", "Default": "small"}},
        "Resources": {"Jobs": jobs or table(), **resources},
        "Outputs": {
            "Name": {"Value": {"Ref": "Jobs"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Jobs", "Arn"]}},
        },
    }


def reader(**resources: Json) -> Json:
    return {
        "Parameters": {"Table": {"Type": "String", "AllowedPattern": "[a-zA-Z0-9-]+"}},
        "Resources": {"Reader": note({"Ref": "Table"}), **resources},
    }


def nested(url: str, **parameters: Any) -> Json:
    return {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": url, "Parameters": parameters},
    }


def master(database_url: str, reader_url: str, **resources: Json) -> Json:
    return {
        "Parameters": {"Size": {"Type": "String", "Default": "small"}},
        "Resources": {
            "Database": nested(database_url, Size={"Ref": "Size"}),
            "Api": nested(reader_url, Table={"Fn::GetAtt": ["Database", "Outputs.Name"]}),
            **resources,
        },
        "Outputs": {"Table": {"Value": {"Fn::GetAtt": ["Database", "Outputs.Name"]}}},
    }


def reset(endpoint: str) -> None:
    request = urllib.request.Request(f"{endpoint}/_ministack/reset", data=b"", method="POST")
    urllib.request.urlopen(request, timeout=60).close()


@contextlib.contextmanager
def serving(
    *arguments: str,
    port: int = 0,
    environment: dict[str, str] | None = None,
    watched: bool = True,
) -> Iterator[str]:
    """Serve the emulator; what is `watched` counts as covered and takes half as long again."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "emulator.server", "--port", str(port), *arguments]
    kept = {k: v for k, v in os.environ.items() if watched or not k.startswith("COVERAGE_")}
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**kept, **(environment or {})})
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended before it answered"
                time.sleep(0.05)
        yield endpoint
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def deploy(cloud: Cloud, jobs: Json | None = None, **resources: Json) -> Json:
    """Create the stack `app` with both children and return its template."""
    template = master(cloud.put("db1", database(jobs, **resources)), cloud.put("api1", reader()))
    assert cloud.create("app", template) == "CREATE_COMPLETE"
    return template


FUNCTION_ZIP = io.BytesIO()
with zipfile.ZipFile(FUNCTION_ZIP, "w") as archive_of_nothing:
    archive_of_nothing.writestr("index.py", "def handler(event, context):\n    return 1\n")


def function(key: str) -> Json:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": "worker",
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/any",
            "Code": {"S3Bucket": "templates", "S3Key": key},
        },
    }


def put_code(cloud: Cloud, *keys: str) -> None:
    """Put an archive that a function can be made of under each of these keys."""
    cloud.put("any", {})
    for key in keys:
        cloud.client("s3").put_object(Bucket="templates", Key=key, Body=FUNCTION_ZIP.getvalue())


def reach_a_failed_rollback_inside_a_child(cloud: Cloud) -> str:
    """Lose the code that the rollback of a child needs; return the child."""
    put_code(cloud, "code1", "code2")
    s3 = cloud.client("s3")
    template = deploy(cloud, Function=function("code1"))
    s3.delete_object(Bucket="templates", Key="code1")
    resources = template["Resources"]
    resources["Database"]["Properties"]["TemplateURL"] = cloud.put(
        "db2", database(Function=function("code2"))
    )
    resources["Api"]["Properties"]["TemplateURL"] = cloud.put(
        "api2", reader(Bad=note({"Fn::ImportValue": "nothing"}))
    )
    child = cloud.physical("app", "Database")
    assert cloud.update("app", template) == "UPDATE_ROLLBACK_FAILED"
    assert cloud.describe(child)["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
    return child


def still_defective(condition: bool, amendment: str) -> None:
    assert condition, f"upstream mended it: drop amendment {amendment}"
