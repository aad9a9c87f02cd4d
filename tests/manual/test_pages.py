"""The generated pages say what the code and the templates say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import tasks
from commands.docs import describe_tasks
from lib import errors
from lib.deploy import outcomes
from lib.deploy import status as overview
from lib.document import keys_of
from lib.errors import InputError
from lib.inputs import parameters
from lib.releases import history
from lib.stacks.statuses import Status
from lib.templates import templates
from manual import error_index, pages
from manual.pages import Flag, Sources, TaskEntry
from tests.support import factories

ENTRIES = describe_tasks(tasks.ns)


@pytest.fixture
def sources() -> Sources:
    return pages.read(factories.REPOSITORY, ENTRIES)


def with_page(sources: Sources, path: str, text: str) -> Sources:
    return dataclasses.replace(sources, pages={**sources.pages, path: text})


def test_every_generated_page_in_the_repository_is_in_step(sources: Sources) -> None:
    built = pages.build(sources)
    stale = [path for path, text in built.items() if sources.pages.get(path) != text]
    assert stale == [], "run `inv docs`"


def test_every_error_that_the_code_can_print_is_explained(sources: Sources) -> None:
    messages = error_index.list_messages(sources.code)
    sections = error_index.read_sections(sources.pages[pages.TROUBLESHOOTING])
    found = error_index.find_unexplained(messages, sections)
    assert [f"{m.module}.{m.function}: {m.text}" for m in found] == []


def test_the_parameter_reference_has_a_section_for_each_parameter(sources: Sources) -> None:
    page = pages.draw_parameters(sources.folder, sources.values)
    declared = list(sources.folder[templates.MASTER].parameters)
    for name in declared:
        assert f"\n### {name}\n" in page
    required, optional = page.split("## Optional parameters")
    assert "### AdminEmail" in required
    assert "- **Range:** 1 – 10000" in optional


def test_every_example_is_a_value_that_its_parameter_takes(sources: Sources) -> None:
    declared = sources.folder[templates.MASTER].parameters
    values = {name: pages.example_of(name, body) for name, body in declared.items()}
    assert [p for p in parameters.check(values, declared) if p.severity == parameters.ERROR] == []


def test_the_reference_shows_what_each_environment_sets_and_why(sources: Sources) -> None:
    page = pages.draw_parameters(sources.folder, sources.values)
    assert "| `LogRetentionDays` | `30` | an incident" in page
    assert page.index("### Development") < page.index("### Staging") < page.index("### Production")


def test_an_environment_that_nobody_described_is_listed_all_the_same(sources: Sources) -> None:
    page = pages.draw_parameters(sources.folder, {"sandbox": {}, "staging": {}})
    assert page.index("### Staging") < page.index("### Sandbox")


def test_the_reference_lists_what_production_changes_inside_the_stacks(sources: Sources) -> None:
    page = pages.draw_parameters(sources.folder, sources.values)
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
    page = pages.draw_parameters({master.name: master, child.name: child}, {})
    assert "- **Length:** 8 – 64" in page
    assert "- **Secret:**" in page
    assert "Topic: Tags.Key | `true` | `(none)` |" in page or "| `yes` | `(none)` |" in page


def test_the_state_table_has_a_row_for_every_state() -> None:
    page = pages.draw_states()
    table = page.split("## The table")[1].split("## After")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert rows == [str(status) for status in Status]
    assert "{target}" not in page


def test_a_task_is_listed_with_its_flags_keys_and_old_script() -> None:
    page = pages.draw_tasks(ENTRIES)
    assert "| `deploy.sh` | [`inv deploy`](#inv-deploy) |" in page
    section = page.split("### inv restore\n")[1].split("\n### ")[0]
    assert "`--point-in-time VALUE`" in section
    assert "`reapplied`" in section
    assert "Takes all common flags." in section


def test_exit_codes_are_listed_with_the_errors_behind_them() -> None:
    page = pages.draw_tasks(ENTRIES)
    for kind in error_index.list_errors():
        row = next(line for line in page.splitlines() if line.startswith(f"| **{kind.exit_code}**"))
        assert f"`{kind.__name__}`" in row


@pytest.mark.parametrize("task", ENTRIES, ids=lambda task: task.name)
def test_every_task_and_flag_has_a_text(task: TaskEntry) -> None:
    assert task.about[0].isupper()
    assert [flag.name for flag in task.flags if not flag.help] == []


def test_the_keys_of_documents_are_those_that_the_code_writes() -> None:
    page = pages.draw_tasks(ENTRIES)
    outcome = outcomes.as_document(outcomes.Outcome("", "", "", "", "", "", ""))
    record = keys_of(history.Record)
    view = overview.as_document(overview.View("", "", "", Status.ABSENT, "", "", "", None, 0))
    for name, document in (("deploy", outcome), ("history", record), ("status", view)):
        section = page.split(f"### inv {name}\n")[1].split("\n### ")[0]
        assert [key for key in document if f"`{key}`" not in section] == []


def test_a_task_outside_the_groups_and_of_the_emulator_finds_its_place() -> None:
    plain = TaskEntry("other", "do a thing.", (Flag("json", "j", False, "", "One document."),))
    emulator = TaskEntry("local.start", "Start it: now.", ())
    assert (plain.group, plain.about) == ("Other", "Do a thing.")
    assert emulator.group == "Emulator"
    assert "Of the common flags: `--json`." in pages.draw_tasks([plain])


def test_a_part_is_written_between_its_comments_and_nothing_else_is_touched() -> None:
    page = "before\n<!-- generated: x -->\nold\n<!-- end -->\nafter\n"
    filled = pages.fill("p.md", page, "x", "new")
    assert filled == "before\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert pages.fill("p.md", filled, "x", "new") == filled


@pytest.mark.parametrize("page", ["nothing", "<!-- generated: x -->\nno end"])
def test_a_page_without_its_comments_is_an_error(page: str) -> None:
    with pytest.raises(InputError, match=r"p\.md lacks the comments"):
        pages.fill("p.md", page, "x", "new")


def copy_of_the_repository(root: Path) -> Path:
    """Copy what the pages are made of."""
    for path in (*pages.CODE, "infrastructure", "docs"):
        for file in (factories.REPOSITORY / path).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = root / file.relative_to(factories.REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    (root / "tasks.py").write_bytes((factories.REPOSITORY / "tasks.py").read_bytes())
    return root


def test_checking_names_what_is_out_of_step_and_writing_brings_it_back(tmp_path: Path) -> None:
    root = copy_of_the_repository(tmp_path)
    pages.refresh(root, ENTRIES, check=False)
    before = (root / pages.STATES).read_text()
    (root / pages.STATES).write_text("something else")
    checked = pages.refresh(root, ENTRIES, check=True)
    assert checked.exit_code == errors.OperationFailed.exit_code
    assert checked.document["stale"] == [pages.STATES]
    assert "not in step" in checked.text
    assert (root / pages.STATES).read_text() == "something else"
    assert pages.refresh(root, ENTRIES, check=False).document["written"] == [pages.STATES]
    assert (root / pages.STATES).read_text() == before
    assert pages.refresh(root, ENTRIES, check=True).exit_code == 0
