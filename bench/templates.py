"""Make the template sets that the work is done on: the application's own, and sets by size."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lib.inputs import jobs
from lib.releases import releases
from lib.templates.templates import MASTER

ENVIRONMENT = "development"

_URL = re.compile(r"TemplateURL: !Sub\n\s+- \S+\}(\S+)\n\s+- Bucket: .*\n")
_NESTED = """\
  Child{number:03}:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub
        - https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/${{Bucket}}/${{TemplatesKeyPrefix}}child-{number:03}.yaml
        - Bucket: !Ref TemplatesBucketName
"""
_CHILD = """\
Description: Child {number} of a benchmark
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: Topic {number}
"""
_QUEUE = """\
  Queue{number:03}:
    Type: AWS::SQS::Queue
    Properties: {{DelaySeconds: !Ref LogRetentionDays}}
"""
_TABLE = """\
  Table{number:03}:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
"""


@dataclass(frozen=True)
class TemplateSet:
    """Templates by file name, and the values the master is given."""

    files: Mapping[str, str]
    values: Mapping[str, str]

    def with_local_urls(self) -> dict[str, str]:
        """Return the files as `aws cloudformation package` and SAM take them.

        Those upload nested templates themselves, from the path that a TemplateURL names.
        """
        master = _URL.sub(r"TemplateURL: \1\n", self.files[MASTER])
        return {**self.files, MASTER: master}


def application(repository: Path, region: str) -> TemplateSet:
    """Return the master and all it loads, with the values of one environment and region."""
    job = jobs.read(repository, ENVIRONMENT, region, None, flags="")
    names = [file.name for file in releases.build(job.templates).files]
    files = {name: job.templates[name].text for name in names}
    return TemplateSet(files, dict(job.values))


def nested(count: int, values: Mapping[str, str]) -> TemplateSet:
    """Return a master with `count` nested stacks of one topic each."""
    numbers = range(1, count + 1)
    files = {f"child-{number:03}.yaml": _CHILD.format(number=number) for number in numbers}
    return TemplateSet({**files, MASTER: _master(_NESTED, count, values)}, values)


def queues(count: int, values: Mapping[str, str]) -> TemplateSet:
    """Return one template with `count` queues that all follow LogRetentionDays."""
    return TemplateSet({MASTER: _master(_QUEUE, count, values)}, values)


def tables(count: int, values: Mapping[str, str]) -> TemplateSet:
    """Return one template with `count` tables."""
    return TemplateSet({MASTER: _master(_TABLE, count, values)}, values)


def _master(resource: str, count: int, values: Mapping[str, str]) -> str:
    """Return a master that takes the values, needed or not, and has `count` resources."""
    names = {*values, "TemplatesBucketName", "TemplatesKeyPrefix"}
    parameters = "".join(f"  {name}: {{Type: String, Default: ''}}\n" for name in sorted(names))
    resources = "".join(resource.format(number=number) for number in range(1, count + 1))
    metadata = "Metadata: {cfn-lint: {config: {ignore_checks: [W]}}}\n"
    return f"Description: Benchmark\n{metadata}Parameters:\n{parameters}Resources:\n{resources}"


def write_parameters(path: Path, values: Mapping[str, str]) -> None:
    """Write a parameter file as the AWS CLI and the tasks read it."""
    entries = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2))
