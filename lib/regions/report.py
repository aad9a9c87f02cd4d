"""Tell what became of every region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lib import document
from lib.checks.preflight import Look
from lib.data import consent
from lib.deploy import plans
from lib.deploy import report as stack_report
from lib.deploy.outcomes import Outcome, unchanged
from lib.drawing import draw_table
from lib.errors import (
    AwsUnavailable,
    DataLossRefused,
    DeploymentError,
    InputError,
    Interrupted,
    OperationFailed,
    Refused,
)
from lib.inputs import parameters
from lib.inputs.jobs import Job
from lib.operators import Answer, Level, Listing, Note, Operator
from lib.refusals import explain
from lib.regions.crews import Ended
from lib.regions.plan import NotStarted, Rollout, Site
from lib.stacks.events import Failure
from lib.templates import templates as template_room
from lib.templates.changes import Change

#: Which error speaks for several regions: the one that has to be mended first.
_GRAVITY = (AwsUnavailable, InputError, DataLossRefused, Refused, Interrupted, OperationFailed)


def combine(errors: Mapping[str, DeploymentError], title: str) -> DeploymentError:
    """Return one error that says what is wrong in each region.

    Its class, and so the exit code, is that of the gravest. Paths at risk are named with
    their region, in the form that `--allow-data-loss` takes.
    """
    kind, gravest = next(
        (kind, error) for kind in _GRAVITY for error in errors.values() if isinstance(error, kind)
    )
    lines = [title, *(f"{region}: {error.message}" for region, error in errors.items())]
    consents = [
        f"{consent.prefix_of(region)}{path}"
        for region, error in errors.items()
        if isinstance(error, DataLossRefused)
        for path in _paths_of(error)
    ]
    agree = f"`--allow-data-loss {','.join(consents)}`"
    return kind(
        "\n".join(lines),
        next_step=f"to accept exactly this, run the same command with {agree}"
        if consents
        else gravest.next_step,
        details={"refused": list(errors), "at_risk": consents},
    )


def _paths_of(error: DataLossRefused) -> list[str]:
    paths = error.details.get("at_risk", [])
    return [str(path) for path in paths] if isinstance(paths, list) else []


def list_parameters(sites: Sequence[Site]) -> Listing:
    """Return the merged parameters of all regions side by side, without secrets."""
    shown = {}
    for site in sites:
        declared = site.job.templates[template_room.MASTER].parameters
        shown[site.job.region] = parameters.mask_secrets(site.job.values, declared)
    names = sorted({name for values in shown.values() for name in values})
    rows = [[name, *(values.get(name, "-") for values in shown.values())] for name in names]
    return Listing("Parameters, merged with each region's:", ("Parameter", *shown), rows)


def describe(outcome: Outcome) -> str:
    """Say what became of one region."""
    # Only what CloudFormation itself reports has a type; the rest never came that far.
    if outcome.failure and not outcome.failure.type:
        return f"{outcome.region}: {outcome.action}: {outcome.failure.reason}"
    if outcome.failed:
        return stack_report.describe_failure(outcome)
    return stack_report.describe_success(outcome)


def explain_end(error: BaseException, job: Job) -> DeploymentError | None:
    """Return our error for what ended a region's thread, or None for a bug."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(
            f"Interrupted before stack {job.stack_name} in {job.region} was changed."
        )
    return explain(error, job.region, job.stack_name)


def outcome_in(end: Ended) -> Outcome | None:
    """Return the outcome with which a region's thread ended, if it came that far."""
    return end.result if isinstance(end.result, Outcome) else None


def went_wrong(end: Ended) -> bool:
    """Tell whether a region ended otherwise than asked, not counting one never started."""
    outcome = outcome_in(end)
    return outcome.failed if outcome else not isinstance(end.error, NotStarted)


def conclude_region(job: Job, look: Look, end: Ended, seconds: float) -> Outcome:
    """Return what became of one region, `seconds` after it was let go."""
    outcome = outcome_in(end)
    if outcome:
        return replace(outcome, seconds=round(seconds, 2))
    error = explain_end(end.error, job) if end.error else None
    return replace(
        unchanged(job, look.stack),
        action="declined" if isinstance(error, Refused) else "failed",
        failure=Failure("", "", "", "", error.message if error else repr(end.error)),
        changes=_changes_of(error),
        next_step=(error.next_step if error else "") or f"inv deploy {job.flags}",
        seconds=round(seconds, 2),
    )


def _changes_of(error: DeploymentError | None) -> tuple[Change, ...]:
    """Return what a region's refusal is about, as far as it came to light."""
    told = error.details.get("changes") if error else None
    return tuple(map(plans.read_change, told)) if isinstance(told, list) else ()


def answer(rollout: Rollout, operator: Operator) -> Answer:
    """Tell what became of every region, and the outputs of all."""
    for outcome in rollout.outcomes:
        level = Level.DONE
        if outcome.failed:
            level = Level.ERROR
        elif outcome.action == "declined":
            level = Level.WARNING
        operator.report(Note(describe(outcome), level))
        for text in outcome.missing:
            operator.report(Note(f"{outcome.region}: {text}", Level.WARNING))
        if outcome.next_step and level is not Level.DONE:
            operator.report(Note(f"{outcome.region}: next: {outcome.next_step}"))
    return Answer(document.as_document(rollout), draw_outputs(rollout.outcomes), rollout.exit_code)


def draw_outputs(found: Sequence[Outcome]) -> str:
    """Return the outputs of all regions as one table."""
    rows = [
        (outcome.region, name, value)
        for outcome in found
        for name, value in sorted(outcome.outputs.items())
    ]
    return draw_table(("Region", "Output", "Value"), rows, whole=("Value",)) if rows else ""
