"""Run the real tasks as an operator would: in a clone, in processes of their own, from outside.

A clone holds its own tasks.py and infrastructure, so that a test may edit them, and links to
the code. What the tasks did is read back with plain boto3, not with lib.

Deploying the whole application takes a while, so it is done once, before the first test:
`seed` is the emulator's state on disk with the development stack and 1,000 items in each of
its tables. A test works on a copy of it, behind an emulator that it shares with nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support import warm

Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
STACK = "plot-palette-development"
ITEMS = 1000
PATIENCE = 60.0  # seconds; a test that waits longer has failed

_SETTINGS = ("AWS_", "PLOT_PALETTE_", "PYTEST_", "NO_COLOR", "CI", "TERM")
_PUBLISHED = re.compile(r"templates/([0-9a-f]{12})/([a-z]+)-stack\.yaml")


def until(condition: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """Poll until a condition holds and return what it returned; `what` says what did not come."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    missing = what if isinstance(what, str) else what()
    pytest.fail(f"{missing} did not happen within {PATIENCE:.0f} s")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything beside it is an error."""
        return json.loads(self.out)


def shared_cache() -> Path:
    """Return the cache folder of this run, one for all of its workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"plot-palette-cache-{run}"
    folder.mkdir(exist_ok=True)
    return folder


class Clone:
    """The files of a clone that a test may edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        shutil.copy(REPOSITORY / "tasks.py", folder)
        shutil.copytree(REPOSITORY / "infrastructure", folder / "infrastructure")
        for code in ("commands", "emulator", "lib", "manual"):
            (folder / code).symlink_to(REPOSITORY / code)
        # Clones of one run share what cfn-lint found clean: it takes seconds each time.
        (folder / ".cache").symlink_to(shared_cache())

    def template(self, name: str) -> Path:
        return self.folder / "infrastructure" / "cloudformation" / f"{name}-stack.yaml"

    def edit(self, name: str, *replacements: tuple[str, str]) -> None:
        """Replace text in a template, wherever it stands."""
        text = self.template(name).read_text()
        for old, new in replacements:
            assert old in text, f"{name}-stack.yaml has no {old!r}"
            text = text.replace(old, new)
        self.template(name).write_text(text)

    def add_resource(self, name: str, resource: str) -> None:
        """Add a resource, in YAML, to a template."""
        self.edit(name, ("\nOutputs:\n", f"\n{resource}\nOutputs:\n"))

    def remove_resource(self, name: str, logical_id: str) -> None:
        """Take a resource out of a template; what reads it is the test's affair."""
        block = re.compile(rf"\n  {logical_id}:\n(?:(?:    .*)?\n)*")
        text, found = block.subn("\n", self.template(name).read_text())
        assert found == 1, f"{name}-stack.yaml has no resource {logical_id}"
        self.template(name).write_text(text)

    def restore(self) -> None:
        """Put the templates and parameters back as they are in the repository."""
        shutil.rmtree(self.folder / "infrastructure")
        shutil.copytree(REPOSITORY / "infrastructure", self.folder / "infrastructure")

    def set_parameters(self, environment: str = "development", **values: str) -> None:
        path = self.folder / "infrastructure" / "parameters" / f"{environment}.json"
        found = {e["ParameterKey"]: e["ParameterValue"] for e in json.loads(path.read_text())}
        entries = [{"ParameterKey": k, "ParameterValue": v} for k, v in (found | values).items()]
        path.write_text(json.dumps(entries))


#: A resource that cannot be made, on AWS as here: nobody sends the signal that it waits for.
NEVER = """
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle

  Never:
    Type: AWS::CloudFormation::WaitCondition
    Properties:
      Handle: !Ref Handle
      Timeout: '1'
      Count: 1
"""


OLD_KEY = "- { AttributeName: job_id, KeyType: HASH }\n      GlobalSecondaryIndexes"
NEW_KEY = (
    "- { AttributeName: job_id, KeyType: HASH }\n"
    "        - { AttributeName: created_at, KeyType: RANGE }\n"
    "      GlobalSecondaryIndexes"
)


def change_key(clone: Clone) -> None:
    """Give the jobs another key, which replaces their table."""
    clone.edit("database", (OLD_KEY, NEW_KEY))


def break_late(clone: Clone) -> None:
    """Let an operation fail in the frontend, which comes last, after the jobs have a new key."""
    change_key(clone)
    clone.add_resource("frontend", NEVER)


def change_settings(clone: Clone) -> None:
    """Change a tag, a time to live and a function's memory, which replaces nothing."""
    tag = "        - Key: Environment\n"
    clone.edit(
        "database",
        ("AttributeName: expires_at", "AttributeName: gone_at"),
        (tag, f"        - {{ Key: Team, Value: data }}\n{tag}"),
    )
    clone.edit("api", ("MemorySize: 256", "MemorySize: 512"))


