"""Templates are edited for a step of a switch, and nothing else in them changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lib.errors import Refused
from lib.rescue import surgery
from lib.rescue.surgery import Seat
from lib.templates.naming import Naming
from lib.templates.templates import Template, parse

DATABASE = """
Parameters: {Name: {Type: String, Default: ''}}
Conditions: {Has: !Not [!Equals [!Ref Name, '']]}
Resources:
  Jobs:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties: {TableName: !If [Has, !Ref Name, !Ref 'AWS::NoValue'], BillingMode: PAY_PER_REQUEST}
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
  Policy:
    Type: AWS::S3::BucketPolicy
    DeletionPolicy: Retain
    DependsOn: [Jobs, Other]
    Properties: {Bucket: !Ref Bucket, Text: !Sub 'of ${Bucket.Arn}/* and ${Jobs}'}
  Other:
    Type: AWS::SSM::Parameter
    DependsOn: Jobs
    Properties:
      Value: !Sub ['${Jobs} ${Jobs.Arn} ${Word} ${!Jobs}', {Word: !Ref Jobs}]
      Own: !Sub ['${Jobs}', {Jobs: mine}]
      Arn: !GetAtt Jobs.Arn
Outputs:
  Arn: {Value: !GetAtt Jobs.Arn}
  Name: {Value: !Ref Jobs}
"""

ARN = "arn:aws:dynamodb:us-east-1:1:table/jobs-2"
JOBS = Seat(
    Naming("DatabaseStack/Jobs", "AWS::DynamoDB::Table", "db.yaml", "TableName", "JobsName"),
    "jobs-2",
    ARN,
)
BUCKET = Seat(
    Naming("DatabaseStack/Bucket", "AWS::S3::Bucket", "db.yaml", "BucketName", "BucketName"),
    "files-2",
    "arn:aws:s3:::files-2",
)


def folder(text: str = DATABASE) -> dict[str, Template]:
    return {"db.yaml": parse("db.yaml", text)}


def edited(edit: Any, *seats: Seat) -> Any:
    texts = edit(folder(), seats)
    assert list(texts) == ["db.yaml"]
    return json.loads(texts["db.yaml"])


def test_what_is_left_out_is_replaced_by_its_successor_wherever_it_is_read() -> None:
    body = edited(surgery.leave_out, JOBS)
    assert "Jobs" not in body["Resources"]
    other = body["Resources"]["Other"]
    assert "DependsOn" not in other
    assert other["Properties"] == {
        "Value": {"Fn::Sub": [f"jobs-2 {ARN} ${{Word}} ${{!Jobs}}", {"Word": "jobs-2"}]},
        "Own": {"Fn::Sub": ["${Jobs}", {"Jobs": "mine"}]},
        "Arn": ARN,
    }
    assert body["Resources"]["Policy"]["DependsOn"] == ["Other"]
    assert body["Outputs"] == {"Arn": {"Value": ARN}, "Name": {"Value": "jobs-2"}}
    assert body["Parameters"] == folder()["db.yaml"].parameters


def test_what_comes_in_stands_there_by_name_and_no_output_changes() -> None:
    without, with_it = edited(surgery.leave_out, JOBS), edited(surgery.take_in, JOBS)
    table = with_it["Resources"].pop("Jobs")
    assert with_it == without
    assert table["Properties"] == {"TableName": "jobs-2", "BillingMode": "PAY_PER_REQUEST"}
    assert table["DeletionPolicy"] == "Retain"


def test_a_policy_leaves_and_comes_with_its_bucket() -> None:
    assert {"Bucket", "Policy"}.isdisjoint(edited(surgery.leave_out, BUCKET)["Resources"])
    body = edited(surgery.take_in, BUCKET)
    assert body["Resources"]["Bucket"]["Properties"] == {"BucketName": "files-2"}
    policy = body["Resources"]["Policy"]
    assert policy["Properties"]["Bucket"] == "files-2"
    assert policy["Properties"]["Text"] == {"Fn::Sub": "of arn:aws:s3:::files-2/* and ${Jobs}"}
    assert policy["DependsOn"] == ["Jobs", "Other", "Bucket"]


def test_a_creation_gets_the_names_and_its_readers_stay() -> None:
    body = edited(surgery.give_names, JOBS, BUCKET)
    assert body["Resources"]["Jobs"]["Properties"]["TableName"] == "jobs-2"
    assert body["Resources"]["Policy"]["Properties"]["Bucket"] == "files-2"
    assert body["Outputs"] == folder()["db.yaml"].outputs


def test_a_successor_is_put_beside_what_holds_its_seat() -> None:
    body = edited(surgery.put_beside, JOBS)
    beside = body["Resources"].pop("JobsRehearsed")
    assert beside["Properties"]["TableName"] == "jobs-2"
    assert body == json.loads(json.dumps(dict(folder()["db.yaml"].body)))


@pytest.mark.parametrize("reader", ["!GetAtt Jobs.StreamArn", "!Sub 'to ${Jobs.StreamArn}'"])
def test_what_only_cloudformation_knows_cannot_be_read_of_a_successor(reader: str) -> None:
    text = DATABASE.replace("Name: {Value: !Ref Jobs}", f"Stream: {{Value: {reader}}}")
    with pytest.raises(Refused, match=r"DatabaseStack/Jobs\.StreamArn"):
        surgery.leave_out(folder(text), [JOBS])


@pytest.mark.parametrize(("seat", "path"), [(JOBS, "Jobs"), (BUCKET, "Policy")])
def test_what_would_be_deleted_may_not_leave(seat: Seat, path: str) -> None:
    lines = DATABASE.splitlines()
    at = next(n for n, line in enumerate(lines) if line == f"  {path}:")
    lines[at + 2] = "    DeletionPolicy: Delete"
    with pytest.raises(Refused, match=f"DatabaseStack/{path} has the DeletionPolicy Delete"):
        surgery.require_kept(folder("\n".join(lines)), [seat])
    surgery.require_kept(folder(), [seat])


def test_a_template_in_which_nothing_is_left_gets_something_that_does_nothing() -> None:
    text = """
    Resources:
      Jobs:
        Type: AWS::DynamoDB::Table
        DeletionPolicy: Retain
    Outputs: {Name: {Value: !Ref Jobs}}
    """
    body = json.loads(surgery.leave_out(folder(text), [JOBS])["db.yaml"])
    assert body["Resources"] == {
        "NothingForNow": {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    }
    assert body["Outputs"] == {"Name": {"Value": "jobs-2"}}
