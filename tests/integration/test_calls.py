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
    # The root, and the three whose log groups are looked at for drift.
    "cloudformation ListStackResources": 4,
    "cloudformation DeleteChangeSet": 1,
}
UPDATE = {
    **PREVIEW,
    "cloudformation DeleteChangeSet": 0,
    "cloudformation ExecuteChangeSet": 1,
    # Before and after: AWS has outputs only here.
    "cloudformation DescribeStacks": 2,
    # The master, the three, and one more whose change set AWS has made without a row in it.
    "s3 HeadObject": 5,
    # The history, before and after.
    "s3 PutObject": 2,
}
NOTHING = {
    "sts GetCallerIdentity": 1,
    "cloudformation DescribeStacks": 1,
    "s3 GetObject": 1,
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


def assert_at_most(found: Counter[str], bounds: dict[str, int]) -> None:
    more = {name: n for name, n in found.items() if n > bounds.get(name, 0)}
    assert not more, f"{more} of {found}"


def test_a_run_that_changes_nothing_makes_six_calls(reader: Operator) -> None:
    found = count(reader.inv("update", "--debug"))
    assert_at_most(found, NOTHING)
    assert found.total() <= 6


def test_one_parameter_is_previewed_with_23_calls_and_updated_with_at_most_40(
    operator: Operator,
) -> None:
    operator.clone.set_parameters(LogRetentionDays="14")
    previewed = count(operator.inv("update", "--preview", "--debug"))
    assert_at_most(previewed, PREVIEW)
    assert previewed.total() <= 23

    done = operator.inv("update", "--yes", "--debug", "--json")
    found = count(done)
    # How often the root is looked at depends on how fast the machine is, two looks a second.
    looks = 2 + 2 * int(done.document["seconds"] + 1)
    assert_at_most(found, {**UPDATE, EVENTS: looks + EVENTS_OF_CHILDREN})
    assert found.total() - found[EVENTS] <= 31
    if done.document["seconds"] < 3:
        assert found.total() <= 40
