"""Sends the meter's table to the database that ``METER_DATABASE_URL`` names."""

from typing import Any

from django.conf import settings
from django.db.models import Model


class MeterRouter:
    """Keeps ``metering`` in its own database, where one is set, and everything else out of it."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str | None:
        """Name the database to read ``model`` from."""
        return self._database(model._meta.app_label)

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        """Tell whether ``app_label``'s tables belong in ``db``: in any but the first one, those of the meter alone."""
        if db != "default":
            return app_label == "metering"
        return None if settings.METER_DATABASE == "default" else app_label != "metering"

    @staticmethod
    def _database(app_label: str) -> str | None:
        return settings.METER_DATABASE if app_label == "metering" else None
