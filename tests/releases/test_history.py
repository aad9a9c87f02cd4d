"""Every operation leaves a record beside its release, and the newest comes first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib import session
from lib.document import as_document
from lib.errors import NotOurs
from lib.inputs import jobs, parameters
from lib.releases import history, settling
from lib.releases.history import Record
from lib.templates import templates
from tests.support import factories
from tests.support.aws_fakes import ACCOUNT, START, client, intercept, operations, refusal
from tests.support.people import Person

BUCKET = jobs.bucket_name(ACCOUNT, "us-east-1")
RECORD = Record(
    release="0123456789ab",
    time="2026-11-20T09:00:00.000Z",
    action="updated",
    status=history.STARTED,
    by="arn:aws:iam::123456789012:user/ann",
    stack="app",
    stack_id="arn:stack/app",
    parameters={"EnvironmentName": "staging"},
)


def write(s3: Any, *records: Record) -> None:
    for record in records:
        history.write(factories.bucket(s3), record)


def read(s3: Any, stack: str = "app") -> tuple[Record, ...]:
    return history.read(factories.bucket(s3), stack)


def at(seconds: float, release: str = "0123456789ab") -> Record:
    return replace(RECORD, release=release, time=history.stamp(START + timedelta(seconds=seconds)))


def test_a_record_comes_back_as_it_was_written(s3: Any) -> None:
    refused = replace(RECORD, express=True, reason="AccessDenied: not you", plan="ab" * 32)
    write(s3, refused)
    assert read(s3) == (refused,)


def test_a_record_of_an_earlier_edition_is_one_of_the_standard_mode(s3: Any) -> None:
    write(s3, RECORD)
    document = json.loads(s3.get_object(Bucket=BUCKET, Key=RECORD.key)["Body"].read())
    newer = ("express", "reason", "plan")
    kept = {key: value for key, value in document.items() if key not in newer}
    s3.put_object(Bucket=BUCKET, Key=RECORD.key, Body=json.dumps(kept).encode())
    assert read(s3) == (RECORD,)


def test_a_records_key_names_stack_time_and_release() -> None:
    assert RECORD.key == "deployments/app/20261120T090000.000Z-0123456789ab.json"
    assert replace(RECORD, release="").key.endswith("Z-none.json")


def test_completing_a_record_replaces_it(s3: Any) -> None:
    write(s3, RECORD)
    ended = datetime.fromisoformat(RECORD.time) + timedelta(seconds=400.02)
    done = history.complete(RECORD, ended, status="UPDATE_COMPLETE", stack_id="arn:new")
    write(s3, done)
    assert read(s3) == (
        replace(RECORD, status="UPDATE_COMPLETE", stack_id="arn:new", seconds=400.0),
    )


def test_what_usually_happens_is_the_median_of_the_last_successes_of_the_same_action() -> None:
    def took(seconds: float, action: str = "update", status: str = "UPDATE_COMPLETE") -> Record:
        return replace(RECORD, seconds=seconds, action=action, status=status)

    others = (took(9999, "create"), took(9999, status="UPDATE_ROLLBACK_COMPLETE"), took(0))
    recent = [took(seconds) for seconds in (400, 380, 2000, 390, 410)]
    past = (*others, *recent, took(9999))
    assert history.find_usual_seconds(past, "update") == 400
    assert history.find_usual_seconds(others, "update") is None


def test_only_as_many_of_the_newest_are_read_as_are_wanted(s3: Any) -> None:
    records = [at(second) for second in range(4)]
    write(s3, *records)
    assert history.read(factories.bucket(s3), "app", newest=2) == tuple(records[:1:-1])


def test_an_unfinished_switch_takes_no_record_s_place(s3: Any) -> None:
    write(s3, RECORD)
    s3.put_object(Bucket=BUCKET, Key=history.switch_key("app"), Body=b"{}")
    assert history.read(factories.bucket(s3), "app", newest=1) == (RECORD,)


def test_records_of_one_second_do_not_meet_and_the_newest_is_first(s3: Any) -> None:
    records = [at(0.001), at(0.002), at(61), at(0.0)]
    write(s3, *records)
    assert [r.time for r in read(s3)] == sorted((r.time for r in records), reverse=True)
    assert len(read(s3)) == 4


def test_records_from_a_moment_on_can_be_read_alone(s3: Any) -> None:
    records = [at(seconds) for seconds in (1, 2, 3)]
    write(s3, *records)
    calls = intercept(s3)
    bucket = factories.bucket(s3)
    assert history.read(bucket, "app", since=records[1].time) == (records[2], records[1])
    assert operations(calls).count("GetObject") == 2
    assert history.read(bucket, "app", since="2026-12") == ()


def test_a_refusal_is_completed_with_its_reason() -> None:
    said = {"status": history.REFUSED, "stack_id": "arn:x", "reason": "not you"}
    assert history.complete(RECORD, START, **said) == replace(RECORD, **said)
    done = history.complete(RECORD, START, status="UPDATE_COMPLETE", stack_id="arn:x")
    assert done.reason == ""


def test_a_moment_is_written_to_the_millisecond() -> None:
    assert history.stamp(START + timedelta(microseconds=7_999)) == "2026-11-20T09:00:00.007Z"


def test_a_history_shows_why_aws_refused() -> None:
    refused = replace(RECORD, release="", status="REFUSED", reason="no", by="ann")
    row = history.draw((refused,)).splitlines()[-1]
    assert "REFUSED no" in row
    heading = history.draw((replace(RECORD, by="ann"),)).splitlines()[0]
    assert heading.split() == ["Release", "Time", "(UTC)", "Action", "Took", "Status", "By"]


def test_a_stack_does_not_see_the_records_of_one_whose_name_begins_the_same(s3: Any) -> None:
    write(s3, RECORD, replace(RECORD, stack="app-2"))
    assert [record.stack for record in read(s3)] == ["app"]
    assert read(s3, "ap") == ()


FOREIGN = {
    "no JSON": b"hello",
    "no text": b"\xff",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "a mapping of something else": b'{"a": 1}',
    "parameters that are none": b'{"parameters": [], "release": ""}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_an_object_that_is_no_record_is_passed_over(s3: Any, content: bytes) -> None:
    write(s3, RECORD)
    s3.put_object(Bucket=BUCKET, Key="deployments/app/zzz.json", Body=content)
    assert read(s3) == (RECORD,)


def test_records_beyond_the_first_page_are_read(s3: Any) -> None:
    write(s3, at(1), at(2), at(3))

    calls = intercept(s3)
    s3.meta.events.register_first(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=1)
    )
    assert len(read(s3)) == 3
    assert operations(calls).count("ListObjectsV2") == 3


def test_the_buckets_owner_is_expected_in_every_call(s3: Any) -> None:
    calls = intercept(s3)
    write(s3, RECORD)
    read(s3)
    assert operations(calls) == ["PutObject", "ListObjectsV2", "GetObject"]
    assert {call.arguments["ExpectedBucketOwner"] for call in calls} == {ACCOUNT}
    assert calls[0].arguments["ChecksumAlgorithm"] == "SHA256"
    assert calls[0].arguments["ContentType"] == "application/json"


def test_without_a_bucket_there_is_no_history() -> None:
    with mock_aws():
        assert read(client("s3")) == ()


def test_a_refused_look_is_not_an_empty_history() -> None:
    s3 = client("s3")

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        raise refusal("AccessDenied", "Access Denied", operation, 403)

    intercept(s3, answer)
    with pytest.raises(NotOurs, match="is not account"):
        read(s3)


def test_a_record_that_goes_while_the_history_is_read_is_passed_over(s3: Any) -> None:
    write(s3, at(1), at(2))
    gone = at(2).key

    def answer(operation: str, arguments: Mapping[str, Any]) -> None:
        if operation == "GetObject" and arguments["Key"] == gone:
            raise refusal("NoSuchKey", operation=operation, status=404)

    intercept(s3, answer)
    assert read(s3) == (at(1),)


@pytest.mark.parametrize(
    ("status", "succeeded"),
    [
        ("UPDATE_COMPLETE", True),
        ("CREATE_COMPLETE", True),
        ("DELETE_COMPLETE", True),
        ("UPDATE_ROLLBACK_COMPLETE", False),
        ("CREATE_FAILED", False),
        (history.STARTED, False),
        ("", False),
    ],
)
def test_an_operation_succeeded_when_it_ended_in_a_healthy_state(
    status: str, succeeded: bool
) -> None:
    assert replace(RECORD, status=status).succeeded is succeeded


def test_a_record_as_json_keeps_parameters_to_itself() -> None:
    assert list(as_document(RECORD)) == ["release", "time", "action", "status", "by"]


def test_a_record_that_may_not_be_read_is_an_error(s3: Any) -> None:
    write(s3, RECORD)

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        if operation == "GetObject":
            raise refusal("AccessDenied", operation=operation, status=403)

    intercept(s3, answer)
    with pytest.raises(ClientError, match="AccessDenied"):
        read(s3)


def test_the_values_that_may_be_written_down_leave_secrets_out(s3: Any) -> None:
    template = templates.parse(
        "t.yaml",
        "Parameters: {Name: {Type: String}, Key: {Type: String, NoEcho: true}}\n"
        "Resources: {T: {Type: 'AWS::SNS::Topic'}}\n",
    )
    public = parameters.without_secrets({"Name": "a", "Key": "hush-hush"}, template.parameters)
    write(s3, replace(RECORD, parameters=public))
    stored = s3.get_object(Bucket=BUCKET, Key=RECORD.key)["Body"].read().decode()
    assert "hush-hush" not in stored
    assert json.loads(stored)["parameters"] == {"Name": "a"}


def test_a_jobs_history_is_read_from_its_own_bucket_and_drawn_newest_first(s3: Any) -> None:
    old, new = (replace(at(t), stack=factories.STACK, seconds=t * 200) for t in (1, 2))
    write(s3, old, new)
    access = Person().access(session.connect("us-east-1"))
    found = settling.read(factories.job(region="us-east-1"), access)
    assert found == (new, old)
    header, _, first, by, second, _ = history.draw(found).splitlines()
    assert header.split() == ["Release", "Time", "(UTC)", "Action", "Took", "Status"]
    assert new.time in first
    assert by == f"  By: {new.by}"
    assert old.time in second
