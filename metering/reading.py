"""Reading usage: what is rolled up, and the records that were stored since.

So a record shows at once, and a page takes as long with a hundred million records as with a hundred.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Final, TypeVar
from uuid import UUID

from django.db import Error
from django.db.models import Min, Sum

from metering.models import DailyUsage, HourlyLatency, MonthlyUsage
from metering.periods import Month
from metering.rollups import steadily
from metering.store import get_store
from metering.store.base import AgentUsage, StoreUnavailable
from metering.totals import BYOKEY, Modes, Slice, Totals

T = TypeVar("T")

AGENTS_AT_ONCE: Final = 1_000  # in one statement

Parts = dict[tuple[date, Slice], Totals]


def month_usage(*, workspace_id: UUID, month: Month) -> list[AgentUsage]:
    """Return what each agent of the workspace used in the month, those with records only.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """

    def look(since: int) -> list[AgentUsage]:
        months = _months(workspace_id, month)
        for _day, key, sums in get_store().recent(since=since, workspace_id=workspace_id, month=month):
            months[key.agent_id].add(key, sums)
        return [each.usage(agent_id) for agent_id, each in months.items()]

    return _whole(look)


def daily_tokens(*, agent_ids: Collection[UUID], since: date, managed: bool) -> dict[UUID, dict[date, int]]:
    """Return the tokens that agents used on each day since a day: on plans, or on their owner's key.

    They are as of the last roll-up, a minute ago: for what looks further ahead than that.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    rows = DailyUsage.objects.filter(agent_id__in=agent_ids, day__gte=since)
    rows = rows.exclude(tier=BYOKEY) if managed else rows.filter(tier=BYOKEY)
    days: dict[UUID, dict[date, int]] = defaultdict(dict)
    try:
        for row in (
            rows.order_by().values("agent_id", "day").annotate(tokens=Sum("tokens_input") + Sum("tokens_output"))
        ):
            days[row["agent_id"]][row["day"]] = int(row["tokens"])
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None
    return days


def months_by_mode(
    *, workspace_id: UUID, agent_ids: Collection[UUID], months: Collection[Month]
) -> dict[UUID, dict[Month, Modes]]:
    """Return what these agents of the workspace used in each of the months, those with records only.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """

    def look(since: int) -> dict[UUID, dict[Month, Modes]]:
        found: dict[UUID, dict[Month, Modes]] = defaultdict(dict)
        for month in months:
            recent = get_store().recent(since=since, workspace_id=workspace_id, month=month)
            late = ((key.agent_id, key.tier, sums) for _day, key, sums in recent if key.agent_id in agent_ids)
            for agent_id, tier, sums in chain(_by_tier(agent_ids, month), late):
                found[agent_id][month] = found[agent_id].get(month, Modes()).plus(sums, tier=tier)
        return found

    return _whole(look)


def plan_usage(month: Month) -> dict[UUID, Totals]:
    """Return what every agent used on plans in the month, those that used tokens only, as of the last roll-up.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    used, mixed = {}, []
    try:
        for row in MonthlyUsage.objects.filter(month=month.start.date(), managed_tokens__gt=0).iterator():
            sums = Totals.of(row)
            # Who was on a key of their own as well has that in these sums, too: such months are told apart by day.
            if sums.tokens == row.managed_tokens and not sums.unpriced:
                used[row.agent_id] = sums
            else:
                mixed.append(row.agent_id)
        for start in range(0, len(mixed), AGENTS_AT_ONCE):
            for agent_id, tier, sums in _by_tier(mixed[start : start + AGENTS_AT_ONCE], month):
                if tier != BYOKEY:
                    used[agent_id] = used.get(agent_id, Totals()) + sums
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None
    return used


def first_month(*, workspace_id: UUID) -> Month | None:
    """Return the month of the workspace's first record.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """
    try:
        rolled = MonthlyUsage.objects.filter(workspace_id=workspace_id).aggregate(first=Min("month"))["first"]
        if rolled:
            return Month(rolled.year, rolled.month)
        recorded = get_store().first_record_at(workspace_id=workspace_id)
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None
    return Month.of(recorded) if recorded else None


