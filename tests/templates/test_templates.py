"""Templates are read as CloudFormation reads them, and every parent fits its children."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import values
from lib.errors import TemplateError
from lib.templates import contracts, templates
from lib.templates.templates import Template
from tests.support import factories
from tests.support.shapes import attempt, tried

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

#: Pieces that templates, and what goes wrong in them, are made of.
PIECES = st.sampled_from(
    [
        *("Resources", "Outputs", "Parameters", "A", "Type", "AWS::CloudFormation::Stack"),
        *(": ", ":\n  ", "\n", "\n  ", "\n    ", "- ", "? ", ", ", "{", "}", "[", "]", "|\n"),
        *("!Ref ", "!Sub ", "!GetAtt A.Outputs.B", "!!int ", "!!float ", "!!bool ", "!!set "),
        *("!!timestamp ", "!!binary ", "!!omap ", "!!python/none ", "!", "&a ", "*a", "<<"),
        *("0x_", "1:59:59.0", "12_0", ".inf", "~", "yes", '"', "'", "\\u", "%YAML 9\n---\n", "\t"),
        *("=", "@", "`", "\ufeff", "\x85", "\0", "…"),
    ]
)


def folder_of(**texts: str) -> dict[str, Template]:
    """Parse `name=text` into a folder of `name-stack.yaml`."""
    names = {name: f"{name}-stack.yaml" for name in texts}
    return {names[n]: factories.template(text, names[n]) for n, text in texts.items()}


def parent(url: str = "child-stack.yaml", *, passes: str = "{A: 1}", more: str = "") -> str:
    """Return a master with one nested stack."""
    return (
        "Resources:\n"
        "  Child:\n"
        "    Type: AWS::CloudFormation::Stack\n"
        f"    Properties: {{TemplateURL: {url}, Parameters: {passes}}}\n"
    ) + textwrap.indent(more, "  ")


CHILD = """
Parameters:
  A: {Type: String}
  B: {Type: String, Default: b}
Resources:
  Topic: {Type: 'AWS::SNS::Topic'}
Outputs:
  Arn: {Value: !Ref Topic}
