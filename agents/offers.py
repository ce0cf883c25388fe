"""Plans as their owners read them: a price a month, so many e-mails, and what lies beyond in dollars. No tokens."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.utils.dateformat import format as dated
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from agents import plans
from agents.catalogue import measure, templates
from agents.models import Agent
from agents.plans import TIERS, Ahead, Change, Kind, Plan, Terms

DESCRIPTIONS: Final[dict[str, Any]] = {
    "economy": gettext_lazy("Fast & affordable. Perfect for simple tasks (FAQ, email replies)."),
    "standard": gettext_lazy("Smarter responses. Great for content, research, analysis."),
    "premium": gettext_lazy("Most powerful. For complex tasks (coding, deep research, strategy)."),
}

UNITS: Final[dict[str, Any]] = {
    "email": ngettext_lazy("%(number)s e-mail", "%(number)s e-mails", "count"),
    "article": ngettext_lazy("%(number)s article", "%(number)s articles", "count"),
    "report": ngettext_lazy("%(number)s research report", "%(number)s research reports", "count"),
    "session": ngettext_lazy("%(number)s coding session", "%(number)s coding sessions", "count"),
    "question": ngettext_lazy("%(number)s question", "%(number)s questions", "count"),
    "answer": ngettext_lazy("%(number)s answer", "%(number)s answers", "count"),
}


def counted(count: int, unit: str) -> str:
    """Return a count in words: ``3,000 e-mails``."""
    said: str = UNITS[unit] % {"count": count, "number": number_format(count, force_grouping=True)}
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One plan for one agent. ``change`` is what choosing it now would come to; amounts are USD."""

    plan: Plan
    change: Change
    included: str
    batch: str
    batch_price: Decimal
    ceiling: Decimal
    recommended: bool
    current: bool
    ahead: bool

    @property
    def description(self) -> Any:
        """What it is good for."""
        return DESCRIPTIONS[self.plan.tier]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a Managed agent stands: its plan, this month's terms, and what is ahead."""

    offer: Offer
    terms: Terms
    waiting: Ahead | None
    next_plan: Plan | None


def offers(agent: Agent, *, at: datetime) -> list[Offer]:
    """Return the plans to choose from, the cheapest first."""
    return [offer(agent, tier, at=at) for tier in TIERS]


def offer(agent: Agent, tier: str, *, at: datetime) -> Offer:
    """Return a plan as it is for this agent.

    Raises:
        KeyError: when there is no such tier.
    """
    change = plans.change(agent.history(), tier=tier, at=at)
    plan = plans.plan(tier, on=change.month.date())
    counts, template = measure(agent.template), templates().get(agent.template)
    waiting = plans.ahead(agent.history(), at=at)
    return Offer(
        plan=plan,
        change=change,
        included=counted(counts.about(plan.included_tokens), counts.unit),
        batch=counted(counts.batch, counts.unit),
        batch_price=plan.beyond(counts.batch_tokens),
        ceiling=plan.fee if agent.overage_ceiling is None else agent.overage_ceiling,
        recommended=template is not None and template.tier == tier,
        current=agent.tier_at(at) == tier,
        ahead=waiting is not None and waiting.tier == tier,
    )


def standing(agent: Agent, *, at: datetime) -> Standing | None:
    """Return where the agent stands, or None on its owner's own key."""
    tier, terms = agent.tier_at(at), agent.terms_at(at)
    if tier is None or terms is None:
        return None
    waiting = plans.ahead(agent.history(), at=at)
    ahead_plan = plans.plan(waiting.tier, on=waiting.on.date()) if waiting and waiting.tier else None
    return Standing(offer=offer(agent, tier, at=at), terms=terms, waiting=waiting, next_plan=ahead_plan)


def usual(agent: Agent) -> str:
    """Return the usual month of agents like this one in words, or nothing for one that started from nothing."""
    template = templates().get(agent.template)
    if template is None:
        return ""
    return counted(template.measure.about(template.tokens_input + template.tokens_output), template.unit)


def announcement(agent: Agent, change: Change) -> str:
    """Return what has happened once a change is made."""
    plan = change.then.plan.name if change.then else ""
    said = {
        Kind.JOIN: _("%(plan)s is on."),
        Kind.UPGRADE: _("%(plan)s is on."),
        Kind.DOWNGRADE: _("%(agent)s moves to %(plan)s on %(day)s."),
        Kind.LEAVE: _("The plan of %(agent)s ends on %(day)s."),
        Kind.STAY: _("%(agent)s stays on %(plan)s."),
        Kind.NOTHING: _("Nothing has changed."),
    }[change.kind]
    return said % {"plan": plan, "agent": agent, "day": first_of(change.next_month)}


def first_of(moment: datetime) -> str:
    """Return the first of a month as people say it: March 1, or 1er mars."""
    return _("%(month)s 1") % {"month": dated(moment, "F")}
