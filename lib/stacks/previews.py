"""Read what a change set says it would do, nested stacks included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib import polling
from lib.errors import OperationFailed, Refused
from lib.parallel import side_by_side
from lib.refusals import error_code
from lib.stacks import early_validation, rows, stacks
from lib.templates.changes import Change, join
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.polling import Clock

#: Nested change sets read at once. DescribeChangeSet throttles at a few calls per second.
PARALLEL_READS = 4

#: Seconds between the first looks at a change set; AWS takes some to make even a small one.
FIRST_PAUSE = 1.0

#: Seconds after which a change set that AWS still computes is given up.
LONGEST_WAIT = 1800.0

_PENDING = frozenset({"CREATE_PENDING", "CREATE_IN_PROGRESS"})

GONE_CODES = frozenset({"ChangeSetNotFound", "ChangeSetNotFoundException"})

_NESTED_FAILURE = re.compile(r"Nested change set (arn:[^\s]+) was not successfully created")


class ChangeSetStale(Refused):
    """The change set no longer fits the stack: somebody changed or removed one of them."""


@dataclass(frozen=True)
class Unmade:
    """Why one change set of the tree failed; `path` is its stack's, "" for the root."""

    path: str
    reason: str

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclass(frozen=True)
class ChangeSet:
    """A change set with everything in its tree.

    `id` is its ARN. `kind` is CREATE or UPDATE. `changes` holds the resources of all stacks;
    a nested stack is a row only when it comes or goes. `complete` is False when some nested
    stack may change without a change set to show for it: then `changes` is not all. `problems`
    says why AWS could not make or may not execute it, `failures` the same in AWS's own words,
    `warnings` what its validation dislikes but lets pass. `reverts_drift` is AWS's confirmation
    that drift is taken back. `silent` has the paths of the nested stacks with no change in them
    or below, `unchanged` those of them that AWS did not make one for, because nothing changes,
    with the ARN of what it failed to make. `nested` has the ID of each nested stack that is a row.
    `created` is when AWS began to make it, None where an endpoint does not say. `execution` is
    AWS's ExecutionStatus: AVAILABLE, EXECUTE_COMPLETE, OBSOLETE and so on.
    """

    id: str
    name: str
    stack_id: str
    stack_name: str
    status: str
    reason: str
    kind: str
    changes: tuple[Change, ...]
    complete: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reverts_drift: bool = False
    failures: tuple[Unmade, ...] = ()
    silent: frozenset[str] = frozenset()
    unchanged: Mapping[str, str] = field(default_factory=dict)
    nested: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    execution: str = ""

    @property
    def is_empty(self) -> bool:
        """Tell whether AWS found nothing to change at all.

        Only AWS's own word counts: a change set without rows may still change outputs.
        """
        failed_empty = self.status == "FAILED" and not self.changes and not self.problems
        return failed_empty and (says_no_changes(self.reason) or bool(_nested_culprit(self.reason)))


@dataclass(frozen=True)
class _Part:
    """One change set of the tree as AWS describes it, all pages together.

    One that `is_spared` is not described again: nothing changes in it, as was known before.
    """

    path: str
    answer: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    is_spared: bool = False

    @property
    def status(self) -> str:
        return str(self.answer.get("Status", ""))

    @property
    def reason(self) -> str:
        return str(self.answer.get("StatusReason") or "")

    @property
    def change_set_id(self) -> str:
        """Return the change set's ARN."""
        return str(self.answer.get("ChangeSetId", ""))

    @property
    def changes_nothing(self) -> bool:
        """Tell whether AWS did not make it because nothing changes."""
        return self.is_spared or (self.status == "FAILED" and says_no_changes(self.reason))

    @property
    def is_broken(self) -> bool:
        """Tell whether AWS failed to make it for any reason but that nothing changes."""
        return self.status == "FAILED" and not self.changes_nothing


def says_no_changes(reason: str) -> bool:
    """Recognise AWS's ways to say that nothing would change; there is no code for it.

    CreateChangeSet ends in FAILED with either text, UpdateStack raises the second.
    """
    return "didn't contain changes" in reason or "No updates are to be performed" in reason


def _nested_culprit(reason: str) -> str:
    """Return the ARN of the nested change set that a root names as its reason, or "".

    The root only says "Nested change set … was not successfully created: Currently in
    FAILED."; the cause is in the nested one, and there is no field for it.
    """
    match = _NESTED_FAILURE.search(reason)
    return match[1] if match else ""


def wait(
    cfn: CloudFormationClient,
    change_set_id: str,
    *,
    kind: str,
    clock: Clock,
    unchanged: Mapping[str, str] | None = None,
) -> ChangeSet:
    """Wait until a change set and all nested ones are made, and return them as one.

    `kind` is what it was created as; AWS does not tell. Looks at once, then ever less often.
    `unchanged` is what an earlier look at the same change set found: "FAILED" is an end, so the
    nested ones that it names, by path and ARN, are not described again. Nested change sets that
    failed because nothing changes in them add nothing; others that failed end up in `problems`,
    with the property path where AWS's validation gives one. Raises `ChangeSetStale` when it is
    gone, and `OperationFailed` when AWS takes longer than `LONGEST_WAIT` seconds.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeChangeSet.html
    """
    root = _read_when_made(cfn, change_set_id, "", clock)
    if root is None:
        raise stale(change_set_id, "it does not exist any more")
    nested, unread = _read_nested(cfn, root, clock, unchanged or {})
    made = _put_together(cfn, [root, *nested], kind, complete=not unread)
    return made if made.id else replace(made, id=change_set_id)


