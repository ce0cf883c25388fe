"""What a month will come to, from an agent's own week: plain arithmetic.

Each weekday is taken for the mean of the last weeks' (quiet days count), and what is left of the month is the sum of
its weekdays. How far days have strayed from their weekday's mean tells how far the sum may.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Final

from metering.periods import Month, midnight

LEAST: Final = 14  # days: less is no pattern yet
RANGE: Final = 1.2816  # standard deviations: the month ends within the range four times out of five
DAY: Final = timedelta(days=1)
LOOKED_BACK: Final = timedelta(weeks=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Tokens at the month's end: probably ``expected``, four times out of five between ``low`` and ``high``."""

    low: int
    expected: int
    high: int

    def passes(self, included: int) -> bool | None:
        """Tell whether it passes an allowance: yes, no, or None where it may go either way."""
        if self.low > included:
            return True
        return None if self.high > included else False


def forecast(days: Mapping[date, int], *, now: datetime) -> Forecast | None:
    """Return what the month of ``now`` (UTC) will come to; None before there is a pattern.

    ``days`` are the tokens of each day that had any, today's until now included.
    """
    today, month = now.date(), Month.of(now)
    used = sum(tokens for day, tokens in days.items() if month.start.date() <= day <= today)
    first = max(min(days, default=today), today - LOOKED_BACK)
    past = [first + DAY * number for number in range((today - first).days)]
    if len(past) < LEAST:
        return None
    means = {weekday: fmean(_tokens(days, past, weekday)) for weekday in range(7)}
    strays = [days.get(day, 0) - means[day.weekday()] for day in past]
    variance = sum(stray * stray for stray in strays) / (len(past) - 7)
    # What is left of today, and the days after it.
    left = 1 - (now - midnight(today)) / DAY
    after = [today + DAY * number for number in range(1, (month.end.date() - today).days)]
    coming = means[today.weekday()] * left + sum(means[day.weekday()] for day in after)
    weight = len(after) + left
    # The means themselves are known the less well the fewer weeks there were.
    deviation = (variance * (weight + weight * weight / len(past))) ** 0.5
    return Forecast(
        low=used + round(max(coming - RANGE * deviation, 0)),
        expected=used + round(coming),
        high=used + round(coming + RANGE * deviation),
    )


def _tokens(days: Mapping[date, int], past: list[date], weekday: int) -> list[int]:
    return [days.get(day, 0) for day in past if day.weekday() == weekday]
