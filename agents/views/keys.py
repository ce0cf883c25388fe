"""The pages of saved keys."""

from uuid import UUID

from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from agents import services
from agents.access import in_workspace, manages_agents, member_of
from agents.forms.keys import NewKeyForm, RenameKeyForm, ReplaceKeyForm
from agents.models import Agent, ProviderKey


def keys_of(request: HttpRequest) -> QuerySet[ProviderKey]:
    """Return the saved keys of the workspace that the request acts in, each with the agents that use or may use it."""
    living = Agent.objects.living().order_by("name")
    users, backed_up = Prefetch("agents", queryset=living), Prefetch("backed_up_agents", queryset=living)
    return member_of(request).workspace.provider_keys.prefetch_related(users, backed_up)


@require_GET
@in_workspace
def keys(request: HttpRequest) -> HttpResponse:
    """List the saved keys and the agents that use them."""
    return render(request, "keys/list.html", {"keys": keys_of(request)})


@manages_agents
def new(request: HttpRequest) -> HttpResponse:
    """Save a key."""
    me = member_of(request)
    form = NewKeyForm(request.POST or None, workspace=me.workspace)
    if request.method == "POST" and form.is_valid() and (key := form.save(by=me.user)):
        messages.success(request, _("Saved. Check it, or choose it in an agent's settings."))
        return redirect("agents:key", key.pk)
    return render(request, "keys/new.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
@in_workspace
def key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Show a saved key: its name, its hint, who uses it."""
    return _key_page(request, get_object_or_404(keys_of(request), pk=key_id))


def _key_page(request: HttpRequest, found: ProviderKey, form: ReplaceKeyForm | None = None) -> HttpResponse:
    context = {
        "key": found,
        "rename": RenameKeyForm(initial={"name": found.name}),
        "replace": form or ReplaceKeyForm(key=found),
    }
    return render(request, "keys/key.html", context, status=422 if form else 200)


@require_POST
@manages_agents
def rename(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Change how a key is called."""
    found = get_object_or_404(keys_of(request), pk=key_id)
    form = RenameKeyForm(request.POST)
    if form.is_valid():
        services.rename_key(key=found, name=form.cleaned_data["name"])
        messages.success(request, _("Saved."))
    else:
        messages.error(request, _("The name of a key has at most 80 letters."))
    return redirect("agents:key", key_id)


@require_POST
@manages_agents
def replace(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Put another secret in a key's place."""
    found = get_object_or_404(keys_of(request), pk=key_id)
    form = ReplaceKeyForm(request.POST, key=found)
    if form.is_valid() and form.save(by=member_of(request).user):
        messages.success(request, _("Replaced. Every agent that uses this key goes on with the new one."))
        return redirect("agents:key", key_id)
    return _key_page(request, found, form)


@manages_agents
def delete(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Forget a key, after naming the agents that would be left without one."""
    found = get_object_or_404(keys_of(request), pk=key_id)
    if request.method != "POST":
        return render(request, "keys/delete.html", {"key": found})
    services.delete_key(key=found, by=member_of(request).user)
    messages.success(request, _("The key was deleted."))
    return redirect("agents:keys")
