"""Write the parts of the documentation that the code and the templates already know.

`build` is pure: templates, values, tasks and sources in, pages out. `refresh` reads and writes
them. A page is generated as a whole, or between two comments that name the part:
`<!-- generated: errors -->` and `<!-- end -->`; the rest of such a page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import drawing
from lib.deploy.outcomes import Outcome
from lib.document import keys_of
from lib.errors import InputError, OperationFailed
from lib.inputs import environments, parameters
from lib.operators import Answer
from lib.stacks import statuses
from lib.stacks.statuses import Move, Operation, Status
from lib.templates import graph as graphs
from lib.templates import templates
from lib.templates.templates import Template
from manual import error_index

PARAMETERS = "docs/deployment/parameter-reference.md"
STATES = "docs/deployment/states.md"
TROUBLESHOOTING = "docs/deployment/troubleshooting.md"
TASKS = "docs/tasks.md"
ARCHITECTURE = "docs/architecture.md"
GRAPH = "docs/images/stacks.svg"

#: Where errors are raised that an operator may see.
CODE = ("commands", "emulator", "lib", "manual")

_NOTICE = "<!-- Written by `inv docs`; changes here are lost. -->"


@dataclass(frozen=True)
class Flag:
    """One flag of a task; `value` tells whether it takes one, `default` is "" without one."""

    name: str
    short: str
    value: bool
    default: str
    help: str


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


@dataclass(frozen=True)
class Sources:
    """What pages are made of.

    `values` are each environment's parameters, `code` the text of each module by file name,
    `pages` the pages as they are, by path.
    """

    folder: Mapping[str, Template]
    values: Mapping[str, Mapping[str, str]]
    tasks: Sequence[TaskEntry]
    code: Mapping[str, str]
    pages: Mapping[str, str]


def refresh(root: Path, tasks: Sequence[TaskEntry], *, check: bool) -> Answer:
    """Write every generated page that is not in step; with `check` only name them.

    The answer's exit code is 1 when `check` finds one. Raises `InputError` for a page whose
    comments are missing.
    """
    sources = read(root, tasks)
    pages = build(sources)
    stale = [path for path, text in pages.items() if sources.pages.get(path) != text]
    if not check:
        for path in stale:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(pages[path], encoding="utf-8")
    verdict = "not in step" if check else "written"
    lines = [f"{path}: {verdict}" for path in stale] or [f"{len(pages)} pages are in step."]
    if check and stale:
        lines.append("Next: inv docs")
    document = {"pages": list(pages), "stale": stale, "written": [] if check else stale}
    failed = check and bool(stale)
    return Answer(document, "\n".join(lines), OperationFailed.exit_code if failed else 0)


def read(root: Path, tasks: Sequence[TaskEntry]) -> Sources:
    """Read what pages are made of from the repository at `root`."""
    infrastructure = root / "infrastructure"
    folder = infrastructure / "parameters"
    modules = [path for wing in CODE for path in sorted((root / wing).rglob("*.py"))]
    paths = (PARAMETERS, STATES, TROUBLESHOOTING, TASKS, ARCHITECTURE, GRAPH)
    return Sources(
        folder=templates.read_folder(infrastructure / "cloudformation"),
        values={
            name: parameters.read(folder / f"{name}.json").values
            for name in environments.list_environments(folder)
        },
        tasks=tasks,
        code={
            path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in modules
        },
        pages={
            path: (root / path).read_text(encoding="utf-8")
            for path in paths
            if (root / path).is_file()
        },
    )


def build(sources: Sources) -> dict[str, str]:
    """Return every generated page by its path, in full."""
    graph = graphs.read(sources.folder)
    drawn = f"```mermaid\n{graphs.draw_mermaid(graph)}\n```"
    troubleshooting = sources.pages.get(TROUBLESHOOTING, "")
    index = error_index.draw_errors(
        error_index.list_messages(sources.code), error_index.read_sections(troubleshooting)
    )
    return {
        PARAMETERS: draw_parameters(sources.folder, sources.values),
        STATES: draw_states(),
        TASKS: draw_tasks(sources.tasks),
        TROUBLESHOOTING: fill(TROUBLESHOOTING, troubleshooting, "errors", index),
        ARCHITECTURE: fill(ARCHITECTURE, sources.pages.get(ARCHITECTURE, ""), "graph", drawn),
        GRAPH: graphs.draw_svg(graph),
    }


def fill(path: str, page: str, name: str, text: str) -> str:
    """Return a page with a generated part put between its comments."""
    opening, closing = f"<!-- generated: {name} -->\n", "<!-- end -->"
    before, found, rest = page.partition(opening)
    _old, ended, after = rest.partition(closing)
    if not found or not ended:
        raise InputError(f"{path} lacks the comments around its generated part {name!r}.")
    return f"{before}{opening}\n{text}\n\n{closing}{after}"


# --- parameters ---------------------------------------------------------------------------

#: Where neither a parameter file nor the default shows what a value looks like.
_EXAMPLES: Mapping[str, str] = {
    "AdminEmail": "admin@example.com",
    "LambdaCodeBucket": "my-code-bucket",
    "LambdaCodeKey": "plot-palette/app-1.4.0.zip",
    "TemplatesBucketName": "my-cfn-templates-bucket",
    "TemplatesKeyPrefix": "plot-palette/",
    "VpcCidr": "10.1.0.0/16",
}

#: What an environment is for, and why its values are what they are.
_PURPOSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "development": (
        "Quick iteration, minimal costs",
        {
            "LogRetentionDays": "logs matter while somebody is looking at them",
            "InitialBudgetLimit": "a forgotten job is noticed after a few dollars",
        },
    ),
    "staging": (
        "Pre-production testing",
        {
            "LogRetentionDays": "a test that failed on Friday can still be read on Monday",
            "InitialBudgetLimit": "room for a full rehearsal of a production job",
        },
    ),
    "production": (
        "Production workloads, compliance",
        {
            "LogRetentionDays": "an incident is often looked into weeks after it happened",
            "InitialBudgetLimit": "the default of the template; raise it with the load",
        },
    ),
}


def example_of(name: str, declaration: Mapping[str, Any]) -> str:
    """Return a value that a parameter takes."""
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    default = _plain(declaration.get("Default", ""))
    choices = [_plain(choice) for choice in declaration.get("AllowedValues") or ()]
    return next(iter([*[c for c in choices if c != default], *([default] if default else [])]), "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def draw_parameters(folder: Mapping[str, Template], values: Mapping[str, Mapping[str, str]]) -> str:
    """Return the parameter reference: the master's parameters, and what stays in the children."""
    master = folder[templates.MASTER]
    required = {n: d for n, d in master.parameters.items() if "Default" not in d}
    optional = {n: d for n, d in master.parameters.items() if "Default" in d}
    parts = [
        "# Parameter reference",
        _NOTICE,
        (
            "The parameters of `master-stack.yaml`. Values for an environment stand in "
            "`infrastructure/parameters/<environment>.json`, values for a region in "
            "`infrastructure/regions.json`; `inv validate-params --offline` checks them against "
            "this page's source, the template itself."
        ),
        "## Required parameters",
        *(_draw_parameter(name, d, values) for name, d in required.items()),
        "## Optional parameters",
        *(_draw_parameter(name, d, values) for name, d in optional.items()),
        "## Environment recommendations",
        *(_draw_environment(name, values[name]) for name in _in_order(values)),
        "## What `EnvironmentName: production` changes inside the stacks",
        (
            "Everything else is the same in all environments, so that what was tested in staging "
            "is what runs in production."
        ),
        drawing.draw_raw_markdown(
            ("Where", "In production", "Elsewhere"), _production_choices(folder)
        ),
        "## Parameters that only a nested template has",
        (
            "The master does not pass these, so their defaults hold. To use another value, declare "
            "the parameter in the master and pass it on ([how](../../CONTRIBUTING.md#recipes))."
        ),
        drawing.draw_raw_markdown(
            ("Template", "Parameter", "Default", "Description"),
            _unpassed(folder),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _in_order(values: Mapping[str, object]) -> list[str]:
    """Return environments with the cheapest first, and unknown ones last."""
    known = [name for name in _PURPOSES if name in values]
    return [*known, *(name for name in values if name not in _PURPOSES)]


def _draw_parameter(
    name: str, declaration: Mapping[str, Any], values: Mapping[str, Mapping[str, str]]
) -> str:
    """Return one parameter's section."""
    lines = [f"### {name}", "", f"- **Type:** {declaration.get('Type', 'String')}"]
    if declaration.get("AllowedValues"):
        choices = ", ".join(f"`{_plain(choice)}`" for choice in declaration["AllowedValues"])
        lines.append(f"- **Allowed values:** {choices}")
    if declaration.get("AllowedPattern"):
        lines.append(f"- **Pattern:** `{declaration['AllowedPattern']}`")
    for title, least, most in (
        ("Range", "MinValue", "MaxValue"),
        ("Length", "MinLength", "MaxLength"),
    ):
        if least in declaration or most in declaration:
            ends = f"{declaration.get(least, '')} – {declaration.get(most, '')}"
            lines.append(f"- **{title}:** {ends.strip()}")
    if "Default" in declaration:
        default = _plain(declaration["Default"])
        lines.append(f"- **Default:** {f'`{default}`' if default else '(empty)'}")
    if declaration.get("NoEcho"):
        lines.append("- **Secret:** shown nowhere (NoEcho)")
    lines.append(f"- **Description:** {' '.join(str(declaration.get('Description', '')).split())}")
    if declaration.get("ConstraintDescription"):
        lines.append(f"- **Otherwise:** {declaration['ConstraintDescription']}")
    lines.append(f"- **Example:** `{example_of(name, declaration)}`")
    set_in = [f"{env} `{values[env][name]}`" for env in _in_order(values) if values[env].get(name)]
    if set_in:
        lines.append(f"- **Set to:** {', '.join(set_in)}")
    return "\n".join(lines)


def _draw_environment(name: str, values: Mapping[str, str]) -> str:
    """Return what an environment is for, its values and why they are so."""
    purpose, reasons = _PURPOSES.get(name, ("", {}))
    rows = [(f"`{key}`", f"`{values[key]}`", why) for key, why in reasons.items() if key in values]
    lines = [f"### {name.capitalize()}"]
    lines += [f"Purpose: {purpose}."] if purpose else []
    lines += [drawing.draw_raw_markdown(("Parameter", "Value", "Because"), rows)] if rows else []
    return "\n\n".join(lines)


def _production_choices(folder: Mapping[str, Template]) -> list[tuple[str, str, str]]:
    """Return every property that a template chooses by IsProduction."""
    found = []
    for file, template in folder.items():
        if file == templates.MASTER:
            continue
        for logical_id, resource in template.resources.items():
            for path, one, other in _choices(resource.get("Properties"), ""):
                where = f"`{file}` {logical_id}: {path}"
                found.append((where, f"`{_plain(one)}`", f"`{_plain(other)}`"))
    return found


def _choices(node: object, path: str) -> Iterator[tuple[str, object, object]]:
    """Yield (path, in production, elsewhere) for each `!If [IsProduction, …]` of plain values."""
    if isinstance(node, Mapping):
        chosen = node.get("Fn::If")
        if isinstance(chosen, list) and len(chosen) == 3 and chosen[0] == "IsProduction":
            plain = [
                "(none)" if isinstance(c, Mapping) and c.get("Ref") == "AWS::NoValue" else c
                for c in chosen[1:]
            ]
            yield path, plain[0], plain[1]
            return
        for key, value in node.items():
            yield from _choices(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _choices(value, path)


def _unpassed(folder: Mapping[str, Template]) -> list[tuple[str, str, str, str]]:
    """Return the parameters of nested templates that no parent passes."""
    passed: dict[str, set[str]] = {}
    for template in folder.values():
        for child in templates.children(template):
            passed.setdefault(child.file, set()).update(child.parameters)
    return [
        (
            f"`{file}`",
            f"`{name}`",
            f"`{_plain(d.get('Default', ''))}`",
            str(d.get("Description", "")),
        )
        for file, names in passed.items()
        for name, d in folder[file].parameters.items()
        if name not in names
    ]


# --- states -------------------------------------------------------------------------------

_TARGET = "--env ENV --region REGION"


def draw_states() -> str:
    """Return the page about what each operation does in each state of a stack."""
    rows = [
        (f"`{status}`", *(_draw_cell(statuses.decide(o, status)) for o in Operation))
        for status in Status
    ]
    ends = [
        (f"`{status}`", statuses.describe_ending(status), _draw_next(statuses.next_after(status)))
        for status in Status
        if statuses.describe_ending(status)
    ]
    moves = [(f"{move.value}", _MOVES[move]) for move in Move if move in _MOVES]
    parts = [
        "# What happens in which state",
        _NOTICE,
        (
            "A stack is in one of CloudFormation's 23 states, or absent. Before sending anything, "
            "a task looks its row up; a refusal (exit 3) gives the reason and the next command. "
            "The table is `TABLE` in [lib/stacks/statuses.py](../../lib/stacks/statuses.py), "
            "by which tasks "
            "decide; `inv status` shows which state a stack is in."
        ),
        "## How to read it",
        (
            "Each cell says in **bold** how the task proceeds, then why, and in a refusal the next "
            "command. `inv deploy` is the column *deploy*, `inv update` and "
            "`inv rollback --to RELEASE` are *update*, `inv rollback` is "
            "*rollback* and `inv deploy --delete` is *delete*."
        ),
        drawing.draw_raw_markdown(("Cell", "What is sent to AWS"), moves),
        "## The table",
        drawing.draw_raw_markdown(("State", *(str(operation) for operation in Operation)), rows),
        "## After a failure",
        (
            "What CloudFormation has done by itself when an operation ends badly, and the command "
            "that the task prints."
        ),
        drawing.draw_raw_markdown(("Ended as", "What CloudFormation did", "Next"), ends),
        (
            "CloudFormation's own description of the states: [stack status codes]"
            "(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
            "view-stack-events.html)."
        ),
    ]
    return "\n\n".join(parts) + "\n"


_MOVES: Mapping[Move, str] = {
    Move.CREATE: "`CreateStack`",
    Move.CREATE_BY_CHANGE_SET: "`CreateChangeSet` of type CREATE, then `ExecuteChangeSet`",
    Move.UPDATE: "`CreateChangeSet`, the preview, your consent, then `ExecuteChangeSet`",
    Move.REPLACE: "after asking: `DeleteStack`, then `CreateStack`",
    Move.DELETE: "after asking: `DeleteStack`",
    Move.ROLL_BACK: "after asking: `RollbackStack`",
    Move.CONTINUE_ROLLBACK: "after asking: `ContinueUpdateRollback`",
    Move.CANCEL_UPDATE: "after asking: `CancelUpdateStack`",
    Move.WAIT: "nothing: the task follows what runs, then looks the new state up",
    Move.NOTHING: "nothing, and exit 0",
    Move.REFUSE: "nothing, and exit 3",
}


def _draw_cell(decision: statuses.Decision) -> str:
    """Return one cell of the table."""
    why = f": {decision.why}" if decision.why else ""
    step = f" → {_draw_next(decision.next_step)}" if decision.next_step else ""
    return f"**{decision.move.value}**{why}{step}"


def _draw_next(text: str) -> str:
    """Return a next step with its commands set as code."""
    text = text.replace(" {target}", "")
    return re.sub(r"inv [a-z-]+(?: --[a-z-]+(?: [A-Z]+)?)*", lambda m: f"`{m[0]}`", text)


# --- tasks --------------------------------------------------------------------------------

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

_OUTCOME = ", ".join(f"`{key}`" for key in keys_of(Outcome))

#: The keys of each task's JSON document.
_KEYS: Mapping[str, str] = {
    "validate-params": "`valid`, `environment`, `region`, `file`, `identity`, `problems` "
    "[{`parameter`, `message`, `severity`}]; with `--all` also `environments`",
    "upload": "`bucket`, `region`, `release`, `uploaded`, `unchanged`, `master_url`, "
    "`quick_create_url`",
    "deploy": f"{_OUTCOME}; when it was verified also `verification`, as of `inv verify`",
    "update": "as `inv deploy`",
    "rollback": _OUTCOME,
    "backup": "`backups` [{`table`, `arn`, `name`, `bytes`}], `failed` [{`table`, `reason`}], "
    "`pruned`",
    "restore": "`source`, `table`, `status`, `items`, `expected_items`, `reapplied`, `missing`",
    "deploy-multi-region": "`release`, `regions` [an outcome each, as of `inv deploy`], `failed` "
    "[region], `outputs` {region: {}}, `interrupted`",
    "refresh-prices": "`file`, `read_again`, `changes`, `kept`",
    "verify": "`passed`, `checks` [{`name`, `passed`, `detail`, `warning`}]",
    "costs": "`environment`, `currency`, `month_to_date`, `forecast`, `budgets` [{`name`, `limit`, "
    "`actual`, `forecast`}], `problems`",
    "estimate": "`environment`, `region`, `currency`, `monthly` {`min`, `typical`, `max`}, "
    "`complete`, `lines` [{`resource`, `dimension`, `quantity`, `unit`, `unit_price`, `monthly`, "
    "`source`, `as_of`, `status`}]",
    "outputs": "the stack's outputs as one flat object",
    "status": "`stack`, `region`, `environment`, `status`, `reason`, `release`, `drift`, "
    "`changed`, `age_seconds`, `drifts`, `obstacles`, `next_step`",
    "events": "[{`time`, `path`, `type`, `status`, `reason`, `physical_id`}]; with `--follow` "
    "an outcome",
    "history": "[{`release`, `time`, `action`, `status`, `by`}], newest first",
    "prune": "`removed`, `objects`, `kept` [{`release`, `because`}]",
    "docs": "`pages`, `stale`, `written`",
    "graph": "`nodes` [{`path`, `file`, `resources`, `condition`}], `edges` [{`from`, `to`, "
    "`outputs`}]",
    "local.start": "`running`, `endpoint`, `pid`, `port`, `state`",
    "local.stop": "as `local.start`",
    "local.reset": "as `local.start`",
    "local.status": "as `local.start`",
}

_COMMON = ("env", "region", "stack-name", "profile", "yes", "json", "local")


def draw_tasks(tasks: Sequence[TaskEntry]) -> str:
    """Return the task reference."""
    names = {task.name for task in tasks}
    groups = list(dict.fromkeys(task.group for task in tasks))
    shared = {flag.name: flag for task in tasks for flag in task.flags if flag.name in _COMMON}
    replaced = [
        (f"`{script}`", f"[`inv {name}`](#{drawing.slug(f'inv {name}')})")
        for script, name in _REPLACED.items()
        if name in names
    ]
    parts = [
        "# Tasks",
        _NOTICE,
        "`inv --list` shows this on the command line, `inv TASK --help` one task's flags.",
        drawing.draw_raw_markdown(
            ("Task", "Group", "What it does"),
            [
                (
                    f"[`inv {task.name}`](#{drawing.slug(f'inv {task.name}')})",
                    task.group,
                    task.about,
                )
                for group in groups
                for task in tasks
                if task.group == group
            ],
        ),
        "## Old script → task",
        drawing.draw_raw_markdown(("Script", "Task"), replaced),
        "## Flags that most tasks take",
        drawing.draw_raw_markdown(
            ("Flag", "Meaning"),
            [(_draw_flag(shared[name]), shared[name].help) for name in _COMMON if name in shared],
        ),
        "## Exit codes",
        drawing.draw_raw_markdown(("Code", "Meaning"), _exit_codes()),
        "## Streams",
        (
            "With `--json` stdout carries exactly one JSON document and stderr everything else; "
            "without it stdout carries the result. A question that nobody can answer (no terminal "
            "on stdin) ends the task with exit 3 unless `--yes` answers it; `--yes` agrees to no "
            "loss of data. `NO_COLOR` and `CI` switch colour and redrawing off."
        ),
        *(
            text
            for group in groups
            for text in (f"## {group}", *(_draw_task(t) for t in tasks if t.group == group))
        ),
        "## One of `changes`",
        (
            "Each element of `changes` has `path` (such as `DatabaseStack/JobsTable`), `type`, "
            "`action`, `replacement` (`True`, `False`, `Conditional`), `physical_id`, `causes` "
            "[property names], `data_loss` (`none`, `possible`, `certain`), `policy_action` and "
            "`verdict`."
        ),
        "## After an error",
        (
            "Any document may instead, or also, have `error`, `next_step` and `exit_code`. "
            "[The index of errors](deployment/troubleshooting.md#index-of-errors) explains each."
        ),
    ]
    return "\n\n".join(parts) + "\n"


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


def _draw_task(task: TaskEntry) -> str:
    """Return one task's section."""
    own = [flag for flag in task.flags if flag.name not in _COMMON]
    common = [flag for flag in task.flags if flag.name in _COMMON]
    lines = [f"### inv {task.name}", task.about]
    if own:
        lines.append(
            drawing.draw_raw_markdown(("Flag", "Meaning"), [(_draw_flag(f), f.help) for f in own])
        )
    if len(common) == len(_COMMON):
        lines.append("Takes all common flags.")
    elif common:
        lines.append(f"Of the common flags: {', '.join(f'`--{f.name}`' for f in common)}.")
    if task.name in _KEYS:
        lines.append(f"JSON: {_KEYS[task.name]}.")
    return "\n\n".join(lines)


def _draw_flag(flag: Flag) -> str:
    """Return a flag as it is typed."""
    short = f", `-{flag.short}`" if flag.short else ""
    value = " VALUE" if flag.value else ""
    default = f" (default `{flag.default}`)" if flag.default else ""
    return f"`--{flag.name}{value}`{short}{default}"
