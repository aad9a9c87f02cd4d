"""Deploy Plot Palette with Invoke: `inv --list` shows the tasks, `inv TASK --help` one of them.

A task resolves its arguments, calls lib and returns what there is to say. Everything the
tasks share (common flags, consoles, exit codes) is in `operation` below.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

# Invoke switches bytecode off for everything it runs, which costs every start of every
# task the compilation of all of lib.
sys.dont_write_bytecode = False

# What a task loads lives until it ends: collecting garbage in it again and again, and once
# more on the way out, was four tenths of a deploy without a change (docs/benchmarks.md).
gc.set_threshold(10_000, 20, 20)
atexit.register(gc.freeze)

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from lib import errors
from lib.errors import DeploymentError, InputError
from lib.operators import Answer, Level, Note
from lib.terminal import finish
from lib.terminal.console import Console, open_console

if TYPE_CHECKING:
    from emulator.control import Emulator
    from lib.access import Access
    from lib.deploy.outcomes import Outcome
    from lib.inputs.jobs import Job, Options
    from lib.regions.plan import Site
    from lib.session import ApiCall, Aws
    from lib.terminal.journal import Journal
    from manual.pages import TaskEntry

ROOT = Path(__file__).resolve().parent
DEFAULT_ENVIRONMENT = "development"

COMMON_HELP = {
    "env": f"Environment: a name under infrastructure/parameters or a file's path "
    f"(default {DEFAULT_ENVIRONMENT}).",
    "region": "AWS region (default: AWS_REGION, AWS_DEFAULT_REGION, the profile, us-east-1).",
    "stack-name": "Stack (default: plot-palette-<environment>).",
    "profile": "AWS profile.",
    "yes": "Ask nothing; never agrees to a loss of data.",
    "json": "Print one JSON document on stdout, everything else on stderr.",
    "local": "Run against the embedded emulator, starting it when needed.",
    "debug": "Show each AWS call: operation, seconds, HTTP status, request ID.",
}
CHANGE_HELP = {
    "preview": "Show what would change; execute nothing, leave nothing behind.",
    "allow-data-loss": "Paths whose data may be lost, comma-separated (DatabaseStack/JobsTable).",
    "no-backup": "Do not back up the tables at risk first.",
    "disable-rollback": "Keep what was done when something fails, to look at it.",
}
VERIFY_HELP = {"no-verify": "Do not check afterwards what was deployed; see `inv verify`."}
_COMMON_DEFAULTS: Mapping[str, Any] = {
    "env": DEFAULT_ENVIRONMENT,
    "region": None,
    "stack_name": None,
    "profile": None,
    "yes": False,
    "json": False,
    "local": False,
    "debug": False,
}


@dataclass(frozen=True)
class Target:
    """What the common flags name: an environment, a region, a stack, and how to get there."""

    env: str
    asked_region: str | None
    stack_name: str | None
    profile: str | None
    local: bool
    console: Console
    journal: Journal | None = None

    @cached_property
    def region(self) -> str:
        """Choose the region and say which it is."""
        from lib import session

        name, origin = session.choose_region(
            self.asked_region, os.environ, profile=self.profile, use_profile=not self.local
        )
        self.console.report(Note(f"Environment {self.env}, region {name} (from {origin})."))
        return name

    @property
    def place(self) -> tuple[str, str]:
        """Return region and stack as far as they are known by now, for messages."""
        known = self.__dict__.get("region") or self.asked_region or "no region yet"
        job = self.__dict__.get("job")
        return known, job.stack_name if job else self.stack_name or f"plot-palette-{self.env}"

    @property
    def flags(self) -> str:
        """Return how to name the same target on the command line."""
        parts = [f"--env {shlex.quote(self.env)}", f"--region {self.region}"]
        parts += [f"--stack-name {self.stack_name}"] if self.stack_name else []
        parts += [f"--profile {shlex.quote(self.profile)}"] if self.profile else []
        return " ".join([*parts, *(["--local"] if self.local else [])])

    @cached_property
    def job(self) -> Job:
        """Read everything that a deployment of this target consists of."""
        from lib.inputs import jobs

        found = jobs.prepare(ROOT, self.env, self.region, self.stack_name, flags=self.flags)
        if self.journal:
            self.journal.hide(jobs.list_secret_values(found))
        return found

    @cached_property
    def aws(self) -> Aws:
        """Connect to AWS, or to the emulator; refuse an account that is not the environment's."""
        from lib import session
        from lib.inputs import jobs

        endpoint = start_emulator(self.console).endpoint if self.local else None
        connected = session.connect(
            self.job.region,
            profile=self.profile,
            endpoint_url=endpoint,
            local=self.local,
            observe=self.observer,
        )
        if not self.local:
            jobs.require_account(self.job, lambda: connected.identity().account)
        return connected

    @property
    def observer(self) -> Callable[[ApiCall], None] | None:
        """Return what is told of each AWS call, None where nobody would read it."""
        if not (self.journal or self.console.verbose):
            return None
        from lib.terminal.journal import describe_call

        return lambda call: self.console.debug(describe_call(call))

    @cached_property
    def access(self) -> Access:
        """Return what a workflow reaches AWS and the operator by."""
        from lib.access import Access

        return Access(self.aws, self.console.operator())


