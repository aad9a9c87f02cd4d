"""Change sets are read whole, nested ones included.

Emulators lack nested change sets or simplify them, so the proof is against responses of the
shape that AWS documents:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/change-sets-for-nested-stacks.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lib.errors import OperationFailed
from lib.polling import Clock
from lib.stacks import previews, rows
from lib.stacks.previews import ChangeSet, ChangeSetStale, Unmade
from lib.templates.changes import Cause, Change
from lib.templates.templates import STACK_TYPE
from tests.support.answers import Aws, Json, error

ARN = "arn:aws:cloudformation:us-west-2:123456789012"
ROOT = f"{ARN}:changeSet/my-root-stack-change-set/4eca1a01-e285-xmpl-8026-9a1967bfb4b0"
CHILD = f"{ARN}:changeSet/my-nested-stack-change-set/4eca1a01-e285-xmpl-8026-9a1967bfb4b1"
GRANDCHILD = f"{ARN}:changeSet/my-deep-stack-change-set/4eca1a01-e285-xmpl-8026-9a1967bfb4b2"
ROOT_STACK = f"{ARN}:stack/my-root-stack/d0a825a0-e4cd-xmpl-b9fb-061c69e99204"
CHILD_STACK = f"{ARN}:stack/my-nested-stack/d0a825a0-e4cd-xmpl-b9fb-061c69e99205"
NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)
ECHO = f"Nested change set {CHILD} was not successfully created: Currently in FAILED."


def nested_row(logical_id: str, change_set_id: str = "", action: str = "Modify") -> Json:
    """Return a nested stack's row as AWS documents it."""
    change: Json = {
        "Action": action,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": CHILD_STACK,
        "ResourceType": "AWS::CloudFormation::Stack",
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [
            {
                "Target": {"Attribute": "Properties", "RequiresRecreation": "Never"},
                "Evaluation": "Dynamic",
                "ChangeSource": "Automatic",
            }
        ],
    }
    if change_set_id:
        change["ChangeSetId"] = change_set_id
    return {"Type": "Resource", "ResourceChange": change}


def row(logical_id: str, type_name: str = "AWS::DynamoDB::Table", **more: Any) -> Json:
    change = {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": f"physical-{logical_id}",
        "ResourceType": type_name,
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [],
    } | more
    return {
        "Type": "Resource",
        "ResourceChange": {key: value for key, value in change.items() if value is not None},
    }


def detail(name: str, **target: Any) -> Json:
    return {
        "Target": {
            "Attribute": "Properties",
            "Name": name,
            "RequiresRecreation": "Never",
            **target,
        },
        "Evaluation": "Static",
        "ChangeSource": "DirectModification",
    }


def described(change_set_id: str, *changes: Json, **more: Any) -> Json:
    """Return an answer of DescribeChangeSet as AWS documents it."""
    is_root = change_set_id == ROOT
    answer: Json = {
        "Changes": list(changes),
        "ChangeSetName": change_set_id.split("/")[1],
        "ChangeSetId": change_set_id,
        "StackId": ROOT_STACK if is_root else CHILD_STACK,
        "StackName": "my-root-stack" if is_root else "my-nested-stack",
        "IncludeNestedStacks": True,
        "CreationTime": datetime(2020, 11, 18, 5, 20, 56, tzinfo=UTC),
        "ExecutionStatus": "AVAILABLE" if is_root else "UNAVAILABLE",
        "Status": "CREATE_COMPLETE",
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": ["CAPABILITY_IAM"],
    }
    if not is_root:
        answer |= {
            "ParentChangeSetId": ROOT,
            "RootChangeSetId": ROOT,
            "StatusReason": "Executable from root change set",
        }
    return answer | more


def failed(change_set_id: str, reason: str, *changes: Json) -> Json:
    return described(
        change_set_id,
        *changes,
        Status="FAILED",
        StatusReason=reason,
        ExecutionStatus="UNAVAILABLE",
    )


def waited(aws: Aws, clock: Clock, kind: str = "UPDATE") -> ChangeSet:
    return previews.wait(aws.client, ROOT, kind=kind, clock=clock)


# Reading


def test_the_documented_example_of_a_nested_change_set_is_read_by_its_change_set_id(
    clock: Clock, pauses: list[float]
) -> None:
    client = Aws().client
    function = row("function", "AWS::Lambda::Function", Details=[detail("Timeout")])
    function["ResourceChange"]["PhysicalResourceId"] = "my-function"
    with Stubber(client) as stubber:
        asked: list[tuple[str, Json, Json]] = [
            (ROOT, nested_row("ChildStack", CHILD), {}),
            (CHILD, function, {}),
            (CHILD, function, {"IncludePropertyValues": True}),
        ]
        for arn, change, more in asked:
            stubber.add_response(
                "describe_change_set", described(arn, change), {"ChangeSetName": arn, **more}
            )
        found = previews.wait(client, ROOT, kind="UPDATE", clock=clock)
        stubber.assert_no_pending_responses()
    (change,) = found.changes
    assert change.path == "ChildStack/function"
    assert change.type == "AWS::Lambda::Function"
    assert (change.action, change.replacement) == ("Modify", "False")
    assert change.physical_id == "my-function"
    assert [(c.property, c.requires_recreation) for c in change.causes] == [("Timeout", "Never")]
    assert found.complete
    assert found.problems == ()
    assert found.id == ROOT
    assert (found.stack_id, found.stack_name) == (ROOT_STACK, "my-root-stack")
    assert not found.is_empty
    assert pauses == []


