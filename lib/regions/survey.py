"""See one stack in many regions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from lib.access import Access
from lib.deploy import status
from lib.deploy.status import View
from lib.document import as_document
from lib.drawing import draw_table
from lib.errors import DeploymentError
from lib.operators import Answer, Operator
from lib.parallel import side_by_side
from lib.refusals import explain
from lib.regions.plan import Site


@dataclass(frozen=True)
class Sighting:
    """What `inv status` sees in one region, or why it sees nothing."""

    region: str
    view: View | None
    error: DeploymentError | None = None


def survey(sites: Sequence[Site], operator: Operator, *, detect: bool) -> tuple[Sighting, ...]:
    """Look at one stack in many regions at once; a region that fails does not hide the others."""

    def see(site: Site) -> Sighting:
        job = site.job
        try:
            return Sighting(job.region, status.look(job, Access(site.aws, operator), detect=detect))
        except (DeploymentError, BotoCoreError, ClientError) as exc:
            return Sighting(job.region, None, explain(exc, job.region, job.stack_name))

    return tuple(side_by_side(see, sites, at_once=len(sites)))


def answer(seen: Sequence[Sighting]) -> Answer:
    """Show all regions side by side: state, release, drift, age."""
    rows = [_row_of(one) for one in seen]
    documents = [
        as_document(one.view)
        if one.view
        else {"region": one.region, "status": "", "error": one.error.message if one.error else ""}
        for one in seen
    ]
    failed = [one for one in seen if one.error]
    text = draw_table(("Region", "Status", "Release", "Drift", "Changed"), rows)
    code = max((one.error.exit_code for one in failed if one.error), default=0)
    return Answer({"regions": documents, "failed": [one.region for one in failed]}, text, code)


def _row_of(one: Sighting) -> tuple[str, ...]:
    if one.view is None:
        return one.region, one.error.message if one.error else "", "", "", ""
    view = one.view
    if view.changed is None:
        return one.region, view.status, "", "", ""
    drift = view.drift or "NOT_CHECKED"
    if view.drifts:
        drift = f"{drift}: {', '.join(dict.fromkeys(found.path for found in view.drifts))}"
    return one.region, view.status, view.release, drift, f"{status.draw_age(view.age)} ago"