def _put_together(
    cfn: CloudFormationClient, parts: Sequence[_Part], kind: str, *, complete: bool
) -> ChangeSet:
    """Return all change sets of a tree, the root's first, as one."""
    root, *nested = parts
    changes = tuple(_in_tree_order(parts))
    broken = [part for part in parts if part.is_broken]
    answer = root.answer
    return ChangeSet(
        id=root.change_set_id,
        name=answer.get("ChangeSetName", ""),
        stack_id=answer.get("StackId", ""),
        stack_name=answer.get("StackName", ""),
        status=root.status,
        reason=root.reason,
        kind=kind,
        changes=changes,
        complete=complete and not broken,
        problems=tuple(_explain_failures(cfn, broken, bool(changes))),
        warnings=_read_warnings(cfn, root, changes),
        reverts_drift=answer.get("DeploymentMode") == "REVERT_DRIFT",
        failures=tuple(_list_failures(broken)),
        silent=_list_silent(nested, changes),
        unchanged={p.path: p.change_set_id for p in nested if p.changes_nothing and not p.rows},
        nested=_find_stacks(parts),
        created=answer.get("CreationTime"),
        execution=str(answer.get("ExecutionStatus", "")),
    )


def find_execution(cfn: CloudFormationClient, change_set_id: str, clock: Clock) -> str | None:
    """Return a change set's ExecutionStatus, with a single call; None when it is gone."""
    try:
        return str(_describe(cfn, change_set_id, clock).get("ExecutionStatus", ""))
    except ClientError as exc:
        if error_code(exc) in GONE_CODES or stacks.is_missing(exc):
            return None
        raise


def _find_stacks(parts: Iterable[_Part]) -> dict[str, str]:
    """Return the IDs of the nested stacks that rows tell, by path."""
    return {
        join(part.path, row.get("LogicalResourceId", "")): row["PhysicalResourceId"]
        for part in parts
        for row in part.rows
        if row.get("ResourceType") == STACK_TYPE and row.get("PhysicalResourceId")
    }


def _list_silent(nested: Iterable[_Part], changes: Sequence[Change]) -> frozenset[str]:
    """Return the paths of the nested stacks that no change is in or below."""
    return frozenset(
        part.path
        for part in nested
        if not any(f"{change.path}/".startswith(f"{part.path}/") for change in changes)
    )


def _read_when_made(
    cfn: CloudFormationClient, change_set_id: str, path: str, clock: Clock
) -> _Part | None:
    """Read one change set once AWS is done with it; None when it is gone."""

    def look(_waited: float) -> Mapping[str, Any] | None:
        answer = _describe(cfn, change_set_id, clock)
        return None if answer.get("Status") in _PENDING else answer

    try:
        made = polling.until(look, clock, longest=LONGEST_WAIT, shortest=FIRST_PAUSE)
    except ClientError as exc:
        if error_code(exc) in GONE_CODES:
            return None
        raise
    if made is None:
        raise OperationFailed(
            f"AWS has not made the change set {change_set_id} in {LONGEST_WAIT / 60:.0f} minutes.",
            next_step="run the same command again; CloudFormation may be slow today.",
        )
    try:
        return _Part(path, made, _read_rows(cfn, change_set_id, made, clock))
    except ClientError as exc:
        if error_code(exc) in GONE_CODES:
            return None
        raise


def _describe(
    cfn: CloudFormationClient, change_set_id: str, clock: Clock, page: str = "", **more: Any
) -> Mapping[str, Any]:
    """Read one page of a change set, patiently."""
    token: dict[str, Any] = {"NextToken": page} if page else {}
    return polling.ask_patiently(
        lambda: cfn.describe_change_set(ChangeSetName=change_set_id, **token, **more), clock
    )


def _read_rows(
    cfn: CloudFormationClient, change_set_id: str, answer: Mapping[str, Any], clock: Clock
) -> tuple[Mapping[str, Any], ...]:
    """Return the resource changes of every page, with their values where there are any.

    AWS is asked twice, for with property values it leaves rows out: most of those that change
    only because another resource does, without a word; and others with a warning in the
    StatusReason of a change set that is CREATE_COMPLETE, "[WARN] --include-property-values
    option can return incomplete ChangeSet data because: ChangeSet creation failed for resource
    […]". A FAILED one may then carry no StatusReason at all. Without values all of it is there.
    Only modified resources have values to show, so nothing else costs the second call.
    https://github.com/aws/aws-cdk-cli/issues/1780 https://github.com/boto/boto3/issues/4178
    """
    plain = tuple(_all_rows(cfn, change_set_id, answer, clock))
    if not any(_has_values(row) for row in plain):
        return plain
    valued = _describe(cfn, change_set_id, clock, IncludePropertyValues=True)
    more = _all_rows(cfn, change_set_id, valued, clock, IncludePropertyValues=True)
    return rows.merge(plain, more)


