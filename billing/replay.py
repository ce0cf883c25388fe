"""What an agent's months would have come to on each plan, and on its owner's key. Plain arithmetic.

A month is put on a plan by giving the agent another history; its price is then worked out by ``billing.invoicing``,
as for an invoice. Amounts are in USD, before tax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from agents.plans import TIERS, History, Stay, month_terms
from billing import invoicing
from billing.invoicing import NOTHING, Kind, agent_month
from metering.periods import Month
from metering.pricing import Rate
from metering.totals import BYOKEY, Modes, Totals
from metering.usage import Usage

MONTHS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What some months come to, one way. ``amount`` is None where nobody knows any of it.

    ``beyond`` is the part of it that lies beyond the plan, ``stops`` in how many months it would have reached the
    agent's limit, and ``unpriced`` counts the requests that aren't in ``amount``, as we know no price for them.
    """

    amount: Decimal | None = NOTHING
    beyond: Decimal = NOTHING
    stops: int = 0
    unpriced: int = 0

    def __add__(self, other: "Bill") -> "Bill":
        known = sum((each.amount for each in (self, other) if each.amount is not None), NOTHING)
        unpriced = self.unpriced + other.unpriced
        return Bill(
            # Beside something that nobody knows, an idle month's nothing isn't a price.
            amount=None if unpriced and not known else known,
            beyond=self.beyond + other.beyond,
            stops=self.stops + other.stops,
            unpriced=unpriced,
        )

    def less(self, other: "Bill") -> Decimal | None:
        """Return how much more this is than another one; None where either isn't known in full."""
        if self.amount is None or other.amount is None or self.unpriced or other.unpriced:
            return None
        return self.amount - other.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose months they are. ``limit``: USD beyond a plan, None for as much as its fee.

    ``rate`` is what the model that its owner would ask charges; None where none is named, or we know no price.
    """

    agent_id: UUID
    name: str
    history: History
    created_at: datetime
    limit: Decimal | None
    rate: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReplay:
    """A month: the tokens that were used, what it cost (``tier``: what it was on), and would have cost, by tier."""

    month: Month
    tokens: int
    tier: str
    actual: Bill
    ways: Mapping[str, Bill]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """An agent's months, the oldest first: whole ones, or the current one ``so_far``."""

    months: Sequence[MonthReplay]
    so_far: bool

    @property
    def actual(self) -> Bill:
        """What they cost together."""
        return _together([each.actual for each in self.months])

    @property
    def ways(self) -> dict[str, Bill]:
        """What they would have cost together, by tier, own key last."""
        return {tier: _together([each.ways[tier] for each in self.months]) for tier in (*TIERS, BYOKEY)}


def last_months(at: datetime) -> list[Month]:
    """Return the months that are replayed, the oldest first: the last three that are over, and the current one."""
    return [Month.of(at).back(months) for months in range(MONTHS, -1, -1)]


def replay(subject: Subject, used: Mapping[Month, Modes], *, at: datetime) -> Replay:
    """Return the agent's last three months that are over, from the first of them on in which it was in use.

    Of an agent that wasn't in use before the current month, return that one so far.
    """
    *over, current = last_months(at)
    begun = next((number for number, month in enumerate(over) if _in_use(subject, used, month)), None)
    if begun is not None:
        months, so_far = over[begun:], False
    else:
        months, so_far = [current] if _in_use(subject, used, current) else [], True
    return Replay(months=[_month(subject, each, used.get(each, Modes())) for each in months], so_far=so_far)


def _in_use(subject: Subject, used: Mapping[Month, Modes], month: Month) -> bool:
    return month in used or any(stay.touches(month.start, month.end) for stay in subject.history)


def _month(subject: Subject, month: Month, used: Modes) -> MonthReplay:
    tokens = used.managed.tokens + used.own.tokens
    came = _came(subject, month, used)
    ways = {
        tier: _on_plan(subject, month, history=(Stay(tier=tier, starts=came),), tokens=tokens) or Bill()
        for tier in TIERS
    }
    billed = _on_plan(subject, month, history=subject.history, tokens=used.managed.tokens)
    own = _on_own_key(replace(used, managed=Totals()), None)
    terms = month_terms(subject.history, month=month.start)
    return MonthReplay(
        month=month,
        tokens=tokens,
        tier=terms.plan.tier if terms else BYOKEY,
        actual=billed + own if billed else own,
        ways={**ways, BYOKEY: _on_own_key(used, subject.rate)},
    )


def _came(subject: Subject, month: Month, used: Modes) -> datetime:
    """Return from when on the month is paid: as it was if it was a plan's alone, or since the agent is there."""
    stays = [stay.starts for stay in subject.history if stay.touches(month.start, month.end)]
    if stays and not used.own.requests:
        return max(month.start, min(stays))
    return subject.created_at if month.start < subject.created_at < month.end else month.start


def _on_plan(subject: Subject, month: Month, *, history: History, tokens: int) -> Bill | None:
    """Return what an invoice would have for the agent with that history; None without a plan in the month."""
    put = agent_month(agent_id=subject.agent_id, name=subject.name, history=history, month=month.start, tokens=tokens)
    if put is None:
        return None
    draft = invoicing.draft(month=str(month), hosting=None, agents=[put])
    beyond = invoicing.total([line for line in draft.lines if line.kind is Kind.OVERAGE])
    limit = put.terms.plan.fee if subject.limit is None else subject.limit
    return Bill(amount=draft.total, beyond=beyond, stops=int(beyond > limit))


def _on_own_key(used: Modes, rate: Rate | None) -> Bill:
    """Return about what the owner's provider would have charged: as metered, and at ``rate`` for what a plan took."""
    ours = used.managed
    cost = used.own.cost_total + (_cost(ours, rate) if rate else Decimal())
    unpriced = used.own.unpriced + (0 if rate else ours.requests)
    unknown = unpriced and unpriced == used.own.requests + ours.requests
    return Bill(amount=None if unknown else cost, unpriced=unpriced)


def _cost(sums: Totals, rate: Rate) -> Decimal:
    # Which of the cache's two terms it was written for isn't kept in sums: the shorter one is the usual one.
    fresh = sums.tokens_input - sums.cache_read - sums.cache_write
    usage = Usage(input=fresh, cache_read=sums.cache_read, cache_write_5m=sums.cache_write, output=sums.tokens_output)
    return rate.cost_input(usage) + rate.cost_output(usage)


def _together(bills: Sequence[Bill]) -> Bill:
    return sum(bills, Bill())


# --- What to make of it ---------------------------------------------------------------------------


class Verdict(StrEnum):
    """How another way compares with what an agent is on now.

    By tokens alone the smallest plan is often the cheapest, because plans differ in quality and not only in volume
    (product, "Money"): so what costs less and does less is told from what costs less and doesn't.
    """

    NOW = "now"
    MORE = "more"  # or as much
    LESS = "less"  # and at least the quality that was chosen
    LESS_FOR_LESS = "less_for_less"
    LESS_FOR_OTHER = "less_for_other"  # the quality of one's own key is whatever it is for
    UNKNOWN = "unknown"


def verdict(tier: str, *, now: str, difference: Decimal | None) -> Verdict:
    """Return how a tier compares with the one that the agent is on, which costs ``difference`` USD less."""
    if tier == now:
        return Verdict.NOW
    if difference is None:
        return Verdict.UNKNOWN
    if difference >= 0:
        return Verdict.MORE
    if BYOKEY in {tier, now}:
        return Verdict.LESS_FOR_OTHER
    return Verdict.LESS if TIERS.index(tier) > TIERS.index(now) else Verdict.LESS_FOR_LESS
