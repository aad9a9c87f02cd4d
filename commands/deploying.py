"""Change a stack: publish, deploy, update, roll back, many regions, prune."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commands.answers import (
    answer_deployment,
    answer_outcome,
    answer_verified,
    price_by,
    settle_harmless_questions,
    stack_error,
)
from commands.flags import (
    ADOPT_HELP,
    CHANGE_HELP,
    CHANGING,
    COMMON,
    DEPLOYING,
    VERIFY_HELP,
    as_count,
    as_names,
    read_options,
)
from commands.operation import operation
from commands.target import Target, open_home, open_sites
from lib.document import as_document
from lib.errors import InputError
from lib.operators import Answer

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.regions.plan import Plan


@operation(changes=True)
def upload(target: Target) -> Answer:
    """Deploy: publish the templates as an immutable release.

    inv upload --env staging
    inv upload --region us-west-2 --json
    """
    from lib.deploy import publishing

    _release, published = publishing.publish(target.job, target.access)
    link = publishing.console_link(target.job, published)
    document = {**as_document(published), "quick_create_url": link}
    text = (
        f"Release      {published.release} ({published.uploaded} uploaded, "
        f"{published.unchanged} unchanged)\nBucket       {published.bucket}\n"
        f"Master       {published.master_url}\nQuick create {link}"
    )
    return Answer(document, text)


@operation(
    help={
        "create": "Only create; refuse when the stack exists.",
        "update": "Only update; refuse when the stack does not exist.",
        "delete": "Delete the stack; what holds data is retained and listed.",
        "retain": "With --delete, after DELETE_FAILED: leave these in the account, "
        "NestedStack.LogicalId, comma-separated, or all.",
        "force": "With --delete, after DELETE_FAILED: let go of whatever cannot be deleted.",
        "express": "CloudFormation express mode: do not wait for resources to be stable.",
        **ADOPT_HELP,
        **CHANGE_HELP,
        **VERIFY_HELP,
    },
    common=DEPLOYING,
    describe_error=stack_error,
    changes=True,
)
def deploy(
    target: Target,
    create: bool = False,
    update: bool = False,
    delete: bool = False,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    express: bool = False,
    disable_rollback: bool = False,
    retain: str | None = None,
    force: bool = False,
    shallow: bool = False,
    no_verify: bool = False,
    adopt: str | None = None,
) -> Answer:
    """Deploy: create or update the stack, or delete it.

    inv deploy --local --preview
    inv deploy --env staging --code build/api --image v7 --site web/dist
    """
    from lib.deploy import deployments

    mode = deployments.choose_mode(create=create, update=update, delete=delete)
    options = read_options(
        preview=preview,
        allow_data_loss=allow_data_loss,
        no_backup=no_backup,
        express=express,
        disable_rollback=disable_rollback,
        retain=retain,
        force=force,
        shallow=shallow,
    )
    deployments.require_fitting(mode, options, target.artifacts)
    if mode is deployments.Mode.DELETE:
        return answer_outcome(target, deployments.delete(target.job, target.access, options))
    return answer_deployment(target, options, mode, verify=not no_verify, adopt=adopt)


@operation(
    help={
        "revert-drift": "Bring drifted resources back to the template.",
        **CHANGE_HELP,
        **VERIFY_HELP,
    },
    common=DEPLOYING,
    describe_error=stack_error,
    changes=True,
)
def update(
    target: Target,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    disable_rollback: bool = False,
    revert_drift: bool = False,
    shallow: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Deploy: update the stack; what changes is shown first.

    inv update --env staging --preview
    inv update --env production --allow-data-loss DatabaseStack/JobsTable
    """
    from lib.deploy import deployments

    options = read_options(
        preview=preview,
        allow_data_loss=allow_data_loss,
        no_backup=no_backup,
        disable_rollback=disable_rollback,
        revert_drift=revert_drift,
        shallow=shallow,
    )
    return answer_deployment(target, options, deployments.Mode.UPDATE, verify=not no_verify)


