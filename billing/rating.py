"""Puts together what a month of some workspaces comes to: who was on what, what the meter says, what was invoiced.

Reads only. Many workspaces cost as few queries as one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Q, QuerySet, Sum

from agents.models import Agent, Workspace
from billing import evidence, invoicing
from billing.evidence import Evidence
from billing.invoicing import NOTHING, AgentMonth, Draft, Hosting, Kind, LateMonth, agent_month
from billing.models import (
    USUAL_HOSTING,
    BillingProfile,
    Credit,
    CreditNoteLine,
    HostingChoice,
    HostingPlan,
    Invoice,
    InvoiceLine,
    Status,
)
from metering.kept import kept_since_of
from metering.periods import Month
from metering.store import get_store

Behind = dict[tuple[UUID, str], Evidence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A workspace's month: the invoice it comes to, who pays it, and what stands behind it (by agent and month)."""

    workspace: Workspace
    profile: BillingProfile
    draft: Draft
    evidence: Behind
    mark: int


def rate(workspaces: Sequence[Workspace], month: Month, *, provisional: bool = False) -> Iterator[Rated]:
    """Give what the month of each workspace comes to, those included that nothing is charged.

    What isn't ``provisional`` counts only records that are in the meter for good, so that the same ones can be found
    again.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    mark = get_store().mark()
    ids = [workspace.pk for workspace in workspaces]
    months, behind = _agent_months(ids, month, before=None if provisional else mark)
    late, behind_late = _late_months(ids, month, before=mark)
    behind |= behind_late
    profiles = BillingProfile.objects.in_bulk(ids)
    hosting, credited = hosting_of(ids, month), _credits(ids, month)
    for workspace in workspaces:
        profile = profiles.get(workspace.pk) or BillingProfile(workspace=workspace)
        mine = months.get(workspace.pk, [])
        over = workspace.closed_at is not None and workspace.closed_at < month.start
        hosted = bool(mine) or (workspace.created_at < month.end and not over)
        draft = invoicing.draft(
            month=str(month),
            hosting=hosting[workspace.pk] if hosted else None,
            agents=mine,
            late=late.get(workspace.pk, []),
            credits=credited.get(workspace.pk, []),
            tax_rate=profile.tax_rate,
        )
        yield Rated(workspace=workspace, profile=profile, draft=draft, evidence=behind, mark=mark)


def _agent_months(
    ids: Collection[UUID], month: Month, *, before: int | None
) -> tuple[dict[UUID, list[AgentMonth]], Behind]:
    agents = list(on_plans(month).filter(workspace_id__in=ids).order_by("created_at", "pk"))
    found = evidence.gather([agent.pk for agent in agents], month=month, before=before)
    months: dict[UUID, list[AgentMonth]] = defaultdict(list)
    for agent in agents:
        if each := month_of(agent, month, tokens=found.get(agent.pk, evidence.NONE).tokens):
            months[agent.workspace_id].append(each)
    return months, {(agent_id, str(month)): each for agent_id, each in found.items()}


def on_plans(month: Month) -> QuerySet[Agent]:
    """Return the agents that were on a plan in the month, their ``stays`` prefetched."""
    on_a_plan = Q(stays__ends_at=None) | Q(stays__ends_at__gt=month.start)
    return Agent.objects.filter(on_a_plan, stays__starts_at__lt=month.end).distinct().prefetch_related("stays")


def month_of(agent: Agent, month: Month, *, tokens: int) -> AgentMonth | None:
    """Return the month of an agent that used so many tokens on its plan; None where it was on none."""
    return agent_month(agent_id=agent.pk, name=agent.name, history=agent.history(), month=month.start, tokens=tokens)


# --- What came late -----------------------------------------------------------------------------


def _late_months(ids: Collection[UUID], month: Month, *, before: int) -> tuple[dict[UUID, list[LateMonth]], Behind]:
    """Return the earlier months that got records after they were invoiced."""
    late: dict[UUID, list[LateMonth]] = defaultdict(list)
    behind: Behind = {}
    for earlier, agent_ids in sorted(_came_late(ids, month).items()):
        found = evidence.gather(agent_ids, month=earlier, before=before)
        behind |= {(agent_id, str(earlier)): each for agent_id, each in found.items()}
        invoiced = _invoiced(agent_ids, earlier)
        for agent in Agent.objects.filter(pk__in=agent_ids).order_by("created_at", "pk").prefetch_related("stays"):
            now = month_of(agent, earlier, tokens=found[agent.pk].tokens) if agent.pk in found else None
            if now and agent.pk in invoiced:
                tokens, amount = invoiced[agent.pk]
                late[agent.workspace_id].append(
                    LateMonth(month=str(earlier), agent=now, invoiced_tokens=tokens, invoiced=amount)
                )
    return late, behind


def _came_late(ids: Collection[UUID], month: Month) -> dict[Month, set[UUID]]:
    earlier = Invoice.objects.standing().filter(workspace_id__in=ids, period_start__lt=month.start)
    # What a workspace's last invoice knew needn't be looked at again.
    latest = earlier.order_by().values("workspace_id").annotate(mark=Max("mark"))
    marks: dict[str, Any] = latest.aggregate(since=Min("mark"))
    if marks["since"] is None:
        return {}
    found: dict[Month, set[UUID]] = defaultdict(set)
    kept = kept_since_of(ids)
    for workspace_id, agent_id, of in get_store().months_since(
        workspace_ids=ids, since=marks["since"], until=month.start
    ):
        # What came after the others of its month were deleted can't be added to them any more.
        if of.start >= kept.get(workspace_id, of.start):
            found[of].add(agent_id)
    return found


def _invoiced(agent_ids: Collection[UUID], month: Month) -> dict[UUID, tuple[int, Decimal]]:
    """Return the tokens that were invoiced of each agent's month so far, and what was charged beyond its plan, USD."""
    rows: Any = (
        InvoiceLine.objects.filter(agent_id__in=agent_ids, month=month.start.date())
        .exclude(invoice__status__in=[Status.DRAFT, Status.VOID])
        .order_by()
        .values("agent_id")
        .annotate(seen=Max("tokens"), charged=Sum("amount", filter=~Q(kind=Kind.PLAN.value)))
    )
    return {row["agent_id"]: (row["seen"], row["charged"] or NOTHING) for row in rows}


