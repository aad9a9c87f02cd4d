"""An operation that waits for another one follows that one, and not what went before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib import session
from lib.access import Access
from lib.operators import OnInterrupt, Operator, Progress, ResourceProgress
from lib.stacks import admission
from lib.stacks.statuses import Move, Operation
from tests.support.aws_fakes import (
    FakeTime,
    Happening,
    event_entry,
    intercept,
    operations,
    own,
    stack_entry,
)
from tests.support.factories import REGION, STACK, job

#: Updates of years, four events each, and one that is being cleaned up after.
YEARS = 400


def history(*, done: bool) -> list[Happening]:
    found = []
    for n in range(YEARS):
        found += [
            own(f"{n}-begun", n * 10, STACK, "UPDATE_IN_PROGRESS"),
            Happening(f"{n}-changed", n * 10 + 1, f"Old{n}", "UPDATE_COMPLETE"),
            own(f"{n}-clean", n * 10 + 2, STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            own(f"{n}-done", n * 10 + 3, STACK, "UPDATE_COMPLETE"),
        ]
    return found if done else found[:-1]


def test_waiting_for_a_clean_up_shows_that_update_and_not_the_years_before() -> None:
    told: list[Progress] = []
    aws = session.connect(REGION)
    time = FakeTime()
    looks = 0

    def answer(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        nonlocal looks
        looks += 1
        done = looks > 4
        if operation == "DescribeStacks":
            status = "UPDATE_COMPLETE" if done else "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
            return {"Stacks": [stack_entry(STACK, status)]}
        newest_first = history(done=done)[::-1]
        start = int(arguments.get("NextToken", "0"))
        page = [event_entry(STACK, one) for one in newest_first[start : start + 100]]
        more = {"NextToken": str(start + 100)} if start + 100 < len(newest_first) else {}
        return {"StackEvents": page, **more}

    calls = intercept(aws.client("cloudformation"), answer)
    operator = Operator(told.append, lambda *_: False, lambda _: OnInterrupt.DETACH)
    _, decision = admission.admit(job(), Access(aws, operator, time.clock), Operation.DEPLOY)
    assert decision.move is Move.UPDATE
    shown = [one.path for one in told if isinstance(one, ResourceProgress)]
    assert "Old0" not in shown
    assert set(shown) == {"", f"Old{YEARS - 1}"}
    # One page a look: what is older is not even read.
    assert operations(calls).count("DescribeStackEvents") < YEARS * 4 / 100
