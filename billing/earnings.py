"""What agents on plans bring, and what they cost us: by agent, customer and tier. Plain arithmetic.

What an agent brings is its fee and what lies beyond its plan, as invoices have it; what it costs is what providers
charge for all that it used. So the flat fee and the unused part of the allowance are in it. USD, before tax; credits
and hosting aren't in it.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from agents.plans import TIERS
from billing import invoicing
from billing.invoicing import NOTHING, AgentMonth, Kind
from billing.revenue import share
from metering.totals import Totals

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some agents bring and cost. ``unpriced`` counts the requests whose cost nobody knows."""

    agents: int = 1
    fees: Decimal = NOTHING
    beyond: Decimal = NOTHING
    cost: Decimal = Decimal()
    included: int = 0
    tokens: int = 0
    unused: int = 0
    unpriced: int = 0

    @property
    def brings(self) -> Decimal:
        """What its customers pay for it."""
        return self.fees + self.beyond

    @property
    def left(self) -> Decimal:
        """What that leaves us, negative where it costs more than it brings."""
        return self.brings - self.cost

    @property
    def margin(self) -> Decimal | None:
        """What it leaves in percent; None where nothing comes in."""
        return share(self.left, of=self.brings)

    @property
    def unused_share(self) -> Decimal | None:
        """The part of the allowances that nobody used, in percent."""
        return share(Decimal(self.unused), of=Decimal(self.included))

    @property
    def loses(self) -> bool:
        """Whether it costs more than it brings."""
        return self.left < 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """One agent's month."""

    agent_id: UUID
    name: str
    workspace_id: UUID
    workspace: str
    tier: str
    sums: Sums


def sums_of(month: str, agent: AgentMonth, used: Totals) -> Sums:
    """Return what an agent's month brings and costs."""
    lines = invoicing.draft(month=month, hosting=None, agents=[agent]).lines
    included = agent.terms.plan.included_tokens
    return Sums(
        fees=invoicing.total([line for line in lines if line.kind is Kind.PLAN]),
        beyond=invoicing.total([line for line in lines if line.kind is Kind.OVERAGE]),
        cost=used.cost_total,
        included=included,
        tokens=used.tokens,
        unused=max(included - used.tokens, 0),
        unpriced=used.unpriced,
    )


def together(earnings: Iterable[Earning]) -> Sums:
    """Return what they come to."""
    return sum((each.sums for each in earnings), Sums(agents=0))


def by_tier(earnings: Sequence[Earning]) -> list[tuple[str, Sums]]:
    """Return what each tier comes to, the cheapest tier first; a tier with agents only."""
    found = _grouped(earnings, lambda each: each.tier)
    return [(tier, found[tier]) for tier in TIERS if tier in found]


def by_customer(earnings: Sequence[Earning]) -> list[tuple[str, Sums]]:
    """Return what each customer, by name, comes to, the worst first."""
    found = _grouped(earnings, lambda each: (each.workspace, each.workspace_id))
    return sorted(((name, sums) for (name, _id), sums in found.items()), key=lambda row: (row[1].left, row[0]))


def worst_first(earnings: Iterable[Earning]) -> list[Earning]:
    """Return them by what they leave, losses first."""
    return sorted(earnings, key=lambda each: (each.sums.left, each.name, each.agent_id))


def _grouped(earnings: Iterable[Earning], by: Callable[[Earning], K]) -> dict[K, Sums]:
    found: dict[K, Sums] = {}
    for each in earnings:
        key = by(each)
        found[key] = found.get(key, Sums(agents=0)) + each.sums
    return found
