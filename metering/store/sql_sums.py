"""What records in SQLite or PostgreSQL add up to, and which of them are new since somebody last looked.

A record's ``stored`` grows with the order of storing. In PostgreSQL it is the number of the transaction that stored
it. Transactions end in another order than they begin in, so the mark is the oldest one still under way: whatever it
holds, and whenever it shows, it is after the mark. In SQLite one writer is at work at a time, so batches are counted.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from metering.models import UsageRecord
from metering.store.base import Hours, Touched
from metering.totals import OK, Latency, Slice, Totals

HOUR: Final = timedelta(hours=1)
AGENTS_AT_ONCE: Final = 1_000  # in one statement
TABLE: Final = UsageRecord._meta.db_table

# By vendor, as SQL: the number that a batch gets; (the oldest that may still be coming, the first that can't be there).
ORDER: Final = {
    "postgresql": "pg_current_xact_id()::text::bigint",
    "sqlite": f'(SELECT coalesce(max("stored"), 0) + 1 FROM "{TABLE}")',  # noqa: S608
}
_MARKS: Final = {
    "postgresql": """
        SELECT pg_snapshot_xmin(now)::text::bigint,
               greatest(pg_snapshot_xmax(now)::text::bigint, pg_current_xact_id_if_assigned()::text::bigint + 1)
        FROM pg_current_snapshot() AS now""",
    "sqlite": f'SELECT coalesce(max("stored"), 0) + 1, coalesce(max("stored"), 0) + 1 FROM "{TABLE}"',  # noqa: S608
}
_HOUR_OF: Final = {
    "postgresql": "date_trunc('hour', \"timestamp\", 'UTC')",
    "sqlite": "substr(\"timestamp\", 1, 13) || ':00:00'",
}

# Two digits are enough: 1,234 ms are 1,200.
_TWO_DIGITS: Final = Case(
    When(latency_ms__lt=100, then=F("latency_ms")),
    *(When(latency_ms__lt=unit * 100, then=F("latency_ms") / Value(unit) * Value(unit)) for unit in (10, 100, 1_000)),
    default=F("latency_ms") / Value(10_000) * Value(10_000),
    output_field=IntegerField(),
)


def mark() -> int:
    """See :meth:`metering.store.base.Store.mark`."""
    return _marks()[0]


def touched(*, since: int, workspace_id: UUID | None) -> Touched:
    """See :meth:`metering.store.base.Store.touched`."""
    oldest, end = _marks()
    values: list[Any]
    where, values = '"stored" >= %s AND "stored" < %s', [since, end]
    if since > oldest:
        # A dump that was restored into another cluster, whose transactions are counted anew: begin again.
        where, values = "1 = 1", []
    if workspace_id:
        where += ' AND "workspace_id" = %s'
        values.append(workspace_id)
    return Touched(hours=_hours(where, values), mark=oldest)


def hours(start: datetime, end: datetime) -> Hours:
    """Return whose hours between two moments have records."""
    return _hours('"timestamp" >= %s AND "timestamp" < %s', [start, end])


def slices(hours: Hours) -> Iterator[tuple[datetime, Slice, Totals]]:
    """See :meth:`metering.store.base.Store.slices`."""
    for hour, records in _each_hour(hours):
        rows: Any = records.values(*Slice._fields).annotate(
            **{
                f"sum_{name}": Sum(name)
                for name in Totals.__slots__
                if name not in {"requests", "unpriced", "cost_total"}
            },
            sum_requests=Count("id"),
            sum_cost_total=Coalesce(Sum("cost_total"), 0, output_field=UsageRecord._meta.get_field("cost_total")),
            sum_unpriced=Count("id", filter=Q(cost_total=None)),
        )
        for row in rows:
            key = Slice(**{name: row[name] for name in Slice._fields})
            yield hour, key, Totals.summed(row)


def latencies(hours: Hours) -> Iterator[Latency]:
    """See :meth:`metering.store.base.Store.latencies`."""
    for hour, records in _each_hour(hours):
        rows: Any = records.filter(status=OK).values("agent_id", took=_TWO_DIGITS).annotate(requests=Count("id"))
        for row in rows:
            yield Latency(hour=hour, agent_id=row["agent_id"], latency_ms=row["took"], requests=row["requests"])


def _each_hour(hours: Hours) -> Iterator[tuple[datetime, "QuerySet[UsageRecord]"]]:
    for hour, agents in sorted(hours.items()):
        known = sorted(agents)
        records = UsageRecord.objects.filter(timestamp__gte=hour, timestamp__lt=hour + HOUR).order_by()
        for start in range(0, len(known), AGENTS_AT_ONCE):
            yield hour, records.filter(agent_id__in=known[start : start + AGENTS_AT_ONCE])


def _hours(where: str, values: list[Any]) -> Hours:
    hour = _HOUR_OF[connections[settings.METER_DATABASE].vendor]
    found: dict[datetime, list[UUID]] = defaultdict(list)
    for agent_id, start in _rows(f'SELECT "agent_id", {hour} FROM "{TABLE}" WHERE {where} GROUP BY 1, 2', values):  # noqa: S608
        found[_aware(start)].append(agent_id if isinstance(agent_id, UUID) else UUID(agent_id))
    return dict(found)


def _rows(statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connections[settings.METER_DATABASE].cursor() as cursor:
        cursor.execute(statement, [_value(each) for each in values])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _marks() -> tuple[int, int]:
    [(oldest, end)] = _rows(_MARKS[connections[settings.METER_DATABASE].vendor], [])
    return oldest, end


def _value(value: Any) -> Any:
    """Return a value as the database compares it."""
    connection = connections[settings.METER_DATABASE]
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value.hex if isinstance(value, UUID) and connection.vendor == "sqlite" else value


def _aware(start: Any) -> datetime:
    return start if isinstance(start, datetime) else datetime.fromisoformat(start).replace(tzinfo=UTC)
