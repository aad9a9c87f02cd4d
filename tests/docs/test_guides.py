"""What the guides say can be done, works as written, and every link leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import guides

RUNNABLE = [page for page in guides.PAGES if guides.read_commands(page.read_text())]


def name_of(page: Path) -> str:
    return str(page.relative_to(guides.REPOSITORY))


@pytest.mark.docs
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_every_command_of_a_guide_does_what_is_shown(page: Path, tmp_path: Path) -> None:
    commands = guides.read_commands(page.read_text())
    ran = guides.run(commands, tmp_path)
    assert len(ran) == len(commands), f"the shell ended after {len(ran)} commands"
    for command, result in zip(commands, ran, strict=True):
        where = f"{name_of(page)}:{command.line} `{command.text.strip()}`"
        if not command.may_fail:
            assert result.status == 0, f"{where} ended with {result.status}:\n{result.output}"
        if command.output is not None:
            shown = "\n".join(command.output)
            assert guides.matches(command.output, result.output), (
                f"{where} printed\n{result.output}\nand not\n{shown}"
            )


@pytest.mark.parametrize("page", guides.LINKED, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    assert guides.find_broken_links(page) == []


def test_every_picture_in_the_docs_is_shown_by_some_page() -> None:
    text = "".join(page.read_text() for page in guides.LINKED)
    pictures = (guides.REPOSITORY / "docs" / "images").glob("*.svg")
    assert [picture.name for picture in pictures if picture.name not in text] == []


def test_a_page_is_read_command_by_command() -> None:
    page = "```sh\ncd x\n```\n\n```console\n$ inv a \\\n> --b\nout\n$ echo $?\n3\n$ inv c\n```\n"
    assert guides.read_commands(page) == [
        guides.Command(2, "cd x\n", None, may_fail=False),
        guides.Command(6, "inv a \\\n--b", ("out",), may_fail=True),
        guides.Command(9, "echo $?", ("3",), may_fail=False),
        guides.Command(11, "inv c", None, may_fail=False),
    ]


def test_a_block_that_cannot_be_run_says_so_to_the_reader() -> None:
    page = "> Not run by `nox -s docs`: it needs an account.\n\n```console\n$ aws sso login\n```\n"
    assert guides.read_commands(page) == []


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (("a … c",), "a b c\n", True),
        (("a … c",), "a b d\n", False),
        (("…", "end"), "one\ntwo\nend\n", True),
        (("…", "end"), "end\n", True),
        (("end",), "one\nend\n", False),
        (("one", "…"), "one\n", True),
        (("one",), "one   \n\n", True),
    ],
)
def test_output_is_compared_line_by_line_but_for_what_is_left_open(
    shown: tuple[str, ...], printed: str, same: bool
) -> None:
    assert guides.matches(shown, printed) is same
