"""The staff's view of customers: much to see, little to change, and what is changed goes through the services."""

from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from agents import pacing, services
from agents.forms.staff import AllowedPaceForm
from agents.mail import tell_of_pause
from agents.models import Agent, AgentToken, AuditEntry, Member, PlanStay, ProviderKey, User, Workspace, WorkspaceToken
from agents.plans import TIERS

AGENT_LABELS: Final = {"ready": "success", "paused": "warning", "keyless": "info", "deleted": ""}
KEY_LABELS: Final = {"works": "success", "refused": "danger"}
TOKEN_LABELS: Final = {"working": "success", "revoked": ""}

# What allauth registers by itself isn't for looking at: an authenticator's page shows what its codes are made from.
admin.site.unregister([EmailAddress, Authenticator, Group])


class NothingAdded:
    """Rows come from the product, and go with it."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        """Refuse."""
        return False


class ReadOnly(NothingAdded):
    """Rows that staff look at."""

    def has_change_permission(self, *_args: Any) -> bool:
        """Refuse."""
        return False


class MembersInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """Who belongs to the workspace. Members are changed by its owners."""

    model = Member
    fields = readonly_fields = ("user", "role", "created_at")
    extra = 0
    hide_title = True


@admin.register(Workspace)
class WorkspaceAdmin(NothingAdded, ModelAdmin):  # type: ignore[misc]
    """Workspaces, by name or by who owns them."""

    list_display = ("name", "owners", "agent_count", "created_at", "closed_at")
    search_fields = ("id__exact", "name", "memberships__user__email")
    search_help_text = _("Name, a member's e-mail address, or id")
    ordering = ("-created_at",)
    readonly_fields = ("id", "created_at", "closed_at")
    fields = ("id", "name", "created_at", "closed_at")
    inlines = (MembersInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        """Fetch what the list shows in two queries."""
        rows: QuerySet[Workspace] = super().get_queryset(request)
        living = Count("agents", filter=Q(agents__deleted_at=None), distinct=True)
        return rows.prefetch_related("memberships__user").annotate(living_agents=living)

    @admin.display(description=_("owners"))
    def owners(self, workspace: Workspace) -> str:
        """Return the owners' addresses."""
        return ", ".join(each.user.email for each in workspace.memberships.all() if each.role == "owner")

    @admin.display(description=_("agents"), ordering="living_agents")
    def agent_count(self, workspace: Any) -> int:
        """Return how many agents there are."""
        return int(workspace.living_agents)

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:  # noqa: ARG002
        """Rename the workspace."""
        if "name" in form.changed_data:
            workspace = Workspace.objects.get(pk=obj.pk)
            services.rename_workspace(workspace=workspace, name=obj.name, by=_staff(request))


