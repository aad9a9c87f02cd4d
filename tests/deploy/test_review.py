"""A change set is judged whole: by AWS's rows, by both templates, and by what is no resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lib import session
from lib.deploy import nesting, review
from lib.deploy.publishing import Run
from lib.deploy.review import Review
from lib.errors import OperationFailed
from lib.inputs.jobs import Options
from lib.operators import Level, Note
from lib.releases.releases import File, Published, Release
from lib.stacks.previews import ChangeSet, Unmade
from lib.stacks.statuses import Status
from lib.templates import templates
from lib.templates.changes import Cause, Change
from lib.templates.templates import MASTER, STACK_TYPE
from tests.support import factories
from tests.support.aws_fakes import ACCOUNT, START, intercept, no_such_stack
from tests.support.people import Person

REGION = "us-east-1"
TEXT = """
Parameters: {EnvironmentName: {Type: String}}
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {DisplayName: shown}}
  Reader: {Type: AWS::Amplify::Branch, Properties: {AppId: !Ref Topic, BranchName: main}}
Outputs:
  Topic: {Value: !Ref Topic, Export: {Name: topic}}
"""
PHANTOM = Change(
    "Reader",
    "AWS::Amplify::Branch",
    "Modify",
    "Conditional",
    causes=(Cause("AppId", "", "", "Always", "ResourceReference Topic", "Dynamic", follows=True),),
)


class World:
    """One stack as it is deployed, and what is to become of it."""

    def __init__(self, deployed: str, wanted: str, **options: Any) -> None:
        self.person = Person()
        self.aws = session.connect(REGION)
        self.deployed = deployed
        self.asked: list[str] = []
        intercept(self.aws.client("cloudformation"), self.answer)
        arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
        intercept(self.aws.client("sts"), lambda *_: {"Account": ACCOUNT, "Arn": arn})
        values = {"EnvironmentName": "staging"}
        job = factories.job(
            region=REGION, templates={MASTER: templates.parse(MASTER, wanted)}, values=values
        )
        self.stack = factories.stack(parameters=values)
        self.run = Run(
            job,
            self.person.access(self.aws),
            Options(**options),
            Release("abc", "abc", ()),
            Published("b", REGION, "abc", 0, 0, "https://example.com"),
            values,
        )

    def answer(self, operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(operation)
        if operation == "GetTemplate":
            return {"TemplateBody": self.deployed}
        if operation == "DescribeStacks":
            raise no_such_stack(self.run.job.stack_name)
        assert operation == "ListStackResources", operation
        return {"StackResourceSummaries": []}

    def judge(self, *changes: Change, **more: Any) -> Review:
        return review.judge(self.run, proposed(*changes, **more), self.stack)


def proposed(*changes: Change, **more: Any) -> ChangeSet:
    given: dict[str, Any] = {
        **dict.fromkeys(("id", "name", "stack_id", "stack_name", "reason"), ""),
        "status": "CREATE_COMPLETE",
        "kind": "UPDATE",
        "complete": True,
        **more,
    }
    return ChangeSet(changes=changes, **given)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Name: topic}", "Name: news}", "the export of the output Topic"),
        ("Outputs:", "Outputs:\n  More: {Value: a}", "the output More"),
        ("Outputs:", "Metadata: {By: ann}\nOutputs:", "the section Metadata"),
    ],
)
def test_what_is_no_resource_is_never_taken_for_no_change(old: str, new: str, what: str) -> None:
    assert old in TEXT
    world = World(TEXT, TEXT.replace(old, new))
    found = world.judge()
    assert not found.changes_nothing
    assert what in found.besides
    assert found.count() == "no resource changes"
    review.show(world.run, proposed(), found)
    assert (
        f"No resource of stack {world.run.job.stack_name} in {REGION} changes, only:"
        in (world.person.notes[0])
    )
    assert what in world.person.notes[0]


def test_what_is_the_same_throughout_changes_nothing() -> None:
    assert World(TEXT, TEXT).judge().changes_nothing


def test_a_change_that_is_a_phantom_and_nothing_else_changes_nothing() -> None:
    found = World(TEXT, TEXT).judge(PHANTOM)
    assert found.changes_nothing
    assert found.changes[0].proof


def test_a_physical_id_that_aws_tells_is_not_looked_up() -> None:
    world = World(TEXT, TEXT.replace("DisplayName: shown", "DisplayName: new"))
    row = Change("Topic", "AWS::SNS::Topic", "Modify", physical_id="arn:topic")
    changes = world.judge(row).changes
    assert [change.physical_id for change in changes if change.path == "Topic"] == ["arn:topic"]
    assert "ListStackResources" not in world.asked
    world.judge()
    assert "ListStackResources" in world.asked


def test_a_nested_stack_with_a_change_in_it_is_never_left_out_whoever_found_it() -> None:
    found = Review(changes=(Change("Data/Jobs", "AWS::DynamoDB::Table", "Modify"),))
    paths = frozenset({"Data", "Data2", "Auth"})
    assert found.leave_out_changed(paths) == {"Data2", "Auth"}


def test_a_proof_stands_beside_the_row_for_people() -> None:
    world = World(TEXT, TEXT.replace("shown", "other"))
    found = world.judge(PHANTOM)
    assert not found.changes_nothing
    review.show(world.run, proposed(), found)
    (shown,) = world.person.drawn
    assert "Follow from them" in shown
    assert "Reader" in shown
    assert "unchanged, because Topic keeps its ID" in shown


def test_nothing_is_proven_where_aws_could_not_be_read_whole_or_a_macro_has_a_say() -> None:
    assert World(TEXT, TEXT).judge(PHANTOM, complete=False).changes[0].proof is None
    macro = f"Transform: Ours\n{TEXT}"
    assert World(macro, macro).judge(PHANTOM).changes[0].proof is None


def test_an_output_beside_a_row_is_named_and_what_the_row_tells_is_not() -> None:
    world = World(TEXT, TEXT.replace("shown", "other").replace("Name: topic}", "Name: news}"))
    assert world.judge().besides == ("the export of the output Topic",)


def test_what_a_row_tells_of_its_resource_is_not_named_beside_it() -> None:
    told = TEXT.replace("shown}", "other}, Metadata: {By: ann}")
    assert World(TEXT, told).judge().besides == ()
    alone = TEXT.replace("shown}", "shown}, Metadata: {By: ann}")
    assert World(TEXT, alone).judge().besides == ("Metadata of Topic",)
    elsewhere = alone.replace("BranchName: main", "BranchName: next")
    assert World(TEXT, elsewhere).judge().besides == ("Metadata of Topic",)


def test_where_no_resource_changes_the_section_that_does_is_named() -> None:
    deployed = TEXT.replace("{Type: String}}", "{Type: String, Description: new}}")
    assert World(deployed, TEXT).judge().besides == ("the section Parameters",)
    changed = World(deployed, TEXT.replace("shown", "other"))
    assert changed.judge().besides == ()


def test_what_was_reviewed_goes_into_the_outcome() -> None:
    found = Review(changes=(PHANTOM,), besides=("the output More",))
    outcome = found.onto(factories.outcome("updated"))
    assert (outcome.action, outcome.changes, outcome.besides) == (
        "updated",
        (PHANTOM,),
        ("the output More",),
    )


def test_a_question_counts_what_really_changes() -> None:
    real = Change("Topic", "AWS::SNS::Topic", "Modify")
    phantom = replace(PHANTOM, proof="unchanged")
    beside = ("the output More",)
    assert Review(changes=(real, phantom)).count() == "1 changes"
    assert Review(changes=(real, phantom), besides=beside).count() == "1 changes"
    assert Review(changes=(phantom,), besides=beside).count() == "no resource changes"
    assert Review().count() == "0 changes"
    assert Review(changes=(real, phantom)).list_real() == [real]


def test_a_change_set_that_aws_calls_empty_changes_nothing_and_costs_no_look() -> None:
    world = World(TEXT, TEXT)
    found = world.judge(status="FAILED", reason="The submitted information didn't contain changes.")
    assert found == Review(changes_nothing=True)
    assert world.asked == []


def test_a_change_set_that_aws_could_not_make_is_an_error_with_every_problem() -> None:
    world = World(TEXT, TEXT)
    with pytest.raises(OperationFailed) as caught:
        world.judge(status="FAILED", reason="It is wrong.", problems=("Topic: so", "Reader: too"))
    assert caught.value.message == (
        f"CloudFormation cannot make this change to stack {world.run.job.stack_name} in "
        f"{REGION}: It is wrong.\n  - Topic: so\n  - Reader: too"
    )
    assert caught.value.next_step == (
        f"mend the template or the parameters, then inv deploy {world.run.job.flags}"
    )


def test_where_nested_changes_could_not_be_read_the_comparison_is_announced() -> None:
    world = World(TEXT, TEXT.replace("shown", "other"))
    found = world.judge(complete=False)
    assert not found.changes_nothing
    assert [change.path for change in found.list_real()][:1] == ["Topic"]
    [note] = [told for told in world.person.told if isinstance(told, Note)]
    assert note.level is Level.WARNING
    assert note.text.startswith("Not every change inside nested stacks could be read; the ")


def test_an_incomplete_change_set_is_never_taken_for_no_change() -> None:
    assert not World(TEXT, TEXT).judge(complete=False).changes_nothing


def test_a_nested_stack_that_is_loaded_from_the_release_is_not_asked_of_aws() -> None:
    deployed = NESTED.replace("TemplateURL: a", "TemplateURL: https://s3/b/templates/abc/a")
    world = Nested(deployed)
    files = tuple(
        File(name, f"templates/abc/{name}", text.encode(), "0" * 64)
        for name, text in CHILDREN.items()
    )
    for content, asked in ((files, 1), ((), 3)):
        world.asked.clear()
        world.run = replace(world.run, release=Release("abc", "abc", content))
        found = world.judge()
        assert world.asked.count("GetTemplate") == asked
        assert found.before is not None
        assert set(found.before.texts) == {"", "Auth", "Api"}
    bare = tuple(replace(file, content=b"") for file in files)
    world.run = replace(world.run, release=Release("abc", "abc", bare))
    world.asked.clear()
    world.judge()
    assert world.asked.count("GetTemplate") == 1


# What is shown


def test_what_changes_beside_resources_is_named_up_to_eight_and_then_counted() -> None:
    world = World(TEXT, TEXT)
    for count, ending in ((8, "o7."), (9, "o7, 1 more."), (11, "o7, 3 more.")):
        world.person.told.clear()
        names = tuple(f"o{number}" for number in range(count))
        review.show(world.run, proposed(), Review(besides=names))
        assert world.person.notes[0].endswith(ending)


def test_what_changes_beside_real_changes_is_told_as_also_changing() -> None:
    world = World(TEXT, TEXT)
    real = Change("Topic", "AWS::SNS::Topic", "Modify")
    review.show(world.run, proposed(), Review(changes=(real,), besides=("the output More",)))
    assert world.person.notes == ["Also changes: the output More."]
    (shown,) = world.person.drawn
    where = f"stack {world.run.job.stack_name} in {REGION}"
    assert shown.startswith(f"Changes to {where}:")


def test_a_creation_that_asks_nothing_lists_nothing() -> None:
    world = World(TEXT, TEXT)
    real = Change("Topic", "AWS::SNS::Topic", "Add")
    review.show(replace(world.run, asks=False), proposed(), Review(changes=(real,)))
    assert world.person.told == []
    review.show(world.run, proposed(), Review())
    assert world.person.told == []


@pytest.mark.parametrize(
    ("wanted", "confirmed", "said"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_drift_that_an_endpoint_does_not_take_back_is_told_where_that_was_asked_for(
    wanted: bool, confirmed: bool, said: bool
) -> None:
    world = World(TEXT, TEXT, revert_drift=wanted)
    review.show(world.run, proposed(reverts_drift=confirmed), Review())
    told = [Note("This endpoint does not take drift back.", Level.WARNING)]
    assert world.person.told == (told if said else [])


def test_what_aws_warns_of_and_drift_of_data_are_warned_of() -> None:
    world = World(TEXT, TEXT)
    table = Change("Jobs", "AWS::DynamoDB::Table", "Modify", drift="MODIFIED")
    review.show(world.run, proposed(warnings=("Mind the gap.",)), Review(changes=(table,)))
    first, second = (one for one in world.person.told if isinstance(one, Note))
    assert first == Note("Mind the gap.", Level.WARNING)
    assert second.level is Level.WARNING
    assert second.text.startswith("Jobs has drifted")


# Change sets that fail over what is not known yet


NESTED = """
Resources:
  Auth: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: auth-stack.yaml}}
  Api:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: api-stack.yaml
      Parameters: {PoolArn: !GetAtt Auth.Outputs.PoolArn, Size: small}
