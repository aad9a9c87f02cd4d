"""Tell when a change set failed only because it was to look into nested stacks.

What a nested stack is given by another's output that is still to come reaches its change set as
`{{IntrinsicFunction:my-stack/Auth.Outputs.PoolArn/Fn::GetAtt}}`. Nobody documents it, and it is
held against patterns, types and the Parameter Store as if it were the value. A deployment
without nested change sets goes through, since by then the value is there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lib import polling
from lib.deploy.review import resolve_wanted
from lib.operators import Level
from lib.stacks import stacks
from lib.stacks.statuses import Status
from lib.templates.unknowns import has_unknown

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.stacks.previews import ChangeSet, Unmade
    from lib.templates.resolution import Tree

#: Seconds that the shell of a first change set is waited for until another may be made.
LONGEST_DELETION = 60.0

#: AWS names the placeholder itself: "Unable to fetch parameters [{{IntrinsicFunction:…}}] from
#: parameter store for this account.", "Usage of {{IntrinsicFunction:…}} is not allowed"
#: (https://github.com/aws-cloudformation/cfn-language-discussion/issues/152), and "Template
#: format error: duplicate Export names", of exports that all look like one placeholder.
_NAMED = ("{{IntrinsicFunction:", "duplicate Export names")

#: "Template error: Fn::Select cannot select nonexistent value at index 1", of a list that is
#: one placeholder (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759).
_SELECTED = re.compile(r"Fn::Select\s+cannot select nonexistent value")

#: "Each value of parameter 'PolicyArns' must match pattern arn:.+"
#: (https://github.com/aws-cloudformation/rain/issues/526), "Parameter Arn failed to satisfy
#: constraint: …", "Parameter validation failed: parameter value … for parameter name Subnets
#: does not exist", "Parameter 'Size' must be a number …".
_PARAMETER = re.compile(r"[Pp]arameter (?:name )?'?([A-Za-z0-9]+)'?")


class CannotLookInside(Exception):
    """A change set failed only because nested stacks were included; its text says over what."""


def require_inside(run: Run, proposed: ChangeSet) -> None:
    """Raise `CannotLookInside` for a change set that would be made without nested stacks.

    A parameter of a nested stack is only a reason if what it is given is not known before the
    deployment; a value that is wrong for good is refused with or without nested stacks.
    """
    if run.options.shallow or proposed.status != "FAILED" or not proposed.failures:
        return
    tree = resolve_wanted(run)
    if all(_is_about_placeholders(failed, tree) for failed in proposed.failures):
        raise CannotLookInside(str(proposed.failures[0]))


def _is_about_placeholders(failed: Unmade, tree: Tree) -> bool:
    """Tell whether one change set failed over a value that is not known yet."""
    if any(word in failed.reason for word in _NAMED) or _SELECTED.search(failed.reason):
        return True
    # AWS may not say which nested stack it was; then it is sought in all of them.
    inside = {path: values for path, values in tree.parameters.items() if path}
    asked = [inside[failed.path]] if failed.path in inside else list(inside.values())
    return any(
        has_unknown(values.get(name))
        for name in _PARAMETER.findall(failed.reason)
        for values in asked
    )


def go_shallow(run: Run, problem: CannotLookInside) -> Run:
    """Return a run that asks for the outer stack alone, once the operator knows why."""
    run.access.say(
        f"CloudFormation cannot look into the nested stacks of {run.job.stack_name} in "
        f"{run.job.region} before they are deployed: {problem}",
        Level.WARNING,
    )
    run.access.say("It is asked for the outer stack alone; what is inside is compared here.")
    _wait_for_shell(run)
    return replace(run, options=replace(run.options, shallow=True))


def _wait_for_shell(run: Run) -> None:
    """Wait until the shell of a creation that was discarded is gone: its name is needed."""

    def look(_waited: float) -> bool | None:
        found = stacks.describe(run.cfn, run.job.stack_name)
        return None if found and found.status == Status.DELETE_IN_PROGRESS else True

    polling.until(look, run.access.clock, longest=LONGEST_DELETION)
