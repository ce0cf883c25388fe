"""Changing how fast an agent may go: its owner lowers it, staff allow more or less.

What is given as None falls back: the owner's to as much as is allowed, the staff's to the default of mode and plan.
"""

from datetime import datetime
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from agents.changes import Actor, announce, audit
from agents.models import Agent
from agents.pace import NO_LIMIT, in_force

AT_MOST: Final = 1_000_000_000  # a minute; more is a slip of the finger


@transaction.atomic
def set_pace(*, agent: Agent, requests: int | None, tokens: int | None, by: Actor, at: datetime) -> None:
    """Set the owner's own limits a minute. What already holds, given again, changes nothing.

    Raises:
        ValidationError: by field, for less than 1 or more than is allowed.
    """
    allowed = agent.allowed_pace(at)
    checked = {
        "requests_per_minute": _checked(
            "requests_per_minute", requests, own=agent.requests_per_minute, allowed=allowed.requests
        ),
        "tokens_per_minute": _checked("tokens_per_minute", tokens, own=agent.tokens_per_minute, allowed=allowed.tokens),
    }
    _write(agent, checked, by=by, action="pace.changed")


@transaction.atomic
def allow_pace(*, agent: Agent, requests: int | None, tokens: int | None, by: Actor) -> None:
    """Allow the agent other limits a minute than the default: 0 for none at all. For staff and commands."""
    _write(
        agent,
        {"allowed_requests_per_minute": requests, "allowed_tokens_per_minute": tokens},
        by=by,
        action="pace.allowed",
    )


def _checked(field: str, value: int | None, *, own: int | None, allowed: int) -> int | None:
    if value is None:
        return None
    if value == in_force(allowed=allowed, own=own):
        return own
    if not 1 <= value <= AT_MOST:
        raise ValidationError({field: _("Give a number of at least 1.")})
    if allowed != NO_LIMIT and value > allowed:
        most = number_format(allowed, force_grouping=True)
        raise ValidationError({field: _("Give at most %(most)s. If you need more, ask us.") % {"most": most}})
    return value


def _write(agent: Agent, values: dict[str, int | None], *, by: Actor, action: str) -> None:
    if all(getattr(agent, name) == value for name, value in values.items()):
        return
    was = _said([getattr(agent, name) for name in values])
    for name, value in values.items():
        setattr(agent, name, value)
    agent.save(update_fields=list(values))
    audit(workspace=agent.workspace, by=by, action=action, target=agent, was=was, pace=_said(list(values.values())))
    announce([agent.pk])


def _said(values: list[int | None]) -> str:
    return " / ".join("–" if value is None else f"{value:,}" for value in values)
