"""Look at files and stacks; nothing is changed."""

from __future__ import annotations

from pathlib import Path

from commands.answers import answer_outcome, parameter_error
from commands.operation import operation
from commands.target import Target, connect_in, open_home, open_sites
from lib.document import as_document
from lib.errors import InputError
from lib.operators import Answer


@operation(
    help={
        "offline": "Make no AWS call.",
        "all": "Check every parameter file.",
    },
    describe_error=parameter_error,
)
def validate_params(target: Target, offline: bool = False, all: bool = False) -> Answer:
    """Check: report every problem in the files at once.

    inv validate-params --all --offline
    inv validate-params --env staging --region us-west-2
    """
    from lib.checks import validation

    given = (target.region, target.stack_name)
    if all:
        reports = validation.check_all(target.root, *given, flags=target.flags)
    else:
        reports = [validation.check(target.root, target.env, *given, flags=target.flags)]
    if not offline:
        reports = validation.add_online(reports, target.access)
    return validation.answer(reports)


@operation(
    help={
        "regions": "Regions to look at, comma-separated (default: the one of --region).",
        "role-arn": "The service role that CloudFormation will be given.",
    },
    describe_error=lambda _target, _error: {"ready": False, "findings": []},
)
def preflight(target: Target, regions: str | None = None, role_arn: str | None = None) -> Answer:
    """Check: what AWS still lacks for a first deployment.

    inv preflight --env staging --region us-west-2
    inv preflight --env production --regions us-east-1,eu-west-1
    """
    from lib.access import Access
    from lib.checks import first_day
    from lib.regions import plan

    names = plan.read_names(regions) if regions else [target.region]
    operator = target.console.operator()
    places = [(site.job, Access(site.aws, operator)) for site in open_sites(target, names)]
    found = first_day.survey(
        places,
        home=open_home(target, names),
        connect=lambda region: connect_in(target, region),
        role_arn=role_arn or "",
    )
    return first_day.answer(found)


@operation(help={"drift": "Detect drift too, in the whole tree of stacks."})
def verify(target: Target, drift: bool = False) -> Answer:
    """Look: check that the stack answers and is protected.

    inv verify --env production
    inv verify --env staging --drift --json
    """
    from lib.checks import verification

    found = verification.verify(target.job, target.access, detect_drift=drift)
    return verification.answer(found, target.access)


@operation(help={"format": "table, json or env."})
def outputs(target: Target, format: str = "table") -> Answer:
    """Look: print the stack's outputs.

    inv outputs --env staging
    inv outputs --env staging --format env > .env
    """
    from lib.deploy import report
    from lib.stacks import stacks

    draw = report.choose_format(format)
    stack = stacks.require(target.aws.client("cloudformation"), target.job)
    return Answer(dict(stack.outputs), draw(stack.outputs))


@operation(
    help={
        "drift": "Detect drift now, in the whole tree of stacks.",
        "regions": "Regions to show side by side, comma-separated.",
    }
)
def status(target: Target, drift: bool = False, regions: str | None = None) -> Answer:
    """Look: show the stack's state, release, age and drift.

    inv status --env production
    inv status --env production --drift
    """
    if regions:
        from lib.regions import plan, survey

        sites = open_sites(target, plan.read_names(regions))
        return survey.answer(survey.survey(sites, target.console.operator(), detect=drift))
    from lib.deploy import status as overview

    seen = overview.look(target.job, target.access, detect=drift)
    return Answer(as_document(seen), overview.draw(seen))


@operation(
    help={
        "follow": "Keep watching until the operation ends.",
        "chart": "Draw what took how long as a bar chart into this SVG file.",
    }
)
def events(target: Target, follow: bool = False, chart: str | None = None) -> Answer:
    """Look: list the latest operation's events.

    inv events --env staging --follow
    inv events --env staging --chart took.svg
    """
    from lib.deploy import status as overview
    from lib.inputs import documents
    from lib.stacks import durations
    from lib.stacks import events as happenings

    if follow:
        if chart:
            raise InputError("--follow and --chart exclude each other.")
        return answer_outcome(target, overview.follow(target.job, target.access))
    found = overview.list_events(target.job, target.access)
    if chart:
        documents.write_text(Path(chart), durations.draw_chart(target.job.stack_name, found))
    if longest := durations.list_longest("What took longest:", found):
        target.console.report(longest)
    return Answer(as_document(found), happenings.draw(found))


@operation()
def history(target: Target) -> Answer:
    """Look: list the stack's releases, newest first.

    inv history --env production
    inv history --env production --json
    """
    from lib.releases import history as records
    from lib.releases import settling

    found = settling.read(target.job, target.access)
    return Answer(as_document(found), records.draw(found))


@operation(help={"format": "mermaid or svg."}, common=("json",))
def graph(target: Target, format: str = "mermaid") -> Answer:
    """Look: draw the nested stacks and who reads from whom.

    inv graph
    inv graph --format svg
    """
    from lib.templates import templates
    from manual import graph as graphs
    from manual import stacks_svg

    formats = {"mermaid": graphs.draw_mermaid, "svg": stacks_svg.draw}
    if format not in formats:
        raise InputError(f"--format takes {', '.join(formats)}, not {format!r}.")
    found = graphs.read(templates.read_folder(target.root / "infrastructure" / "cloudformation"))
    return Answer(as_document(found), formats[format](found))
