"""Looks, each minute, at what the roll-ups say of what is watched, and writes down what has been reached: once.

Any number of workers may look at the same time: the row of an occasion is unique, and whoever makes it makes the
deliveries with it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from agents.models import Agent
from metering import alerts
from metering.alerts import Seen
from metering.models import Alert, Channel, DailyUsage, Delivery, HourlyUsage, MonthlyUsage, Occasion
from metering.periods import Month
from metering.totals import BYOKEY, LEFT, OK

AT_ONCE: Final = 500  # alerts
KEPT_FOR: Final = timedelta(days=100)
# A request whose caller hung up didn't fail; it counts among all.
NOT_FAILED: Final = (OK, LEFT)


def watch(*, at: datetime) -> int:
    """Look at every alert that hasn't told anything in this period; return how many have something to tell now."""
    return sum(1 for some in _batches(_quiet(at)) for _told in _look(some, at=at))


def forget_old(*, at: datetime) -> None:
    """Delete what was told so long ago that nobody asks any more."""
    Occasion.objects.filter(at__lt=at - KEPT_FOR).delete()


def raise_occasion(alert: Alert, facts: alerts.Facts, *, at: datetime) -> Occasion | None:
    """Write down that an alert's threshold is reached, with what is to be delivered; None where it was already."""
    with transaction.atomic(using=settings.METER_DATABASE):
        occasion, new = Occasion.objects.get_or_create(
            alert=alert,
            mark=alert.mark,
            period=alert.rule.period(at),
            defaults={"facts": msgspec.to_builtins(facts), "at": at},
        )
        if new:
            Delivery.objects.bulk_create([delivery_of(occasion, channel, alert=alert) for channel in alert.channels])
    return occasion if new else None


def delivery_of(occasion: Occasion, channel: str, *, alert: Alert) -> Delivery:
    """Return a delivery that is due at once; what is told on the pages is there by being written down."""
    there = {"state": Delivery.State.DELIVERED, "finished_at": occasion.at, "attempts": 1}
    return Delivery(
        occasion=occasion,
        workspace_id=alert.workspace_id,
        channel=channel,
        created_at=occasion.at,
        due_at=occasion.at,
        **(there if channel == Channel.PAGE else {}),
    )


def _quiet(at: datetime) -> QuerySet[Alert]:
    """Return the alerts that may have something to tell: neither paused, nor told in this month or day."""
    told = Occasion.objects.filter(alert=OuterRef("pk"), mark=OuterRef("mark"))
    this_month, today = (told.filter(period=alerts.period(at, daily=daily)) for daily in (False, True))
    errors = Q(metric=alerts.ERROR_RATE)
    return Alert.objects.filter(Q(~errors, ~Exists(this_month)) | Q(errors, ~Exists(today)), paused_at=None)


def _batches(rows: QuerySet[Alert]) -> Iterator[list[Alert]]:
    rows = rows.order_by("workspace_id", "pk")
    batch = list(rows[:AT_ONCE])
    while batch:
        yield batch
        last = batch[-1]
        further = Q(workspace_id=last.workspace_id, pk__gt=last.pk) | Q(workspace_id__gt=last.workspace_id)
        batch = list(rows.filter(further)[:AT_ONCE])


def _look(some: Sequence[Alert], *, at: datetime) -> Iterator[Occasion]:
    agents = _agents(some)
    monthly = [alert for alert in some if not alert.rule.daily]
    seen = {**_months(monthly, agents, at=at), **_errors(some, agents, at=at)}
    for alert in some:
        rule, found = alert.rule, seen[alert.pk]
        if alerts.reached(rule, found):
            name = agents[alert.agent_id].name if alert.agent_id else ""
            told = raise_occasion(alert, alerts.facts(rule, found, agent_name=name), at=at)
            if told:
                yield told


