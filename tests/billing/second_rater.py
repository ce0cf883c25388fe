"""A second opinion on what a month costs. It shares no code with the product: fractions over raw facts.

It works from what happened, in the order in which it happened: who asked for which plan when, and which requests
arrived. ``docs/plans.md`` has the rules in words.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import floor

FEES = {"economy": 500, "standard": 1000, "premium": 2000}  # cents
INCLUDED = {"economy": 2_000_000, "standard": 5_000_000, "premium": 10_000_000}
BEYOND = {"economy": 200, "standard": 300, "premium": 500}  # cents a million


@dataclass(frozen=True)
class Request:
    """A request as the meter saw it. ``invoiced`` is False for one that came after its month's invoice."""

    id: str
    when: datetime
    tokens: int
    managed: bool = True
    late: bool = False


@dataclass(frozen=True)
class Wish:
    """Somebody asks for a plan (None: to leave) at a moment."""

    when: datetime
    tier: str | None


def cents(exact: Fraction) -> int:
    """Round half up."""
    return floor(exact + Fraction(1, 2))


def days_of(wishes: list[Wish], year: int, month: int) -> tuple[str, int] | None:
    """Return the month's tier and from which day on it's paid, or None: a replay day by day of who is on what."""
    tier: str | None = None  # now
    turning: tuple[tuple[int, int], str | None] | None = None  # what waits for the first of a month
    had: set[str] = set()
    since: int | None = None
    at = (0, 0)

    def arrive(then: tuple[int, int]) -> None:
        nonlocal tier, turning, had, since, at
        while turning and turning[0] <= then:
            (at, tier), turning = turning, None
            had, since = ({tier}, 1) if tier else (set(), None)
        if at < then:
            at = then
            had, since = ({tier}, 1) if tier else (set(), None)

    for wish in sorted(wishes, key=lambda each: each.when):
        here = (wish.when.year, wish.when.month)
        if here > (year, month):
            break
        arrive(here)
        following = (here[0] + here[1] // 12, here[1] % 12 + 1)
        if tier is None:
            if wish.tier:
                tier, had, since = wish.tier, had | {wish.tier}, since or wish.when.day
        elif wish.tier == tier:
            turning = None
        elif wish.tier and FEES[wish.tier] > FEES[tier]:
            tier, had, turning = wish.tier, had | {wish.tier}, None
        else:
            turning = (following, wish.tier)
    arrive((year, month))
    return (max(had, key=FEES.__getitem__), since or 1) if had else None


def agent_lines(wishes: list[Wish], requests: list[Request], year: int, month: int) -> tuple[int, int, int]:
    """Return the cents of an agent's fee, of its overage, and of what came late, for one month."""
    stay = days_of(wishes, year, month)
    if stay is None:
        return 0, 0, 0
    tier, first = stay
    length = calendar.monthrange(year, month)[1]
    fee = cents(Fraction(FEES[tier] * (length - first + 1), length))
    seen: dict[str, Request] = {}
    for request in requests:
        if request.managed and (request.when.year, request.when.month) == (year, month):
            seen.setdefault(request.id, request)
    in_time = _over(tier, sum(each.tokens for each in seen.values() if not each.late))
    altogether = _over(tier, sum(each.tokens for each in seen.values()))
    return fee, in_time, altogether - in_time


def _over(tier: str, tokens: int) -> int:
    return cents(Fraction(max(tokens - INCLUDED[tier], 0) * BEYOND[tier], 1_000_000))


def settled(charges: list[int], credit: int, rate: Fraction) -> tuple[int, int, int]:
    """Return an invoice's sum before tax, its tax, and what is left of the credit: cents. ``rate`` is a part of 1."""
    used = min(sum(charges), credit)
    base = sum(charges) - used
    return base, cents(base * rate), credit - used
