"""The pages of agents: the list, a new one, and the settings of each."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agents import services
from agents.access import in_workspace, manages_agents, member_of
from agents.crypto import Secret
from agents.forms.agents import AgentTokenForm, ModelForm, NewAgentForm, RenameAgentForm
from agents.forms.backups import BackupForm
from agents.forms.pace import PaceForm
from agents.forms.plans import LimitForm
from agents.models import Agent, AgentToken
from agents.offers import standing


def agent_of(request: HttpRequest, agent_id: UUID) -> Agent:
    """Return an agent of the workspace that the request acts in.

    Raises:
        Http404: when there is none of that id, or it's another workspace's.
    """
    mine = Agent.objects.living().filter(workspace=member_of(request).workspace)
    return get_object_or_404(
        mine.select_related("workspace", "provider_key", "backup_key").prefetch_related("stays"), pk=agent_id
    )


@require_GET
@in_workspace
def agents(request: HttpRequest) -> HttpResponse:
    """List the workspace's agents."""
    mine = member_of(request).workspace.agents.living()
    mine = mine.select_related("provider_key").prefetch_related("stays")
    kinds = NewAgentForm().cards() if not mine else []
    return render(request, "agents/list.html", {"agents": mine, "kinds": kinds})


@manages_agents
def new(request: HttpRequest) -> HttpResponse:
    """Create an agent from a template or blank."""
    form = NewAgentForm(request.POST or None, initial={"template": request.GET.get("template")})
    if request.method == "POST" and form.is_valid():
        me = member_of(request)
        agent = form.save(workspace=me.workspace, by=me.user)
        return redirect("agents:plan" if "managed" in request.POST else "agents:agent", agent.pk)
    return render(request, "agents/new.html", {"form": form}, status=422 if form.errors else 200)


@in_workspace
def agent(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Show an agent's settings, and change which provider, key and model it runs on."""
    found = agent_of(request, agent_id)
    if request.method == "POST":
        return _change(request, agent_id)
    return _settings_page(request, found, ModelForm(agent=found, readonly=not member_of(request).manages_agents))


@manages_agents
def _change(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    found = agent_of(request, agent_id)
    if "managed" in request.POST:
        return redirect("agents:plan", agent_id)
    # Without a script, another provider's choices come from a button that saves nothing.
    if "switch" in request.POST:
        return _settings_page(request, found, ModelForm(agent=found, provider=request.POST.get("provider", "")))
    form = ModelForm(request.POST, agent=found)
    if form.is_valid() and form.save(by=member_of(request).user):
        messages.success(request, _("Saved."))
        return redirect("agents:agent", agent_id)
    return _settings_page(request, found, form)


def _settings_page(request: HttpRequest, found: Agent, form: ModelForm) -> HttpResponse:
    now = timezone.now()
    tokens = found.tokens.filter(revoked_at=None)
    plan = standing(found, at=now)
    context = {
        "agent": found,
        "standing": plan,
        "limit": LimitForm(agent=found, terms=plan.terms) if plan else None,
        # A Managed agent's own key matters only to who is about to leave.
        "own_key": plan is None or "own" in request.GET or request.method == "POST",
        "form": form,
        "backup": _backup(request, found) if found.provider_key and not plan else None,
        "pace": PaceForm(agent=found, at=now),
        "rename": RenameAgentForm(initial={"name": found.name}),
        "token_form": AgentTokenForm(auto_id="token_%s"),
        "tokens": tokens,
        "asked": found.tokens.exclude(last_used_at=None).exists(),
        "base_url": request.build_absolute_uri("/v1"),
    }
    return render(request, "agents/agent.html", context, status=422 if form.errors else 200)


def _backup(request: HttpRequest, found: Agent) -> BackupForm:
    return BackupForm(agent=found, readonly=not member_of(request).manages_agents)


@require_GET
@in_workspace
def provider_fields(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Draw the choices of keys and models that go with another provider."""
    found = agent_of(request, agent_id)
    form = ModelForm(agent=found, provider=request.GET.get("provider", ""))
    return render(request, "agents/_provider_fields.html", {"agent": found, "form": form})


@require_POST
@manages_agents
def rename(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Change how an agent is called."""
    found = agent_of(request, agent_id)
    form = RenameAgentForm(request.POST)
    if form.is_valid():
        services.change_agent(agent=found, name=form.cleaned_data["name"], by=member_of(request).user)
        messages.success(request, _("Saved."))
    else:
        messages.error(request, _("Give your agent a name of at most 80 letters."))
    return redirect("agents:agent", agent_id)


@require_POST
@manages_agents
def pause(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Refuse an agent's requests from now on."""
    found = agent_of(request, agent_id)
    services.pause_agent(agent=found, by=member_of(request).user)
    messages.success(request, _("%(agent)s is paused: its requests are refused.") % {"agent": found})
    return redirect("agents:agent", agent_id)


@require_POST
@manages_agents
def resume(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Answer an agent's requests again."""
    found = agent_of(request, agent_id)
    services.resume_agent(agent=found, by=member_of(request).user)
    messages.success(request, _("%(agent)s answers again.") % {"agent": found})
    return redirect("agents:agent", agent_id)


@manages_agents
def delete(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Take an agent away, after asking."""
    found = agent_of(request, agent_id)
    if request.method != "POST":
        return render(request, "agents/delete.html", {"agent": found})
    services.delete_agent(agent=found, by=member_of(request).user)
    messages.success(request, _("%(agent)s was deleted.") % {"agent": found})
    return redirect("agents:agents")


@never_cache
@require_POST
@manages_agents
def create_token(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Make a token for an agent and show it this once, with the request that uses it."""
    found = agent_of(request, agent_id)
    form = AgentTokenForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("The name of a token has at most 80 letters."))
        return redirect("agents:agent", agent_id)
    token, secret = services.create_agent_token(agent=found, by=member_of(request).user, **form.cleaned_data)
    return _token_page(request, found, token, secret)


def _token_page(request: HttpRequest, found: Agent, token: AgentToken, secret: Secret) -> HttpResponse:
    context = {
        "agent": found,
        "token": token,
        "secret": secret.reveal(),
        "base_url": request.build_absolute_uri("/v1"),
    }
    return render(request, "agents/token.html", context)


@manages_agents
def revoke_token(request: HttpRequest, agent_id: UUID, token_id: UUID) -> HttpResponse:
    """Stop a token from working, after asking."""
    found = agent_of(request, agent_id)
    token = get_object_or_404(found.tokens, pk=token_id)
    if request.method != "POST":
        return render(request, "agents/revoke_token.html", {"agent": found, "token": token})
    services.revoke_token(token=token, by=member_of(request).user)
    messages.success(request, _("The token was revoked. Programs that use it are refused from now on."))
    return redirect("agents:agent", agent_id)
