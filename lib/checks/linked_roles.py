"""See to the roles that AWS's services keep for themselves in each account.

A service makes its role with the first resource that wants it. ECS asks for its role at once
and does not wait until it can be taken, so that the first cluster of an account fails, in
AWS's words: "Unable to assume the service linked role. Please verify that the ECS service linked
role exists." (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/818).
By then the tables and the user pool, which are retained, have been created.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling
from lib.checks.findings import (
    NOT_HERE,
    Readiness,
    RegionFinding,
    ask_patiently,
    missing,
    ready,
    unknown,
)
from lib.errors import AwsUnavailable, Declined, OperationFailed
from lib.operators import Level
from lib.refusals import error_code, error_message, explain, is_denied

if TYPE_CHECKING:
    from lib.access import Access
    from lib.templates.resolution import Resource

CHECK = "service-linked roles"

#: Seconds for a role that was made to be seen by all of AWS: IAM tells of a change at once
#: where it was made, and everywhere else "within a few seconds".
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
SETTLE = 15.0

#: Seconds after which a role that is still not seen is given up.
LONGEST = 60.0


@dataclass(frozen=True)
class LinkedRole:
    """A service's own role, by its name and by the service's."""

    name: str
    service: str

    @property
    def command(self) -> str:
        """Return how an administrator makes it."""
        return f"aws iam create-service-linked-role --aws-service-name {self.service}"


#: By the type of resource whose first creation fails without its role. API Gateway has one too
#: (ops.apigateway.amazonaws.com), for VPC links, load balancers and Firehose, which HTTP APIs
#: like ours do without; so has Application Auto Scaling, for tables whose capacity it
#: changes, and ours are billed by the request.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles-for-clusters.html
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
WANTED: Mapping[str, LinkedRole] = {
    "AWS::ECS::Cluster": LinkedRole("AWSServiceRoleForECS", "ecs.amazonaws.com"),
}


def list_wanted(resources: Sequence[Resource]) -> tuple[LinkedRole, ...]:
    """Return the roles that resources want, each once."""
    return tuple(dict.fromkeys(WANTED[r.type] for r in resources if r.type in WANTED))


def look(access: Access, roles: Sequence[LinkedRole]) -> tuple[RegionFinding, ...]:
    """Say of each role whether the account has it."""
    return tuple(_look_at(access, role) for role in roles)


def _look_at(access: Access, role: LinkedRole) -> RegionFinding:
    region, iam = access.aws.region, access.aws.client("iam")
    found, problem = ask_patiently(access, lambda: _exists(iam, role))
    if found is None:
        text = problem if problem == NOT_HERE else f"{role.name}: {problem}"
        return unknown(region, CHECK, text)
    if found:
        return ready(region, CHECK, f"{role.name} exists")
    return missing(
        region,
        CHECK,
        f"{role.name} does not exist; inv deploy offers to make it",
        role.command,
    )


def _exists(iam: Any, role: LinkedRole) -> bool:
    """Tell whether a role exists.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
    """
    try:
        iam.get_role(RoleName=role.name)
    except ClientError as exc:
        if error_code(exc) == "NoSuchEntity":
            return False
        raise
    return True


def list_absent(access: Access, roles: Sequence[LinkedRole]) -> tuple[LinkedRole, ...]:
    """Return the roles that the account lacks for certain; say which could not be looked for."""
    found = [(role, _look_at(access, role)) for role in roles]
    for _, one in found:
        if one.state is Readiness.UNKNOWN:
            access.say(f"Not checked: {one}", Level.WARNING)
    return tuple(role for role, one in found if one.state is Readiness.MISSING)


def make(access: Access, roles: Sequence[LinkedRole], stack: str) -> None:
    """Make roles that are absent, once it is agreed to, and wait until they can be taken.

    Raises `Declined` for a no, `AwsUnavailable` for want of the right, `OperationFailed` for a
    role that does not appear. Nothing else has been touched by then.
    """
    region = access.aws.region
    for role in roles:
        question = (
            f"{role.name} does not exist in this account, and the first creation of stack {stack} "
            f"in {region} fails without it. Make it?"
        )
        if not access.operator.confirm(question, "y"):
            raise Declined(
                f"Stack {stack} in {region} was not created: {role.name} does not exist.",
                next_step=role.command,
            )
        _create(access, role, stack)
        access.say(f"Made {role.name}; waiting until all of AWS knows it.")
        _wait_for(access, role, stack)


def _wait_for(access: Access, role: LinkedRole, stack: str) -> None:
    """Wait until IAM shows a role, and a little longer for the services that take it."""
    iam = access.aws.client("iam")
    seen = polling.until(lambda _waited: _exists(iam, role) or None, access.clock, longest=LONGEST)
    if not seen:
        raise OperationFailed(
            f"Stack {stack} in {access.aws.region} was not created: {role.name} was made, but IAM "
            f"does not show it after {LONGEST:g} s.",
            next_step=f"aws iam get-role --role-name {role.name}",
        )
    access.clock.sleep(SETTLE)


def _create(access: Access, role: LinkedRole, stack: str) -> None:
    """Make a role; one that somebody else has just made is as good.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html
    """
    region, iam = access.aws.region, access.aws.client("iam")
    try:
        iam.create_service_linked_role(AWSServiceName=role.service)
    except (BotoCoreError, ClientError) as exc:
        # Of a role that exists: "Service role name AWSServiceRoleForECS has been taken in this
        # account, please try a different suffix." (Rayraegah/terraform-aws-hasura#17)
        if error_code(exc) == "InvalidInput" and _exists(iam, role):
            return
        if is_denied(exc):
            raise AwsUnavailable(
                f"Stack {stack} in {region} was not created: {role.name} does not exist in this "
                f"account, and this identity may not make it: {error_message(exc)}",
                next_step=f"an administrator runs {role.command}",
            ) from exc
        raise explain(exc, region, stack) from exc
