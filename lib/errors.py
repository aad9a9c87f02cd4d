"""Name everything that can go wrong on purpose, one class and one exit code each.

    DeploymentError
    ├── OperationFailed      1   AWS was asked and the operation failed
    │   └── BackupFailed         a table could not be backed up or restored
    ├── InputError           2   nothing was touched
    │   ├── ParameterError       a parameter file does not fit the template
    │   └── TemplateError        a template or the contract between two is broken
    ├── Refused              3   consent is missing or the state forbids it
    │   ├── Declined             the operator answered no
    │   ├── DataLossRefused      data would be lost and no consent names it
    │   ├── StateForbids         the stack's state rules the operation out
    │   ├── Locked               somebody else is changing the stack
    │   └── NotOurs              a bucket, stack or account is not the one expected
    ├── AwsUnavailable       4   no credentials, no permission, no endpoint
    │   └── EmulatorError        the embedded emulator could not be used
    └── Interrupted        130   the operator pressed Ctrl-C

A message says what failed, on which stack and region, why in AWS's own words, and what to
type next. Everything else that reaches the edge is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class DeploymentError(Exception):
    """Stop an operation with a message for people, an exit code and facts for programs.

    `message` is one or more lines of plain text. `next_step` is the command or action that
    gets the operator further. `details` goes into the JSON document unchanged.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.details: Mapping[str, object] = dict(details or {})

    def __str__(self) -> str:
        """Return the message followed by the next step on a line of its own."""
        return f"{self.message}\nNext: {self.next_step}" if self.next_step else self.message


class OperationFailed(DeploymentError):
    """AWS was asked and the operation failed."""

    exit_code = 1


class BackupFailed(OperationFailed):
    """A table could not be backed up, or a backup could not be restored."""


class InputError(DeploymentError):
    """What the operator gave cannot be used; nothing was touched.

    `problems` lists every fault found, so that one run shows them all.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        next_step: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(
            "\n".join([message, *(f"  - {problem}" for problem in problems)]),
            next_step=next_step,
            details=details,
        )
        self.problems = tuple(problems)


class ParameterError(InputError):
    """A parameter file cannot be read or does not fit the template."""


class TemplateError(InputError):
    """A template, or the contract between a master and a child, is broken."""


class Refused(DeploymentError):
    """Consent is missing or the state forbids the operation; nothing was changed."""

    exit_code = 3


class Declined(Refused):
    """The operator answered no."""


class DataLossRefused(Refused):
    """Data would be lost and no consent names it."""


class StateForbids(Refused):
    """The stack's state rules the operation out."""


class Locked(Refused):
    """Somebody else is changing the stack, and has said so with a lock."""


class NotOurs(Refused):
    """A bucket, stack or account is not the one that was expected."""


class AwsUnavailable(DeploymentError):
    """AWS could not be used: credentials, permission or endpoint."""

    exit_code = 4


class EmulatorError(AwsUnavailable):
    """The embedded emulator could not be started, reached or stopped."""


class Interrupted(DeploymentError):
    """The operator pressed Ctrl-C; the message says what AWS is still doing."""

    exit_code = 130