# --- Hosting and credits ------------------------------------------------------------------------


def hosting_of(ids: Collection[UUID], month: Month) -> dict[UUID, Hosting]:
    """Return the hosting plan of each workspace in the month."""
    codes = dict.fromkeys(ids, USUAL_HOSTING)
    day = month.start.date()
    for choice in HostingChoice.objects.filter(workspace_id__in=ids, from_day__lte=day).order_by("from_day"):
        codes[choice.workspace_id] = choice.code
    prices: dict[str, Hosting] = {}
    # Before its first row, a plan costs what that says.
    for plan in HostingPlan.objects.order_by("from_day"):
        if plan.code not in prices or plan.from_day <= day:
            prices[plan.code] = Hosting(name=plan.name, fee=plan.fee)
    return {workspace_id: prices[code] for workspace_id, code in codes.items()}


def _credits(ids: Collection[UUID], month: Month) -> dict[UUID, list[invoicing.Credit]]:
    """Return what is left of each workspace's credits, the oldest first. This month's own draft hasn't used any."""
    granted = list(Credit.objects.filter(workspace_id__in=ids))
    taken = Q(credit__in=granted) & ~Q(invoice__status=Status.VOID)
    mine = Q(invoice__status=Status.DRAFT, invoice__period_start=month.start)
    used = dict(
        InvoiceLine.objects.filter(taken).exclude(mine).order_by().values_list("credit").annotate(used=Sum("amount"))
    )
    back = dict(
        CreditNoteLine.objects.filter(line__credit__in=granted)
        .order_by()
        .values_list("line__credit")
        .annotate(back=Sum("amount"))
    )
    left: dict[UUID, list[invoicing.Credit]] = defaultdict(list)
    for credit in granted:
        rest = credit.amount + used.get(credit.pk, NOTHING) - back.get(credit.pk, NOTHING)
        left[credit.workspace_id].append(invoicing.Credit(id=credit.pk, reason=credit.reason, left=rest))
    return left
