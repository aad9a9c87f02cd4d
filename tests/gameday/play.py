"""Play disaster recovery on the emulator: lose everything, get it back, fail over, compare.

    python -m tests.gameday.play [TIMINGS.json]

The tasks run as processes of their own, as an operator would run them; what they did is read
back with plain boto3, not with lib. A step that does not end as it should ends the game.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deployment" / "game-day.md"
HOME = "us-east-1"
REFUGE = "us-west-2"
ITEMS = 250
OBJECTS = 20

#: What an item needs besides `owner`: each table's keys, with a value for item n.
KEYS: dict[str, Callable[[int], dict[str, Any]]] = {
    "JobsTable": lambda n: {"job_id": f"job-{n}", "user_id": f"user-{n % 7}", "created_at": str(n)},
    "QueueTable": lambda n: {"status": "QUEUED", "queue_position": f"{n:05}#job", "user_id": "u"},
    "TemplatesTable": lambda n: {"template_id": f"template-{n}", "version": 1, "user_id": "u"},
    "CostTrackingTable": lambda n: {"job_id": f"job-{n}", "timestamp": str(n), "user_id": "u"},
}


@dataclass(frozen=True)
class Step:
    """One step: what was done, and how long it took in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Holdings:
    """Where one region's data is: tables by their logical ID, and the bucket."""

    region: str
    tables: dict[str, str]
    bucket: str


@dataclass
class Game:
    """One game: an emulator of its own, and the steps played so far."""

    folder: Path
    steps: list[Step] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """Return the environment of every task: nothing of this machine's AWS settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GITHUB_"))}
        return {
            **kept,
            "PLOT_PALETTE_LOCAL_STATE": str(self.folder / "state"),
            "PLOT_PALETTE_LOG_FOLDER": str(self.folder / "logs"),
        }

    def inv(self, *arguments: str) -> Any:
        """Run a task and return its JSON document; anything but success ends the game."""
        command = [sys.executable, "-m", "invoke", *arguments, "--json"]
        ran = subprocess.run(
            command, cwd=ROOT, env=self.settings, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            sys.exit(f"inv {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stderr}")
        return json.loads(ran.stdout)

    def play(self, name: str, act: Callable[[], Any]) -> Any:
        """Do one step and note its time."""
        began = time.monotonic()
        found = act()
        self.steps.append(Step(name, round(time.monotonic() - began, 2)))
        return found

    def resource(self, service: str, region: str) -> Any:
        """Return a boto3 resource of the emulator."""
        endpoint = self.inv("local.status")["endpoint"]
        return boto3.resource(
            service,  # type: ignore[call-overload]  # any service name
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def deploy(self, region: str) -> Holdings:
        """Deploy, verified, and find the tables by their names."""
        outcome = self.inv("deploy", "--local", "--yes", "--region", region)
        require(outcome["action"] == "created", f"deployed {region}: {outcome['action']}")
        require(outcome["verification"]["passed"], f"verified {region}")
        stack = outcome["stack"]
        names = [table.name for table in self.resource("dynamodb", region).tables.all()]
        ours = [name for name in names if name.startswith(f"{stack}-DatabaseStack")]
        tables = {key: next(name for name in ours if f"-{key}-" in name) for key in KEYS}
        return Holdings(region, tables, outcome["outputs"]["BucketName"])


def require(holds: bool, what: str) -> None:
    """End the game when something is not as it should be."""
    if not holds:
        sys.exit(f"The game is lost: {what}")


def fill(game: Game, held: Holdings) -> None:
    """Put items into every table and objects into the bucket."""
    dynamodb = game.resource("dynamodb", held.region)
    for key, name in held.tables.items():
        with dynamodb.Table(name).batch_writer() as batch:
            for n in range(ITEMS):
                batch.put_item(Item={**KEYS[key](n), "payload": f"{key} {n} é 漢"})
    bucket = game.resource("s3", held.region).Bucket(held.bucket)
    for n in range(OBJECTS):
        bucket.put_object(Key=f"outputs/{n}.jsonl", Body=f"line {n}\n".encode() * 100)


def read_items(game: Game, region: str, table: str) -> Iterator[dict[str, Any]]:
    """Yield a table's items."""
    client = game.resource("dynamodb", region).meta.client
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def fingerprint(game: Game, held: Holdings) -> dict[str, str]:
    """Return what each table and the bucket hold, as a count and a digest."""
    found = {}
    for key, name in held.tables.items():
        rows = [
            json.dumps(item, sort_keys=True, default=str)
            for item in read_items(game, held.region, name)
        ]
        found[key] = digest(rows)
    objects = game.resource("s3", held.region).Bucket(held.bucket).objects.all()
    found["bucket"] = digest(f"{o.key} {o.get()['Body'].read()!r}" for o in objects)
    return found


def digest(rows: Iterator[str] | list[str]) -> str:
    """Return a count and a digest that do not depend on the order."""
    ordered = sorted(rows)
    return f"{len(ordered)} {hashlib.sha256(chr(10).join(ordered).encode()).hexdigest()[:12]}"


