"""Tell what else differs between two sets of templates than what their resources come to.

Pure. A change set lists resources: it has no row for an output that changes, for the name of an
export, for a nested stack's own DeletionPolicy. Who takes it for "no changes" drops them.
https://github.com/jenkinsci/pipeline-aws-plugin/issues/210
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lib.templates import templates
from lib.templates.changes import join
from lib.templates.resolution import Tree
from lib.templates.templates import Template
from lib.values import canonical

#: CloudFormation gives back a template with "?" for every character that is not ASCII.
_NOT_ASCII = re.compile(r"\\u[0-9a-f]{4}")

Folder = Mapping[str, Template]


def list_differences(
    old: Folder, new: Folder, before: Tree, after: Tree, *, master: str = templates.MASTER
) -> tuple[str, ...]:
    """Return what differs between two sets of templates, whatever their resources come to.

    `old` and `new` hold the templates by file name, `before` and `after` are what they resolve
    to. Nothing is returned for two sets that are the same, wherever their nested stacks are
    loaded from.
    """
    found = dict.fromkeys(_walk(old, new, old[master], new[master], ""))
    for path, values in after.parameters.items():
        known = before.parameters.get(path, {})
        for name in dict.fromkeys([*known, *values]):
            if known.get(name) != values.get(name):
                found[_place(path, f"the parameter {name}")] = None
    for name in dict.fromkeys([*before.outputs, *after.outputs]):
        if before.outputs.get(name) != after.outputs.get(name):
            found[f"the output {name}"] = None
    return tuple(found)


def _walk(old: Folder, new: Folder, before: Template, after: Template, path: str) -> Iterator[str]:
    """Yield what differs between two templates and, beneath, between those they nest."""
    for section in dict.fromkeys([*before.body, *after.body]):
        was, now = before.body.get(section) or {}, after.body.get(section) or {}
        if _text(was) == _text(now):
            continue
        if section == "Resources":
            yield from _differing_resources(was, now, path)
        elif section == "Outputs":
            yield from (_place(path, one) for one in _differing_outputs(was, now))
        else:
            yield _place(path, f"the section {section}")
    children = {child.logical_id: child.file for child in templates.children(before)}
    for child in templates.children(after):
        known, wanted = children.get(child.logical_id), child.file
        if known in old and wanted in new:
            below = join(path, child.logical_id)
            yield from _walk(old, new, old[str(known)], new[str(wanted)], below)


def _differing_resources(
    was: Mapping[str, Any], now: Mapping[str, Any], path: str
) -> Iterator[str]:
    for name in dict.fromkeys([*was, *now]):
        before, after = _without_url(was.get(name)), _without_url(now.get(name))
        for attribute in dict.fromkeys([*before, *after]):
            if _text(before.get(attribute)) != _text(after.get(attribute)):
                yield f"{attribute} of {join(path, name)}"


def _without_url(resource: Any) -> Mapping[str, Any]:
    """Return a resource without the place that a nested stack is loaded from."""
    if not isinstance(resource, Mapping) or resource.get("Type") != templates.STACK_TYPE:
        return resource or {}
    properties = dict(resource.get("Properties") or {})
    properties.pop("TemplateURL", None)
    return {**resource, "Properties": properties}


def _differing_outputs(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*was, *now]):
        before, after = was.get(name) or {}, now.get(name) or {}
        if _text(before.get("Export")) != _text(after.get("Export")):
            yield f"the export of the output {name}"
        if _text({**before, "Export": ""}) != _text({**after, "Export": ""}):
            yield f"the output {name}"


def _place(path: str, what: str) -> str:
    return f"{what} of {path}" if path else what


def _text(value: Any) -> str:
    """Return a part of a template as text that is equal for equal parts, on AWS or here."""
    return _NOT_ASCII.sub("?", canonical(value))
