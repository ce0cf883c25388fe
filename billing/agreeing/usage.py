"""From records to roll-ups to lines of invoices, in tokens that count towards allowances."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Max, Sum
from django.utils.translation import gettext as _

from agents.models import Agent
from billing import closing
from billing.agreeing.steps import TOKENS, Difference, Figure, Item, Place, Step, difference, found
from billing.models import InvoiceLine, Status
from billing.services import WAIT
from metering import kept, rollups
from metering.models import DailyUsage
from metering.periods import Month
from metering.store import get_store
from metering.store.base import AgentSum
from metering.totals import BYOKEY

BY_STANDING: Final = (Status.DRAFT, Status.VOID)


@dataclass(frozen=True, slots=True)
class Counted:
    """Records and their tokens."""

    records: int = 0
    tokens: int = 0


NOTHING: Final = Counted()
Sums = Mapping[UUID, Counted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A month of every agent: what its records come to now and at the roll-ups' mark, its roll-ups, and its lines.

    ``drafted`` and ``taken_back`` are the agents that only a draft, or a void invoice, has a line of.
    """

    month: Month
    now: Sums
    rolled: Sums
    rollups: Sums
    lines: Sums
    workspaces: Mapping[UUID, UUID]
    names: Mapping[UUID, str]
    gone: frozenset[UUID]  # workspaces whose records aren't all kept any more
    open: frozenset[UUID]  # workspaces without an issued invoice
    drafted: frozenset[UUID]
    taken_back: frozenset[UUID]

    def item(self, agent: UUID, change: Counted) -> Item:
        """Return an agent's part of a difference."""
        name = self.names.get(agent) or _("Agent %(id)s") % {"id": agent}
        place = Place(page="metering_usagerecord", query={"q": str(agent)})
        return Item(name=name, amount=Decimal(change.tokens), count=abs(change.records), place=place)


