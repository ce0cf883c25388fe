"""What came in, by month: from invoices that stand, before tax."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMonth

from billing.invoicing import NOTHING, Kind
from billing.models import Invoice, InvoiceLine
from billing.revenue import share
from metering.periods import Month

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
