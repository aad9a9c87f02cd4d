"""Tell which properties of a resource type cannot change without replacing the resource.

Read from the resource provider schemas that cfn-lint ships as plain files: importing
cfn-lint itself takes seconds. A schema's `createOnlyProperties` always replace, its
`conditionalCreateOnlyProperties` may.
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The region whose list of types is complete, asked where a region's own list has a gap.
REFERENCE_REGION = "us-east-1"

_PREFIX = "/properties/"


@dataclass(frozen=True)
class Exempted:
    """A property whose update behaviour the schema leaves out but AWS documents.

    `always` tells a replacement that is certain from one that depends. With `list_key` the
    property is a list, and only a change to an item that keeps its key counts, not an item
    that comes or goes.
    """

    property: str
    always: bool
    source: str
    list_key: str = ""


_COGNITO_LOCKED = (
    "https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-updating.html"
)
_DYNAMODB_TABLE = (
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "aws-resource-dynamodb-table.html"
)

#: What AWS's guides say and the schemas do not, by type.
EXCEPTIONS: Mapping[str, tuple[Exempted, ...]] = {
    # "If you want to change the following settings, you must create a new user pool."
    "AWS::Cognito::UserPool": (
        Exempted("AliasAttributes", True, _COGNITO_LOCKED),
        Exempted("UsernameAttributes", True, _COGNITO_LOCKED),
        Exempted("UsernameConfiguration", True, _COGNITO_LOCKED),
        Exempted("Schema", False, _COGNITO_LOCKED, list_key="Name"),
    ),
    "AWS::DynamoDB::Table": (
        # "Replacement if you edit an existing AttributeDefinition."
        Exempted("AttributeDefinitions", False, _DYNAMODB_TABLE, list_key="AttributeName"),
        # A local index exists from the creation of its table or never.
        Exempted("LocalSecondaryIndexes", False, _DYNAMODB_TABLE),
    ),
}


def known(type_name: str, region: str) -> bool:
    """Tell whether there is a schema for a type; without one anything may replace it."""
    return _schema(type_name, region) is not None


def create_only(type_name: str, region: str) -> frozenset[str]:
    """Return the properties whose change always replaces the resource.

    Paths as in the schema, without its prefix: `TableName`, `TableInput/Name`, with `*` for
    the items of a list.
    """
    documented = (e.property for e in EXCEPTIONS.get(type_name, ()) if e.always)
    return _listed(type_name, region, "createOnlyProperties") | frozenset(documented)


def conditional_create_only(type_name: str, region: str) -> frozenset[str]:
    """Return the properties whose change replaces the resource under some conditions."""
    documented = (e.property for e in EXCEPTIONS.get(type_name, ()) if not e.always)
    return _listed(type_name, region, "conditionalCreateOnlyProperties") | frozenset(documented)


def documented(type_name: str) -> frozenset[str]:
    """Return the properties whose update behaviour AWS's guides tell and the schema does not."""
    return frozenset(e.property for e in EXCEPTIONS.get(type_name, ()))


def identifiers(type_name: str, region: str) -> frozenset[str]:
    """Return the attributes that name a resource of a type, and so last as long as it does."""
    schema = _schema(type_name, region) or {}
    groups = [schema.get("primaryIdentifier") or (), *(schema.get("additionalIdentifiers") or ())]
    return frozenset(path.removeprefix(_PREFIX) for group in groups for path in group)


def is_named_by_aws(type_name: str, region: str) -> bool:
    """Tell whether a resource's primary identifier is AWS's to make, so that no template gives it.

    https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
    """
    primary = (_schema(type_name, region) or {}).get("primaryIdentifier") or ()
    made = _listed(type_name, region, "readOnlyProperties")
    return any(path.removeprefix(_PREFIX) in made for path in primary)


def list_keys(type_name: str) -> Mapping[str, str]:
    """Return the lists of which only an edited item matters, with the key that names an item."""
    return {e.property: e.list_key for e in EXCEPTIONS.get(type_name, ()) if e.list_key}


def _listed(type_name: str, region: str, section: str) -> frozenset[str]:
    """Return one section of a schema as paths without their prefix."""
    schema = _schema(type_name, region) or {}
    return frozenset(path.removeprefix(_PREFIX) for path in schema.get(section) or ())


@functools.cache
def _schema(type_name: str, region: str) -> Mapping[str, Any] | None:
    """Return the schema of a type in a region, else in the reference region, else None."""
    folder = _folder()
    if folder is None:
        return None
    file = _types(folder, region).get(type_name) or _types(folder, REFERENCE_REGION).get(type_name)
    return _read(folder / "resources" / f"{file}.json") if file else None


@functools.cache
def _types(folder: Path, region: str) -> Mapping[str, str]:
    """Return the file of each type that a region has."""
    return _read(folder / "providers" / f"{region}.json") or {}


@functools.cache
def _folder() -> Path | None:
    """Find cfn-lint's schemas without running any of it."""
    spec = importlib.util.find_spec("cfnlint")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data" / "schemas"


def _read(path: Path) -> dict[str, Any] | None:
    """Read a JSON file; a region that cfn-lint does not know has none."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return content
