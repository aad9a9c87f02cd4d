"""Say what each operation does in each of the states a stack can be in.

Pure. One table, total over the 23 states and "absent" for deploy, update, rollback and
delete. The documentation is printed from it, and the workflows decide by it before they
call, because the server does not refuse everything that goes wrong later.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Status(enum.StrEnum):
    """The states of a stack, in the order of botocore's model, and the lack of one."""

    ABSENT = "ABSENT"
    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_COMPLETE = "ROLLBACK_COMPLETE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETE_FAILED = "DELETE_FAILED"
    DELETE_COMPLETE = "DELETE_COMPLETE"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    UPDATE_FAILED = "UPDATE_FAILED"
    UPDATE_ROLLBACK_IN_PROGRESS = "UPDATE_ROLLBACK_IN_PROGRESS"
    UPDATE_ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"
    UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_ROLLBACK_COMPLETE = "UPDATE_ROLLBACK_COMPLETE"
    REVIEW_IN_PROGRESS = "REVIEW_IN_PROGRESS"
    IMPORT_IN_PROGRESS = "IMPORT_IN_PROGRESS"
    IMPORT_COMPLETE = "IMPORT_COMPLETE"
    IMPORT_ROLLBACK_IN_PROGRESS = "IMPORT_ROLLBACK_IN_PROGRESS"
    IMPORT_ROLLBACK_FAILED = "IMPORT_ROLLBACK_FAILED"
    IMPORT_ROLLBACK_COMPLETE = "IMPORT_ROLLBACK_COMPLETE"

    @property
    def is_running(self) -> bool:
        """Tell whether CloudFormation is at work; a stack under review only waits for people."""
        return self.endswith("_IN_PROGRESS") and self is not Status.REVIEW_IN_PROGRESS

    @property
    def is_paused(self) -> bool:
        """Tell whether rollback was disabled and the stack waits half way.

        CloudFormation updates such a stack only with rollback disabled again.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
        """
        return self in (Status.CREATE_FAILED, Status.UPDATE_FAILED)

    @property
    def is_healthy(self) -> bool:
        """Tell whether the last operation that ran has done what was asked of it."""
        return self in _HEALTHY


_HEALTHY = frozenset(
    {
        Status.CREATE_COMPLETE,
        Status.UPDATE_COMPLETE,
        Status.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
        Status.IMPORT_COMPLETE,
        Status.DELETE_COMPLETE,
    }
)

#: How an operation ends that CloudFormation has taken back.
ROLLED_BACK = frozenset(
    {
        Status.ROLLBACK_COMPLETE,
        Status.UPDATE_ROLLBACK_COMPLETE,
        Status.IMPORT_ROLLBACK_COMPLETE,
    }
)


class Operation(enum.StrEnum):
    """What an operator may ask for."""

    DEPLOY = "deploy"
    UPDATE = "update"
    ROLLBACK = "rollback"
    DELETE = "delete"


class Move(enum.Enum):
    """How an operation proceeds."""

    CREATE = "create the stack"
    CREATE_BY_CHANGE_SET = "create it through a change set"
    UPDATE = "update through a change set"
    REPLACE = "with consent, delete what is left and create it again"
    DELETE = "delete the stack"
    ROLL_BACK = "RollbackStack"
    CONTINUE_ROLLBACK = "ContinueUpdateRollback"
    CANCEL_UPDATE = "CancelUpdateStack"
    WAIT = "wait, follow, then decide again"
    NOTHING = "nothing to do"
    REFUSE = "refuse"


#: The moves after which everything in the stack is new.
CREATIONS = frozenset({Move.CREATE, Move.CREATE_BY_CHANGE_SET, Move.REPLACE})


@dataclass(frozen=True)
class Decision:
    """What to do in one state: the move, why, and for a refusal the command that helps.

    `next_step` may contain `{stack}` and `{target}`; the latter stands for the flags that
    name environment, region and stack.
    """

    move: Move
    why: str = ""
    next_step: str = ""


_FOLLOW = "inv events --follow {target}"
_HISTORY = "inv history {target}, then inv rollback --to RELEASE {target}"

