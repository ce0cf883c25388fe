"""A column of money that is exact on every database."""

from decimal import Decimal
from typing import Any

from django.db import models

from metering.record import PICO, picodollars


class UsdField(models.BigIntegerField):  # type: ignore[type-arg]
    """USD as a ``Decimal`` in Python and whole picodollars in the table."""

    # What the type checker goes by.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: int | Decimal | None, *_: Any) -> Decimal | None:
        """Turn picodollars (or a sum of them) into USD."""
        return None if value is None else Decimal(value) / PICO

    def to_python(self, value: Any) -> Decimal | None:
        """Read what a form or a fixture gives, in USD."""
        return None if value is None else Decimal(value)

    def get_prep_value(self, value: Any) -> int | None:
        """Turn USD into picodollars."""
        return None if value is None else picodollars(Decimal(value))
