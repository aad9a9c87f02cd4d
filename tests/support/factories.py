"""Build small pieces of the world for tests; every argument has a default worth reading."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.deploy.outcomes import Outcome
from lib.inputs import jobs
from lib.inputs.jobs import Job
from lib.releases.store import Bucket
from lib.stacks.events import Ending, Failure
from lib.stacks.stacks import Event, Stack
from lib.stacks.statuses import Status
from lib.templates import templates
from lib.templates.templates import Template
from lib.terminal.console import Console
from tests.support.aws_fakes import ACCOUNT

REPOSITORY = Path(__file__).resolve().parents[2]
REGION = "eu-west-1"
STACK = "plot-palette-staging"
STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1a2b"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)

MASTER = """
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  EnvironmentName: {Type: String, AllowedValues: [development, staging, production]}
  AdminEmail: {Type: String, AllowedPattern: '^[^@]+@[^@]+$'}
  Budget: {Type: Number, MinValue: 1, MaxValue: 100, Default: 10}
  VpcCidr: {Type: String, Default: 10.0.0.0/16}
  BedrockModelIds: {Type: CommaDelimitedList, Default: ''}
  BedrockInferenceProfileIds: {Type: CommaDelimitedList, Default: ''}
  Password: {Type: String, NoEcho: true, MinLength: 8, Default: ''}
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
"""


def template(text: str = MASTER, name: str = templates.MASTER) -> Template:
    """Parse a template from indented text."""
    return templates.parse(name, textwrap.dedent(text))


def repository(
    root: Path, *, master: str = MASTER, values: Any = None, environment: str = "staging"
) -> Path:
    """Write a repository with one template, one environment and one region into a folder."""
    infrastructure = root / "infrastructure"
    (infrastructure / "cloudformation").mkdir(parents=True)
    (infrastructure / "cloudformation" / templates.MASTER).write_text(textwrap.dedent(master))
    regions = {REGION: {"VPCCidr": "10.2.0.0/16", "BedrockModels": ["eu.amazon.nova-lite-v1:0"]}}
    (infrastructure / "regions.json").write_text(json.dumps(regions))
    (infrastructure / "parameters").mkdir()
    write_values(
        infrastructure / "parameters" / f"{environment}.json",
        {"EnvironmentName": environment, "AdminEmail": "a@b.io"} if values is None else values,
    )
    return root


def write_values(path: Path, values: Mapping[str, Any]) -> Path:
    """Write a parameter file in the array form."""
    pairs = [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()]
    path.write_text(json.dumps(pairs))
    return path


def job(**given: Any) -> Job:
    """Return a job on one template."""
    said: dict[str, Any] = {
        "environment": "staging",
        "region": REGION,
        "stack_name": STACK,
        "folder": Path("infrastructure/cloudformation"),
        "path": Path("infrastructure/parameters/staging.json"),
        "templates": {templates.MASTER: template()},
        "values": {"EnvironmentName": "staging", "AdminEmail": "a@b.io"},
        "flags": f"--env staging --region {REGION}",
    }
    return Job(**{**said, **given})


def stack(status: Status = Status.CREATE_COMPLETE, **given: Any) -> Stack:
    """Return a stack as DescribeStacks shows it."""
    said: dict[str, Any] = {
        "name": STACK,
        "id": STACK_ID,
        "status": status,
        "reason": "",
        "outputs": {},
        "parameters": {},
        "tags": {},
        "created": NOON,
        "updated": None,
        "protected": False,
        "parent_id": "",
        "drift": "NOT_CHECKED",
    }
    return Stack(**{**said, **given})


def event(logical_id: str = "Table", status: str = "CREATE_COMPLETE", **given: Any) -> Event:
    """Return an event of one resource."""
    said: dict[str, Any] = {
        "id": f"{logical_id}-{status}",
        "stack_id": STACK_ID,
        "time": NOON,
        "path": logical_id,
        "logical_id": logical_id,
        "physical_id": f"{STACK}-{logical_id}",
        "type": "AWS::DynamoDB::Table",
        "status": status,
        "reason": "",
        "token": "",
    }
    return Event(**{**said, **given})


def ending(
    status: Status,
    *,
    events: Sequence[Event] = (),
    failure: Failure | None = None,
    **given: Any,
) -> Ending:
    """Return how an operation ended, with the stack it left."""
    return Ending(status, stack(status, **given), tuple(events), failure)


def outcome(action: str = "created", **given: Any) -> Outcome:
    """Return what became of an operation."""
    said: dict[str, Any] = {
        "action": action,
        "stack": STACK,
        "stack_id": STACK_ID,
        "region": REGION,
        "environment": "staging",
        "status": "CREATE_COMPLETE",
        "release": "0123456789ab",
    }
    return Outcome(**{**said, **given})


def console(answers: str = "", **given: Any) -> tuple[Console, io.StringIO, io.StringIO]:
    """Return a console with the streams that catch its results and its progress."""
    out, err = io.StringIO(), io.StringIO()
    said: dict[str, Any] = {
        "source": io.StringIO(answers),
        "colour": False,
        "redraw": False,
        "interactive": False,
    }
    return Console(out, err, **{**said, **given}), out, err


def bucket(s3: Any) -> Bucket:
    """Return the bucket of us-east-1 that releases are published to, seen by a client."""
    return Bucket(s3, jobs.bucket_name(ACCOUNT, "us-east-1"), ACCOUNT)
