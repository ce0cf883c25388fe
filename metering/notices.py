"""Notices: an agent has used half of its plan, 80% of it, all of it, or has reached its limit.

Each is told once: by e-mail to the workspace's owners, and on the pages until somebody closes it or the month ends.
The row comes first and is unique; whoever made it writes the e-mail, and what fails to be sent is tried again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from agents.mail import letter, owners_of
from agents.models import Agent, User
from agents.plans import TIERS, Terms, plans
from metering.models import MonthlyUsage, Notice, Threshold
from metering.periods import Month
from metering.thresholds import CEILING, HALF, PERCENT, limits

CLAIMED_FOR: Final = timedelta(minutes=10)  # until another may try what this one didn't bring to an end
TRIED_FOR: Final = timedelta(days=3)
# A refused request may have asked for more than was left. Near enough to its limit, the agent counts as stopped.
ALMOST: Final = 90  # percent of all that the month allows
AT_ONCE: Final = 500  # agents

log = structlog.get_logger(__name__)


def tell(*, agent_id: UUID, used: int, at: datetime, refused: bool = False) -> None:
    """Tell the agent's owners what it has reached, having used so many tokens of the month of ``at``; once each.

    ``refused`` says that it was refused at its limit.
    """
    agent = Agent.objects.living().prefetch_related("stays").filter(pk=agent_id).first()
    if agent:
        _tell(agent, used=used, at=at, refused=refused, told=_told([agent_id], at=at))


def tell_all(*, at: datetime) -> None:
    """Look at every agent's month, and send what wasn't sent: whatever a process that died left to be done."""
    first = _first(at)
    # Below half of the smallest plan there is nothing to tell.
    least = min(plan.included_tokens for plan in plans(on=first)) * PERCENT[HALF] // 100
    thirsty = MonthlyUsage.objects.filter(month=first, managed_tokens__gte=least)
    used = dict(thirsty.values_list("agent_id", "managed_tokens"))
    known = sorted(used)
    for start in range(0, len(known), AT_ONCE):
        some = known[start : start + AT_ONCE]
        told = _told(some, at=at)
        for agent in Agent.objects.living().prefetch_related("stays").filter(pk__in=some):
            _tell(agent, used=used[agent.pk], at=at, told=told)
    for notice in Notice.objects.filter(_free(at), mailed_at=None, reached_at__gt=at - TRIED_FOR):
        _send(notice, at=at)


Told = set[tuple[UUID, str, int]]


def _told(agent_ids: Sequence[UUID], *, at: datetime) -> Told:
    """Return what was told this month of these agents: which threshold, measured by how many tokens."""
    notices = Notice.objects.filter(agent_id__in=agent_ids, month=_first(at))
    return set(notices.values_list("agent_id", "kind", "limit"))


def _tell(agent: Agent, *, used: int, at: datetime, told: Told, refused: bool = False) -> None:
    terms = agent.terms_at(at)
    if terms is None:
        return
    thresholds = limits(terms.plan, ceiling=agent.ceiling(terms))
    reached = thresholds.reached(used)
    if refused and CEILING not in reached and used * 100 >= thresholds.most * ALMOST:
        reached.append(CEILING)
    fresh = [(kind, thresholds.limit(kind)) for kind in reached]
    fresh = [(kind, limit) for kind, limit in fresh if (agent.pk, kind, limit) not in told]
    if fresh:
        *lower, highest = [_written(agent, kind, limit, at=at) for kind, limit in fresh]
        # Who passes two in one step is told of the higher one.
        Notice.objects.filter(pk__in=[notice.pk for notice in lower], claimed_at=None).update(
            claimed_at=at, mailed_at=at, dismissed_at=at
        )
        _send(highest, at=at)


def _written(agent: Agent, kind: str, limit: int, *, at: datetime) -> Notice:
    notice, _new = Notice.objects.get_or_create(
        agent_id=agent.pk,
        month=_first(at),
        kind=kind,
        limit=limit,
        defaults={"workspace_id": agent.workspace_id, "reached_at": at},
    )
    return notice


def _first(at: datetime) -> date:
    return Month.of(at).start.date()


# --- in words ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A notice as its reader reads it, in the language that is active. The two ways out are there at the limit."""

    notice: Notice
    agent: Agent
    terms: Terms
    ceiling: Decimal

    @property
    def headline(self) -> str:
        """What has happened."""
        said = {
            Threshold.HALF: _("%(agent)s has used half of this month’s plan"),
            Threshold.MOST: _("%(agent)s has used 80%% of this month’s plan"),
            Threshold.ALL: _("%(agent)s has used all of this month’s plan"),
            Threshold.CEILING: _("%(agent)s has reached its limit for this month"),
        }
        return said[Threshold(self.notice.kind)] % {"agent": self.agent.name}

    @property
    def stopped(self) -> bool:
        """Whether the agent doesn't go on by itself."""
        return self.notice.kind == Threshold.CEILING

    @property
    def bigger_plan(self) -> bool:
        """Whether there is one."""
        return self.terms.plan.tier != TIERS[-1]

    @property
    def next_month(self) -> datetime:
        """When it starts afresh."""
        return Month(self.notice.month.year, self.notice.month.month).end


