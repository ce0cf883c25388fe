"""An agent's backup: what its owner names."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from agents.access import manages_agents, member_of
from agents.forms.backups import BackupForm
from agents.views.agents import agent_of


@require_POST
@manages_agents
def backup(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Name the key that is asked where the agent's own fails, or none."""
    found = agent_of(request, agent_id)
    form = BackupForm(request.POST, agent=found)
    if form.is_valid() and form.save(by=member_of(request).user):
        messages.success(request, _("Saved."))
        return redirect("agents:agent", agent_id)
    return render(request, "agents/backup.html", {"agent": found, "form": form}, status=422)
