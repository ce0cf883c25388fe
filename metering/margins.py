"""What a plan's fee leaves once the provider is paid, and which plan is the cheapest by tokens alone. Plain arithmetic.

Source: llm-strategy, "Pricing Tiers", whose margins are for 500K input and 200K output tokens an agent and month.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Final

from agents.plans import MILLION, Plan, plans
from metering import pricing
from metering.periods import midnight
from metering.pricing import Rate
from metering.usage import Usage

EXAMPLE: Final = Usage(input=500_000, output=200_000)
TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One route of a tier: where its requests go."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """What a month of :data:`EXAMPLE` costs over one route, in USD, and what share of the fee is left, in percent.

    Both are None for a model that we have no price for.
    """

    way: Way
    rate: Rate | None
    cost: Decimal | None
    percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierMargins:
    """A tier's terms on a day, and the margin over each of its routes."""

    plan: Plan
    margins: tuple[Margin, ...]

    @property
    def lowest(self) -> Decimal | None:
        """The margin over the dearest route, in percent; None where no route has a price."""
        return min((each.percent for each in self.margins if each.percent is not None), default=None)

    @property
    def highest(self) -> Decimal | None:
        """The margin over the cheapest route."""
        return max((each.percent for each in self.margins if each.percent is not None), default=None)


def margin(plan: Plan, way: Way, *, on: date) -> Margin:
    """Return what ``plan`` leaves over one route at the rates of a day (UTC)."""
    rate = pricing.rate(way.provider, way.model, at=midnight(on))
    if rate is None:
        return Margin(way=way, rate=None, cost=None, percent=None)
    cost = rate.cost_input(EXAMPLE) + rate.cost_output(EXAMPLE)
    percent = (100 * (plan.fee - cost) / plan.fee).quantize(TENTH, ROUND_HALF_UP)
    return Margin(way=way, rate=rate, cost=cost, percent=percent)


def by_tier(routes: Iterable[tuple[str, Way]], *, on: date) -> list[TierMargins]:
    """Return every tier's margins on a day, over ``routes`` (tier and route, in order), the cheapest tier first."""
    ways = list(routes)
    return [
        TierMargins(plan=each, margins=tuple(margin(each, way, on=on) for tier, way in ways if tier == each.tier))
        for each in plans(on=on)
    ]


# --- By tokens alone ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """The plan that costs least from so many tokens a month on, until ``until`` (None: for good)."""

    plan: Plan
    tokens: int
    until: int | None


def month_price(plan: Plan, tokens: Fraction) -> Fraction:
    """Return what a month of ``tokens`` costs its customer, in USD, unrounded."""
    beyond = max(tokens - plan.included_tokens, Fraction())
    return Fraction(plan.fee) + Fraction(plan.overage_per_million) * beyond / MILLION


def cheapest(offered: Sequence[Plan]) -> list[Cheapest]:
    """Return which plan costs least over which span of monthly tokens, whole tokens, half up.

    By tokens alone the list turns round: past 10.33 million a month Starter is always the cheapest, because tiers
    differ in quality and not only in volume (product, "Money").
    """
    turns = sorted({Fraction(), *(each for pair in combinations(offered, 2) for each in _meet(*pair))})
    # Between two turns nothing changes: what is the cheapest in the middle is it throughout.
    middles = [(a + b) / 2 for a, b in pairwise(turns)] + [turns[-1] + MILLION]
    spans: list[tuple[Fraction, Plan]] = []
    for turn, middle in zip(turns, middles, strict=True):
        best = min(offered, key=lambda plan: month_price(plan, middle))
        if not spans or spans[-1][1] is not best:
            spans.append((turn, best))
    starts = [round(turn) for turn, _plan in spans]
    ends: list[int | None] = [*starts[1:], None]
    return [
        Cheapest(plan=plan, tokens=start, until=end)
        for (_turn, plan), start, end in zip(spans, starts, ends, strict=True)
    ]


def _meet(one: Plan, other: Plan) -> list[Fraction]:
    """Return where two plans cost the same: their prices are two straight pieces each, so wherever pieces cross."""
    found = []
    for a in _pieces(one):
        for b in _pieces(other):
            if a[1] != b[1]:
                tokens = (b[0] - a[0]) / (a[1] - b[1])
                if tokens > 0 and month_price(one, tokens) == month_price(other, tokens):
                    found.append(tokens)
    return found


def _pieces(plan: Plan) -> tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]:
    """Return a plan's price as two lines: (USD at 0 tokens, USD a token), within the allowance and beyond it."""
    fee, slope = Fraction(plan.fee), Fraction(plan.overage_per_million) / MILLION
    return (fee, Fraction()), (fee - slope * plan.included_tokens, slope)
