"""Evaluate a tree of templates as far as it can be known before deployment.

Pure: templates and parameters in, resources with their resolved properties out. What only
AWS will know (an ARN, a generated name) stays an `Unknown` that carries its expression, so
that two trees can be compared and a price is never computed from a guess.

Rules of evaluation:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib import values
from lib.errors import TemplateError
from lib.templates import templates
from lib.templates.templates import Template

#: Stacks that one account may hold by default; a tree beyond it is a loop in all but name.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_STACKS = 2_000

#: What CloudFormation does to a resource that states no policy.
DEFAULT_POLICY = "Delete"

#: Attributes that every resource having them has; others, such as a public address, may be "".
_NEVER_EMPTY_ATTRIBUTES = ("Arn", "Id", "Name")

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Unknown:
    """Stand for a value that only AWS will know.

    `expression` is the value as text with `${...}` for each unknown part, each with the path
    of its stack; two values of one expression are equal. `reason` says why it is not known.
    `never_empty` is true of the references that conditions ask for by comparing with "".
    """

    expression: str
    reason: str = field(default="only known once deployed", compare=False)
    never_empty: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """Return the expression."""
        return self.expression


@dataclass(frozen=True)
class Resource:
    """One resource of the tree, its properties resolved as far as they can be.

    `path` joins the logical IDs of the stacks above it and its own with "/". `condition`
    names a condition that only AWS can decide, and is "" for a resource sure to exist.
    """

    path: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    deletion_policy: str
    update_replace_policy: str
    template: str
    condition: str = ""


@dataclass(frozen=True)
class Tree:
    """All resources of a root stack and its nested stacks, in the order of the templates.

    `outputs` are those of the root. `parameters` holds the effective parameters of each
    stack by its path, "" for the root.
    """

    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]


def resolve(
    folder: Mapping[str, Template],
    parameters: Mapping[str, str],
    *,
    region: str,
    account: str,
    stack_name: str,
    partition: str = "aws",
    url_suffix: str = "amazonaws.com",
    master: str = templates.MASTER,
) -> Tree:
    """Evaluate the master and everything nested in it.

    `folder` holds the templates by file name, `parameters` those of the root as text (a
    parameter without value and default becomes an `Unknown`). An empty `account` leaves
    `AWS::AccountId` unknown. Returns the tree. Raises `TemplateError` for a template that
    is missing, malformed or refers to itself.
    """
    if master not in folder:
        raise TemplateError(f"There is no {master} among the templates.")
    pseudo: dict[str, Any] = {
        "AWS::AccountId": account or Unknown("${AWS::AccountId}", "no account was given"),
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::StackName": stack_name,
        "AWS::URLSuffix": url_suffix,
    }
    stacks: list[_Stack] = []
    try:
        root = _Stack(_Shared(folder, stacks), folder[master], "", parameters, pseudo)
        resources = tuple(root.walk())
        outputs = root.outputs()
    except RecursionError:
        raise TemplateError(f"{master} or a template under it is nested too deeply.") from None
    return Tree(resources, outputs, {stack.path: stack.parameters for stack in stacks})


_NO_VALUE = object()
_PENDING = object()


@dataclass(frozen=True)
class _Shared:
    """Carry what all stacks of one tree share: the templates and the stacks opened so far."""

    folder: Mapping[str, Template]
    stacks: list[_Stack]


class _Stack:
    """Hold the state of evaluating one stack: each value is computed once, on demand."""

    def __init__(
        self,
        shared: _Shared,
        template: Template,
        path: str,
        given: Mapping[str, Any],
        pseudo: Mapping[str, Any],
        above: tuple[str, ...] = (),
    ) -> None:
        if template.name in above:
            raise TemplateError(f"{template.name} nests itself at {path}.")
        if len(shared.stacks) >= MAX_STACKS:
            raise TemplateError(f"The templates nest more than {MAX_STACKS:,} stacks.")
        shared.stacks.append(self)
        self.shared = shared
        self.template = template
        self.path = path
        self.pseudo = pseudo
        self.above = (*above, template.name)
        self.parameters = {
            name: self._parameter(name, declaration, given)
            for name, declaration in template.parameters.items()
        }
        self._conditions: dict[str, Any] = {}
        self._children: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}

    # Messages and names

    def _fail(self, problem: str) -> TemplateError:
        where = f"{self.template.name} ({self.path})" if self.path else self.template.name
        return TemplateError(f"{where}: {problem}.")

    def _place(self, logical_id: str) -> str:
        return f"{self.path}/{logical_id}" if self.path else logical_id

    def _unknown_function(self, name: str, *arguments: Any) -> Unknown:
        described = ", ".join(_describe(argument) for argument in arguments)
        return Unknown(f"${{{name}({described})}}")

    def _arguments(self, function: str, argument: Any, *counts: int) -> list[Any]:
        if not isinstance(argument, list) or len(argument) not in counts:
            wanted = " or ".join(map(str, counts))
            raise self._fail(f"{function} needs a list of {wanted} values")
        return argument

    # Sections of a template

    def _parameter(
        self, name: str, declaration: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Any:
        kind = declaration.get("Type")
        if not isinstance(kind, str):
            raise self._fail(f"the parameter {name} has no Type")
        value = given.get(name, declaration.get("Default"))
        if value is None:
            if self.path:
                raise self._fail(f"the parameter {name} is required and not passed")
            return Unknown(f"${{{name}}}", "no value was given for this parameter")
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            return Unknown(f"${{ssm:{_describe(value)}}}", "kept in the Parameter Store")
        if isinstance(value, Unknown):
            return value
        if isinstance(value, list | Mapping):
            # A nested stack's Parameters are a map of strings: AWS refuses a list there.
            raise self._fail(f"the parameter {name} is given a list; join it with Fn::Join")
        text = _text(value)
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [item.strip() for item in text.split(",")] if text else []
        return text

    def condition(self, name: Any) -> Any:
        """Return True, False or the `Unknown` that a named condition comes to."""
        declared = self.template.body.get("Conditions") or {}
        if not isinstance(name, str) or name not in declared:
            raise self._fail(f"the condition {name!r} is not declared")
        known = self._conditions.get(name)
        if known is _PENDING:
            raise self._fail(f"the condition {name} depends on itself")
        if known is None:
            self._conditions[name] = _PENDING
            known = self._conditions[name] = self._decide(declared[name])
        return known

    def _decide(self, node: Any) -> Any:
        if isinstance(node, bool):
            return node
        if not isinstance(node, Mapping) or len(node) != 1:
            raise self._fail(f"{_describe(node)} is not a condition")
        (function, argument) = next(iter(node.items()))
        if function == "Condition":
            return self.condition(argument)
        if not isinstance(argument, list):
            raise self._fail(f"{function} needs a list")
        if function == "Fn::Equals":
            return self._equal(argument)
        return self._combine(function, [self._decide(item) for item in argument])

    def _combine(self, function: str, verdicts: list[Any]) -> Any:
        unknown = [verdict for verdict in verdicts if isinstance(verdict, Unknown)]
        if function == "Fn::Not" and len(verdicts) == 1:
            return self._unknown_function(function, *unknown) if unknown else not verdicts[0]
        if function in ("Fn::And", "Fn::Or") and verdicts:
            decisive = function == "Fn::Or"
            if any(verdict is decisive for verdict in verdicts):
                return decisive
            return self._unknown_function(function, *unknown) if unknown else not decisive
        raise self._fail(f"{function} with {len(verdicts)} arguments is not a condition")

    def _equal(self, argument: list[Any]) -> Any:
        left, right = map(self.evaluate, self._arguments("Fn::Equals", argument, 2))
        if left == right:
            return True
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Unknown) and one.never_empty and other == "":
                return False
        if _has_unknown(left) or _has_unknown(right):
            return self._unknown_function("Fn::Equals", left, right)
        return _comparable(left) == _comparable(right)

    def walk(self) -> Iterator[Resource]:
        """Yield the resources of this stack, each nested stack followed by its own."""
        for logical_id, body in self.template.resources.items():
            state = self._exists(body)
            if state is False:
                continue
            yield Resource(
                path=self._place(logical_id),
                logical_id=logical_id,
                type=body["Type"],
                properties=self._properties(logical_id),
                deletion_policy=self._policy(body, "DeletionPolicy"),
                update_replace_policy=self._policy(body, "UpdateReplacePolicy"),
                template=self.template.name,
                condition=str(body["Condition"]) if isinstance(state, Unknown) else "",
            )
            if body["Type"] == templates.STACK_TYPE:
                yield from self.child(logical_id).walk()

    def _exists(self, body: Mapping[str, Any]) -> Any:
        return self.condition(body["Condition"]) if "Condition" in body else True

    def _properties(self, logical_id: str) -> Mapping[str, Any]:
        found = self.evaluate(self.template.resources[logical_id].get("Properties") or {})
        if not isinstance(found, Mapping):
            raise self._fail(f"the Properties of {logical_id} do not come to a mapping")
        return found

    def _policy(self, body: Mapping[str, Any], name: str) -> str:
        # An undecided policy is read as the dangerous one.
        value = self.evaluate(body.get(name, DEFAULT_POLICY))
        return value if isinstance(value, str) else DEFAULT_POLICY

    def child(self, logical_id: str) -> _Stack:
        """Return the nested stack behind a logical ID."""
        known = self._children.get(logical_id)
        if known is _PENDING:
            raise self._fail(f"the parameters of {logical_id} depend on its own outputs")
        if known is None:
            self._children[logical_id] = _PENDING
            known = self._children[logical_id] = self._open_child(logical_id)
        stack: _Stack = known
        return stack

    def _open_child(self, logical_id: str) -> _Stack:
        raw = self.template.resources[logical_id].get("Properties") or {}
        url = raw.get("TemplateURL")
        file = templates.child_file(url) or templates.child_file(str(self.evaluate(url)))
        folder = self.shared.folder
        if file not in folder:
            raise self._fail(f"{logical_id} loads {file or 'no template'}, which does not exist")
        given = self.evaluate(raw.get("Parameters") or {})
        if not isinstance(given, Mapping):
            raise self._fail(f"the Parameters of {logical_id} are not a mapping")
        path = self._place(logical_id)
        name = Unknown(f"${{{path}.StackName}}", "AWS names nested stacks")
        pseudo = {**self.pseudo, "AWS::StackName": name}
        return _Stack(self.shared, folder[file], path, given, pseudo, self.above)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs that exist under the parameters given."""
        return {
            name: self.output(name)
            for name, body in self.template.outputs.items()
            if self._exists(body) is not False
        }

    def output(self, name: str) -> Any:
        """Return one output; raise `TemplateError` when it is not there."""
        body = self.template.outputs.get(name)
        if body is None or "Value" not in body:
            raise self._fail(f"the output {name} is not declared")
        known = self._outputs.get(name)
        if known is _PENDING:
            raise self._fail(f"the output {name} depends on itself")
        if known is None:
            self._outputs[name] = _PENDING
            state = self._exists(body)
            if state is False:
                raise self._fail(f"the output {name} is read but its condition is false")
            known = self.evaluate(body["Value"])
            if isinstance(state, Unknown):
                known = self._unknown_function("Fn::If", state, known)
            self._outputs[name] = known
        return known

    # Values

    def evaluate(self, node: Any) -> Any:
        """Return a node of a template with every intrinsic function resolved."""
        value = self._evaluate(node)
        return None if value is _NO_VALUE else value

    def _evaluate(self, node: Any) -> Any:
        if isinstance(node, list):
            return [v for v in map(self._evaluate, node) if v is not _NO_VALUE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            function, argument = next(iter(node.items()))
            if function == "Ref":
                return self._ref(argument)
            if isinstance(function, str) and function.startswith("Fn::"):
                return self._call(function, argument)
        pairs = ((key, self._evaluate(value)) for key, value in node.items())
        return {key: value for key, value in pairs if value is not _NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        known = _FUNCTIONS.get(function)
        if known is None:
            return self._unknown_function(function, argument)
        return known(self, argument)

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in ("AWS::StackId", "AWS::NotificationARNs"):
            return Unknown(f"${{{self._place(name)}}}")
        if not isinstance(name, str):
            raise self._fail("Ref needs a name")
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        self._require(name)
        return Unknown(f"${{{self._place(name)}}}", "a reference to a resource", never_empty=True)

    def _require(self, logical_id: str) -> Mapping[str, Any]:
        body = self.template.resources.get(logical_id)
        if body is None:
            raise self._fail(f"{logical_id} is neither a parameter nor a resource")
        if self._exists(body) is False:
            raise self._fail(f"{logical_id} is referred to but its condition is false")
        return body

    def get_attribute(self, argument: Any) -> Any:
        """Evaluate Fn::GetAtt."""
        if isinstance(argument, str):
            argument = argument.split(".", 1)
        if not isinstance(argument, list) or not argument[1:]:
            raise self._fail("Fn::GetAtt needs a resource and an attribute")
        logical_id, *rest = argument
        parts = [self.evaluate(part) for part in rest]
        if not isinstance(logical_id, str) or not all(isinstance(p, str) for p in parts):
            raise self._fail("Fn::GetAtt needs a resource and an attribute")
        attribute = ".".join(parts)
        body = self._require(logical_id)
        if body["Type"] == templates.STACK_TYPE and attribute.startswith("Outputs."):
            return self.child(logical_id).output(attribute.removeprefix("Outputs."))
        return Unknown(
            f"${{{self._place(logical_id)}.{attribute}}}",
            "an attribute of a resource",
            never_empty=attribute.endswith(_NEVER_EMPTY_ATTRIBUTES),
        )

    # One method for each intrinsic function, called with what stands after its name.

    def choose(self, argument: Any) -> Any:
        """Evaluate Fn::If."""
        name, yes, no = self._arguments("Fn::If", argument, 3)
        verdict = self.condition(name)
        if isinstance(verdict, Unknown):
            branches = [self.evaluate(branch) for branch in (yes, no)]
            return self._unknown_function("Fn::If", verdict, *branches)
        return self._evaluate(yes if verdict else no)

    def substitute(self, argument: Any) -> Any:
        """Evaluate Fn::Sub."""
        variables: Mapping[str, Any] = {}
        text = argument
        if isinstance(argument, list):
            text, given = self._arguments("Fn::Sub", argument, 2)
            variables = self.evaluate(given)
        if not isinstance(text, str) or not isinstance(variables, Mapping):
            raise self._fail("Fn::Sub needs a text, or a text and a mapping")
        parts: list[Any] = []
        position = 0
        for match in _SUBSTITUTION.finditer(text):
            parts.append(text[position : match.start()])
            parts.append(self._variable(match[1].strip(), variables))
            position = match.end()
        return self._concatenate("Fn::Sub", [*parts, text[position:]])

    def _variable(self, name: str, variables: Mapping[str, Any]) -> Any:
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in variables:
            return variables[name]
        return self.get_attribute(name) if "." in name else self._ref(name)

    def _concatenate(self, function: str, parts: list[Any]) -> Any:
        for part in parts:
            if part is _NO_VALUE or isinstance(part, list | Mapping):
                raise self._fail(f"{function} is given {_describe(part)}, which is no text")
        text = "".join(p.expression if isinstance(p, Unknown) else _text(p) for p in parts)
        if not any(isinstance(part, Unknown) for part in parts):
            return text
        filled = any(p.never_empty if isinstance(p, Unknown) else _text(p) for p in parts)
        return Unknown(text, never_empty=bool(filled))

    def join(self, argument: Any) -> Any:
        """Evaluate Fn::Join."""
        first, second = self._arguments("Fn::Join", argument, 2)
        delimiter, items = first, self.evaluate(second)
        if isinstance(items, Unknown):
            return self._unknown_function("Fn::Join", delimiter, items)
        if not isinstance(delimiter, str) or not isinstance(items, list):
            raise self._fail("Fn::Join needs a delimiter and a list")
        parts = [part for item in items for part in (delimiter, item)][1:]
        return self._concatenate("Fn::Join", parts)

    def split(self, argument: Any) -> Any:
        """Evaluate Fn::Split."""
        delimiter, text = map(self.evaluate, self._arguments("Fn::Split", argument, 2))
        if isinstance(text, Unknown):
            return self._unknown_function("Fn::Split", delimiter, text)
        if not isinstance(delimiter, str) or not delimiter or not isinstance(text, str):
            raise self._fail("Fn::Split needs a delimiter and a text")
        return text.split(delimiter)

    def select(self, argument: Any) -> Any:
        """Evaluate Fn::Select."""
        index, items = map(self.evaluate, self._arguments("Fn::Select", argument, 2))
        if isinstance(index, Unknown) or isinstance(items, Unknown):
            return self._unknown_function("Fn::Select", index, items)
        position = self._whole_number("Fn::Select", index)
        if not isinstance(items, list) or not 0 <= position < len(items):
            raise self._fail(f"Fn::Select finds no item {_describe(index)}")
        return items[position]

    def _whole_number(self, function: str, value: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", _text(value)):
            raise self._fail(f"{function} needs a number, not {_describe(value)}")
        return int(_text(value))

    def find_in_map(self, argument: Any) -> Any:
        """Evaluate Fn::FindInMap."""
        *path, options = [*self._arguments("Fn::FindInMap", argument, 3, 4), None][:4]
        keys = [self.evaluate(key) for key in path]
        if any(_has_unknown(key) for key in keys):
            return self._unknown_function("Fn::FindInMap", *keys)
        node: Any = self.template.body.get("Mappings") or {}
        for key in keys:
            # YAML may have read an account ID among the keys as a number.
            by_text = {_text(k): v for k, v in node.items()} if isinstance(node, Mapping) else {}
            node = by_text.get(_text(key), _NO_VALUE)
        if node is not _NO_VALUE:
            return self._evaluate(node)
        if isinstance(options, Mapping):
            return self._evaluate(options.get("DefaultValue"))
        raise self._fail(f"Fn::FindInMap finds no {' / '.join(map(_describe, keys))}")

    def encode_base64(self, argument: Any) -> Any:
        """Evaluate Fn::Base64."""
        text = self.evaluate(argument)
        if isinstance(text, Unknown):
            return self._unknown_function("Fn::Base64", text)
        return base64.b64encode(_text(text).encode()).decode()

    def list_zones(self, argument: Any) -> Any:
        """Evaluate Fn::GetAZs."""
        region = self.evaluate(argument) or self.pseudo["AWS::Region"]
        return self._unknown_function("Fn::GetAZs", region)

    def cut_cidr(self, argument: Any) -> Any:
        """Evaluate Fn::Cidr."""
        values = [self.evaluate(item) for item in self._arguments("Fn::Cidr", argument, 2, 3)]
        # What AWS takes for a missing third argument is not documented.
        if not values[2:] or _has_unknown(values):
            return self._unknown_function("Fn::Cidr", *values)
        count, bits = (self._whole_number("Fn::Cidr", value) for value in values[1:])
        try:
            block = ipaddress.ip_network(_text(values[0]), strict=False)
            subnets = block.subnets(new_prefix=block.max_prefixlen - bits)
            # CloudFormation hands out at most 256 blocks.
            found = [str(subnet) for subnet in itertools.islice(subnets, min(count, 256))]
        except ValueError as exc:
            raise self._fail(f"Fn::Cidr cannot be computed: {exc}") from None
        if len(found) < count:
            raise self._fail(f"Fn::Cidr: {values[0]} has no room for {count} blocks")
        return found

    def import_value(self, argument: Any) -> Any:
        """Evaluate Fn::ImportValue."""
        return self._unknown_function("Fn::ImportValue", self.evaluate(argument))

    def count(self, argument: Any) -> Any:
        """Evaluate Fn::Length."""
        items = self.evaluate(argument)
        if isinstance(items, list):
            return len(items)
        return self._unknown_function("Fn::Length", items)

    def to_json(self, argument: Any) -> Any:
        """Evaluate Fn::ToJsonString."""
        value = self.evaluate(argument)
        if _has_unknown(value):
            return self._unknown_function("Fn::ToJsonString", value)
        return values.canonical(value)


_FUNCTIONS: Mapping[str, Callable[[_Stack, Any], Any]] = {
    "Fn::Base64": _Stack.encode_base64,
    "Fn::Cidr": _Stack.cut_cidr,
    "Fn::FindInMap": _Stack.find_in_map,
    "Fn::GetAZs": _Stack.list_zones,
    "Fn::GetAtt": _Stack.get_attribute,
    "Fn::If": _Stack.choose,
    "Fn::ImportValue": _Stack.import_value,
    "Fn::Join": _Stack.join,
    "Fn::Length": _Stack.count,
    "Fn::Select": _Stack.select,
    "Fn::Split": _Stack.split,
    "Fn::Sub": _Stack.substitute,
    "Fn::ToJsonString": _Stack.to_json,
}


def _text(value: Any) -> str:
    """Return a plain value as CloudFormation writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _describe(value: Any) -> str:
    """Return a value as it reads inside an expression or a message."""
    if value is _NO_VALUE:
        return "AWS::NoValue"
    if isinstance(value, list | Mapping):
        return values.canonical(value)
    return _text(value)


def _comparable(value: Any) -> Any:
    """Return a value in the form in which conditions compare it: plain values as text."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _comparable(item) for key, item in value.items()}
    return _text(value)


def _has_unknown(value: Any) -> bool:
    """Tell whether a value is or holds an `Unknown`."""
    if isinstance(value, Mapping):
        return any(_has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_unknown(item) for item in value)
    return isinstance(value, Unknown)
