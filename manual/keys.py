"""Say which keys each task's JSON document has, from the type of what the task returns.

A type's keys are those that `lib.document` writes. What stands inside one is read from the
type of the attribute behind it, so that the manual knows nothing by heart.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from emulator.control import Emulator
from lib import document
from lib.checks.first_day import Preparedness
from lib.checks.validation import Report
from lib.checks.verification import Verification
from lib.costs.bill import Spending
from lib.costs.pricing import Estimate
from lib.costs.renewal import Refreshed
from lib.data.new_tables import Restored
from lib.data.proving import BackupRun
from lib.deploy.outcomes import Outcome
from lib.deploy.plans import Discarded, PlanFile
from lib.deploy.status import View
from lib.regions.plan import Rollout
from lib.releases.history import Record
from lib.releases.pruning import Removal
from lib.releases.releases import Published
from lib.rescue.adoption import Adopted
from lib.rescue.explanations import Explanation
from lib.rescue.refactoring import Refactored
from lib.stacks.stacks import Event
from lib.templates.changes import Change
from manual.graph import Graph
from manual.parts import Written


@dataclass(frozen=True)
class Document:
    """What a task prints with `--json`: a result or a list of them.

    `more` says in words what the type cannot: keys that come with a flag.
    """

    result: type
    many: bool = False
    more: str = ""


_CHANGED = Document(Outcome, more="when it was verified also `verification`, as of `inv verify`")
_EMULATOR = Document(Emulator)

#: Each task's document; the words of `outputs`, whose keys are the template's, stand for it.
DOCUMENTS: Mapping[str, Document | str] = {
    "validate-params": Document(
        Report,
        more="with `--all` `valid`, `environment`, `problems`, and `environments` [one each]",
    ),
    "preflight": Document(Preparedness, more="`state` is ready, missing or unknown"),
    "upload": Document(Published, more="and `quick_create_url`"),
    "deploy": _CHANGED,
    "update": _CHANGED,
    "rollback": _CHANGED,
    "apply": _CHANGED,
    "plan": Document(PlanFile, more="without `--out` an outcome, as of `inv deploy`"),
    "plan.show": Document(PlanFile),
    "plan.discard": Document(Discarded),
    "backup": Document(BackupRun),
    "restore": Document(
        Restored,
        more="with `--switch` `source`, `table`, `status`, `items` of the first, and `stack`, "
        "`release`, `tables` [{`path`, `source`, `table`, `old`, `status`, `items`, "
        "`expected_items`}], `drift`, `steps`",
    ),
    "rescue.adopt": Document(Adopted),
    "deploy-multi-region": Document(Rollout, more="`failed` names regions, `outputs` is by region"),
    "refresh-prices": Document(
        Refreshed,
        more="with `--cross-check` also `cross_check` {`source`, `agree`, `differences` "
        "[{`dimension`, `region`, `book`, `other`, `name`}], `not_named`}",
    ),
    "rescue.explain": Document(Explanation, more="`reason` is empty where nothing failed"),
    "rescue.refactor": Document(Refactored, more="`action` is moved, unchanged or previewed"),
    "verify": Document(Verification),
    "costs": Document(Spending),
    "estimate": Document(
        Estimate,
        more="with `--all` `environments` [one each]; with `--compare` also `compared` {`before`, "
        "`after`, `change`, `lines`}",
    ),
    "outputs": "the stack's outputs as one flat object",
    "status": Document(View, more="with `--regions` `regions` [one each] and `failed` [region]"),
    "events": Document(Event, many=True, more="with `--follow` an outcome, as of `inv deploy`"),
    "history": Document(Record, many=True, more="newest first"),
    "prune": Document(Removal),
    "docs": Document(Written),
    "graph": Document(Graph),
    "rescue.replay": "what the recorded run printed",
    "local.start": _EMULATOR,
    "local.stop": _EMULATOR,
    "local.reset": _EMULATOR,
    "local.status": _EMULATOR,
}

#: Types with a section of their own on the page.
_APART: Mapping[type, str] = {Change: "[each](#one-of-changes)"}


def draw_keys(task: str) -> str:
    """Return the keys of a task's document as one line of Markdown, "" for a task without."""
    found = DOCUMENTS.get(task, "")
    if isinstance(found, str):
        return found
    first = next(name for name, one in DOCUMENTS.items() if one == found)
    if first != task:
        return f"as `inv {first}`"
    keys = _draw_type(found.result)
    shown = f"[{{{keys}}}]" if found.many else keys
    return "; ".join(part for part in (shown, found.more) if part)


def _draw_type(kind: type) -> str:
    """Return a type's keys, each with what stands inside it."""
    return ", ".join(
        f"`{key}` {inside}" if (inside := _draw_inside(_type_of(kind, attribute))) else f"`{key}`"
        for key, attribute in document.keys_of(kind).items()
    )


def _draw_inside(kind: Any) -> str:
    """Return what stands inside a value of some type: keys, a list of them, or ""."""
    if kind in _APART:
        return _APART[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        elsewhere = [
            task
            for task, one in DOCUMENTS.items()
            if isinstance(one, Document) and one.result is kind
        ]
        return f"as of `inv {elsewhere[0]}`" if elsewhere else f"{{{_draw_type(kind)}}}"
    inner = next(filter(None, map(_draw_inside, typing.get_args(kind))), "")
    origin = typing.get_origin(kind)
    if not inner or origin in (types.UnionType, typing.Union):
        return inner
    return f"{{name: {inner}}}" if issubclass(origin, Mapping) else f"[{inner}]"


def _type_of(kind: Any, path: str) -> Any:
    """Return the type of what a path of attributes leads to, None where that cannot be told.

    A step is a field, a property or a method, or a key of a mapping; what may be None is
    followed as if it were there.
    """
    for name in filter(None, path.split(".")):
        if typing.get_origin(kind) in (types.UnionType, typing.Union):
            kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
        origin = typing.get_origin(kind) or kind
        if not isinstance(origin, type):
            return None
        kind = typing.get_args(kind)[1] if issubclass(origin, Mapping) else _hint(origin, name)
    return kind if path else None


def _hint(kind: type, name: str) -> Any:
    """Return the type of a field, or of what a property or method returns."""
    hints = typing.get_type_hints(kind)
    if name in hints:
        return hints[name]
    found = getattr(kind, name)
    return typing.get_type_hints(getattr(found, "fget", found)).get("return")
