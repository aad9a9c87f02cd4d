"""Say what must hold after a step, and what of it does not.

Each check is a function that yields sentences; `CHECKS` lists them all. They know the product
only by what is printed and by what is left at AWS.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.faults.proxy import Kind
from tests.sequences import view
from tests.sequences.application import SECRETS
from tests.sequences.model import Done, Model
from tests.sequences.player import BY_NAME, KEYS, KILLED
from tests.sequences.view import Root

STACK = "plot-palette-development"

#: The contract's keys of each task's document when it succeeds.
_OUTCOME = [
    *("action", "stack", "stack_id", "region", "environment", "status", "release", "outputs"),
    *("changes", "backups", "retained", "failure", "seconds"),
]
_PLAN = [
    *("format", "digest", "account", "region", "stack", "status", "release", "change_set"),
    *("changes", "consents", "backups"),
]
KEYS_OF: dict[str, list[str]] = {
    "deploy": _OUTCOME,
    "update": _OUTCOME,
    "rollback": _OUTCOME,
    "apply": _OUTCOME,
    "plan": _PLAN,
    "backup": ["backups"],
    "restore": ["source", "table", "status", "items"],
    "deploy-multi-region": ["regions", "failed"],
    "upload": ["bucket", "region", "release", "uploaded", "unchanged"],
    "verify": ["passed", "checks"],
    "rescue.adopt": ["stack", "release", "adopted", "retained", "drift", "steps"],
    "rescue.refactor": ["action", "stack", "region", "moves", "update", "next_step"],
}
_CHANGE = [
    *("path", "type", "action", "replacement", "physical_id", "causes", "details", "follows"),
    *("proof", "data_loss"),
]

#: What looks, and changes nothing.
LOOKING = ("status", "history", "events", "outputs", "verify")
#: What changes a stack, or tries to; `restore` does with `--switch`.
CHANGING = (
    *("deploy", "update", "apply", "rollback", "deploy-multi-region", "restore"),
    *("rescue.adopt", "rescue.refactor"),
)
HEALTHY = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")

Check = Callable[[Done, Model], Iterator[str]]


def document_of(done: Done) -> Any:
    """Return what a task printed as JSON, None where it is none."""
    try:
        return json.loads(done.ended.out)
    except ValueError:
        return None


def parts_of(done: Done) -> list[dict[str, Any]]:
    """Return the outcomes that a task printed, one for each region."""
    document = document_of(done)
    if not isinstance(document, dict):
        return []
    if done.task == "rescue.refactor":
        document = document.get("update") or {}
    parts = document.get("regions") or ([document] if "action" in document else [])
    return [one for one in parts if isinstance(one, dict) and "action" in one]


def no_traceback(done: Done, _model: Model) -> Iterator[str]:
    """A bug of ours never reaches a person."""
    if done.ended.code == KILLED:
        return  # Here a killed process still unwinds, and its log tells of the exception.
    for text in (done.ended.out, done.ended.err, done.ended.log):
        if "Traceback" in text:
            yield f"a traceback: {text.strip().splitlines()[-1]}"
            return


def exit_code_is_allowed(done: Done, model: Model) -> Iterator[str]:
    """The exit code is one that the contract gives to what happened."""
    code = done.ended.code
    allowed = {0, 1, 2, 3} if done.task == "verify" else {0, 2, 3}
    if model.is_stubborn or model.is_drifted or model.spoilt or "--disable-rollback" in done.words:
        allowed |= {1}
    fault = BY_NAME.get(done.step.fault) if done.is_disturbed else None
    if fault and fault.is_signal:
        allowed = {KILLED} if fault.kills else {130, 0, 1, 2, 3}
    elif fault and (fault.attempts > 1 or fault.lasting or fault.kind is Kind.DENIED):
        allowed |= {1, 4}
    elif done.is_disturbed:
        allowed |= {1}
    if code not in allowed and not _is_expected_failure(done):
        yield f"exit code {code}: {done.ended.err.strip()[-400:]}"


#: What may fail without anybody's fault: AWS's own words in the failure.
_EXPECTED = ("protect", "already exists", "No table was found", "The update after it was refused")


def _is_expected_failure(done: Done) -> bool:
    return done.ended.code == 1 and any(one in done.ended.err for one in _EXPECTED)


def document_is_the_contract_s(done: Done, _model: Model) -> Iterator[str]:
    """With --json there is one document on stdout, with the contract's keys and the exit code."""
    if "--json" not in done.words or done.ended.code == KILLED:
        return
    document = document_of(done)
    if document is None:
        yield f"no JSON document, but {done.ended.out[:200]!r}"
        return
    code = done.ended.code
    if isinstance(document, dict) and document.get("exit_code", code) != code:
        yield f"the document says {document['exit_code']}, the process {code}"
    if code and not any(word in done.ended.err for word in ("✗", "Interrupted", " declined: ")):
        yield "it failed without a word"
    wanted = KEYS_OF.get(done.task, [])
    if done.task == "plan" and "--out" not in done.words:
        wanted = _OUTCOME
    missing = [key for key in wanted if isinstance(document, dict) and key not in document]
    if code == 0 and missing:
        yield f"the document lacks {', '.join(missing)}"
    for part in parts_of(done):
        yield from _check_outcome(part, code, several=done.task == "deploy-multi-region")


