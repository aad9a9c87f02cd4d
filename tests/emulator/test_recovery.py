"""A failed operation stops, is continued and is skipped as CloudFormation has it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import (
    BROKEN,
    Cloud,
    Json,
    database,
    deploy,
    function,
    nested,
    note,
    put_code,
    reach_a_failed_rollback_inside_a_child,
    rows,
    still_defective,
    table,
)

EXPRESS = {"Mode": "EXPRESS"}
EXPRESS_WITH_ROLLBACK = {"Mode": "EXPRESS", "DisableRollback": False}
BAD = note({"Fn::ImportValue": "nothing"})


def refused(words: str) -> Any:
    return pytest.raises(ClientError, match=words)


def notes(value: str = "x", **more: Json) -> Json:
    return {"Resources": {"Note": note(value), **more}}


# ContinueUpdateRollback


def test_a_resource_of_a_child_is_skipped_by_the_childs_stack_name(cloud: Cloud) -> None:
    child = reach_a_failed_rollback_inside_a_child(cloud)
    name = cloud.describe(child)["StackName"]
    cloud.cfn.continue_update_rollback(StackName="app", ResourcesToSkip=[f"{name}.Function"])
    assert cloud.wait("app") == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.describe(child)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    skipped = [e for e in cloud.events(child) if "skipped" in e.get("ResourceStatusReason", "")]
    assert [e["ResourceStatus"] for e in skipped] == ["UPDATE_COMPLETE"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("Database.Function", r"Stack \[Database\] does not exist"),
        ("Database", "Nested stacks could not be skipped"),
        ("Function", "does not belong to stack app"),
        ("{child}.Jobs", "Only the resources failed during UpdateRollback are allowed"),
        ("{child}.Nobody", "does not belong to stack app-Database"),
        ("{child}.Not-This", "failed to satisfy constraint"),
    ],
)
def test_what_cannot_be_skipped_is_refused_in_aws_words_and_nothing_happens(
    cloud: Cloud, entry: str, words: str
) -> None:
    child = cloud.describe(reach_a_failed_rollback_inside_a_child(cloud))["StackName"]
    given = [f"{child}.Function", entry.format(child=child)]
    with refused(f"ValidationError.*{words}"):
        cloud.cfn.continue_update_rollback(StackName="app", ResourcesToSkip=given)
    # Nothing of the refused call is remembered: the rollback still trips over the function.
    cloud.cfn.continue_update_rollback(StackName="app")
    assert cloud.wait("app") == "UPDATE_ROLLBACK_FAILED"


def test_a_childs_rollback_is_continued_through_its_root_only(cloud: Cloud) -> None:
    child = reach_a_failed_rollback_inside_a_child(cloud)
    with refused("RollbackUpdatedStack cannot be invoked on child stacks"):
        cloud.cfn.continue_update_rollback(StackName=child)
    cloud.create("other", notes())
    with refused("RollbackUpdatedStack cannot be called from current stack status"):
        cloud.cfn.continue_update_rollback(StackName="other")


def test_a_resource_two_levels_down_is_skipped_by_its_own_stacks_name(cloud: Cloud) -> None:
    put_code(cloud, "code1", "code2")

    def template(code: str, **more: Json) -> Json:
        leaf = cloud.put(f"leaf-{code}", {"Resources": {"Function": function(code)}})
        middle = cloud.put(f"middle-{code}", {"Resources": {"Leaf": nested(leaf)}})
        return {"Resources": {"Middle": nested(middle), **more}}

    cloud.create("app", template("code1"))
    cloud.client("s3").delete_object(Bucket="templates", Key="code1")
    late = {**BAD, "DependsOn": "Middle"}
    assert cloud.update("app", template("code2", Late=late)) == "UPDATE_ROLLBACK_FAILED"
    leaf = cloud.physical(cloud.physical("app", "Middle"), "Leaf")
    name = cloud.describe(leaf)["StackName"]
    cloud.cfn.continue_update_rollback(StackName="app", ResourcesToSkip=[f"{name}.Function"])
    assert cloud.wait("app") == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.describe(leaf)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_canary_skipping_wants_stack_names(upstream: Cloud) -> None:
    template = deploy(upstream)
    upstream.client("s3").delete_object(Bucket="templates", Key="db1")
    url = upstream.put("db2", database(Bad=BROKEN))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    upstream.update("app", template)
    child = upstream.physical("app", "Database").split("/")[1]
    with contextlib.suppress(ClientError):
        upstream.cfn.continue_update_rollback(StackName="app", ResourcesToSkip=[f"{child}.Bad"])
        still_defective(False, "skipping_wants_stack_names")


# Express mode


def test_express_mode_leaves_a_failed_creation_where_it_is(cloud: Cloud) -> None:
    failed = cloud.create("app", notes(Bad=BAD), DeploymentConfig=EXPRESS)
    assert failed == "CREATE_FAILED"
    assert cloud.describe("app")["DeploymentConfig"] == EXPRESS
    rolled_back = cloud.create("b", notes(Bad=BAD), DeploymentConfig=EXPRESS_WITH_ROLLBACK)
    assert rolled_back == "ROLLBACK_COMPLETE"


def test_express_mode_leaves_a_failed_update_where_it_is(cloud: Cloud) -> None:
    cloud.create("app", notes())
    assert cloud.update("app", notes(Bad=BAD), DeploymentConfig=EXPRESS) == "UPDATE_FAILED"


def test_a_change_set_brings_its_express_mode_to_the_execution(cloud: Cloud) -> None:
    for number, (config, end) in enumerate(
        [(EXPRESS, "UPDATE_FAILED"), (EXPRESS_WITH_ROLLBACK, "UPDATE_ROLLBACK_COMPLETE")]
    ):
        name = f"app{number}"
        cloud.create(name, notes())
        made = cloud.change_set(name, notes(Bad=BAD), DeploymentConfig=config)
        assert made["DeploymentConfig"] == config
        cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
        assert cloud.wait(name) == end


def test_express_mode_reaches_nested_stacks_and_says_that_they_still_settle(
    cloud: Cloud,
) -> None:
    template = {"Resources": {"Child": nested(cloud.put("db", database()))}}
    cloud.create("app", template, DeploymentConfig=EXPRESS)
    child = cloud.physical("app", "Child")
    assert cloud.describe(child)["DeploymentConfig"] == EXPRESS
    done = [e for e in cloud.events(child) if e["ResourceStatus"] == "CREATE_COMPLETE"]
    reasons = {e["LogicalResourceId"]: e.get("ResourceStatusReason", "") for e in done}
    assert reasons["Jobs"].startswith("Resource operation completed using Express Mode.")


def test_the_next_standard_operation_ends_express_mode(cloud: Cloud) -> None:
    cloud.create("app", notes(), DeploymentConfig=EXPRESS)
    assert cloud.update("app", notes(Bad=BAD)) == "UPDATE_ROLLBACK_COMPLETE"
    assert "DeploymentConfig" not in cloud.describe("app")


def test_rollback_stack_is_refused_after_express_mode(cloud: Cloud) -> None:
    cloud.create("app", notes())
    cloud.update("app", notes(Bad=BAD), DeploymentConfig=EXPRESS)
    with refused("EXPRESS mode"):
        cloud.cfn.rollback_stack(StackName="app")


def test_disable_rollback_is_not_said_beside_a_deployment_config(cloud: Cloud) -> None:
    with refused("can't be specified with DeploymentConfig"):
        cloud.create("app", notes(), DeploymentConfig=EXPRESS, DisableRollback=False)


def test_canary_deployment_configs_are_heeded(upstream: Cloud) -> None:
    status = upstream.create("app", notes(Bad=BAD), DeploymentConfig=EXPRESS)
    still_defective(status == "ROLLBACK_COMPLETE", "deployment_configs_are_heeded")


# Failed without rollback


def test_a_failed_update_goes_on_with_an_update_without_rollback_only(cloud: Cloud) -> None:
    cloud.create("app", notes())
    assert cloud.update("app", notes(Bad=BAD), DisableRollback=True) == "UPDATE_FAILED"
    words = r"currently in a non-terminal \[UPDATE_FAILED\] state"
    with refused(words):
        cloud.update("app", notes("mended"))
    made = cloud.change_set("app", notes("mended"))
    with refused(words):
        cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
    assert cloud.describe("app")["StackStatus"] == "UPDATE_FAILED"
    cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"], DisableRollback=True)
    assert cloud.wait("app") == "UPDATE_COMPLETE"


def test_update_stack_goes_on_from_a_failed_creation(cloud: Cloud) -> None:
    assert cloud.create("app", notes(Bad=BAD), DisableRollback=True) == "CREATE_FAILED"
    assert cloud.describe("app")["DisableRollback"] is True
    assert cloud.update("app", notes("mended"), DisableRollback=True) == "UPDATE_COMPLETE"


def test_an_update_that_upstream_refuses_leaves_the_failed_state(cloud: Cloud) -> None:
    cloud.create("app", notes(Bad=BAD), DisableRollback=True)
    with refused("Template format error"):
        cloud.update("app", {"Resources": {"A": {"Type": "No::Such"}}}, DisableRollback=True)
    assert cloud.describe("app")["StackStatus"] == "CREATE_FAILED"


def test_canary_failed_updates_pause(upstream: Cloud) -> None:
    upstream.create("app", notes())
    upstream.update("app", notes(Bad=BAD), DisableRollback=True)
    made = upstream.change_set("app", notes("mended"))
    upstream.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
    still_defective(upstream.wait("app") == "UPDATE_COMPLETE", "failed_updates_pause")


NO_REPLACEMENT = "Replacement type updates not supported on stack with disable-rollback."


@pytest.mark.parametrize("options", [{"DisableRollback": True}, {"DeploymentConfig": EXPRESS}])
def test_a_replacement_fails_while_rollback_is_disabled(cloud: Cloud, options: Json) -> None:
    template = deploy(cloud)
    name, child = cloud.outputs("app")["Table"], cloud.physical("app", "Database")
    url = cloud.put("db2", database(table(key="other")))
    template["Resources"]["Database"]["Properties"]["TemplateURL"] = url
    assert cloud.update("app", template, **options) == "UPDATE_FAILED"
    failed = [e for e in cloud.events(child) if e["ResourceStatus"] == "UPDATE_FAILED"]
    assert failed[0]["LogicalResourceId"] == "Jobs"
    assert failed[0]["ResourceStatusReason"] == NO_REPLACEMENT
    assert cloud.tables() == [name]


def test_an_update_that_failed_without_rollback_is_rolled_back_by_hand(cloud: Cloud) -> None:
    cloud.create("app", notes("1"))
    assert cloud.update("app", notes("2", Bad=BAD), DisableRollback=True) == "UPDATE_FAILED"
    cloud.cfn.rollback_stack(StackName="app")
    assert cloud.wait("app") == "UPDATE_ROLLBACK_COMPLETE"


def test_an_update_in_place_passes_while_rollback_is_disabled(cloud: Cloud) -> None:
    cloud.create("app", notes("1"))
    assert cloud.update("app", notes("2"), DisableRollback=True) == "UPDATE_COMPLETE"


def test_a_nested_stack_that_a_failed_update_has_made_is_changed_by_the_next_and_not_made_anew(
    cloud: Cloud,
) -> None:
    cloud.create("app", notes("1"))
    child = nested(cloud.put("child", notes("2")))
    bad = {**BAD, "DependsOn": "Child"}
    assert cloud.update("app", notes("1", Child=child, Bad=bad), DisableRollback=True) == (
        "UPDATE_FAILED"
    )
    made = cloud.physical("app", "Child")
    kept = notes("1", Child=child)
    change_set = cloud.change_set("app", kept)
    assert change_set["Status"] == "CREATE_COMPLETE"
    assert rows(change_set)["Child"]["Action"] == "Modify"
    assert cloud.update("app", kept, DisableRollback=True) == "UPDATE_COMPLETE"
    assert cloud.physical("app", "Child") == made


def test_canary_replacements_need_rollback(upstream: Cloud) -> None:
    upstream.create("app", {"Resources": {"Jobs": table()}})
    changed = {"Resources": {"Jobs": table(TableName="renamed")}}
    status = upstream.update("app", changed, DisableRollback=True)
    still_defective(status == "UPDATE_COMPLETE", "replacements_need_rollback")


# Outputs that cannot be resolved


def lost_output() -> Json:
    return {**notes(), "Outputs": {"Lost": {"Value": {"Fn::GetAtt": ["Note", "Nothing"]}}}}


def test_a_failed_output_is_told_by_the_rollback_and_by_no_failed_event(cloud: Cloud) -> None:
    assert cloud.create("app", lost_output()) == "ROLLBACK_COMPLETE"
    assert not [line for line in cloud.trail("app") if line.endswith("_FAILED")]
    rollback = next(e for e in cloud.events("app") if "ROLLBACK_IN" in e["ResourceStatus"])
    assert rollback["ResourceStatusReason"].endswith("Rollback requested by user.")
    assert "Nothing" in rollback["ResourceStatusReason"]


def test_a_failed_output_of_a_child_reaches_the_parents_reason(cloud: Cloud) -> None:
    template = {"Resources": {"Child": nested(cloud.put("lost", lost_output()))}}
    assert cloud.create("app", template) == "ROLLBACK_COMPLETE"
    failed = next(e for e in cloud.events("app") if e["ResourceStatus"] == "CREATE_FAILED")
    assert "Nothing" in failed["ResourceStatusReason"]


def test_canary_failed_outputs_are_told_by_the_rollback(upstream: Cloud) -> None:
    upstream.create("app", lost_output())
    still_defective(
        "app CREATE_FAILED" in upstream.trail("app"), "failed_outputs_are_told_by_the_rollback"
    )
