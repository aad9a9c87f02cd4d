"""Read CloudFormation templates, and find what they nest and read from one another.

Pure: works on text and on a folder it is given, never on AWS. Intrinsics are read into
their long form (`!Ref A` becomes `{"Ref": "A"}`), as CloudFormation itself does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.errors import TemplateError
from lib.values import walk

if TYPE_CHECKING:
    import yaml

MASTER = "master-stack.yaml"
STACK_TYPE = "AWS::CloudFormation::Stack"

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_TEMPLATE_BYTES = 1_000_000

_CHILD_FILE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*\.(?:ya?ml|json|template))\s*$")

_OUTPUT = re.compile(r"\$\{(\w+)\.(Outputs\.\w+)\}")

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """One template: its file name, its exact text and what the text says."""

    name: str
    text: str
    body: Body

    @property
    def resources(self) -> Mapping[str, Body]:
        """Return the resources by logical ID."""
        return self.body.get("Resources") or {}

    @property
    def parameters(self) -> Mapping[str, Body]:
        """Return the declared parameters by name."""
        return self.body.get("Parameters") or {}

    @property
    def outputs(self) -> Mapping[str, Body]:
        """Return the declared outputs by name."""
        return self.body.get("Outputs") or {}


@dataclass(frozen=True)
class Child:
    """One nested stack in a parent template."""

    logical_id: str
    file: str
    parameters: Body


@functools.cache
def _loader() -> type[yaml.SafeLoader]:
    """Build the YAML reader that knows CloudFormation's short forms and rejects double keys."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # the C reader's type is only known at run time
        pass

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _read_mapping)
    Loader.add_multi_constructor("!", _read_short_form)
    # CloudFormation reads dates in templates (the version, policy versions) as text.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return Loader


def _read_mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    """Build a mapping; its keys are text, whatever YAML makes of an account, `on` or `<<`."""
    import yaml

    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        problem = "" if isinstance(key_node, yaml.ScalarNode) else "a key is not a plain value"
        if not problem and key in mapping:
            problem = f"the key {key!r} stands twice"
        if problem:
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _read_short_form(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    """Build the long form of a function that is written as a tag."""
    import yaml

    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = _read_mapping(loader, node)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


def parse(name: str, text: str) -> Template:
    """Read one template from YAML or JSON text.

    `name` is the file's name and only used in messages and keys. Raises `TemplateError`
    naming file and line when the text is not a template.
    """
    import yaml

    try:
        _check_structure(text)
        body = yaml.load(text, Loader=_loader())  # noqa: S506 (a subclass of the safe reader)
    except (yaml.YAMLError, *_UNREADABLE) as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        reason = getattr(exc, "problem", None) or " ".join(str(exc).split()) or "it is no YAML"
        raise TemplateError(f"{place} cannot be read as a template: {reason}.") from None
    problem = _shape_problem(body)
    if problem:
        raise TemplateError(f"{name} is not a CloudFormation template: {problem}.")
    return Template(name, text, body)


#: What PyYAML lets out besides its own errors: a value that does not fit its tag
#: (`!!int ""`, `!!bool maybe`), a number that fits nowhere, nesting beyond Python's stack.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, ValueError)

#: CloudFormation's own templates nest about a dozen deep.
_DEEPEST = 200

#: Where an alias may stand, and what can nest deeply within 1 MB. Looking closer costs as
#: much as half of the reading, so it is done only when there is a reason.
_ALIAS = re.compile(r"(?:^|[\s\[{,:])\*[^\s*,\]}\"'?/]", re.MULTILINE)
_OPENINGS = ("[", "{", "- ", "? ", ": ", "\t")
_FEW_OPENINGS = 5_000


def _check_structure(text: str) -> None:
    """Refuse aliases, which CloudFormation does not take, and nesting that crashes the reader.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
    """
    openings = sum(text.count(opening) for opening in _OPENINGS)
    if openings < _FEW_OPENINGS and not _ALIAS.search(text):
        return
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "CloudFormation takes no aliases", mark)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(None, None, "it nests too deeply", mark)