def _check_outcome(part: dict[str, Any], code: int, *, several: bool) -> Iterator[str]:
    if missing := [key for key in _OUTCOME if key not in part]:
        yield f"an outcome lacks {', '.join(missing)}"
    for change in part.get("changes", []):
        if missing := [key for key in _CHANGE if key not in change]:
            yield f"a change lacks {', '.join(missing)}"
    action = part.get("action")
    if several:
        return
    if action == "declined" and code not in (0, 3):
        yield f"it was declined with exit code {code}, which is 3"
    if action == "failed" and code not in (1, 2, 4, 130):
        yield f"it failed with exit code {code}"
    if action in ("created", "updated", "unchanged", "deleted", "rolled-back") and code:
        yield f"it {action} with exit code {code}"


def no_secret(done: Done, _model: Model) -> Iterator[str]:
    """No secret stands in a stream, a log, an object or a plan."""
    texts = {"stdout": done.ended.out, "stderr": done.ended.err, "the log": done.ended.log}
    for (_, key), _digest, body in view.objects():
        if key.startswith(("deployments/", "releases/", "locks/")):
            texts[key] = body.decode(errors="replace")
    for path in done.checkout.glob("*.json"):
        texts[path.name] = path.read_text()
    secrets = [*SECRETS, KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"]]
    for where, text in texts.items():
        if any(secret in text for secret in secrets):
            yield f"a secret stands in {where}"


def no_item_is_lost(done: Done, model: Model) -> Iterator[str]:
    """Every item is in a table or in a complete backup, but for what its owner let go."""
    lost = done.after.lost(model.written)
    for item in sorted(lost):
        for (region, name), items in done.before.tables.items():
            path = done.before.path_of(region, name)
            if item in items and "--no-backup" in _all_words(done) and path in _consents(done):
                model.written.discard(item)
    if lost := done.after.lost(model.written):
        yield f"items are lost: {', '.join(sorted(lost))}"
        model.written -= lost


def _all_words(done: Done) -> list[str]:
    also = done.step.meanwhile.words if done.step.meanwhile else ()
    return [*done.words, *also]


def _consents(done: Done) -> set[str]:
    """Return the paths that a task, and whoever came meanwhile, may let go."""
    words, found = _all_words(done), set()
    for word, value in itertools.pairwise(words):
        if word == "--allow-data-loss":
            found |= {one.rpartition(":")[2] for one in value.split(",")}
    for file in done.checkout.parent.glob("*/*.json"):
        if file.name in words:
            document = json.loads(file.read_text())
            found |= set(document.get("consents", []))
            for part in document.get("regions", []):
                found |= set(part.get("consents", []))
    return found


def no_table_goes_without_consent(done: Done, _model: Model) -> Iterator[str]:
    """A table that holds items goes only where somebody has named it."""
    for (region, name), items in done.before.tables.items():
        if not items or (region, name) in done.after.tables:
            continue
        path = done.before.path_of(region, name)
        if path not in _consents(done):
            yield f"{path or name} in {region} was destroyed, and nobody named it"


def no_table_is_orphaned_unnamed(done: Done, _model: Model) -> Iterator[str]:
    """A table that stays behind without a stack is named."""
    if done.ended.code == KILLED:
        return
    for region, name in done.before.tables:
        path = done.before.path_of(region, name)
        if not path or (region, name) not in done.after.tables:
            continue
        if done.after.path_of(region, name):
            continue
        said = done.ended.out + done.ended.err
        if path not in said and name not in said and not done.step.meanwhile:
            yield f"{path} in {region} was orphaned, and nobody was told"


def refusals_change_nothing(done: Done, _model: Model) -> Iterator[str]:
    """After exit code 2 or 3, and after a preview, stacks and tables are as they were."""
    if done.is_disturbed:
        return
    looks = "--preview" in done.words or done.task in LOOKING
    if done.task == "plan" and done.ended.code == 0:
        looks = True
    if done.ended.code not in (2, 3) and not looks:
        return
    if done.task == "deploy-multi-region" and not looks:
        return
    if done.task == "apply" and "regions" in _plan_text(done):
        return
    before, after = _standing(done.before.roots), _standing(done.after.roots)
    if before != after:
        yield f"exit code {done.ended.code}, but the stacks were {before} and are {after}"
    after_tables = done.after.tables
    if done.task == "restore":
        # A table that was restored, and may not be imported, stays beside.
        after_tables = {k: v for k, v in after_tables.items() if k in done.before.tables}
    if done.before.tables != after_tables:
        yield f"exit code {done.ended.code}, but the tables are other ones"


def _plan_text(done: Done) -> str:
    path = done.checkout / done.words[1]
    return path.read_text() if path.exists() else ""


def _standing(roots: dict[tuple[str, str], Root]) -> dict[str, str]:
    """Return what a stack is, without the shell that a plan of a creation makes."""
    return {
        f"{region} {name}": f"{root.status} {hash((tuple(root.tree.items()), tuple(root.bodies)))}"
        for (region, name), root in roots.items()
        if root.status != "REVIEW_IN_PROGRESS"
    }


def nothing_is_left(done: Done, model: Model) -> Iterator[str]:
    """A task that had its way leaves no change set and no shell, but for a plan's."""
    new = set(done.after.change_sets) - set(done.before.change_sets)
    kept = {part["change_set"] for plan in model.plans.values() for part in _plan_parts(plan)}
    new -= kept
    if done.is_disturbed:
        model.leftovers |= new
        return
    if new - model.leftovers:
        yield f"change sets are left: {', '.join(sorted(one.rsplit('/', 2)[1] for one in new))}"
    shells = {k for k, r in done.after.roots.items() if r.status == "REVIEW_IN_PROGRESS"}
    shells -= {k for k, r in done.before.roots.items() if r.status == "REVIEW_IN_PROGRESS"}
    owned = {
        (done.after.change_sets[one].region, STACK) for one in kept if one in done.after.change_sets
    }
    if shells - owned:
        yield f"a shell is left: {shells - owned}"
    if done.task in ("deploy", "update") and done.ended.code == 0:
        for part in parts_of(done):
            if part["action"] in ("created", "updated"):
                left = {
                    one.id
                    for one in done.after.change_sets.values()
                    if one.region == part["region"]
                }
                if left - kept:
                    yield "after a change that went well, older change sets are left"


def _plan_parts(plan: Any) -> list[dict[str, Any]]:
    document = plan.document
    return document.get("regions") or [document]


def what_was_said_is_there(done: Done, model: Model) -> Iterator[str]:
    """Exit code 0 means that everything is there as the templates, or the release, say."""
    other = done.step.meanwhile
    if done.ended.code or (other and other.kind == "task" and done.is_disturbed):
        return
    for part in parts_of(done):
        root = done.after.roots.get((part["region"], part["stack"]))
        if part.get("preview") or part["action"] == "declined":
            continue
        yield from _compare_state(part, root)
        wanted = _wanted(done, model, part)
        is_idle = part["action"] == "unchanged" and "--to" in done.words
        if root is not None and wanted is not None and not is_idle:
            yield from _compare(root, wanted, is_loose=model.is_drifted)


def _compare_state(part: dict[str, Any], root: Root | None) -> Iterator[str]:
    """Yield in what a stack's state is not what an outcome says."""
    action = part["action"]
    if action == "deleted":
        if root is not None:
            yield f"it says deleted, and the stack is {root.status}"
        return
    if root is None:
        if action in ("created", "updated"):
            yield f"it says {action}, and there is no stack"
        return
    if part["status"] != root.status:
        yield f"it says {part['status']}, and the stack is {root.status}"
    if action in ("created", "updated") and root.status not in HEALTHY:
        yield f"it says {action}, and the stack is {root.status}"


#: What deploys what the checkout says.
_BY_CHECKOUT = ("deploy", "update", "deploy-multi-region", "rescue.refactor")


def _wanted(done: Done, model: Model, part: dict[str, Any]) -> Any:
    """Return the application that is deployed now, None where that is not known."""
    if done.task == "apply":
        return next((p.application for p in model.plans.values() if p.file == done.words[1]), None)
    if done.task == "rollback":
        to = done.flag("--to")
        return model.releases.get(to) if to and part["action"] == "rolled-back" else None
    if done.task in _BY_CHECKOUT and "--delete" not in done.words:
        return done.application
    return None


def _compare(root: Root, wanted: Any, *, is_loose: bool) -> Iterator[str]:
    """Yield in what a stack is not what an application says."""
    paths = wanted.paths(root.parameters.get("Switch", ""))
    if set(root.tree) != paths and not is_loose:
        missing, extra = sorted(paths - set(root.tree)), sorted(set(root.tree) - paths)
        yield f"the stack lacks {missing}, has {extra}"
    names = {
        "DatabaseStack": "database",
        "StorageStack": "storage",
        "ApiStack": "api",
        "AnnexStack": "annex",
    }
    texts = wanted.templates()
    for path, name in names.items():
        if (
            path in root.bodies
            and name in texts
            and _parse(root.bodies[path]) != _parse(texts[name])
        ):
            yield f"{path} runs another template than {name}-stack.yaml"


def _parse(text: str) -> Any:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    try:
        return json.loads("\n".join(lines))
    except ValueError:
        return text


def what_was_shown_is_what_was_done(done: Done, _model: Model) -> Iterator[str]:
    """Each resource that came, went or was replaced had been shown so."""
    if done.ended.code or done.is_disturbed or done.task not in ("deploy", "update", "apply"):
        return
    for part in parts_of(done):
        if part["action"] not in ("updated", "created", "rolled-back") or part.get("preview"):
            continue
        key = (part["region"], part["stack"])
        old = done.before.roots.get(key)
        before = old.tree if old and old.status != "REVIEW_IN_PROGRESS" else {}
        after = done.after.roots[key].tree if key in done.after.roots else {}
        shown: dict[str, Any] = {}
        for change in part["changes"]:
            # Half way through an update one may be shown twice, to be added and to be changed.
            if shown.get(change["path"], {"action": "Modify"})["action"] == "Modify":
                shown[change["path"]] = change
        yield from _compare_changes(shown, before, after)


def _compare_changes(shown: dict[str, Any], before: Any, after: Any) -> Iterator[str]:
    for path in sorted({*before, *after}):
        change = shown.get(path, {"action": "", "replacement": ""})
        parent = shown.get(path.rpartition("/")[0], {"action": ""})["action"]
        if path not in before and "Add" not in (change["action"], parent):
            yield f"{path} was added, and shown as {change['action'] or 'nothing'}"
        if path not in after and "Remove" not in (change["action"], parent):
            yield f"{path} was removed, and shown as {change['action'] or 'nothing'}"
        was, now = before.get(path), after.get(path)
        is_replaced = was and now and was.physical != now.physical
        if is_replaced and change["replacement"] not in ("True", "Conditional"):
            yield f"{path} was replaced, and shown as {change['action'] or 'nothing'}"
    for path, change in shown.items():
        if change["action"] == "Add" and path not in after:
            yield f"{path} was shown as added, and is not there"
        if change["action"] == "Remove" and path in after:
            yield f"{path} was shown as removed, and is there"


def backups_are_whole(done: Done, model: Model) -> Iterator[str]:
    """A backup that a task names is complete, and `inv backup` leaves no table out."""
    if done.ended.code or done.is_disturbed:
        return
    document = document_of(done)
    if done.task == "backup" and isinstance(document, dict):
        named = [one["arn"] for one in document["backups"]]
        held = [done.after.backups[arn] for arn in named if arn in done.after.backups]
        root = done.before.roots.get((done.region, STACK))
        for path, table in (root.tables() if root else {}).items():
            items = done.before.tables.get((done.region, table), frozenset())
            whole = [b for b in held if b.table == table and items <= b.items]
            if not any(b.status == "AVAILABLE" for b in whole):
                yield f"exit code 0, and {path} has no backup"
    for part in parts_of(done):
        for arn in part.get("backups", []):
            backup = done.after.backups.get(arn)
            if backup is None or backup.status != "AVAILABLE":
                yield f"the backup {arn} is {backup.status if backup else 'not there'}"


def restored_is_what_was_backed_up(done: Done, _model: Model) -> Iterator[str]:
    """A restored table holds what its backup holds."""
    if done.task != "restore" or done.ended.code or done.is_disturbed or "--preview" in done.words:
        return
    document = document_of(done)
    if not isinstance(document, dict):
        return
    items = done.after.tables.get((done.region, document["table"]))
    if items is None:
        yield f"exit code 0, and there is no table {document['table']}"
        return
    held = [backup.items for backup in done.before.backups.values()]
    held += [found for (_, _), found in done.before.tables.items()]
    if items not in held:
        yield f"{document['table']} holds what no backup holds"
    if document["items"] is not None and document["items"] != len(items):
        yield f"it says {document['items']} items, and there are {len(items)}"


def pruning_keeps_what_is_needed(done: Done, model: Model) -> Iterator[str]:
    """What a live stack, its rollback target, a plan or one of the newest releases needs stays."""
    gone = set(done.before.objects) - set(done.after.objects) - model.spoilt
    if not gone:
        return
    for place, why in needed(done, model).items():
        if place in gone:
            yield f"{place[1]} was removed, which {why}"


def needed(done: Done, model: Model) -> dict[tuple[str, str], str]:
    """Return every object that has to stay, with the reason."""
    texts = {place: body for place, _, body in view.objects()}
    found: dict[tuple[str, str], str] = {}
    for (region, name), root in done.before.roots.items():
        # The shell of a creation runs nothing, and an earlier stack's history is nobody's.
        if (region, name) not in done.after.roots or root.status == "REVIEW_IN_PROGRESS":
            continue
        bucket = f"plot-palette-cfn-000000000000-{region}"
        for place in done.before.objects:
            if place[0] == bucket and _runs(root, place[1]):
                found[place] = f"{name} in {region} runs"
        for release, why in _releases_needed(texts, bucket, name).items():
            for place in _files_of(model, done, bucket, release):
                found.setdefault(place, f"{why} of {name} in {region} needs")
    for bucket, release, why in (*_newest(done), *_planned(done, model)):
        for place in _files_of(model, done, bucket, release):
            found.setdefault(place, why)
    return found


def _runs(root: Root, key: str) -> bool:
    return key.startswith("templates/") and any(key in body for body in root.bodies.values())


def _planned(done: Done, model: Model) -> Iterator[tuple[str, str, str]]:
    """Yield bucket and name of each release that a plan which can be applied needs."""
    standing = set(done.before.change_sets) & set(done.after.change_sets)
    for plan in model.plans.values():
        for part in _plan_parts(plan):
            if part["change_set"] in standing:
                bucket = f"plot-palette-cfn-000000000000-{part['region']}"
                yield bucket, part["release"], f"the plan {plan.file} needs"


def _newest(done: Done) -> Iterator[tuple[str, str, str]]:
    """Yield bucket and name of the newest releases, as many as `--keep` says."""
    if done.task != "prune":
        return
    bucket = f"plot-palette-cfn-000000000000-{done.region}"
    manifests = [
        json.loads(body)
        for (where, key), body in done.manifests.items()
        if where == bucket and key.endswith("/manifest.json")
    ]
    manifests.sort(key=lambda one: one["time"], reverse=True)
    for one in manifests[: int(done.flag("--keep") or 5)]:
        yield bucket, one["release"], "one of the newest releases needs"


def _releases_needed(texts: dict[Any, bytes], bucket: str, stack: str) -> dict[str, str]:
    """Return the releases of the latest two operations, and of the last that went well."""
    records = [
        json.loads(body)
        for (where, key), body in texts.items()
        if where == bucket and key.startswith(f"deployments/{stack}/2")
    ]
    records.sort(key=lambda record: record["time"], reverse=True)
    found = {record["release"]: "one of the latest two operations" for record in records[:2]}
    if begun := texts.get((bucket, f"deployments/{stack}/switch.json")):
        found.setdefault(json.loads(begun)["release"], "a switch that was begun")
    for record in records:
        if record["status"] in HEALTHY:
            found.setdefault(record["release"], "the last good operation")
            break
    return found


def _files_of(model: Model, done: Done, bucket: str, release: str) -> Iterator[tuple[str, str]]:
    """Yield the objects of a release, which the model knows from when it was published."""
    for place in model.files.get((bucket, release), ()):
        if place in done.before.objects:
            yield place


def only_the_approved_plan_is_applied(done: Done, _model: Model) -> Iterator[str]:
    """A plan with another digest than the approved one is refused."""
    approved = done.flag("--digest")
    if done.task == "apply" and approved and done.ended.code == 0:
        document = json.loads(_plan_text(done))
        if not document["digest"].startswith(approved):
            yield f"the plan {document['digest'][:12]} was applied, and {approved[:12]} approved"


def what_took_a_place_is_there(done: Done, _model: Model) -> Iterator[str]:
    """What was switched or adopted is in its place, whole, and what it took that from is kept."""
    is_adoption = done.task == "rescue.adopt"
    if done.ended.code or done.is_disturbed or "--preview" in done.words:
        return
    document = document_of(done)
    if not isinstance(document, dict) or not (is_adoption or "--switch" in done.words):
        return
    root = done.after.roots.get((done.region, document["stack"]))
    tree = root.tree if root else {}
    taken = document.get("adopted") or {t["path"]: t["table"] for t in document.get("tables", [])}
    for path, name in taken.items():
        if path not in tree or tree[path].physical != name:
            yield f"it says that {path} is {name}, and it is not"
    if root is None or root.status not in HEALTHY:
        yield f"it went well, and the stack is {root.status if root else 'gone'}"
    for place, items in done.before.tables.items():
        if not items <= done.after.tables.get(place, frozenset()):
            yield f"{place[1]} does not hold any more what it held"
    if left := [key for _, key in done.after.objects if key.endswith("/switch.json")]:
        yield f"it went well, and is remembered as begun: {left[0]}"


def what_moved_is_the_same(done: Done, _model: Model) -> Iterator[str]:
    """A resource that a refactor moved is the very one."""
    document = document_of(done)
    if done.task != "rescue.refactor" or done.ended.code or "--preview" in done.words:
        return
    place = (done.region, STACK)
    for move in document["moves"] if isinstance(document, dict) and not done.is_disturbed else ():
        before = done.before.roots[place].tree.get(move["from"])
        after = done.after.roots[place].tree.get(move["to"])
        if before and (after is None or after.physical != before.physical):
            yield f"{move['from']} was moved to {move['to']}, and is another one there"


def locks_are_respected(done: Done, model: Model) -> Iterator[str]:
    """No lock is left behind, and nobody's is taken away or passed by while it holds."""
    if done.is_disturbed:
        return
    for bucket, key in set(done.after.objects) - set(done.before.objects):
        if key.startswith("locks/"):
            yield f"a lock is left in {bucket}"
    for region, (body, until) in model.locks.items():
        if done.at > until:
            continue
        held = [b for (where, key), _, b in view.objects() if _is_lock(where, key, region)]
        if held != [body]:
            yield f"somebody's lock in {region} is gone"
        before, after = (
            {k: v for k, v in _standing(one.roots).items() if k.startswith(region)}
            for one in (done.before, done.after)
        )
        if done.task in CHANGING and before != after:
            yield f"the stack in {region} was changed while somebody held its lock"


def _is_lock(bucket: str, key: str, region: str) -> bool:
    return bucket.endswith(f"-{region}") and key == f"locks/{STACK}.json"


CHECKS: tuple[Check, ...] = (
    no_traceback,
    exit_code_is_allowed,
    document_is_the_contract_s,
    no_secret,
    no_table_goes_without_consent,
    no_item_is_lost,
    no_table_is_orphaned_unnamed,
    refusals_change_nothing,
    nothing_is_left,
    what_was_said_is_there,
    what_was_shown_is_what_was_done,
    backups_are_whole,
    restored_is_what_was_backed_up,
    pruning_keeps_what_is_needed,
    only_the_approved_plan_is_applied,
    what_took_a_place_is_there,
    what_moved_is_the_same,
    locks_are_respected,
)
