"""A month of usage as its page shows it: what each agent used of its plan, or beside the others, and all together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from agents.plans import Plan
from metering.store.base import AgentUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What was used. ``cost`` is an estimate in USD of what the owner's own providers charge for it.

    It is of the requests whose price is known, None where it is of none: what nobody knows isn't 0. What Managed
    agents used costs their owner nothing at a provider, so it isn't in there either.
    """

    requests: int = 0
    failed: int = 0
    tokens_input: int = 0
    tokens_output: int = 0
    cost: Decimal | None = None
    unpriced: int = 0
    providers: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.tokens_input + self.tokens_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """An agent's month on a plan: ``used`` of its tokens, their list value, and what lies beyond, in USD."""

    plan: Plan
    used: int = 0
    value: Decimal = Decimal()

    @property
    def included(self) -> int:
        """The tokens that the plan covers."""
        return self.plan.included_tokens

    @property
    def percent(self) -> int:
        """How much of it is used, in whole percent, cut off: only all of it is 100%."""
        return self.used * 100 // self.included

    @property
    def overage_tokens(self) -> int:
        """The tokens beyond."""
        return max(self.used - self.included, 0)

    @property
    def overage(self) -> Decimal:
        """What they cost."""
        return self.plan.beyond(self.overage_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One agent's month. ``name`` is empty for an agent that nobody remembers."""

    agent_id: UUID
    name: str
    deleted: bool
    sums: Sums = field(default_factory=Sums)
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A workspace's month, the thirstiest agent first: those on a plan, and those on their owner's key.

    ``most`` tokens make the longest bar of the latter. ``value`` is the list value of what Managed agents used.
    """

    managed: Sequence[Line]
    own: Sequence[Line]
    total: Sums
    most: int
    value: Decimal
    overage: Decimal

    @property
    def lines(self) -> list[Line]:
        """All of them."""
        return [*self.managed, *self.own]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """How an agent is, or was, called, and the plan of its month."""

    name: str
    deleted: bool
    plan: Plan | None = None


NOBODY = Name(name="", deleted=True)


def report(usage: Iterable[AgentUsage], names: Mapping[UUID, Name]) -> Report:
    """Return the month's report. An agent on a plan is in it even if it used nothing."""
    used = {each.agent_id: each for each in usage}
    idle = [agent_id for agent_id, name in names.items() if name.plan and not name.deleted and agent_id not in used]
    lines = [_line(agent_id, used.get(agent_id), names.get(agent_id, NOBODY)) for agent_id in [*used, *idle]]
    lines.sort(key=lambda line: (-line.sums.tokens, line.name))
    allowances = [line.allowance for line in lines if line.allowance]
    own = [line for line in lines if not line.allowance]
    return Report(
        managed=[line for line in lines if line.allowance],
        own=own,
        total=_total(lines),
        most=max((line.sums.tokens for line in own), default=0),
        value=sum((each.value for each in allowances), Decimal()),
        overage=sum((each.overage for each in allowances), Decimal()),
    )


def allowance(plan: Plan, usage: AgentUsage | None) -> Allowance:
    """Return what an agent used of its plan."""
    if usage is None:
        return Allowance(plan=plan)
    return Allowance(plan=plan, used=usage.managed_tokens, value=usage.price_total)


def _line(agent_id: UUID, usage: AgentUsage | None, name: Name) -> Line:
    return Line(
        agent_id=agent_id,
        name=name.name,
        deleted=name.deleted,
        sums=_sums(usage) if usage else Sums(),
        allowance=allowance(name.plan, usage) if name.plan else None,
    )


def _sums(usage: AgentUsage) -> Sums:
    own = not usage.managed_tokens
    return Sums(
        requests=usage.requests,
        failed=usage.failed,
        tokens_input=usage.tokens_input,
        tokens_output=usage.tokens_output,
        cost=usage.cost_total if own and usage.unpriced < usage.requests else None,
        unpriced=usage.unpriced if own else 0,
        providers=usage.providers if own else (),
    )


def _total(lines: Sequence[Line]) -> Sums:
    every = [line.sums for line in lines]
    costs = [sums.cost for sums in every if sums.cost is not None]
    return Sums(
        requests=sum(sums.requests for sums in every),
        failed=sum(sums.failed for sums in every),
        tokens_input=sum(sums.tokens_input for sums in every),
        tokens_output=sum(sums.tokens_output for sums in every),
        cost=sum(costs, Decimal()) if costs else None,
        unpriced=sum(sums.unpriced for sums in every),
        providers=tuple(sorted({provider for sums in every for provider in sums.providers})),
    )