@operation(
    help={
        "regions": "Regions in order, comma-separated; the first goes alone, as the canary.",
        "max-concurrency": "Regions changed at once after the canary (default: all).",
        "sequential": "One region after the other.",
        "on-failure": "stop (default): start no further region when one fails; or continue.",
        "engine": "direct (default), or stacksets: CloudFormation StackSets does the rollout.",
        "log-folder": "Write a log for each region into this folder.",
        "preview": CHANGE_HELP["preview"],
        "allow-data-loss": "REGION:PATH whose data may be lost, comma-separated "
        "(us-west-2:DatabaseStack/JobsTable).",
        "no-backup": CHANGE_HELP["no-backup"],
        **ADOPT_HELP,
        **VERIFY_HELP,
    },
    common=tuple(name for name in DEPLOYING if name != "region"),
    describe_error=lambda _target, _error: {"regions": [], "failed": []},
    changes=True,
)
def deploy_multi_region(
    target: Target,
    regions: str | None = None,
    max_concurrency: str | None = None,
    sequential: bool = False,
    on_failure: str = "stop",
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    engine: str = "direct",
    log_folder: str | None = None,
    no_verify: bool = False,
    adopt: str | None = None,
) -> Answer:
    """Deploy: bring the stack to many regions, canary first.

    inv deploy-multi-region --env production --regions us-east-1,us-west-2
    inv deploy-multi-region --regions us-east-1,eu-west-1 --sequential --preview
    """
    from lib.data import consent
    from lib.regions import plan, report, rollout

    names = plan.read_names(regions)
    count = as_count(max_concurrency, "--max-concurrency")
    wanted = plan.Plan(
        read_options(preview=preview, no_backup=no_backup),
        consent.read_by_region(as_names(allow_data_loss), names),
        plan.read_concurrency(count, sequential=sequential),
        plan.read_on_failure(on_failure),
        log_folder=Path(log_folder) if log_folder else None,
        verify=not no_verify,
        price=price_by(target),
    )
    chosen = rollout.choose_engine(engine, local=target.local, role_arn=target.role_arn)
    settle_harmless_questions(target)
    sites, home = open_sites(target, names), open_home(target, names)
    operator, draw = target.console.operator(), target.console.board
    wanted = replace(_heed_leftovers(wanted, engine, adopt), home=home)
    return report.answer(rollout.deploy(sites, operator, wanted, chosen, draw=draw), operator)


def _heed_leftovers(wanted: Plan, engine: str, adopt: str | None) -> Plan:
    """Return a plan that heeds what earlier stacks retained; a preview shows it taken over."""
    from lib.rescue import founding

    create = founding.over_leftovers(adopt)
    if engine != "direct" and adopt == "all":
        raise InputError(
            "StackSets imports nothing, so --adopt all is not for it.",
            next_step="leave out --engine, or say --adopt none",
        )
    if adopt is None and not wanted.options.preview:
        return replace(wanted, require_decided=_require_adoption)
    return replace(wanted, create=create)


def _require_adoption(job: Job, access: Access) -> None:
    """Refuse a new stack beside what an earlier one retained, of which nothing was said."""
    from lib.rescue import founding

    ways = (
        "the same command with --adopt all, which takes it over in every region, or with "
        "--adopt none for new and empty ones beside it"
    )
    founding.refuse_beside_leftovers(job, access, "created", ways)


@operation(
    help={
        "to": "Redeploy this earlier release, with the parameters it had.",
        "skip": "Resources a stuck rollback gives up on: NestedStack.LogicalId, comma-separated, "
        "or all.",
        **{name: CHANGE_HELP[name] for name in ("preview", "allow-data-loss", "no-backup")},
        **VERIFY_HELP,
    },
    common=CHANGING,
    describe_error=stack_error,
    changes=True,
)
def rollback(
    target: Target,
    to: str | None = None,
    skip: str | None = None,
    preview: bool = False,
    allow_data_loss: str | None = None,
    no_backup: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Undo: return to the last stable state, or a release.

    inv rollback --env staging
    inv rollback --env production --to 20f8960ff7bb --preview
    """
    from lib.deploy import rollbacks

    settle_harmless_questions(target)
    if not to:
        names = as_names(skip)
        return answer_outcome(target, rollbacks.roll_back(target.job, target.access, skip=names))
    if skip:
        raise InputError("--to and --skip exclude each other.")
    options = read_options(preview=preview, allow_data_loss=allow_data_loss, no_backup=no_backup)
    price = price_by(target)
    outcome = rollbacks.return_to(target.job, target.access, options, to, price=price)
    return answer_verified(target, outcome, options, wanted=not no_verify)


@operation(
    help={"keep": "How many of the newest releases stay in any case (default 5)."},
    common=(*COMMON, "wait"),
    changes=True,
)
def prune(target: Target, keep: str = "5") -> Answer:
    """Undo: remove releases that nothing needs any more.

    inv prune --env staging
    inv prune --env staging --keep 10 --yes
    """
    from lib.releases import pruning

    count = as_count(keep, "--keep")
    settle_harmless_questions(target)
    plan = pruning.prune(target.job, target.access, keep=count or 1)
    return Answer(as_document(plan), f"{len(plan.objects)} objects removed.")
