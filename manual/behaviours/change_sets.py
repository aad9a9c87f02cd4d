"""What change sets answer, and what a preview makes of it."""

from __future__ import annotations

from emulator.sources import API, GITHUB, GUIDE, RECORDED, REFERENCE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "Change sets and previews"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "The row of a nested stack carries the ID of its own change set, and each is read in turn",
        ("stacks/previews.wait",),
        Witness.MODEL,
        "The change set ID of the nested change set.",
        API + "API_ResourceChange.html",
        never_seen="the answers of a nested change set, of which none is recorded in public",
    ),
    Behaviour(
        "The row of a nested stack carries its stack's ID; where every one has it, their parent is "
        "not listed for it",
        ("stacks/deployed.Inventory.find_nested",),
        Witness.MODEL,
        "The resource's physical ID (resource name). Resources that you are adding don't have "
        "physical IDs because they haven't been created.",
        API + "API_ResourceChange.html",
        never_seen="whether a root has a row of each nested stack in which nothing changes",
        either_way=True,
    ),
    Behaviour(
        "A change set never becomes another one: a nested one that was not made, because nothing "
        "changes, is not described again when its plan is applied",
        ("stacks/previews.wait",),
        Witness.MODEL,
        "Updates a stack using the input information that was provided when the specified change "
        "set was created.",
        API + "API_ExecuteChangeSet.html",
        never_seen="a FAILED nested change set, looked at again a day later",
    ),
    Behaviour(
        "A change set with nested stacks is executed and deleted from its root",
        ("stacks/changesets.execute", "stacks/changesets.discard"),
        Witness.DOCUMENT,
        "You must execute or delete change sets for nested stacks from the root change set.",
        GUIDE + "change-sets-for-nested-stacks.html",
    ),
    Behaviour(
        "A root that failed names the nested change set that failed first, and not why: the cause "
        "is read there",
        ("stacks/previews.wait",),
        Witness.QUOTED,
        "Nested change set <ARN> was not successfully created: Currently in FAILED.",
        "the notes of a public tool, which calls it an empirical finding",
    ),
    Behaviour(
        "That a proposal changes nothing is a FAILED change set with one of two texts and no code",
        ("stacks/previews.says_no_changes",),
        Witness.RECORDED,
        "The submitted information didn't contain changes. Submit different information to "
        "create a change set.",
        RECORDED + "api/test_changesets.snapshot.json",
    ),
    Behaviour(
        "A change set that changes outputs alone has no rows and is executed all the same",
        ("stacks/previews.ChangeSet.is_empty",),
        Witness.QUOTED,
        "If only stack Outputs are changed, CloudFormation generates a ChangeSet that is "
        "executable but has 0 changes.",
        GITHUB + "aws/aws-cdk/pull/2029",
    ),
    Behaviour(
        "Whether a resource is replaced follows from RequiresRecreation and Evaluation",
        ("stacks/rows.read",),
        Witness.MODEL,
        "If the RequiresRecreation field is Always and the Evaluation field is Dynamic, "
        "Replacement is Conditional.",
        API + "API_ResourceChange.html",
    ),
    Behaviour(
        "A value that AWS will only know afterwards has a placeholder of its own",
        ("stacks/rows.read",),
        Witness.RECORDED,
        "{{changeSet:KNOWN_AFTER_APPLY}}",
        RECORDED + "test_change_set*: describe-change-set-2-prop-values",
    ),
    Behaviour(
        "The template comparison calls nothing safe that AWS, in its recorded change sets, calls "
        "replaced",
        ("templates/comparison.compare", "templates/schemas.create_only"),
        Witness.RECORDED,
        "Replacement, RequiresRecreation",
        RECORDED + "test_change_set*: describe-change-set-2",
    ),
    Behaviour(
        "Some properties replace although their type's schema does not say so",
        ("templates/schemas.EXCEPTIONS",),
        Witness.DOCUMENT,
        "If you want to change the following settings, you must create a new user pool.",
        "https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-updating.html",
    ),
    Behaviour(
        "In a change set with nested stacks an output that is not known yet reaches the child as "
        "a placeholder: no parameter that a sibling fills has a pattern or a type of EC2",
        (
            "infrastructure/cloudformation/compute-stack.yaml#SubnetIds",
            "tests/test_infrastructure.py#test_what_siblings_feed_takes_any_text",
            "deploy/nesting.require_inside",
        ),
        Witness.QUOTED,
        "Usage of {{IntrinsicFunction:stack_name/logical_idFn::GetAtt}} is not allowed.",
        GITHUB + "aws-cloudformation/cfn-language-discussion/issues/152",
        never_seen="whether AWS holds the placeholder {{IntrinsicFunction:…}} against the "
        "AllowedPattern or the type of a nested stack's parameter",
        either_way=True,
    ),
    Behaviour(
        "PolicyAction says what becomes of the physical resource, and goes before the policies of "
        "both templates",
        ("data/loss.judge",),
        Witness.MODEL,
        "The action that will be taken on the physical resource when the change set is executed.",
        API + "API_ResourceChange.html",
    ),
    Behaviour(
        "A nested stack that goes has no change set; what is in it is judged by the template that "
        "is deployed",
        ("data/loss.judge",),
        Witness.NONE,
        never_seen="the change set of a root that removes a nested stack",
        either_way=True,
    ),
    Behaviour(
        "Executing a change set deletes the others of the stack; a proposal that was overtaken is "
        "made anew",
        ("stacks/changesets.execute", "deploy/change.carry_out"),
        Witness.MODEL,
        "When you execute a change set, CloudFormation deletes all other change sets associated "
        "with the stack because they aren't valid for the updated stack.",
        API + "API_ExecuteChangeSet.html",
    ),
    Behaviour(
        "What is executed is what the change set was made of: a nested stack that AWS finds "
        "unchanged has been compared by AWS with the object itself, whose digest is not asked for "
        "again; the events of an execution begin after its change set",
        ("deploy/publishing.require_intact", "deploy/change.carry_out"),
        Witness.MODEL,
        "Updates a stack using the input information that was provided when the specified change "
        "set was created.",
        API + "API_ExecuteChangeSet.html",
        never_seen="whether the execution of a change set loads the template of a nested stack "
        "without changes once more",
    ),
    Behaviour(
        "A change set that is gone has a code of its own",
        ("stacks/changesets.find_own",),
        Witness.RECORDED,
        "ChangeSet [<cs-1-name>] does not exist",
        RECORDED + "api/test_changesets.snapshot.json (ChangeSetNotFound)",
    ),
    Behaviour(
        "A CreateChangeSet that is repeated after a lost answer may be refused: our own change "
        "set is known by the token in its description",
        ("stacks/changesets.create", "stacks/changesets.find_own"),
        Witness.MODEL,
        "Specify this token if you plan to retry requests so that CloudFormation knows that "
        "you're not attempting to create another change set with the same name.",
        API + "API_CreateChangeSet.html",
        never_seen="whether a repeated CreateChangeSet with the same token is answered as the "
        "first, or refused",
        either_way=True,
    ),
    Behaviour(
        "A change set's description says what it is kept for and until when, and stands in the "
        "listing; what this tool made and nobody needs any more is known by it",
        ("stacks/changesets.list_own", "stacks/changesets.discard_expired"),
        Witness.MODEL,
        "Descriptive information about the change set.",
        API + "API_ChangeSetSummary.html",
    ),
    Behaviour(
        "A change set for a new stack leaves an empty one behind, which is deleted with it",
        ("stacks/changesets.discard", "stacks/statuses.decide"),
        Witness.MODEL,
        "If you create a change set for a new stack, CloudFormation creates a stack with a unique "
        "stack ID, but no template or resources. The stack will be in the REVIEW_IN_PROGRESS state "
        "until you execute the change set.",
        API + "API_CreateChangeSet.html",
    ),
    Behaviour(
        "The empty nested stacks go with the root's change set; the root waits for that, but not "
        "for ever",
        ("stacks/changesets.discard",),
        Witness.MODEL,
        "DeleteChangeSet will delete all change sets that belong to the stacks hierarchy and will "
        "also delete all change sets for nested stacks with the status of REVIEW_IN_PROGRESS.",
        API + "API_DeleteChangeSet.html",
        never_seen="how long the empty nested stacks of a discarded creation take to go",
        either_way=True,
    ),
    Behaviour(
        "Only a change set is validated for quotas and the like, so a first creation makes one",
        ("deploy/change.carry_out",),
        Witness.DOCUMENT,
        "Four additional validations run during change set creation only: S3 bucket emptiness "
        "validation, service quota checks, Recorder conflict detection, and ECR repository delete "
        "readiness.",
        GUIDE + "validate-stack-deployments.html",
        never_seen="a warning of a validation inside a nested stack of a creation",
        either_way=True,
    ),
    Behaviour(
        "A creation that somebody overtook is refused with a ValidationError, known by its text",
        ("stacks/changesets.create",),
        Witness.RECORDED,
        "Stack [<stack-name:1>] already exists and cannot be created again with the changeSet "
        "[<change-set-name:1>].",
        RECORDED + "api/test_changesets.snapshot.json::test_name_conflicts (ValidationError)",
    ),
    Behaviour(
        "Early validation tells what it found only by DescribeEvents; where that cannot be "
        "called, the reason of the change set is all there is",
        ("stacks/early_validation.read",),
        Witness.MODEL,
        "Validation errors - Failures from CloudFormation Early Validations.",
        API + "API_DescribeEvents.html",
        never_seen="an answer of DescribeEvents, and so the order and the words of its findings",
        either_way=True,
    ),
    Behaviour(
        "A drift-aware change set confirms that it is one",
        ("stacks/previews.ChangeSet", "deploy/proposals.propose", "deploy/reverting.is_refused"),
        Witness.MODEL,
        "The deployment mode specified when the change set was created. Valid value is "
        "REVERT_DRIFT. Only present for drift-aware change sets.",
        API + "API_DescribeChangeSet.html",
        never_seen="how AWS refuses REVERT_DRIFT together with nested stacks, if it does, and "
        "whether it covers them otherwise: its own tool leaves nested stacks out of such change "
        "sets",
        either_way=True,
    ),
    Behaviour(
        "A DeletionPolicy that retains lets the resource live on when it leaves the template",
        ("data/loss.judge",),
        Witness.DOCUMENT,
        "To keep a resource when its stack is deleted, specify Retain for that resource.",
        REFERENCE + "aws-attribute-deletionpolicy.html",
    ),
    Behaviour(
        "Beside property values AWS can leave whole rows out, and says so only in the reason of a "
        "change set that was made: it is described once more without",
        ("stacks/previews.wait", "stacks/rows.merge"),
        Witness.RECORDED,
        "[WARN] --include-property-values option can return incomplete ChangeSet data because: "
        "ChangeSet creation failed for resource [Topic2] because: ...",
        RECORDED + "test_change_set*: describe-change-set-1-prop-values",
        never_seen="whether AWS ever leaves rows out without that warning",
        either_way=True,
    ),
    Behaviour(
        "A FAILED change set described with property values may have no reason: it is asked for "
        "once more without",
        ("stacks/previews.wait",),
        Witness.QUOTED,
        "the response does not include StatusReason if the change set Status is FAILED",
        GITHUB + "boto/boto3/issues/4178",
    ),
    Behaviour(
        "Replacement stands on Add rows as well, beside property values; it is a word about Modify",
        ("stacks/rows.read",),
        Witness.RECORDED,
        "Action: Add, Replacement: True",
        RECORDED + "test_change_set*: describe-change-set-2-prop-values",
    ),
    Behaviour(
        "An index that is added is Conditionally of AttributeDefinitions, whatever the edit: what "
        "AWS documents as the condition is settled from both trees",
        ("templates/proofs.settle", "templates/comparison.edits_an_item"),
        Witness.DOCUMENT,
        "Replacement if you edit an existing AttributeDefinition.",
        REFERENCE + "aws-resource-dynamodb-table.html",
    ),
    Behaviour(
        "What changes in one child makes siblings that read its outputs Dynamic, replacements "
        "included; what provably stays is said to, and a Static row is never overruled",
        ("templates/proofs.settle",),
        Witness.QUOTED,
        "although there're no changes to the bastion stack, it shows that there're changes and "
        "resources will be replaced",
        GITHUB + "aws-cloudformation/cloudformation-coverage-roadmap/issues/759",
        never_seen="what a row inside a nested stack says of a value that comes from a sibling, "
        "and whether Replacement is ever True there with Dynamic causes alone",
        either_way=True,
    ),
    Behaviour(
        "AWS's Static False wins over what a schema calls conditional",
        ("templates/comparison.compare", "data/loss.merge"),
        Witness.RECORDED,
        "Evaluation: Static, RequiresRecreation: Never",
        RECORDED + "test_change_set*: describe-change-set-2",
    ),
    Behaviour(
        "A change of exports, of a child's outputs or of a nested stack's policy has no row: whole "
        "templates are compared before anything is called up to date",
        ("templates/remainder.list_differences",),
        Witness.QUOTED,
        "",
        GITHUB + "jenkinsci/pipeline-aws-plugin/issues/210",
        never_seen="the answer to a change set with nested stacks of which only outputs change",
        either_way=True,
    ),
    Behaviour(
        "A change set whose execution is refused stays, and is discarded; the history says what "
        "AWS said",
        ("deploy/proposals.discarding_refused", "deploy/records.refusals"),
        Witness.MODEL,
        "CloudFormation doesn't make changes until you execute the change set.",
        API + "API_CreateChangeSet.html",
    ),
)