# --- what there is to see ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Agents:
    """The living agents that some alerts are of."""

    by_id: dict[UUID, Agent]
    of_workspace: dict[UUID, list[UUID]]

    def of(self, alert: Alert) -> list[UUID]:
        """Return those that the alert is of: none once its agent is gone."""
        if alert.agent_id is None:
            return self.of_workspace.get(alert.workspace_id, [])
        return [alert.agent_id] if alert.agent_id in self.by_id else []

    def __getitem__(self, agent_id: UUID) -> Agent:
        return self.by_id[agent_id]

    def together(self, alert: Alert, seen: dict[UUID, Seen]) -> Seen:
        """Return what there is to see of all of them."""
        return sum((seen[agent_id] for agent_id in self.of(alert) if agent_id in seen), Seen())


def _agents(some: Sequence[Alert]) -> _Agents:
    living = Agent.objects.living().filter(workspace_id__in={alert.workspace_id for alert in some})
    of_workspace: dict[UUID, list[UUID]] = defaultdict(list)
    by_id = {agent.pk: agent for agent in living.prefetch_related("stays")}
    for agent in by_id.values():
        of_workspace[agent.workspace_id].append(agent.pk)
    return _Agents(by_id=by_id, of_workspace=of_workspace)


def _months(some: Sequence[Alert], agents: _Agents, *, at: datetime) -> dict[UUID, Seen]:
    """Return what each alert's agents have used in the month of ``at``."""
    wanted = {agent_id for alert in some for agent_id in agents.of(alert)}
    first = Month.of(at).start.date()
    used = {row.agent_id: row for row in MonthlyUsage.objects.filter(month=first, agent_id__in=wanted)}
    costs = _costs(wanted if any(alert.metric == alerts.COST for alert in some) else (), month=Month.of(at))
    seen = {}
    for agent_id in wanted:
        row, terms = used.get(agent_id), agents[agent_id].terms_at(at)
        seen[agent_id] = Seen(
            tokens=row.tokens_input + row.tokens_output if row else 0,
            managed_tokens=row.managed_tokens if row and terms else 0,
            included=terms.plan.included_tokens if terms else 0,
            cost=costs.get(agent_id, Decimal()),
            price=row.price_total if row else Decimal(),
        )
    return {alert.pk: agents.together(alert, seen) for alert in some}


def _costs(agent_ids: Iterable[UUID], *, month: Month) -> dict[UUID, Decimal]:
    """Return what agents cost at their owner's providers: what plans cover costs their owner nothing there."""
    rows = DailyUsage.objects.filter(
        agent_id__in=list(agent_ids), day__gte=month.start.date(), day__lt=month.end.date(), tier=BYOKEY
    )
    return dict(rows.order_by().values("agent_id").annotate(sum=Sum("cost_total")).values_list("agent_id", "sum"))


def _errors(some: Sequence[Alert], agents: _Agents, *, at: datetime) -> dict[UUID, Seen]:
    """Return, for each alert of errors, the requests of its last hours; the hour that has begun is one more."""
    windows: dict[int, list[Alert]] = defaultdict(list)
    for alert in some:
        if alert.rule.daily:
            windows[alert.window_hours].append(alert)
    found = {}
    for hours, alike in windows.items():
        wanted = {agent_id for alert in alike for agent_id in agents.of(alert)}
        since = at.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
        seen = {row["agent_id"]: _counted(row) for row in _requests(wanted, since=since)}
        found.update({alert.pk: agents.together(alert, seen) for alert in alike})
    return found


def _requests(agent_ids: Iterable[UUID], *, since: datetime) -> Any:
    rows = HourlyUsage.objects.filter(agent_id__in=list(agent_ids), hour__gte=since).order_by()
    return rows.values("agent_id").annotate(
        all=Sum("requests"), failed=Sum("requests", filter=~Q(status__in=NOT_FAILED), default=0)
    )


def _counted(row: dict[str, Any]) -> Seen:
    return Seen(requests=int(row["all"]), failed=int(row["failed"]))
