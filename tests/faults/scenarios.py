"""What is tried: a small application, the states it can be in, the tasks, and what must hold.

The application is a master with three children: two tables, a bucket, and a parameter made
of a NoEcho value. Each table holds items before anything is tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.faults.proxy import Fault, Kind, Proxy, Run
from tests.integration.conftest import NEVER, Clone, Cloud, Json

REPOSITORY = Path(__file__).resolve().parents[2]
REGIONS = ("us-east-1", "eu-west-1")
HOME = REGIONS[0]
STACK = "plot-palette-development"
ITEMS = 5
PATIENCE = 60.0  # seconds; a process that takes longer hangs

#: None of these may ever be written by the tool.
SECRETS = {
    "a NoEcho value": "correct-horse-battery-staple",
    "the secret key": "wJalrXUtnFEMI/K7MDENG/faultsEXAMPLEKEY",
    "the session token": "FwoGZXIvYXdzEXAMPLETOKENfaults0123456789",
}
KEYS = {
    "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRETS["the secret key"],
    "AWS_SESSION_TOKEN": SECRETS["the session token"],
}

_URL = (
    "https://s3.${AWS::Region}.${AWS::URLSuffix}/plot-palette-cfn-${AWS::AccountId}-${AWS::Region}"
)

MASTER = f"""
AWSTemplateFormatVersion: '2010-09-09'
Description: A small application
Parameters:
  VpcCidr: {{ Type: String }}
  BedrockModelIds: {{ Type: String }}
  BedrockInferenceProfileIds: {{ Type: String }}
  Word: {{ Type: String }}
  Secret: {{ Type: String, NoEcho: true }}
  NotesName: {{ Type: String, Default: '' }}
Resources:
  DatabaseStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub {_URL}/database-stack.yaml
      Parameters:
        NotesName: !Ref NotesName
  StorageStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub {_URL}/storage-stack.yaml
      Parameters:
        Word: !Ref Word
  ApiStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub {_URL}/api-stack.yaml
      Parameters:
        Word: !Ref Word
        Secret: !Ref Secret
        Notes: !GetAtt DatabaseStack.Outputs.Notes
Outputs:
  Notes:
    Value: !GetAtt DatabaseStack.Outputs.Notes
  Word:
    Value: !GetAtt ApiStack.Outputs.Word
"""

DATABASE = """
AWSTemplateFormatVersion: '2010-09-09'
Description: A table that outlives its stack, and one that does not
Parameters:
  NotesName: { Type: String, Default: '' }
Conditions:
  HasNotes: !Not [!Equals [!Ref NotesName, '']]
Resources:
  Notes:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      TableName: !If [HasNotes, !Ref NotesName, !Ref AWS::NoValue]
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      TimeToLiveSpecification: { AttributeName: gone, Enabled: true }
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }
  Drafts:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]

Outputs:
  Notes:
    Value: !Ref Notes
"""

STORAGE = """
AWSTemplateFormatVersion: '2010-09-09'
Description: A bucket
Parameters:
  Word: { Type: String }
Resources:
  Files:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      Tags: [{ Key: word, Value: !Ref Word }]

Outputs:
  Files:
    Value: !Ref Files
"""

API = """
AWSTemplateFormatVersion: '2010-09-09'
Description: Two notes, one of them secret, and what writes to a table
Parameters:
  Word: { Type: String }
  Secret: { Type: String, NoEcho: true }
  Notes: { Type: String }
Resources:
  First:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Word, Description: !Ref Notes }
  Hidden:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Secret }
  Writer:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !Sub arn:${AWS::Partition}:iam::${AWS::AccountId}:role/any
      Code: { ZipFile: 'def handler(event, context): return 1' }
      Environment: { Variables: { TABLE: !Ref Notes } }

Outputs:
  Word:
    Value: !Ref First
