"""Parameter files are read in both forms, and every value is held to the template's own rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import InputError, ParameterError
from lib.inputs import parameters
from lib.inputs.parameters import Problem
from tests.support import factories
from tests.support.shapes import any_json, any_text, attempt, tried

NAMES = st.sampled_from(["Parameters", "ParameterKey", "ParameterValue", "Name"]) | any_text


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "staging.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rules_broken(value: str, **declaration: Any) -> list[str]:
    """Return the messages about one value of a parameter declared so."""
    return [problem.message for problem in parameters.check({"P": value}, {"P": declaration})]


# ── reading ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "document",
    [
        [{"ParameterKey": "A", "ParameterValue": "1"}, {"ParameterKey": "B", "ParameterValue": ""}],
        {"Parameters": {"A": "1", "B": ""}},
        {"Parameters": {"A": "1", "B": ""}, "Tags": {"Team": "x"}},
    ],
    ids=["array", "object", "object with more"],
)
def test_both_forms_of_a_parameter_file_are_read(tmp_path: Path, document: object) -> None:
    file = parameters.read(written(tmp_path, json.dumps(document)))
    assert dict(file.values) == {"A": "1", "B": ""}
    assert file.problems == ()


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeff{"Parameters": {"A": "ü"}}')
    assert parameters.read(path).values == {"A": "ü"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "staging.json:1:1 is not valid JSON"),
        ('{"Parameters": {\n  "A": }}', "staging.json:2:8 is not valid JSON"),
        ("5", "neither a list of ParameterKey/ParameterValue pairs"),
        ('{"A": "1"}', "neither a list"),
        ('{"Parameters": []}', "neither a list"),
        ('{"Parameters": {"A": "1", "A": "2"}}', "the key 'A' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "cannot be used"),
        ('{"Parameters": {"A": "\\ud800"}}', "surrogates not allowed"),
        (b'{"Parameters": {"A": "\xff"}}', "cannot be read"),
        ('{"Parameters": {}}'.encode("utf-16"), "cannot be read"),
        (b"[" + b" " * 2_000_000 + b"]", "too large"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters.read(written(tmp_path, content))
    assert told in caught.value.message
    assert "staging.json" in caught.value.message


def test_a_file_that_is_absent_or_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"none\.json does not exist"):
        parameters.read(tmp_path / "none.json")
    with pytest.raises(ParameterError, match="cannot be read"):
        parameters.read(tmp_path)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("A", "entry 2 is not an object"),
        ({"ParameterValue": "1"}, "entry 2 has no ParameterKey"),
        ({"ParameterKey": 5, "ParameterValue": "1"}, "entry 2 has no ParameterKey"),
        ({"ParameterKey": "A"}, "entry 2 (A) has no ParameterValue"),
        (
            {"ParameterKey": "A", "ParameterValue": "1", "UsePreviousValue": True},
            "entry 2 (A) has keys that a file may not set: UsePreviousValue",
        ),
    ],
)
def test_a_faulty_entry_is_told_by_its_place_and_the_others_are_read(
    tmp_path: Path, entry: object, told: str
) -> None:
    good = {"ParameterKey": "B", "ParameterValue": "2"}
    file = parameters.read(written(tmp_path, json.dumps([good, entry])))
    assert file.values == {"B": "2"}
    (problem,) = file.problems
    assert problem.message.startswith(told)


def test_a_name_that_stands_twice_is_told_and_the_first_value_kept(tmp_path: Path) -> None:
    pairs = [{"ParameterKey": "A", "ParameterValue": v} for v in ("1", "2")]
    file = parameters.read(written(tmp_path, json.dumps(pairs)))
    assert file.values == {"A": "1"}
    assert file.problems == (Problem("A", "stands twice in the file; keep one"),)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (50, "a number"),
        (0.5, "a number"),
        (True, "true or false"),
        (None, "null"),
        (["a"], "a list"),
        ({"a": 1}, "an object"),
    ],
)
def test_a_value_that_is_no_string_is_told_without_showing_it(
    tmp_path: Path, value: object, kind: str
) -> None:
    file = parameters.read(written(tmp_path, json.dumps({"Parameters": {"Password": value}})))
    (problem,) = file.problems
    assert problem.parameter == "Password"
    assert problem.message == f"is {kind}; CloudFormation takes strings only, so quote it"
    # Not missing as well: it is there, only wrong.
    assert "Password" in file.values


@tried
@given(document=any_json(NAMES))
def test_any_json_is_read_or_refused_with_a_message(tmp_path: Path, document: object) -> None:
    path = written(tmp_path, json.dumps(document))
    file = attempt(lambda: parameters.read(path))
    if isinstance(file, InputError):
        assert file.message.encode()
        return
    for problem in (*file.problems, *parameters.check(file.values, {"A": {"Type": "Number"}})):
        assert f"{problem.parameter} {problem.message}".encode()


@tried
@given(content=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_message(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    file = attempt(lambda: parameters.read(path))
    assert file.message if isinstance(file, InputError) else file.path == path


# ── checking ────────────────────────────────────────────────────────────────────────────────


def test_every_problem_is_found_in_one_run() -> None:
    declared = factories.template().parameters
    values = {
        "EnvironmentName": "live",
        "AdminEmail": "nobody",
        "Budget": "much",
        "Password": "short",
        "AdminMail": "a@b.io",
    }
    assert [(p.parameter, p.message) for p in parameters.check(values, declared)] == [
        ("AdminMail", "is not a parameter of the template; did you mean AdminEmail?"),
        ("EnvironmentName", "'live' is not one of development, staging, production"),
        ("AdminEmail", "'nobody' does not match ^[^@]+@[^@]+$"),
        ("Budget", "'much' is not a number"),
        ("Password", "the value (NoEcho, not shown) is below MinLength 8 characters"),
    ]


def test_a_parameter_without_a_default_has_to_be_given() -> None:
    declared = {"A": {"Type": "String"}, "B": {"Type": "String", "Default": ""}}
    assert parameters.check({}, declared) == (Problem("A", "is missing and has no default"),)


def test_an_unknown_name_like_no_other_gets_no_hint() -> None:
    (problem,) = parameters.check({"Zzz": "1"}, {})
    assert problem.message == "is not a parameter of the template"


def test_the_templates_own_words_are_added() -> None:
    told = rules_broken("x", Type="Number", ConstraintDescription="must be a count")
    assert told == ["'x' is not a number (must be a count)"]


@pytest.mark.parametrize("flag", [True, "true", "True"])
def test_a_noecho_value_is_never_shown(flag: object) -> None:
    declaration = {"Type": "String", "NoEcho": flag, "AllowedPattern": "[0-9]+", "MaxLength": 3}
    told = " ".join(rules_broken("hunter2", **declaration))
    assert "does not match" in told
    assert "hunter2" not in told
    long = "hunter2" * 1_000
    assert "hunter2" not in " ".join(rules_broken(long, Type="String", NoEcho=flag))
    values, declared = {"P": "hunter2", "Q": "seen"}, {"P": declaration}
    assert parameters.without_secrets(values, declared) == {"Q": "seen"}
    assert parameters.mask_secrets(values, declared) == {"P": "****", "Q": "seen"}
    assert parameters.list_secrets({"P": declaration, "Q": {}}) == {"P"}


@pytest.mark.parametrize(
    ("value", "declaration"),
    [
        ("", {"Type": "String"}),
        ("", {"Type": "String", "AllowedPattern": ".*"}),
        ("a\nb", {"Type": "String", "AllowedPattern": "a[\\s\\S]b"}),
        ("x" * 4_096, {"Type": "String"}),
        ("5", {"Type": "Number"}),
        (" 5 ", {"Type": "Number"}),
        ("-0.5", {"Type": "Number"}),
        (".5", {"Type": "Number"}),
        ("1e3", {"Type": "Number", "MaxValue": 1000}),
        ("7.0", {"Type": "Number", "AllowedValues": [1, 7]}),
        ("7", {"Type": "Number", "AllowedValues": ["7"]}),
        ("7", {"Type": "Number", "AllowedPattern": "[a-z]", "MinLength": 5}),
        ("1,2, 3", {"Type": "List<Number>", "MaxValue": 3}),
        ("a, b", {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}),
        ("ab,cd", {"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]{2}"}),
        ("ab,cd", {"Type": "CommaDelimitedList", "MaxLength": 2}),
        ("a,b", {"Type": "CommaDelimitedList", "MinLength": 2}),
        ("true", {"Type": "String", "AllowedValues": [True, False]}),
        ("1", {"Type": "String", "AllowedValues": [1, 2]}),
        ("vpc-0a1b2c3d", {"Type": "AWS::EC2::VPC::Id"}),
        (
            "subnet-0a1b2c3d4e5f60718,subnet-0a1b2c3d",
            {"Type": "List<AWS::EC2::Subnet::Id>"},
        ),
        ("eu-west-1a", {"Type": "AWS::EC2::AvailabilityZone::Name", "MaxLength": 3}),
        ("any key", {"Type": "AWS::EC2::KeyPair::KeyName"}),
        # The value names an entry in the parameter store; its content is what has the type.
        ("/aws/ami", {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"}),
        ("/sizes", {"Type": "AWS::SSM::Parameter::Value<List<String>>", "AllowedValues": ["a"]}),
        ("/name", {"Type": "AWS::SSM::Parameter::Value<String>", "AllowedPattern": "[0-9]+"}),
        # Java's expressions that Python cannot read, or reads otherwise.
        ("ä", {"Type": "String", "AllowedPattern": "\\p{L}"}),
        ("b", {"Type": "String", "AllowedPattern": "[a-z&&[^a]]"}),
        ("[", {"Type": "String", "AllowedPattern": "[[a]]"}),
        ("A", {"Type": "String", "AllowedPattern": "a(?i)"}),
        ("a", {"Type": "String", "AllowedPattern": "a{99999999999}"}),
        ("a", {"Type": "String", "AllowedPattern": 5, "AllowedValues": "a", "MaxLength": "x"}),
        ("a", {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_value_that_cloudformation_takes_is_taken(
    value: str, declaration: dict[str, Any]
) -> None:
    assert rules_broken(value, **declaration) == []


@pytest.mark.parametrize(
    ("value", "declaration", "told"),
    [
        ("", {"Type": "String", "AllowedPattern": ".+"}, "does not match"),
        ("xab", {"Type": "String", "AllowedPattern": "ab"}, "does not match"),
        ("ab\n", {"Type": "String", "AllowedPattern": "^ab$"}, "does not match"),
        ("٣", {"Type": "String", "AllowedPattern": "\\d"}, "does not match"),
        ("abc", {"Type": "String", "MaxLength": 2}, "is above MaxLength 2 characters"),
        ("abc", {"Type": "String", "MinLength": "4"}, "is below MinLength 4 characters"),
        ("x" * 4_097, {"Type": "String"}, "longer than the 4,096 bytes"),
        ("ü" * 2_049, {"Type": "String"}, "longer than the 4,096 bytes"),
        ("", {"Type": "Number"}, "is not a number"),
        ("1_000", {"Type": "Number"}, "is not a number"),
        ("٣", {"Type": "Number"}, "is not a number"),
        ("NaN", {"Type": "Number"}, "is not a number"),
        ("Infinity", {"Type": "Number"}, "is not a number"),
        ("1e9999", {"Type": "Number"}, "is not a number"),
        ("0.5", {"Type": "Number", "MinValue": 1}, "is below MinValue 1"),
        ("101", {"Type": "Number", "MaxValue": 100}, "is above MaxValue 100"),
        ("2", {"Type": "Number", "AllowedValues": [1, 7]}, "is not one of 1, 7"),
        ("1,x", {"Type": "List<Number>"}, "is not a number"),
        ("a,c", {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "is not one of a, b"),
        ("a,", {"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]"}, "does not match [a-z]"),
        ("yes", {"Type": "String", "AllowedValues": [True, False]}, "is not one of true, false"),
        ("vpc-1", {"Type": "AWS::EC2::VPC::Id"}, "is not an AWS::EC2::VPC::Id"),
        (
            "subnet-0a1b2c3d,sg-0a1b2c3d",
            {"Type": "List<AWS::EC2::Subnet::Id>"},
            "is not an AWS::EC2::Subnet::Id",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_value_that_breaks_a_rule_is_told_with_the_rule(
    value: str, declaration: dict[str, Any], told: str
) -> None:
    (message,) = rules_broken(value, **declaration)
    assert told in message


def test_a_long_value_is_cut_in_the_message() -> None:
    (message,) = rules_broken("x" * 3_000, Type="Number")
    assert len(message) < 120
    assert "…" in message


@tried
@given(
    value=st.text(max_size=30),
    declaration=st.dictionaries(
        st.sampled_from(
            ["Type", "AllowedValues", "AllowedPattern", "MinLength", "MaxValue", "NoEcho"]
        ),
        any_json() | st.sampled_from(["String", "Number", "List<Number>", "CommaDelimitedList"]),
    ),
)
def test_any_declaration_is_checked_without_a_crash(
    value: str, declaration: dict[str, Any]
) -> None:
    assert all(isinstance(message, str) for message in rules_broken(value, **declaration))
