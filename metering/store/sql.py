"""The store in SQLite or PostgreSQL.

A batch goes in as one JSON array that the database itself takes apart, so that shipping costs the gateway's
process next to nothing a record.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import DataError, Error, IntegrityError, connections
from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import Coalesce, TruncMonth

from metering.models import UsageRecord
from metering.periods import Month, midnight
from metering.store import cursors, json_lines, json_rows, sql_months, sql_sums
from metering.store.base import AgentSum, AgentUsage, BadRecord, Counted, Hours, OfSession, Page, StoreUnavailable
from metering.totals import BYOKEY, OK, Latency, Slice, Totals

STORED: Final = "stored"
# A key of a table in partitions has to hold what it is divided by. A record's id and moment are written down together,
# once, so they come together however often it is shipped.
UNIQUE: Final = {"postgresql": '"id", "timestamp"', "sqlite": '"id"'}

DAY: Final = timedelta(days=1)
FORGOTTEN_AT_ONCE: Final = 5_000  # records, so that nobody waits long for the locks


class SqlStore:
    """Keeps records in the table of :class:`metering.models.UsageRecord`."""

    def append(self, lines: Sequence[bytes]) -> int:
        """See :meth:`metering.store.base.Store.append`."""
        if not lines:
            return 0
        connection = connections[settings.METER_DATABASE]
        array = json_lines.array(lines)
        if connection.vendor == "sqlite":
            json_lines.read(lines)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_insert(connection.vendor), [array.decode()])
                return int(cursor.rowcount)
        except (DataError, IntegrityError, UnicodeDecodeError) as error:
            raise BadRecord(type(error).__name__) from None
        except Error as error:
            # The next attempt starts on a fresh connection.
            connection.close()
            raise StoreUnavailable(type(error).__name__) from None

    def usage(self, *, workspace_id: UUID, month: Month) -> list[AgentUsage]:
        """See :meth:`metering.store.base.Store.usage`."""
        rows: Iterable[Any] = (
            UsageRecord.objects.filter(workspace_id=workspace_id, timestamp__gte=month.start, timestamp__lt=month.end)
            .order_by()
            .values("agent_id", "provider")
            .annotate(
                requests=Count("id"),
                sum_input=Sum("tokens_input"),
                sum_output=Sum("tokens_output"),
                sum_cost=Coalesce(Sum("cost_total"), 0, output_field=UsageRecord._meta.get_field("cost_total")),
                sum_price=Sum("price_total"),
                unpriced=Count("id", filter=Q(cost_total=None)),
                failed=Count("id", filter=~Q(status=OK)),
                managed=Coalesce(
                    Sum("tokens_input", filter=Q(mode="managed")) + Sum("tokens_output", filter=Q(mode="managed")), 0
                ),
            )
        )
        by_agent: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_agent[row["agent_id"]].append(row)
        return [_of_agent(agent_id, parts) for agent_id, parts in by_agent.items()]

    def month_tokens(self, *, agent_id: UUID, month: Month, leaving_out: Collection[UUID] = ()) -> int:
        """See :meth:`metering.store.base.Store.month_tokens`."""
        found = (
            UsageRecord.objects.filter(agent_id=agent_id, timestamp__gte=month.start, timestamp__lt=month.end)
            .exclude(mode=BYOKEY)
            .exclude(id__in=leaving_out)
            .aggregate(tokens=Sum("tokens_input") + Sum("tokens_output"))
        )
        return int(found["tokens"] or 0)

    def tokens_since(self, *, since: datetime) -> dict[UUID, int]:
        """See :meth:`metering.store.base.Store.tokens_since`."""
        rows = (
            UsageRecord.objects.filter(timestamp__gte=since)
            .exclude(mode=BYOKEY)
            .order_by()
            .values("agent_id")
            .annotate(tokens=Sum("tokens_input") + Sum("tokens_output"))
        )
        return {row["agent_id"]: int(row["tokens"]) for row in rows}

    def records(
        self,
        *,
        workspace_id: UUID,
        month: Month | None = None,
        agent_id: UUID | None = None,
        status: str | None = None,
        request_type: str | None = None,
        day: date | None = None,
        managed: bool = False,
        before: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """See :meth:`metering.store.base.Store.records`."""
        alike = {"agent_id": agent_id, "status": status, "request_type": request_type}
        rows = UsageRecord.objects.filter(
            workspace_id=workspace_id, **{name: value for name, value in alike.items() if value}
        )
        if month:
            rows = rows.filter(timestamp__gte=month.start, timestamp__lt=month.end)
        if day:
            rows = rows.filter(timestamp__gte=midnight(day), timestamp__lt=midnight(day) + DAY)
        if managed:
            rows = rows.exclude(mode=BYOKEY)
        if before is not None:
            rows = rows.filter(stored__lt=before)
        if cursor:
            moment, record_id = cursors.read(cursor)
            rows = rows.filter(Q(timestamp__lt=moment) | Q(timestamp=moment, id__lt=record_id))
        found = list(rows.order_by("-timestamp", "-id")[: limit + 1])
        more = len(found) > limit
        return Page(records=found[:limit], next_cursor=cursors.after(found[limit - 1]) if more else None)

    def first_record_at(self, *, workspace_id: UUID) -> datetime | None:
        """See :meth:`metering.store.base.Store.first_record_at`."""
        found: datetime | None = UsageRecord.objects.filter(workspace_id=workspace_id).aggregate(
            first=Min("timestamp")
        )["first"]
        return found

    def mark(self) -> int:
        """See :meth:`metering.store.base.Store.mark`."""
        return sql_sums.mark()

    def touched(self, *, since: int, before: int) -> Hours:
        """See :meth:`metering.store.base.Store.touched`."""
        return sql_sums.touched(since=since, before=before)

    def hours(self, *, day: date) -> Hours:
        """See :meth:`metering.store.base.Store.hours`."""
        return sql_sums.hours(midnight(day), midnight(day) + DAY)

    def slices(self, hours: Hours, *, before: int) -> Iterator[tuple[datetime, Slice, Totals]]:
        """See :meth:`metering.store.base.Store.slices`."""
        return sql_sums.slices(hours, before=before)

    def latencies(self, hours: Hours, *, before: int) -> Iterator[Latency]:
        """See :meth:`metering.store.base.Store.latencies`."""
        return sql_sums.latencies(hours, before=before)

    def recent(
        self, *, since: int, workspace_id: UUID, month: Month, agent_id: UUID | None = None
    ) -> Iterator[tuple[date, Slice, Totals]]:
        """See :meth:`metering.store.base.Store.recent`."""
        return sql_sums.recent(since=since, workspace_id=workspace_id, month=month, agent_id=agent_id)

    def recent_latencies(self, *, since: int, agent_id: UUID, month: Month) -> Iterator[tuple[int, int]]:
        """See :meth:`metering.store.base.Store.recent_latencies`."""
        return sql_sums.recent_latencies(since=since, agent_id=agent_id, month=month)

    def days(self) -> tuple[date, date] | None:
        """See :meth:`metering.store.base.Store.days`."""
        ends = UsageRecord.objects.order_by().aggregate(first=Min("timestamp"), last=Max("timestamp"))
        return (ends["first"].date(), ends["last"].date()) if ends["first"] else None

    def find(self, ids: Collection[UUID]) -> list[UsageRecord]:
        """See :meth:`metering.store.base.Store.find`."""
        return list(UsageRecord.objects.filter(id__in=ids).order_by())

    def forget(self, *, workspace_id: UUID, until: datetime, before: int) -> int:
        """See :meth:`metering.store.base.Store.forget`."""
        old = UsageRecord.objects.filter(workspace_id=workspace_id, timestamp__lt=until, stored__lt=before)
        try:
            # As far as the last one of a batch, in the order of an index: no list of ids to look up one by one.
            times = old.order_by("timestamp", "id").values_list("timestamp", flat=True)
            last = times[FORGOTTEN_AT_ONCE - 1 : FORGOTTEN_AT_ONCE].first()
            some = old if last is None else old.filter(timestamp__lte=last)
            return some.order_by().delete()[0]
        except Error as error:
            raise StoreUnavailable(type(error).__name__) from None

    def forget_months(self, *, until: datetime, before: int) -> int:
        """See :meth:`metering.store.base.Store.forget_months`."""
        return sql_months.drop(until=until, before=before)

    def make_room(self, *, at: datetime) -> None:
        """See :meth:`metering.store.base.Store.make_room`."""
        sql_months.make_room(at=at)

    def sessions(self, *, arms: Collection[str]) -> Iterator[OfSession]:
        """See :meth:`metering.store.base.Store.sessions`."""
        return sql_sums.sessions(arms)

    def counted(self, *, agent_ids: Collection[UUID], month: Month, before: int | None = None) -> Iterator[Counted]:
        """See :meth:`metering.store.base.Store.counted`."""
        rows = UsageRecord.objects.filter(
            agent_id__in=agent_ids, timestamp__gte=month.start, timestamp__lt=month.end
        ).exclude(mode=BYOKEY)
        if before is not None:
            rows = rows.filter(stored__lt=before)
        for row in rows.order_by("agent_id", "id").values_list(*Counted._fields).iterator(chunk_size=10_000):
            yield Counted(*row)

    def counted_sums(self, *, month: Month, before: int | None = None) -> list[AgentSum]:
        """See :meth:`metering.store.base.Store.counted_sums`."""
        rows = UsageRecord.objects.filter(timestamp__gte=month.start, timestamp__lt=month.end).exclude(mode=BYOKEY)
        if before is not None:
            rows = rows.filter(stored__lt=before)
        tokens = Sum("tokens_input") + Sum("tokens_output")
        sums = rows.order_by().values_list("workspace_id", "agent_id").annotate(records=Count("id"), tokens=tokens)
        try:
            return [AgentSum(workspace, agent, count, int(of)) for workspace, agent, count, of in sums]
        except Error as error:
            raise StoreUnavailable(type(error).__name__) from None

    def months_since(
        self, *, workspace_ids: Collection[UUID], since: int, until: datetime
    ) -> set[tuple[UUID, UUID, Month]]:
        """See :meth:`metering.store.base.Store.months_since`."""
        rows = (
            UsageRecord.objects.filter(workspace_id__in=workspace_ids, stored__gte=since, timestamp__lt=until)
            .exclude(mode=BYOKEY)
            .order_by()
            .values_list("workspace_id", "agent_id", TruncMonth("timestamp", tzinfo=UTC))
            .distinct()
        )
        return {(workspace_id, agent_id, Month.of(month)) for workspace_id, agent_id, month in rows}


def _of_agent(agent_id: UUID, parts: list[dict[str, Any]]) -> AgentUsage:
    """Return an agent's month from its parts, one a provider."""
    return AgentUsage(
        agent_id=agent_id,
        requests=sum(part["requests"] for part in parts),
        tokens_input=sum(int(part["sum_input"]) for part in parts),
        tokens_output=sum(int(part["sum_output"]) for part in parts),
        cost_total=sum((part["sum_cost"] for part in parts), Decimal()),
        price_total=sum((part["sum_price"] for part in parts), Decimal()),
        unpriced=sum(part["unpriced"] for part in parts),
        failed=sum(part["failed"] for part in parts),
        managed_tokens=sum(int(part["managed"]) for part in parts),
        providers=tuple(sorted(part["provider"] for part in parts)),
    )


@cache
def _insert(vendor: str) -> str:
    """Return the statement that stores a JSON array of records."""
    names = tuple(field.column for field in UsageRecord._meta.concrete_fields if field.column != STORED)
    order, held = sql_sums.ORDER[vendor], sql_sums.HELD[vendor]
    inserted = json_rows.statement(vendor, UsageRecord, names, also=STORED, value=order, before=held)
    return f"{inserted} ON CONFLICT ({UNIQUE[vendor]}) DO NOTHING"
