"""Background jobs of the meter."""

from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from metering import journal, notices, rollups
from metering.alerting import sending, watching
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
    watch_alerts.delay()
    return days


@shared_task
def watch_alerts() -> None:
    """See what workspaces' alerts have to tell, and bring what is due on its way, each in a job of its own."""
    now = timezone.now()
    watching.watch(at=now)
    for delivery_id in sending.due(at=now):
        # Whatever waits for longer is asked for again by then.
        deliver_alert.apply_async((str(delivery_id),), expires=60)


@shared_task
def deliver_alert(delivery_id: str) -> None:
    """Try a delivery of an alert."""
    sending.deliver(delivery_id=UUID(delivery_id), at=timezone.now())


@shared_task
def forget_alerts() -> None:
    """Forget what alerts told long ago."""
    watching.forget_old(at=timezone.now())
