"""Background jobs of the meter."""

from celery import shared_task
from django.conf import settings

from metering import journal
from metering.store import get_store


@shared_task
def adopt_journals() -> int:
    """Ship what gateway processes that died, or couldn't reach the store, left on this machine's disk."""
    return journal.ship(settings.JOURNAL_DIR, append=get_store().append)
