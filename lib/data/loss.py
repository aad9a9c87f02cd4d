"""Judge changes by what they do to data, and hold back those that nobody agreed to.

Pure. A policy that keeps the old resource does not make a change harmless: the application
goes on with an empty one, or with none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lib.errors import DataLossRefused
from lib.templates.changes import (
    LOSSES,
    REPLACEMENTS,
    Cause,
    Change,
    pick_worst,
    replacement_by,
    unite,
)
from lib.templates.resolution import Resource, Tree
from lib.templates.templates import STACK_TYPE

#: Types that hold what no template can bring back, with what they hold.
STATEFUL: Mapping[str, str] = {
    "AWS::Backup::BackupVault": "recovery points",
    "AWS::Backup::LogicallyAirGappedBackupVault": "recovery points",
    "AWS::AmazonMQ::Broker": "messages",
    "AWS::Cassandra::Keyspace": "tables",
    "AWS::Cassandra::Table": "rows",
    "AWS::CodeCommit::Repository": "source code",
    "AWS::Cognito::IdentityPool": "identities",
    "AWS::Cognito::UserPool": "user accounts",
    "AWS::DSQL::Cluster": "databases",
    "AWS::DocDB::DBCluster": "databases",
    "AWS::DocDBElastic::Cluster": "databases",
    "AWS::DynamoDB::GlobalTable": "items",
    "AWS::DynamoDB::Table": "items",
    "AWS::EC2::Volume": "files",
    "AWS::ECR::PublicRepository": "images",
    "AWS::ECR::Repository": "images",
    "AWS::EFS::FileSystem": "files",
    "AWS::ElastiCache::CacheCluster": "cached data",
    "AWS::ElastiCache::ReplicationGroup": "cached data",
    "AWS::ElastiCache::ServerlessCache": "cached data",
    "AWS::Elasticsearch::Domain": "indexes",
    "AWS::FSx::FileSystem": "files",
    "AWS::FSx::Volume": "files",
    "AWS::KMS::Key": "the key to all that it encrypted",
    "AWS::KMS::ReplicaKey": "the key to all that it encrypted",
    "AWS::Kinesis::Stream": "records",
    "AWS::Lightsail::Bucket": "objects",
    "AWS::Lightsail::Database": "databases",
    "AWS::Logs::LogGroup": "log events",
    "AWS::MSK::Cluster": "records",
    "AWS::MemoryDB::Cluster": "databases",
    "AWS::Neptune::DBCluster": "databases",
    "AWS::NeptuneGraph::Graph": "graphs",
    "AWS::OpenSearchServerless::Collection": "indexes",
    "AWS::OpenSearchService::Domain": "indexes",
    "AWS::QLDB::Ledger": "documents",
    "AWS::RDS::DBCluster": "databases",
    "AWS::RDS::DBInstance": "databases",
    "AWS::RDS::GlobalCluster": "databases",
    "AWS::Redshift::Cluster": "databases",
    "AWS::RedshiftServerless::Namespace": "databases",
    "AWS::S3::Bucket": "objects",
    "AWS::S3Express::DirectoryBucket": "objects",
    "AWS::S3Tables::Table": "rows",
    "AWS::S3Tables::TableBucket": "tables",
    "AWS::S3Vectors::Index": "vectors",
    "AWS::S3Vectors::VectorBucket": "vectors",
    "AWS::SDB::Domain": "items",
    "AWS::SQS::Queue": "messages",
    "AWS::SecretsManager::Secret": "secret values",
    "AWS::Timestream::Database": "tables",
    "AWS::Timestream::InfluxDBInstance": "databases",
    "AWS::Timestream::Table": "records",
}

#: Those of them that can be backed up.
TABLE_TYPES = frozenset({"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"})

#: From harmless to harmful, when two sources name different actions for one resource.
_ACTIONS = ("SyncWithActual", "Import", "Add", "Modify", "Dynamic", "Remove")
_ARRIVALS = frozenset({"Add", "Import"})

_FLAG = "--allow-data-loss"


@dataclass(frozen=True)
class _Policy:
    """What decides the fate of the old resource: Delete, Retain or Snapshot, and who says so."""

    kind: str
    source: str


def merge(
    from_change_set: tuple[Change, ...], from_templates: tuple[Change, ...]
) -> tuple[Change, ...]:
    """Combine AWS's view of an update with the comparison of templates.

    Changes to one resource become one, with the worse of the two verdicts on replacement and
    all causes; what only one source sees is kept. The order is the change set's, then the
    templates'.
    """
    merged: dict[tuple[str, bool], Change] = {}
    for change in (*from_change_set, *from_templates):
        # A resource that changes its type goes and comes under one path.
        key = (change.path, change.action in _ARRIVALS)
        known = merged.get(key)
        merged[key] = change if known is None else _combine(known, change)
    return tuple(merged.values())


def _combine(first: Change, second: Change) -> Change:
    """Combine two views of one change, the first one's words before the second's."""
    second = _give_way(second, first)
    return replace(
        first,
        action=pick_worst(_ACTIONS, first.action, second.action),
        replacement=pick_worst(REPLACEMENTS, first.replacement, second.replacement),
        physical_id=first.physical_id or second.physical_id,
        causes=_combine_causes(first.causes, second.causes),
        policy_action=first.policy_action or second.policy_action,
        drift=first.drift or second.drift,
        source=first.source if first.source == second.source else "both",
        data_loss=pick_worst(LOSSES, first.data_loss, second.data_loss),
        verdict=first.verdict or second.verdict,
    )


def _give_way(ours: Change, aws: Change) -> Change:
    """Take back guesses of ours about properties that AWS is certain of.

    A schema says of a property that it may replace the resource; that AWS says Never of it, and
    Static, is the better word. What a schema calls create-only stays.
    """
    certain = {
        cause.name: all(
            (other.evaluation, other.requires_recreation) == ("Static", "Never")
            for other in aws.causes
            if other.name == cause.name
        )
        for cause in aws.causes
    }
    causes = tuple(
        replace(cause, requires_recreation="Never")
        if cause.yields and certain.get(cause.name)
        else cause
        for cause in ours.causes
    )
    return (
        ours
        if causes == ours.causes
        else replace(ours, causes=causes, replacement=replacement_by(causes))
    )


def _combine_causes(first: tuple[Cause, ...], second: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Combine two lists of causes by property: the first one's values, the worse effect."""
    others = {cause.property: cause for cause in second}
    combined = [
        replace(unite(cause, other), source=cause.source or other.source)
        if (other := others.get(cause.property))
        else cause
        for cause in first
    ]
    seen = {cause.property for cause in first}
    return (*combined, *(cause for cause in second if cause.property not in seen))


