"""Replays agents' last months on each plan and on their owner's key. Reads roll-ups only, and changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.models import Agent, Workspace
from agents.plans import TIERS
from billing.replay import Bill, MonthReplay, Replay, Subject, Verdict, last_months, replay, verdict
from metering import pricing, reading
from metering.totals import BYOKEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way for an agent to have gone: on a tier, or on its owner's key.

    ``difference`` is how much more that is than what it is on now would have cost all along, in USD.
    """

    tier: str
    months: Sequence[Bill]
    together: Bill
    difference: Decimal | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """An agent's months as they were, and the ways that they could have gone. ``now``: what it is on."""

    agent: Agent
    now: str
    months: Sequence[MonthReplay]
    so_far: bool
    actual: Bill
    ways: Sequence[Way]

    @property
    def better(self) -> Way | None:
        """The way that would have cost least without giving up the quality that was chosen, if one would."""
        cheaper = [way for way in self.ways if way.verdict is Verdict.LESS]
        return min(cheaper, key=lambda way: way.difference or Decimal(), default=None)


def what_if(workspace: Workspace, agents: Sequence[Agent], *, at: datetime) -> list[WhatIf]:
    """Return what the agents' months could have come to, in their order; of those that were in use.

    ``agents`` have their ``stays`` prefetched.

    Raises:
        metering.store.StoreUnavailable: when the meter is away.
    """
    used = reading.months_by_mode(
        workspace_id=workspace.pk, agent_ids={agent.pk for agent in agents}, months=last_months(at)
    )
    replays = [(agent, replay(_subject(agent, at=at), used.get(agent.pk, {}), at=at)) for agent in agents]
    return [_what_if(agent, each, now=agent.tier_at(at) or BYOKEY) for agent, each in replays if each.months]


def _subject(agent: Agent, *, at: datetime) -> Subject:
    return Subject(
        agent_id=agent.pk,
        name=agent.name,
        history=agent.history(),
        created_at=agent.created_at,
        limit=agent.overage_ceiling,
        rate=pricing.rate(agent.provider, agent.model, at=at),
    )


def _what_if(agent: Agent, replayed: Replay, *, now: str) -> WhatIf:
    together = replayed.ways
    return WhatIf(
        agent=agent,
        now=now,
        months=replayed.months,
        so_far=replayed.so_far,
        actual=replayed.actual,
        ways=[_way(tier, replayed, together, now=now) for tier in (*TIERS, BYOKEY)],
    )


def _way(tier: str, replayed: Replay, together: Mapping[str, Bill], *, now: str) -> Way:
    difference = together[tier].less(together[now])
    return Way(
        tier=tier,
        months=[each.ways[tier] for each in replayed.months],
        together=together[tier],
        difference=difference,
        verdict=verdict(tier, now=now, difference=difference),
    )
