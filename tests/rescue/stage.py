"""A small application on an emulator: two tables, a bucket and what reads them."""

from __future__ import annotations

import itertools
import textwrap
import time
from dataclasses import replace
from typing import Any

from lib import session
from lib.access import Access
from lib.deploy import deployments
from lib.deploy.outcomes import Outcome
from lib.errors import DeploymentError
from lib.inputs.jobs import Job, Options
from lib.machine import Machine
from lib.operators import Answer
from lib.polling import Clock
from lib.rescue import adoption, founding, refactoring, switching
from lib.rescue.refactoring import Refactored
from lib.stacks import drift, stacks
from lib.templates import moves, templates
from lib.templates.templates import Template
from tests.emulator.cloud import Cloud
from tests.support.factories import job
from tests.support.people import Person

REGION = "eu-west-1"
NAME = "plot-palette-staging"
URL = "https://s3.${AWS::Region}.${AWS::URLSuffix}/${Bucket}/${TemplatesKeyPrefix}"

MASTER = f"""
Parameters:
  TemplatesBucketName: {{ Type: String, Default: '' }}
  TemplatesKeyPrefix: {{ Type: String, Default: '' }}
  NotesTableName: {{ Type: String, Default: '' }}
  DraftsTableName: {{ Type: String, Default: '' }}
  FilesName: {{ Type: String, Default: '' }}
  Secret: {{ Type: String, NoEcho: true, Default: quiet }}
Resources:
  DatabaseStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub ['{URL}database-stack.yaml', {{ Bucket: !Ref TemplatesBucketName }}]
      Parameters:
        NotesName: !Ref NotesTableName
        DraftsName: !Ref DraftsTableName
        FilesName: !Ref FilesName
      Tags: [{{ Key: Component, Value: Database }}]
  ApiStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub ['{URL}api-stack.yaml', {{ Bucket: !Ref TemplatesBucketName }}]
      Parameters:
        Notes: !GetAtt DatabaseStack.Outputs.Notes
        Secret: !Ref Secret
Outputs:
  Notes: {{ Value: !GetAtt DatabaseStack.Outputs.Notes }}
"""

TABLE = """
  {logical_id}:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: {policy}
    UpdateReplacePolicy: Retain
    Properties:
      TableName: !If [Has{logical_id}, !Ref {logical_id}Name, !Ref AWS::NoValue]
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{{ AttributeName: {key}, AttributeType: S }}]
      KeySchema: [{{ AttributeName: {key}, KeyType: HASH }}]
      PointInTimeRecoverySpecification: {{ PointInTimeRecoveryEnabled: true }}
      SSESpecification: {{ SSEEnabled: true }}
"""

DATABASE = """
Parameters:
  NotesName: {{ Type: String, Default: '' }}
  DraftsName: {{ Type: String, Default: '' }}
  FilesName: {{ Type: String, Default: '' }}
Conditions:
  HasNotes: !Not [!Equals [!Ref NotesName, '']]
  HasDrafts: !Not [!Equals [!Ref DraftsName, '']]
  HasFiles: !Not [!Equals [!Ref FilesName, '']]
Resources:
{notes}
{drafts}
  Files:
    Type: AWS::S3::Bucket
    DeletionPolicy: RetainExceptOnCreate
    UpdateReplacePolicy: Retain
    Properties:
      BucketName: !If [HasFiles, !Ref FilesName, !Ref AWS::NoValue]
  FilesPolicy:
    Type: AWS::S3::BucketPolicy
    DeletionPolicy: RetainExceptOnCreate
    UpdateReplacePolicy: Retain
    Properties:
      Bucket: !Ref Files
      PolicyDocument:
        Version: '2012-10-17'
        Statement:
          - {{ Effect: Deny, Principal: '*', Action: 's3:*', Resource: !Sub '${{Files.Arn}}/*' }}
Outputs:
  Notes: {{ Value: !Ref Notes }}
  NotesArn: {{ Value: !GetAtt Notes.Arn }}
  Files: {{ Value: !Ref Files }}
"""

API = """
Parameters:
  Notes: { Type: String }
  Secret: { Type: String, NoEcho: true }
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Effect: Allow
            Principal: { Service: lambda.amazonaws.com }
            Action: sts:AssumeRole
  Writer:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: { ZipFile: 'def handler(event, context): return 1' }
      Environment: { Variables: { TABLE: !Ref Notes } }
  Hidden:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Secret }
"""


def folder(key: str = "id", policy: str = "Retain", **more: str) -> dict[str, Template]:
    """The application's templates, with the key and the policy of the table of notes."""
    notes = TABLE.format(logical_id="Notes", key=key, policy=policy)
    drafts = TABLE.format(logical_id="Drafts", key="id", policy="Retain")
    texts = {
        templates.MASTER: MASTER,
        "database-stack.yaml": DATABASE.format(notes=notes, drafts=drafts),
        "api-stack.yaml": API,
        **more,
    }
    return {name: templates.parse(name, textwrap.dedent(text)) for name, text in texts.items()}


