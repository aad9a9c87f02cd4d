"""Find the parameters that name resources which were imported.

Pure. A resource that holds data has no name of ours, until one that exists already is imported in
its place: then a parameter of the master names it for good. In the template that holds it the name
is `!If [HasName, !Ref NAME, !Ref AWS::NoValue]`, and each parent passes NAME on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib.templates import templates
from lib.templates.changes import join
from lib.templates.templates import MASTER, Template

#: The property by which CloudFormation names a resource of a type, its primary identifier.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-supported-resources.html
NAME_PROPERTIES: Mapping[str, str] = {
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
}


@dataclass(frozen=True)
class Naming:
    """Where the name of one resource comes from.

    `path` is the resource's (`DatabaseStack/JobsTable`), `file` the template that it stands in,
    `name_property` the one that names it, `parameter` the master's that fills it.
    """

    path: str
    type: str
    file: str
    name_property: str
    parameter: str

    @property
    def logical_id(self) -> str:
        """Return the logical ID in the template."""
        return self.path.rpartition("/")[2]


def list_namings(folder: Mapping[str, Template], *, master: str = MASTER) -> tuple[Naming, ...]:
    """Return every resource of a folder of templates whose name a parameter can give."""
    if master not in folder:
        return ()
    own = {name: name for name in folder[master].parameters}
    return tuple(_walk(folder, master, "", own, ()))


def _walk(
    folder: Mapping[str, Template],
    file: str,
    path: str,
    known: Mapping[str, str],
    trail: tuple[str, ...],
) -> Iterator[Naming]:
    """Yield what one template names; `known` maps its parameters to the master's."""
    template = folder.get(file)
    if template is None or file in trail:
        return
    for logical_id, resource in template.resources.items():
        named = NAME_PROPERTIES.get(resource["Type"], "")
        given = _named_by((resource.get("Properties") or {}).get(named)) if named else ""
        if given in known:
            where = join(path, logical_id)
            yield Naming(where, resource["Type"], file, named, known[given])
    for child in templates.children(template):
        passed = {name: _read_ref(value) for name, value in child.parameters.items()}
        below = {name: known[ref] for name, ref in passed.items() if ref in known}
        yield from _walk(folder, child.file, join(path, child.logical_id), below, (*trail, file))


def _named_by(value: Any) -> str:
    """Return the parameter that names a resource when it has a value, or ""."""
    branches = value.get("Fn::If") if isinstance(value, Mapping) else None
    if not isinstance(branches, list) or len(branches) != 3:
        return ""
    _, named, otherwise = branches
    return _read_ref(named) if _read_ref(otherwise) == "AWS::NoValue" else ""


def _read_ref(value: Any) -> str:
    """Return what a plain `Ref` refers to, or ""."""
    return str(value["Ref"]) if isinstance(value, Mapping) and set(value) == {"Ref"} else ""


def keep_names(
    folder: Mapping[str, Template], values: Mapping[str, str], deployed: Mapping[str, str]
) -> dict[str, str]:
    """Return the parameters by which a stack goes on with what was imported into it.

    `values` are the parameter file's, which go before, `deployed` those of the stack as it is. An
    update that forgot them would take the name away, and with it replace the resource.
    """
    wanted = {naming.parameter for naming in list_namings(folder)}
    kept = {name for name in wanted if deployed.get(name) and not values.get(name)}
    return {name: deployed[name] for name in sorted(kept)}
