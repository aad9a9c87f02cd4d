"""Templates resolve as CloudFormation would, and stay unknown where only AWS can tell."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from lib.errors import TemplateError
from lib.templates import resolution, templates
from lib.templates.resolution import Tree
from lib.templates.templates import Template
from lib.templates.unknowns import Unknown

BUCKET = """
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      Value: {value}
"""


def folder_of(**texts: str) -> dict[str, Template]:
    """Parse `name=text` into a folder; the name `master` stands for the master's file."""
    names = {name: f"{name}-stack.yaml" for name in texts}
    return {
        names[name]: templates.parse(names[name], textwrap.dedent(text))
        for name, text in texts.items()
    }


def resolve(parameters: dict[str, str] | None = None, /, **texts: str) -> Tree:
    return resolution.resolve(
        folder_of(**texts),
        parameters or {},
        region="eu-west-1",
        account="123456789012",
        stack_name="plot-palette-test",
    )


def value_of(expression: str, head: str = "", parameters: dict[str, str] | None = None) -> Any:
    """Resolve one expression as the property of a bucket."""
    tree = resolve(parameters, master=textwrap.dedent(head) + BUCKET.format(value=expression))
    return tree.resources[-1].properties.get("Value")


def test_without_an_account_its_number_is_unknown() -> None:
    tree = resolution.resolve(
        folder_of(master=BUCKET.format(value="!Ref AWS::AccountId")),
        {},
        region="us-east-1",
        account="",
        stack_name="s",
    )
    assert isinstance(tree.resources[0].properties["Value"], Unknown)


MASTER = """
Parameters:
  Days: {Type: Number, Default: 7}
  WithFrontend: {Type: String, Default: "true"}
Conditions:
  HasFrontend: !Equals [!Ref WithFrontend, "true"]
Resources:
  DatabaseStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub https://s3.${AWS::Region}.${AWS::URLSuffix}/b/${P}/database-stack.yaml
      Parameters: {Days: !Ref Days, Flag: true}
  FrontendStack:
    Type: AWS::CloudFormation::Stack
    Condition: HasFrontend
    Properties:
      TemplateURL: https://s3.eu-west-1.amazonaws.com/b/templates/0123/frontend-stack.yaml
      Parameters:
        Table: !GetAtt DatabaseStack.Outputs.TableName
        Arn: !GetAtt DatabaseStack.Outputs.TableArn
        Mood: !GetAtt DatabaseStack.Outputs.TableMood
Outputs:
  Table: {Value: !GetAtt DatabaseStack.Outputs.TableName}
  Url: {Condition: HasFrontend, Value: !Sub "https://${FrontendStack.Outputs.Host}/"}
""".replace("/${P}/", "/")

DATABASE = """
Parameters:
  Days: {Type: Number}
  Flag: {Type: String}
  Name: {Type: String, Default: jobs}
Conditions:
  Flagged: !Equals [!Ref Flag, "true"]
Resources:
  JobsTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Snapshot
    Properties:
      TableName: !Sub "${Name}-${Days}"
      Flag: !If [Flagged, 1, 0]
Outputs:
  TableName: {Value: !Sub "${Name}-${Days}"}
  TableArn: {Value: !GetAtt JobsTable.Arn}
  TableMood: {Value: !GetAtt JobsTable.Mood}
"""

FRONTEND = """
Parameters:
  Table: {Type: String}
  Arn: {Type: String}
  Mood: {Type: String}
Conditions:
  HasTable: !Not [!Equals [!Ref Table, ""]]
  HasArn: !Not [!Equals [!Ref Arn, ""]]
  HasMood: !Not [!Equals ["", !Ref Mood]]
Resources:
  App:
    Type: AWS::Amplify::App
    Condition: HasTable
    Properties: {Name: !Ref Table, Arn: !Ref Arn, Stack: !Ref AWS::StackName}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Condition: HasMood
    Properties: {Period: !If [HasMood, 60, 300], Statistic: !If [HasArn, Sum, Average]}
Outputs:
  Host: {Value: !GetAtt App.DefaultDomain}
"""

APP = {"master": MASTER, "database": DATABASE, "frontend": FRONTEND}


def test_parameters_flow_into_nested_stacks_and_outputs_flow_back() -> None:
    tree = resolve({"Days": "30"}, **APP)
    found = {resource.path: resource for resource in tree.resources}
    assert list(found) == [
        "DatabaseStack",
        "DatabaseStack/JobsTable",
        "FrontendStack",
        "FrontendStack/App",
        "FrontendStack/Alarm",
    ]
    table = found["DatabaseStack/JobsTable"]
    assert table.properties == {"TableName": "jobs-30", "Flag": 1}
    assert (table.deletion_policy, table.update_replace_policy) == ("Retain", "Snapshot")
    assert table.template == "database-stack.yaml"
    assert found["FrontendStack/App"].deletion_policy == "Delete"
    assert found["FrontendStack/App"].properties == {
        "Name": "jobs-30",
        "Arn": Unknown("${DatabaseStack/JobsTable.Arn}"),
        "Stack": Unknown("${FrontendStack.StackName}"),
    }
    assert tree.outputs == {
        "Table": "jobs-30",
        "Url": Unknown("https://${FrontendStack/App.DefaultDomain}/"),
    }
    assert tree.parameters[""] == {"Days": "30", "WithFrontend": "true"}
    assert tree.parameters["DatabaseStack"] == {"Days": "30", "Flag": "true", "Name": "jobs"}


