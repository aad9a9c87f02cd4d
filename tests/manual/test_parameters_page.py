"""The parameter reference says what the templates and the environments say."""

from __future__ import annotations

import pytest

from lib.inputs import parameters
from lib.templates import templates
from manual import pages, parameters_page
from manual.pages import Sources
from tests.support import factories


@pytest.fixture(scope="module")
def sources() -> Sources:
    return pages.read(factories.REPOSITORY, ())


def test_the_parameter_reference_has_a_section_for_each_parameter(sources: Sources) -> None:
    page = parameters_page.draw_parameters(sources.folder, sources.values)
    declared = list(sources.folder[templates.MASTER].parameters)
    for name in declared:
        assert f"\n### {name}\n" in page
    required, optional = page.split("## Optional parameters")
    assert "### AdminEmail" in required
    assert "- **Range:** 1 – 10000" in optional


def test_every_example_is_a_value_that_its_parameter_takes(sources: Sources) -> None:
    declared = sources.folder[templates.MASTER].parameters
    values = {name: parameters_page.example_of(name, body) for name, body in declared.items()}
    assert [p for p in parameters.check(values, declared) if p.severity == parameters.ERROR] == []


def test_the_reference_shows_what_each_environment_sets_and_why(sources: Sources) -> None:
    page = parameters_page.draw_parameters(sources.folder, sources.values)
    assert "| `LogRetentionDays` | `30` | an incident" in page
    assert page.index("### Development") < page.index("### Staging") < page.index("### Production")


def test_an_environment_that_nobody_described_is_listed_all_the_same(sources: Sources) -> None:
    page = parameters_page.draw_parameters(sources.folder, {"sandbox": {}, "staging": {}})
    assert page.index("### Staging") < page.index("### Sandbox")


def test_the_reference_lists_what_production_changes_inside_the_stacks(sources: Sources) -> None:
    page = parameters_page.draw_parameters(sources.folder, sources.values)
    row = "| `database-stack.yaml` JobsTable: DeletionProtectionEnabled | `true` | `false` |"
    assert row in page


def test_a_secret_and_a_length_are_shown_and_a_choice_of_nothing_has_a_name() -> None:
    master = factories.template(
        """
        Parameters:
          Password: {Type: String, NoEcho: true, MinLength: 8, MaxLength: 64}
        Resources:
          Child:
            Type: AWS::CloudFormation::Stack
            Properties: {TemplateURL: 'https://x/child.yaml'}
        """
    )
    child = factories.template(
        """
        Resources:
          Topic:
            Type: AWS::SNS::Topic
            Properties:
              Tags:
                - Key: !If [IsProduction, yes, !Ref AWS::NoValue]
        """,
        "child.yaml",
    )
    page = parameters_page.draw_parameters({master.name: master, child.name: child}, {})
    assert "- **Length:** 8 – 64" in page
    assert "- **Secret:**" in page
    assert "Topic: Tags.Key | `true` | `(none)` |" in page or "| `yes` | `(none)` |" in page
