"""What staff arrange for Managed agents: our own keys, and the routes of each tier."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.catalogue import CUSTOM, providers
from agents.models import Agent
from agents.plans import TIERS
from agents.sealed import SealedRow


class PoolKey(SealedRow):
    """One of our own keys at a provider, sealed. A Managed request goes out under one of these, and no other does."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(
        max_length=20, choices=[(each.id, each.name) for each in providers().values() if each.id != CUSTOM]
    )
    name = models.CharField(max_length=80)
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("How often it is tried first, relative to the others."),
    )
    places = models.PositiveSmallIntegerField(
        default=64, validators=[MinValueValidator(1)], help_text=_("How many requests it takes at once.")
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["provider", "name"]

    def __str__(self) -> str:
        return f"{self.provider} {self.name} {self.hint}"

    @property
    def context(self) -> str:
        """The place that the sealed secret belongs to."""
        return f"llm.PoolKey:{self.pk}:{self.provider}"


class Route(models.Model):
    """One line of a tier's ordered list: which provider and model to try."""

    tier = models.CharField(max_length=10, choices=[(tier, tier) for tier in TIERS])
    position = models.PositiveSmallIntegerField(help_text=_("1 is tried first."))
    provider = models.CharField(
        max_length=20, choices=[(each.id, each.name) for each in providers().values() if each.id != CUSTOM]
    )
    model = models.CharField(max_length=200)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["tier", "position"]
        constraints = [
            models.UniqueConstraint(fields=["tier", "position"], name="one_route_a_position"),
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="route_tier_known"),
        ]

    def __str__(self) -> str:
        return f"{self.tier} {self.position}: {self.provider} {self.model}"


class IdempotencyKey(models.Model):
    """A request that was made under a caller's ``idempotency-key``: digests of key and body, and its id."""

    agent_id = models.UUIDField()
    key_digest = models.CharField(max_length=64)
    body_digest = models.CharField(max_length=64)
    request_id = models.UUIDField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent_id", "key_digest"], name="one_request_a_key")]

    def __str__(self) -> str:
        return str(self.request_id)


class StaffAlert(models.Model):
    """An agent used many times as many tokens in an hour as it usually does; open until somebody of staff closes it."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    raised_at = models.DateTimeField(_("raised"))
    last_hour = models.BigIntegerField(_("tokens in the last hour"))
    usual_hour = models.BigIntegerField(_("tokens in a usual hour"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=254, blank=True)

    class Meta:
        verbose_name = _("alert of sudden use")
        verbose_name_plural = _("alerts of sudden use")
        ordering = ["-raised_at"]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=Q(closed_at=None), name="one_open_alert_an_agent")
        ]

    def __str__(self) -> str:
        return f"{self.agent}: {self.last_hour:,} tokens in an hour"