def test_a_false_condition_removes_the_nested_stack_and_its_outputs() -> None:
    tree = resolve({"WithFrontend": "false"}, **APP)
    assert {resource.path for resource in tree.resources} == {
        "DatabaseStack",
        "DatabaseStack/JobsTable",
    }
    assert tree.outputs == {"Table": "jobs-7"}
    assert set(tree.parameters) == {"", "DatabaseStack"}


def test_a_condition_that_only_aws_can_decide_keeps_the_resource_and_names_itself() -> None:
    alarm = resolve(**APP).resources[-1]
    assert alarm.condition == "HasMood"
    assert isinstance(alarm.properties["Period"], Unknown)


def test_an_arn_and_a_reference_to_a_resource_are_never_the_empty_text() -> None:
    assert resolve(**APP).resources[-1].properties["Statistic"] == "Sum"
    head = 'Conditions: {IsNamed: !Not [!Equals [!Sub "${Bucket}", ""]]}\n'
    assert value_of("!If [IsNamed, named, nameless]", head) == "named"


def test_two_trees_of_the_same_templates_are_equal_and_a_changed_parameter_shows() -> None:
    assert resolve(**APP) == resolve(**APP)
    assert resolve(**APP) != resolve({"Days": "8"}, **APP)


def test_a_property_removed_by_novalue_lets_the_childs_default_through() -> None:
    master = MASTER.replace("Flag: true", "Flag: true, Name: !Ref AWS::NoValue")
    assert resolve(**{**APP, "master": master}).outputs["Table"] == "jobs-7"


def test_a_root_parameter_without_value_is_unknown_but_a_childs_is_an_error() -> None:
    head = "Parameters: {Email: {Type: String}}\n"
    assert value_of("!Ref Email", head) == Unknown("${Email}")
    with pytest.raises(TemplateError, match=r"DatabaseStack.*Days is required"):
        resolve(**{**APP, "master": MASTER.replace("Days: !Ref Days, ", "")})


def test_intrinsics_in_a_policy_are_resolved() -> None:
    text = """
    Parameters: {Keep: {Type: String, Default: Retain}}
    Resources:
      Bucket: {Type: AWS::S3::Bucket, DeletionPolicy: !Ref Keep}
    """
    assert resolve(master=text).resources[0].deletion_policy == "Retain"


def test_a_template_that_nests_itself_is_an_error() -> None:
    loop = """
    Resources:
      Again:
        Type: AWS::CloudFormation::Stack
        Properties: {TemplateURL: https://b/master-stack.yaml}
    """
    with pytest.raises(TemplateError, match="nests itself at Again"):
        resolve(master=loop)


def test_stacks_that_read_each_others_outputs_are_an_error() -> None:
    stack = "Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: https://b/c-stack.yaml"
    master = f"""
    Resources:
      A: {{{stack}, Parameters: {{P: !GetAtt B.Outputs.O}}}}}}
      B: {{{stack}, Parameters: {{P: !GetAtt A.Outputs.O}}}}}}
    """
    child = """
    Parameters: {P: {Type: String}}
    Resources: {Bucket: {Type: AWS::S3::Bucket}}
    Outputs: {O: {Value: !Ref P}}
    """
    with pytest.raises(TemplateError, match="depend on its own outputs"):
        resolve(master=master, c=child)


def test_a_tree_that_doubles_at_each_level_is_refused_not_walked() -> None:
    def level(number: int) -> str:
        stack = "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: https://b/%s}}"
        url = stack % f"l{number + 1}-stack.yaml"
        return f"Resources: {{A: {url}, B: {url}}}"

    texts = {f"l{n}": level(n) for n in range(1, 30)}
    with pytest.raises(TemplateError, match="more than"):
        resolve(master=level(0), l30="Resources: {B: {Type: AWS::S3::Bucket}}", **texts)


def test_nesting_beyond_what_python_can_walk_is_a_template_error() -> None:
    body: Any = "x"
    for _ in range(5_000):
        body = {"Fn::Join": ["", [body]]}
    resources = {"B": {"Type": "AWS::S3::Bucket", "Properties": {"Value": body}}}
    deep = Template("master-stack.yaml", "", {"Resources": resources})
    with pytest.raises(TemplateError, match="nested too deeply"):
        resolution.resolve({"master-stack.yaml": deep}, {}, region="r", account="", stack_name="s")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("database-stack.yaml", "gone-stack.yaml"), "gone-stack.yaml, which does not exist"),
        (("Outputs.TableName", "Outputs.Missing"), "Missing is not declared"),
        (("Days: !Ref Days", "Days: [1, 2]"), "join it with Fn::Join"),
        (("Parameters: {Days: !Ref Days, Flag: true}", "Parameters: [a]"), "not a mapping"),
    ],
)
def test_a_broken_contract_between_master_and_child_is_named(
    change: tuple[str, str], problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem):
        resolve(**{**APP, "master": MASTER.replace(*change)})


def test_a_missing_master_is_an_error() -> None:
    with pytest.raises(TemplateError, match=r"no master-stack\.yaml"):
        resolve(database=DATABASE)
