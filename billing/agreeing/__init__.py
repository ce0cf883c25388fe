"""Do a month's records, roll-ups, lines, invoices, payments and cash say the same? What lies between has a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from billing.agreeing import money, usage
from billing.agreeing.steps import Difference, Step
from billing.gateways import gateway
from billing.models import Invoice, Status
from metering.periods import Month

__all__ = ["CloseReport", "Difference", "Step", "close_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReport:
    """A month at a moment (UTC). ``drafts`` are the invoices of it that aren't issued yet."""

    month: Month
    at: datetime
    steps: Sequence[Step]
    drafts: int

    @property
    def agrees(self) -> bool:
        """Whether every difference has a name and none is wrong."""
        return all(step.agrees for step in self.steps)


def close_report(month: Month, *, at: datetime) -> CloseReport:
    """Return a month's close report as of a moment.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    steps = [*usage.steps(usage.read(month), at=at), *money.steps(money.read(month, at=at), where=_where())]
    drafts = Invoice.objects.filter(period_start=month.start, status=Status.DRAFT).count()
    return CloseReport(month=month, at=at, steps=steps, drafts=drafts)


def _where() -> str:
    return "Stripe" if gateway().collects else _("Marked by hand")