def test_parent_and_child_are_read_page_by_page(aws: Aws, clock: Clock) -> None:
    one, two, three = (row(f"Table{n}") for n in (1, 2, 3))
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("Bucket"), NextToken="p2"))
    aws.reply("DescribeChangeSet", f"{ROOT}p2", described(ROOT, nested_row("Data", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, one, NextToken="c2"))
    aws.reply("DescribeChangeSet", f"{CHILD}c2", described(CHILD, two, NextToken="c3"))
    aws.reply("DescribeChangeSet", f"{CHILD}c3", described(CHILD, three))
    found = waited(aws, clock)
    assert [c.path for c in found.changes] == [
        "Bucket",
        "Data/Table1",
        "Data/Table2",
        "Data/Table3",
    ]


def test_children_of_children_are_read_too(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("A", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, nested_row("B", GRANDCHILD)))
    aws.reply("DescribeChangeSet", GRANDCHILD, described(GRANDCHILD, row("Table")))
    assert [c.path for c in waited(aws, clock).changes] == ["A/B/Table"]


def test_nested_changes_stand_where_their_stack_stands(aws: Aws, clock: Clock) -> None:
    rows = [nested_row("First", CHILD), row("Middle"), nested_row("Last", GRANDCHILD)]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, row("T")))
    aws.reply("DescribeChangeSet", GRANDCHILD, described(GRANDCHILD, row("T")))
    assert [c.path for c in waited(aws, clock).changes] == ["First/T", "Middle", "Last/T"]


def test_a_stack_that_only_may_change_is_no_row_when_nothing_changes_in_it(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("Data", CHILD), row("Topic")))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    found = waited(aws, clock)
    assert [c.path for c in found.changes] == ["Topic"]
    assert found.complete
    assert found.problems == ()


def test_a_nested_stack_that_comes_or_goes_is_a_row(aws: Aws, clock: Clock) -> None:
    rows = [nested_row("New", CHILD, "Add"), nested_row("Old", action="Remove")]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, row("T", Action="Add")))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    found = waited(aws, clock)
    assert [(c.path, c.action) for c in found.changes] == [
        ("New", "Add"),
        ("New/T", "Add"),
        ("Old", "Remove"),
    ]
    # AWS makes no change set for a stack that goes.
    assert found.complete


def test_an_endpoint_without_nested_change_sets_is_not_taken_for_complete(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("Data")))
    found = waited(aws, clock)
    assert found.changes == ()
    assert not found.complete
    assert not found.is_empty


def test_a_nested_change_set_that_vanished_makes_it_incomplete(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("Data", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, error("ChangeSetNotFound"))
    assert not waited(aws, clock).complete


def test_an_empty_change_set_costs_one_call(aws: Aws, clock: Clock, pauses: list[float]) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, NO_CHANGES))
    found = waited(aws, clock)
    assert found.is_empty
    assert found.complete
    assert len(aws.asked) == 1
    assert pauses == []


@pytest.mark.parametrize("reason", [NO_CHANGES, "No updates are to be performed."])
def test_both_of_awss_ways_to_say_no_changes_are_understood(reason: str) -> None:
    assert previews.says_no_changes(reason)


def test_a_change_set_that_failed_otherwise_is_not_empty(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, "Requires capabilities : [CAPABILITY_IAM]"))
    aws.reply("DescribeEvents", ROOT, error("InvalidAction", "no such operation"))
    found = waited(aws, clock)
    assert not found.is_empty
    assert found.problems == ("Requires capabilities : [CAPABILITY_IAM]",)