def _has_values(row: Mapping[str, Any]) -> bool:
    """Tell whether a row may have values before and after; a nested stack's are its rows."""
    return row.get("Action") in ("Modify", "Dynamic") and row.get("ResourceType") != STACK_TYPE


def _all_rows(
    cfn: CloudFormationClient,
    change_set_id: str,
    answer: Mapping[str, Any],
    clock: Clock,
    **more: Any,
) -> Iterator[Mapping[str, Any]]:
    """Yield the resource changes of every page."""
    while True:
        for entry in answer.get("Changes") or ():
            if entry.get("ResourceChange"):
                yield entry["ResourceChange"]
        if not answer.get("NextToken"):
            return
        answer = _describe(cfn, change_set_id, clock, answer["NextToken"], **more)


def _read_nested(
    cfn: CloudFormationClient, root: _Part, clock: Clock, unchanged: Mapping[str, str]
) -> tuple[list[_Part], bool]:
    """Read all nested change sets, level by level, but for those known to change nothing.

    Returns them and whether anything is missing. The root fails as soon as one nested change
    set does, while others are still being made; each is waited for on its own.
    """
    found: list[_Part] = []
    missing = False
    level = [root]
    while level:
        rows = [
            (join(part.path, row.get("LogicalResourceId", "")), row)
            for part in level
            for row in part.rows
            if row.get("ResourceType") == STACK_TYPE
        ]
        wanted = [(row["ChangeSetId"], path) for path, row in rows if row.get("ChangeSetId")]
        missing = missing or any(
            row.get("Action") != "Remove" for _, row in rows if not row.get("ChangeSetId")
        )
        culprit = _nested_culprit(root.reason) if level == [root] else ""
        if culprit and culprit not in {arn for arn, _ in wanted}:
            # AWS may fail the root before it has listed the nested stack in it.
            wanted.append((culprit, ""))
        spared = [
            _Part(path, {"ChangeSetId": arn}, (), is_spared=True)
            for arn, path in wanted
            if unchanged.get(path) == arn
        ]
        wanted = [(arn, path) for arn, path in wanted if unchanged.get(path) != arn]
        parts = side_by_side(
            lambda item: _read_when_made(cfn, *item, clock), wanted, at_once=PARALLEL_READS
        )
        missing = missing or None in parts
        level = [part for part in parts if part is not None]
        found += [*spared, *level]
    return found, missing


def _in_tree_order(parts: Sequence[_Part]) -> Iterator[Change]:
    """Yield the changes of all parts, each nested stack's at the place of its row."""
    by_path = {part.path: part for part in parts[1:] if part.path}

    def walk(part: _Part) -> Iterator[Change]:
        for row in part.rows:
            path = join(part.path, row.get("LogicalResourceId", ""))
            if row.get("ResourceType") != STACK_TYPE:
                yield rows.read(row, path)
                continue
            if row.get("Action") in ("Add", "Import", "Remove"):
                yield rows.read(row, path)
            if path in by_path:
                yield from walk(by_path[path])

    yield from walk(parts[0])


def _list_failures(broken: Sequence[_Part]) -> Iterator[Unmade]:
    """Yield AWS's reasons, without those that only repeat that a nested one failed."""
    for part in broken:
        if not _nested_culprit(part.reason):
            yield Unmade(part.path, part.reason)


def _explain_failures(
    cfn: CloudFormationClient, broken: Sequence[_Part], has_changes: bool
) -> Iterator[str]:
    """Yield why change sets failed, each with its stack's path, the root's echo left out."""
    explained = False
    echo = ""
    for part in sorted(broken, key=lambda part: part.path == ""):
        if _nested_culprit(part.reason):
            echo = part.reason
            continue
        explained = True
        found = early_validation.read(cfn, part.path, change_set=part.change_set_id)
        yield from (
            map(str, found)
            if found
            else [f"{part.path}: {part.reason}" if part.path else part.reason]
        )
    # A root that only fails because nothing changes in a nested stack has nothing to explain.
    if echo and not explained and has_changes:
        yield echo


def _read_warnings(
    cfn: CloudFormationClient, root: _Part, changes: Iterable[Change]
) -> tuple[str, ...]:
    """Return the warnings of a change set that was made: full buckets, quotas and the like.

    Only what comes or goes is validated that way, so nothing else costs the extra call.
    """
    if root.status == "FAILED" or not any(c.action in ("Add", "Remove") for c in changes):
        return ()
    found = early_validation.read(cfn, root.path, change_set=root.change_set_id, failing=False)
    return tuple(map(str, found))


def stale(change_set_id: str, reason: str) -> ChangeSetStale:
    """Build the error for a change set that can no longer be used."""
    return ChangeSetStale(
        f"The change set {change_set_id} cannot be used any more: {reason} Nothing was changed.",
        next_step="run the same command again to see what would change now.",
    )
