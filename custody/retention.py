"""From when on each workspace's requests are kept."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min

from agents.models import Workspace
from billing.models import Invoice, Status
from metering import retention
from metering.periods import Month


def forget_old(*, at: datetime) -> int:
    """Delete the requests that nobody wants kept at that moment; return how many weren't dropped by the month.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    return sum(retention.forgotten(cutoffs(at=at), of_everybody=True))


def cutoffs(*, at: datetime) -> dict[UUID, datetime]:
    """Return from when on each workspace's requests are kept: whole months, and what a draft invoice is about.

    Of an erased workspace nothing is, whatever comes late.
    """
    drafts = Invoice.objects.filter(status=Status.DRAFT).order_by().values_list("workspace_id")
    oldest_draft = dict(drafts.annotate(Min("period_start")))
    found = {}
    for pk, months, erased_at in Workspace.objects.values_list("pk", "keep_months", "erased_at"):
        chosen = tomorrow(at) if erased_at else Month.of(at).back(months).start
        found[pk] = min(chosen, oldest_draft.get(pk, chosen))
    return found


def tomorrow(at: datetime) -> datetime:
    """Return the next midnight (UTC)."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
