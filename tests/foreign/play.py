"""Drive our tasks against an emulator that others wrote: `python -m tests.foreign.play PLACE`.

PLACE is a folder that keeps the emulator's environment from run to run. The tasks run as
processes of their own, as an operator would run them, with the settings of any AWS endpoint;
what they did is read back with plain boto3, not with lib. Ends with a table of what was held
against it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError
from tabulate import tabulate

from tests.foreign import emulator, left_out
from tests.foreign.left_out import LEFT_OUT, Lack, LeftOut

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
STACK = "plot-palette-development"
DOOMED = "plot-palette-doomed"
RISKY = "plot-palette-risky"
ITEM = {"job_id": {"S": "kept"}}

#: A resource that cannot be made, here as on AWS.
BROKEN = """
  Broken:
    Type: AWS::SSM::Parameter
    Properties: { Type: String, Value: !ImportValue no-such-export }
"""

#: A second stack to leave out, so that an update has something to bring and to take away.
ROLES = LeftOut("IAMStack", "iam-stack.yaml", "", {})
TABLES = LeftOut(
    "DatabaseStack",
    "database-stack.yaml",
    "",
    {
        f"{name}TableArn": f"arn:aws:dynamodb:{REGION}:000000000000:table/{name}"
        for name in ("Jobs", "Queue", "Templates", "CostTracking")
    },
)


@dataclass(frozen=True)
class Ran:
    """What a task left behind."""

    code: int
    document: Any
    said: str


@dataclass(frozen=True)
class Step:
    """One thing that was held against the emulator; `wrong` says what should be otherwise."""

    name: str
    code: int | str
    status: str
    wrong: str = ""


@dataclass
class Play:
    """One emulator, and what was held against it so far."""

    folder: Path
    endpoint: str
    steps: list[Step] = field(default_factory=list)

    def clone(self, name: str, *without: LeftOut, put_back: str = "") -> Path:
        """Return a folder with our templates, without what the emulator cannot do."""
        folder = self.folder / name
        emulator.copy_tasks(ROOT, folder)
        gone = [one for one in LEFT_OUT if one.stack != put_back]
        left_out.leave_out(templates(folder), [*gone, *without])
        return folder

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service name
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="foreign",
            aws_secret_access_key="foreign",
        )

    def inv(self, clone: Path, *arguments: str, stack: str = STACK) -> Ran:
        """Run a task from a folder."""
        command = [sys.executable, "-m", "invoke", *arguments, "--stack-name", stack, "--json"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GITHUB_"))}
        settings = {
            **kept,
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "foreign",
            "AWS_SECRET_ACCESS_KEY": "foreign",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PLOT_PALETTE_LOG_FOLDER": str(self.folder / "logs"),
        }
        ran = subprocess.run(
            command,
            cwd=clone,
            env=settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(ran.returncode, json.loads(ran.stdout) if ran.stdout else {}, ran.stderr)

    def stacks(self, name: str) -> dict[str, str]:
        """Return the states of a stack and of all nested in it, by their names."""
        pages = self.client("cloudformation").get_paginator("describe_stacks").paginate()
        return {
            stack["StackName"]: stack["StackStatus"]
            for page in pages
            for stack in page["Stacks"]
            if stack["StackName"] == name or stack["StackName"].startswith(f"{name}-")
        }

    def status(self, name: str) -> str:
        """Return a stack's state, "none" without one."""
        return self.stacks(name).get(name, "none")

    def nested(self, name: str, logical_id: str) -> str:
        """Return a nested stack's state by its logical ID."""
        named = f"{name}-{logical_id}-"
        return next((s for n, s in self.stacks(name).items() if n.startswith(named)), "none")

    def tables(self, name: str) -> list[str]:
        """Return the names of a stack's tables, whether it still manages them or not."""
        pages = self.client("dynamodb").get_paginator("list_tables").paginate()
        return [t for page in pages for t in page["TableNames"] if t.startswith(f"{name}-")]

    def holds_item(self, name: str) -> bool:
        """Tell whether the jobs of a stack, deleted or not, are still there."""
        table = next((t for t in self.tables(name) if "JobsTable" in t), "")
        found = self.client("dynamodb").get_item(TableName=table, Key=ITEM) if table else {}
        return "Item" in found

    def hold(
        self, name: str, ran: Ran, stack: str, codes: Sequence[int], status: str, wrong: str = ""
    ) -> Ran:
        """Note a step, and hold its exit code and the stack's state to what they should be."""
        found = self.status(stack)
        problems = [wrong] if wrong else []
        if ran.code not in codes:
            wanted = " or ".join(map(str, codes))
            problems.append(f"exit code {ran.code} instead of {wanted}: {last_words(ran.said)}")
        if found != status:
            problems.append(f"the stack is {found} instead of {status}")
        self.steps.append(Step(name, ran.code, found, "; ".join(problems)))
        return ran


def templates(clone: Path) -> Path:
    """Return where the templates of a folder are."""
    return clone / "infrastructure" / "cloudformation"


