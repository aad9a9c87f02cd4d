"""Refuse, before anything is executed, what AWS is known to fail at half way.

Only what can be named is refused: the resource, or the parameter, and AWS's own word for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.errors import StateForbids
from lib.operators import Level
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.deploy.review import Review
    from lib.stacks.stacks import Stack
    from lib.templates.changes import Change

_CIDR = "VpcCidr"
_GATEWAY_TYPE = "AWS::EC2::NatGateway"
_VPC_TYPE = "AWS::EC2::VPC"


def check(run: Run, stack: Stack | None, found: Review, *, disable_rollback: bool) -> None:
    """Raise `StateForbids` for an update that cannot succeed; in a preview only say so."""
    if stack is None:
        return
    problem = _find_replacement(run, stack, found, disable_rollback) or _find_new_network(
        run, stack, found
    )
    if problem is None:
        return
    if not run.options.preview:
        raise problem
    run.access.say(f"This would be refused: {problem.message}", Level.WARNING)


def _find_replacement(
    run: Run, stack: Stack, found: Review, disable_rollback: bool
) -> StateForbids | None:
    """Refuse replacements while rollback is disabled.

    CloudFormation ends such an update in UPDATE_FAILED: "Replacement type updates not supported
    on stack with disable-rollback."
    https://github.com/aws/aws-sam-cli/issues/4585
    """
    replaced = [change for change in found.changes if _replaces(change)]
    if not disable_rollback or not replaced or run.replays:
        return None
    names = ", ".join(_name(change) for change in replaced)
    paused = stack.status.is_paused
    state = f" is {stack.status}, so" if paused else ":"
    return StateForbids(
        f"Stack {stack.name} in {run.job.region}{state} rollback stays disabled for this update, "
        f"and CloudFormation then replaces nothing; this would replace {names}. "
        "Nothing was changed.",
        next_step=f"inv rollback {run.job.flags}, then the same command again"
        if paused
        else f"inv deploy {run.job.flags}, without --disable-rollback",
    )


def _replaces(change: Change) -> bool:
    """Tell whether a resource certainly is replaced; a Conditional one mostly is not."""
    certain = change.replacement == "True" or change.policy_action.startswith("ReplaceAnd")
    return change.action == "Modify" and certain and change.type != STACK_TYPE


def _name(change: Change) -> str:
    """Return a change's path with the properties behind it."""
    names = ", ".join(change.properties)
    return f"{change.path} ({names})" if names else change.path


def _find_new_network(run: Run, stack: Stack, found: Review) -> StateForbids | None:
    """Refuse another address range for a network that has a NAT gateway.

    It makes a new VPC, and CloudFormation moves the gateway's only address to the new one while
    the old one still holds it: the update fails and is rolled back.
    https://github.com/aws/aws-cdk/issues/18434
    """
    before, after = stack.parameters.get(_CIDR), run.values.get(_CIDR)
    if not before or after is None or before == after or found.before is None:
        return None
    gateways = [one for one in found.before.resources if one.type == _GATEWAY_TYPE]
    networks = [one for one in found.changes if one.type == _VPC_TYPE and _replaces(one)]
    if not gateways or not networks:
        return None
    return StateForbids(
        f"Stack {stack.name} in {run.job.region} has a NAT gateway ({gateways[0].path}), and with "
        f"one AWS cannot change {_CIDR} ({before} to {after}): {networks[0].path} would be "
        "replaced while the gateway holds its address. Nothing was changed.",
        next_step=f"put {_CIDR} back to {before}; or first set EnableNatGateway to false and "
        f"inv deploy {run.job.flags}, then change {_CIDR} and deploy, then set it back",
    )
