"""Make every check of a first day in an account, and draw what they found as one table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import ClientError

from lib.checks import budget_owner, linked_roles, models, permissions, preflight, quotas
from lib.checks.findings import (
    NOT_HERE,
    Readiness,
    RegionFinding,
    ask_patiently,
    gather_unknown,
    missing,
    ready,
    unknown,
)
from lib.document import as_document, keys
from lib.drawing import draw_table
from lib.errors import OperationFailed
from lib.inputs import jobs
from lib.operators import Answer
from lib.parallel import side_by_side
from lib.refusals import error_code
from lib.stacks import stacks, statuses
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.checks.preflight import Look
    from lib.inputs.jobs import Job
    from lib.session import Aws
    from lib.stacks.stacks import Stack

#: Columns of a terminal that nobody has widened.
WIDTH = 80

#: Regions looked at side by side; each makes some dozens of calls.
_AT_ONCE = 4

#: What an emulator has no answer to, or one of its own making.
_OF_AWS_ALONE = (
    preflight.ENABLED,
    permissions.CHECK,
    linked_roles.CHECK,
    models.CHECK,
    "quotas",
)

#: In the order in which they are shown: what has to be done comes first.
_MARKS = {Readiness.MISSING: "✗", Readiness.UNKNOWN: "?", Readiness.READY: "✓"}


@dataclass(frozen=True)
class Preparedness:
    """What all checks of one environment found, in one region or in several."""

    environment: str
    findings: tuple[RegionFinding, ...]

    KEYS: ClassVar = keys("ready environment findings")

    @property
    def ready(self) -> bool:
        """Tell whether nothing is missing, as far as can be told."""
        return not self.list(Readiness.MISSING)

    def list(self, state: Readiness) -> Sequence[RegionFinding]:
        """Return the findings of one kind."""
        return [one for one in self.findings if one.state is state]


def survey(
    places: Sequence[tuple[Job, Access]],
    *,
    home: Aws | None,
    connect: Callable[[str], Aws],
    role_arn: str = "",
) -> Preparedness:
    """Make every check of an environment in some regions; nothing is changed.

    `home` is a region that answers for the account, None for the emulator, which has neither
    quotas nor regions that are off. `connect` opens another region; `role_arn` is the service
    role that CloudFormation will be given. Raises `InputError` for values that cannot be
    deployed and `AwsUnavailable` for credentials that cannot be used.
    """
    for job, _ in places:
        jobs.require_valid(job)
    named = [job for job, _ in places]
    found = [_identify(named, places[0][1]), *_find_disabled(named, home)]
    off = {one.region for one in found if one.stops}
    on = [place for place in places if place[0].region not in off]

    def look(place: tuple[Job, Access]) -> tuple[list[RegionFinding], Look]:
        job, access = place
        state, seen = _examine(job, access, emulated=home is None)
        rights = () if home is None else permissions.look(job, access, role_arn=role_arn)
        return [*state, _look_for_bucket(job, access), *seen.findings, *rights], seen

    looked = side_by_side(look, on, at_once=_AT_ONCE)
    found += [one for findings, _ in looked for one in findings]
    seen = [one for _, one in looked]
    if home is None:
        found += [unknown(job.region, check, NOT_HERE) for job in named for check in _OF_AWS_ALONE]
    elif seen:
        found += _measure(seen, home)
        found += linked_roles.look(on[0][1], linked_roles.list_wanted(seen[0].tree.resources))
    found.append(budget_owner.look(named, places[0][1], connect))
    return Preparedness(named[0].environment, gather_unknown(found))


def _identify(named: Sequence[Job], access: Access) -> RegionFinding:
    """Say who is calling, and whether the account is the one that is meant.

    Another account than `accounts.json` names has been refused by now.
    """
    who = access.aws.identity()
    text = f"account {who.account}, as {who.arn.split(':', 5)[-1]}"
    known = "" if named[0].account else ", and infrastructure/accounts.json names no other"
    return ready(",".join(job.region for job in named), "account", text + known)


def _find_disabled(named: Sequence[Job], home: Aws | None) -> Sequence[RegionFinding]:
    """Say which regions the account has not switched on."""
    if home is None:
        return ()
    regions = [job.region for job in named]
    found = preflight.find_disabled(home.client("ec2"), regions)
    told = {one.region for one in found}
    on = [ready(r, preflight.ENABLED, "switched on") for r in regions if r not in told]
    return [*found, *on]


def _examine(job: Job, access: Access, *, emulated: bool) -> tuple[list[RegionFinding], Look]:
    """Look at the stack's state without waiting for it, and at what depends on it."""
    cfn = access.aws.client("cloudformation")
    answer, problem = ask_patiently(access, lambda: [stacks.describe(cfn, job.stack_name)])
    if answer is None:
        unclear = Decision(Move.NOTHING, problem)
        seen = preflight.examine(job, access, None, unclear, emulated=emulated)
        return [unknown(job.region, "stack", problem)], seen
    decision = statuses.decide(Operation.DEPLOY, answer[0].status if answer[0] else Status.ABSENT)
    seen = preflight.examine(job, access, answer[0], decision, emulated=emulated)
    return [_describe_state(job, answer[0], decision)], seen


