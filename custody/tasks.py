"""Background jobs of custody."""

from celery import shared_task
from django.utils import timezone

from custody import leaving, retention
from metering.store import get_store


@shared_task
def make_room() -> None:
    """See to it that the next months' records have a place of their own."""
    get_store().make_room(at=timezone.now())


@shared_task
def forget_old() -> int:
    """Delete the requests that are older than their workspaces want them kept; return how many."""
    return retention.forget_old(at=timezone.now())


@shared_task
def erase_closed() -> int:
    """Erase what invoices don't need of workspaces that were closed; return of how many."""
    return leaving.erase_closed(at=timezone.now())
