"""Take turns at a stack: hold its lock while it is changed, and queue behind whoever holds it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling
from lib.access import claim_nothing
from lib.errors import Locked, Refused
from lib.operators import Level
from lib.refusals import error_code, error_message, is_about_sign_in
from lib.releases import history, locks, store
from lib.releases.locks import LEASE, Found, Lock
from lib.stacks import watching

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job

#: After how many seconds a lock is written anew, and how soon that is tried again.
RENEWED_AFTER = 120.0
_TRIED_AGAIN_AFTER = 20.0

#: Seconds before the second look at somebody else's lock; operations last minutes.
_FIRST_PAUSE = 2.0

#: Seconds for which a release is tried while AWS or the network is at fault.
_RELEASE_PATIENCE = 15.0


@contextlib.contextmanager
def take_turn(job: Job, access: Access, task: str, *, early: bool = True) -> Iterator[Access]:
    """Give a workflow an access whose `claim` takes the stack's lock; release it at the end.

    `task` is what others are told: the task's name. Nothing is asked of AWS until the workflow
    claims its turn, unless the job waits: then its turn comes before anything is read, if that may
    be `early`. Its pauses renew the lock. A workflow within another's turn shares that.

    `claim` raises `Locked` where somebody else holds the lock and the job does not wait, and
    `Refused` where the lock was lost to somebody else since. Where no lock can be kept at all that
    is said once, and the work goes on: AWS itself refuses two operations at once.
    """
    if access.claim is not claim_nothing:
        yield access
        return
    turn = Turn(job, access, task)
    try:
        if job.waits and early:
            turn.claim()
        yield turn.access
    finally:
        turn.give_back()


@dataclass
class Turn:
    """One run's turn at a stack: what it knows of its lock."""

    job: Job
    outer: Access
    task: str
    lock: Lock | None = None
    etag: str = ""
    renewed: float = 0.0
    written: datetime | None = None
    tried: float = 0.0
    was_left: bool = False
    is_lost: bool = False
    is_unkept: bool = False
    # Whether a request to take the lock is without an answer.
    is_unsure: bool = False
    # A region's thread and the person's may both come to renew it.
    guard: threading.RLock = field(default_factory=threading.RLock)

    @property
    def access(self) -> Access:
        """Return the access of the workflow whose turn it is."""
        return replace(
            self.outer, clock=replace(self.outer.clock, sleep=self._sleep), claim=self.claim
        )

    def _sleep(self, seconds: float) -> None:
        # Without a pause it is only looked whether the lock has to be renewed.
        if seconds:
            self.outer.clock.sleep(seconds)
        self.tend()

    def _bucket(self) -> store.Bucket:
        return store.bucket_of(self.job, self.outer)

    def _describe_self(self) -> Lock:
        """Return the lock as it is to be written now."""
        now = self.outer.clock.now()
        before = self.lock
        return Lock(
            before.run if before else watching.new_token(),
            self.job.stack_name,
            self.task,
            self.outer.aws.identity().arn,
            before.since if before and self.etag else history.stamp(now),
            history.stamp(now + timedelta(seconds=LEASE)),
            self.outer.machine.name(),
            self.outer.machine.process(),
        )

    def claim(self) -> bool:
        """Take the lock, or make sure that it still is this run's; tell whether it was another's.

        Who waited for it, or took it over, has to read again what was read before. Called before
        anything is changed. A lease that has run out is renewed, unless somebody
        else has taken the lock over.
        """
        with self.guard:
            if self.is_lost:
                raise _refuse_lost(self.job, None)
            if self.is_unkept:
                return False
            was_others = not self.etag and self._take()
            if self.etag:
                self._keep()
            return was_others

    def _take(self) -> bool:
        """Take the lock, after whoever has it where the job waits; tell if it was another's."""
        held: Found | None = None
        try:
            held = self._try()
            if held and not self.job.waits:
                raise _refuse(self.job, held)
            if held:
                self._queue(held)
        except (BotoCoreError, ClientError) as exc:
            # An error is S3's answer to the request, and nothing was written.
            if isinstance(exc, ClientError) and exc.operation_name == "PutObject":
                self.is_unsure = False
            if is_about_sign_in(exc):
                raise
            # Where there is no bucket yet nobody has a lock; publishing makes the bucket.
            if error_code(exc) != "NoSuchBucket":
                self._go_without(exc)
        return held is not None or self.was_left

    def _try(self) -> Found | None:
        """Try to take the lock; return somebody else's that is in the way."""
        clock = self.outer.clock
        self.lock = lock = self._describe_self()
        began, now = clock.monotonic(), clock.now()
        bucket = self._bucket()
        self.is_unsure = True
        etag, other = locks.take(bucket, lock, self.outer.machine, now)
        self.is_unsure = False
        if not etag:
            return other
        self._note(lock, etag, began, now)
        self.was_left = other is not None
        if other:
            why = "it has expired" if other.has_expired else "its process here has ended"
            self.outer.say(
                f"The lock of {_where(self.job)} was left by {other.lock.who}; {why}, so it was "
                "taken over.",
                Level.WARNING,
            )
        return None

    def _queue(self, held: Found) -> None:
        """Wait until the lock is free, and take it."""
        bucket, clock = self._bucket(), self.outer.clock
        told = ""

        def look(_waited: float) -> bool | None:
            nonlocal told
            found = polling.ask_patiently(
                lambda: locks.read(bucket, self.job.stack_name, clock.now()), clock
            )
            if found is None or locks.is_free(found, self.outer.machine):
                found = self._try()
            if found is None:
                return True
            if found.lock.run != told:
                told = found.lock.run
                self.outer.say(f"Waiting for {found.lock.who}, who is changing {_where(self.job)}.")
            return None

        told = held.lock.run
        self.outer.say(f"Waiting for {held.lock.who}, who is changing {_where(self.job)}.")
        polling.until(look, clock, shortest=_FIRST_PAUSE)
        self.outer.say(f"It is this run's turn at {_where(self.job)}.")

    def _note(self, lock: Lock, etag: str, began: float, now: datetime) -> None:
        """Remember a lock that was written; its lease counts from before it was asked for."""
        self.lock, self.etag, self.renewed, self.written = lock, etag, began, now

    def _held_for(self) -> float:
        """Return the seconds since the lock was written.

        A machine that slept has stopped one of its clocks.
        """
        clock = self.outer.clock
        date = (clock.now() - self.written).total_seconds() if self.written else 0.0
        return max(clock.monotonic() - self.renewed, date)

    def _renew(self) -> None:
        """Write the lock anew; raises `Refused` where somebody else has it."""
        clock = self.outer.clock
        self.tried = began = clock.monotonic()
        lock, now = self._describe_self(), clock.now()
        etag = locks.renew(self._bucket(), lock, self.etag, now)
        if not etag:
            self.is_lost, self.etag = True, ""
            raise _refuse_lost(self.job, self._look())
        self._note(lock, etag, began, now)

    def _keep(self) -> None:
        """Renew the lock where that is due, before something is changed.

        An answer that was long under way leaves little of the lease that it is about.
        """
        try:
            while self._held_for() > RENEWED_AFTER:
                self._renew()
        except (BotoCoreError, ClientError) as exc:
            if is_about_sign_in(exc) or self._held_for() > LEASE:
                raise

    def tend(self) -> None:
        """Renew the lock where that is due, in a pause; what goes wrong ends no operation."""
        with self.guard:
            clock = self.outer.clock
            if not self.etag or self._held_for() <= RENEWED_AFTER:
                return
            if clock.monotonic() - self.tried < _TRIED_AGAIN_AFTER:
                return
            try:
                self._renew()
            except Refused as exc:
                self.outer.say(f"{exc.message} AWS goes on with what it does.", Level.WARNING)
            except (BotoCoreError, ClientError):
                # Tried again; if it never comes right, the lease runs out, as others can see.
                return

    def give_back(self) -> None:
        """Release the lock, if it is held or may be; what cannot be released expires."""
        with self.guard:
            lock = self.lock
            if lock is None or not (self.etag or self.is_unsure):
                return
            try:
                self._release(lock)
            except KeyboardInterrupt:
                # It ends the run, and with it the need of the lock. A second one is obeyed at once.
                self._release(lock)
                raise
            finally:
                self.etag, self.is_unsure = "", False

    def _release(self, lock: Lock) -> None:
        bucket, clock = self._bucket(), self.outer.clock
        try:
            polling.ask_patiently(
                lambda: locks.release(bucket, lock, self.etag, clock.now()),
                clock,
                _RELEASE_PATIENCE,
            )
        except (BotoCoreError, ClientError) as exc:
            self.outer.say(
                f"The lock of {_where(self.job)} could not be released: {error_message(exc)} It "
                f"expires at {locks.tell_time(lock.until)}.",
                Level.WARNING,
            )

    def _look(self) -> Found | None:
        """Return who has the lock now, as far as that can be told."""
        try:
            return locks.read(self._bucket(), self.job.stack_name, self.outer.clock.now())
        except (BotoCoreError, ClientError):
            return None

    def _go_without(self, exc: Exception) -> None:
        """Say, once, why no lock is kept."""
        self.is_unkept = True
        code = error_code(exc)
        said = f"{code}: {error_message(exc)}" if code else error_message(exc)
        self.outer.say(
            f"No lock is kept on {_where(self.job)} ({said}); AWS itself refuses two operations at "
            "once.",
            Level.WARNING,
        )


def _refuse(job: Job, held: Found) -> Locked:
    lock = held.lock
    return Locked(
        f"{lock.who} is changing {_where(job)}; the lock holds until "
        f"{locks.tell_time(lock.until)} and is renewed for as long as that goes on. "
        "Nothing was changed.",
        next_step="run the same command with --wait to go next; "
        f"`inv status {job.flags}` shows what is going on",
        details={"held": {"by": lock.by, "task": lock.task, "since": lock.since}},
    )


def _refuse_lost(job: Job, found: Found | None) -> Locked:
    whose = f": {found.lock.who} has taken it over" if found else ""
    return Locked(
        f"The lock of {_where(job)} was lost, because it was not renewed in time{whose}.",
        next_step="run the same command again, to see what would change now; with --wait it "
        "goes next",
    )


def _where(job: Job) -> str:
    return f"stack {job.stack_name} in {job.region}"
