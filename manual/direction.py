"""Draw which wing may import which, from the contracts that import-linter checks.

Pure: the text of pyproject.toml and of the modules in, Markdown out.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping, Sequence

_DOWN = "    ↓"


def draw_direction(project: str, code: Mapping[str, str]) -> str:
    """Return the floors from top to bottom with what each wing is for, and every contract's name.

    `code` is the text of each module by file name. Wings of no floor stand below the others.
    """
    linter = tomllib.loads(project)["tool"]["importlinter"]
    contracts = linter["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    floors = [re.split(r"\s*[|:]\s*", layer) for layer in layers]
    placed = {module for floor in floors for module in floor}
    beside = [name for name in _wings(code, linter["root_packages"]) if name not in placed]
    width = max(len(_file_of(name, code)) for name in (*placed, *beside))

    def draw(names: Sequence[str]) -> str:
        return "\n".join(_draw_wing(name, code, width) for name in names)

    tower = f"\n{_DOWN}\n".join(draw(floor) for floor in floors)
    meeting = [
        f"`{_file_of(floor[0], code)}`"
        for floor, layer in zip(floors, layers, strict=True)
        if ":" in layer
    ]
    but = f", but on that of {' and '.join(meeting)}" if meeting else ""
    rules = "\n".join(
        f"- {one['name']}{but if one['type'] == 'layers' else ''}." for one in contracts
    )
    return f"```text\n{tower}\n\n{draw(beside)}\n```\n\n{rules}"


def _wings(code: Mapping[str, str], roots: Sequence[str]) -> list[str]:
    """Return every package, but for one that is only the floor of others."""
    packages = [
        path.removesuffix("/__init__.py").replace("/", ".")
        for path in code
        if path.endswith("/__init__.py")
    ]
    return [
        name
        for name in packages
        if name.split(".")[0] in roots and not any(p.startswith(f"{name}.") for p in packages)
    ]


def _file_of(name: str, code: Mapping[str, str]) -> str:
    """Return a module as a path: a wing as a folder, a room as a file."""
    path = name.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in code else f"{path}/"


def _draw_wing(name: str, code: Mapping[str, str], width: int) -> str:
    """Return a wing's line: where it lies, and the first line of its docstring."""
    file = _file_of(name, code)
    text = code[f"{file}__init__.py" if file.endswith("/") else file]
    about = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return f"{file:<{width}}  {about}".rstrip()
