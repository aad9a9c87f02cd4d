"""The repository keeps its own rules: what lies where, who imports whom, what a line may say."""

from __future__ import annotations

import ast
import collections
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.factories import REPOSITORY

LIB = sorted((REPOSITORY / "lib").rglob("*.py"))
PYTHON = [
    *LIB,
    *(p for wing in ("commands", "emulator", "manual") for p in (REPOSITORY / wing).rglob("*.py")),
    REPOSITORY / "tasks.py",
    REPOSITORY / "noxfile.py",
]
#: Who alone may import what; the embedded emulator is a room of its own.
SOLE_IMPORTERS = {
    "boto3": {"lib/session.py"},
    "invoke": {"commands/docs.py", "commands/operation.py", "tasks.py"},
    "nox": {"noxfile.py"},
}
FIXED_FILES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "tasks.py"),
    *("noxfile.py", ".editorconfig", ".gitignore", ".pre-commit-config.yaml", ".ci/run"),
    *("requirements.txt", "requirements-dev.txt", "requirements-policy.txt"),
    *("infrastructure/regions.json", "infrastructure/cloudformation/master-stack.yaml"),
    *(f"infrastructure/parameters/{e}.json" for e in ("production", "staging", "development")),
]
#: A suppression, by the words that have to be followed by a reason.
SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover)\b.*")


def tracked() -> list[Path]:
    """Return the files that are, or are about to be, under version control."""
    listing = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = (REPOSITORY / name for name in listing.split("\0") if name)
    return sorted(path for path in paths if path.is_file() and path.suffix != ".png")


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@functools.cache
def parse(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text())


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """Return every module that a file imports while it runs, at any depth of its functions."""
    return frozenset(_find_imports(parse(path)))


