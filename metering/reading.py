"""Reading usage: what is rolled up, and for the hours that got records since, the records themselves.

So a record shows at once, and a page takes as long with a hundred million records as with a hundred.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, TypeVar
from uuid import UUID

from django.db import Error
from django.db.models import Min, Sum

from metering.models import DailyUsage, HourlyLatency, HourlyUsage, MonthlyUsage
from metering.periods import Month
from metering.rollups import watermark
from metering.store import get_store
from metering.store.base import AgentUsage, Hours, StoreUnavailable
from metering.totals import BYOKEY, Slice, Totals

T = TypeVar("T")

READS: Final = 5  # attempts, while the roll-ups change under the reader
MANY: Final = 72  # hours: past that, a month's records are added up as they are

Parts = dict[tuple[date, Slice], Totals]


def month_usage(*, workspace_id: UUID, month: Month) -> list[AgentUsage]:
    """Return what each agent of the workspace used in the month, those with records only.

    Raises:
        StoreUnavailable: when the meter's database is away.
    """

    def look(recent: Hours) -> list[AgentUsage]:
        if len(recent) > MANY:
            return get_store().usage(workspace_id=workspace_id, month=month)
        months = _months(workspace_id, month)
        for _hour, key, sums in _changes(recent):
            months[key.agent_id].add(key, sums)
        return [each.usage(agent_id) for agent_id, each in months.items()]

    return _whole(look, workspace_id=workspace_id, month=month)


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

    def look(recent: Hours) -> tuple[Parts, Counter[int]]:
        mine = {hour: [agent_id] for hour, agents in recent.items() if agent_id in agents}
        return _parts(agent_id, month, mine), _latencies(agent_id, month, mine)

    return _whole(look, workspace_id=workspace_id, month=month)


def _whole(look: Callable[[Hours], T], *, workspace_id: UUID, month: Month) -> T:
    """Return what ``look`` makes of the hours that aren't rolled up, looking again where roll-ups change meanwhile."""
    try:
        for _attempt in range(READS):
            reached = watermark()
            touched = get_store().touched(since=reached.stored, workspace_id=workspace_id).hours
            seen = look({hour: agents for hour, agents in touched.items() if month.start <= hour < month.end})
            if watermark().version == reached.version:
                break
    except Error as error:
        raise StoreUnavailable(type(error).__name__) from None
    return seen


@dataclass(slots=True)
class _Month:
    """An agent's month while it is put together."""

    sums: Totals = field(default_factory=Totals)
    failed: int = 0
    managed_tokens: int = 0
    providers: set[str] = field(default_factory=set)

    def add(self, key: Slice, sums: Totals) -> None:
        """Put a part to it, or, where its sums are negative, take it away."""
        self.sums += sums
        self.failed += sums.requests if key.failed else 0
        self.managed_tokens += sums.tokens if key.managed else 0
        # Records only come, so what was seen of a provider once stays true.
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


def _parts(agent_id: UUID, month: Month, recent: Hours) -> Parts:
    parts: defaultdict[tuple[date, Slice], Totals] = defaultdict(Totals)
    days = DailyUsage.objects.filter(agent_id=agent_id, day__gte=month.start.date(), day__lt=month.end.date())
    for row in days:
        parts[row.day, _key(row)] = Totals.of(row)
    for hour, key, sums in _changes(recent):
        parts[hour.date(), key] += sums
    return dict(parts)


def _latencies(agent_id: UUID, month: Month, recent: Hours) -> "Counter[int]":
    counts: Counter[int] = Counter()
    rolled = HourlyLatency.objects.filter(agent_id=agent_id, hour__gte=month.start, hour__lt=month.end)
    rows = rolled.exclude(hour__in=list(recent)).values("latency_ms").annotate(sum_requests=Sum("requests")).order_by()
    for row in rows:
        counts[row["latency_ms"]] += int(row["sum_requests"])
    for latency in get_store().latencies(recent):
        counts[latency.latency_ms] += latency.requests
    return counts


def _changes(recent: Hours) -> Iterator[tuple[datetime, Slice, Totals]]:
    """Give what is to be put to the roll-ups: these hours as they are now, less what is rolled up of them."""
    for hour, agents in recent.items():
        for row in HourlyUsage.objects.filter(hour=hour, agent_id__in=agents):
            yield hour, _key(row), Totals() - Totals.of(row)
    yield from get_store().slices(recent)


def _key(row: DailyUsage | HourlyUsage) -> Slice:
    return Slice(**{name: getattr(row, name) for name in Slice._fields})