"""

CHILDREN = {"database": DATABASE, "storage": STORAGE, "api": API}


def make_clone(folder: Path, word: str) -> Clone:
    """Return a clone that holds the small application, with a word that tells it from others."""
    clone = Clone(folder)
    for path in (folder / "infrastructure" / "cloudformation").iterdir():
        path.unlink()
    clone.template("master").write_text(MASTER)
    for name, text in CHILDREN.items():
        clone.template(name).write_text(text)
    for path in (folder / "infrastructure" / "parameters").iterdir():
        path.unlink()
    (folder / "infrastructure" / "parameters" / "development.json").write_text("[]")
    clone.set_parameters(Word=word, Secret=SECRETS["a NoEcho value"])
    regions = {name: {"VPCCidr": "10.0.0.0/16", "BedrockModels": []} for name in REGIONS}
    (folder / "infrastructure" / "regions.json").write_text(json.dumps(regions))
    return clone


@dataclass(frozen=True)
class Ended:
    """What a process left behind."""

    code: int
    out: str
    err: str
    log: str


class Stage:
    """An emulator with a memory, a proxy before it, and somebody who runs tasks through it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._counter = 0
        self._clouds: dict[str, Cloud] = {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        # Unwatched by coverage, as the runner is: thousands of tasks wait for it.
        unwatched = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
        self._world = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.world", "--port", str(port)],
            cwd=REPOSITORY,
            env=unwatched,
        )
        self.proxy = Proxy(port)
        self._runner = self._start_runner()
        self.clones = {
            name: make_clone(folder / name, word)
            for name, word in (
                ("first", "one"),
                ("second", "two"),
                ("rekeyed", "one"),
                ("broken", "two"),
            )
        }
        self._edit_clones()
        self._await_world()
        self.release = ""
        self.orphan = ""
        self._prepare()

    def _start_runner(self) -> subprocess.Popen[str]:
        """Start the process that the tasks are forked from, with a linter that finds nothing."""
        bench = self.folder / "bin"
        bench.mkdir()
        (bench / "cfn-lint").write_text("#!/bin/sh\necho '[]'\n")
        (bench / "cfn-lint").chmod(0o755)
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("AWS_", "PLOT_PALETTE_", "COVERAGE_"))
        }
        environment = {
            **kept,
            **KEYS,
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        runner = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask({"regions": REGIONS, "interpreter": str(bench / "python")}, runner)
        return runner

    def _ask(self, request: Mapping[str, Any], runner: subprocess.Popen[str] | None = None) -> Any:
        """Send the runner a request and return its answer."""
        process = runner or self._runner
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            raise TimeoutError(f"no answer to {request}")
        return json.loads(process.stdout.readline())

    def _edit_clones(self) -> None:
        self.clones["second"].edit("storage", ("Key: word", "Key: word-of-the-day"))
        self.clones["rekeyed"].edit("database", *REKEYED)
        self.clones["broken"].add_resource("api", NEVER)

    def _await_world(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health"),
            ):
                return
            time.sleep(0.05)
        raise TimeoutError("the emulator did not start")

    def _prepare(self) -> None:
        """Bring the application into every state that a scenario begins with."""
        self.save("empty")
        self.must("first", "upload")
        self.save("published")
        first = self.must("first", "deploy", "--yes", "--no-verify", "--json")
        self.release = json.loads(first.out)["release"]
        self._fill(HOME)
        self.save("deployed")
        self.must("first", "backup")
        self.save("backed up")
        self.load("deployed")
        self.must("second", "deploy", "--yes", "--no-verify")
        self.save("moved on")
        self.load("deployed")
        self.must("rekeyed", "upload")
        self.save("rekeyed")
        self.load("deployed")
        self.run("broken", "update", "--yes", "--no-verify", "--disable-rollback")
        assert self.cloud().status(STACK) == "UPDATE_FAILED"
        self.save("half updated")
        self.load("deployed")
        self.orphan = self.cloud().tables(STACK)["Notes"]
        self.must("first", "deploy", "--delete", "--yes", "--allow-data-loss", DRAFTS)
        self.save("deleted")
        self.must("first", "deploy", "--yes", "--no-verify", "--adopt", "none")
        self._fill(HOME)
        self.save("orphaned")
        self.load("deployed")
        self.must("first", "deploy", "--yes", "--no-verify", "--region", REGIONS[1])
        self._fill(REGIONS[1])
        self.save("in two regions")
        self._plan()

    def _plan(self) -> None:
        """Make the plans that are applied, each in the state that it is of."""
        for name, state, clone, *flags in PLANNED:
            self.load(state)
            self.must(clone, "plan", "--out", str(self.plan(name)), "--yes", *flags)
            self.save(name)

    def plan(self, name: str) -> Path:
        """Return the file of a plan, which a run may write anew."""
        return self.folder / f"{name.replace(' ', '-')}.json"

    def _fill(self, region: str) -> None:
        cloud = self.cloud(region)
        for table in cloud.tables(STACK).values():
            cloud.fill(table, ITEMS)

    def _remember(self, action: str, name: str) -> None:
        address = f"{self.endpoint}/_faults/{action}/{name.replace(' ', '-')}"
        with urllib.request.urlopen(urllib.request.Request(address, data=b"", method="POST")):
            pass

    def save(self, name: str) -> None:
        """Keep the state of the emulator."""
        self._remember("save", name)

    def load(self, name: str) -> None:
        """Bring a state back, once nothing is under way any more."""
        self.settle()
        self._remember("load", name)

    def cloud(self, region: str = HOME) -> Cloud:
        """Look at a region, past the proxy."""
        if region not in self._clouds:
            self._clouds[region] = Cloud(self.endpoint, region)
        return self._clouds[region]

    def settle(self) -> None:
        """Wait until CloudFormation rests in every region."""
        for region in REGIONS:
            cloud = self.cloud(region)
            deadline = time.monotonic() + PATIENCE
            while any(
                s["StackStatus"].endswith("_IN_PROGRESS")
                and s["StackStatus"] != "REVIEW_IN_PROGRESS"
                for s in cloud.cfn.describe_stacks()["Stacks"]
            ):
                assert time.monotonic() < deadline, "a stack never came to rest"
                time.sleep(0.01)

    def start(self, clone: str, *arguments: str, later: float = 0) -> tuple[int, Path]:
        """Start a task, some hours `later`; return its process and the folder of its output."""
        self._counter += 1
        folder = self.folder / "runs" / str(self._counter)
        folder.mkdir(parents=True)
        answer = self._ask(
            {
                "arguments": arguments,
                "root": str(self.clones[clone].folder),
                "out": str(folder / "out"),
                "err": str(folder / "err"),
                "environment": {"PLOT_PALETTE_LOG_FOLDER": str(folder / "logs")},
                "later": later,
            }
        )
        return answer["pid"], folder

    def finish(self, pid: int, folder: Path) -> Ended:
        """Wait for a task's end and return what it left behind."""
        try:
            code = self._ask({"wait": pid})["code"]
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            code = self._read_late_answer()
            ended = self._collect(-99, folder)
            raise AssertionError(f"hung: {ended.err[-500:]}") from None
        return self._collect(code, folder)

    def _read_late_answer(self) -> int:
        assert self._runner.stdout
        return int(json.loads(self._runner.stdout.readline())["code"])

    def _collect(self, code: int, folder: Path) -> Ended:
        logs = "".join(p.read_text() for p in sorted((folder / "logs").glob("*")))
        ended = Ended(code, (folder / "out").read_text(), (folder / "err").read_text(), logs)
        shutil.rmtree(folder)
        return ended

    def run(
        self,
        clone: str,
        *arguments: str,
        fault: Fault | None = None,
        at: int = 0,
        later: float = 0,
    ) -> tuple[Ended, Run]:
        """Run a task to its end, with a fault at one of its calls, or some hours later."""
        run = self.proxy.arm(fault, at)
        pid, folder = self.start(clone, *arguments, later=later)
        run.pid = pid
        run.known.set()
        return self.finish(pid, folder), run

    def must(self, clone: str, *arguments: str) -> Ended:
        """Run a task that has to succeed."""
        ended, _ = self.run(clone, *arguments)
        assert ended.code == 0, ended
        return ended

    def close(self) -> None:
        """End what was started."""
        assert self._runner.stdin
        self._runner.stdin.close()
        self._runner.wait(PATIENCE)
        self.proxy.close()
        self._world.terminate()
        self._world.wait(PATIENCE)


#: Makes CloudFormation replace the table of drafts, which does not outlive it.
REKEYED = (
    (
        (
            "      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n"
            "      KeySchema: [{ AttributeName: id, KeyType: HASH }]\n\nOutputs"
        ),
        (
            "      AttributeDefinitions: [{ AttributeName: key, AttributeType: S }]\n"
            "      KeySchema: [{ AttributeName: key, KeyType: HASH }]\n\nOutputs"
        ),
    ),
)

#: What the tool's own change sets are kept for at most, and a little more, in hours.
LONG_AGO = 25.0

DRAFTS = "DatabaseStack/Drafts"
_DRAFTS = ("--allow-data-loss", DRAFTS)

#: Plans to apply: name of plan and state, the state they are of, the clone, the flags.
PLANNED = (
    ("planned", "moved on", "first"),
    ("planned creation", "published", "first"),
    ("planned replacement", "rekeyed", "rekeyed", *_DRAFTS),
    ("planned in two regions", "in two regions", "second", "--regions", ",".join(REGIONS)),
)

Goal = Callable[[Stage], str]


@dataclass(frozen=True)
class Scenario:
    """A task in a situation. `goal` returns what is missing of what the task was to do, or ""."""

    name: str
    state: str
    clone: str
    arguments: tuple[str, ...]
    goal: Goal
    stacks: frozenset[str] = frozenset({STACK})
    regions: tuple[str, ...] = (HOME,)
    #: What the task says when it gives a part of the goal up and succeeds with the rest.
    excuse: str = ""
    #: Whether what it makes is named by the second, so that a second run needs another one.
    stamped: bool = False
    #: What takes away that which a run without a goodbye had to leave behind, a day later.
    sweeper: tuple[str, ...] = ()
    #: The name of the plan that it writes.
    plan: str = ""
    #: What leads on where the same command says that the world is another one now.
    renewal: tuple[tuple[str, ...], ...] = ()
    #: Whether it writes a release.
    publishes: bool = False
    #: Whether, where it is done, the same words name nothing any more.
    once: bool = False
    #: Every how many calls a fault is tried; 1 is each.
    step: int = 1


def _expects(status: str, word: str, regions: tuple[str, ...] = (HOME,)) -> Goal:
    def goal(stage: Stage) -> str:
        for region in regions:
            cloud = stage.cloud(region)
            found = (cloud.status(STACK), cloud.parameters(STACK).get("Word"))
            if found != (status, word):
                return f"the stack in {region} is {found}"
            children = [p for p in cloud.tree(STACK).values() if ":stack/" in p]
            if len(children) != len(CHILDREN):
                return f"the stack in {region} has {len(children)} nested stacks"
        return ""

    return goal


def _is_published(stage: Stage) -> str:
    return "" if any("manifest" in key for key in stage.cloud().keys("releases/")) else "no release"


def _is_absent(stage: Stage) -> str:
    return stage.cloud().status(STACK)


def _is_rolled_back(stage: Stage) -> str:
    status = stage.cloud().status(STACK)
    return "" if status == "UPDATE_ROLLBACK_COMPLETE" else f"the stack is {status}"


def _is_backed_up(stage: Stage) -> str:
    backups = available(stage.cloud())
    missing = [t for t in stage.cloud().tables(STACK).values() if t not in backups]
    return f"no backup of {', '.join(missing)}" if missing else ""


def _is_restored(stage: Stage) -> str:
    cloud = stage.cloud()
    for name in cloud.client("dynamodb").list_tables()["TableNames"]:
        if "-restored-" in name and cloud.items(name) == ITEMS:
            ttl = cloud.client("dynamodb").describe_time_to_live(TableName=name)
            if ttl["TimeToLiveDescription"].get("AttributeName") == "gone":
                return ""
    return "no restored table has all items and its TTL"


def _is_switched(expected: Callable[[Stage, str], bool]) -> Goal:
    """Return the goal that the stack has another table of notes, and everything goes to it."""

    def goal(stage: Stage) -> str:
        cloud = stage.cloud()
        table = cloud.tables(STACK).get("Notes", "")
        if not expected(stage, table):
            return f"the stack's table is {table or 'none'}"
        found = (cloud.status(STACK), cloud.parameters(STACK).get("NotesName"))
        if found != ("UPDATE_COMPLETE", table):
            return f"the stack is {found}, its table {table}"
        if cloud.items(table) != ITEMS:
            return f"{table} holds {cloud.items(table)} items"
        if any(key.endswith("/switch.json") for key in cloud.keys("deployments/")):
            return "the switch is remembered as unfinished"
        limit = read_limit(cloud)
        return "" if limit is None else f"the writer is limited to {limit}"

    return goal


def read_plans(stage: Stage, name: str) -> list[Json]:
    """Return what a plan says of each of its regions; nothing where it was not written."""
    try:
        whole = json.loads(stage.plan(name).read_text())
    except FileNotFoundError:
        return []
    return list(whole["regions"] or [whole])


def _is_planned(name: str) -> Goal:
    """Return the goal of a plan that can be applied, to stacks as they were."""

    def goal(stage: Stage) -> str:
        found = read_plans(stage, name)
        if not found:
            return "there is no plan"
        for one in found:
            cloud = stage.cloud(one["region"])
            made = cloud.cfn.describe_change_set(ChangeSetName=one["change_set"])
            if made["ExecutionStatus"] != "AVAILABLE":
                return f"the plan's change set in {one['region']} is {made['ExecutionStatus']}"
            if one["kind"] == "UPDATE" and cloud.status(STACK) != one["status"]:
                return f"the stack in {one['region']} is {cloud.status(STACK)}"
        return ""

    return goal


def read_writer(cloud: Cloud) -> str:
    """Return the function that writes to the table of notes, "" where there is none."""
    return cloud.tree(STACK).get("ApiStack/Writer", "") if cloud.stack(STACK) else ""


def read_limit(cloud: Cloud) -> int | None:
    """Return the concurrency that is reserved for the writer."""
    answer = cloud.client("lambda").get_function_concurrency(FunctionName=read_writer(cloud))
    found: int | None = answer.get("ReservedConcurrentExecutions")
    return found


def find_two_tables(cloud: Cloud) -> Iterator[str]:
    """Yield that a writer which takes calls is told of another table than a reader."""
    name = read_writer(cloud)
    if not name or read_limit(cloud) == 0:
        return
    function = cloud.client("lambda").get_function_configuration(FunctionName=name)
    written = function["Environment"]["Variables"]["TABLE"]
    first = cloud.tree(STACK)["ApiStack/First"]
    found = cloud.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": [first]}]
    )["Parameters"]
    read = found[0].get("Description", "") if found else ""
    held = cloud.tables(STACK).get("Notes", read)
    if len({written, read, held}) > 1:
        yield f"{written} is written to, {read} is read, {held} is the stack's"


