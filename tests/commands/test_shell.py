"""A teammate finds a task by one line, its flags by an example that works, and its room by name."""

from __future__ import annotations

import ast
import inspect
import shlex
from collections.abc import Iterator

import pytest
from invoke.parser import Parser

import tasks
from commands import costs, data, deploying, docs, emulator, looking, planning, rescue
from tests.support.factories import REPOSITORY
from tests.support.task_entries import ENTRIES

GROUPS = ("Deploy", "Look", "Data", "Undo", "Cost", "Check", "Docs", "Rescue", "Emulator")
#: What `inv --list` leaves for the text beside the longest name, on 80 columns.
WIDTH = 55


def names() -> list[str]:
    return [entry.name for entry in ENTRIES]


@pytest.mark.parametrize("name", names())
def test_each_task_s_first_line_begins_with_its_group_and_fits_beside_its_name(name: str) -> None:
    first = (tasks.ns[name].__doc__ or "").splitlines()[0]
    assert first.split(":")[0] in GROUPS
    assert len(first) <= WIDTH


@pytest.mark.parametrize(
    "name",
    [
        *("deploy", "update", "apply", "rollback", "deploy-multi-region", "prune", "restore"),
        *("rescue.adopt", "rescue.refactor"),
    ],
)
def test_whoever_is_told_to_wait_for_another_operator_can(name: str) -> None:
    assert "wait" in inspect.signature(tasks.ns[name].body).parameters


@pytest.mark.parametrize("name", names())
def test_each_task_s_help_has_examples_of_itself_that_the_parser_accepts(name: str) -> None:
    lines = [line.strip() for line in (tasks.ns[name].__doc__ or "").splitlines()[2:]]
    examples = [line for line in lines if line]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example.split(" > ")[0])
        assert words[:2] == ["inv", name]
        parsed = Parser(contexts=tasks.ns.to_contexts()).parse_argv(words[1:])
        [found] = [context.name for context in parsed if context.name]
        # A collection's default task has a name of its own, too.
        assert found in (name, f"{name}.{name}")


@pytest.mark.parametrize("name", [name for name in names() if "." not in name])
def test_every_task_that_calls_aws_can_show_its_calls(name: str) -> None:
    flags = {flag for argument in tasks.ns[name].get_arguments() for flag in argument.names}
    assert ("debug" in flags) is ("profile" in flags)


@pytest.mark.parametrize("name", ["deploy", "update", "rollback", "deploy-multi-region"])
def test_every_task_that_changes_a_stack_takes_a_service_role(name: str) -> None:
    assert "role-arn" in {n for argument in tasks.ns[name].get_arguments() for n in argument.names}


def find_bodies() -> Iterator[ast.FunctionDef]:
    """Yield the functions that tasks are made of."""
    for module in (costs, data, deploying, docs, emulator, looking, planning, rescue):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.FunctionDef) and any(
                ast.unparse(decorator).startswith("operation(") for decorator in node.decorator_list
            ):
                yield node


BODIES = list(find_bodies())


def rooms_of(body: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield wing and room of everything that a task's function imports."""
    for node in ast.walk(body):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                for module in (node.module, f"{node.module}.{alias.name}"):
                    *wings, room = module.split(".")
                    if (REPOSITORY / f"{module.replace('.', '/')}.py").is_file():
                        yield wings[-1], room


def test_there_is_a_function_for_each_task() -> None:
    assert len(BODIES) == len(names())


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_a_task_s_function_fits_on_half_a_screen(body: ast.FunctionDef) -> None:
    _docstring, first, *_ = body.body
    assert (body.end_lineno or 0) - first.lineno < 20


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_a_task_leads_to_a_room_and_the_room_to_its_tests(body: ast.FunctionDef) -> None:
    # `local.start` starts what every task may start, and so its room is commands/target.py.
    rooms = {*rooms_of(body)} or {("commands", "target")}
    tested = [
        room for wing, room in rooms if (REPOSITORY / f"tests/{wing}/test_{room}.py").is_file()
    ]
    assert tested
