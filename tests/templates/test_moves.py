"""What only stands elsewhere in the templates is told from what is new."""

from __future__ import annotations

import textwrap

import pytest

from lib.errors import InputError
from lib.templates import moves, resolution, templates
from lib.templates.moves import Relocation
from lib.templates.resolution import Tree
from lib.templates.unknowns import Unknown, fill_in

MASTER = """
Parameters: {Stage: {Type: String, Default: test}}
Resources:
  One:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: https://x/one.yaml, Parameters: {Stage: !Ref Stage}}
  Two:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: https://x/two.yaml, Parameters: {Stage: !Ref Stage}}
"""
STAGE = "Parameters: {Stage: {Type: String}}\nResources:\n"
TOPIC = "  Topic: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: hello}}\n"


def table(name: str, hours: str = "PAY_PER_REQUEST", key: str = "id") -> str:
    return (
        f"  {name}:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      BillingMode: {hours}\n"
        f"      KeySchema: [{{AttributeName: {key}, KeyType: HASH}}]\n"
        "      Tags: [{Key: Stage, Value: !Ref Stage}]\n"
    )


def tree(one: str, two: str) -> Tree:
    texts = {"master-stack.yaml": MASTER, "one.yaml": STAGE + one, "two.yaml": STAGE + two}
    folder = {name: templates.parse(name, textwrap.dedent(text)) for name, text in texts.items()}
    return resolution.resolve(folder, {}, region="us-east-1", account="1", stack_name="app")


def find(before: Tree, after: Tree) -> list[str]:
    return [str(move) for move in moves.find(before, after, region="us-east-1")]


def test_a_resource_that_left_one_stack_for_another_has_moved() -> None:
    before, after = tree(table("Jobs") + TOPIC, TOPIC), tree(TOPIC, TOPIC + table("Jobs"))
    assert find(before, after) == ["One/Jobs=Two/Jobs"]


def test_a_resource_under_another_name_has_moved() -> None:
    before, after = tree(table("Jobs"), TOPIC), tree(table("JobsTable"), TOPIC)
    assert find(before, after) == ["One/Jobs=One/JobsTable"]


def test_what_differs_in_a_property_is_another_resource() -> None:
    before, after = tree(table("Jobs") + TOPIC, TOPIC), tree(TOPIC, TOPIC + table("Jobs", key="x"))
    assert find(before, after) == []


def test_of_several_alike_the_one_of_the_same_name_is_it() -> None:
    before = tree(table("Jobs") + table("Users") + TOPIC, TOPIC)
    after = tree(TOPIC, TOPIC + table("Users") + table("Jobs"))
    assert find(before, after) == ["One/Jobs=Two/Jobs", "One/Users=Two/Users"]


def test_where_no_name_tells_which_is_which_nothing_is_said() -> None:
    before = tree(table("Jobs") + TOPIC, TOPIC)
    after = tree(table("A") + TOPIC, TOPIC + table("B"))
    assert find(before, after) == []


def test_what_is_new_or_gone_by_itself_has_not_moved() -> None:
    assert find(tree(TOPIC, TOPIC), tree(TOPIC + table("Jobs"), TOPIC)) == []
    assert find(tree(TOPIC + table("Jobs"), TOPIC), tree(TOPIC, TOPIC)) == []


def test_what_refers_to_something_that_moves_along_is_the_same() -> None:
    reader = (
        "  Reader: {Type: 'AWS::SSM::Parameter', Properties: {Type: String, Value: !Ref Jobs}}\n"
    )
    before = tree(table("Jobs") + reader + TOPIC, TOPIC)
    after = tree(TOPIC, TOPIC + table("Jobs") + reader)
    old = next(one for one in before.resources if one.path == "One/Reader")
    new = next(one for one in after.resources if one.path == "Two/Reader")
    along = [Relocation("One/Jobs", "Two/Jobs")]
    assert moves.differ(old, new, along, region="us-east-1") == ()
    assert moves.differ(old, new, (), region="us-east-1")


def test_moves_are_read_as_an_operator_writes_them() -> None:
    found = moves.read(" One/Jobs=Two/Jobs , Root = One/Root ")
    assert found == (Relocation("One/Jobs", "Two/Jobs"), Relocation("Root", "One/Root"))
    assert moves.name(found) == "One/Jobs=Two/Jobs,Root=One/Root"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names nothing"),
        ("One/Jobs", "FROM=TO"),
        ("One/Jobs=", "FROM=TO"),
        ("A=A", "FROM=TO"),
        ("A=B,A=C", "names A twice"),
        ("A=C,B=C", "names C twice"),
    ],
)
def test_what_is_no_move_is_refused(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        moves.read(text)


def test_references_that_are_known_are_filled_in_and_others_left() -> None:
    known = {"One/Jobs": "jobs", "One/Jobs.Arn": "arn:jobs"}
    value = {
        "Table": Unknown("${One/Jobs}"),
        "List": [Unknown("${One/Jobs.Arn}/*"), Unknown("${One/Jobs}-${Two/Other}"), "x"],
    }
    assert fill_in(value, known) == {
        "Table": "jobs",
        "List": ["arn:jobs/*", Unknown("jobs-${Two/Other}"), "x"],
    }
