"""What records in SQLite or PostgreSQL add up to, and which of them are new since somebody last looked.

A record's ``stored`` grows in the order of storing. In PostgreSQL it is a number of a sequence. Transactions may end
in another order than they took their numbers in, and what isn't committed can't be seen; so whoever stores holds a
shared lock, and whoever asks for a mark waits until it has the lock for itself: then all lower numbers are there to
be seen, or never will be. In SQLite one writer is at work at a time, so batches are counted.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce, TruncDate

from metering.models import UsageRecord
from metering.periods import Month
from metering.store.base import Hours, OfSession, StoreUnavailable
from metering.totals import LEFT, OK, Latency, Slice, Totals

HOUR: Final = timedelta(hours=1)
AGENTS_AT_ONCE: Final = 1_000  # in one statement
TABLE: Final = UsageRecord._meta.db_table

LOCK: Final = 0x76746C72  # any number that is ours alone in the database
LOCKED_AFTER: Final = 2  # seconds to wait at most: those who store wait behind
SEQUENCE: Final = "metering_usagerecord_order"
_NEXT_BATCH: Final = f'(SELECT coalesce(max("stored"), 0) + 1 FROM "{TABLE}")'  # noqa: S608

# By vendor, as SQL: the number that a record gets, and what must be held before.
ORDER: Final = {"postgresql": f"nextval('{SEQUENCE}')", "sqlite": _NEXT_BATCH}
HELD: Final = {"postgresql": f"(SELECT pg_advisory_xact_lock_shared({LOCK})) AS held, ", "sqlite": ""}
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


def mark(using: str = "") -> int:
    """See :meth:`metering.store.base.Store.mark`; ``using`` another database than the meter's own."""
    using = using or settings.METER_DATABASE
    if connections[using].vendor == "sqlite":
        return int(_rows(f"SELECT {_NEXT_BATCH}", [], using)[0][0])
    try:
        with transaction.atomic(using=using):
            _rows(f"SELECT set_config('lock_timeout', '{LOCKED_AFTER * 1000:.0f}ms', true)", [], using)
            _rows(f"SELECT pg_advisory_xact_lock({LOCK})", [], using)
            [(last, taken)] = _rows(f"SELECT last_value, is_called FROM {SEQUENCE}", [], using)  # noqa: S608
    except OperationalError as error:
        raise StoreUnavailable("records are being stored, and it takes its time") from error
    return int(last) + int(taken)


def touched(*, since: int, before: int) -> Hours:
    """See :meth:`metering.store.base.Store.touched`."""
    return _hours('"stored" >= %s AND "stored" < %s', [since, before])


def hours(start: datetime, end: datetime) -> Hours:
    """Return whose hours between two moments have records."""
    return _hours('"timestamp" >= %s AND "timestamp" < %s', [start, end])


def slices(hours: Hours, *, before: int) -> Iterator[tuple[datetime, Slice, Totals]]:
    """See :meth:`metering.store.base.Store.slices`."""
    for hour, records in _each_hour(hours, before):
        for row in _added(records, Slice._fields):
            yield hour, _slice(row), Totals.summed(row)


def recent(
    *, since: int, workspace_id: UUID, month: Month, agent_id: UUID | None
) -> Iterator[tuple[date, Slice, Totals]]:
    """See :meth:`metering.store.base.Store.recent`."""
    records = _recent(since, month).filter(workspace_id=workspace_id)
    if agent_id:
        records = records.filter(agent_id=agent_id)
    for row in _added(records.annotate(day=TruncDate("timestamp")), ("day", *Slice._fields)):
        yield row["day"], _slice(row), Totals.summed(row)


def latencies(hours: Hours, *, before: int) -> Iterator[Latency]:
    """See :meth:`metering.store.base.Store.latencies`."""
    for hour, records in _each_hour(hours, before):
        for row in _took(records, "agent_id"):
            yield Latency(hour=hour, agent_id=row["agent_id"], latency_ms=row["took"], requests=row["requests"])


def recent_latencies(*, since: int, agent_id: UUID, month: Month) -> Iterator[tuple[int, int]]:
    """See :meth:`metering.store.base.Store.recent_latencies`."""
    for row in _took(_recent(since, month).filter(agent_id=agent_id)):
        yield row["took"], row["requests"]


