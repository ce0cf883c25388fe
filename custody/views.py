"""The pages of a workspace's data: how long it is kept, taking it along, and the end of it all."""

from typing import cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents.access import manages_people, member_of
from agents.models import Role
from custody import leaving, takeout
from custody.archive import zipped
from custody.forms import CloseForm, KeepForm
from metering.exports import unhurried
from metering.kept import kept_since
from metering.periods import Month


@manages_people
def data(request: HttpRequest) -> HttpResponse:
    """Show how long requests are kept, and change it."""
    me, now = member_of(request), timezone.now()
    form = KeepForm(request.POST or None, workspace=me.workspace, at=now)
    if request.method == "POST" and form.is_valid():
        try:
            form.save(by=me.user)
        except ValidationError as wrong:
            form.add_error(None, wrong)
        else:
            messages.success(request, _("Saved."))
            return redirect("custody:data")
    context = {"form": form, "since": kept_since(me.workspace_id), "is_owner": me.role == Role.OWNER}
    return render(request, "settings/data.html", context, status=422 if form.errors else 200)


@require_POST
@manages_people
def download(request: HttpRequest) -> HttpResponse:
    """Send all data of the workspace as a ZIP, as it is read."""
    me, now = member_of(request), timezone.now()
    files = takeout.take(workspace=me.workspace, until=Month.of(now), by=me.user)
    name = f"{slugify(me.workspace.name) or 'workspace'}-{now:%Y-%m-%d}.zip"
    answer = StreamingHttpResponse(
        unhurried(zipped(files)),
        content_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
    return cast("HttpResponse", answer)  # for whoever only passes it on, it is one


@manages_people
def delete(request: HttpRequest) -> HttpResponse:
    """Delete the workspace, once its name is typed."""
    me = member_of(request)
    if me.role != Role.OWNER:
        raise PermissionDenied(_("Only an owner can delete the workspace."))
    form = CloseForm(request.POST or None, workspace=me.workspace)
    if request.method == "POST" and form.is_valid():
        leaving.close(workspace=me.workspace, by=me.user, at=timezone.now())
        messages.success(request, _("%(workspace)s was deleted.") % {"workspace": me.workspace})
        return redirect("agents:agents")
    agents = me.workspace.agents.living().prefetch_related("stays")
    context = {"form": form, "agents": len(agents), "on_plans": sum(1 for agent in agents if agent.tier)}
    return render(request, "settings/delete.html", context, status=422 if form.errors else 200)
