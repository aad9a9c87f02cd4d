"""Replay single answers of DynamoDB, Bedrock, Budgets, Cognito, quotas, S3 and STS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from lib.checks import protection, quotas
from lib.costs import bill
from lib.data import catalogue, settings, tables
from lib.errors import DeploymentError
from lib.polling import Clock
from lib.releases import releases
from lib.stacks.stacks import StackResource
from tests.recorded.recordings import Json, Single, find, fit
from tests.recorded.verdicts import Row
from tests.support.aws_fakes import ACCOUNT, client, intercept, refusal
from tests.support.factories import bucket

#: S3's answers to a conditional write, and what a release makes of each: the object is there,
#: or another upload is under way, after which it is asked again and then given up.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CONDITIONAL = {
    "PreconditionFailed": "not written, as it is there",
    "ConditionalRequestConflict": "asked again, then given up",
}


def judge(single: Single) -> Iterator[Row]:
    """Yield a row for an answer that a room of ours reads, nothing for the others."""
    judges: Mapping[tuple[str, str], Callable[[Single], Row]] = {
        ("dynamodb", "ListBackups"): _judge_backups,
        ("dynamodb", "DescribeBackup"): _judge_backup,
        ("dynamodb", "DescribeContinuousBackups"): _judge_window,
        ("dynamodb", "ListTagsOfResource"): _judge_tags,
        ("cognito-idp", "DescribeUserPool"): _judge_pool,
        ("service-quotas", "ListServiceQuotas"): _judge_quota,
        ("budgets", "DescribeBudgets"): _judge_budgets,
        ("sts", "GetCallerIdentity"): _judge_identity,
    }
    chosen = judges.get((single.service, single.operation))
    says_nothing = single.data.get("Quotas") == [] or single.status != 200
    if chosen and not says_nothing:
        yield chosen(single)


def _answering(service: str, operation: str, data: Json) -> Any:
    """Return a client that gives a recorded answer to one operation."""
    aws = client(service)
    fitted = fit(service, operation, data)
    intercept(aws, lambda _operation, _arguments: fitted)
    return aws


def _judge_backups(single: Single) -> Row:
    listed = catalogue.list_backups(_answering("dynamodb", "ListBackups", single.data))
    told = [
        f"{one['BackupName']} of {one['TableName']} is {one['BackupStatus']}"
        for one in single.data["BackupSummaries"]
    ]
    read = [f"{one.name} of {one.table} is {one.status}" for one in listed]
    return Row("backups", single.name, "ListBackups", str(told), str(read))


def _judge_backup(single: Single) -> Row:
    described = single.data["BackupDescription"]
    details, table = described["BackupDetails"], described["SourceTableDetails"]["TableName"]
    read = catalogue.read_backup(details, table)
    told = f"{details['BackupName']} of {table} is {details['BackupStatus']}"
    ours = f"{read.name} of {read.table} is {read.status}"
    return Row("backups", single.name, "DescribeBackup", told, ours)


def _judge_window(single: Single) -> Row:
    aws = _answering("dynamodb", single.operation, single.data)
    window = tables.read_window(aws, "recorded", Clock())
    told = single.data["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    status = told.get("PointInTimeRecoveryStatus")
    return Row(
        "backups", single.name, str(status), str(status == "ENABLED"), str(window and window.is_on)
    )


def _judge_tags(single: Single) -> Row:
    read = settings._read_tags(_answering("dynamodb", single.operation, single.data), "recorded")
    told = {t["Key"]: t["Value"] for t in single.data["Tags"] if not t["Key"].startswith("aws:")}
    return Row("backups", single.name, "tags", str(told), str(read))


@dataclass(frozen=True)
class _OneClient:
    """What a check reaches AWS by, with one client in it."""

    aws: Any

    def client(self, _service: str) -> Any:
        return self.aws


@dataclass(frozen=True)
class _Access:
    """An access whose AWS is one client."""

    aws: _OneClient


def _judge_pool(single: Single) -> Row:
    aws = _OneClient(_answering("cognito-idp", single.operation, single.data))
    pool = StackResource("Pool", "Pool", "pool", "AWS::Cognito::UserPool", "", "", "")
    flaws = list(protection.pool_flaws(_Access(aws), pool, False))  # type: ignore[arg-type]
    policy = single.data["UserPool"]["Policies"]["PasswordPolicy"]
    rules = ("RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols")
    strong = policy["MinimumLength"] >= protection.SHORTEST_PASSWORD and all(
        policy.get(rule) for rule in rules
    )
    return Row("checks", single.name, "passwords", str(strong), str(not flaws))


def _judge_quota(single: Single) -> Row:
    first = single.data["Quotas"][0]
    aws = _answering("service-quotas", "GetServiceQuota", {"Quota": first})
    asked = next(one for one in quotas.QUOTAS)
    limit, _problem = quotas._read_limit(aws, asked)
    return Row("checks", single.name, first["QuotaCode"], str(float(first["Value"])), str(limit))


def _judge_budgets(single: Single) -> Row:
    aws = _answering("budgets", single.operation, single.data)
    read = [
        bill._read_budget(entry) for entry in aws.describe_budgets(AccountId=ACCOUNT)["Budgets"]
    ]
    told = [(b["BudgetName"], float(b["BudgetLimit"]["Amount"])) for b in single.data["Budgets"]]
    return Row(
        "costs",
        single.name,
        "budgets",
        str(told),
        str([(b.name, float(b.limit or 0)) for b in read]),
    )


def _judge_identity(single: Single) -> Row:
    from lib.session import Aws

    class Session:
        def client(self, *_: Any, **__: Any) -> Any:
            return _answering("sts", single.operation, single.data)

    found = Aws(Session(), "us-east-1").identity()  # type: ignore[arg-type]
    told = f"{single.data['Account']} {single.data['Arn']}"
    return Row("session", single.name, "identity", told, f"{found.account} {found.arn}")


def judge_writes(case: str, content: Any) -> Iterator[Row]:
    """Hold what a release makes of S3's answers to a conditional write against what they mean."""
    for answer in find(content, "Error"):
        error = answer["Error"]
        meant = _CONDITIONAL.get(error.get("Code")) if isinstance(error, dict) else None
        if meant:
            yield Row(
                "releases", case, error["Code"], meant, _write(error["Code"], error["Message"])
            )


def _write(code: str, message: str) -> str:
    """Publish one object to an S3 that answers a write with an error."""
    file = releases._file("recorded.yaml", b"recorded")
    aws = client("s3")
    asked: list[str] = []

    def answer(operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(operation)
        if operation == "PutObject":
            raise refusal(code, message, operation, 412)
        return {"ChecksumSHA256": releases._checksum(file.sha256)}

    intercept(aws, answer)
    try:
        wrote = releases.put_once(bucket(aws), file)
    except (ClientError, DeploymentError):
        tries = asked.count("PutObject")
        return "asked again, then given up" if tries > 1 else "given up"
    return "written" if wrote else "not written, as it is there"
