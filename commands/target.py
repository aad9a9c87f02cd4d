"""Find what the common flags name: an environment, a region, a stack, and how to get there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.flags import as_count, as_seconds
from lib import outside
from lib.operators import Level, Note
from lib.terminal.console import Console

if TYPE_CHECKING:
    from emulator.control import Emulator
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.regions.plan import Site
    from lib.session import ApiCall, Aws, SignIn
    from lib.terminal.journal import Journal


#: The checkout. A link to this folder stands for the checkout that it lies in.
ROOT = Path(__file__).absolute().parent.parent


@dataclass(frozen=True)
class Target:
    """What the common flags name: an environment, a region, a stack, and how to get there."""

    env: str
    asked_region: str | None
    stack_name: str | None
    profile: str | None
    local: bool
    console: Console
    journal: Journal | None = None
    role_arn: str | None = None
    #: What the flags give beside the templates; see `lib.inputs.artifacts`.
    artifacts: Mapping[str, str | None] = field(default_factory=dict)
    #: The checkout whose files are meant.
    root: Path = field(default_factory=lambda: ROOT)
    #: Whether to queue behind another operator.
    waits: bool = False
    #: What the regions of one task have in common, hence handed on by `replace`.
    shared: dict[str, SignIn] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def region(self) -> str:
        """Choose the region and say which it is."""
        from lib import session

        def choose() -> list[str]:
            return list(
                session.choose_region(
                    self.asked_region, os.environ, profile=self.profile, use_profile=not self.local
                )
            )

        name, origin = outside.ask("region", {"asked": self.asked_region}, choose)
        self.console.report(Note(f"Environment {self.env}, region {name} (from {origin})."))
        return name

    @property
    def place(self) -> tuple[str, str]:
        """Return region and stack as far as they are known by now, for messages."""
        known = self.__dict__.get("region") or self.asked_region or "no region yet"
        job = self.__dict__.get("job")
        return known, job.stack_name if job else self.stack_name or f"plot-palette-{self.env}"

    @property
    def flags(self) -> str:
        """Return how to name the same target on the command line."""
        parts = [f"--env {shlex.quote(self.env)}", f"--region {self.region}"]
        parts += [f"--stack-name {self.stack_name}"] if self.stack_name else []
        parts += [f"--profile {shlex.quote(self.profile)}"] if self.profile else []
        return " ".join([*parts, *(["--local"] if self.local else [])])

    @cached_property
    def job(self) -> Job:
        """Read everything that a deployment of this target consists of."""
        from lib.inputs import jobs

        found = jobs.prepare(self.root, self.env, self.region, self.stack_name, flags=self.flags)
        found = jobs.choose_role(found, self.role_arn, is_local=self.local)
        found = jobs.give_artifacts(found, Path.cwd(), **self.artifacts)
        found = replace(found, waits=self.waits)
        outside.hide(jobs.list_secret_values(found))
        if self.journal:
            self.journal.hide(jobs.list_secret_values(found))
        return found

    @cached_property
    def aws(self) -> Aws:
        """Connect to AWS, or to the emulator; refuse an account that is not the environment's."""
        from lib import session
        from lib.inputs import jobs

        endpoint = start_emulator(self.console).endpoint if self.local else None
        connected = session.connect(
            self.job.region,
            profile=self.profile,
            endpoint_url=endpoint,
            local=self.local,
            observe=self.observer,
            sign_in=self.sign_in,
        )
        if not self.local:
            jobs.require_account(self.job, lambda: connected.identity().account)
        return connected

    @property
    def sign_in(self) -> SignIn:
        """Return the one sign-in of all regions, so that a person is asked for a code once."""
        from lib import session

        return self.shared.setdefault("sign_in", session.SignIn())

    @property
    def observer(self) -> Callable[[ApiCall], None] | None:
        """Return what is told of each AWS call, None where nobody would read it."""
        if not (self.journal or self.console.verbose):
            return None
        from lib.terminal.journal import describe_call

        return lambda call: self.console.debug(describe_call(call))

    @cached_property
    def access(self) -> Access:
        """Return what a workflow reaches AWS and the operator by."""
        from lib.access import Access

        return Access(self.aws, self.console.operator())


def start_emulator(console: Console) -> Emulator:
    """Start or reuse the emulator, and say what it cannot do when it is new."""
    from emulator import control

    def start() -> dict[str, Any]:
        was_running = control.status(local_state()).running
        port = os.environ.get("PLOT_PALETTE_LOCAL_PORT")
        delay = os.environ.get("PLOT_PALETTE_LOCAL_DELAY")
        started = control.start(
            local_state(),
            port=as_count(port, "PLOT_PALETTE_LOCAL_PORT"),
            delay=as_seconds(delay, "PLOT_PALETTE_LOCAL_DELAY"),
        )
        told = {"endpoint": started.endpoint, "pid": started.pid, "port": started.port}
        return {"was_running": was_running, **told}

    found = outside.ask("emulator", {}, start)
    emulator = control.Emulator(
        running=True,
        endpoint=found["endpoint"],
        pid=found["pid"],
        port=found["port"],
        state=local_state(),
    )
    if not found["was_running"]:
        console.report(Note(f"Emulator started at {emulator.endpoint}.", Level.DONE))
        count = len(control.LIMITS)
        console.report(Note(f"The emulator is not AWS: inv local.status lists {count} limits."))
    return emulator


def local_state() -> Path:
    """Return the folder that holds the emulator's state."""
    return Path(os.environ.get("PLOT_PALETTE_LOCAL_STATE") or ROOT / ".local").resolve()


def log_folder() -> Path:
    """Return the folder that runs which change something are logged to."""
    return Path(os.environ.get("PLOT_PALETTE_LOG_FOLDER") or ROOT / ".logs")


def open_sites(target: Target, names: Sequence[str]) -> list[Site]:
    """Read what is wanted in each region, then connect to each."""
    from lib.regions.plan import Site

    places = [replace(target, asked_region=name) for name in names]
    jobs = [place.job for place in places]
    return [Site(job, place.aws) for job, place in zip(jobs, places, strict=True)]


def open_home(target: Target, names: Sequence[str]) -> Aws | None:
    """Connect to the region that answers for the account; the emulator has no need of one."""
    from lib import session

    return None if target.local else connect_in(target, session.home_of(names[0]))


def connect_in(target: Target, region: str) -> Aws:
    """Connect to a service that answers in one region for all of them."""
    from lib import session

    endpoint = start_emulator(target.console).endpoint if target.local else None
    return session.connect(
        region,
        profile=target.profile,
        endpoint_url=endpoint,
        local=target.local,
        observe=target.observer,
        sign_in=target.sign_in,
    )


def today() -> date:
    """Return the day it is in UTC, by which AWS bills."""
    return outside.now().date()
