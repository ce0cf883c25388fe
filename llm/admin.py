"""The staff's pages of Managed: our own keys and how they do, the routes of each tier, and sudden use.

Who changed a key or a route is in Django's admin log, which has a page of its own (``agents.admin``): both are ours
and belong to no workspace, whose audit trail is for its own people.
"""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from agents.admin import NothingAdded, Operated
from agents.catalogue import providers
from agents.crypto import CannotOpen
from agents.plans import TIERS, plan
from llm import abuse, running
from llm.condition import KeyCondition
from llm.forms import PoolKeyForm, RouteForm, put
from llm.key_check import check_key
from llm.models import PoolKey, Route, StaffAlert
from llm.news import KeyWorks, learned
from llm.staff_views import dry_run_page, margins_page

KEY_LABELS: Final = {"ready": "success", "cooling": "warning", "down": "danger", "off": ""}
ALERT_LABELS: Final = {"open": "danger", "closed": ""}


@admin.register(PoolKey)
class PoolKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Our own keys at providers. The secret is pasted and sealed; the provider stays what it is."""

    form = PoolKeyForm
    list_display = ("name", "provider", "hint", "state", "success", "latency", "load", "weight")
    list_filter = ("provider", "enabled")
    list_before_template = "llm/admin/whose_view.html"
    fields = ("provider", "name", "secret", "weight", "places", "enabled")
    actions = ("check_now",)

    def get_readonly_fields(self, request: HttpRequest, obj: PoolKey | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """Keep a saved key with its provider: its seal is bound to it."""
        return ("provider",) if obj else ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Look up once, for the whole list, how the keys are doing."""
        found = super().get_changelist_instance(request)
        request.overview = running.overview()  # type: ignore[attr-defined]
        condition = request.overview.condition  # type: ignore[attr-defined]
        for key in found.result_list:
            key.condition = condition.keys.get(str(key.pk), KeyCondition())
            key.down_for = condition.down_for.get(key.provider)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Say whose view of the keys' health this is."""
        answer = super().changelist_view(request, extra_context)
        if hasattr(answer, "context_data") and hasattr(request, "overview"):
            answer.context_data["overview"] = request.overview
        return answer

    def save_model(self, request: HttpRequest, obj: PoolKey, form: Any, change: bool) -> None:
        """Seal what was pasted."""
        secret = form.cleaned_data.get("secret")
        if secret:
            obj.seal(secret)
        super().save_model(request, obj, form, change)
        if secret and change:
            # What the old one was refused for says nothing of the new one.
            transaction.on_commit(lambda: learned.send(sender=PoolKey, news=KeyWorks(key_id=str(obj.pk))))

    @display(description=gettext_lazy("state"), label=KEY_LABELS)  # type: ignore[untyped-decorator]
    def state(self, key: Any) -> tuple[str, str]:
        """Return whether it is used now, and if not, why and until when."""
        condition: KeyCondition = key.condition
        if not key.enabled:
            return "off", _("Off")
        if key.down_for is not None:
            return "down", _("Provider in trouble, %(seconds)d s") % {"seconds": round(key.down_for)}
        if condition.cools_for:
            told = {"seconds": round(condition.cools_for), "reason": condition.reason}
            return "cooling", _("Cooling %(seconds)d s: %(reason)s") % told
        return "ready", _("Ready")

    @admin.display(description=gettext_lazy("success"))
    def success(self, key: Any) -> str:
        """Return the share of the last attempts that went well."""
        return f"{key.condition.success_rate:.0%}" if key.condition.attempts else "–"

    @admin.display(description=gettext_lazy("latency"))
    def latency(self, key: Any) -> str:
        """Return how long its answers take."""
        return f"{key.condition.latency * 1000:,.0f} ms" if key.condition.latency else "–"

    @admin.display(description=gettext_lazy("under way"))
    def load(self, key: Any) -> str:
        """Return how many requests it has, of how many it takes a process."""
        return f"{key.condition.under_way} / {key.places}"

    @admin.action(description=gettext_lazy("Check now"), permissions=["change"])
    def check_now(self, request: HttpRequest, keys: QuerySet[PoolKey]) -> None:
        """Ask the provider about each key, and use again at once what works."""
        for key in keys:
            ok, said = _checked(key)
            if ok:
                learned.send(sender=PoolKey, news=KeyWorks(key_id=str(key.pk)))
            (messages.success if ok else messages.warning)(request, f"{key.name} {key.hint}: {said}")


def _checked(key: PoolKey) -> tuple[bool, str]:
    route = Route.objects.filter(provider=key.provider, enabled=True).order_by("position").first()
    try:
        check = check_key(provider=key.provider, secret=key.open(), model=route.model if route else "")
    except CannotOpen:
        return False, _("This key can't be read any more. Paste it again.")
    return check.ok, check.detail


