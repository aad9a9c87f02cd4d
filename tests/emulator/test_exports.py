"""Exports bind stacks together as on AWS, wherever in a tree they are declared."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import Cloud, Json, nested, note, still_defective


def exporting(value: str = "one", name: str = "shared") -> Json:
    output = {"Value": value, "Export": {"Name": name}}
    return {"Resources": {"Note": note()}, "Outputs": {"Shared": output}}


IMPORTING: Json = {"Resources": {"Reader": note({"Fn::ImportValue": "shared"})}}


def exports(cloud: Cloud) -> dict[str, str]:
    return {e["Name"]: e["Value"] for e in cloud.cfn.list_exports()["Exports"]}


def tree(cloud: Cloud, value: str = "one") -> Json:
    return {"Resources": {"Child": nested(cloud.put(f"exporting-{value}", exporting(value)))}}


def test_the_export_of_a_child_is_listed_imported_and_kept_while_it_is_imported(
    cloud: Cloud,
) -> None:
    cloud.create("app", tree(cloud))
    assert exports(cloud) == {"shared": "one"}
    assert cloud.create("reader", IMPORTING) == "CREATE_COMPLETE"
    child = cloud.describe(cloud.physical("app", "Child"))["StackName"]
    with pytest.raises(ClientError, match="shared cannot be deleted as it is in use by reader"):
        cloud.cfn.delete_stack(StackName=child)
    assert cloud.delete("app") == "DELETE_FAILED"
    cloud.delete("reader")
    assert cloud.delete("app") == "DELETE_COMPLETE"
    assert exports(cloud) == {}


def test_an_export_whose_name_is_taken_rolls_the_later_stack_back(cloud: Cloud) -> None:
    cloud.create("first", exporting("one"))
    assert cloud.create("second", exporting("two")) == "ROLLBACK_COMPLETE"
    reasons = " ".join(e.get("ResourceStatusReason", "") for e in cloud.events("second"))
    assert (
        "Export with name shared is already exported by stack first. Rollback requested by user."
        in reasons
    )
    assert exports(cloud) == {"shared": "one"}


@pytest.mark.parametrize(
    ("template", "verb"), [(exporting("two"), "updated"), (exporting("one", "other"), "deleted")]
)
def test_an_imported_export_is_neither_changed_nor_removed(
    cloud: Cloud, template: Json, verb: str
) -> None:
    cloud.create("app", exporting())
    cloud.create("reader", IMPORTING)
    assert cloud.update("app", template) == "UPDATE_ROLLBACK_COMPLETE"
    reasons = " ".join(e.get("ResourceStatusReason", "") for e in cloud.events("app"))
    assert f"Export shared cannot be {verb} as it is in use by reader" in reasons
    assert exports(cloud) == {"shared": "one"}
    with pytest.raises(ClientError, match="shared cannot be deleted as it is in use by reader"):
        cloud.cfn.delete_stack(StackName="app")


def test_an_export_that_nobody_imports_is_renamed(cloud: Cloud) -> None:
    cloud.create("app", exporting())
    assert cloud.update("app", exporting(name="other")) == "UPDATE_COMPLETE"
    assert exports(cloud) == {"other": "one"}


def test_a_rollback_of_the_root_brings_a_childs_export_back(cloud: Cloud) -> None:
    cloud.create("app", tree(cloud))
    template = tree(cloud, "two")
    bad = note({"Fn::ImportValue": "nothing"}, DependsOn="Child")
    template["Resources"]["Bad"] = bad
    assert cloud.update("app", template) == "UPDATE_ROLLBACK_COMPLETE"
    assert exports(cloud) == {"shared": "one"}


def test_canary_exports_are_honoured(upstream: Cloud) -> None:
    upstream.create("first", exporting("one"))
    still_defective(
        upstream.create("second", exporting("two")) == "CREATE_COMPLETE",
        "exports_are_honoured (names)",
    )
    upstream.create("third", exporting("one", "old"))
    upstream.update("third", exporting("one", "new"))
    still_defective("old" in exports(upstream), "exports_are_honoured (removed)")
