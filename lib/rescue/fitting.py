"""Tell whether an existing resource fits the place in the templates that it is to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data.tables import describe_table
from lib.errors import Refused
from lib.inputs import parameters
from lib.polling import ask_patiently
from lib.refusals import error_code
from lib.stacks import deployed
from lib.templates.templates import MASTER

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.rescue.derivation import Base
    from lib.stacks.stacks import Stack
    from lib.templates.naming import Naming


def resolve(
    job: Job, access: Access, base: Base, stack: Stack | None, path: str
) -> Mapping[str, Any]:
    """Return the properties that a release gives to the resource at a path."""
    values = stack.parameters if stack else job.values
    given = parameters.mask_secrets(values, base.folder[MASTER].parameters)
    tree = deployed.resolve_for(job, access, base.folder, given)
    return next((r.properties for r in tree.resources if r.path == path), {})


def require_table(
    job: Job, access: Access, base: Base, path: str, table: str, stack: Stack | None = None
) -> None:
    """Refuse a table whose keys or indexes are not those that the template declares.

    An import takes the template's word: "CloudFormation doesn't check that the template
    configuration matches the actual configuration of resource properties". The next update of such
    a table would then be a replacement.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
    """
    found = describe_table(access.aws.client("dynamodb"), table, access.clock)
    if found is None:
        raise Refused(
            f"There is no table {table} in {job.region}; nothing was changed.",
            next_step="`aws dynamodb list-tables` shows those that exist",
        )
    wanted = resolve(job, access, base, stack, path)
    if differing := sorted(_list_differences(wanted, dict(found))):
        raise Refused(
            f"{table} does not fit {path} of release {base.name}: {'; '.join(differing)}. Nothing "
            "was changed.",
            next_step=f"return the template first, with inv rollback --to RELEASE {job.flags} "
            "(inv history shows them), then the same command again",
        )


def _list_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Yield how a table's keys, their types and its indexes differ from a template's."""
    if (ours := _read_keys(wanted)) != (theirs := _read_keys(found)):
        yield f"its key is {theirs}, the template's {ours}"
    types = _read_types(found)
    for name, kind in _read_types(wanted).items():
        if types.get(name, kind) != kind:
            yield f"{name} is of type {types[name]}, in the template {kind}"
    ours_indexes, theirs_indexes = _read_indexes(wanted), _read_indexes(found)
    for name in sorted({*ours_indexes, *theirs_indexes}):
        if ours_indexes.get(name) != theirs_indexes.get(name):
            yield f"index {name} differs"


def _read_keys(table: Mapping[str, Any]) -> str:
    keys = sorted(table.get("KeySchema") or [], key=lambda key: str(key["KeyType"]))
    return ", ".join(f"{key['AttributeName']} ({key['KeyType']})" for key in keys)


def _read_types(table: Mapping[str, Any]) -> dict[str, str]:
    declared = table.get("AttributeDefinitions") or []
    return {str(one["AttributeName"]): str(one["AttributeType"]) for one in declared}


def _read_indexes(table: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(index["IndexName"]): _read_keys(index)
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        for index in table.get(kind) or []
    }


def exists(access: Access, naming: Naming, name: str) -> bool:
    """Tell whether there is a table or a bucket of ours of a name."""
    if naming.name_property != "BucketName":
        return describe_table(access.aws.client("dynamodb"), name, access.clock) is not None
    s3, owner = access.aws.client("s3"), access.aws.identity().account
    try:
        ask_patiently(lambda: s3.head_bucket(Bucket=name, ExpectedBucketOwner=owner), access.clock)
    except ClientError as exc:
        if error_code(exc) in ("404", "NoSuchBucket", "403", "301"):
            return False
        raise
    return True


def require(
    job: Job, access: Access, base: Base, path: str, name: str, stack: Stack | None = None
) -> None:
    """Refuse a resource that is not there, or does not fit the place that it is to take."""
    naming = base.namings[path]
    if naming.name_property != "BucketName":
        require_table(job, access, base, path, name, stack)
    elif not exists(access, naming, name):
        raise Refused(
            f"There is no bucket {name} of this account in {job.region}; nothing was changed.",
            next_step="`aws s3 ls` shows those that exist",
        )


def is_empty(access: Access, naming: Naming, name: str) -> bool:
    """Tell whether a table or a bucket that exists holds nothing."""
    if naming.name_property != "BucketName":
        dynamodb = access.aws.client("dynamodb")
        # Not ItemCount, which AWS brings up to date every six hours.
        page = ask_patiently(lambda: dynamodb.scan(TableName=name, Limit=1), access.clock)
        return not page["Items"]
    s3, owner = access.aws.client("s3"), access.aws.identity().account
    listed = ask_patiently(
        lambda: s3.list_objects_v2(Bucket=name, MaxKeys=1, ExpectedBucketOwner=owner), access.clock
    )
    return not listed.get("Contents")
