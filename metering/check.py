"""Proof that the journal, the store and the roll-ups say the same, or where they begin not to."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from metering import journal, kept, rollups
from metering.batches import batches
from metering.models import DailyUsage, HourlyLatency, HourlyUsage, MonthlyUsage, UsageRecord
from metering.periods import Month
from metering.record import picodollars, utc_text
from metering.store import get_store
from metering.totals import OK, Latency, Slice, Totals

K = TypeVar("K", bound=Hashable)

BATCH: Final = 1_000  # records compared at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two places that should say the same: ``what`` of ``place``, as ``source`` has it and as ``copy`` has it."""

    place: str
    what: str
    source: str
    copy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what} is {self.source}, but {self.copy}."


def checked(directory: Path) -> Iterator[Difference | None]:
    """Compare the journal in ``directory``, the store and the roll-ups, giving what is found wrong at each step.

    There is a step for the journal, one for each of ``rollups.record_days()``, and one for each of their months.
    """
    yield _journal(directory)
    days = rollups.record_days()
    for day in days:
        yield rollups.steadily(partial(_day, day))
    for month in sorted({Month(day.year, day.month) for day in days}):
        yield rollups.steadily(partial(_month, month))


# --- the journal ---------------------------------------------------------------------------------


def _journal(directory: Path) -> Difference | None:
    """Compare what still lies in the journal with the store. What isn't stored yet is on its way, unless set aside."""
    for path in sorted(directory.glob("*.bad")):
        lines = path.read_bytes().count(b"\n")
        return Difference(
            place=f"journal {path.name}", what="records", source=f"{lines:,} set aside", copy="none of them is stored"
        )
    for some in batches(map(msgspec.json.decode, journal.unshipped(directory)), BATCH):
        stored = {str(row.pk): row for row in get_store().find([UUID(written["id"]) for written in some])}
        for written in some:
            if written["id"] in stored and (found := _unlike(written, stored[written["id"]])):
                return found
    return None


def _unlike(written: Mapping[str, Any], row: UsageRecord) -> Difference | None:
    for name, said in written.items():
        stored = _as_written(getattr(row, name), name)
        if said != stored:
            return Difference(
                place=f"record {row.pk}",
                what=name,
                source=f"{said} in the journal",
                copy=f"{stored} in the store",
            )
    return None


def _as_written(value: Any, name: str) -> Any:
    """Return a stored value as the journal writes it."""
    if name.startswith(("cost_", "price_total")):
        return None if value is None else picodollars(value)
    if isinstance(value, datetime):
        return utc_text(value)
    return str(value) if isinstance(value, UUID) else value


# --- the roll-ups --------------------------------------------------------------------------------


def _day(day: date, before: int) -> Difference | None:
    store, of_day = get_store(), rollups.of_day(day)
    rows, gone = list(HourlyUsage.objects.filter(of_day)), kept.gone(day)
    # Of these the records were deleted: that the roll-ups go together is all there is to see.
    settled = {row.agent_id for row in rows if row.workspace_id in gone}
    hours = {(row.hour, _key(row)): Totals.of(row) for row in rows}
    took = {
        _latency(row): Totals(requests=row.requests)
        for row in HourlyLatency.objects.filter(of_day).exclude(agent_id__in=settled)
    }
    seen = {hour: [agent for agent in agents if agent not in settled] for hour, agents in store.hours(day=day).items()}
    return (
        _first(
            {(hour, key): sums for hour, key, sums in store.slices(seen, before=before)},
            {of: sums for of, sums in hours.items() if of[1].agent_id not in settled},
            say=lambda of: f"hour {of[0]:%Y-%m-%d %H}:00 of {_say(of[1])}",
            source="the records",
        )
        or _first(
            {_latency(each): Totals(requests=each.requests) for each in store.latencies(seen, before=before)},
            took,
            say=lambda of: f"hour {of[0]:%Y-%m-%d %H}:00 of agent {of[1]}, answered in {of[2]} ms",
            source="the records",
        )
        or _first(
            _added((key, sums) for (_hour, key), sums in hours.items()),
            {_key(row): Totals.of(row) for row in DailyUsage.objects.filter(day=day)},
            say=lambda key: f"day {day} of {_say(key)}",
            source="the hours",
        )
    )


def _month(month: Month, _before: int) -> Difference | None:
    first = month.start.date()
    days = list(DailyUsage.objects.filter(day__gte=first, day__lt=month.end.date()))
    months = list(MonthlyUsage.objects.filter(month=first))
    failed = _added((row.agent_id, Totals(requests=row.requests)) for row in days if row.status != OK)
    managed = _added((row.agent_id, Totals.of(row)) for row in days if _key(row).managed)
    for row in months:
        # Beside the sums there are these two, which are sums of some of the days' lines.
        for name, found, expected in (
            ("failed", row.failed, failed.get(row.agent_id, Totals()).requests),
            ("managed_tokens", row.managed_tokens, managed.get(row.agent_id, Totals()).tokens),
        ):
            if found != expected:
                place = f"month {month} of agent {row.agent_id}"
                return _difference(place, name, expected, found, source="the days")
    return _first(
        _added((row.agent_id, Totals.of(row)) for row in days),
        {row.agent_id: Totals.of(row) for row in months},
        say=lambda agent_id: f"month {month} of agent {agent_id}",
        source="the days",
    )


def _first(
    sources: Mapping[K, Totals], copies: Mapping[K, Totals], *, say: Callable[[K], str], source: str
) -> Difference | None:
    for of in sorted({*sources, *copies}, key=str):
        expected, found = sources.get(of, Totals()).columns(), copies.get(of, Totals()).columns()
        for name in Totals.__slots__:
            if expected[name] != found[name]:
                return _difference(say(of), name, expected[name], found[name], source=source)
    return None


def _difference(place: str, what: str, expected: Any, found: Any, *, source: str) -> Difference:
    return Difference(place=place, what=what, source=f"{expected:,} by {source}", copy=f"{found:,} in the roll-up")


def _added(parts: Iterable[tuple[K, Totals]]) -> dict[K, Totals]:
    added: dict[K, Totals] = {}
    for key, sums in parts:
        added[key] = added.get(key, Totals()) + sums
    return added


def _key(row: HourlyUsage | DailyUsage) -> Slice:
    return Slice(**{name: getattr(row, name) for name in Slice._fields})


def _latency(row: HourlyLatency | Latency) -> tuple[datetime, UUID, int]:
    return row.hour, row.agent_id, row.latency_ms


def _say(key: Slice) -> str:
    alike = (key.tier, key.provider, key.model, key.status, key.request_type)
    return f"agent {key.agent_id} ({', '.join(alike)})"
