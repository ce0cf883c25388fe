"""How fast an agent may go: what its owner sets."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents.access import manages_agents, member_of
from agents.forms.pace import PaceForm
from agents.views.agents import agent_of


@require_POST
@manages_agents
def pace(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Change how many requests and tokens a minute an agent may use."""
    found = agent_of(request, agent_id)
    form = PaceForm(request.POST, agent=found, at=timezone.now())
    if form.is_valid() and form.save(by=member_of(request).user):
        messages.success(request, _("Saved."))
        return redirect("agents:agent", agent_id)
    return render(request, "agents/pace.html", {"agent": found, "form": form}, status=422)
