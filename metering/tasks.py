"""Background jobs of the meter."""

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from metering import journal, notices, rollups
from metering.store import StoreUnavailable, get_store

log = structlog.get_logger(__name__)


@shared_task
def adopt_journals() -> int:
    """Ship what gateway processes that died, or couldn't reach the store, left on this machine's disk."""
    return journal.ship(settings.JOURNAL_DIR, append=get_store().append)


@shared_task
def roll_up() -> int:
    """Bring the roll-ups up to date, and tell owners what their agents have reached."""
    days = 0
    try:
        days = rollups.roll_up()
    except StoreUnavailable as error:
        log.warning("not_rolled_up", error=str(error))
    notices.tell_all(at=timezone.now())
    return days
