"""Data is only lost with consent that names it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lib.data import loss as dataloss
from lib.errors import DataLossRefused
from lib.templates.changes import Cause, Change
from lib.templates.resolution import Resource, Tree

TABLE = "AWS::DynamoDB::Table"
STACK = "AWS::CloudFormation::Stack"
PATH = "DatabaseStack/JobsTable"


def resource(
    path: str = PATH, type_name: str = TABLE, deletion: str = "Delete", replacement: str = "Delete"
) -> Resource:
    return Resource(
        path=path,
        logical_id=path.rsplit("/", 1)[-1],
        type=type_name,
        properties={},
        deletion_policy=deletion,
        update_replace_policy=replacement,
        template="t.yaml",
    )


def tree(*resources: Resource) -> Tree:
    return Tree(resources, {}, {})


def change(action: str = "Modify", **more: str) -> Change:
    return Change(**{"path": PATH, "type": TABLE, "action": action, **more})  # type: ignore[arg-type]


def test_a_nested_stack_that_was_never_created_takes_nothing_with_it() -> None:
    gone = change("Remove", path="DatabaseStack", type=STACK)
    (judged,) = dataloss.judge((gone,), tree(), tree(), absent={"DatabaseStack"})
    assert judged.data_loss == "none"
    assert judged.verdict == "there is no such stack, and nothing in it"
    (other,) = dataloss.judge((gone,), tree(), tree(), absent={"Other"})
    assert other.data_loss == "possible"


def judge(given: Change, before: Tree | None = None, after: Tree | None = None) -> Change:
    (judged,) = dataloss.judge((given,), before, after)
    return judged


@pytest.mark.parametrize(
    ("policy", "loss", "words"),
    [
        ("Delete", "certain", "destroyed (DeletionPolicy Delete)"),
        ("Retain", "possible", "orphaned: stays in the account, no longer managed"),
        ("RetainExceptOnCreate", "possible", "(DeletionPolicy RetainExceptOnCreate)"),
        ("Snapshot", "possible", "after a last snapshot"),
    ],
)
def test_a_removed_table_goes_by_the_policy_it_was_deployed_with(
    policy: str, loss: str, words: str
) -> None:
    judged = judge(change("Remove"), tree(resource(deletion=policy)), tree())
    assert judged.data_loss == loss
    assert words in judged.verdict
    assert "items" in judged.verdict


@pytest.mark.parametrize(
    ("policy", "loss", "words"),
    [
        ("Delete", "certain", "the old one is destroyed (UpdateReplacePolicy Delete)"),
        ("Retain", "possible", "the old one stays, orphaned (UpdateReplacePolicy Retain)"),
        ("Snapshot", "possible", "after a last snapshot"),
    ],
)
def test_a_replaced_table_goes_by_the_policy_of_the_new_template(
    policy: str, loss: str, words: str
) -> None:
    opposite = "Retain" if policy == "Delete" else "Delete"
    judged = judge(
        change(replacement="True"),
        tree(resource(replacement=opposite)),
        tree(resource(replacement=policy)),
    )
    assert judged.data_loss == loss
    assert "replaced by an empty one" in judged.verdict
    assert words in judged.verdict


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_a_replacement_that_depends_is_a_possible_loss(policy: str) -> None:
    judged = judge(change(replacement="Conditional"), None, tree(resource(replacement=policy)))
    assert judged.data_loss == "possible"
    assert "may be replaced" in judged.verdict


@pytest.mark.parametrize(
    ("action", "replacement", "policy_action", "loss"),
    [
        ("Remove", "False", "Retain", "possible"),
        ("Remove", "False", "Delete", "certain"),
        ("Modify", "True", "ReplaceAndRetain", "possible"),
        ("Modify", "True", "ReplaceAndSnapshot", "possible"),
        ("Modify", "True", "ReplaceAndDelete", "certain"),
    ],
)
def test_awss_own_policy_action_goes_before_the_templates(
    action: str, replacement: str, policy_action: str, loss: str
) -> None:
    kept = "Delete" if loss == "possible" else "Retain"
    both = tree(resource(deletion=kept, replacement=kept))
    given = change(action, replacement=replacement, policy_action=policy_action)
    judged = judge(given, both, both)
    assert judged.data_loss == loss
    assert policy_action in judged.verdict


@pytest.mark.parametrize("action", ["Modify", "Add", "Import", "SyncWithActual"])
def test_what_stays_in_place_or_comes_loses_nothing(action: str) -> None:
    judged = judge(change(action, replacement="False"), tree(resource()), tree(resource()))
    assert (judged.data_loss, judged.verdict) == ("none", "")


def test_what_aws_cannot_foretell_is_a_possible_loss() -> None:
    assert judge(change("Dynamic")).data_loss == "possible"


def test_what_holds_no_data_is_judged_but_loses_none() -> None:
    judged = judge(change("Remove", type="AWS::Lambda::Function"), tree(), tree())
    assert judged.data_loss == "none"
    assert "destroyed" in judged.verdict


@pytest.mark.parametrize("action", ["Remove", "Modify"])
def test_without_any_template_cloudformations_default_is_assumed(action: str) -> None:
    judged = judge(change(action, replacement="True" if action == "Modify" else "False"))
    assert judged.data_loss == "certain"
    policy = "DeletionPolicy" if action == "Remove" else "UpdateReplacePolicy"
    assert f"destroyed (no {policy} is known, and CloudFormation then deletes)" in judged.verdict


def test_a_replacement_whose_new_template_is_unread_goes_by_the_deployed_one() -> None:
    judged = judge(change(replacement="True"), tree(resource(replacement="Retain")))
    assert judged.data_loss == "possible"


def test_a_policy_action_that_is_no_replacement_s_leaves_it_to_the_template() -> None:
    given = change(replacement="True", policy_action="Delete")
    judged = judge(given, None, tree(resource(replacement="Retain")))
    assert judged.data_loss == "possible"
    assert "(UpdateReplacePolicy Retain)" in judged.verdict


def test_the_verdict_says_what_a_resource_may_hold_and_what_takes_its_place() -> None:
    table = judge(change(replacement="Conditional"), None, tree(resource()))
    assert table.verdict == (
        "may be replaced by an empty one; then the old one is destroyed "
        "(UpdateReplacePolicy Delete); it may hold items"
    )
    function = judge(
        change(replacement="True", type="AWS::Lambda::Function"),
        None,
        tree(resource(type_name="AWS::Lambda::Function")),
    )
    assert function.verdict == (
        "replaced by a new one; the old one is destroyed (UpdateReplacePolicy Delete)"
    )
    foretold = judge(change("Dynamic"))
    assert foretold.verdict == (
        "AWS decides only during the update what happens to it; it may hold items"
    )


@pytest.mark.parametrize(
    "type_name",
    [
        "AWS::DynamoDB::GlobalTable",
        "AWS::S3::Bucket",
        "AWS::Cognito::UserPool",
        "AWS::KMS::Key",
        "AWS::ECR::Repository",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBInstance",
        "AWS::RDS::DBCluster",
        "AWS::EFS::FileSystem",
        "AWS::SecretsManager::Secret",
    ],
)
def test_every_kind_of_data_is_guarded(type_name: str) -> None:
    assert judge(change("Remove", type=type_name)).data_loss == "certain"


# Nested stacks


def test_a_table_in_a_retained_nested_stack_stays_with_it() -> None:
    before = tree(resource("DatabaseStack", STACK, deletion="Retain"), resource())
    judged = judge(change("Remove"), before, tree())
    assert judged.data_loss == "possible"
    assert "DeletionPolicy Retain of DatabaseStack" in judged.verdict


def test_a_nested_stack_that_goes_is_judged_by_what_no_other_row_shows() -> None:
    before = tree(resource("DatabaseStack", STACK), resource())
    judged = judge(change("Remove", path="DatabaseStack", type=STACK), before, tree())
    assert judged.data_loss == "certain"
    assert PATH in judged.verdict


def test_a_nested_stack_that_goes_is_no_second_loss_beside_its_resources() -> None:
    before = tree(resource("DatabaseStack", STACK), resource())
    rows = (change("Remove", path="DatabaseStack", type=STACK), change("Remove"))
    stack, table = dataloss.judge(rows, before, tree())
    assert (stack.data_loss, table.data_loss) == ("none", "certain")


def test_a_nested_stack_that_goes_takes_only_what_is_in_it() -> None:
    beside = (resource("DatabaseStack2", STACK), resource("DatabaseStack2/JobsTable"))
    inside = (resource("DatabaseStack", STACK), resource("DatabaseStack/Role", "AWS::IAM::Role"))
    gone = change("Remove", path="DatabaseStack", type=STACK)
    judged = judge(gone, tree(*inside, *beside), tree())
    assert judged.data_loss == "none"
    assert judged.verdict == "destroyed (DeletionPolicy Delete), with all that is in it"
    unread = judge(gone, tree(resource("DatabaseStack", STACK), *beside), tree())
    assert unread.data_loss == "possible"
    assert unread.verdict == "destroyed (DeletionPolicy Delete); what is in it could not be read"


def test_a_nested_stack_that_goes_names_the_worst_that_is_in_it() -> None:
    before = tree(
        resource("DatabaseStack", STACK),
        resource(deletion="Retain"),
        resource("DatabaseStack/QueueTable"),
    )
    judged = judge(change("Remove", path="DatabaseStack", type=STACK), before, tree())
    assert judged.data_loss == "certain"
    assert judged.verdict.endswith(f", and with it {PATH}, DatabaseStack/QueueTable")


def test_a_resource_that_comes_to_a_path_is_no_sign_of_what_goes_from_it() -> None:
    before = tree(resource("DatabaseStack", STACK), resource())
    rows = (change("Remove", path="DatabaseStack", type=STACK), change("Add"))
    stack, _ = dataloss.judge(rows, before, tree())
    assert stack.data_loss == "certain"


def test_only_a_removal_of_an_absent_stack_takes_nothing_with_it() -> None:
    kept = change("Modify", path="DatabaseStack", type=TABLE, replacement="True")
    (judged,) = dataloss.judge((kept,), tree(), tree(), absent={"DatabaseStack"})
    assert judged.data_loss == "certain"


def test_a_modified_nested_stack_is_not_judged_as_one_that_goes() -> None:
    judged = judge(change("Modify", path="DatabaseStack", type=STACK, replacement="False"))
    assert (judged.data_loss, judged.verdict) == ("none", "")


def test_a_table_in_a_stack_that_is_retained_further_up_stays_too() -> None:
    before = tree(
        resource("Data", STACK, deletion="RetainExceptOnCreate"),
        resource("Data/Tables", STACK),
        resource("Data/Tables/Jobs"),
    )
    judged = judge(change("Remove", path="Data/Tables/Jobs"), before, tree())
    assert judged.data_loss == "possible"
    assert "(DeletionPolicy RetainExceptOnCreate of Data)" in judged.verdict


def test_a_nested_stack_that_goes_unread_is_a_possible_loss() -> None:
    assert judge(change("Remove", path="DatabaseStack", type=STACK)).data_loss == "possible"


# Two opinions


def test_the_worse_verdict_on_replacement_wins() -> None:
    mild = change(replacement="False", physical_id="t-1", policy_action="")
    grave = change(replacement="Conditional", source="templates")
    for pair in ((mild, grave), (grave, mild)):
        (merged,) = dataloss.merge((pair[0],), (pair[1],))
        assert merged.replacement == "Conditional"
        assert merged.source == "both"
        assert merged.physical_id == "t-1"


def test_of_two_views_each_one_s_words_fill_the_other_s_gaps() -> None:
    bare = change()
    full = change(
        source="templates",
        physical_id="jobs-1",
        policy_action="ReplaceAndDelete",
        drift="MODIFIED",
        data_loss="certain",
        verdict="destroyed",
    )
    for pair in ((bare, full), (full, bare)):
        (merged,) = dataloss.merge((pair[0],), (pair[1],))
        assert (merged.physical_id, merged.policy_action) == ("jobs-1", "ReplaceAndDelete")
        assert (merged.drift, merged.data_loss) == ("MODIFIED", "certain")
        assert merged.verdict == "destroyed"
    (same,) = dataloss.merge((bare,), (bare,))
    assert same.source == "change set"


def test_the_first_of_two_views_speaks_before_the_second() -> None:
    def view(word: str) -> Change:
        return change(physical_id=word, policy_action=word, drift=word, verdict=word)

    (merged,) = dataloss.merge((view("first"),), (view("second"),))
    said = (merged.physical_id, merged.policy_action, merged.drift, merged.verdict)
    assert said == ("first",) * 4


def test_what_only_one_source_sees_is_kept_with_its_source() -> None:
    seen = change()
    alone = change("Remove", path="StorageStack/Bucket", source="templates")
    merged = dataloss.merge((seen,), (alone,))
    assert [(c.path, c.source) for c in merged] == [
        (PATH, "change set"),
        ("StorageStack/Bucket", "templates"),
    ]


def test_causes_are_joined_by_property_with_the_worse_effect() -> None:
    first = Change(PATH, TABLE, "Modify", causes=(Cause("KeySchema", "", "", "Never", "Direct"),))
    second = Change(
        PATH,
        TABLE,
        "Modify",
        causes=(Cause("KeySchema", "a", "b", "Conditionally", "templates"), Cause("Tags")),
    )
    (merged,) = dataloss.merge((first,), (second,))
    assert merged.causes == (
        Cause("KeySchema", "a", "b", "Conditionally", "Direct"),
        Cause("Tags"),
    )
    bare = replace(first, causes=(Cause("KeySchema"), Cause("Other")))
    (filled,) = dataloss.merge((bare,), (second,))
    assert [(c.property, c.source) for c in filled.causes] == [
        ("KeySchema", "templates"),
        ("Other", ""),
        ("Tags", ""),
    ]


def test_a_removal_outweighs_a_modification() -> None:
    (merged,) = dataloss.merge((change("Modify"),), (change("Remove", source="templates"),))
    assert merged.action == "Remove"


def test_a_resource_that_changes_its_type_stays_two_rows() -> None:
    rows = (change("Add", type="AWS::S3::Bucket"), change("Remove"))
    assert len(dataloss.merge((), rows)) == 2


# Consent


def judged_loss(path: str = PATH, **more: str) -> Change:
    values = {"path": path, "type": TABLE, "action": "Modify", "data_loss": "possible", **more}
    return Change(
        **values,  # type: ignore[arg-type]
        verdict="may be replaced",
        causes=(Cause("KeySchema", "", "", "Conditionally"), Cause("Tags", "", "", "Never")),
    )


def test_a_loss_without_consent_is_refused_with_everything_needed_to_decide() -> None:
    with pytest.raises(DataLossRefused) as caught:
        dataloss.refuse_unless_allowed(
            (judged_loss(), judged_loss("StorageStack/Bucket", type="AWS::S3::Bucket")),
            frozenset(),
            target="stack plot-palette-production in eu-west-1",
        )
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "stack plot-palette-production in eu-west-1" in message
    assert f"{PATH} ({TABLE}): may be replaced because of KeySchema" in message
    assert "Tags" not in message
    assert f"--allow-data-loss {PATH},StorageStack/Bucket" in message
    assert caught.value.details == {"at_risk": [PATH, "StorageStack/Bucket"]}


def test_consent_has_to_name_each_path() -> None:
    rows = (judged_loss(), judged_loss("Other/Table"))
    with pytest.raises(DataLossRefused) as caught:
        dataloss.refuse_unless_allowed(rows, frozenset({PATH, "Mistyped/Table"}))
    lines = caught.value.message.splitlines()
    assert [line for line in lines if line.startswith("  - ")] == [
        f"  - Other/Table ({TABLE}): may be replaced because of KeySchema"
    ]
    assert any("Mistyped/Table was allowed, but no change" in line for line in lines)
    assert f"{PATH},Other/Table" in caught.value.next_step


@pytest.mark.parametrize("allowed", [frozenset(), frozenset({"Mistyped/Table"})])
def test_harmless_changes_need_no_consent(allowed: frozenset[str]) -> None:
    dataloss.refuse_unless_allowed((change(),), allowed)


def test_a_refusal_without_a_cause_or_a_name_says_no_more_than_is_known() -> None:
    risk = replace(judged_loss(), causes=(Cause("Tags"),))
    named = replace(risk, physical_id="jobs-1")
    with pytest.raises(DataLossRefused) as caught:
        dataloss.refuse_unless_allowed((risk, named), frozenset())
    assert caught.value.message.splitlines() == [
        "Data would be lost; nothing was changed.",
        f"  - {PATH} ({TABLE}): may be replaced",
        f"  - {PATH} ({TABLE} jobs-1): may be replaced",
    ]
    assert caught.value.next_step == (
        f"to accept exactly this, run the same command with `--allow-data-loss {PATH}`."
    )


def test_full_consent_lets_everything_pass() -> None:
    dataloss.refuse_unless_allowed((judged_loss(),), frozenset({PATH}))


def test_paths_allowed_in_vain_can_be_listed() -> None:
    assert dataloss.list_unmatched((judged_loss(),), {PATH, "B", "A"}) == ("A", "B")


def test_tables_at_risk_are_named_once_by_their_physical_ids() -> None:
    rows = (
        judged_loss(physical_id="jobs-1"),
        judged_loss("Again", physical_id="jobs-1"),
        judged_loss("New"),
        judged_loss("Bucket", type="AWS::S3::Bucket", physical_id="bucket-1"),
        change(physical_id="harmless"),
    )
    assert dataloss.tables_at_risk(rows) == ("jobs-1",)


# AWS's word against a schema's list of what may replace a resource


def rds(ours: Cause, aws: Cause) -> Change:
    database = Change("Db", "AWS::RDS::DBInstance", "Modify", causes=(aws,))
    guess = replace(database, replacement="Conditional", causes=(ours,), source="templates")
    (merged,) = dataloss.merge((database,), (guess,))
    return merged


GUESS = Cause("BackupRetentionPeriod", "1", "7", "Conditionally", "templates", yields=True)
CERTAIN = Cause("BackupRetentionPeriod", "1", "7", "Never", "Direct", "Static")


def test_aws_is_certain_where_a_schema_only_lists_what_may_replace() -> None:
    merged = rds(GUESS, CERTAIN)
    assert merged.replacement == "False"
    assert merged.causes[0].requires_recreation == "Never"


def test_what_aws_is_not_certain_of_stays_as_a_schema_has_it() -> None:
    assert rds(GUESS, replace(CERTAIN, evaluation="Dynamic")).replacement == "Conditional"
    assert rds(GUESS, replace(CERTAIN, property="MultiAZ")).replacement == "Conditional"


def test_a_create_only_property_gives_way_to_nobody() -> None:
    assert rds(replace(GUESS, yields=False), CERTAIN).replacement == "Conditional"
