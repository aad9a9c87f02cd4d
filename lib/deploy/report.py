"""Tell people what a change would do, and what became of an operation on a stack."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lib.causes.evidence import draw as draw_evidence
from lib.deploy.change_list import count
from lib.drawing import draw_markdown, draw_table, escape_markdown
from lib.errors import InputError
from lib.stacks import statuses
from lib.stacks.statuses import Status
from lib.values import LONGEST_VALUE, cut_alike, narrow_texts

if TYPE_CHECKING:
    from lib.deploy.outcomes import Outcome
    from lib.stacks.obstacles import Obstacle
    from lib.templates.changes import Cause, Change


#: Lines of each piece of evidence at the end of a failure; `inv rescue.explain` shows all.
SHORT = 4


def describe_cause(cause: Cause) -> str:
    """Return what changed in a property."""
    if cause.before == cause.after:
        return cause.property
    narrowed = narrow_texts(cause.before, cause.after)
    before, after = cut_alike(*narrowed, LONGEST_VALUE)
    return f"{cause.property}: {before or '-'} → {after or '-'}"


def describe_failure(outcome: Outcome) -> str:
    """Say why a stack failed: cause first, then what AWS did about it."""
    failure = outcome.failure
    lines = [f"Stack {outcome.stack} in {outcome.region} failed ({outcome.status})."]
    if failure:
        where = f"{failure.path} ({failure.type}): " if failure.path else ""
        lines.append(f"  Cause: {where}{failure.reason or failure.status}")
    lines += [f"  {line}" for line in draw_evidence(outcome.evidence, lines=SHORT)]
    ending = statuses.describe_ending(Status(outcome.status))
    if ending:
        lines.append(f"  {ending}")
    lines += [f"  In the way: {describe_obstacle(one)}" for one in outcome.obstacles]
    return "\n".join(lines)


def describe_obstacle(one: Obstacle) -> str:
    """Say what is in the way, where, and why."""
    physical = f", {one.physical_id}" if one.physical_id else ""
    return f"{one.name} ({one.type}{physical}): {one.reason or one.status}"


_SUCCESSES = {
    "created": "was created",
    "updated": "was updated",
    "deleted": "was deleted",
    "rolled-back": "was rolled back",
}


def describe_success(outcome: Outcome) -> str:
    """Say what was done, or that nothing had to be."""
    where = f"Stack {outcome.stack} in {outcome.region}"
    release = f" (release {outcome.release})" if outcome.release else ""
    if outcome.preview:
        if outcome.besides and all(change.is_phantom for change in outcome.changes):
            found = len(outcome.besides)
            return f"{where}: no resource would change, {found} other things would{release}."
        if not outcome.changes:
            return f"{where} is up to date{release}."
        return f"{where}: {len(outcome.changes)} changes previewed, nothing executed{release}."
    if outcome.action == "unchanged":
        gone = outcome.status == Status.ABSENT
        return f"{where} does not exist." if gone else f"{where} is up to date{release}."
    done = _SUCCESSES.get(outcome.action, outcome.action)
    return f"{where} {done} in {outcome.seconds:.1f} s{release}."


def draw_summary(outcome: Outcome) -> str:
    """Return an outcome as Markdown: what was done or previewed, and each change in a table."""
    told = describe_failure(outcome) if outcome.failed else describe_success(outcome)
    first, *rest = (escape_markdown(line) for line in told.splitlines())
    parts = [f"### {first}", *rest]
    if outcome.changes:
        parts += [escape_markdown(count(outcome.changes)), draw_changes(outcome.changes)]
    return "\n\n".join(parts)


def draw_changes(changes: Sequence[Change]) -> str:
    """Return changes as a table of Markdown."""
    rows = [
        (
            change.path,
            change.type.removeprefix("AWS::"),
            change.action,
            change.replacement if change.action == "Modify" else "",
            "; ".join([*map(describe_cause, change.causes), *filter(None, [change.proof])]),
            change.verdict if change.data_loss != "none" else "",
        )
        for change in changes
    ]
    return draw_markdown(("Path", "Type", "Action", "Replaced", "Because of", "Data"), rows)


def draw_outputs(outputs: Mapping[str, str]) -> str:
    """Return outputs as a table for people, or "" when there are none."""
    if not outputs:
        return ""
    return draw_table(("Output", "Value"), sorted(outputs.items()), whole=("Value",))


def choose_format(name: str) -> Callable[[Mapping[str, str]], str]:
    """Return the function that writes outputs as a table, as JSON or as shell variables.

    Raises `InputError` for any other name.
    """
    if name not in _FORMATS:
        raise InputError(f"--format takes {', '.join(_FORMATS)}, not {name!r}.")
    return _FORMATS[name]


def _draw_json(outputs: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(outputs.items())), indent=2)


def _draw_variables(outputs: Mapping[str, str]) -> str:
    """Return one `NAME='value'` per line, quoted for a shell."""
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in sorted(outputs.items()))


_FORMATS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "table": draw_outputs,
    "json": _draw_json,
    "env": _draw_variables,
}
