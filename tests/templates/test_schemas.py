"""What replaces a resource is read from the schemas that cfn-lint ships, and AWS's guides."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lib.templates import schemas

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    caches = (schemas._schema, schemas._types, schemas._folder)
    yield
    for cache in caches:
        cache.cache_clear()


def test_a_table_is_replaced_by_its_name_and_perhaps_by_its_key() -> None:
    assert "TableName" in schemas.create_only("AWS::DynamoDB::Table", REGION)
    assert "KeySchema" in schemas.conditional_create_only("AWS::DynamoDB::Table", REGION)
    for harmless in ("Tags", "TimeToLiveSpecification", "BillingMode"):
        assert harmless not in schemas.create_only("AWS::DynamoDB::Table", REGION)
        assert harmless not in schemas.conditional_create_only("AWS::DynamoDB::Table", REGION)


def test_the_memory_of_a_function_replaces_nothing_but_its_name_does() -> None:
    assert "FunctionName" in schemas.create_only("AWS::Lambda::Function", REGION)
    assert "MemorySize" not in schemas.create_only("AWS::Lambda::Function", REGION)


def test_a_user_pool_is_replaced_by_what_the_user_guide_says_cannot_change() -> None:
    assert schemas.create_only("AWS::Cognito::UserPool", REGION) >= {
        "AliasAttributes",
        "UsernameAttributes",
        "UsernameConfiguration",
    }


def test_paths_inside_a_property_keep_their_depth() -> None:
    paths = schemas.create_only("AWS::ECR::Repository", REGION)
    assert "EncryptionConfiguration/EncryptionType" in paths


def test_every_exception_names_the_page_of_aws_that_says_so() -> None:
    for exceptions in schemas.EXCEPTIONS.values():
        for exception in exceptions:
            assert exception.source.startswith("https://docs.aws.amazon.com/")


def test_no_exception_repeats_what_a_schema_already_says() -> None:
    for type_name, exceptions in schemas.EXCEPTIONS.items():
        shipped = schemas._listed(type_name, "us-east-1", "createOnlyProperties")
        shipped |= schemas._listed(type_name, "us-east-1", "conditionalCreateOnlyProperties")
        assert not shipped & {exception.property for exception in exceptions}


def test_a_region_without_a_list_of_its_own_uses_the_reference_region() -> None:
    assert schemas.known("AWS::DynamoDB::Table", "xx-nowhere-9")
    assert "TableName" in schemas.create_only("AWS::DynamoDB::Table", "xx-nowhere-9")


def test_a_type_without_a_schema_is_not_known() -> None:
    assert not schemas.known("Custom::Thing", REGION)
    assert schemas.create_only("Custom::Thing", REGION) == frozenset()


def test_without_cfn_lint_no_type_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas._folder.cache_clear()
    schemas._schema.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not schemas.known("AWS::DynamoDB::Table", REGION)


def test_reading_a_schema_does_not_import_cfn_lint() -> None:
    code = (
        "import sys; from lib.templates import schemas; "
        "schemas.create_only('AWS::S3::Bucket', 'eu-west-1');"
        "sys.exit('cfnlint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
