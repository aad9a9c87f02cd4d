"""Keep what an update leaves alone, and tell only of what it changes."""

from __future__ import annotations

from typing import Any

import ministack.services.cloudformation as cf
from ministack.services.cloudformation import changesets, handlers, provisioners, stacks

from emulator import nested_stacks

Json = dict[str, Any]
Resolved = tuple[str, Json]

# Stack and logical ID of the unchanged resources whose second event is still to come.
_silent: set[tuple[str, str]] = set()


def _retell(stack_name: str, logical_id: str | None, physical_id: str, *, changed: bool) -> None:
    """Give the event that began this update its physical ID, or take it back."""
    stack_id = cf._stacks[stack_name]["StackId"]
    events = cf._stack_events[stack_id]
    if not logical_id or not events or events[-1]["LogicalResourceId"] != logical_id:
        return
    if changed:
        events[-1]["PhysicalResourceId"] = physical_id
    else:
        events.pop()
        _silent.add((stack_id, logical_id))


def _update_quietly() -> None:
    upstream = stacks._update_resource

    def update(
        kind: str,
        physical_id: str,
        old: Json,
        new: Json,
        stack_name: str,
        logical_id: str | None = None,
        attributes: Json | None = None,
    ) -> Resolved:
        changed = old != new or kind == nested_stacks.TYPE
        _retell(stack_name, logical_id, physical_id, changed=changed)
        now_id, found = upstream(kind, physical_id, old, new, stack_name, logical_id, attributes)
        kept = attributes if now_id == physical_id else None
        return now_id, {**(kept or {}), **(found or {})}

    for module in (provisioners, stacks):
        module._update_resource = update


def _drop_second_events() -> None:
    add_event = stacks._add_event

    def event(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        kind: str,
        status: str,
        *more: Any,
        **named: Any,
    ) -> None:
        if (stack_id, logical_id) in _silent:
            _silent.discard((stack_id, logical_id))
            if status == "UPDATE_COMPLETE":
                return
        add_event(stack_id, stack_name, logical_id, kind, status, *more, **named)

    for module in (stacks, changesets, handlers):
        module._add_event = event


def install() -> None:
    """Put the quiet update and its events in the place of upstream's."""
    _update_quietly()
    _drop_second_events()
