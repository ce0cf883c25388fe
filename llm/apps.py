"""Django's entry to the room."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Registers llm with Django."""

    name = "llm"
