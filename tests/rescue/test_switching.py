"""A restored table takes the old one's place, and the stack ends in sync with it."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import Declined, InputError, OperationFailed, Refused
from lib.rescue import imports, records, writers
from tests.rescue.stage import NAME, Stage, folder
from tests.support.people import Person

PATH = "DatabaseStack/Notes"


def prepared(stage: Stage) -> str:
    """Deploy the application with three notes and a backup of them; return the table."""
    assert stage.deploy().action == "created"
    stage.fill(stage.notes)
    stage.back_up(stage.notes)
    return stage.notes


def test_the_newest_backup_is_switched_in_and_the_next_update_has_no_change(stage: Stage) -> None:
    old = prepared(stage)
    stage.fill(old, 5)
    done = stage.switch("Notes", target_table="notes-2").document
    assert (done["table"], done["status"], done["items"]) == ("notes-2", "ACTIVE", 3)
    [one] = done["tables"]
    assert (one["path"], one["old"], one["expected_items"]) == (PATH, old, 5)
    assert done["drift"] == []
    assert stage.notes == stage.reader() == "notes-2"
    assert stage.parameters()["NotesTableName"] == "notes-2"
    assert stage.items(old) == 5, "what was written since stays in the old table"
    assert f"Retained: {old}" in stage.person.notes
    assert not stage.record()
    stage.require_in_sync()


def test_the_new_table_is_encrypted_recoverable_and_tagged_as_the_template_says(
    stage: Stage,
) -> None:
    prepared(stage)
    stage.switch("Notes", target_table="notes-2")
    dynamodb = stage.cloud.dynamodb
    told = dynamodb.describe_table(TableName="notes-2")["Table"]
    assert told["SSEDescription"]["Status"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName="notes-2")
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    tags = dynamodb.list_tags_of_resource(ResourceArn=told["TableArn"])["Tags"]
    assert {"Key": "ManagedBy", "Value": "plot-palette-deploy"} in tags


def test_one_goes_back_to_the_old_table_by_its_name(stage: Stage) -> None:
    old = prepared(stage)
    stage.switch("Notes", target_table="notes-2")
    stage.switch(PATH, target_table=old)
    assert stage.notes == stage.reader() == old
    assert stage.items("notes-2") == 3
    stage.require_in_sync()


def test_what_is_in_its_place_already_is_nothing_to_do(stage: Stage) -> None:
    prepared(stage)
    stage.switch("Notes", target_table="notes-2")
    before = stage.cloud.trail(NAME)
    done = stage.switch("Notes", target_table="notes-2").document
    assert (done["table"], done["status"]) == ("notes-2", "ACTIVE")
    assert stage.cloud.trail(NAME) == before
    assert not stage.record()


def test_several_tables_are_switched_in_one_go(stage: Stage) -> None:
    old = prepared(stage)
    drafts = stage.tree()["DatabaseStack/Drafts"]
    stage.back_up(drafts)
    done = stage.switch("Notes", "Drafts").document
    assert [one["old"] for one in done["tables"]] == [old, drafts]
    tree = stage.tree()
    assert tree[PATH].startswith(f"{old}-restored-")
    assert tree["DatabaseStack/Drafts"].startswith(f"{drafts}-restored-")
    executed = [e for e in stage.cloud.trail(NAME) if e == f"{NAME} UPDATE_COMPLETE"]
    assert len(executed) == 3, "left out, imported and settled together"
    stage.require_in_sync()


def test_a_table_that_was_deleted_outside_the_stack_comes_back_under_its_name(
    stage: Stage,
) -> None:
    old = prepared(stage)
    stage.cloud.dynamodb.delete_table(TableName=old)
    done = stage.switch("Notes").document
    assert (done["table"], done["items"]) == (old, 3)
    assert stage.notes == stage.reader() == old
    stage.require_in_sync()


def test_a_lost_table_may_come_back_under_another_name(stage: Stage) -> None:
    old = prepared(stage)
    stage.cloud.dynamodb.delete_table(TableName=old)
    stage.switch("Notes", target_table="notes-2")
    assert stage.notes == stage.reader() == "notes-2"
    assert f"{old} is gone already; no backup of it can be taken." in stage.person.notes
    stage.require_in_sync()


def test_a_preview_shows_the_whole_way_and_does_nothing(stage: Stage) -> None:
    old = prepared(stage)
    before = stage.cloud.tables(), stage.cloud.trail(NAME)
    done = stage.switch("Notes", target_table="notes-2", preview=True).document
    assert (done["table"], done["status"], done["items"]) == ("notes-2", "PREVIEW", None)
    [drawn] = stage.person.drawn[-1:]
    for words in ("Restore arn:", "into notes-2", f"Back up {old}", "point ApiStack", "Import"):
        assert words in " ".join(drawn.split())
    assert stage.person.asked == []
    assert (stage.cloud.tables(), stage.cloud.trail(NAME)) == before
    assert not stage.record()


def test_who_declines_has_nothing_restored(stage: Stage) -> None:
    prepared(stage)
    stage.person = Person(False)
    with pytest.raises(Declined):
        stage.switch("Notes", target_table="notes-2")
    assert "notes-2" not in stage.cloud.tables()
    assert not stage.record()


def test_the_writers_are_stopped_before_the_readers_are_switched_and_started_afterwards(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(stage)
    seen: list[tuple[str, int | None, str]] = []
    empty, take_in = imports.empty_seats, imports.import_successors

    def watch(name: str, act: Any) -> Any:
        def acting(*given: Any) -> Any:
            seen.append((name, stage.limit(), stage.reader()))
            return act(*given)

        return acting

    old = stage.notes
    monkeypatch.setattr(imports, "empty_seats", watch("empty", empty))
    monkeypatch.setattr(imports, "import_successors", watch("import", take_in))
    stage.switch("Notes", target_table="notes-2")
    assert seen == [("empty", 0, old), ("import", None, "notes-2")]
    assert stage.limit() is None


def test_a_function_gets_back_the_concurrency_that_it_had(stage: Stage) -> None:
    prepared(stage)
    name = stage.tree()["ApiStack/Writer"]
    stage.cloud.client("lambda").put_function_concurrency(
        FunctionName=name, ReservedConcurrentExecutions=7
    )
    stage.switch("Notes", target_table="notes-2")
    assert stage.limit() == 7


def test_who_does_not_stop_the_writers_is_told_what_that_means(stage: Stage) -> None:
    old = prepared(stage)
    stage.person = Person("y", "n", "y")
    stage.switch("Notes", target_table="notes-2")
    assert any(f"may go on writing to {old}" in text for text in stage.person.notes)
    assert stage.notes == stage.reader() == "notes-2"


def test_an_endpoint_that_cannot_import_is_noticed_before_anything_is_changed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prepared(stage)
    create = stage.aws.client("cloudformation").create_change_set

    def forget(**given: Any) -> Any:
        given.pop("ImportExistingResources", None)
        return create(**given)

    monkeypatch.setattr(stage.aws.client("cloudformation"), "create_change_set", forget)
    before = stage.cloud.trail(NAME)
    with pytest.raises(Refused, match="does not import into stack") as refused:
        stage.switch("Notes", target_table="notes-2")
    assert "without --switch" in refused.value.next_step
    assert stage.cloud.trail(NAME) == before
    assert stage.notes == stage.reader() == old
    assert stage.limit() is None
    assert stage.change_sets() == []


def test_aws_s_own_reason_is_shown_where_it_would_not_import(stage: Stage) -> None:
    prepared(stage)
    other = {"Resources": {"Taken": {"Type": "AWS::DynamoDB::Table", "Properties": {
        "TableName": "notes-2", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }}}}  # fmt: skip
    assert stage.cloud.create("another", other) == "CREATE_COMPLETE"
    with pytest.raises(Refused, match="notes-2 already exists in stack"):
        stage.switch("Notes", target_table="notes-2")
    assert stage.notes != "notes-2"


def test_a_table_of_other_keys_is_refused(stage: Stage) -> None:
    prepared(stage)
    stage.cloud.dynamodb.create_table(
        TableName="other", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
    )  # fmt: skip
    with pytest.raises(Refused, match=r"its key is key \(HASH\), the template's id \(HASH\)"):
        stage.switch("Notes", target_table="other")


def test_a_table_that_the_stack_would_delete_is_not_switched(stage: Stage) -> None:
    stage.job = stage.job.__class__(**{**vars(stage.job), "templates": folder(policy="Delete")})
    old = prepared(stage)
    with pytest.raises(Refused, match="has the DeletionPolicy Delete"):
        stage.switch("Notes", target_table="notes-2")
    assert stage.notes == old


def test_a_failed_step_says_what_is_left_and_the_same_command_ends_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prepared(stage)

    class Broken(Exception):
        pass

    def fail(*_: Any) -> None:
        raise Broken

    with monkeypatch.context() as patched:
        patched.setattr(imports, "import_successors", fail)
        with pytest.raises(Broken):
            stage.switch("Notes", target_table="notes-2")
    assert PATH not in stage.tree()
    assert stage.reader() == "notes-2", "the application works with the new table"
    assert stage.limit() is None
    assert stage.record()
    with pytest.raises(Refused, match="is half done") as refused:
        stage.switch("Drafts", target_table="drafts-2")
    assert refused.value.next_step.startswith("inv restore --switch ")
    stage.switch()
    assert stage.notes == "notes-2"
    assert stage.items(old) == 3
    assert not stage.record()
    stage.require_in_sync()


def test_a_stack_that_rolled_back_has_its_writers_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prepared(stage)

    def fail(*_: Any) -> None:
        raise OperationFailed("the update was rolled back")

    monkeypatch.setattr(imports, "empty_seats", fail)
    with pytest.raises(OperationFailed):
        stage.switch("Notes", target_table="notes-2")
    assert stage.limit() is None
    assert stage.notes == stage.reader() == old


def test_a_switch_that_changed_nothing_yet_is_given_up_for_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(stage)
    with monkeypatch.context() as patched:
        patched.setattr(writers, "find_functions", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stage.switch("Notes", target_table="notes-2")
    stage.switch("Notes", target_table="notes-3")
    assert stage.notes == "notes-3"
    assert any("is given up" in text for text in stage.person.notes)


def test_nothing_is_restored_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(stage)
    with monkeypatch.context() as patched:
        write = records.write
        written: list[object] = []

        def stop(*given: Any) -> None:
            if written:
                raise KeyboardInterrupt
            written.append(given)
            write(*given)

        patched.setattr(records, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            stage.switch("Notes")
    made = [name for name in stage.cloud.tables() if "-restored-" in name]
    stage.switch("Notes")
    assert [name for name in stage.cloud.tables() if "-restored-" in name] == made == [stage.notes]


@pytest.mark.parametrize(
    ("tables", "wanted", "words"),
    [
        ((), {}, "It is not said which table"),
        (("Nobody",), {}, "is nothing whose name can be given"),
        (("Notes", "Drafts"), {"target_table": "both"}, "name one table"),
        (("Files",), {}, "is nothing whose name can be given"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    stage: Stage, tables: tuple[str, ...], wanted: dict[str, Any], words: str
) -> None:
    prepared(stage)
    with pytest.raises(InputError, match=words):
        stage.switch(*tables, **wanted)
    assert not stage.record()
