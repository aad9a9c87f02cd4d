"""Play disaster recovery on the emulator: lose one thing after the other, get it back, compare.

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
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from tabulate import tabulate

from tests.integration.conftest import Clone
from tests.integration.conftest import change_key as edit_key

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deployment" / "game-day.md"
HOME = "us-east-1"
GUIDE = ROOT / "docs" / "deployment" / "disaster-recovery.md"
STACK = "plot-palette-development"
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


#: The steps that get something back, by which disaster-recovery.md tells how long each took.
OVER = "Deploy again over its own tables"
LOST = "Switch in the newest backup of the lost table"
WRONG = "Switch in the backup of before"
KEYED = "Return the template and switch the old table back in"
ALL = "Deploy again and switch in 4 backups"
REGION = "Deploy the second region and copy everything"
RECOVERIES = {
    "The stack was deleted": OVER,
    "A table was deleted": LOST,
    "Items were deleted or overwritten": WRONG,
    "A deployment changed a key": KEYED,
    "The stack and all its tables were deleted": ALL,
    "A region was lost": REGION,
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

    def inv(self, *arguments: str, at: Path = ROOT) -> Any:
        """Run a task and return its JSON document; anything but success ends the game."""
        command = [sys.executable, "-m", "invoke", *arguments, "--json"]
        ran = subprocess.run(
            command, cwd=at, env=self.settings, capture_output=True, text=True, check=False
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

    @cached_property
    def endpoint(self) -> str:
        """Return where the emulator answers."""
        found: str = self.inv("local.status")["endpoint"]
        return found

    def session(self, region: str) -> boto3.Session:
        """Return a boto3 session for the emulator."""
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        return boto3.Session(region_name=region, **keys)

    def resource(self, service: str, region: str) -> Any:
        """Return a boto3 resource of the emulator."""
        made: Any = self.session(region)
        return made.resource(service, endpoint_url=self.endpoint)

    def hold(self, region: str) -> Holdings:
        """Return where the stack's data is, as CloudFormation lists it."""
        made: Any = self.session(region)
        cfn = made.client("cloudformation", endpoint_url=self.endpoint)

        def list_of(stack: str) -> dict[str, str]:
            pages = cfn.get_paginator("list_stack_resources").paginate(StackName=stack)
            found = [r for page in pages for r in page["StackResourceSummaries"]]
            return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}

        root = list_of(STACK)
        tables = list_of(root["DatabaseStack"])
        bucket = list_of(root["StorageStack"])["DataBucket"]
        return Holdings(region, {key: tables[key] for key in KEYS}, bucket)

    def deploy(self, region: str, adopt: str = "all") -> Holdings:
        """Deploy, verified, over what an earlier stack retained."""
        flags = ("--local", "--yes", "--region", region, "--adopt", adopt)
        outcome = self.inv("deploy", *flags)
        require(outcome["action"] == "created", f"deployed {region}: {outcome['action']}")
        require(outcome["verification"]["passed"], f"verified {region}")
        return self.hold(region)


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


def delete(game: Game, held: Holdings) -> None:
    """Delete the stack; its tables stay."""
    outcome = game.inv("deploy", "--delete", "--yes", "--local", "--region", held.region)
    for name in held.tables.values():
        require(name in outcome["retained"], f"{name} was retained")


def destroy(game: Game, held: Holdings) -> None:
    """Delete the stack, and then by hand the tables that it retains: the worst case."""
    delete(game, held)
    for name in held.tables.values():
        game.resource("dynamodb", held.region).Table(name).delete()


def switch(game: Game, held: Holdings, key: str, *more: str) -> Holdings:
    """Put another table in the place of one, and return what the stack has then."""
    done = game.inv(
        *("restore", "--switch", "--local", "--yes", "--region", held.region),
        *("--table", key, *more),
    )
    now = game.hold(held.region)
    require(done["table"] == now.tables[key], f"{key} is {done['table']}")
    require(done["drift"] == [], f"{key} has not drifted")
    require(done["verification"]["passed"], f"verified after {key}")
    return now


def require_in_sync(game: Game, held: Holdings) -> None:
    """End the game unless an update changes nothing and nothing has drifted."""
    where = ("--local", "--region", held.region)
    require(game.inv("update", *where, "--yes")["action"] == "unchanged", "nothing is to update")
    require(game.inv("status", *where, "--drift")["drift"] == "IN_SYNC", "nothing has drifted")


def empty(game: Game, held: Holdings, key: str) -> None:
    """Delete every item of a table, as a bad program would."""
    table = game.resource("dynamodb", held.region).Table(held.tables[key])
    names = [one["AttributeName"] for one in table.key_schema]
    with table.batch_writer() as batch:
        for item in read_items(game, held.region, held.tables[key]):
            batch.delete_item(Key={name: item[name] for name in names})


def lose_table(game: Game, held: Holdings, key: str) -> None:
    """Delete one table behind the stack's back."""
    game.resource("dynamodb", held.region).Table(held.tables[key]).delete()