class Cloud:
    """What is really there in one region of the emulator."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.endpoint, self.region = endpoint, region
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint,
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    @property
    def cfn(self) -> Any:
        return self.client("cloudformation")

    def stack(self, name: str = STACK) -> Json | None:
        """The stack as AWS describes it, or None."""
        try:
            found: Json = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError:
            return None
        return found

    def status(self, name: str = STACK) -> str:
        return (self.stack(name) or {"StackStatus": ""})["StackStatus"]

    def outputs(self, name: str = STACK) -> dict[str, str]:
        stack = self.stack(name) or {}
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def parameters(self, name: str = STACK) -> dict[str, str]:
        stack = self.stack(name) or {}
        return {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}

    def tree(self, name: str = STACK) -> dict[str, str]:
        """The physical id of every resource, by its path."""
        found = {}
        for page in self.cfn.get_paginator("list_stack_resources").paginate(StackName=name):
            for resource in page["StackResourceSummaries"]:
                path, physical = resource["LogicalResourceId"], resource["PhysicalResourceId"]
                found[path] = physical
                if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    inside = self.tree(physical)
                    found |= {f"{path}/{inner}": own for inner, own in inside.items()}
        return found

    def tables(self, name: str = STACK) -> dict[str, str]:
        """The stack's tables: physical names by logical id."""
        prefix = "DatabaseStack/"
        return {p.removeprefix(prefix): n for p, n in self.tree(name).items() if prefix in p}

    def items(self, table: str) -> int:
        pages = (
            self.client("dynamodb").get_paginator("scan").paginate(TableName=table, Select="COUNT")
        )
        return sum(page["Count"] for page in pages)

    def fill(self, table: str, count: int = ITEMS) -> None:
        """Put items with distinct keys into a table."""
        dynamodb = self.client("dynamodb")
        described = dynamodb.describe_table(TableName=table)["Table"]
        keys = {key["AttributeName"] for key in described["KeySchema"]}
        kinds = {
            a["AttributeName"]: a["AttributeType"]
            for a in described["AttributeDefinitions"]
            if a["AttributeName"] in keys
        }
        items = [{name: {kind: str(n)} for name, kind in kinds.items()} for n in range(count)]
        for start in range(0, count, 25):
            batch = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            dynamodb.batch_write_item(RequestItems={table: batch})

    def digests(self, name: str = STACK) -> dict[str, str]:
        """Which content of each nested template the stack runs: digests by template."""
        body = self.cfn.get_template(StackName=name)["TemplateBody"]
        text = body if isinstance(body, str) else json.dumps(body)
        return {template: digest for digest, template in _PUBLISHED.findall(text)}

    def change_sets(self, name: str = STACK) -> list[str]:
        """What nobody executed, of the stack and of all stacks nested in it."""
        stacks = [name, *(own for own in self.tree(name).values() if ":stack/" in own)]
        return [
            summary["ChangeSetName"]
            for stack in stacks
            for summary in self.cfn.list_change_sets(StackName=stack)["Summaries"]
            if not summary["ExecutionStatus"].startswith("EXECUTE")
        ]

    def open_gate(self, name: str) -> None:
        """Let an operation on the small application go on."""
        # The emulator tells of a nested stack's resources a moment before it lists the stack.
        until(lambda: "NotesStack" in self.tree(name), "the nested stack")
        self.cfn.signal_resource(
            StackName=self.tree(name)["NotesStack"],
            LogicalResourceId="Gate",
            UniqueId=name,
            Status="SUCCESS",
        )

    def names(self) -> set[str]:
        """The names of all root stacks that were not deleted."""
        found = self.cfn.describe_stacks()["Stacks"]
        return {s["StackName"] for s in found if not s.get("ParentId")}

    def keys(self, prefix: str = "") -> set[str]:
        """The objects in the templates bucket of this region; none without a bucket."""
        bucket = f"plot-palette-cfn-000000000000-{self.region}"
        pages = self.client("s3").get_paginator("list_objects_v2")
        try:
            found = list(pages.paginate(Bucket=bucket, Prefix=prefix))
        except ClientError:
            return set()
        return {entry["Key"] for page in found for entry in page.get("Contents", [])}


#: Files whose tasks coverage watches, which takes each of them half as long again. What the
#: others reach, these and the unit tests reach too.
_WATCHED = re.compile(r"test_(explaining|planning|recording|refactoring)\.py")


def _make_bench(folder: Path) -> Path:
    """Return an interpreter that has a linter beside it which finds nothing.

    cfn-lint takes five seconds of a core for each edited template. The repository's own are
    linted by `nox -s lint`, and the tests that are about the linter run the real one.
    """
    folder.mkdir(exist_ok=True)
    for name, does in (("cfn-lint", "echo '[]'"), ("python", f'exec "{sys.executable}" "$@"')):
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    return folder / "python"


