"""Stacks are refactored as AWS documents it: what moves is not touched, nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import Cloud, Json, deploy, note, still_defective, table

NOTE = note("kept")


def ask(cloud: Cloud, templates: dict[str, Json], *moves: tuple[str, str]) -> Json:
    """Ask for a refactor, and return it as it is described; a move is `STACK.ID` twice."""

    def place(text: str) -> Json:
        stack, _, logical_id = text.partition(".")
        return {"StackName": stack, "LogicalResourceId": logical_id}

    made = cloud.cfn.create_stack_refactor(
        StackDefinitions=[
            {"StackName": name, "TemplateBody": json.dumps(template)}
            for name, template in templates.items()
        ],
        ResourceMappings=[{"Source": place(a), "Destination": place(b)} for a, b in moves],
    )
    described: Json = cloud.cfn.describe_stack_refactor(StackRefactorId=made["StackRefactorId"])
    return described


def template(**resources: Json) -> Json:
    return {"Resources": resources}


@pytest.fixture
def two(cloud: Cloud) -> Cloud:
    """Two stacks: one with a table that holds an item, and one without."""
    cloud.create("one", template(Jobs=table(), Note=note("one")))
    cloud.create("two", template(Note=note("two")))
    name = cloud.physical("one", "Jobs")
    cloud.dynamodb.put_item(TableName=name, Item={"id": {"S": "1"}})
    return cloud


MOVED = {"one": template(Note=note("one")), "two": template(Note=note("two"), Jobs=table())}


def test_a_table_changes_its_stack_with_its_items(two: Cloud) -> None:
    name = two.physical("one", "Jobs")
    made = ask(two, MOVED, ("one.Jobs", "two.Jobs"))
    assert (made["Status"], made["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    two.cfn.execute_stack_refactor(StackRefactorId=made["StackRefactorId"])
    after = two.cfn.describe_stack_refactor(StackRefactorId=made["StackRefactorId"])
    assert after["ExecutionStatus"] == "EXECUTE_COMPLETE"
    assert two.physical("two", "Jobs") == name
    assert two.dynamodb.scan(TableName=name)["Count"] == 1
    assert two.tables() == [name]
    [event] = [e for e in two.events("two") if e["LogicalResourceId"] == "Jobs"]
    assert event["ResourceStatus"] == "IMPORT_COMPLETE"
    listed = two.cfn.list_stack_resources(StackName="one")["StackResourceSummaries"]
    assert [one["LogicalResourceId"] for one in listed] == ["Note"]


def test_what_moved_is_updated_in_place_and_deleted_with_its_new_stack(two: Cloud) -> None:
    name = two.physical("one", "Jobs")
    made = ask(two, MOVED, ("one.Jobs", "two.Jobs"))
    two.cfn.execute_stack_refactor(StackRefactorId=made["StackRefactorId"])
    tagged = table(Tags=[{"Key": "Team", "Value": "data"}])
    assert two.update("two", template(Note=note("two"), Jobs=tagged)) == "UPDATE_COMPLETE"
    assert two.physical("two", "Jobs") == name
    assert two.dynamodb.scan(TableName=name)["Count"] == 1
    two.delete("one")
    assert two.tables() == [name]
    two.delete("two")
    assert two.tables() == []


def test_the_preview_names_the_move_and_the_tags_that_come_and_go(two: Cloud) -> None:
    made = ask(two, MOVED, ("one.Jobs", "two.Jobs"))
    [action] = two.cfn.list_stack_refactor_actions(StackRefactorId=made["StackRefactorId"])[
        "StackRefactorActions"
    ]
    assert (action["Action"], action["Entity"]) == ("MOVE", "RESOURCE")
    assert action["PhysicalResourceId"] == two.physical("one", "Jobs")
    assert {tag["Key"] for tag in action["TagResources"]} >= {"aws:cloudformation:stack-name"}
    assert "aws:cloudformation:stack-name" in action["UntagResources"]


def test_a_resource_is_renamed_within_its_stack(two: Cloud) -> None:
    name = two.physical("one", "Jobs")
    renamed = {"one": template(Note=note("one"), Table=table())}
    made = ask(two, renamed, ("one.Jobs", "one.Table"))
    two.cfn.execute_stack_refactor(StackRefactorId=made["StackRefactorId"])
    assert two.physical("one", "Table") == name
    assert two.dynamodb.scan(TableName=name)["Count"] == 1


def wrong(**changes: Any) -> dict[str, Json]:
    return {"one": {**MOVED["one"], **changes.get("one", {})}, "two": MOVED["two"]}


CASES: dict[str, tuple[dict[str, Json], str]] = {
    "a change beside the move": (
        {"one": template(Note=note("other")), "two": MOVED["two"]},
        "Found an action type that is not permitted during refactor operations: Modify",
    ),
    "another resource": (
        {"one": template(Note=note("one"), New=note("new")), "two": MOVED["two"]},
        "Found an action type that is not permitted during refactor operations: Add",
    ),
    "a resource less": (
        {"one": MOVED["one"], "two": template(Jobs=table())},
        "Found an action type that is not permitted during refactor operations: Remove",
    ),
    "a mapping that the templates do not follow": (
        {"one": template(Note=note("one"), Jobs=table()), "two": template(Note=note("two"))},
        "defined in the resources mapping did no move from its original stack one",
    ),
    "other parameters": (
        wrong(one={"Parameters": {"New": {"Type": "String", "Default": "x"}}}),
        "Parameters cannot be changed",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refactor_that_does_anything_else_is_not_made(two: Cloud, case: str) -> None:
    templates, words = CASES[case]
    made = ask(two, templates, ("one.Jobs", "two.Jobs"))
    assert (made["Status"], made["ExecutionStatus"]) == ("CREATE_FAILED", "UNAVAILABLE")
    assert words in made["StatusReason"]


def test_a_type_that_aws_does_not_refactor_is_refused(cloud: Cloud) -> None:
    handle = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    cloud.create("one", template(Handle=handle, Note=note("one")))
    cloud.create("two", template(Note=note("two")))
    after = {"one": template(Note=note("one")), "two": template(Note=note("two"), Handle=handle)}
    made = ask(cloud, after, ("one.Handle", "two.Handle"))
    assert made["StatusReason"].endswith(
        "Stack Refactor does not support AWS::CloudFormation::WaitConditionHandle."
    )


def test_a_stack_is_not_left_empty(cloud: Cloud) -> None:
    cloud.create("one", template(Jobs=table()))
    cloud.create("two", template(Note=note("two")))
    made = ask(cloud, {"one": {"Resources": {}}, "two": MOVED["two"]}, ("one.Jobs", "two.Jobs"))
    assert "empty stacks" in made["StatusReason"]


def test_a_refactor_is_obsolete_once_a_stack_was_updated(two: Cloud) -> None:
    made = ask(two, MOVED, ("one.Jobs", "two.Jobs"))
    two.update("two", template(Note=note("changed")))
    with pytest.raises(ClientError):
        two.cfn.execute_stack_refactor(StackRefactorId=made["StackRefactorId"])
    after = two.cfn.describe_stack_refactor(StackRefactorId=made["StackRefactorId"])
    assert after["ExecutionStatus"] == "OBSOLETE"
    assert after["ExecutionStatusReason"].endswith("Stack was updated.")


def test_a_parent_whose_nested_stack_would_change_cannot_take_part(cloud: Cloud) -> None:
    deploy(cloud)
    before = cloud.cfn.get_template(StackName="app")["TemplateBody"]
    changed = json.loads(json.dumps(before))
    changed["Resources"]["Database"]["Properties"]["TemplateURL"] += "?other"
    made = ask(cloud, {"app": changed})
    assert "not permitted during refactor operations: Modify" in made["StatusReason"]


def test_an_unknown_refactor_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.cfn.describe_stack_refactor(StackRefactorId="nope")
    assert caught.value.response["Error"]["Code"] == "StackRefactorNotFoundException"


def test_an_event_tells_the_properties_of_its_resource(cloud: Cloud) -> None:
    cloud.create("app", template(Note=note("told")))
    events = [e for e in cloud.events("app") if e["LogicalResourceId"] == "Note"]
    assert events
    assert {json.loads(e["ResourceProperties"])["Value"] for e in events} == {"told"}


def test_canary_stacks_can_be_refactored(upstream: Cloud) -> None:
    upstream.create("app", template(Note=note()))
    try:
        upstream.cfn.create_stack_refactor(StackDefinitions=[{"StackName": "app"}])
        knows = True
    except ClientError as exc:
        knows = exc.response["Error"]["Code"] not in ("InvalidAction", "501", "400")
    still_defective(not knows, "stacks_can_be_refactored")


def test_canary_events_tell_properties(upstream: Cloud) -> None:
    upstream.create("app", template(Note=note()))
    told = any("ResourceProperties" in event for event in upstream.events("app"))
    still_defective(not told, "events_tell_properties")
