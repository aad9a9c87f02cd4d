"""Values are written as CloudFormation writes them, whatever they are."""

from __future__ import annotations

import json

import pytest

from lib import values
from lib.templates.unknowns import Unknown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, ""),
        (7, "7"),
        (0.5, "0.5"),
        ("a", "a"),
        ({"B": [True], "A": None}, '{"A":null,"B":[true]}'),
        ([1, "a"], '[1,"a"]'),
        (Unknown("${Bucket.Arn}"), "${Bucket.Arn}"),
        ([Unknown("${Bucket.Arn}")], '["${Bucket.Arn}"]'),
    ],
)
def test_a_value_is_written_as_cloudformation_writes_it(value: object, text: str) -> None:
    assert values.as_text(value) == text


def test_equal_values_have_equal_canonical_text() -> None:
    assert values.canonical({"b": [1], "a": None}) == '{"a":null,"b":[1]}'


def test_every_value_inside_a_structure_is_walked_once_from_the_outside_in() -> None:
    nested = {"A": [1, {"B": "b"}], "C": ()}
    assert list(values.walk(nested)) == [nested, [1, {"B": "b"}], 1, {"B": "b"}, "b", ()]
    assert list(values.walk("text")) == ["text"]


def test_two_long_texts_are_cut_around_their_first_difference() -> None:
    old, new = values.show_difference("Code", "x" * 1000 + "old", "x" * 1000 + "new")
    assert old.endswith("old")
    assert new.endswith("new")
    assert old.startswith("…x")
    assert len(old) <= values.LONGEST_VALUE


def test_two_long_lists_show_the_members_that_differ() -> None:
    same = [{"Id": f"rule-{n}", "Days": n, "Status": "Enabled"} for n in range(20)]
    old, new = values.show_difference("Rules", [*same, "a"], [*same, "b"])
    assert (old, new) == ('["a"]', '["b"]')


def test_an_item_among_many_shows_its_name_beside_what_differs() -> None:
    items = [{"Key": f"k{n}", "Text": "x" * 40, "On": True} for n in range(9)]
    changed = [*items[:4], {**items[4], "On": False}, *items[5:]]
    old, new = values.show_difference("Items", items, changed)
    assert (old, new) == ('[{"Key":"k4","On":true}]', '[{"Key":"k4","On":false}]')


def test_a_secret_that_differs_inside_a_long_structure_stays_masked() -> None:
    before, after = ({"Password": word, "Text": "x" * 400} for word in ("hunter2", "swordfish"))
    shown = values.show_difference("Settings", before, after)
    assert "hunter2" not in "".join(shown)
    assert "swordfish" not in "".join(shown)
    assert all(values.MASK in text for text in shown)


def test_two_short_values_are_shown_whole() -> None:
    assert values.show_difference("Tags", ["a", "b"], ["a"]) == ('["a","b"]', '["a"]')


def test_structures_differ_member_by_member_named_where_members_have_names() -> None:
    before = {
        "Image": "app:1",
        "Environment": [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}],
        "Roles": [{"Sid": "S", "Action": ["s3:Get", "s3:Put"]}],
        "Ports": [80, 443],
        "Gone": {"a": 1},
    }
    after = {
        "Image": "app:1",
        "Environment": [{"Name": "B", "Value": "3"}, {"Name": "A", "Value": "1"}],
        "Roles": [{"Sid": "S", "Action": ["s3:Get", "s3:List"]}],
        "Ports": [80, 8080, 8081],
        "Come": True,
    }
    assert values.list_differences(json.dumps(before), json.dumps(after)) == [
        ("Environment[B]/Value", "2", "3"),
        ("Roles[S]/Action[]", "s3:Put", "s3:List"),
        ("Ports", "443", ""),
        ("Ports", "", "8080"),
        ("Ports", "", "8081"),
        ("Gone", '{"a": 1}', ""),
        ("Come", "", "true"),
    ]


def test_what_is_no_structure_or_only_ordered_otherwise_differs_as_a_whole() -> None:
    assert values.list_differences("a", "b") == [("", "a", "b")]
    assert values.list_differences('["a"]', "b") == [("", '["a"]', "b")]
    assert values.list_differences("[1, 2]", "[2, 1]") == [("", "[1, 2]", "[2, 1]")]


def test_a_structure_of_which_much_differs_is_not_cut_to_what_cannot_be_read() -> None:
    before, after = ([{"Name": f"N{n}", "Value": word * 20} for n in range(20)] for word in "ab")
    shown = values.show_difference("Environment", before, after)
    assert len(values.list_differences(*shown)) == 20
