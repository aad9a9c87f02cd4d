"""Evaluate a tree of templates as far as it can be known before deployment.

Pure: templates and parameters in, resources with their resolved properties out. What only
AWS will know (an ARN, a generated name) stays an `Unknown` that carries its expression, so
that two trees can be compared and a price is never computed from a guess. What each function
in a template comes to is in `intrinsics`; here is what a stack knows of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.errors import TemplateError
from lib.templates import intrinsics, templates
from lib.templates.intrinsics import NO_VALUE
from lib.templates.templates import Template
from lib.templates.unknowns import Unknown
from lib.values import as_text

#: Stacks that one account may hold by default; a tree beyond it is a loop in all but name.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_STACKS = 2_000

#: What CloudFormation does to a resource that states no policy.
DEFAULT_POLICY = "Delete"

#: Attributes that every resource having them has; others, such as a public address, may be "".
_NEVER_EMPTY_ATTRIBUTES = ("Arn", "Id", "Name")


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
    deployed: bool = False,
) -> Tree:
    """Evaluate the master and everything nested in it.

    `folder` holds the templates by file name, `parameters` those of the root as text (a
    parameter without value and default becomes an `Unknown`). An empty `account` leaves
    `AWS::AccountId` unknown. Templates that are `deployed` need not fit together: after a failure
    a parent has the new one already and its nested stack still the old one, so that a parameter
    or an output that is missing there is an `Unknown`. Returns the tree. Raises `TemplateError`
    for a template that is missing, malformed or refers to itself.
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
    stacks: list[Scope] = []
    try:
        shared = _Shared(folder, stacks, deployed)
        root = Scope(shared, folder[master], "", parameters, pseudo)
        resources = tuple(root.walk())
        outputs = root.outputs()
    except RecursionError:
        raise TemplateError(f"{master} or a template under it is nested too deeply.") from None
    return Tree(resources, outputs, {stack.path: stack.parameters for stack in stacks})


_PENDING = object()


@dataclass(frozen=True)
class _Shared:
    """Carry what all stacks of one tree share: the templates and the stacks opened so far.

    `deployed` says that they need not fit together.
    """

    folder: Mapping[str, Template]
    stacks: list[Scope]
    deployed: bool