def _plan_scenarios(stage: Stage | None) -> Iterator[Scenario]:
    """Yield the making, the applying and the giving up of plans."""
    quiet = ("--yes", "--json")
    prune = ("prune", *quiet)

    def file(name: str) -> str:
        return str(stage.plan(name)) if stage else ""

    for suffix, state, clone, *flags in (
        ("", "moved on", "first"),
        ("-creation", "published", "first"),
        ("-regions", "in two regions", "second", "--regions", ",".join(REGIONS)),
    ):
        name = f"made{suffix}"
        yield Scenario(
            f"plan{suffix}", state, clone, ("plan", "--out", file(name), *quiet, *flags),
            _is_planned(name), regions=REGIONS if flags else (HOME,), sweeper=prune, plan=name,
            step=3 if flags else 1, publishes=bool(flags),
        )  # fmt: skip
    for (name, _, clone, *flags), suffix, goal in zip(
        PLANNED,
        ("", "-creation", "-replacement", "-regions"),
        (
            _expects("UPDATE_COMPLETE", "one"),
            _expects("CREATE_COMPLETE", "one"),
            _expects("UPDATE_COMPLETE", "one"),
            _expects("UPDATE_COMPLETE", "two", REGIONS),
        ),
        strict=True,
    ):
        several = "--regions" in flags
        anew = file(f"renewed{suffix}")
        yield Scenario(
            f"apply{suffix}", name, clone, ("apply", file(name), *quiet, "--no-verify"), goal,
            regions=REGIONS if several else (HOME,), step=3 if several else 1,
            renewal=(
                ("plan", "--out", anew, *quiet, *flags),
                ("apply", anew, *quiet, "--no-verify"),
            ),
        )  # fmt: skip
    yield Scenario(
        "discard", "planned creation", "first", ("plan.discard", file("planned creation"), *quiet),
        _is_absent, frozenset(),
    )  # fmt: skip