_BUSY = Decision(
    Move.REFUSE, "somebody's operation is running on this stack; only one can", _FOLLOW
)
_CLEANING = Decision(Move.WAIT, "the last update is done and old resources are being removed")
_UPDATE = Decision(Move.UPDATE)
_NOT_THERE = Decision(Move.REFUSE, "there is no such stack", "inv deploy {target}")
_STUCK = Decision(
    Move.REFUSE,
    "the last rollback failed and CloudFormation takes nothing else until it is finished",
    "inv rollback {target}",
)
_REPLACE = Decision(
    Move.REPLACE, "its creation failed and was rolled back; such a stack can only be deleted"
)
_REPLACE_FAILED = Decision(
    Move.REPLACE, "its creation failed and so did the rollback; such a stack can only be deleted"
)
_HALF_DELETED = Decision(
    Move.REFUSE, "its deletion failed half way", "inv deploy --delete {target}"
)
_IMPORT_STUCK = Decision(
    Move.REFUSE,
    "the rollback of an import failed and CloudFormation takes nothing else until it is finished",
    "inv rollback {target}",
)
#: ContinueUpdateRollback is documented "for a specified stack that's in the
#: UPDATE_ROLLBACK_FAILED state". Whether AWS takes it after an import nobody is known to have
#: seen, so it is asked, and a refusal names the other way: deleting the stack, which keeps what
#: was imported, since that has to have a DeletionPolicy.
_IMPORT_RETRY = Decision(
    Move.CONTINUE_ROLLBACK, "tries to finish the rollback of the import, if AWS takes that"
)
_RESUME = Decision(
    Move.UPDATE, "the last operation failed and was not rolled back; an update goes on from there"
)
_UNCREATED = Decision(
    Move.REFUSE,
    "it was never created: nothing to update or roll back",
    "inv deploy {target}, or take the empty shell away: inv deploy --delete {target}",
)
_NEVER_WORKED = Decision(
    Move.REFUSE, "its creation failed and there is no earlier state", "inv deploy {target}"
)
_IS_GOOD = Decision(
    Move.REFUSE, "nothing has failed; to return to an earlier release, name it", _HISTORY
)
_DELETE = Decision(Move.DELETE)
_GONE = Decision(Move.NOTHING, "there is no such stack")
_ENDING = Decision(Move.WAIT, "a rollback is under way")
_DELETING = Decision(
    Move.REFUSE, "it is being deleted; when that has ended it can be created again", _FOLLOW
)
_BUSY_DELETE = Decision(
    Move.REFUSE, "CloudFormation deletes no stack in the middle of an update", _FOLLOW
)


def _row(
    deploy: Decision, update: Decision, rollback: Decision, delete: Decision
) -> Mapping[Operation, Decision]:
    """Name the four cells of one state."""
    return {
        Operation.DEPLOY: deploy,
        Operation.UPDATE: update,
        Operation.ROLLBACK: rollback,
        Operation.DELETE: delete,
    }


_CREATE = Decision(Move.CREATE)

TABLE: Mapping[Status, Mapping[Operation, Decision]] = {
    Status.ABSENT: _row(_CREATE, _NOT_THERE, _NOT_THERE, _GONE),
    Status.CREATE_IN_PROGRESS: _row(
        _BUSY,
        _BUSY,
        Decision(Move.REFUSE, "it is being created; there is no earlier state", _FOLLOW),
        Decision(Move.DELETE, "its creation is given up"),
    ),
    Status.CREATE_FAILED: _row(
        _RESUME, _RESUME, Decision(Move.ROLL_BACK, "removes what the creation made"), _DELETE
    ),
    Status.CREATE_COMPLETE: _row(_UPDATE, _UPDATE, _IS_GOOD, _DELETE),
    Status.ROLLBACK_IN_PROGRESS: _row(_BUSY, _BUSY, _ENDING, _DELETE),
    Status.ROLLBACK_FAILED: _row(_REPLACE_FAILED, _NEVER_WORKED, _NEVER_WORKED, _DELETE),
    Status.ROLLBACK_COMPLETE: _row(_REPLACE, _NEVER_WORKED, _NEVER_WORKED, _DELETE),
    Status.DELETE_IN_PROGRESS: _row(
        _DELETING, _DELETING, _DELETING, Decision(Move.WAIT, "it is being deleted already")
    ),
    Status.DELETE_FAILED: _row(_HALF_DELETED, _HALF_DELETED, _HALF_DELETED, _DELETE),
    Status.DELETE_COMPLETE: _row(_CREATE, _NOT_THERE, _NOT_THERE, _GONE),
    Status.UPDATE_IN_PROGRESS: _row(
        _BUSY,
        _BUSY,
        Decision(Move.CANCEL_UPDATE, "stops the update and returns to the state before it"),
        _BUSY_DELETE,
    ),
    Status.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS: _row(_CLEANING, _CLEANING, _CLEANING, _BUSY_DELETE),
    Status.UPDATE_COMPLETE: _row(_UPDATE, _UPDATE, _IS_GOOD, _DELETE),
    Status.UPDATE_FAILED: _row(
        _RESUME, _RESUME, Decision(Move.ROLL_BACK, "returns to the last stable state"), _DELETE
    ),
    Status.UPDATE_ROLLBACK_IN_PROGRESS: _row(_BUSY, _BUSY, _ENDING, _BUSY_DELETE),
    Status.UPDATE_ROLLBACK_FAILED: _row(
        _STUCK, _STUCK, Decision(Move.CONTINUE_ROLLBACK, "finishes the rollback"), _DELETE
    ),
    Status.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS: _row(
        _CLEANING, _CLEANING, _ENDING, _BUSY_DELETE
    ),
    Status.UPDATE_ROLLBACK_COMPLETE: _row(
        _UPDATE,
        _UPDATE,
        Decision(Move.NOTHING, "the failed update has been rolled back already"),
        _DELETE,
    ),
    Status.REVIEW_IN_PROGRESS: _row(
        Decision(Move.CREATE_BY_CHANGE_SET, "a change set for its creation awaits review"),
        _UNCREATED,
        _UNCREATED,
        Decision(Move.DELETE, "nothing was created; the shell and its change sets go"),
    ),
    Status.IMPORT_IN_PROGRESS: _row(_BUSY, _BUSY, _BUSY, _BUSY_DELETE),
    Status.IMPORT_COMPLETE: _row(_UPDATE, _UPDATE, _IS_GOOD, _DELETE),
    Status.IMPORT_ROLLBACK_IN_PROGRESS: _row(_BUSY, _BUSY, _ENDING, _BUSY_DELETE),
    Status.IMPORT_ROLLBACK_FAILED: _row(_IMPORT_STUCK, _IMPORT_STUCK, _IMPORT_RETRY, _DELETE),
    Status.IMPORT_ROLLBACK_COMPLETE: _row(_UPDATE, _UPDATE, _IS_GOOD, _DELETE),
}


