"""A month of usage as its page shows it: what each agent used beside the others, and all of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from metering.store.base import AgentUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What was used. ``cost`` is an estimate in USD of what the owner's own providers charge for it.

    It is of the requests whose price is known, None where it is of none: what nobody knows isn't 0. What Managed
    agents used costs their owner nothing at a provider, so it isn't in there either.
    """

    requests: int
    failed: int
    tokens_input: int
    tokens_output: int
    cost: Decimal | None
    unpriced: int
    providers: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.tokens_input + self.tokens_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One agent's month. ``name`` is empty for an agent that nobody remembers."""

    agent_id: UUID
    name: str
    deleted: bool
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A workspace's month, the thirstiest agent first. ``most`` tokens make the longest bar."""

    lines: Sequence[Line]
    total: Sums
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """How an agent is, or was, called."""

    name: str
    deleted: bool


def report(usage: Sequence[AgentUsage], names: Mapping[UUID, Name]) -> Report:
    """Return the month's report."""
    nobody = Name(name="", deleted=True)
    lines = [_line(each, names.get(each.agent_id, nobody)) for each in usage]
    lines.sort(key=lambda line: (-line.sums.tokens, line.name))
    return Report(lines=lines, total=_total(lines), most=max((line.sums.tokens for line in lines), default=0))


def _line(usage: AgentUsage, name: Name) -> Line:
    own = not usage.managed_tokens
    sums = Sums(
        requests=usage.requests,
        failed=usage.failed,
        tokens_input=usage.tokens_input,
        tokens_output=usage.tokens_output,
        cost=usage.cost_total if own and usage.unpriced < usage.requests else None,
        unpriced=usage.unpriced if own else 0,
        providers=usage.providers if own else (),
    )
    return Line(agent_id=usage.agent_id, name=name.name, deleted=name.deleted, sums=sums)


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