"""
CHILDREN = {
    "auth-stack.yaml": """
Resources: {Pool: {Type: AWS::Cognito::UserPool}}
Outputs: {PoolArn: {Value: !GetAtt Pool.Arn}}
""",
    "api-stack.yaml": """
Parameters: {PoolArn: {Type: String, AllowedPattern: 'arn:.*'}, Size: {Type: String}}
Resources: {Api: {Type: AWS::SNS::Topic}}
""",
}


def nested(**options: Any) -> World:
    world = World(TEXT, NESTED, **options)
    folder = {**world.run.job.templates} | {
        name: templates.parse(name, text) for name, text in CHILDREN.items()
    }
    world.run = replace(world.run, job=replace(world.run.job, templates=folder))
    return world


class Nested(World):
    """A stack with two others in it, deployed from a text of the root's own."""

    def __init__(self, deployed: str) -> None:
        super().__init__(deployed, NESTED)
        self.run = nested().run
        self.run = replace(self.run, access=self.person.access(self.aws))
        self.texts = {"Auth": CHILDREN["auth-stack.yaml"], "Api": CHILDREN["api-stack.yaml"]}

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(operation)
        if operation == "GetTemplate":
            return {"TemplateBody": self.texts.get(arguments["StackName"], self.deployed)}
        own = arguments["StackName"] == self.stack.id
        row = {"ResourceType": STACK_TYPE, "LastUpdatedTimestamp": START}
        row["ResourceStatus"] = "CREATE_COMPLETE"
        listed = [{**row, "LogicalResourceId": n, "PhysicalResourceId": n} for n in self.texts]
        return {"StackResourceSummaries": listed if own else []}