def test_a_root_that_failed_over_an_unchanged_nested_stack_is_empty(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    found = waited(aws, clock)
    assert found.is_empty
    assert found.problems == ()


def test_waiting_goes_on_while_the_change_set_is_made_with_growing_pauses(
    aws: Aws, clock: Clock, pauses: list[float]
) -> None:
    pending = described(ROOT, Status="CREATE_IN_PROGRESS")
    aws.reply(
        "DescribeChangeSet",
        ROOT,
        described(ROOT, Status="CREATE_PENDING"),
        *[pending] * 30,
        described(ROOT, row("T")),
    )
    assert [c.path for c in waited(aws, clock).changes] == ["T"]
    assert pauses[0] == previews.FIRST_PAUSE
    assert pauses[-1] > pauses[0]


def test_nested_change_sets_still_being_made_are_waited_for_even_when_the_root_has_failed(
    aws: Aws, clock: Clock
) -> None:
    aws.reply(
        "DescribeChangeSet",
        ROOT,
        failed(ROOT, ECHO, nested_row("Bad", CHILD), nested_row("Slow", GRANDCHILD)),
    )
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, "Template format error: no."))
    aws.reply("DescribeEvents", CHILD, {"OperationEvents": []})
    aws.reply(
        "DescribeChangeSet",
        GRANDCHILD,
        described(GRANDCHILD, Status="CREATE_IN_PROGRESS"),
        described(GRANDCHILD, row("Table")),
    )
    found = waited(aws, clock)
    assert [c.path for c in found.changes] == ["Slow/Table"]
    assert found.problems == ("Bad: Template format error: no.",)
    assert not found.complete


def test_a_change_set_that_never_gets_made_is_given_up(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, Status="CREATE_IN_PROGRESS"))
    with pytest.raises(OperationFailed, match="30 minutes"):
        waited(aws, clock)


def test_throttled_looks_are_repeated(aws: Aws, clock: Clock, pauses: list[float]) -> None:
    aws.reply(
        "DescribeChangeSet", ROOT, error("Throttling", "Rate exceeded"), described(ROOT, row("T"))
    )
    assert len(waited(aws, clock).changes) == 1
    assert pauses == [1.0]


def test_a_change_set_that_is_gone_is_stale(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, error("ChangeSetNotFound"))
    with pytest.raises(ChangeSetStale):
        waited(aws, clock)


def test_other_errors_pass_as_they_are(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, error("AccessDenied"))
    with pytest.raises(ClientError):
        waited(aws, clock)


def test_confirmation_that_drift_is_reverted_is_read(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("T"), DeploymentMode="REVERT_DRIFT"))
    assert waited(aws, clock).reverts_drift


# What a row says


def read_row(aws: Aws, clock: Clock, **more: Any) -> Change:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("Thing", **more)))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    (change,) = waited(aws, clock).changes
    return change


def test_policy_action_drift_and_values_are_read(aws: Aws, clock: Clock) -> None:
    change = read_row(
        aws,
        clock,
        Replacement="True",
        PolicyAction="ReplaceAndRetain",
        ResourceDriftStatus="MODIFIED",
        Details=[
            detail(
                "TableName",
                RequiresRecreation="Always",
                Path="/Properties/TableName",
                BeforeValue="jobs",
                AfterValue="jobs2",
                AttributeChangeType="Modify",
            )
        ],
    )
    assert change.replacement == "True"
    assert change.policy_action == "ReplaceAndRetain"
    assert change.drift == "MODIFIED"
    (cause,) = change.causes
    assert (cause.property, cause.name) == ("TableName", "TableName")
    assert (cause.before, cause.after) == ("jobs", "jobs2")
    assert cause.requires_recreation == "Always"
    assert cause.source == "DirectModification"


def test_a_list_is_one_property_and_deeper_ones_keep_their_path(aws: Aws, clock: Clock) -> None:
    change = read_row(
        aws,
        clock,
        Details=[
            detail("KeySchema", Path="/Properties/KeySchema/0/AttributeName"),
            detail("Environment", Path="/Properties/Environment/Variables/STAGE"),
            {"Target": {"Attribute": "Tags", "Path": "/Properties/Tags/0"}},
            {"Target": {"Attribute": "DeletionPolicy"}},
        ],
    )
    assert [c.property for c in change.causes] == [
        "KeySchema",
        "Environment/Variables/STAGE",
        "Tags",
        "DeletionPolicy",
    ]
    assert [c.name for c in change.causes][1] == "Environment"


def test_one_property_reported_twice_is_one_cause_with_both_sources(aws: Aws, clock: Clock) -> None:
    twice = [
        detail("VpcId") | {"Evaluation": "Dynamic"},
        detail("VpcId", RequiresRecreation="Always")
        | {"ChangeSource": "ParameterReference", "CausingEntity": "VpcId"},
    ]
    (cause,) = read_row(aws, clock, Details=twice).causes
    assert cause.requires_recreation == "Always"
    assert cause.source == "DirectModification, ParameterReference VpcId"


