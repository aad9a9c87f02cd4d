"""Find out whose the name is that was taken already."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lib.causes.evidence import Case, Search
from lib.causes.wordings import Match
from lib.refusals import error_code
from lib.stacks import stacks


def look(search: Search, case: Case, match: Match) -> None:
    """Add which stack of this account and region the taken name belongs to, or that none has it.

    "For PhysicalResourceId, the resource must be part of a stack that CloudFormation created".
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
    """
    groups = ("identifier", "table", "name")
    name = next(filter(None, map(match.group, groups)), "") or case.physical_id
    if not name:
        return
    if match.group("stack"):
        search.add("name taken", f"{name} belongs to stack {stacks.name_of(match.group('stack'))}")
        return
    cfn = search.access.aws.client("cloudformation")

    def read() -> list[Any]:
        try:
            answer = cfn.describe_stack_resources(PhysicalResourceId=name)
        except ClientError as exc:
            # "Stack for NAME does not exist": nothing that CloudFormation manages has it.
            if error_code(exc) != "ValidationError":
                raise
            return []
        return [one for one in answer["StackResources"] if one.get("PhysicalResourceId") == name]

    found = search.ask(f"owner of {name}", read)
    if found is None:
        return
    others = [one for one in found if one.get("StackId") != case.stack_id]
    if others:
        owner = others[0]
        text = f"{name} is {owner['LogicalResourceId']} of stack {owner['StackName']}"
    else:
        text = f"{name} belongs to no other stack of this account in {search.access.aws.region}"
    search.add("name taken", text)
