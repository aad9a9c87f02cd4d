"""Every error that the code can print is found, and found explained."""

from __future__ import annotations

import pytest

from manual import error_index
from manual.error_index import Message

CODE = """
def outer(x):
    raise InputError(f"There is no file {x} to read here.")

def inner(x):
    lines = [x]
    return errors.Refused("\\n".join(lines))

def other(x):
    raise BackupFailed("\\n".join([f"{x} of {x} tables failed so far:", *x]))
    raise ValueError("not one of ours")
"""
MESSAGES = error_index.list_messages({"rooms.py": CODE})
PAGE = """
## Group
### A file is missing
```text
✗ There is no file 'a' to read here.
```
### Tables fail
```console
$ inv backup
✗ 1 of 4 tables failed so far:
```
### By name
<!-- explains: other.thing rooms.inner -->

<!-- generated: errors -->
### Not a section
```text
nothing
```
<!-- end -->
"""


def test_messages_are_read_from_the_code_with_what_varies_left_open() -> None:
    assert (
        Message("InputError", "rooms", "outer", "There is no file … to read here."),
        Message("Refused", "rooms", "inner", ""),
        Message("BackupFailed", "rooms", "other", "… of … tables failed so far:"),
    ) == MESSAGES


def test_a_section_explains_what_its_blocks_show_or_its_comment_names() -> None:
    sections = error_index.read_sections(PAGE)
    found = [error_index.explain(message, sections) for message in MESSAGES]
    assert [s.heading for s in found if s] == ["A file is missing", "By name", "Tables fail"]


def test_a_message_that_nothing_shows_is_unexplained() -> None:
    sections = error_index.read_sections(PAGE)[:2]
    assert error_index.find_unexplained(MESSAGES, sections) == MESSAGES[1:]
    assert "nowhere yet" in error_index.draw_errors(MESSAGES, sections)


@pytest.mark.parametrize(("text", "telling"), [("…: …", False), ("…: … is not a manifest", True)])
def test_a_text_that_would_fit_anything_is_not_searched_for(text: str, telling: bool) -> None:
    assert Message("InputError", "m", "f", text).is_telling is telling


def test_the_index_has_every_class_with_its_exit_code() -> None:
    index = error_index.draw_errors(MESSAGES, error_index.read_sections(PAGE))
    for kind in error_index.list_errors():
        assert f"### {kind.__name__}, exit {kind.exit_code}\n" in index
    assert "[A file is missing](#a-file-is-missing)" in index
    assert "(put together in `inner`)" in index