def test_values_that_aws_does_not_give_are_put_into_words(aws: Aws, clock: Clock) -> None:
    (cause,) = read_row(
        aws,
        clock,
        Details=[
            detail(
                "Role",
                Path="/Properties/Role",
                BeforeValue="(Truncated-Signature):8892463b805f7adf",
                AfterValue='["{{changeSet:KNOWN_AFTER_APPLY}}"]',
            )
        ],
    ).causes
    assert cause.before == "(too long to show)"
    assert cause.after == '["(known after the update)"]'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/Properties/MasterUserPassword", "hunter2"),
        ("/Properties/Environment/Variables/GITHUB_TOKEN", "hunter2"),
        ("/Properties/Environment", '{"Variables":{"DB_PASSWORD":"hunter2"}}'),
        ("/Properties/Environment", '[{"Name":"DB_PASSWORD","Value":"hunter2"}]'),
        ("/Properties/Environment", '{"Variables":{"DB_PASSWORD":"hunter2","cut'),
        ("/Properties/ContainerDefinitions/0/Environment/1/Value", "hunter2"),
    ],
)
def test_secret_looking_values_are_masked(aws: Aws, clock: Clock, path: str, value: str) -> None:
    context = {
        "Properties": {
            "ContainerDefinitions": [
                {"Environment": [{"Name": "A"}, {"Name": "API_CREDENTIAL", "Value": "hunter2"}]}
            ]
        }
    }
    name = path.split("/")[2]
    change = read_row(
        aws,
        clock,
        AfterContext=json.dumps(context),
        Details=[detail(name, Path=path, AfterValue=value)],
    )
    (cause,) = change.causes
    assert "hunter2" not in cause.after
    assert "****" in cause.after


def test_a_key_schema_is_no_secret(aws: Aws, clock: Clock) -> None:
    value = '[{"AttributeName":"job_id","KeyType":"HASH"}]'
    (cause,) = read_row(
        aws, clock, Details=[detail("KeySchema", Path="/Properties/KeySchema", AfterValue=value)]
    ).causes
    assert "job_id" in cause.after


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([], "Conditional"),
        ([detail("X", RequiresRecreation="Always")], "True"),
        ([detail("X", RequiresRecreation="Always") | {"Evaluation": "Dynamic"}], "Conditional"),
        ([detail("X", RequiresRecreation="Conditionally"), detail("Y")], "Conditional"),
        ([detail("X")], "False"),
        ([{"Target": {"Attribute": "Properties", "Name": "X"}}], "Conditional"),
        ([{"Target": {"Attribute": "Tags"}}], "False"),
    ],
)
def test_a_missing_replacement_is_worked_out_by_awss_rule_or_taken_for_possible(
    aws: Aws, clock: Clock, details: list[Json], expected: str
) -> None:
    assert read_row(aws, clock, Replacement=None, Details=details).replacement == expected


def test_a_change_of_tags_without_any_detail_replaces_nothing(aws: Aws, clock: Clock) -> None:
    assert read_row(aws, clock, Replacement=None, Scope=["Tags"]).replacement == "False"
    assert read_row(aws, clock, Replacement=None, Action="Remove").replacement == "False"


# Failed validations


def validation(**more: Any) -> Json:
    return {
        "EventId": "1",
        "StackId": CHILD_STACK,
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": "NotificationBucket",
        "ResourceType": "AWS::S3::Bucket",
        "Timestamp": datetime(2026, 7, 1, tzinfo=UTC),
        "ValidationFailureMode": "FAIL",
        "ValidationName": "PROPERTY_VALIDATION",
        "ValidationStatus": "FAILED",
        "ValidationStatusReason": "required key [Event] not found",
        "ValidationPath": "/Resources/NotificationBucket/Properties/NotificationConfiguration",
    } | more


def test_a_failed_validation_in_a_nested_stack_is_told_with_its_property_path(
    aws: Aws, clock: Clock
) -> None:
    early = "The following hook(s)/validation failed: [AWS::EarlyValidation::PropertyValidation]."
    progress = {"EventId": "0", "StackId": CHILD_STACK, "EventType": "STACK_EVENT"}
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO, nested_row("Data", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, early, row("NotificationBucket")))
    aws.reply(
        "DescribeEvents",
        CHILD,
        {"OperationEvents": [progress, validation()], "NextToken": "n"},
    )
    aws.reply("DescribeEvents", f"{CHILD}n", {"OperationEvents": [validation(EventId="2")]})
    found = waited(aws, clock)
    (problem,) = found.problems
    assert problem == (
        "Data/NotificationBucket (AWS::S3::Bucket): required key [Event] not found at "
        "/Resources/NotificationBucket/Properties/NotificationConfiguration"
    )
    assert [c.path for c in found.changes] == ["Data/NotificationBucket"]


@pytest.mark.parametrize("code", ["InvalidAction", "AccessDenied", "400"])
def test_without_describe_events_the_reason_of_the_change_set_is_told(
    aws: Aws, clock: Clock, code: str
) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, "Template error: broken."))
    aws.reply("DescribeEvents", ROOT, error(code, ""))
    assert waited(aws, clock).problems == ("Template error: broken.",)


