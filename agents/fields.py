"""A column that holds ciphertext, and the key ring it is sealed with."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import models

from agents.crypto import KeyRing


@cache
def key_ring() -> KeyRing:
    """Return the ring made of ``FIELD_ENCRYPTION_KEYS``."""
    return KeyRing(settings.FIELD_ENCRYPTION_KEYS)


class SealedText(str):
    """A ciphertext. It isn't secret, but it has no business in a log either."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class SealedField(models.TextField):  # type: ignore[type-arg]
    """Holds what ``KeyRing.seal`` made. Sealing and opening are the model's, which knows the row.

    The model has a property ``context``, the place that the row's secret belongs to; ``agents.rotation`` finds it.
    """

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Report a model whose secrets ``manage.py rotate_keys`` couldn't seal again."""
        found = super().check(**kwargs)
        if not hasattr(self.model, "context"):
            found.append(checks.Error(f"{self.model.__name__} has a SealedField and no `context`", id="agents.E001"))
        return found

    def from_db_value(self, value: str | None, *_: Any) -> SealedText | None:
        """Wrap the ciphertext so that printing a row doesn't print it."""
        return None if value is None else SealedText(value)
