"""The drawing of the wings is that of the contracts which import-linter checks."""

from __future__ import annotations

from manual import direction
from manual.pages import PROJECT
from tests.support import factories

PROJECT_TEXT = """
[tool.importlinter]
root_packages = ["top", "house"]
[[tool.importlinter.contracts]]
name = "Wings of one floor do not meet"
type = "layers"
layers = ["top", "house.left | house.right", "house.one : house.two"]
[[tool.importlinter.contracts]]
name = "Nobody knocks"
type = "forbidden"
"""
CODE = {
    "house/__init__.py": '"""Not a wing."""',
    "house/attic/__init__.py": '"""Keep what is old."""',
    "house/left/__init__.py": '"""Stand left.\n\nAnd more."""',
    "house/one.py": '"""Be one."""',
    "house/right/__init__.py": '"""Stand right."""',
    "house/two.py": "",
    "top/__init__.py": '"""Stand above."""',
    "elsewhere/__init__.py": '"""Belong to nobody."""',
}
DRAWN = """```text
top/          Stand above.
    ↓
house/left/   Stand left.
house/right/  Stand right.
    ↓
house/one.py  Be one.
house/two.py

house/attic/  Keep what is old.
```

- Wings of one floor do not meet, but on that of `house/one.py`.
- Nobody knocks."""


def test_floors_stand_from_top_to_bottom_with_what_each_wing_is_for() -> None:
    drawn = direction.draw_direction(PROJECT_TEXT, CODE)
    assert [line.rstrip() for line in drawn.splitlines()] == DRAWN.splitlines()


def test_no_line_ends_in_blanks() -> None:
    drawn = direction.draw_direction(PROJECT_TEXT, CODE)
    assert [line for line in drawn.splitlines() if line != line.rstrip()] == []


def test_every_wing_of_the_repository_is_drawn() -> None:
    folders = ("commands", "emulator", "lib", "manual")
    code = {
        path.relative_to(factories.REPOSITORY).as_posix(): path.read_text()
        for folder in folders
        for path in (factories.REPOSITORY / folder).rglob("*.py")
    }
    drawn = direction.draw_direction((factories.REPOSITORY / PROJECT).read_text(), code)
    wings = {path.removesuffix("__init__.py") for path in code if path.endswith("/__init__.py")}
    assert {wing for wing in wings if wing not in drawn} == set()
    ground = {path for path in code if path.startswith("lib/") and path.count("/") == 1}
    assert {path for path in ground - {"lib/__init__.py"} if path not in drawn} == set()
