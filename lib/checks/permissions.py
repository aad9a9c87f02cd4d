"""Ask IAM whether the caller may do what the tasks will call.

The list of actions stands in the two roles under `infrastructure/cloudformation`, which tests
hold equal to the code's own calls and to what the resources need. Whoever has no service role
to hand to CloudFormation needs the rights of both, since CloudFormation then acts in the
caller's name.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.checks.findings import (
    NOT_HERE,
    RegionFinding,
    ask_patiently,
    missing,
    ready,
    unknown,
)
from lib.errors import TemplateError
from lib.parallel import side_by_side
from lib.stacks import deployed
from lib.templates import resolution

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job

CHECK = "permissions"

DEPLOY_ROLE = "deploy-role.yaml"
SERVICE_ROLE = "service-role.yaml"

#: Simulations under way at once; IAM's calls share a small budget per account.
_AT_ONCE = 4

#: Actions named in one sentence; the templates of the roles have them all.
_NAMED = 6

#: What the calls will bring along, for policies that ask for it: a role is handed to
#: CloudFormation, a release is never written over, ECS's own role is the one that is made.
_CONTEXT: Mapping[str, str] = {
    "iam:PassedToService": "cloudformation.amazonaws.com",
    "iam:AWSServiceName": "ecs.amazonaws.com",
    "s3:if-none-match": "*",
}

_ASSUMED = re.compile(
    r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/"
)


@dataclass(frozen=True)
class Right:
    """Actions that a role gives on some resources; none named stands for all."""

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdicts:
    """What the simulations came to, by action; `problem` is why one was not made."""

    denied: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    unclear: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    problem: str = ""


def look(job: Job, access: Access, *, role_arn: str = "") -> tuple[RegionFinding, ...]:
    """Say whether the caller's policies allow what the tasks call, in one region.

    `role_arn` is the service role that CloudFormation is given, if any. The simulation knows
    the caller's policies, boundary and the organization's service control policies; it does
    not know session policies, nor policies of the resources. Where a policy's conditions ask
    for what cannot be foreseen here, the action counts as unclear and not as denied.
    """
    region = job.region
    if DEPLOY_ROLE not in job.templates or SERVICE_ROLE not in job.templates:
        text = f"{DEPLOY_ROLE} and {SERVICE_ROLE}, which list the rights, are not in {job.folder}"
        return (unknown(region, CHECK, text),)
    try:
        rights = list_rights(job, access, role_arn=role_arn)
    except TemplateError as exc:
        return (unknown(region, CHECK, exc.message),)
    principal, problem = _find_principal(access)
    if not principal:
        return (unknown(region, CHECK, problem),)
    answers = side_by_side(
        lambda right: _simulate(access, principal, right), rights, at_once=_AT_ONCE
    )
    return tuple(_conclude(region, principal, _join(answers)))


def list_rights(job: Job, access: Access, *, role_arn: str = "") -> tuple[Right, ...]:
    """Return what the roles' templates grant for a job, each on resources of this region.

    Raises `TemplateError` for a role whose template cannot be evaluated.
    """
    names = [DEPLOY_ROLE] if role_arn else [DEPLOY_ROLE, SERVICE_ROLE]
    values = {"EnvironmentName": job.environment, "Access": "deploy", "ServiceRoleArn": role_arn}
    values["LambdaCodeBucket"] = job.values.get("LambdaCodeBucket", "")
    found: dict[Right, None] = {}
    for name in names:
        tree = deployed.resolve_for(job, access, job.templates, values, master=name)
        found |= dict.fromkeys(_rights_of(tree, job))
    return tuple(found)


def _rights_of(tree: resolution.Tree, job: Job) -> Iterator[Right]:
    """Yield the rights in a role's policies, as far as a simulation takes them."""
    for resource in tree.resources:
        if resource.type != "AWS::IAM::ManagedPolicy":
            continue
        for statement in resource.properties["PolicyDocument"]["Statement"]:
            # "SimulatePrincipalPolicy … does not support using wildcards (*) in an action name."
            actions = tuple(a for a in _as_list(statement["Action"]) if "*" not in a)
            arns = tuple(_make_real(str(arn), job) for arn in _as_list(statement["Resource"]))
            if actions:
                yield Right(actions, () if "*" in _as_list(statement["Resource"]) else arns)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _make_real(arn: str, job: Job) -> str:
    """Return an ARN that a pattern stands for: IAM takes a star for one more character."""
    service, _, rest = arn.partition(":*:")
    arn = f"{service}:{job.region}:{rest}" if rest else arn
    arn = arn.replace(f"stack/plot-palette-{job.environment}/", f"stack/{job.stack_name}/")
    arn = re.sub(r"(:::plot-palette-cfn-\d+)-\*", rf"\1-{job.region}", arn)
    return arn.replace("*", "preflight")