def test_a_nested_failure_that_the_root_does_not_list_is_found_by_its_arn(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, "Parameters: [X] must have values"))
    aws.reply("DescribeEvents", CHILD, {"OperationEvents": []})
    assert waited(aws, clock).problems == ("Parameters: [X] must have values",)


def test_warnings_of_the_validation_do_not_count_as_problems(aws: Aws, clock: Clock) -> None:
    warning = validation(
        ValidationFailureMode="WARN", ValidationStatusReason="The bucket is not empty"
    )
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("B", Action="Remove")))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": [warning]})
    found = waited(aws, clock)
    assert found.problems == ()
    assert "The bucket is not empty" in found.warnings[0]


# What AWS leaves out of one of its two descriptions


LEFT_OUT = (
    "[WARN] --include-property-values option can return incomplete ChangeSet data because: "
    "ChangeSet creation failed for resource [Jobs] because: Template error: every Fn::Join "
    "object requires two parameters"
)


@pytest.mark.parametrize("warning", [{"StatusReason": LEFT_OUT}, {}])
def test_a_row_that_aws_leaves_out_beside_values_is_not_lost(
    aws: Aws, clock: Clock, warning: Json
) -> None:
    """Both are recorded: with the warning, and without a word."""
    replaced = row("Jobs", Replacement="True", Details=[detail("TableName")])
    named = row("Topic", "AWS::SNS::Topic", Details=[detail("DisplayName")])
    shown = detail("DisplayName", Path="/Properties/DisplayName", BeforeValue="a", AfterValue="b")
    valued = row("Topic", "AWS::SNS::Topic", Details=[shown])
    aws.reply(
        "DescribeChangeSet",
        ROOT,
        described(ROOT, replaced, named),
        described(ROOT, valued, **warning),
    )
    jobs, topic = waited(aws, clock).changes
    assert (jobs.path, jobs.replacement) == ("Jobs", "True")
    assert [(c.property, c.before, c.after) for c in topic.causes] == [("DisplayName", "a", "b")]
    assert [
        call.get("IncludePropertyValues", False) for call in aws.calls("DescribeChangeSet")
    ] == [
        False,
        True,
    ]


def test_a_row_that_only_the_values_have_is_not_lost_either(aws: Aws, clock: Clock) -> None:
    aws.reply(
        "DescribeChangeSet", ROOT, described(ROOT, row("A")), described(ROOT, row("A"), row("B"))
    )
    assert [c.path for c in waited(aws, clock).changes] == ["A", "B"]


def test_a_detail_that_aws_leaves_out_beside_values_is_not_lost(aws: Aws, clock: Clock) -> None:
    both = [detail("TableName", RequiresRecreation="Always"), detail("Tags")]
    aws.reply(
        "DescribeChangeSet",
        ROOT,
        described(ROOT, row("Jobs", Replacement="True", Details=both)),
        described(ROOT, row("Jobs", Replacement="False", Details=both[1:])),
    )
    (change,) = waited(aws, clock).changes
    assert change.replacement == "True"
    assert set(change.properties) == {"TableName", "Tags"}


def test_values_are_not_asked_for_where_nothing_is_modified(aws: Aws, clock: Clock) -> None:
    rows = [nested_row("Data", CHILD), row("New", Action="Add")]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, row("Old", Action="Remove")))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    assert len(waited(aws, clock).changes) == 2
    assert len(aws.calls("DescribeChangeSet")) == 2


def test_a_change_set_that_vanishes_before_its_values_are_read_is_stale(
    aws: Aws, clock: Clock
) -> None:
    aws.reply(
        "DescribeChangeSet", ROOT, described(ROOT, row("T")), error("ChangeSetNotFound", "gone")
    )
    with pytest.raises(ChangeSetStale):
        waited(aws, clock)


def test_why_a_change_set_failed_is_read_without_values_beside_which_aws_may_leave_it_out(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, NO_CHANGES))
    assert waited(aws, clock).is_empty
    assert [dict(call) for call in aws.calls("DescribeChangeSet")] == [{"ChangeSetName": ROOT}]


def test_what_is_added_is_never_told_as_replaced(aws: Aws, clock: Clock) -> None:
    assert read_row(aws, clock, Action="Add", Replacement="True").replacement == "False"


def test_what_changes_only_because_another_resource_does_is_told_apart(
    aws: Aws, clock: Clock
) -> None:
    because = {"ChangeSource": "ResourceAttribute", "CausingEntity": "Topic1.DisplayName"}
    echo = detail("DisplayName") | {"Evaluation": "Dynamic"}
    assert read_row(aws, clock, Details=[detail("DisplayName") | because, echo]).follows
    assert not read_row(aws, clock, Details=[detail("DisplayName"), echo]).follows