def operation(
    help: Mapping[str, str] | None = None,
    common: Sequence[str] = tuple(_COMMON_DEFAULTS),
    describe_error: Callable[
        [Target, DeploymentError], dict[str, Any]
    ] = lambda _target, _error: {},
    changes: bool = False,
) -> Callable[[Callable[..., Answer]], Task[Any]]:
    """Make a task of a function that takes a `Target` and its own flags, and returns an `Answer`.

    Adds the common flags, gives the function its console, and turns errors of ours into
    exit codes. `describe_error` fills the JSON document when an error ends the task. A task
    that `changes` something at AWS keeps a log file.
    """

    def decorate(body: Callable[..., Answer]) -> Task[Any]:
        own = list(inspect.signature(body).parameters.values())[1:]
        keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
        shared = [
            inspect.Parameter(name, keyword, default=_COMMON_DEFAULTS[name]) for name in common
        ]

        def run(_context: Context, **given: Any) -> None:
            chosen = {name: given.pop(name, default) for name, default in _COMMON_DEFAULTS.items()}
            name = body.__name__.replace("_", "-")
            stack = chosen["stack_name"] or f"plot-palette-{chosen['env']}"
            console = open_console(
                os.environ, yes=chosen["yes"], verbose=chosen["debug"], title=f"inv {name}: {stack}"
            )
            stop_on_termination()
            with keep_journal(console, name, stack, wanted=changes) as journal:
                target = Target(
                    chosen["env"],
                    chosen["region"],
                    chosen["stack_name"],
                    chosen["profile"],
                    chosen["local"],
                    console,
                    journal,
                )
                code = finish.finish(
                    console,
                    lambda: summarise(console, body(target, **given)),
                    as_json=chosen["json"],
                    place=lambda: target.place,
                    describe_error=lambda error: describe_error(target, error),
                )
                console.log(f"exit code {code}")
            console.close_group()
            if code:
                raise Exit(code=code)

        context = inspect.Parameter("context", keyword)
        run.__signature__ = inspect.Signature([context, *shared, *own])  # type: ignore[attr-defined]  # inspect reads it
        run.__name__, run.__doc__ = body.__name__, body.__doc__
        texts = {name.replace("_", "-"): COMMON_HELP[name.replace("_", "-")] for name in common}
        made: Task[Any] = task(help={**texts, **(help or {})})(run)
        return made

    return decorate