def copy_tables(game: Game, source: Holdings, target: Holdings) -> None:
    """Copy every item of every table."""
    dynamodb = game.resource("dynamodb", target.region)
    for key, name in source.tables.items():
        with dynamodb.Table(target.tables[key]).batch_writer() as batch:
            for item in read_items(game, source.region, name):
                batch.put_item(Item=item)


def copy_objects(game: Game, source: Holdings, target: Holdings) -> None:
    """Copy every object of the bucket."""
    bucket = game.resource("s3", target.region).Bucket(target.bucket)
    for one in game.resource("s3", source.region).Bucket(source.bucket).objects.all():
        bucket.put_object(Key=one.key, Body=one.get()["Body"].read())


def destroy(game: Game, held: Holdings) -> None:
    """Delete the stack, and then by hand the tables that it retains: the worst case."""
    outcome = game.inv("deploy", "--delete", "--yes", "--local", "--region", held.region)
    for name in held.tables.values():
        require(name in outcome["retained"], f"{name} was retained")
        game.resource("dynamodb", held.region).Table(name).delete()


def restore(game: Game, held: Holdings, backups: dict[str, str]) -> Holdings:
    """Restore every backup into a table of its own."""
    restored = {}
    for key, name in held.tables.items():
        target = f"plot-palette-development-restored-{key}"
        answer = game.inv(
            *("restore", "--local", "--region", held.region),
            *("--backup", backups[name], "--target-table", target),
        )
        require(answer["items"] == ITEMS, f"{key}: {answer['items']} items came back")
        restored[key] = answer["table"]
    return Holdings(held.region, restored, held.bucket)


def play(game: Game) -> dict[str, str]:
    """Play the whole day and return the data's fingerprint."""
    home = game.play("Deploy and verify the first region", lambda: game.deploy(HOME))
    game.play("Fill 4 tables and the bucket", lambda: fill(game, home))
    before = fingerprint(game, home)
    taken = game.play("Back up 4 tables", lambda: game.inv("backup", "--local", "--region", HOME))
    backups = {backup["table"]: backup["arn"] for backup in taken["backups"]}
    game.play("Disaster: delete the stack and its tables", lambda: destroy(game, home))
    again = game.play("Deploy and verify again", lambda: game.deploy(HOME))
    rescued = game.play("Restore 4 backups", lambda: restore(game, home, backups))
    require(fingerprint(game, rescued) == before, "the restored data is the data of before")

    def bring_back() -> None:
        copy_tables(game, rescued, again)
        copy_objects(game, home, again)

    game.play("Copy into the new stack", bring_back)
    require(fingerprint(game, again) == before, "the new stack holds the data of before")
    away = game.play("Deploy and verify the second region", lambda: game.deploy(REFUGE))

    def fail_over() -> None:
        copy_tables(game, again, away)
        copy_objects(game, again, away)

    game.play("Copy to the second region", fail_over)
    require(fingerprint(game, away) == before, "the second region holds the data of before")
    return before


def draw(day: dict[str, Any]) -> str:
    """Return the page that tells of a game."""
    rows = [(step["name"], f"{step['seconds']:.1f}") for step in day["steps"]]
    rows.append(("**Together**", f"**{day['seconds']:.1f}**"))
    table = tabulate(rows, ("Step", "Seconds"), tablefmt="github", disable_numparse=True)
    return f"""# Game day

Written by `nox -s gameday`, which plays [disaster recovery](disaster-recovery.md) on the emulator:
it fills the tables and the bucket, backs up, deletes the stack and then the tables, gets all of it
back, fails over to a second region, and compares every item and object with what there was.

Played on {day["date"]} ({day["machine"]}), with {day["items"]} items in each of
4 tables and {day["objects"]} objects.

{table}

The emulator restores in no time, so that this shows that the procedure works and how many steps it
has. How long AWS takes depends on the tables; measure it with the same steps in an account.
"""


def describe_machine() -> str:
    """Say what it ran on."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, Python " + (
        platform.python_version()
    )


def main(arguments: list[str]) -> None:
    """Play, print the table, and write the page and the timings."""
    with tempfile.TemporaryDirectory(prefix="gameday-") as folder:
        game = Game(Path(folder))
        try:
            held = play(game)
        finally:
            game.inv("local.stop")
    day = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": describe_machine(),
        "items": ITEMS,
        "objects": OBJECTS,
        "steps": [asdict(step) for step in game.steps],
        "seconds": round(sum(step.seconds for step in game.steps), 2),
        "data": held,
    }
    rows = [(step.name, f"{step.seconds:.2f}") for step in game.steps]
    print(tabulate(rows, ("Step", "Seconds"), disable_numparse=True))  # noqa: T201
    print(f"Everything is as it was: {held}")  # noqa: T201
    PAGE.write_text(draw(day))
    if arguments:
        Path(arguments[0]).write_text(json.dumps(day, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