def test_an_output_that_is_still_to_come_is_put_into_words(aws: Aws, clock: Clock) -> None:
    placeholder = "{{IntrinsicFunction:app/Auth.Outputs.PoolArn/Fn::GetAtt}}"
    shown = detail("Arn", Path="/Properties/Arn", BeforeValue="arn:a", AfterValue=placeholder)
    (cause,) = read_row(aws, clock, Details=[shown]).causes
    assert (cause.before, cause.after) == ("arn:a", "(known after the update)")


def test_two_long_values_show_where_they_differ(aws: Aws, clock: Clock) -> None:
    statements = [{"Sid": f"S{n}", "Action": f"s3:Get{'x' * 30}{n}"} for n in range(12)]
    before = json.dumps({"Statement": statements})
    after = json.dumps({"Statement": [*statements[:-1], {"Sid": "S11", "Action": "s3:Put"}]})
    shown = detail(
        "PolicyDocument", Path="/Properties/PolicyDocument", BeforeValue=before, AfterValue=after
    )
    (cause,) = read_row(aws, clock, Details=[shown]).causes
    assert cause.after == '{"Statement":[{"Action":"s3:Put","Sid":"S11"}]}'
    assert "S0" not in cause.before


# What nothing changes in


def test_nested_stacks_in_which_nothing_changes_are_told_apart(aws: Aws, clock: Clock) -> None:
    quiet, moves = f"{CHILD}-quiet", f"{CHILD}-moves"
    rows = [nested_row("ChildStack", CHILD), nested_row("Quiet", quiet), nested_row("Moves", moves)]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    aws.reply("DescribeChangeSet", quiet, described(quiet))
    aws.reply("DescribeChangeSet", moves, described(moves, row("T")))
    found = waited(aws, clock)
    assert found.silent == {"ChildStack", "Quiet"}
    # Of the other one AWS may still load the template, for its outputs or its tags.
    assert found.unchanged == {"ChildStack": CHILD}
    assert found.created == datetime(2020, 11, 18, 5, 20, 56, tzinfo=UTC)


def test_a_nested_stack_whose_change_set_failed_otherwise_is_not_unchanged(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("ChildStack", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, "Template error"))
    aws.reply("DescribeEvents", CHILD, {"OperationEvents": []})
    assert waited(aws, clock).unchanged == {}


def test_what_was_found_unchanged_before_is_not_described_again(aws: Aws, clock: Clock) -> None:
    other = f"{CHILD}-other"
    rows = [nested_row("ChildStack", CHILD), nested_row("Other", other)]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    aws.reply("DescribeChangeSet", other, described(other, row("T")))
    first = waited(aws, clock)
    before = len(aws.calls("DescribeChangeSet"))
    again = previews.wait(
        aws.client, ROOT, kind="UPDATE", clock=clock, unchanged=dict(first.unchanged)
    )
    assert again == first
    asked = [call["ChangeSetName"] for call in aws.calls("DescribeChangeSet")[before:]]
    assert CHILD not in asked
    assert {ROOT, other} == set(asked)


def test_another_change_set_of_a_nested_stack_found_unchanged_is_described(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("ChildStack", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD, row("T")))
    known = {"ChildStack": f"{CHILD}-of-before"}
    found = previews.wait(aws.client, ROOT, kind="UPDATE", clock=clock, unchanged=known)
    assert [change.path for change in found.changes] == ["ChildStack/T"]


# Everything that a change set says of itself


def test_a_change_set_says_what_it_is_and_whether_it_can_be_executed(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("T"), StatusReason="fine"))
    found = waited(aws, clock, kind="CREATE")
    assert (found.kind, found.name, found.status) == (
        "CREATE",
        "my-root-stack-change-set",
        "CREATE_COMPLETE",
    )
    assert (found.reason, found.execution) == ("fine", "AVAILABLE")
    assert not found.reverts_drift
    assert (found.failures, found.warnings) == ((), ())


def test_an_endpoint_that_says_little_leaves_the_rest_empty(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, {"Status": "CREATE_COMPLETE"})
    found = waited(aws, clock)
    assert found == ChangeSet(
        *(ROOT, "", "", "", "CREATE_COMPLETE", "", "UPDATE", ()), complete=True
    )


def test_failures_are_kept_with_the_path_of_their_stack_and_without_the_root_s_echo(
    aws: Aws, clock: Clock
) -> None:
    rows = [nested_row("Data", CHILD), row("T")]
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO, *rows))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, "Template error: no."))
    aws.reply("DescribeEvents", CHILD, {"OperationEvents": []})
    found = waited(aws, clock)
    assert found.failures == (Unmade("Data", "Template error: no."),)
    assert [str(one) for one in found.failures] == ["Data: Template error: no."]
    assert found.problems == ("Data: Template error: no.",)
    assert str(Unmade("", "no")) == "no"


def test_an_echo_that_nothing_explains_is_told_where_something_would_change(
    aws: Aws, clock: Clock
) -> None:
    rows = [nested_row("Data", CHILD), row("T")]
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO, *rows))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    found = waited(aws, clock)
    assert found.problems == (ECHO,)
    assert not found.is_empty