def judge(
    changes: tuple[Change, ...],
    before: Tree | None,
    after: Tree | None,
    *,
    absent: Collection[str] = (),
) -> tuple[Change, ...]:
    """Say of each change what becomes of the resource, and whether data may go with it.

    `before` is the deployed tree and `after` the new one, None where it could not be read;
    `absent` are the paths of nested stacks that were never created or are gone, so that nothing
    goes with them.
    Returns the changes with `data_loss` and `verdict` filled in. CloudFormation removes a
    resource by the DeletionPolicy it was deployed with, and replaces one by the
    UpdateReplacePolicy of the new template; AWS's own PolicyAction goes before both.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html
    """
    deployed = {r.path: r for r in before.resources} if before else {}
    wanted = {r.path: r for r in after.resources} if after else {}
    rows = {change.path for change in changes if change.action not in _ARRIVALS}
    return tuple(
        replace(change, data_loss="none", verdict="there is no such stack, and nothing in it")
        if change.action == "Remove" and change.path in absent
        else _judge_one(change, deployed, wanted, rows)
        for change in changes
    )


def _judge_one(
    change: Change,
    deployed: Mapping[str, Resource],
    wanted: Mapping[str, Resource],
    rows: set[str],
) -> Change:
    """Judge one change."""
    if change.action == "Remove" and change.type == STACK_TYPE:
        return _judge_removed_stack(change, deployed, rows)
    if change.action == "Remove":
        loss, verdict = _explain_removal(_removal_policy(change, deployed))
    elif change.action == "Dynamic":
        loss, verdict = "possible", "AWS decides only during the update what happens to it"
    elif change.action == "Modify" and change.replacement != "False":
        policy = _replacement_policy(change, deployed, wanted)
        loss, verdict = _explain_replacement(change, policy)
    else:
        loss, verdict = "none", ""
    if change.type not in STATEFUL:
        return replace(change, data_loss="none", verdict=verdict)
    if loss != "none":
        # Nobody has counted: a table may be empty.
        verdict = f"{verdict}{_may_hold(change.type)}"
    return replace(change, data_loss=loss, verdict=verdict)


def _may_hold(kind: str) -> str:
    return f"; it may hold {STATEFUL[kind]}"


def say_how_many(change: Change, count: int) -> Change:
    """Return a judged change whose verdict says how much DynamoDB last counted.

    None counted is no proof that there is none now.
    """
    held = f"; it holds some {count:,} items" if count else "; no items at DynamoDB's last count"
    return replace(change, verdict=change.verdict.replace(_may_hold(change.type), held))


def _judge_removed_stack(
    change: Change, deployed: Mapping[str, Resource], rows: set[str]
) -> Change:
    """Judge the removal of a nested stack by what is in it.

    AWS makes no change set for a nested stack that goes, so its row may be the only sign of
    what goes with it.
    """
    _, verdict = _explain_removal(_removal_policy(change, deployed))
    inside = [r for path, r in deployed.items() if path.startswith(f"{change.path}/")]
    if not inside:
        return replace(
            change, data_loss="possible", verdict=f"{verdict}; what is in it could not be read"
        )
    hidden = [r for r in inside if r.type in STATEFUL and r.path not in rows]
    if not hidden:
        return replace(change, data_loss="none", verdict=f"{verdict}, with all that is in it")
    losses = [
        _explain_removal(_removal_policy(Change(r.path, r.type, "Remove"), deployed))[0]
        for r in hidden
    ]
    names = ", ".join(r.path for r in hidden)
    return replace(
        change, data_loss=pick_worst(LOSSES, *losses), verdict=f"{verdict}, and with it {names}"
    )


