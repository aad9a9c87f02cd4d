"""Say what it will cost, and what it has cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from commands.operation import operation
from commands.target import Target, connect_in, today
from lib.operators import Answer, Level, Note


@operation(
    help={
        "all": "Every environment, side by side.",
        "usage": "A usage file (default: infrastructure/usage/<environment>.json).",
        "live": "Ask the AWS Price List API; rows that it does not give come from the book.",
        "max-monthly": "Exit 1 when the usual amount is above this many USD.",
        "compare": "A release, or `deployed`: what differs from it, biggest lines first.",
        "free-tier": "Take off what AWS never bills an account.",
        "svg": "Draw the cost by service as a bar chart into this file.",
        "detail": "Every line, assumption and source, stack by stack.",
    }
)
def estimate(
    target: Target,
    all: bool = False,
    usage: str | None = None,
    live: bool = False,
    max_monthly: str | None = None,
    compare: str | None = None,
    free_tier: bool = True,
    svg: str | None = None,
    detail: bool = False,
) -> Answer:
    """Cost: price the templates before they are deployed.

    inv estimate --all
    inv estimate --env production --compare deployed --max-monthly 200
    """
    from lib.costs import estimates, offers, report
    from lib.inputs import documents

    terms = estimates.Terms(target.root, today(), usage, free_tier)
    limit = estimates.read_limit(max_monthly)
    made = estimates.estimate_all(terms, target.job, every=all, compare=compare)
    if live:
        pricing = connect_in(target, offers.API_REGION).client("pricing")
        made = estimates.with_live_prices(made, terms, pricing, target.console.report)
    before = estimates.compare(made[0], terms, compare, target.access) if compare else None
    if svg:
        documents.write_text(Path(svg), report.draw_chart(made))
    told = report.answer(
        made, limit=limit, before=before, report=target.console.report, detail=detail
    )
    return replace(told, summary=f"### Cost of {target.env}\n\n```text\n{told.text}\n```")


@operation(
    help={
        "source": "Where the offer files are (default: AWS's own).",
        "cross-check": "LiteLLM's price table, by URL or file: print where the book differs from "
        "it and write nothing; with --source also renew the book first.",
    },
    common=("json",),
)
def refresh_prices(
    target: Target, source: str | None = None, cross_check: str | None = None
) -> Answer:
    """Cost: renew the price book from AWS's offer files.

    inv refresh-prices
    inv refresh-prices --cross-check model_prices_and_context_window.json
    """
    from urllib.request import urlopen

    from lib.costs import renewal
    from lib.costs.estimates import Terms

    return renewal.refresh_book(
        Terms(target.root, today()),
        lambda url: urlopen(url, timeout=60),  # noqa: S310 (lib takes http and https only)
        source,
        target.console.report,
        cross_check,
    )


@operation()
def costs(target: Target) -> Answer:
    """Cost: hold the month so far against the budget.

    inv costs --env production
    inv costs --env production --json
    """
    from lib.costs import bill
    from lib.document import as_document

    aws = connect_in(target, bill.API_REGION)
    found = bill.read(
        aws.client("ce"),
        aws.client("budgets"),
        account=aws.identity().account,
        environment=target.job.environment,
        today=today(),
        named=lambda: bill.find_budget_names(
            target.job, lambda region: connect_in(target, region).client("cloudformation")
        ),
    )
    for problem in found.problems:
        target.console.report(Note(problem, Level.WARNING))
    return Answer(as_document(found), bill.draw(found))
