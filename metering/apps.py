"""Django's entry to the room."""

from typing import Any

import structlog
from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils import timezone

log = structlog.get_logger(__name__)


class MeteringConfig(AppConfig):
    """Registers metering with Django."""

    name = "metering"

    def ready(self) -> None:
        """Have room for this month's records as soon as there are tables."""
        post_migrate.connect(_make_room, sender=self)


def _make_room(*, using: str, **_more: Any) -> None:
    from metering.store import StoreUnavailable, get_store

    if using != settings.METER_DATABASE:
        return
    try:
        get_store().make_room(at=timezone.now())
    except StoreUnavailable as error:
        # Records are stored without it too, and a job makes it good.
        log.warning("no_room_made", error=str(error))
