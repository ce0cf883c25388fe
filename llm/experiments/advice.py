"""What may be worth an experiment: from an agent's own last 30 days, what would have cost less or answered faster.

It goes by what the meter knows, tokens and times. Whether answers would have been as good, it doesn't know and doesn't
say: that is what the experiment is for.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import Error
from django.db.models import Sum

from agents.catalogue import providers
from agents.models import Agent, ProviderKey
from agents.plans import TIERS, Plan, plan
from llm.models import dearer
from metering import pricing
from metering.models import DailyUsage
from metering.totals import BYOKEY, OK
from metering.usage import Usage

LOOKED_BACK: Final = timedelta(days=30)
ENOUGH_REQUESTS: Final = 100  # in that time, before anything is said
WORTH_SAYING: Final = Decimal("0.10")  # of the cost or the time
WORTH_USD: Final = Decimal(1)  # a month
AT_MOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Another model or plan: what the last 30 days came to, and would have; USD, or seconds an answer.

    ``arm`` is what a new experiment takes for its second side.
    """

    agent: Agent
    kind: str  # cost, plan or speed
    name: str
    now: Decimal
    then: Decimal
    arm: str

    @property
    def percent(self) -> int:
        """How much less it would have been."""
        return round(100 * (1 - self.then / self.now))


NOTHING: Final = Usage()


@dataclass(slots=True)
class _Used:
    """What an agent did with a model in the time looked at."""

    requests: int = 0
    answered: int = 0
    latency_ms: int = 0
    usage: Usage = NOTHING
    cost: Decimal = Decimal()
    unpriced: int = 0

    @property
    def seconds(self) -> Decimal:
        """What an answer took."""
        return Decimal(self.latency_ms) / self.answered / 1_000


_Models = dict[tuple[str, str, str], _Used]  # by tier, provider and model


def advice(agents: Sequence[Agent], *, workspace_id: UUID, at: datetime) -> list[Advice]:
    """Return what is most worth trying on these agents; nothing while the meter's database is away."""
    try:
        used = _used([agent.pk for agent in agents], at=at)
    except Error:
        return []
    keys = list(ProviderKey.objects.filter(workspace_id=workspace_id, trouble=""))
    found: list[Advice] = []
    for agent in agents:
        tier = agent.tier_at(at)
        models = used.get(agent.pk, {})
        some = _of_plan(agent, tier, models, at=at) if tier else _of_keys(agent, models, keys, at=at)
        found += sorted(some, key=lambda each: each.then / each.now)[:1]
    return sorted(found, key=lambda each: each.then - each.now)[:AT_MOST]


def _used(agent_ids: Sequence[UUID], *, at: datetime) -> dict[UUID, _Models]:
    tokens = ("tokens_input", "tokens_output", "cache_read", "cache_write", "reasoning")
    names = ("requests", "latency_ms", "cost_total", "unpriced", *tokens)
    rows = DailyUsage.objects.filter(agent_id__in=agent_ids, day__gte=(at - LOOKED_BACK).date()).order_by()
    summed: Iterable[Any] = rows.values("agent_id", "tier", "provider", "model", "status").annotate(
        **{f"sum_{name}": Sum(name) for name in names}
    )
    found: dict[UUID, _Models] = defaultdict(dict)
    for row in summed:
        each = found[row["agent_id"]].setdefault((row["tier"], row["provider"], row["model"]), _Used())
        each.requests += int(row["sum_requests"])
        if row["status"] == OK:
            each.answered += int(row["sum_requests"])
            each.latency_ms += int(row["sum_latency_ms"])
        cached = int(row["sum_cache_read"]) + int(row["sum_cache_write"])
        each.usage += Usage(
            input=int(row["sum_tokens_input"]) - cached,
            cache_read=int(row["sum_cache_read"]),
            cache_write_5m=int(row["sum_cache_write"]),
            output=int(row["sum_tokens_output"]) - int(row["sum_reasoning"]),
            reasoning=int(row["sum_reasoning"]),
        )
        each.cost += row["sum_cost_total"]
        each.unpriced += int(row["sum_unpriced"])
    return found


def _of_plan(agent: Agent, tier: str, models: _Models, *, at: datetime) -> Iterator[Advice]:
    """Give the smaller plans that would have cost less, by fee and use."""
    mine = [used for (of, _provider, _model), used in models.items() if of != BYOKEY]
    if sum(used.requests for used in mine) < ENOUGH_REQUESTS:
        return
    tokens = sum(used.usage.tokens_input + used.usage.tokens_output for used in mine)
    now = _month_of(plan(tier, on=at.date()), tokens)
    for other in TIERS:
        terms = plan(other, on=at.date())
        then = _month_of(terms, tokens)
        if dearer(tier, than=other) and _less(now, then):
            yield Advice(agent=agent, kind="plan", name=terms.name, now=now, then=then, arm=f"{other}:")


def _month_of(terms: Plan, tokens: int) -> Decimal:
    return terms.fee + terms.beyond(max(tokens - terms.included_tokens, 0))


def _of_keys(agent: Agent, models: _Models, keys: list[ProviderKey], *, at: datetime) -> Iterator[Advice]:
    """Give what would have cost less or answered faster than the model that the agent uses most."""
    own = {(provider, model): used for (tier, provider, model), used in models.items() if tier == BYOKEY}
    if not own:
        return
    (provider, model), most = max(own.items(), key=lambda each: each[1].requests)
    if most.answered < ENOUGH_REQUESTS:
        return
    ids = {key.provider: str(key.pk) for key in keys}
    if agent.provider_key:
        ids[agent.provider] = str(agent.provider_key_id)
    if not most.unpriced:
        yield from _cheaper(agent, (provider, model), most, ids, at=at)
    for (other_provider, other), used in own.items():
        faster = used.answered >= ENOUGH_REQUESTS and used.seconds <= most.seconds * (1 - WORTH_SAYING)
        if faster and other_provider in ids and (other_provider, other) != (provider, model):
            arm = f"{ids[other_provider]}:{other}"
            yield Advice(agent=agent, kind="speed", name=other, now=most.seconds, then=used.seconds, arm=arm)


def _cheaper(
    agent: Agent, model: tuple[str, str], used: _Used, ids: dict[str, str], *, at: datetime
) -> Iterator[Advice]:
    """Give the models of the saved keys that would have cost less for the same tokens, by today's price lists."""
    for provider, key_id in ids.items():
        for other in providers()[provider].models:
            rate = pricing.rate(provider, other, at=at)
            if rate is None or (provider, other) == model:
                continue
            then = rate.cost_input(used.usage) + rate.cost_output(used.usage)
            if _less(used.cost, then):
                yield Advice(agent=agent, kind="cost", name=other, now=used.cost, then=then, arm=f"{key_id}:{other}")


def _less(now: Decimal, then: Decimal) -> bool:
    return now - then >= max(WORTH_USD, now * WORTH_SAYING)
