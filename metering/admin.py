"""The staff's view of the meter: to look at, never to change, and quick at any number of records."""

import re
from typing import Any, Final

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from agents.admin import ReadOnly
from agents.catalogue import providers
from metering.models import UsageRecord

LABELS: Final = {
    "ok": "success",
    "client_closed": "info",
    "provider_error": "warning",
    "provider_cut": "danger",
    "timeout": "danger",
    "unreachable": "danger",
}
_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


class KnownValues(admin.SimpleListFilter):
    """A filter whose choices are known beforehand: asking the table for them would read all of it."""

    choices_known: tuple[tuple[str, Any], ...]

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ARG002
        """Return the choices."""
        return self.choices_known

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:  # noqa: ARG002
        """Keep what was chosen."""
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class ProviderFilter(KnownValues):
    """By provider."""

    title = _("provider")
    parameter_name = "provider"
    choices_known = tuple((each.id, each.name) for each in providers().values())


class StatusFilter(KnownValues):
    """By how the request ended."""

    title = _("status")
    parameter_name = "status"
    choices_known = (
        ("ok", _("Answered")),
        ("provider_error", _("Refused by the provider")),
        ("provider_cut", _("Cut by the provider")),
        ("client_closed", _("Cut by the client")),
        ("timeout", _("Timed out")),
        ("unreachable", _("Unreachable")),
    )


class ProvenanceFilter(KnownValues):
    """By where the token counts come from."""

    title = _("provenance")
    parameter_name = "provenance"
    choices_known = (
        ("reported", _("Reported by the provider")),
        ("estimated", _("Estimated by us")),
        ("partial", _("Cut stream")),
        ("unpriced", _("Unpriced")),
    )


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """The meter's records, the newest first, without counting them."""

    list_display = ("timestamp", "agent", "provider", "model", "outcome", "tokens", "cost", "latency", "provenance")
    list_filter = (("timestamp", admin.DateFieldListFilter), ProviderFilter, StatusFilter, ProvenanceFilter)
    list_per_page = 50
    ordering = ("-timestamp", "-id")
    sortable_by = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    search_fields = ("id",)
    search_help_text = _("The id of a request, an agent or a workspace")

    def has_view_permission(self, request: HttpRequest, obj: UsageRecord | None = None) -> bool:
        """Refuse where the records are in MongoDB: the table is empty, or holds what was copied from it."""
        return not settings.METER_MONGODB_URL and super().has_view_permission(request, obj)

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[UsageRecord],
        search_term: str,
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """Look for a whole id, by the indexes that there are; anything else is found nowhere."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        if not _UUID.fullmatch(wanted):
            return queryset.none(), False
        return queryset.filter(Q(id=wanted) | Q(agent_id=wanted) | Q(workspace_id=wanted)), False

    @admin.display(description=_("agent"))
    def agent(self, record: UsageRecord) -> str:
        """Return the first characters of its id: the agent itself may be gone, or in another database."""
        return str(record.agent_id)[:8]

    @display(description=_("status"), label=LABELS)  # type: ignore[untyped-decorator]
    def outcome(self, record: UsageRecord) -> tuple[str, str]:
        """Return how it ended."""
        return record.status, f"{record.status} {record.http_status}"

    @admin.display(description=_("tokens in + out"))
    def tokens(self, record: UsageRecord) -> str:
        """Return both counts."""
        return f"{record.tokens_input:,} + {record.tokens_output:,}"

    @admin.display(description=_("cost"))
    def cost(self, record: UsageRecord) -> str:
        """Return what the provider charged, in USD."""
        return gettext("unknown") if record.cost_total is None else f"${record.cost_total:f}"

    @admin.display(description=_("latency"))
    def latency(self, record: UsageRecord) -> str:
        """Return how long it took."""
        return f"{record.latency_ms:,} ms"
