"""Amend ministack 1.5.33 where it differs from AWS in ways that deployments can see.

One function per amendment. Its docstring says what upstream does, what AWS does and where AWS
says so, and names the canary in tests/emulator/test_amendments.py: a test that runs upstream
without the amendment and fails on the day upstream has mended it, so that the amendment can go.
"""

from __future__ import annotations

import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import ministack.services.cloudformation as cf
from ministack.services import apigateway, dynamodb
from ministack.services.cloudformation import (
    changesets,
    handlers,
    helpers,
    provisioners,
    stacks,
)

from emulator import nested_change_sets, nested_stacks, resource_types

Json = dict[str, Any]
Resolved = tuple[str, Json]


def nested_stacks_are_whole() -> None:
    """Deploy, roll back and delete nested stacks as part of their root.

    Upstream: an update of a child fails as soon as GetAtt reads a resource that did not change;
    a parent's deletion deletes what the child retains; a child that fails to create is left
    behind; a table that a child replaces is gone even when the root then rolls back.
    AWS: "Embed stacks within other stacks using nested stacks" and "DeletionPolicy attribute":
    one operation over the whole tree, policies honoured at every level.
    Canary: test_canary_nested_stacks_are_whole.
    """
    nested_stacks.install()


def nested_change_sets_exist() -> None:
    """Answer CreateChangeSet with IncludeNestedStacks and DescribeChangeSet with values.

    Upstream ignores both and does not see resources that a Condition adds or removes.
    AWS: "Change sets for nested stacks" in the user guide, API_DescribeChangeSet.
    Canary: test_canary_nested_change_sets_exist.
    """
    nested_change_sets.install()


def virtual_hosted_template_urls_work() -> None:
    """Read templates from https://BUCKET.s3.REGION.amazonaws.com/KEY.

    Upstream takes the first part of the path for the bucket whatever the host says.
    AWS: "Virtual hosting of general purpose buckets" in the S3 user guide; both forms are
    accepted as TemplateURL.
    Canary: test_canary_virtual_hosted_template_urls_work.
    """
    upstream = helpers._resolve_document

    def resolve(params: Json, body_key: str, url_key: str, label: str) -> object:
        parts = urlsplit(helpers._p(params, url_key))
        bucket, dot, rest = (parts.hostname or "").partition(".s3")
        if dot and rest[:1] in (".", "-"):
            path_style = f"https://s3.amazonaws.com/{bucket}{parts.path}"
            params = {**params, url_key: [path_style]}
        return upstream(params, body_key, url_key, label)

    helpers._resolve_document = resolve
    for module in (changesets, handlers):
        if hasattr(module, "_resolve_document"):
            module._resolve_document = resolve


def generated_names_are_fresh() -> None:
    """Give each newly created resource without a name of its own a name never used before.

    Upstream derives the name from stack and logical id, so deleting a stack that retains a
    table and creating it again meets the retained one.
    AWS: "Name Type" in the template reference: a unique physical ID for every creation.
    Canary: test_canary_generated_names_are_fresh.
    """

    def provision(kind: str, logical_id: str, props: Json, stack_name: str) -> object:
        # The seed ends in the resource's record, which keeps the name stable on updates.
        token = provisioners._NAME_SEED.set(uuid.uuid4().hex[:8])
        try:
            created = stacks._provision_resource(kind, logical_id, props, stack_name)
            return created, provisioners._NAME_SEED.get()
        finally:
            provisioners._NAME_SEED.reset(token)

    stacks._provision_keeping_seed = provision


def updates_touch_only_what_changed() -> None:
    """Keep attributes over an update and tell, by physical ID, of resources that do change.

    Upstream drops attributes that an update handler does not repeat, writes two events for
    every resource of the stack, changed or not, and leaves the first without a physical ID.
    AWS: "View stack events": events tell of resources CloudFormation worked on;
    API_StackEvent, PhysicalResourceId.
    Canary: test_canary_updates_touch_only_what_changed.
    """
    upstream, add_event = stacks._update_resource, stacks._add_event
    silent: set[tuple[str, str]] = set()

    def update(
        kind: str,
        physical_id: str,
        old: Json,
        new: Json,
        stack_name: str,
        logical_id: str | None = None,
        attributes: Json | None = None,
    ) -> Resolved:
        stack_id = cf._stacks[stack_name]["StackId"]
        events = cf._stack_events[stack_id]
        if logical_id and events and events[-1]["LogicalResourceId"] == logical_id:
            if old == new and kind != nested_stacks.TYPE:
                events.pop()
                silent.add((stack_id, logical_id))
            else:
                events[-1]["PhysicalResourceId"] = physical_id
        now_id, found = upstream(kind, physical_id, old, new, stack_name, logical_id, attributes)
        kept = attributes if now_id == physical_id else None
        return now_id, {**(kept or {}), **(found or {})}

    def event(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        kind: str,
        status: str,
        *more: Any,
        **named: Any,
    ) -> None:
        if (stack_id, logical_id) in silent:
            silent.discard((stack_id, logical_id))
            if status == "UPDATE_COMPLETE":
                return
        add_event(stack_id, stack_name, logical_id, kind, status, *more, **named)

    for module in (provisioners, stacks):
        module._update_resource = update
    for module in (stacks, changesets, handlers):
        module._add_event = event


