"""What becomes of a saved key that its provider refuses: it is marked, its owners are told once, a success clears it.

Any number of gateway processes may find the same out at the same moment: the database decides whose word counts.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from agents.changes import announce
from agents.models import Agent, ProviderKey
from agents.trouble import Trouble

# Between two messages about a key. One that works every now and then would else send one each time it fails again.
QUIET: Final = timedelta(hours=1)


@transaction.atomic
def key_fails(*, key_id: UUID, as_of: datetime, trouble: Trouble, at: datetime) -> bool:
    """Mark a key as refused since ``at``; return whether this call did it, rather than an earlier one.

    ``as_of`` is the ``changed_at`` of the key that was refused: the one that replaced it since then isn't marked.
    """
    working = ProviderKey.objects.filter(pk=key_id, changed_at=as_of, trouble="")
    marked = working.update(trouble=trouble, trouble_since=at) == 1
    if marked:
        _announce(key_id)
    return marked


@transaction.atomic
def key_works(*, key_id: UUID) -> None:
    """Take a key's mark away: its provider accepts it again."""
    if ProviderKey.objects.filter(pk=key_id).exclude(trouble="").update(trouble="", trouble_since=None):
        _announce(key_id)


def to_tell(*, at: datetime) -> QuerySet[ProviderKey]:
    """Return the keys whose owners don't know yet that they are refused, and may be told now."""
    unheard = Q(told_at=None) | Q(told_at__lt=F("trouble_since"), told_at__lte=at - QUIET)
    return ProviderKey.objects.exclude(trouble="").filter(unheard)


def may_tell(*, key_id: UUID, at: datetime) -> bool:
    """Take the right to tell the key's owners: one caller's at most each time that it is refused."""
    return to_tell(at=at).filter(pk=key_id).update(told_at=at) == 1


def not_told(*, key_id: UUID, at: datetime) -> None:
    """Give that right back: the message couldn't be sent."""
    ProviderKey.objects.filter(pk=key_id, told_at=at).update(told_at=None)


def stuck_with(key: ProviderKey) -> list[Agent]:
    """Return the agents that can't answer without a key, by name: neither those with a backup nor those on a plan."""
    alone = key.agents.filter(deleted_at=None, backup_key=None).prefetch_related("stays").order_by("name")
    return [agent for agent in alone if agent.tier is None]


def _announce(key_id: UUID) -> None:
    using = Agent.objects.filter(Q(provider_key=key_id) | Q(backup_key=key_id))
    announce(using.values_list("pk", flat=True))
