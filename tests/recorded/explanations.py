"""Why some recorded answers differ from ours, in one table."""

from __future__ import annotations

from tests.recorded.verdicts import Explanation

EXPLANATIONS: tuple[Explanation, ...] = ()
