"""Hold a plan: a change set that is kept, with all that was known when it was shown, as a file.

The file is JSON, as `docs/plan.schema.json` says. It carries its own digest, so that what was
approved and what is applied can be told to be the same; values of NoEcho parameters are masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import outside
from lib.data import loss
from lib.deploy.change_list import count, list_changes
from lib.deploy.report import draw_changes
from lib.document import as_document
from lib.drawing import draw_markdown, draw_report, escape_markdown, measure_width, wrap
from lib.errors import InputError, Refused
from lib.inputs import documents, parameters
from lib.inputs.jobs import Options
from lib.stacks.changesets import Proposal
from lib.stacks.statuses import Status
from lib.templates import templates
from lib.templates.changes import Cause, Change
from lib.values import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.deploy.change import Offer

#: The one that is written, and read.
FORMAT = 1

#: Hours for which a plan may be applied, unless it is said.
HOURS = 24
_HOURS_AT_MOST = 24 * 30


@dataclass(frozen=True)
class Cost:
    """The usual month in USD, as deployed and with the plan applied."""

    before: float
    after: float


@dataclass(frozen=True)
class PlanFile:
    """What is to be done to one stack, and the world that this was said of.

    `status`, `updated` and `deployed` are the stack's as it was seen: ABSENT, "" and nothing
    where there is none. `change_set` is "" where nothing would change. `rows` has a digest of
    each thing that the change set lists, `unchanged` the nested change sets that AWS did not make
    because nothing changes, by path. `backups` are the tables backed up first, by path,
    `consents` the paths whose data may be lost. A plan of several regions has each one's in
    `regions`, and is otherwise the first one's.
    """

    format: int
    digest: str
    account: str
    region: str
    stack: str
    stack_id: str
    environment: str
    status: str
    updated: str
    deployed: Mapping[str, str]
    release: str
    files: Mapping[str, str]
    commit: str
    change_set: str
    kind: str
    rows: Mapping[str, str]
    changes: tuple[Change, ...]
    besides: tuple[str, ...]
    consents: tuple[str, ...]
    backups: tuple[str, ...]
    cost: Cost | None
    parameters: Mapping[str, str]
    options: Mapping[str, bool] = field(default_factory=dict)
    created: str = ""
    expires: str = ""
    by: str = ""
    regions: tuple[PlanFile, ...] = ()
    unchanged: Mapping[str, str] = field(default_factory=dict)

    @property
    def proposal(self) -> Proposal:
        """Return the change set as it was asked for."""
        return Proposal(self.change_set, self.stack_id, self.kind)

    @property
    def changes_nothing(self) -> bool:
        """Tell whether the stack was up to date."""
        return not self.change_set

    @property
    def where(self) -> str:
        """Return the stack as messages name it."""
        return f"stack {self.stack} in {self.region}"


@dataclass(frozen=True)
class Discarded:
    """What became of a plan that is given up; `discarded` is False where nothing was left."""

    digest: str
    discarded: bool


#: The options that a plan keeps, of those that shape a change.
_OPTIONS = ("backup", "express", "disable_rollback", "revert_drift", "shallow")


def read_hours(text: str | None) -> timedelta:
    """Return for how long a plan may be applied, or raise `InputError`."""
    if text is None:
        return timedelta(hours=HOURS)
    if not text.isdecimal() or not 1 <= int(text) <= _HOURS_AT_MOST:
        raise InputError(f"--expires takes 1 to {_HOURS_AT_MOST} hours, not {text!r}.")
    return timedelta(hours=int(text))


def make(made: Offer, cost: Cost | None) -> PlanFile:
    """Return the plan of a change set that was made and shown."""
    run, found, stack = made.run, made.found, made.stack
    declared = run.job.templates[templates.MASTER].parameters
    identity = run.access.aws.identity()
    known = stack.updated or stack.created if stack else None
    plan = PlanFile(
        format=FORMAT,
        digest="",
        account=identity.account,
        region=run.job.region,
        stack=run.job.stack_name,
        stack_id=made.proposal.stack_id,
        environment=run.job.environment,
        status=stack.status if stack else Status.ABSENT,
        updated=known.isoformat() if known else "",
        deployed=parameters.mask_secrets(stack.parameters, declared) if stack else {},
        release=run.release.name,
        files=dict(run.release.checksums),
        commit=run.job.commit,
        change_set="" if found.changes_nothing else made.proposed.id,
        kind=made.kind,
        rows=digest_rows(made.proposed.changes),
        changes=() if found.changes_nothing else found.changes,
        besides=found.besides,
        consents=tuple(sorted(run.options.allow_data_loss)),
        backups=_list_backups(found.changes) if run.options.backup else (),
        cost=cost,
        parameters=parameters.mask_secrets(run.values, declared),
        options={name: getattr(run.options, name) for name in _OPTIONS},
        created=run.access.clock.now().isoformat(timespec="seconds"),
        expires=run.expires,
        by=identity.arn,
        unchanged=made.proposed.unchanged,
    )
    return replace(plan, digest=_digest(as_document(plan)))


def combine(made: Sequence[PlanFile]) -> PlanFile:
    """Return one plan of the plans of several regions, the canary's first; one stays as it is."""
    if len(made) == 1:
        return made[0]
    whole = replace(made[0], regions=tuple(made))
    return replace(whole, digest=_digest(as_document(whole)))


