"""Roll-ups: what each hour, day and month came to, made from the records and never added to.

Records come late and out of order, so nothing is counted up. Whatever hours got records since the last time are summed
again from their records, their days from the hours, their months from the days, and with them, in one transaction,
moves the watermark. Roll-ups hold the records stored before it and no other, whenever and however often they are made.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from metering import kept
from metering.batches import batches
from metering.models import DailyUsage, HourlyLatency, HourlyUsage, KeptSince, MonthlyUsage, Watermark
from metering.periods import Month, midnight
from metering.store import get_store, json_rows
from metering.store.base import Hours
from metering.totals import BYOKEY, LARGEST, OK, Slice, Totals

T = TypeVar("T")

AT_ONCE: Final = 1_000  # agents in one statement
DAY: Final = timedelta(days=1)
READS: Final = 5  # attempts, while the roll-ups change under the reader


def roll_up() -> int:
    """Bring the roll-ups up to date; return how many days were made again.

    Raises:
        StoreUnavailable: when something is being stored that doesn't come to an end. The next time does it all.
        django.db.Error: when the database is away; likewise.
    """
    return sum(1 for _day in days_rolled_up())


def days_rolled_up() -> Iterator[date]:
    """Bring the roll-ups up to date, giving each day that is done; all of them are there at once, at the end."""
    store = get_store()
    # Asked for beforehand: for a moment nothing is stored meanwhile, and all that follows takes longer than that.
    end = store.mark()
    with _alone() as reached:
        for day, hours in sorted(by_day(store.touched(since=reached.stored, before=end)).items()):
            _make(day, hours, before=end)
            yield day
        # Somebody else may have gone further in the meantime.
        Watermark.objects.filter(pk=1, stored__lt=end).update(stored=end)


def days_rebuilt() -> Iterator[date]:
    """Make every roll-up that there are records for again, giving each day that is done."""
    roll_up()
    for day in record_days():
        with _alone() as reached:
            _make(day, get_store().hours(day=day), before=reached.stored, instead_of=_forget(day))
        yield day


def settle(until: Mapping[UUID, datetime]) -> int:
    """Make no roll-up again of what is before the workspaces' moments, since its records are about to go.

    Returns how far the roll-ups are: what was stored before that mark is in them.
    """
    with _alone() as reached:
        since = {row.pk: row.since for row in KeptSince.objects.all()}
        moved = [KeptSince(pk=pk, since=to) for pk, to in until.items() if pk not in since or since[pk] < to]
        KeptSince.objects.bulk_create(
            moved, update_conflicts=True, unique_fields=["workspace_id"], update_fields=["since"], batch_size=AT_ONCE
        )
        return reached.stored


def record_days() -> list[date]:
    """Return every day from the oldest record to the newest."""
    ends = get_store().days()
    return [ends[0] + DAY * number for number in range((ends[1] - ends[0]).days + 1)] if ends else []


def watermark() -> Watermark:
    """Return how far the roll-ups are."""
    return Watermark.objects.filter(pk=1).first() or Watermark()


def steadily(look: Callable[[int], T]) -> T:
    """Return what ``look`` sees, given how far the roll-ups are; it looks again where they change meanwhile."""
    for _attempt in range(READS):
        reached = watermark()
        seen = look(reached.stored)
        if watermark().version == reached.version:
            break
    return seen


def by_day(hours: Hours) -> dict[date, dict[datetime, Collection[UUID]]]:
    """Return the hours of each day."""
    days: dict[date, dict[datetime, Collection[UUID]]] = defaultdict(dict)
    for hour, agents in hours.items():
        days[hour.date()][hour] = agents
    return days


def of_day(day: date) -> Q:
    """Return the condition that an hour is of a day."""
    return Q(hour__gte=midnight(day), hour__lt=midnight(day) + DAY)


# --- making them ---------------------------------------------------------------------------------


@contextmanager
def _alone() -> Iterator[Watermark]:
    """Keep other workers out until what is made now is there as a whole; give how far the roll-ups are."""
    Watermark.objects.get_or_create(pk=1)
    with transaction.atomic(using=settings.METER_DATABASE):
        # Holds the row: the next one waits here, and then sees all that this one did.
        Watermark.objects.filter(pk=1).update(version=F("version") + 1)
        yield watermark()


def _make(day: date, hours: Hours, *, before: int, instead_of: Collection[UUID] = ()) -> None:
    """Make these agents' hours of a day again from the records before a mark, the day of theirs, and the month."""
    hours = still_there(day, hours)
    _make_hours(hours, before)
    agents = sorted({agent for some in hours.values() for agent in some}.union(instead_of))
    for some in batches(agents, AT_ONCE):
        _make_days(day, some)
        _make_months(Month(day.year, day.month), some)


