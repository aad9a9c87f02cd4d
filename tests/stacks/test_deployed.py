"""What is deployed is read from CloudFormation itself, in the form that templates resolve in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from lib import session, values
from lib.access import Access
from lib.errors import TemplateError
from lib.operators import OnInterrupt, Operator
from lib.stacks import deployed
from lib.stacks.deployed import Deployed
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Status
from lib.templates import comparison, resolution, templates
from lib.templates.templates import MASTER
from tests.support.answers import Aws, Json, error
from tests.support.aws_fakes import intercept
from tests.support.factories import job

URL = "https://s3.amazonaws.com/b"

ROOT = f"""
Parameters: {{Secret: {{Type: String, NoEcho: true}}}}
Conditions: {{Never: !Equals [a, b]}}
Resources:
  One: {{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: {URL}/111/data-stack.yaml}}}}
  Two: {{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: {URL}/222/data-stack.yaml}}}}
  Three:
    Type: AWS::CloudFormation::Stack
    Properties: {{TemplateURL: {URL}/111/data-stack.yaml}}
  Absent:
    Type: AWS::CloudFormation::Stack
    Condition: Never
    Properties: {{TemplateURL: {URL}/333/other-stack.yaml}}
  Topic: {{Type: AWS::SNS::Topic, Properties: {{DisplayName: !Ref Secret}}}}