class Scope:
    """One stack being evaluated, which its functions ask: each value is computed once."""

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
        self.mappings: Mapping[str, Any] = template.body.get("Mappings") or {}
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

    def fail(self, problem: str) -> TemplateError:
        """Return an error that names the template and the stack."""
        where = f"{self.template.name} ({self.path})" if self.path else self.template.name
        return TemplateError(f"{where}: {problem}.")

    def _place(self, logical_id: str) -> str:
        return f"{self.path}/{logical_id}" if self.path else logical_id

    def _once(self, known: dict[str, Any], name: str, circle: str, make: Callable[[], Any]) -> Any:
        """Return what is known by a name, made when first asked for; `circle` tells of a loop."""
        found = known.get(name)
        if found is _PENDING:
            raise self.fail(circle)
        if found is None:
            known[name] = _PENDING
            found = known[name] = make()
        return found

    def _parameter(
        self, name: str, declaration: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Any:
        kind = declaration.get("Type")
        if not isinstance(kind, str):
            raise self.fail(f"the parameter {name} has no Type")
        value = given.get(name, declaration.get("Default"))
        if value is None:
            if self.path and not self.shared.deployed:
                raise self.fail(f"the parameter {name} is required and not passed")
            return Unknown(f"${{{name}}}", "no value was given for this parameter")
        if kind.startswith("AWS::SSM::Parameter::Value<"):
            return Unknown(f"${{ssm:{as_text(value)}}}", "kept in the Parameter Store")
        if isinstance(value, Unknown):
            return value
        if isinstance(value, list | Mapping):
            # A nested stack's Parameters are a map of strings: AWS refuses a list there.
            raise self.fail(f"the parameter {name} is given a list; join it with Fn::Join")
        text = as_text(value)
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [item.strip() for item in text.split(",")] if text else []
        return text

    def condition(self, name: Any) -> Any:
        """Return True, False or the `Unknown` that a named condition comes to."""
        declared = self.template.body.get("Conditions") or {}
        if not isinstance(name, str) or name not in declared:
            raise self.fail(f"the condition {name!r} is not declared")
        definition = partial(intrinsics.decide, self, declared[name])
        circle = f"the condition {name} depends on itself"
        return self._once(self._conditions, name, circle, definition)

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
            raise self.fail(f"the Properties of {logical_id} do not come to a mapping")
        return found

    def _policy(self, body: Mapping[str, Any], name: str) -> str:
        # An undecided policy is read as the dangerous one.
        value = self.evaluate(body.get(name, DEFAULT_POLICY))
        return value if isinstance(value, str) else DEFAULT_POLICY

    def child(self, logical_id: str) -> Scope:
        """Return the nested stack behind a logical ID."""
        circle = f"the parameters of {logical_id} depend on its own outputs"
        opening = partial(self._open_child, logical_id)
        stack: Scope = self._once(self._children, logical_id, circle, opening)
        return stack

    def _open_child(self, logical_id: str) -> Scope:
        raw = self.template.resources[logical_id].get("Properties") or {}
        url = raw.get("TemplateURL")
        file = templates.child_file(url) or templates.child_file(str(self.evaluate(url)))
        folder = self.shared.folder
        if file not in folder:
            raise self.fail(f"{logical_id} loads {file or 'no template'}, which does not exist")
        given = self.evaluate(raw.get("Parameters") or {})
        if not isinstance(given, Mapping):
            raise self.fail(f"the Parameters of {logical_id} are not a mapping")
        path = self._place(logical_id)
        name = Unknown(f"${{{path}.StackName}}", "AWS names nested stacks")
        pseudo = {**self.pseudo, "AWS::StackName": name}
        return Scope(self.shared, folder[file], path, given, pseudo, self.above)

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
            if self.shared.deployed:
                return self._lack_output(name)
            raise self.fail(f"the output {name} is not declared")
        circle = f"the output {name} depends on itself"
        return self._once(self._outputs, name, circle, partial(self._evaluate_output, name, body))

    def _lack_output(self, name: str) -> Unknown:
        """Return what stands for an output that a deployed stack does not have."""
        return Unknown(f"${{{self._place(f'Outputs.{name}')}}}", "the stack has no such output")

    def _evaluate_output(self, name: str, body: Mapping[str, Any]) -> Any:
        state = self._exists(body)
        if state is False:
            if self.shared.deployed:
                return self._lack_output(name)
            raise self.fail(f"the output {name} is read but its condition is false")
        value = self.evaluate(body["Value"])
        if isinstance(state, Unknown):
            return intrinsics.stay_unknown("Fn::If", state, value)
        return value

    def evaluate(self, node: Any) -> Any:
        """Return a node with every function in it evaluated, None for `NO_VALUE`."""
        value = self.evaluate_or_omit(node)
        return None if value is NO_VALUE else value

    def evaluate_or_omit(self, node: Any) -> Any:
        """Evaluate a node that may also come to `NO_VALUE`."""
        if isinstance(node, list):
            return [v for v in map(self.evaluate_or_omit, node) if v is not NO_VALUE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            function, argument = next(iter(node.items()))
            if function == "Ref":
                return self.refer(argument)
            if isinstance(function, str) and function.startswith("Fn::"):
                return intrinsics.call(self, function, argument)
        pairs = ((key, self.evaluate_or_omit(value)) for key, value in node.items())
        return {key: value for key, value in pairs if value is not NO_VALUE}

    def refer(self, name: Any) -> Any:
        """Return what Ref comes to: a pseudo parameter, a parameter or a resource."""
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in ("AWS::StackId", "AWS::NotificationARNs"):
            return Unknown(f"${{{self._place(name)}}}")
        if not isinstance(name, str):
            raise self.fail("Ref needs a name")
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        self._require(name)
        return Unknown(f"${{{self._place(name)}}}", "a reference to a resource", never_empty=True)

    def _require(self, logical_id: str) -> Mapping[str, Any]:
        body = self.template.resources.get(logical_id)
        if body is None:
            raise self.fail(f"{logical_id} is neither a parameter nor a resource")
        if self._exists(body) is False:
            raise self.fail(f"{logical_id} is referred to but its condition is false")
        return body

    def attribute(self, logical_id: str, attribute: str) -> Any:
        """Return the attribute of a resource, known when it is another stack's output."""
        body = self._require(logical_id)
        if body["Type"] == templates.STACK_TYPE and attribute.startswith("Outputs."):
            return self.child(logical_id).output(attribute.removeprefix("Outputs."))
        return Unknown(
            f"${{{self._place(logical_id)}.{attribute}}}",
            "an attribute of a resource",
            never_empty=attribute.endswith(_NEVER_EMPTY_ATTRIBUTES),
        )
