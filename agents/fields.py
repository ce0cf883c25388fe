"""A column that holds ciphertext, and the key ring it is sealed with."""

from functools import cache
from typing import Any

from django.conf import settings
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
    """Holds what ``KeyRing.seal`` made. Sealing and opening are the model's, which knows the row."""

    def from_db_value(self, value: str | None, *_: Any) -> SealedText | None:
        """Wrap the ciphertext so that printing a row doesn't print it."""
        return None if value is None else SealedText(value)
