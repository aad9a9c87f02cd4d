"""Read recorded answers of AWS from a folder, in the layouts that such recordings come in.

    FOLDER/change-sets.json            cases: both templates, their values, AWS's answers in order
    FOLDER/**/*.snapshot.json          answers by test, under "recorded-content"
    FOLDER/**/service.Operation_N.json one answer each, with its HTTP status
    FOLDER/**/ANY_NAME                 a run that `--record` kept; see `tests/recorded/runs.py`

A recording may have been normalised: identifiers as `<kind:n>`, times as words, JSON texts
parsed. What a service model demands is put back, so that the answers pass through botocore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session

Json = dict[str, Any]

#: The time that stands for every recorded time whose value is gone.
SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)

_SINGLE = re.compile(r"(?P<service>[a-z0-9-]+)\.(?P<operation>[A-Za-z0-9]+)_\d+\.json")


@dataclass(frozen=True)
class ChangeSetCase:
    """One update that AWS described: what was, what was wanted, and what AWS said."""

    name: str
    before: str
    after: str
    values_before: Mapping[str, str]
    values_after: Mapping[str, str]
    answers: Mapping[str, Json]


@dataclass(frozen=True)
class Single:
    """One recorded answer of one operation."""

    name: str
    service: str
    operation: str
    status: int
    data: Json


def read_change_sets(folder: Path) -> list[ChangeSetCase]:
    """Return the cases of `change-sets.json`, none where there is no such file."""
    path = folder / "change-sets.json"
    if not path.is_file():
        return []
    return [
        ChangeSetCase(
            case["case"].rpartition("::")[2],
            _as_text(case["template_before"]),
            _as_text(case["template_after"]),
            _as_values(case.get("parameters_before")),
            _as_values(case.get("parameters_after")),
            case["answers"],
        )
        for case in json.loads(path.read_text())
    ]


def _as_text(template: Any) -> str:
    return template if isinstance(template, str) else json.dumps(template)


def _as_values(parameters: Any) -> dict[str, str]:
    """Return parameters by name, whether they were kept as AWS takes them or as a mapping."""
    if isinstance(parameters, list):
        return {p["ParameterKey"]: str(p.get("ParameterValue", "")) for p in parameters}
    return {str(key): str(value) for key, value in (parameters or {}).items()}


def read_snapshots(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield each snapshot's name and what AWS answered in it."""
    for path in sorted(folder.rglob("*.snapshot.json")):
        for name, snapshot in json.loads(path.read_text()).items():
            content = snapshot.get("recorded-content") if isinstance(snapshot, dict) else None
            if content is not None:
                room = path.name.removesuffix(".snapshot.json")
                yield f"{room}:{name.rpartition('::')[2]}", content


def read_singles(folder: Path) -> Iterator[Single]:
    """Yield the answers that lie in a file each."""
    for path in sorted(folder.rglob("*.json")):
        match = _SINGLE.fullmatch(path.name)
        if match:
            kept = json.loads(path.read_text())
            yield Single(
                f"{path.parent.name}/{path.name}",
                _SERVICES.get(match["service"], match["service"]),
                match["operation"],
                int(kept.get("status_code", 200)),
                kept.get("data", {}),
            )


#: One session for all: it keeps the service models it has read.
_SESSION = botocore.session.get_session()

#: Services under another name than botocore's.
_SERVICES = {"servicequotas": "service-quotas"}


def find(content: Any, wanted: str) -> Iterator[Json]:
    """Yield every mapping inside a recording that has a key."""
    if isinstance(content, dict):
        if wanted in content:
            yield content
        for value in content.values():
            yield from find(value, wanted)
    elif isinstance(content, list):
        for item in content:
            yield from find(item, wanted)


def fit(service: str, operation: str, answer: Any) -> Any:
    """Return an answer as the service model has it: times as times, texts as texts, no more."""
    shape = _SESSION.get_service_model(service).operation_model(operation).output_shape
    return _fit(shape, answer) if shape is not None else {}


def _fit(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        return {
            name: _fit(shape.members[name], item)
            for name, item in value.items()
            if name in shape.members and item is not None
        }
    if shape.type_name == "list":
        return [_fit(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _fit(shape.value, item) for key, item in value.items()}
    return _fit_scalar(shape, value)


def _fit_scalar(shape: Any, value: Any) -> Any:
    if shape.type_name == "timestamp":
        return _as_time(value)
    if shape.type_name == "string":
        return value if isinstance(value, str) else json.dumps(value)
    if shape.type_name in ("integer", "long"):
        return value if isinstance(value, int) else 0
    return value


def _as_time(value: Any) -> datetime:
    """Return a recorded time; one that was taken out is `SOME_TIME`."""
    if isinstance(value, dict) and value.get("__class__") == "datetime":
        parts = ("year", "month", "day", "hour", "minute", "second")
        return datetime(*(int(value[part]) for part in parts), tzinfo=UTC)
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return SOME_TIME
