"""A deletion is refused, fails and is forced as on AWS."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import (
    Cloud,
    Json,
    function,
    nested,
    note,
    put_code,
    still_defective,
)

DATA: Json = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "data"}}
TEMPLATE: Json = {"Resources": {"Data": DATA, "Note": note()}}


def refused(words: str) -> Any:
    return pytest.raises(ClientError, match=words)


def fill(cloud: Cloud, key: str = "kept") -> None:
    cloud.client("s3").put_object(Bucket="data", Key=key, Body=b"x")


def buckets(cloud: Cloud) -> list[str]:
    return [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]


# Buckets


def test_a_full_bucket_makes_the_deletion_fail_and_loses_nothing(cloud: Cloud) -> None:
    cloud.create("app", TEMPLATE)
    fill(cloud)
    assert cloud.delete("app") == "DELETE_FAILED"
    failed = [e for e in cloud.events("app") if e["ResourceStatus"] == "DELETE_FAILED"]
    assert "The bucket you tried to delete is not empty" in failed[0]["ResourceStatusReason"]
    assert cloud.client("s3").get_object(Bucket="data", Key="kept")["Body"].read() == b"x"
    cloud.client("s3").delete_object(Bucket="data", Key="kept")
    assert cloud.delete("app") == "DELETE_COMPLETE"


def test_a_delete_marker_keeps_a_versioned_bucket(cloud: Cloud) -> None:
    versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
    bucket = {**DATA, "Properties": {**DATA["Properties"], **versioned}}
    cloud.create("app", {"Resources": {"Data": bucket}})
    fill(cloud)
    cloud.client("s3").delete_object(Bucket="data", Key="kept")
    assert cloud.delete("app") == "DELETE_FAILED"


def test_a_full_bucket_in_a_child_fails_the_whole_tree(cloud: Cloud) -> None:
    cloud.create("app", {"Resources": {"Child": nested(cloud.put("child", TEMPLATE))}})
    child = cloud.physical("app", "Child")
    fill(cloud)
    assert cloud.delete("app") == "DELETE_FAILED"
    assert cloud.describe(child)["StackStatus"] == "DELETE_FAILED"


def test_canary_full_buckets_stay(upstream: Cloud) -> None:
    upstream.create("app", TEMPLATE)
    fill(upstream)
    still_defective(upstream.delete("app") == "DELETE_COMPLETE", "full_buckets_stay")


# Ways out of DELETE_FAILED


def reach_a_failed_deletion(cloud: Cloud) -> str:
    cloud.create("app", TEMPLATE)
    fill(cloud)
    assert cloud.delete("app") == "DELETE_FAILED"
    stack_id: str = cloud.describe("app")["StackId"]
    return stack_id


def test_what_could_not_be_deleted_can_be_retained(cloud: Cloud) -> None:
    stack_id = reach_a_failed_deletion(cloud)
    cloud.cfn.delete_stack(StackName="app", RetainResources=["Data"])
    assert cloud.wait(stack_id) == "DELETE_COMPLETE"
    assert "Data DELETE_SKIPPED" in cloud.trail(stack_id)
    assert "data" in buckets(cloud)


def test_a_failed_deletion_can_be_forced(cloud: Cloud) -> None:
    stack_id = reach_a_failed_deletion(cloud)
    cloud.cfn.delete_stack(StackName="app", DeletionMode="FORCE_DELETE_STACK")
    assert cloud.wait(stack_id) == "DELETE_COMPLETE"
    assert cloud.describe(stack_id)["DeletionMode"] == "FORCE_DELETE_STACK"
    assert "data" in buckets(cloud)


def test_forcing_the_deletion_of_a_root_leaves_the_child_that_failed_as_it_is(
    cloud: Cloud,
) -> None:
    cloud.create("app", {"Resources": {"Child": nested(cloud.put("child", TEMPLATE))}})
    stack_id, child = cloud.describe("app")["StackId"], cloud.physical("app", "Child")
    fill(cloud)
    cloud.delete("app")
    cloud.cfn.delete_stack(StackName="app", DeletionMode="FORCE_DELETE_STACK")
    assert cloud.wait(stack_id) == "DELETE_COMPLETE"
    assert cloud.describe(child)["StackStatus"] == "DELETE_FAILED"
    cloud.cfn.delete_stack(StackName=child, RetainResources=["Data"])
    assert cloud.wait(child) == "DELETE_COMPLETE"


def test_neither_is_allowed_before_a_deletion_has_failed(cloud: Cloud) -> None:
    cloud.create("app", TEMPLATE)
    with refused("specify which resources to retain only when the stack is in the DELETE_FAILED"):
        cloud.cfn.delete_stack(StackName="app", RetainResources=["Data"])
    with refused("FORCE_DELETE_STACK in a delete stack operation only when"):
        cloud.cfn.delete_stack(StackName="app", DeletionMode="FORCE_DELETE_STACK")
    assert cloud.describe("app")["StackStatus"] == "CREATE_COMPLETE"


def test_what_is_already_deleted_cannot_be_retained(cloud: Cloud) -> None:
    reach_a_failed_deletion(cloud)
    with refused("Do not specify resources that are in the DELETE_COMPLETE state"):
        cloud.cfn.delete_stack(StackName="app", RetainResources=["Data", "Note"])


def test_canary_retaining_follows_a_failure(upstream: Cloud) -> None:
    upstream.create("app", TEMPLATE)
    with pytest.raises(ClientError) as caught:
        upstream.cfn.delete_stack(StackName="app", RetainResources=["Data"])
    still_defective(
        "When you delete a stack" not in str(caught.value), "retaining_follows_a_failure"
    )


# Termination protection


def test_termination_protection_covers_the_whole_tree(cloud: Cloud) -> None:
    template = {"Resources": {"Child": nested(cloud.put("child", TEMPLATE))}}
    cloud.create("app", template, EnableTerminationProtection=True)
    child = cloud.describe(cloud.physical("app", "Child"))["StackName"]
    for name in ("app", child):
        words = rf"Stack \[{name}\] cannot be deleted while TerminationProtection is enabled"
        with refused(words):
            cloud.cfn.delete_stack(StackName=name)
    cloud.cfn.update_termination_protection(StackName="app", EnableTerminationProtection=False)
    assert cloud.delete("app") == "DELETE_COMPLETE"


def test_canary_protection_covers_whole_trees(upstream: Cloud) -> None:
    upstream.create("app", TEMPLATE, EnableTerminationProtection=True)
    with pytest.raises(ClientError) as caught:
        upstream.cfn.delete_stack(StackName="app")
    still_defective("[app]" not in str(caught.value), "protection_covers_whole_trees")


# Code


def test_a_function_without_its_code_fails_in_lambdas_words(cloud: Cloud) -> None:
    put_code(cloud, "code1")
    template = {"Resources": {"Function": function("missing")}}
    assert cloud.create("app", template) == "ROLLBACK_COMPLETE"
    failed = next(e for e in cloud.events("app") if e["ResourceStatus"] == "CREATE_FAILED")
    assert (
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
        "S3 Error Message: The specified key does not exist." in failed["ResourceStatusReason"]
    )
    assert cloud.client("lambda").list_functions()["Functions"] == []


def test_a_function_whose_new_code_is_missing_keeps_the_old(cloud: Cloud) -> None:
    put_code(cloud, "code1")
    cloud.create("app", {"Resources": {"Function": function("code1")}})
    updated = cloud.update("app", {"Resources": {"Function": function("missing")}})
    assert updated == "UPDATE_ROLLBACK_COMPLETE"
    assert len(cloud.client("lambda").list_functions()["Functions"]) == 1


def test_canary_missing_code_fails_functions(upstream: Cloud) -> None:
    put_code(upstream, "code1")
    status = upstream.create("app", {"Resources": {"Function": function("missing")}})
    still_defective(status == "CREATE_COMPLETE", "missing_code_fails_functions")
