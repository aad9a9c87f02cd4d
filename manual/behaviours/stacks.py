"""What CloudFormation says of stacks, their states and their events."""

from __future__ import annotations

from emulator.sources import API, GITHUB, GUIDE, RECORDED, REFERENCE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "Stacks, states and events"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "That a stack is absent is a ValidationError, known by its text alone",
        ("stacks/stacks.is_missing",),
        Witness.RECORDED,
        "Stack with id <stack-name> does not exist",
        RECORDED + "api/test_stacks.snapshot.json (ValidationError)",
    ),
    Behaviour(
        "A deleted stack is found by its ID only",
        ("stacks/stacks.describe",),
        Witness.MODEL,
        "Deleted stacks: You must specify the unique stack ID.",
        API + "API_DescribeStacks.html",
    ),
    Behaviour(
        "What may be asked of a stack hangs on its state, which is looked at before the call",
        ("stacks/statuses.decide", "stacks/admission.admit"),
        Witness.RECORDED,
        "Stack:<stack-id> is in DELETE_IN_PROGRESS state and can not be updated.",
        RECORDED + "api/test_changesets.snapshot.json::test_changeset_for_deleted_stack",
    ),
    Behaviour(
        "ExecuteChangeSet is refused while another operation runs; the code and the tokens of the "
        "stack's events tell what happened, not the words",
        ("stacks/changesets.execute", "stacks/stacks.has_begun"),
        Witness.MODEL,
        "The specified change set can't be used to update the stack. For example, the change set "
        "status might be CREATE_IN_PROGRESS, or the stack status might be UPDATE_IN_PROGRESS.",
        API + "API_ExecuteChangeSet.html (InvalidChangeSetStatus)",
        never_seen="AWS's words when ExecuteChangeSet is refused while an operation runs",
        either_way=True,
    ),
    Behaviour(
        "All events of an operation carry the token of its request, by which a request whose "
        "answer was lost is recognised",
        ("stacks/stacks.has_begun", "stacks/changesets.create"),
        Witness.MODEL,
        "All events initiated by a given stack operation are assigned the same client request "
        "token, which you can use to track operations.",
        API + "API_CreateStack.html",
    ),
    Behaviour(
        "How an operation ended whose process was killed stands in the stack's events: the first "
        "state of rest after the last event with the request's token",
        ("releases/settling.settle",),
        Witness.MODEL,
        "You can list events for stacks that have failed to create or have been deleted by "
        "specifying the unique stack identifier (stack ID).",
        API + "API_DescribeStackEvents.html",
        never_seen="whose token the rollback of an update carries that somebody else cancelled, "
        "and for how long AWS keeps a stack's events",
        either_way=True,
    ),
    Behaviour(
        "A token that was used already means that the operation has begun",
        ("stacks/stacks.roll_back", "stacks/changesets.execute"),
        Witness.MODEL,
        "A client request token already exists.",
        API + "API_RollbackStack.html (TokenAlreadyExistsException)",
    ),
    Behaviour(
        "Events come newest first, by pages",
        ("stacks/stacks.read_events",),
        Witness.MODEL,
        "Returns all stack related events for a specified stack in reverse chronological order.",
        API + "API_DescribeStackEvents.html",
    ),
    Behaviour(
        "The parent's event says only that a nested stack failed; the cause is the first failure "
        "inside it",
        ("stacks/events.find_cause",),
        Witness.QUOTED,
        "Embedded stack arn:aws:cloudformation:... was not successfully created: The following "
        "resource(s) failed to create: [BBBECSCapacityProvider].",
        GITHUB + "aws-samples/aws-scalable-big-blue-button-example/issues/29",
        never_seen="the events of a nested stack that fails, as a recorded answer",
    ),
    Behaviour(
        "What was given up because something else failed is *_FAILED as well, and only its reason "
        "tells",
        ("stacks/events.find_cause",),
        Witness.QUOTED,
        "Resource creation cancelled",
        "operators' published logs",
    ),
    Behaviour(
        "A stack can fail with no *_FAILED event; why stands on its own event before the rollback",
        ("stacks/events.find_cause",),
        Witness.RECORDED,
        "Transform 111111111111::Unsuccessful failed with: failed because it is a test. Rollback "
        "requested by user.",
        RECORDED + "test_template_engine.snapshot.json::TestMacros::test_failed_state",
        never_seen="a nested stack that fails so, and what its parent then says",
        either_way=True,
    ),
    Behaviour(
        "What a hook says stands on an event in progress; only in FAIL mode does it stop anything",
        ("stacks/stacks.Event", "stacks/events.find_cause"),
        Witness.RECORDED,
        "Hook failed with message: Intentional fail. Failure was ignored under WARN mode.",
        RECORDED + "api/test_extensions_hooks.snapshot.json::test_hook_deployment[WARN]",
    ),
    Behaviour(
        "A stack that only has a change set has no template to give",
        ("stacks/stacks.read_template", "stacks/stacks.require_created"),
        Witness.QUOTED,
        "KeyError: 'TemplateBody'",
        GITHUB + "cdklabs/awscdk-v1-stack-finder/issues/273",
    ),
    Behaviour(
        "A release whose master came back with question marks is known by what was published",
        ("releases/releases.identify", "stacks/stacks.mangle"),
        Witness.QUOTED,
        "the non-ASCII characters in the template are converted to question marks.",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/1220",
        never_seen="whether DescribeStackSet does the same to a stack set's template",
    ),
    Behaviour(
        "When the root rolls back, nested stacks that had ended begin again; their events are "
        "read until they rest, in whatever order they come",
        ("stacks/events.follow",),
        Witness.EMULATOR,
        where="the emulator's nested rollbacks",
        never_seen="the order and the wording of the events of nested stacks that roll back",
        either_way=True,
    ),
    Behaviour(
        "Events may be late: a stack that has been silent is asked itself",
        ("stacks/events.follow",),
        Witness.NONE,
        never_seen="how late an event of DescribeStackEvents can be",
        either_way=True,
    ),
    Behaviour(
        "Nested stacks are found by walking the resources of their parents",
        ("stacks/stacks.walk",),
        Witness.MODEL,
        "For nested stacks, the stack ID of the direct parent of this stack.",
        API + "API_Stack.html (ParentId)",
    ),
    Behaviour(
        "A stuck rollback is continued on the root, never on a nested stack",
        ("deploy/rollbacks.roll_back", "stacks/stacks.continue_rollback"),
        Witness.MODEL,
        "Don't specify the name of a nested stack (a stack that was created by using the "
        "AWS::CloudFormation::Stack resource). Instead, use this operation on the parent stack",
        API + "API_ContinueUpdateRollback.html",
        never_seen="an answer of ContinueUpdateRollback, and any state UPDATE_ROLLBACK_*",
    ),
    Behaviour(
        "What ContinueUpdateRollback does not take ends as an error of the call, or as the reason "
        "of UPDATE_ROLLBACK_FAILED afterwards: both are shown with the command that goes on",
        (
            "stacks/watching.leaving_running",
            "deploy/outcomes.conclude",
            "deploy/outcomes.find_obstacles",
        ),
        Witness.QUOTED,
        "Only the resources failed during UpdateRollback are allowed to be skipped",
        "an operator's published log of 19 and 20 April 2026",
        never_seen="whether the refusals of ContinueUpdateRollback come as an error of the call or "
        "arrive afterwards",
        either_way=True,
    ),
    Behaviour(
        "RollbackStack leads back from CREATE_FAILED and UPDATE_FAILED, and may delete the stack",
        ("stacks/stacks.roll_back", "stacks/statuses.decide"),
        Witness.MODEL,
        "This operation will delete a stack if it doesn't contain a last known stable state.",
        API + "API_RollbackStack.html",
        never_seen="an answer of RollbackStack",
    ),
    Behaviour(
        "Only an update can be cancelled, and only while it runs",
        ("stacks/stacks.cancel_update", "stacks/statuses.decide"),
        Witness.MODEL,
        "You can cancel only stacks that are in the UPDATE_IN_PROGRESS state.",
        API + "API_CancelUpdateStack.html",
    ),
    Behaviour(
        "From UPDATE_FAILED only an update without rollback goes on",
        ("deploy/change.carry_out", "deploy/pauses.keep_mode"),
        Witness.QUOTED,
        "This stack is currently in a non-terminal [UPDATE_FAILED] state. To update the stack "
        "from this state, please use the disable-rollback parameter with update-stack API. To "
        "rollback to the last known good state, use the rollback-stack API",
        GITHUB + "aws/aws-cdk-cli/issues/1973",
    ),
    Behaviour(
        "A change set of a stack on which somebody has just begun an operation is refused, which "
        "is theirs and no failure",
        ("stacks/changesets.create",),
        Witness.QUOTED,
        "is in ROLLBACK_COMPLETE state and can not be updated.",
        GITHUB + "rails-lambda/lamby/issues/132",
        never_seen="the same words of a stack that is UPDATE_IN_PROGRESS",
    ),
    Behaviour(
        "A refactor changes nested stacks and no root, so that the templates of before it are no "
        "change to the root; what was moved is remembered and looked for then",
        ("deploy/unfinished.require_told", "releases/moving.note"),
        Witness.NONE,
        never_seen="whether a change set of an unchanged root, nested stacks included, looks at "
        "what a refactor has made of their templates",
        either_way=True,
    ),
    Behaviour(
        "What an update leaves out is deleted only after it has succeeded, so that one that failed "
        "without rollback has that before it, and the next one does it",
        ("deploy/unfinished.read_stable", "deploy/unfinished.list_rest"),
        Witness.DOCUMENT,
        "During stack update operations, if CloudFormation needs to replace an existing resource, "
        "it first creates a new resource and then deletes the old resource.",
        GUIDE + "using-cfn-updating-stacks-monitor-stack.html",
        never_seen="whether AWS lists what is still to be deleted, in a change set or among the "
        "resources of a stack that is UPDATE_FAILED",
        either_way=True,
    ),
    Behaviour(
        "A ROLLBACK_COMPLETE stack can only be deleted, so that a creation deletes it first, after "
        "asking",
        ("stacks/statuses.decide", "deploy/creation.clear_failed"),
        Witness.RECORDED,
        "Stack [<stack-name:1>] already exists",
        RECORDED + "api/test_stacks.snapshot.json (AlreadyExistsException)",
    ),
    Behaviour(
        "Drift is detected stack by stack: nested stacks are asked one by one",
        ("stacks/drift.detect",),
        Witness.MODEL,
        "When detecting drift on a stack, CloudFormation doesn't detect drift on any nested stacks "
        "belonging to that stack. Perform DetectStackDrift directly on the nested stack itself.",
        API + "API_DetectStackDrift.html",
        never_seen="in whose name drift is detected where a stack has a service role",
    ),
    Behaviour(
        "A NoEcho parameter comes back masked, and is neither compared nor recorded",
        ("inputs/parameters.mask_secrets", "templates/comparison.compare"),
        Witness.RECORDED,
        "****",
        RECORDED + "api/test_stacks.snapshot.json",
    ),
    Behaviour(
        "Templates lie in S3, because a body in the request may be no longer than this",
        ("deploy/publishing.publish", "releases/store.object_url"),
        Witness.RECORDED,
        "1 validation error detected: Value '<template-body>' at 'templateBody' failed to satisfy "
        "constraint: Member must have length less than or equal to 51200",
        RECORDED + "test_template_engine.snapshot.json",
    ),
    Behaviour(
        "A TemplateURL must lead to S3",
        ("releases/store.object_url",),
        Witness.RECORDED,
        "TemplateURL must be a supported URL.",
        RECORDED + "api/test_templates.snapshot.json",
    ),
    Behaviour(
        "GetTemplate shows a question mark for each character beyond ASCII; the templates have "
        "none",
        ("tests/test_infrastructure.py#test_a_template_is_plain_ascii",),
        Witness.QUOTED,
        "mangleLikeCloudFormation('\\u0080') is '?', of '\\u007f' itself",
        GITHUB + "aws/aws-cdk-cli, packages/@aws-cdk/cloudformation-diff/lib/diff/util.ts",
    ),
    Behaviour(
        "A template that makes roles or calls macros needs a capability for it",
        ("templates/contracts.capabilities",),
        Witness.RECORDED,
        "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
        RECORDED + "test_template_engine.snapshot.json (InsufficientCapabilitiesException)",
    ),
    Behaviour(
        "Parameters without a value, and unknown ones, are refused: both are found before",
        ("inputs/parameters.check", "templates/contracts.check_contracts"),
        Witness.QUOTED,
        "Parameters: [EnvironmentName] must have values",
        GITHUB + "boto/botocore/issues/2598",
    ),
    Behaviour(
        "An output that others import keeps its value: what changes with every release is not "
        "exported",
        ("infrastructure/cloudformation/compute-stack.yaml#GenerationTask",),
        Witness.DOCUMENT,
        "After another stack imports an output value, you can't delete the stack that is exporting "
        "the output value or modify the exported output value.",
        REFERENCE + "intrinsic-function-reference-importvalue.html",
    ),
    Behaviour(
        "Termination protection refuses DeleteStack",
        ("deploy/deletions.delete", "deploy/protection.taken_off"),
        Witness.RECORDED,
        "Stack [c7n-test-delete-with-protection] cannot be deleted while TerminationProtection is "
        "enabled",
        "cloud-custodian/cloud-custodian, tests/data/placebo/test_cfn_delete_with_protection",
    ),
    Behaviour(
        "Express mode is refused for production, because an operation ends before its resources "
        "are ready",
        ("deploy/deployments.deploy",),
        Witness.DOCUMENT,
        "For production deployments where you need to verify that resources are fully stabilized "
        "and operational before considering the deployment complete, use the default deployment "
        "mode.",
        GUIDE + "cloudformation-express-mode.html",
        never_seen="an operation in express mode, and AWS's words for DisableRollback beside it",
    ),
    Behaviour(
        "A resource of a nested stack is skipped by the child's stack name, not its logical ID: "
        "the operator's name is translated",
        ("stacks/obstacles.Obstacle.wire_name", "stacks/stacks.continue_rollback"),
        Witness.MODEL,
        "Don't confuse a child stack's name with its corresponding logical ID defined in the "
        "parent stack.",
        API + "API_ContinueUpdateRollback.html",
        never_seen="ContinueUpdateRollback with a resource of a nested stack",
    ),
    Behaviour(
        "Only what the rollback itself failed at may be skipped, and a nested stack only while it "
        "is deleted",
        ("stacks/obstacles.look", "stacks/obstacles.find"),
        Witness.MODEL,
        "You can't specify resources that are in the UPDATE_FAILED state for other reasons, for "
        "example, because an update was canceled.",
        API + "API_ContinueUpdateRollback.html",
    ),
    Behaviour(
        "What was skipped is not looked at by drift detection, so that a drift-aware change set "
        "does not bring it back: the property is changed, or the resource imported",
        ("deploy/rollbacks.roll_back",),
        Witness.DOCUMENT,
        "CloudFormation sets the status of the specified resources to UPDATE_COMPLETE",
        API + "API_ContinueUpdateRollback.html",
        never_seen="drift detection of a resource that a rollback left out",
    ),
    Behaviour(
        "Express mode switches rollback off unless it is told not to, by the guide; by the model "
        "it does not: it is always said",
        ("stacks/stacks.Request.as_arguments",),
        Witness.DOCUMENT,
        "When you use express mode, CloudFormation disables rollback by default.",
        GUIDE + "cloudformation-express-mode.html",
        never_seen="which of AWS's two documents is right about rollback in express mode",
        either_way=True,
    ),
    Behaviour(
        "A *_COMPLETE event with a reason is of a resource that still comes up",
        ("stacks/events.list_settling",),
        Witness.QUOTED,
        "Resource operation completed using Express Mode. It may continue becoming available in "
        "the background.",
        GITHUB + "aws/aws-cdk-cli/pull/1689",
    ),
    Behaviour(
        "RollbackStack may be refused after an express operation; then the last stable release is "
        "deployed once more",
        ("deploy/pauses.roll_back", "deploy/pauses.replay"),
        Witness.QUOTED,
        "RollbackStack is unsupported for stacks last updated with EXPRESS mode",
        GITHUB + "aws/aws-cdk-cli/issues/1973",
        never_seen="AWS's words when RollbackStack is refused after an express operation, whether "
        "that was lifted meanwhile, and RollbackStack with a DeploymentConfig",
        either_way=True,
    ),
    Behaviour(
        "An update that replaces a resource fails while rollback is disabled: it is refused before",
        ("deploy/barriers.check",),
        Witness.QUOTED,
        "Replacement type updates not supported on stack with disable-rollback.",
        GITHUB + "anomalyco/sst/issues/970",
    ),
    Behaviour(
        "Behind a NAT gateway the network's address range cannot be changed: it is refused before",
        ("deploy/barriers.check",),
        Witness.QUOTED,
        "",
        GITHUB + "aws/aws-cdk/issues/18434",
    ),
    Behaviour(
        "RetainResources and FORCE_DELETE_STACK are for stacks in DELETE_FAILED, and name "
        "resources of the very stack: the deepest nested stack is deleted first, by itself",
        ("deploy/deletions.plan_steps", "stacks/stacks.delete"),
        Witness.MODEL,
        "For stacks in the DELETE_FAILED state, a list of resource logical IDs that are associated "
        "with the resources you want to retain.",
        API + "API_DeleteStack.html",
        never_seen="FORCE_DELETE_STACK on a root whose nested stack failed to delete",
        either_way=True,
    ),
    Behaviour(
        "A failed creation leaves fresh tables behind, unless its rollback is told not to",
        ("stacks/stacks.roll_back", "deploy/pauses.read"),
        Witness.MODEL,
        "",
        API + "API_RollbackStack.html (RetainExceptOnCreate)",
        never_seen="whether RetainExceptOnCreate of a root reaches its nested stacks",
        either_way=True,
    ),
    Behaviour(
        "A cluster in which a task runs is not deleted: tasks are listed and stopped before, after "
        "asking",
        ("deploy/running_tasks.stop",),
        Witness.QUOTED,
        "ClusterContainsTasksException: The Cluster cannot be deleted while Tasks are active.",
        GITHUB + "gruntwork-io/cloud-nuke/issues/368",
    ),
    Behaviour(
        "What a failed replacement was to replace is still there, so that the way back changes no "
        "resource: a change set of it cannot be executed, an UpdateStack may be",
        ("deploy/pauses.replay",),
        Witness.QUOTED,
        "",
        GITHUB + "aws/aws-cdk-cli/pull/1970",
        never_seen="an UpdateStack from UPDATE_FAILED back to what was last stable",
        either_way=True,
    ),
    Behaviour(
        "A nested stack that was deleted by itself is gone when its root is deleted",
        ("deploy/deletions.plan_steps",),
        Witness.NONE,
        never_seen="what a root's deletion makes of a nested stack that is deleted already",
    ),
    Behaviour(
        "A change set can be empty and its stack all the same half made: a state that is not "
        "healthy is never up to date",
        ("deploy/change.carry_out", "stacks/statuses.leave_paused"),
        Witness.DOCUMENT,
        "CloudFormation preserves the state of resources that were successfully created and leaves "
        "the failed ones in a failed state until the next update operation is performed.",
        GUIDE + "stack-failure-options.html",
    ),
    Behaviour(
        "After a failure a parent may have its new template and a nested stack its old one or "
        "none: what is there is read, and a stack that is not there has nothing to lose",
        ("stacks/deployed.resolve_deployed", "data/loss.judge"),
        Witness.NONE,
        never_seen="which template GetTemplate gives of a stack in CREATE_FAILED or "
        "UPDATE_FAILED, and what a row says that removes a nested stack which was never created",
        either_way=True,
    ),
    Behaviour(
        "A resource can be in a *_FAILED state under a stack that ended well: each that is seen to "
        "be fails the verification",
        ("checks/verification.verify",),
        Witness.MODEL,
        "Current status of the resource.",
        API + "API_StackResourceSummary.html",
        never_seen="a resource in a *_FAILED state under a stack that ended well, but of emulators",
    ),
    Behaviour(
        "That nothing changed says nothing of whether it works: an unchanged stack is verified, "
        "too",
        ("checks/verification.follow_up",),
        Witness.NONE,
        never_seen="how often what a verification finds wrong comes right by itself",
        either_way=True,
    ),
    Behaviour(
        "A stack keeps the events of all its operations: what is waited for is read from its last "
        "beginning on",
        ("stacks/events.mark_beginning",),
        Witness.MODEL,
        "Returns all stack related events for a specified stack in reverse chronological order.",
        API + "API_DescribeStackEvents.html",
    ),
    Behaviour(
        "Drift detection is throttled as any call, and one that is under way is waited for",
        ("stacks/drift.detect",),
        Witness.NONE,
        never_seen="the words for a drift detection that is already in progress",
    ),
    Behaviour(
        "A rollback takes the service role as well",
        ("stacks/stacks.as_role", "stacks/stacks.roll_back", "stacks/stacks.continue_rollback"),
        Witness.MODEL,
        "The Amazon Resource Name (ARN) of an IAM role that CloudFormation assumes to roll back "
        "the stack.",
        API + "API_ContinueUpdateRollback.html (RoleARN)",
        never_seen="RoleARN given to RollbackStack or ContinueUpdateRollback",
    ),
    Behaviour(
        "The parent's event about a nested stack that failed may not name it: then it is sought "
        "among the resources, and by the beginning of its name",
        ("stacks/events.tell_cause",),
        Witness.EMULATOR,
        where="localemu 1.3.2, whose events and listings leave PhysicalResourceId out",
        never_seen="a nested stack that failed and has no PhysicalResourceId in its parent's "
        "events",
        either_way=True,
    ),
)
