"""Tables to back up and restore, and the access by which lib/data reaches them."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from lib.access import Access
from lib.data import catalogue, new_tables, proving, settings
from lib.data.new_tables import Restored
from lib.data.proving import BackupRun
from lib.data.sources import Source
from lib.operators import Note, OnInterrupt, Operator, Progress
from lib.polling import Clock
from lib.session import Aws
from lib.stacks.stacks import StackResource
from tests.support import factories
from tests.support.aws_fakes import FakeTime
from tests.support.dynamodb_wire import NOW

#: Of a backup that nobody made.
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/jobs/backup/01795342714054-61401ec1"


def access_to(dynamodb: Any, clock: Clock, said: list[Progress] | None = None) -> Access:
    """Return the access of somebody who only listens, to this one service."""
    heard = said if said is not None else []
    operator = Operator(heard.append, lambda *_: False, lambda _: OnInterrupt.DETACH)
    return Access(
        cast(Aws, SimpleNamespace(client={"dynamodb": dynamodb}.__getitem__)), operator, clock
    )


def texts(said: list[Progress]) -> list[str]:
    """Return the sentences among what was said."""
    return [note.text for note in said if isinstance(note, Note)]


def resource(
    path: str,
    physical: str,
    kind: str = "AWS::DynamoDB::Table",
    status: str = "CREATE_COMPLETE",
) -> StackResource:
    """Return a resource of a walked tree."""
    return StackResource(path, path.rsplit("/", 1)[-1], physical, kind, status, "", "stack")


def create_table(dynamodb: Any, name: str = "jobs", items: int = 3, **extra: Any) -> str:
    """Create a table with some items."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        **({"BillingMode": "PAY_PER_REQUEST"} | extra),
    )
    for number in range(items):
        dynamodb.put_item(TableName=name, Item={"id": {"S": str(number)}, "n": {"N": "1"}})
    return name


def turn_on_everything(dynamodb: Any, table: str = "jobs") -> None:
    """Give a table all the settings that a restore leaves out and that can be applied again."""
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )
    dynamodb.update_continuous_backups(
        TableName=table,
        PointInTimeRecoverySpecification={
            "PointInTimeRecoveryEnabled": True,
            "RecoveryPeriodInDays": 7,
        },
    )
    dynamodb.tag_resource(
        ResourceArn=arn,
        Tags=[
            {"Key": "Environment", "Value": "staging"},
            {"Key": "aws:cloudformation:stack-name", "Value": "plot"},
        ],
    )
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)


def make_backup(dynamodb: Any, table: str = "jobs", days_ago: int = 0) -> str:
    """Make a backup as this tool names them, and return its ARN."""
    name = catalogue.name_for("staging", table, NOW - timedelta(days=days_ago))
    answer = dynamodb.create_backup(TableName=table, BackupName=name)
    return str(answer["BackupDetails"]["BackupArn"])


def held_arns(dynamodb: Any) -> set[str]:
    """Return the ARNs of all backups."""
    return {entry["BackupArn"] for entry in dynamodb.list_backups()["BackupSummaries"]}


def back_up(
    dynamodb: Any,
    passing: FakeTime,
    *tables: str,
    said: list[Progress] | None = None,
    clock: Clock | None = None,
) -> BackupRun:
    """Back tables up, and prove it."""
    access = access_to(dynamodb, clock or passing.clock, said)
    return proving.take_backups(factories.job(), access, tables)


def restore(
    dynamodb: Any,
    passing: FakeTime,
    source: Source,
    target: str = "copy",
    *,
    said: list[Progress] | None = None,
    clock: Clock | None = None,
) -> Restored:
    """Restore into a new table with the settings that the original has."""
    return new_tables.create_from(
        source,
        access_to(dynamodb, clock or passing.clock, said),
        target_table=target,
        original=settings.read_settings(dynamodb, source.table, passing.clock),
    )