def tables_keep_their_data() -> None:
    """Protect tables as DynamoDB does, and apply the settings upstream stores nowhere.

    Upstream replaces a table of the same name by an empty one, deletes protected tables, throws
    the items away before a KeySchema change has succeeded, and ignores point-in-time recovery,
    time to live and encryption of a template.
    AWS: API_CreateTable (ResourceInUseException), API_DeleteTable and "Using deletion
    protection", AWS::DynamoDB::Table ("Update requires" of KeySchema and its settings).
    Canary: test_canary_tables_keep_their_data.
    """
    provisioners._ddb_create = resource_types.create_table
    provisioners._ddb_delete = resource_types.delete_table
    provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"].update(
        create=resource_types.create_table,
        update=resource_types.update_table,
        delete=resource_types.delete_table,
    )


def missing_types_exist() -> None:
    """Accept the resource types of this application that upstream has no handler for.

    Upstream refuses the template: "Unrecognized resource types". AWS: the types' pages in the
    template reference give Ref and GetAtt. A Cognito user is a real user of the emulated pool;
    an Amplify app or branch, a budget, an address, a NAT gateway, a flow log and a model profile
    are only recorded.
    Canary: test_canary_missing_types_exist.
    """
    provisioners._RESOURCE_HANDLERS.update(resource_types.MISSING)
    provisioners._REPLACING_PROPERTIES.update(resource_types.MISSING_CREATE_ONLY)


def change_sets_know_what_replaces() -> None:
    """Report RequiresRecreation of a property as its resource type's schema has it.

    Upstream says Conditionally of every property of a type it has no table for, such as a
    bucket's lifecycle rules or a log group's retention. AWS: API_ResourceTargetDefinition,
    which follows the "Update requires" line of each property. Upstream says Never of a table's
    AttributeDefinitions, AWS Conditionally, also of one that an index brings along: "Some
    interruptions. Replacement if you edit an existing AttributeDefinition."
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
    Canary: test_canary_change_sets_know_what_replaces.
    """
    upstream = stacks._property_recreation

    def recreation(kind: str, name: str) -> str:
        if (kind, name) == ("AWS::DynamoDB::Table", "AttributeDefinitions"):
            return "Conditionally"
        if kind in resource_types.CREATE_ONLY:
            return "Always" if name in resource_types.CREATE_ONLY[kind] else "Never"
        known: str = upstream(kind, name)
        return known

    stacks._property_recreation = recreation


def api_endpoints_answer(endpoint: str) -> None:
    """Report an HTTP API under an address that this machine reaches.

    Upstream reports http://ID.execute-api.localhost:PORT, which few resolvers know; it does
    serve the same API under a path of its own. AWS: ApiEndpoint of AWS::ApiGatewayV2::Api is
    the URL at which the $default stage answers.
    Canary: test_canary_api_endpoints_answer.
    """
    api = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create = api["create"]

    def create_reachable(logical_id: str, props: Json, stack_name: str) -> Resolved:
        api_id, attributes = create(logical_id, props, stack_name)
        url = f"{endpoint}/_aws/execute-api/{api_id}/$default"
        apigateway._apis[api_id]["apiEndpoint"] = url
        return api_id, {**attributes, "ApiEndpoint": url}

    provisioners._apigw_v2_api_create = create_reachable
    api["create"] = create_reachable