def failed(*failures: Unmade) -> ChangeSet:
    return proposed(status="FAILED", complete=False, failures=failures)


PLACEHOLDER = "{{IntrinsicFunction:app/Auth.Outputs.PoolArn/Fn::GetAtt}}"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Api", "Each value of parameter 'PoolArn' must match pattern arn:.*"),
        ("Api", "Parameter PoolArn failed to satisfy constraint: an ARN"),
        (
            "Api",
            f"Parameter validation failed: value {PLACEHOLDER} for parameter name PoolArn",
        ),
        ("", "Parameter 'PoolArn' must match pattern arn:.*"),
        ("", f"Unable to fetch parameters [{PLACEHOLDER}] from parameter store for this account."),
        ("Api", f"Usage of {PLACEHOLDER} is not allowed"),
        ("Api", "Template format error: duplicate Export names"),
        ("Api", "Template error: Fn::Select  cannot select nonexistent value at index 1"),
    ],
)
def test_a_placeholder_that_is_taken_for_a_value_is_no_fault_of_the_templates(
    path: str, reason: str
) -> None:
    world = nested()
    with pytest.raises(nesting.CannotLookInside) as caught:
        nesting.require_inside(world.run, failed(Unmade(path, reason)))
    assert reason in str(caught.value)
    shallow = nesting.go_shallow(world.run, caught.value)
    assert shallow.options.shallow
    assert reason in world.person.notes[0]
    assert "what is inside is compared here" in world.person.notes[1]
    nesting.require_inside(shallow, failed(Unmade(path, reason)))