"""
TABLE = "Resources: {Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: NAME}}}"


def stack(parameters: dict[str, str] | None = None) -> Stack:
    return Stack(
        **{  # type: ignore[arg-type]
            "name": "root",
            "id": "root-id",
            "status": Status("CREATE_COMPLETE"),
            "parameters": parameters or {},
            "created": datetime(2026, 1, 1, tzinfo=UTC),
            "updated": None,
            "protected": False,
            "outputs": {},
            "tags": {},
            **dict.fromkeys(("reason", "parent_id", "drift"), ""),
        }
    )


def listing(**resources: tuple[str, str]) -> Json:
    """Return an answer of ListStackResources: logical ID = (type, physical ID)."""
    return {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": physical_id,
                "ResourceType": type_name,
                "LastUpdatedTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for name, (type_name, physical_id) in resources.items()
        ]
    }


@pytest.fixture
def aws() -> Aws:
    aws = Aws()
    nested = "AWS::CloudFormation::Stack"
    aws.reply(
        "ListStackResources",
        "root-id",
        listing(
            One=(nested, "one-id"),
            Two=(nested, "two-id"),
            Three=(nested, "three-id"),
            Topic=("AWS::SNS::Topic", "topic-arn"),
        ),
    )
    aws.reply("GetTemplate", "root-id", {"TemplateBody": ROOT})
    for name, table in (("one", "a"), ("two", "b"), ("three", "a")):
        rows = listing(Table=("AWS::DynamoDB::Table", f"table-{name}"))
        aws.reply("ListStackResources", f"{name}-id", rows)
        aws.reply("GetTemplate", f"{name}-id", {"TemplateBody": TABLE.replace("NAME", table)})
    return aws


def read(aws: Aws) -> Deployed:
    return deployed.read(aws.client, stack({"Secret": "****"}))


def resolve(found: Deployed) -> resolution.Tree:
    return resolution.resolve(
        found.folder, found.parameters, region="eu-west-1", account="1", stack_name="root"
    )


def test_every_template_of_the_tree_is_asked_for_once(aws: Aws) -> None:
    read(aws)
    asked = sorted(call["StackName"] for call in aws.calls("GetTemplate"))
    assert asked == ["one-id", "root-id", "three-id", "two-id"]


def test_resources_and_their_physical_ids_are_known_by_path(aws: Aws) -> None:
    found = read(aws)
    assert found.physical_ids["One/Table"] == "table-one"
    assert found.physical_ids["Two"] == "two-id"
    assert [r.path for r in found.resources][:2] == ["One", "Two"]


def test_children_of_one_file_name_but_other_content_stay_apart(aws: Aws) -> None:
    found = read(aws)
    assert set(found.folder) == {MASTER, "data-stack.yaml", "data-stack-2.yaml"}
    names = {r.path: r.properties["TableName"] for r in resolve(found).resources if "/" in r.path}
    assert names == {"One/Table": "a", "Two/Table": "b", "Three/Table": "a"}


def test_the_texts_stay_as_they_were_deployed(aws: Aws) -> None:
    assert read(aws).folder[MASTER].text == ROOT


def test_a_master_in_json_is_read_too(aws: Aws) -> None:
    # botocore decodes a JSON template on the way.
    text = values.canonical(templates.parse("x", ROOT).body)
    aws.reply("GetTemplate", "root-id", {"TemplateBody": text})
    assert len(resolve(read(aws)).resources) == 7


def test_a_masked_parameter_makes_no_difference(aws: Aws) -> None:
    found = read(aws)
    known = resolution.resolve(
        found.folder, {"Secret": "hunter2"}, region="eu-west-1", account="1", stack_name="root"
    )
    assert comparison.compare(resolve(found), known, region="eu-west-1") == ()


def test_a_nested_stack_that_goes_meanwhile_is_left_out(aws: Aws) -> None:
    gone = error("ValidationError", "Stack with id one-id does not exist")
    aws.reply("GetTemplate", "one-id", gone)
    assert {MASTER, "data-stack.yaml"} <= set(read(aws).folder)


def test_a_nested_stack_deployed_from_a_master_does_not_take_the_roots_name(aws: Aws) -> None:
    aws.reply(
        "GetTemplate",
        "root-id",
        {"TemplateBody": ROOT.replace("222/data-stack", "222/master-stack")},
    )
    found = read(aws)
    assert "Topic" in found.folder[MASTER].resources
    assert "Table" in found.folder["master-stack-2.yaml"].resources
    assert {r.path for r in resolve(found).resources} >= {"Topic", "Two/Table"}


def test_other_errors_pass_as_they_are(aws: Aws) -> None:
    aws.reply("GetTemplate", "two-id", error("AccessDenied"))
    with pytest.raises(ClientError):
        read(aws)


def test_a_stack_without_a_template_is_told_as_such_and_not_as_an_empty_one() -> None:
    aws = Aws()
    aws.reply("ListStackResources", "root-id", {"StackResourceSummaries": []})
    aws.reply("GetTemplate", "root-id", {})
    with pytest.raises(TemplateError, match="has no template yet"):
        deployed.read(aws.client, stack())


def resolve_live(found: Deployed) -> resolution.Tree:
    """Resolve what is deployed as workflows do."""
    connected = session.connect("eu-west-1")
    caller = {"Account": "1" * 12, "Arn": "arn:aws:iam::111111111111:user/ann"}
    intercept(connected.client("sts"), lambda *_: caller)
    nobody = Operator(lambda _: None, lambda *_: False, lambda _: OnInterrupt.DETACH)
    tree = deployed.resolve_deployed(job(stack_name="root"), Access(connected, nobody), found)
    assert tree
    return tree


HALF = f"""
Conditions: {{Never: !Equals [a, b]}}
Resources:
  One:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: {URL}/111/data-stack.yaml
      Parameters: {{Read: !GetAtt Two.Outputs.Name, Ref: !Ref Two}}
  Two: {{Type: AWS::CloudFormation::Stack, Properties: {{TemplateURL: {URL}/222/new-stack.yaml}}}}
  Off:
    Type: AWS::CloudFormation::Stack
    Condition: Never
    Properties: {{TemplateURL: {URL}/333/off-stack.yaml}}
Outputs:
  Name: {{Value: !GetAtt Two.Outputs.Name}}
"""
KEPT = """
Parameters: {Read: {Type: String}, Ref: {Type: String}}
Resources:
  Table: {Type: AWS::DynamoDB::Table, DeletionPolicy: Retain, Properties: {TableName: !Ref Read}}
