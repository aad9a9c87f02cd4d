"""Deploy to many regions as safely as to one: check all, ask once, a canary, then the rest.

    check      every region, nothing is touched; whatever stops one stops all
    publish    the same release to a bucket in each region, linted once
    propose    a change set where a stack exists; all of them shown, then one question
    roll out   the first region alone; the others side by side when it is well
    report     every region's outcome, whatever became of the others

Each region is the work of one thread that runs the same workflow as `inv deploy`, and waits
where that would ask its question; what was shown is what is executed. AWS throttles by
account and region, so regions that each keep to the pace of one do not get in each other's
way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lib.access import Access
from lib.checks import preflight, quotas, verification
from lib.deploy import change, publishing
from lib.deploy.outcomes import Outcome
from lib.drawing import draw_elapsed, draw_table
from lib.errors import (
    AwsUnavailable,
    Declined,
    DeploymentError,
    NotOurs,
    Refused,
    TemplateError,
)
from lib.inputs import jobs, parameters
from lib.operators import Level, Listing, Note, Operator, Progress, ResourceProgress
from lib.polling import Clock
from lib.refusals import explain_error
from lib.regions.crews import Crew, Ended
from lib.regions.plan import NotStarted, OnFailure, Plan, Rollout, Site, require_one_release
from lib.regions.report import combine, describe, list_parameters
from lib.releases import releases
from lib.stacks.events import Failure
from lib.stacks.statuses import Move, Status
from lib.templates import linting
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.checks.preflight import Look
    from lib.inputs.jobs import Job, Options
    from lib.releases.releases import Published, Release

#: How often the live view moves on when nothing is reported, seconds.
TICK = 0.5

#: The longest name of a region in use, ap-southeast-1.
_NAME_WIDTH = 14

#: How long an interrupted run waits for its threads to discard their change sets, seconds.
_LONGEST_CLEANUP = 15.0

_MOVES = {
    Move.CREATE: "create",
    Move.CREATE_BY_CHANGE_SET: "create",
    Move.REPLACE: "delete what is left and create again",
}


def deploy(
    sites: Sequence[Site],
    operator: Operator,
    plan: Plan,
    *,
    clock: Clock | None = None,
    draw: Callable[[Sequence[str]], None] | None = None,
) -> Rollout:
    """Create or update the stack in every region, the first one alone before the others.

    `draw` shows one line per region, over and over, where there is a terminal. Raises what
    stops all regions before the first is changed: `InputError`, `AwsUnavailable`, `Refused`
    and its kinds. From then on every region has an outcome.
    """
    desk = Desk(sites, operator, plan, clock or Clock(), draw)
    try:
        desk.check()
        desk.publish()
        return desk.roll_out()
    except BaseException:
        # Whatever ends this early, no thread may go on to change a region.
        desk.abandon()
        raise


@dataclass
class _Line:
    """What the live view shows of one region."""

    state: str = "waiting"
    total: int = 0
    started: float = 0.0
    ended: float | None = None
    resources: dict[str, str] = field(default_factory=dict)

    def note(self, event: ResourceProgress) -> None:
        """Take in one event of the stack or of a resource in it."""
        if event.type != STACK_TYPE:
            self.resources[event.path] = event.status
        elif not event.path:
            self.state = event.status

    def text(self, region: str, now: float) -> str:
        """Return the line: region, state, resources that are done, time."""
        done = sum(status.endswith("_COMPLETE") for status in self.resources.values())
        known = max(self.total, len(self.resources))
        counted = f"{done}/{known} resources" if known else ""
        elapsed = draw_elapsed((self.ended or now) - self.started) if self.started else ""
        return f"{region:<{_NAME_WIDTH}}  {self.state:<28}  {counted:<18}  {elapsed:>6}".rstrip()


class Desk:
    """The person's side of a rollout: shows, asks, and lets regions go when it is their turn.

    Lives in the thread that owns the console; everything it knows of the others comes
    through the crew.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        operator: Operator,
        plan: Plan,
        clock: Clock,
        draw: Callable[[Sequence[str]], None] | None,
    ) -> None:
        self.sites = {site.job.region: site for site in sites}
        self.operator = operator
        self.plan = plan
        self.clock = clock
        self.draw = draw
        self.crew = Crew(clock)
        self.access = {
            region: Access(site.aws, self.crew.operator(region), self.crew.clock(region))
            for region, site in self.sites.items()
        }
        self.release = require_one_release(sites)
        self.looks: dict[str, Look] = {}
        self.published: dict[str, Published] = {}
        self.lines = {region: _Line() for region in self.sites}
        self.started: list[str] = []
        self._presses = 0
        self._told = False

    def abandon(self) -> None:
        """Stop every thread, giving those with a change set the time to discard it."""
        self.crew.leave()
        started = self.clock.monotonic()
        while self.crew.busy() and self.clock.monotonic() - started < _LONGEST_CLEANUP:
            self.crew.take(TICK)

    # --- before anything is changed

    def check(self) -> None:
        """Look at every region, and raise one error with everything that stops any of them."""
        self._say(f"Checking {len(self.sites)} regions.")
        found = list(self._find_disabled())
        off = {finding.region for finding in found if finding.severity == parameters.ERROR}
        names = [region for region in self.sites if region not in off]
        looked = self._work_on(names, self._look)
        errors = {region: end.error for region, end in looked.items() if end.error}
        self.looks = {region: end.result for region, end in looked.items() if not end.error}
        for one in self.looks.values():
            found += one.findings
        found += self._measure_roles()
        rows = [row for one in self.looks.values() for row in one.headroom]
        if rows:
            self.operator.report(quotas.list_headroom(rows))
        for finding in found:
            if finding.severity == parameters.ERROR:
                errors.setdefault(finding.region, Refused(finding.message))
            else:
                self._say(f"{finding.region}: {finding.message}", Level.WARNING)
        self._raise_all(errors, "No region was touched.")
        self._require_one_account()
        if self.plan.options.preview:
            self.operator.report(list_parameters(list(self.sites.values())))

    def _find_disabled(self) -> Sequence[quotas.RegionFinding]:
        """Return what the account says of the regions, where it can be asked."""
        if self.plan.home is None:
            self._say("Quotas and enabled regions are not checked on the emulator: it has neither.")
            return ()
        return preflight.find_disabled(self.plan.home.client("ec2"), list(self.sites))

    def _look(self, region: str) -> Look:
        """Look at one region, in its thread."""
        job, access = self.sites[region].job, self.access[region]
        return preflight.look(job, access, quotas=self.plan.home is not None)

    def _measure_roles(self) -> Sequence[quotas.RegionFinding]:
        """Hold all regions' roles against the account's quota."""
        if self.plan.home is None:
            return ()
        added = {region: look.roles for region, look in self.looks.items()}
        _, findings = quotas.measure_roles(self.plan.home.client("iam"), added)
        return findings

    def _require_one_account(self) -> None:
        """Refuse credentials that mean another account in another region."""
        accounts = {region: look.account for region, look in self.looks.items()}
        if len(set(accounts.values())) > 1:
            named = ", ".join(f"{account} in {region}" for region, account in accounts.items())
            raise NotOurs(
                f"The credentials belong to several accounts: {named}. Nothing was touched.",
                next_step="use one profile that is the same account everywhere",
            )

    def publish(self) -> None:
        """Publish the release in every region; lint it once for all of them."""
        names = list(self.sites)
        listed = self._work_on(names, self._list_new)
        self._raise_all(_errors_of(listed), "Nothing was published.")
        new = sorted({name for end in listed.values() for name in end.result})
        if new:
            self._lint(new)
        done = self._work_on(names, self._publish)
        self._raise_all(_errors_of(done), "No stack was touched.")
        for region, end in done.items():
            release, self.published[region] = end.result
            if release.digest != self.release.digest:
                raise TemplateError(
                    f"{region} got release {release.name}, not {self.release.name}.",
                    next_step="run the same command again",
                )

    def _list_new(self, region: str) -> list[str]:
        """Return the templates that a region's bucket has never held."""
        site, access = self.sites[region], self.access[region]
        owner = access.aws.identity().account
        bucket = jobs.bucket_of(site.job, owner)
        s3 = access.aws.client("s3")
        if releases.find(s3, bucket, self.release.name, owner=owner):
            return []
        published = releases.list_published(s3, bucket, owner=owner)
        return [file.name for file in self.release.files if file.key not in published]

    def _lint(self, names: Sequence[str]) -> None:
        """Lint what is new anywhere, for every region that gets it."""
        job = next(iter(self.sites.values())).job
        findings = linting.lint_once(
            [job.folder / name for name in names],
            regions=list(self.sites),
            folder=job.folder,
            memory=job.lint_memory,
            say=self._say,
        )
        if findings:
            raise TemplateError("Nothing was published: cfn-lint found", problems=findings)

    def _publish(self, region: str) -> tuple[Release, Published]:
        """Publish in one region, in its thread."""
        linted = frozenset(file.key for file in self.release.files)
        return publishing.publish(self.sites[region].job, self.access[region], linted=linted)

    # --- proposing and asking

    def roll_out(self) -> Rollout:
        """Propose everywhere, ask once, change the canary, then the rest."""
        for region in self.sites:
            self._begin(region)
        self._propose()
        self._refuse_together()
        ready = self._ready()
        if ready and self._must_stop():
            self._hold_back(ready)
        elif ready and not self._agreed(ready):
            for region in ready:
                self.crew.answer(region, False)
            self._until_ended(self.sites)
            raise Declined("No region was changed.")
        else:
            self._turn_by_turn(ready)
        self._until_ended(self.sites)
        return self._conclude()

    def _begin(self, region: str) -> None:
        """Start a region's thread; it comes to rest at its question."""
        line, look = self.lines[region], self.looks[region]
        line.state = "preparing"
        if look.creates:
            known = (r for r in look.tree.resources if r.type != STACK_TYPE and not r.condition)
            line.total = sum(1 for _ in known)
        self.crew.start(region, functools.partial(self._deploy, region))

    def _deploy(self, region: str) -> Outcome:
        """Deploy one region, in its thread."""
        job, access, look = self.sites[region].job, self.access[region], self.looks[region]
        consents = self.plan.consents.get(region, frozenset())
        options = replace(self.plan.options, allow_data_loss=consents)
        published = self.published[region]
        values = jobs.fill_in(job, published.bucket)
        run = change.Run(job, access, options, self.release, published, values)
        # A creation asks nothing by itself, but here it has to wait for its turn.
        turn = f"Create stack {job.stack_name} in {region}?"
        if (
            look.decision.move is Move.CREATE
            and not options.preview
            and not access.operator.confirm(turn, "y")
        ):
            raise Declined(f"Stack {job.stack_name} in {region} was not created.")
        outcome = run.proceed(look.stack, look.decision)
        return self._verify(job, access, outcome, options) if self.plan.verify else outcome

    def _verify(self, job: Job, access: Access, outcome: Outcome, options: Options) -> Outcome:
        """Check what a region's deployment left; a canary that does not answer has failed."""
        found = verification.follow_up(job, access, options) if outcome.is_deployed else None
        if found is None or found.passed:
            return outcome
        reasons = "; ".join(f"{c.name}: {c.detail}" for c in found.checks if not c.passed)
        failure = Failure("", "", STACK_TYPE, outcome.status, f"deployed, but {reasons}")
        next_step = f"inv verify {job.flags}"
        return replace(outcome, action="failed", failure=failure, next_step=next_step)

    def _propose(self) -> None:
        """Wait until every region waits for its turn or has ended, asking about data meanwhile.

        Questions about data come when all regions have shown what they would do.
        """
        while True:
            while any(self._is_working(region) for region in self.sites):
                self._take()
            risky = [
                region
                for region in self.sites
                if (question := self.crew.open_question(region)) and not question.is_ordinary
            ]
            if not risky:
                return
            for region in risky:
                self._ask_about_data(region)

    def _is_working(self, region: str) -> bool:
        """Tell whether a region's thread neither waits for an answer nor has ended."""
        return region not in self.crew.ended and self.crew.open_question(region) is None

    def _ask_about_data(self, region: str) -> None:
        """Ask for one consent that no flag gave; it is given by typing region and path."""
        question = self.crew.open_question(region)
        if question is None:
            return
        said: bool | BaseException
        try:
            said = self.operator.confirm(f"{region}: {question.text}", f"{region}:{question.word}")
        except Refused as exc:
            said = exc
        self.crew.answer(region, said)

    def _refuse_together(self) -> None:
        """Raise what a person has to decide first: one refusal holds up every region."""
        refusals = {
            region: end.error
            for region, end in self.crew.ended.items()
            if isinstance(end.error, Refused | KeyboardInterrupt)
        }
        if not refusals:
            return
        for region in self._ready():
            self.crew.answer(region, NotStarted("another region was refused"))
        self._until_ended(self.sites)
        self._raise_all(refusals, "No region was changed.")

    def _ready(self) -> list[str]:
        """Return the regions that wait for their turn."""
        return [region for region in self.sites if self.crew.open_question(region)]

    def _must_stop(self) -> bool:
        """Tell whether no further region may be started."""
        if self.interrupted:
            return True
        if self.plan.on_failure is OnFailure.CONTINUE:
            return False
        return any(map(_went_wrong, list(self.crew.ended.values())))

    def _agreed(self, ready: Sequence[str]) -> bool:
        """Ask the one question for all regions; where all are new there is nothing to ask."""
        rows = [(region, self._describe_move(region)) for region in self.sites]
        title = f"Release {self.release.name}, {ready[0]} first:"
        self.operator.report(Listing(title, ("Region", "What happens"), rows))
        if all(self.looks[region].decision.move is Move.CREATE for region in ready):
            return True
        return self.operator.confirm(f"Deploy to {', '.join(ready)}?", "y")

    def _describe_move(self, region: str) -> str:
        """Say what is about to happen to a region."""
        end = self.crew.ended.get(region)
        if end is not None:
            return "nothing: up to date" if end.error is None else f"nothing: {end.error}"
        return _MOVES.get(self.looks[region].decision.move, "update")

    # --- rolling out

    def _turn_by_turn(self, ready: Sequence[str]) -> None:
        """Let the canary go, and the others when it has ended well."""
        limit = 1
        while self._waiting(ready) or self._running():
            try:
                self._heed_interrupts()
                if self._must_stop():
                    self._hold_back(self._waiting(ready))
                while self._waiting(ready) and len(self._running()) < limit:
                    self._let_go(self._waiting(ready)[0])
                self._take()
            except KeyboardInterrupt:
                self._presses += 1
            if not self._running():
                limit = self.plan.concurrency or len(self.sites)

    def _waiting(self, ready: Sequence[str]) -> list[str]:
        """Return the regions whose turn has not come."""
        return [
            region
            for region in ready
            if region not in self.started and self.crew.open_question(region)
        ]

    def _running(self) -> list[str]:
        """Return the regions that are being changed."""
        return [region for region in self.started if region not in self.crew.ended]

    def _let_go(self, region: str) -> None:
        """Start to change a region."""
        self.lines[region].started = self.clock.monotonic()
        self.lines[region].state = "starting"
        self.started.append(region)
        self.crew.answer(region, True)
        self._say(f"{region}: started.")

    def _hold_back(self, regions: Sequence[str]) -> None:
        """Let regions end whose turn will not come; their change sets are discarded."""
        failed = [name for name, end in list(self.crew.ended.items()) if _went_wrong(end)]
        why = f"{', '.join(failed)} failed" if failed else "the rollout was interrupted"
        for region in regions:
            self.lines[region].state = "not started"
            held = NotStarted(f"not started, because {why}", next_step="run the same command again")
            self.crew.answer(region, held)

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C was pressed since the first region was let go."""
        return self._presses > 0

    def _heed_interrupts(self) -> None:
        """Stop starting at the first Ctrl-C; at the second leave everything to AWS.

        Where it is caught it is only counted: one that comes while the other is being
        answered must not escape.
        """
        if self._presses > 1:
            self._hold_back(self._waiting(list(self.sites)))
            self.crew.leave()
        if self.interrupted and not self._told:
            self._told = True
            running = ", ".join(self._running()) or "nothing"
            self._say(
                f"Interrupted: no further region is started. Following {running}; "
                "press Ctrl-C again to leave, AWS goes on.",
                Level.WARNING,
            )

    def _until_ended(self, regions: Mapping[str, Site]) -> None:
        """Wait until the given regions' threads have ended."""
        while any(region not in self.crew.ended for region in regions):
            try:
                self._heed_interrupts()
                self._take()
            except KeyboardInterrupt:
                self._presses += 1
        self._drain()
        self._redraw()

    # --- what threads say

    def _work_on(self, names: Sequence[str], work: Callable[[str], Any]) -> dict[str, Ended]:
        """Do one thing in several regions at once and return how each ended."""
        for name in names:
            self.crew.start(name, functools.partial(work, name))
        while any(name not in self.crew.ended for name in names):
            self._take()
        self._drain()
        return {name: self.crew.ended[name] for name in names}

    def _take(self) -> None:
        """Show one thing that a thread reports, refuse what nobody may ask any more, redraw."""
        self._show(self.crew.take(TICK))
        for region in self.started:
            question = self.crew.open_question(region)
            if question:
                self.crew.answer(region, _too_late(region, question.text))
        self._redraw()

    def _drain(self) -> None:
        """Show what is left in the mailbox."""
        for said in self.crew.take_rest():
            self._show(said)

    def _show(self, said: tuple[str, Progress] | None) -> None:
        """Show what a region reports: its line on a terminal, prefixed lines elsewhere."""
        if said is None:
            return
        region, progress = said
        self._log(region, progress)
        if isinstance(progress, ResourceProgress):
            self.lines[region].note(progress)
            failed = progress.status.endswith("_FAILED")
            if failed or self.draw is None:
                level = Level.ERROR if failed else Level.INFO
                self._prefix(region, draw_event(progress), level)
        elif isinstance(progress, Note):
            self._prefix(region, progress.text, progress.level)
        else:
            self.operator.report(progress)

    def _prefix(self, region: str, text: str, level: Level) -> None:
        """Report a line with its region in front."""
        self.operator.report(Note(f"{region:<{_NAME_WIDTH}} | {text}", level))

    def _say(self, text: str, level: Level = Level.INFO) -> None:
        """Report a sentence about the rollout as a whole."""
        self.operator.report(Note(text, level))

    def _redraw(self) -> None:
        """Draw one line per region, where there is something to draw on."""
        if self.draw is None or not self.started:
            return
        now = self.clock.monotonic()
        for region, line in self.lines.items():
            if region in self.crew.ended and line.ended is None:
                line.ended = now
                line.state = _state_after(self.crew.ended[region])
        self.draw([line.text(region, now) for region, line in self.lines.items()])

    def _log(self, region: str, progress: Progress) -> None:
        """Add what a region reports to its log file."""
        folder = self.plan.log_folder
        if folder is None:
            return
        text = f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ} {as_text(progress)}\n"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{region}.log").open("a", encoding="utf-8") as log:
                log.write(text)
        except OSError as exc:
            # A full disk must not end a rollout.
            self.plan = replace(self.plan, log_folder=None)
            self._say(f"No log is written any more: {exc}.", Level.WARNING)

    # --- the end

    def _raise_all(self, errors: Mapping[str, BaseException | None], title: str) -> None:
        """Raise one error for everything that stops any region; a bug is raised as it is."""
        explained: dict[str, DeploymentError] = {}
        for region, error in errors.items():
            if error is None:
                continue
            ours = explain_error(error, region, self.sites[region].job.stack_name)
            if ours is None:
                raise error
            explained[region] = ours
        if explained:
            raise combine(explained, title)

    def _conclude(self) -> Rollout:
        """Return every region's outcome; a bug in one of them is raised once all are told."""
        found = [self._outcome_of(region) for region in self.sites]
        bugs = [
            end.error
            for region, end in self.crew.ended.items()
            if end.error and explain_error(end.error, region, "") is None
        ]
        if bugs:
            for outcome in found:
                self._say(describe(outcome), Level.ERROR if outcome.failed else Level.DONE)
            raise bugs[0]
        errors = [end.error for end in self.crew.ended.values() if _went_wrong(end)]
        unavailable = bool(errors) and all(
            error is not None and isinstance(explain_error(error, "", ""), AwsUnavailable)
            for error in errors
        )
        return Rollout(self.release.name, tuple(found), self.interrupted, unavailable)

    def _outcome_of(self, region: str) -> Outcome:
        """Return what became of one region."""
        end, line = self.crew.ended[region], self.lines[region]
        seconds = (line.ended or self.clock.monotonic()) - line.started if line.started else 0.0
        if isinstance(end.result, Outcome):
            return replace(end.result, seconds=round(seconds, 2))
        job, look = self.sites[region].job, self.looks[region]
        error = explain_error(end.error, region, job.stack_name) if end.error else None
        message = error.message if error else repr(end.error)
        return Outcome(
            "declined" if isinstance(error, Refused) else "failed",
            job.stack_name,
            look.stack.id if look.stack else "",
            region,
            job.environment,
            look.stack.status if look.stack else Status.ABSENT,
            "",
            outputs=look.stack.outputs if look.stack else {},
            failure=Failure("", "", "", "", message),
            next_step=(error.next_step if error else "") or f"inv deploy {job.flags}",
            seconds=round(seconds, 2),
        )


