"""Django's entry to the room."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GatewayConfig(AppConfig):
    """Registers llm with Django."""

    name = "llm"
    verbose_name = _("Managed")
