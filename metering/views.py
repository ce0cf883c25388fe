"""The pages of usage: a month at a glance, an agent's in detail, and the records behind it."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from agents.access import in_workspace, member_of
from agents.models import Agent, Workspace
from metering import exports, notices, reading
from metering.charts import chart
from metering.details import Details, details
from metering.forecast import LOOKED_BACK, Forecast, forecast
from metering.kept import kept_since
from metering.models import Notice, UsageRecord
from metering.periods import Month
from metering.record import REQUEST_TYPES
from metering.report import Allowance, Name, report
from metering.store import StoreUnavailable, get_store
from metering.totals import BYOKEY, Totals

NEWEST: Final = 20  # records on an agent's page; the older ones are a page of their own
STATUSES: Final[dict[str, Any]] = {
    "ok": _("Answered"),
    "provider_error": _("Refused by the provider"),
    "provider_cut": _("Cut by the provider"),
    "timeout": _("No answer in time"),
    "unreachable": _("Provider unreachable"),
    "client_closed": _("Caller hung up"),
}
# Who is on a plan has to do with us alone.
STATUSES_ON_A_PLAN: Final[dict[str, Any]] = {
    **STATUSES,
    "provider_error": _("Not answered"),
    "provider_cut": _("Broke off"),
    "unreachable": _("Not answered"),
}
PROVENANCES: Final[dict[str, Any]] = {
    "reported": _("counted by the provider"),
    "estimated": _("estimated by us"),
    "partial": _("cut short: counted up to there"),
    "unpriced": _("no price known for this model"),
}
TYPES: Final[dict[str, Any]] = {"chat": _("Chat"), "email": _("E-mail"), "tool": _("Tool")}


@require_GET
@in_workspace
def usage(request: HttpRequest) -> HttpResponse:
    """Show what the workspace's agents used in a month, and how much of their plans that is."""
    workspace, now = member_of(request).workspace, timezone.now()
    month = _month(request, now)
    try:
        used = reading.month_usage(workspace_id=workspace.pk, month=month)
        first = reading.first_month(workspace_id=workspace.pk)
    except StoreUnavailable:
        return _away(request)
    seen = report(used, _names(workspace, month))
    context = {
        **_months(month, now, first),
        "report": seen,
        "forecasts": _forecasts([line.agent_id for line in seen.managed], month, now, managed=True),
        "has_agents": workspace.agents.living().exists(),
    }
    return render(request, "metering/usage.html", context)


