"""Hold a master and its children to each other, and say which capabilities they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lib.templates.templates import Child, Template, attribute_references, children
from lib.values import walk


def check_contracts(folder: Mapping[str, Template]) -> tuple[str, ...]:
    """Check every parent against the children in the same folder.

    Returns one sentence for each child file that is missing, each child parameter that is
    neither supplied nor defaulted, each supplied parameter that the child does not declare,
    and each `GetAtt Child.Outputs.X` that the child does not output. cfn-lint's E3043 does
    this for local paths only, and nested stacks load from URLs.
    """
    problems: list[str] = []
    for parent in folder.values():
        nested = {child.logical_id: child for child in children(parent)}
        for child in nested.values():
            problems += _check_parameters(parent, child, folder)
        for logical_id, attribute in sorted(set(attribute_references(parent.body))):
            output = attribute.removeprefix("Outputs.")
            target = folder.get(nested[logical_id].file) if logical_id in nested else None
            if target and output != attribute and output not in target.outputs:
                problems.append(
                    f"{parent.name} reads {logical_id}.Outputs.{output}, "
                    f"which {target.name} does not declare."
                )
    return tuple(problems)


def _check_parameters(
    parent: Template, child: Child, folder: Mapping[str, Template]
) -> Iterator[str]:
    """Yield what is wrong with the parameters that a parent passes to one child."""
    where = f"{parent.name}: {child.logical_id}"
    if not child.file:
        yield f"{where} has a TemplateURL that does not end in a template's file name."
        return
    target = folder.get(child.file)
    if target is None:
        yield f"{where} loads {child.file}, which does not exist."
        return
    for name, declaration in target.parameters.items():
        if name not in child.parameters and "Default" not in declaration:
            yield f"{where} does not pass {name}, which {target.name} requires."
    for name in child.parameters:
        if name not in target.parameters:
            yield f"{where} passes {name}, which {target.name} does not declare."


def capabilities(folder: Mapping[str, Template]) -> tuple[str, ...]:
    """Return the capabilities that the root operation needs, and no others.

    Named IAM resources need CAPABILITY_NAMED_IAM (which covers unnamed ones); macros and
    nested stacks that use them need CAPABILITY_AUTO_EXPAND.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
    """
    needed: set[str] = set()
    for template in folder.values():
        nodes = (node for node in walk(template.body) if isinstance(node, Mapping))
        if template.body.get("Transform") or any("Fn::Transform" in node for node in nodes):
            needed.add("CAPABILITY_AUTO_EXPAND")
        for resource in template.resources.values():
            name_property = _NAMED_IAM.get(resource["Type"])
            if name_property is None:
                continue
            named = name_property and name_property in (resource.get("Properties") or {})
            needed.add("CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM")
    return tuple(sorted(needed))


#: IAM types that need an acknowledgement, with the property that makes them named.
_NAMED_IAM: Mapping[str, str] = {
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserToGroupAddition": "",
}
