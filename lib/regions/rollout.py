"""Deploy to many regions as safely as to one: check all, ask once, a canary, then the rest.

    check      every region, nothing is touched; whatever stops one stops all
    publish    the same release to a bucket in each region, linted once
    claim      the lock of every region; who waits for it does so before all else
    propose    a change set where a stack exists; all of them shown, then one question
    roll out   the first region alone; the others side by side when it is well
    report     every region's outcome, whatever became of the others

Each region is the work of one thread that runs the same workflow as `inv deploy`, and waits
where that would ask its question; what was shown is what is executed. AWS throttles by
account and region, so regions that each keep to the pace of one do not get in each other's
way.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

from lib.checks.preflight import Look
from lib.document import as_document
from lib.errors import AwsUnavailable, Declined, DeploymentError, InputError, Refused
from lib.operators import Level, Listing, Operator
from lib.polling import Clock
from lib.regions import handover, preparation
from lib.regions.desk import Desk
from lib.regions.plan import NotStarted, Plan, Rollout, Site
from lib.regions.report import conclude_region, describe, explain_end, went_wrong
from lib.regions.stacksets import ROLES
from lib.regions.turns import Turns
from lib.regions.work import Work
from lib.releases.releases import Published
from lib.stacks.statuses import Move
from lib.templates.templates import STACK_TYPE

_MOVES = {
    Move.CREATE: "create",
    Move.CREATE_BY_CHANGE_SET: "create",
    Move.REPLACE: "delete what is left and create again",
}


#: What carries a rollout out, for the person at a desk and with the work of each region.
Engine = Callable[[Desk, Work], Rollout]


def choose_engine(name: str, *, local: bool, role_arn: str | None = None) -> Engine:
    """Return what carries out a rollout: this machine, or CloudFormation StackSets.

    Raises `InputError` for any other name, for StackSets on the emulator, and for a service role
    with StackSets, which has roles of its own.
    """
    if name == "direct":
        return carry_out
    if name != "stacksets":
        raise InputError(f"--engine takes direct or stacksets, not {name!r}.")
    if local:
        raise InputError(
            "The emulator has no StackSets.", next_step="leave out --engine, or --local"
        )
    if role_arn:
        raise InputError(
            f"--role-arn is not for StackSets, whose stacks take the role {ROLES[1]}.",
            next_step="leave out --role-arn, or --engine",
        )
    return handover.carry_out


def deploy(
    sites: Sequence[Site],
    operator: Operator,
    plan: Plan,
    engine: Engine,
    *,
    draw: Callable[[Sequence[str]], None] | None = None,
) -> Rollout:
    """Create or update the stack in every region, the first one alone before the others.

    `draw` shows one line per region, over and over, where there is a terminal. Raises what
    stops all regions before the first is changed: `InputError`, `AwsUnavailable`, `Refused`
    and its kinds. From then on every region has an outcome.
    """
    with Desk(sites, operator, plan, Clock(), draw) as desk:
        return engine(desk, Work(desk))


def carry_out(desk: Desk, work: Work) -> Rollout:
    """Check, publish, propose everywhere, ask once, change the canary, then the rest."""
    preparation.claim_turns(desk, work, early=True)
    looks = preparation.check(desk, work)
    preparation.require_decided(desk, [r for r, look in looks.items() if look.creates])
    published = preparation.publish(desk, work)
    preparation.claim_turns(desk, work)
    for region in desk.sites:
        _begin(desk, work, looks[region], published[region])
    _propose(desk)
    turns = Turns(desk)
    with _telling_regions(desk, looks):
        _refuse_together(desk, turns)
    ready = turns.waiting()
    if ready and turns.must_stop():
        turns.hold_back(ready)
    elif ready and not _agreed(desk, looks, ready):
        for region in ready:
            desk.crew.answer(region, False)
        turns.until_ended()
        with _telling_regions(desk, looks):
            raise Declined("No region was changed.")
    else:
        turns.take()
    turns.until_ended()
    return _conclude(desk, turns, looks)


def _begin(desk: Desk, work: Work, look: Look, published: Published) -> None:
    """Start a region's thread; it comes to rest at its question."""
    region, line = look.region, desk.lines[look.region]
    line.state = "preparing"
    if look.creates:
        known = (r for r in look.tree.resources if r.type != STACK_TYPE and not r.condition)
        line.total = sum(1 for _ in known)
    desk.crew.start(region, functools.partial(work.deploy, region, look, published))


