"""Workspaces and their people, agents, keys and tokens, and who changed what."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from allauth.account.models import EmailAddress
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.catalogue import providers
from agents.fields import CentsField
from agents.pace import Pace, in_force, usual_pace
from agents.plans import TIERS, History, Stay, Terms, month_terms, tier_at
from agents.sealed import SealedRow
from agents.tokens import Token
from agents.trail import say
from agents.trouble import CanBeRefused

INVITATION_LIFE = timedelta(days=7)


class PeopleManager(UserManager["User"]):
    """Makes users who are known by their e-mail address."""

    def _create_user(self, email: str, password: str | None, **extra: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **extra)
        user.set_password(password)
        user.save(using=self._db)
        # Who is made here is vouched for. allauth goes by its own table when an address changes or a second factor
        # is added; without a first address in it, it would take the next one that is confirmed for it.
        EmailAddress.objects.create(user=user, email=user.email.lower(), primary=True, verified=True)
        return user

    def create_user(  # type: ignore[override]
        self, email: str, password: str | None = None, **extra: Any
    ) -> "User":
        """Create somebody who can log in."""
        return self._create_user(email, password, **extra)

    def create_superuser(  # type: ignore[override]
        self, email: str, password: str | None = None, **extra: Any
    ) -> "User":
        """Create a member of staff who may do everything in the admin."""
        return self._create_user(email, password, **{"is_staff": True, "is_superuser": True, **extra})


class User(AbstractUser):
    """Somebody who logs in with an e-mail address."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)
    language = models.CharField(max_length=5, blank=True, default="")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[PeopleManager] = PeopleManager()

    def __str__(self) -> str:
        return self.email


class Workspace(models.Model):
    """A customer: the company whose agents, keys, usage and invoices belong together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)
    # Since when its agents on plans aren't answered, because an invoice isn't paid. Those on own keys are.
    managed_paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    members = models.ManyToManyField(User, through="Member", related_name="workspaces")
    # How many whole months of requests are kept besides the current one. See ``agents.keeping``.
    keep_months = models.PositiveSmallIntegerField(default=13)
    # Its last month is the one in which it was closed. Erased: nothing is left but what invoices need.
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(keep_months__gte=1, keep_months__lte=24), name="requests_kept_a_while")
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    BILLING = "billing", _("Billing")
    MEMBER = "member", _("Member")


class Member(models.Model):
    """A person's place in a workspace."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="one_membership_a_person"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def manages_agents(self) -> bool:
        """May create, change and delete agents, keys and tokens."""
        return self.role in {Role.OWNER, Role.ADMIN, Role.MEMBER}

    @property
    def manages_people(self) -> bool:
        """May invite, change and remove members, and hold workspace tokens."""
        return self.role in {Role.OWNER, Role.ADMIN}

    @property
    def manages_billing(self) -> bool:
        """May see invoices and say who they are made out to."""
        return self.role in {Role.OWNER, Role.ADMIN, Role.BILLING}


class Invitation(models.Model):
    """An offer of a place in a workspace, sent by e-mail and good for seven days."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role)
    token_digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "email"], condition=Q(accepted_at=None), name="one_open_invitation_an_address"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.workspace}"

    @property
    def expires_at(self) -> Any:
        """When the link stops working (UTC)."""
        return self.created_at + INVITATION_LIFE


class ProviderKey(SealedRow, CanBeRefused):
    """A customer's key at a provider, sealed. Several agents may use it.

    The secret is bound to this row, its provider and its base URL: it opens nowhere else, so that nobody can
    redirect a saved key to an address of their own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="provider_keys")
    name = models.CharField(_("name"), max_length=80, blank=True)
    provider = models.CharField(max_length=20)
    base_url = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name or self.provider} {self.hint}"

    @property
    def context(self) -> str:
        """The place that the sealed secret belongs to."""
        return f"agents.ProviderKey:{self.pk}:{self.provider}:{self.base_url}"

    @property
    def provider_name(self) -> str:
        """The provider as people know it."""
        known = providers().get(self.provider)
        return known.name if known else self.provider


class Mode(models.TextChoices):
    """Whose keys an agent runs on."""

    BYOKEY = "byokey", _("Your own key")
    MANAGED = "managed", _("Managed")


class AgentQuerySet(models.QuerySet["Agent"]):
    """Agents that are still there, and who may see them."""

    def living(self) -> Self:
        """Leave out deleted agents."""
        return self.filter(deleted_at=None)

    def visible_to(self, user: Any) -> Self:
        """Keep the agents of the workspaces that ``user`` belongs to."""
        return self.living().filter(workspace__memberships__user=user)


