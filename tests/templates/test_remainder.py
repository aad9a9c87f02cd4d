"""What changes beside resources is named, so that nobody takes it for nothing."""

from __future__ import annotations

import pytest

from lib.templates import remainder, resolution, templates
from lib.templates.templates import MASTER, Template

MASTER_TEXT = """
Parameters: {Stage: {Type: String, Default: test}}
Resources:
  Data:
    Type: AWS::CloudFormation::Stack
    DeletionPolicy: Delete
    Properties: {TemplateURL: templates/1111/data-stack.yaml, Parameters: {Stage: !Ref Stage}}
Outputs:
  Jobs: {Value: !GetAtt Data.Outputs.Jobs, Export: {Name: jobs}}
"""
DATA = """
Description: Tables
Parameters: {Stage: {Type: String}}
Resources:
  Jobs: {Type: AWS::DynamoDB::Table, Properties: {TableName: jobs}}
Outputs:
  Jobs: {Value: !Ref Jobs}
"""

Folder = dict[str, Template]


def folder(master: str = MASTER_TEXT, data: str = DATA, file: str = "data-stack.yaml") -> Folder:
    return {MASTER: templates.parse(MASTER, master), file: templates.parse(file, data)}


def differences(new: Folder, old: Folder | None = None, stage: str = "test") -> tuple[str, ...]:
    was = old or folder()
    before, after = (
        resolution.resolve(
            one, {"Stage": value}, region="us-east-1", account="123456789012", stack_name="app"
        )
        for one, value in ((was, "test"), (new, stage))
    )
    return remainder.list_differences(was, new, before, after)


def test_two_sets_that_are_the_same_differ_in_nothing_wherever_they_are_loaded_from() -> None:
    assert differences(folder()) == ()
    assert differences(folder(MASTER_TEXT.replace("1111", "2222"))) == ()
    moved = MASTER_TEXT.replace("data-stack.yaml", "data-stack-2.yaml")
    assert differences(folder(), folder(moved, DATA, "data-stack-2.yaml")) == ()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Export: {Name: jobs}", "Export: {Name: tables}", "the export of the output Jobs"),
        ("DeletionPolicy: Delete", "DeletionPolicy: Retain", "DeletionPolicy of Data"),
        ("Stage: !Ref Stage", "Stage: '${Stage}'", "Properties of Data"),
        ("Outputs:\n", "Outputs:\n  More: {Value: a}\n", "the output More"),
        ("Resources:", "Metadata: {By: ann}\nResources:", "the section Metadata"),
    ],
)
def test_what_changes_in_the_master_is_named(old: str, new: str, what: str) -> None:
    assert what in differences(folder(MASTER_TEXT.replace(old, new)))


def test_what_changes_in_a_nested_stack_is_named_with_its_path() -> None:
    more = DATA.replace("Outputs:\n", "Outputs:\n  Arn: {Value: !GetAtt Jobs.Arn}\n")
    assert differences(folder(data=more)) == ("the output Arn of Data",)


def test_a_value_that_only_an_output_reads_is_named() -> None:
    changed = DATA.replace("Value: !Ref Jobs", "Value: !GetAtt Jobs.Arn")
    assert differences(folder(data=changed)) == ("the output Jobs of Data", "the output Jobs")


def test_a_parameter_that_changes_is_named_in_each_stack_that_it_reaches() -> None:
    assert differences(folder(), stage="live") == (
        "the parameter Stage",
        "the parameter Stage of Data",
    )


def test_a_character_that_aws_gives_back_as_a_question_mark_is_no_difference() -> None:
    dashed = DATA.replace("Tables", "Tables \N{EN DASH} all")
    assert (
        differences(folder(data=dashed), folder(data=DATA.replace("Tables", "Tables ? all"))) == ()
    )
