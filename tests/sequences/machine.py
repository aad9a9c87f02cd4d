"""Choose what to do next: hypothesis's state machine, whose rules are tasks and the world.

A task that another part of the product brings is added as one rule here, built of a `Step`; what
must hold after it goes into `checks`, and what happens beside it into `world_events`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.sequences.application import EDITS, TABLES
from tests.sequences.model import Step
from tests.sequences.player import BY_NAME, CHANGE
from tests.sequences.sequence import BEGINNINGS, QUIET, UNVERIFIED, Played, Stage
from tests.sequences.world_events import EVENTS


def chosen_of(kinds: dict[str, tuple[tuple[str, ...], ...]]) -> st.SearchStrategy[tuple[str, ...]]:
    """Choose a word and its arguments."""
    each = [
        st.tuples(st.just(kind), *(st.sampled_from(one) for one in arguments))
        for kind, arguments in kinds.items()
    ]
    return st.one_of(each)


edits = chosen_of(EDITS)
#: Edits by which a table of the stack goes, where it is there.
_BEGUN_WITH = ("Drafts", "Notes")
giving_up = chosen_of(
    {"remove-table": (_BEGUN_WITH,), "rename-table": (_BEGUN_WITH, TABLES), "key": (_BEGUN_WITH,)}
)
events = chosen_of(EVENTS)
who = st.sampled_from(("first", "first", "first", "second"))
region = st.sampled_from(((), (), (), ("--region", "eu-west-1")))
#: Who is asked about data: nobody, somebody who names one path, somebody who names all.
_PATHS = tuple(f"DatabaseStack/{name}" for name in TABLES)
_ALL_PATHS = ",".join((*_PATHS, *(f"StorageStack/{name}" for name in TABLES), "AnnexStack/Ledger"))
consent = st.one_of(
    st.just(()),
    st.sampled_from(_PATHS).map(lambda path: ("--allow-data-loss", path)),
    st.just(("--allow-data-loss", _ALL_PATHS)),
)
flags = st.sampled_from(((), (), (), ("--disable-rollback",), ("--no-backup",), ("--shallow",)))
answers = st.sampled_from((QUIET, QUIET, QUIET, ("--json",), ("--yes",)))

waits = st.sampled_from(((), (), ("--wait",)))
switches = st.sampled_from(TABLES[:2]).map(
    lambda name: ("restore", "--switch", "--table", name, "--no-verify")
)
adoptions = st.tuples(st.sampled_from(_PATHS), st.integers(0, 3)).map(
    lambda given: (
        *("rescue.adopt", "--resource", given[0], "--physical-id", f"{{loose:{given[1]}}}"),
        "--no-verify",
    )
)

changes = st.one_of(
    st.tuples(st.sampled_from(("deploy", "update")), consent, flags, region, waits).map(
        lambda given: (given[0], *given[1], *given[2], *given[3], *given[4], "--no-verify")
    ),
    st.tuples(consent, region).map(lambda given: ("deploy", "--delete", *given[0], *given[1])),
    region.map(lambda where: ("rollback", *where)),
    st.tuples(st.integers(0, 4), consent).map(
        lambda given: ("rollback", "--to", f"{{release:{given[0]}}}", *given[1], "--no-verify")
    ),
    st.integers(0, 3).map(lambda number: ("apply", f"{{plan:{number}}}", "--no-verify")),
    st.sampled_from(((), ("--keep", "1"))).map(lambda keep: ("backup", *keep)),
    st.sampled_from(("1", "2")).map(lambda keep: ("prune", "--keep", keep)),
    st.sampled_from(TABLES).map(lambda name: ("restore", "--table", name)),
    st.one_of(switches, adoptions),
    st.just(("upload", "--json")),
)


#: Operations that change something: what becomes of them matters most.
_ACTS = (
    *("CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "RollbackStack", "DeleteStack"),
    *("CreateBackup", "RestoreTableFromBackup", "PUT Object", "POST Bucket?delete"),
)
#: A call: by its number, the first of an operation, or by its number among those that change
#: something, of which most tasks make less than ten.
acts = st.one_of(
    st.sampled_from(_ACTS[:2]), st.integers(1, 9).map(lambda number: f"{CHANGE} {number}")
)
calls: st.SearchStrategy[int | str] = st.one_of(st.integers(1, 45), st.sampled_from(_ACTS), acts)
#: After these AWS has done what it was asked for, and the task does not know.
_LOST = ("cut once, answer lost", "cut until botocore gives up, answers lost", "KILL after")
faults = st.one_of(st.sampled_from(tuple(BY_NAME)), st.sampled_from(_LOST))

#: Edits that are always one to what is deployed.
moving = chosen_of({n: EDITS[n] for n in ("secret", "tag", "output", "annex")})

perhaps = st.one_of(st.just(""), faults)
moving_tables = chosen_of({"rename-table": (_BEGUN_WITH, TABLES), "move-table": (_BEGUN_WITH,)})
meanwhile = st.sampled_from((("unlock",), ("unlock",), ("hours", "2"), ("drift", "0")))

#: What may be the matter with backups while a table is given up; mostly something is.
troubles: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    st.just(("lose-backups",)), st.just(("stall-backups",)), events
)


def task(words: tuple[str, ...], answered: tuple[str, ...]) -> tuple[str, ...]:
    """Return a task's arguments with those that say how questions are answered."""
    if words[0] in ("upload",):
        return words
    return (*words, *answered)


