"""What exists comes under the stack: one that stands, or one that is created over it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lib.errors import Declined, InputError, Refused
from lib.rescue import adoption, founding, imports
from lib.stacks import stacks
from tests.rescue.stage import API, NAME, Stage, folder
from tests.support.aws_fakes import refusal
from tests.support.people import Person

PATHS = ("DatabaseStack/Notes", "DatabaseStack/Drafts", "DatabaseStack/Files")


def held(stage: Stage) -> dict[str, str]:
    return {path: stage.tree()[path] for path in PATHS}


def deleted(stage: Stage, items: int = 3) -> dict[str, str]:
    """Deploy the application, fill it, delete the stack, and return what that retained."""
    stage.deploy()
    kept = held(stage)
    stage.fill(kept["DatabaseStack/Notes"], items)
    stage.cloud.client("s3").put_object(Bucket=kept["DatabaseStack/Files"], Key="a", Body=b"a")
    assert stage.delete().action == "deleted"
    return kept


def test_a_stack_that_was_deleted_stands_again_over_its_own_tables_and_bucket(
    stage: Stage,
) -> None:
    kept = deleted(stage)
    done = stage.deploy()
    assert done.action == "created"
    assert held(stage) == kept
    assert stage.reader() == kept["DatabaseStack/Notes"]
    assert stage.items(stage.notes) == 3
    assert [question for question, _ in stage.person.asked][-1] == (
        "Take them over into the new stack?"
    )
    assert stage.cloud.describe(NAME)["StackStatus"] == "UPDATE_COMPLETE"
    stage.require_in_sync()


def test_without_anybody_to_ask_both_commands_are_named(stage: Stage) -> None:
    deleted(stage)
    stage.person = Person(Refused("nobody can be asked"))
    with pytest.raises(Refused, match="it is not said whether it takes over") as refused:
        stage.deploy()
    assert "inv deploy --adopt all --env staging" in refused.value.next_step
    assert "--adopt none" in refused.value.next_step
    assert stacks.describe(stage.aws.client("cloudformation"), NAME) is None
    stage.deploy(adopt="all")
    assert stage.items(stage.notes) == 3


def test_who_declines_gets_no_stack_and_who_wants_none_gets_empty_tables(stage: Stage) -> None:
    kept = deleted(stage)
    stage.person = Person("n")
    with pytest.raises(Declined):
        stage.deploy()
    assert stacks.describe(stage.aws.client("cloudformation"), NAME) is None
    assert stage.deploy(adopt="none").action == "created"
    assert set(held(stage).values()).isdisjoint(kept.values())


def test_where_nothing_can_be_taken_over_what_is_retained_is_named(stage: Stage) -> None:
    founding.refuse_beside_leftovers(stage.job, stage.access, "planned", "say it")
    kept = deleted(stage)
    with pytest.raises(Refused) as refused:
        founding.refuse_beside_leftovers(stage.job, stage.access, "planned", "say it")
    lines = refused.value.message.splitlines()
    assert lines[0] == (
        f"Stack {NAME} in eu-west-1 was not planned beside what an earlier one retained:"
    )
    assert sorted(lines[1:-2]) == sorted(f"  - {path}: {name}" for path, name in kept.items())
    assert lines[-1] == f"  inv deploy --adopt all {stage.job.flags}"
    assert refused.value.next_step == "say it"
    stage.deploy(adopt="all")
    founding.refuse_beside_leftovers(stage.job, stage.access, "planned", "say it")


def test_any_other_answer_is_bad_input(stage: Stage) -> None:
    with pytest.raises(InputError, match="--adopt takes all or none"):
        stage.deploy(adopt="some")


def test_a_preview_shows_what_would_be_taken_over_and_leaves_nothing(stage: Stage) -> None:
    kept = deleted(stage)
    done = stage.deploy(preview=True)
    assert done.preview
    imported = {c.path: c.physical_id for c in done.changes if c.action == "Import"}
    assert imported == kept
    assert stage.person.asked[-1][0].startswith("Delete stack")
    assert stacks.describe(stage.aws.client("cloudformation"), NAME) is None


def test_of_several_generations_with_data_the_newest_is_taken_over(stage: Stage) -> None:
    generations = []
    for _ in range(4):
        stage.deploy(adopt="none")
        generations.append(held(stage))
        stage.fill(generations[-1]["DatabaseStack/Notes"])
        stage.delete()
    stage.deploy(adopt="all")
    assert stage.notes == generations[-1]["DatabaseStack/Notes"]


def test_an_empty_table_of_a_later_stack_does_not_hide_the_data(stage: Stage) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    stage.delete()
    stage.deploy(adopt="all")
    assert stage.notes == kept["DatabaseStack/Notes"]
    assert stage.items(stage.notes) == 3


def test_what_is_gone_or_another_stack_s_is_not_offered(stage: Stage) -> None:
    kept = deleted(stage)
    stage.cloud.dynamodb.delete_table(TableName=kept["DatabaseStack/Drafts"])
    other = {"Resources": {"Taken": {
        "Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "Properties": {
            "TableName": kept["DatabaseStack/Notes"], "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }}}}  # fmt: skip
    made = stage.cloud.change_set(
        "another", other, ChangeSetType="CREATE", ImportExistingResources=True
    )
    stage.cloud.cfn.execute_change_set(ChangeSetName=made["ChangeSetId"])
    assert stage.cloud.wait("another") == "CREATE_COMPLETE"
    found = adoption.find_leftovers(stage.job, stage.access)
    assert [one.path for one in found] == ["DatabaseStack/Files"]


def test_where_earlier_stacks_cannot_be_listed_that_is_said_and_the_deployment_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted(stage)
    denied = refusal("AccessDenied", "not authorized", "ListStacks")

    def deny(*_: object) -> object:
        raise denied

    monkeypatch.setattr(adoption, "_list_deleted", deny)
    assert stage.deploy().action == "created"
    assert any("could not be read" in text for text in stage.person.notes)


@pytest.mark.parametrize(
    ("error", "adopt"),
    [
        (refusal("AccessDenied", "not authorized", "ListStacks"), "all"),
        (refusal("InternalFailure", "try again", "ListStacks", 500), None),
        (EndpointConnectionError(endpoint_url="https://cloudformation"), "all"),
        (EndpointConnectionError(endpoint_url="https://cloudformation"), None),
    ],
)
def test_nothing_is_made_empty_because_aws_could_not_be_asked_what_there_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception, adopt: str | None
) -> None:
    deleted(stage)

    def fail(*_: object) -> object:
        raise error

    monkeypatch.setattr(adoption, "_list_deleted", fail)
    with pytest.raises(type(error)):
        stage.deploy(adopt=adopt)
    assert NAME not in [one["StackName"] for one in stage.cloud.cfn.describe_stacks()["Stacks"]]


def test_a_creation_that_was_cut_off_before_its_last_step_is_ended_by_a_deployment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = deleted(stage)
    with monkeypatch.context() as patched:
        patched.setattr(imports, "settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stage.deploy(adopt="all")
    assert stage.deploy().action == "updated"
    assert held(stage) == kept
    stage.require_in_sync()


def test_an_orphan_takes_the_place_of_an_empty_table(stage: Stage) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    empty = stage.notes
    told = stage.adopt(DatabaseStack__Notes=kept["DatabaseStack/Notes"])
    assert told.document["adopted"] == {"DatabaseStack/Notes": kept["DatabaseStack/Notes"]}
    assert told.document["retained"] == [empty]
    assert stage.notes == stage.reader() == kept["DatabaseStack/Notes"]
    assert stage.items(stage.notes) == 3
    stage.require_in_sync()


def test_a_bucket_is_adopted_with_its_policy(stage: Stage) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    bucket = kept["DatabaseStack/Files"]
    stage.adopt(Files=bucket)
    assert stage.tree()["DatabaseStack/Files"] == bucket
    policy = stage.cloud.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    assert f"arn:aws:s3:::{bucket}/*" in policy
    assert stage.cloud.outputs(stage.tree()["DatabaseStack"])["Files"] == bucket
    stage.require_in_sync()


def test_several_are_adopted_in_one_go_and_again_is_nothing_to_do(stage: Stage) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    pairs = {path.replace("/", "__"): name for path, name in kept.items()}
    stage.adopt(**pairs)
    assert held(stage) == kept
    before = stage.cloud.trail(NAME)
    stage.adopt(**pairs)
    assert stage.cloud.trail(NAME) == before
    assert any(text.startswith("Nothing to do: ") for text in stage.person.notes)


def test_an_adoption_that_was_cut_off_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    with monkeypatch.context() as patched:
        patched.setattr(imports, "import_successors", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stage.adopt(Notes=kept["DatabaseStack/Notes"])
    assert stage.record()
    stage.adopt()
    assert stage.notes == kept["DatabaseStack/Notes"]
    assert not stage.record()
    stage.require_in_sync()


def test_an_adoption_is_previewed(stage: Stage) -> None:
    kept = deleted(stage)
    stage.deploy(adopt="none")
    before = stage.cloud.trail(NAME)
    told = stage.adopt(preview=True, Notes=kept["DatabaseStack/Notes"])
    assert "Import the new one as DatabaseStack/Notes" in told.document["steps"]
    assert stage.cloud.trail(NAME) == before
    assert not stage.record()


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("Notes", "nobody", "There is no table nobody"),
        ("Files", "nobodys-bucket", "There is no bucket nobodys-bucket"),
        ("Notes", "{drafts}", "belongs to stack plot-palette-staging-DatabaseStack-"),
    ],
)
def test_what_cannot_be_adopted_is_refused(stage: Stage, path: str, name: str, words: str) -> None:
    stage.deploy()
    before = held(stage)
    with pytest.raises(Refused, match=words):
        stage.adopt(**{path: name.format(drafts=before["DatabaseStack/Drafts"])})
    assert held(stage) == before


POOL = """
  Pool:
    Type: AWS::Cognito::UserPool
    DeletionPolicy: Retain
    Properties: { UserPoolName: people }