@dataclass
class Operator:
    """Somebody with a clone, a shell and an emulator; `lints` with the real cfn-lint or not."""

    clone: Clone
    state: Path
    settings: dict[str, str] = field(default_factory=dict)
    lints: bool = False

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of a shell on a machine that knows no AWS account."""
        dropped = _SETTINGS
        if not _WATCHED.search(os.environ.get("PYTEST_CURRENT_TEST", "")):
            dropped = (*_SETTINGS, "COVERAGE_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        home = self.state.parent / "home"
        home.mkdir(exist_ok=True)
        bench = (
            {} if self.lints else {"TESTS_INTERPRETER": str(_make_bench(self.state.parent / "bin"))}
        )
        return {
            **kept,
            **bench,
            "HOME": str(home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PLOT_PALETTE_LOCAL_STATE": str(self.state),
            "TERM": "xterm",
            **self.settings,
            **settings,
        }

    def start(self, *arguments: str, **settings: str) -> warm.Task:
        """Start a task without a terminal."""
        return warm.starter().start(arguments, self.clone.folder, self.environment(**settings))

    def run(self, *arguments: str, code: int = 0, **settings: str) -> Result:
        """Run a task without a terminal to its end, and hold it to an exit code."""
        return self.finish(self.start(*arguments, **settings), code=code)

    def inv(self, *arguments: str, code: int = 0, **settings: str) -> Result:
        """Run a task on the emulator."""
        return self.run(*arguments, "--local", code=code, **settings)

    def finish(self, process: warm.Task, code: int | None = 0) -> Result:
        """Wait for a task that was started, and hold it to an exit code unless None."""
        out, err = process.communicate(timeout=PATIENCE)
        result = Result(process.wait(), out, err)
        assert code in (None, result.code), f"exit code {result.code}\n{out}\n{err}"
        return result

    @contextlib.contextmanager
    def at_a_terminal(self, *arguments: str, **settings: str) -> Iterator[Terminal]:
        """Run a task on the emulator, from a terminal."""
        terminal = Terminal(self, *arguments, "--local", **settings)
        try:
            yield terminal
        finally:
            terminal.close()

    def cloud(self, region: str = REGION) -> Cloud:
        """Look at a region, with the emulator started when needed."""
        if not (self.state / "emulator.json").exists():
            self.run("local.start")
        port = json.loads((self.state / "emulator.json").read_text())["port"]
        return Cloud(f"http://127.0.0.1:{port}", region)

    def leave(self) -> None:
        """Stop the emulator without waiting for it."""
        with contextlib.suppress(OSError, ValueError):
            pid = json.loads((self.state / "emulator.json").read_text())["pid"]
            os.kill(pid, signal.SIGTERM)


class Terminal:
    """A task on a pseudo terminal: what it shows, and a keyboard."""

    def __init__(self, operator: Operator, *arguments: str, **settings: str) -> None:
        self._screen, side = pty.openpty()
        self.shown = ""
        self._seen = 0
        self._process = warm.starter().start_at(
            side, arguments, operator.clone.folder, operator.environment(**settings)
        )
        os.close(side)

    def expect(self, text: str) -> None:
        """Wait until a text is shown, after whatever was waited for before."""
        until(
            lambda: self._find(text), lambda: f"{text!r} on the terminal, which shows {self.shown}"
        )

    def _find(self, text: str) -> bool:
        self._read()
        place = self.shown.find(text, self._seen)
        if place >= 0:
            self._seen = place + len(text)
        return place >= 0

    def _read(self) -> bool:
        """Take in what is there; false at the end."""
        if not select.select([self._screen], [], [], 0.05)[0]:
            return True
        try:
            piece = os.read(self._screen, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def finish(self, code: int = 0) -> str:
        """Wait for the end, hold it to an exit code and return all that was shown."""
        deadline = time.monotonic() + PATIENCE
        while self._read() and time.monotonic() < deadline:
            pass
        found = self._process.wait(PATIENCE)
        assert found == code, f"exit code {found}\n{self.shown}"
        return self.shown

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._screen)


CTRL_C = "\x03"


@dataclass(frozen=True)
class Seed:
    """The state that tests start from, and how it came about.

    More releases are published, so that the tests that use them need not lint again: what
    `change_key` makes, then `break_late`, then `change_settings`.
    """

    state: Path
    created: Result
    health: Json
    uploads: list[Json]


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    """Deploy the development stack once for all tests, and for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "seed"
    folder.mkdir(exist_ok=True)
    record = folder / "record.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            record.write_text(json.dumps(_plant(folder)))
    read = json.loads(record.read_text())
    created = Result(**read["created"])
    return Seed(folder / "state", created, read["health"], read["uploads"])


