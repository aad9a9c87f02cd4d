"""A plan of 500 changed resources is made, shown and applied like any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import STACK, Clone, Operator, shrink

pytestmark = pytest.mark.integration

PARTS, NOTES = 4, 125

#: Long enough that a nested change set with its values comes in several pages of 1 MB.
FILLER = "a long text " * 200

MASTER_HEAD = """
AWSTemplateFormatVersion: '2010-09-09'
Description: An application of four parts
Metadata: { cfn-lint: { config: { ignore_checks: [W2001] } } }
Parameters:
  VpcCidr: { Type: String }
  BedrockModelIds: { Type: String }
  BedrockInferenceProfileIds: { Type: String }
  Word: { Type: String }
Resources:
"""
PART = """
  Part{number}Stack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/plot-palette-cfn-${{AWS::AccountId}}-${{AWS::Region}}/notes-stack.yaml
      Parameters: {{ Word: !Ref Word, Part: '{number}' }}
"""
CHILD_HEAD = """
AWSTemplateFormatVersion: '2010-09-09'
Description: Many notes
Parameters:
  Word: { Type: String }
  Part: { Type: String }
Resources:
"""
NOTE = """
  Note{number}:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
      Value: !Sub '${{Word}} ${{Part}}.{number} {filler}'
"""


def enlarge(clone: Clone) -> None:
    """Replace the application by one of four parts with 125 notes each."""
    shrink(clone)
    parts = "".join(PART.format(number=number) for number in range(PARTS))
    clone.template("master").write_text(MASTER_HEAD + parts)
    notes = "".join(NOTE.format(number=number, filler=FILLER) for number in range(NOTES))
    clone.template("notes").write_text(CHILD_HEAD + notes)
    path = clone.folder / "infrastructure" / "parameters" / "development.json"
    path.write_text("[]")
    clone.set_parameters(Word="one")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("large")
    operator = Operator(Clone(folder / "clone"), folder / "state")
    enlarge(operator.clone)
    operator.inv("deploy", "--yes", "--no-verify")
    operator.clone.set_parameters(Word="two")
    yield operator
    operator.leave()


def test_500_changed_resources_are_planned_shown_and_applied(large: Operator) -> None:
    file = large.clone.folder / "plan.json"
    made = large.inv("plan", "--out", str(file), "--json")
    assert count_pages(large, made.document["change_set"]) > PARTS + 1
    changed = {one["path"] for one in made.document["changes"] if one["details"]}
    assert len(changed) == PARTS * NOTES
    assert made.document == json.loads(file.read_text())
    assert_shown(large, file)

    done = large.inv("apply", str(file), "--yes", "--json", "--no-verify").document
    assert done["action"] == "updated"
    assert len(done["changes"]) == PARTS * NOTES
    ssm, names = large.cloud().client("ssm"), large.cloud().tree(STACK)
    for part in range(PARTS):
        name = names[f"Part{part}Stack/Note{NOTES - 1}"]
        value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        assert value.startswith(f"two {part}.{NOTES - 1} ")


def count_pages(operator: Operator, change_set: str) -> int:
    """Return how many pages of values the change sets of a tree come in."""
    cfn, waiting, pages = operator.cloud().cfn, [change_set], 0
    while waiting:
        name, token = waiting.pop(), {}
        while True:
            page = cfn.describe_change_set(ChangeSetName=name, IncludePropertyValues=True, **token)
            pages += 1
            found = (one["ResourceChange"].get("ChangeSetId") for one in page["Changes"])
            waiting += filter(None, found)
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
    return pages


def assert_shown(operator: Operator, file: Path) -> None:
    """Show the plan in each form, whole, within 80 columns where people read it."""
    text = operator.run("plan.show", str(file), COLUMNS="80").out
    assert max(map(len, text.splitlines())) <= 80
    markdown = operator.run("plan.show", str(file), "--format", "markdown").out
    for shown in (text, markdown):
        assert all(f"Part{part}Stack" in shown for part in range(PARTS))
        assert f"{PARTS * NOTES}" in shown
    document = operator.run("plan.show", str(file), "--format", "json").document
    assert document == json.loads(file.read_text())
