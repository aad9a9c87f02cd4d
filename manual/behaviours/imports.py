"""What CloudFormation does with resources that exist already and are to come under a stack."""

from __future__ import annotations

from emulator.sources import GITHUB, GUIDE, REFERENCE, Witness
from manual.behaviours.behaviour import Behaviour

SUBJECT = "Imports"

AUTOMATICALLY = GUIDE + "import-resources-automatically.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "A nested stack's resource is imported by a change set of the root",
        ("rescue/imports.import_successors", "stacks/changesets.create"),
        Witness.DOCUMENT,
        "For nested stacks, create the change set from the root stack.",
        AUTOMATICALLY,
        never_seen="the whole way: a nested change set whose row says Import, and its execution",
    ),
    Behaviour(
        "Only a name that stands in the template is imported, so the import has a release of its "
        "own, and a parameter keeps the name afterwards",
        ("rescue/surgery.take_in", "templates/naming.list_namings", "rescue/imports.settle"),
        Witness.DOCUMENT,
        "The resource must have a static custom name defined in your template. Dynamic names "
        "(using !Ref or other functions) are not currently supported.",
        AUTOMATICALLY,
        never_seen="that a literal name and a parameter of the same value are no change",
    ),
    Behaviour(
        "What is to be imported has to be retained",
        ("rescue/surgery.require_kept",),
        Witness.DOCUMENT,
        "The resource must have a DeletionPolicy of Retain or RetainExceptOnCreate.",
        AUTOMATICALLY,
    ),
    Behaviour(
        "What a stack has cannot be imported into another; AWS looks when the change set is made, "
        "so that a change set which is never executed asks it beforehand",
        ("rescue/imports.rehearse", "rescue/adoption.require_free"),
        Witness.DOCUMENT,
        "The resource must not already belong to another CloudFormation stack.",
        AUTOMATICALLY,
        never_seen="whether early validation minds a name that is imported",
        either_way=True,
    ),
    Behaviour(
        "An IMPORT change set does not reach into nested stacks",
        ("rescue/imports.import_successors",),
        Witness.QUOTED,
        "IncludeNestedStacks is not supported for changeSet type: IMPORT.",
        GITHUB + "go-to-k/cdkd/pull/582",
    ),
    Behaviour(
        "A resource whose identifier AWS makes, such as a user pool, is not imported this way: its "
        "schema has UserPoolId both as primaryIdentifier and among readOnlyProperties",
        ("templates/schemas.is_named_by_aws", "templates/naming.NAME_PROPERTIES"),
        Witness.DOCUMENT,
        "The primary ID for the resource type must be in the template. Primary IDs with read only "
        "properties aren't supported.",
        AUTOMATICALLY,
        never_seen="an IMPORT change set of a nested stack itself, which would take a user pool by "
        "its UserPoolId; AWS documents that neither way",
        reason="a user pool would have to be imported into the nested stack itself, with its "
        "client, group and users; its users are invited again or moved by hand",
    ),
    Behaviour(
        "A resource that leaves a template is kept by the policy that it was deployed with",
        ("rescue/surgery.leave_out",),
        Witness.DOCUMENT,
        "Note that this capability also applies to update operations that lead to resources being "
        "removed.",
        "https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.CfnDeletionPolicy.html",
    ),
    Behaviour(
        "A bucket has one policy, so that it leaves and comes with its bucket",
        ("rescue/surgery.COMPANIONS",),
        Witness.SCHEMA,
        "primaryIdentifier: Bucket",
        REFERENCE + "aws-resource-s3-bucketpolicy.html",
        never_seen="whether the policy of an imported bucket is imported or made anew",
        either_way=True,
    ),
    Behaviour(
        "An import does not compare a resource with its template, so keys and indexes are compared "
        "before, and drift is detected afterwards",
        ("rescue/fitting.require_table", "rescue/passage.finish"),
        Witness.DOCUMENT,
        "After the import is complete and before performing subsequent stack operations, we "
        "recommend running drift detection on imported resources.",
        AUTOMATICALLY,
    ),
    Behaviour(
        "A function without concurrency takes no call; what it has begun may go on until its "
        "timeout",
        ("rescue/writers.stop",),
        Witness.DOCUMENT,
        "To throttle a function, set the reserved concurrency to zero. This stops any events from "
        "being processed until you remove the limit.",
        LAMBDA,
    ),
    Behaviour(
        "Deleted stacks are listed, with their events, for 90 days",
        ("rescue/adoption.find_leftovers",),
        Witness.MODEL,
        "Summary information for stacks that have been deleted is kept for 90 days after the stack "
        "is deleted.",
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html",
    ),
    Behaviour(
        "A physical ID leads to the stack that has the resource; one that none has is a "
        "ValidationError",
        ("rescue/adoption.find_owner",),
        Witness.MODEL,
        "If PhysicalResourceId is specified, the associated resources of the stack that the "
        "resource belongs to are returned.",
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/"
        "API_DescribeStackResources.html",
        never_seen="AWS's words for a resource that no stack has",
        either_way=True,
    ),
    Behaviour(
        "A restored table is encrypted with DynamoDB's own key unless the restore says otherwise",
        ("data/new_tables.create_from",),
        Witness.MODEL,
        "The new server-side encryption settings for the restored table.",
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/"
        "API_RestoreTableFromBackup.html",
    ),
)
