"""Make a plan that people can read and approve, and apply exactly that."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commands.answers import (
    answer_deployment,
    answer_verified,
    begin_first_creation,
    settle_harmless_questions,
    stack_error,
)
from commands.flags import (
    CHANGE_HELP,
    DEFAULT_ENVIRONMENT,
    PLANNING,
    RECORDING,
    VERIFY_HELP,
    read_options,
)
from commands.operation import operation
from commands.target import Target, today
from lib.document import as_document
from lib.errors import DeploymentError, InputError
from lib.operators import Answer, Note

if TYPE_CHECKING:
    from datetime import timedelta

    from lib.deploy.change import Offer
    from lib.deploy.deployments import Mode
    from lib.deploy.plans import Cost, PlanFile
    from lib.inputs.jobs import Options
    from lib.terminal.console import Console

#: The flags of a task that a plan tells its environment, region and stack. Where the environment
#: is a file somewhere, only its name is the plan's.
_FROM_FILE = ("env", "profile", "yes", "json", "local", "debug", *RECORDING)
_FILE_HELP = {"file": "The plan, as `inv plan --out` wrote it."}
_ENV_HELP = {"env": "The environment's file, for a plan that was made of a path."}


@operation(
    help={
        "out": "Keep the change set and write the plan into this file, for `inv apply`.",
        "expires": "Hours for which the plan may be applied (default 24).",
        "regions": "With --out: regions in order, comma-separated; the first is applied first. "
        "--allow-data-loss then takes REGION:PATH.",
        "create": "Only create; refuse when the stack exists.",
        "update": "Only update; refuse when the stack does not exist.",
        "express": "CloudFormation express mode: do not wait for resources to be stable.",
        "revert-drift": "Bring drifted resources back to the template.",
        "adopt": "Where an earlier stack retained tables or the bucket: none plans new ones beside "
        "them; with --out, nothing can be taken over.",
        **{name: text for name, text in CHANGE_HELP.items() if name != "preview"},
    },
    common=PLANNING,
    describe_error=stack_error,
    changes=True,
)
def plan(
    target: Target,
    out: str | None = None,
    expires: str | None = None,
    regions: str | None = None,
    create: bool = False,
    update: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    express: bool = False,
    disable_rollback: bool = False,
    revert_drift: bool = False,
    shallow: bool = False,
    adopt: str | None = None,
) -> Answer:
    """Deploy: keep what would change as a plan to approve.

    inv plan --env production --out plan.json
    inv plan --env staging
    """
    from lib.deploy import deployments
    from lib.rescue import founding

    founding.require_answer(adopt)
    mode = deployments.choose_mode(create=create, update=update, delete=False)
    options = read_options(
        preview=out is None,
        allow_data_loss=allow_data_loss,
        no_backup=no_backup,
        express=express,
        disable_rollback=disable_rollback,
        revert_drift=revert_drift,
        shallow=shallow,
    )
    if out is None and regions is None:
        return answer_deployment(target, options, mode, verify=False, adopt=adopt)
    places = _list_places(target, options, regions, out)
    return _write_plan(target.console, places, mode, Path(out or ""), expires, adopt)


Places = list[tuple[Target, "Options"]]


def _list_places(target: Target, options: Options, regions: str | None, out: str | None) -> Places:
    """Return where to plan, and with which consents there."""
    from lib.data import consent
    from lib.regions import plan as rollout_plan

    if regions is None:
        return [(target, options)]
    if out is None:
        raise InputError(
            "--regions says something to --out only.",
            next_step=f"inv deploy-multi-region --env {shlex.quote(target.env)} --regions "
            f"{shlex.quote(regions)} --preview",
        )
    names = rollout_plan.read_names(regions)
    agreed = consent.read_by_region(options.allow_data_loss, names)
    return [
        (replace(target, asked_region=name), replace(options, allow_data_loss=agreed[name]))
        for name in names
    ]


def _write_plan(
    console: Console,
    places: Places,
    mode: Mode,
    path: Path,
    expires: str | None,
    adopt: str | None,
) -> Answer:
    """Make change sets, and write the plan of them; without the file they are discarded again."""
    from lib.deploy import plans, proposals

    lasts = plans.read_hours(expires)
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder {path.parent} to write {path.name} into.")
    made: list[Offer] = []
    found: list[PlanFile] = []
    try:
        for place, options in places:
            with _telling_regions(place, found, several=len(places) > 1):
                made.append(_propose(place, options, mode, lasts, adopt))
                found.append(plans.make(made[-1], _price(place, made[-1])))
        whole = plans.combine(found)
        plans.write(path, whole)
    except BaseException:
        for one in made:
            proposals.abandon(one.run, one.proposal)
        raise
    console.report(Note(f"Plan written to {path}, to be applied by {whole.expires}."))
    flags = _how_to_reach(places[0][0])
    console.line(f"  Next: inv apply {shlex.quote(str(path))} --digest {whole.digest}{flags}")
    return Answer(as_document(whole), plans.draw_facts(whole), summary=plans.draw_summary(whole))


@contextlib.contextmanager
def _telling_regions(place: Target, found: Sequence[PlanFile], *, several: bool) -> Iterator[None]:
    """Have the refusal of one region say which it is, and what was planned of the others."""
    try:
        yield
    except DeploymentError as exc:
        if several:
            told = {"region": place.region, "regions": as_document(found)}
            exc.details = {**exc.details, **told}
        raise


def _propose(
    place: Target, options: Options, mode: Mode, lasts: timedelta, adopt: str | None
) -> Offer:
    """Make the change set of one region; one that takes leftovers over cannot be kept."""
    from lib.deploy import deployments
    from lib.rescue import founding

    settle_harmless_questions(place)
    until = place.access.clock.now() + lasts
    begin_first = begin_first_creation(place, preview=True)

    def begin() -> None:
        if adopt != "none":
            ways = "the same plan with --adopt none makes new and empty ones beside it"
            founding.refuse_beside_leftovers(place.job, place.access, "planned", ways)
        begin_first()

    return deployments.propose(place.job, place.access, options, mode, expires=until, begin=begin)


def _how_to_reach(target: Target) -> str:
    """Return the flags that a plan does not hold."""
    path = target.env if target.env != target.job.environment else ""
    env = f" --env {shlex.quote(path)}" if path else ""
    profile = f" --profile {shlex.quote(target.profile)}" if target.profile else ""
    return f"{env}{profile}" + (" --local" if target.local else "")


def _price(target: Target, made: Offer) -> Cost | None:
    """Return what the plan does to the month's cost, None where that cannot be told."""
    from lib.costs import estimates
    from lib.deploy.plans import Cost

    job, live = target.job, made.found.before
    deployed = replace(job, templates=live.folder, values=live.parameters) if live else None
    priced = estimates.change(deployed, job, estimates.Terms(target.root, today()))
    if priced is None:
        return None
    before = priced.after if made.found.changes_nothing else priced.before
    return Cost(float(round(before, 2)), float(round(priced.after, 2)))