def test_a_nested_stack_that_is_added_without_a_change_set_makes_it_incomplete(
    aws: Aws, clock: Clock
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("New", action="Add")))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    found = waited(aws, clock)
    assert [(c.path, c.action) for c in found.changes] == [("New", "Add")]
    assert not found.complete


def test_a_nested_stack_that_is_imported_is_a_row(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("In", CHILD, "Import")))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD))
    assert [(c.path, c.action) for c in waited(aws, clock).changes] == [("In", "Import")]


def test_a_stack_is_silent_although_one_whose_name_begins_the_same_is_not(
    aws: Aws, clock: Clock
) -> None:
    rows = [nested_row("Data", CHILD), nested_row("Data2", GRANDCHILD)]
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, *rows))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD))
    aws.reply("DescribeChangeSet", GRANDCHILD, described(GRANDCHILD, row("T")))
    assert waited(aws, clock).silent == {"Data"}


def test_a_nested_stack_that_comes_is_not_silent_by_itself(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, nested_row("New", CHILD, "Add")))
    aws.reply("DescribeChangeSet", CHILD, described(CHILD))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    assert waited(aws, clock).silent == frozenset()


@pytest.mark.parametrize(("action", "looked"), [("Add", 1), ("Remove", 1), ("Modify", 0)])
def test_aws_is_asked_for_warnings_only_of_what_comes_or_goes(
    aws: Aws, clock: Clock, action: str, looked: int
) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("B", Action=action)))
    aws.reply("DescribeEvents", ROOT, {"OperationEvents": []})
    waited(aws, clock)
    assert len(aws.calls("DescribeEvents")) == looked


def test_a_failed_change_set_is_not_asked_for_warnings(aws: Aws, clock: Clock) -> None:
    rows = [row("New", Action="Add"), nested_row("Data", CHILD)]
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, ECHO, *rows))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, NO_CHANGES))
    assert waited(aws, clock).warnings == ()
    assert aws.calls("DescribeEvents") == []


def test_what_stands_in_the_way_of_reading_says_what_to_do(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, error("ChangeSetNotFound"))
    with pytest.raises(ChangeSetStale) as gone:
        waited(aws, clock)
    assert gone.value.message == (
        f"The change set {ROOT} cannot be used any more: it does not exist any more Nothing was "
        "changed."
    )
    assert gone.value.next_step.startswith("run the same command again")
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, Status="CREATE_PENDING"))
    with pytest.raises(OperationFailed) as slow:
        waited(aws, clock)
    assert slow.value.message == f"AWS has not made the change set {ROOT} in 30 minutes."
    assert slow.value.next_step.startswith("run the same command again")


