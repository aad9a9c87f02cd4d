"""Read what flags say, in the words that tasks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.errors import InputError

if TYPE_CHECKING:
    from lib.inputs.jobs import Options

DEFAULT_ENVIRONMENT = "development"

COMMON_HELP = {
    "env": f"Environment: a name under infrastructure/parameters or a file's path "
    f"(default {DEFAULT_ENVIRONMENT}).",
    "region": "AWS region (default: AWS_REGION, AWS_DEFAULT_REGION, the profile, us-east-1).",
    "stack-name": "Stack (default: plot-palette-<environment>).",
    "profile": "AWS profile.",
    "yes": "Ask nothing; never agrees to a loss of data.",
    "json": "Print one JSON document on stdout, everything else on stderr.",
    "local": "Run against the embedded emulator, starting it when needed.",
    "debug": "Show each AWS call: operation, seconds, HTTP status, request ID.",
    "all": "List each change, not only what matters.",
    "record": "Keep what AWS answers in this file, scrubbed, for `inv rescue.replay`.",
    "record-hide": "Further words to replace in it, comma-separated: names, for example.",
    "wait": "Queue behind whoever is changing the stack, then plan again (default: refuse).",
    "role-arn": "IAM role that CloudFormation takes (default: accounts.json's, then the stack's).",
    "code": "The application function: a zip or a folder with the module app; none takes it off.",
    "image": "Tag of the task's image in the stack's own repository; none: back to latest.",
    "site": "Folder of the built web application; none: leave out what artifacts.json names.",
}
CHANGE_HELP = {
    "preview": "Show what would change; execute nothing, leave nothing behind.",
    "allow-data-loss": "Paths whose data may be lost, comma-separated (DatabaseStack/JobsTable).",
    "no-backup": "Do not back up the tables at risk first.",
    "shallow": "Ask AWS about the outer stack alone; compare what is inside here.",
    "disable-rollback": "Keep what was done when something fails, to look at it.",
}
ADOPT_HELP = {
    "adopt": "Where an earlier stack retained tables or the bucket: all takes them over, none "
    "makes new ones."
}
VERIFY_HELP = {"no-verify": "Do not check afterwards what was deployed; see `inv verify`."}


@dataclass(frozen=True)
class Common:
    """The flags that tasks share, with their defaults; see `COMMON` and `CHANGING`."""

    env: str = DEFAULT_ENVIRONMENT
    region: str | None = None
    stack_name: str | None = None
    profile: str | None = None
    yes: bool = False
    json: bool = False
    local: bool = False
    debug: bool = False
    role_arn: str | None = None
    wait: bool = False
    code: str | None = None
    image: str | None = None
    site: str | None = None
    all: bool = False
    record: str | None = None
    record_hide: str | None = None


#: The flags of a task that asks AWS anything, by which the run can be run again.
RECORDING = ("record", "record_hide")

#: The flags that every task takes, unless it says otherwise.
COMMON = ("env", "region", "stack_name", "profile", "yes", "json", "local", "debug", *RECORDING)

#: The flags that a task takes which changes a stack.
CHANGING = (*COMMON, "role_arn", "all", "wait")

#: What a team may give beside the templates, and the tasks that deploy it.
ARTIFACTS = ("code", "image", "site")
DEPLOYING = (*CHANGING, *ARTIFACTS)
#: A plan is of the stack, and a site is deployed once that stands.
PLANNING = (*(name for name in CHANGING if name != "wait"), "code", "image")


def read_options(
    *,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    express: bool = False,
    disable_rollback: bool = False,
    revert_drift: bool = False,
    retain: str | None = None,
    force: bool = False,
    shallow: bool = False,
) -> Options:
    """Return a workflow's options from a task's flags."""
    from lib.inputs.jobs import Options

    return Options(
        preview=preview,
        allow_data_loss=as_names(allow_data_loss),
        backup=not no_backup,
        express=express,
        disable_rollback=disable_rollback,
        revert_drift=revert_drift,
        retain=as_names(retain),
        force=force,
        shallow=shallow,
    )


def as_count(text: str | None, flag: str) -> int | None:
    """Return a whole number of at least 1, None for None, or raise `InputError`."""
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{flag} takes a whole number of at least 1, not {text!r}.")
    return int(text)


def as_seconds(text: str | None, flag: str) -> float:
    """Return a number of seconds, 0 for None, or raise `InputError`."""
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise InputError(f"{flag} takes 0 to 60 seconds, not {text!r}.")
    return seconds


def as_names(text: str | None) -> frozenset[str]:
    """Return the names of a comma-separated list."""
    return frozenset(name.strip() for name in (text or "").split(",") if name.strip())


def as_list(text: str | None) -> tuple[str, ...]:
    """Return the names of a comma-separated list, each once, in their order."""
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))
