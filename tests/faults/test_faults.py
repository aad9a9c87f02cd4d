"""Whatever happens to any call, nothing is lost and the same command goes on where it stopped.

The sweep (`nox -s faults`) spoils every call of every task in every way. The short version
runs with the integration tests: the calls at which something did break once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults import report
from tests.faults.proxy import FAULTS
from tests.faults.scenarios import (
    HOME,
    NAMES,
    STACK,
    Ended,
    Stage,
    Tally,
    find_leaks,
    find_left_locks,
    find_leftovers,
    find_lost_items,
    find_misbehaviour,
    scenarios,
    seeded,
    sweep,
    try_at,
    whole_application,
)

BY_NAME = {fault.name: fault for fault in FAULTS}

#: How often two operators are let loose on one stack.
RACES = 10


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The emulator, the proxy and everything that runs through them, once for each worker."""
    built = Stage(tmp_path_factory.mktemp("stage"))
    yield built
    built.close()


@pytest.mark.faults
@pytest.mark.parametrize("fault", BY_NAME)
@pytest.mark.parametrize("name", NAMES)
def test_no_fault_at_any_call_loses_anything(stage: Stage, name: str, fault: str) -> None:
    scenario = scenarios(stage)[name]
    # Where only some calls are tried, each fault begins at another one, and kills try more.
    step = (scenario.step + 1) // 2 if BY_NAME[fault].kills else scenario.step
    start = 1 + list(BY_NAME).index(fault) % step
    tally = sweep(stage, scenario, BY_NAME[fault], step=step, start=start)
    report.keep(tally)
    assert tally.tried
    assert tally.lost == []


@pytest.mark.faults
@pytest.mark.parametrize("fault", BY_NAME)
def test_the_whole_application_is_created_through_any_fault(stage: Stage, fault: str) -> None:
    scenario = whole_application(stage)
    start = 1 + list(BY_NAME).index(fault) % scenario.step
    tally = sweep(stage, scenario, BY_NAME[fault], step=scenario.step, start=start)
    report.keep(tally)
    assert tally.tried
    assert tally.lost == []


#: Scenario, operation and fault of what went wrong before it was mended.
ONCE_BROKEN = [
    ("upload", "PUT Object", "KILL after"),
    ("upload", "PUT Object", "cut once, answer lost"),
    ("create", "CreateChangeSet", "cut once, answer lost"),
    ("create", "CreateChangeSet", "INT after"),
    ("create", "CreateChangeSet", "KILL after"),
    ("create", "ExecuteChangeSet", "cut once, answer lost"),
    ("create", "ExecuteChangeSet", "KILL after"),
    ("create-preview", "CreateChangeSet", "INT after"),
    ("update", "CreateChangeSet", "cut once, answer lost"),
    ("update", "CreateChangeSet", "cut until botocore gives up, answers lost"),
    ("update", "ExecuteChangeSet", "cut once, answer lost"),
    ("update", "DescribeChangeSet", "permission denied"),
    ("rollback", "RollbackStack", "cut once, answer lost"),
    ("backup", "CreateBackup", "cut once, answer lost"),
    ("restore", "RestoreTableFromBackup", "cut once, answer lost"),
    ("delete", "DeleteStack", "credentials expire"),
    ("replace-a-table", "DescribeBackup", "credentials expire"),
    ("preview", "CreateChangeSet", "KILL after"),
    ("plan", "CreateChangeSet", "KILL after"),
    ("plan", "ListChangeSets", "INT before"),
    ("plan-creation", "DescribeChangeSet", "INT after"),
    ("apply", "ExecuteChangeSet", "KILL after"),
    ("apply", "ExecuteChangeSet", "cut until botocore gives up, answers lost"),
]


@pytest.mark.integration
@pytest.mark.parametrize(("name", "operation", "fault"), ONCE_BROKEN)
def test_what_once_broke_a_task_does_so_no_more(
    stage: Stage, name: str, operation: str, fault: str
) -> None:
    try_at_first(stage, name, operation, fault)


# The first object that an update writes is its lock, and the only one that it deletes.
@pytest.mark.integration
@pytest.mark.parametrize("operation", ["PUT Object", "DELETE Object"])
@pytest.mark.parametrize("fault", ["KILL before", "KILL after"])
def test_a_run_that_is_killed_at_its_lock_stands_in_nobody_s_way(
    stage: Stage, operation: str, fault: str
) -> None:
    try_at_first(stage, "update", operation, fault)


