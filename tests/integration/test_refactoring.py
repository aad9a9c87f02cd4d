"""A table moves from one nested stack to another with all that it holds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ITEMS, STACK, Clone, Cloud, Operator, Seed, fork

pytestmark = pytest.mark.integration

MOVE = "DatabaseStack/JobsTable=StorageStack/JobsTable"


def take(clone: Clone, name: str, pattern: str) -> str:
    """Take a piece out of a template and return it."""
    path = clone.template(name)
    text = path.read_text()
    found = re.search(pattern, text)
    assert found, f"{name}-stack.yaml has no {pattern}"
    path.write_text(text.replace(found[0], "\n", 1))
    return found[0]


def move_the_jobs(clone: Clone) -> None:
    """Have the templates keep the jobs in the storage stack, and read them there."""
    block = r"(?:(?:    .*)?\n)*"
    table = take(clone, "database", rf"\n  JobsTable:\n{block}")
    # Who moves it takes along what it needs; a name that nobody has given is not among that.
    table = re.sub(r"      TableName: .*\n", "", table)
    outputs = take(clone, "database", rf"\n  JobsTableName:\n{block}  JobsTableArn:\n{block}")
    clone.edit("storage", ("\nOutputs:\n", f"{table}\nOutputs:\n{outputs.lstrip()}"))
    clone.edit("storage", ("Outputs:\nJobs", "Outputs:\n  Jobs"))
    clone.edit("master", ("DatabaseStack.Outputs.JobsTable", "StorageStack.Outputs.JobsTable"))


@pytest.fixture
def operator(seed: Seed, tmp_path: Path) -> Iterator[Operator]:
    someone = fork(seed.state, tmp_path)
    yield someone
    someone.leave()


def tables(cloud: Cloud) -> set[str]:
    found: list[str] = cloud.client("dynamodb").list_tables()["TableNames"]
    return set(found)


def test_a_table_moves_to_another_nested_stack_with_its_items(operator: Operator) -> None:
    cloud = operator.cloud()
    jobs, before = cloud.tables()["JobsTable"], tables(cloud)
    move_the_jobs(operator.clone)

    previewed = operator.inv("rescue.refactor", "--move", MOVE, "--preview", "--json").document
    assert previewed["action"] == "previewed"
    assert cloud.tree()["DatabaseStack/JobsTable"] == jobs

    moved = operator.inv("rescue.refactor", "--move", MOVE, "--yes", "--json").document
    assert moved["action"] == "moved"
    assert moved["moves"] == [
        {
            "from": "DatabaseStack/JobsTable",
            "to": "StorageStack/JobsTable",
            "type": "AWS::DynamoDB::Table",
            "physical_id": jobs,
        }
    ]
    assert moved["update"]["action"] == "updated"
    # Its readers get the same values from elsewhere, which is proven before it is executed.
    assert all(one["follows"] and one["proof"] for one in moved["update"]["changes"])
    assert cloud.tree()["StorageStack/JobsTable"] == jobs
    assert "DatabaseStack/JobsTable" not in cloud.tree()
    assert cloud.items(jobs) == ITEMS
    assert tables(cloud) == before

    assert operator.inv("update", "--json").document["action"] == "unchanged"
    assert operator.inv("status", "--drift", "--json").document["drift"] == "IN_SYNC"
    assert cloud.change_sets() == []


def test_what_moved_is_changed_in_place_afterwards(operator: Operator) -> None:
    cloud = operator.cloud()
    jobs = cloud.tables()["JobsTable"]
    move_the_jobs(operator.clone)
    operator.inv("rescue.refactor", "--move", MOVE, "--yes")
    tag = "        - Key: Environment\n"
    operator.clone.edit("storage", (tag, f"        - {{ Key: Team, Value: data }}\n{tag}"))
    operator.inv("update", "--yes", "--no-verify")
    assert cloud.tree()["StorageStack/JobsTable"] == jobs
    assert cloud.items(jobs) == ITEMS


def test_an_update_that_would_make_it_anew_names_the_command_that_moves_it(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    jobs = cloud.tables()["JobsTable"]
    move_the_jobs(operator.clone)
    refused = operator.inv("update", "--json", code=3)
    named = re.search(r"`inv (rescue\.refactor [^`]*)`", refused.document["next_step"])
    assert named
    assert f"--move {MOVE}" in named[1]
    assert named[0] in " ".join(operator.inv("update", "--preview").err.split())
    operator.run(*shlex.split(named[1]), "--yes")
    assert cloud.tree()["StorageStack/JobsTable"] == jobs
    assert cloud.items(jobs) == ITEMS


def test_a_table_is_renamed_without_being_replaced(operator: Operator) -> None:
    cloud = operator.cloud()
    jobs = cloud.tables()["JobsTable"]
    operator.clone.edit(
        "database",
        ("  JobsTable:\n", "  Jobs:\n"),
        ("!Ref JobsTable\n", "!Ref Jobs\n"),
        ("!GetAtt JobsTable.Arn", "!GetAtt Jobs.Arn"),
    )
    move = "DatabaseStack/JobsTable=DatabaseStack/Jobs"
    moved = operator.inv("rescue.refactor", "--move", move, "--yes", "--json").document
    assert moved["action"] == "moved"
    assert cloud.tree()["DatabaseStack/Jobs"] == jobs
    assert cloud.items(jobs) == ITEMS
    assert operator.inv("status", "--drift", "--json").document["drift"] == "IN_SYNC"


def test_a_move_that_was_made_is_not_made_again(operator: Operator) -> None:
    cloud = operator.cloud()
    move_the_jobs(operator.clone)
    operator.inv("rescue.refactor", "--move", MOVE, "--yes")
    again = operator.inv("rescue.refactor", "--move", MOVE, "--yes", "--json").document
    assert (again["action"], again["moves"], again["refactor"]) == ("unchanged", [], "")
    assert again["update"]["action"] == "unchanged"
    assert cloud.status() == "UPDATE_COMPLETE"


def test_a_move_without_its_update_is_finished_by_the_command_that_is_printed(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    jobs = cloud.tables()["JobsTable"]
    move_the_jobs(operator.clone)
    with operator.at_a_terminal("rescue.refactor", "--move", MOVE, COLUMNS="200") as terminal:
        terminal.expect("then update it?")
        terminal.type("y\n")
        terminal.expect("Update stack")
        terminal.type("n\n")
        shown = terminal.finish()
    assert cloud.tree()["StorageStack/JobsTable"] == jobs
    named = re.search(r"Next: inv (rescue\.refactor [^\r\n]*)", shown)
    assert named
    again = operator.run(*shlex.split(named[1]), "--yes", "--json").document
    assert (again["action"], again["update"]["action"]) == ("unchanged", "updated")
    assert operator.inv("update", "--json").document["action"] == "unchanged"
    assert cloud.items(jobs) == ITEMS


def test_the_templates_of_before_a_move_are_no_news_to_aws_and_yet_refused_with_the_way_back(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    jobs = cloud.tables()["JobsTable"]
    move_the_jobs(operator.clone)
    with operator.at_a_terminal("rescue.refactor", "--move", MOVE) as terminal:
        terminal.expect("then update it?")
        terminal.type("y\n")
        terminal.expect("Update stack")
        terminal.type("n\n")
        terminal.finish()
    operator.clone.restore()
    refused = operator.inv("update", "--json", code=3).document
    assert "moved DatabaseStack/JobsTable to StorageStack/JobsTable" in refused["error"]
    assert operator.inv("deploy", "--preview", "--json", code=3).document["error"]
    back = refused["next_step"].removeprefix("inv ").partition(", to move")[0]
    moved = operator.run(*shlex.split(back), "--yes", "--json").document
    assert (moved["action"], moved["update"]["action"]) == ("moved", "unchanged")
    assert operator.inv("update", "--json").document["action"] == "unchanged"
    assert cloud.tables()["JobsTable"] == jobs
    assert cloud.items(jobs) == ITEMS


@pytest.mark.parametrize(
    ("move", "why"),
    [
        ("DatabaseStack/JobsTable", "takes FROM=TO"),
        (MOVE, "the templates still have DatabaseStack/JobsTable"),
        ("DatabaseStack/Nope=StorageStack/Nope", "DatabaseStack/Nope is not deployed"),
    ],
)
def test_a_move_that_is_none_is_refused_and_changes_nothing(
    operator: Operator, move: str, why: str
) -> None:
    refused = operator.inv("rescue.refactor", "--move", move, "--json", code=2)
    assert why in refused.document["error"]
    assert operator.cloud().status() == "CREATE_COMPLETE"


def test_a_nested_stack_that_could_not_go_is_named_and_freed_by_the_printed_command(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    heap = Path(operator.clone.folder / "infrastructure/cloudformation/extra-stack.yaml")
    heap.write_text(
        "AWSTemplateFormatVersion: '2010-09-09'\nDescription: A heap\nResources:\n  Heap:\n"
        "    Type: AWS::S3::Bucket\n    DeletionPolicy: Delete\n    UpdateReplacePolicy: Delete\n"
    )
    master = operator.clone.template("master").read_text()
    url = re.search(
        r"  StorageStack:\n(?:    .*\n)*?      TemplateURL:(?:.*\n)(?:        .*\n)*", master
    )
    assert url
    extra = url[0].replace("StorageStack", "ExtraStack").replace("storage-stack", "extra-stack")
    operator.clone.edit(
        "master", ("  DatabaseStack:\n    Type", f"{extra}\n  DatabaseStack:\n    Type")
    )
    operator.inv("update", "--yes", "--no-verify")
    bucket = cloud.tree()["ExtraStack/Heap"]
    cloud.client("s3").put_object(Bucket=bucket, Key="one", Body=b"1")

    operator.clone.template("master").write_text(master)
    heap.unlink()
    allowed = ("--allow-data-loss", "ExtraStack/Heap", "--no-verify", "--yes")
    updated = operator.inv("update", *allowed)
    assert "Left behind" in updated.err
    assert cloud.status() == "UPDATE_COMPLETE"

    refused = operator.inv("rollback", "--yes", "--json", code=3)
    assert "DELETE_FAILED" in refused.document["error"]
    command = shlex.split(refused.document["next_step"])
    assert command[:3] == ["inv", "deploy", "--delete"]
    operator.run(*command[1:], "--yes")
    assert cloud.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert "nothing has failed" in operator.inv("rollback", "--yes", code=3).err
    assert cloud.names() == {STACK}
