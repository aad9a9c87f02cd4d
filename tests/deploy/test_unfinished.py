"""What a failed update has yet to remove is told, whether or not AWS still lists it.

That the whole of it is asked about, end to end, is played in tests/sequences/regressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.deploy import unfinished
from lib.stacks import deployed
from lib.stacks.statuses import Status
from lib.templates import templates
from lib.templates.changes import Change
from lib.templates.resolution import Tree
from tests.deploy.world import World
from tests.support.aws_fakes import START, Happening, event_entry
from tests.support.factories import STACK

TABLE = "AWS::DynamoDB::Table"
STABLE = f"""
Resources:
  Drafts: {{Type: '{TABLE}'}}
  Topic: {{Type: 'AWS::SNS::Topic'}}
"""
WANTED = """
Resources:
  Topic: {Type: 'AWS::SNS::Topic'}
  Note: {Type: 'AWS::SSM::Parameter', Properties: {Type: String, Value: a}}
"""


class Half(World):
    """A stack whose update failed half way; `happened` tells of its table."""

    def __init__(self, *happened: Happening, listed: str = "") -> None:
        super().__init__("UPDATE_FAILED")
        self.happened = happened
        if listed:
            entry = {"LogicalResourceId": "Drafts", "PhysicalResourceId": listed}
            more: dict[str, Any] = {"ResourceType": TABLE, "ResourceStatus": "UPDATE_COMPLETE"}
            more |= {"LastUpdatedTimestamp": START}
            self.resources = [{**entry, **more}]

    def _DescribeStackEvents(self) -> Mapping[str, Any]:  # noqa: N802  # AWS's name
        told = [event_entry(STACK, one) for one in reversed(self.happened)]
        return {"StackEvents": told}

    def tree(self, text: str) -> Tree:
        folder = {templates.MASTER: templates.parse(templates.MASTER, text)}
        run = self.run()
        return deployed.resolve_for(run.job, run.access, folder, {})

    def rest(self, *told: Change, complete: bool = True) -> list[tuple[str, str, str]]:
        found = unfinished.list_rest(
            self.run(), self.stack, self.tree(STABLE), self.tree(WANTED), told, complete=complete
        )
        return [(change.action, change.path, change.physical_id) for change in found]


def event(status: str, physical_id: str = "drafts-1") -> Happening:
    return Happening(status, 1, "Drafts", status, TABLE, physical_id, "")


def test_a_table_that_the_failed_update_left_out_is_told_with_its_name_from_the_events() -> None:
    assert Half(event("CREATE_COMPLETE")).rest() == [("Remove", "Drafts", "drafts-1")]


def test_it_is_told_with_its_name_from_the_resources_where_aws_still_lists_it() -> None:
    assert Half(listed="drafts-2").rest() == [("Remove", "Drafts", "drafts-2")]


def test_it_is_told_even_where_nothing_is_known_of_it() -> None:
    assert Half().rest() == [("Remove", "Drafts", "")]


def test_what_is_gone_already_is_not_told() -> None:
    gone = Half(event("CREATE_COMPLETE"), event("DELETE_COMPLETE"))
    assert gone.rest() == []


def test_what_aws_lists_itself_is_not_told_twice() -> None:
    assert Half(event("CREATE_COMPLETE")).rest(Change("Drafts", TABLE, "Remove")) == []


def test_where_aws_cannot_look_inside_everything_since_the_stable_release_is_told() -> None:
    found = Half(event("CREATE_COMPLETE")).rest(complete=False)
    assert found == [("Add", "Note", ""), ("Remove", "Drafts", "drafts-1")]


def test_policies_of_what_only_the_stable_release_had_still_count() -> None:
    half = Half()
    joined = unfinished.join(half.tree(WANTED), half.tree(STABLE))
    assert [one.path for one in joined.resources] == ["Topic", "Note", "Drafts"]


def test_a_stable_release_that_cannot_be_read_is_warned_of_and_any_other_stack_is_not() -> None:
    half = Half()
    assert unfinished.read_stable(half.run(), half.stack) is None
    assert "has yet to remove cannot be told" in half.notes[-1]
    half.status = Status.UPDATE_COMPLETE
    half.told.clear()
    assert unfinished.read_stable(half.run(), half.stack) is None
    assert half.told == []
