"""Bring a stack back under control: what a bad night needs, and nobody every day."""

from __future__ import annotations

import sys
from pathlib import Path

from commands.answers import add_verification, answer_outcome, settle_harmless_questions
from commands.flags import CHANGE_HELP, COMMON, DEPLOYING, VERIFY_HELP, as_list, read_options
from commands.operation import operation, rerun
from commands.target import Target
from lib.document import as_document
from lib.operators import Answer


@operation(
    describe_error=lambda target, error: {
        "stack": target.place[1],
        "path": "",
        "reason": error.message,
        "evidence": [],
        "next_step": error.next_step,
    }
)
def explain(target: Target) -> Answer:
    """Rescue: find the cause behind the last failure.

    inv rescue.explain --env staging
    inv rescue.explain --env production --json
    """
    from lib.rescue import explanations

    found = explanations.explain(target.job, target.access)
    return Answer(as_document(found), explanations.draw_explanation(found))


@operation(
    help={
        "move": "FROM=TO: the path where a resource is deployed, and the one where the templates "
        "have it now; several comma-separated.",
        **{name: CHANGE_HELP[name] for name in ("preview", "allow-data-loss", "no-backup")},
    },
    common=DEPLOYING,
    describe_error=lambda target, error: {
        "action": "failed",
        "stack": target.place[1],
        "region": target.place[0],
        "refactor": "",
        "moves": [],
        "update": None,
        "next_step": error.next_step,
    },
    changes=True,
)
def refactor(
    target: Target,
    move: str,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
) -> Answer:
    """Rescue: move or rename a resource without replacing it.

    inv rescue.refactor --move DatabaseStack/JobsTable=StorageStack/JobsTable --preview
    inv rescue.refactor --env production --move DatabaseStack/Jobs=DatabaseStack/JobsTable
    """
    from lib.rescue import refactoring
    from lib.templates import moves

    wanted = moves.read(move)
    settle_harmless_questions(target)
    options = read_options(preview=preview, allow_data_loss=allow_data_loss, no_backup=no_backup)
    found = refactoring.refactor(target.job, target.access, options, wanted)
    code = answer_outcome(target, found.update).exit_code if found.update else 0
    return Answer(as_document(found), refactoring.draw(found), exit_code=code)


@operation(
    help={"file": "The recording, as --record wrote it."},
    common=(),
)
def replay(target: Target, file: str) -> Answer:
    """Rescue: run a recorded run again, offline.

    inv rescue.replay incident.jsonl
    inv rescue.replay tests/recorded/runs/incident.jsonl
    """
    from commands import taping
    from lib.recordings import recordings

    recording = recordings.read(Path(file))
    ended = rerun(recording, sys.stdout, sys.stderr)
    return Answer(None, exit_code=taping.judge(target.console, recording, ended))


@operation(
    help={
        "resource": "Where it is to go: NestedStack/LogicalId, comma-separated for several.",
        "physical-id": "The existing table or bucket, as many as there are resources.",
        "preview": "Show the whole way; change nothing.",
        **VERIFY_HELP,
    },
    common=(*COMMON, "role_arn", "wait"),
    changes=True,
)
def adopt(
    target: Target,
    resource: str | None = None,
    physical_id: str | None = None,
    preview: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Rescue: put an existing table or bucket in its place.

    inv rescue.adopt --resource DatabaseStack/JobsTable --physical-id jobs-2026
    inv rescue.adopt --resource StorageStack/DataBucket --physical-id NAME --preview
    """
    from lib.rescue import adoption

    settle_harmless_questions(target)
    wanted = adoption.read_pairs(as_list(resource), as_list(physical_id))
    told = adoption.adopt(target.job, target.access, wanted, preview=preview)
    return told if preview or no_verify else add_verification(target, told)
