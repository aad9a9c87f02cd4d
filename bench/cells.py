"""The pieces of work: what has to be true before each, and what is measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.contestants import (
    REGIONS,
    Contestant,
    Ours,
    Package,
    Sam,
    Sceptre,
    Script,
)
from bench.stage import BUCKET, REGION, REPOSITORY, STACK, Sample, Stage
from bench.templates import TemplateSet, application, nested, queues, tables
from lib.templates import linting

#: Seconds per resource with which the application's stack takes about 12 s.
SLOW = 0.2

#: Up to how many templates the script validates each of them.
_VALIDATED = 9

#: Lines of output kept of a run that failed.
_KEPT = 15


@dataclass
class Bench:
    """Everything that a trip needs, and what has been measured so far."""

    stage: Stage
    results: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the contestants' folders."""
        self.ours = Ours(self.stage)
        self.ours.restore()
        self.peers: list[Contestant] = [
            kind(self.stage) for kind in (Script, Package, Sam, Sceptre)
        ]
        self.app = application(REPOSITORY, REGION)
        for peer in self.peers:
            peer.folder.mkdir(parents=True, exist_ok=True)

    @property
    def everybody(self) -> list[Contestant]:
        """Return this tool and its peers."""
        return [self.ours, *self.peers]

    def measure(
        self,
        work: str,
        case: str,
        contestant: Contestant,
        command: Sequence[str] | None,
        *,
        limit: int = 300,
        env: Mapping[str, str] | None = None,
    ) -> Sample | None:
        """Run a command and keep what it cost."""
        if command is None:
            return None
        sample = self.stage.run(command, contestant.folder, stack=STACK, limit=limit, env=env)
        log = sample.log.strip().splitlines()[-_KEPT:] if sample.code else []
        self.results.append(
            {
                "work": work,
                "case": case,
                "tool": contestant.name,
                "delay": self.stage.delay,
                **(asdict(sample) | {"log": log}),
            }
        )
        return sample

    def prepare(
        self,
        contestant: Contestant,
        templates: TemplateSet,
        *,
        linted: bool = True,
        regions: Sequence[str] = (REGION,),
    ) -> None:
        """Empty the emulator, and make the bucket for a tool that has to be given one.

        What ECS makes in every account at its first cluster is there: the emulator gives that role
        a name of its own when it is asked for it.

        With `linted` this tool remembers that the templates are clean in `regions`, as after a
        first run.
        """
        contestant.load(templates)
        self.stage.reset()
        self.stage.make_role_of_ecs()
        if contestant is self.ours:
            memory = self.ours.folder / ".cache" / "lint"
            if linted:
                paths = [self.ours.template_folder / name for name in templates.files]
                found = linting.lint_once(
                    paths,
                    regions=regions,
                    folder=self.ours.template_folder,
                    memory=memory,
                    say=lambda _: None,
                )
                if found:
                    raise RuntimeError("\n".join(found))
            else:
                shutil.rmtree(memory, ignore_errors=True)
        if contestant.needs_bucket:
            self.stage.aws().client("s3").create_bucket(Bucket=BUCKET)

    def quietly(self, contestant: Contestant, command: Sequence[str], limit: int = 600) -> None:
        """Run a command that is not measured but has to succeed."""
        sample = self.stage.run(command, contestant.folder, quiet=False, limit=limit)
        if sample.code:
            raise RuntimeError(f"{command} ended with {sample.code}:\n{sample.log[-2000:]}")


@dataclass(frozen=True)
class Trip:
    """A sequence of measurements on one emulator. `rounds` caps what takes very long."""

    name: str
    delay: float
    run: Callable[[Bench], None]
    rounds: int = 99


def trips(bench: Bench) -> Iterator[Trip]:
    """Yield everything that is measured, in an order that restarts the emulator once."""
    for contestant in bench.everybody:
        yield Trip(f"deploy, {contestant.name}", 0.0, _deploy(contestant))
    yield Trip("deploy, first ever and verified", 0.0, _variants)
    yield Trip("start", 0.0, _start, rounds=5)
    for count in (9, 500):
        yield Trip(f"upload {count}", 0.0, _upload(count), rounds=5 if count == 9 else 2)
    for count in (1, 20, 150):
        yield Trip(f"backup {count}", 0.0, _backup(count), rounds=5 if count < 150 else 2)
    for count in (10, 100, 500):
        yield Trip(f"preview {count}", 0.0, _preview(count), rounds=5 if count < 500 else 3)
    yield Trip("plan and apply", 0.0, _plan)
    for contestant in bench.everybody:
        yield Trip(f"deploy, {contestant.name}", SLOW, _deploy(contestant))
    yield Trip("deploy, verified", SLOW, _verified)
    for count in (1, 4, 8):
        yield Trip(f"regions {count}", SLOW, _roll_out(count), rounds=3)


