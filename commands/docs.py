"""Write the pages of docs/ that are generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.tasks import Task

from commands.flags import COMMON
from commands.operation import operation
from commands.target import Target
from lib.operators import Answer

if TYPE_CHECKING:
    from manual.tasks_page import TaskEntry


def make_docs(collection: Collection) -> Task[Any]:
    """Return the task that writes the pages, of which one describes the whole collection."""

    @operation(
        help={"check": "Write nothing; exit 1 when a page is not in step with the code."},
        common=("json",),
    )
    def docs(target: Target, check: bool = False) -> Answer:
        """Docs: write the pages that are generated.

        inv docs
        inv docs --check
        """
        from manual import pages

        return pages.refresh(target.root, describe_tasks(collection), check=check)

    return docs


def describe_tasks(collection: Collection) -> list[TaskEntry]:
    """Return every task of the collection as plain data, for the manual."""
    from manual.tasks_page import Flag, TaskEntry

    entries = []
    for full, aliases in collection.task_names.items():
        # A collection's default task goes by the collection's own name.
        name = min(full, *aliases, key=len) if aliases else full
        made = collection[name]
        flags = []
        for argument in made.get_arguments():
            long, short = (*argument.names, "")[:2]
            takes_value = argument.kind is not bool
            shown = f"[no-]{long}" if argument.default is True else long
            default = str(argument.default or "") if takes_value else ""
            common = long.replace("-", "_") in COMMON
            flags.append(Flag(shown, short, takes_value, default, argument.help or "", common))
        summary = (made.__doc__ or "").strip().splitlines()[0].rstrip(".")
        entries.append(TaskEntry(name, f"{summary}.", tuple(flags)))
    return entries
