"""Let things happen that no task does: by hand, by AWS, or by time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from lib.releases.locks import LEASE, Lock, key_of
from tests.sequences import view
from tests.sequences.application import REGIONS
from tests.sequences.checks import STACK
from tests.sequences.model import Model
from tests.sequences.world import LOST, STALLED, World

BUCKET = "plot-palette-cfn-000000000000-"
KEY = key_of(STACK)

_SAID = {
    "write": "the application writes an item into every table",
    "drift": "somebody changes the value of ApiStack's parameter number {0} by hand",
    "drop": "somebody deletes the stacks' table number {0} by hand",
    "overwrite": "somebody adds a resource to template number {0} in the bucket",
    "remove": "somebody deletes template number {0} from the bucket",
    "refuse": "AWS refuses to {0} {1}, until mended",
    "lose-backups": "backups are begun and deleted by somebody, until mended",
    "stall-backups": "backups are begun and do not become complete, until mended",
    "mend": "AWS refuses nothing any more",
    "hours": "{0} hours pass",
    "lock": "somebody on a third machine takes the lock in {0}",
    "unlock": "they give their locks back",
}

#: Every event: its word, and what each argument is chosen among.
EVENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "write": (),
    "drift": (("0", "1"),),
    "drop": (("0", "1", "2"),),
    "overwrite": (("0", "1", "2", "3", "4", "5"),),
    "remove": (("0", "1", "2", "3", "4", "5"),),
    "refuse": (
        ("create", "update", "delete"),
        ("First", "Second", "Files", "Drafts", "Jobs", "Ledger"),
    ),
    "lose-backups": (),
    "stall-backups": (),
    "mend": (),
    "hours": (("2", "25"),),
    "lock": (REGIONS,),
    "unlock": (),
}


def describe(kind: str, *given: str) -> str:
    """Say what happens."""
    return _SAID[kind].format(*given)


def happen(world: World, model: Model, kind: str, *given: str) -> None:
    """Let it happen."""
    work: Callable[..., None] = globals()[f"_{kind.replace('-', '_')}"]
    work(world, model, *given)


def _live_tables() -> list[tuple[str, str]]:
    """Return region and name of every table of a stack, in order of their paths."""
    found = [
        (region, path, name)
        for (region, _), root in view.look().roots.items()
        for path, name in root.tables().items()
    ]
    return [(region, name) for region, _path, name in sorted(found)]


def _raw(region: str, table: str) -> Any:
    from ministack.services import dynamodb

    return dynamodb._tables._data.get(("000000000000", region, table))


def _write(_world: World, model: Model) -> None:
    for region, name in _live_tables():
        table = _raw(region, name)
        if table is None:
            continue
        model.count += 1
        what = f"item-{model.count}"
        key = table["KeySchema"][0]["AttributeName"]
        table["items"][what][""] = {key: {"S": what}, "what": {"S": what}}
        table["ItemCount"] = len(table["items"])
        model.written.add(what)


def _drift(_world: World, model: Model, number: str) -> None:
    from ministack.services import ssm

    notes = [key for key in ssm._parameters._data if "First" in str(key) or "Second" in str(key)]
    if notes:
        key = sorted(notes, key=str)[int(number) % len(notes)]
        ssm._parameters._data[key]["Value"] = "by hand"
        model.is_drifted = True


def _drop(_world: World, model: Model, number: str) -> None:
    from ministack.services import dynamodb

    tables = _live_tables()
    if not tables:
        return
    region, name = tables[int(number) % len(tables)]
    if _raw(region, name) is None:
        return
    del dynamodb._tables._data[("000000000000", region, name)]
    model.written -= view.look().lost(model.written)
    model.is_drifted = True


def _templates() -> list[tuple[str, str]]:
    return sorted(place for place, _, _ in view.objects() if place[1].startswith("templates/"))


def _overwrite(_world: World, model: Model, number: str) -> None:
    from ministack.services import s3

    found = _templates()
    if not found:
        return
    bucket, key = found[int(number) % len(found)]
    held = s3._buckets._data[("000000000000", bucket)]["objects"][key]
    lines = [line for line in held["body"].decode().splitlines() if not line.startswith("#")]
    template = json.loads("\n".join(lines))
    stranger = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}
    template["Resources"]["Stranger"] = stranger
    body = f"# Edited by somebody.\n{json.dumps(template, indent=1)}".encode()
    checksums = dict.fromkeys(held.get("checksums") or {}, "AAAA")
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    held.update(body=body, size=len(body), etag=etag, checksums=checksums)
    model.spoilt.add((bucket, key))


def _remove(_world: World, model: Model, number: str) -> None:
    from ministack.services import s3

    found = _templates()
    if found:
        bucket, key = found[int(number) % len(found)]
        del s3._buckets._data[("000000000000", bucket)]["objects"][key]
        model.spoilt.add((bucket, key))


def _refuse(world: World, model: Model, what: str, name: str) -> None:
    getattr(world.stubborn, what).add(name)
    model.is_stubborn = True


def _lose_backups(world: World, model: Model) -> None:
    world.unmade_backups = LOST
    model.is_stubborn = True


def _stall_backups(world: World, model: Model) -> None:
    world.unmade_backups = STALLED
    model.is_stubborn = True


def _mend(world: World, _model: Model) -> None:
    world.mend()


def _hours(world: World, _model: Model, count: str) -> None:
    world.clock.passed += 3600.0 * int(count)


def _lock(world: World, model: Model, region: str) -> None:
    """Write the lock of a run on a machine of which nothing else is known."""
    from ministack.services import s3

    held = s3._buckets._data.get(("000000000000", f"{BUCKET}{region}"), {}).get("objects", {})
    if KEY in held or not held:
        return
    now = world.clock.now()
    lock = Lock(
        f"somebody-{model.count}", STACK, "update", "arn:aws:iam::000000000000:user/somebody",
        now.isoformat(), (now + timedelta(seconds=LEASE)).isoformat(), "elsewhere", "1",
    )  # fmt: skip
    body = json.dumps(asdict(lock)).encode()
    held[KEY] = s3._build_object_record(body, {"content-type": "application/json"})
    model.locks[region] = (body, world.clock.passed + LEASE)


def _unlock(_world: World, model: Model) -> None:
    from ministack.services import s3

    for region, (body, _until) in model.locks.items():
        held = s3._buckets._data[("000000000000", f"{BUCKET}{region}")]["objects"]
        if KEY in held and held[KEY]["body"] == body:
            del held[KEY]
    model.locks.clear()
