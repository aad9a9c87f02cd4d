"""Every run that changes something leaves a file of all that it showed, without a secret."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from lib import session
from lib.inputs.jobs import list_secret_values
from lib.session import ApiCall
from lib.terminal import journal
from tests.support.factories import job


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


def start(folder: Path, **given: int) -> journal.Journal:
    return journal.open_journal(folder, noon, task="deploy", stack="plot-palette-staging", **given)


# The file


def test_a_run_has_a_file_named_by_time_task_and_stack_that_only_its_owner_reads(
    tmp_path: Path,
) -> None:
    with start(tmp_path / "logs") as log:
        log.write("one\ntwo")
    assert log.path.name == "20261122-120000-deploy-plot-palette-staging.log"
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert log.path.read_text() == "12:00:00.250 one\n12:00:00.250 two\n"


def test_two_runs_of_one_second_get_a_file_each(tmp_path: Path) -> None:
    with start(tmp_path) as first, start(tmp_path) as second:
        assert first.path != second.path


def test_a_stack_given_as_a_path_names_a_file_in_the_folder(tmp_path: Path) -> None:
    with journal.open_journal(tmp_path, noon, task="deploy", stack="../x/y z.json") as log:
        assert log.path.parent == tmp_path
        assert log.path.name == "20261122-120000-deploy-.._x_y_z.json.log"


def test_the_oldest_files_go_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.log").touch()
    for day in range(10, 20):
        (tmp_path / f"202610{day}-120000-deploy-x.log").touch()
    with start(tmp_path, kept=3) as log:
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "20261018-120000-deploy-x.log",
        "20261019-120000-deploy-x.log",
        log.path.name,
        "notes.log",
    ]


def test_what_was_written_is_there_when_the_run_is_killed(tmp_path: Path) -> None:
    log = start(tmp_path)
    log.write("creating")
    assert "creating" in log.path.read_text()
    log.__exit__(None, None, None)


def test_a_bug_leaves_its_traceback(tmp_path: Path) -> None:
    log = start(tmp_path)
    log.hide(["division"])
    with pytest.raises(ZeroDivisionError), log:
        1 / 0  # noqa: B018
    text = log.path.read_text()
    assert "Traceback (most recent call last):" in text
    assert "ZeroDivisionError: **** by zero" in text


def test_threads_do_not_cut_into_each_other_s_lines(tmp_path: Path) -> None:
    with start(tmp_path) as log:

        def write(mark: str) -> None:
            for _ in range(50):
                log.write(f"{mark * 20}\n{mark * 20}")

        threads = [threading.Thread(target=write, args=(mark,)) for mark in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    words = [line.split()[1] for line in log.path.read_text().splitlines()]
    assert len(words) == 400
    assert {len(set(word)) for word in words} == {1}
    assert all(one == other for one, other in zip(words[::2], words[1::2], strict=True))


# Secrets


def test_hidden_values_never_reach_the_file_not_even_as_json_writes_them(tmp_path: Path) -> None:
    with start(tmp_path) as log:
        log.hide(["hunter2", 'with"quote', "", "hunter2-longer"])
        log.write('hunter2 and "with\\"quote" and hunter2-longer and with"quote')
    assert log.path.read_text().split(maxsplit=1)[1] == '**** and "****" and **** and ****\n'


def test_a_hidden_value_is_hidden_in_a_link_too(tmp_path: Path) -> None:
    with start(tmp_path) as log:
        log.hide(["a b&c"])
        log.write("https://x/?p=a%20b%26c https://x/?p=a+b%26c")
    assert log.path.read_text().endswith(" https://x/?p=**** https://x/?p=****\n")


def test_credentials_are_taken_out_and_words_are_left(tmp_path: Path) -> None:
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    with start(tmp_path) as log:
        log.hide_credentials(["test", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"])
        log.write(f"latest test {key} wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert log.path.read_text().endswith("latest test **** ****\n")


def test_the_values_of_noecho_parameters_are_what_a_job_hides() -> None:
    values = {"EnvironmentName": "staging", "AdminEmail": "a@b.io", "Password": "hunter2!"}
    assert list_secret_values(job(values=values)) == {"hunter2!"}
    assert list_secret_values(job()) == set()
    assert list_secret_values(job(templates={})) == set()


def test_control_characters_are_not_logged(tmp_path: Path) -> None:
    with start(tmp_path) as log:
        log.write("\x1b[31mred\x1b[0m")
    assert "\x1b" not in log.path.read_text()


# AWS calls


@mock_aws
def test_each_call_is_observed_with_its_request_id_and_nothing_that_was_sent() -> None:
    seen: list[ApiCall] = []
    aws = session.connect("eu-west-1", observe=seen.append)
    aws.identity()
    aws.client("ssm").put_parameter(Name="/x", Value="hunter2", Type="SecureString")
    assert [(call.service, call.operation, call.status) for call in seen] == [
        ("sts", "GetCallerIdentity", 200),
        ("ssm", "PutParameter", 200),
    ]
    assert all(call.request_id and call.seconds >= 0 for call in seen)
    assert "hunter2" not in repr(seen)
    assert "testing" not in repr(seen)


@mock_aws
def test_a_refused_call_is_observed_with_aws_s_code() -> None:
    seen: list[ApiCall] = []
    dynamodb = session.connect("eu-west-1", observe=seen.append).client("dynamodb")
    with pytest.raises(ClientError, match="not found"):
        dynamodb.describe_table(TableName="gone")
    [call] = seen
    assert (call.operation, call.status) == ("DescribeTable", 400)
    assert call.error == "ResourceNotFoundException"


def test_a_call_without_an_answer_is_observed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    seen: list[ApiCall] = []
    aws = session.connect("eu-west-1", endpoint_url="http://127.0.0.1:9", observe=seen.append)
    with pytest.raises(EndpointConnectionError):
        aws.client("sts").get_caller_identity()
    [call] = seen
    assert (call.service, call.status, call.error) == ("sts", 0, "EndpointConnectionError")
    assert "GetCallerIdentity" in journal.describe_call(call)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            ApiCall("s3", "PutObject", "eu-west-1", 0.1234, 200, "R1"),
            "aws s3 PutObject  eu-west-1  0.123 s  200  request R1",
        ),
        (
            ApiCall("s3", "PutObject", "eu-west-1", 61, 503, "R1", 2, "SlowDown"),
            "aws s3 PutObject  eu-west-1  61.000 s  503 SlowDown  2 retries  request R1",
        ),
        (
            ApiCall("sts", "X", "eu-west-1", 1, 0, "", 0, "ReadTimeoutError"),
            "aws sts X  eu-west-1  1.000 s  - ReadTimeoutError  request -",
        ),
    ],
)
def test_a_call_is_one_line(call: ApiCall, line: str) -> None:
    assert journal.describe_call(call) == line


# CI's summary page


def test_summaries_add_up_until_the_page_is_full(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    assert journal.append_summary(page, "### One")
    assert journal.append_summary(page, "### Two")
    assert page.read_text() == "### One\n\n### Two\n\n"
    assert not journal.append_summary(page, "x" * 1_000_000)
    assert page.read_text() == "### One\n\n### Two\n\n"