def _propose(desk: Desk) -> None:
    """Wait until every region waits for its turn or has ended, asking about data meanwhile.

    Questions about data come when all regions have shown what they would do.
    """
    while True:
        while any(map(desk.is_working, desk.sites)):
            desk.take()
        # One look takes one thing, and a thread may have shown several before it asked.
        desk.drain()
        risky = [
            region
            for region in desk.sites
            if (question := desk.crew.open_question(region)) and not question.is_ordinary
        ]
        if not risky:
            return
        for region in risky:
            desk.ask_about_data(region)


def _refuse_together(desk: Desk, turns: Turns) -> None:
    """Raise what a person has to decide first: one refusal holds up every region."""
    refusals = {
        region: end.error
        for region, end in desk.crew.ended.items()
        if isinstance(end.error, Refused | KeyboardInterrupt)
    }
    if not refusals:
        return
    for region in turns.waiting():
        desk.crew.answer(region, NotStarted("another region was refused"))
    turns.until_ended()
    desk.raise_all(refusals, "No region was changed.")


@contextlib.contextmanager
def _telling_regions(desk: Desk, looks: Mapping[str, Look]) -> Iterator[None]:
    """Have a refusal say what would have been changed in each region."""
    try:
        yield
    except DeploymentError as exc:
        found = [
            conclude_region(desk.sites[region].job, looks[region], end, 0)
            for region in desk.sites
            if (end := desk.crew.ended.get(region))
        ]
        exc.details = {**exc.details, "regions": as_document(found)}
        raise


def _agreed(desk: Desk, looks: Mapping[str, Look], ready: Sequence[str]) -> bool:
    """Ask the one question for all regions; where all are new there is nothing to ask."""
    rows = [(region, _describe_move(desk, looks[region])) for region in desk.sites]
    title = f"Release {desk.release.name}, {ready[0]} first:"
    desk.operator.report(Listing(title, ("Region", "What happens"), rows))
    if all(looks[region].decision.move is Move.CREATE for region in ready):
        return True
    return desk.operator.confirm(f"Deploy to {', '.join(ready)}?", "y")


def _describe_move(desk: Desk, look: Look) -> str:
    end = desk.crew.ended.get(look.region)
    if end is not None and went_wrong(end) and end.error is None:
        return "nothing: up to date, but its verification failed"
    if end is not None:
        return "nothing: up to date" if end.error is None else f"nothing: {end.error}"
    return _MOVES.get(look.decision.move, "update")


def _conclude(desk: Desk, turns: Turns, looks: Mapping[str, Look]) -> Rollout:
    """Return every region's outcome; a bug in one of them is raised once all are told."""
    ended, now = desk.crew.ended, desk.clock.monotonic()
    found = [
        conclude_region(site.job, looks[region], ended[region], desk.lines[region].seconds(now))
        for region, site in desk.sites.items()
    ]
    errors = {
        region: explain_end(end.error, desk.sites[region].job)
        for region, end in ended.items()
        if end.error
    }
    bugs = [ended[region].error for region, error in errors.items() if error is None]
    if bugs and bugs[0]:
        for outcome in found:
            desk.say(describe(outcome), Level.ERROR if outcome.failed else Level.DONE)
        raise bugs[0]
    wrong = [errors.get(region) for region, end in ended.items() if went_wrong(end)]
    unavailable = bool(wrong) and all(isinstance(error, AwsUnavailable) for error in wrong)
    return Rollout(desk.release.name, tuple(found), turns.interrupted, unavailable)
