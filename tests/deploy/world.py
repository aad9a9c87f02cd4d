"""One deployment under way, to an endpoint that a test answers for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lib import session
from lib.access import Access
from lib.deploy.publishing import Run
from lib.inputs.jobs import Options
from lib.operators import Drawing, Listing, Note, OnInterrupt, Operator, Progress
from lib.releases.releases import Published, Release
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Status
from tests.support.aws_fakes import (
    Answer,
    FakeTime,
    Happening,
    event_entry,
    intercept,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.factories import ACCOUNT, REGION, STACK, job, stack, template

MASTER = """
Parameters:
  VpcCidr: {Type: String, Default: 10.0.0.0/16}
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
"""


CHANGE_SET = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/update-1/1a2b"


class World:
    """A stack, its change set and its history; what AWS refuses is in `refusals`."""

    def __init__(self, status: str = "CREATE_COMPLETE", environment: str = "staging") -> None:
        self.status = status
        self.ending = "UPDATE_COMPLETE"
        self.acted = False
        self.rows: list[dict[str, Any]] = []
        self.made = {"ChangeSetId": CHANGE_SET, "StackName": STACK, "StackId": stack_id(STACK)}
        self.refusals: dict[str, Exception] = {}
        self.events: dict[str, tuple[str, str]] = {}
        self.resources: list[dict[str, Any]] = []
        self.parameters: dict[str, str] = {}
        self.more: dict[str, Any] = {}
        self.told: list[Progress] = []
        self.asked: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.locking: list[str] = []
        self.job = job(
            environment=environment,
            templates={"master-stack.yaml": template(MASTER)},
            values={"VpcCidr": "10.0.0.0/16"},
        )
        aws = session.connect(REGION)
        self.reply: Answer = self.answer
        self.calls = intercept(aws.client("cloudformation"), lambda *asked: self.reply(*asked))  # noqa: PLW0108  # it changes
        self.interrupted_at: set[str] = set()
        intercept(aws.client("s3"), self.keep)
        caller = {"Account": "1" * 12, "Arn": "arn:aws:iam::111111111111:user/ann"}
        intercept(aws.client("sts"), lambda *_: caller)
        operator = Operator(self.told.append, self.confirm, lambda _: OnInterrupt.DETACH)
        self.access = Access(aws, operator, FakeTime().clock)

    def confirm(self, question: str, _word: str) -> bool:
        self.asked.append(question)
        return True

    def keep(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if arguments.get("Key", "").startswith("locks/"):
            self.locking.append(operation)
            if operation == "GetObject":
                raise refusal("NoSuchKey", "The specified key does not exist.", operation, 404)
            return {"ETag": '"1"'} if operation == "PutObject" else {}
        if "Body" in arguments:
            self.records.append(json.loads(arguments["Body"]))
        if operation == "GetObject" and arguments["Key"].endswith("/moved.json"):
            raise refusal("NoSuchKey", "The specified key does not exist.", operation, 404)
        return {}

    def answer(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation in self.interrupted_at:
            self.interrupted_at.remove(operation)
            raise KeyboardInterrupt
        if operation in self.refusals:
            raise self.refusals[operation]
        found: Mapping[str, Any] | None = getattr(self, f"_{operation}", dict)()
        return found or {}

    def _CreateChangeSet(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        return {
            "Id": f"arn:aws:cloudformation:{REGION}:1:changeSet/c/1",
            "StackId": stack_id(STACK),
        }

    def _DescribeChangeSet(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        if self.rows:
            changes = [{"Type": "Resource", "ResourceChange": row} for row in self.rows]
            return {**self.made, "Status": "CREATE_COMPLETE", "Changes": changes}
        reason = "The submitted information didn't contain changes."
        return {**self.made, "Status": "FAILED", "StatusReason": reason}

    def _DeleteStack(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        self.status, self.acted = "DELETE_COMPLETE", True
        return {}

    def _CreateStack(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        self.status, self.acted = self.ending, True
        return {"StackId": stack_id(STACK)}

    def _ExecuteChangeSet(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        self.status, self.acted = self.ending, True
        return {}

    def _UpdateStack(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        self.status, self.acted = self.ending, True
        return {"StackId": stack_id(STACK)}

    def _DescribeStacks(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        return {"Stacks": [stack_entry(STACK, self.status, **self.more)]}

    def _DescribeStackEvents(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        history = [
            own("1", 0, STACK, "UPDATE_IN_PROGRESS"),
            *(self.happenings() if self.acted or self.status.endswith("FAILED") else []),
            *([own("9", 9, STACK, self.status)] if self.acted else []),
        ]
        return {"StackEvents": [event_entry(STACK, one) for one in reversed(history)]}

    def happenings(self) -> list[Happening]:
        return [
            Happening(name, 5, name, status, "AWS::SSM::Parameter", "", reason)
            for name, (status, reason) in self.events.items()
        ]

    def _GetTemplate(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        return {"TemplateBody": MASTER}

    def _ListStackResources(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        return {"StackResourceSummaries": self.resources}

    def run(self, **options: Any) -> Run:
        return Run(
            self.job,
            self.access,
            Options(**options),
            Release("0123456789ab", "0" * 64, ()),
            Published("bucket", REGION, "0123456789ab", 0, 0, "https://s3/master-stack.yaml"),
            self.job.values,
        )

    @property
    def stack(self) -> Stack:
        express = self.more.get("DeploymentConfig") is not None
        said = {"id": stack_id(STACK), "parameters": self.parameters, "express": express}
        return stack(Status(self.status), **said)

    def arguments(self, operation: str) -> list[Mapping[str, Any]]:
        return [call.arguments for call in self.calls if call.operation == operation]

    @property
    def changes(self) -> list[str]:
        reads = ("Describe", "List", "Get")
        return [name for name in operations(self.calls) if not name.startswith(reads)]

    @property
    def notes(self) -> list[str]:
        return [one.text for one in self.told if isinstance(one, Note)]

    @property
    def drawn(self) -> list[Listing | Drawing]:
        return [one for one in self.told if isinstance(one, Listing | Drawing)]
