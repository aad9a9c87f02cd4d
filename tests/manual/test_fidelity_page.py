"""Every behaviour of AWS that is relied on has a place that handles it, and somebody to vouch."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest

from emulator.sources import SOURCES, Source, Witness
from lib.templates import templates
from manual import fidelity_page
from manual.behaviours.behaviour import Behaviour
from manual.behaviours.table import BEHAVIOURS
from tests.support.factories import REPOSITORY

ALL = [behaviour for group in BEHAVIOURS.values() for behaviour in group]
PLACES = sorted({place for behaviour in ALL for place in behaviour.handled})


@cache
def names_in(path: str) -> frozenset[str]:
    """Name what a file defines: of a class its members, too; of a template all that is in it."""
    file = REPOSITORY / path
    if file.suffix in (".yaml", ".yml"):
        template = templates.parse(path, file.read_text())
        return frozenset([*template.resources, *template.parameters, *template.outputs])
    body = ast.parse(file.read_text()).body
    found = dict(own_names(body))
    for name, node in list(found.items()):
        if isinstance(node, ast.ClassDef):
            found |= {f"{name}.{inner}": one for inner, one in own_names(node.body)}
    return frozenset(found)


def own_names(body: list[ast.stmt]) -> list[tuple[str, ast.stmt]]:
    """List the functions, classes and values that a body defines."""
    named = [(node.name, node) for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else []
        targets += node.targets if isinstance(node, ast.Assign) else []
        named += [(target.id, node) for target in targets if isinstance(target, ast.Name)]
    return named


@pytest.mark.parametrize("place", PLACES)
def test_what_is_said_to_handle_a_behaviour_is_there(place: str) -> None:
    path, name = fidelity_page.read_place(place)
    assert (REPOSITORY / path).is_file()
    assert not name or name in names_in(path)


def test_a_place_below_lib_is_named_as_its_room_is_imported() -> None:
    assert fidelity_page.read_place("stacks/drift.detect") == ("lib/stacks/drift.py", "detect")
    assert fidelity_page.read_place("session.Aws.identity") == ("lib/session.py", "Aws.identity")
    assert fidelity_page.read_place("a/b-stack.yaml#VPC") == ("a/b-stack.yaml", "VPC")
    assert fidelity_page.read_place("tests/test_x.py") == ("tests/test_x.py", "")


@pytest.mark.parametrize("behaviour", ALL, ids=lambda behaviour: behaviour.sentence[:60])
def test_a_behaviour_has_a_place_and_a_source_or_is_said_to_have_nothing(
    behaviour: Behaviour,
) -> None:
    assert behaviour.handled
    if behaviour.witness is Witness.NONE:
        assert (behaviour.text, behaviour.where) == ("", "")
        assert behaviour.never_seen, "what nothing vouches for was never seen, either"
    else:
        assert behaviour.where
    if behaviour.witness is Witness.EMULATOR:
        assert behaviour.never_seen
    # It is shown between backticks, and as one item of a list.
    assert "`" not in behaviour.text
    assert "\n" not in behaviour.sentence + behaviour.text + behaviour.never_seen
    assert not behaviour.sentence.endswith(".")


def test_no_behaviour_is_told_twice() -> None:
    assert [s for s, n in Counter(b.sentence for b in ALL).items() if n > 1] == []


def test_no_amendment_is_vouched_for_by_what_it_amends() -> None:
    assert [source for source in SOURCES if source.witness is Witness.EMULATOR] == []


def test_the_counts_are_those_of_the_tables() -> None:
    page = fidelity_page.draw_fidelity(BEHAVIOURS, SOURCES)
    for witness in Witness:
        ours = sum(behaviour.witness is witness for behaviour in ALL)
        theirs = sum(source.witness is witness for source in SOURCES)
        row = next(line for line in page.splitlines() if line.startswith(f"| {witness.value} |"))
        assert row.endswith(f"| {ours} | {theirs} |"), witness
    assert f"| all |  | {len(ALL)} | {len(SOURCES)} |" in page


def test_a_behaviour_is_told_with_words_source_and_place_and_counted_as_never_seen() -> None:
    one = Behaviour(
        "A stack may be *absent*",
        ("stacks/stacks.is_missing", "infrastructure/cloudformation/api-stack.yaml#HttpApi"),
        Witness.DOCUMENT,
        "Stack with id <x> does not exist",
        "https://docs.aws.amazon.com/a/b.html (ValidationError)",
        never_seen="the words of another region",
        either_way=True,
    )
    other = Behaviour("Nothing is left", ("refusals.explain",), Witness.NONE, reason="it is fine")
    amendment = Source("stacks_are_strict", "It is strict", Witness.NONE)
    page = fidelity_page.draw_fidelity({"Stacks": (one, other)}, (amendment,))
    assert (
        r"- **A stack may be \*absent\*.** *AWS's document*: `Stack with id <x> does not exist` "
        "([a/b.html](https://docs.aws.amazon.com/a/b.html) (ValidationError)). In "
        "[`stacks/stacks.is_missing`](../lib/stacks/stacks.py), [`api-stack.yaml: HttpApi`]"
        "(../infrastructure/cloudformation/api-stack.yaml). Never seen: the words of another "
        "region. Either answer is handled."
    ) in page
    assert "Left so, because it is fine." in page
    never = page.split("## Never seen on AWS")[1].split("## The product")[0]
    assert "- The words of another region (*either answer*): " in never
    assert r"- It is strict (`stacks_are_strict`)" in never
    assert "Of the product's 2 behaviours, 1 have" in page
    assert "with 1 of these" in page


#: What is known not to be known. An entry may go when AWS has been seen to answer, not before.
NEVER_SEEN = (
    "nested change set",
    "ContinueUpdateRollback come as an error of the call or",
    "DisableRollback beside it",
    "AWS's words when ExecuteChangeSet is refused while an operation runs",
    "FORCE_DELETE_STACK of a root",
    "the order and the wording of the events of nested stacks that roll back",
    "below /apis/* inherits",
    "compared URL-encoded",
    "in whose name nested change sets are made",
    "in whose name drift is detected",
    "global. into an application inference profile",
    "REVERT_DRIFT together with nested stacks",
    "placeholder {{IntrinsicFunction:…}} against the AllowedPattern",
    "an answer of DescribeEvents",
    "an operation in express mode",
    "a restore of a table",
    "any operation of a stack set",
    "API Gateway v2 and ECS made, changed or deleted through CloudFormation",
    "an answer of RollbackStack",
)


@pytest.mark.parametrize("point", NEVER_SEEN)
def test_what_nobody_has_seen_is_listed(point: str) -> None:
    page = fidelity_page.draw_fidelity(BEHAVIOURS, SOURCES).replace("\\", "")
    never = page.split("## Never seen on AWS")[1].split("## The product")[0]
    assert point.casefold() in never.casefold()
