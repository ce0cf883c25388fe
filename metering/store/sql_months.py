"""PostgreSQL keeps each month's records in a partition, so that an old month goes at one stroke; SQLite has one table.

Records of months that nobody made a partition for, because they came from far off, are in the default partition.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import Error, connections, transaction
from django.db.backends.utils import CursorWrapper

from metering.models import UsageRecord
from metering.periods import Month
from metering.store.base import StoreUnavailable

TABLE: Final = UsageRecord._meta.db_table
OTHERS: Final = f"{TABLE}_others"
AHEAD: Final = 2  # months after this one that there is room for
LOCK: Final = 0x76746C70  # any number that is ours alone in the database
# Seconds to wait for a lock at most, since whoever comes after waits behind: then it's for the next time.
LOCKED_AFTER: Final = 2


def partition(month: Month) -> str:
    """Return the name of a month's partition."""
    return f"{TABLE}_{month.year}_{month.number:02}"


def make_room(*, at: datetime) -> None:
    """See :meth:`metering.store.base.Store.make_room`."""
    if not _by_month():
        return
    wanted = [Month.of(at)]
    while len(wanted) <= AHEAD:
        wanted.append(wanted[-1].next())
    with connections[settings.METER_DATABASE].cursor() as cursor:
        there = _months(cursor)
    for month in wanted:
        if month not in there:
            with _alone() as cursor:
                if month not in _months(cursor):
                    _make(cursor, month)


def drop(*, until: datetime, before: int) -> int:
    """See :meth:`metering.store.base.Store.forget_months`."""
    if not _by_month():
        return 0
    with _alone() as cursor:
        old = [month for month in _months(cursor) if month.end <= until]
    return sum(_drop(month, before) for month in old)


def _make(cursor: CursorWrapper, month: Month) -> None:
    """Make a month's partition, with what records of it are among the others."""
    name, span = partition(month), [month.start, month.end]
    # Nobody may put another one there until the month has its place. All this is quick: there is hardly ever one.
    cursor.execute(f"LOCK TABLE {OTHERS} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
    cursor.execute(
        f"WITH moved AS (DELETE FROM {OTHERS} WHERE timestamp >= %s AND timestamp < %s RETURNING *) "  # noqa: S608
        f"INSERT INTO {name} SELECT * FROM moved",
        span,
    )
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", span)


def _drop(month: Month, before: int) -> bool:
    """Drop a month, unless it holds a record that isn't in the roll-ups yet; tell whether it went."""
    with _alone() as cursor:
        # Taken before looking, so that nothing is added between the look and the end.
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {partition(month)} WHERE stored >= %s)", [before])  # noqa: S608
        [(newer,)] = cursor.fetchall()
        if not newer:
            cursor.execute(f"DROP TABLE {partition(month)}")
        return not newer


def _by_month() -> bool:
    connection = connections[settings.METER_DATABASE]
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        # Not before its migration, nor after that was taken back.
        cursor.execute("SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'p'", [TABLE])
        return cursor.fetchone() is not None


def _months(cursor: CursorWrapper) -> list[Month]:
    """Return the months that have a partition, the oldest first."""
    cursor.execute(
        "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid "
        "WHERE inhparent = %s::regclass AND child.relname <> %s",
        [TABLE, OTHERS],
    )
    return sorted(Month(*map(int, name.removeprefix(f"{TABLE}_").split("_"))) for (name,) in cursor.fetchall())


@contextmanager
def _alone() -> Iterator[CursorWrapper]:
    """Give a cursor of a transaction that doesn't wait for locks for long, and that no other of its kind runs beside.

    Raises:
        StoreUnavailable: when it would have to wait, or the database is away.
    """
    using = settings.METER_DATABASE
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCKED_AFTER * 1000:.0f}ms'")
            cursor.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            yield cursor
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None
