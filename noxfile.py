"""Check the repository: `nox` runs lint, policy, tests, integration and coverage."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "policy", "tests", "integration", "coverage"]

#: One more worker than there are cores, because many tests wait for an emulator. A file's
#: tests share one, so they stay together.
IN_PARALLEL = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "--no-loadscope-reorder")

#: What is neither run elsewhere nor by name only.
UNIT = "not integration and not docs and not faults and not corpus"

#: Where the shell forbids bytecode, as in many containers, every emulator and every task
#: that a test starts would compile boto3 and the emulator anew.
COMPILED_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and templates, informational findings included."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("vulture")
    session.run("cfn-lint")


@nox.session
def policy(session: nox.Session) -> None:
    """Scan the templates against checkov's policies, in its own environment."""
    session.install("--require-hashes", "-r", "requirements-policy.txt")
    session.run("checkov", "--config-file", ".checkov.yaml", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit tests; arguments go to pytest."""
    install(session)
    session.run(
        "coverage", "run", "-m", "pytest", "-m", UNIT,
        *IN_PARALLEL, *session.posargs,
        env={"COVERAGE_FILE": ".coverage.tests", **COMPILED_ONCE},
    )  # fmt: skip


@nox.session
def integration(session: nox.Session) -> None:
    """Run the real tasks as subprocesses against the embedded emulator."""
    install(session)
    session.run(
        "coverage", "run", "-m", "pytest", "-m", "integration", *IN_PARALLEL, *session.posargs,
        env={"COVERAGE_FILE": ".coverage.integration", **COMPILED_ONCE},
    )  # fmt: skip


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Run every command of the guides on emulators; `-- --pictures` draws the terminals anew."""
    # Not by default: a dozen deployments take minutes, and CI runs this in a job of its own.
    install(session)
    if "--pictures" in session.posargs:
        session.run("python", "-m", "tests.docs.pictures")
        return
    session.run("inv", "docs", "--check")
    session.run("pytest", "tests/docs", "-n", "auto", *session.posargs, env=COMPILED_ONCE)


@nox.session(default=False)
def gameday(session: nox.Session) -> None:
    """Play disaster recovery on the emulator; `-- FILE.json` also writes the timings."""
    # Not by default: five deployments take minutes, and it writes docs/deployment/game-day.md.
    install(session)
    session.run("python", "-m", "tests.gameday.play", *session.posargs)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Spoil every call of every task in every way, and write docs/reliability.md's table."""
    # Not by default: it takes half an hour on two busy cores. Its short version is in integration.
    install(session)
    session.run("python", "-m", "tests.faults.report", "--clear")
    session.run(
        "pytest", "-m", "faults", "-n", "auto", *session.posargs,
        env=COMPILED_ONCE, success_codes=[0, 1],
    )  # fmt: skip
    # Fails when anything was lost, and names it.
    session.run("python", "-m", "tests.faults.report")


@nox.session(default=False)
def sequences(session: nox.Session) -> None:
    """Play tasks in any order: `-- --minutes 60`, `-- --planted`; writes docs/reliability.md."""
    # Not by default: it plays as long as it is told to. A short run is part of tests.
    install(session)
    given = session.posargs or ["--minutes", "60"]
    session.run(
        "python", "-m", "tests.sequences", *given, env=COMPILED_ONCE, success_codes=[0, 1],
    )  # fmt: skip
    # Fails when anything was found, or a planted defect was not.
    session.run("python", "-m", "tests.sequences.report")


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Change the rooms that hold data and money line by line: do their tests notice?"""
    # Not by default: every mutant is a run of its room's tests, some thousands in all.
    # `-- lib/data/loss.py` for one room, `-- --sample 60 --seed 14` for some of each.
    install(session)
    session.install("--require-hashes", "-r", "requirements-mutants.txt")
    session.run("python", "-m", "tests.mutants", *session.posargs, env=COMPILED_ONCE)


@nox.session(default=False)
def corpus(session: nox.Session) -> None:
    """Put strangers' templates, AWS's samples among them, through all that reads templates."""
    # Not by default: it fetches cfn-lint's source distribution, whose fixtures they are.
    install(session)
    locked = re.search(r"^cfn-lint==(\S+)", Path("requirements-dev.txt").read_text(), re.MULTILINE)
    if locked is None:
        session.error("requirements-dev.txt locks no cfn-lint")
    folder = Path(".cache", "corpus")
    shutil.rmtree(folder, ignore_errors=True)
    session.run(
        # nox's own Python, because uv downloads nothing without installing it.
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
        "--no-binary", "cfn-lint", "--dest", str(folder), f"cfn-lint=={locked[1]}",
        external=True,
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    session.run("python", "-m", "tarfile", "--extract", str(archive), str(folder))
    session.run("pytest", "-m", "corpus", "tests/corpus", *session.posargs)


@nox.session(default=False)
def recorded(session: nox.Session) -> None:
    """Replay recorded answers of AWS: `nox -s recorded -- FOLDER`; without it, our own cases."""
    # Not by default: our own cases are part of tests, and a folder of recordings is the caller's.
    install(session)
    session.run("python", "-m", "tests.recorded", *session.posargs)


@nox.session(default=False)
def foreign(session: nox.Session) -> None:
    """Drive the tasks against an emulator that others wrote, in an environment of its own."""
    # Not by default: it fetches some 400 MB, and a failure may be the emulator's own.
    install(session)
    place = Path(session.virtualenv.location, "foreign")
    session.run("python", "-m", "tests.foreign.play", str(place))


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Look the locked dependencies up among the published vulnerabilities."""
    # Not by default: it asks the package index's advisory database, so its result changes
    # with the day and not with the code.
    session.install("pip-audit")
    for lock in sorted(Path().glob("requirements*.txt")):
        session.run("pip-audit", "--strict", "--require-hashes", "--disable-pip", "-r", str(lock))


@nox.session
def coverage(session: nox.Session) -> None:
    """Add up what tests and integration covered, and hold it to the gate."""
    install(session)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure the tasks beside their peers; `-- --rounds 1 --only start` for a part of it."""
    # Not by default, nor in CI: it takes hours and wants a machine with nothing else to do.
    install(session)
    folder = Path(".cache", "bench", "peers").resolve()
    for peer in ("awscli", "aws-sam-cli", "sceptre"):
        # Each in its own environment, because each pins its own botocore.
        place = folder / peer
        session.run("python", "-m", "venv", "--clear", "--without-pip", str(place))
        session.run(
            "uv", "pip", "install", "--quiet", "--compile-bytecode",
            "--python", str(place / "bin" / "python"), peer,
        )  # fmt: skip
    session.run("python", "-m", "bench", "--peers", str(folder), *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write the locked requirements anew from pyproject.toml."""
    session.install("uv")
    compile_lock = (
        "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--upgrade",
        "--no-emit-index-url", "--no-emit-find-links", "--python-version", "3.11",
        "--custom-compile-command", "nox -s lock",
    )  # fmt: skip
    session.run(*compile_lock, "pyproject.toml", "-o", "requirements.txt")
    session.run(
        *compile_lock, "--group", "dev", "-c", "requirements.txt", "pyproject.toml",
        "-o", "requirements-dev.txt",
    )  # fmt: skip
    session.run(
        *compile_lock, "--group", "mutants", "-c", "requirements-dev.txt",
        "-o", "requirements-mutants.txt",
    )  # fmt: skip
    session.run(*compile_lock, "--group", "policy", "-o", "requirements-policy.txt")


def install(session: nox.Session) -> None:
    """Install what is locked for development."""
    session.install("--require-hashes", "-r", "requirements-dev.txt")