def _describe_state(job: Job, stack: Stack | None, decision: Decision) -> RegionFinding:
    """Say what a deployment would do to the stack as it is."""
    if stack is None:
        return ready(job.region, "stack", f"{job.stack_name} does not exist and can be created")
    text = f"{job.stack_name} is {stack.status}"
    if decision.move is Move.REFUSE:
        step = decision.next_step.format(target=job.flags)
        return missing(job.region, "stack", f"{text}: {decision.why}", step, stops=True)
    why = f": {decision.why}" if decision.why else " and can be updated"
    return ready(job.region, "stack", text + why)


def _look_for_bucket(job: Job, access: Access) -> RegionFinding:
    """Say whether templates can be published.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    owner, check = access.aws.identity().account, "templates bucket"
    bucket, s3 = jobs.bucket_of(job, owner), access.aws.client("s3")

    def exists() -> bool:
        try:
            s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
        except ClientError as exc:
            if error_code(exc) not in ("404", "NoSuchBucket"):
                raise
            return False
        return True

    found, problem = ask_patiently(access, exists)
    if found:
        return ready(job.region, check, f"{bucket} exists")
    if found is None:
        # A HEAD has no body: 403 is another account's bucket, or one that may not be looked at.
        return unknown(job.region, check, f"{bucket}: {problem}")
    if job.values.get("TemplatesBucketName"):
        text = f"{bucket}, which TemplatesBucketName names, does not exist"
        step = "make it, or leave TemplatesBucketName empty for a bucket of the tool's own"
        return missing(job.region, check, text, step, stops=True)
    return ready(job.region, check, f"{bucket} will be made by the first deployment")


def _measure(looks: Sequence[Look], home: Aws) -> Iterator[RegionFinding]:
    """Say of the quotas what is not said region by region: the roles', and which suffice."""
    added = {seen.region: seen.roles for seen in looks}
    row, found = quotas.measure_roles(home.client("iam"), added)
    yield from found
    if row and row.suffices:
        yield ready(row.region, "quotas", f"enough left of {row.name}")
    for seen in looks:
        enough = [one.name for one in seen.headroom if one.limit is not None and one.suffices]
        if enough:
            yield ready(seen.region, "quotas", f"enough left of {', '.join(enough)}")


def answer(found: Preparedness) -> Answer:
    """Tell what was found; exit 1 when something is missing."""
    code = 0 if found.ready else OperationFailed.exit_code
    return Answer(as_document(found), draw(found), code)


def draw(found: Preparedness) -> str:
    """Return the answer, a table of 80 columns, and what to do."""
    shown = [one for state in _MARKS for one in _merge(found.list(state))]
    several = len({one.region for one in shown}) > 1
    names = [_wrap(one.check, 20) + (f"\n{_fold(one.region)}" if several else "") for one in shown]
    width = max(len(line) for name in names for line in name.splitlines())
    rows = [
        (_MARKS[one.state], name, _wrap(one.message, WIDTH - width - len("--    ")))
        for one, name in zip(shown, names, strict=True)
    ]
    parts = [_conclude(found), draw_table(("", "Check", "Found"), rows)]
    steps = dict.fromkeys((one.check, one.next_step) for one in shown if one.next_step)
    if steps:
        parts.append("\n".join(["What to do:", *(_draw_step(*step) for step in steps)]))
    return "\n\n".join(parts)


def _conclude(found: Preparedness) -> str:
    """Give the answer in one line."""
    absent, unclear = (
        len(_merge(found.list(state))) for state in (Readiness.MISSING, Readiness.UNKNOWN)
    )
    told = f"{unclear} cannot be told" if unclear else "all could be told"
    if found.ready:
        return f"Ready to deploy {found.environment}: nothing is missing, {told}."
    return f"Not ready to deploy {found.environment}: {absent} missing, {told}."


def _merge(found: Sequence[RegionFinding]) -> list[RegionFinding]:
    """Make one finding of those that differ in nothing but the region."""
    merged: dict[RegionFinding, list[str]] = {}
    for one in found:
        merged.setdefault(replace(one, region=""), []).append(one.region)
    return [replace(one, region=",".join(regions)) for one, regions in merged.items()]


def _wrap(text: str, width: int) -> str:
    return textwrap.fill(" ".join(text.split()), width, break_on_hyphens=False)


def _fold(regions: str) -> str:
    """Write regions one below the other."""
    return regions.replace(",", "\n")


def _draw_step(check: str, step: str) -> str:
    """Return a step as a line of its own, or as several where it is longer; commands stay whole."""
    if step.startswith(("aws ", "inv ")):
        return f"- {check}:\n  {step}"
    return textwrap.fill(
        f"- {check}: {step}",
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