def _find_principal(access: Access) -> tuple[str, str]:
    """Return the ARN of the user or role whose policies count, or "" and why there is none.

    An assumed role's ARN lacks the path of the role, which single sign-on's roles have.
    """
    arn = access.aws.identity().arn
    if arn.endswith(":root"):
        return "", "the caller is the account's root user, whom IAM does not simulate"
    if ":user/" in arn:
        return arn, ""
    match = _ASSUMED.match(arn)
    if match is None:
        return "", f"{arn} is neither a user nor a role"
    iam = access.aws.client("iam")
    answer, problem = ask_patiently(access, lambda: iam.get_role(RoleName=match["role"]))
    if answer is not None:
        return str(answer["Role"]["Arn"]), ""
    return "", problem if problem == NOT_HERE else f"the caller's role cannot be read: {problem}"


def _simulate(access: Access, principal: str, right: Right) -> Verdicts:
    """Ask IAM about the actions of one right."""
    named = {"ResourceArns": list(right.resources)} if right.resources else {}
    context = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in {**_CONTEXT, "aws:RequestedRegion": access.aws.region}.items()
    ]
    pages = access.aws.client("iam").get_paginator("simulate_principal_policy")

    def read() -> list[Mapping[str, Any]]:
        asked = pages.paginate(
            PolicySourceArn=principal,
            ActionNames=list(right.actions),
            ContextEntries=context,
            **named,
        )
        return [one for page in asked for one in page["EvaluationResults"]]

    answer, problem = ask_patiently(access, read)
    if answer is None:
        return Verdicts(problem=problem)
    return judge(answer)


def judge(results: Iterable[Mapping[str, Any]]) -> Verdicts:
    """Read simulated decisions, one for each action and resource.

    A statement's resources are of several types, and IAM finds an action denied on those that
    it knows nothing of. So an action is allowed when it is on one of them, unless something
    forbids it.
    """
    allowed, denied, forbidden, unclear = set(), set(), set(), set()
    for result in results:
        action = result["EvalActionName"]
        for decision, lacks in _decisions(result):
            if decision == "allowed":
                allowed.add(action)
            elif lacks:
                unclear.add(action)
            elif decision == "explicitDeny":
                forbidden.add(action)
            else:
                denied.add(action)
    unclear -= allowed | forbidden
    return Verdicts(
        frozenset(denied - allowed - unclear - forbidden),
        frozenset(forbidden),
        frozenset(unclear),
        frozenset(allowed | denied | forbidden | unclear),
    )


def _decisions(result: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield a decision for each resource, with the context that was missing for it."""
    for one in result.get("ResourceSpecificResults", []):
        yield one["EvalResourceDecision"], one.get("MissingContextValues", [])
    if not result.get("ResourceSpecificResults"):
        yield result["EvalDecision"], result.get("MissingContextValues", [])


def _join(answers: Iterable[Verdicts]) -> Verdicts:
    """Return what many simulations came to together."""
    found = list(answers)
    return Verdicts(
        frozenset().union(*(one.denied for one in found)),
        frozenset().union(*(one.forbidden for one in found)),
        frozenset().union(*(one.unclear for one in found)),
        frozenset().union(*(one.asked for one in found)),
        next((one.problem for one in found if one.problem), ""),
    )


def _conclude(region: str, principal: str, found: Verdicts) -> Iterator[RegionFinding]:
    """Say what the simulations came to."""
    name = principal.rsplit("/", 1)[-1]
    step = f"an administrator allows them; {DEPLOY_ROLE} and {SERVICE_ROLE} list what is needed"
    if found.forbidden:
        text = f"a policy forbids {name} {_name(found.forbidden)}"
        yield missing(region, CHECK, text, "an administrator lifts the denial")
    if found.denied:
        yield missing(region, CHECK, f"{name} may not call {_name(found.denied)}", step)
    if found.unclear:
        text = f"conditions of a policy decide whether {name} may call {_name(found.unclear)}"
        yield unknown(region, CHECK, text)
    if found.problem:
        text = found.problem if found.problem == NOT_HERE else f"simulation: {found.problem}"
        yield unknown(region, CHECK, text)
    elif not (found.denied or found.forbidden or found.unclear):
        yield ready(region, CHECK, f"{name} may call all {len(found.asked)} actions needed")


def _name(actions: Iterable[str]) -> str:
    """Name some actions in a sentence."""
    names = sorted(actions)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