def _list_backups(changes: Sequence[Change]) -> tuple[str, ...]:
    names = set(loss.tables_at_risk(changes))
    return tuple(change.path for change in changes if change.physical_id in names)


def digest_rows(changes: Sequence[Change]) -> dict[str, str]:
    """Return a digest of what a change set says of each resource, by action and path."""
    return {
        f"{one.action} {one.path}": outside.digest(canonical(as_document(one)).encode())[:12]
        for one in changes
    }


def _digest(document: Mapping[str, Any]) -> str:
    """Return the digest of a plan's document, of all but the digest itself."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    return outside.digest(canonical(rest).encode())


def write(path: Path, plan: PlanFile) -> None:
    """Write a plan, or raise `InputError` for a path that cannot be written."""
    documents.write_text(path, json.dumps(as_document(plan), indent=2) + "\n")


def read(path: Path, *, expected: str | None = None) -> PlanFile:
    """Read a plan that is as it was written, and, with `expected`, has that digest.

    Raises `InputError` for what is no plan, and `Refused` for another one than is wanted.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise InputError(f"{path} cannot be read as a plan: {exc}", next_step=_MAKE) from None
    if not isinstance(document, dict) or "change_set" not in document:
        raise InputError(f"{path} is not a plan.", next_step=_MAKE)
    if document.get("format") != FORMAT:
        raise InputError(
            f"{path} is a plan of format {document.get('format')}; this edition reads {FORMAT}.",
            next_step="make the plan anew with this edition, or apply it with the one that made it",
        )
    actual = _digest(document)
    if document.get("digest") != actual:
        raise Refused(
            f"The plan {path} was edited: it says that its digest is {document.get('digest')}, but "
            f"its content comes to {actual}. Nothing was touched.",
            next_step=f"get the file again from where it was approved, or {_MAKE}",
        )
    if expected and expected.strip().lower() != actual:
        raise Refused(
            f"The plan {path} is not the one that was approved: its digest is {actual}, not "
            f"{expected}. Nothing was touched.",
            next_step=f"inv plan.show {path} shows what it would do",
        )
    return _parse(path, document)


_MAKE = "inv plan --out FILE makes one"