@admin.register(User)
class UserAdmin(NothingAdded, ModelAdmin):  # type: ignore[misc]
    """People. Nobody reads or sets a password here: its owner resets it by e-mail."""

    list_display = ("email", "first_name", "last_name", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("-date_joined",)
    readonly_fields = ("email", "last_login", "date_joined")
    fields = (
        *("email", "first_name", "last_name", "language", "is_active"),
        *("is_staff", "is_superuser", "groups", "last_login", "date_joined"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """Keep staff from making themselves, or others, more than they are."""
        mine = () if _staff(request).is_superuser else ("is_staff", "is_superuser", "groups")
        return (*self.readonly_fields, *mine)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Leave superusers to superusers."""
        beyond = obj is not None and obj.is_superuser and not _staff(request).is_superuser
        return not beyond and bool(super().has_change_permission(request, obj))


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What kinds of staff may do."""


class Operated(ReadOnly):
    """Rows that staff don't edit, but act upon: with the permission to change them."""

    opts: Any

    def has_operate_permission(self, request: HttpRequest, _object_id: str | None = None) -> bool:
        """Tell whether this member of staff may use the actions."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


class OnPlan(admin.SimpleListFilter):
    """Agents by the tier that they are on now, or by having none."""

    title = _("plan")
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:  # noqa: ARG002
        """Return the tiers, and none."""
        return [*((tier, tier) for tier in TIERS), ("none", _("Their own key"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:  # noqa: ARG002
        """Keep the agents on the tier asked for."""
        now = timezone.now()
        stays = PlanStay.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), starts_at__lte=now)
        if self.value() == "none":
            return queryset.exclude(pk__in=stays.values("agent"))
        return queryset.filter(pk__in=stays.filter(tier=self.value()).values("agent")) if self.value() else queryset


class StaysInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """The agent's time on plans, past and ahead. Its owner chooses them."""

    model = PlanStay
    fields = readonly_fields = ("tier", "starts_at", "ends_at")
    extra = 0
    hide_title = True


@admin.register(Agent)
class AgentAdmin(Operated, ModelAdmin):  # type: ignore[misc]
    """Agents: paused and resumed here, changed by their owners."""

    list_display = ("name", "workspace", "tier", "provider", "model", "key_hint", "state", "created_at")
    list_filter = (
        OnPlan,
        "provider",
        ("paused_at", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        "created_at",
    )
    list_select_related = ("workspace", "provider_key")
    search_fields = ("id__exact", "name", "workspace__name", "workspace__memberships__user__email")
    search_help_text = _("Name, workspace, a member's e-mail address, or id")
    fields = (
        *("id", "workspace", "name", "template", "tier", "overage_ceiling", "provider", "model"),
        *("provider_key", "requests_per_minute", "tokens_per_minute"),
        *("allowed_requests_per_minute", "allowed_tokens_per_minute", "paused_at", "created_at", "deleted_at"),
    )
    inlines = (StaysInline,)
    actions = ("pause", "resume")
    actions_detail = ("allow_pace",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """Fetch the plans of the list in one query."""
        rows: QuerySet[Agent] = super().get_queryset(request)
        return rows.prefetch_related("stays")

    @admin.display(description=_("plan"))
    def tier(self, agent: Agent) -> str:
        """Return the tier it is on now."""
        return agent.tier or ""

    @admin.display(description=_("key"))
    def key_hint(self, agent: Agent) -> str:
        """Return how the key shows."""
        return agent.provider_key.hint if agent.provider_key else ""

    @display(description=_("state"), label=AGENT_LABELS)  # type: ignore[untyped-decorator]
    def state(self, agent: Agent) -> tuple[str, Any]:
        """Return whether it answers, and if not, why."""
        if agent.deleted_at:
            return "deleted", _("Deleted")
        if agent.paused:
            return "paused", _("Paused")
        return ("ready", _("Ready")) if agent.ready else ("keyless", _("No key"))

    @admin.action(description=_("Pause the selected agents"), permissions=["operate"])
    def pause(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        """Refuse their requests from now on."""
        chosen = list(agents.filter(paused_at=None, deleted_at=None))
        for agent in chosen:
            if services.pause_agent(agent=agent, by=_staff(request)):
                self._tell(request, agent)
        said = ngettext("%(count)d agent paused.", "%(count)d agents paused.", len(chosen))
        messages.success(request, said % {"count": len(chosen)})

    def _tell(self, request: HttpRequest, agent: Agent) -> None:
        try:
            tell_of_pause(agent=agent)
        except OSError:
            messages.warning(request, _("%(agent)s is paused, but its owners couldn't be told.") % {"agent": agent})

    @admin.action(description=_("Resume the selected agents"), permissions=["operate"])
    def resume(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        """Answer their requests again."""
        chosen = list(agents.filter(deleted_at=None).exclude(paused_at=None))
        for agent in chosen:
            services.resume_agent(agent=agent, by=_staff(request))
        said = ngettext("%(count)d agent resumed.", "%(count)d agents resumed.", len(chosen))
        messages.success(request, said % {"count": len(chosen)})

    @action(  # type: ignore[untyped-decorator]
        description=_("Allow another speed"),
        url_path="allow-pace",
        permissions=["operate"],
        dialog={
            "title": _("How fast it may go"),
            "description": _("Its owner may lower this, and nobody but staff may raise it."),
            "form_class": AllowedPaceForm,
            "form_submit_text": _("Save"),
        },
    )
    def allow_pace(self, request: HttpRequest, form: AllowedPaceForm, object_id: str) -> HttpResponse:
        """Allow the agent other limits a minute than the default."""
        agent = Agent.objects.select_related("workspace").get(pk=object_id)
        given = form.cleaned_data
        pacing.allow_pace(agent=agent, requests=given["requests"], tokens=given["tokens"], by=_staff(request))
        messages.success(request, _("Saved."))
        return HttpResponse(headers={"HX-Redirect": reverse("admin:agents_agent_change", args=[object_id])})


@admin.register(ProviderKey)
class ProviderKeyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Customers' keys, as far as anybody sees them."""

    list_display = ("hint", "name", "provider", "workspace", "state", "agent_count", "created_at", "changed_at")
    list_filter = (("trouble", admin.EmptyFieldListFilter), "trouble", "provider", "created_at")
    list_select_related = ("workspace",)
    search_fields = ("id__exact", "name", "workspace__name", "workspace__memberships__user__email")
    fields = (
        *("id", "workspace", "name", "provider", "base_url", "hint", "state", "told_at"),
        *("created_at", "changed_at"),
    )

    @display(description=_("state"), label=KEY_LABELS)  # type: ignore[untyped-decorator]
    def state(self, key: ProviderKey) -> tuple[str, Any]:
        """Return whether its provider accepts it, and if not, since when and why."""
        return ("refused", key.trouble_said) if key.trouble else ("works", _("Works"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderKey]:
        """Leave the ciphertext where it is."""
        rows: QuerySet[ProviderKey] = super().get_queryset(request)
        return rows.defer("sealed_secret").annotate(agent_total=Count("agents", distinct=True))

    @admin.display(description=_("agents"), ordering="agent_total")
    def agent_count(self, key: Any) -> int:
        """Return how many agents run on it."""
        return int(key.agent_total)


class TokenAdmin(Operated, ModelAdmin):  # type: ignore[misc]
    """Tokens by their first characters; the rest is nowhere."""

    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "created_at", "last_used_at")
    search_help_text = _("The token's first characters, its name, workspace or id")
    actions = ("revoke",)

    @display(description=_("state"), label=TOKEN_LABELS)  # type: ignore[untyped-decorator]
    def state(self, token: AgentToken | WorkspaceToken) -> tuple[str, Any]:
        """Return whether it opens anything."""
        return ("revoked", _("Revoked")) if token.revoked_at else ("working", _("Works"))

    @admin.action(description=_("Revoke the selected tokens"), permissions=["operate"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[Any]) -> None:
        """Stop them from working, for good."""
        chosen = list(tokens.filter(revoked_at=None))
        for token in chosen:
            services.revoke_token(token=token, by=_staff(request))
        said = ngettext("%(count)d token revoked.", "%(count)d tokens revoked.", len(chosen))
        messages.success(request, said % {"count": len(chosen)})


@admin.register(AgentToken)
class AgentTokenAdmin(TokenAdmin):
    """What agents show to the gateway."""

    list_display = ("prefix", "name", "agent", "workspace", "created_at", "last_used_at", "state")
    list_select_related = ("agent__workspace",)
    search_fields = ("id__exact", "prefix__startswith", "name", "agent__name", "agent__workspace__name")
    fields = ("id", "agent", "name", "prefix", "created_by", "created_at", "last_used_at", "revoked_at")

    @admin.display(description=_("workspace"))
    def workspace(self, token: AgentToken) -> Workspace:
        """Return whose agent it is."""
        return token.agent.workspace


@admin.register(WorkspaceToken)
class WorkspaceTokenAdmin(TokenAdmin):
    """What programs show to the management API."""

    list_display = ("prefix", "name", "workspace", "created_at", "last_used_at", "state")
    list_select_related = ("workspace",)
    search_fields = ("id__exact", "prefix__startswith", "name", "workspace__name")
    fields = ("id", "workspace", "name", "prefix", "created_by", "created_at", "last_used_at", "revoked_at")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Who changed what."""

    list_display = ("at", "workspace", "actor", "action", "target")
    list_filter = ("at",)
    list_select_related = ("workspace",)
    search_fields = ("workspace__id__exact", "workspace__name", "actor", "action", "target")
    fields = ("at", "workspace", "actor", "action", "target", "detail")


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """What staff changed here themselves: routes, our own keys, groups. Values aren't kept, only which they were."""

    list_display = ("action_time", "user", "content_type", "object_repr", "change")
    list_filter = ("action_time", "action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_id__exact", "object_repr", "user__email")
    fields = ("action_time", "user", "content_type", "object_id", "object_repr", "change")

    @admin.display(description=_("change"))
    def change(self, entry: LogEntry) -> str:
        """Return what was done, in words."""
        return entry.get_change_message()


def _staff(request: HttpRequest) -> User:
    """Return who is asking; the site has made sure that it is a member of staff."""
    assert isinstance(request.user, User)  # noqa: S101
    return request.user
