"""Hold what the templates would add against the quotas of the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.causes import limits
from lib.checks.findings import RegionFinding, ask, missing, unknown
from lib.operators import Listing

if TYPE_CHECKING:
    from lib.templates.resolution import Resource

#: ListUserPools takes no more at once.
_POOLS_PER_PAGE = 60

#: ECS counts CPU in units. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
_UNITS_PER_VCPU = 1024


@dataclass(frozen=True)
class Headroom:
    """A quota, and what this deployment adds to its use. None is what no API gives."""

    region: str
    name: str
    needed: float
    used: float | None
    limit: float | None

    @property
    def suffices(self) -> bool:
        """Tell whether the deployment fits, as far as is known."""
        return self.limit is None or (self.used or 0) + self.needed <= self.limit


@dataclass(frozen=True)
class _Quota:
    """A quota that this application meets.

    `need` counts what is added; `always` counts it for a stack that exists, too, because the
    application needs it again whenever it runs. `use` counts what the account has, where an
    API gives it, by a client of `client`.
    """

    name: str
    service: str
    code: str
    need: Callable[[Sequence[Resource]], float]
    client: str = ""
    use: Callable[[Any], float] | None = None
    always: bool = False


def count(kind: str) -> Callable[[Sequence[Resource]], int]:
    """Return a function that counts the resources of a type that are sure to be made."""
    return lambda found: sum(r.type == kind and not r.condition for r in found)


def _count_gateway_endpoints(found: Sequence[Resource]) -> int:
    """Count gateway endpoints, which is what an endpoint is unless it says otherwise."""
    return sum(
        r.type == "AWS::EC2::VPCEndpoint"
        and r.properties.get("VpcEndpointType", "Gateway") == "Gateway"
        for r in found
    )


def _largest_task(found: Sequence[Resource]) -> float:
    """Return the vCPUs of the largest task: quotas that admit not even one are too small."""
    units = [str(r.properties.get("Cpu")) for r in found if r.type == "AWS::ECS::TaskDefinition"]
    return max((int(u) / _UNITS_PER_VCPU for u in units if u.isdecimal()), default=0.0)


def _use_vpcs(ec2: Any) -> int:
    """Count the region's VPCs."""
    pages = ec2.get_paginator("describe_vpcs").paginate()
    return sum(len(page["Vpcs"]) for page in pages)


def _use_gateway_endpoints(ec2: Any) -> int:
    """Count the region's gateway endpoints."""
    pages = ec2.get_paginator("describe_vpc_endpoints").paginate(
        Filters=[{"Name": "vpc-endpoint-type", "Values": ["Gateway"]}]
    )
    return sum(len(page["VpcEndpoints"]) for page in pages)


def _use_user_pools(cognito: Any) -> int:
    """Count the region's user pools."""
    pages = cognito.get_paginator("list_user_pools").paginate(
        PaginationConfig={"PageSize": _POOLS_PER_PAGE}
    )
    return sum(len(page["UserPools"]) for page in pages)


def _code_of(kind: str) -> tuple[str, str]:
    """Return the service and the code of the quota that a type's resources count against."""
    service, code, _ = limits.QUOTAS[kind]
    return service, code


#: Codes as ListServiceQuotas gives them: they are stable, the names are for people.
#: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
QUOTAS = (
    _Quota("VPCs", *_code_of("AWS::EC2::VPC"), count("AWS::EC2::VPC"), "ec2", _use_vpcs),
    _Quota(
        "gateway endpoints",
        *_code_of("AWS::EC2::VPCEndpoint"),
        _count_gateway_endpoints,
        "ec2",
        _use_gateway_endpoints,
    ),
    _Quota(
        "user pools",
        *_code_of("AWS::Cognito::UserPool"),
        count("AWS::Cognito::UserPool"),
        "cognito-idp",
        _use_user_pools,
    ),
    _Quota("Fargate on-demand vCPUs", "fargate", "L-3032A538", _largest_task, always=True),
    _Quota("Fargate Spot vCPUs", "fargate", "L-36FBB829", _largest_task, always=True),
)


def measure(
    region: str,
    client: Callable[[str], Any],
    added: Sequence[Resource],
    wanted: Sequence[Resource],
) -> tuple[tuple[Headroom, ...], list[RegionFinding]]:
    """Hold what a deployment adds against the region's quotas.

    `client` gives a client by service name. `added` are the resources that are new, `wanted`
    all of the stack's. Returns the quotas, and findings: one for each that is too
    small, and one for all that could not be read.
    """
    rows: list[Headroom] = []
    unread: dict[str, list[str]] = {}
    for quota in QUOTAS:
        needed = quota.need(wanted if quota.always else added)
        if not needed:
            continue
        limit, used, problem = _read(quota, client)
        if problem:
            unread.setdefault(problem, []).append(quota.name)
        rows.append(Headroom(region, quota.name, needed, used, limit))
    findings = [find_shortage(row) for row in rows if not row.suffices]
    findings += [
        unknown(region, f"quotas ({', '.join(names)})", problem)
        for problem, names in unread.items()
    ]
    return tuple(rows), findings


def _read(quota: _Quota, client: Callable[[str], Any]) -> tuple[float | None, float | None, str]:
    """Return a quota's limit, how much of it is used, and why one of them is not known."""
    limit, problem = _read_limit(client("service-quotas"), quota)
    count = quota.use
    if limit is None or count is None:
        return limit, None, problem
    used, problem = ask(lambda: count(client(quota.client)))
    return limit, used, problem


def _read_limit(quotas: Any, quota: _Quota) -> tuple[float | None, str]:
    """Return a quota as it applies to the account, and why it is not known."""
    return ask(lambda: limits.read(quotas, quota.service, quota.code))


def find_shortage(row: Headroom) -> RegionFinding:
    """Say which quota is too small."""
    used = f"{row.used:g} are in use, " if row.used is not None else ""
    return missing(
        row.region,
        f"quota of {row.name}",
        f"the quota of {row.limit:g} {row.name} is too small: {used}{row.needed:g} more are needed",
        "ask for more in the Service Quotas console",
        stops=True,
    )


def measure_roles(
    iam: Any, added: Mapping[str, int]
) -> tuple[Headroom | None, list[RegionFinding]]:
    """Hold the IAM roles that all regions add together against the account's quota.

    `added` is by region. Roles are global, and IAM itself gives both figures (quota
    L-FE177D64 in Service Quotas, which only answers for IAM in us-east-1).
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
    """
    needed = sum(added.values())
    if not needed:
        return None, []
    place = ",".join(region for region, count in added.items() if count)
    answer, problem = ask(lambda: iam.get_account_summary()["SummaryMap"])
    if answer is None:
        return None, [unknown(place, "quotas (IAM roles)", problem)]
    row = Headroom(place, "IAM roles", needed, answer.get("Roles"), answer.get("RolesQuota"))
    return row, [] if row.suffices else [find_shortage(row)]


def list_headroom(rows: Sequence[Headroom]) -> Listing:
    """Return quotas as a table."""

    def show(figure: float | None) -> str:
        return "?" if figure is None else f"{figure:g}"

    cells = [(r.region, r.name, show(r.used), show(r.needed), show(r.limit)) for r in rows]
    return Listing("Quotas:", ("Region", "Quota", "In use", "To add", "Limit"), cells)