def change_key(game: Game, held: Holdings) -> str:
    """Deploy a template with other keys, which replaces the table; return the release before."""
    where = ("--local", "--region", held.region)
    before: str = game.inv("history", *where)[0]["release"]
    bad = Clone(game.folder / "bad")
    edit_key(bad)
    agreed = ("--allow-data-loss", "DatabaseStack/JobsTable")
    game.inv("update", *where, "--yes", "--no-verify", *agreed, at=bad.folder)
    return before


def switch_back(game: Game, held: Holdings, release: str) -> Holdings:
    """Return the templates, then put the old table back in its place."""
    where = ("--local", "--region", held.region)
    agreed = ("--allow-data-loss", "DatabaseStack/JobsTable")
    game.inv("rollback", "--to", release, *where, "--yes", "--no-verify", *agreed)
    return switch(game, held, "JobsTable", "--target-table", held.tables["JobsTable"])


def play(game: Game) -> dict[str, str]:
    """Play the whole day and return the data's fingerprint."""
    home = game.play("Deploy and verify the first region", lambda: game.deploy(HOME))
    game.play("Fill 4 tables and the bucket", lambda: fill(game, home))
    before = fingerprint(game, home)

    def unharmed(held: Holdings, what: str) -> None:
        require(fingerprint(game, held) == before, f"{what}: the data is the data of before")
        require_in_sync(game, held)

    release = game.play("Disaster: a key is changed", lambda: change_key(game, home))
    home = game.play(KEYED, lambda: switch_back(game, home, release))
    unharmed(home, "a bad key")

    taken = game.play("Back up 4 tables", lambda: game.inv("backup", "--local", "--region", HOME))
    backups = {backup["table"]: backup["arn"] for backup in taken["backups"]}
    game.play("Disaster: the stack is deleted", lambda: delete(game, home))
    again = game.play(OVER, lambda: game.deploy(HOME))
    require(again == home, "the new stack has the tables and the bucket of the old one")
    unharmed(again, "deployed over its own tables")

    game.play("Disaster: a table is deleted", lambda: lose_table(game, again, "JobsTable"))
    again = game.play(LOST, lambda: switch(game, again, "JobsTable"))
    unharmed(again, "a lost table")

    game.play(
        "Disaster: every item of a table is deleted", lambda: empty(game, again, "QueueTable")
    )
    again = game.play(
        WRONG,
        lambda: switch(game, again, "QueueTable", "--backup", backups[home.tables["QueueTable"]]),
    )
    unharmed(again, "wrong deletions")

    taken = game.inv("backup", "--local", "--region", HOME)
    backups = {backup["table"]: backup["arn"] for backup in taken["backups"]}
    lost = again
    game.play("Disaster: the stack and its tables are deleted", lambda: destroy(game, lost))

    def return_all() -> Holdings:
        held = game.deploy(HOME)
        for key in KEYS:
            held = switch(game, held, key, "--backup", backups[lost.tables[key]])
        return held

    again = game.play(ALL, return_all)
    unharmed(again, "everything lost")

    def fail_over() -> Holdings:
        away = game.deploy(REFUGE)
        copy_tables(game, again, away)
        copy_objects(game, again, away)
        return away

    away = game.play(REGION, fail_over)
    require(fingerprint(game, away) == before, "the second region holds the data of before")
    return before


def draw(day: dict[str, Any]) -> str:
    """Return the page that tells of a game."""
    rows = [(step["name"], f"{step['seconds']:.1f}") for step in day["steps"]]
    rows.append(("**Together**", f"**{day['seconds']:.1f}**"))
    table = tabulate(rows, ("Step", "Seconds"), tablefmt="github", disable_numparse=True)
    return f"""# Game day

Written by `nox -s gameday`, which plays [disaster recovery](disaster-recovery.md) on the emulator:
it fills the tables and the bucket, backs up, and then loses the stack, a table, the items of a
table, a table's key and at last everything. It gets each back, compares every item and object with
what there was, sees that an update changes nothing and that nothing has drifted, and in the end
fails over to a second region.

Played on {day["date"]} ({day["machine"]}), with {day["items"]} items in each of
4 tables and {day["objects"]} objects.

{table}

The emulator restores in no time, so that this shows that the procedure works and how many steps it
has. How long AWS takes depends on the tables; measure it with the same steps in an account.
"""


def draw_recoveries(day: dict[str, Any]) -> str:
    """Return the table of how long it took to get each thing back."""
    seconds = {step["name"]: step["seconds"] for step in day["steps"]}
    rows = [(event, step, f"{seconds[step]:.1f}") for event, step in RECOVERIES.items()]
    titles = ("Event", "Step of the game day", "Seconds on the emulator")
    return tabulate(rows, titles, tablefmt="github", disable_numparse=True)


def write_recoveries(day: dict[str, Any]) -> None:
    """Put the measured times into the guide."""
    text = GUIDE.read_text()
    begin, end = "<!-- measured: recoveries -->", "<!-- end of what was measured -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    GUIDE.write_text(f"{before}{begin}\n\n{draw_recoveries(day)}\n\n{end}{after}")


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
    write_recoveries(day)
    if arguments:
        Path(arguments[0]).write_text(json.dumps(day, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
