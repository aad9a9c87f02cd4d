"""Turn what became of an operation into what a task says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from commands.target import Target, connect_in, today
from lib import errors
from lib.document import as_document
from lib.errors import DeploymentError, InputError
from lib.operators import Answer, Level, Note

if TYPE_CHECKING:
    from lib.deploy.deployments import Mode
    from lib.deploy.outcomes import Outcome
    from lib.deploy.publishing import Price
    from lib.inputs.jobs import Job, Options
    from lib.stacks.deployed import Deployed
    from lib.stacks.stacks import Stack


def stack_error(target: Target, error: DeploymentError) -> dict[str, Any]:
    """Return the contract's document for a stack operation that an error ended."""
    region, stack = target.place
    return {
        "action": "declined" if isinstance(error, errors.Refused) else "failed",
        "stack": stack,
        "stack_id": "",
        "region": region,
        "environment": target.env,
        "status": "",
        "release": "",
        "outputs": {},
        "changes": [],
        "backups": [],
        "retained": [],
        "failure": {"logical_id": "", "reason": error.message},
        "seconds": 0,
    }


def answer_outcome(target: Target, outcome: Outcome) -> Answer:
    """Tell what became of an operation on a stack."""
    from lib.deploy import report

    console = target.console
    document = as_document(outcome)
    summary = report.draw_summary(outcome)
    if outcome.failed:
        console.report(Note(report.describe_failure(outcome), Level.ERROR))
        console.line(f"  Next: {outcome.next_step}")
        return Answer(document, exit_code=1, summary=summary)
    console.report(Note(report.describe_success(outcome), Level.DONE))
    for name in outcome.retained:
        console.report(Note(f"Retained: {name}"))
    for text in outcome.missing:
        console.report(Note(text, Level.WARNING))
    # A preview is about what would change, and these are as they were.
    outputs = "" if outcome.preview else report.draw_outputs(outcome.outputs)
    return Answer(document, outputs, summary=summary)


def answer_verified(target: Target, outcome: Outcome, options: Options, *, wanted: bool) -> Answer:
    """Tell what became of a deployment, then check what it left."""
    told = answer_outcome(target, outcome)
    if not wanted or not outcome.is_deployed:
        return told
    return add_verification(target, told, options, outcome.seen)


def add_verification(
    target: Target, told: Answer, options: Options | None = None, seen: Stack | None = None
) -> Answer:
    """Check what a stack is like now, and add that to an answer."""
    from lib.checks import verification
    from lib.inputs.jobs import Options

    found = verification.follow_up(target.job, target.access, options or Options(), seen)
    return verification.add(told, found, target.access)


def answer_deployment(
    target: Target, options: Options, mode: Mode, *, verify: bool, adopt: str | None = None
) -> Answer:
    """Create or update the target's stack, or preview it, and tell what became of it."""
    from lib.deploy import deployments
    from lib.rescue import founding

    create = founding.over_leftovers(adopt)
    settle_harmless_questions(target)
    begin = begin_first_creation(target, preview=options.preview)
    outcome = deployments.deploy(
        target.job,
        target.access,
        options,
        mode,
        begin=begin,
        create=create,
        price=price_by(target),
    )
    return answer_verified(target, outcome, options, wanted=verify)


def price_by(target: Target) -> Price:
    """Return what tells people what a change does to the month's cost and to the budget."""

    def price(job: Job, live: Deployed | None) -> str:
        from lib.costs import estimates, report

        deployed = replace(job, templates=live.folder, values=live.parameters) if live else None
        priced = estimates.change(deployed, job, estimates.Terms(target.root, today()))
        return report.describe_change(priced) if priced else ""

    return price


def parameter_error(target: Target, error: DeploymentError) -> dict[str, Any]:
    """Return the contract's document for parameters that could not even be read."""
    found = error.problems if isinstance(error, InputError) and error.problems else (error.message,)
    problems = [{"parameter": "", "message": text, "severity": "error"} for text in found]
    return {"valid": False, "environment": target.env, "problems": problems}


def settle_harmless_questions(target: Target) -> None:
    """Ask no ordinary question on the emulator; a loss of data is still asked about."""
    if target.local and not target.console.interactive:
        target.console.yes = True


def begin_first_creation(target: Target, *, preview: bool) -> Callable[[], None]:
    """Return what a deployment begins with where the stack does not exist yet.

    The emulator has no service-linked roles, and nobody's budget.
    """

    def begin() -> None:
        from lib.checks import preflight

        if not target.local:
            preflight.prepare(
                target.job,
                target.access,
                lambda region: connect_in(target, region),
                preview=preview,
            )

    return begin
