"""Who changed what, and who has to know: the audit trail, and the signal to the gateway."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

from agents.models import Agent, AuditEntry, User, Workspace, WorkspaceToken

# Whoever changes something: a person, a program with a workspace token, or a command ("manage.py").
Actor = User | WorkspaceToken | str

# Sent after commit with ``agent_ids``: forget what you remember of these agents.
agents_changed = Signal()


def audit(*, workspace: Workspace, by: Actor, action: str, target: object, **detail: str) -> None:
    """Write down who changed what. ``detail`` never carries a secret."""
    AuditEntry.objects.create(
        workspace=workspace, actor=str(by), action=action, target=str(target)[:120], detail=detail
    )


def announce(agent_ids: Iterable[UUID]) -> None:
    """Tell the gateway, once this is committed, which agents aren't what it remembers any more."""
    ids = [str(each) for each in agent_ids]
    if ids:
        transaction.on_commit(lambda: agents_changed.send(sender=Agent, agent_ids=ids))