@contextlib.contextmanager
def keep_journal(
    console: Console, name: str, stack: str, *, wanted: bool
) -> Iterator[Journal | None]:
    """Log what the console shows to a file; go on without where none can be written."""
    if not wanted:
        yield None
        return
    from lib.terminal import journal

    folder = Path(os.environ.get("PLOT_PALETTE_LOG_FOLDER") or ROOT / ".logs")
    try:
        opened = journal.open_journal(folder, lambda: datetime.now(UTC), task=name, stack=stack)
    except OSError as error:
        console.report(Note(f"No log file is kept: {error}", Level.WARNING))
        yield None
        return
    with opened:
        opened.hide_credentials(
            os.environ.get(key, "") for key in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
        console.log = opened.write
        opened.write(shlex.join(["inv", *sys.argv[1:]]))
        yield opened


def summarise(console: Console, answer: Answer) -> Answer:
    """Add an answer's summary to the page that GitHub shows beside a job, where there is one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page and answer.summary:
        from lib.terminal import journal

        try:
            if not journal.append_summary(Path(page), answer.summary):
                console.report(Note("The job's summary page is full.", Level.WARNING))
        except OSError as error:
            console.report(Note(f"The job's summary cannot be written: {error}", Level.WARNING))
    return answer


def stop_on_termination() -> None:
    """Treat SIGTERM, by which CI cancels a job, like Ctrl-C: leave in order."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def start_emulator(console: Console) -> Emulator:
    """Start or reuse the emulator, and say what it cannot do when it is new."""
    from emulator import control

    was_running = control.status(local_state()).running
    port = os.environ.get("PLOT_PALETTE_LOCAL_PORT")
    delay = os.environ.get("PLOT_PALETTE_LOCAL_DELAY")
    emulator = control.start(
        local_state(),
        port=as_count(port, "PLOT_PALETTE_LOCAL_PORT"),
        delay=as_seconds(delay, "PLOT_PALETTE_LOCAL_DELAY"),
    )
    if not was_running:
        console.report(Note(f"Emulator started at {emulator.endpoint}.", Level.DONE))
        for limit in control.LIMITS:
            console.report(Note(f"Emulator: {limit}"))
    return emulator


def local_state() -> Path:
    """Return the folder that holds the emulator's state."""
    return Path(os.environ.get("PLOT_PALETTE_LOCAL_STATE") or ROOT / ".local").resolve()


def as_count(text: str | None, flag: str) -> int | None:
    """Return a whole number of at least 1, None for None, or raise `InputError`."""
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{flag} takes a whole number of at least 1, not {text!r}.")
    return int(text)


def as_seconds(text: str | None, flag: str) -> float:
    """Return a number of seconds, 0 for None, or raise `InputError`."""
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise InputError(f"{flag} takes 0 to 60 seconds, not {text!r}.")
    return seconds


def as_names(text: str | None) -> frozenset[str]:
    """Return the names of a comma-separated list."""
    return frozenset(name.strip() for name in (text or "").split(",") if name.strip())


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
    from lib.deploy import outcomes

    console = target.console
    document = outcomes.as_document(outcome)
    summary = outcomes.draw_summary(outcome)
    if outcome.failed:
        console.report(Note(outcomes.describe_failure(outcome), Level.ERROR))
        console.line(f"  Next: {outcome.next_step}")
        return Answer(document, exit_code=1, summary=summary)
    console.report(Note(outcomes.describe_success(outcome), Level.DONE))
    for name in outcome.retained:
        console.report(Note(f"Retained: {name}"))
    return Answer(document, outcomes.draw_outputs(outcome.outputs), summary=summary)


def answer_verified(target: Target, outcome: Outcome, options: Options, *, wanted: bool) -> Answer:
    """Tell what became of a deployment, then check what it left."""
    told = answer_outcome(target, outcome)
    if not wanted:
        return told
    from lib.checks import verification

    found = verification.follow_up(target.job, target.access, outcome, options)
    return verification.add(told, found, target.access)


def parameter_error(target: Target, error: DeploymentError) -> dict[str, Any]:
    """Return the contract's document for parameters that could not even be read."""
    found = error.problems if isinstance(error, InputError) and error.problems else (error.message,)
    problems = [{"parameter": "", "message": text, "severity": "error"} for text in found]
    return {"valid": False, "environment": target.env, "problems": problems}


@operation(
    help={
        "offline": "Make no AWS call.",
        "all": "Check every parameter file.",
    },
    describe_error=parameter_error,
)
def validate_params(target: Target, offline: bool = False, all: bool = False) -> Answer:
    """Check: report every problem in the files at once.

    inv validate-params --all --offline
    inv validate-params --env staging --region us-west-2
    """
    from lib.checks import validation

    given = (target.region, target.stack_name)
    if all:
        reports = validation.check_all(ROOT, *given, flags=target.flags)
    else:
        reports = [validation.check(ROOT, target.env, *given, flags=target.flags)]
    if not offline:
        reports = validation.add_online(reports, target.access)
    return validation.answer(reports)


@operation(changes=True)
def upload(target: Target) -> Answer:
    """Deploy: publish the templates as an immutable release.

    inv upload --env staging
    inv upload --region us-west-2 --json
    """
    from lib.deploy import publishing

    _release, published = publishing.publish(target.job, target.access)
    link = publishing.console_link(target.job, published)
    document = {
        "bucket": published.bucket,
        "region": published.region,
        "release": published.release,
        "uploaded": published.uploaded,
        "unchanged": published.unchanged,
        "master_url": published.master_url,
        "quick_create_url": link,
    }
    text = (
        f"Release      {published.release} ({published.uploaded} uploaded, "
        f"{published.unchanged} unchanged)\nBucket       {published.bucket}\n"
        f"Master       {published.master_url}\nQuick create {link}"
    )
    return Answer(document, text)


def read_options(**given: Any) -> Options:
    """Return a workflow's options from a task's flags."""
    from lib.inputs.jobs import Options

    return Options(
        preview=given.get("preview", False),
        allow_data_loss=as_names(given.get("allow_data_loss")),
        backup=not given.get("no_backup", False),
        express=given.get("express", False),
        disable_rollback=given.get("disable_rollback", False),
        revert_drift=given.get("revert_drift", False),
    )


@operation(
    help={
        "create": "Only create; refuse when the stack exists.",
        "update": "Only update; refuse when the stack does not exist.",
        "delete": "Delete the stack; what holds data is retained and listed.",
        "express": "CloudFormation express mode: do not wait for resources to be stable.",
        **CHANGE_HELP,
        **VERIFY_HELP,
    },
    describe_error=stack_error,
    changes=True,
)
def deploy(
    target: Target,
    create: bool = False,
    update: bool = False,
    delete: bool = False,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    express: bool = False,
    disable_rollback: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Deploy: create or update the stack, or delete it.

    inv deploy --env staging --region us-west-2 --preview
    inv deploy --local
    """
    from lib.deploy import deployments

    mode = deployments.choose_mode(create=create, update=update, delete=delete)
    options = read_options(
        preview=preview,
        allow_data_loss=allow_data_loss,
        no_backup=no_backup,
        express=express,
        disable_rollback=disable_rollback,
    )
    if mode is deployments.Mode.DELETE:
        return answer_outcome(target, deployments.delete(target.job, target.access, options))
    settle_harmless_questions(target)
    outcome = deployments.deploy(target.job, target.access, options, mode)
    return answer_verified(target, outcome, options, wanted=not no_verify)


@operation(
    help={
        "revert-drift": "Bring drifted resources back to the template.",
        **CHANGE_HELP,
        **VERIFY_HELP,
    },
    describe_error=stack_error,
    changes=True,
)
def update(
    target: Target,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    disable_rollback: bool = False,
    revert_drift: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Deploy: update the stack; what changes is shown first.

    inv update --env staging --preview
    inv update --env production --allow-data-loss DatabaseStack/JobsTable
    """
    from lib.deploy import deployments

    options = read_options(
        preview=preview,
        allow_data_loss=allow_data_loss,
        no_backup=no_backup,
        disable_rollback=disable_rollback,
        revert_drift=revert_drift,
    )
    settle_harmless_questions(target)
    outcome = deployments.deploy(target.job, target.access, options, deployments.Mode.UPDATE)
    return answer_verified(target, outcome, options, wanted=not no_verify)


@operation(help={"drift": "Detect drift too, in the whole tree of stacks."})
def verify(target: Target, drift: bool = False) -> Answer:
    """Look: check that the stack answers and is protected.

    inv verify --env production
    inv verify --env staging --drift --json
    """
    from lib.checks import verification

    found = verification.verify(target.job, target.access, detect_drift=drift)
    return verification.answer(found, target.access)


def settle_harmless_questions(target: Target) -> None:
    """Ask no ordinary question on the emulator; a loss of data is still asked about."""
    if target.local and not target.console.interactive:
        target.console.yes = True


@operation(
    help={
        "regions": "Regions in order, comma-separated; the first goes alone, as the canary.",
        "max-concurrency": "Regions changed at once after the canary (default: all).",
        "sequential": "One region after the other.",
        "on-failure": "stop (default): start no further region when one fails; or continue.",
        "engine": "direct (default), or stacksets: CloudFormation StackSets does the rollout.",
        "log-folder": "Write a log for each region into this folder.",
        "preview": CHANGE_HELP["preview"],
        "allow-data-loss": "REGION:PATH whose data may be lost, comma-separated "
        "(us-west-2:DatabaseStack/JobsTable).",
        "no-backup": CHANGE_HELP["no-backup"],
        **VERIFY_HELP,
    },
    common=tuple(name for name in _COMMON_DEFAULTS if name != "region"),
    describe_error=lambda _target, _error: {"regions": [], "failed": []},
    changes=True,
)
def deploy_multi_region(
    target: Target,
    regions: str | None = None,
    max_concurrency: str | None = None,
    sequential: bool = False,
    on_failure: str = "stop",
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    engine: str = "direct",
    log_folder: str | None = None,
    no_verify: bool = False,
) -> Answer:
    """Deploy: bring the stack to many regions, canary first.

    inv deploy-multi-region --env production --regions us-east-1,us-west-2
    inv deploy-multi-region --regions us-east-1,eu-west-1 --sequential --preview
    """
    from lib.regions import plan, report, stacksets

    names = plan.read_names(regions)
    count = as_count(max_concurrency, "--max-concurrency")
    wanted = plan.Plan(
        read_options(preview=preview, no_backup=no_backup),
        plan.read_consents(as_names(allow_data_loss), names),
        plan.read_concurrency(count, sequential=sequential),
        plan.read_on_failure(on_failure),
        log_folder=Path(log_folder) if log_folder else None,
        verify=not no_verify,
    )
    roll_out = stacksets.choose_engine(engine, local=target.local)
    settle_harmless_questions(target)
    sites, home = open_sites(target, names), open_home(target, names)
    console = target.console
    draw = console.draw_board if console.redraw else None
    operator = console.operator()
    return report.answer(roll_out(sites, operator, replace(wanted, home=home), draw=draw), operator)


def open_sites(target: Target, names: Sequence[str]) -> list[Site]:
    """Read what is wanted in each region, then connect to each."""
    from lib.regions.plan import Site

    places = [replace(target, asked_region=name) for name in names]
    jobs = [place.job for place in places]
    return [Site(job, place.aws) for job, place in zip(jobs, places, strict=True)]


def open_home(target: Target, names: Sequence[str]) -> Aws | None:
    """Connect to the region that answers for the account; the emulator has no need of one."""
    from lib import session

    return None if target.local else connect_in(target, session.home_of(names[0]))


@operation(help={"format": "table, json or env."})
def outputs(target: Target, format: str = "table") -> Answer:
    """Look: print the stack's outputs.

    inv outputs --env staging
    inv outputs --env staging --format env > .env
    """
    from lib.deploy import outcomes
    from lib.stacks import stacks

    draw = outcomes.choose_format(format)
    stack = stacks.require(target.aws.client("cloudformation"), target.job)
    return Answer(dict(stack.outputs), draw(stack.outputs))


@operation(
    help={
        "drift": "Detect drift now, in the whole tree of stacks.",
        "regions": "Regions to show side by side, comma-separated.",
    }
)
def status(target: Target, drift: bool = False, regions: str | None = None) -> Answer:
    """Look: show the stack's state, release, age and drift.

    inv status --env production
    inv status --env production --drift
    """
    if regions:
        from lib.regions import plan, survey

        sites = open_sites(target, plan.read_names(regions))
        return survey.answer(survey.survey(sites, target.console.operator(), detect=drift))
    from lib.deploy import status as overview

    seen = overview.look(target.job, target.access, detect=drift)
    return Answer(overview.as_document(seen), overview.draw(seen))


@operation(help={"follow": "Keep watching until the operation ends."})
def events(target: Target, follow: bool = False) -> Answer:
    """Look: list the latest operation's events.

    inv events --env staging
    inv events --env staging --follow
    """
    from lib.deploy import status as overview

    if follow:
        return answer_outcome(target, overview.follow(target.job, target.access))
    found = overview.list_events(target.job, target.access)
    return Answer([overview.event_document(event) for event in found], overview.draw_events(found))


def connect_in(target: Target, region: str) -> Aws:
    """Connect to a service that answers in one region for all of them."""
    from lib import session

    endpoint = start_emulator(target.console).endpoint if target.local else None
    return session.connect(
        region,
        profile=target.profile,
        endpoint_url=endpoint,
        local=target.local,
        observe=target.observer,
    )


@operation(
    help={
        "all": "Every environment, side by side.",
        "usage": "A usage file (default: infrastructure/usage/<environment>.json).",
        "live": "Ask the AWS Price List API; rows that it does not give come from the book.",
        "max-monthly": "Exit 1 when the usual amount is above this many USD.",
        "compare": "A release, or `deployed`: what differs from it, line by line.",
        "free-tier": "Take off what AWS never bills an account.",
        "svg": "Draw the cost by service as a bar chart into this file.",
    }
)
def estimate(
    target: Target,
    all: bool = False,
    usage: str | None = None,
    live: bool = False,
    max_monthly: str | None = None,
    compare: str | None = None,
    free_tier: bool = True,
    svg: str | None = None,
) -> Answer:
    """Cost: price the templates before they are deployed.

    inv estimate --all
    inv estimate --env production --compare deployed --max-monthly 200
    """
    from lib.costs import estimates, offers, report

    question = estimates.Question(ROOT, today(), usage, free_tier)
    limit = estimates.read_limit(max_monthly)
    made = estimates.estimate_all(question, target.job, every=all, compare=compare)
    if live:
        pricing = connect_in(target, offers.API_REGION).client("pricing")
        made = estimates.with_live_prices(made, question, pricing, target.console.report)
    before = estimates.compare(made[0], question, compare, target.access) if compare else None
    if svg:
        estimates.write(Path(svg), report.draw_chart(made))
    told = report.answer(made, question, limit=limit, before=before, report=target.console.report)
    return replace(told, summary=f"### Cost of {target.env}\n\n```text\n{told.text}\n```")


@operation(help={"source": "Where the offer files are."}, common=("json",))
def refresh_prices(target: Target, source: str | None = None) -> Answer:
    """Cost: renew the price book from AWS's offer files.

    inv refresh-prices
    inv refresh-prices --json
    """
    from urllib.request import urlopen

    from lib.costs import estimates, renewal

    question = estimates.Question(ROOT, today())
    return estimates.refresh_book(
        question,
        lambda url: urlopen(url, timeout=60),  # noqa: S310 (lib takes http and https only)
        source or renewal.OFFERS,
        target.console.report,
    )


@operation()
def costs(target: Target) -> Answer:
    """Cost: hold the month so far against the budget.

    inv costs --env production
    inv costs --env production --json
    """
    from lib.costs import bill

    aws = connect_in(target, bill.API_REGION)
    found = bill.read(
        aws.client("ce"),
        aws.client("budgets"),
        account=aws.identity().account,
        environment=target.job.environment,
        tags=bill.allocation_tags(target.job.environment),
        today=today(),
    )
    for problem in found.problems:
        target.console.report(Note(problem, Level.WARNING))
    return Answer(bill.as_json(found), bill.draw(found))


def today() -> date:
    """Return the day it is in UTC, by which AWS bills."""
    return datetime.now(UTC).date()


@operation(
    help={
        "to": "Redeploy this earlier release, with the parameters it had.",
        "skip": "Resources a stuck rollback gives up on: NestedStack.LogicalId, comma-separated.",
        **{name: CHANGE_HELP[name] for name in ("preview", "allow-data-loss", "no-backup")},
        **VERIFY_HELP,
    },
    describe_error=stack_error,
    changes=True,
)
def rollback(
    target: Target,
    to: str | None = None,
    skip: str | None = None,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Undo: return to the last stable state, or a release.

    inv rollback --env staging
    inv rollback --env production --to 20f8960ff7bb --preview
    """
    from lib.deploy import rollbacks

    settle_harmless_questions(target)
    if not to:
        names = as_names(skip)
        return answer_outcome(target, rollbacks.roll_back(target.job, target.access, skip=names))
    if skip:
        raise InputError("--to and --skip exclude each other.")
    options = read_options(preview=preview, allow_data_loss=allow_data_loss, no_backup=no_backup)
    outcome = rollbacks.return_to(target.job, target.access, options, to)
    return answer_verified(target, outcome, options, wanted=not no_verify)


@operation()
def history(target: Target) -> Answer:
    """Look: list the stack's releases, newest first.

    inv history --env production
    inv history --env production --json
    """
    from lib.deploy import status as overview
    from lib.releases import history as records

    found = overview.read_history(target.job, target.access)
    return Answer([records.as_document(record) for record in found], overview.draw_history(found))


@operation(
    help={"keep": "How many of the newest releases stay in any case (default 5)."}, changes=True
)
def prune(target: Target, keep: str = "5") -> Answer:
    """Undo: remove releases that nothing needs any more.

    inv prune --env staging
    inv prune --env staging --keep 10 --yes
    """
    from lib.releases import pruning

    count = as_count(keep, "--keep")
    settle_harmless_questions(target)
    plan = pruning.prune(target.job, target.access, keep=count or 1)
    return Answer(pruning.as_document(plan), f"{len(plan.keys)} objects removed.")


@operation(
    help={"keep": "Delete this tool's own older backups, keep the newest N per table."},
    changes=True,
)
def backup(target: Target, keep: str | None = None) -> Answer:
    """Data: back up every table, and prove each backup.

    inv backup --env production
    inv backup --env production --keep 30
    """
    from lib.data import restores

    count = as_count(keep, "--keep")
    run = restores.back_up(target.job, target.access, keep=count)
    return restores.answer_backups(run, target.console)


@operation(
    help={
        "backup": "ARN or name of a backup.",
        "table": "Logical ID, path or physical name of a table.",
        "target-table": "Name of the new table (default: the old one's and the time).",
        "point-in-time": "A moment within the recovery window, ISO 8601.",
    },
    changes=True,
)
def restore(
    target: Target,
    backup: str | None = None,
    table: str | None = None,
    target_table: str | None = None,
    point_in_time: str | None = None,
) -> Answer:
    """Data: restore a backup or a moment into a new table.

    inv restore --table JobsTable --target-table jobs-restored
    inv restore --table JobsTable --point-in-time 2026-11-20T09:00:00Z
    """
    from lib.data import restores

    return restores.restore(
        target.job,
        target.access,
        backup=backup,
        table=table,
        target_table=target_table or "",
        point_in_time=point_in_time,
    )


def emulator_answer(emulator: Emulator) -> Answer:
    """Tell whether the emulator runs, and where."""
    document = {
        "running": emulator.running,
        "endpoint": emulator.endpoint,
        "pid": emulator.pid,
        "port": emulator.port,
        "state": str(emulator.state),
    }
    text = f"running at {emulator.endpoint}" if emulator.running else "not running"
    return Answer(document, f"Emulator {text} (state in {emulator.state})")


@operation(common=("json",))
def start(target: Target) -> Answer:
    """Emulator: start it in the background, or reuse it.

    inv local.start
    inv local.start --json
    """
    return emulator_answer(start_emulator(target.console))


@operation(common=("json",))
def stop(_target: Target) -> Answer:
    """Emulator: stop it; its state is kept on disk.

    inv local.stop
    inv local.stop --json
    """
    from emulator import control

    control.stop(local_state())
    return emulator_answer(control.status(local_state()))


@operation(common=("json",))
def reset(_target: Target) -> Answer:
    """Emulator: empty it; every stack and table goes.

    inv local.reset
    inv local.reset --json
    """
    from emulator import control

    control.reset(local_state())
    return emulator_answer(control.status(local_state()))


def local_status(_target: Target) -> Answer:
    """Emulator: show whether it runs, and where.

    inv local.status
    inv local.status --json
    """
    from emulator import control

    return emulator_answer(control.status(local_state()))


@operation(help={"format": "mermaid or svg."}, common=("json",))
def graph(_target: Target, format: str = "mermaid") -> Answer:
    """Look: draw the nested stacks and who reads from whom.

    inv graph
    inv graph --format svg
    """
    from lib.templates import graph as graphs
    from lib.templates import templates

    draw = graphs.choose_format(format)
    found = graphs.read(templates.read_folder(ROOT / "infrastructure" / "cloudformation"))
    return Answer(graphs.as_document(found), draw(found))


@operation(
    help={"check": "Write nothing; exit 1 when a page is not in step with the code."},
    common=("json",),
)
def docs(_target: Target, check: bool = False) -> Answer:
    """Docs: write the pages that are generated.

    inv docs
    inv docs --check
    """
    from manual import pages

    return pages.refresh(ROOT, describe_tasks(), check=check)


def describe_tasks() -> list[TaskEntry]:
    """Return every task of the collection as plain data, for the manual."""
    from manual.pages import Flag, TaskEntry

    entries = []
    for name in ns.task_names:
        flags = []
        for argument in ns[name].get_arguments():
            long, short = (*argument.names, "")[:2]
            takes_value = argument.kind is not bool
            shown = f"[no-]{long}" if argument.default is True else long
            default = str(argument.default or "") if takes_value else ""
            flags.append(Flag(shown, short, takes_value, default, argument.help or ""))
        summary = (ns[name].__doc__ or "").strip().splitlines()[0].rstrip(".")
        entries.append(TaskEntry(name, f"{summary}.", tuple(flags)))
    return entries


ns = Collection(
    validate_params,
    upload,
    deploy,
    deploy_multi_region,
    update,
    rollback,
    backup,
    restore,
    outputs,
    status,
    events,
    history,
    verify,
    prune,
    estimate,
    refresh_prices,
    costs,
    graph,
    docs,
)
ns.add_collection(
    Collection("local", start, stop, reset, status=operation(common=("json",))(local_status))
)