def _plant(folder: Path) -> Json:
    """Deploy the whole application to a new emulator, fill its tables, stop the emulator."""
    operator = Operator(Clone(folder / "clone"), folder / "state")
    created = operator.inv("deploy", "--json")
    cloud = operator.cloud()
    with urllib.request.urlopen(created.document["outputs"]["HealthUrl"], timeout=20) as answer:
        health = {"status": answer.status, "body": json.load(answer)}
    uploads = []
    for change in (change_key, break_late, change_settings):
        operator.clone.restore()
        change(operator.clone)
        # Manifests tell the time to the second, and which release is newer has to show.
        time.sleep(1)
        uploads.append(operator.inv("upload", "--json").document)
    for table in cloud.tables().values():
        cloud.fill(table)
    operator.run("local.stop")
    return {"created": asdict(created), "health": health, "uploads": uploads}


def fork(state: Path, folder: Path) -> Operator:
    """Return an operator with a fresh clone and an emulator that goes on from a stopped one.

    The addresses of APIs carry the emulator's port, so the new one's is written in their place.
    """
    copy = folder / "state"
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("emulator.*"))
    old = (copy / "port").read_text()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        new = str(probe.getsockname()[1])
    (copy / "port").write_text(new)
    for path in (copy / "services").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            path.write_bytes(
                content.replace(f"127.0.0.1:{old}".encode(), f"127.0.0.1:{new}".encode())
            )
    return Operator(Clone(folder / "clone"), copy)


@pytest.fixture
def operator(seed: Seed, tmp_path: Path) -> Iterator[Operator]:
    """Somebody who may change the deployed stack as they like."""
    someone = fork(seed.state, tmp_path)
    yield someone
    someone.leave()


@pytest.fixture(scope="module")
def reader(seed: Seed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Somebody who looks at the deployed stack and leaves everything as it is."""
    someone = fork(seed.state, tmp_path_factory.mktemp("reader"))
    yield someone
    someone.leave()


TINY_MASTER = """
AWSTemplateFormatVersion: '2010-09-09'
Description: A small application
Metadata:
  cfn-lint:
    config:
      # The tool fills the parameters in; the small application has no use for them.
      ignore_checks: [W2001]
Parameters:
  VpcCidr: { Type: String }
  BedrockModelIds: { Type: String }
  BedrockInferenceProfileIds: { Type: String }
  Word: { Type: String }
  Way: { Type: String }
Resources:
  NotesStack:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub https://s3.${AWS::Region}.${AWS::URLSuffix}/plot-palette-cfn-${AWS::AccountId}-${AWS::Region}/notes-stack.yaml
      Parameters:
        Word: !Ref Word
        Way: !Ref Way
Outputs:
  Word:
    Value: !GetAtt NotesStack.Outputs.Word
"""

TINY_CHILD = """
AWSTemplateFormatVersion: '2010-09-09'
Description: Two notes with a gate between them, which is shut where a test says so
Parameters:
  Word: { Type: String }
  Way: { Type: String }
Conditions:
  IsShut: !Equals [!Ref Way, shut]
Resources:
  First:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !Ref Word }
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
    Condition: IsShut
    DependsOn: First
  Gate:
    Type: AWS::CloudFormation::WaitCondition
    Condition: IsShut
    Properties: { Handle: !Ref Handle, Timeout: '60' }
  Last:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
      Value: !Ref Word
      Description: !If [IsShut, !Ref Gate, open]
Outputs:
  Word:
    Value: !Ref Last
"""


def shrink(clone: Clone) -> None:
    """Replace the application by one that a test can hold half way, at a gate."""
    for path in (clone.folder / "infrastructure" / "cloudformation").iterdir():
        path.unlink()
    clone.template("master").write_text(TINY_MASTER)
    clone.template("notes").write_text(TINY_CHILD)
    for path in (clone.folder / "infrastructure" / "parameters").iterdir():
        path.unlink()
    path = clone.folder / "infrastructure" / "parameters" / "development.json"
    path.write_text("[]")
    clone.set_parameters(Word="one", Way="open")
    regions = {
        name: {"VPCCidr": "10.0.0.0/16", "BedrockModels": []} for name in (REGION, "eu-west-1")
    }
    (clone.folder / "infrastructure" / "regions.json").write_text(json.dumps(regions))


@pytest.fixture(scope="session", autouse=True)
def _emulators_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave no emulator behind, not even that of a test that failed."""
    yield
    for record in tmp_path_factory.getbasetemp().rglob("emulator.json"):
        # Other tests write records that are none.
        with contextlib.suppress(OSError, ValueError, TypeError):
            pid = json.loads(record.read_text())["pid"]
            os.kill(pid, signal.SIGTERM)
            until(lambda pid=pid: _has_ended(pid), "the end of an emulator")


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
