"""Columns of our own: ciphertext with the key ring that seals it, and money that is exact on every database."""

from decimal import Decimal
from functools import cache
from typing import Any, Final

from django import forms
from django.conf import settings
from django.core import checks
from django.db import models

from agents.crypto import KeyRing

CENTS: Final = 100  # in a dollar


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


class CentsField(models.BigIntegerField):  # type: ignore[type-arg]
    """USD as a ``Decimal`` of two places in Python and whole cents in the table: SQLite keeps decimals as floats."""

    # What the type checker goes by.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: int | None, *_: Any) -> Decimal | None:
        """Turn cents into USD."""
        return None if value is None else Decimal(value).scaleb(-2)

    def to_python(self, value: Any) -> Decimal | None:
        """Read what a form or a fixture gives, in USD."""
        return None if value is None else Decimal(value)

    def get_prep_value(self, value: Any) -> int | None:
        """Turn USD into cents.

        Raises:
            ValueError: for a fraction of a cent.
        """
        if value is None:
            return None
        cents = Decimal(value) * CENTS
        if cents != int(cents):
            raise ValueError(f"{value} USD isn't a whole number of cents")
        return int(cents)

    def formfield(self, **kwargs: Any) -> Any:
        """Ask for dollars and cents."""
        return super().formfield(**{"form_class": forms.DecimalField, "decimal_places": 2, **kwargs})