def folder_with_moved_drafts() -> dict[str, Template]:
    """The application's templates, with the table of drafts in the stack that writes."""
    drafts = TABLE.format(logical_id="Drafts", key="id", policy="Retain")
    named = "      TableName: !If [HasDrafts, !Ref DraftsName, !Ref AWS::NoValue]\n"
    assert named in drafts
    texts = {
        "database-stack.yaml": DATABASE.format(
            notes=TABLE.format(logical_id="Notes", key="id", policy="Retain"), drafts=""
        ),
        "api-stack.yaml": f"{API}{drafts.replace(named, '')}",
    }
    return folder(**texts)


#: Every stage is a process of its own on one machine; an earlier one has ended.
_PROCESSES = itertools.count(1)


class Stage:
    """The application, whoever operates it, and what AWS has of it."""

    def __init__(self, endpoint: str) -> None:
        self.process = str(next(_PROCESSES))
        self.endpoint = endpoint
        self.person = Person("y")
        self.aws = session.connect(REGION, endpoint_url=endpoint, local=True)
        self.cloud = Cloud(endpoint, REGION)
        self.job: Job = job(templates=folder(), values={"Secret": "very-quiet"})

    @property
    def access(self) -> Access:
        here = Machine(lambda: "here", lambda: self.process, lambda one: one != self.process)
        # The emulator needs no time, so that nobody has to wait as long as for AWS.
        clock = Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.02)))
        return replace(self.person.access(self.aws, clock), machine=here)

    def deploy(self, *, adopt: str | None = None, **options: Any) -> Outcome:
        create = founding.over_leftovers(adopt)
        return deployments.deploy(self.job, self.access, Options(**options), create=create)

    def delete(self) -> Outcome:
        return deployments.delete(self.job, self.access, Options())

    def switch(self, *tables: str, **wanted: Any) -> Answer:
        asked = switching.Wanted(tables, **wanted)
        return switching.switch(self.job, self.access, asked)

    def adopt(self, *, preview: bool = False, **wanted: str) -> Answer:
        pairs = {path.replace("__", "/"): name for path, name in wanted.items()}
        return adoption.adopt(self.job, self.access, pairs, preview=preview)

    def refactor(self, moved: str) -> Refactored:
        """Follow the templates, in which the drafts are the API's by now."""
        self.job = replace(self.job, templates=folder_with_moved_drafts())
        return refactoring.refactor(self.job, self.access, Options(), moves.read(moved))

    def tree(self) -> dict[str, str]:
        cfn = self.aws.client("cloudformation")
        stack = stacks.describe(cfn, NAME)
        assert stack
        return {r.path: r.physical_id for r in stacks.walk(cfn, stack.id)}

    @property
    def notes(self) -> str:
        return self.tree()["DatabaseStack/Notes"]

    def reader(self) -> str:
        """The table that the writing function is told to write to."""
        name = self.tree()["ApiStack/Writer"]
        found = self.cloud.client("lambda").get_function_configuration(FunctionName=name)
        told: str = found["Environment"]["Variables"]["TABLE"]
        return told

    def limit(self) -> int | None:
        """The concurrency reserved for the writing function."""
        name = self.tree()["ApiStack/Writer"]
        answer = self.cloud.client("lambda").get_function_concurrency(FunctionName=name)
        found: int | None = answer.get("ReservedConcurrentExecutions")
        return found

    def fill(self, table: str, count: int = 3, key: str = "id") -> None:
        for number in range(count):
            self.cloud.dynamodb.put_item(TableName=table, Item={key: {"S": f"item-{number}"}})

    def items(self, table: str) -> int:
        found: int = self.cloud.dynamodb.scan(TableName=table, Select="COUNT")["Count"]
        return found

    def back_up(self, table: str) -> str:
        name = f"plot-palette-staging-20261001-120000-{table}"
        answer = self.cloud.dynamodb.create_backup(TableName=table, BackupName=name[:255])
        arn: str = answer["BackupDetails"]["BackupArn"]
        return arn

    def parameters(self) -> dict[str, str]:
        found = self.cloud.describe(NAME).get("Parameters", [])
        return {one["ParameterKey"]: one["ParameterValue"] for one in found}

    def change_sets(self) -> list[str]:
        found = self.cloud.cfn.list_change_sets(StackName=NAME)["Summaries"]
        return [one["ChangeSetName"] for one in found if one["ExecutionStatus"] == "AVAILABLE"]

    def record(self) -> bool:
        """Whether an unfinished switch is remembered."""
        s3 = self.cloud.client("s3")
        bucket = f"plot-palette-cfn-{self.cloud.account}-{REGION}"
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="deployments/").get("Contents", [])
        return any(one["Key"].endswith("/switch.json") for one in listed)

    def require_in_sync(self) -> None:
        """An update changes nothing, and nothing has drifted."""
        assert self.deploy().action == "unchanged"
        stack = stacks.describe(self.aws.client("cloudformation"), NAME)
        assert stack
        found = drift.detect(self.aws.client("cloudformation"), stack.id, self.access.clock)
        assert [one.path for one in found] == []


__all__ = ["API", "MASTER", "NAME", "REGION", "DeploymentError", "Stage", "folder"]
