"""How long somebody who owes goes on being answered, and when they are told: plain arithmetic, no Django.

Fourteen days from the day a payment failed, or an invoice was overdue: told at once, seven days before, one day
before, and then paused. A reminder that comes late moves what follows it, so that nobody has less notice than was
promised.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final


class Step(IntEnum):
    """How far it got."""

    NONE = 0
    OWES = 1
    A_WEEK_LEFT = 2
    A_DAY_LEFT = 3
    PAUSED = 4


# Days between a step and the one before.
AFTER: Final = {
    Step.OWES: timedelta(0),
    Step.A_WEEK_LEFT: timedelta(days=7),
    Step.A_DAY_LEFT: timedelta(days=6),
    Step.PAUSED: timedelta(days=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """Since when somebody owes, how far it got and when (UTC)."""

    since: datetime
    step: Step
    step_at: datetime | None

    def next_at(self) -> datetime | None:
        """Return when the next step is due, or None after the last."""
        return None if self.step == Step.PAUSED else self._from + AFTER[Step(self.step + 1)]

    def pauses_at(self) -> datetime:
        """Return when the agents are paused, or were."""
        left = [after for step, after in AFTER.items() if step > self.step]
        return self._from + sum(left, timedelta(0))

    @property
    def _from(self) -> datetime:
        return self.step_at or self.since
