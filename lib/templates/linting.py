"""Lint templates with cfn-lint, in a process of its own.

Importing cfn-lint takes seconds, so it happens elsewhere and only for content that was
never published: what is published has been linted. What this clone has found clean before
is not linted again either, so that an emptied emulator or a new bucket costs no more seconds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from lib import outside
from lib.errors import TemplateError


def lint(paths: Sequence[Path], *, regions: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return cfn-lint's errors and warnings for some templates, one sentence each.

    `regions` are where the templates are meant for, `folder` is where the linter's
    configuration lies. Informational findings are left to the project's own lint session.
    Raises `TemplateError` when the linter cannot run.
    """
    asked = {"templates": [path.name for path in paths], "regions": list(regions)}
    run = functools.partial(_run_linter, paths, regions, folder)
    return tuple(outside.ask("lint", asked, run))


def _run_linter(paths: Sequence[Path], regions: Sequence[str], folder: Path) -> list[str]:
    """Run cfn-lint and return its errors and warnings, one sentence each."""
    linter = Path(sys.executable).with_name("cfn-lint")
    options = ["--format", "json", "--regions", *regions]
    command = [str(linter), *options, "--", *map(str, paths)]
    try:
        ran = subprocess.run(  # noqa: S603 (the linter beside our own interpreter)
            command, cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as exc:
        raise _unusable(str(exc)) from None
    try:
        findings: list[dict[str, Any]] = json.loads(ran.stdout)
    except json.JSONDecodeError:
        raise _unusable((ran.stderr or ran.stdout).strip()[-500:]) from None
    return [_describe(finding) for finding in findings if finding["Level"] != "Informational"]


def lint_once(
    paths: Sequence[Path],
    *,
    regions: Sequence[str],
    folder: Path,
    memory: Path | None,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Lint like `lint`, but not what is remembered as clean for all of `regions`.

    `memory` is a folder of empty files; each stands for one template without a finding in one
    region and is named after everything that the verdict depends on. None remembers nothing.
    """
    before: dict[Path, tuple[Path, ...]] = {}

    def find_new() -> list[str]:
        before.update({path: _marks(path, regions, folder, memory) for path in paths})
        seen = {path for path, marks in before.items() if marks and all(map(Path.exists, marks))}
        return [path.name for path in paths if path not in seen]

    named = outside.ask("not linted yet", {"templates": [path.name for path in paths]}, find_new)
    new = [path for path in paths if path.name in named]
    if not new:
        say(f"{len(paths)} new templates were linted before and are unchanged.")
        return ()
    say(f"Linting {len(new)} new templates.")
    findings = lint(new, regions=regions, folder=folder)
    if memory and before and not findings:
        # Without a memory that can be written the next run only takes longer.
        with contextlib.suppress(OSError):
            memory.mkdir(parents=True, exist_ok=True)
            for path in new:
                # Somebody may have saved the file while it was linted.
                if _marks(path, regions, folder, memory) == before[path]:
                    for mark in before[path]:
                        mark.touch()
    return findings


def _marks(
    path: Path, regions: Sequence[str], folder: Path, memory: Path | None
) -> tuple[Path, ...]:
    """Return the files that stand for a template being clean, one per region."""
    if memory is None:
        return ()
    base = hashlib.sha256(metadata.version("cfn-lint").encode())
    # The places where cfn-lint looks for its configuration, in its order.
    for place in (Path.home(), folder):
        for name in (".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml"):
            config = place / name
            base.update(b"\0" + (config.read_bytes() if config.is_file() else b""))
    base.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    found = []
    for region in regions:
        digest = base.copy()
        digest.update(b"\0" + region.encode())
        found.append(memory / digest.hexdigest())
    return tuple(found)


def _describe(finding: dict[str, Any]) -> str:
    start = finding["Location"]["Start"]
    name = Path(finding["Filename"]).name
    return f"{name}:{start['LineNumber']}: {finding['Rule']['Id']} {finding['Message']}"


def _unusable(reason: str) -> TemplateError:
    return TemplateError(
        f"cfn-lint could not run: {reason}",
        next_step="install the dependencies: .venv/bin/pip install -r requirements.txt",
    )
