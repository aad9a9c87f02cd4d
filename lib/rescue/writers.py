"""Stop what writes to a table while another takes its place, and start it again.

A function's reserved concurrency of 0 lets no further call begin: "To throttle a function, set the
reserved concurrency to zero. This stops any events from being processed until you remove the
limit." It belongs to no template here, so that it is neither drift nor taken back by an update.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data import consent
from lib.deploy import running_tasks
from lib.deploy.running_tasks import Occasion
from lib.operators import Level
from lib.polling import ask_patiently, until
from lib.refusals import error_code

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import StackResource

_FUNCTION_TYPE = "AWS::Lambda::Function"

_SWITCH = Occasion(
    "Running in {}, and may write to what is being replaced:",
    "The tasks of {} run on, and nothing was switched.",
    "Tasks of {} have not stopped in {:.0f} minutes, so nothing was switched.",
    "Stopped because a table of its stack is being replaced",
    "inv restore --switch",
)


@dataclass(frozen=True)
class Writer:
    """A function that may write; a call that it has begun may take `timeout` seconds."""

    name: str
    timeout: float


def find_functions(
    access: Access, resources: Iterable[StackResource], names: Collection[str]
) -> tuple[Writer, ...]:
    """Return the functions of a walked stack whose environment names one of some tables.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
    """
    lambda_: Any = access.aws.client("lambda")
    found = [r.physical_id for r in resources if r.type == _FUNCTION_TYPE and r.physical_id]
    looked = (_look(access, lambda_, name, names) for name in found)
    return tuple(writer for writer in looked if writer)


def _look(access: Access, lambda_: Any, name: str, tables: Collection[str]) -> Writer | None:
    """Return a function whose environment names a table; one that is gone writes to none."""
    try:
        found: Mapping[str, Any] = ask_patiently(
            lambda: lambda_.get_function_configuration(FunctionName=name), access.clock
        )
    except ClientError as exc:
        if error_code(exc) == "ResourceNotFoundException":
            return None
        raise
    values = (found.get("Environment") or {}).get("Variables") or {}
    reads = any(table in str(value) for value in values.values() for table in tables)
    return Writer(name, float(found.get("Timeout") or 0)) if reads else None


def read_limits(access: Access, functions: Iterable[str]) -> dict[str, int | None]:
    """Return the reserved concurrency of functions, None where there is none.

    https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html
    """
    lambda_: Any = access.aws.client("lambda")

    def read(name: str) -> int | None:
        answer: Mapping[str, Any] = ask_patiently(
            lambda: lambda_.get_function_concurrency(FunctionName=name), access.clock
        )
        return answer.get("ReservedConcurrentExecutions")

    return {name: read(name) for name in functions}


def stop(
    job: Job, access: Access, functions: Sequence[Writer], resources: Iterable[StackResource]
) -> None:
    """Let no function begin another call, wait for those begun, and stop the clusters' tasks.

    https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html
    """
    lambda_: Any = access.aws.client("lambda")
    for one in functions:
        _set(access, lambda_, one.name, 0)
    if functions:
        names = ", ".join(one.name for one in functions)
        access.say(f"{names}: no further call is taken until the switch is made.")
        _await_calls(access, max(one.timeout for one in functions))
    running_tasks.stop(job, access, running_tasks.find_clusters(resources), _SWITCH)


def _await_calls(access: Access, timeout: float) -> None:
    """Wait for the end of calls that had begun; an emulator on this machine has none."""
    if timeout and not consent.is_on_this_machine(access):
        access.say(f"A call that has begun may take {timeout:.0f} s more; waiting.")
        until(lambda waited: True if waited >= timeout else None, access.clock)


def start(access: Access, limits: Mapping[str, int | None]) -> None:
    """Give functions back the concurrency they had before they were stopped."""
    lambda_: Any = access.aws.client("lambda")
    for name, limit in limits.items():
        _set(access, lambda_, name, limit)
    if limits:
        access.say(f"{', '.join(limits)}: calls are taken again.", Level.DONE)


def _set(access: Access, lambda_: Any, name: str, limit: int | None) -> None:
    """Reserve concurrency for a function, or none; one that is gone needs neither."""

    def call() -> object:
        if limit is None:
            return lambda_.delete_function_concurrency(FunctionName=name)
        return lambda_.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=limit
        )

    try:
        ask_patiently(call, access.clock)
    except ClientError as exc:
        if error_code(exc) != "ResourceNotFoundException":
            raise
