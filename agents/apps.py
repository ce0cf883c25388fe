"""Django's entry to the room."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Registers agents with Django."""

    name = "agents"
