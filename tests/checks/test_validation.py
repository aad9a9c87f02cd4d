"""Checking an environment reports every problem at once, for people and for programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lib import session
from lib.access import Access
from lib.checks import validation
from lib.checks.validation import Report
from lib.errors import AwsUnavailable
from lib.inputs.parameters import WARNING, Problem
from lib.operators import Note, OnInterrupt, Operator
from tests.support import factories
from tests.support.aws_fakes import intercept, operations, refusal

FIVE_MISTAKES = {
    "EnvironmentName": "my_env",
    "AdminEmail": "nobody",
    "Budget": "0",
    "VpcCidr": "10.9.0.0/16",
    "Unknown": "x",
}


def check(root: Path, environment: str = "staging") -> Report:
    return validation.check(root, environment, factories.REGION, None, flags="--env staging")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return check(factories.repository(tmp_path))


def test_a_valid_environment_is_told_with_the_command_that_deploys_it(report: Report) -> None:
    answer = validation.answer([report])
    assert answer.exit_code == 0
    assert answer.document["valid"] is True
    assert answer.document["environment"] == "staging"
    assert answer.document["problems"] == []
    assert answer.text.splitlines() == [
        "staging in eu-west-1: valid",
        "Deploy with: inv deploy --env staging --region eu-west-1",
    ]


def test_a_file_given_by_path_is_deployed_by_the_same_path(tmp_path: Path) -> None:
    root = factories.repository(tmp_path / "repository")
    path = factories.write_values(
        tmp_path / "my file.json", {"EnvironmentName": "staging", "AdminEmail": "a@b.io"}
    )
    text = validation.answer([check(root, str(path))]).text
    assert f"inv deploy --env '{path}' --region eu-west-1" in text


def test_five_mistakes_are_five_problems_and_exit_2(tmp_path: Path) -> None:
    root = factories.repository(tmp_path / "repository")
    path = factories.write_values(tmp_path / "mine.json", FIVE_MISTAKES)
    answer = validation.answer([check(root, str(path))])
    assert answer.exit_code == 2
    assert answer.document["valid"] is False
    told = [problem["parameter"] for problem in answer.document["problems"]]
    assert set(told) == set(FIVE_MISTAKES)
    assert {problem["severity"] for problem in answer.document["problems"]} == {"error"}
    for name, value in FIVE_MISTAKES.items():
        (line, *_) = [line for line in answer.text.splitlines() if f"error: {name} " in line]
        assert line.startswith(f"{path}: ")
        assert name == "Unknown" or value in line
    assert f"{len(told)} errors" in answer.text
    assert "Deploy with" not in answer.text


def test_a_warning_leaves_an_environment_valid(report: Report) -> None:
    warned = replace(report, problems=(Problem("BedrockModels", "m is not there", WARNING),))
    answer = validation.answer([warned])
    assert answer.exit_code == 0
    assert answer.document["valid"] is True
    assert "warning: BedrockModels m is not there" in answer.text


def test_several_environments_are_one_document_with_all_problems(report: Report) -> None:
    bad = replace(report, environment="live", problems=(Problem("A", "is missing"),))
    answer = validation.answer([report, bad])
    assert answer.exit_code == 2
    assert answer.document["valid"] is False
    assert answer.document["environment"] == "staging,live"
    assert [problem["parameter"] for problem in answer.document["problems"]] == ["A"]
    assert [each["valid"] for each in answer.document["environments"]] == [True, False]


def test_the_identity_is_shown_when_it_is_known(report: Report) -> None:
    answer = validation.answer([replace(report, identity="arn:aws:iam::123456789012:user/a")])
    assert "Identity: arn:aws:iam::123456789012:user/a" in answer.text
    assert answer.document["identity"].endswith("user/a")


def test_the_environments_are_the_parameter_files(tmp_path: Path) -> None:
    root = factories.repository(tmp_path)
    reports = validation.check_all(root, factories.REGION, None, flags="")
    assert [found.environment for found in reports] == ["staging"]


class Online:
    """AWS as far as a check asks it: who is calling, and which models there are."""

    def __init__(self, *models: str, signed_in: bool = True) -> None:
        self.told: list[str] = []
        self.aws = session.connect(factories.REGION)
        self.signed_in = signed_in
        intercept(self.aws.client("sts"), self.identify)
        summaries = [{"modelArn": "arn:aws:bedrock:x", "modelId": model} for model in models]
        self.calls = intercept(
            self.aws.client("bedrock"),
            lambda operation, _: (
                {"modelSummaries": summaries}
                if operation == "ListFoundationModels"
                else {"inferenceProfileSummaries": []}
            ),
        )

    def identify(self, *_: object) -> dict[str, str]:
        if not self.signed_in:
            raise refusal("ExpiredToken", "expired")
        return {"Account": "1" * 12, "Arn": "arn:aws:iam::111111111111:user/ann"}

    def report(self, progress: object) -> None:
        assert isinstance(progress, Note)
        self.told.append(progress.text)

    @property
    def access(self) -> Access:
        return Access(
            self.aws, Operator(self.report, lambda *_: True, lambda _: OnInterrupt.DETACH)
        )


def test_online_the_identity_is_told_and_a_missing_model_is_only_a_warning(report: Report) -> None:
    online = Online()
    [found] = validation.add_online([report], online.access)
    assert found.identity.endswith("user/ann")
    assert found.valid
    assert {problem.severity for problem in found.problems} == {WARNING}
    assert "nova-lite" in found.problems[0].message


def test_one_region_is_asked_once_for_all_environments(report: Report) -> None:
    online = Online()
    validation.add_online([report, report], online.access)
    assert operations(online.calls).count("ListFoundationModels") == 1


def test_expired_credentials_end_the_check_of_a_sound_environment(report: Report) -> None:
    with pytest.raises(AwsUnavailable):
        validation.add_online([report], Online(signed_in=False).access)


def test_expired_credentials_hide_no_mistake(report: Report) -> None:
    wrong = replace(report, problems=(Problem("AdminEmail", "is wrong"),))
    online = Online(signed_in=False)
    assert validation.add_online([wrong], online.access) == [wrong]
    assert "expired" in online.told[0]


def test_a_file_that_cannot_be_read_does_not_hide_the_other_environments(tmp_path: Path) -> None:
    root = factories.repository(tmp_path)
    (root / "infrastructure" / "parameters" / "broken.json").write_text("{")
    reports = validation.check_all(root, factories.REGION, None, flags="")
    assert {found.environment: found.valid for found in reports} == {
        "broken": False,
        "staging": True,
    }