def read(month: Month) -> Usage:
    """Return what is counted of a month, everywhere.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    store = get_store()
    sums = store.counted_sums(month=month)
    rolled = store.counted_sums(month=month, before=rollups.watermark().stored)
    daily, lines = _daily(month), _lines(month)
    workspaces = {each.agent_id: each.workspace_id for each in sums} | {agent: of for (of, agent) in daily}
    issued = {agent for agent, status in lines if status not in BY_STANDING}
    by_status = {status: {agent for agent, of in lines if of == status} - issued for status in BY_STANDING}
    return Usage(
        month=month,
        now=_by_agent(sums),
        rolled=_by_agent(rolled),
        rollups={agent: each for (_workspace, agent), each in daily.items()},
        lines=_latest(lines),
        workspaces=workspaces,
        names=dict(Agent.objects.filter(pk__in=workspaces).values_list("pk", "name")),
        gone=frozenset(kept.gone(month.start.date())),
        open=frozenset(closing.open_workspaces(month)),
        drafted=frozenset(by_status[Status.DRAFT]),
        taken_back=frozenset(by_status[Status.VOID] - by_status[Status.DRAFT]),
    )


def steps(usage: Usage, *, at: datetime) -> Iterator[Step]:
    """Give the way from records to roll-ups to lines, as of a moment."""
    records, rolled, lines = (
        _figure(name, sums)
        for name, sums in ((_("Records"), usage.now), (_("Roll-ups"), usage.rollups), (_("Lines"), usage.lines))
    )
    yield Step(unit=TOKENS, before=records, after=rolled, differences=_to_rollups(usage))
    yield Step(unit=TOKENS, before=rolled, after=lines, differences=_to_lines(usage, at=at))


def _to_rollups(usage: Usage) -> tuple[Difference, ...]:
    settled: list[Item] = []
    spoiled: list[Item] = []
    for agent, change in _changes(usage.rolled, usage.rollups).items():
        where = settled if usage.workspaces.get(agent) in usage.gone else spoiled
        where.append(usage.item(agent, change))
    fresh = [usage.item(agent, change) for agent, change in _changes(usage.now, usage.rolled).items()]
    return found(
        difference(_("Stored since the last roll-up"), fresh),
        difference(_("Records that aren't kept any more"), settled),
        difference(_("Roll-ups that aren't what their records say"), spoiled, wrong=True),
    )


def _to_lines(usage: Usage, *, at: datetime) -> tuple[Difference, ...]:
    overdue = at >= usage.month.end + WAIT
    why: dict[str, list[Item]] = defaultdict(list)
    for agent, change in _changes(usage.rollups, usage.lines).items():
        why[_why(usage, agent, change)].append(usage.item(agent, change))
    return found(
        difference(_("On drafts, not issued yet"), why["drafted"]),
        difference(_("No invoice drawn up yet"), why["waits"], wrong=overdue),
        difference(_("On invoices that were taken back"), why["taken back"]),
        difference(_("On plans, but on no invoice"), why["nowhere"], wrong=True),
        difference(_("Counted after the invoice: on the next one"), why["late"]),
        difference(_("Invoiced before the last roll-up"), why["ahead"]),
        difference(_("Fewer than were invoiced"), why["fewer"], wrong=True),
    )


def _why(usage: Usage, agent: UUID, change: Counted) -> str:
    if agent in usage.lines:
        counted = usage.now.get(agent, NOTHING).tokens
        ahead = "ahead" if counted >= usage.lines[agent].tokens else "fewer"
        return "late" if change.tokens <= 0 else ahead
    if agent in usage.drafted:
        return "drafted"
    if agent in usage.taken_back:
        return "taken back"
    return "waits" if usage.workspaces.get(agent) in usage.open else "nowhere"


def _changes(before: Sums, after: Sums) -> dict[UUID, Counted]:
    """Return by how much what is counted changes, of each agent where it does; by the largest first."""
    changed = {}
    for agent in {*before, *after}:
        was, now = before.get(agent, NOTHING), after.get(agent, NOTHING)
        if was != now:
            changed[agent] = Counted(now.records - was.records, now.tokens - was.tokens)
    return dict(sorted(changed.items(), key=lambda each: (-abs(each[1].tokens), each[0])))


def _figure(name: str, sums: Sums) -> Figure:
    tokens = sum(each.tokens for each in sums.values())
    return Figure(name=name, count=sum(each.records for each in sums.values()), amount=Decimal(tokens))


def _by_agent(sums: Iterable[AgentSum]) -> dict[UUID, Counted]:
    return {each.agent_id: Counted(each.records, each.tokens) for each in sums}


def _daily(month: Month) -> dict[tuple[UUID, UUID], Counted]:
    rows: Any = (
        DailyUsage.objects.filter(day__gte=month.start.date(), day__lt=month.end.date())
        .exclude(tier=BYOKEY)
        .order_by()
        .values_list("workspace_id", "agent_id")
        .annotate(records=Sum("requests"), tokens=Sum("tokens_input") + Sum("tokens_output"))
    )
    return {(workspace, agent): Counted(int(count), int(of)) for workspace, agent, count, of in rows}


def _lines(month: Month) -> dict[tuple[UUID, str], Counted]:
    """Return what the lines of the month say, of each agent and status; a late one, on a later invoice, says more."""
    rows: Any = (
        InvoiceLine.objects.filter(month=month.start.date())
        .exclude(agent_id=None)
        .order_by()
        .values_list("agent_id", "invoice__status")
        .annotate(records=Max("records"), tokens=Max("tokens"))
    )
    return {(agent, status): Counted(count, tokens) for agent, status, count, tokens in rows}


def _latest(lines: Mapping[tuple[UUID, str], Counted]) -> dict[UUID, Counted]:
    latest: dict[UUID, Counted] = {}
    for (agent, status), said in lines.items():
        before = latest.get(agent, NOTHING)
        if status not in BY_STANDING and said.tokens >= before.tokens:
            latest[agent] = said
    return latest
