"""A definition changes its stack, and everything that refers to it keeps its value."""

from __future__ import annotations

from typing import Any

import pytest

from lib.rescue import reshaping
from lib.rescue.reshaping import Known, Unresolvable
from lib.templates.moves import Relocation
from lib.templates.resolution import Resource
from lib.templates.unknowns import Unknown

Json = dict[str, Any]
TABLE: Json = {"Type": "AWS::DynamoDB::Table", "Properties": {"BillingMode": "PAY_PER_REQUEST"}}
TOPIC: Json = {"Type": "AWS::SNS::Topic"}
KNOWN = Known({"One/Jobs": "app-jobs"}, {"One/Jobs.Arn": "arn:jobs"})


def reshape(one: Json, two: Json, *moves: str, known: Known = KNOWN, **more: Any) -> Any:
    wanted = [Relocation(*move.split("=")) for move in moves or ("One/Jobs=Two/Jobs",)]
    return reshaping.reshape({"One": one, "Two": two}, wanted, known, **more)


def body(outputs: Json | None = None, **resources: Json) -> Json:
    return {"Resources": resources, **({"Outputs": outputs} if outputs else {})}


def test_a_definition_goes_over_as_it_is_written() -> None:
    shaped = reshape(body(Jobs=TABLE, Topic=TOPIC), body(Other=TOPIC))
    assert shaped["One"]["Resources"] == {"Topic": TOPIC}
    assert shaped["Two"]["Resources"] == {"Other": TOPIC, "Jobs": TABLE}


def test_what_is_deployed_is_left_as_it_is() -> None:
    deployed = body(Jobs=TABLE, Topic=TOPIC)
    reshape(deployed, body(Other=TOPIC))
    assert deployed == body(Jobs=TABLE, Topic=TOPIC)


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"Ref": "Jobs"}, "app-jobs"),
        ({"Fn::GetAtt": ["Jobs", "Arn"]}, "arn:jobs"),
        ({"Fn::GetAtt": "Jobs.Arn"}, "arn:jobs"),
        ({"Fn::Sub": "${Jobs.Arn}/index/${!x} of ${AWS::Region}"}, None),
        ({"Fn::Sub": ["${Jobs}-${Own}", {"Own": {"Ref": "Jobs"}}]}, None),
    ],
)
def test_what_stays_keeps_the_value_of_what_left(reference: Json, value: str | None) -> None:
    texts = {
        "${Jobs.Arn}/index/${!x} of ${AWS::Region}": {
            "Fn::Sub": "arn:jobs/index/${!x} of ${AWS::Region}"
        },
    }
    sub = reference.get("Fn::Sub")
    wanted: Any = value
    if isinstance(sub, str):
        wanted = texts[sub]
    elif isinstance(sub, list):
        wanted = {"Fn::Sub": ["app-jobs-${Own}", {"Own": "app-jobs"}]}
    shaped = reshape(
        body({"Name": {"Value": reference}}, Jobs=TABLE, Topic=TOPIC), body(Other=TOPIC)
    )
    assert shaped["One"]["Outputs"]["Name"]["Value"] == wanted


def test_a_renamed_resource_is_referred_to_by_its_new_name() -> None:
    reader = {
        "Type": "AWS::SSM::Parameter",
        "DependsOn": "Jobs",
        "Properties": {"Value": {"Fn::Sub": "${Jobs} ${Jobs.Arn}"}, "Type": {"Ref": "Jobs"}},
    }
    shaped = reshape(body(Jobs=TABLE, Reader=reader), body(Other=TOPIC), "One/Jobs=One/Table")
    assert shaped["One"]["Resources"]["Reader"] == {
        "Type": "AWS::SSM::Parameter",
        "DependsOn": ["Table"],
        "Properties": {"Value": {"Fn::Sub": "${Table} ${Table.Arn}"}, "Type": {"Ref": "Table"}},
    }


def test_nothing_waits_for_what_left() -> None:
    shaped = reshape(
        body(
            Jobs={**TABLE, "DependsOn": ["Topic"]},
            Topic=TOPIC,
            Late={**TOPIC, "DependsOn": ["Jobs", "Topic"]},
            Later={**TOPIC, "DependsOn": "Jobs"},
        ),
        body(Other=TOPIC),
    )
    assert shaped["One"]["Resources"]["Late"]["DependsOn"] == ["Topic"]
    assert "DependsOn" not in shaped["One"]["Resources"]["Later"]
    assert "DependsOn" not in shaped["Two"]["Resources"]["Jobs"]


def test_what_moves_along_is_referred_to_in_the_new_stack() -> None:
    policy = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Jobs"}}}
    shaped = reshape(
        body(Jobs=TABLE, Policy=policy, Topic=TOPIC),
        body(Other=TOPIC),
        "One/Jobs=Two/Table",
        "One/Policy=Two/Policy",
    )
    assert shaped["Two"]["Resources"]["Policy"]["Properties"] == {"Bucket": {"Ref": "Table"}}


def test_a_value_that_nobody_knows_is_refused_before_aws_is_asked() -> None:
    output = {"Stream": {"Value": {"Fn::GetAtt": ["Jobs", "StreamArn"]}}}
    with pytest.raises(Unresolvable, match=r"refer to Jobs\.StreamArn"):
        reshape(body(output, Jobs=TABLE, Topic=TOPIC), body(Other=TOPIC))


def resolved(**properties: Any) -> dict[str, Resource]:
    return {"Two/Jobs": Resource("Two/Jobs", "Jobs", "T", properties, "Retain", "Retain", "x")}


def test_what_its_new_stack_does_not_have_is_written_out() -> None:
    pinned = resolved(Name="x", Arn=Unknown("${One/Jobs.Arn}/*"), Tags=[Unknown("${One/Jobs}")])
    shaped = reshape(
        body(Jobs={**TABLE, "Condition": "Is"}, Topic=TOPIC), body(Other=TOPIC), pinned=pinned
    )
    assert shaped["Two"]["Resources"]["Jobs"] == {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {"Name": "x", "Arn": "arn:jobs/*", "Tags": ["app-jobs"]},
    }


def test_a_secret_is_not_written_out_as_its_mask() -> None:
    with pytest.raises(Unresolvable, match="NoEcho"):
        reshape(body(Jobs=TABLE, T=TOPIC), body(O=TOPIC), pinned=resolved(Password="****"))


def test_the_attributes_that_outputs_show_are_known() -> None:
    deployed = body(
        {
            "Arn": {"Value": {"Fn::GetAtt": ["Jobs", "Arn"]}},
            "Joined": {"Value": {"Fn::Join": ["", [{"Fn::GetAtt": ["Jobs", "Arn"]}, "/*"]]}},
            "Absent": {"Value": {"Fn::GetAtt": ["Jobs", "StreamArn"]}},
        },
        Jobs=TABLE,
    )
    shown = {"Arn": "arn:jobs", "Joined": "arn:jobs/*"}
    assert reshaping.find_attributes("One", deployed, shown) == {"One/Jobs.Arn": "arn:jobs"}
