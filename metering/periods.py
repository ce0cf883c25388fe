"""Months and days: calendar, UTC, half-open. Plain arithmetic."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Self


def midnight(day: date) -> datetime:
    """Return the first instant of a day, in UTC."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC: ``[start, end)``."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2026-02``.

        Raises:
            ValueError: for anything else.
        """
        found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text)
        if not found:
            raise ValueError(f"{text!r} isn't a month: write it as 2026-02")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """Return the month that ``moment`` (aware) falls into."""
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month)

    @property
    def start(self) -> datetime:
        """The first instant of the month."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant of the next month, which isn't in this one."""
        return self.next().start

    def next(self) -> Self:
        """Return the month after."""
        return self._shifted(1)

    def previous(self) -> Self:
        """Return the month before."""
        return self._shifted(-1)

    def back(self, months: int) -> Self:
        """Return the month so many months before."""
        return self._shifted(-months)

    def _shifted(self, by: int) -> Self:
        year, zero_based = divmod(self.year * 12 + self.number - 1 + by, 12)
        return type(self)(year, zero_based + 1)

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"
