"""Django's entry to the room."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """Registers metering with Django."""

    name = "metering"
