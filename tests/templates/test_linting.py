"""The linter speaks in sentences with a place, and its absence is an error of ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lib.errors import TemplateError
from lib.templates import linting

FAULTY = """\
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Unused:
    Type: String
Resources:
  Data:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      TableClass: SOMETIMES
      AttributeDefinitions:
        - {AttributeName: id, AttributeType: S}
      KeySchema:
        - {AttributeName: id, KeyType: HASH}
"""


def test_errors_and_warnings_name_file_line_and_rule_and_mere_information_is_left_out(
    tmp_path: Path,
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}\n")
    bad.write_text(FAULTY)
    (tmp_path / ".cfnlintrc.yaml").write_text("include_checks: [I]\n")
    findings = linting.lint([good, bad], regions=["us-east-1"], folder=tmp_path)
    assert [finding.split(": ")[0] for finding in findings] == ["bad.yaml:3", "bad.yaml:10"]
    assert "W2001 Parameter Unused not used" in findings[0]
    assert "E3030 'SOMETIMES' is not one of" in findings[1]


def linter(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in the linter's place, beside an interpreter of its own."""
    program = folder / "cfn-lint"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def test_a_linter_that_is_not_installed_is_our_error_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TemplateError, match="cfn-lint could not run") as caught:
        linting.lint([tmp_path / "a.yaml"], regions=["us-east-1"], folder=tmp_path)
    assert "requirements.txt" in caught.value.next_step


@pytest.mark.parametrize("code", [0, 1])
def test_a_linter_that_says_nothing_that_can_be_read_has_not_passed_the_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    linter(tmp_path, monkeypatch, f"echo 'no such region' >&2; exit {code}")
    with pytest.raises(TemplateError, match="cfn-lint could not run: no such region"):
        linting.lint([tmp_path / "a.yaml"], regions=["mars-1"], folder=tmp_path)


def test_a_template_whose_name_looks_like_an_option_is_a_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linter(tmp_path, monkeypatch, f"echo \"$@\" > '{tmp_path}/arguments'; echo '[]'")
    assert linting.lint([Path("--version")], regions=["us-east-1"], folder=tmp_path) == ()
    said = (tmp_path / "arguments").read_text()
    assert said == "--format json --regions us-east-1 -- --version\n"
