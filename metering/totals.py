"""What usage adds up to, and of what. Plain arithmetic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

BYOKEY: Final = "byokey"
OK: Final = "ok"
LEFT: Final = "client_closed"  # by its caller, before it came to an end
MONEY: Final = frozenset({"cost_total", "price_total"})
LARGEST: Final = 2**63 - 1  # what a column of a roll-up holds
LARGEST_USD: Final = Decimal(LARGEST) / 10**12  # the same, as picodollars


class Slice(NamedTuple):
    """What the records of a roll-up's line have in common, besides their hour or day."""

    agent_id: UUID
    workspace_id: UUID
    tier: str
    provider: str
    model: str
    status: str
    request_type: str

    @property
    def managed(self) -> bool:
        """Whether it counts towards a plan."""
        return self.tier != BYOKEY

    @property
    def failed(self) -> bool:
        """Whether these requests came to no whole answer."""
        return self.status != OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over records: tokens, USD, ms. ``cost_total`` is of those whose cost is known, ``unpriced`` counts the rest.

    >>> Totals(requests=1, tokens_input=5) + Totals(requests=2) == Totals(requests=3, tokens_input=5)
    True
    """

    requests: int = 0
    tokens_input: int = 0
    tokens_output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost_total: Decimal = Decimal()
    price_total: Decimal = Decimal()
    unpriced: int = 0
    latency_ms: int = 0

    @classmethod
    def of(cls, row: Any) -> Self:
        """Read them off a row of a roll-up."""
        return cls(**{name: getattr(row, name) for name in cls.__slots__})

    @classmethod
    def summed(cls, row: Mapping[str, Any]) -> Self:
        """Read them off what a database added up, under names that begin with ``sum_``."""
        # PostgreSQL adds large integers up to decimals.
        sums: dict[str, Any] = {
            name: row[f"sum_{name}"] if name in MONEY else int(row[f"sum_{name}"]) for name in cls.__slots__
        }
        return cls(**sums)

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.tokens_input + self.tokens_output

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(**{name: getattr(self, name) - getattr(other, name) for name in self.__slots__})

    def columns(self) -> dict[str, Any]:
        """Return them as columns hold them: a provider that claims absurd counts mustn't stop the adding of others."""
        return {name: min(getattr(self, name), LARGEST_USD if name in MONEY else LARGEST) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """What an agent used on plans, and what on its owner's key."""

    managed: Totals = field(default_factory=Totals)
    own: Totals = field(default_factory=Totals)

    def plus(self, sums: Totals, *, tier: str) -> "Modes":
        """Return it with more, of a tier."""
        if tier == BYOKEY:
            return replace(self, own=self.own + sums)
        return replace(self, managed=self.managed + sums)


class Latency(NamedTuple):
    """So many of an agent's answered requests of an hour took about that long."""

    hour: datetime
    agent_id: UUID
    latency_ms: int
    requests: int


def percentile(latencies: Iterable[tuple[int, int]], share: int) -> int | None:
    """Return the latency (ms) that ``share`` percent of the requests don't exceed; None without requests.

    ``latencies`` are pairs of a latency and how many requests took that long.
    """
    known = sorted(latencies)
    rank = -(-sum(requests for _latency, requests in known) * share // 100)
    passed = 0
    for latency, requests in known:
        passed += requests
        if passed >= rank > 0:
            return latency
    return None