def still_there(day: date, hours: Hours) -> Hours:
    """Leave out the agents' hours of a day whose records aren't kept any more: their roll-ups are all there is."""
    gone = kept.gone(day)
    if not gone:
        return hours
    agents = {agent for some in hours.values() for agent in some}
    rolled = HourlyUsage.objects.filter(of_day(day), agent_id__in=agents, workspace_id__in=gone)
    settled = set(rolled.values_list("hour", "agent_id"))
    return {hour: [agent for agent in some if (hour, agent) not in settled] for hour, some in hours.items()}


def _forget(day: date) -> set[UUID]:
    """Take a day's hours away, except where they can't be made again; return whose they were."""
    gone = kept.gone(day)
    settled = HourlyUsage.objects.filter(of_day(day), workspace_id__in=gone).values_list("agent_id", flat=True)
    stay = set(settled.distinct()) if gone else set()
    hours = HourlyUsage.objects.filter(of_day(day)).exclude(agent_id__in=stay)
    agents = set(hours.values_list("agent_id", flat=True).distinct())
    days = DailyUsage.objects.filter(day=day).exclude(agent_id__in=stay)
    agents.update(days.values_list("agent_id", flat=True).distinct())
    hours.delete()
    HourlyLatency.objects.filter(of_day(day)).exclude(agent_id__in=stay).delete()
    return agents


def _make_hours(hours: Hours, before: int) -> None:
    store = get_store()
    for hour, agents in hours.items():
        for some in batches(sorted(agents), AT_ONCE):
            HourlyUsage.objects.filter(hour=hour, agent_id__in=some).delete()
            HourlyLatency.objects.filter(hour=hour, agent_id__in=some).delete()
    sums = ({"hour": hour, **key._asdict(), **sums.columns()} for hour, key, sums in store.slices(hours, before=before))
    json_rows.insert(HourlyUsage, sums)
    json_rows.insert(HourlyLatency, (latency._asdict() for latency in store.latencies(hours, before=before)))


def _make_days(day: date, agents: Sequence[UUID]) -> None:
    DailyUsage.objects.filter(day=day, agent_id__in=agents).delete()
    hours = HourlyUsage.objects.filter(of_day(day), agent_id__in=agents)
    alike = Slice._fields
    days = (
        {"day": day, **{name: row[name] for name in alike}, **Totals.summed(row).columns()}
        for row in _added(hours, alike)
    )
    json_rows.insert(DailyUsage, days)


def _make_months(month: Month, agents: Sequence[UUID]) -> None:
    """Make the agents' month from its days."""
    first = month.start.date()
    MonthlyUsage.objects.filter(month=first, agent_id__in=agents).delete()
    days = DailyUsage.objects.filter(day__gte=first, day__lt=month.end.date(), agent_id__in=agents)
    parts: dict[tuple[UUID, UUID], list[dict[str, Any]]] = defaultdict(list)
    for row in _added(days, ("agent_id", "workspace_id", "tier", "provider", "status")):
        parts[row["agent_id"], row["workspace_id"]].append(row)
    json_rows.insert(MonthlyUsage, (_month(*of, first, some) for of, some in parts.items()))


def _month(agent_id: UUID, workspace_id: UUID, first: date, parts: list[dict[str, Any]]) -> dict[str, Any]:
    # Adding is done in exact decimals and whole numbers, so the order of rows makes no difference.
    whole = sum((Totals.summed(part) for part in parts), Totals())
    managed = sum((Totals.summed(part) for part in parts if part["tier"] != BYOKEY), Totals())
    return {
        "agent_id": agent_id,
        "workspace_id": workspace_id,
        "month": first,
        "failed": sum(Totals.summed(part).requests for part in parts if part["status"] != OK),
        "managed_tokens": min(managed.tokens, LARGEST),
        "providers": sorted({part["provider"] for part in parts}),
        **whole.columns(),
    }


def _added(lines: "QuerySet[Any]", by: Sequence[str]) -> Any:
    sums = {f"sum_{name}": Sum(name) for name in Totals.__slots__}
    return lines.order_by().values(*by).annotate(**sums)
