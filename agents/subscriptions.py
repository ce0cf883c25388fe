"""Choosing, changing and leaving a plan, and the limit on what lies beyond it.

What somebody is shown beforehand and what is then done come from the same ``agents.plans.change``. The moment is the
caller's: only the edge reads the clock.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from agents import plans
from agents.changes import Actor, announce, audit
from agents.models import Agent, PlanStay
from agents.plans import TIERS, Change, Kind

CEILING_AT_MOST: Final = Decimal(100_000)  # USD a month; more is a slip of the finger

DEEDS: Final = {
    Kind.JOIN: "plan.chosen",
    Kind.UPGRADE: "plan.raised",
    Kind.DOWNGRADE: "plan.lowered",
    Kind.LEAVE: "plan.left",
    Kind.STAY: "plan.kept",
}


class FiguresChanged(ValidationError):
    """What was agreed to isn't what it would come to any more: a month began, or somebody else changed the plan."""


def preview_plan(*, agent: Agent, tier: str | None, at: datetime) -> Change:
    """Return what putting the agent on ``tier`` (None: leaving) would come to at that moment. Changes nothing.

    Raises:
        ValidationError: when there is no such plan.
    """
    if tier is not None and tier not in TIERS:
        raise ValidationError({"tier": _("There is no such plan.")})
    return plans.change(agent.history(), tier=tier, at=at)


def choose_plan(*, agent: Agent, tier: str, by: Actor, at: datetime, agreed: str | None = None) -> Change:
    """Put the agent on a plan: at once, or from next month where that is less than it has now.

    Choosing the plan that it is on calls off what was ahead. With ``agreed``, the ``figures`` of the change that
    somebody was shown, it's done only if it still comes to that.

    Raises:
        ValidationError: when there is no such plan.
        FiguresChanged: when it comes to something else than what was agreed to. Nothing is changed then.
    """
    return _carry_out(agent=agent, tier=tier, by=by, at=at, agreed=agreed)


def leave_managed(*, agent: Agent, by: Actor, at: datetime, agreed: str | None = None) -> Change:
    """Take the agent back to its owner's own key from next month; until then it keeps what is paid for.

    Raises:
        FiguresChanged: as for ``choose_plan``.
    """
    return _carry_out(agent=agent, tier=None, by=by, at=at, agreed=agreed)


@transaction.atomic
def _carry_out(*, agent: Agent, tier: str | None, by: Actor, at: datetime, agreed: str | None) -> Change:
    _hold(agent)
    change = preview_plan(agent=agent, tier=tier, at=at)
    if agreed is not None and agreed != change.figures:
        raise FiguresChanged(_("Something changed in the meantime. Look at the figures again."))
    if change.kind is Kind.NOTHING:
        return change
    was, plan = agent.terms_at(at), change.then and change.then.plan
    _write(agent, change.history)
    audit(
        workspace=agent.workspace,
        by=by,
        action=DEEDS[change.kind],
        target=agent,
        plan=plan.name if plan else "",
        was=was.plan.name if was else "",
        on=change.effective.date().isoformat(),
    )
    announce([agent.pk])
    return change


def end_with_month(*, agent: Agent, at: datetime) -> None:
    """End the plan of an agent that is being deleted; the month is paid for."""
    _hold(agent)
    _write(agent, plans.change(agent.history(), tier=None, at=at).history)


@transaction.atomic
def set_ceiling(*, agent: Agent, ceiling: Decimal | None, by: Actor) -> None:
    """Set how much a month may cost beyond the plan, in USD: 0 stops at the allowance, None is as much as the plan.

    Raises:
        ValidationError: for a negative or an absurd amount, or a fraction of a cent.
    """
    ceiling = None if ceiling is None else _checked_ceiling(ceiling)
    _hold(agent)
    if agent.overage_ceiling == ceiling:
        return
    was, agent.overage_ceiling = agent.overage_ceiling, ceiling
    agent.save(update_fields=["overage_ceiling"])
    audit(
        workspace=agent.workspace,
        by=by,
        action="ceiling.changed",
        target=agent,
        was="–" if was is None else f"${was}",
        ceiling="–" if ceiling is None else f"${ceiling}",
    )
    announce([agent.pk])


def _checked_ceiling(amount: Decimal) -> Decimal:
    if not 0 <= amount <= CEILING_AT_MOST:
        raise ValidationError({"overage_ceiling": _("Give an amount between $0 and $100,000.")})
    cents = amount.quantize(plans.CENT)
    if cents != amount:
        raise ValidationError({"overage_ceiling": _("Give an amount in dollars and whole cents.")})
    return cents


def _hold(agent: Agent) -> None:
    """Keep others from changing the agent until this is committed, and read what they have changed before."""
    # SQLite has no row locks: there, a transaction that may write is alone anyway.
    held = Agent.objects.select_for_update().get(pk=agent.pk)
    agent.overage_ceiling = held.overage_ceiling
    getattr(agent, "_prefetched_objects_cache", {}).pop("stays", None)


def _write(agent: Agent, history: plans.History) -> None:
    """Write down the agent's time on plans. Rows that are as they were stay untouched."""
    wanted = {stay.starts: stay for stay in history}
    # First what gives way: the database allows one open end an agent.
    agent.stays.exclude(starts_at__in=wanted).delete()
    for row in agent.stays.all():
        stay = wanted.pop(row.starts_at)
        if (row.tier, row.ends_at) != (stay.tier, stay.ends):
            row.tier, row.ends_at = stay.tier, stay.ends
            row.save(update_fields=["tier", "ends_at"])
    for stay in wanted.values():
        PlanStay.objects.create(agent=agent, tier=stay.tier, starts_at=stay.starts, ends_at=stay.ends)
