"""Ending a workspace."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from agents import services
from agents.changes import audit
from agents.models import AgentToken, Role, User, Workspace


@transaction.atomic
def close_workspace(*, workspace: Workspace, by: User, at: datetime) -> None:
    """End a workspace: agents and tokens stop at once, keys are gone for good, its people are out. Twice is once.

    Plans run until the end of the month, which is still invoiced; what invoices need stays until then.

    Raises:
        ValidationError: when ``by`` isn't an owner.
    """
    if not workspace.memberships.filter(user=by, role=Role.OWNER).exists():
        raise ValidationError(_("Only an owner can delete the workspace."))
    if not Workspace.objects.filter(pk=workspace.pk, closed_at=None).update(closed_at=at):
        return
    for agent in workspace.agents.living():
        services.delete_agent(agent=agent, by=by)
    for key in workspace.provider_keys.all():
        services.delete_key(key=key, by=by)
    AgentToken.objects.filter(agent__workspace=workspace).delete()
    workspace.tokens.all().delete()
    workspace.invitations.all().delete()
    audit(workspace=workspace, by=by, action="workspace.closed", target=workspace)
    workspace.memberships.all().delete()
