"""Stop the tasks of a stack's clusters: before it is deleted, or its data changes hands.

CloudFormation deletes no cluster in which a task runs: "The Cluster cannot be deleted while
Tasks are active." The task's network interface also holds on to its subnet and security group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib.errors import Declined, OperationFailed
from lib.operators import Level, Listing
from lib.polling import ask_patiently, until
from lib.refusals import error_code, is_unsupported

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import StackResource

_CLUSTER_TYPE = "AWS::ECS::Cluster"

#: Tasks that DescribeTasks takes at once.
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
_PAGE = 100

#: Seconds until tasks that were told to stop have stopped. ECS kills a container that does not
#: heed SIGTERM after at most two minutes; taking the network interface away takes the rest.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
LONGEST_STOP = 600.0


@dataclass(frozen=True)
class Occasion:
    """Why tasks are stopped, in the words of what is shown, asked and done.

    `reason` is what StopTask shows as the reason for a task's end.
    """

    title: str
    declined: str
    failed: str
    reason: str
    command: str


DELETION = Occasion(
    "Running in {}, which cannot be deleted before they stop:",
    "The tasks of {} run on, and it was not deleted.",
    "Tasks of {} have not stopped in {:.0f} minutes, so it was not deleted.",
    "Stopped because the stack of its cluster is being deleted",
    "inv deploy --delete",
)


@dataclass(frozen=True)
class Running:
    """A task that has not stopped."""

    cluster: str
    arn: str
    definition: str
    status: str
    started: str

    @property
    def row(self) -> tuple[str, ...]:
        """Return the task as a row of a table."""
        name, definition = (text.rsplit("/", 1)[-1] for text in (self.arn, self.definition))
        return (name, definition, self.status, self.started)


def find_clusters(resources: Iterable[StackResource]) -> tuple[str, ...]:
    """Return the clusters of a walked tree of stacks."""
    found = (one.physical_id for one in resources if one.type == _CLUSTER_TYPE)
    return tuple(name for name in found if name)


def stop(job: Job, access: Access, clusters: Sequence[str], occasion: Occasion = DELETION) -> None:
    """Show the tasks that run in some clusters, ask, stop them and wait for their end.

    Raises `Declined`, and `OperationFailed` when a task does not stop.
    """
    ecs = access.aws.client("ecs")
    found = [task for cluster in clusters for task in _list(access, ecs, cluster)]
    if not found:
        return
    where = f"stack {job.stack_name} in {job.region}"
    title = occasion.title.format(where)
    columns = ("Task", "Definition", "Status", "Started (UTC)")
    access.operator.report(Listing(title, columns, [task.row for task in found]))
    if not access.operator.confirm(f"Stop these {len(found)} tasks? Their work is lost.", "y"):
        raise Declined(occasion.declined.format(where))
    for task in found:
        _stop(ecs, task, occasion.reason)

    def look(_waited: float) -> bool | None:
        return None if any(_list(access, ecs, cluster) for cluster in clusters) else True

    if until(look, access.clock, longest=LONGEST_STOP):
        access.say(f"{len(found)} tasks have stopped.", Level.DONE)
        return
    raise OperationFailed(
        occasion.failed.format(where, LONGEST_STOP / 60),
        next_step=f"{occasion.command} {job.flags}",
    )


def _list(access: Access, ecs: Any, cluster: str) -> list[Running]:
    """Return the tasks of a cluster that have not stopped; none of one that is gone."""
    try:
        pages = ask_patiently(
            lambda: list(ecs.get_paginator("list_tasks").paginate(cluster=cluster)), access.clock
        )
        arns = [arn for page in pages for arn in page.get("taskArns", [])]
        return [
            task
            for start in range(0, len(arns), _PAGE)
            for task in _describe(access, ecs, cluster, arns[start : start + _PAGE])
        ]
    except (BotoCoreError, ClientError) as exc:
        if error_code(exc) == "ClusterNotFoundException" or is_unsupported(exc):
            return []
        raise


def _describe(access: Access, ecs: Any, cluster: str, arns: list[str]) -> list[Running]:
    """Return what is known of some tasks, without those that have stopped meanwhile."""
    answer = ask_patiently(lambda: ecs.describe_tasks(cluster=cluster, tasks=arns), access.clock)
    return [
        Running(
            cluster,
            task.get("taskArn", ""),
            task.get("taskDefinitionArn", ""),
            task.get("lastStatus", ""),
            f"{task['createdAt']:%Y-%m-%d %H:%M}" if "createdAt" in task else "",
        )
        for task in answer.get("tasks", [])
        if task.get("lastStatus") != "STOPPED"
    ]


def _stop(ecs: Any, task: Running, reason: str) -> None:
    """Tell one task to stop; one that ended meanwhile is fine.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
    """
    try:
        ecs.stop_task(cluster=task.cluster, task=task.arn, reason=reason)
    except ClientError as exc:
        # "The referenced task was not found." has no code of its own.
        if error_code(exc) != "InvalidParameterException":
            raise
