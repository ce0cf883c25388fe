"""Where records are copied from, or to: SQLite or PostgreSQL here, MongoDB in ``mongo_places``."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import connections
from django.db.models import Max, Min, Q, QuerySet

from metering.models import UsageRecord
from metering.periods import Month
from metering.store import sql_sums

READ_AT_ONCE: Final = 2_000
Row = dict[str, Any]  # a record by column, as UsageRecord has the values


class CannotCount(Exception):
    """This database can't go on counting from where another one is."""


class Place(Protocol):
    """Some database with records, in use or not. Its methods raise ``StoreUnavailable`` or ``django.db.Error``."""

    def mark(self) -> int:
        """See :meth:`metering.store.base.Store.mark`."""
        ...

    def months(self) -> list[Month]:
        """Return the months from that of the oldest record to that of the newest."""
        ...

    def count(self, month: Month, *, before: int | None = None) -> int:
        """Return how many records of the month there are, those stored before a mark."""
        ...

    def rows(self, month: Month, *, before: int | None = None) -> Iterator[Row]:
        """Give the records of the month by moment and id, those stored before a mark; a few at a time are held."""
        ...

    def add(self, rows: Sequence[Row]) -> int:
        """Store records as they are, but for those that are there already; return how many were new."""
        ...

    def count_from(self, mark: int) -> None:
        """Let whatever is stored from now on be after a mark.

        Raises:
            CannotCount: when that can't be.
        """
        ...


def between(first: datetime | None, last: datetime | None) -> list[Month]:
    """Return the months from one moment's to another's."""
    if first is None or last is None:
        return []
    months = [Month.of(first)]
    while months[-1] < Month.of(last):
        months.append(months[-1].next())
    return months


class SqlPlace:
    """A database that Django knows by an alias, with the meter's tables."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def mark(self) -> int:
        """See :class:`Place`."""
        return sql_sums.mark(self._alias)

    def months(self) -> list[Month]:
        """See :class:`Place`."""
        ends = self._records().aggregate(first=Min("timestamp"), last=Max("timestamp"))
        return between(ends["first"], ends["last"])

    def count(self, month: Month, *, before: int | None = None) -> int:
        """See :class:`Place`."""
        return self._of(month, before).count()

    def rows(self, month: Month, *, before: int | None = None) -> Iterator[Row]:
        """See :class:`Place`."""
        some = _page(self._of(month, before))
        while some:
            yield from some
            moment, record_id = some[-1]["timestamp"], some[-1]["id"]
            later = Q(timestamp__gt=moment) | Q(timestamp=moment, id__gt=record_id)
            # By the first of the two an index leads to the place.
            some = _page(self._of(month, before).filter(later, timestamp__gte=moment))

    def add(self, rows: Sequence[Row]) -> int:
        """See :class:`Place`."""
        moments = [row["timestamp"] for row in rows]
        same = self._records().filter(id__in=[row["id"] for row in rows], timestamp__range=(min(moments), max(moments)))
        there: set[UUID] = set(same.values_list("id", flat=True))
        new = [UsageRecord(**row) for row in rows if row["id"] not in there]
        UsageRecord.objects.using(self._alias).bulk_create(new, ignore_conflicts=True)
        return len(new)

    def count_from(self, mark: int) -> None:
        """See :class:`Place`. SQLite counts by the records themselves."""
        if connections[self._alias].vendor == "sqlite":
            if self.mark() < mark:
                raise CannotCount
            return
        with connections[self._alias].cursor() as cursor:
            last = f"SELECT last_value + is_called::int FROM {sql_sums.SEQUENCE}"  # noqa: S608
            cursor.execute(f"SELECT setval('{sql_sums.SEQUENCE}', greatest(%s, ({last})), false)", [mark])

    def _records(self) -> "QuerySet[UsageRecord]":
        return UsageRecord.objects.using(self._alias).order_by()

    def _of(self, month: Month, before: int | None) -> "QuerySet[UsageRecord]":
        rows = self._records().filter(timestamp__gte=month.start, timestamp__lt=month.end)
        return rows if before is None else rows.filter(stored__lt=before)


def _page(records: "QuerySet[UsageRecord]") -> list[Row]:
    return [dict(row) for row in records.order_by("timestamp", "id").values()[:READ_AT_ONCE]]
