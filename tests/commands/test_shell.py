"""A teammate finds a task by one line, and its flags by an example that works."""

from __future__ import annotations

import shlex

import pytest
from invoke.parser import Parser

import tasks

GROUPS = ("Deploy", "Look", "Data", "Undo", "Cost", "Check", "Docs", "Emulator")
#: What `inv --list` leaves for the text beside the longest name, on 80 columns.
WIDTH = 55


def names() -> list[str]:
    return list(tasks.ns.task_names)


@pytest.mark.parametrize("name", names())
def test_each_task_s_first_line_begins_with_its_group_and_fits_beside_its_name(name: str) -> None:
    first = (tasks.ns[name].__doc__ or "").splitlines()[0]
    assert first.split(":")[0] in GROUPS
    assert len(first) <= WIDTH


@pytest.mark.parametrize("name", names())
def test_each_task_s_help_has_examples_of_itself_that_the_parser_accepts(name: str) -> None:
    lines = [line.strip() for line in (tasks.ns[name].__doc__ or "").splitlines()[2:]]
    examples = [line for line in lines if line]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example.split(" > ")[0])
        assert words[:2] == ["inv", name]
        parsed = Parser(contexts=tasks.ns.to_contexts()).parse_argv(words[1:])
        assert [context.name for context in parsed if context.name] == [name]


@pytest.mark.parametrize("name", [name for name in names() if "." not in name])
def test_every_task_that_calls_aws_can_show_its_calls(name: str) -> None:
    flags = {flag for argument in tasks.ns[name].get_arguments() for flag in argument.names}
    assert ("debug" in flags) is ("region" in flags or "regions" in flags)