def scenarios(stage: Stage | None = None) -> dict[str, Scenario]:
    """Return every scenario by name."""
    quiet = ("--yes", "--json")
    unverified = (*quiet, "--no-verify")
    release = stage.release if stage else ""
    orphan = stage.orphan if stage else ""
    made = (
        Scenario(
            "upload", "empty", "first", ("upload", "--json"), _is_published, frozenset(),
            publishes=True,
        ),
        Scenario(
            "create", "published", "first", ("deploy", *unverified),
            _expects("CREATE_COMPLETE", "one"),
        ),
        Scenario(
            "create-preview", "published", "first", ("deploy", *quiet, "--preview"), _is_absent,
            frozenset(), sweeper=("deploy", *quiet, "--preview"),
        ),
        Scenario(
            "update", "moved on", "first", ("update", *unverified),
            _expects("UPDATE_COMPLETE", "one"),
        ),
        Scenario(
            "replace-a-table", "rekeyed", "rekeyed", ("update", *unverified, *_DRAFTS),
            _expects("UPDATE_COMPLETE", "one"),
        ),
        Scenario(
            "delete", "deployed", "first", ("deploy", "--delete", *quiet, *_DRAFTS), _is_absent,
            frozenset(),
        ),
        Scenario("backup", "backed up", "first", ("backup", "--keep", "1", *quiet), _is_backed_up),
        Scenario(
            "restore", "backed up", "first", ("restore", "--table", "Notes", *quiet), _is_restored,
            excuse="Not restored: TTL", stamped=True,
        ),
        Scenario("rollback", "half updated", "first", ("rollback", *quiet), _is_rolled_back),
        Scenario(
            "rollback-to", "moved on", "second", ("rollback", "--to", release, *unverified),
            _expects("UPDATE_COMPLETE", "one"),
        ),
        Scenario(
            "multi-region", "in two regions", "second",
            ("deploy-multi-region", "--regions", ",".join(REGIONS), *unverified),
            _expects("UPDATE_COMPLETE", "two", REGIONS), regions=REGIONS,
            publishes=True, step=3,
        ),
        Scenario(
            "restore-switch", "backed up", "first",
            ("restore", "--switch", "--table", "Notes", *unverified),
            _is_switched(lambda _, table: "-restored-" in table),
            excuse="Not restored: TTL", stamped=True, publishes=True, step=11, once=True,
        ),
        Scenario(
            "adopt", "orphaned", "first",
            ("rescue.adopt", "--resource", "DatabaseStack/Notes", "--physical-id", orphan,
             *unverified),
            _is_switched(lambda there, table: table == there.orphan), publishes=True, step=11,
        ),
        Scenario(
            "create-over", "deleted", "first", ("deploy", *unverified, "--adopt", "all"),
            _is_switched(lambda there, table: table == there.orphan), publishes=True, step=11,
        ),
        Scenario(
            "preview", "moved on", "first", ("update", *quiet, "--preview"),
            _expects("UPDATE_COMPLETE", "two"), sweeper=("prune", *quiet),
        ),
        *_plan_scenarios(stage),
    )  # fmt: skip
    return {one.name: one for one in made}


