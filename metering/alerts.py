"""When an alert has something to tell, and when a delivery is tried again. Plain arithmetic."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Final
from uuid import UUID

import msgspec

from metering.periods import Month

TOKENS: Final = "tokens"
COST: Final = "cost"
PRICE: Final = "price"
ERROR_RATE: Final = "error_rate"
ABSOLUTE: Final = "absolute"
PERCENT: Final = "percent"
WINDOW_HOURS: Final = 24
MINIMUM_REQUESTS: Final = 20

# How long after each attempt that failed the next one follows. After the last there is none.
WAITS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
ATTEMPTS_AT_MOST: Final = len(WAITS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is watched: of one agent, or of all of a workspace's together (``agent_id`` is None).

    ``threshold`` is in tokens, USD or percent. Percent are of what plans include (tokens) or of requests (errors),
    which are looked at in the last ``window_hours`` and from ``minimum_requests`` on.
    """

    metric: str
    unit: str
    threshold: Decimal
    agent_id: UUID | None = None
    window_hours: int = WINDOW_HOURS
    minimum_requests: int = MINIMUM_REQUESTS

    @property
    def mark(self) -> str:
        """What is told once a period: changing anything else about an alert doesn't tell it again."""
        return f"{self.metric}/{self.unit}/{self.threshold.normalize():f}/{self.agent_id or 'all'}"

    @property
    def daily(self) -> bool:
        """Whether it may be told again the next day, rather than the next month."""
        return self.metric == ERROR_RATE

    def period(self, at: datetime) -> str:
        """Return the month (2026-02) or day (2026-02-16), in UTC, in which ``at`` would be told once."""
        return period(at, daily=self.daily)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is of an agent or workspace: the month's tokens and USD, and the requests of the window.

    ``managed_tokens`` are those that count towards plans, which include ``included``.
    """

    tokens: int = 0
    managed_tokens: int = 0
    included: int = 0
    cost: Decimal = Decimal()
    price: Decimal = Decimal()
    requests: int = 0
    failed: int = 0

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def period(at: datetime, *, daily: bool) -> str:
    """Return the month (2026-02) or day (2026-02-16), in UTC, that ``at`` is in."""
    month = str(Month.of(at))
    return f"{month}-{at.day:02}" if daily else month


def value(rule: Rule, seen: Seen) -> Decimal | None:
    """Return where it stands, in the rule's unit; None where there is nothing to measure by."""
    if rule.metric == ERROR_RATE:
        enough = seen.requests >= max(rule.minimum_requests, 1)
        return Decimal(seen.failed * 100) / seen.requests if enough else None
    if rule.unit == PERCENT:
        return Decimal(seen.managed_tokens * 100) / seen.included if seen.included else None
    return {TOKENS: Decimal(seen.tokens), COST: seen.cost, PRICE: seen.price}[rule.metric]


def reached(rule: Rule, seen: Seen) -> bool:
    """Tell whether there is something to tell."""
    stands = value(rule, seen)
    return stands is not None and stands >= rule.threshold


# --- what comes of telling -----------------------------------------------------------------------

DELIVERED: Final = "delivered"
ANSWERED: Final = "answered"  # by a webhook's server, with something else than thanks: see the status
REDIRECTED: Final = "redirected"
TOO_SLOW: Final = "too_slow"
UNREACHABLE: Final = "unreachable"
ADDRESS_REFUSED: Final = "address_refused"
LOST: Final = "lost"  # the webhook's address was taken away, or can't be opened
NOT_MAILED: Final = "not_mailed"
BROKEN_OFF: Final = "broken_off"  # by the end of our own process
NOBODY: Final = "nobody"  # to write to

FINAL: Final = frozenset({DELIVERED, REDIRECTED, LOST, BROKEN_OFF, NOBODY})
# Statuses that say "later", besides all from 500 on.
LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of an attempt. ``status`` is what a webhook's server answered, if it did."""

    outcome: str
    status: int | None = None

    @property
    def delivered(self) -> bool:
        """Whether it arrived."""
        return self.outcome == DELIVERED

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may go better."""
        if self.outcome == ANSWERED and self.status is not None:
            return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in LATER
        return self.outcome not in FINAL


def answered(status: int) -> Tried:
    """Return what a webhook's server means by its status."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Tried(outcome=DELIVERED, status=status)
    return Tried(outcome=REDIRECTED if status < HTTPStatus.BAD_REQUEST else ANSWERED, status=status)


def next_wait(attempts: int) -> timedelta | None:
    """Return how long to wait after so many attempts that failed; None to give up."""
    return WAITS[attempts - 1] if attempts <= len(WAITS) else None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was told, as it was at that moment: the alert and the agent's name may change before it arrives."""

    metric: str
    unit: str
    threshold: Decimal
    value: Decimal
    window_hours: int
    agent_id: UUID | None = None
    agent_name: str = ""
    requests: int = 0
    failed: int = 0
    test: bool = False


def facts(rule: Rule, seen: Seen, *, agent_name: str = "", test: bool = False) -> Facts:
    """Return what there is to tell of a rule whose threshold is reached."""
    stands = value(rule, seen)
    return Facts(
        metric=rule.metric,
        unit=rule.unit,
        threshold=rule.threshold,
        # To two places, and never up: what isn't reached mustn't read as if it were.
        value=(stands or Decimal()).quantize(Decimal("0.01"), "ROUND_DOWN"),
        window_hours=rule.window_hours,
        agent_id=rule.agent_id,
        agent_name=agent_name,
        requests=seen.requests if rule.metric == ERROR_RATE else 0,
        failed=seen.failed if rule.metric == ERROR_RATE else 0,
        test=test,
    )


def sample(rule: Rule) -> Seen:
    """Return something that just reaches a rule's threshold, to try an alert out with."""
    failed = int(rule.threshold.to_integral_value("ROUND_UP"))
    return Seen(
        tokens=int(rule.threshold),
        managed_tokens=int(rule.threshold * 100),
        included=10_000,
        cost=rule.threshold,
        price=rule.threshold,
        requests=max(100, rule.minimum_requests) if rule.metric == ERROR_RATE else 0,
        failed=-(-failed * max(100, rule.minimum_requests) // 100),
    )
