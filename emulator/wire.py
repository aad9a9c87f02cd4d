"""Stand between a request to CloudFormation and upstream's answer to it.

A request is a mapping of the query protocol's parameters, an answer is a status, headers and a
body of XML. What stands here is told apart by when it looks: before upstream does, or after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree as ET

from ministack.services.cloudformation import handlers, helpers

Json = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[Json], Response]

OK = 200


def around(action: str, wrap: Callable[[Handler], Handler]) -> None:
    """Put what `wrap` makes of an action's handler in its place."""
    actions = handlers._ACTION_HANDLERS
    actions[action] = wrap(actions[action])


def before(actions: Iterable[str], check: Callable[[Json], Response | None]) -> None:
    """Let `check` see each request of these actions first; what it returns is the answer."""

    def wrap(upstream: Handler) -> Handler:
        return lambda params: check(params) or upstream(params)

    for action in actions:
        around(action, wrap)


def after(actions: Iterable[str], act: Callable[[Json], None]) -> None:
    """Let `act` see each request of these actions that upstream has granted."""

    def wrap(upstream: Handler) -> Handler:
        def granted(params: Json) -> Response:
            response = upstream(params)
            if response[0] == OK:
                act(params)
            return response

        return granted

    for action in actions:
        around(action, wrap)


def refuse(message: str, code: str = "ValidationError") -> Response:
    """Return CloudFormation's error answer with these words."""
    refusal: Response = helpers._error(code, message)
    return refusal


def given(params: Json, name: str) -> str:
    """Return one parameter of a request, empty when it was not given."""
    value: str = helpers._p(params, name)
    return value


def is_true(params: Json, name: str) -> bool:
    """Return whether a request says `true` for this parameter."""
    return given(params, name).lower() == "true"


def stack_of(params: Json) -> Json | None:
    """Return the stack that a request names, by name or ARN, if there is one."""
    stack: Json | None = handlers._resolve_stack(given(params, "StackName"))
    return stack


def amend(response: Response, change: Callable[[ET.Element], None]) -> Response:
    """Return `response` after `change` has seen the result element of its XML."""
    status, headers, body = response
    root = ET.fromstring(body)  # noqa: S314 - written by this very process
    change(root[0])
    ET.register_namespace("", helpers.CFN_NS)
    return status, headers, ET.tostring(root, xml_declaration=True, encoding="utf-8")


def put(parent: ET.Element, values: Json, *names: str) -> None:
    """Append those of `names` that `values` has as XML elements in CloudFormation's namespace."""
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        element = ET.SubElement(parent, f"{{{helpers.CFN_NS}}}{name}")
        if isinstance(value, dict):
            put(element, value, *value)
        else:
            element.text = str(value).lower() if isinstance(value, bool) else str(value)


def member(element: ET.Element, name: str) -> ET.Element:
    """Return the child called `name`; upstream writes every one that is asked for here."""
    found = element.find(f"{{{helpers.CFN_NS}}}{name}")
    if found is None:
        raise ValueError(f"upstream's answer has no {name}")
    return found
