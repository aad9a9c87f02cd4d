"""What AWS is asked: as little as can be, since its reads share a few calls a second."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.integration.conftest import Operator, Result

pytestmark = pytest.mark.integration

_CALL = re.compile(r"^\s*aws (\S+ \S+)", re.MULTILINE)

#: The application has ten stacks: the root's change set and nine nested ones are read, those of
#: the three in which something changes with values, too.
PREVIEW = {
    "sts GetCallerIdentity": 1,
    "cloudformation DescribeStacks": 1,
    "s3 GetObject": 1,
    "cloudformation CreateChangeSet": 1,
    "cloudformation DescribeChangeSet": 13,
    "cloudformation GetTemplate": 1,
    # The three whose log groups are looked at for drift; the rows have told where they are.
    "cloudformation ListStackResources": 3,
    "cloudformation DeleteChangeSet": 1,
    # Whether a killed one has left something.
    "cloudformation ListChangeSets": 1,
}
UPDATE = {
    **PREVIEW,
    "cloudformation DeleteChangeSet": 0,
    "cloudformation ListChangeSets": 0,
    "cloudformation ExecuteChangeSet": 1,
    # Before and after: AWS has outputs only here.
    "cloudformation DescribeStacks": 2,
    # The master, the three, and one more whose change set AWS has made without a row in it.
    "s3 HeadObject": 5,
    # The history, before and after, and the lock.
    "s3 PutObject": 3,
    "s3 DeleteObject": 1,
}
PLAN = {
    **PREVIEW,
    "cloudformation DeleteChangeSet": 0,
    # Whether an expired plan has left something.
    "cloudformation ListChangeSets": 1,
}
APPLY = {
    **UPDATE,
    # The plan has found the release, and asked for the change set.
    "s3 GetObject": 0,
    "cloudformation CreateChangeSet": 0,
    # Of the nested change sets that AWS did not make, five, the plan has said so.
    "cloudformation DescribeChangeSet": 8,
    # Nothing is taken on trust: every template of the release.
    "s3 HeadObject": 10,
}
NOTHING = {
    "sts GetCallerIdentity": 1,
    "cloudformation DescribeStacks": 1,
    # The release, and what a refactor may have moved.
    "s3 GetObject": 2,
    "cloudformation CreateChangeSet": 1,
    "cloudformation DescribeChangeSet": 1,
    "cloudformation DeleteChangeSet": 1,
}
EVENTS = "cloudformation DescribeStackEvents"

#: The three stacks in which something changes, each once, and once more if it takes its time.
EVENTS_OF_CHILDREN = 6


def count(result: Result) -> Counter[str]:
    """Return how often each operation was called before anything was verified."""
    return Counter(_CALL.findall(result.err.partition("Verifying")[0]))


def looks_at_most(done: Result) -> int:
    """Return how often the root may be looked at, which depends on how fast the machine is.

    Two looks a second, none in the instant at which the change was asked for.
    """
    return 1 + 2 * int(done.document["seconds"] + 1)


def assert_at_most(found: Counter[str], bounds: dict[str, int]) -> None:
    more = {name: n for name, n in found.items() if n > bounds.get(name, 0)}
    assert not more, f"{more} of {found}"


def test_a_run_that_changes_nothing_makes_seven_calls(reader: Operator) -> None:
    found = count(reader.inv("update", "--debug"))
    assert_at_most(found, NOTHING)
    assert found.total() <= 7


def test_one_parameter_is_previewed_with_23_calls_and_updated_with_fewer_than_40(
    operator: Operator,
) -> None:
    operator.clone.set_parameters(LogRetentionDays="14")
    previewed = count(operator.inv("update", "--preview", "--debug"))
    assert_at_most(previewed, PREVIEW)
    assert previewed.total() <= 23

    done = operator.inv("update", "--yes", "--debug", "--json")
    found = count(done)
    assert_at_most(found, {**UPDATE, EVENTS: looks_at_most(done) + EVENTS_OF_CHILDREN})
    assert found.total() - found[EVENTS] <= 32
    if done.document["seconds"] < 2:
        assert found.total() < 40
    # What has just been described is not asked for again.
    after = Counter(_CALL.findall(done.err.partition("Verifying")[2]))
    assert after["cloudformation DescribeStacks"] == 0


def test_one_parameter_is_planned_with_22_calls_and_applied_with_fewer_than_40(
    operator: Operator,
) -> None:
    operator.clone.set_parameters(LogRetentionDays="14")
    file = str(operator.clone.folder / "plan.json")
    planned = count(operator.inv("plan", "--out", file, "--debug"))
    assert_at_most(planned, PLAN)
    assert planned.total() <= 22

    done = operator.inv("apply", file, "--yes", "--debug", "--json")
    found = count(done)
    assert_at_most(found, {**APPLY, EVENTS: looks_at_most(done) + EVENTS_OF_CHILDREN})
    assert found.total() - found[EVENTS] <= 30
    if done.document["seconds"] < 2:
        assert found.total() < 40
