"""What is behind a failure, what a stack refactor does, and how stuck stacks are freed."""

from __future__ import annotations

from emulator.sources import API, GITHUB, GUIDE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "Causes, refactors and stuck stacks"

_ECS = "https://docs.aws.amazon.com/AmazonECS/latest/"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "A service that fails says only that its tasks stopped; ECS keeps why for a while",
        ("causes/containers.look",),
        Witness.QUOTED,
        "Resource handler returned message: \"Error occurred during operation 'ECS Deployment "
        "Circuit Breaker was triggered'.\" (RequestToken: a3ab2120, HandlerErrorCode: "
        "GeneralServiceException)",
        GITHUB + "aws/copilot-cli/issues/5296",
        never_seen="the stopped tasks of a service that its rollback has deleted already",
        either_way=True,
    ),
    Behaviour(
        "A container's log stream is prefix, container and task, joined by slashes",
        ("causes/containers.look",),
        Witness.DOCUMENT,
        "prefix-name/container-name/ecs-task-id",
        _ECS + "developerguide/using_awslogs.html",
    ),
    Behaviour(
        "The function behind a custom resource is the ServiceToken of its properties, which the "
        "event tells",
        ("causes/functions.look",),
        Witness.MODEL,
        "BLOB of the properties used to create the resource.",
        API + "API_StackEvent.html (ResourceProperties)",
        never_seen="an event of a custom resource without ResourceProperties",
        either_way=True,
    ),
    Behaviour(
        "A denied call names action, principal, resource and why, in one sentence",
        ("causes/wordings.recognise", "causes/denials.look"),
        Witness.QUOTED,
        "User: arn:aws:sts::111111111111:assumed-role/... is not authorized to perform: "
        "iam:UpdateAssumeRolePolicy on resource: role cdk... because no identity-based policy "
        "allows the iam:UpdateAssumeRolePolicy action",
        GITHUB + "aws-samples/well-architected-iac-analyzer/issues/108",
    ),
    Behaviour(
        "CloudTrail knows of a denied call some minutes later",
        ("causes/denials.look",),
        Witness.DOCUMENT,
        "CloudTrail typically delivers logs within an average of about 5 minutes of an API call.",
        "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/"
        "get-and-view-cloudtrail-log-files.html",
        never_seen="what LookupEvents has at the moment at which an operation fails",
        either_way=True,
    ),
    Behaviour(
        "What a hook has against a resource is asked for by the invocation that the event names",
        ("causes/hooks.look",),
        Witness.MODEL,
        "The unique identifier of the Hook invocation.",
        API + "API_StackEvent.html (HookInvocationId)",
        never_seen="GetHookResult with the HookInvocationId of an event",
        either_way=True,
    ),
    Behaviour(
        "Resources move between nested stacks by a stack refactor, their parent left as it is",
        ("rescue/refactoring.refactor", "stacks/refactors.create"),
        Witness.DOCUMENT,
        "Resources can be moved between nested stacks.",
        GUIDE + "stack-refactoring.html",
        never_seen="a refactor of nested stacks that was executed to its end: of the one that is "
        "published, AWS took the preview and refused the type",
    ),
    Behaviour(
        "A refactor changes nothing else, not even the TemplateURL of a nested stack: what is "
        "deployed is moved, and the update that follows brings the checkout",
        ("rescue/reshaping.reshape", "rescue/refactoring.work_out"),
        Witness.QUOTED,
        "Found an action type that is not permitted during refactor operations: Modify",
        "a published record of 17 September 2026: a refactor between a parent and its nested stack",
        never_seen="whether outputs may come to be literal values in a refactor; it is documented "
        "of parameters, conditions and mappings that they may not change",
        either_way=True,
    ),
    Behaviour(
        "A logical ID is changed by a refactor of the one stack",
        ("rescue/refactoring.refactor",),
        Witness.QUOTED,
        "Same-stack resource renaming using AWS Stack Refactoring API",
        GITHUB + "udondan/cfn-teleport/pull/1257",
        never_seen="why AWS refused one in 2025",
        either_way=True,
    ),
    Behaviour(
        "AWS says for itself which types it does not refactor, some only while it is at it; then "
        "it rolls back",
        ("rescue/refactoring.refactor", "stacks/refactors.wait_executed"),
        Witness.QUOTED,
        "Stack Refactor does not support AWS::Lambda::MicrovmImage because the resource type "
        "defines an unsupported tag schema.",
        "a published record of 17 September 2026: a refactor between a parent and its nested stack",
        never_seen="a table, a bucket or a user pool moved by a refactor",
        either_way=True,
    ),
    Behaviour(
        "What moves gets the tags of its new stack, and loses those of its old one",
        ("rescue/refactoring.refactor", "stacks/refactors.list_actions"),
        Witness.DOCUMENT,
        '"TagResources": [{"Key": "aws:cloudformation:stack-name", "Value": "Stack2"}], '
        '"UntagResources": ["aws:cloudformation:stack-name"]',
        GUIDE + "stack-refactoring.html",
        never_seen="with whose rights CloudFormation tags what it moves: the service role's or the "
        "caller's",
    ),
    Behaviour(
        "Stacks go on for seconds after their refactor says that it is complete",
        ("stacks/refactors.wait_at_rest",),
        Witness.QUOTED,
        "CloudFormation marks the stack refactor's ExecutionStatus as EXECUTE_COMPLETE while the "
        "affected stacks themselves are still in UPDATE_IN_PROGRESS for a few more seconds",
        GITHUB + "aws/aws-cdk-cli/issues/1804",
    ),
    Behaviour(
        "A nested stack that an update took out and that cannot be deleted stays behind, with the "
        "root UPDATE_COMPLETE",
        ("stacks/obstacles.find_left_behind", "deploy/freeing.free"),
        Witness.NONE,
        never_seen="how DescribeStacks shows a nested stack that its root does not list any more",
        either_way=True,
    ),
    Behaviour(
        "ContinueUpdateRollback wants the root; a nested stack by itself is tried, and a refusal "
        "names another way",
        ("deploy/freeing.continue_rollback",),
        Witness.QUOTED,
        "RollbackUpdatedStack cannot be invoked on child stacks",
        "an operator's published log of 19 and 20 April 2026",
        never_seen="a nested stack in UPDATE_ROLLBACK_FAILED under a root that rests",
        either_way=True,
    ),
    Behaviour(
        "After an import whose rollback failed, its rollback is continued if AWS takes that",
        ("deploy/freeing.continue_rollback", "stacks/statuses.decide"),
        Witness.MODEL,
        "Continues rolling back a stack from UPDATE_ROLLBACK_FAILED to UPDATE_ROLLBACK_COMPLETE "
        "state.",
        API + "API_ContinueUpdateRollback.html",
        never_seen="ContinueUpdateRollback of a stack in IMPORT_ROLLBACK_FAILED",
        either_way=True,
    ),
)