def edit(clone: Path, template: str, old: str, new: str) -> None:
    """Replace text in a template of a folder."""
    path = templates(clone) / template
    text = path.read_text()
    if old not in text:
        raise ValueError(f"{template} has no {old!r}")
    path.write_text(text.replace(old, new))


def last_words(said: str) -> str:
    """Return the line that tells what became of a task."""
    lines = [line for line in said.splitlines() if line.startswith(("✓", "✗"))]
    return lines[-1] if lines else said[-300:]


def note_action(ran: Ran, wanted: str) -> str:
    """Say when a task reports another action than it took."""
    action = ran.document.get("action")
    return "" if action == wanted else f"reported as {action} instead of {wanted}"


def play_life(play: Play) -> None:
    """Create, look, change, refuse, delete."""
    whole, fewer = play.clone("whole"), play.clone("fewer", ROLES)
    deploy = ("deploy", "--yes", "--no-verify")
    ran = play.inv(fewer, *deploy)
    play.hold("create", ran, STACK, [0], "CREATE_COMPLETE", note_action(ran, "created"))
    table = next(name for name in play.tables(STACK) if "JobsTable" in name)
    play.client("dynamodb").put_item(TableName=table, Item=ITEM)
    ran = play.inv(fewer, *deploy)
    play.hold("deploy the same", ran, STACK, [0], "CREATE_COMPLETE", note_action(ran, "unchanged"))
    ran = play.inv(fewer, "verify")
    checks = ran.document.get("checks", [])
    failed = {check["detail"] for check in checks if not check["passed"]}
    unknown = "; ".join(sorted(failed - {left_out.NO_RECOVERY.answer}))
    play.hold("verify", ran, STACK, [1 if failed else 0], "CREATE_COMPLETE", unknown)
    note_lack(play, left_out.NO_RECOVERY, "; ".join(failed))
    ran = play.inv(whole, "deploy", "--preview")
    rows = {row["path"] for row in ran.document.get("changes", [])}
    wrong = "" if "IAMStack/ECSTaskRole" in rows else f"the preview shows only {sorted(rows)}"
    play.hold("preview", ran, STACK, [0], "CREATE_COMPLETE", wrong)
    ran = play.inv(whole, *deploy)
    play.hold("change: a stack comes", ran, STACK, [0], "UPDATE_COMPLETE")
    ran = play.inv(play.clone("bare", TABLES), *deploy)
    wrong = "" if play.holds_item(STACK) else "the data is gone"
    play.hold("change: the tables go", ran, STACK, [3], "UPDATE_COMPLETE", wrong)
    ran = play.inv(fewer, *deploy)
    play.hold("change: a stack goes", ran, STACK, [0], "UPDATE_COMPLETE")
    look_inside(play, whole)
    ran = play.inv(fewer, "deploy", "--delete", "--yes")
    kept = set(play.tables(STACK)) == set(ran.document.get("retained", []))
    wrong = "" if kept and play.holds_item(STACK) else "the data is gone, or not listed"
    play.hold("delete", ran, STACK, [0], "DELETE_COMPLETE", wrong)


def look_inside(play: Play, whole: Path) -> None:
    """Change something inside a nested stack, which the emulator says it did."""
    play.inv(whole, "deploy", "--yes", "--no-verify")
    changed = play.clone("changed")
    edit(changed, "database-stack.yaml", "expires_at", "gone_at")
    play.inv(changed, "deploy", "--yes", "--no-verify")
    parent, inside = play.status(STACK), play.nested(STACK, "DatabaseStack")
    told = f"the parent is {parent}, the nested stack is still {inside}"
    note_lack(play, left_out.NO_NESTED_UPDATE, told)


def play_failure(play: Play) -> None:
    """Fail to create, try again, roll back, and get rid of it."""
    broken = play.clone("broken")
    edit(broken, "iam-stack.yaml", "\nOutputs:\n", f"{BROKEN}\nOutputs:\n")
    deploy = ("deploy", "--yes", "--no-verify")
    play.inv(broken, *deploy, "--disable-rollback", stack=DOOMED)
    parent, inside = play.status(DOOMED), play.nested(DOOMED, "IAMStack")
    told = f"the nested stack is {inside}, the parent is {parent}"
    note_lack(play, left_out.NO_FAILED_CREATION, told)
    ran = play.inv(broken, "verify", stack=DOOMED)
    play.hold("verify what failed", ran, DOOMED, [1], parent, lacks_failure(ran, "IAMStack"))
    fail_by_itself(play)
    ran = play.inv(broken, *deploy, stack=DOOMED)
    cause = ran.document.get("failure") or {}
    wrong = "" if cause.get("path") == "IAMStack/Broken" else f"the cause is {cause}"
    play.hold("deploy what failed again", ran, DOOMED, [1, 3], "CREATE_FAILED", wrong)
    ran = play.inv(broken, "rollback", "--yes", stack=DOOMED)
    wrong = "claims that CloudFormation goes on" if "goes on with" in ran.said else ""
    play.hold("roll back, which is refused", ran, DOOMED, [1, 4], "CREATE_FAILED", wrong)
    note_lack(play, left_out.NO_ROLLBACK, try_rollback(play))
    kept = set(play.tables(DOOMED))
    ran = play.inv(broken, "deploy", "--delete", "--yes", stack=DOOMED)
    wrong = "" if kept == set(play.tables(DOOMED)) else "tables are gone"
    play.hold("delete what failed", ran, DOOMED, [0], "DELETE_COMPLETE", wrong)
    fail_half_way(play, broken)


