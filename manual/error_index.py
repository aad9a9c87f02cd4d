"""Find every error that the code can print, and where the troubleshooting page explains it.

Pure: the text of modules and of the page in, an index in Markdown out. A section of the page
explains a message when one of its text blocks shows it, or when a comment
`<!-- explains: module.function -->` names where it is put together.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lib import errors
from lib.errors import DeploymentError
from manual.parts import draw_table, slug


@dataclass(frozen=True)
class Message:
    """One place in the code that says what went wrong.

    `text` has `…` for what varies, and is "" where it is put together out of sight.
    """

    error: str
    module: str
    function: str
    text: str

    @property
    def is_telling(self) -> bool:
        """Tell whether the text alone is enough to recognise it."""
        return len(re.findall(r"[A-Za-z]", self.text)) >= _TELLING


_TELLING = 12  # letters; shorter ones, such as "…: …", fit anything


@dataclass(frozen=True)
class Section:
    """One section of the troubleshooting page.

    `symptoms` are the lines of its text blocks; `explains` names functions, as
    `module.function`, whose messages it explains whatever they say.
    """

    heading: str
    symptoms: tuple[str, ...]
    explains: frozenset[str]


def list_errors() -> list[type[DeploymentError]]:
    """Return every class of error, each after its base."""
    found: list[type[DeploymentError]] = []

    def add(kind: type[DeploymentError]) -> None:
        found.append(kind)
        for derived in kind.__subclasses__():
            if derived.__module__ == errors.__name__:
                add(derived)

    for kind in DeploymentError.__subclasses__():
        if kind.__module__ == errors.__name__:
            add(kind)
    return found


def list_messages(code: Mapping[str, str]) -> tuple[Message, ...]:
    """Return every message that the code makes one of our errors of."""
    names = {kind.__name__ for kind in list_errors()}
    found: list[Message] = []
    for file, text in code.items():
        module = file.removesuffix(".py").removeprefix("lib/").replace("/", ".")
        for function, call in _calls(ast.parse(text), ""):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            name = call.func.id if isinstance(call.func, ast.Name) else name
            if name in names and call.args:
                found.append(Message(name, module, function, _read_text(call.args[0])))
    return tuple(dict.fromkeys(found))


def _calls(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the name of the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.Call):
            yield inside, child
        yield from _calls(child, inside)


def _read_text(node: ast.expr) -> str:
    """Return the text of an expression with `…` for what varies; "" when all of it does."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        text = "".join(_read_text(part) or "…" for part in node.values)
        return re.sub("…+", "…", text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        lines = node.args[0]
        if node.func.attr == "join" and isinstance(lines, ast.List) and lines.elts:
            return _read_text(lines.elts[0])
    return ""


def read_sections(page: str) -> tuple[Section, ...]:
    """Return the sections of a page with the symptoms and functions that they explain."""
    page = re.sub(r"<!-- generated: .*?<!-- end -->", "", page, flags=re.DOTALL)
    parts = re.split(r"^###? (.+)$", page, flags=re.MULTILINE)[1:]
    sections = []
    for heading, body in zip(parts[::2], parts[1::2], strict=True):
        blocks = re.findall(r"^```(?:text|console)\n(.*?)^```", body, re.DOTALL | re.MULTILINE)
        named = " ".join(re.findall(r"<!-- explains: (.*?) -->", body, re.DOTALL))
        lines = tuple(line for block in blocks for line in block.splitlines())
        sections.append(Section(heading.strip(), lines, frozenset(named.split())))
    return tuple(sections)


def explain(message: Message, sections: Sequence[Section]) -> Section | None:
    """Return the section that explains a message, or None."""
    for section in sections:
        if f"{message.module}.{message.function}" in section.explains:
            return section
    if not message.is_telling:
        return None
    first = message.text.splitlines()[0]
    pattern = re.compile(".*".join(re.escape(part) for part in first.split("…")))
    for section in sections:
        if any(pattern.search(symptom) for symptom in section.symptoms):
            return section
    return None


def find_unexplained(
    messages: Sequence[Message], sections: Sequence[Section]
) -> tuple[Message, ...]:
    """Return the messages that no section explains."""
    return tuple(message for message in messages if explain(message, sections) is None)


def draw_errors(messages: Sequence[Message], sections: Sequence[Section]) -> str:
    """Return the index of errors: each class with its exit code and every message."""
    parts = []
    for kind in list_errors():
        rows = [
            (_draw_message(message), f"`{message.module}`", _link(explain(message, sections)))
            for message in messages
            if message.error == kind.__name__
        ]
        about = (kind.__doc__ or "").strip().splitlines()[0]
        parts.append(f"### {kind.__name__}, exit {kind.exit_code}\n\n{about}")
        if rows:
            parts.append(draw_table(("Message", "Said by", "Explained in"), rows))
    return "\n\n".join(parts)


def _draw_message(message: Message) -> str:
    """Return a message as code; what is made elsewhere is named by its function."""
    if not message.is_telling:
        return f"(put together in `{message.function}`)"
    text = message.text.splitlines()[0].replace("`", "'")
    return f"`{text}`"


def _link(section: Section | None) -> str:
    """Return a link to a section of the same page."""
    return f"[{section.heading}](#{slug(section.heading)})" if section else "nowhere yet"