"""

# ── reading ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", sorted((FIXTURES / "good").iterdir()), ids=lambda path: path.name)
def test_a_good_template_is_read(path: Path) -> None:
    template = templates.parse(path.name, path.read_text())
    assert template.resources
    assert contracts.check_contracts({path.name: template}) == ()
    assert values.canonical(template.body)


@pytest.mark.parametrize(
    ("name", "told"),
    {
        "alias.yaml": "alias.yaml:4 cannot be read as a template: CloudFormation takes no aliases",
        "key-list.yaml": "key-list.yaml:2 cannot be read as a template: a key is not a plain value",
        "key-twice.yaml": "key-twice.yaml:4 cannot be read as a template: the key 'A' stands twice",
        "no-resources.yaml": "it has no Resources",
        "no-type.yaml": "Resources/A has no Type",
        "output-text.yaml": "Outputs/B is not a mapping",
        "passed-number.yaml": "Resources/A/Properties/Parameters is not a mapping",
        "properties-list.yaml": "Resources/A/Properties is not a mapping",
        "resources-list.yaml": "Resources is not a mapping",
        "tag-empty.yaml": "tag-empty.yaml cannot be read as a template",
        "tag-wrong.yaml": "tag-wrong.yaml cannot be read as a template",
        "unclosed.yaml": "unclosed.yaml:4 cannot be read as a template",
    }.items(),
)
def test_a_bad_template_is_refused_with_its_place_and_reason(name: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        templates.parse(name, (FIXTURES / "bad" / name).read_text())
    assert told in caught.value.message


def test_every_bad_fixture_is_tried() -> None:
    tried_names = {
        case[0]
        for mark in test_a_bad_template_is_refused_with_its_place_and_reason.pytestmark
        for case in mark.args[1]
    }
    assert tried_names == {path.name for path in (FIXTURES / "bad").iterdir()}


def test_short_forms_are_read_into_their_long_form() -> None:
    path = FIXTURES / "good" / "intrinsics.yaml"
    body = templates.parse(path.name, path.read_text()).body
    assert body["Conditions"]["IsLong"] == {
        "Fn::And": [{"Condition": "HasName"}, {"Fn::Not": [{"Condition": "HasName"}]}]
    }
    assert body["Outputs"]["Arn"] == {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}}
    assert body["Outputs"]["List"] == body["Outputs"]["Arn"]
    tags = {t["Key"]: t["Value"] for t in body["Resources"]["Bucket"]["Properties"]["Tags"]}
    assert tags["zone"] == {"Fn::Select": [0, {"Fn::GetAZs": ""}]}
    assert tags["sub"]["Fn::Sub"][1] == {"A": {"Fn::If": ["HasName", "a", {"Ref": "AWS::NoValue"}]}}


def test_keys_and_dates_stay_the_text_they_are() -> None:
    path = FIXTURES / "good" / "intrinsics.yaml"
    body = templates.parse(path.name, path.read_text()).body
    assert body["AWSTemplateFormatVersion"] == "2010-09-09"
    # YAML would make an octal number and a truth of these.
    assert set(body["Mappings"]["Accounts"]) == {"012345678901", "on"}


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 300_000, "{a: " * 200_000, "- " * 300_000, "? " * 300_000, "[[]," * 200_000),
        *("a: " + "[" * 150 + "]" * 150, "1:" + "1:" * 300 + "1.0", "", "---\n---\n", "\t"),
    ],
    ids=lambda text: f"{text[:12]!r}",
)
def test_text_made_to_break_a_reader_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        templates.parse("odd.yaml", text)


def test_aliases_that_would_grow_without_bounds_are_refused() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(TemplateError, match="no aliases"):
        templates.parse("bomb.yaml", "\n".join(lines))


def test_a_large_flat_template_is_read() -> None:
    resources = "".join(f"  R{n}: {{Type: 'AWS::SNS::Topic'}}\n" for n in range(3_000))
    assert len(templates.parse("large.yaml", f"Resources:\n{resources}").resources) == 3_000


@tried
@given(text=st.text(max_size=80) | st.lists(PIECES, max_size=25).map("".join))
def test_any_text_is_a_template_or_refused_with_a_message(text: str) -> None:
    read = attempt(lambda: templates.parse("any.yaml", text))
    if isinstance(read, TemplateError):
        assert "any.yaml" in read.message
    else:
        assert isinstance(read, Template)
        contracts.check_contracts({"any.yaml": read})
        contracts.capabilities({"any.yaml": read})


# ── a folder ────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_read_by_file_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("\ufeff" + CHILD)
    (tmp_path / "notes.md").write_text("no template")
    assert list(templates.read_folder(tmp_path)) == ["a.yaml"]


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="There is no template"):
        templates.read_folder(tmp_path)


def test_a_link_inside_the_folder_is_followed_and_one_out_of_it_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "a.yaml").write_text(CHILD)
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert set(templates.read_folder(tmp_path)) == {"a.yaml", "b.yaml"}
    outside = tmp_path_factory.mktemp("outside") / "c.yaml"
    outside.write_text(CHILD)
    (tmp_path / "c.yaml").symlink_to(outside)
    with pytest.raises(TemplateError, match="through a link"):
        templates.read_folder(tmp_path)


def test_a_link_that_leads_nowhere_or_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "a.yaml"
    for target in ("none.yaml", "a.yaml"):
        link.symlink_to(target)
        with pytest.raises(TemplateError, match=r"a\.yaml"):
            templates.read_folder(tmp_path)
        link.unlink()


def test_what_is_no_readable_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.mkdir()
    with pytest.raises(TemplateError, match="is not a file"):
        templates.read_folder(tmp_path)
    path.rmdir()
    path.write_bytes(CHILD.encode("utf-16"))
    with pytest.raises(TemplateError, match="cannot be read"):
        templates.read_folder(tmp_path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(TemplateError, match="larger than the 1 MB"):
        templates.read_folder(tmp_path)


# ── the contract between a parent and its children ──────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("https://bucket/templates/child-stack.yaml", "child-stack.yaml"),
        ({"Fn::Sub": "https://${Bucket}/${Prefix}child-stack.yaml"}, "child-stack.yaml"),
        ({"Fn::Sub": ["https://${B}/child.template", {"B": "b"}]}, "child.template"),
        ({"Fn::Sub": []}, ""),
        ({"Ref": "Url"}, ""),
        ("https://bucket/child", ""),
        (None, ""),
    ],
)
def test_the_file_at_the_end_of_a_url_is_found(url: object, file: str) -> None:
    assert templates.child_file(url) == file


def test_a_parent_that_keeps_the_contract_is_accepted() -> None:
    reads = "Topic: {Type: 'AWS::SNS::Topic', Properties: {TopicName: !GetAtt Child.Outputs.Arn}}"
    assert contracts.check_contracts(folder_of(master=parent(more=reads), child=CHILD)) == ()


@pytest.mark.parametrize(
    ("master", "told"),
    [
        (parent(passes="{}"), "does not pass A, which child-stack.yaml requires."),
        (parent(passes="{A: 1, C: 1}"), "passes C, which child-stack.yaml does not declare."),
        (parent("none-stack.yaml"), "loads none-stack.yaml, which does not exist."),
        (parent("https://bucket/child"), "does not end in a template's file name."),
    ],
)
def test_what_a_parent_passes_has_to_fit(master: str, told: str) -> None:
    (problem,) = contracts.check_contracts(folder_of(master=master, child=CHILD))
    assert problem == f"master-stack.yaml: Child {told}" or problem.endswith(told)
    assert problem.startswith("master-stack.yaml: Child ")


@pytest.mark.parametrize(
    "reads",
    [
        "!GetAtt Child.Outputs.Url",
        "!GetAtt [Child, Outputs.Url]",
        "{'Fn::GetAtt': Child.Outputs.Url}",
        "!Sub 'x-${Child.Outputs.Url}'",
        "!Sub ['${Child.Outputs.Url}', {A: b}]",
    ],
)
def test_an_output_that_is_read_has_to_be_declared(reads: str) -> None:
    topic = f'Topic: {{Type: "AWS::SNS::Topic", Properties: {{TopicName: {reads}}}}}'
    (problem,) = contracts.check_contracts(folder_of(master=parent(more=topic), child=CHILD))
    assert problem == (
        "master-stack.yaml reads Child.Outputs.Url, which child-stack.yaml does not declare."
    )


# ── capabilities ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("resource", "needed"),
    [
        ("{Type: 'AWS::SNS::Topic'}", ()),
        ("{Type: 'AWS::IAM::Role'}", ("CAPABILITY_IAM",)),
        ("{Type: 'AWS::IAM::Policy', Properties: {PolicyName: a}}", ("CAPABILITY_IAM",)),
        ("{Type: 'AWS::IAM::Role', Properties: {RoleName: a}}", ("CAPABILITY_NAMED_IAM",)),
        (
            "{Type: 'AWS::SNS::Topic', Properties: {Tags: [{'Fn::Transform': {Name: M}}]}}",
            ("CAPABILITY_AUTO_EXPAND",),
        ),
    ],
)
def test_only_the_capabilities_that_a_template_needs_are_asked_for(
    resource: str, needed: tuple[str, ...]
) -> None:
    assert contracts.capabilities(folder_of(a=f"Resources: {{A: {resource}}}")) == needed


def test_a_macro_of_the_whole_template_needs_its_capability() -> None:
    text = "Transform: AWS::LanguageExtensions\nResources: {A: {Type: 'AWS::IAM::User'}}"
    needed = ("CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM")
    assert contracts.capabilities(folder_of(a=text)) == needed
