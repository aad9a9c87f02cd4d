"""Every bad input ends with its own exit code, one helpful sentence, and nothing touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import STACK, Operator

pytestmark = pytest.mark.integration


def write(path: Path, **values: str) -> Path:
    entries = [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()]
    path.write_text(json.dumps(entries))
    return path


def test_five_mistakes_at_once_are_five_problems(reader: Operator, tmp_path: Path) -> None:
    path = write(
        tmp_path / "broken.json",
        EnvironmentName="developement",
        AdminEmail="nobody",
        InitialBudgetLimit="0",
        LogRetentionDays="2",
        Colour="blue",
    )
    asked = reader.run("validate-params", "--offline", "--env", str(path), "--json", code=2)
    document = asked.document
    assert document["valid"] is False
    assert {p["parameter"] for p in document["problems"] if p["severity"] == "error"} == {
        "EnvironmentName",
        "AdminEmail",
        "InitialBudgetLimit",
        "LogRetentionDays",
        "Colour",
    }
    assert len(document["problems"]) == 5
    refused = reader.inv("deploy", "--env", str(path), code=2)
    assert refused.err.count("\n  - ") == 5
    assert reader.cloud().names() == {STACK}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["deploy", "--env", "stagin"], "Did you mean staging?"),
        (["deploy", "--region", "us-west-3"], "Did you mean us-west-2?"),
        (["deploy", "--create", "--update"], "--create and --update cannot be asked for at once"),
        (["deploy", "--stack-name", "9lives"], "cannot name a stack"),
        (["outputs", "--format", "yaml"], "--format takes table, json, env, not 'yaml'"),
        (["prune", "--keep", "none"], "--keep takes a whole number of at least 1, not 'none'"),
        (["backup", "--keep", "0"], "--keep takes a whole number of at least 1, not '0'"),
        (["rollback", "--to", "abc", "--skip", "A.B"], "--to and --skip exclude each other"),
    ],
)
def test_bad_input_exits_2(reader: Operator, arguments: list[str], told: str) -> None:
    refused = reader.inv(*arguments, code=2)
    assert told in refused.err
    assert refused.out == ""
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["deploy", "--env", "production", "--express"], "Express mode"),
        (["deploy", "--create"], "exists already, so --create does not apply"),
        (["update", "--env", "staging"], "there is no such stack. `update` was not started"),
        (["rollback"], "nothing has failed; to return to an earlier release, name it"),
    ],
)
def test_what_the_state_forbids_exits_3_and_names_the_next_command(
    reader: Operator, arguments: list[str], told: str
) -> None:
    cloud = reader.cloud()
    keys = cloud.keys()
    refused = reader.inv(*arguments, "--json", code=3)
    assert told in refused.err
    assert "  Next: inv " in refused.err
    document = refused.document
    assert (document["action"], document["exit_code"]) == ("declined", 3)
    assert told in document["failure"]["reason"]
    assert cloud.keys() == keys
    assert cloud.names() == {STACK}


def test_without_credentials_one_paragraph_says_how_to_sign_in(reader: Operator) -> None:
    refused = reader.run("deploy", "--env", "staging", "--region", "us-west-2", code=4)
    assert refused.out == ""
    told = refused.err[refused.err.index("✗") :]
    assert "no credentials were found" in told
    assert "aws sso login" in told
    assert "--local" in told
    assert len(told.splitlines()) == 2


def test_a_profile_that_is_not_there_exits_4(reader: Operator) -> None:
    refused = reader.run("status", "--profile", "nobody", "--json", code=4)
    assert "nobody" in refused.document["error"]
    assert "aws configure list-profiles" in refused.document["next_step"]


def test_an_endpoint_that_refuses_connections_exits_4(reader: Operator) -> None:
    refused = reader.run(
        "status",
        code=4,
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="nobody",
        AWS_SECRET_ACCESS_KEY="nothing",
        AWS_MAX_ATTEMPTS="1",
    )
    assert "AWS cannot be reached" in refused.err
    assert "AWS_ENDPOINT_URL" in refused.err