def lacks_failure(ran: Ran, name: str) -> str:
    """Say when a verification does not tell that a resource failed."""
    failed = {check["name"] for check in ran.document.get("checks", []) if not check["passed"]}
    return "" if name in failed else f"only {sorted(failed)} have failed"


def fail_by_itself(play: Play) -> None:
    """Create what fails once more without our tasks, so that the emulator calls it failed."""
    cfn = play.client("cloudformation")
    text = cfn.get_template(StackName=DOOMED)["TemplateBody"]
    (stack,) = cfn.describe_stacks(StackName=DOOMED)["Stacks"]
    cfn.delete_stack(StackName=DOOMED)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"])
    cfn.create_stack(
        StackName=DOOMED,
        TemplateBody=text if isinstance(text, str) else json.dumps(text),
        Parameters=stack["Parameters"],
        Tags=stack.get("Tags", []),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        DisableRollback=True,
    )
    with contextlib.suppress(WaiterError):
        cfn.get_waiter("stack_create_complete").wait(
            StackName=DOOMED, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


def fail_half_way(play: Play, broken: Path) -> None:
    """Fail to update, which the emulator does not tell, and take out again what failed."""
    before = play.clone("before", ROLES)
    deploy = ("deploy", "--yes", "--no-verify")
    play.inv(before, *deploy, stack=RISKY)
    play.inv(broken, *deploy, stack=RISKY)
    parent, inside = play.status(RISKY), play.nested(RISKY, "IAMStack")
    told = f"the nested stack is {inside}, the parent is {parent}"
    note_lack(play, left_out.NO_FAILED_UPDATE, told)
    ran = play.inv(broken, "verify", stack=RISKY)
    wrong = lacks_failure(ran, "IAMStack")
    play.hold("verify what failed half way", ran, RISKY, [1], parent, wrong)
    ran = play.inv(before, *deploy, stack=RISKY)
    wrong = "calls it destroyed" if "no DeletionPolicy is known" in ran.said else ""
    play.hold("take out what failed", ran, RISKY, [0], "UPDATE_COMPLETE", wrong)


def try_rollback(play: Play) -> str:
    """Return what the emulator says to RollbackStack itself."""
    try:
        play.client("cloudformation").rollback_stack(StackName=DOOMED)
    except ClientError as exc:
        return str(exc)
    return "accepted"


def note_lack(play: Play, lack: Lack, told: str) -> None:
    """Note that the emulator still lacks something, or that the list can shrink."""
    wrong = "" if lack.answer in told else f"says now: {told or 'nothing'}; take it off the list"
    play.steps.append(Step(f"still without {lack.name}", "", lack.answer, wrong))


def put_back(play: Play, one: LeftOut) -> None:
    """Put one left-out stack back and see it refused in the same words.

    Only the words count: see NO_FAILED_CREATION for what the emulator makes of it.
    """
    stack = f"back-{one.stack}"
    clone = play.clone(stack, put_back=one.stack)
    ran = play.inv(clone, "deploy", "--yes", "--no-verify", stack=stack)
    said = [*reasons(play, stack), ran.said]
    wrong = ""
    if not any(one.answer in text for text in said):
        wrong = f"says now: {last_words(ran.said)}; take it off the list or mend its answer"
    step = Step(f"still without {one.stack}", ran.code, play.status(stack), wrong)
    play.steps.append(step)


def reasons(play: Play, name: str) -> Iterator[str]:
    """Yield every reason in the events of a stack and of all nested in it."""
    cfn = play.client("cloudformation")
    for stack in play.stacks(name):
        for event in cfn.describe_stack_events(StackName=stack)["StackEvents"]:
            yield event.get("ResourceStatusReason", "")


def draw(steps: Sequence[Step]) -> str:
    """Return the table of what was held against the emulator, and what is wrong."""
    rows = [(s.name, s.code, s.status, "no" if s.wrong else "yes") for s in steps]
    table = tabulate(rows, ("Step", "Our exit code", "There", "As it should be"))
    wrong = [f"✗ {step.name}: {step.wrong}" for step in steps if step.wrong]
    held = f"{len(steps) - len(wrong)} of {len(steps)} are as they should be"
    return "\n".join([table, "", *wrong, held])


def main(arguments: Sequence[str]) -> int:
    """Play everything, print the table; return 1 when anything is not as it should be."""
    (place,) = arguments
    try:
        python = emulator.install(Path(place).absolute())
    except LookupError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    # Stopped from outside, it still ends the emulator on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="foreign-") as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir()
        with emulator.running(python, state) as endpoint:
            play = Play(folder, endpoint)
            play_life(play)
            play_failure(play)
            for one in LEFT_OUT:
                put_back(play, one)
    print(draw(play.steps))  # noqa: T201
    return int(any(step.wrong for step in play.steps))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
