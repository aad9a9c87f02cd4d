"""Create, update or delete a stack: validate, decide, publish, change, report.

A failed stack is an outcome too, so that its events, backups and outputs are not lost on the
way; everything that stops a workflow earlier is raised from `lib.errors`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lib.deploy import archives, change, deletions, images, proposals, site
from lib.deploy.outcomes import Outcome, timed, unchanged
from lib.deploy.publishing import Price, Run, publish
from lib.errors import InputError, Refused, StateForbids
from lib.inputs import jobs
from lib.inputs.environments import PRODUCTION
from lib.inputs.jobs import Job, Options, require_valid
from lib.releases import turns
from lib.stacks.admission import admit
from lib.stacks.statuses import CREATIONS, Move, Operation

if TYPE_CHECKING:
    from datetime import datetime

    from lib.access import Access
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision


class Mode(enum.Enum):
    """What an operator asked `inv deploy` for."""

    ANY = "create or update"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


def choose_mode(*, create: bool, update: bool, delete: bool) -> Mode:
    """Return the one mode asked for, or raise `InputError` for two at once."""
    asked = [
        mode
        for mode, flag in ((Mode.CREATE, create), (Mode.UPDATE, update), (Mode.DELETE, delete))
        if flag
    ]
    if len(asked) > 1:
        raise InputError(
            f"--{' and --'.join(mode.value for mode in asked)} cannot be asked for at once."
        )
    return asked[0] if asked else Mode.ANY


def require_fitting(mode: Mode, options: Options, artifacts: Mapping[str, str | None]) -> None:
    """Raise `InputError` for flags that say nothing to what was asked for."""
    if mode is Mode.DELETE and any(artifacts.values()):
        names = " and ".join(f"--{name}" for name, value in artifacts.items() if value)
        raise InputError(f"{names} say nothing to --delete.")
    if mode is not Mode.DELETE and (options.retain or options.force):
        raise InputError("--retain and --force only say something to --delete.")
    if options.retain and options.force:
        raise InputError(
            "--retain and --force exclude each other: --force keeps whatever cannot be deleted."
        )


def deploy(
    job: Job,
    access: Access,
    options: Options,
    mode: Mode = Mode.ANY,
    *,
    begin: Callable[[], None] = lambda: None,
    price: Price | None = None,
) -> Outcome:
    """Create or update a stack, whichever its state asks for.

    Refuses, before anything is published, what the state forbids. `begin` is called first where
    the stack will be created, which happens once and lasts minutes; an update does without.
    `price` tells what a change costs. Returns an outcome whose action is created, updated,
    unchanged, declined or failed.
    """
    started = access.clock.monotonic()
    _require_allowed(job, options)
    task = "update" if mode is Mode.UPDATE else "deploy"
    with turns.take_turn(job, access, task, early=not options.preview) as held:
        run, stack, decision = _prepare(job, held, options, mode, begin)
        outcome = change.carry_out(replace(run, price=price), stack, decision)
    return timed(access, started, site.follow_up(run, outcome))


def _require_allowed(job: Job, options: Options) -> None:
    """Refuse what no state of the stack allows; AWS is not asked."""
    require_valid(job)
    if options.express and job.environment == PRODUCTION:
        raise Refused(
            f"Express mode returns before resources are stable, so it is refused for {PRODUCTION}.",
            next_step=f"inv deploy {job.flags}",
        )


def _prepare(
    job: Job, access: Access, options: Options, mode: Mode, begin: Callable[[], None]
) -> tuple[Run, Stack | None, Decision]:
    """Decide by the stack's state, then publish what is to be deployed."""
    access.aws.identity()
    operation = Operation.UPDATE if mode is Mode.UPDATE else Operation.DEPLOY
    stack, decision = admit(job, access, operation)
    if mode is Mode.CREATE and decision.move is Move.UPDATE:
        raise StateForbids(
            f"Stack {job.stack_name} in {job.region} exists already, so --create does not apply.",
            next_step=f"inv deploy {job.flags}",
        )
    there = stack if decision.move is Move.UPDATE else None
    images.require(job, access, there)
    archives.require(job, access, there)
    if decision.move in CREATIONS:
        begin()
    release, published = publish(job, access)
    values = jobs.fill_in(job, published.bucket, there.parameters if there else {})
    return Run(job, access, options, release, published, values), stack, decision


def propose(
    job: Job,
    access: Access,
    options: Options,
    mode: Mode = Mode.ANY,
    *,
    expires: datetime,
    begin: Callable[[], None] = lambda: None,
) -> change.Offer:
    """Make the change set of a plan that may be applied until `expires`, and keep it.

    Refuses what `deploy` refuses, and a stack that has to be cleared or taken back first. What
    expired plans of the same stack have left is removed.
    """
    _require_allowed(job, options)
    run, stack, decision = _prepare(job, access, options, mode, begin)
    if decision.move is Move.REPLACE or (stack and stack.status.is_paused):
        raise StateForbids(
            f"Stack {job.stack_name} in {job.region} is {stack.status if stack else ''}: what "
            "would be planned depends on what is done about that first.",
            next_step=f"inv deploy {job.flags}, or inv rollback {job.flags}; then plan again",
        )
    if stack and stack.role_arn == job.role_arn:
        # The stack keeps its role, and who plans need not be allowed to pass it.
        run = replace(run, job=replace(job, role_arn=""))
    kind = "UPDATE" if decision.move is Move.UPDATE else "CREATE"
    told = replace(run, expires=expires.isoformat(timespec="seconds"))
    made = change.insist(told, kind, None if kind == "CREATE" else stack, change.offer)
    try:
        if made.found.changes_nothing:
            proposals.withdraw(made.run, made.proposal)
        if stack:
            proposals.sweep(run, stack)
    except BaseException:
        # Ctrl-C included: no file will tell of the change set.
        proposals.abandon(made.run, made.proposal)
        raise
    return made


def delete(job: Job, access: Access, options: Options) -> Outcome:
    """Delete a stack, unless there is none; see `lib.deploy.deletions.delete`."""
    started = access.clock.monotonic()
    with turns.take_turn(job, access, "deploy --delete", early=not options.preview) as held:
        stack, decision = admit(job, held, Operation.DELETE)
        if stack and decision.move is not Move.NOTHING and not options.preview and held.claim():
            stack, decision = admit(job, held, Operation.DELETE)
        if stack is None or decision.move is Move.NOTHING:
            why = decision.why or "it is gone"
            access.say(f"Stack {job.stack_name} in {job.region}: {why}.")
            return unchanged(job, None)
        return timed(access, started, deletions.delete(job, held, options, stack))