def interrupted_operations_end() -> None:
    """Give a stack that was in progress when the emulator stopped a state one can go on from.

    Upstream restores it in progress for ever, for the work itself is gone. AWS never stops in
    the middle; a create becomes CREATE_FAILED, a deletion DELETE_FAILED, an update
    UPDATE_ROLLBACK_FAILED, which ContinueUpdateRollback ends.
    Canary: test_canary_interrupted_operations_end.
    """
    upstream = cf.load_persisted_state
    ends = {"CREATE": "CREATE_FAILED", "ROLLBACK": "ROLLBACK_FAILED", "DELETE": "DELETE_FAILED"}

    def load(data: Json) -> None:
        upstream(data)
        for stack in cf._stacks.all_values():
            status: str = stack["StackStatus"]
            if status.endswith("_IN_PROGRESS") and not status.startswith("REVIEW"):
                stack["StackStatus"] = ends.get(status.partition("_")[0], "UPDATE_ROLLBACK_FAILED")
                stack["StackStatusReason"] = "The emulator was stopped during the operation"

    cf.load_persisted_state = load


def skipping_reaches_nested_stacks() -> None:
    """Let ContinueUpdateRollback skip a resource of a nested stack, as Child.Resource.

    Upstream knows the resources of the root only. AWS: API_ContinueUpdateRollback, "To skip
    resources that are part of nested stacks, use the following format:
    NestedStackName.ResourceLogicalID". The skipped resource is left as it is.
    Canary: test_canary_skipping_reaches_nested_stacks.
    """
    upstream = handlers._ACTION_HANDLERS["ContinueUpdateRollback"]

    def resume(params: Json) -> object:
        given = helpers._extract_string_members(params, "ResourcesToSkip")
        stack = handlers._resolve_stack(helpers._p(params, "StackName")) or {}
        own = [name for name in given if "." not in name]
        for nested, _, logical_id in (name.partition(".") for name in given if "." in name):
            record = stack.get("_rollback_failed", {}).get(nested, {})
            child = nested_stacks.by_id(record.get("PhysicalResourceId", "")) or {}
            if logical_id not in child.get("_rollback_failed", {}):
                return helpers._error(
                    "ValidationError",
                    f"Resource(s) [{nested}.{logical_id}] cannot be skipped: only resources "
                    "whose rollback failed can be skipped",
                )
            child.setdefault("_skip", []).append(logical_id)
        others = {k: v for k, v in params.items() if not k.startswith("ResourcesToSkip")}
        listed = {f"ResourcesToSkip.member.{n}": [name] for n, name in enumerate(own, 1)}
        return upstream({**others, **listed})

    handlers._ACTION_HANDLERS["ContinueUpdateRollback"] = resume


def restored_tables_say_so() -> None:
    """Have DescribeTable tell of the restore that made a table.

    Upstream tells it in the answer to the restore alone.
    AWS: API_TableDescription, RestoreSummary; by it a restore whose answer was lost is known.
    Canary: test_canary_restored_tables_say_so.
    """
    upstream = dynamodb._table_description

    def describe(name: str) -> Json:
        told: Json = upstream(name)
        summary = dynamodb._tables[name].get("RestoreSummary")
        return {**told, "RestoreSummary": summary} if summary else told

    dynamodb._table_description = describe


def resources_take_time(delay: float) -> None:
    """Make each resource that is created, changed or deleted take `delay` seconds.

    No difference from AWS, so no canary: it lets progress be watched and measured. Everything
    runs on worker threads then, so several stacks proceed side by side.
    """
    create, update = stacks._provision_resource, stacks._update_resource
    delete = provisioners._delete_resource

    def wait_for(kind: str) -> None:
        if kind != nested_stacks.TYPE:
            time.sleep(delay)

    def slow_create(kind: str, *more: Any) -> object:
        wait_for(kind)
        return create(kind, *more)

    def slow_update(kind: str, physical_id: str, old: Json, new: Json, *more: Any) -> object:
        if old != new:
            wait_for(kind)
        return update(kind, physical_id, old, new, *more)

    def slow_delete(kind: str, *more: Any) -> None:
        wait_for(kind)
        delete(kind, *more)

    stacks._provision_resource = slow_create
    stacks._update_resource = slow_update
    stacks._delete_resource = slow_delete
    stacks._runs_on_worker_thread = lambda _kind: True


def apply(*, endpoint: str, delay: float = 0.0) -> None:
    """Apply every amendment to the ministack of this process, once, before it serves.

    `endpoint` is the URL the emulator is served at, `delay` seconds per resource.
    """
    if delay:
        resources_take_time(delay)
    virtual_hosted_template_urls_work()
    generated_names_are_fresh()
    updates_touch_only_what_changed()
    tables_keep_their_data()
    restored_tables_say_so()
    missing_types_exist()
    change_sets_know_what_replaces()
    skipping_reaches_nested_stacks()
    api_endpoints_answer(endpoint)
    interrupted_operations_end()
    nested_stacks_are_whole()
    nested_change_sets_exist()
