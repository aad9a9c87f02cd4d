"""What AWS cannot rule out is settled where both trees prove it, and nowhere else."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest

from lib.data import loss
from lib.templates import comparison, proofs, resolution, templates
from lib.templates.changes import Cause, Change
from lib.templates.resolution import Tree
from lib.templates.templates import MASTER

REGION = "us-east-1"

MASTER_TEXT = """
Resources:
  Web:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: templates/web-stack.yaml}
  Sites:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: templates/sites-stack.yaml
      Parameters: {App: !GetAtt Web.Outputs.App, Key: !GetAtt Web.Outputs.Key}
"""
WEB = """
Resources:
  AmplifyApp: {Type: AWS::Amplify::App, Properties: {Name: palette, Description: old}}
  Topic: {Type: AWS::SNS::Topic, Properties: {DisplayName: shown, TopicName: news}}
Outputs:
  App: {Value: !GetAtt AmplifyApp.AppId}
  Key: {Value: !GetAtt Topic.DisplayName}
"""
SITES = """
Parameters:
  App: {Type: String}
  Key: {Type: String}
Resources:
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !Ref App, BranchName: main}}
  Reader: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Ref Key}}
"""
TABLE = """
Resources:
  Jobs:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
  Reader:
    Type: AWS::Amplify::Branch
    Properties: {AppId: !Ref Jobs, BranchName: main}
"""
WITH_INDEX = TABLE.replace(
    "AttributeType: S}]",
    """AttributeType: S}, {AttributeName: state, AttributeType: S}]
      GlobalSecondaryIndexes:
        - IndexName: ByState
          KeySchema: [{AttributeName: state, KeyType: HASH}]
          Projection: {ProjectionType: ALL}""",
)


def tree(
    master: str = MASTER_TEXT, values: Mapping[str, str] | None = None, **children: str
) -> Tree:
    texts = {MASTER: master} | {f"{name}-stack.yaml": text for name, text in children.items()}
    folder = {name: templates.parse(name, textwrap.dedent(text)) for name, text in texts.items()}
    return resolution.resolve(
        folder, values or {}, region=REGION, account="123456789012", stack_name="app"
    )


def dynamic(name: str, recreation: str = "Always", source: str = "ResourceAttribute X.Y") -> Cause:
    return Cause(name, "", "", recreation, source, "Dynamic", follows=True)


def aws(path: str, *causes: Cause, replacement: str = "Conditional", kind: str = "") -> Change:
    return Change(path, kind or "AWS::Amplify::Branch", "Modify", replacement, causes=causes)


def settle(before: Tree, after: Tree, *rows: Change) -> dict[str, Change]:
    """Settle AWS's rows beside our own comparison, as a review does."""
    merged = loss.merge(rows, comparison.compare(before, after, region=REGION))
    return {c.path: c for c in proofs.settle(merged, before, after, region=REGION)}


BEFORE = tree(web=WEB, sites=SITES)
BRANCH = aws("Sites/Branch", dynamic("AppId"))


def web(old: str, new: str) -> Tree:
    assert old in WEB
    return tree(web=WEB.replace(old, new), sites=SITES)


def test_a_phantom_replacement_across_nested_stacks_is_settled_and_says_why() -> None:
    found = settle(BEFORE, web("old", "new"), BRANCH)
    branch = found["Sites/Branch"]
    assert branch.replacement == "False"
    assert branch.proof == (
        "AWS cannot rule it out; unchanged, because Web/AmplifyApp keeps its ID"
    )
    assert branch.follows
    assert found["Web/AmplifyApp"].proof is None


def test_a_resource_of_the_same_stack_is_named_by_its_logical_id() -> None:
    text = """
Resources:
  AmplifyApp: {Type: AWS::Amplify::App, Properties: {Name: palette, Description: old}}
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !GetAtt AmplifyApp.AppId, BranchName: a}}
"""
    found = settle(tree(text), tree(text.replace("old", "new")), aws("Branch", dynamic("AppId")))
    assert found["Branch"].proof == (
        "AWS cannot rule it out; unchanged, because AmplifyApp keeps its ID"
    )