@pytest.mark.parametrize(
    "failures",
    [
        [Unmade("Api", "Parameter 'Size' must be one of AllowedValues")],
        [Unmade("Api", "Template format error: Unresolved resource dependencies")],
        [
            Unmade("Api", "Parameter 'PoolArn' must match pattern arn:.*"),
            Unmade("Auth", "Requires capabilities : [CAPABILITY_IAM]"),
        ],
        [],
    ],
)
def test_a_fault_that_would_stay_is_not_blamed_on_nesting(failures: list[Unmade]) -> None:
    nesting.require_inside(nested().run, failed(*failures))


def test_a_creation_lists_from_the_templates_what_aws_did_not() -> None:
    world = nested(shallow=True)
    rows = (Change("Auth", "AWS::CloudFormation::Stack", "Add"),)
    found = review.judge(world.run, proposed(*rows, kind="CREATE", complete=False), None)
    assert [c.path for c in found.changes] == ["Auth", "Auth/Pool", "Api", "Api/Api"]
    assert {c.action for c in found.changes} == {"Add"}
    [note] = [told for told in world.person.told if isinstance(told, Note)]
    assert "listed from the templates" in note.text
    assert note.level is Level.WARNING
    assert found.before is None


def test_a_creation_that_asks_nothing_lists_as_much_and_says_nothing() -> None:
    world = nested(shallow=True)
    rows = (Change("Auth", "AWS::CloudFormation::Stack", "Add"),)
    run = replace(world.run, asks=False)
    found = review.judge(run, proposed(*rows, kind="CREATE", complete=False), None)
    assert len(found.changes) == 4
    assert world.person.told == []