@require_GET
@in_workspace
def agent(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Show an agent's month in detail, a deleted one's included, and the newest of its records."""
    if any(request.GET.get(name) for name in ("cursor", "day", "status", "type")):
        return records(request, agent_id)
    found, now = _agent_of(request, agent_id), timezone.now()
    month = _month(request, now)
    try:
        parts, latencies = reading.agent_month(workspace_id=found.workspace_id, agent_id=found.pk, month=month)
        page = get_store().records(workspace_id=found.workspace_id, month=month, agent_id=found.pk, limit=NEWEST)
        first = reading.first_month(workspace_id=found.workspace_id)
    except StoreUnavailable:
        return _away(request)
    seen, terms = details(parts, latencies, month=month, today=now.date()), found.terms_at(month.start)
    managed = sum((sums for (_day, key), sums in parts.items() if key.managed), Totals())
    on_plan = terms is not None or bool(managed.requests)
    context = {
        **_months(month, now, first),
        "agent": found,
        "details": seen,
        "on_plan": on_plan,
        "allowance": Allowance(plan=terms.plan, used=managed.tokens, value=managed.price_total) if terms else None,
        "forecast": _forecasts([found.pk], month, now, managed=on_plan).get(found.pk),
        "statuses": STATUSES_ON_A_PLAN if on_plan else STATUSES,
        "types": TYPES,
        "chart": _chart(seen),
        "lines": _lines(page.records),
        "page": page,
        "gone_since": _gone_since(found, month),
    }
    return render(request, "metering/agent.html", context)


def records(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Show the records of an agent, the newest first: all, or those of a day, an outcome or a kind."""
    found, now = _agent_of(request, agent_id), timezone.now()
    month, cursor = _month(request, now), request.GET.get("cursor") or None
    alike = _alike(request)
    try:
        page = get_store().records(
            workspace_id=found.workspace_id, month=month, agent_id=found.pk, cursor=cursor, **alike
        )
        first = reading.first_month(workspace_id=found.workspace_id)
    except StoreUnavailable:
        return _away(request)
    except ValueError:
        raise Http404 from None
    query = request.GET.copy()
    query.pop("cursor", None)
    context = {
        **_months(month, now, first),
        "agent": found,
        "lines": _lines(page.records),
        "page": page,
        "cursor": cursor,
        "alike": alike,
        "status": STATUSES[alike["status"]] if "status" in alike else "",
        "type": TYPES[alike["request_type"]] if "request_type" in alike else "",
        "query": query.urlencode(),
        "gone_since": _gone_since(found, month),
    }
    return render(request, "metering/records.html", context)


@require_GET
@in_workspace
def export(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Send an agent's records of a month as CSV, as they are read."""
    found = _agent_of(request, agent_id)
    month = _month(request, timezone.now())
    page = partial(_page, found, month, _alike(request))
    answer = StreamingHttpResponse(
        exports.unhurried(exports.lines(page)),
        content_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="usage-{month}-{str(found.pk)[:8]}.csv"'},
    )
    return cast("HttpResponse", answer)  # for whoever only passes it on, it is one


def _page(found: Agent, month: Month, alike: dict[str, Any], cursor: str | None) -> Any:
    return get_store().records(
        workspace_id=found.workspace_id,
        month=month,
        agent_id=found.pk,
        cursor=cursor,
        limit=exports.AT_ONCE,
        **alike,
    )


@require_POST
@in_workspace
def dismiss(request: HttpRequest, notice_id: int) -> HttpResponse:
    """Close a notice for everybody in the workspace, and go back to the page that it was on."""
    mine = Notice.objects.filter(workspace_id=member_of(request).workspace.pk)
    notices.dismiss(get_object_or_404(mine, pk=notice_id), at=timezone.now())
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else "metering:usage")


def _gone_since(found: Agent, month: Month) -> datetime | None:
    """Return since when records are kept, where those of a month are gone."""
    since = kept_since(found.workspace_id)
    return since if since and month.start < since else None


def _month(request: HttpRequest, now: datetime) -> Month:
    text = request.GET.get("month")
    try:
        return Month.parse(text) if text else Month.of(now)
    except ValueError:
        raise Http404 from None


def _agent_of(request: HttpRequest, agent_id: UUID) -> Agent:
    mine = Agent.objects.filter(workspace=member_of(request).workspace).prefetch_related("stays")
    return get_object_or_404(mine, pk=agent_id)


def _alike(request: HttpRequest) -> dict[str, Any]:
    """Return what the records that are asked for have in common."""
    asked = request.GET
    alike: dict[str, Any] = {}
    if asked.get("day"):
        try:
            alike["day"] = date.fromisoformat(asked["day"])
        except ValueError:
            raise Http404 from None
    for name, field, known in (("status", "status", STATUSES), ("type", "request_type", REQUEST_TYPES)):
        if asked.get(name):
            if asked[name] not in known:
                raise Http404
            alike[field] = asked[name]
    return alike


def _lines(page: Sequence[UsageRecord]) -> list[dict[str, Any]]:
    return [
        {
            "record": each,
            "own": each.tier == BYOKEY,
            "status": (STATUSES if each.tier == BYOKEY else STATUSES_ON_A_PLAN)[each.status],
            "provenance": PROVENANCES[each.provenance],
            "type": TYPES.get(each.request_type, each.request_type),
        }
        for each in page
    ]


def _forecasts(agent_ids: Sequence[UUID], month: Month, now: datetime, *, managed: bool) -> dict[UUID, Forecast]:
    """Return what the current month will come to, of agents that have a pattern."""
    if month != Month.of(now):
        return {}
    try:
        days = reading.daily_tokens(agent_ids=agent_ids, since=now.date() - LOOKED_BACK, managed=managed)
    except StoreUnavailable:
        return {}
    found = {agent_id: forecast(tokens, now=now) for agent_id, tokens in days.items()}
    return {agent_id: each for agent_id, each in found.items() if each}


def _chart(seen: Details) -> dict[str, Any]:
    drawn = chart([(day.sums.tokens_input, day.sums.tokens_output) for day in seen.days])
    return {"drawn": drawn, "bars": list(zip(seen.days, drawn.bars, strict=True))}


def _months(month: Month, now: datetime, first: Month | None) -> dict[str, Month | bool | None]:
    """Return the month and those beside it, as far as there is something to see."""
    current = Month.of(now)
    earliest = first or current
    return {
        "month": month,
        "is_current": month == current,
        "previous": month.previous() if month > earliest else None,
        "next": month.next() if month < current else None,
    }


def _names(workspace: Workspace, month: Month) -> dict[UUID, Name]:
    names = {}
    for each in Agent.objects.filter(workspace=workspace).prefetch_related("stays"):
        terms = each.terms_at(month.start)
        names[each.pk] = Name(name=each.name, deleted=each.deleted_at is not None, plan=terms.plan if terms else None)
    return names


def _away(request: HttpRequest) -> HttpResponse:
    return render(request, "metering/away.html", status=503)