def test_a_source_that_is_replaced_settles_nothing() -> None:
    after = tree(web=WEB.replace("AWS::Amplify::App", "AWS::Amplify::Domain"), sites=SITES)
    assert settle(BEFORE, after, BRANCH)["Sites/Branch"].replacement == "Conditional"
    app = aws(
        "Web/AmplifyApp",
        Cause("Name", "", "", "Always", "", "Static"),
        replacement="True",
        kind="AWS::Amplify::App",
    )
    found = settle(BEFORE, web("old", "new"), app, BRANCH)
    assert found["Sites/Branch"].replacement == "Conditional"
    assert found["Sites/Branch"].proof is None


def test_a_source_that_may_be_replaced_for_reasons_nobody_told_settles_nothing() -> None:
    app = aws("Web/AmplifyApp", kind="AWS::Amplify::App")
    found = settle(BEFORE, web("old", "new"), app, BRANCH)
    assert [c.replacement for c in found.values()] == ["Conditional", "Conditional"]


def test_a_row_that_aws_is_certain_of_is_never_settled() -> None:
    certain = Cause("AppId", "", "", "Always", "ResourceAttribute X", "Static", follows=True)
    for row in (
        aws("Sites/Branch", certain, replacement="True"),
        aws("Sites/Branch", Cause("AppId", "", "", "Conditionally", "", "Static")),
        aws("Sites/Branch", dynamic("AppId"), Cause("BranchName", "", "", "Always", "", "Static")),
        aws("Sites/Branch", dynamic("AppId", "Conditionally"), replacement="True"),
        aws("Sites/Branch"),
    ):
        kept = settle(BEFORE, web("old", "new"), row)["Sites/Branch"]
        assert (kept.replacement, kept.proof) == (row.replacement, None)


def test_an_expression_that_changes_settles_nothing() -> None:
    after = tree(web=WEB, sites=SITES.replace("AppId: !Ref App", "AppId: !Sub 'x${App}'"))
    assert settle(BEFORE, after, BRANCH)["Sites/Branch"].replacement != "False"


def test_a_property_of_a_source_that_is_updated_in_place_counts_only_if_it_stays() -> None:
    reader = aws(
        "Sites/Reader", dynamic("Value", "Never"), replacement="False", kind="AWS::SSM::Parameter"
    )
    other = settle(BEFORE, web("TopicName: news", "TopicName: news, KmsMasterKeyId: k"), reader)
    assert other["Sites/Reader"].proof == (
        "AWS cannot rule it out; unchanged, because Web/Topic keeps its DisplayName"
    )
    same = settle(BEFORE, web("shown", "other"), reader)
    assert same["Sites/Reader"].proof is None


def test_an_attribute_that_is_no_property_may_change_with_an_update_in_place() -> None:
    text = """
Resources:
  Jobs: {Type: AWS::DynamoDB::Table, Properties: {TableClass: STANDARD}}
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !GetAtt Jobs.StreamArn, BranchName: a}}
"""
    after = tree(text.replace("STANDARD", "STANDARD_INFREQUENT_ACCESS"))
    row = aws("Branch", dynamic("AppId"))
    assert settle(tree(text), after, row)["Branch"].replacement == "Conditional"
    # Of a table that does not change at all, nothing changes.
    assert settle(tree(text), tree(text), row)["Branch"].replacement == "False"


@pytest.mark.parametrize(
    "value",
    [
        "!ImportValue elsewhere",
        "!Select [0, !GetAZs '']",
        "'{{resolve:ssm:/app/id}}'",
        "{Fn::Transform: {Name: Random}}",
        "!FindInMap [Sizes, !Ref Jobs, size]",
    ],
)
def test_what_comes_from_outside_both_trees_is_never_proven(value: str) -> None:
    text = f"""
Mappings: {{Sizes: {{a: {{size: 1}}}}}}
Resources:
  Jobs: {{Type: AWS::DynamoDB::Table, Properties: {{TableClass: STANDARD}}}}
  Branch: {{Type: AWS::Amplify::Branch, Properties: {{AppId: {value}, BranchName: a}}}}
"""
    row = aws("Branch", dynamic("AppId"))
    assert settle(tree(text), tree(text), row)["Branch"].replacement == "Conditional"


@pytest.mark.parametrize("kind", ["AWS::SSM::Parameter::Value<String>", "String"])
def test_a_parameter_that_is_kept_elsewhere_or_not_given_is_never_proven(kind: str) -> None:
    text = f"""
Parameters: {{Id: {{Type: {kind}}}}}
Resources:
  Branch: {{Type: AWS::Amplify::Branch, Properties: {{AppId: !Ref Id, BranchName: a}}}}
"""
    given = {"Id": "/app/id"} if "SSM" in kind else {}
    both = tree(text, given)
    assert settle(both, both, aws("Branch", dynamic("AppId")))["Branch"].proof is None


