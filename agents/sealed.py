"""Rows that hold a secret: sealed for their own place, shown by a hint only."""

from typing import TYPE_CHECKING, Final

from django.db import models

from agents.crypto import Secret
from agents.fields import SealedField, key_ring

HINTED_LENGTH: Final = 16  # a shorter secret would be given away by its hint


def hint(secret: str) -> str:
    """Return how a saved secret shows: its first three and last four characters, or less of a short one."""
    if not secret:
        return ""
    return f"{secret[:3]}…{secret[-4:]}" if len(secret) >= HINTED_LENGTH else "…"


class SealedRow(models.Model):
    """A row with one secret in it. What it belongs to is its ``context``: moved elsewhere, it doesn't open."""

    sealed_secret = SealedField(editable=False)
    hint = models.CharField(max_length=12, blank=True, editable=False)

    class Meta:
        abstract = True

    if TYPE_CHECKING:

        @property
        def context(self) -> str:
            """The place that the sealed secret belongs to: each kind of row names its own."""

    def seal(self, secret: str) -> None:
        """Put ``secret`` under seal in this row and keep its hint. Doesn't save."""
        self.sealed_secret = key_ring().seal(secret, context=self.context)
        self.hint = hint(secret)

    def open(self) -> Secret:
        """Return the secret.

        Raises:
            CannotOpen: when the row was tampered with or its key left the ring.
        """
        return key_ring().open(self.sealed_secret, context=self.context)
