"""The main job: a stack comes up, stays, changes, fails, goes, and comes back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.integration.conftest import (
    ITEMS,
    STACK,
    Clone,
    Operator,
    Seed,
    break_late,
    change_settings,
    shrink,
)

pytestmark = pytest.mark.integration

STACK_KEYS = {
    "action",
    "stack",
    "stack_id",
    "region",
    "environment",
    "status",
    "release",
    "outputs",
    "changes",
    "backups",
    "retained",
    "failure",
    "seconds",
}
TABLES = {"JobsTable", "QueueTable", "TemplatesTable", "CostTrackingTable"}


def test_a_new_stack_is_told_in_one_json_document_with_its_outputs(
    seed: Seed, reader: Operator
) -> None:
    document = seed.created.document
    assert document.keys() >= STACK_KEYS
    assert (document["action"], document["stack"]) == ("created", STACK)
    assert (document["region"], document["environment"]) == ("us-east-1", "development")
    assert (document["status"], document["failure"]) == ("CREATE_COMPLETE", None)
    assert len(document["release"]) == 12
    cloud = reader.cloud()
    # The address of the API moves with the emulator's port.
    there = {k: v for k, v in cloud.outputs().items() if "127.0.0.1" not in v}
    assert there.items() < document["outputs"].items()
    assert document["outputs"].keys() == cloud.outputs().keys()
    assert document["stack_id"] == (cloud.stack() or {})["StackId"]


def test_a_new_stack_is_watched_resource_by_resource_on_stderr(seed: Seed) -> None:
    lines = seed.created.err.splitlines()
    assert any("CREATE_COMPLETE" in line and "DatabaseStack/JobsTable" in line for line in lines)
    assert any("inv local.status lists" in line for line in lines)
    assert f"✓ Stack {STACK} in us-east-1 was created in" in seed.created.err
    assert "\x1b" not in seed.created.err + seed.created.out


def test_what_happened_can_be_looked_at_as_a_list_and_as_a_picture(
    reader: Operator, tmp_path: Path
) -> None:
    picture = tmp_path / "took.svg"
    listed = reader.inv("events", "--chart", str(picture)).out
    assert "DatabaseStack/JobsTable" in listed
    assert ">JobsTable</text>" in picture.read_text()
    reader.inv("events", "--chart", str(picture), "--follow", code=2)


def test_the_health_url_of_a_new_stack_answers_with_the_state_of_every_table(seed: Seed) -> None:
    assert seed.health["status"] == 200
    assert seed.health["body"] == {"status": "ok", "tables": dict.fromkeys(TABLES, "ACTIVE")}


def test_a_new_stack_carries_the_tags_and_its_bucket_is_closed(reader: Operator) -> None:
    cloud = reader.cloud()
    tags = {tag["Key"]: tag["Value"] for tag in (cloud.stack() or {})["Tags"]}
    assert tags == {
        "Project": "plot-palette",
        "Environment": "development",
        "ManagedBy": "plot-palette-deploy",
    }
    s3, bucket = cloud.client("s3"), "plot-palette-cfn-000000000000-us-east-1"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    assert len(blocked) == 4
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_deploying_again_is_up_to_date_and_leaves_no_change_set(reader: Operator) -> None:
    cloud = reader.cloud()
    before = cloud.stack()
    again = reader.inv("deploy", "--json")
    document = again.document
    assert document.keys() >= STACK_KEYS
    assert (document["action"], document["changes"]) == ("unchanged", [])
    assert document["outputs"] == cloud.outputs()
    assert "is up to date" in again.err
    assert "Linting" not in again.err
    assert cloud.stack() == before
    assert cloud.change_sets() == []


def test_outputs_come_as_a_table_as_json_and_as_shell_variables(reader: Operator) -> None:
    outputs = reader.cloud().outputs()
    assert reader.inv("outputs", "--json").document == outputs
    variables = reader.inv("outputs", "--format", "env").out
    assert f"BucketName={outputs['BucketName']}\n" in variables
    assert f"ApiEndpoint='{outputs['ApiEndpoint']}'\n" in variables


def test_only_templates_that_are_new_by_content_are_published(seed: Seed) -> None:
    assert [(u["uploaded"], u["unchanged"]) for u in seed.uploads] == [(2, 8), (2, 8), (3, 7)]
    assert "Linting 10 new templates" in seed.created.err
    for upload in seed.uploads:
        assert upload["master_url"] == (
            f"https://s3.us-east-1.amazonaws.com/{upload['bucket']}"
            f"/releases/{upload['release']}/master-stack.yaml"
        )
        assert "quickcreate?templateURL=" in upload["quick_create_url"]


def test_edited_properties_are_previewed_and_update_the_templates_they_stand_in(
    operator: Operator,
) -> None:
    cloud = operator.cloud()
    before, tables, stack = cloud.digests(), cloud.tables(), cloud.stack()
    change_settings(operator.clone)

    previewed = operator.inv("update", "--preview", "--json").document
    assert (previewed["action"], previewed["preview"]) == ("unchanged", True)
    rows = {row["path"]: row for row in previewed["changes"]}
    assert {row["data_loss"] for row in rows.values()} == {"none"}
    assert rows["DatabaseStack/QueueTable"]["causes"] == [
        "Tags",
        "TimeToLiveSpecification",
        "TimeToLiveSpecification/AttributeName",
    ]
    assert "MemorySize" in rows["APIStack/HealthFunction"]["causes"]
    # What reads the changed tables may change too, as far as CloudFormation can tell; the
    # network and the users cannot.
    assert not {path for path in rows if path.startswith(("NetworkStack", "AuthStack"))}
    assert cloud.stack() == stack
    assert cloud.change_sets() == []

    document = operator.inv("deploy", "--json").document
    assert (document["action"], document["status"]) == ("updated", "UPDATE_COMPLETE")
    assert document["changes"] == previewed["changes"]
    after = cloud.digests()
    assert {name for name in after if after[name] != before[name]} == {"database", "api"}
    assert cloud.tables() == tables
    lifetime = cloud.client("dynamodb").describe_time_to_live(TableName=tables["QueueTable"])
    assert lifetime["TimeToLiveDescription"]["AttributeName"] == "gone_at"
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}
    assert cloud.change_sets() == []


def test_a_failed_creation_names_its_cause_first_and_can_be_repeated_once_mended(
    operator: Operator,
) -> None:
    clone, cloud, name = operator.clone, operator.cloud(), "plot-palette-staging"
    break_late(clone)
    failed = operator.inv("deploy", "--env", "staging", "--json", code=1)
    document = failed.document
    assert (document["action"], document["status"]) == ("failed", "ROLLBACK_COMPLETE")
    assert document["failure"]["logical_id"] == "Never"
    assert document["failure"]["path"] == "FrontendStack/Never"
    assert "timed out" in document["failure"]["reason"]
    told = failed.err[failed.err.index("✗") :].splitlines()
    assert told[0] == f"✗ Stack {name} in us-east-1 failed (ROLLBACK_COMPLETE)."
    assert told[1].startswith(
        "  Cause: FrontendStack/Never (AWS::CloudFormation::WaitCondition): WaitCondition timed out"
    )
    assert told[2] == "  CloudFormation removed what it had created."
    assert told[3].startswith("  Next: mend the cause, then inv deploy --env staging")
    assert cloud.status(name) == "ROLLBACK_COMPLETE"

    clone.restore()
    with operator.at_a_terminal("deploy", "--env", "staging") as terminal:
        terminal.expect("Delete what is left and create it again? [y/N]")
        terminal.type("n\n")
        terminal.finish(code=3)
    assert cloud.status(name) == "ROLLBACK_COMPLETE"
    mended = operator.inv("deploy", "--env", "staging", "--yes", "--json").document
    assert (mended["action"], mended["status"]) == ("created", "CREATE_COMPLETE")
    assert cloud.status(name) == "CREATE_COMPLETE"


def test_a_deleted_stack_leaves_its_data_and_can_be_deployed_again(operator: Operator) -> None:
    cloud = operator.cloud()
    tables = cloud.tables()
    refused = operator.inv("deploy", "--delete", "--json", code=3)
    assert refused.document["action"] == "declined"
    assert "nobody can be asked" in refused.err
    assert "orphaned: stays in the account" in refused.err
    assert cloud.status() == "CREATE_COMPLETE"

    document = operator.inv("deploy", "--delete", "--yes", "--json").document
    assert (document["action"], document["outputs"]) == ("deleted", {})
    assert set(tables.values()) < set(document["retained"])
    assert cloud.stack() is None
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}

    beside = operator.inv("deploy", "--no-verify", "--adopt", "none", "--json").document
    assert beside["action"] == "created"
    assert not set(cloud.tables().values()) & set(tables.values())
    assert {cloud.items(name) for name in tables.values()} == {ITEMS}


def test_environments_and_regions_lie_side_by_side(operator: Operator) -> None:
    west = ("--env", "staging", "--region", "us-west-2")
    # The bucket of a new region is made, and a release published, by two people at once.
    both = [operator.start("upload", *west, "--json", "--local") for _ in range(2)]
    documents = [operator.finish(process).document for process in both]
    assert {document["bucket"] for document in documents} == {
        "plot-palette-cfn-000000000000-us-west-2"
    }
    assert len({document["release"] for document in documents}) == 1
    repeated = operator.inv("upload", *west, "--json").document
    assert (repeated["uploaded"], repeated["unchanged"]) == (0, 10)
    assert repeated["region"] == "us-west-2"

    deployed = [
        operator.start("deploy", "--no-verify", *west, "--json", "--local"),
        operator.start("deploy", "--no-verify", "--env", "staging", "--json", "--local"),
    ]
    for process in deployed:
        assert operator.finish(process).document["action"] == "created"
    home, away = operator.cloud(), operator.cloud("us-west-2")
    assert home.names() == {STACK, "plot-palette-staging"}
    assert away.names() == {"plot-palette-staging"}
    owned = [
        set(cloud.tables(name).values()) | {cloud.outputs(name)["BucketName"]}
        for cloud, name in (
            (home, STACK),
            (home, "plot-palette-staging"),
            (away, "plot-palette-staging"),
        )
    ]
    assert len(set().union(*owned)) == 15
    # A budget counts for the whole account, so one region alone has it.
    assert "BudgetName" in home.outputs("plot-palette-staging")
    assert "BudgetName" not in away.outputs("plot-palette-staging")


def test_a_template_that_cfn_lint_refuses_publishes_nothing_not_even_a_bucket(
    tmp_path: Path,
) -> None:
    operator = Operator(Clone(tmp_path / "clone"), tmp_path / "state", lints=True)
    shrink(operator.clone)
    operator.clone.edit("notes", ("Type: String, Value: !Ref Word", "Tipe: String"))
    try:
        refused = operator.inv("deploy", "--json", code=2)
        assert "Nothing was published: cfn-lint found" in refused.document["error"]
        assert "notes-stack.yaml:" in refused.document["error"]
        cloud = operator.cloud()
        assert cloud.client("s3").list_buckets()["Buckets"] == []
        assert cloud.names() == set()
    finally:
        with contextlib.suppress(FileNotFoundError):
            operator.leave()