def _errors_of(ended: Mapping[str, Ended]) -> dict[str, BaseException | None]:
    """Return what ended each piece of work."""
    return {name: end.error for name, end in ended.items()}


def _went_wrong(end: Ended) -> bool:
    """Tell whether a region ended otherwise than asked, not counting one never started."""
    if isinstance(end.result, Outcome):
        return end.result.failed
    return not isinstance(end.error, NotStarted)


def _state_after(end: Ended) -> str:
    """Return what the live view shows of a region that has ended."""
    if isinstance(end.result, Outcome):
        return f"{end.result.action} {end.result.status}".upper()
    return "NOT STARTED" if isinstance(end.error, NotStarted) else "FAILED"


def _too_late(region: str, question: str) -> Refused:
    """Refuse a question that came up after everything had been asked."""
    return Refused(
        f"{region} is no longer as it was shown, so it was not changed further: {question}",
        next_step="run the same command again to see what would change now",
    )


def draw_event(event: ResourceProgress) -> str:
    """Return a stack event as one line."""
    kind = event.type.removeprefix("AWS::").replace("::", " ")
    reason = f"  {' '.join(event.reason.split())}" if event.reason else ""
    path = event.path or "(stack)"
    return f"{draw_elapsed(event.elapsed):>6}  {event.status:<20} {path}  {kind}{reason}"


def as_text(progress: Progress) -> str:
    """Return anything that is reported as text for a log."""
    if isinstance(progress, Note):
        return f"{progress.level.value}: {progress.text}"
    if isinstance(progress, ResourceProgress):
        return draw_event(progress)
    return f"{progress.title}\n{draw_table(progress.columns, progress.rows)}"
