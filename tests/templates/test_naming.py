"""A resource keeps the name that it was imported under, and only that."""

from __future__ import annotations

import pytest

from lib.templates import naming, schemas
from lib.templates.templates import MASTER
from tests.rescue.stage import folder
from tests.support.factories import template

ROOT = """
Parameters:
  TableName: {Type: String, Default: ''}
Resources:
  Own:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: !If [Has, !Ref TableName, !Ref 'AWS::NoValue']}
  %s
"""


def test_what_is_imported_by_name_is_named_by_a_template_and_never_by_aws() -> None:
    """A user pool becomes adoptable on the day that AWS lets a template give its identifier."""
    for type_name, name in naming.NAME_PROPERTIES.items():
        assert name in schemas.identifiers(type_name, "us-east-1")
        assert not schemas.is_named_by_aws(type_name, "us-east-1")
    for type_name in ("AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient"):
        assert schemas.is_named_by_aws(type_name, "us-east-1")
        assert type_name not in naming.NAME_PROPERTIES


def test_a_name_is_followed_from_the_master_into_nested_stacks() -> None:
    assert [(one.path, one.file, one.parameter) for one in naming.list_namings(folder())] == [
        ("DatabaseStack/Notes", "database-stack.yaml", "NotesTableName"),
        ("DatabaseStack/Drafts", "database-stack.yaml", "DraftsTableName"),
        ("DatabaseStack/Files", "database-stack.yaml", "FilesName"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "!Ref TableName",
        "jobs",
        "!If [Has, !Ref TableName, jobs]",
        "!If [Has, !Ref Elsewhere, !Ref 'AWS::NoValue']",
        "!If [Has, !Sub '${TableName}', !Ref 'AWS::NoValue']",
    ],
)
def test_any_other_name_is_none_that_an_import_could_give(name: str) -> None:
    other = f"Other: {{Type: 'AWS::DynamoDB::Table', Properties: {{TableName: {name}}}}}"
    found = naming.list_namings({MASTER: template(ROOT % other)})
    assert [one.path for one in found] == ["Own"]


def test_templates_without_a_master_name_nothing() -> None:
    assert naming.list_namings({}) == ()


def test_an_update_keeps_the_names_that_the_parameter_file_leaves_open() -> None:
    deployed = {"NotesTableName": "notes-2", "FilesName": "", "Secret": "x", "DraftsTableName": "d"}
    kept = naming.keep_names(folder(), {"DraftsTableName": "mine", "NotesTableName": ""}, deployed)
    assert kept == {"NotesTableName": "notes-2"}