#: What a sequence is like: any rule, or those alone by which something goes wrong half way.
ANY, TROUBLED = "any", "troubled"
MOODS = (ANY, ANY, TROUBLED)
calm = precondition(lambda self: self.mood == ANY)


class Sequences(RuleBasedStateMachine):
    """Any order of operations."""

    stage: ClassVar[Stage]
    begun: ClassVar[int] = 0
    #: The moods that sequences are in, by their weight.
    moods: ClassVar[tuple[str, ...]] = MOODS

    def __init__(self) -> None:
        super().__init__()
        self.sequence: Played | None = None
        self.mood = ANY

    def play(self, step: Step) -> None:
        """Play a step, from nothing where no beginning was chosen."""
        if self.sequence is None:
            self.sequence = self.stage.begin("nothing")
        Sequences.last = self.sequence
        self.sequence.play(step)

    last: ClassVar[Any] = None

    @initialize(name=st.sampled_from(tuple(BEGINNINGS)), number=st.integers(0, len(MOODS) - 1))
    def begin(self, name: str, number: int) -> None:
        """Begin somewhere, in a mood."""
        Sequences.begun += 1
        self.mood = self.moods[number % len(self.moods)]
        self.sequence = self.stage.begin(name)

    @calm
    @rule(words=edits, by=who)
    def edit(self, words: tuple[str, ...], by: str) -> None:
        """Edit a template or a parameter."""
        self.play(Step("edit", words, by))

    @calm
    @rule(words=edits, more=edits)
    def edit_twice(self, words: tuple[str, ...], more: tuple[str, ...]) -> None:
        """Edit two things before anything is deployed."""
        self.play(Step("edit", words))
        self.play(Step("edit", more))

    @calm
    @rule(words=events)
    def happen(self, words: tuple[str, ...]) -> None:
        """Let something happen in the world."""
        self.play(Step("world", words))

    @calm
    @rule()
    def write(self) -> None:
        """Write into every table."""
        self.play(Step("world", ("write",)))

    @calm
    @rule(words=changes, answered=answers, by=who, again=st.booleans())
    def change(
        self, words: tuple[str, ...], answered: tuple[str, ...], by: str, again: bool
    ) -> None:
        """Run a task that changes something."""
        repeats = again and words[0] in ("deploy", "update")
        self.play(Step("task", task(words, answered), by, again=repeats))

    @calm
    @rule(given=consent, by=who, again=st.booleans())
    def deploy(self, given: tuple[str, ...], by: str, again: bool) -> None:
        """Deploy what the checkout says."""
        self.play(Step("task", ("deploy", *UNVERIFIED, *given), by, again=again))

    @calm
    @rule(words=edits, given=consent)
    def edit_and_update(self, words: tuple[str, ...], given: tuple[str, ...]) -> None:
        """Edit, and update at once."""
        self.play(Step("edit", words))
        self.play(Step("task", ("update", *UNVERIFIED, *given), again=True))

    @rule(words=edits, given=consent, fault=faults, at=calls)
    def edit_and_update_with_a_fault(
        self, words: tuple[str, ...], given: tuple[str, ...], fault: str, at: int | str
    ) -> None:
        """Edit, and update with a fault, then with none."""
        self.play(Step("edit", words))
        self.play(Step("task", ("update", *UNVERIFIED, *given), fault=fault, at=at))
        self.play(Step("task", ("update", *UNVERIFIED, *given), again=True))

    @rule(words=moving, fault=st.sampled_from(_LOST), at=acts)
    def lose_an_answer(self, words: tuple[str, ...], fault: str, at: str) -> None:
        """Edit and update, not learn what became of a change that was asked for, and come back."""
        update = ("update", *UNVERIFIED, "--allow-data-loss", _ALL_PATHS)
        self.play(Step("edit", words))
        self.play(Step("task", update, fault=fault, at=at))
        self.play(Step("task", update, again=True))

    @rule(words=giving_up, trouble=troubles)
    def give_a_table_up(self, words: tuple[str, ...], trouble: tuple[str, ...]) -> None:
        """Let a table go that holds something, in spite of trouble, and once more without it."""
        update = ("update", *UNVERIFIED, "--allow-data-loss", _ALL_PATHS)
        self.play(Step("world", ("write",)))
        self.play(Step("edit", words))
        self.play(Step("world", trouble))
        self.play(Step("task", update))
        self.play(Step("world", ("mend",)))
        self.play(Step("task", update))

    @calm
    @rule(event=events, words=edits, given=consent)
    def edit_and_update_after(
        self, event: tuple[str, ...], words: tuple[str, ...], given: tuple[str, ...]
    ) -> None:
        """Edit, and update right after something happened in the world."""
        self.play(Step("edit", words))
        self.play(Step("world", event))
        self.play(Step("task", ("update", *UNVERIFIED, *given)))

    @calm
    @rule(event=events, words=changes)
    def change_after(self, event: tuple[str, ...], words: tuple[str, ...]) -> None:
        """Run a task right after something happened in the world."""
        self.play(Step("world", event))
        self.play(Step("task", task(words, QUIET)))

    @rule(words=changes, fault=faults, at=calls)
    def change_with_a_fault(self, words: tuple[str, ...], fault: str, at: int | str) -> None:
        """Run a task one of whose calls meets a fault, then the same command again."""
        self.play(Step("task", task(words, QUIET), fault=fault, at=at))
        self.play(Step("task", task(words, QUIET)))

    @rule(words=changes, other=changes, at=calls)
    def change_meanwhile(
        self, words: tuple[str, ...], other: tuple[str, ...], at: int | str
    ) -> None:
        """Run a task while somebody else runs another one, whole, at one of its calls."""
        step = Step("task", task(other, QUIET), "second")
        self.play(Step("task", task(words, QUIET), at=at, meanwhile=step))

    @rule(words=changes, event=events, at=calls)
    def change_while(self, words: tuple[str, ...], event: tuple[str, ...], at: int | str) -> None:
        """Run a task while something happens in the world, at one of its calls."""
        if event[0] in ("write", "drop"):
            return
        step = Step("world", event)
        self.play(Step("task", task(words, QUIET), at=at, meanwhile=step))

    @calm
    @rule(number=st.integers(0, 3), given=consent, by=who)
    def plan(self, number: int, given: tuple[str, ...], by: str) -> None:
        """Write a plan."""
        words = ("plan", "--out", f"plan-{number}.json", *given, *QUIET)
        self.play(Step("task", words, by))

    @calm
    @rule(number=st.integers(0, 3), approved=st.sampled_from(("own", "other", "none")), by=who)
    @precondition(lambda self: self.sequence and self.sequence.model.plans)
    def apply(self, number: int, approved: str, by: str) -> None:
        """Apply a plan, perhaps with a digest that was approved, perhaps with another's."""
        digest = {
            "own": ("--digest", f"{{digest:{number}}}"),
            "other": ("--digest", "0" * 64),
            "none": (),
        }[approved]
        self.play(Step("task", ("apply", f"{{plan:{number}}}", *digest, *UNVERIFIED), by))

    @calm
    @rule(number=st.integers(0, 3))
    @precondition(lambda self: self.sequence and self.sequence.model.plans)
    def discard(self, number: int) -> None:
        """Discard a plan."""
        self.play(Step("task", ("plan.discard", f"{{plan:{number}}}", "--json")))

    @calm
    @rule(words=st.sampled_from((("plan",), ("deploy", "--preview"), ("update", "--preview"))))
    def preview(self, words: tuple[str, ...]) -> None:
        """Look at what would change."""
        self.play(Step("task", (*words, *QUIET)))

    def _rescue(self, words: tuple[str, ...], fault: str, at: int | str) -> None:
        """Run a task, with a fault where there is one, then what would go on with it."""
        if fault:
            self.play(Step("task", (*words, *QUIET), fault=fault, at=at))
        self.play(Step("task", (*words, *QUIET)))

    @rule(words=switches, fault=perhaps, at=calls)
    def switch(self, words: tuple[str, ...], fault: str, at: int | str) -> None:
        """Put a table that is restored from a new backup in the place of the one it was made of."""
        self.play(Step("world", ("write",)))
        self.play(Step("task", ("backup", *QUIET)))
        self._rescue(words, fault, at)

    @rule(words=moving_tables, fault=perhaps, at=calls)
    def refactor(self, words: tuple[str, ...], fault: str, at: int | str) -> None:
        """Move or rename a table in the templates, and have the stacks follow."""
        kind, name, *other = words
        self.play(Step("edit", words))
        old, new = f"DatabaseStack/{name}", f"DatabaseStack/{(other or [name])[0]}"
        if kind == "move-table":
            new = f"StorageStack/{name}"
        self._rescue(("rescue.refactor", "--move", f"{old}={new}"), fault, at)

    @calm
    @rule(fault=perhaps, at=calls)
    def delete_and_found_again(self, fault: str, at: int | str) -> None:
        """Delete the stack, and create one over what that one retained."""
        self.play(Step("task", ("deploy", "--delete", "--allow-data-loss", _ALL_PATHS, *QUIET)))
        self._rescue(("deploy", "--adopt", "all", "--no-verify"), fault, at)

    @rule(words=moving, other=meanwhile, at=st.integers(4, 25))
    def wait_behind_somebody(self, words: tuple[str, ...], other: tuple[str, ...], at: int) -> None:
        """Queue behind somebody's lock, which they give back, or not; meanwhile things happen."""
        self.play(Step("edit", words))
        self.play(Step("world", ("lock", "us-east-1")))
        self.play(Step("task", ("update", *UNVERIFIED)))
        waiting = ("update", "--wait", *UNVERIFIED)
        self.play(Step("task", waiting, at=at, meanwhile=Step("world", other)))

    @calm
    @rule(name=st.sampled_from(("status", "history", "outputs", "events", "verify")), where=region)
    def look(self, name: str, where: tuple[str, ...]) -> None:
        """Look."""
        self.play(Step("task", (name, *where, "--json")))

    @calm
    @rule(given=consent, order=st.sampled_from(("us-east-1,eu-west-1", "eu-west-1,us-east-1")))
    def deploy_everywhere(self, given: tuple[str, ...], order: str) -> None:
        """Deploy to both regions."""
        named = ()
        if given:
            paths = given[1].split(",")
            each = [f"{name}:{path}" for name in order.split(",") for path in paths]
            named = ("--allow-data-loss", ",".join(each))
        # Side by side the regions' calls would come in another order each time.
        self.play(
            Step(
                "task",
                ("deploy-multi-region", "--regions", order, "--sequential", *UNVERIFIED, *named),
            )
        )
