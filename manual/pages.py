"""Write the parts of the documentation that the code and the templates already know.

`build` is pure: templates, values, tasks and sources in, pages out. `refresh` reads and writes
them. A page is generated as a whole, or between two comments that name the part:
`<!-- generated: errors -->` and `<!-- end -->`; the rest of such a page is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.sources import SOURCES
from lib import document
from lib.errors import OperationFailed
from lib.inputs import environments, parameters
from lib.operators import Answer
from lib.templates import graph as graphs
from lib.templates import templates
from lib.templates.templates import Template
from manual import direction, error_index, fidelity_page, parameters_page, states_page, tasks_page
from manual.behaviours.table import BEHAVIOURS
from manual.parts import Written, fill
from manual.tasks_page import TaskEntry

PARAMETERS = "docs/deployment/parameter-reference.md"
STATES = "docs/deployment/states.md"
TROUBLESHOOTING = "docs/deployment/troubleshooting.md"
TASKS = "docs/tasks.md"
ARCHITECTURE = "docs/architecture.md"
CONTRIBUTING = "CONTRIBUTING.md"
FIDELITY = "docs/fidelity.md"
PAGES = (PARAMETERS, STATES, TASKS, TROUBLESHOOTING, ARCHITECTURE, CONTRIBUTING, FIDELITY)

#: Where the direction of imports is written.
PROJECT = "pyproject.toml"

#: Where errors are raised that an operator may see.
CODE = ("commands", "emulator", "lib", "manual")


@dataclass(frozen=True)
class Sources:
    """What pages are made of.

    `values` are each environment's parameters, `code` the text of each module by file name,
    `project` the text of pyproject.toml, `pages` the pages as they are, by path.
    """

    folder: Mapping[str, Template]
    values: Mapping[str, Mapping[str, str]]
    tasks: Sequence[TaskEntry]
    code: Mapping[str, str]
    project: str
    pages: Mapping[str, str]


def refresh(root: Path, tasks: Sequence[TaskEntry], *, check: bool) -> Answer:
    """Write every generated page that is not in step; with `check` only name them.

    The answer's exit code is 1 when `check` finds one. Raises `InputError` for a page whose
    comments are missing.
    """
    sources = read(root, tasks)
    pages = build(sources)
    stale = tuple(path for path, text in pages.items() if sources.pages.get(path) != text)
    if not check:
        for path in stale:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(pages[path], encoding="utf-8")
    verdict = "not in step" if check else "written"
    lines = [f"{path}: {verdict}" for path in stale] or [f"{len(pages)} pages are in step."]
    if check and stale:
        lines.append("Next: inv docs")
    done = document.as_document(Written(tuple(pages), stale, () if check else stale))
    return Answer(done, "\n".join(lines), OperationFailed.exit_code if check and stale else 0)


def read(root: Path, tasks: Sequence[TaskEntry]) -> Sources:
    """Read what pages are made of from the repository at `root`."""
    infrastructure = root / "infrastructure"
    folder = infrastructure / "parameters"
    modules = [path for wing in CODE for path in sorted((root / wing).rglob("*.py"))]
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
        project=(root / PROJECT).read_text(encoding="utf-8"),
        pages={
            path: (root / path).read_text(encoding="utf-8")
            for path in PAGES
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
    floors = direction.draw_direction(sources.project, sources.code)

    def put(path: str, **parts: str) -> str:
        page = sources.pages.get(path, "")
        for name, text in parts.items():
            page = fill(path, page, name, text)
        return page

    return {
        PARAMETERS: parameters_page.draw_parameters(sources.folder, sources.values),
        STATES: states_page.draw_states(),
        TASKS: tasks_page.draw_tasks(sources.tasks),
        TROUBLESHOOTING: put(TROUBLESHOOTING, errors=index),
        ARCHITECTURE: put(ARCHITECTURE, graph=drawn, direction=floors),
        CONTRIBUTING: put(CONTRIBUTING, direction=floors),
        FIDELITY: fidelity_page.draw_fidelity(BEHAVIOURS, SOURCES),
    }
