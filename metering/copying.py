"""Copies the meter's records from one database to another, and proves that both hold the same.

Records keep their number of storing, and the copy goes on counting from where the source is: so roll-ups and invoices,
which remember such numbers, hold for the copy as well.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from metering.batches import batches
from metering.periods import Month
from metering.record import picodollars
from metering.store.places import Place, Row

WRITTEN_AT_ONCE: Final = 2_000

_encode = msgspec.json.Encoder(order="sorted").encode


class AheadOfSource(Exception):
    """The target has counted further than the source: it has been in use by itself, or its records are others."""


@dataclass(slots=True)
class Sums:
    """How many records a month has, and a digest over every field of every one of them (SHA-256, hex)."""

    records: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def take(self, row: Row) -> None:
        """Put the next record to it, in the order of moments and ids."""
        self.records += 1
        plain = {name: picodollars(value) if isinstance(value, Decimal) else value for name, value in row.items()}
        self._digest.update(_encode(plain) + b"\n")

    @property
    def digest(self) -> str:
        """The digest so far."""
        return str(self._digest.hexdigest())


@dataclass(slots=True)
class Outcome:
    """What a copy came to, month by month; ``difference`` names the first month in which the two disagree."""

    copied: int = 0
    months: dict[Month, Sums] = field(default_factory=dict)
    difference: str = ""

    @property
    def records(self) -> int:
        """How many records the source has."""
        return sum(each.records for each in self.months.values())


def steps(source: Place) -> int:
    """Return about how many records there are to read, in the source and then in the copy."""
    return 2 * sum(source.count(month) for month in source.months())


def copied(source: Place, target: Place, outcome: Outcome) -> Iterator[Row]:
    """Copy what the source has at this moment, giving each record that is read; then ``outcome`` is complete.

    A month that the target has as many records of is only compared. Whoever is stopped begins again.

    Raises:
        AheadOfSource: before anything is written.
        CannotCount: when the target can't go on counting from where the source is.
        StoreUnavailable, django.db.Error: when either database is away.
    """
    mark = source.mark()
    if target.mark() > mark:
        raise AheadOfSource
    for month in sorted({*source.months(), *target.months()}):
        missing = source.count(month, before=mark) != target.count(month)
        expected, found = Sums(), Sums()
        for some in batches(source.rows(month, before=mark), WRITTEN_AT_ONCE):
            for row in some:
                expected.take(row)
                yield row
            outcome.copied += target.add(some) if missing else 0
        for row in target.rows(month):
            found.take(row)
            yield row
        outcome.months[month] = expected
        outcome.difference = outcome.difference or _difference(month, expected, found)
    target.count_from(mark)


def _difference(month: Month, expected: Sums, found: Sums) -> str:
    if expected.records != found.records:
        return f"{month}: {expected.records:,} records in the source, {found.records:,} in the copy."
    if expected.digest != found.digest:
        return f"{month}: as many records in both, but not the same ones."
    return ""
