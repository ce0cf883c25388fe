"""An agent's month in detail: its days, kinds of requests, models and outcomes. Plain arithmetic over its parts."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeVar

from metering.periods import Month
from metering.totals import OK, Slice, Totals, percentile

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What requests that have ``name`` in common used."""

    name: str
    sums: Totals
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day, and what was used on it."""

    day: date
    sums: Totals
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """A month. Percent and latencies are None without requests, ``cost`` where it isn't known of any; USD, ms."""

    days: Sequence[Day]
    types: Sequence[Part]
    models: Sequence[Part]
    outcomes: Sequence[Part]
    total: Totals
    p50: int | None
    p95: int | None

    @property
    def succeeded(self) -> Decimal | None:
        """How many requests of a hundred were answered, to one decimal, cut off: only all of them are 100%."""
        answered = sum(each.sums.requests for each in self.outcomes if each.name == OK)
        return _share(answered, self.total.requests)

    @property
    def cached(self) -> Decimal | None:
        """How many of a hundred input tokens came from a provider's cache."""
        return _share(self.total.cache_read, self.total.tokens_input)

    @property
    def failures(self) -> list[Part]:
        """Why requests came to no whole answer, the most frequent reason first."""
        return [each for each in self.outcomes if each.name != OK]

    @property
    def cost(self) -> Decimal | None:
        """What the provider charges for the requests whose price is known."""
        return None if self.total.unpriced == self.total.requests else self.total.cost_total


def details(
    parts: Mapping[tuple[date, Slice], Totals], latencies: "Counter[int]", *, month: Month, today: date
) -> Details:
    """Return a month in detail, with every day of it until ``today``."""
    last = min(month.end.date() - timedelta(days=1), today)
    by_day = _grouped(parts, lambda day, _key: day)
    failed = _grouped({of: sums for of, sums in parts.items() if of[1].failed}, lambda day, _key: day)
    first = month.start.date()
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Details(
        days=[Day(day=day, sums=by_day.get(day, Totals()), failed=failed.get(day, Totals()).requests) for day in days],
        types=_parts(parts, lambda key: key.request_type),
        models=_parts(parts, lambda key: f"{key.provider}/{key.model}"),
        outcomes=_parts(parts, lambda key: key.status),
        total=sum(parts.values(), Totals()),
        p50=percentile(latencies.items(), 50),
        p95=percentile(latencies.items(), 95),
    )


def _parts(parts: Mapping[tuple[date, Slice], Totals], name: Callable[[Slice], str]) -> list[Part]:
    failed = _grouped({of: sums for of, sums in parts.items() if of[1].failed}, lambda _day, key: name(key))
    found = _grouped(parts, lambda _day, key: name(key))
    rows = [
        Part(name=each, sums=sums, failed=failed.get(each, Totals()).requests)
        for each, sums in found.items()
        if sums.requests
    ]
    return sorted(rows, key=lambda row: (-row.sums.requests, row.name))


def _grouped(parts: Mapping[tuple[date, Slice], Totals], by: Callable[[date, Slice], K]) -> dict[K, Totals]:
    grouped: dict[K, Totals] = {}
    for (day, key), sums in parts.items():
        group = by(day, key)
        grouped[group] = grouped.get(group, Totals()) + sums
    return grouped


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(part * 1000 // whole) / 10 if whole else None
