"""Django's entry to the room."""

from django.apps import AppConfig


class CustodyConfig(AppConfig):
    """Registers custody with Django."""

    name = "custody"
