"""Write the parameter reference from the templates and the environments' values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lib.templates import templates
from lib.templates.templates import Template
from manual.parts import NOTICE, draw_table, plain

#: Where neither a parameter file nor the default shows what a value looks like.
_EXAMPLES: Mapping[str, str] = {
    "AdminEmail": "admin@example.com",
    "LambdaCodeBucket": "my-code-bucket",
    "LambdaCodeKey": "plot-palette/app-1.4.0.zip",
    "TemplatesBucketName": "my-cfn-templates-bucket",
    "TemplatesKeyPrefix": "plot-palette/",
    "VpcCidr": "10.1.0.0/16",
}

#: What an environment is for, and why its values are what they are.
_PURPOSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "development": (
        "Quick iteration, minimal costs",
        {
            "LogRetentionDays": "logs matter while somebody is looking at them",
            "InitialBudgetLimit": "a forgotten job is noticed after a few dollars",
        },
    ),
    "staging": (
        "Pre-production testing",
        {
            "LogRetentionDays": "a test that failed on Friday can still be read on Monday",
            "InitialBudgetLimit": "room for a full rehearsal of a production job",
        },
    ),
    "production": (
        "Production workloads, compliance",
        {
            "LogRetentionDays": "an incident is often looked into weeks after it happened",
            "InitialBudgetLimit": "the default of the template; raise it with the load",
        },
    ),
}


def example_of(name: str, declaration: Mapping[str, Any]) -> str:
    """Return a value that a parameter takes."""
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    default = plain(declaration.get("Default", ""))
    choices = [plain(choice) for choice in declaration.get("AllowedValues") or ()]
    return next(iter([*[c for c in choices if c != default], *([default] if default else [])]), "")


def draw_parameters(folder: Mapping[str, Template], values: Mapping[str, Mapping[str, str]]) -> str:
    """Return the parameter reference: the master's parameters, and what stays in the children."""
    master = folder[templates.MASTER]
    required = {n: d for n, d in master.parameters.items() if "Default" not in d}
    optional = {n: d for n, d in master.parameters.items() if "Default" in d}
    parts = [
        "# Parameter reference",
        NOTICE,
        (
            "The parameters of `master-stack.yaml`. Values for an environment stand in "
            "`infrastructure/parameters/<environment>.json`, values for a region in "
            "`infrastructure/regions.json`; `inv validate-params --offline` checks them against "
            "this page's source, the template itself."
        ),
        "## Required parameters",
        *(_draw_parameter(name, d, values) for name, d in required.items()),
        "## Optional parameters",
        *(_draw_parameter(name, d, values) for name, d in optional.items()),
        "## Environment recommendations",
        *(_draw_environment(name, values[name]) for name in _in_order(values)),
        "## What `EnvironmentName: production` changes inside the stacks",
        (
            "Everything else is the same in all environments, so that what was tested in staging "
            "is what runs in production."
        ),
        draw_table(("Where", "In production", "Elsewhere"), _production_choices(folder)),
        "## Parameters that only a nested template has",
        (
            "The master does not pass these, so their defaults hold. To use another value, declare "
            "the parameter in the master and pass it on ([how](../../CONTRIBUTING.md#recipes))."
        ),
        draw_table(
            ("Template", "Parameter", "Default", "Description"),
            _unpassed(folder),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _in_order(values: Mapping[str, object]) -> list[str]:
    """Return environments with the cheapest first, and unknown ones last."""
    known = [name for name in _PURPOSES if name in values]
    return [*known, *(name for name in values if name not in _PURPOSES)]


def _draw_parameter(
    name: str, declaration: Mapping[str, Any], values: Mapping[str, Mapping[str, str]]
) -> str:
    """Return one parameter's section."""
    lines = [f"### {name}", "", f"- **Type:** {declaration.get('Type', 'String')}"]
    if declaration.get("AllowedValues"):
        choices = ", ".join(f"`{plain(choice)}`" for choice in declaration["AllowedValues"])
        lines.append(f"- **Allowed values:** {choices}")
    if declaration.get("AllowedPattern"):
        lines.append(f"- **Pattern:** `{declaration['AllowedPattern']}`")
    for title, least, most in (
        ("Range", "MinValue", "MaxValue"),
        ("Length", "MinLength", "MaxLength"),
    ):
        if least in declaration or most in declaration:
            ends = f"{declaration.get(least, '')} – {declaration.get(most, '')}"
            lines.append(f"- **{title}:** {ends.strip()}")
    if "Default" in declaration:
        default = plain(declaration["Default"])
        lines.append(f"- **Default:** {f'`{default}`' if default else '(empty)'}")
    if declaration.get("NoEcho"):
        lines.append("- **Secret:** shown nowhere (NoEcho)")
    lines.append(f"- **Description:** {' '.join(str(declaration.get('Description', '')).split())}")
    if declaration.get("ConstraintDescription"):
        lines.append(f"- **Otherwise:** {declaration['ConstraintDescription']}")
    lines.append(f"- **Example:** `{example_of(name, declaration)}`")
    set_in = [f"{env} `{values[env][name]}`" for env in _in_order(values) if values[env].get(name)]
    if set_in:
        lines.append(f"- **Set to:** {', '.join(set_in)}")
    return "\n".join(lines)


def _draw_environment(name: str, values: Mapping[str, str]) -> str:
    """Return what an environment is for, its values and why they are so."""
    purpose, reasons = _PURPOSES.get(name, ("", {}))
    rows = [(f"`{key}`", f"`{values[key]}`", why) for key, why in reasons.items() if key in values]
    lines = [f"### {name.capitalize()}"]
    lines += [f"Purpose: {purpose}."] if purpose else []
    lines += [draw_table(("Parameter", "Value", "Because"), rows)] if rows else []
    return "\n\n".join(lines)


def _production_choices(folder: Mapping[str, Template]) -> list[tuple[str, str, str]]:
    """Return every property that a template chooses by IsProduction."""
    found = []
    for file, template in folder.items():
        if file == templates.MASTER:
            continue
        for logical_id, resource in template.resources.items():
            for path, one, other in _choices(resource.get("Properties"), ""):
                where = f"`{file}` {logical_id}: {path}"
                found.append((where, f"`{plain(one)}`", f"`{plain(other)}`"))
    return found


def _choices(node: object, path: str) -> Iterator[tuple[str, object, object]]:
    """Yield (path, in production, elsewhere) for each `!If [IsProduction, …]` of plain values."""
    if isinstance(node, Mapping):
        chosen = node.get("Fn::If")
        if isinstance(chosen, list) and len(chosen) == 3 and chosen[0] == "IsProduction":
            plain = [
                "(none)" if isinstance(c, Mapping) and c.get("Ref") == "AWS::NoValue" else c
                for c in chosen[1:]
            ]
            yield path, plain[0], plain[1]
            return
        for key, value in node.items():
            yield from _choices(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _choices(value, path)


def _unpassed(folder: Mapping[str, Template]) -> list[tuple[str, str, str, str]]:
    """Return the parameters of nested templates that no parent passes."""
    passed: dict[str, set[str]] = {}
    for template in folder.values():
        for child in templates.children(template):
            passed.setdefault(child.file, set()).update(child.parameters)
    return [
        (
            f"`{file}`",
            f"`{name}`",
            f"`{plain(d.get('Default', ''))}`",
            str(d.get("Description", "")),
        )
        for file, names in passed.items()
        for name, d in folder[file].parameters.items()
        if name not in names
    ]
