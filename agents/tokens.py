"""Bearer tokens: shown once, kept as a digest."""

import hashlib
import secrets
import uuid
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.crypto import Secret


def digest(token: str) -> str:
    """Return what is stored of a token: its SHA-256 in hex. Enough for secrets of 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


class Token(models.Model):
    """A bearer token: shown once, kept as a digest."""

    PREFIX: ClassVar[str]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=24, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def mint(self) -> Secret:
        """Give this row a fresh token and return it; only its digest and first characters stay. Doesn't save."""
        token = self.PREFIX + secrets.token_urlsafe(32)
        self.digest, self.prefix = digest(token), token[: len(self.PREFIX) + 6]
        return Secret(token)

    def touch(self) -> None:
        """Note that the token was used, at most once a minute."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > timedelta(minutes=1):
            type(self)._default_manager.filter(pk=self.pk).update(last_used_at=now)
