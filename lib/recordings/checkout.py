"""Know which files of a checkout a run read, and what of them may not be shown."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lib.recordings.recordings import CHECKOUT, HOME

#: Where the files lie that decide what is deployed.
FOLDER = "infrastructure"

#: A parameter that is NoEcho, written as a block or within braces.
_NO_ECHO = re.compile(
    r"^  (?P<name>\w+):[ \t]*(?:\n(?:    .*\n|\n)*?    |\{[^}\n]*?)NoEcho:[ \t]*['\"]?true",
    re.MULTILINE,
)


class Checkout:
    """The files of one checkout, and those that a person named beside it.

    Python tells of each file that is opened; what is told outside of a recording costs nothing,
    as nothing listens.
    https://docs.python.org/3/library/sys.html#sys.addaudithook
    """

    def __init__(self, root: Path, named: Sequence[str]) -> None:
        """`root` is the checkout, `named` are the files that flags name."""
        self._root = root
        self._prefix = f"{root / FOLDER}/"
        self._home = re.compile(rf"{re.escape(str(Path.home()))}(?=/)")
        self._named = {str(Path(one).absolute()): one for one in named}
        self._opened: dict[str, bytes | None] = {}

    def listen(self) -> None:
        """Have Python tell of each file that is opened from now on."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments and isinstance(arguments[0], str):
            path = arguments[0]
            if path.startswith(self._prefix) or str(Path(path).absolute()) in self._named:
                self._opened.setdefault(path, None)

    def list_names(self) -> list[str]:
        """Return the names of the files that decide, read or not."""
        folder = self._root / FOLDER
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def list_read(self, known: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the files that were read, but for those that are `known`.

        As they were when they were listed first: somebody may edit them meanwhile.
        """
        for path in list(self._opened):
            name = self._name(path)
            if name in known:
                continue
            content = self._opened[path]
            if content is None:
                try:
                    content = self._opened[path] = Path(path).read_bytes()
                except OSError:
                    continue
            yield name, content

    def _name(self, path: str) -> str:
        """Return what a file is called in the recording."""
        named = self._named.get(str(Path(path).absolute()))
        return named or Path(path).relative_to(self._root).as_posix()

    def find_secret_names(self) -> set[str]:
        """Return the names of NoEcho parameters.

        Read here as text, because a run whose files are at fault is worth a recording too.
        """
        texts = [path.read_text(errors="replace") for path in self._files("cloudformation")]
        return {match["name"] for text in texts for match in _NO_ECHO.finditer(text)}

    def find_secrets(self, names: Collection[str]) -> set[str]:
        """Return the values that the parameter files give to some parameters."""
        named = [Path(one) for one in self._named if one.endswith(".json")]
        found: set[str] = set()
        for path in [*self._files("parameters"), *(one for one in named if one.is_file())]:
            try:
                found.update(_find_values(json.loads(path.read_bytes()), names))
            except (OSError, ValueError):
                continue
        return found

    def _files(self, folder: str) -> list[Path]:
        return [path for path in (self._root / FOLDER / folder).glob("*.*") if path.is_file()]

    def cover(self, text: str) -> str:
        """Return a text in which the checkout, and whose home it is in, have paths of nobody's."""
        return self._home.sub(HOME, text.replace(str(self._root), CHECKOUT))

    def cover_values(self, value: Any) -> Any:
        """Return a value of JSON in which the checkout has a path that is nobody's."""
        if isinstance(value, str):
            return self.cover(value)
        if isinstance(value, list):
            return [self.cover_values(item) for item in value]
        if isinstance(value, dict):
            return {key: self.cover_values(item) for key, item in value.items()}
        return value


def _find_values(document: Any, names: Collection[str]) -> Iterator[str]:
    """Yield the values that a parameter file gives to some parameters, in either of its forms."""
    if isinstance(document, list):
        for item in document:
            yield from _find_values(item, names)
    elif isinstance(document, dict):
        if document.get("ParameterKey") in names:
            yield str(document.get("ParameterValue", ""))
        for key, item in document.items():
            if key in names and isinstance(item, str):
                yield item
            else:
                yield from _find_values(item, names)