"""


def never_created(aws: Aws) -> Deployed:
    """Read a root one of whose nested stacks was never created."""
    rows = listing(One=("AWS::CloudFormation::Stack", "one-id"))
    never = listing(Two=("AWS::CloudFormation::Stack", ""))["StackResourceSummaries"]
    rows["StackResourceSummaries"] += [{**never[0], "ResourceStatus": "CREATE_FAILED"}]
    aws.reply("ListStackResources", "root-id", rows)
    aws.reply("GetTemplate", "root-id", {"TemplateBody": HALF})
    aws.reply("GetTemplate", "one-id", {"TemplateBody": KEPT})
    return read(aws)


def test_a_nested_stack_that_was_never_created_takes_nothing_from_what_is_there(aws: Aws) -> None:
    tree = resolve_live(never_created(aws))
    assert {r.path: r.deletion_policy for r in tree.resources if "/" in r.path} == {
        "One/Table": "Retain"
    }
    assert "Two" not in {r.path for r in tree.resources}


def test_what_reads_a_stack_that_is_not_there_is_not_known(aws: Aws) -> None:
    tree = resolve_live(never_created(aws))
    table = next(r for r in tree.resources if r.path == "One/Table")
    assert isinstance(table.properties["TableName"], resolution.Unknown)


def test_the_paths_of_nested_stacks_that_are_not_there_are_told(aws: Aws) -> None:
    assert never_created(aws).absent == {"Two", "Off"}
    assert "One" not in never_created(aws).absent


def test_a_parent_that_is_newer_than_its_nested_stack_is_read_all_the_same(aws: Aws) -> None:
    # An update that failed half way: the parent has its new template, One still the old one.
    newer = HALF.replace("Two.Outputs.Name}}", "One.Outputs.New}}")
    rows = listing(One=("AWS::CloudFormation::Stack", "one-id"))
    aws.reply("ListStackResources", "root-id", rows)
    aws.reply("GetTemplate", "root-id", {"TemplateBody": newer})
    wants_more = KEPT.replace("Parameters: {", "Parameters: {More: {Type: String}, ")
    off = "\nOutputs: {New: {Value: x, Condition: No}}\nConditions: {No: !Equals [a, b]}"
    for text in (wants_more, KEPT + off):
        aws.reply("GetTemplate", "one-id", {"TemplateBody": text})
        tree = resolve_live(read(aws))
        kept = {r.path: r.deletion_policy for r in tree.resources if "/" in r.path}
        assert kept == {"One/Table": "Retain"}
        assert isinstance(tree.outputs["Name"], resolution.Unknown)


def test_a_nested_stack_that_was_loaded_from_a_known_object_is_not_asked_for(aws: Aws) -> None:
    known = {"222/data-stack.yaml": TABLE.replace("NAME", "b")}
    found = deployed.read(aws.client, stack({"Secret": "****"}), known=known)
    asked = sorted(call["StackName"] for call in aws.calls("GetTemplate"))
    assert asked == ["one-id", "root-id", "three-id"]
    names = {r.path: r.properties["TableName"] for r in resolve(found).resources if "/" in r.path}
    assert names == {"One/Table": "a", "Two/Table": "b", "Three/Table": "a"}


def test_a_key_behind_a_parameter_is_known_too() -> None:
    url = "{'Fn::Sub': ['https://x/${Bucket}/${Prefix}KEY', {Bucket: b}]}"
    one = f"{{Type: 'AWS::CloudFormation::Stack', Properties: {{TemplateURL: {url}}}}}"
    parent = f"Resources: {{One: {one}}}"
    known = {"templates/0123456789ab/a.yaml": "text"}
    there = parent.replace("KEY", "templates/0123456789ab/a.yaml")
    assert deployed.find_known(there, "One", known) == "text"
    assert (
        deployed.find_known(parent.replace("KEY", "templates/other/a.yaml"), "One", known) is None
    )
    assert deployed.find_known(there, "Two", known) is None


def test_nested_stacks_that_a_change_set_has_told_cost_no_listing(aws: Aws) -> None:
    template = ROOT.replace("Never: !Equals [a, b]", "Never: !Equals [a, a]")
    aws.reply("GetTemplate", "root-id", {"TemplateBody": template})
    aws.reply("GetTemplate", "other-id", {"TemplateBody": TABLE.replace("NAME", "o")})
    ids = {"One": "one-id", "Two": "two-id", "Three": "three-id", "Absent": "other-id"}
    found = deployed.read(aws.client, stack({"Secret": "****"}), nested=ids)
    assert aws.calls("ListStackResources") == []
    asked = sorted(call["StackName"] for call in aws.calls("GetTemplate"))
    assert asked == ["one-id", "other-id", "root-id", "three-id", "two-id"]
    assert found.physical_ids["Two/Table"] == "table-two"
    assert [call["StackName"] for call in aws.calls("ListStackResources")] == ["two-id"]


def test_where_a_change_set_has_not_told_every_nested_stack_their_parent_is_listed(
    aws: Aws,
) -> None:
    found = deployed.read(aws.client, stack({"Secret": "****"}), nested={"One": "one-id"})
    assert [call["StackName"] for call in aws.calls("ListStackResources")] == ["root-id"]
    assert found.absent == {"Absent"}


def test_a_template_that_a_macro_makes_is_not_trusted_to_name_its_nested_stacks(aws: Aws) -> None:
    text = f"Transform: AWS::LanguageExtensions{ROOT}"
    aws.reply("GetTemplate", "root-id", {"TemplateBody": text})
    ids = {"One": "one-id", "Two": "two-id", "Three": "three-id", "Absent": "other-id"}
    deployed.read(aws.client, stack({"Secret": "****"}), nested=ids)
    assert [call["StackName"] for call in aws.calls("ListStackResources")] == ["root-id"]


def test_only_the_stack_that_somebody_asks_about_is_listed(aws: Aws) -> None:
    found = read(aws)
    assert found.physical_ids["Two/Table"] == "table-two"
    assert found.physical_ids.get("Two/Nothing", "") == ""
    assert found.physical_ids["Two/Table"] == "table-two"
    asked = [call["StackName"] for call in aws.calls("ListStackResources")]
    assert asked == ["root-id", "two-id"]


def test_what_lies_beside_a_resource_is_read_from_its_own_stack_alone(aws: Aws) -> None:
    found = read(aws)
    beside = found.list_beside(["Two/Table", "Two/Other"])
    assert [resource.path for resource in beside] == ["Two/Table"]
    asked = [call["StackName"] for call in aws.calls("ListStackResources")]
    assert asked == ["root-id", "two-id"]


def test_only_stacks_whose_template_may_have_a_type_are_listed_for_it(aws: Aws) -> None:
    rooms = TABLE.replace("AWS::DynamoDB::Table", "AWS::SNS::Topic")
    aws.reply("GetTemplate", "one-id", {"TemplateBody": rooms})
    made = f"Transform: AWS::Serverless-2016-10-31\n{rooms}"
    aws.reply("GetTemplate", "three-id", {"TemplateBody": made})
    tables = read(aws).list_of({"AWS::DynamoDB::Table"})
    assert [resource.path for resource in tables] == ["Two/Table", "Three/Table"]
    asked = [call["StackName"] for call in aws.calls("ListStackResources")]
    assert asked == ["root-id", "two-id", "three-id"]


def test_every_stack_is_listed_once_for_who_wants_them_all(aws: Aws) -> None:
    found = read(aws)
    assert len(found.resources) == len(found.resources) == len(found.physical_ids) == 7
    asked = sorted(call["StackName"] for call in aws.calls("ListStackResources"))
    assert asked == ["one-id", "root-id", "three-id", "two-id"]