NAMES = tuple(scenarios())


def whole_application(stage: Stage) -> Scenario:
    """Return the creation of the real application, published to an emulator with nothing else."""

    def goal(there: Stage) -> str:
        status = there.cloud().status(STACK)
        return "" if status == "CREATE_COMPLETE" else f"the stack is {status}"

    name = "the whole application"
    if name not in stage.clones:
        stage.clones[name] = Clone(stage.folder / "whole")
        stage.load("empty")
        # The emulator gives it another name, for which the first cluster would be waited for.
        stage.cloud().client("iam").create_role(
            Path="/aws-service-role/ecs.amazonaws.com/",
            RoleName="AWSServiceRoleForECS",
            AssumeRolePolicyDocument="{}",
        )
        stage.must(name, "upload")
        stage.save(name)
    return Scenario(name, name, name, ("deploy", "--yes", "--json", "--no-verify"), goal, step=10)


# --- what must hold after any fault


def available(cloud: Cloud) -> dict[str, int]:
    """Return how many complete backups each table has, by physical name."""
    found: dict[str, int] = {}
    for entry in cloud.client("dynamodb").list_backups(BackupType="ALL")["BackupSummaries"]:
        if entry["BackupStatus"] == "AVAILABLE":
            found[entry["TableName"]] = found.get(entry["TableName"], 0) + 1
    return found