def sessions(arms: Collection[str]) -> Iterator[OfSession]:
    """See :meth:`metering.store.base.Store.sessions`."""
    usd = UsageRecord._meta.get_field("cost_total")
    ok, priced = Q(status=OK), Q(cost_total__isnull=False)
    # The second condition is the index's own. All columns are in it, so the records themselves aren't read.
    rows = UsageRecord.objects.filter(experiment_arm__in=list(arms), experiment_arm__gt="").order_by()
    for row in (
        rows.values("experiment_arm", "session")
        .annotate(
            requests=Count("status"),
            ended=Count("status", filter=~Q(status=LEFT)),
            answered=Count("status", filter=ok),
            took=Coalesce(Sum("latency_ms", filter=ok), 0),
            priced=Count("status", filter=priced),
            sum_cost=Coalesce(Sum("cost_total"), 0, output_field=usd),
            sum_price=Coalesce(Sum("price_total"), 0, output_field=usd),
        )
        .iterator(chunk_size=10_000)
    ):
        yield OfSession(
            arm=row["experiment_arm"],
            session=row["session"] or "",
            requests=row["requests"],
            ended=row["ended"],
            answered=row["answered"],
            latency_ms=int(row["took"]),
            priced=row["priced"],
            cost_total=row["sum_cost"],
            price_total=row["sum_price"],
        )


def _recent(since: int, month: Month) -> "QuerySet[UsageRecord]":
    rows = UsageRecord.objects.filter(stored__gte=since, timestamp__gte=month.start, timestamp__lt=month.end)
    return rows.order_by()


def _added(records: "QuerySet[UsageRecord]", by: Sequence[str]) -> Any:
    plain = [name for name in Totals.__slots__ if name not in {"requests", "unpriced", "cost_total"}]
    return records.values(*by).annotate(
        **{f"sum_{name}": Sum(name) for name in plain},
        sum_requests=Count("id"),
        sum_cost_total=Coalesce(Sum("cost_total"), 0, output_field=UsageRecord._meta.get_field("cost_total")),
        sum_unpriced=Count("id", filter=Q(cost_total=None)),
    )


def _took(records: "QuerySet[UsageRecord]", *by: str) -> Any:
    return records.filter(status=OK).values(*by, took=_TWO_DIGITS).annotate(requests=Count("id"))


def _slice(row: Mapping[str, Any]) -> Slice:
    return Slice(**{name: row[name] for name in Slice._fields})


def _each_hour(hours: Hours, before: int) -> Iterator[tuple[datetime, "QuerySet[UsageRecord]"]]:
    for hour, agents in sorted(hours.items()):
        known = sorted(agents)
        records = UsageRecord.objects.filter(timestamp__gte=hour, timestamp__lt=hour + HOUR, stored__lt=before)
        for start in range(0, len(known), AGENTS_AT_ONCE):
            yield hour, records.order_by().filter(agent_id__in=known[start : start + AGENTS_AT_ONCE])


def _hours(where: str, values: list[Any]) -> Hours:
    hour = _HOUR_OF[connections[settings.METER_DATABASE].vendor]
    found: dict[datetime, list[UUID]] = defaultdict(list)
    for agent_id, start in _rows(f'SELECT "agent_id", {hour} FROM "{TABLE}" WHERE {where} GROUP BY 1, 2', values):  # noqa: S608
        found[_aware(start)].append(agent_id if isinstance(agent_id, UUID) else UUID(agent_id))
    return dict(found)


def _rows(statement: str, values: list[Any], using: str = "") -> list[tuple[Any, ...]]:
    with connections[using or settings.METER_DATABASE].cursor() as cursor:
        cursor.execute(statement, [_value(each) for each in values])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _value(value: Any) -> Any:
    """Return a value as the database compares it."""
    connection = connections[settings.METER_DATABASE]
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value.hex if isinstance(value, UUID) and connection.vendor == "sqlite" else value


def _aware(start: Any) -> datetime:
    return start if isinstance(start, datetime) else datetime.fromisoformat(start).replace(tzinfo=UTC)
