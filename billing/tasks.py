"""Background jobs of billing."""

from celery import shared_task
from django.utils import timezone

from billing import closing, mail


@shared_task
def close_months() -> int:
    """Close every month that is over and still open for somebody; return how many invoices were issued."""
    now = timezone.now()
    months = closing.unfinished_months(now)
    return sum(len(step.issued) for month in months for step in closing.close_month(month, at=now))


@shared_task
def issue_waiting() -> int:
    """Issue the drafts that have waited long enough for late records, and send what was issued; return how many."""
    now = timezone.now()
    issued = sum(len(step.issued) for step in closing.issue_waiting(at=now))
    mail.send_waiting(at=now)
    return issued