class Agent(models.Model):
    """An AI agent: what its requests are answered with."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="agents")
    name = models.CharField(_("name"), max_length=80)
    template = models.CharField(max_length=40, blank=True)
    provider = models.CharField(max_length=20, blank=True)
    model = models.CharField(max_length=200, blank=True)
    provider_key = models.ForeignKey(
        ProviderKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="agents"
    )
    # Asked only where the provider of the first key fails. Without a model: for the one that the request names.
    backup_key = models.ForeignKey(
        ProviderKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="backed_up_agents"
    )
    backup_model = models.CharField(max_length=200, blank=True)
    # How much a month may cost beyond the plan; empty for as much as the plan itself. Kept while on one's own key.
    overage_ceiling = CentsField(null=True, blank=True)
    # A minute: what its owner limits it to, and what staff allow in place of the default (0: as much as it likes).
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    allowed_requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    allowed_tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(overage_ceiling=None) | Q(overage_ceiling__gte=0), name="overage_ceiling_not_negative"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def paused(self) -> bool:
        """Whether its requests are refused for now."""
        return self.paused_at is not None

    @property
    def ready(self) -> bool:
        """Whether a request could be answered: it has a plan or a key to go with."""
        return self.provider_key_id is not None or self.tier is not None

    def history(self) -> History:
        """Return its time on plans, in order. One query, or none where ``stays`` were prefetched."""
        rows = sorted(self.stays.all(), key=lambda row: row.starts_at)
        return tuple(Stay(tier=row.tier, starts=row.starts_at, ends=row.ends_at) for row in rows)

    def tier_at(self, moment: datetime) -> str | None:
        """Return the tier it is on at ``moment``, or None on its owner's own key."""
        return tier_at(self.history(), moment)

    def terms_at(self, moment: datetime) -> Terms | None:
        """Return what the month of ``moment`` costs and includes, or None for a month without a plan."""
        return month_terms(self.history(), month=moment)

    def ceiling(self, terms: Terms) -> Decimal:
        """Return how much a month on ``terms`` may cost beyond them, in USD."""
        return terms.plan.fee if self.overage_ceiling is None else self.overage_ceiling

    def allowed_pace(self, moment: datetime) -> Pace:
        """Return how many requests and tokens a minute we allow it; 0 for no limit."""
        usual = usual_pace(self.tier_at(moment), workspace_age=moment - self.workspace.created_at)
        requests, tokens = self.allowed_requests_per_minute, self.allowed_tokens_per_minute
        return Pace(
            requests=usual.requests if requests is None else requests, tokens=usual.tokens if tokens is None else tokens
        )

    def pace(self, moment: datetime) -> Pace:
        """Return the requests and tokens a minute that hold: what we allow, or less where its owner wants less."""
        allowed = self.allowed_pace(moment)
        return Pace(
            requests=in_force(allowed=allowed.requests, own=self.requests_per_minute),
            tokens=in_force(allowed=allowed.tokens, own=self.tokens_per_minute),
        )

    @property
    def tier(self) -> str | None:
        """The tier it is on now, for pages."""
        return self.tier_at(timezone.now())

    @property
    def mode(self) -> Mode:
        """Whose keys it runs on now, for pages and the gateway."""
        return Mode.MANAGED if self.tier else Mode.BYOKEY


class PlanStay(models.Model):
    """An agent's time on one tier: ``[starts_at, ends_at)``. Decided by ``agents.plans``; what is past never changes.

    Two stays at once are kept out by ``agents.subscriptions``, which holds the agent's row; the constraints here are
    what every database can promise besides.
    """

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="stays")
    tier = models.CharField(max_length=20, choices=[(tier, tier) for tier in TIERS])
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.UniqueConstraint(fields=["agent", "starts_at"], name="one_plan_from_a_moment"),
            models.UniqueConstraint(fields=["agent"], condition=Q(ends_at=None), name="one_plan_without_an_end"),
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="plan_ends_later"),
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="plan_tier_known"),
        ]

    def __str__(self) -> str:
        return f"{self.agent} on {self.tier} from {self.starts_at:%Y-%m-%d}"


class AgentToken(Token):
    """What an agent shows to the gateway."""

    PREFIX = "vtl_agent_"
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="tokens")


class WorkspaceToken(Token):
    """What a program shows to the management API."""

    PREFIX = "vtl_ws_"
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="tokens")


class AuditEntry(models.Model):
    """One change of a key, token, plan, member or ceiling: who, what, when. Written once."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=40)
    target = models.CharField(max_length=120)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"

    @property
    def sentence(self) -> str:
        """What was done, in words, without who did it."""
        return say(self.action, target=self.target, detail=self.detail)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; a written entry never changes."""
        if not self._state.adding:
            raise TypeError("an audit entry can't be changed")
        super().save(*args, **kwargs)
