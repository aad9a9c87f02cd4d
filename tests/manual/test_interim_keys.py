"""Documents that are still put together by hand have the keys that the manual lists for them.

INTERIM: a case goes with its entry in `manual.keys.BY_HAND`, and the file with the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.checks import validation, verification
from lib.costs import bill, pricing
from lib.costs.book import Book
from lib.costs.usage import Assumption, constant
from lib.data import backups, restores
from lib.deploy import outcomes
from lib.deploy import status as overview
from lib.regions import report
from lib.releases import history, pruning
from lib.stacks.events import Failure
from lib.stacks.statuses import Status
from lib.templates import graph as graphs
from lib.templates.changes import Change
from manual import keys
from tests.support import factories

ONE = constant(1)
LINE = pricing.Line("Stack/Table", "requests", "DynamoDB", "usage", ONE, "", Decimal(1), None, ONE)
ESTIMATE = pricing.Estimate(
    "staging", "us-east-1", (LINE,), {}, {}, (Assumption("a", "b", ONE, "c", "d"),), (), (), None
)
OUTCOME = factories.outcome(
    failure=Failure("a", "b", "c", "d", "e"), changes=(Change("a", "b", "c"),)
)
BACKUP = backups.Backup("a", "b", "c", 1, "AVAILABLE")
GRAPH = graphs.Graph("a", (graphs.Node("b", "c", 1),), (graphs.Edge("b", "c", ("d",)),))


def estimate() -> dict[str, Any]:
    return pricing.as_json(ESTIMATE, Book("prices.json", {}, {}, {}), date(2026, 11, 25))


#: Each type with what the code prints of one.
PRINTED: Mapping[str, Callable[[], Any]] = {
    "Assumption": lambda: estimate()["assumptions"][0],
    "Backup": lambda: backups.as_document(BACKUP),
    "BackupRun": lambda: (
        restores.answer_backups(backups.BackupRun((BACKUP,)), lambda _: None).document
    ),
    "Change": lambda: outcomes.as_document(OUTCOME)["changes"][0],
    "Edge": lambda: graphs.as_document(GRAPH)["edges"][0],
    "Estimate": estimate,
    "Event": lambda: overview.event_document(factories.event()),
    "Failure": lambda: outcomes.as_document(OUTCOME)["failure"],
    "Graph": lambda: graphs.as_document(GRAPH),
    "Line": lambda: estimate()["lines"][0],
    "Plan": lambda: pruning.as_document(pruning.Plan((), (), ())),
    "Record": lambda: history.as_document(history.Record(*("a",) * 7, {})),
    "Report": lambda: (
        validation.answer([validation.Report("a", Path("b"), "c", (), (), "d")]).document
    ),
    "Rollout": lambda: report.as_document(report.Rollout("a", ())),
    "Spending": lambda: bill.as_json(bill.Spending("a", None, None, (), ())),
    "Verification": lambda: verification.as_document(verification.Verification("a", "b", ())),
    "View": lambda: overview.as_document(
        overview.View("a", "b", "c", Status.ABSENT, "", "", "", None, 0)
    ),
}

#: Written into the answer of a function that reads price books; tests/costs holds its keys.
UNREACHED = {"Refreshed"}


@pytest.mark.parametrize("kind", keys.BY_HAND, ids=lambda kind: kind.__name__)
def test_a_type_that_names_its_keys_is_listed_by_hand_no_longer(kind: type) -> None:
    assert not hasattr(kind, "KEYS"), f"take {kind.__name__} out of manual.keys.BY_HAND"


def test_every_type_that_is_listed_by_hand_is_held_against_what_is_printed() -> None:
    assert {kind.__name__ for kind in keys.BY_HAND} == {*PRINTED, *UNREACHED}


@pytest.mark.parametrize("name", PRINTED)
def test_a_document_has_the_keys_that_are_listed_for_it_in_order(name: str) -> None:
    kind = next(kind for kind in keys.BY_HAND if kind.__name__ == name)
    assert list(PRINTED[name]()) == list(keys.keys_of(kind))


def test_an_outcome_has_the_keys_of_its_type_in_order() -> None:
    assert list(outcomes.as_document(OUTCOME)) == list(keys.keys_of(outcomes.Outcome))
