"""What came in, by month: from invoices that stand, before tax; what comes in as things are; what agents leave us."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMonth

from agents.models import Agent, PlanStay, Workspace
from agents.plans import plan
from billing import earnings
from billing.earnings import Earning
from billing.invoicing import NOTHING, Kind
from billing.models import Invoice, InvoiceLine
from billing.rating import hosting_of, month_of, on_plans
from billing.revenue import share
from metering import reading
from metering.periods import Month
from metering.totals import Totals

PARTS: Final = {
    "hosting": Q(kind=Kind.HOSTING.value),
    "plans": Q(kind=Kind.PLAN.value),
    "overage": Q(kind__in=[Kind.OVERAGE.value, Kind.LATE.value]),
    "credits": Q(kind=Kind.CREDIT.value),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRevenue:
    """A month's revenue in USD, and how many customers it is from."""

    month: Month
    customers: int
    on_managed: int
    hosting: Decimal
    plans: Decimal
    overage: Decimal
    credits: Decimal

    @property
    def managed(self) -> Decimal:
        """Plans and overage together."""
        return self.plans + self.overage

    @property
    def total(self) -> Decimal:
        """All of it, credits taken off."""
        return self.hosting + self.managed + self.credits

    @property
    def share_on_managed(self) -> Decimal | None:
        """The customers with agents on plans, in percent."""
        return share(Decimal(self.on_managed), of=Decimal(self.customers))

    @property
    def growth(self) -> Decimal | None:
        """What Managed adds to hosting, in percent."""
        return share(self.managed, of=self.hosting)


def revenue() -> Sequence[MonthRevenue]:
    """Return every month's revenue, the newest first. A line is of the month whose invoice it is on."""
    rows: Any = (
        InvoiceLine.objects.filter(invoice__in=Invoice.objects.standing())
        .annotate(period=TruncMonth("invoice__period_start"))
        .order_by()
        .values("period")
        .annotate(
            customers=Count("invoice__workspace", distinct=True),
            on_managed=Count("invoice__workspace", distinct=True, filter=PARTS["plans"]),
            **{f"sum_{name}": Sum("amount", filter=of) for name, of in PARTS.items()},
        )
        .order_by("-period")
    )
    return [
        MonthRevenue(
            month=Month.of(row["period"]),
            customers=row["customers"],
            on_managed=row["on_managed"],
            **{name: row[f"sum_{name}"] or NOTHING for name in PARTS},
        )
        for row in rows
    ]


def recurring(*, at: datetime) -> MonthRevenue:
    """Return what a month brings as things are at a moment: whole fees, and what lies beyond plans so far.

    Customers are those that hosting or a plan is charged.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    month = Month.of(at)
    here = Workspace.objects.filter(Q(closed_at=None) | Q(closed_at__gte=month.start))
    hosting = hosting_of(list(here.values_list("pk", flat=True)), month)
    stays = PlanStay.objects.filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at)
    tiers = list(stays.values_list("agent__workspace", "tier"))
    charged = {workspace_id for workspace_id, plan_ in hosting.items() if plan_.fee}
    on_managed = {workspace_id for workspace_id, _tier in tiers}
    return MonthRevenue(
        month=month,
        customers=len(charged | on_managed),
        on_managed=len(on_managed),
        hosting=sum((plan_.fee for plan_ in hosting.values()), NOTHING),
        plans=sum((plan(tier, on=month.start.date()).fee for _workspace, tier in tiers), NOTHING),
        overage=earnings.together(earned(month)).beyond,
        credits=NOTHING,
    )


def earned(month: Month) -> list[Earning]:
    """Return what each agent that was on a plan in the month brings and costs, as of the last roll-up.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    used = reading.plan_usage(month)
    agents = on_plans(month).select_related("workspace")
    return [each for agent in agents if (each := _earning(agent, month, used.get(agent.pk, Totals())))]


def _earning(agent: Agent, month: Month, used: Totals) -> Earning | None:
    its_month = month_of(agent, month, tokens=used.tokens)
    if its_month is None:
        return None
    return Earning(
        agent_id=agent.pk,
        name=agent.name,
        workspace_id=agent.workspace_id,
        workspace=agent.workspace.name,
        tier=its_month.terms.plan.tier,
        sums=earnings.sums_of(str(month), its_month, used),
    )