@admin.register(Route)
class RouteAdmin(ModelAdmin):  # type: ignore[misc]
    """What each tier asks, in order. What reads 1 is tried first."""

    form = RouteForm
    fields = ("tier", "place", "provider", "model", "enabled")
    list_display = ("plan", "position", "provider_name", "model", "enabled")
    list_filter = ("tier",)
    list_before_template = "llm/admin/route_links.html"
    sortable_by = ()

    def get_ordering(self, request: HttpRequest) -> list[Any]:  # noqa: ARG002
        """Keep tiers in the order of their price."""
        return [Case(*(When(tier=tier, then=rank) for rank, tier in enumerate(TIERS))), "position"]

    @admin.display(description=gettext_lazy("plan"))
    def plan(self, route: Route) -> str:
        """Return the plan as its owners know it."""
        return plan(route.tier, on=timezone.now().date()).name

    @admin.display(description=gettext_lazy("provider"))
    def provider_name(self, route: Route) -> str:
        """Return it as people know it."""
        return providers()[route.provider].name

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:  # noqa: ARG002
        """Put it where it belongs; the others make room."""
        put(obj, place=form.cleaned_data["place"])

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that look at routes."""
        return [
            path("dry-run/", self._page(dry_run_page), name="llm_dry_run"),
            path("margins/", self._page(margins_page), name="llm_margins"),
            *super().get_urls(),
        ]

    def _page(self, page: Callable[..., Any]) -> Any:
        def shown(request: HttpRequest) -> Any:
            return page(request, self)

        return self.admin_site.admin_view(shown)


class OpenOrClosed(admin.SimpleListFilter):
    """Alerts that somebody has to look at, and those that somebody has."""

    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:  # noqa: ARG002
        """Return both."""
        return [("open", pgettext("alert", "Open")), ("closed", pgettext("alert", "Closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StaffAlert]) -> QuerySet[StaffAlert]:  # noqa: ARG002
        """Keep what was chosen."""
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(StaffAlert)
class StaffAlertAdmin(Operated, NothingAdded, ModelAdmin):  # type: ignore[misc]
    """Agents that suddenly used many times what they usually do."""

    list_display = ("raised_at", "status", "agent", "workspace", "last_hour_tokens", "usual_hour_tokens", "closed_by")
    list_filter = (OpenOrClosed, "raised_at")
    list_select_related = ("agent__workspace",)
    search_fields = ("agent__id__exact", "agent__name", "agent__workspace__name")
    fields = ("agent", "workspace", "raised_at", "last_hour_tokens", "usual_hour_tokens", "closed_at", "closed_by")
    readonly_fields = ("workspace", "last_hour_tokens", "usual_hour_tokens")
    actions = ("pause", "close")

    @display(description=gettext_lazy("status"), label=ALERT_LABELS)  # type: ignore[untyped-decorator]
    def status(self, alert: StaffAlert) -> tuple[str, Any]:
        """Return whether somebody has looked at it."""
        return ("closed", pgettext("alert", "Closed")) if alert.closed_at else ("open", pgettext("alert", "Open"))

    @admin.display(description=gettext_lazy("workspace"))
    def workspace(self, alert: StaffAlert) -> Any:
        """Return whose agent it is."""
        return alert.agent.workspace

    @admin.display(description=gettext_lazy("tokens in the last hour"))
    def last_hour_tokens(self, alert: StaffAlert) -> str:
        """Return what it used."""
        return f"{alert.last_hour:,}"

    @admin.display(description=gettext_lazy("tokens in a usual hour"))
    def usual_hour_tokens(self, alert: StaffAlert) -> str:
        """Return what it uses usually."""
        return f"{alert.usual_hour:,}"

    @admin.action(description=gettext_lazy("Pause the agents and close"), permissions=["operate"])
    def pause(self, request: HttpRequest, alerts: QuerySet[StaffAlert]) -> None:
        """Refuse the agents' requests from now on."""
        chosen = list(alerts.filter(closed_at=None).select_related("agent__workspace"))
        for alert in chosen:
            abuse.pause(alert=alert, by=str(request.user), at=timezone.now())
        said = ngettext("%(count)d agent paused.", "%(count)d agents paused.", len(chosen))
        messages.success(request, said % {"count": len(chosen)})

    @admin.action(description=gettext_lazy("Close: nothing is wrong"), permissions=["operate"])
    def close(self, request: HttpRequest, alerts: QuerySet[StaffAlert]) -> None:
        """Note that somebody has looked."""
        chosen = list(alerts.filter(closed_at=None))
        for alert in chosen:
            abuse.close(alert=alert, by=str(request.user), at=timezone.now())
        said = ngettext("%(count)d alert closed.", "%(count)d alerts closed.", len(chosen))
        messages.success(request, said % {"count": len(chosen)})