def agent_month(*, workspace_id: UUID, agent_id: UUID, month: Month) -> tuple[Parts, "Counter[int]"]:
    """Return an agent's month in parts, and how many of its answered requests took how long (ms, to two digits).

    Raises:
        StoreUnavailable: when the meter's database is away.
    """

    def look(since: int) -> tuple[Parts, Counter[int]]:
        parts = _parts(agent_id, month)
        recent = get_store().recent(since=since, workspace_id=workspace_id, month=month, agent_id=agent_id)
        for day, key, sums in recent:
            parts[day, key] = parts.get((day, key), Totals()) + sums
        latencies = _latencies(agent_id, month)
        for took, requests in get_store().recent_latencies(since=since, agent_id=agent_id, month=month):
            latencies[took] += requests
        return parts, latencies

    return _whole(look)


def _whole(look: Callable[[int], T]) -> T:
    """Return what ``look`` sees, given how far the roll-ups are."""
    try:
        return steadily(look)
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None


@dataclass(slots=True)
class _Month:
    """An agent's month while it is put together."""

    sums: Totals = field(default_factory=Totals)
    failed: int = 0
    managed_tokens: int = 0
    providers: set[str] = field(default_factory=set)

    def add(self, key: Slice, sums: Totals) -> None:
        """Put a part to it."""
        self.sums += sums
        self.failed += sums.requests if key.failed else 0
        self.managed_tokens += sums.tokens if key.managed else 0
        self.providers.add(key.provider)

    def usage(self, agent_id: UUID) -> AgentUsage:
        """Return it whole."""
        return AgentUsage(
            agent_id=agent_id,
            requests=self.sums.requests,
            tokens_input=self.sums.tokens_input,
            tokens_output=self.sums.tokens_output,
            cost_total=self.sums.cost_total,
            price_total=self.sums.price_total,
            unpriced=self.sums.unpriced,
            failed=self.failed,
            managed_tokens=self.managed_tokens,
            providers=tuple(sorted(self.providers)),
        )


def _months(workspace_id: UUID, month: Month) -> "defaultdict[UUID, _Month]":
    months: defaultdict[UUID, _Month] = defaultdict(_Month)
    for row in MonthlyUsage.objects.filter(workspace_id=workspace_id, month=month.start.date()):
        months[row.agent_id] = _Month(
            sums=Totals.of(row), failed=row.failed, managed_tokens=row.managed_tokens, providers=set(row.providers)
        )
    return months


def _by_tier(agent_ids: Collection[UUID], month: Month) -> Iterator[tuple[UUID, str, Totals]]:
    days = DailyUsage.objects.filter(agent_id__in=agent_ids, day__gte=month.start.date(), day__lt=month.end.date())
    sums = {f"sum_{name}": Sum(name) for name in Totals.__slots__}
    for row in days.order_by().values("agent_id", "tier").annotate(**sums):
        yield row["agent_id"], row["tier"], Totals.summed(row)


def _parts(agent_id: UUID, month: Month) -> Parts:
    days = DailyUsage.objects.filter(agent_id=agent_id, day__gte=month.start.date(), day__lt=month.end.date())
    return {(row.day, Slice(**{name: getattr(row, name) for name in Slice._fields})): Totals.of(row) for row in days}


def _latencies(agent_id: UUID, month: Month) -> "Counter[int]":
    rows = HourlyLatency.objects.filter(agent_id=agent_id, hour__gte=month.start, hour__lt=month.end).order_by()
    took = rows.values("latency_ms").annotate(sum_requests=Sum("requests"))
    return Counter({row["latency_ms"]: int(row["sum_requests"]) for row in took})
