"""Each intrinsic function comes to what CloudFormation makes of it, or stays unknown."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from lib.errors import TemplateError
from lib.templates import resolution, templates
from lib.templates.unknowns import Unknown

BUCKET = """
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      Value: {value}
"""


def value_of(expression: str, head: str) -> Any:
    """Resolve one expression as the property of a bucket."""
    text = textwrap.dedent(head) + BUCKET.format(value=expression)
    tree = resolution.resolve(
        {templates.MASTER: templates.parse(templates.MASTER, text)},
        {},
        region="eu-west-1",
        account="123456789012",
        stack_name="plot-palette-test",
    )
    return tree.resources[0].properties.get("Value")


PARAMETERS = """
Parameters:
  Name: {Type: String, Default: plot}
  Sizes: {Type: CommaDelimitedList, Default: "1, 2,3"}
  Zones: {Type: "List<AWS::EC2::AvailabilityZone::Name>", Default: "a,b"}
  Count: {Type: Number, Default: 7}
  Image: {Type: "AWS::SSM::Parameter::Value<String>", Default: /ami}
Mappings:
  Tasks:
    small: {Cpu: 256, Zones: [a, b]}
    "123456789012": {Cpu: 512}
Conditions:
  IsPlot: !Equals [!Ref Name, plot]
  IsSeven: !Equals [!Ref Count, 7]
  IsBoth: !And [{Condition: IsPlot}, !Condition IsSeven]
  IsNeither: !Not [!Or [!Condition IsPlot, !Condition IsSeven]]
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref Name", "plot"),
        ("!Ref Count", "7"),
        ("!Ref Sizes", ["1", "2", "3"]),
        ("!Ref Zones", ["a", "b"]),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::AccountId", "123456789012"),
        ("!Ref AWS::StackName", "plot-palette-test"),
        ('!Sub "${Name}-${AWS::Region}-${!literal}"', "plot-eu-west-1-${literal}"),
        ('!Sub ["${A}-${Name}", {A: !Ref Count}]', "7-plot"),
        ('!Join ["/", [a, !Ref Name, !Ref Count]]', "a/plot/7"),
        ('!Join [",", !Ref Sizes]', "1,2,3"),
        ('!Join [",", [a, !Ref AWS::NoValue, b]]', "a,b"),
        ("!Select [1, !Ref Sizes]", "2"),
        ('!Select ["0", !Split ["-", a-b]]', "a"),
        ('!Split ["-", !Sub "${Name}-b"]', ["plot", "b"]),
        ("!FindInMap [Tasks, small, Cpu]", 256),
        ("!FindInMap [Tasks, small, Zones]", ["a", "b"]),
        ("!FindInMap [Tasks, !Ref AWS::AccountId, Cpu]", 512),
        ("!FindInMap [Tasks, none, Cpu, {DefaultValue: 1}]", 1),
        ("{Fn::Base64: !Ref Name}", "cGxvdA=="),
        ("!Cidr [10.0.0.0/16, 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("!Select [1, !Cidr [10.1.0.0/16, 2, 12]]", "10.1.16.0/20"),
        ("!If [IsPlot, yes-plot, no-plot]", "yes-plot"),
        ("!If [IsBoth, both, not]", "both"),
        ("!If [IsNeither, neither, some]", "some"),
        ("!If [IsNeither, 1, !Ref AWS::NoValue]", None),
        ("[1, !If [IsNeither, 2, !Ref AWS::NoValue], 3]", [1, 3]),
        ("{A: !If [IsNeither, 2, !Ref AWS::NoValue], B: 3}", {"B": 3}),
        ("{Fn::Length: !Ref Sizes}", 3),
        ("{Fn::ToJsonString: {b: 1, a: !Ref Name}}", '{"a":"plot","b":1}'),
        (
            "{Effect: Allow, Condition: {Bool: {x: true}}}",
            {"Effect": "Allow", "Condition": {"Bool": {"x": True}}},
        ),
    ],
)
def test_an_expression_that_can_be_known_comes_to_its_value(expression: str, expected: Any) -> None:
    assert value_of(expression, PARAMETERS) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref Bucket", "${Bucket}"),
        ("!GetAtt Bucket.Arn", "${Bucket.Arn}"),
        ('!Sub "${Bucket.Arn}/*"', "${Bucket.Arn}/*"),
        ('!Join ["", [!GetAtt Bucket.Arn, "/*"]]', "${Bucket.Arn}/*"),
        ("!Ref Image", "${ssm:/ami}"),
        ("!Ref AWS::StackId", "${AWS::StackId}"),
        ("{Fn::ImportValue: other-Vpc}", "${Fn::ImportValue(other-Vpc)}"),
        ("!Cidr [10.0.0.0/16, 2]", "${Fn::Cidr(10.0.0.0/16, 2)}"),
        ("!Select [0, !GetAZs '']", "${Fn::Select(0, ${Fn::GetAZs(eu-west-1)})}"),
        ("{Fn::Transform: {Name: AWS::Include}}", '${Fn::Transform({"Name":"AWS::Include"})}'),
    ],
)
def test_what_only_aws_knows_stays_an_unknown_with_its_expression(
    expression: str, expected: str
) -> None:
    assert value_of(expression, PARAMETERS) == Unknown(expected)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("!Ref Nothing", "Nothing is neither"),
        ("!Ref [a]", "Ref needs a name"),
        ("!GetAtt Nothing.Arn", "Nothing is neither"),
        ("!GetAtt Bucket", "Fn::GetAtt needs"),
        ("{Fn::GetAtt: {a: b}}", "Fn::GetAtt needs"),
        ('!Sub "${Nothing}"', "Nothing is neither"),
        ('!Sub ["${A}"]', "Fn::Sub needs"),
        ('!Sub "${Sizes}"', "which is no text"),
        ('!Sub "${AWS::NoValue}"', "Fn::Sub is given AWS::NoValue, which is no text"),
        ("!If [IsPlot, 1]", "Fn::If needs"),
        ("!If [Missing, 1, 2]", "'Missing' is not declared"),
        ("!If [[a], 1, 2]", "is not declared"),
        ("!Select [9, [a]]", "Fn::Select finds no item 9"),
        ("!Select [-1, [a]]", "needs a number"),
        ("!Select [a, [a]]", "needs a number"),
        ("!Select [1e999, [a]]", "needs a number"),
        ('!Join ["", text]', "Fn::Join needs"),
        ('!Join ["", [[a]]]', "which is no text"),
        ('!Split ["", text]', "Fn::Split needs"),
        ("!FindInMap [Tasks, none, Cpu]", "finds no Tasks / none / Cpu"),
        ("!FindInMap [Tasks, none, Cpu, More]", "finds no"),
        ("!Cidr [10.0.0.0/24, 9, 6]", "no room for 9"),
        ("!Cidr [nonsense, 1, 6]", "cannot be computed"),
        ("!Cidr [10.0.0.0/24, 1, 99]", "cannot be computed"),
        ("!Cidr 10.0.0.0/24", "Fn::Cidr needs"),
    ],
)
def test_an_expression_that_aws_would_refuse_names_the_template(
    expression: str, problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem) as caught:
        value_of(expression, PARAMETERS)
    assert "master-stack.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "conditions",
    [
        "{A: !Condition B, B: !Not [!Condition A]}",
        "{A: !Condition A}",
        "{A: text}",
        "{A: !Equals [1]}",
        "{A: !And []}",
        "{A: !And text}",
        "{A: !Not [true, false]}",
        "{A: {Fn::Xor: [true]}}",
        "{A: {Fn::Not: [true], Fn::And: [true]}}",
    ],
)
def test_a_condition_that_cannot_be_decided_is_a_template_error(conditions: str) -> None:
    with pytest.raises(TemplateError):
        value_of("!If [A, 1, 2]", f"Conditions: {conditions}\n")
