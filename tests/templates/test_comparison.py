"""Two trees of templates tell what an update would do, without asking AWS."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pytest

from lib import values
from lib.templates import comparison, resolution, templates
from lib.templates.changes import Change
from lib.templates.resolution import Tree
from lib.templates.templates import MASTER

REGION = "eu-west-1"

TABLE = """
Resources:
  Jobs:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: jobs
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      TimeToLiveSpecification: {AttributeName: expires, Enabled: true}
      Tags: [{Key: Stage, Value: test}]
"""

MASTER_TEXT = """
Parameters:
  Stage: {Type: String, Default: test}
Resources:
  Data:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: https://s3.eu-west-1.amazonaws.com/b/templates/1111/data-stack.yaml
      Parameters: {Stage: !Ref Stage}
"""


def tree(text: str, parameters: Mapping[str, str] | None = None, **children: str) -> Tree:
    """Resolve a master and its children, `data=text` standing for data-stack.yaml."""
    texts = {MASTER: text} | {f"{name}-stack.yaml": child for name, child in children.items()}
    folder = {name: templates.parse(name, textwrap.dedent(body)) for name, body in texts.items()}
    return resolution.resolve(
        folder,
        parameters or {},
        region=REGION,
        account="123456789012",
        stack_name="plot-palette-test",
    )


def compare(before: Tree, after: Tree, **more: Any) -> tuple[Change, ...]:
    return comparison.compare(before, after, region=REGION, **more)


def compare_tables(old: str, new: str) -> Change:
    """Compare the table with one piece of its text replaced."""
    assert old in TABLE
    (change,) = compare(tree(TABLE), tree(TABLE.replace(old, new)))
    return change


def resource(type_name: str, **properties: Any) -> str:
    body = {"Resources": {"Thing": {"Type": type_name, "Properties": properties}}}
    return values.canonical(body)


def compare_things(
    type_name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Change, ...]:
    return compare(tree(resource(type_name, **before)), tree(resource(type_name, **after)))


def test_nothing_differs_between_a_tree_and_itself() -> None:
    assert compare(tree(TABLE), tree(TABLE)) == ()


def test_a_renamed_table_is_replaced_and_the_cause_shows_both_names() -> None:
    change = compare_tables("TableName: jobs", "TableName: jobs2")
    assert (change.path, change.action, change.replacement) == ("Jobs", "Modify", "True")
    (cause,) = change.causes
    assert (cause.property, cause.before, cause.after) == ("TableName", "jobs", "jobs2")
    assert cause.requires_recreation == "Always"
    assert change.source == "templates"


def test_a_name_that_goes_replaces_too() -> None:
    assert compare_tables("      TableName: jobs\n", "").replacement == "True"


def test_only_the_property_that_replaces_is_blamed_for_it() -> None:
    text = TABLE.replace("TableName: jobs", "TableName: jobs2").replace("Value: test", "Value: b")
    (change,) = compare(tree(TABLE), tree(text))
    blamed = {cause.property: cause.requires_recreation for cause in change.causes}
    assert blamed == {"TableName": "Always", "Tags": "Never"}


def test_another_key_may_replace_a_table() -> None:
    change = compare_tables("AttributeName: id, KeyType", "AttributeName: job, KeyType")
    assert change.replacement == "Conditional"
    assert [cause.property for cause in change.causes] == ["KeySchema"]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("Value: test", "Value: live", "Tags"),
        ("AttributeName: expires", "AttributeName: ends", "TimeToLiveSpecification/AttributeName"),
        ("UpdateReplacePolicy: Retain", "UpdateReplacePolicy: Delete", "UpdateReplacePolicy"),
        ("DeletionPolicy: Retain", "DeletionPolicy: Delete", "DeletionPolicy"),
    ],
)
def test_tags_ttl_and_policies_replace_nothing(old: str, new: str, path: str) -> None:
    change = compare_tables(old, new)
    assert change.replacement == "False"
    assert [cause.property for cause in change.causes] == [path]


def test_the_memory_of_a_function_replaces_nothing() -> None:
    (change,) = compare_things("AWS::Lambda::Function", {"MemorySize": 128}, {"MemorySize": 256})
    assert change.replacement == "False"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("UsernameAttributes", ["email"], ["phone_number"]),
        ("AliasAttributes", None, ["email"]),
        ("UsernameConfiguration", {"CaseSensitive": True}, {"CaseSensitive": False}),
    ],
)
def test_a_user_pool_that_signs_in_otherwise_is_replaced(
    name: str, before: Any, after: Any
) -> None:
    first = {} if before is None else {name: before}
    (change,) = compare_things("AWS::Cognito::UserPool", first, {name: after})
    assert change.replacement == "True"


def test_a_new_attribute_definition_is_harmless_and_an_edited_one_is_not() -> None:
    text = "[{AttributeName: id, AttributeType: S}]"
    added = "[{AttributeName: id, AttributeType: S}, {AttributeName: at, AttributeType: S}]"
    assert compare_tables(text, added).replacement == "False"
    assert compare_tables(text, text.replace("Type: S", "Type: N")).replacement == "Conditional"


def test_a_create_only_property_deep_inside_another_is_found_when_the_whole_comes() -> None:
    (change,) = compare_things(
        "AWS::ECR::Repository",
        {"RepositoryName": "r"},
        {"RepositoryName": "r", "EncryptionConfiguration": {"EncryptionType": "KMS"}},
    )
    assert change.replacement == "True"


def test_a_type_without_a_schema_may_always_be_replaced() -> None:
    (change,) = compare_things("Custom::Thing", {"A": 1}, {"A": 2})
    assert change.replacement == "Conditional"


def test_resources_come_and_go_with_their_physical_ids() -> None:
    other = TABLE.replace("Jobs:", "Queue:")
    rows = compare(tree(TABLE), tree(other), physical_ids={"Jobs": "stack-Jobs-1"})
    assert [(c.path, c.action, c.physical_id) for c in rows] == [
        ("Queue", "Add", ""),
        ("Jobs", "Remove", "stack-Jobs-1"),
    ]


def test_a_resource_of_another_type_goes_and_comes() -> None:
    rows = compare(tree(TABLE), tree(resource("AWS::S3::Bucket").replace("Thing", "Jobs")))
    assert {(c.action, c.type) for c in rows} == {
        ("Remove", "AWS::DynamoDB::Table"),
        ("Add", "AWS::S3::Bucket"),
    }


def test_a_child_at_another_url_with_the_same_content_is_no_change() -> None:
    moved = MASTER_TEXT.replace("1111", "2222")
    assert compare(tree(MASTER_TEXT, data=TABLE), tree(moved, data=TABLE)) == ()


def test_a_change_in_a_child_is_told_under_the_path_of_its_stack() -> None:
    changed = TABLE.replace("TableName: jobs", "TableName: other")
    (change,) = compare(tree(MASTER_TEXT, data=TABLE), tree(MASTER_TEXT, data=changed))
    assert change.path == "Data/Jobs"


def test_a_parameter_change_is_followed_into_the_child() -> None:
    child = """
    Parameters: {Stage: {Type: String}}
    Resources:
      Jobs: {Type: "AWS::DynamoDB::Table", Properties: {TableName: !Sub "jobs-${Stage}"}}
    """
    before = tree(MASTER_TEXT, {"Stage": "one"}, data=child)
    after = tree(MASTER_TEXT, {"Stage": "two"}, data=child)
    (change,) = compare(before, after)
    assert (change.replacement, change.causes[0].after) == ("True", "jobs-two")


def test_a_nested_stack_that_goes_takes_each_of_its_resources_along() -> None:
    empty = "Resources: {Topic: {Type: AWS::SNS::Topic}}"
    rows = compare(tree(MASTER_TEXT, data=TABLE), tree(empty))
    assert [(c.path, c.action) for c in rows] == [
        ("Topic", "Add"),
        ("Data", "Remove"),
        ("Data/Jobs", "Remove"),
    ]


def test_equal_expressions_of_unknown_values_are_equal() -> None:
    text = """
    Resources:
      Key: {Type: AWS::KMS::Key}
      Bucket:
        Type: AWS::S3::Bucket
        Properties: {BucketName: !Sub "b-${Key}", Tags: [{Key: k, Value: !GetAtt Key.Arn}]}
    """
    assert compare(tree(text), tree(text)) == ()


def test_a_create_only_property_that_only_aws_can_know_may_replace() -> None:
    text = """
    Resources:
      Key: {Type: AWS::KMS::Key}
      Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub "b-${Key}"}}
    """
    (change,) = compare(tree(text), tree(text.replace("b-$", "c-$")))
    assert change.replacement == "Conditional"


CHAIN = """
Resources:
  Pool:
    Type: AWS::Cognito::UserPool
    Properties: {UsernameAttributes: [email]}
  Client:
    Type: AWS::Cognito::UserPoolClient
    Properties: {UserPoolId: !Ref Pool}
  Group:
    Type: AWS::Cognito::UserPoolGroup
    Properties: {UserPoolId: !Sub "${Pool}", GroupName: !GetAtt Client.Name}
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/pool/${Pool.Arn}"}
  Second:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/client/${Client}"}
  Other:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/other/${Poolside}"}
  Poolside: {Type: AWS::SNS::Topic}
