"""See that one region of an environment owns its budget.

A budget is global to the account, so `regions.json` lets only one region make it. Whoever installs
in another region alone has none, and is told by nothing but the bill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lib.checks.findings import RegionFinding, ask_patiently, missing, ready, unknown
from lib.inputs.jobs import BUDGET_OUTPUT, BUDGET_PARAMETER, list_budget_owners
from lib.stacks import stacks

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.session import Aws

CHECK = "budget"


def look(jobs: Sequence[Job], access: Access, connect: Callable[[str], Aws]) -> RegionFinding:
    """Say who owns the budget of jobs of one environment.

    `connect` opens another region, which is only looked at when none of the jobs is the owner.
    """
    first, places = jobs[0], [job.region for job in jobs]
    place, owners = ",".join(places), list_budget_owners(first)
    owning = next((name for name in owners if name in places), "")
    named: list[str] = []
    for name in [] if owning else owners:
        cfn = connect(name).client("cloudformation")
        stack, problem = ask_patiently(access, lambda: [stacks.describe(cfn, first.stack_name)])  # noqa: B023 (asked at once)
        if stack is None:
            return unknown(place, CHECK, f"whether {name} owns a budget: {problem}")
        named.append(name)
        if stack[0] is not None and BUDGET_OUTPUT in stack[0].outputs:
            owning = name
            break
    if owning:
        return ready(place, CHECK, f"{owning} owns the budget of {first.environment}")
    there = f"; {', '.join(named)} would, and has no such stack yet" if named else ""
    return missing(
        place,
        CHECK,
        f"nothing watches what {first.environment} costs: no budget is made in {place}{there}",
        f'set "{BUDGET_PARAMETER}": "true" for {first.region} in infrastructure/regions.json, '
        "unless the other region follows",
    )