def _removal_policy(change: Change, deployed: Mapping[str, Resource]) -> _Policy:
    """Find what decides the fate of a resource that leaves the template."""
    parts = change.path.split("/")
    for depth in range(1, len(parts)):
        above = "/".join(parts[:depth])
        stack = deployed.get(above)
        if stack is not None and _keeps(stack.deletion_policy):
            return _Policy("Retain", f"DeletionPolicy {stack.deletion_policy} of {above}")
    if change.policy_action:
        return _Policy(change.policy_action, f"PolicyAction {change.policy_action}")
    resource = deployed.get(change.path)
    if resource is None:
        return _Policy("Delete", "no DeletionPolicy is known, and CloudFormation then deletes")
    kind = "Retain" if _keeps(resource.deletion_policy) else resource.deletion_policy
    return _Policy(kind, f"DeletionPolicy {resource.deletion_policy}")


def _keeps(policy: str) -> bool:
    """Tell whether a DeletionPolicy keeps a resource; RetainExceptOnCreate lets go on rollback."""
    return policy in ("Retain", "RetainExceptOnCreate")


def _replacement_policy(
    change: Change, deployed: Mapping[str, Resource], wanted: Mapping[str, Resource]
) -> _Policy:
    """Find what decides the fate of the old resource when a new one takes its place."""
    if change.policy_action.startswith("ReplaceAnd"):
        kind = change.policy_action.removeprefix("ReplaceAnd")
        return _Policy(kind, f"PolicyAction {change.policy_action}")
    resource = wanted.get(change.path) or deployed.get(change.path)
    if resource is None:
        return _Policy("Delete", "no UpdateReplacePolicy is known, and CloudFormation then deletes")
    policy = resource.update_replace_policy
    return _Policy("Retain" if _keeps(policy) else policy, f"UpdateReplacePolicy {policy}")


def _explain_removal(policy: _Policy) -> tuple[str, str]:
    """Return the loss and the sentence for a resource that leaves the template."""
    if policy.kind == "Retain":
        return "possible", f"orphaned: stays in the account, no longer managed ({policy.source})"
    if policy.kind == "Snapshot":
        return "possible", f"destroyed after a last snapshot ({policy.source})"
    return "certain", f"destroyed ({policy.source})"


def _explain_replacement(change: Change, policy: _Policy) -> tuple[str, str]:
    """Return the loss and the sentence for a resource that is, or may be, replaced."""
    fate = {
        "Retain": "the old one stays, orphaned",
        "Snapshot": "the old one is destroyed after a last snapshot",
    }.get(policy.kind, "the old one is destroyed")
    heir = "an empty one" if change.type in STATEFUL else "a new one"
    if change.replacement != "True":
        return "possible", f"may be replaced by {heir}; then {fate} ({policy.source})"
    loss = "possible" if policy.kind in ("Retain", "Snapshot") else "certain"
    return loss, f"replaced by {heir}; {fate} ({policy.source})"


def at_risk(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes by which data may or will be lost."""
    return tuple(change for change in changes if change.data_loss != "none")


def tables_at_risk(changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the names of the DynamoDB tables at risk, each once: they can be backed up."""
    found = (c.physical_id for c in at_risk(changes) if c.type in TABLE_TYPES and c.physical_id)
    return tuple(dict.fromkeys(found))


def list_unmatched(changes: Iterable[Change], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the allowed paths that no change puts at risk: mistyped, or no longer needed."""
    paths = {change.path for change in at_risk(changes)}
    return tuple(sorted(set(allowed) - paths))


def refuse_unless_allowed(
    changes: Sequence[Change], allowed: frozenset[str], *, target: str = ""
) -> None:
    """Refuse a set of changes unless every loss in it was agreed to by path.

    `allowed` holds the paths that the operator named, `target` the stack and region for the
    message. Raises `DataLossRefused` with each path, its type, the properties behind it, its
    verdict and the flag that allows it. Does nothing where no data is at risk.
    """
    risky = at_risk(changes)
    refused = [change for change in risky if change.path not in allowed]
    if not refused:
        return
    lines = [f"Data would be lost{f' in {target}' if target else ''}; nothing was changed."]
    lines += [f"  - {_describe(change)}" for change in refused]
    lines += [
        f"  {path} was allowed, but no change puts it at risk."
        for path in list_unmatched(changes, allowed)
    ]
    paths = ",".join(dict.fromkeys(change.path for change in risky))
    raise DataLossRefused(
        "\n".join(lines),
        next_step=f"to accept exactly this, run the same command with `{_FLAG} {paths}`.",
        details={"at_risk": [change.path for change in refused]},
    )


def _describe(change: Change) -> str:
    """Return one line about a change at risk."""
    dangerous = [c.property for c in change.causes if c.requires_recreation not in ("", "Never")]
    names = ", ".join(dict.fromkeys(dangerous))
    because = f" because of {names}" if names else ""
    physical = f" {change.physical_id}" if change.physical_id else ""
    return f"{change.path} ({change.type}{physical}): {change.verdict}{because}"
