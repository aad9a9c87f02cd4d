"""Refuse deletions as CloudFormation and S3 do. Sources of the texts: emulator/sources.py."""

from __future__ import annotations

from ministack.services import s3
from ministack.services.cloudformation import helpers, provisioners

from emulator import requests, wire
from emulator.wire import Json, Response

FAILED = "DELETE_FAILED"


def protect_whole_trees() -> None:
    """Refuse DeleteStack while termination protection is on, for nested stacks at their root."""

    def check(params: Json) -> Response | None:
        stack = wire.stack_of(params)
        if stack is None or not requests.root_of(stack).get("EnableTerminationProtection"):
            return None
        return wire.refuse(
            f"Stack [{wire.given(params, 'StackName')}] cannot be deleted while "
            "TerminationProtection is enabled"
        )

    wire.before(["DeleteStack"], check)


def retain_only_after_failure() -> None:
    """Accept RetainResources only for what a failed deletion has left."""

    def check(params: Json) -> Response | None:
        stack = wire.stack_of(params)
        retained = helpers._extract_string_members(params, "RetainResources")
        if stack is None or not retained:
            return None
        if stack["StackStatus"] != FAILED:
            return wire.refuse(
                f"Invalid operation on stack [{stack['StackId']}]. When you delete a stack, "
                "specify which resources to retain only when the stack is in the DELETE_FAILED "
                "state."
            )
        declared = stack["_template"].get("Resources", {})
        if any(name in declared and name not in stack["_resources"] for name in retained):
            return wire.refuse(
                "The specified resources to retain must be in a valid state. Do not specify "
                "resources that are in the DELETE_COMPLETE state."
            )
        return None

    wire.before(["DeleteStack"], check)


def keep_full_buckets() -> None:
    """Fail the deletion of a bucket that holds an object, a version or a delete marker."""
    bucket_type = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    upstream = bucket_type["delete"]

    def delete(name: str, props: Json) -> None:
        bucket = s3._buckets.get(name)
        if bucket and (bucket["objects"] or s3._bucket_has_versions(name)):
            raise ValueError(
                helpers._sdk_error("The bucket you tried to delete is not empty", "S3", 409)
            )
        upstream(name, props)

    bucket_type["delete"] = delete