def _shape_problem(body: object) -> str:
    """Return what keeps a document from being a template, or nothing."""
    if not isinstance(body, dict):
        return "it is not a mapping"
    for section in ("Parameters", "Conditions", "Mappings", "Resources", "Outputs"):
        if not isinstance(body.get(section) or {}, dict):
            return f"{section} is not a mapping"
    for section in ("Parameters", "Resources", "Outputs"):
        for key, value in (body.get(section) or {}).items():
            if not isinstance(value, dict):
                return f"{section}/{key} is not a mapping"
    return _resource_problem(body.get("Resources"))


def _resource_problem(resources: Any) -> str:
    """Return what is wrong with the Resources section, or nothing."""
    for logical_id, resource in (resources or {}).items():
        if not isinstance(resource.get("Type"), str):
            return f"Resources/{logical_id} has no Type"
        if not isinstance(resource.get("Properties") or {}, dict):
            return f"Resources/{logical_id}/Properties is not a mapping"
        passed = (resource.get("Properties") or {}).get("Parameters") or {}
        if resource["Type"] == STACK_TYPE and not isinstance(passed, dict):
            return f"Resources/{logical_id}/Properties/Parameters is not a mapping"
    return "" if resources else "it has no Resources"


def read_folder(folder: Path) -> dict[str, Template]:
    """Read every `*.yaml` of a folder, by file name.

    Raises `TemplateError` for a file that cannot be read, is no template, is larger than
    CloudFormation takes by URL (1 MB) or leaves the folder through a link.
    """
    found: dict[str, Template] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise TemplateError(f"{path} leaves {folder} through a link.")
            if not path.is_file():
                raise TemplateError(f"{path} is not a file.")
            if path.stat().st_size > MAX_TEMPLATE_BYTES:
                raise TemplateError(f"{path} is larger than the 1 MB CloudFormation takes.")
            text = path.read_bytes().decode()
        # Python calls a link that leads to itself a RuntimeError.
        except (OSError, RuntimeError, UnicodeDecodeError) as exc:
            raise TemplateError(f"{path} cannot be read: {exc}.") from None
        found[path.name] = parse(path.name, text)
    if not found:
        raise TemplateError(f"There is no template in {folder}.")
    return found


def children(template: Template) -> tuple[Child, ...]:
    """List the nested stacks of a template with the file that each one loads."""
    nested = {
        logical_id: resource.get("Properties") or {}
        for logical_id, resource in template.resources.items()
        if resource["Type"] == STACK_TYPE
    }
    return tuple(
        Child(logical_id, child_file(given.get("TemplateURL")), given.get("Parameters") or {})
        for logical_id, given in nested.items()
    )


def child_file(url: object) -> str:
    """Return the file name at the end of a TemplateURL, or "" when it shows none.

    Takes a plain string or an `Fn::Sub` in either of its forms.
    """
    if isinstance(url, Mapping) and "Fn::Sub" in url:
        url = url["Fn::Sub"]
        if isinstance(url, list) and url:
            url = url[0]
    match = _CHILD_FILE.search(url) if isinstance(url, str) else None
    return match[1] if match else ""


def attribute_references(node: object) -> Iterator[tuple[str, str]]:
    """Yield logical ID and attribute of whatever reads one; a stack's output is `Outputs.NAME`."""
    for inside in walk(node):
        if not isinstance(inside, Mapping):
            continue
        target = inside.get("Fn::GetAtt")
        if isinstance(target, str):
            target = target.split(".", 1)
        if isinstance(target, list) and len(target) == 2:
            yield str(target[0]), str(target[1])
        text = inside.get("Fn::Sub")
        text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, str):
            yield from _OUTPUT.findall(text)
