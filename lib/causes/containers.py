"""Find out why tasks of ECS stopped: the reason, exit codes, and the end of the container's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.causes import logs
from lib.causes.evidence import Case, Search

SERVICE = "AWS::ECS::Service"
CLUSTER = "AWS::ECS::Cluster"

#: Stopped tasks looked at. ECS keeps them for an hour at least.
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
_TASKS = 10

#: Why a task is stopped that did nothing wrong.
_ON_PURPOSE = frozenset({"UserInitiated", "ServiceSchedulerInitiated"})

_Json = Mapping[str, Any]


def look(search: Search, case: Case) -> None:
    """Add why the newest stopped task of a service or cluster stopped, and what it logged.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-errors.html
    """
    ecs = search.access.aws.client("ecs")
    where = _name_place(case)
    listed = search.ask(
        "stopped tasks",
        lambda: ecs.list_tasks(**where, desiredStatus="STOPPED", maxResults=_TASKS),
    )
    if listed is None:
        return
    if not listed["taskArns"]:
        _read_events(search, case, where)
        return
    answer = search.ask(
        "stopped tasks",
        lambda: ecs.describe_tasks(cluster=where["cluster"], tasks=listed["taskArns"][:_TASKS]),
    )
    task = choose_task((answer or {}).get("tasks", []))
    if task is None:
        return
    search.add(f"ECS task {_short(task['taskArn'])}", describe(task))
    _read_log(search, task)


def _name_place(case: Case) -> dict[str, str]:
    """Return the cluster, and the service, as the calls take them.

    A service's physical ID is its ARN, which names its cluster: `…:service/CLUSTER/NAME`.
    """
    parts = case.physical_id.split(":")[-1].split("/")
    if case.type == CLUSTER:
        return {"cluster": parts[-1]}
    return {"cluster": parts[1] if len(parts) > 2 else "default", "serviceName": parts[-1]}


def choose_task(tasks: Sequence[_Json]) -> _Json | None:
    """Return the task that stopped last, of those that were not stopped on purpose first."""

    def rank(task: _Json) -> tuple[bool, str]:
        return task.get("stopCode") not in _ON_PURPOSE, str(task.get("stoppedAt", ""))

    return max(tasks, key=rank, default=None)


def describe(task: _Json) -> str:
    """Say why a task stopped, and how each of its containers ended."""
    why = [str(task[key]) for key in ("stoppedReason", "stopCode") if task.get(key)]
    lines = [f"{why[0]} ({why[1]})" if len(why) > 1 else "".join(why) or "stopped, no reason given"]
    for container in task.get("containers", []):
        code = container.get("exitCode")
        ends = [f"exit code {code}"] if code is not None else []
        ends += [str(container["reason"])] if container.get("reason") else []
        if ends:
            lines.append(f"{container.get('name', 'container')}: {', '.join(ends)}")
    return "\n".join(lines)


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[-1][:12]


def _read_log(search: Search, task: _Json) -> None:
    """Add the last lines of the container that failed.

    The stream of the awslogs driver is `prefix-name/container-name/ecs-task-id`.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    ecs = search.access.aws.client("ecs")
    answer = search.ask(
        "task definition",
        lambda: ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"]),
    )
    containers = (answer or {}).get("taskDefinition", {}).get("containerDefinitions", [])
    for one in containers:
        search.hide(pair.get("value", "") for pair in one.get("environment", []))
    failed = [c.get("name") for c in task.get("containers", []) if c.get("exitCode")]
    ordered = sorted(containers, key=lambda one: one.get("name") not in failed)
    for container in ordered[:1]:
        options = container.get("logConfiguration", {}).get("options", {})
        group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
        if group and prefix:
            task_id = task["taskArn"].rsplit("/", 1)[-1]
            logs.read_tail(search, group, f"{prefix}/{container['name']}/{task_id}")


def _read_events(search: Search, case: Case, where: Mapping[str, str]) -> None:
    """Add what the service itself says where no task ever got as far as stopping."""
    if case.type != SERVICE:
        return
    ecs = search.access.aws.client("ecs")
    answer = search.ask(
        "service events",
        lambda: ecs.describe_services(cluster=where["cluster"], services=[where["serviceName"]]),
    )
    services = (answer or {}).get("services", [])
    messages = [str(e.get("message", "")) for one in services for e in one.get("events", [])]
    search.add("ECS service", "\n".join(messages[:3]))
