"""Judge what a change set would do, data first, and show it; nothing is changed here."""

from __future__ import annotations

import re
from collections import ChainMap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from lib.data import consent, loss
from lib.deploy import unfinished
from lib.deploy.change_list import list_changes
from lib.errors import OperationFailed
from lib.inputs import parameters
from lib.operators import Level
from lib.stacks import deployed
from lib.templates import comparison, moves, proofs, remainder, templates
from lib.templates.resolution import Tree
from lib.templates.unknowns import fill_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lib.deploy.outcomes import Outcome
    from lib.deploy.publishing import Run
    from lib.stacks.deployed import Deployed
    from lib.stacks.previews import ChangeSet
    from lib.stacks.stacks import Stack
    from lib.templates.changes import Change
    from lib.templates.moves import Relocation
    from lib.templates.templates import Template


@dataclass(frozen=True)
class Review:
    """What a change set comes to: every change with a verdict on data.

    `changes_nothing` may be true of a change set with rows, where AWS could only not rule a
    change out. `besides` names what changes and is no resource: outputs, exports, a nested
    stack's own policy. `before` is what was deployed, None for a creation and where nobody had
    to look. `moves` are removals and additions that look like one resource in another place.
    """

    changes: tuple[Change, ...] = ()
    changes_nothing: bool = False
    besides: tuple[str, ...] = ()
    before: Deployed | None = None
    moves: tuple[Relocation, ...] = ()

    def onto(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what was reviewed."""
        return replace(outcome, changes=self.changes, besides=self.besides)

    def leave_out_changed(self, paths: Iterable[str]) -> frozenset[str]:
        """Return those nested stacks that no change is in, whoever found it."""
        return frozenset(
            path
            for path in paths
            if not any(change.path.startswith(f"{path}/") for change in self.changes)
        )

    def list_real(self) -> list[Change]:
        """Return the changes that are not phantoms."""
        return [change for change in self.changes if not change.is_phantom]

    def count(self) -> str:
        """Say how much changes, for a question."""
        real = self.list_real()
        return "no resource changes" if self.besides and not real else f"{len(real)} changes"


def judge(run: Run, proposed: ChangeSet, stack: Stack | None) -> Review:
    """Return the verdict on a change set of a stack, or of a new one.

    The verdict is the worse of AWS's word and our own comparison, but for what is proven. Raises
    `OperationFailed` for a change set that AWS could not make.
    """
    if proposed.is_empty:
        return Review(changes_nothing=True)
    _require_usable(run, proposed)
    published = _published_texts(run)
    before = (
        deployed.read(run.cfn, stack, known=published, nested=proposed.nested) if stack else None
    )
    after = _fill_in(resolve_wanted(run), run.options.known)
    old = deployed.resolve_deployed(run.job, run.access, before) if before else None
    if before is None or old is None:
        return Review(
            loss.judge(_complete(run, proposed, stack, after), None, after), before=before
        )
    # AWS names most in its rows; what it leaves out costs a call per stack.
    told = {change.path: change.physical_id for change in proposed.changes if change.physical_id}
    ids = ChainMap(told, cast("dict[str, str]", before.physical_ids))
    compared = comparison.compare(old, after, region=run.job.region, physical_ids=ids)
    if not proposed.complete:
        run.access.say(_UNREAD, Level.WARNING)
    merged = loss.merge(proposed.changes, compared)
    stable = unfinished.read_stable(run, stack) if stack else None
    if stack and stable:
        rest = unfinished.list_rest(run, stack, stable, after, merged, complete=proposed.complete)
        merged, old = loss.merge(merged, rest), unfinished.join(old, stable)
    if proposed.complete and not _has_macros(before.folder, run.job.templates):
        merged = proofs.settle(merged, old, after, region=run.job.region)
    besides = _list_besides(run, before, old, after)
    same = proposed.complete and not besides and all(change.is_phantom for change in merged)
    apart = _leave_out_resources(besides, merged)
    judged = loss.judge(merged, old, after, absent=before.absent)
    found = moves.find(old, after, region=run.job.region)
    same = same and not run.options.settles
    return Review(consent.count_items(run.access, judged), same, apart, before, found)


_UNREAD = (
    "Not every change inside nested stacks could be read; the "
    "deployed templates are compared with the new ones instead."
)


def _fill_in(tree: Tree, known: Mapping[str, str]) -> Tree:
    """Return a tree in which the references that are known have their values."""
    if not known:
        return tree
    return replace(
        tree,
        resources=tuple(
            replace(one, properties=fill_in(one.properties, known)) for one in tree.resources
        ),
        outputs=fill_in(tree.outputs, known),
        parameters=fill_in(tree.parameters, known),
    )


def resolve_wanted(run: Run) -> Tree:
    """Evaluate what is to be deployed; a NoEcho value is read back masked, so it is masked."""
    declared = run.job.templates[templates.MASTER].parameters
    values = parameters.mask_secrets(run.values, declared)
    return deployed.resolve_for(run.job, run.access, run.job.templates, values)


def _complete(
    run: Run, proposed: ChangeSet, stack: Stack | None, after: Tree
) -> tuple[Change, ...]:
    """Return the changes of a proposal, with what a creation brings that AWS did not list."""
    if proposed.complete or stack is not None:
        return proposed.changes
    if run.asks:
        run.access.say(
            "What is inside nested stacks could not be read; it is listed from the templates "
            "instead.",
            Level.WARNING,
        )
    new = comparison.compare(Tree((), {}, {}), after, region=run.job.region)
    return loss.merge(proposed.changes, new)


def _has_macros(*folders: Mapping[str, Template]) -> bool:
    """Tell whether a macro has a say in what any of these templates come to."""
    return any(
        "Transform" in one.body or "Fn::Transform" in one.text or "Fn::ForEach" in one.text
        for folder in folders
        for one in folder.values()
    )


def _list_besides(run: Run, before: Deployed, old: Tree, after: Tree) -> tuple[str, ...]:
    """Return what differs beside resources, but for nested stacks that are off, and stay off.

    One that its condition leaves out has no template that is deployed to compare with.
    """
    off = before.absent - {one.path for one in after.resources}
    found = remainder.list_differences(before.folder, run.job.templates, old, after)
    return tuple(what for what in found if what.rpartition(" of ")[2] not in off)


def _leave_out_resources(besides: Sequence[str], changes: Sequence[Change]) -> tuple[str, ...]:
    """Leave out what a row tells already, and the parameters behind it."""
    paths = {change.path for change in changes if not change.is_phantom}
    if not paths:
        return tuple(besides)
    return tuple(
        what
        for what in besides
        if what.rpartition(" of ")[2] not in paths and not _BEHIND_A_ROW.match(what)
    )


#: What changes resources and nothing else: a parameter, or a nested stack that is given it.
_BEHIND_A_ROW = re.compile(r"the (parameter|section) |Properties of ")


def _published_texts(run: Run) -> dict[str, str]:
    """Return the texts of the release by key; one that was not just built has them in the job."""
    return {
        file.key: file.content.decode() or run.job.templates[file.name].text
        for file in run.release.files
    }


def _require_usable(run: Run, proposed: ChangeSet) -> None:
    """Raise `OperationFailed` for a change set that AWS could not make."""
    if proposed.status != "FAILED":
        return
    raise OperationFailed(
        "\n".join(
            [
                (
                    f"CloudFormation cannot make this change to stack {run.job.stack_name} "
                    f"in {run.job.region}: {proposed.reason}"
                ),
                *(f"  - {problem}" for problem in proposed.problems),
            ]
        ),
        next_step=f"mend the template or the parameters, then inv deploy {run.job.flags}",
    )


#: What is named of all that changes beside resources; the rest is counted.
_BESIDES_AT_MOST = 8


def _list(names: Sequence[str]) -> str:
    """Return names as a list in a sentence, cut to what can be read."""
    rest = len(names) - _BESIDES_AT_MOST
    return ", ".join([*names[:_BESIDES_AT_MOST], *([f"{rest} more"] if rest > 0 else [])])


def _describe_moves(run: Run, found: Sequence[Relocation]) -> str:
    """Say what would be removed and made anew though it only stands elsewhere in the templates."""
    many = len(found) > 1
    names = _list([f"{one.source} to {one.destination}" for one in found])
    return (
        f"{names}: {'these look' if many else 'this looks'} moved, and an update would make "
        f"{'them' if many else 'it'} new and empty. To move {'them' if many else 'it'} with what "
        f"{'they hold' if many else 'it holds'}: {command_to_move(run, found)}"
    )


def command_to_move(run: Run, found: Sequence[Relocation]) -> str:
    """Return the command that moves resources instead of making them anew."""
    return f"`inv rescue.refactor --move {moves.name(found)} {run.job.flags}`"


def show(run: Run, proposed: ChangeSet, found: Review) -> None:
    """Show every change with what it does to data, the month's cost, and what AWS warns of."""
    where = f"stack {run.job.stack_name} in {run.job.region}"
    if found.changes and run.asks:
        run.access.operator.report(list_changes(f"Changes to {where}:", found.changes))
        if run.price and (cost := run.price(run.job, found.before)):
            run.access.say(cost)
    if found.besides:
        real = any(not change.is_phantom for change in found.changes)
        alone = "Also changes" if real else f"No resource of {where} changes, only"
        run.access.say(f"{alone}: {_list(found.besides)}.")
    if found.moves:
        run.access.say(_describe_moves(run, found.moves), Level.WARNING)
    for warning in proposed.warnings:
        run.access.say(warning, Level.WARNING)
    if run.options.revert_drift and not proposed.reverts_drift:
        run.access.say("This endpoint does not take drift back.", Level.WARNING)
    consent.warn_of_drift(run.access, found.changes, found.before)
