"""How long a workspace's requests are kept. Their sums stay for good."""

from datetime import datetime
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from agents.changes import Actor, audit
from agents.models import Workspace

# Months before the current one.
LEAST: Final = 1
MOST: Final = 13
MOST_ON_A_PLAN: Final = 24  # for workspaces that pay for an agent


def most(workspace: Workspace, *, at: datetime) -> int:
    """Return how many months the workspace may keep at most."""
    on_a_plan = any(agent.tier_at(at) for agent in workspace.agents.living().prefetch_related("stays"))
    return MOST_ON_A_PLAN if on_a_plan else MOST


@transaction.atomic
def keep_requests(*, workspace: Workspace, months: int, by: Actor, at: datetime) -> None:
    """Keep requests for so many months before the current one from now on. What is deleted already stays deleted.

    What was chosen on a plan stays when the plan ends, until somebody chooses anew.

    Raises:
        ValidationError: for fewer than one or more than the workspace's plans allow.
    """
    if months == workspace.keep_months:
        return
    allowed = most(workspace, at=at)
    if not LEAST <= months <= allowed:
        raise ValidationError({"months": _("Give a number between 1 and %(most)s.") % {"most": allowed}})
    audit(
        workspace=workspace,
        by=by,
        action="requests.kept",
        target=workspace,
        was=str(workspace.keep_months),
        months=str(months),
    )
    workspace.keep_months = months
    workspace.save(update_fields=["keep_months"])
