"""Carry out one deployment: propose, show, guard the data, ask, execute what was shown, wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling
from lib.data import consent, loss
from lib.deploy import deletions
from lib.deploy.outcomes import Outcome, conclude, list_changes
from lib.errors import Declined, OperationFailed, StateForbids
from lib.inputs import parameters
from lib.inputs.jobs import Job, Options, tags_of
from lib.operators import Level
from lib.refusals import error_code, error_message
from lib.releases import history, releases
from lib.stacks import changesets, deployed, events, previews, stacks, statuses, watching
from lib.stacks.previews import ChangeSet
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Decision, Move, Operation, Status
from lib.templates import comparison, contracts, templates
from lib.templates.changes import Change

if TYPE_CHECKING:
    from lib.access import Access
    from lib.releases.releases import Published, Release
    from lib.stacks.deployed import Deployed
    from lib.stacks.events import Ending

#: How often an update starts over because somebody else changed the stack meanwhile.
FRESH_STARTS = 3

_STOPS = {"CREATE": watching.STOP_CREATION, "UPDATE": watching.STOP_UPDATE}
_VERBS = {"updated": "update", "rolled-back": "rollback"}


@dataclass(frozen=True)
class Run:
    """One deployment under way: the job and everything published for it.

    `action` is what a successful change of an existing stack is called.
    """

    job: Job
    access: Access
    options: Options
    release: Release
    published: Published
    values: Mapping[str, str]
    action: str = "updated"

    def proceed(self, stack: Stack | None, decision: Decision) -> Outcome:
        """Do what was decided for the stack's state."""
        if decision.move is Move.REPLACE and stack is not None:
            if self.options.preview:
                raise StateForbids(
                    f"Stack {stack.name} in {self.job.region} is {stack.status}: {decision.why}. "
                    "There is nothing to preview against.",
                    next_step=f"inv deploy {self.job.flags}",
                )
            self._clear(stack, decision)
            return self._create()
        if decision.move is Move.CREATE and not self.options.preview:
            return self._create()
        if decision.move in (Move.CREATE, Move.CREATE_BY_CHANGE_SET):
            return self._change("CREATE", None)
        return self._change("UPDATE", stack)

    def _clear(self, stack: Stack, decision: Decision) -> None:
        """Delete what a failed creation left, after asking."""
        question = (
            f"Stack {stack.name} in {self.job.region} is {stack.status}: {decision.why}. "
            "Delete what is left and create it again?"
        )
        if not self.access.operator.confirm(question, "y"):
            raise Declined(f"Stack {stack.name} was left as it is ({stack.status}).")
        deletions.clear(self.job, self.access, self.options, stack)

    def _create(self) -> Outcome:
        """Create the stack and follow it to its end."""
        self._verify_release()
        self.access.say(f"Creating stack {self.job.stack_name} in {self.job.region}.")
        record = self._start_record("create", "")
        token = watching.new_token()
        with watching.leaving_running(self.job, self.access, stop=watching.STOP_CREATION):
            stack_id = self._start_creation(token)
        ending = watching.wait(self.job, self.access, stack_id, None, stop=watching.STOP_CREATION)
        return self._close("created", stack_id, ending, record, ())

    def _start_creation(self, token: str) -> str:
        """Ask for the stack's creation and return its ID."""
        cfn = self.access.aws.client("cloudformation")
        try:
            return stacks.create(
                cfn,
                self.job.stack_name,
                self.published.master_url,
                parameters=self.values,
                capabilities=contracts.capabilities(self.job.templates),
                tags=tags_of(self.job),
                token=token,
                disable_rollback=self.options.disable_rollback,
                express=self.options.express,
            )
        except ClientError as exc:
            if error_code(exc) not in ("AlreadyExistsException", stacks.REPEATED_CODE):
                raise
        # A retry after a connection that broke meets the stack that the first try made.
        ours = stacks.find_started(cfn, self.job.stack_name, token)
        if ours:
            return ours
        raise StateForbids(
            f"Somebody else has just created stack {self.job.stack_name} in {self.job.region}.",
            next_step=f"inv events --follow {self.job.flags}",
        )

    def _change(self, kind: str, stack: Stack | None) -> Outcome:
        """Propose, show, ask, and execute exactly what was shown; start over when overtaken."""
        for _ in range(FRESH_STARTS):
            try:
                return self._change_once(kind, stack)
            except previews.ChangeSetStale as exc:
                self.access.say(exc.message, Level.WARNING)
                self.access.say("Starting over with the stack as it is now.")
                stack = self._look_again(kind)
        raise StateForbids(
            f"Stack {self.job.stack_name} in {self.job.region} keeps being changed by others.",
            next_step=f"inv history {self.job.flags}",
        )

    def _look_again(self, kind: str) -> Stack | None:
        """Return the stack as somebody else left it, if this change still applies to it."""
        stack = stacks.describe(self.access.aws.client("cloudformation"), self.job.stack_name)
        status = stack.status if stack else Status.ABSENT
        decision = statuses.decide(Operation.DEPLOY, status)
        creates = decision.move in (Move.CREATE, Move.CREATE_BY_CHANGE_SET)
        if decision.move is Move.UPDATE or (kind == "CREATE" and creates):
            return stack
        raise StateForbids(
            f"Somebody else has changed stack {self.job.stack_name} in {self.job.region} "
            f"meanwhile; it is {status} now.",
            next_step=f"inv status {self.job.flags}",
        )

    def _change_once(self, kind: str, stack: Stack | None) -> Outcome:
        """Make one change set, and execute or discard it."""
        cfn = self.access.aws.client("cloudformation")
        change_set_id, stack_id = self._propose(kind)
        try:
            proposed = previews.wait(cfn, change_set_id, kind=kind, clock=self.access.clock)
            if proposed.is_empty:
                self._discard(change_set_id, stack_id, kind)
                return self._unchanged(stack)
            self._require_usable(proposed)
            before = deployed.read(cfn, stack) if stack else None
            changes, same = self._judge(proposed, before)
            if same:
                self._discard(change_set_id, stack_id, kind)
                return self._unchanged(stack)
            self._show(changes, proposed, before)
            if self.options.preview:
                self._discard(change_set_id, stack_id, kind)
                return replace(self._unchanged(stack), changes=changes)
            arns = self._guard(kind, changes, before)
            after = events.mark(cfn, stack_id) if stack else None
            record = self._start_record(
                "create" if kind == "CREATE" else _VERBS[self.action], stack_id
            )
        except BaseException:
            # Ctrl-C included: a change set that is not executed must not pile up.
            self._tidy_up(lambda: self._discard(change_set_id, stack_id, kind))
            raise
        self._execute(
            change_set_id,
            stack_id,
            kind,
            record,
            paused=stack is not None and stack.status.is_paused,
        )
        ending = watching.wait(self.job, self.access, stack_id, after, stop=_STOPS[kind])
        action = "created" if kind == "CREATE" else self.action
        return self._close(action, stack_id, ending, record, changes, arns)

    def _tidy_up(self, call: Callable[[], None]) -> None:
        """Make a call that must not take the place of the error that led to it."""
        try:
            call()
        except (BotoCoreError, ClientError) as exc:
            self.access.say(
                f"A change set of stack {self.job.stack_name} in {self.job.region} may be left: "
                f"{error_message(exc)}",
                Level.WARNING,
            )

    def _discard_unanswered(self, name: str, token: str, kind: str) -> None:
        """Delete what a request for a change set made before its answer was lost."""
        cfn = self.access.aws.client("cloudformation")
        made = changesets.find_own(cfn, self.job.stack_name, name=name, token=token)
        if made:
            self._discard(*made, kind)

    def _discard(self, change_set_id: str, stack_id: str, kind: str) -> None:
        """Delete a change set that is not executed, and the shell of a creation."""
        changesets.discard(
            self.access.aws.client("cloudformation"),
            change_set_id,
            stack_id=stack_id,
            kind=kind,
            clock=self.access.clock,
        )

    def _execute(
        self,
        change_set_id: str,
        stack_id: str,
        kind: str,
        record: history.Record,
        *,
        paused: bool,
    ) -> None:
        """Execute the change set that was shown, by its ARN.

        A stack that is `paused` after a failure without rollback only takes an operation
        that again does not roll back.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
        """
        try:
            with watching.leaving_running(self.job, self.access, stop=_STOPS[kind]):
                changesets.execute(
                    self.access.aws.client("cloudformation"),
                    change_set_id,
                    stack_id=stack_id,
                    token=watching.new_token(),
                    disable_rollback=self.options.disable_rollback or paused,
                )
        except previews.ChangeSetStale:
            self._complete_record(record, "OVERTAKEN", stack_id)
            self._tidy_up(lambda: self._discard(change_set_id, stack_id, kind))
            raise

    def _propose(self, kind: str) -> tuple[str, str]:
        """Ask CloudFormation for a change set; return its ARN and the stack's."""
        token = watching.new_token()
        name = changesets.name_for(self.access.clock.now(), self.release.name, token)
        try:
            return self._ask_for_change_set(kind, name, token)
        except BaseException:
            # Ctrl-C included: AWS may have made it although its answer did not arrive.
            self._tidy_up(lambda: self._discard_unanswered(name, token, kind))
            raise

    def _ask_for_change_set(self, kind: str, name: str, token: str) -> tuple[str, str]:
        """Make the request for a change set."""
        secrets = parameters.list_secrets(self.job.templates[templates.MASTER].parameters)
        return changesets.create(
            self.access.aws.client("cloudformation"),
            self.job.stack_name,
            name=name,
            template_url=self.published.master_url,
            parameters=self.values,
            capabilities=contracts.capabilities(self.job.templates),
            tags=tags_of(self.job),
            kind=kind,
            token=token,
            revert_drift=self.options.revert_drift,
            express=self.options.express,
            # No record holds them, so a return to an earlier release keeps the deployed ones.
            previous=secrets - set(self.values) if kind == "UPDATE" else frozenset(),
        )

    def _require_usable(self, proposed: ChangeSet) -> None:
        """Raise `OperationFailed` for a change set that AWS could not make."""
        if proposed.status != "FAILED":
            return
        raise OperationFailed(
            "\n".join(
                [
                    (
                        f"CloudFormation cannot make this change to stack {self.job.stack_name} "
                        f"in {self.job.region}: {proposed.reason}"
                    ),
                    *(f"  - {problem}" for problem in proposed.problems),
                ]
            ),
            next_step=f"mend the template or the parameters, then inv deploy {self.job.flags}",
        )

    def _judge(
        self, proposed: ChangeSet, before: Deployed | None
    ) -> tuple[tuple[Change, ...], bool]:
        """Return the changes with a verdict on data, and whether there are none at all.

        The verdict is the worse of AWS's word and our own comparison. AWS can call a change
        set complete that changes nothing, when it only could not rule a change out.
        """
        declared = self.job.templates[templates.MASTER].parameters
        # A deployed NoEcho value is read back masked, so the new one is compared masked.
        after = deployed.resolve_for(
            self.job,
            self.access,
            self.job.templates,
            parameters.mask_secrets(self.values, declared),
        )
        old = deployed.resolve_deployed(self.job, self.access, before) if before else None
        if before is None or old is None:
            return loss.judge(proposed.changes, None, after), False
        compared = comparison.compare(
            old, after, region=self.job.region, physical_ids=before.physical_ids
        )
        if not proposed.complete:
            self.access.say(
                "Not every change inside nested stacks could be read from this endpoint; the "
                "deployed templates are compared with the new ones instead.",
                Level.WARNING,
            )
        merged = loss.merge(proposed.changes, compared)
        same = proposed.complete and not merged and old.outputs == after.outputs
        return loss.judge(merged, old, after), same

    def _show(
        self, changes: Sequence[Change], proposed: ChangeSet, before: Deployed | None
    ) -> None:
        """Show every change with its causes and what it does to data."""
        title = f"Changes to stack {self.job.stack_name} in {self.job.region}:"
        self.access.operator.report(list_changes(title, changes))
        for warning in proposed.warnings:
            self.access.say(warning, Level.WARNING)
        if self.options.revert_drift and not proposed.reverts_drift:
            self.access.say("This endpoint does not take drift back.", Level.WARNING)
        consent.warn_of_drift(self.access, changes, before)

    def _guard(
        self, kind: str, changes: tuple[Change, ...], before: Deployed | None
    ) -> tuple[str, ...]:
        """Get every consent, back up what is at risk, and return the backups' ARNs."""
        risks = loss.at_risk(changes)
        consent.require_consent(self.job, self.access, risks, self.options.allow_data_loss)
        if not risks:
            consent.warn_without_pitr(self.job, self.access, before)
        if not self._agrees(kind, changes):
            raise Declined(f"Stack {self.job.stack_name} in {self.job.region} was not changed.")
        self._verify_release()
        tables = loss.tables_at_risk(changes)
        return consent.back_up(self.job, self.access, tables, wanted=self.options.backup)

    def _agrees(self, kind: str, changes: Sequence[Change]) -> bool:
        """Ask whether to go ahead."""
        verb = "Create" if kind == "CREATE" else "Update"
        question = (
            f"{verb} stack {self.job.stack_name} in {self.job.region} "
            f"({len(changes)} changes, release {self.release.name})?"
        )
        return self.access.operator.confirm(question, "y")

    def _verify_release(self) -> None:
        """Refuse a release that no longer holds what was published."""
        releases.verify(
            self.access.aws.client("s3"),
            self.published.bucket,
            {file.key: file.sha256 for file in self.release.files},
            owner=self.access.aws.identity().account,
        )

    def _start_record(self, action: str, stack_id: str) -> history.Record:
        """Write down what is about to happen."""
        declared = self.job.templates[templates.MASTER].parameters
        identity = self.access.aws.identity()
        record = history.Record(
            release=self.release.name,
            time=history.stamp(self.access.clock.now()),
            action=action,
            status=history.STARTED,
            by=identity.arn,
            stack=self.job.stack_name,
            stack_id=stack_id,
            parameters=parameters.without_secrets(self.values, declared),
        )
        self._write_record(record)
        return record

    def _write_record(self, record: history.Record) -> None:
        """Write a record beside the releases."""
        aws = self.access.aws
        owner = aws.identity().account
        history.write(aws.client("s3"), self.published.bucket, record, owner=owner)

    def _complete_record(self, record: history.Record, status: str, stack_id: str) -> None:
        """Write down how it ended, which must not make a failure of what has succeeded."""
        done = history.complete(record, status=status, stack_id=stack_id)
        try:
            polling.ask_patiently(lambda: self._write_record(done), self.access.clock)
        except (BotoCoreError, ClientError) as exc:
            self.access.say(
                f"How this ended ({status}) could not be written to the history: "
                f"{error_message(exc)}",
                Level.WARNING,
            )

    def _close(
        self,
        action: str,
        stack_id: str,
        ending: Ending,
        record: history.Record,
        changes: tuple[Change, ...],
        arns: tuple[str, ...] = (),
    ) -> Outcome:
        """Complete the record and return what became of the operation."""
        self._complete_record(record, ending.status, stack_id)
        outcome = conclude(self.job, action, stack_id, ending)
        return replace(outcome, release=self.release.name, changes=changes, backups=arns)

    def _unchanged(self, stack: Stack | None) -> Outcome:
        """Return the outcome of a change set without changes."""
        return Outcome(
            "unchanged",
            self.job.stack_name,
            stack.id if stack else "",
            self.job.region,
            self.job.environment,
            stack.status if stack else Status.ABSENT,
            self.release.name,
            outputs=stack.outputs if stack else {},
            preview=self.options.preview,
        )
