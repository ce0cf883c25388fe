"""Sudden use: an agent on a plan that takes many times what it usually does is shown to staff, who may pause it.

What it costs is bounded anyway, by its plan's ceiling. This is for whoever misuses our keys within it, or lost a
token to somebody who does.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, Sum
from django.urls import reverse

from agents import services
from agents.changes import Actor
from agents.mail import letter, tell_of_pause
from agents.models import Agent
from llm.models import StaffAlert
from metering.models import HourlyUsage
from metering.store import get_store

FLOOR: Final = 500_000  # tokens in an hour; below that nothing is remarkable
MULTIPLE: Final = 10
HOUR: Final = timedelta(hours=1)
USUAL_OVER: Final = timedelta(days=7)
AT_LEAST_OVER: Final = timedelta(days=1)  # a new agent's usual hour is judged as if it had been there that long
QUIET_FOR: Final = timedelta(days=1)  # an agent isn't reported again within this
BYOKEY: Final = "byokey"

log = structlog.get_logger(__name__)


def is_sudden(*, last_hour: int, usual: int) -> bool:
    """Tell whether an hour's tokens are out of all proportion to those of an agent's usual hour."""
    return last_hour >= max(FLOOR, MULTIPLE * usual)


def look(*, at: datetime) -> list[StaffAlert]:
    """Raise an alert for each agent whose last hour was sudden; return those that are new."""
    tokens = get_store().tokens_since(since=at - HOUR)
    busy = {agent_id: used for agent_id, used in tokens.items() if used >= FLOOR}
    if not busy:
        return []
    reported = StaffAlert.objects.filter(Q(closed_at=None) | Q(raised_at__gt=at - QUIET_FOR)).values("agent")
    agents = list(Agent.objects.living().filter(pk__in=busy, paused_at=None).exclude(pk__in=reported))
    usual = _usual(agents, at=at)
    found = [
        _raise(agent, last_hour=busy[agent.pk], usual=usual[agent.pk], at=at)
        for agent in agents
        if is_sudden(last_hour=busy[agent.pk], usual=usual[agent.pk])
    ]
    return [each for each in found if each]


def pause(*, alert: StaffAlert, by: str, at: datetime) -> None:
    """Refuse the agent's requests from now on, tell its owners, and close the alert."""
    if services.pause_agent(agent=alert.agent, by=_staff(by)):
        try:
            tell_of_pause(agent=alert.agent, used=alert.last_hour, usual=alert.usual_hour)
        except OSError as error:
            log.error("owners_not_told", alert=alert.pk, error=type(error).__name__)  # its page says so all the same
    close(alert=alert, by=by, at=at)


def close(*, alert: StaffAlert, by: str, at: datetime) -> None:
    """Note who has looked into it. Twice is once."""
    StaffAlert.objects.filter(pk=alert.pk, closed_at=None).update(closed_at=at, closed_by=by)


def _staff(by: str) -> Actor:
    """Return how staff appear in a customer's audit trail."""
    return f"staff {by}"


def _usual(agents: Collection[Agent], *, at: datetime) -> Mapping[UUID, int]:
    """Return the tokens of each agent's usual hour: of the seven days before the hour that is looked at."""
    until = at - HOUR
    rows = (
        HourlyUsage.objects.filter(
            agent_id__in=[each.pk for each in agents], hour__gte=until - USUAL_OVER, hour__lt=until
        )
        .exclude(tier=BYOKEY)
        .values("agent_id")
        .annotate(tokens=Sum("tokens_input") + Sum("tokens_output"))
        .order_by()
    )
    tokens = {row["agent_id"]: int(row["tokens"]) for row in rows}
    return {
        each.pk: int(tokens.get(each.pk, 0) / (min(max(at - each.created_at, AT_LEAST_OVER), USUAL_OVER) / HOUR))
        for each in agents
    }


def _raise(agent: Agent, *, last_hour: int, usual: int, at: datetime) -> StaffAlert | None:
    try:
        with transaction.atomic():
            alert = StaffAlert.objects.create(agent=agent, raised_at=at, last_hour=last_hour, usual_hour=usual)
    except IntegrityError:
        return None  # another worker got here first
    log.warning("sudden_use", agent_id=str(agent.pk), last_hour=last_hour, usual_hour=usual)
    try:
        _mail(alert)
    except OSError as error:
        log.error("staff_not_told", alert=alert.pk, error=type(error).__name__)  # it's in the admin all the same
    return alert


def _mail(alert: StaffAlert) -> None:
    """Write to ``ADMINS``. Staff read English."""
    to = [address for _name, address in settings.ADMINS]
    if not to:
        return
    agent = alert.agent
    url = f"{settings.SITE_URL}{reverse('admin:llm_staffalert_change', args=[alert.pk])}"
    text = (
        f"{agent.name} of {agent.workspace.name} used {alert.last_hour:,} tokens in the last hour. "
        f"Its usual hour is {alert.usual_hour:,}.\n\n"
        f"Look at it, and pause the agent if it's being misused:\n\n{url}\n\n"
        "You get this because you look after Vutler."
    )
    subject = f"Sudden use: {agent.name}, {agent.workspace.name}"
    letter(subject=subject, text=text, to=to).send()