def seeded(cloud: Cloud) -> list[str]:
    """Return the tables that hold items before the run."""
    return list(cloud.tables(STACK).values()) if cloud.stack(STACK) else []


def find_lost_items(cloud: Cloud, tables: list[str]) -> Iterator[str]:
    """Yield each table whose items are neither in it nor in a complete backup."""
    there = set(cloud.client("dynamodb").list_tables()["TableNames"])
    backups = available(cloud)
    for table in tables:
        if table in there and cloud.items(table) == ITEMS:
            continue
        if table not in backups:
            yield f"the items of {table} are lost"


def find_half_releases(cloud: Cloud) -> Iterator[str]:
    """Yield each object that a manifest names and that is not there with these bytes."""
    s3, bucket = cloud.client("s3"), f"plot-palette-cfn-000000000000-{cloud.region}"
    for key in sorted(cloud.keys("releases/")):
        if not key.endswith("manifest.json"):
            continue
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        for file in manifest["files"]:
            try:
                content = s3.get_object(Bucket=bucket, Key=file["key"])["Body"].read()
            except ClientError:
                yield f"{key} names {file['key']}, which is not there"
                continue
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                yield f"{key} names {file['key']}, which holds other bytes"


def find_leaks(cloud: Cloud, *texts: str) -> Iterator[str]:
    """Yield each secret that was written to a stream, a log or an object."""
    s3, bucket = cloud.client("s3"), f"plot-palette-cfn-000000000000-{cloud.region}"
    objects = [
        s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        for key in cloud.keys("deployments/")
    ]
    for what, value in SECRETS.items():
        if any(value in text for text in (*texts, *objects)):
            yield f"{what} was written down"