"""


def test_a_replacement_spreads_to_what_refers_to_it_in_a_create_only_property() -> None:
    rows = compare(tree(CHAIN), tree(CHAIN.replace("[email]", "[phone_number]")))
    assert {c.path: c.replacement for c in rows} == {
        "Pool": "True",
        "Client": "Conditional",
        "Group": "Conditional",
        "Logs": "Conditional",
        "Second": "Conditional",
    }
    client = next(c for c in rows if c.path == "Client")
    assert client.causes[0].property == "UserPoolId"
    assert client.causes[0].source == "refers to Pool"


def test_a_replacement_spreads_through_the_outputs_of_a_nested_stack() -> None:
    master = (
        MASTER_TEXT
        + "  Logs: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: "
        + ("!GetAtt Data.Outputs.Name}}\n")
    )
    child = TABLE + "Outputs: {Name: {Value: !Ref Jobs}}\n"
    after = child.replace("TableName: jobs", "TableName: other")
    rows = compare(tree(master, data=child), tree(master, data=after))
    assert {c.path: c.replacement for c in rows} == {"Data/Jobs": "True", "Logs": "Conditional"}


def test_an_update_in_place_spreads_nowhere() -> None:
    changed = CHAIN.replace("[email]", "[email], MfaConfiguration: 'ON'")
    assert [c.path for c in compare(tree(CHAIN), tree(changed))] == ["Pool"]


def test_numbers_and_truth_values_are_text_to_cloudformation() -> None:
    assert compare_things("AWS::S3::Bucket", {"A": True, "B": 1}, {"A": "true", "B": "1"}) == ()


def test_a_masked_deployed_value_counts_as_unchanged() -> None:
    before = {"Password": "****", "Url": "db://****@host"}
    after = {"Password": "hunter2", "Url": "db://hunter2@host"}
    assert compare_things("AWS::S3::Bucket", before, after) == ()
    (change,) = compare_things("AWS::S3::Bucket", before, {**after, "Url": "db://x@elsewhere"})
    assert [cause.property for cause in change.causes] == ["Url"]


def test_secret_looking_values_are_masked() -> None:
    before = {"Environment": {"Variables": {"API_TOKEN": "hunter1", "STAGE": "a"}}}
    after = {"Environment": {"Variables": {"API_TOKEN": "hunter2", "STAGE": "b"}}}
    (change,) = compare_things("AWS::Lambda::Function", before, after)
    shown = {cause.property: (cause.before, cause.after) for cause in change.causes}
    assert shown == {
        "Environment/Variables/API_TOKEN": ("****", "****"),
        "Environment/Variables/STAGE": ("a", "b"),
    }


def test_a_new_structure_is_masked_inside() -> None:
    after = {"Environment": {"Variables": {"DB_PASSWORD": "hunter2", "STAGE": "b"}}}
    (change,) = compare_things("AWS::Lambda::Function", {}, after)
    assert "hunter2" not in change.causes[0].after
    assert "STAGE" in change.causes[0].after


def test_long_values_are_cut() -> None:
    (change,) = compare_things("AWS::Lambda::Function", {}, {"Description": "x" * 5000})
    assert len(change.causes[0].after) < 300


TOPICS = """
Resources:
  One: {Type: AWS::SNS::Topic, Properties: {DisplayName: old}}
  Two: {Type: AWS::SNS::Topic, Properties: {DisplayName: !GetAtt One.DisplayName}}
  Three: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Sub "3 ${Two.DisplayName}"}}
  Four: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Ref One}}
"""


def test_a_property_that_changes_spreads_to_what_reads_it_and_no_further() -> None:
    one, two, three = compare(tree(TOPICS), tree(TOPICS.replace("old", "new")))
    assert [c.path for c in (one, two, three)] == ["One", "Two", "Three"]
    assert {c.replacement for c in (one, two, three)} == {"False"}
    assert not one.follows
    assert two.follows
    assert three.causes[0].source == "refers to Two"


@pytest.mark.parametrize(
    ("property_name", "yields"), [("BackupRetentionPeriod", True), ("DBName", False)]
)
def test_only_what_a_schema_lists_without_its_condition_is_a_guess(
    property_name: str, *, yields: bool
) -> None:
    before, after = (
        tree(f"""
Resources:
  Db: {{Type: AWS::RDS::DBInstance, Properties: {{{property_name}: {value}}}}}
""")
        for value in (1, 7)
    )
    (change,) = compare(before, after)
    assert [cause.yields for cause in change.causes] == [yields]
    assert change.replacement == ("Conditional" if yields else "True")
