"""Write the task reference from what Invoke knows of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib import drawing
from lib.document import keys_of
from lib.templates import changes
from manual import error_index, keys
from manual.parts import NOTICE


@dataclass(frozen=True)
class Flag:
    """One flag of a task.

    `value` tells whether it takes one, `default` is "" without one. A `common` flag is one that
    most tasks take.
    """

    name: str
    short: str
    value: bool
    default: str
    help: str
    common: bool = False


@dataclass(frozen=True)
class TaskEntry:
    """One task as Invoke knows it; the word before the colon of `summary` is its group."""

    name: str
    summary: str
    flags: tuple[Flag, ...]

    @property
    def group(self) -> str:
        """Return the group that `inv --list` shows."""
        if self.name.startswith("local."):
            return "Emulator"
        return self.summary.partition(":")[0] if ":" in self.summary else "Other"

    @property
    def about(self) -> str:
        """Return what the task does, without its group."""
        text = self.summary.partition(":")[2].strip() if ":" in self.summary else self.summary
        return text[:1].upper() + text[1:]


#: The scripts of the requirements and the tasks that took their places.
_REPLACED: Mapping[str, str] = {
    "validate-parameters.sh": "validate-params",
    "upload-templates.sh": "upload",
    "deploy.sh": "deploy",
    "update-stack.sh": "update",
    "backup-dynamodb.sh": "backup",
    "rollback-stack.sh": "rollback",
    "deploy-multi-region.sh": "deploy-multi-region",
    "estimate-cost.sh": "estimate",
}


def draw_tasks(tasks: Sequence[TaskEntry]) -> str:
    """Return the task reference."""
    groups = list(dict.fromkeys(task.group for task in tasks))
    ordered = [task for group in groups for task in tasks if task.group == group]
    common = _common_flags(tasks)
    shared = [(_draw_flag(flag), flag.help) for flag in common]
    parts = [
        "# Tasks",
        NOTICE,
        "`inv --list` shows this on the command line, `inv TASK --help` one task's flags.",
        drawing.draw_raw_markdown(
            ("Task", "Group", "What it does"),
            [(_link(task.name), task.group, task.about) for task in ordered],
        ),
        "## Old script → task",
        drawing.draw_raw_markdown(("Script", "Task"), _replacements(tasks)),
        "## Flags that most tasks take",
        drawing.draw_raw_markdown(("Flag", "Meaning"), shared),
        "## Exit codes",
        drawing.draw_raw_markdown(("Code", "Meaning"), _exit_codes()),
        "## Streams",
        _STREAMS,
    ]
    for group in groups:
        parts.append(f"## {group}")
        parts += [_draw_task(task, common) for task in tasks if task.group == group]
    parts += ["## One of `changes`", _describe_change(), "## After an error", _AFTER_AN_ERROR]
    return "\n\n".join(parts) + "\n"


_STREAMS = (
    "With `--json` stdout carries exactly one JSON document and stderr everything else; "
    "without it stdout carries the result. A question that nobody can answer (no terminal "
    "on stdin) ends the task with exit 3 unless `--yes` answers it; `--yes` agrees to no "
    "loss of data. `NO_COLOR` and `CI` switch colour and redrawing off."
)
_AFTER_AN_ERROR = (
    "Any document may instead, or also, have `error`, `next_step` and `exit_code`. "
    "[The index of errors](deployment/troubleshooting.md#index-of-errors) explains each."
)


def _common_flags(tasks: Sequence[TaskEntry]) -> list[Flag]:
    """Return the flags that most tasks take, each once."""
    return list({f.name: f for task in tasks for f in task.flags if f.common}.values())


def _link(name: str) -> str:
    """Return a link to a task's section."""
    return f"[`inv {name}`](#{drawing.slug(f'inv {name}')})"


def _replacements(tasks: Sequence[TaskEntry]) -> list[tuple[str, str]]:
    """Return each script of old with a link to its task."""
    names = {task.name for task in tasks}
    return [(f"`{script}`", _link(name)) for script, name in _REPLACED.items() if name in names]


#: What the keys of a change hold, where their names do not say it.
_VALUES: Mapping[str, str] = {
    "path": "(such as `DatabaseStack/JobsTable`)",
    "replacement": f"({', '.join(f'`{one}`' for one in changes.REPLACEMENTS)})",
    "causes": "[property names]",
    "details": "[{`property`, `before`, `after`}]",
    "follows": "(`true`: only because another resource changes)",
    "proof": "(why what AWS cannot rule out does not happen, else `null`)",
    "data_loss": f"({', '.join(f'`{one}`' for one in changes.LOSSES)})",
}


def _describe_change() -> str:
    """Return the keys of one change."""
    told = [f"`{key}` {_VALUES.get(key, '')}".strip() for key in keys_of(changes.Change)]
    return f"Each element of `changes` has {', '.join(told[:-1])} and {told[-1]}."


def _exit_codes() -> list[tuple[str, str]]:
    """Return the exit codes with the errors behind them."""
    meanings = {
        0: "done, or nothing to do",
        1: "AWS was asked and the operation failed, or a limit was passed",
        2: "bad input: nothing was touched",
        3: "refused or declined: nothing was changed",
        4: "AWS could not be used: credentials, permission, endpoint",
        130: "interrupted: the last line says what AWS goes on with",
    }
    classes: dict[int, list[str]] = {}
    for kind in error_index.list_errors():
        classes.setdefault(kind.exit_code, []).append(f"`{kind.__name__}`")
    return [
        (f"**{code}**", f"{text} ({', '.join(classes[code])})" if code in classes else text)
        for code, text in meanings.items()
    ]


def _draw_task(task: TaskEntry, common: Sequence[Flag]) -> str:
    """Return one task's section."""
    own = [(_draw_flag(flag), flag.help) for flag in task.flags if not flag.common]
    taken = [f"`--{flag.name}`" for flag in task.flags if flag.common]
    lines = [f"### inv {task.name}", task.about]
    if own:
        lines.append(drawing.draw_raw_markdown(("Flag", "Meaning"), own))
    if len(taken) == len(common):
        lines.append("Takes all common flags.")
    elif taken:
        lines.append(f"Of the common flags: {', '.join(taken)}.")
    if told := keys.draw_keys(task.name):
        lines.append(f"JSON: {told}.")
    return "\n\n".join(lines)


def _draw_flag(flag: Flag) -> str:
    """Return a flag as it is typed."""
    short = f", `-{flag.short}`" if flag.short else ""
    value = " VALUE" if flag.value else ""
    default = f" (default `{flag.default}`)" if flag.default else ""
    return f"`--{flag.name}{value}`{short}{default}"