def test_a_value_that_is_masked_is_never_proven() -> None:
    text = """
Parameters: {Id: {Type: String, NoEcho: true}}
Resources:
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !Ref Id, BranchName: a}}
"""
    both = tree(text, {"Id": "****"})
    assert settle(both, both, aws("Branch", dynamic("AppId")))["Branch"].proof is None


def test_a_value_that_both_templates_spell_out_is_proven() -> None:
    text = "Resources: {B: {Type: AWS::Amplify::Branch, Properties: {AppId: d1, BranchName: a}}}"
    found = settle(tree(text), tree(text), aws("B", dynamic("AppId")))
    assert found["B"].proof == (
        "AWS cannot rule it out; unchanged, because both templates give the same value"
    )


def test_a_custom_resource_that_is_updated_may_change_its_id() -> None:
    text = """
Resources:
  Made: {Type: Custom::App, Properties: {ServiceToken: arn, Version: 1}}
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !Ref Made, BranchName: a}}
"""
    after = tree(text.replace("Version: 1", "Version: 2"))
    made = aws(
        "Made",
        Cause("Version", "1", "2", "Never", "", "Static"),
        replacement="False",
        kind="Custom::App",
    )
    found = settle(tree(text), after, made, aws("Branch", dynamic("AppId")))
    assert found["Branch"].replacement == "Conditional"


INDEXED = aws(
    "Jobs",
    Cause("AttributeDefinitions", "", "", "Conditionally", "DirectModification", "Static"),
    Cause("GlobalSecondaryIndexes", "", "", "Never", "DirectModification", "Static"),
    kind="AWS::DynamoDB::Table",
)


def test_adding_an_index_replaces_nothing_though_aws_says_conditionally() -> None:
    found = settle(tree(TABLE), tree(WITH_INDEX), INDEXED, aws("Reader", dynamic("AppId")))
    assert found["Jobs"].replacement == "False"
    assert found["Jobs"].proof == (
        "AWS cannot rule it out; no item of AttributeDefinitions that stays is edited"
    )
    assert not found["Jobs"].follows
    # What reads the table follows the verdict on it.
    assert found["Reader"].proof == ("AWS cannot rule it out; unchanged, because Jobs keeps its ID")


def test_a_key_of_another_type_may_replace_the_table_as_aws_says() -> None:
    edited = WITH_INDEX.replace("id, AttributeType: S", "id, AttributeType: N")
    found = settle(tree(TABLE), tree(edited), INDEXED)
    assert (found["Jobs"].replacement, found["Jobs"].proof) == ("Conditional", None)


def test_a_definition_that_aws_is_certain_replaces_the_table_stays_so() -> None:
    always = Cause("AttributeDefinitions", "", "", "Always", "DirectModification", "Static")
    row = aws("Jobs", always, replacement="True", kind="AWS::DynamoDB::Table")
    assert settle(tree(TABLE), tree(WITH_INDEX), row)["Jobs"].replacement == "True"


def test_what_only_the_comparison_expected_to_follow_is_left_out_once_it_is_disproven() -> None:
    """Aws says Never of what the schema lists as conditional, so what reads it stays too."""
    text = """
Resources:
  Db: {Type: AWS::RDS::DBInstance, Properties: {BackupRetentionPeriod: 1}}
  Branch: {Type: AWS::Amplify::Branch, Properties: {AppId: !Ref Db, BranchName: a}}
"""
    after = tree(text.replace("1}", "7}"))
    assert "Branch" in settle(tree(text), after)
    certain = Cause("BackupRetentionPeriod", "1", "7", "Never", "DirectModification", "Static")
    row = aws("Db", certain, replacement="False", kind="AWS::RDS::DBInstance")
    assert set(settle(tree(text), after, row)) == {"Db"}


def test_a_part_of_a_property_that_differs_keeps_the_whole_of_it_open() -> None:
    text = """
Resources:
  Branch:
    Type: AWS::Amplify::Branch
    Properties: {AppId: d1, BranchName: a, BasicAuthConfig: {Username: ann}}
"""
    row = aws("Branch", dynamic("BasicAuthConfig"))
    found = settle(tree(text), tree(text.replace("ann", "bob")), row)
    assert (found["Branch"].replacement, found["Branch"].proof) == ("Conditional", None)
