"""Look for resources that have the names already which a new stack would give its own.

CloudFormation finds out in the middle of the creation. Most often it is what an earlier stack
left behind on purpose: a retained table or bucket, the log group of a function. Names that
AWS makes cannot clash; the templates here give none of their own that must be unique, and this is
for whoever adds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.checks.findings import RegionFinding, ask_patiently, missing, ready, unknown
from lib.refusals import error_code

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.templates.resolution import Resource

CHECK = "names"

#: Tells whether a name is taken, with a client of the service.
IsTaken = Callable[[Any, str], bool]


def _has_table(dynamodb: Any, name: str) -> bool:
    """Tell whether the account has a table of this name here.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
    """
    return _answers(lambda: dynamodb.describe_table(TableName=name), "ResourceNotFoundException")


def _has_bucket(s3: Any, name: str) -> bool:
    """Tell whether anybody has a bucket of this name: 403 and 301 mean that somebody does.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    taken = ("403", "301", "AccessDenied", "PermanentRedirect")
    return _answers(lambda: s3.head_bucket(Bucket=name), "404", "NoSuchBucket", taken=taken)


def _has_log_group(logs: Any, name: str) -> bool:
    """Tell whether the account has a log group of this name here.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
    """
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    return any(group["logGroupName"] == name for page in pages for group in page["logGroups"])


def _answers(call: Callable[[], object], *absent: str, taken: Sequence[str] = ()) -> bool:
    """Tell whether a call finds something, by the codes that say that there is nothing."""
    try:
        call()
    except ClientError as exc:
        if error_code(exc) in absent:
            return False
        if error_code(exc) not in taken:
            raise
    return True


#: By type: the property that names a resource, the service, and how to look for the name.
LOOKS: Mapping[str, tuple[str, str, IsTaken]] = {
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", _has_table),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs", _has_log_group),
    "AWS::S3::Bucket": ("BucketName", "s3", _has_bucket),
}


def look(job: Job, access: Access, resources: Sequence[Resource]) -> tuple[RegionFinding, ...]:
    """Say which names of resources to be created are taken already."""
    found = tuple(_look_for(job, access, resources))
    return found or (ready(job.region, CHECK, "no name of the templates is taken already"),)


def _look_for(job: Job, access: Access, resources: Sequence[Resource]) -> Iterator[RegionFinding]:
    for resource in resources:
        if resource.type not in LOOKS:
            continue
        key, service, is_taken = LOOKS[resource.type]
        name = resource.properties.get(key)
        # What only AWS will know is made by AWS, or contains the new stack's own id.
        if not isinstance(name, str):
            continue
        client = access.aws.client(service)
        taken, problem = ask_patiently(access, lambda: is_taken(client, name))  # noqa: B023 (asked at once)
        if taken is None:
            yield unknown(job.region, CHECK, f"whether {name} is taken: {problem}")
        elif taken:
            yield missing(
                job.region,
                CHECK,
                f"{resource.path} is to be named {name}, which exists already",
                f"rename or remove {name}, or name {resource.path} otherwise",
                stops=True,
            )