@operation(
    help={
        **_FILE_HELP,
        "format": "text (default), markdown, or json.",
        "out": "Write it into this file.",
    },
    common=("json",),
)
def show(target: Target, file: str, format: str = "text", out: str | None = None) -> Answer:
    """Deploy: show a plan, for people or for a pull request.

    inv plan.show plan.json
    inv plan.show plan.json --format markdown --out plan.md
    """
    import json

    from lib.deploy import plans
    from lib.inputs import documents

    chosen = plans.choose_format(format)
    found = plans.read(Path(file))
    document = as_document(found)
    if chosen == "json":
        text = json.dumps(document, indent=2)
    else:
        text = (plans.draw_summary if chosen == "markdown" else plans.draw)(found)
    if out is None:
        return Answer(document, text)
    documents.write_text(Path(out), f"{text}\n")
    return Answer(document)


@operation(
    help={
        **_FILE_HELP,
        "digest": "The digest that was approved; any other plan is refused.",
        **VERIFY_HELP,
        **_ENV_HELP,
    },
    common=(*_FROM_FILE, "wait"),
    describe_error=stack_error,
    changes=True,
)
def apply(target: Target, file: str, digest: str | None = None, no_verify: bool = False) -> Answer:
    """Deploy: do exactly what a plan says, or refuse.

    inv apply plan.json
    inv apply plan.json --digest 5f0c… --yes
    """
    from lib.deploy import applying, plans

    found = plans.read(Path(file), expected=digest)
    if found.regions:
        return _apply_everywhere(target, found, file, checks=not no_verify)
    with _telling_place(found):
        place = _aim(target, found)
        settle_harmless_questions(place)
        begin = begin_first_creation(place, preview=False)
        again = _say_renewal([place], file)
        outcome = applying.apply(place.job, place.access, found, again, begin=begin)
    return answer_verified(place, outcome, plans.read_options(found), wanted=not no_verify)