def find_leftovers(cloud: Cloud, scenario: Scenario, kept: Collection[str] = ()) -> Iterator[str]:
    """Yield stacks that nobody asked for, shells, and change sets that wait for nobody.

    `kept` names the change sets that plans wait for.
    """
    wanted = scenario.stacks if cloud.region in scenario.regions else frozenset()
    names = cloud.names()
    if names - wanted - ({STACK} if scenario.state == "in two regions" else set()):
        yield f"stacks {sorted(names - wanted)} are left in {cloud.region}"
    for name in names:
        found = cloud.change_sets(name)
        if cloud.status(name) == "REVIEW_IN_PROGRESS" and not {*found} & {*kept}:
            yield f"stack {name} is an empty shell"
        for change_set in found:
            if not any(one in change_set for one in kept):
                yield f"change set {change_set} of {name} is left"


def list_kept(stage: Stage, scenario: Scenario) -> list[str]:
    """Return the names of the change sets that a scenario's plan waits for."""
    found = read_plans(stage, scenario.plan) if scenario.plan else []
    return [one["change_set"].split("/")[1] for one in found]


def list_locks(cloud: Cloud) -> set[tuple[str, str]]:
    """Return the locks of a region, each with what it says."""
    s3, bucket = cloud.client("s3"), f"plot-palette-cfn-000000000000-{cloud.region}"
    return {
        (key, s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        for key in cloud.keys("locks/")
    }


def find_left_locks(
    cloud: Cloud, ended: Ended, before: set[tuple[str, str]] | None = None
) -> Iterator[str]:
    """Yield the locks that a run has left which did not say so.

    One that a killed run left `before` expires; who changes nothing has no need to take it over.
    """
    if "could not be released" not in ended.err:
        left = list_locks(cloud) - (before or set())
        yield from (f"{key} is left in {cloud.region}" for key, _ in left)


#: Exit codes that are right for a task that met a fault.
_CODES = {
    Kind.CUT_BEFORE: {0, 1, 4},
    Kind.CUT_AFTER: {0, 1, 4},
    Kind.THROTTLE: {0, 1},
    Kind.STATUS: {0, 1},
    Kind.EXPIRED: {0, 4},
    Kind.DENIED: {0, 1, 3, 4},
}


def allowed_codes(fault: Fault | None) -> set[int]:
    """Return the exit codes that are right after a fault; one that passes goes unnoticed."""
    if fault is None:
        return {0}
    if fault.is_signal:
        return {-fault.detail} if fault.kills else {130}
    passes = fault.attempts == 1 and fault.kind not in (Kind.DENIED, Kind.EXPIRED)
    return {0} if passes else _CODES[fault.kind]


def find_misbehaviour(
    ended: Ended, fault: Fault | None, *, others: tuple[int, ...] = ()
) -> Iterator[str]:
    """Yield what is wrong with how a process ended and what it said.

    `others` are further exit codes that are right when somebody else was quicker.
    """
    last = (ended.err.strip().splitlines() or [""])[-1]
    if ended.code not in allowed_codes(fault) | set(others):
        yield f"exit code {ended.code}: {ended.err.strip()[-300:]}"
    for text in (ended.out, ended.err, ended.log):
        if "Traceback" in text:
            yield f"a traceback: {last}"
            break
    if fault and fault.kills:
        return
    try:
        document = json.loads(ended.out)
    except ValueError:
        yield f"no JSON document, but {ended.out[:100]!r}"
        return
    words = ("✗", "Interrupted", ": declined: ")
    if ended.code and not any(word in ended.err for word in words):
        yield "it failed without a word"
    if (
        ended.code
        and isinstance(document, dict)
        and document.get("exit_code", ended.code) != ended.code
    ):
        yield f"the document says {document['exit_code']}, the process {ended.code}"


@dataclass
class Tally:
    """What became of a fault in a scenario."""

    scenario: str
    fault: str
    tried: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    #: After how many runs something harmless stayed until the next change of the stack.
    left: int = 0
    seconds: float = 0.0


def try_at(stage: Stage, scenario: Scenario, fault: Fault, at: int, tally: Tally) -> bool:
    """Run a scenario with a fault at one call, then again without; tell whether it was met."""
    stage.load(scenario.state)
    if scenario.plan:
        stage.plan(scenario.plan).unlink(missing_ok=True)
    clouds = [stage.cloud(region) for region in REGIONS if region in scenario.regions]
    before = {cloud.region: seeded(cloud) for cloud in clouds}
    ended, run = stage.run(scenario.clone, *scenario.arguments, fault=fault, at=at)
    if run.struck is None:
        return False
    stage.settle()
    # Of many regions one may have been changed before the credentials ended.
    others = (1,) if len(scenario.regions) > 1 else ()
    found = list(find_misbehaviour(ended, fault, others=others))
    excused = scenario.excuse and scenario.excuse in ended.err
    if ended.code == 0 and not excused and (missing := scenario.goal(stage)):
        found.append(f"exit code 0, but {missing}")
    for cloud in clouds:
        found += find_half_releases(cloud) if scenario.publishes else ()
        found += find_lost_items(cloud, before[cloud.region])
        found += find_leaks(cloud, ended.out, ended.err, ended.log)
        found += find_two_tables(cloud)
        if ended.code == 0:
            found += find_leftovers(cloud, scenario, list_kept(stage, scenario))
        if not fault.kills:
            found += find_left_locks(cloud, ended)
    if ended.code:
        if scenario.sweeper and (fault.kills or "may be left" in ended.err):
            tally.left += sweep_away(stage, scenario, clouds)
        found += run_again(stage, scenario, clouds, before)
        found += find_unsettled(stage, scenario) if fault.kills else ()
    tally.tried += 1
    tally.codes[str(ended.code)] = tally.codes.get(str(ended.code), 0) + 1
    if found:
        call = run.struck
        tally.lost.append(
            f"call {call.number} {call.service} {call.operation}: " + "; ".join(found)
        )
    return True


def sweep_away(stage: Stage, scenario: Scenario, clouds: list[Cloud]) -> bool:
    """Take away what a run had to leave, a day later; tell whether there was anything."""
    kept = list_kept(stage, scenario)
    if not any(list(find_leftovers(cloud, scenario, kept)) for cloud in clouds):
        return False
    for region in scenario.regions:
        stage.run(scenario.clone, *scenario.sweeper, "--region", region, later=LONG_AGO)
    stage.settle()
    return True


def run_again(
    stage: Stage, scenario: Scenario, clouds: list[Cloud], before: Mapping[str, list[str]]
) -> Iterator[str]:
    """Run the same command once more, and yield what it does not put right."""
    if scenario.stamped:
        time.sleep(1 - time.time() % 1)
    locked = {cloud.region: list_locks(cloud) for cloud in clouds}
    # Stopped at its last call, it has left nothing to do: its table has no backup yet.
    is_done = scenario.once and not scenario.goal(stage)
    again, _ = stage.run(scenario.clone, *scenario.arguments)
    stage.settle()
    refused = bool(scenario.renewal) and again.code == 3
    others = (3,) if refused else (2,) if is_done else ()
    yield from (f"again: {one}" for one in find_misbehaviour(again, None, others=others))
    if refused:
        yield from renew(stage, scenario, again)
    if missing := scenario.goal(stage):
        yield f"again: {missing}"
    kept = list_kept(stage, scenario)
    for cloud in clouds:
        yield from (f"again: {one}" for one in find_leftovers(cloud, scenario, kept))
        yield from (f"again: {one}" for one in find_left_locks(cloud, again, locked[cloud.region]))
        yield from (f"again: {one}" for one in find_lost_items(cloud, before[cloud.region]))
        yield from find_half_releases(cloud) if scenario.publishes else ()


def find_unsettled(stage: Stage, scenario: Scenario) -> Iterator[str]:
    """Yield each record that still says, a day later, that its operation has only started."""
    for region in scenario.regions:
        command = ("history", "--json", "--region", region)
        told, _ = stage.run(scenario.clone, *command, later=LONG_AGO)
        for record in json.loads(told.out):
            if record["status"] == "started":
                yield f"the record of {record['time']} in {region} stays started"


def renew(stage: Stage, scenario: Scenario, refused: Ended) -> Iterator[str]:
    """Yield what is wrong with a refusal, or with what it says leads on."""
    document = json.loads(refused.out)
    told = [one.get("failure") or {} for one in document.get("regions", [document])]
    if not any("was" in one.get("reason", "") for one in told):
        yield f"refused without what differs: {refused.out[:300]}"
    for command in scenario.renewal:
        ended, _ = stage.run(scenario.clone, *command)
        yield from (f"renewed: {one}" for one in find_misbehaviour(ended, None))
    stage.settle()


def sweep(
    stage: Stage, scenario: Scenario, fault: Fault, *, step: int = 1, start: int = 1
) -> Tally:
    """Try a fault at every call of a scenario, or at every `step`-th."""
    tally = Tally(scenario.name, fault.name)
    began = time.monotonic()
    at = start
    while try_at(stage, scenario, fault, at, tally):
        at += step
    tally.seconds = round(time.monotonic() - began, 1)
    return tally