def try_at_first(stage: Stage, name: str, operation: str, fault: str) -> None:
    """Inject a fault at the first call of an operation, and hold a scenario against it."""
    scenario = scenarios(stage)[name]
    tally = Tally(name, fault)
    # How often a task looks while it waits differs from run to run, and so do the calls' numbers.
    for _ in range(5):
        stage.load(scenario.state)
        _, undisturbed = stage.run(scenario.clone, *scenario.arguments)
        at = next(c.number for c in undisturbed.calls.values() if c.operation == operation)
        if try_at(stage, scenario, BY_NAME[fault], at, tally):
            break
    assert tally.tried == 1
    assert tally.lost == []


@pytest.mark.integration
def test_the_history_that_cannot_be_written_makes_no_failure_of_a_good_update(
    stage: Stage,
) -> None:
    scenario = scenarios(stage)["update"]
    denied, at = None, 0
    # How often a task looks while it waits differs from run to run, and so does the number of
    # its last call.
    for _ in range(20):
        stage.load(scenario.state)
        ended, met = stage.run(scenario.clone, *scenario.arguments, fault=denied, at=at)
        last = [c.number for c in met.calls.values() if c.operation == "PUT Object"][-1]
        if last == at and ended.code == 0:
            break
        # A call before the last one that happened to have its number ends the run there, and its
        # last one is another: the next run is undisturbed.
        denied, at = (None, 0) if ended.code else (BY_NAME["permission denied"], last)
    assert last == at
    assert ended.code == 0
    assert "could not be written to the history" in ended.err


def race(stage: Stage, name: str, *clones: str) -> list[Ended]:
    """Start a scenario's task twice in one moment and return what became of both."""
    scenario = scenarios(stage)[name]
    stage.load(scenario.state)
    stage.proxy.arm()
    started = [stage.start(clone, *scenario.arguments) for clone in clones]
    ended = [stage.finish(*one) for one in started]
    stage.settle()
    return ended


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "clones", "status"),
    [
        ("create", ("first", "first"), "CREATE_COMPLETE"),
        ("create", ("first", "second"), "CREATE_COMPLETE"),
        ("update", ("first", "first"), "UPDATE_COMPLETE"),
        ("update", ("first", "rekeyed"), "UPDATE_COMPLETE"),
        ("delete", ("first", "first"), ""),
        ("apply", ("first", "first"), "UPDATE_COMPLETE"),
    ],
)
def test_of_two_operators_at_once_one_wins_and_the_other_is_told(
    stage: Stage, name: str, clones: tuple[str, str], status: str
) -> None:
    tally = Tally(f"two operators: {name}", " and ".join(clones))
    scenario = scenarios(stage)[name]
    for _ in range(RACES):
        stage.load(scenario.state)
        tables = seeded(stage.cloud())
        ended = race(stage, name, *clones)
        codes = sorted(one.code for one in ended)
        # Who comes too late to delete finds no table to back up any more, which is exit code 1.
        told = ([0, 0], [0, 3], *([[0, 1]] if name == "delete" else []))
        found = [] if codes in told else [f"exit codes {codes}: {ended}"]
        for one in ended:
            found += find_misbehaviour(one, None, others=(1, 3))
        found += find_lost_items(stage.cloud(HOME), tables)
        found += find_leaks(stage.cloud(HOME), *(one.err + one.out + one.log for one in ended))
        found += find_leftovers(stage.cloud(HOME), scenario)
        for one in ended:
            found += find_left_locks(stage.cloud(HOME), one)
        if stage.cloud().status(STACK) not in (status, "UPDATE_COMPLETE" if status else ""):
            found.append(f"the stack is {stage.cloud().status(STACK)}")
        tally.tried += 1
        tally.codes[str(codes)] = tally.codes.get(str(codes), 0) + 1
        tally.lost += ["; ".join(found)] if found else []
    report.keep(tally)
    assert tally.lost == []


def test_the_proxy_s_faults_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(FAULTS)
    assert os.sep not in "".join(BY_NAME)
