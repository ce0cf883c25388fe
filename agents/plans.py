"""The plans of Managed agents: dated terms, and the arithmetic of choosing, changing and leaving them. No Django.

The rules are those of "What you pay" in ``docs/plans.md``: a month is a calendar month in UTC and has one plan, the
highest that the agent was on. Going up takes effect at once, going down and leaving on the first of next month. An
agent that joins in the middle of a month pays for the days that are left of it, today included.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

TIERS: Final = ("economy", "standard", "premium")
CENT: Final = Decimal("0.01")
MILLION: Final = 1_000_000


# --- Terms --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One tier's terms from a month on. Money in USD; tokens are input plus output of a calendar month."""

    tier: str
    name: str
    from_day: date
    fee: Decimal
    included_tokens: int
    overage_per_million: Decimal
    list_per_million: Decimal
    popular: bool = False

    def beyond(self, tokens: int) -> Decimal:
        """Return the price of ``tokens`` beyond what is included, in USD, half up to the cent."""
        return (self.overage_per_million * tokens / MILLION).quantize(CENT, ROUND_HALF_UP)


@cache
def _rows() -> tuple[Plan, ...]:
    data = tomllib.loads(Path(__file__).with_name("plans.toml").read_text())
    return tuple(_row(**row) for row in data["plan"])


def _row(**row: Any) -> Plan:
    from_day: date = row.pop("from")
    if from_day.day != 1:
        raise ValueError(f"terms change with a month: {row['tier']} can't change on {from_day}")
    row |= {name: Decimal(row[name]) for name in ("fee", "overage_per_million", "list_per_million")}
    return Plan(from_day=from_day, **row)


def plan(tier: str, *, on: date) -> Plan:
    """Return the terms of ``tier`` in force ``on`` a day (the earliest known terms before their first day).

    Raises:
        KeyError: when there is no such tier.
    """
    rows = sorted((row for row in _rows() if row.tier == tier), key=lambda row: row.from_day)
    if not rows:
        raise KeyError(tier)
    return next((row for row in reversed(rows) if row.from_day <= on), rows[0])


def plans(*, on: date) -> list[Plan]:
    """Return the terms of every tier in force ``on`` a day, the cheapest first."""
    return [plan(tier, on=on) for tier in TIERS]


# --- An agent's time on plans -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Time on one tier: ``[starts, ends)``, aware. ``ends`` is None while nothing ends it."""

    tier: str
    starts: datetime
    ends: datetime | None = None

    def covers(self, moment: datetime) -> bool:
        """Tell whether the agent is on the tier at ``moment``."""
        return self.starts <= moment and (self.ends is None or moment < self.ends)

    def touches(self, start: datetime, end: datetime) -> bool:
        """Tell whether any of it lies in ``[start, end)``."""
        return self.starts < end and (self.ends is None or start < self.ends)


History = tuple[Stay, ...]  # in order of time, never two at once


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """Return the calendar month (UTC) that ``moment`` falls into, as ``[first instant, first of the next)``."""
    day = moment.astimezone(UTC).date().replace(day=1)
    after = (day + timedelta(days=31)).replace(day=1)
    return datetime.combine(day, time(), UTC), datetime.combine(after, time(), UTC)


def stay_at(history: Iterable[Stay], moment: datetime) -> Stay | None:
    """Return the stay that ``moment`` falls into, or None on the owner's own key."""
    return next((stay for stay in history if stay.covers(moment)), None)


def tier_at(history: Iterable[Stay], moment: datetime) -> str | None:
    """Return the tier at ``moment``, or None on the owner's own key."""
    stay = stay_at(history, moment)
    return stay.tier if stay else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an agent's month costs and includes: one fee, for ``days`` of the ``days_of_month``; the allowance whole."""

    plan: Plan
    days: int
    days_of_month: int
    fee: Decimal

    @property
    def whole(self) -> bool:
        """Whether all of the month is paid for."""
        return self.days == self.days_of_month


