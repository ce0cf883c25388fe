"""What a month costs: plans and usage in, lines out. Plain arithmetic, no Django.

The rules are those of "Money" in ``docs/plans.md``. Tokens are whole numbers summed over the month and priced once;
every line is rounded once, half up, to the cent; an invoice's total is the exact sum of its lines, and tax is
computed once a rate on their sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from agents.plans import CENT, History, Plan, Terms, month_terms

NOTHING: Final = Decimal("0.00")
PERCENT: Final = 100


class Kind(StrEnum):
    """What a line is for, in the order in which an invoice lists them."""

    HOSTING = "hosting"
    PLAN = "plan"
    OVERAGE = "overage"
    LATE = "late"  # usage of an earlier month that came after its invoice
    CREDIT = "credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """A workspace's hosting plan and its fee a month, in USD."""

    name: str
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMonth:
    """One agent's month on a plan: its terms, and the tokens that count towards them."""

    agent_id: UUID
    name: str
    terms: Terms
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LateMonth:
    """An agent's earlier month as the meter has it now, and what was invoiced of it so far (tokens, USD of overage)."""

    month: str
    agent: AgentMonth
    invoiced_tokens: int
    invoiced: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a workspace was granted, as far as it isn't used up, in USD."""

    id: int
    reason: str
    left: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an invoice. ``amount`` in USD, whole cents, negative for a credit.

    ``quantity`` tokens are charged at ``unit_price`` USD a million; other lines have a quantity of 0, and the whole
    fee for a unit price. ``tokens`` is all that the agent used in ``month``.
    """

    kind: Kind
    month: str
    name: str
    amount: Decimal
    unit_price: Decimal = NOTHING
    quantity: int = 0
    agent_id: UUID | None = None
    terms: Terms | None = None
    tokens: int = 0
    credit_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An invoice before it's written down. ``tax_rate`` in percent, amounts in USD."""

    lines: tuple[Line, ...]
    tax_rate: Decimal
    subtotal: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        """What there is to pay."""
        return self.subtotal + self.tax


def agent_month(*, agent_id: UUID, name: str, history: History, month: datetime, tokens: int) -> AgentMonth | None:
    """Return the month (that of a moment) of an agent that was on these plans; None where it was on none."""
    terms = month_terms(history, month=month)
    return AgentMonth(agent_id=agent_id, name=name, terms=terms, tokens=tokens) if terms else None


def draft(
    *,
    month: str,
    hosting: Hosting | None,
    agents: Iterable[AgentMonth],
    late: Iterable[LateMonth] = (),
    credits: Iterable[Credit] = (),  # noqa: A002
    tax_rate: Decimal = NOTHING,
) -> Draft:
    """Return the invoice of a workspace's month. One that has nothing to charge has no lines."""
    lines = [*_hosting(month, hosting)]
    for agent in agents:
        lines += [_fee(month, agent), *_overage(month, agent)]
    lines += [line for each in late for line in _late(each)]
    lines += _credits(month, credits, charged=total(lines))
    subtotal = total(lines)
    return Draft(lines=tuple(lines), tax_rate=tax_rate, subtotal=subtotal, tax=tax(subtotal, rate=tax_rate))


def total(lines: Sequence[Line]) -> Decimal:
    """Return the exact sum of lines, in USD."""
    return sum((line.amount for line in lines), NOTHING)


def tax(base: Decimal, *, rate: Decimal) -> Decimal:
    """Return the tax of ``rate`` percent on a base, in USD, half up to the cent."""
    return (base * rate / PERCENT).quantize(CENT, ROUND_HALF_UP)


def beyond(plan: Plan, tokens: int) -> int:
    """Return how many of a month's tokens the plan doesn't include."""
    return max(tokens - plan.included_tokens, 0)


def _hosting(month: str, hosting: Hosting | None) -> list[Line]:
    if hosting is None or not hosting.fee:
        return []
    return [Line(kind=Kind.HOSTING, month=month, name=hosting.name, amount=hosting.fee, unit_price=hosting.fee)]


def _fee(month: str, agent: AgentMonth) -> Line:
    return Line(
        kind=Kind.PLAN,
        month=month,
        name=agent.name,
        amount=agent.terms.fee,
        unit_price=agent.terms.plan.fee,
        agent_id=agent.agent_id,
        terms=agent.terms,
        tokens=agent.tokens,
    )


def _overage(month: str, agent: AgentMonth) -> list[Line]:
    quantity = beyond(agent.terms.plan, agent.tokens)
    return _charge(Kind.OVERAGE, month, agent, quantity=quantity, amount=agent.terms.plan.beyond(quantity))


def _late(late: LateMonth) -> list[Line]:
    """Charge what the month comes to now, less what was invoiced of it: nothing is rounded twice."""
    plan, tokens = late.agent.terms.plan, late.agent.tokens
    quantity = beyond(plan, tokens) - beyond(plan, late.invoiced_tokens)
    amount = plan.beyond(beyond(plan, tokens)) - late.invoiced
    return _charge(Kind.LATE, late.month, late.agent, quantity=quantity, amount=amount)


def _charge(kind: Kind, month: str, agent: AgentMonth, *, quantity: int, amount: Decimal) -> list[Line]:
    if amount <= 0:
        return []
    line = Line(
        kind=kind,
        month=month,
        name=agent.name,
        amount=amount,
        unit_price=agent.terms.plan.overage_per_million,
        quantity=quantity,
        agent_id=agent.agent_id,
        terms=agent.terms,
        tokens=agent.tokens,
    )
    return [line]


def _credits(month: str, credits: Iterable[Credit], *, charged: Decimal) -> list[Line]:  # noqa: A002
    """Use credits in their order, as far as there is something to set them against; the rest stays for later."""
    lines = []
    for credit in credits:
        used = min(credit.left, charged)
        if used > 0:
            charged -= used
            lines.append(
                Line(kind=Kind.CREDIT, month=month, name=credit.reason, amount=-used, credit_id=credit.id),
            )
    return lines


# --- Corrections --------------------------------------------------------------------------------


def credited_tax(base: Decimal, *, rate: Decimal, base_left: Decimal, tax_left: Decimal) -> Decimal:
    """Return the tax that goes back with ``base``, of which ``base_left`` and ``tax_left`` aren't credited yet.

    With the last of the base goes the last of the tax, so that an invoice and its credit notes come to exactly 0.
    """
    return tax_left if base == base_left else min(tax(base, rate=rate), tax_left)
