"""Gather the evidence for a failure: each kind of it is looked for in a room of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lib import parallel
from lib.causes import containers, denials, functions, hooks, limits, names, wordings
from lib.causes.evidence import LONGEST, Case, Evidence, Search
from lib.inputs import jobs
from lib.refusals import error_message
from lib.stacks.events import Failure

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Event

_DENIALS = frozenset({"denied", "denied-encoded", "access-denied"})
_NAMES = frozenset({"exists", "exists-in-stack"})


def look(
    job: Job, access: Access, failure: Failure | None, events: Sequence[Event]
) -> tuple[Evidence, ...]:
    """Return what can be found out about a failure beside what CloudFormation says of it.

    Nothing that goes wrong with it is raised, and Ctrl-C only ends the looking: what failed has
    to be told in any case.
    """
    case = open_case(failure, events)
    return investigate(job, access, case, events) if case else ()


def open_case(failure: Failure | None, events: Sequence[Event]) -> Case | None:
    """Return what is known of a failure, None where no event is about it."""
    if failure is None:
        return None
    about = [event for event in events if event.path == failure.path]
    if not about:
        return None
    told = next((e for e in about if e.told == failure.reason), about[-1])
    named = next((e.physical_id for e in reversed(about) if e.physical_id), "")
    return Case(
        failure.path,
        failure.type,
        told.physical_id or named,
        told.stack_id,
        failure.status,
        failure.reason,
        told.time,
        told.properties,
        told.hook_id,
    )


def investigate(
    job: Job, access: Access, case: Case, events: Sequence[Event] = ()
) -> tuple[Evidence, ...]:
    """Look for all that there may be about a case, for as long as it is worth.

    What stands in the `events` of the operation must not be shown even where it is gone since.
    """
    search = Search(access, set(jobs.list_secret_values(job)))
    for event in events:
        if event.type == functions.FUNCTION:
            functions.hide_environment(search, event.physical_id, _read_properties(event))
    problem: list[str] = []

    def run() -> None:
        try:
            _look_around(search, case)
        except Exception as exc:  # a failure's report must not fail; what went wrong is told
            problem.append(error_message(exc) or type(exc).__name__)

    ended = False
    with contextlib.suppress(KeyboardInterrupt):
        ended = parallel.within(run, LONGEST)
    for text in problem:
        search.give_up("the rest", text)
    if not ended:
        search.give_up("the rest", "it took too long")
    return search.conclude()


def _read_properties(event: Event) -> dict[str, Any] | None:
    """Return the properties that an event tells, None where it tells none."""
    try:
        found = json.loads(event.properties or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _look_around(search: Search, case: Case) -> None:
    """Look wherever this kind of failure leaves traces."""
    match = wordings.recognise(case.reason)
    if case.hook_id:
        hooks.look(search, case)
    elif match and match.wording.name in _DENIALS:
        denials.look(search, case, match)
    elif match and match.wording.name in _NAMES:
        names.look(search, case, match)
    elif match and match.wording.name == "limit":
        limits.look(search, case)
    if case.type in (containers.SERVICE, containers.CLUSTER) and case.physical_id:
        containers.look(search, case)
    elif functions.is_custom(case.type) or (case.type == functions.FUNCTION and case.physical_id):
        functions.look(search, case)


def advise(reason: str, found: Sequence[Evidence]) -> wordings.Match | None:
    """Return the wording that tells most: one of the evidence, else one of AWS's reason."""
    texts = [*(one.text for one in found if one.source.startswith("ECS task")), reason]
    return next(filter(None, map(wordings.recognise, texts)), None)