def test_a_denied_look_at_a_page_passes_as_it_is(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, row("T"), NextToken="p2"))
    aws.reply("DescribeChangeSet", f"{ROOT}p2", error("AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        waited(aws, clock)


def test_values_are_read_page_by_page_too(aws: Aws, clock: Clock) -> None:
    shown = detail("A", Path="/Properties/A", BeforeValue="1", AfterValue="2")
    aws.reply(
        "DescribeChangeSet",
        ROOT,
        described(ROOT, row("One"), row("Two")),
        described(ROOT, row("One"), NextToken="v2"),
    )
    aws.reply("DescribeChangeSet", f"{ROOT}v2", described(ROOT, row("Two", Details=[shown])))
    one, two = waited(aws, clock).changes
    assert (one.causes, [c.after for c in two.causes]) == ((), ["2"])
    assert aws.calls("DescribeChangeSet")[-1] == {
        "ChangeSetName": ROOT,
        "NextToken": "v2",
        "IncludePropertyValues": True,
    }


def test_a_change_that_is_no_resource_s_is_passed_over(aws: Aws, clock: Clock) -> None:
    hook = {"Type": "Resource", "HookInvocationCount": 1}
    aws.reply("DescribeChangeSet", ROOT, described(ROOT, hook, row("T", Action="Dynamic")))
    assert [(c.path, c.action) for c in waited(aws, clock).changes] == [("T", "Dynamic")]
    assert len(aws.calls("DescribeChangeSet")) == 2


# Rows at their barest


def test_a_row_without_anything_is_read_as_nobody_knows() -> None:
    assert rows.read({}, "T") == Change("T", "", "", "False")
    bare = rows.read({"Action": "Modify", "Details": [{}]}, "T")
    assert bare.replacement == "Conditional"
    assert bare.causes == (Cause("", "", "", "", ""),)


def test_a_nested_stack_is_never_replaced_whatever_its_row_says() -> None:
    row = {"Action": "Modify", "ResourceType": STACK_TYPE, "Replacement": "True"}
    assert rows.read(row, "Data").replacement == "False"


@pytest.mark.parametrize(
    ("scope", "replacement"),
    [
        (["Tags"], "False"),
        (["Metadata", "Tags"], "False"),
        (["Tags", "Properties"], "Conditional"),
        (["Properties"], "Conditional"),
        ([], "Conditional"),
        (None, "Conditional"),
    ],
)
def test_without_details_only_a_scope_without_properties_is_harmless(
    scope: list[str] | None, replacement: str
) -> None:
    row = {"Action": "Dynamic", "Scope": scope}
    assert rows.read(row, "T").replacement == replacement


@pytest.mark.parametrize("context", ["no JSON", "[]", "1", "{}", None])
def test_a_context_that_cannot_be_read_hides_nothing_and_breaks_nothing(
    context: str | None,
) -> None:
    shown = detail("Name", Path="/Properties/Name", BeforeValue="a", AfterValue="b")
    row = {"Action": "Modify", "BeforeContext": context, "Details": [shown]}
    (cause,) = rows.read(row, "T").causes
    assert (cause.before, cause.after) == ("a", "b")


@pytest.mark.parametrize("side", ["Before", "After"])
def test_each_side_s_context_masks_its_own_value(side: str) -> None:
    variables = [{"Name": "API_CREDENTIAL", "Value": "hunter2"}]
    context = json.dumps({"Properties": {"Environment": variables}})
    shown = detail("Environment", Path="/Properties/Environment/0/Value")
    shown["Target"][f"{side}Value"] = "hunter2"
    row = {"Action": "Modify", f"{side}Context": context, "Details": [shown]}
    (cause,) = rows.read(row, "T").causes
    assert "hunter2" not in f"{cause.before} {cause.after}"
    assert "****" in (cause.before if side == "Before" else cause.after)


def test_a_cause_says_where_it_comes_from_and_how_sure_aws_is() -> None:
    because = {"ChangeSource": "ParameterReference", "CausingEntity": "Size"}
    row = {"Action": "Modify", "Details": [detail("Name") | because]}
    (cause,) = rows.read(row, "T").causes
    assert (cause.source, cause.evaluation) == ("ParameterReference Size", "Static")
    assert not cause.follows
    for origin in ("ResourceReference", "ResourceAttribute"):
        row = {"Action": "Modify", "Details": [detail("Name") | {"ChangeSource": origin}]}
        assert rows.read(row, "T").causes[0].follows


def test_a_list_index_ends_a_property_s_path_but_no_name_of_digits_begins_it() -> None:
    paths = {"/Properties/A/B/0/C/1": "A/B", "/Properties/0/A": "0/A", "/Properties/A": "A"}
    for path, name in paths.items():
        row = {"Action": "Modify", "Details": [detail("X", Path=path)]}
        assert [c.property for c in rows.read(row, "T").causes] == [name]


def test_two_descriptions_of_one_row_are_told_apart_by_action_and_details_by_origin() -> None:
    plain = [
        {"LogicalResourceId": "T", "Action": "Add", "Details": [detail("A")]},
        {"LogicalResourceId": "T", "Action": "Remove"},
    ]
    other = detail("A") | {"CausingEntity": "Size"}
    valued = [{"LogicalResourceId": "T", "Action": "Add", "Details": [other], "Scope": ["Tags"]}]
    added, removed = rows.merge(plain, valued)
    assert added["Details"] == [other, detail("A")]
    assert (added["Scope"], removed["Action"]) == (["Tags"], "Remove")
    assert "Replacement" not in added
    for first, second in (("True", "False"), ("False", "True")):
        one = {"LogicalResourceId": "T", "Action": "Modify", "Replacement": first}
        (united,) = rows.merge([one], [{**one, "Replacement": second}])
        assert united["Replacement"] == "True"
    (alone,) = rows.merge([{"LogicalResourceId": "T", "Replacement": "True"}], [])
    assert alone["Replacement"] == "True"


def test_the_same_detail_with_its_value_takes_the_plain_one_s_place() -> None:
    shown = detail("A", Path="/Properties/A", AfterValue="b")
    plain = {"LogicalResourceId": "T", "Action": "Modify", "Details": [detail("A"), {}]}
    (united,) = rows.merge([plain], [{**plain, "Details": [shown]}])
    assert united["Details"] == [shown, {}]


def test_a_root_s_own_reason_comes_after_those_of_the_stacks_in_it(aws: Aws, clock: Clock) -> None:
    aws.reply("DescribeChangeSet", ROOT, failed(ROOT, "Root error.", nested_row("Data", CHILD)))
    aws.reply("DescribeChangeSet", CHILD, failed(CHILD, "Child error."))
    for arn in (ROOT, CHILD):
        aws.reply("DescribeEvents", arn, {"OperationEvents": []})
    found = waited(aws, clock)
    assert found.problems == ("Data: Child error.", "Root error.")
    assert found.failures == (Unmade("", "Root error."), Unmade("Data", "Child error."))
