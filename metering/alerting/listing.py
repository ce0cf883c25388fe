"""What pages and the API show of alerts: how each stands, what was delivered last, and what is still to be read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from agents.models import Agent
from metering.alerting import words
from metering.alerts import Facts
from metering.models import Alert, Channel, Delivery, Occasion
from metering.periods import Month

LOGGED: Final = 50  # deliveries shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An alert as it is listed.

    ``reached`` is when it told something this month (or day), ``last`` the delivery that it was last told by.
    """

    alert: Alert
    title: str
    gone: bool
    reached: datetime | None
    last: Delivery | None

    @property
    def channels(self) -> list[Channel]:
        """Where it is told."""
        return [Channel(each) for each in self.alert.channels]

    @property
    def undelivered(self) -> str:
        """Why the last delivery didn't arrive; empty where it did, or there is none."""
        return words.outcome(self.last) if self.last else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A delivery as the log shows it."""

    delivery: Delivery
    title: str

    @property
    def outcome(self) -> str:
        """What came of the last attempt, where it didn't arrive."""
        return words.outcome(self.delivery)

    @property
    def test(self) -> bool:
        """Whether it was only a test."""
        return self.delivery.occasion.test


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNotice:
    """Something told on the pages that nobody has closed."""

    delivery: Delivery
    facts: Facts

    @property
    def headline(self) -> str:
        """What has happened."""
        return words.headline(self.facts)

    @property
    def detail(self) -> str:
        """What was asked for."""
        return words.detail(self.facts)


def alerts_of(workspace_id: UUID) -> QuerySet[Alert]:
    """Return the workspace's alerts, the newest first."""
    return Alert.objects.filter(workspace_id=workspace_id)


def lines(rows: QuerySet[Alert], *, at: datetime) -> list[Line]:
    """Return how alerts stand."""
    told = Delivery.objects.filter(occasion__alert=OuterRef("pk"), occasion__test=False)
    newest = told.order_by("-created_at", "pk").values("pk")[:1]
    some = list(rows.annotate(last_id=Subquery(newest)))
    names = _names({alert.agent_id for alert in some})
    last = Delivery.objects.select_related("occasion").in_bulk([each.last_id for each in some if each.last_id])
    occasions = {
        (each.alert_id, each.mark, each.period): each.at
        for each in Occasion.objects.filter(alert__in=some, test=False, at__gte=Month.of(at).start)
    }
    return [
        Line(
            alert=alert,
            title=words.title(alert, name),
            gone=gone,
            reached=occasions.get((alert.pk, alert.mark, alert.rule.period(at))),
            last=last.get(alert.last_id),
        )
        for alert in some
        for name, gone in [names.get(alert.agent_id, ("", alert.agent_id is not None))]
    ]


def log(*, workspace_id: UUID, alert: Alert | None = None) -> list[Entry]:
    """Return the last deliveries of a workspace, or of one of its alerts."""
    rows = Delivery.objects.filter(workspace_id=workspace_id).select_related("occasion__alert")
    if alert:
        rows = rows.filter(occasion__alert=alert)
    return [entry(each) for each in rows[:LOGGED]]


def entry(delivery: Delivery) -> Entry:
    """Return a delivery as the log shows it."""
    return Entry(delivery=delivery, title=words.headline(words.facts_of(delivery.occasion)))


def notice(delivery: Delivery) -> OpenNotice:
    """Return a delivery as the pages show it."""
    return OpenNotice(delivery=delivery, facts=words.facts_of(delivery.occasion))


def open_notices(*, workspace_id: UUID, at: datetime, agent_id: UUID | None = None) -> list[OpenNotice]:
    """Return what alerts have told on the pages this month and nobody has closed, the newest of each."""
    rows = Delivery.objects.filter(
        workspace_id=workspace_id,
        channel=Channel.PAGE,
        dismissed_at=None,
        created_at__gte=Month.of(at).start,
        occasion__test=False,
    ).select_related("occasion")
    if agent_id:
        rows = rows.filter(occasion__alert__agent_id=agent_id)
    newest: dict[UUID, Delivery] = {}
    for each in rows:
        newest.setdefault(each.occasion.alert_id, each)
    return [notice(each) for each in newest.values()]


def _names(agent_ids: set[UUID | None]) -> dict[UUID | None, tuple[str, bool]]:
    """Return how agents are called, and whether they are gone."""
    rows = Agent.objects.filter(pk__in=[each for each in agent_ids if each]).values_list("pk", "name", "deleted_at")
    return {pk: (name, deleted_at is not None) for pk, name, deleted_at in rows}