def words(notices: Iterable[Notice], *, at: datetime) -> list[Words]:
    """Return notices in words: those that still hold, of agents that are still there."""
    rows = list(notices)
    agents = Agent.objects.living().prefetch_related("stays").select_related("workspace")
    by_id = {agent.pk: agent for agent in agents.filter(pk__in={row.agent_id for row in rows})}
    said = []
    for row in rows:
        agent = by_id.get(row.agent_id)
        terms = agent.terms_at(at) if agent else None
        if agent is None or terms is None:
            continue
        ceiling = agent.ceiling(terms)
        # Whoever has chosen a bigger plan or raised the limit since needn't read of the old one.
        if row.limit == limits(terms.plan, ceiling=ceiling).limit(row.kind):
            said.append(Words(notice=row, agent=agent, terms=terms, ceiling=ceiling))
    return said


# --- on the pages --------------------------------------------------------------------------------


def open_notices(*, workspace_id: UUID, at: datetime, agent_id: UUID | None = None) -> list[Words]:
    """Return this month's notices that nobody has closed, the highest of each agent."""
    rows = Notice.objects.filter(workspace_id=workspace_id, month=_first(at), dismissed_at=None)
    if agent_id:
        rows = rows.filter(agent_id=agent_id)
    highest: dict[UUID, Words] = {}
    for each in sorted(words(rows, at=at), key=lambda each: Threshold.values.index(each.notice.kind)):
        highest[each.agent.pk] = each
    return sorted(highest.values(), key=lambda each: each.agent.name)


@transaction.atomic(using=settings.METER_DATABASE)
def dismiss(notice: Notice, *, at: datetime) -> None:
    """Close a notice, and with it what the agent had reached before."""
    seen = Threshold.values[: Threshold.values.index(notice.kind) + 1]
    Notice.objects.filter(agent_id=notice.agent_id, month=notice.month, kind__in=seen, dismissed_at=None).update(
        dismissed_at=at
    )


# --- by e-mail -----------------------------------------------------------------------------------


def _send(notice: Notice, *, at: datetime) -> None:
    """Write to the workspace's owners, unless somebody else does at this moment or has done so."""
    if not Notice.objects.filter(_free(at), pk=notice.pk, mailed_at=None).update(claimed_at=at):
        return
    try:
        for said in words([notice], at=at):
            told = owners_of(said.agent.workspace_id)
            get_connection().send_messages([_message(said, owner) for owner in told])
    except OSError as error:  # smtplib's are among them
        log.warning("notice_not_mailed", notice=notice.pk, error=type(error).__name__)
        return
    Notice.objects.filter(pk=notice.pk).update(mailed_at=at)


def _free(at: datetime) -> Q:
    return Q(claimed_at=None) | Q(claimed_at__lt=at - CLAIMED_FOR)


def _message(said: Words, owner: User) -> EmailMultiAlternatives:
    with translation.override(owner.language or settings.LANGUAGE_CODE):
        urls = {
            "agent_url": settings.SITE_URL + reverse("agents:agent", args=[said.agent.pk]),
            "plan_url": settings.SITE_URL + reverse("agents:plan", args=[said.agent.pk]),
        }
        text = render_to_string("metering/email/notice.txt", {"said": said, **urls})
        return letter(subject=said.headline, text=text, to=[owner.email])