def _parse(path: Path, document: Mapping[str, Any]) -> PlanFile:
    try:
        # A plan of an earlier edition does not say what is unchanged; then all of it is read.
        said = {"unchanged": {}, **document}
        given = {one.name: said[one.name] for one in fields(PlanFile)}
        given["regions"] = tuple(_parse(path, one) for one in given["regions"])
        given["changes"] = tuple(map(read_change, given["changes"]))
        given |= {name: tuple(given[name]) for name in ("besides", "consents", "backups")}
        given["cost"] = Cost(**given["cost"]) if given["cost"] else None
        datetime.fromisoformat(given["expires"])
        return PlanFile(**given)
    except (KeyError, TypeError, ValueError) as exc:
        raise InputError(f"{path} is not a plan: {exc!r}.", next_step=_MAKE) from None


def read_change(document: Mapping[str, Any]) -> Change:
    """Read a change as far as it is shown; the guard judges it anew."""
    plain = {
        name: document[name]
        for name in (
            *("path", "type", "action", "replacement", "physical_id"),
            *("proof", "data_loss", "policy_action", "verdict"),
        )
    }
    causes = tuple(
        Cause(one["property"], one["before"], one["after"], follows=document["follows"])
        for one in document["details"]
    )
    return Change(causes=causes, **plain)


def read_options(plan: PlanFile) -> Options:
    """Return the options with which a plan is applied."""
    said = plan.options
    return Options(
        allow_data_loss=frozenset(plan.consents),
        backup=said["backup"],
        express=said["express"],
        disable_rollback=said["disable_rollback"],
        revert_drift=said["revert_drift"],
        shallow=said["shallow"],
    )


def draw(plan: PlanFile) -> str:
    """Return a plan as text for people."""
    if plan.regions:
        return "\n\n".join([*map(draw, plan.regions), f"All together {plan.digest}"])
    facts = draw_facts(plan)
    if not plan.changes:
        return facts
    return f"{facts}\n\n{draw_report(list_changes('Changes:', plan.changes))}"


def draw_facts(plan: PlanFile) -> str:
    """Return what there is to know of a plan but its changes, which its maker has just seen."""
    if plan.regions:
        return "\n\n".join([*map(draw_facts, plan.regions), f"All together {plan.digest}"])
    width = measure_width()
    lines = (wrap(f"{name:<12} {value}", width, hang=13) for name, value in _facts(plan))
    return "\n".join(line for found in lines for line in found)


def draw_summary(plan: PlanFile) -> str:
    """Return a plan as Markdown, for a pull request or the page beside a job."""
    if plan.regions:
        return "\n\n".join([*map(draw_summary, plan.regions), f"All together {plan.digest}"])
    parts = [
        f"### Plan for {escape_markdown(plan.where)}",
        draw_markdown(("", ""), list(_facts(plan))),
    ]
    if plan.changes:
        parts.append(draw_changes(plan.changes))
    return "\n\n".join(parts)


def _facts(plan: PlanFile) -> list[tuple[str, str]]:
    facts = [
        ("Stack", f"{plan.stack} in {plan.region}, account {plan.account}, {plan.status}"),
        ("Release", plan.release + (f", commit {plan.commit}" if plan.commit else "")),
        ("Changes", "none" if plan.changes_nothing else count(plan.changes)),
        ("Besides", ", ".join(plan.besides)),
        ("Data at risk", ", ".join(one.path for one in loss.at_risk(plan.changes))),
        ("Consents", ", ".join(plan.consents)),
        ("Backed up", ", ".join(plan.backups)),
        ("Cost", f"{plan.cost.before} to {plan.cost.after} USD a month" if plan.cost else ""),
        ("Made", f"{plan.created} by {plan.by}"),
        ("Expires", plan.expires),
        ("Digest", plan.digest),
    ]
    return [(name, value) for name, value in facts if value]


def choose_format(name: str) -> str:
    """Return the name of a form in which a plan is shown, or raise `InputError`."""
    if name not in ("text", "markdown", "json"):
        raise InputError(f"--format takes text, markdown or json, not {name!r}.")
    return name
