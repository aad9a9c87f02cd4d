"""Say how a rollout to many regions is to go."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lib.deploy.outcomes import Outcome
from lib.document import keys
from lib.errors import (
    AwsUnavailable,
    InputError,
    Interrupted,
    OperationFailed,
    Refused,
    TemplateError,
)
from lib.inputs.jobs import Job, Options
from lib.releases import releases
from lib.releases.releases import Release

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.deployments import Create
    from lib.deploy.publishing import Price
    from lib.session import Aws


class OnFailure(enum.StrEnum):
    """What a failed region means for those that have not been started."""

    STOP = "stop"
    CONTINUE = "continue"


@dataclass(frozen=True)
class Site:
    """One region: what is wanted there, and its AWS."""

    job: Job
    aws: Aws


@dataclass(frozen=True)
class Plan:
    """How to go about it.

    `consents` holds by region the paths whose data may be lost. `concurrency` is how many
    regions change at once after the canary, None for all. `home` is an AWS region that is
    always on and answers for the account; None leaves out what only AWS itself knows (the
    emulator has neither quotas nor regions that are off). `log_folder` gets a file per region.
    With `verify` a region succeeds only when the checks after its deployment pass, too. `price`
    tells what a region's change does to the month's cost. Where a stack is created,
    `require_decided` is asked first and raises what a person has to decide, and `create` may
    create it in a way of its own.
    """

    options: Options
    consents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    concurrency: int | None = None
    on_failure: OnFailure = OnFailure.STOP
    home: Aws | None = None
    log_folder: Path | None = None
    verify: bool = False
    price: Price | None = None
    require_decided: Callable[[Job, Access], None] = lambda *_: None
    create: Create = lambda *_: None


@dataclass(frozen=True)
class Rollout:
    """What became of each region, in the order they were named."""

    KEYS: ClassVar = keys("release regions=outcomes failed outputs interrupted")

    release: str
    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    unavailable: bool = False

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the regions that AWS was asked to change and did not."""
        return tuple(outcome.region for outcome in self.outcomes if outcome.failed)

    @property
    def outputs(self) -> Mapping[str, Mapping[str, str]]:
        """Return the outputs of each region's stack."""
        return {outcome.region: outcome.outputs for outcome in self.outcomes}

    @property
    def exit_code(self) -> int:
        """Return the exit code that speaks for all regions."""
        if self.interrupted:
            return Interrupted.exit_code
        if self.failed:
            return AwsUnavailable.exit_code if self.unavailable else OperationFailed.exit_code
        declined = any(outcome.action == "declined" for outcome in self.outcomes)
        return Refused.exit_code if declined else 0


class NotStarted(Refused):
    """A region's turn never came."""


def read_names(text: str | None) -> tuple[str, ...]:
    """Return the regions that `--regions` names, in its order, or raise `InputError`."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if not names:
        raise InputError(
            "Name the regions.", next_step="--regions us-east-1,us-west-2; the first is the canary"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--regions names {', '.join(twice)} more than once.")
    return names


def read_on_failure(text: str) -> OnFailure:
    """Return what `--on-failure` asks for, or raise `InputError`."""
    if text not in tuple(OnFailure):
        raise InputError(f"--on-failure takes {' or '.join(OnFailure)}, not {text!r}.")
    return OnFailure(text)


def read_concurrency(count: int | None, *, sequential: bool) -> int | None:
    """Return how many regions may change at once, or raise `InputError` for a contradiction."""
    if sequential and (count or 1) > 1:
        raise InputError("--sequential and --max-concurrency exclude each other.")
    return 1 if sequential else count


def require_one_release(sites: Sequence[Site]) -> Release:
    """Return the release that every region gets, or raise `TemplateError`.

    The templates are read once per region; somebody may save a file in between.
    """
    built = {site.job.region: releases.build(site.job.templates) for site in sites}
    first = built[sites[0].job.region]
    differing = [region for region, release in built.items() if release.digest != first.digest]
    if differing:
        raise TemplateError(
            f"The templates changed while they were read: {', '.join(differing)} would get "
            f"another release than {first.name}.",
            next_step="run the same command again",
        )
    return first
