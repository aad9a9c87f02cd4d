"""Check an environment before anything is deployed, and report every problem at once."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lib.document import as_document, keys
from lib.errors import AwsUnavailable, InputError, ParameterError
from lib.inputs import environments, jobs, parameters
from lib.inputs.parameters import Problem
from lib.operators import Answer, Level

if TYPE_CHECKING:
    from lib.access import Access


@dataclass(frozen=True)
class Report:
    """What was found in one environment for one region. `asked` is how it was named."""

    environment: str
    path: Path
    region: str
    models: tuple[str, ...]
    problems: tuple[Problem, ...]
    asked: str
    identity: str = ""

    KEYS: ClassVar = keys("valid environment region file=path identity problems")

    @property
    def valid(self) -> bool:
        """Tell whether nothing worse than a warning was found."""
        return not any(problem.severity == parameters.ERROR for problem in self.problems)


def check(
    root: Path, environment: str, region: str, stack_name: str | None, *, flags: str
) -> Report:
    """Check one environment without AWS.

    Values against the master template, and every parent against its children. Raises
    `InputError` for files that cannot be read at all.
    """
    job = jobs.read(root, environment, region, stack_name, flags=flags)
    return Report(
        job.environment, job.path, job.region, job.models, jobs.validate(job), environment
    )


def check_all(root: Path, region: str, stack_name: str | None, *, flags: str) -> list[Report]:
    """Check every environment that has a file; one that cannot be read is a problem of its own."""
    reports: list[Report] = []
    folder = root / "infrastructure" / "parameters"
    for name in environments.list_environments(folder):
        try:
            reports.append(check(root, name, region, stack_name, flags=flags))
        except ParameterError as exc:
            problem = Problem("", exc.message)
            reports.append(Report(name, folder / f"{name}.json", region, (), (problem,), name))
    return reports


def add_online(reports: Sequence[Report], access: Access) -> list[Report]:
    """Add what only AWS knows: who is calling, and Bedrock model access as warnings.

    The reports are of one region, which is asked once. Raises `AwsUnavailable` when the
    credentials cannot be used and nothing else is wrong; what is wrong is told first.
    """
    from lib.checks import models as bedrock

    try:
        identity = access.aws.identity().arn
    except AwsUnavailable as exc:
        if all(report.valid for report in reports):
            raise
        access.say(exc.message, Level.WARNING)
        return list(reports)
    models = tuple(dict.fromkeys(model for report in reports for model in report.models))
    found = bedrock.warn(access.aws.client("bedrock"), models, region=access.aws.region)
    return [
        replace(report, identity=identity, problems=(*report.problems, *found))
        for report in reports
    ]


def answer(reports: Sequence[Report]) -> Answer:
    """Tell what was found: every problem, then whether the environments can be deployed."""
    documents = [as_document(report) for report in reports]
    document = documents[0] if len(documents) == 1 else _combine(documents)
    text = "\n".join(_draw(report) for report in reports)
    return Answer(
        document, text, 0 if all(report.valid for report in reports) else InputError.exit_code
    )


def _combine(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one document for several environments."""
    return {
        "valid": all(document["valid"] for document in documents),
        "environment": ",".join(document["environment"] for document in documents),
        "problems": [problem for document in documents for problem in document["problems"]],
        "environments": documents,
    }


def _draw(report: Report) -> str:
    """Return a report as text: one line per problem, naming file, key, value and rule."""
    lines = [
        f"{report.path}: {problem.severity}: {jobs.describe_problem(problem)}"
        for problem in report.problems
    ]
    errors = sum(problem.severity == parameters.ERROR for problem in report.problems)
    verdict = f"{errors} errors" if errors else "valid"
    lines.append(f"{report.environment} in {report.region}: {verdict}")
    if report.identity:
        lines.append(f"Identity: {report.identity}")
    if report.valid:
        named = f"--env {shlex.quote(report.asked)} --region {report.region}"
        lines.append(f"Deploy with: inv deploy {named}")
    return "\n".join(lines)