def _deploy(contestant: Contestant) -> Callable[[Bench], None]:
    """Create, deploy again without a change, change one parameter."""

    def run(bench: Bench) -> None:
        bench.prepare(contestant, bench.app)
        command = contestant.deploy()
        created = bench.measure("deploy", "new", contestant, command)
        if created is None or created.code:
            return
        bench.measure("deploy", "no change", contestant, contestant.deploy())
        contestant.set_values({**bench.app.values, "LogRetentionDays": "3"})
        bench.measure("deploy", "update", contestant, contestant.deploy())

    return run


def _variants(bench: Bench) -> None:
    """Create with nothing ever linted, with everything published, and with the check after."""
    ours = bench.ours
    bench.prepare(ours, bench.app, linted=False)
    bench.measure("deploy", "new, never linted", ours, ours.deploy())
    bench.prepare(ours, bench.app)
    bench.quietly(ours, ours.upload())
    bench.measure("deploy", "new, published before", ours, ours.deploy())
    _verified(bench)


def _verified(bench: Bench) -> None:
    """Create as by default, with the check of what was deployed."""
    bench.prepare(bench.ours, bench.app)
    bench.measure("deploy", "new, and verified", bench.ours, bench.ours.deploy_and_verify())


def _start(bench: Bench) -> None:
    """Start everything once."""
    bench.ours.load(bench.app)
    for contestant in bench.everybody:
        for name, command in contestant.start().items():
            bench.measure("start", name, contestant, command)


def _upload(count: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        """Upload to an empty bucket, then again."""
        templates = nested(count, bench.app.values)
        # One start of the AWS CLI for each template would take the script a quarter of an hour.
        env = {"VALIDATE": "no"} if count > _VALIDATED else None
        for contestant in bench.everybody:
            command = contestant.upload()
            if command is None:
                continue
            bench.prepare(contestant, templates, linted=False)
            if contestant is bench.ours:
                bench.measure(f"upload {count}", "never linted", contestant, command, limit=900)
                bench.stage.reset()
            for case in ("cold", "unchanged"):
                bench.measure(f"upload {count}", case, contestant, command, limit=900, env=env)

    return run


def _backup(count: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        """Back up tables that one stack has."""
        templates = tables(count, bench.app.values)
        bench.prepare(bench.ours, templates)
        bench.quietly(bench.ours, bench.ours.deploy())
        for contestant in (bench.ours, bench.peers[0]):
            contestant.folder.mkdir(exist_ok=True)
            bench.measure(f"backup {count}", "", contestant, contestant.backup())

    return run


def _preview(count: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        """Show what a changed parameter changes in every resource of a stack."""
        templates = queues(count, bench.app.values)
        changed = {**templates.values, "LogRetentionDays": "3"}
        bench.prepare(bench.ours, templates)
        bench.quietly(bench.ours, bench.ours.deploy())
        for contestant in bench.everybody:
            command = contestant.preview()
            if command is None:
                continue
            contestant.load(templates)
            contestant.set_values(changed)
            bench.measure(f"preview {count}", "", contestant, contestant.preview())

    return run


def _plan(bench: Bench) -> None:
    """Plan the update of the application as a file, then apply that."""
    ours = bench.ours
    bench.prepare(ours, bench.app)
    bench.quietly(ours, ours.deploy())
    ours.set_values({**bench.app.values, "LogRetentionDays": "3"})
    bench.measure("plan", "", ours, ours.plan())
    bench.measure("apply", "", ours, ours.apply())


def _roll_out(count: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        """Create the stack in many regions."""
        assert count <= len(REGIONS)  # noqa: S101 (a mistake in this file)
        bench.prepare(bench.ours, bench.app, regions=REGIONS[:count])
        bench.measure(f"regions {count}", "", bench.ours, bench.ours.roll_out(count))

    return run


def read_version(folder: Path, peers: Path) -> dict[str, str]:
    """Return the version of each tool that is installed."""
    del folder
    found = {}
    for peer in ("awscli", "aws-sam-cli", "sceptre"):
        pattern = f"lib/python3*/site-packages/{peer.replace('-', '_')}-*.dist-info"
        names = [path.name for path in (peers / peer).glob(pattern)]
        found[peer] = names[0].split("-")[1].removesuffix(".dist") if names else "not installed"
    return found
