"""The settings of a workspace: its name, its tokens, its security; opening and choosing one."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from agents import services
from agents.access import choose_workspace, in_workspace, manages_people, member_of
from agents.forms.people import TokenForm, WorkspaceForm
from agents.models import User

ENTRIES_A_PAGE = 25


@in_workspace
def settings(request: HttpRequest) -> HttpResponse:
    """Show the workspace's name, and what one's own place in it is."""
    me = member_of(request)
    if request.method == "POST":
        return _rename(request)
    return render(request, "settings/workspace.html", {"form": WorkspaceForm(initial={"name": me.workspace.name})})


@manages_people
def _rename(request: HttpRequest) -> HttpResponse:
    me = member_of(request)
    form = WorkspaceForm(request.POST)
    if not form.is_valid():
        return render(request, "settings/workspace.html", {"form": form}, status=422)
    if form.cleaned_data["name"] != me.workspace.name:
        services.rename_workspace(workspace=me.workspace, name=form.cleaned_data["name"], by=me.user)
    messages.success(request, _("Saved."))
    return redirect("agents:settings")


@never_cache
@manages_people
def tokens(request: HttpRequest) -> HttpResponse:
    """List the workspace's tokens; make one and show it this once."""
    me = member_of(request)
    form = TokenForm(request.POST or None)
    made = None
    if request.method == "POST" and form.is_valid():
        _token, secret = services.create_workspace_token(workspace=me.workspace, by=me.user, **form.cleaned_data)
        made, form = secret.reveal(), TokenForm()
    living = me.workspace.tokens.filter(revoked_at=None).select_related("created_by")
    context = {"form": form, "made": made, "tokens": living}
    return render(request, "settings/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@manages_people
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Stop a workspace token from working."""
    me = member_of(request)
    token = get_object_or_404(me.workspace.tokens, pk=token_id)
    services.revoke_token(token=token, by=me.user)
    messages.success(request, _("The token was revoked. Programs that use it are refused from now on."))
    return redirect("agents:tokens")


@in_workspace
def security(request: HttpRequest) -> HttpResponse:
    """Lead to one's own password and second factor; show who changed what to those who manage people."""
    me = member_of(request)
    page = None
    if me.manages_people:
        page = Paginator(me.workspace.audit_entries.all(), ENTRIES_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "settings/security.html", {"page": page, "kinds": _second_factors(me.user)})


def _second_factors(user: User) -> set[str]:
    # allauth names them "totp", "webauthn" and "recovery_codes".
    return set(user.authenticator_set.values_list("type", flat=True))  # type: ignore[attr-defined]


@login_required
def new_workspace(request: HttpRequest) -> HttpResponse:
    """Open a workspace of one's own."""
    form = WorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and isinstance(request.user, User):
        workspace = services.create_workspace(name=form.cleaned_data["name"], owner=request.user)
        choose_workspace(request, workspace.pk)
        return redirect("/agents/")
    return render(request, "settings/new_workspace.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@in_workspace
def switch_workspace(request: HttpRequest, workspace_id: UUID) -> HttpResponse:
    """Act in another workspace of one's own from now on."""
    me = get_object_or_404(member_of(request).user.memberships, workspace=workspace_id)
    choose_workspace(request, me.workspace_id)
    return redirect("/agents/")
