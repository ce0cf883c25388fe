"""The pages of alerts: what is watched and how it stands, what was told, and the notices on other pages."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from agents.access import in_workspace, manages_agents, member_of
from metering.alerting import listing, sending, services
from metering.forms import AlertForm
from metering.models import Alert, Channel, Delivery


@require_GET
@in_workspace
def alerts(request: HttpRequest) -> HttpResponse:
    """List the workspace's alerts, how they stand, and the last deliveries."""
    workspace = member_of(request).workspace
    agents = workspace.agents.living().prefetch_related("stays")
    context = {
        "lines": listing.lines(listing.alerts_of(workspace.pk), at=timezone.now()),
        "log": listing.log(workspace_id=workspace.pk),
        "on_plan": any(agent.tier for agent in agents),
        "has_agents": bool(agents),
    }
    return render(request, "metering/alerts/list.html", context)


@manages_agents
def new(request: HttpRequest) -> HttpResponse:
    """Set an alert up; its webhook's signing secret is shown this once."""
    me = member_of(request)
    form = AlertForm(request.POST or None, workspace=me.workspace)
    if request.method == "POST" and form.is_valid() and (saved := form.save(by=me.user)):
        found, secret = saved
        if secret:
            return _alert_page(request, found, made=secret.reveal())
        messages.success(request, _("Saved. Try it out: a test shows you what you will be told."))
        return redirect("metering:alert", found.pk)
    return render(request, "metering/alerts/new.html", {"form": form}, status=422 if form.errors else 200)


@in_workspace
def alert(request: HttpRequest, alert_id: UUID) -> HttpResponse:
    """Show an alert, and change it."""
    found = _alert_of(request, alert_id)
    if request.method != "POST":
        return _alert_page(request, found)
    return _change(request, found)


@manages_agents
def _change(request: HttpRequest, found: Alert) -> HttpResponse:
    me = member_of(request)
    form = AlertForm(request.POST, workspace=me.workspace, alert=found)
    saved = form.save(by=me.user) if form.is_valid() else None
    if saved is None:
        return _alert_page(request, found, form=form)
    _alert, secret = saved
    if secret:
        return _alert_page(request, found, made=secret.reveal())
    messages.success(request, _("Saved."))
    return redirect("metering:alert", found.pk)


def _alert_page(request: HttpRequest, found: Alert, *, form: AlertForm | None = None, made: str = "") -> HttpResponse:
    workspace, at = member_of(request).workspace, timezone.now()
    [line] = listing.lines(listing.alerts_of(workspace.pk).filter(pk=found.pk), at=at)
    context = {
        "alert": line.alert,
        "line": line,
        "channels": line.channels,
        "form": form or AlertForm(workspace=workspace, alert=line.alert),
        "log": listing.log(workspace_id=workspace.pk, alert=found),
        "made": made,
    }
    return render(request, "metering/alerts/alert.html", context, status=422 if form else 200)


@require_POST
@manages_agents
def test(request: HttpRequest, alert_id: UUID) -> HttpResponse:
    """Send a sample to one of the alert's channels, and show how that went."""
    found = _alert_of(request, alert_id)
    channel = request.POST.get("channel")
    if channel not in found.channels:
        raise Http404
    context: dict[str, Any] = {"alert": found, "channel": channel}
    try:
        delivery = sending.test(alert=found, channel=channel, at=timezone.now())
        context |= {"entry": listing.entry(delivery), "sample": listing.notice(delivery)}
        context["people"] = sending.recipients(found) if channel == Channel.EMAIL else []
    except sending.TooManyTests:
        context["too_many"] = True
    # Without a script, the answer is a page of its own.
    in_place = request.headers.get("hx-request") == "true"
    return render(request, "metering/alerts/_tested.html" if in_place else "metering/alerts/tested.html", context)


@require_POST
@manages_agents
def pause(request: HttpRequest, alert_id: UUID) -> HttpResponse:
    """Tell nothing until it is resumed."""
    me, found = member_of(request), _alert_of(request, alert_id)
    services.pause(alert=found, workspace=me.workspace, by=me.user, at=timezone.now())
    return redirect("metering:alert", alert_id)


@require_POST
@manages_agents
def resume(request: HttpRequest, alert_id: UUID) -> HttpResponse:
    """Watch it again."""
    me, found = member_of(request), _alert_of(request, alert_id)
    services.resume(alert=found, workspace=me.workspace, by=me.user)
    return redirect("metering:alert", alert_id)


@require_POST
@manages_agents
def delete(request: HttpRequest, alert_id: UUID) -> HttpResponse:
    """Forget the alert, and what was told of it."""
    me, found = member_of(request), _alert_of(request, alert_id)
    services.delete_alert(alert=found, workspace=me.workspace, by=me.user)
    messages.success(request, _("The alert was deleted."))
    return redirect("metering:alerts")


@require_POST
@in_workspace
def dismiss(request: HttpRequest, delivery_id: UUID) -> HttpResponse:
    """Close a notice for everybody in the workspace, and go back to the page that it was on."""
    mine = Delivery.objects.filter(workspace_id=member_of(request).workspace.pk, channel=Channel.PAGE)
    services.dismiss(delivery=get_object_or_404(mine, pk=delivery_id), at=timezone.now())
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else "metering:alerts")


def _alert_of(request: HttpRequest, alert_id: UUID) -> Alert:
    return get_object_or_404(listing.alerts_of(member_of(request).workspace.pk), pk=alert_id)
