"""The pages of usage: a month at a glance, and the records behind it."""

from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from agents.access import in_workspace, member_of
from agents.models import Agent, Workspace
from metering import notices
from metering.models import Notice
from metering.periods import Month
from metering.report import Name, report
from metering.store import StoreUnavailable, get_store

STATUSES = {
    "ok": _("Answered"),
    "provider_error": _("Refused by the provider"),
    "provider_cut": _("Cut by the provider"),
    "timeout": _("No answer in time"),
    "unreachable": _("Provider unreachable"),
    "client_closed": _("Caller hung up"),
}
PROVENANCES = {
    "reported": _("counted by the provider"),
    "estimated": _("estimated by us"),
    "partial": _("cut short: counted up to there"),
    "unpriced": _("no price known for this model"),
}


@require_GET
@in_workspace
def usage(request: HttpRequest) -> HttpResponse:
    """Show what the workspace's agents used in a month."""
    workspace, now = member_of(request).workspace, timezone.now()
    month = _month(request, now)
    try:
        used = get_store().usage(workspace_id=workspace.pk, month=month)
        first = get_store().first_record_at(workspace_id=workspace.pk)
    except StoreUnavailable:
        return _away(request)
    context = {
        **_months(month, now, first),
        "report": report(used, _names(workspace)),
        "has_agents": workspace.agents.living().exists(),
    }
    return render(request, "metering/usage.html", context)


@require_GET
@in_workspace
def records(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Show the records of one agent, a deleted one included, the newest first."""
    workspace, now = member_of(request).workspace, timezone.now()
    agent = get_object_or_404(Agent.objects.filter(workspace=workspace), pk=agent_id)
    month, cursor = _month(request, now), request.GET.get("cursor") or None
    try:
        page = get_store().records(workspace_id=workspace.pk, month=month, agent_id=agent.pk, cursor=cursor)
        first = get_store().first_record_at(workspace_id=workspace.pk)
    except StoreUnavailable:
        return _away(request)
    except ValueError:
        raise Http404 from None
    lines = [
        {"record": each, "status": STATUSES[each.status], "provenance": PROVENANCES[each.provenance]}
        for each in page.records
    ]
    context = {**_months(month, now, first), "agent": agent, "lines": lines, "page": page, "cursor": cursor}
    return render(request, "metering/records.html", context)


@require_POST
@in_workspace
def dismiss(request: HttpRequest, notice_id: int) -> HttpResponse:
    """Close a notice for everybody in the workspace, and go back to the page that it was on."""
    mine = Notice.objects.filter(workspace_id=member_of(request).workspace.pk)
    notices.dismiss(get_object_or_404(mine, pk=notice_id), at=timezone.now())
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else "metering:usage")


def _month(request: HttpRequest, now: datetime) -> Month:
    text = request.GET.get("month")
    try:
        return Month.parse(text) if text else Month.of(now)
    except ValueError:
        raise Http404 from None


def _months(month: Month, now: datetime, first: datetime | None) -> dict[str, Month | bool | None]:
    """Return the month and those beside it, as far as there is something to see."""
    current = Month.of(now)
    earliest = Month.of(first) if first else current
    return {
        "month": month,
        "is_current": month == current,
        "previous": month.previous() if month > earliest else None,
        "next": month.next() if month < current else None,
    }


def _names(workspace: Workspace) -> dict[UUID, Name]:
    return {
        agent.pk: Name(name=agent.name, deleted=agent.deleted_at is not None)
        for agent in Agent.objects.filter(workspace=workspace).only("name", "deleted_at")
    }


def _away(request: HttpRequest) -> HttpResponse:
    return render(request, "metering/away.html", status=503)
