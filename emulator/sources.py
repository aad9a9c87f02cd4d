"""Name, for each amendment of the emulator, what vouches for it.

An amendment is evidence of nothing by itself: code and emulator could agree with each other and
not with AWS. So each names AWS's own words or a recorded answer, and one that has neither says so.
`docs/fidelity.md` is written from this table; nothing here needs the emulator to be installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

API = "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/"
GUIDE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
REFERENCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
GITHUB = "https://github.com/"
# Recordings that LocalStack keeps of real AWS, in its repository.
RECORDED = "localstack/localstack, tests/aws/services/cloudformation/"


class Witness(StrEnum):
    """What kind of thing vouches for a behaviour, best first; the value is what docs show."""

    RECORDED = "recorded answer"
    DOCUMENT = "AWS's document"
    QUOTED = "answer of AWS quoted in public"
    MODEL = "service model"
    SCHEMA = "resource schema"
    # Of the product alone: no amendment can be vouched for by what it amends.
    EMULATOR = "the emulator alone"
    NONE = "nothing"


@dataclass(frozen=True)
class Source:
    """One behaviour of one amendment and what vouches for it.

    `text` is literal: AWS's words as they were recorded, documented or quoted, empty where there
    are none. `where` is the page, the issue or the recording they stand in.
    """

    amendment: str
    behaviour: str
    witness: Witness
    text: str = ""
    where: str = ""


SOURCES: tuple[Source, ...] = (
    # Nested stacks
    Source(
        "nested_stacks_are_whole",
        "Retained resources of a nested stack outlive the deletion of its root",
        Witness.DOCUMENT,
        "To keep a resource when its stack is deleted, specify Retain for that resource.",
        REFERENCE + "aws-attribute-deletionpolicy.html",
    ),
    Source(
        "nested_stacks_are_whole",
        "A rollback of the root rolls back the nested stacks, replaced resources included",
        Witness.DOCUMENT,
        "If you use nested stacks, rolling back the parent stack will attempt to roll back all "
        "the child stacks as well.",
        GUIDE + "using-cfn-updating-stacks-continueupdaterollback.html",
    ),
    Source(
        "nested_stacks_are_whole",
        "Order and wording of the events of nested stacks while they roll back",
        Witness.NONE,
    ),
    Source(
        "nested_change_sets_exist",
        "Nested change sets are executed and deleted from the root change set",
        Witness.DOCUMENT,
        "You must execute or delete change sets for nested stacks from the root change set.",
        GUIDE + "change-sets-for-nested-stacks.html",
    ),
    Source(
        "nested_change_sets_exist",
        "A nested change set is CREATE_COMPLETE and UNAVAILABLE, with this reason",
        Witness.DOCUMENT,
        "Executable from root change set",
        GUIDE + "change-sets-for-nested-stacks.html",
    ),
    Source(
        "nested_change_sets_exist",
        "DescribeChangeSet shows values, paths and contexts when asked for them",
        Witness.RECORDED,
        "BeforeContext, AfterContext, Path, BeforeValue, AfterValue, AttributeChangeType",
        RECORDED + "test_change_set*: describe-change-set-2-prop-values",
    ),
    Source(
        "nested_change_sets_exist",
        "DescribeChangeSet gives a change set of more than 1 MB page by page",
        Witness.MODEL,
        "If the output exceeds 1 MB, a string that identifies the next page of changes. If there "
        "is no additional page, this value is null.",
        API + "API_DescribeChangeSet.html",
    ),
    Source(
        "nested_change_sets_exist",
        "What changes in one child is a Dynamic change of the siblings that read its outputs",
        Witness.QUOTED,
        "",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/759",
    ),
    Source(
        "nested_change_sets_exist",
        "A child without changes has a FAILED change set while its root stays executable; a "
        "removed child has none; a child's change set is refused with InvalidChangeSetStatus",
        Witness.NONE,
    ),
    Source(
        "nested_change_sets_exist",
        "A nested stack that a failed update has made, without rollback, is changed by the next "
        "change set and not added",
        Witness.DOCUMENT,
        "resume provisioning from the point where the problem occurred",
        GUIDE + "stack-failure-options.html",
    ),
    Source(
        "imports_reach_nested_stacks",
        "A root's change set takes over what its nested stacks add under a literal name",
        Witness.DOCUMENT,
        "For nested stacks, create the change set from the root stack.",
        GUIDE + "import-resources-automatically.html",
    ),
    Source(
        "imports_reach_nested_stacks",
        "A name that a function gives is not taken over",
        Witness.DOCUMENT,
        "Dynamic names (using !Ref or other functions) are not currently supported.",
        GUIDE + "import-resources-automatically.html",
    ),
    Source(
        "imports_reach_nested_stacks",
        "What is not retained, or is in another stack, is not taken over",
        Witness.DOCUMENT,
        "The resource must not already belong to another CloudFormation stack.",
        GUIDE + "import-resources-automatically.html",
    ),
    Source(
        "imports_reach_nested_stacks",
        "An IMPORT change set does not reach into nested stacks",
        Witness.QUOTED,
        "IncludeNestedStacks is not supported for changeSet type: IMPORT.",
        GITHUB + "go-to-k/cdkd/pull/582",
    ),
    Source(
        "imports_reach_nested_stacks",
        "Only a change set that includes nested stacks imports into them; the row in the nested "
        "change set says Import; a rollback lets go of what was imported; the name of a bucket "
        "that is imported is no conflict",
        Witness.NONE,
    ),
    Source(
        "output_changes_have_no_rows",
        "A change set that changes outputs alone is executable and lists no change",
        Witness.QUOTED,
        "If only stack Outputs are changed, CloudFormation generates a ChangeSet that is "
        "executable but has 0 changes.",
        GITHUB + "aws/aws-cdk/pull/2029",
    ),
    # Requests
    Source(
        "virtual_hosted_template_urls_work",
        "A TemplateURL may name the bucket in its host",
        Witness.DOCUMENT,
        "In practice, Amazon S3 interprets Host as meaning that most buckets are automatically "
        "accessible for limited types of requests at "
        "https://bucket-name.s3.region-code.amazonaws.com.",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html",
    ),
    Source(
        "capabilities_are_checked",
        "A template that needs a capability is refused without it",
        Witness.RECORDED,
        "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
        RECORDED + "test_template_engine.snapshot.json (InsufficientCapabilitiesException)",
    ),
    Source(
        "parameters_are_checked",
        "A parameter that the template does not declare is refused",
        Witness.QUOTED,
        "Parameters: [TargetECRRepositoryName] do not exist in the template",
        GITHUB + "aws-samples/amazon-ec2-image-builder-samples/issues/18",
    ),
    Source(
        "parameters_are_checked",
        "Parameters for a template without any are refused",
        Witness.QUOTED,
        "Parameter values specified for a template which does not require them.",
        GITHUB + "aws/aws-toolkit-azure-devops/issues/75",
    ),
    Source(
        "parameters_are_checked",
        "A parameter without value and default is refused",
        Witness.QUOTED,
        "Parameters: [EnvironmentName] must have values",
        GITHUB + "boto/botocore/issues/2598",
    ),
    Source(
        "states_are_guarded",
        "An update or a change set is refused while the stack's state allows none",
        Witness.RECORDED,
        "Stack:<stack-id> is in DELETE_IN_PROGRESS state and can not be updated.",
        RECORDED + "api/test_changesets.snapshot.json::test_changeset_for_deleted_stack",
    ),
    Source(
        "states_are_guarded",
        "So are those of a stack in ROLLBACK_COMPLETE or UPDATE_ROLLBACK_FAILED",
        Witness.QUOTED,
        "Stack:<stack-id> is in UPDATE_ROLLBACK_FAILED state and can not be updated.",
        GITHUB + "org-formation/org-formation-cli/issues/455",
    ),
    Source(
        "states_are_guarded",
        "CreateStack over a stack that exists is refused, ROLLBACK_COMPLETE included",
        Witness.RECORDED,
        "Stack [<stack-name:1>] already exists",
        RECORDED + "api/test_stacks.snapshot.json (AlreadyExistsException)",
    ),
    Source(
        "shells_keep_their_id",
        "A stack that awaits review keeps its ID until a change set of it is executed",
        Witness.DOCUMENT,
        "CloudFormation creates a stack with a unique stack ID, but no template or resources. The "
        "stack will be in the REVIEW_IN_PROGRESS state until you execute the change set.",
        API + "API_CreateChangeSet.html",
    ),
    Source(
        "states_are_guarded",
        "So is a change set of type CREATE",
        Witness.RECORDED,
        "Stack [<stack-name:1>] already exists and cannot be created again with the changeSet "
        "[<change-set-name:1>].",
        RECORDED + "api/test_changesets.snapshot.json::test_name_conflicts (ValidationError)",
    ),
    Source(
        "states_are_guarded",
        "ExecuteChangeSet is refused in the same words",
        Witness.NONE,
    ),
    Source(
        "deleted_stacks_are_remembered",
        "A deleted stack is found by its ARN only",
        Witness.MODEL,
        "Deleted stacks: You must specify the unique stack ID.",
        API + "API_DescribeStacks.html",
    ),
    Source(
        "deleted_stacks_are_remembered",
        "An update of a deleted stack is refused",
        Witness.RECORDED,
        "Stack:<stack-id> is in DELETE_COMPLETE state and can not be updated.",
        RECORDED + "api/test_update_stack.snapshot.json::test_update_deleted_stack",
    ),
    Source(
        "service_roles_are_remembered",
        "A role is kept for all later operations and shown by DescribeStacks",
        Witness.MODEL,
        "CloudFormation always uses this role for all future operations on the stack.",
        API + "API_CreateStack.html",
    ),
    Source(
        "service_roles_are_remembered",
        "A role that does not exist is refused",
        Witness.RECORDED,
        "Role arn:<partition>:iam::111111111111:role/role-fb405076 is invalid or cannot be assumed",
        RECORDED + "api/test_update_stack.snapshot.json::test_update_with_role_without_permissions",
    ),
    Source(
        "stacks_are_described_whole",
        "DescribeStacks shows ParentId, RootId, RoleARN and DeploymentConfig",
        Witness.MODEL,
        "The deployment configuration for the stack, including the deployment mode used for stack "
        "operations.",
        API + "API_Stack.html",
    ),
    Source(
        "templates_come_back_mangled",
        "GetTemplate answers a question mark for each character beyond ASCII",
        Witness.QUOTED,
        "mangleLikeCloudFormation('\\u0080') is '?', of '\\u007f' itself",
        GITHUB + "aws/aws-cdk-cli, packages/@aws-cdk/cloudformation-diff/lib/diff/util.ts",
    ),
    Source(
        "templates_under_review_are_absent",
        "GetTemplate of a REVIEW_IN_PROGRESS stack has no TemplateBody",
        Witness.QUOTED,
        "if a stack is in 'REVIEW_IN_PROGRESS' it does not have a TemplateBody",
        GITHUB + "cdklabs/awscdk-v1-stack-finder/issues/273",
    ),
    Source(
        "templates_under_review_are_absent",
        "GetTemplateSummary of such a stack is refused",
        Witness.RECORDED,
        "GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.",
        RECORDED + "api/test_templates.snapshot.json",
    ),
    Source(
        "conditions_see_pseudo_parameters",
        "A condition may refer to AWS::Region and the like",
        Witness.DOCUMENT,
        "Pseudo parameters are built-in variables that provide access to important AWS environment "
        "information such as account IDs, Region names, and stack details",
        GUIDE + "pseudo-parameter-reference.html",
    ),
    # Resources
    Source(
        "generated_names_are_fresh",
        "A resource without a name of its own gets one that was never used before",
        Witness.DOCUMENT,
        "If you don't specify a name, CloudFormation generates a unique physical ID and uses that "
        "ID for the table name.",
        REFERENCE + "aws-resource-dynamodb-table.html",
    ),
    Source(
        "updates_touch_only_what_changed",
        "An event names the physical resource, and unchanged resources have no event",
        Witness.RECORDED,
        "per-resource-events",
        RECORDED + "test_change_set*: per-resource-events",
    ),
    Source(
        "tables_keep_their_data",
        "A table whose name is taken is not created",
        Witness.MODEL,
        "The operation conflicts with the resource's availability. For example: You attempted to "
        "recreate an existing table.",
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html",
    ),
    Source(
        "tables_keep_their_data",
        "A protected table is not deleted",
        Witness.MODEL,
        "Indicates whether deletion protection is enabled (true) or disabled (false) on the table.",
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html",
    ),
    Source(
        "restored_tables_say_so",
        "DescribeTable tells of the restore that made a table",
        Witness.MODEL,
        "Contains details for the restore.",
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html",
    ),
    Source(
        "resources_know_their_stack",
        "A physical ID leads to the stack that has the resource",
        Witness.DOCUMENT,
        "If PhysicalResourceId is specified, the associated resources of the stack that the "
        "resource belongs to are returned.",
        API + "API_DescribeStackResources.html",
    ),
    Source(
        "restores_take_encryption",
        "A restored table is encrypted as the restore says",
        Witness.MODEL,
        "The new server-side encryption settings for the restored table.",
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/"
        "API_RestoreTableFromBackup.html",
    ),
    Source(
        "missing_types_exist",
        "Ref and GetAtt of these types",
        Witness.SCHEMA,
        "primaryIdentifier, readOnlyProperties",
        REFERENCE + "aws-template-resource-type-ref.html",
    ),
    Source(
        "change_sets_know_what_replaces",
        "RequiresRecreation of a property",
        Witness.SCHEMA,
        "createOnlyProperties",
        REFERENCE + "aws-template-resource-type-ref.html",
    ),
    Source(
        "missing_code_fails_functions",
        "A function whose code object does not exist fails",
        Witness.QUOTED,
        'Resource handler returned message: "Error occurred while GetObject. S3 Error Code: '
        "NoSuchKey. S3 Error Message: The specified key does not exist. (Service: Lambda, Status "
        'Code: 400, Request ID: ...)" (RequestToken: ..., HandlerErrorCode: InvalidRequest)',
        GITHUB + "aws-samples/aws-account-vending-machine/issues/23",
    ),
    Source(
        "full_buckets_stay",
        "A bucket that is not empty is not deleted, and its stack ends DELETE_FAILED",
        Witness.QUOTED,
        "The bucket you tried to delete is not empty (Service: Amazon S3; Status Code: 409; Error "
        "Code: BucketNotEmpty; ...)",
        GITHUB + "aws/aws-cdk/issues/21776",
    ),
    Source(
        "api_endpoints_answer",
        "ApiEndpoint is a URL that answers",
        Witness.DOCUMENT,
        "The default endpoint for an API. For example: "
        "https://abcdef.execute-api.us-west-2.amazonaws.com.",
        REFERENCE + "aws-resource-apigatewayv2-api.html",
    ),
    # Exports
    Source(
        "exports_are_honoured",
        "Export names are unique; an imported one is neither deleted nor changed",
        Witness.DOCUMENT,
        "After another stack imports an output value, you can't delete the stack that is exporting "
        "the output value or modify the exported output value.",
        REFERENCE + "intrinsic-function-reference-importvalue.html",
    ),
    Source(
        "exports_are_honoured",
        "Words for a name that is taken",
        Witness.QUOTED,
        "Export with name xxxxx is already exported by stack sam-app. Rollback requested by user.",
        "troubleshooting notes of several public repositories",
    ),
    Source(
        "exports_are_honoured",
        "Words for an export that is imported",
        Witness.DOCUMENT,
        "Export EXPORT_NAME cannot be updated as it is in use by STACK_NAME",
        "https://repost.aws/knowledge-center/cloudformation-stack-export-name-error",
    ),
    # Failure and recovery
    Source(
        "skipping_wants_stack_names",
        "A resource of a nested stack is skipped by the child's stack name, not its logical ID",
        Witness.MODEL,
        "Don't confuse a child stack's name with its corresponding logical ID defined in the "
        "parent stack.",
        API + "API_ContinueUpdateRollback.html",
    ),
    Source(
        "skipping_wants_stack_names",
        "The logical ID of a nested stack may stand alone only while that stack is deleted",
        Witness.MODEL,
        "If you want to specify the logical ID of a stack resource (Type: "
        "AWS::CloudFormation::Stack) in the ResourcesToSkip list, then its corresponding embedded "
        "stack must be in one of the following states: DELETE_IN_PROGRESS, DELETE_COMPLETE, or "
        "DELETE_FAILED.",
        API + "API_ContinueUpdateRollback.html",
    ),
    Source(
        "skipping_wants_stack_names",
        "Words for a logical ID before the dot, a nested stack, a resource that did not fail",
        Witness.QUOTED,
        "Stack [RabbitMQStack] does not exist; Nested stacks could not be skipped; Only the "
        "resources failed during UpdateRollback are allowed to be skipped; ... does not belong to "
        "stack planodkupow-uat",
        "an operator's published log of 19 and 20 April 2026",
    ),
    Source(
        "skipping_wants_stack_names",
        "These words refuse the call; that log may show them as reasons of UPDATE_ROLLBACK_FAILED "
        "after a call that was granted",
        Witness.NONE,
    ),
    Source(
        "skipping_wants_stack_names",
        "The call wants the root",
        Witness.QUOTED,
        "RollbackUpdatedStack cannot be invoked on child stacks",
        "an operator's published log of 19 and 20 April 2026",
    ),
    Source(
        "deployment_configs_are_heeded",
        "Express mode switches rollback off unless the request switches it on",
        Witness.DOCUMENT,
        "When you use express mode, CloudFormation disables rollback by default.",
        GUIDE + "cloudformation-express-mode.html",
    ),
    Source(
        "deployment_configs_are_heeded",
        "It reaches nested stacks and change sets",
        Witness.DOCUMENT,
        "When you use express mode on a parent stack, the setting propagates to all nested stacks "
        "in the hierarchy.",
        GUIDE + "cloudformation-express-mode.html",
    ),
    Source(
        "deployment_configs_are_heeded",
        "A completed resource may still be settling, and its event says so",
        Witness.QUOTED,
        "Resource operation completed using Express Mode. It may continue becoming available in "
        "the background.",
        GITHUB + "aws/aws-cdk-cli/pull/1689",
    ),
    Source(
        "deployment_configs_are_heeded",
        "RollbackStack is refused after an express operation; AWS's words are not known",
        Witness.QUOTED,
        "RollbackStack is unsupported for stacks last updated with EXPRESS mode",
        GITHUB + "aws/aws-cdk-cli/issues/1973",
    ),
    Source(
        "deployment_configs_are_heeded",
        "DisableRollback or OnFailure beside DeploymentConfig is refused; AWS's words are not "
        "known",
        Witness.QUOTED,
        "omits conflicting top-level DisableRollback/OnFailure kwargs (CFN rejects them alongside "
        "DeploymentConfig)",
        GITHUB + "aws/aws-sam-cli/pull/9106",
    ),
    Source(
        "deployment_configs_are_heeded",
        "DisableRollback given to ExecuteChangeSet wins over the change set's DeploymentConfig",
        Witness.NONE,
    ),
    Source(
        "failed_updates_pause",
        "From UPDATE_FAILED only an update without rollback goes on",
        Witness.QUOTED,
        "This stack is currently in a non-terminal [UPDATE_FAILED] state. To update the stack from "
        "this state, please use the disable-rollback parameter with update-stack API. To rollback "
        "to the last known good state, use the rollback-stack API",
        GITHUB + "aws/aws-cdk-cli/issues/1973",
    ),
    Source(
        "replacements_need_rollback",
        "An update that replaces a resource fails while rollback is disabled",
        Witness.QUOTED,
        "Replacement type updates not supported on stack with disable-rollback.",
        GITHUB + "anomalyco/sst/issues/970",
    ),
    Source(
        "failed_outputs_are_told_by_the_rollback",
        "Outputs that cannot be resolved give no *_FAILED event, only the rollback's reason",
        Witness.RECORDED,
        "[Error] /Outputs/InvalidOutput/Value/Fn::GetAtt: Resource type AWS::SSM::Parameter does "
        "not support attribute {Invalid}. Rollback requested by user.",
        RECORDED + "engine/test_attributes.snapshot.json",
    ),
    Source(
        "interrupted_operations_end",
        "What was in progress when the emulator stopped ends in a state one can go on from; AWS "
        "never stops",
        Witness.NONE,
    ),
    Source(
        "events_tell_properties",
        "An event tells the properties that its resource was to have",
        Witness.MODEL,
        "BLOB of the properties used to create the resource.",
        API + "API_StackEvent.html",
    ),
    # Refactors
    Source(
        "stacks_can_be_refactored",
        "Resources move between nested stacks, and are renamed, without being touched",
        Witness.DOCUMENT,
        "Resources can be moved between nested stacks.",
        GUIDE + "stack-refactoring.html",
    ),
    Source(
        "stacks_can_be_refactored",
        "A refactor changes nothing else: no resource, parameter, condition or mapping",
        Witness.DOCUMENT,
        "You cannot create or delete resources, modify resource configurations, or change or add "
        "new parameters, conditions, or mappings during refactoring.",
        GUIDE + "stack-refactoring.html",
    ),
    Source(
        "stacks_can_be_refactored",
        "Words for a change beside the moves, as of a parent whose TemplateURL changes",
        Witness.QUOTED,
        "Found an action type that is not permitted during refactor operations: Modify",
        "a published record of 17 September 2026: a refactor between a parent and its nested stack",
    ),
    Source(
        "stacks_can_be_refactored",
        "Words for a type that cannot be moved",
        Witness.QUOTED,
        "arn:aws:cloudformation:us-east-2:123456789012:stack/StackRefactorStack/fd2b1b20: Stack "
        "Refactor does not support AWS::CDK::Metadata.",
        "https://dave.wittman.xyz/posts/stack-refactoring-with-cdk",
    ),
    Source(
        "stacks_can_be_refactored",
        "Words for a mapping that the templates do not follow, and for a stack changed meanwhile",
        Witness.QUOTED,
        "The resource Bucket83908E77 defined in the resources mapping did no move from its "
        "original stack StackRefactorStack. Review your stack template desired state.; ... Stack "
        "was updated.",
        "https://dave.wittman.xyz/posts/stack-refactoring-with-cdk",
    ),
    Source(
        "stacks_can_be_refactored",
        "Neither empty stacks nor stacks with a stack policy can be refactored",
        Witness.DOCUMENT,
        "CloudFormation doesn't support empty stacks. ... Stack refactor doesn't support stacks "
        "that have stack policies attached, regardless of what the policies allow or deny.",
        GUIDE + "stack-refactoring.html",
    ),
    Source(
        "stacks_can_be_refactored",
        "Status and ExecutionStatus, and what an action says",
        Witness.DOCUMENT,
        '"Action": "MOVE", "Entity": "RESOURCE", "Description": "No configuration changes '
        'detected."',
        GUIDE + "stack-refactoring.html",
    ),
    Source(
        "stacks_can_be_refactored",
        "The moved resource is IMPORT_COMPLETE in its new stack, which ends UPDATE_COMPLETE",
        Witness.QUOTED,
        "observed: 0.5-3 seconds between the last IMPORT_COMPLETE stack event and the stack "
        "becoming stable",
        GITHUB + "aws/aws-cdk-cli/issues/1804",
    ),
    Source(
        "stacks_can_be_refactored",
        "Words for an empty stack, a stack policy, a state, changed parameters, an unknown "
        "refactor; that outputs may change; the events of the stack that is left",
        Witness.NONE,
    ),
    # Deletion
    Source(
        "protection_covers_whole_trees",
        "DeleteStack is refused while termination protection is on",
        Witness.RECORDED,
        "Stack [c7n-test-delete-with-protection] cannot be deleted while TerminationProtection is "
        "enabled",
        "cloud-custodian/cloud-custodian, tests/data/placebo/test_cfn_delete_with_protection",
    ),
    Source(
        "protection_covers_whole_trees",
        "The root's protection covers its nested stacks",
        Witness.DOCUMENT,
        "If a user attempts to directly delete a nested stack belonging with a stack that has "
        "termination protection enabled, the operation fails and the nested stack remains "
        "unchanged.",
        GUIDE + "using-cfn-protect-stacks.html",
    ),
    Source(
        "retaining_follows_a_failure",
        "RetainResources is for stacks in DELETE_FAILED",
        Witness.MODEL,
        "For stacks in the DELETE_FAILED state, a list of resource logical IDs that are associated "
        "with the resources you want to retain.",
        API + "API_DeleteStack.html",
    ),
    Source(
        "retaining_follows_a_failure",
        "Words for a stack in another state",
        Witness.QUOTED,
        "specify which resources to retain only when the stack is in the DELETE_FAILED state",
        GITHUB + "aws/sagemaker-hyperpod-cli, src/sagemaker/hyperpod/cli/cluster_stack_utils.py",
    ),
    Source(
        "retaining_follows_a_failure",
        "FORCE_DELETE_STACK of a root leaves a nested stack that failed to delete as it is",
        Witness.NONE,
    ),
    Source(
        "retaining_follows_a_failure",
        "A resource that is already deleted cannot be retained",
        Witness.QUOTED,
        "The specified resources to retain must be in a valid state. Do not specify resources that "
        "are in the DELETE_COMPLETE state.",
        GITHUB + "rebuy-de/aws-nuke/issues/270",
    ),
    # Amplify
    Source(
        "sites_are_deployed",
        "A deployment is made with one address for the zip",
        Witness.DOCUMENT,
        "Otherwise, the service will only generate a single upload URL for the zipped files.",
        "https://docs.aws.amazon.com/amplify/latest/APIReference/API_CreateDeployment.html",
    ),
    Source(
        "sites_are_deployed",
        "No deployment is made while another has not ended",
        Witness.QUOTED,
        "was not finished, please wait until it finish or use StopJob operation to cancel it "
        "before creating a new deployment.",
        GITHUB + "aws-amplify/amplify-backend/issues/1528",
    ),
    Source(
        "sites_are_deployed",
        "The states that a job ends in",
        Witness.MODEL,
        "SUCCEED, FAILED, CANCELLED",
        "https://docs.aws.amazon.com/amplify/latest/APIReference/API_JobSummary.html",
    ),
    Source(
        "sites_are_deployed",
        "A zip without an index.html at its top fails",
        Witness.NONE,
    ),
)


def of(amendment: str) -> tuple[Source, ...]:
    """Return what vouches for one amendment, behaviour by behaviour."""
    return tuple(source for source in SOURCES if source.amendment == amendment)


def unvouched(sources: tuple[Source, ...] = SOURCES) -> tuple[Source, ...]:
    """Return the behaviours for which nothing vouches."""
    return tuple(source for source in sources if source.witness is Witness.NONE)