"""


def test_a_user_pool_stays_beside_and_is_named(stage: Stage) -> None:
    stage.job = replace(stage.job, templates=folder(**{"api-stack.yaml": API + POOL}))
    stage.deploy()
    pool, table = stage.tree()["ApiStack/Pool"], stage.notes
    stage.delete()
    stage.deploy(adopt="all")
    assert stage.notes == table
    assert stage.tree()["ApiStack/Pool"] != pool
    told = f"ApiStack/Pool (user accounts), which no stack can take over: {pool}. "
    assert [text for text in stage.person.notes if told in text]
    before = stage.cloud.trail(NAME)
    for asked in ("ApiStack__Pool", "Pool"):
        with pytest.raises(Refused, match="whose identifier AWS makes") as refused:
            stage.adopt(**{asked: pool})
        assert f"ApiStack/Pool of stack {NAME} in eu-west-1" in refused.value.message
    assert stage.cloud.trail(NAME) == before


def test_a_table_with_other_keys_does_not_fit(stage: Stage) -> None:
    stage.job = replace(stage.job, templates=folder(key="other"))
    stage.deploy()
    old = stage.notes
    stage.delete()
    stage.job = replace(stage.job, templates=folder())
    stage.deploy(adopt="none")
    with pytest.raises(Refused, match="its key is other"):
        stage.adopt(Notes=old)


def test_as_many_names_as_places_are_given() -> None:
    assert adoption.read_pairs(["a", "b"], ["1", "2"]) == {"a": "1", "b": "2"}
    with pytest.raises(InputError, match="names 1 and --physical-id 2"):
        adoption.read_pairs(["a"], ["1", "2"])


def test_nothing_named_is_bad_input(stage: Stage) -> None:
    stage.deploy()
    with pytest.raises(InputError, match="not said what is to be adopted"):
        stage.adopt()


def test_an_owner_that_nobody_may_see_is_left_to_aws(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy()
    cfn = stage.aws.client("cloudformation")

    def answer(code: str) -> object:
        def deny(**_: object) -> object:
            raise refusal(code, "no", "DescribeStackResources")

        return deny

    monkeypatch.setattr(cfn, "describe_stack_resources", answer("AccessDenied"))
    assert adoption.find_owner(stage.access, "any") == ""
    monkeypatch.setattr(cfn, "describe_stack_resources", answer("Throttling"))
    with pytest.raises(ClientError):
        adoption.find_owner(stage.access, "any")
