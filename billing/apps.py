"""Django's entry to the room."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BillingConfig(AppConfig):
    """Registers billing with Django."""

    name = "billing"

    def ready(self) -> None:
        """See to it that there are hosting plans to choose from."""
        post_migrate.connect(_offer_hosting, sender=self)


def _offer_hosting(using: str, **_more: Any) -> None:
    from billing.models import HostingPlan

    if using == "default":
        HostingPlan.offer_usual()