def _find_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a syntax tree imports, but for those that only types need."""
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# ── what lies where ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FIXED_FILES)
def test_a_file_that_people_look_for_is_there(name: str) -> None:
    assert (REPOSITORY / name).is_file()


def test_lib_is_under_version_control() -> None:
    # Python's usual .gitignore has a line for lib/, which would lose all of it.
    ignored = subprocess.run(
        ["git", "-C", REPOSITORY, "check-ignore", *(name_of(path) for path in LIB)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert ignored == ""
    lines = {line.strip(" /") for line in (REPOSITORY / ".gitignore").read_text().splitlines()}
    assert "lib" not in lines


def test_there_is_no_room_without_a_purpose() -> None:
    assert not {path.stem for path in LIB} & {"utils", "util", "common", "helpers", "misc"}


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_a_room_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parse(path))


# ── who imports whom ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("module", SOLE_IMPORTERS)
def test_a_library_has_one_importer(module: str) -> None:
    importers = {
        name_of(path)
        for path in PYTHON
        if any(name.split(".")[0] == module for name in imports_of(path))
    }
    assert importers == SOLE_IMPORTERS[module]


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_lib_knows_nothing_of_the_tasks(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & {
        "commands",
        "emulator",
        "manual",
        "noxfile",
        "tasks",
        "tests",
    }


def test_no_arrow_points_in_a_circle() -> None:
    rooms = {name_of(path).removesuffix(".py").replace("/", "."): path for path in LIB}
    arrows = {room: imports_of(path) & set(rooms) - {room} for room, path in rooms.items()}
    while arrows:
        free = {room for room, targets in arrows.items() if not targets & set(arrows)}
        assert free, f"a circle among {sorted(arrows)}"
        arrows = {room: targets for room, targets in arrows.items() if room not in free}


#: What only a task, or the emulator's own process, may do.
FORBIDDEN_CALLS = {"print", "input", "exit", "quit", "breakpoint", "sys.exit", "os.getenv"}
FORBIDDEN_NAMES = {"os.environ", "os.environb"}


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_lib_neither_prints_nor_asks_nor_exits_nor_reads_the_environment(path: Path) -> None:
    nodes = list(ast.walk(parse(path)))
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert not calls & FORBIDDEN_CALLS
    assert not names & FORBIDDEN_NAMES


def test_listing_the_tasks_loads_nothing_slow() -> None:
    # What Invoke itself loads is not ours to change.
    code = (
        "import sys\n"
        "from invoke.program import Program\n"
        "own = set(sys.modules)\n"
        "import tasks\n"
        "Program(namespace=tasks.ns).run('inv --list', exit=False)\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in set(sys.modules) - own}))\n"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    tasks_listed, loaded = listed.split("LOADED", 1)
    assert "validate-params" in tasks_listed
    slow = {"boto3", "botocore", "yaml", "cfnlint", "ministack", "moto", "rich", "tabulate"}
    assert sorted(slow & set(loaded.split())) == []


# ── how large a room may be, and what it may be called ──────────────────────────────────────

FUNCTION_AT_MOST, CLASS_AT_MOST = 40, 250


def test_no_function_and_no_class_is_longer_than_a_page() -> None:
    longest = {ast.ClassDef: CLASS_AT_MOST}
    long = {
        f"{name_of(path)}:{node.name}"
        for path in PYTHON
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (node.end_lineno or 0) - node.lineno >= longest.get(type(node), FUNCTION_AT_MOST)
    }
    assert long == set()


def test_a_class_name_means_one_thing_in_all_of_lib() -> None:
    names = collections.Counter(
        node.name
        for path in LIB
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()


WINGS = sorted(
    path.parent for path in LIB if path.name == "__init__.py" and path.parent.name != "lib"
)
#: A name in a face: `room.function`, with or without what it takes.
NAMED = re.compile(r"`((?:\w+\.)+\w+)(?:\([^`]*)?`")


def defines(module: Path, name: str) -> bool:
    """Tell whether a file defines a name at its top."""
    return any(
        name in {getattr(node, "name", ""), *(ast.unparse(target) for target in targets_of(node))}
        for node in parse(module).body
    )


def targets_of(node: ast.stmt) -> list[ast.expr]:
    """Return what a statement gives a value to."""
    return [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])


def leads_somewhere(name: str, folder: Path) -> bool:
    """Tell whether a dotted name is a wing, a room, or what a room defines, seen from a folder."""
    place = folder.joinpath(*name.split("."))
    module = place.parent.with_suffix(".py")
    return (
        place.is_dir()
        or place.with_suffix(".py").is_file()
        or (module.is_file() and defines(module, place.name))
    )


@pytest.mark.parametrize("wing", WINGS, ids=name_of)
def test_a_wing_has_a_face_that_names_what_exists(wing: Path) -> None:
    names = NAMED.findall(ast.get_docstring(parse(wing / "__init__.py")) or "")
    assert [
        name
        for name in names
        if not leads_somewhere(name, wing) and not leads_somewhere(name, REPOSITORY)
    ] == []
    assert [name for name in names if leads_somewhere(name, wing)]


# ── what a line may say ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", "-dev", "-policy"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    text = (REPOSITORY / f"requirements{name}.txt").read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    # Put together here, so that this file does not name them either.
    words = ["index" + "-url", "extra-" + "index", "pypi" + ".org", "python" + "hosted.org"]
    words += ["/home/" + "[a-z]", "/Users/" + "[A-Za-z]", "/root" + "/", "/work" + "/"]
    pattern = re.compile("|".join(words))
    found = {
        f"{name_of(path)}: {line.strip()[:80]}"
        for path in tracked()
        for line in path.read_text(errors="replace").splitlines()
        if pattern.search(line) and "--no-emit-" not in line
    }
    assert not found


def reasonless(path: Path) -> Iterator[str]:
    """Yield the suppressions of a file that nobody gives a reason for."""
    lines = path.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines):
        place = f"{name_of(path)}:{number + 1}: {line.strip()}"
        if path.suffix in (".yaml", ".yml"):
            if re.search(r"checkov:skip=[A-Z0-9_]+\s*:?\s*$", line):
                yield place
            continue
        match = SUPPRESSION.search(line)
        # The reason stands in brackets, after a dash or in a comment of its own.
        if match and not re.search(r"(?:\(| - |  # )\S+ \S+", match[0]):
            yield place


def test_every_suppression_has_a_reason_beside_it() -> None:
    # mypy reads no tests, and this file is about suppressions.
    templates = [path for path in tracked() if path.suffix in (".yaml", ".yml")]
    assert [place for path in [*PYTHON, *templates] for place in reasonless(path)] == []


def test_every_link_in_the_documentation_leads_to_a_file() -> None:
    broken = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not (path.parent / target.split("#")[0]).exists():
                broken.append(f"{name_of(path)}: {target}")
    assert not broken


def test_every_room_that_the_documentation_names_is_there() -> None:
    named = re.compile(r"`((?:bench|commands|emulator|lib|manual|tests)/[\w./-]+)`")
    gone = [
        f"{name_of(path)}: {name}"
        for path in tracked()
        if path.suffix == ".md"
        for name in named.findall(path.read_text())
        if not (REPOSITORY / name).exists()
    ]
    assert gone == []


def test_the_map_of_the_readme_shows_every_wing_and_nothing_that_is_gone() -> None:
    section = (REPOSITORY / "README.md").read_text().split("## Map of the repository\n", 1)[1]
    places, above = set(), ""
    for line in section.split("```")[1].splitlines()[1:]:
        # A line that is set in lies in the folder above it.
        name = line.split()[0]
        above = above if line.startswith(" ") else name
        places.add(name if name == above else above + name)
    assert [place for place in places if not (REPOSITORY / place).exists()] == []
    wings = {
        f"{name_of(path.parent)}/"
        for path in PYTHON
        if path.name == "__init__.py" and path.parent != REPOSITORY
    }
    assert wings - places == set()


def test_the_quick_start_is_two_commands_of_one_line_each() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    section = readme.split("\n## Quick start\n", 1)[1].split("\n## ", 1)[0]
    # Whatever else is fenced there shows output, not a command.
    blocks = re.findall(
        r"^```(?:sh|bash|shell|console)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 2
    assert all(len(block.strip().splitlines()) == 1 for block in blocks)
