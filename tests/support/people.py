"""Stand in for the operator: answer as told, and remember what was shown and asked."""

from __future__ import annotations

from lib.access import Access
from lib.drawing import draw_report
from lib.operators import Drawing, Listing, Note, OnInterrupt, Operator, Progress
from lib.polling import Clock
from lib.session import Aws


class Person:
    """Somebody who answers question after question as told, with the last answer ever after.

    An answer is yes or no, the word that is typed, or what asking raises; without any,
    everything is agreed to. `interrupt_at` has pieces of text at which Ctrl-C is pressed.
    """

    def __init__(self, *answers: bool | str | Exception) -> None:
        self.answers = list(answers or (True,))
        self.told: list[Progress] = []
        self.asked: list[tuple[str, str]] = []
        self.interrupt_at: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Return the sentences that were shown."""
        return [progress.text for progress in self.told if isinstance(progress, Note)]

    @property
    def drawn(self) -> list[str]:
        """Return what was laid out for a terminal, each as text."""
        return [draw_report(one) for one in self.told if isinstance(one, Listing | Drawing)]

    @property
    def words(self) -> list[str]:
        """Return the word that each question wanted typed."""
        return [word for _, word in self.asked]

    def operator(self) -> Operator:
        return Operator(self._report, self._confirm, lambda _can_cancel: OnInterrupt.DETACH)

    def access(self, aws: Aws, clock: Clock | None = None) -> Access:
        return Access(aws, self.operator(), clock or Clock())

    def _report(self, progress: Progress) -> None:
        self.told.append(progress)
        text = progress.text if isinstance(progress, Note) else ""
        if self.interrupt_at and self.interrupt_at[0] in text:
            self.interrupt_at.pop(0)
            raise KeyboardInterrupt

    def _confirm(self, question: str, word: str) -> bool:
        self.asked.append((question, word))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer == word if isinstance(answer, str) else answer