def decide(operation: Operation, status: Status) -> Decision:
    """Return what an operation does to a stack in a state."""
    return TABLE[status][operation]


#: What CloudFormation did by itself, told after a failure.
_ENDINGS: Mapping[Status, str] = {
    # Not that rollback was disabled: a creation that ran out of time ends here, too, and in
    # express mode it is AWS that disables it.
    Status.CREATE_FAILED: "What had been created is still there.",
    Status.ROLLBACK_COMPLETE: "CloudFormation removed what it had created.",
    Status.ROLLBACK_FAILED: "CloudFormation could not remove all that it had created.",
    Status.UPDATE_ROLLBACK_COMPLETE: "CloudFormation returned to the state before the update.",
    Status.UPDATE_ROLLBACK_FAILED: "CloudFormation could not return to the earlier state.",
    Status.UPDATE_FAILED: "Nothing was rolled back: the stack stays half updated.",
    Status.IMPORT_ROLLBACK_FAILED: "CloudFormation could not let go of what it had imported.",
    Status.DELETE_FAILED: "Some resources could not be deleted and are still there.",
}


def describe_ending(status: Status) -> str:
    """Say what CloudFormation did about a failure, or "" when the status says it all."""
    return _ENDINGS.get(status, "")


_NEXT: Mapping[Status, str] = {
    Status.CREATE_FAILED: (
        "mend the cause in the templates and inv deploy {target}, or start afresh with "
        "inv rollback {target}"
    ),
    Status.ROLLBACK_COMPLETE: (
        "mend the cause, then inv deploy {target} (it deletes what is left, after asking)"
    ),
    Status.ROLLBACK_FAILED: "inv deploy --delete {target}",
    Status.UPDATE_ROLLBACK_COMPLETE: "mend the cause, then inv deploy {target}",
    Status.UPDATE_ROLLBACK_FAILED: "inv rollback {target}",
    Status.UPDATE_FAILED: (
        "mend the cause and inv deploy {target}, or go back with inv rollback {target}"
    ),
    Status.IMPORT_ROLLBACK_FAILED: "inv rollback {target}",
    Status.DELETE_FAILED: "inv deploy --delete {target}",
}


#: What leads on from a stack that waits half way when its templates already are what was asked.
_WAYS_OUT: Mapping[Status, str] = {
    Status.CREATE_FAILED: (
        "inv rollback {target} removes what was created; then mend the cause and "
        "inv deploy {target}"
    ),
    Status.UPDATE_FAILED: (
        "inv rollback {target} returns to the last stable state; then mend the cause and "
        "inv deploy {target}"
    ),
}


def leave_paused(status: Status, target: str) -> str:
    """Return how to go on with a paused stack that a deployment would change nothing of."""
    return _WAYS_OUT[status].format(target=target)


def next_after(status: Status) -> str:
    """Return the command that goes on from a failed ending; `{target}` stands for the flags."""
    return _NEXT.get(status, "inv events {target}")
