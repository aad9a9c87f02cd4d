"""Tell in each event which properties its resource was to have, as CloudFormation does."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import ministack.services.cloudformation as cf
from ministack.services.cloudformation import changesets, handlers, stacks

from emulator import nested_stacks, wire
from emulator.wire import Handler, Json, Response

# What was last asked of each resource, by stack and logical ID.
_asked: dict[tuple[str, str], str] = {}


def _remember(stack_name: str, logical_id: str | None, props: Json) -> None:
    if logical_id:
        _asked[stack_name, logical_id] = json.dumps(props, separators=(",", ":"), default=str)
        stack_id = (cf._stacks.get(stack_name) or {}).get("StackId", "")
        events = cf._stack_events.get(stack_id) or []
        # The event that it begins with is written before.
        if events and events[-1]["LogicalResourceId"] == logical_id:
            events[-1]["ResourceProperties"] = _asked[stack_name, logical_id]


def _watch_requests() -> None:
    create, update = stacks._provision_resource, stacks._update_resource

    def provision(kind: str, logical_id: str, props: Json, stack_name: str) -> object:
        _remember(stack_name, logical_id, props)
        return create(kind, logical_id, props, stack_name)

    def change(kind: str, physical_id: str, old: Json, new: Json, *more: Any) -> object:
        stack_name, logical_id, *_ = [*more, None]
        _remember(stack_name, logical_id, new)
        return update(kind, physical_id, old, new, *more)

    stacks._provision_resource = provision
    nested_stacks.patch("_update_resource", change)


def _write_down() -> None:
    add_event = stacks._add_event

    def event(stack_id: str, stack_name: str, logical_id: str, *more: Any, **named: Any) -> None:
        before = len(cf._stack_events.get(stack_id) or [])
        add_event(stack_id, stack_name, logical_id, *more, **named)
        events = cf._stack_events.get(stack_id) or []
        if len(events) > before and (asked := _asked.get((stack_name, logical_id))):
            events[-1]["ResourceProperties"] = asked

    for module in (stacks, changesets, handlers):
        module._add_event = event


def _show(upstream: Handler) -> Handler:
    def describe(params: Json) -> Response:
        response = upstream(params)
        if response[0] != wire.OK:
            return response
        stack = wire.stack_of(params) or {}
        told = {
            event["EventId"]: event for event in cf._stack_events.get(stack.get("StackId", ""), [])
        }

        def add(result: ET.Element) -> None:
            for entry in wire.member(result, "StackEvents"):
                name = wire.member(entry, "EventId").text or ""
                wire.put(entry, told.get(name, {}), "ResourceProperties")

        return wire.amend(response, add)

    return describe


def install() -> None:
    """Have events carry the properties of their resources."""
    _watch_requests()
    _write_down()
    wire.around("DescribeStackEvents", _show)
