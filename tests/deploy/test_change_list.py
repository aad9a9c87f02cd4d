"""What a change would do is laid out to be read: what matters first, at any width, uncut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lib.deploy import change_list
from lib.operators import Tone
from lib.templates.changes import Cause, Change

TABLE = Change(
    "DatabaseStack/JobsTable",
    "AWS::DynamoDB::Table",
    "Modify",
    "True",
    "plot-palette-staging-jobs",
    (Cause("TableName", "", "jobs", "Always"), Cause("Tags")),
    data_loss="certain",
    verdict="replaced by an empty one; the old one is destroyed",
)
SIZE = Change(
    "APIStack/Function",
    "AWS::Lambda::Function",
    "Modify",
    causes=(Cause("MemorySize", "128", "256", "Never"),),
)
FOLLOWER = Change(
    "APIStack/Permission",
    "AWS::Lambda::Permission",
    "Modify",
    causes=(Cause("FunctionName", follows=True),),
    proof="unchanged, because Function keeps its ID",
)
ADDED = Change("Topic", "AWS::SNS::Topic", "Add")
GONE = Change("Old", "AWS::SNS::Topic", "Remove")


def text(*changes: Change, width: int = 80, unfold: bool = False) -> str:
    lines = change_list.list_changes("Changes to stack x:", changes).draw(width, unfold)
    return "\n".join(line.text for line in lines)


def test_the_headline_counts_each_resource_once() -> None:
    told = change_list.count([TABLE, SIZE, FOLLOWER, ADDED, GONE])
    assert told == "1 at risk · 1 changed in place · 1 follow from them · 1 added · 1 removed"


def test_what_is_replaced_without_a_loss_is_counted_where_there_is_any() -> None:
    task = Change("Task", "AWS::ECS::TaskDefinition", "Modify", "Conditional")
    assert "0 at risk · 1 replaced · 0 changed" in change_list.count([task])


def test_what_is_at_risk_comes_first_with_its_verdict_what_decides_it_and_its_id() -> None:
    shown = text(SIZE, TABLE)
    assert shown.index("At risk") < shown.index("Changed in place")
    block = shown.partition("At risk\n")[2].partition("\n\n")[0]
    assert block.splitlines() == [
        "-/+ DatabaseStack/JobsTable  DynamoDB::Table",
        "    plot-palette-staging-jobs",
        "      ! replaced by an empty one; the old one is destroyed",
        "      TableName (replaces it): - → jobs",
        "      Tags",
    ]


def test_signs_tell_without_colour_what_happens() -> None:
    lines = change_list.list_changes("x", [TABLE, SIZE, ADDED, GONE]).draw(80, False)
    signs = {line.text.split()[0]: line.tone for line in lines if "::" in line.text}
    assert signs == {
        "-/+": Tone.REMOVED,
        "~": Tone.CHANGED,
        "+": Tone.ADDED,
        "-": Tone.REMOVED,
    }


def test_what_merely_follows_is_a_line_a_stack_with_its_proof_and_unfolds() -> None:
    other = Change("APIStack/Role", "AWS::IAM::Role", "Modify", causes=FOLLOWER.causes)
    folded = text(FOLLOWER, other).splitlines()
    assert folded[-2:] == [
        "~   APIStack  2 resources: Permission, Role",
        "      unchanged, because Function keeps its ID",
    ]
    assert "--all" in folded[-3]
    assert "~   APIStack/Permission  Lambda::Permission" in text(FOLLOWER, other, unfold=True)


def test_what_follows_and_may_be_replaced_is_not_folded_away() -> None:
    maybe = Change(
        "Task", "AWS::ECS::TaskDefinition", "Modify", "Conditional", causes=FOLLOWER.causes
    )
    assert "-/+ Task  ECS::TaskDefinition\n      may be replaced" in text(maybe)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    before, after = (f"arn:aws:lambda:us-east-1:123456789012:function:{c * 150}" for c in "ab")
    long = Change("A" * 20 + "/B", "AWS::X::Y", "Modify", causes=(Cause("Uri", before, after),))
    shown = text(long, TABLE, FOLLOWER, width=width)
    assert max(map(len, shown.splitlines())) <= width
    together = "".join(shown.split())
    assert before in together
    assert after in together
    assert long.path in together


def test_the_names_of_what_changes_stay_in_one_piece_to_be_copied() -> None:
    named = replace(TABLE, path=f"{'A' * 40}/{'B' * 30}", physical_id="arn:" + "x" * 90)
    shown = text(named, width=60)
    assert f"-/+ {named.path}" in shown.splitlines()
    assert f"    {named.physical_id}" in shown.splitlines()


def test_of_long_policies_only_the_statement_that_differs_is_shown() -> None:
    statements = [{"Sid": f"S{n}", "Action": ["s3:GetObject"]} for n in range(5)]
    edited = [*statements[:4], {"Sid": "S4", "Action": ["s3:PutObject"]}]
    pair = (json.dumps({"Statement": one}) for one in (statements, edited))
    role = Change("Role", "AWS::IAM::Role", "Modify", causes=(Cause("Policy", *pair),))
    shown = text(role)
    assert "s3:GetObject" in shown
    assert "s3:PutObject" in shown
    assert "S3" not in shown


def test_of_lists_each_member_that_differs_has_its_line() -> None:
    before, after = (
        json.dumps([{"Name": "api", "Environment": [{"Name": n, "Value": v} for n in "AB"]}])
        for v in ("old", "new")
    )
    cause = Cause("ContainerDefinitions", before, after, "Always")
    shown = text(Change("Task", "AWS::ECS::TaskDefinition", "Modify", "True", causes=(cause,)))
    assert shown.splitlines()[-3:] == [
        "      ContainerDefinitions (replaces it):",
        "        [api]/Environment[A]/Value: old → new",
        "        [api]/Environment[B]/Value: old → new",
    ]


def test_a_single_member_that_differs_stands_beside_its_property() -> None:
    pair = (json.dumps({"Mode": "on", "Days": n}) for n in (1, 2))
    # AWS names the member where our comparison names what it is in.
    causes = (Cause("Keep", *pair), Cause("Keep/Days", "1", "2"))
    shown = text(Change("A", "AWS::X::Y", "Modify", causes=causes))
    assert shown.splitlines()[-1:] == ["      Keep/Days: 1 → 2"]
    assert shown.count("Days") == 1


def test_two_sides_that_read_the_same_are_said_to() -> None:
    alike = Cause("ServiceToken", "arn:aws:x", "arn:aws:x", follows=True)
    secret = Cause("Password", "****", "****")
    shown = text(Change("A", "AWS::X::Y", "Modify", causes=(secret, alike)))
    assert "→" not in shown
    assert "Password: **** (what differs is secret)" in shown
    assert "ServiceToken: arn:aws:x (AWS knows the new value only" in shown


def test_a_whole_environment_that_goes_is_folded_and_what_holds_data_is_not() -> None:
    many = [Change(f"NetworkStack/R{n}", "AWS::EC2::Route", "Remove") for n in range(30)]
    table = Change("T", "AWS::DynamoDB::Table", "Remove", data_loss="possible", verdict="stays")
    shown = text(table, *many)
    assert "30 resources" in shown
    assert "R29" in shown
    assert "! stays" in shown
    assert len(shown.splitlines()) < 20


def test_five_hundred_changes_are_laid_out() -> None:
    many = [Change(f"S{n}/R", "AWS::EC2::Route", "Modify", causes=SIZE.causes) for n in range(500)]
    assert "500 changed in place" in text(*many)


def test_nothing_in_a_change_steers_the_terminal() -> None:
    evil = "a\x1b]0;x\x07\x9b2Jb\rc"
    told = Change(
        evil, evil, evil, "True", evil, (Cause(evil, evil, "b"),), data_loss="certain", verdict=evil
    )
    assert not set(text(told, FOLLOWER)) & {"\x1b", "\x07", "\x9b", "\r"}