@operation(help={**_FILE_HELP, **_ENV_HELP}, common=_FROM_FILE, changes=True)
def discard(target: Target, file: str) -> Answer:
    """Deploy: remove what an unapplied plan keeps at AWS.

    inv plan.discard plan.json
    inv plan.discard plan.json --json
    """
    from lib.deploy import applying, plans

    found = plans.read(Path(file))
    places = [(_aim(target, one), one) for one in found.regions or (found,)]
    done = [applying.discard(place.job, place.access, one) for place, one in places]
    some = any(one.discarded for one in done)
    told = "is discarded" if some else "keeps nothing at AWS any more"
    document = as_document(replace(done[0], digest=found.digest, discarded=some))
    return Answer(document, f"The plan {found.digest[:12]} {told}.")


def _apply_everywhere(target: Target, found: PlanFile, file: str, *, checks: bool) -> Answer:
    """Apply a plan of several regions, the first one's before the others'."""
    from lib.regions import approved, report
    from lib.regions.plan import Site

    places = [_aim(target, one) for one in found.regions]
    settle_harmless_questions(target)
    sites = [Site(place.job, place.aws) for place in places]
    begin = {place.region: begin_first_creation(place, preview=False) for place in places}
    operator = target.console.operator()
    again = _say_renewal(places, file)
    done = approved.apply(sites, operator, found, again, begin=begin, checks=checks)
    return report.answer(done, operator)


def _say_renewal(places: Sequence[Target], file: str) -> str:
    """Say which commands make a plan anew, of the same regions, and apply that."""
    flags, name = places[0].flags, shlex.quote(file)
    if len(places) > 1:
        names = ",".join(place.region for place in places)
        flags = flags.replace(f"--region {places[0].region}", f"--regions {names}")
    then = f"have that approved, then inv apply {name}{_how_to_reach(places[0])}"
    return f"inv plan --out {name} {flags}, {then}"


@contextlib.contextmanager
def _telling_place(found: PlanFile) -> Iterator[None]:
    """Have a refusal say in its document what the plan is of, which no flag has told."""
    try:
        yield
    except DeploymentError as exc:
        names = ("stack", "region", "environment", "release")
        exc.details = {**{name: getattr(found, name) for name in names}, **exc.details}
        raise


def _aim(target: Target, found: PlanFile) -> Target:
    """Return the target that a plan is for; its environment may be a file of another name."""
    usual = found.stack == f"plot-palette-{found.environment}"
    place = replace(
        target,
        env=found.environment if target.env == DEFAULT_ENVIRONMENT else target.env,
        asked_region=found.region,
        stack_name=None if usual else found.stack,
    )
    if place.job.environment != found.environment:
        raise InputError(
            f"The plan is of the environment {found.environment}, not of {place.job.environment}.",
            next_step="leave out --env, or name the file that the plan was made of",
        )
    return place
