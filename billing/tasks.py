"""Background jobs of billing."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from celery import shared_task
from django.dispatch import receiver
from django.utils import timezone

from billing import closing, hearing, mail, owing, settling
from billing.gateways import gateway
from billing.services import invoice_moved
from metering.periods import Month

log = structlog.get_logger(__name__)

LOOK_AGAIN: Final = timedelta(hours=1)  # at open invoices, should an event not have come


@shared_task
def close_months() -> int:
    """Close every month that is over and still open for somebody; return how many invoices were issued."""
    now = timezone.now()
    months = closing.unfinished_months(now)
    return sum(len(step.issued) for month in months for step in closing.close_month(month, at=now))


@shared_task
def close_month(month: str, by: str) -> int:
    """Close a month (``2026-02``) for whoever it is open for, and send what was issued; return how many were."""
    now = timezone.now()
    issued = sum(len(step.issued) for step in closing.close_month(Month.parse(month), at=now, by=by))
    mail.send_waiting(at=now)
    return issued


@shared_task
def issue_waiting() -> int:
    """Issue the drafts that have waited long enough for late records, and send what was issued; return how many."""
    now = timezone.now()
    issued = sum(len(step.issued) for step in closing.issue_waiting(at=now))
    mail.send_waiting(at=now)
    return issued


# --- Payments -----------------------------------------------------------------------------------


@receiver(invoice_moved)
def _settle_what_moved(*, invoice_id: UUID, by: object, **_more: Any) -> None:
    if by != settling.BY and gateway().collects:
        settle_invoice.delay(str(invoice_id))


@shared_task
def settle_invoice(invoice_id: str) -> None:
    """Bring an invoice and the gateway together."""
    now = timezone.now()
    try:
        settling.settle(invoice_id=UUID(invoice_id), at=now)
    except settling.Busy:
        return
    owing.review(workspace_id=settling.workspace_of(UUID(invoice_id)), at=now, tell=mail.remind)


@shared_task
def settle_invoices() -> int:
    """Settle what the gateway doesn't have as it is here, and look at what is open there; return how many."""
    if not gateway().collects:
        return 0
    found = settling.unsettled(at=timezone.now(), look_again=LOOK_AGAIN)
    return _each([str(each) for each in found], settle_invoice)


@shared_task
def hear(event_id: str) -> None:
    """Look at what an event of the gateway's is about."""
    now = timezone.now()
    workspace_id = hearing.hear(event_id=event_id, at=now)
    if workspace_id:
        owing.review(workspace_id=workspace_id, at=now, tell=mail.remind)


@shared_task
def hear_waiting() -> int:
    """Look at what events are about that had to wait; return how many those were."""
    if not gateway().collects:
        return 0
    hearing.forget(at=timezone.now())
    return _each(hearing.waiting(), hear)


@shared_task
def review_owing() -> None:
    """Take the next step with each workspace that owes."""
    now = timezone.now()
    _each(owing.to_review(), lambda each: owing.review(workspace_id=each, at=now, tell=mail.remind))


def _each(found: Sequence[Any], do: Callable[[Any], object]) -> int:
    """Do something about each, whatever goes wrong with another; return how many those were."""
    for one in found:
        try:
            do(one)
        except Exception:  # the next one isn't to wait for somebody to mend this
            log.exception("job_failed", about=str(one))
    return len(found)
