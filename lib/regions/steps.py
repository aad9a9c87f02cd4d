"""Plan a rollout by StackSets: which operations, with which values and preferences.

Pure: what is there and what is wanted in, operations out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.errors import StateForbids
from lib.regions.plan import OnFailure, Plan
from lib.regions.stacksets import StackSet, Step


def split_values(
    wanted: Mapping[str, Mapping[str, str]], declared: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the stack set's own parameters, and by region what differs from them.

    `wanted` holds each region's values, the first region's being the stack set's. A stack set
    takes overrides only of parameters that it has, so what only some regions set is given its
    declared default there.
    """
    first = next(iter(wanted.values()))
    names = {name for values in wanted.values() for name in values}
    base = {
        name: first.get(name, str(declared.get(name, {}).get("Default", "")))
        for name in sorted(names)
    }
    differing = {
        region: {name: value for name, value in values.items() if base[name] != value}
        for region, values in wanted.items()
    }
    return base, differing


def plan_steps(
    found: StackSet | None,
    release: str,
    base: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, str]],
    *,
    concurrency: int | None,
) -> tuple[Step, ...]:
    """Return the operations that bring every region up to date, the canary's first.

    A new release or new common values are an update of the stack set itself, restricted to
    the first region that has an instance; the others follow in waves of `concurrency`. A
    region whose overrides differ, or which is new, is an operation of its own, because
    overrides hold for all regions of an operation. Regions that are up to date are left out.
    Raises `StateForbids` when the stack set only has instances elsewhere, which AWS would
    update, too.
    """
    instances = found.instances if found else {}
    there = [region for region in overrides if region in instances]
    fresh = found is not None and (found.release != release or found.parameters != base)
    if fresh and instances and not there:
        raise StateForbids(
            f"The stack set has instances in {', '.join(instances)} only, which would all be "
            "updated with it.",
            next_step="name at least one of them in --regions",
        )
    canary = there[:1] if fresh else []
    steps = [Step("update set", tuple(canary))] if fresh else []
    own = {r: overrides[r] for r in there if instances[r].overrides != overrides[r]}
    steps += [Step("update", (r,), own.pop(r)) for r in canary if r in own]
    behind = [
        r for r in there if r not in (*own, *canary) and (fresh or not instances[r].is_current)
    ]
    size = concurrency or len(behind) or 1
    if not fresh and behind:
        steps.append(Step("update", (behind.pop(0),)))
    steps += [Step("update", tuple(behind[i : i + size])) for i in range(0, len(behind), size)]
    steps += [Step("update", (r,), values) for r, values in own.items()]
    steps += [Step("create", (r,), overrides[r]) for r in overrides if r not in instances]
    return tuple(steps)


def preferences(chosen: Sequence[str], plan: Plan) -> dict[str, Any]:
    """Return how StackSets is to go about one operation.

    `--on-failure` is the share of accounts per region that may fail before no further region
    is started, none or all; `--sequential` and `--max-concurrency 1` are one region at a time.
    Any other concurrency is made by the size of the waves: StackSets itself only knows one
    region at a time or all at once.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSetOperationPreferences.html
    """
    tolerance = 100 if plan.on_failure is OnFailure.CONTINUE else 0
    return {
        "RegionConcurrencyType": "SEQUENTIAL" if plan.concurrency == 1 else "PARALLEL",
        "RegionOrder": list(chosen),
        "FailureTolerancePercentage": tolerance,
        "MaxConcurrentPercentage": 100,
        # Without this a tolerance of none would also mean one account at a time.
        "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE",
    }
