"""Amend ministack 1.5.33 where it differs from AWS in ways that deployments can see.

One function per amendment. Its docstring says what upstream does, what AWS does and where AWS
says so, and names the canary in tests/emulator: a test that runs upstream without the amendment
and fails on the day upstream has mended it, so that the amendment can go. What vouches for each
behaviour, with AWS's literal words, stands in emulator/sources.py; a test holds the two together.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
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

from emulator import (
    conditions,
    deletion,
    event_properties,
    exports,
    imports,
    nested_change_sets,
    nested_stacks,
    recovery,
    refactors,
    requests,
    resource_types,
    sites,
    updates,
)

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


def shells_keep_their_id() -> None:
    """Let a second change set of type CREATE join the stack in REVIEW_IN_PROGRESS.

    Upstream puts another stack, with another ID, in its place, so that executing one of them
    leaves the other behind. AWS: API_CreateChangeSet, ChangeSetType.
    Canary: test_canary_shells_keep_their_id.
    """
    requests.keep_shells()


def nested_change_sets_exist() -> None:
    """Answer CreateChangeSet with IncludeNestedStacks and DescribeChangeSet with values.

    Upstream ignores both and does not see resources that a Condition adds or removes.
    AWS: "Change sets for nested stacks" in the user guide, API_DescribeChangeSet.
    Canary: test_canary_nested_change_sets_exist.
    """
    nested_change_sets.install()


def imports_reach_nested_stacks() -> None:
    """Let ImportExistingResources of a root take over what its nested stacks add.

    Upstream looks at the one stack that the request names, so that a nested stack creates what is
    there already, which fails. AWS: "Import AWS resources into a CloudFormation stack
    automatically" in the user guide; IncludeNestedStacks with an IMPORT change set is refused.
    Canary: test_canary_imports_reach_nested_stacks.
    """
    imports.install()


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
    updates.install()


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


def sites_are_deployed(endpoint: str) -> None:
    """Answer CreateDeployment, StartDeployment and GetJob of Amplify, and take the zip.

    Upstream has no Amplify: "Unsupported service: amplify". AWS: the operations' pages in
    Amplify's API reference; a second deployment has to wait for the first. The site is not served.
    Canary: test_canary_sites_are_deployed.
    """
    from ministack import app

    app.SERVICE_HANDLERS["amplify"] = sites.handler(endpoint)


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


def skipping_wants_stack_names() -> None:
    """Let ContinueUpdateRollback skip NestedStackName.ResourceLogicalID and refuse all else.

    Upstream knows the resources of the root only. AWS: API_ContinueUpdateRollback: what stands
    before the dot is the child's stack name, not its logical ID; only what failed in the rollback
    can be skipped; the call wants the root. The skipped resource is left as it is.
    Canary: test_canary_skipping_wants_stack_names.
    """
    recovery.skip_by_stack_name()


def deployment_configs_are_heeded() -> None:
    """Obey DeploymentConfig: express mode leaves a failure where it is, unless told otherwise.

    Upstream ignores it and rolls back. AWS: "Deploy AWS CloudFormation stacks faster with express
    mode" in the user guide: rollback is off by default there.
    Canary: test_canary_deployment_configs_are_heeded.
    """
    recovery.heed_deployment_configs()


def failed_updates_pause() -> None:
    """Go on from CREATE_FAILED and UPDATE_FAILED by an update without rollback only.

    Upstream refuses UpdateStack there and lets any change set through. AWS: "Choose how to handle
    failures when provisioning resources" in the user guide, and the refusal in its own words.
    Canary: test_canary_failed_updates_pause.
    """
    recovery.pause_after_failure()


def replacements_need_rollback() -> None:
    """Fail an update that replaces a resource while rollback is disabled.

    Upstream replaces it. AWS fails the resource and leaves the stack in UPDATE_FAILED.
    Canary: test_canary_replacements_need_rollback.
    """
    recovery.refuse_replacements_without_rollback()


def failed_outputs_are_told_by_the_rollback() -> None:
    """Tell of outputs that cannot be resolved on the event of the rollback alone.

    Upstream adds a `*_FAILED` event of the stack before it. AWS: recorded, the reason stands on
    ROLLBACK_IN_PROGRESS.
    Canary: test_canary_failed_outputs_are_told_by_the_rollback.
    """
    recovery.tell_failed_outputs_by_rollback()


def exports_are_honoured() -> None:
    """Refuse an export whose name is taken, and keep one that another stack imports.

    Upstream lets the later export win, keeps the name of one that an update removed, and lets an
    imported value change. AWS: "Fn::ImportValue" in the template reference.
    Canary: test_canary_exports_are_honoured.
    """
    exports.install()


def protection_covers_whole_trees() -> None:
    """Refuse DeleteStack under termination protection in AWS's words, nested stacks included.

    Upstream protects the root alone, in words of its own. AWS: "Protect CloudFormation stacks
    from being deleted" in the user guide.
    Canary: test_canary_protection_covers_whole_trees.
    """
    deletion.protect_whole_trees()


def retaining_follows_a_failure() -> None:
    """Accept RetainResources for what a failed deletion has left, in AWS's words.

    Upstream refuses in words of its own. AWS: API_DeleteStack, RetainResources.
    Canary: test_canary_retaining_follows_a_failure.
    """
    deletion.retain_only_after_failure()


def full_buckets_stay() -> None:
    """Fail the deletion of a bucket that is not empty.

    Upstream deletes it with all its objects. AWS: S3 refuses, and the stack ends DELETE_FAILED.
    Canary: test_canary_full_buckets_stay.
    """
    deletion.keep_full_buckets()


def missing_code_fails_functions() -> None:
    """Fail a function whose code is not in S3.

    Upstream creates it without code. AWS: Lambda cannot get the object, and the resource fails.
    Canary: test_canary_missing_code_fails_functions.
    """
    provisioners._lambda_create = resource_types.create_function
    provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"].update(
        create=resource_types.create_function, update=resource_types.update_function
    )


def capabilities_are_checked() -> None:
    """Refuse a template whose IAM resources or macros the request does not acknowledge.

    Upstream does so only when it checks signatures, too. AWS: API_CreateStack, Capabilities.
    Canary: test_canary_capabilities_are_checked.
    """
    handlers._capabilities_enforced = lambda: True


def parameters_are_checked() -> None:
    """Refuse parameters that the template does not declare, and missing ones, in AWS's words.

    Upstream drops the first and names only one of the second. AWS: ValidationError.
    Canary: test_canary_parameters_are_checked.
    """
    requests.check_parameters()


def states_are_guarded() -> None:
    """Refuse what a stack's state does not allow.

    Upstream accepts a creation over ROLLBACK_COMPLETE, and change sets and their execution while
    an operation runs. AWS: ValidationError and AlreadyExistsException, as recorded.
    Canary: test_canary_states_are_guarded.
    """
    requests.guard_states()


def deleted_stacks_are_remembered() -> None:
    """Find a deleted stack by its ARN only, also after its name is in use again.

    Upstream finds it by name, and forgets it when another takes the name. AWS:
    API_DescribeStacks, "Deleted stacks: You must specify the unique stack ID."
    Canary: test_canary_deleted_stacks_are_remembered.
    """
    requests.keep_deleted_stacks()


def service_roles_are_remembered() -> None:
    """Keep a stack's service role, and refuse one that does not exist.

    Upstream ignores RoleARN. AWS: API_CreateStack, RoleARN.
    Canary: test_canary_service_roles_are_remembered.
    """
    requests.remember_roles()


def stacks_are_described_whole() -> None:
    """Show ParentId, RootId, RoleARN and DeploymentConfig of a stack.

    Upstream leaves them out. AWS: API_Stack.
    Canary: test_canary_stacks_are_described_whole.
    """
    requests.describe_whole()


def templates_come_back_mangled() -> None:
    """Let GetTemplate answer a question mark for each character beyond ASCII.

    Upstream gives the template back as it was sent. AWS: so says the CDK, which mangles its own
    side before it compares.
    Canary: test_canary_templates_come_back_mangled.
    """
    requests.mangle_templates()


def templates_under_review_are_absent() -> None:
    """Leave TemplateBody out of GetTemplate for a stack that has only a change set.

    Upstream answers `{}`. AWS: the member is absent.
    Canary: test_canary_templates_under_review_are_absent.
    """
    requests.hide_templates_under_review()


def conditions_see_pseudo_parameters() -> None:
    """Let Conditions see AWS::Region and the like, and functions such as Fn::FindInMap.

    Upstream compares the name of the pseudo parameter. AWS: "Get AWS values using pseudo
    parameters" in the user guide. AWS::StackName and AWS::StackId are empty here.
    Canary: test_canary_conditions_see_pseudo_parameters.
    """
    conditions.install()


def output_changes_have_no_rows() -> None:
    """Make a change set executable that changes outputs alone, and list nothing in it.

    Upstream says that it contains no changes. AWS: executable, with an empty list.
    Canary: test_canary_output_changes_have_no_rows.
    """
    nested_change_sets.allow_outputs_alone()


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


def resources_know_their_stack() -> None:
    """Answer DescribeStackResources for the physical ID of a resource.

    Upstream takes a stack's name alone. AWS: API_DescribeStackResources, PhysicalResourceId.
    Canary: test_canary_resources_know_their_stack.
    """
    requests.find_owners()


def restores_take_encryption() -> None:
    """Give a restored table the encryption that the restore asks for.

    Upstream ignores SSESpecificationOverride.
    AWS: API_RestoreTableFromBackup and API_RestoreTableToPointInTime.
    Canary: test_canary_restores_take_encryption.
    """
    resource_types.heed_encryption()


def events_tell_properties() -> None:
    """Show in an event which properties its resource was to have.

    Upstream leaves ResourceProperties out, by which the function behind a custom resource is
    known. AWS: API_StackEvent.
    Canary: test_canary_events_tell_properties.
    """
    event_properties.install()


def stacks_can_be_refactored() -> None:
    """Answer CreateStackRefactor and its like: move resources between stacks, or rename them.

    Upstream has no such operation. AWS: "Stack refactoring" in the user guide; nested stacks take
    part by definitions of their own, while the parent's template keeps its TemplateURL.
    Canary: test_canary_stacks_can_be_refactored.
    """
    refactors.install()


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


# In this order: what comes later sees a request first, and an operation last.
AMENDMENTS: tuple[Callable[[], None], ...] = (
    virtual_hosted_template_urls_work,
    generated_names_are_fresh,
    replacements_need_rollback,
    updates_touch_only_what_changed,
    tables_keep_their_data,
    restored_tables_say_so,
    restores_take_encryption,
    missing_code_fails_functions,
    full_buckets_stay,
    missing_types_exist,
    change_sets_know_what_replaces,
    conditions_see_pseudo_parameters,
    parameters_are_checked,
    capabilities_are_checked,
    interrupted_operations_end,
    nested_stacks_are_whole,
    failed_outputs_are_told_by_the_rollback,
    exports_are_honoured,
    output_changes_have_no_rows,
    stacks_can_be_refactored,
    events_tell_properties,
    shells_keep_their_id,
    nested_change_sets_exist,
    imports_reach_nested_stacks,
    skipping_wants_stack_names,
    deployment_configs_are_heeded,
    failed_updates_pause,
    service_roles_are_remembered,
    states_are_guarded,
    retaining_follows_a_failure,
    protection_covers_whole_trees,
    templates_come_back_mangled,
    templates_under_review_are_absent,
    stacks_are_described_whole,
    deleted_stacks_are_remembered,
    resources_know_their_stack,
)


def apply(*, endpoint: str, delay: float = 0.0) -> None:
    """Apply every amendment to the ministack of this process, once, before it serves.

    `endpoint` is the URL the emulator is served at, `delay` seconds per resource.
    """
    if delay:
        resources_take_time(delay)
    api_endpoints_answer(endpoint)
    sites_are_deployed(endpoint)
    for amend in AMENDMENTS:
        amend()