def month_terms(history: Iterable[Stay], *, month: datetime) -> Terms | None:
    """Return the terms of the calendar month that ``month`` (a moment in it) falls into; None without a plan in it."""
    start, end = month_of(month)
    touching = [stay for stay in history if stay.touches(start, end)]
    if not touching:
        return None
    highest = max((plan(stay.tier, on=start.date()) for stay in touching), key=lambda terms: terms.fee)
    # Whoever changes plan in their first month keeps the day on which they came.
    came = max(start, min(stay.starts for stay in touching))
    days_of_month = (end - start).days
    days = days_of_month - (came.astimezone(UTC).day - 1)
    fee = (highest.fee * days / days_of_month).quantize(CENT, ROUND_HALF_UP)
    return Terms(plan=highest, days=days, days_of_month=days_of_month, fee=fee)


# --- Changing plans -----------------------------------------------------------------------------


class Kind(StrEnum):
    """What a change comes to."""

    JOIN = "join"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    LEAVE = "leave"
    STAY = "stay"  # what was ahead is called off
    NOTHING = "nothing"


LATER: Final = frozenset({Kind.DOWNGRADE, Kind.LEAVE})  # these wait for the first of next month


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A change that waits for its day. ``tier`` is None when the agent leaves."""

    tier: str | None
    on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of plan: what it comes to, when it takes effect, what the months cost, and the history after it."""

    kind: Kind
    tier: str | None
    at: datetime
    effective: datetime
    month: datetime
    next_month: datetime
    before: Terms | None
    now: Terms | None
    then: Terms | None
    history: History

    @property
    def figures(self) -> str:
        """What somebody agrees to who has seen this change, in one comparable line."""
        fees = [str(terms.fee) if terms else "0" for terms in (self.before, self.now, self.then)]
        return " ".join([self.kind, self.tier or "-", self.next_month.date().isoformat(), *fees])


def ahead(history: History, *, at: datetime) -> Ahead | None:
    """Return the change that waits for its day, if one does."""
    current = stay_at(history, at)
    if current is None or current.ends is None:
        return None
    return Ahead(tier=tier_at(history, current.ends), on=current.ends)


def change(history: History, *, tier: str | None, at: datetime) -> Change:
    """Return what putting the agent on ``tier`` (None: leaving) comes to if it's decided ``at`` a moment.

    Raises:
        KeyError: when there is no such tier.
    """
    month, next_month = month_of(at)
    kind = _kind(history, tier=tier, at=at)
    after = _after(history, kind=kind, tier=tier, at=at)
    return Change(
        kind=kind,
        tier=tier,
        at=at,
        effective=next_month if kind in LATER else at,
        month=month,
        next_month=next_month,
        before=month_terms(history, month=at),
        now=month_terms(after, month=at),
        then=month_terms(after, month=next_month),
        history=after,
    )


def _kind(history: History, *, tier: str | None, at: datetime) -> Kind:
    current = stay_at(history, at)
    waiting = ahead(history, at=at)
    if current is None:
        return Kind.JOIN if tier else Kind.NOTHING
    if tier == current.tier:
        return Kind.STAY if waiting else Kind.NOTHING
    if waiting and tier == waiting.tier:
        return Kind.NOTHING
    if tier is None:
        return Kind.LEAVE
    on = month_of(at)[0].date()
    return Kind.UPGRADE if plan(tier, on=on).fee > plan(current.tier, on=on).fee else Kind.DOWNGRADE


def _after(history: History, *, kind: Kind, tier: str | None, at: datetime) -> History:
    """Return the history after a change. What is past stays as it is; what was ahead gives way."""
    if kind is Kind.NOTHING:
        return history
    past = tuple(stay for stay in history if stay.ends is not None and stay.ends <= at)
    current = stay_at(history, at)
    if current and kind is Kind.STAY:
        return (*past, replace(current, ends=None))
    turn = month_of(at)[1] if kind in LATER else at
    until = (replace(current, ends=turn),) if current and current.starts < turn else ()
    onwards = (Stay(tier=tier, starts=turn),) if tier else ()
    return (*past, *until, *onwards)