def test_what_aws_listed_whole_of_a_creation_is_all_there_is() -> None:
    rows = (Change("Auth", "AWS::CloudFormation::Stack", "Add"),)
    found = review.judge(nested().run, proposed(*rows, kind="CREATE"), None)
    assert [c.path for c in found.changes] == ["Auth"]


# Nested stacks that are off


OFF = """
Parameters: {EnvironmentName: {Type: String}, Wanted: {Type: String, Default: 'no'}}
Conditions: {IsWanted: !Equals [!Ref Wanted, 'yes']}
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {DisplayName: shown}}
  Budget:
    Type: AWS::CloudFormation::Stack
    Condition: IsWanted
    Properties: {TemplateURL: 'https://s3/x/child.yaml'}
"""


@pytest.mark.parametrize("wanted", ["no", "yes"])
def test_a_nested_stack_that_its_condition_leaves_out_is_no_change_while_it_stays_out(
    wanted: str,
) -> None:
    world = World(OFF, OFF)
    child = templates.parse("child.yaml", "Resources: {T: {Type: AWS::SNS::Topic}}")
    folder = {**world.run.job.templates, "child.yaml": child}
    values = {**world.run.values, "Wanted": wanted}
    world.run = replace(world.run, job=replace(world.run.job, templates=folder), values=values)
    found = world.judge()
    assert not any("Budget" in what for what in found.besides)
    assert found.changes_nothing is (wanted == "no")
    assert ("Budget" in {change.path for change in found.changes}) is (wanted == "yes")


# Nested stacks that failed


PARENT = """
Resources:
  Keep: {Type: AWS::SNS::Topic}
  Data:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: https://x/data-stack.yaml, Parameters: {Name: !GetAtt Broken.Arn}}
  Broken: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: https://x/b-stack.yaml}}
"""
WITHOUT = "Resources: {Keep: {Type: AWS::SNS::Topic}}"
DATA = """
Parameters: {Name: {Type: String}}
Resources: {Jobs: {Type: AWS::DynamoDB::Table, DeletionPolicy: Retain}}
"""
FAILING = """
Resources:
  Logs: {Type: AWS::Logs::LogGroup, DeletionPolicy: Retain}
  Bad: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !ImportValue no-such-export}}
"""


class Failed(World):
    """A stack that was created in part: one nested stack failed, or was never created."""

    def __init__(self, broken_id: str) -> None:
        super().__init__(PARENT, WITHOUT)
        self.stack = replace(self.stack, status=Status.CREATE_FAILED)
        self.texts = {self.stack.id: PARENT, "data-id": DATA, "broken-id": FAILING}
        self.rows = [("Data", "data-id", "CREATE_COMPLETE"), ("Broken", broken_id, "CREATE_FAILED")]

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetTemplate":
            return {"TemplateBody": self.texts[arguments["StackName"]]}
        assert operation == "ListStackResources", operation
        summaries = [
            {
                "LogicalResourceId": name,
                **({"PhysicalResourceId": physical_id} if physical_id else {}),
                "ResourceType": STACK_TYPE,
                "ResourceStatus": status,
                "LastUpdatedTimestamp": START,
            }
            for name, physical_id, status in self.rows
        ]
        own = arguments["StackName"] == self.stack.id
        return {"StackResourceSummaries": summaries if own else []}

    def remove(self) -> dict[str, Change]:
        """Judge a change set that takes both nested stacks out."""
        rows = [Change(name, STACK_TYPE, "Remove", physical_id=i) for name, i, _ in self.rows]
        return {change.path: change for change in self.judge(*rows).changes}


def test_what_a_nested_stack_that_failed_holds_is_judged_by_its_template() -> None:
    world = Failed("broken-id")
    judged = world.remove()
    assert judged["Broken/Logs"].data_loss == "possible"
    assert "orphaned" in judged["Broken/Logs"].verdict
    assert "orphaned" in judged["Data/Jobs"].verdict
    assert not any("no DeletionPolicy is known" in change.verdict for change in judged.values())
    assert world.person.notes == []


def test_a_nested_stack_that_was_never_created_wants_no_consent_to_leave() -> None:
    world = Failed("")
    judged = world.remove()
    assert judged["Broken"].data_loss == "none"
    assert judged["Broken"].verdict == "there is no such stack, and nothing in it"
    assert judged["Data/Jobs"].data_loss == "possible"
    assert world.person.notes == []
