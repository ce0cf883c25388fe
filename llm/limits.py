"""What an agent may use: so many requests and tokens a minute, and a month's tokens up to its ceiling.

The ceiling is kept by reserving before the call and settling after it: what is used and what is reserved never add
up to more than the ceiling, however many requests arrive at once. What was used is counted here only for speed; the
truth is in the meter, from which a count that is missing (a restart, an emptied Redis) is rebuilt.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from llm.errors import CeilingReached, RateLimited

MINUTE: Final = 60.0
# A reservation whose request never settled (its process died) is let go after this. No request lasts longer.
HELD_AT_MOST: Final = 1_800.0  # seconds
RECOUNT_AFTER: Final = 30.0  # seconds, after which a local count is held against the meter again

CountMonth = Callable[[str, str], Awaitable[int]]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request wants to use. ``ceiling`` is the month's tokens in all (None: no limit, nothing reserved);
    ``estimate`` is what it will probably take; a limit a minute of 0 is none."""

    agent_id: str
    request_id: str
    month: str
    estimate: int
    ceiling: int | None
    requests_per_minute: int
    tokens_per_minute: int


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of the minute, for the rate-limit headers; below 0 where it is used up."""

    requests_left: int
    tokens_left: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A month's tokens before and after a request settled."""

    before: int
    after: int


class Limits(Protocol):
    """Lets requests in, and counts what they used."""

    async def admit(self, ask: Ask) -> Allowed:
        """Let a request in and reserve what it will probably use.

        Raises:
            RateLimited: when the minute's requests or tokens are used up; says when to come back.
            CeilingReached: when the month's tokens don't suffice for it.
        """
        ...

    async def settle(self, ask: Ask, *, used: int) -> Counted | None:
        """Put what was really used in the reservation's place; None where the month isn't counted."""
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...


class Bucket:
    """A minute's worth of something that refills steadily. It may go into debt, and is then closed until it's paid."""

    __slots__ = ("_at", "_level")

    def __init__(self, size: int, now: float) -> None:
        self._level = float(size)
        self._at = now

    def refill(self, size: int, now: float) -> float:
        """Bring the level up to now; return it."""
        self._level = min(size, self._level + (now - self._at) * size / MINUTE)
        self._at = now
        return self._level

    def take(self, amount: float) -> None:
        """Take ``amount`` out, into debt if need be."""
        self._level -= amount

    def wait_for(self, amount: float, size: int) -> float:
        """Return how many seconds it takes until ``amount`` is there."""
        return max(0.0, (amount - self._level) * MINUTE / size)


class Month:
    """One agent's tokens of one month: used, and held by requests under way."""

    __slots__ = ("counted_at", "held", "used")

    def __init__(self, used: int, now: float) -> None:
        self.used = used
        self.counted_at = now
        self.held: dict[str, int] = {}


class LocalLimits:
    """Limits of one process. With several and no Redis, each keeps to them by itself and to the meter's count."""

    def __init__(self, *, count_month: CountMonth, clock: Callable[[], float] = time.monotonic) -> None:
        """Rebuild a month's count with ``count_month(agent_id, month)``."""
        self._count_month = count_month
        self._clock = clock
        self._requests: dict[str, Bucket] = {}
        self._tokens: dict[str, Bucket] = {}
        self._months: dict[tuple[str, str], Month] = {}
        self._counting: dict[tuple[str, str], asyncio.Lock] = {}

    async def admit(self, ask: Ask) -> Allowed:
        """See :meth:`Limits.admit`."""
        now = self._clock()
        # First what needs no waiting: a flood is turned away before it can cause a count of the month.
        allowed = self._within_minute(ask, now)
        if ask.ceiling is not None:
            month = await self._month(ask, now)
            if month.used + sum(month.held.values()) + ask.estimate > ask.ceiling:
                raise CeilingReached(CEILING_REACHED)
            month.held[ask.request_id] = ask.estimate
        if ask.requests_per_minute:
            self._requests[ask.agent_id].take(1)
        return allowed

    async def settle(self, ask: Ask, *, used: int) -> Counted | None:
        """See :meth:`Limits.settle`."""
        if ask.tokens_per_minute and (bucket := self._tokens.get(ask.agent_id)):
            bucket.take(used)
        month = self._months.get((ask.agent_id, ask.month))
        if ask.ceiling is None or month is None:
            return None
        month.held.pop(ask.request_id, None)
        month.used += used
        return Counted(before=month.used - used, after=month.used)

    async def close(self) -> None:
        """Nothing is held open."""

    def _within_minute(self, ask: Ask, now: float) -> Allowed:
        left, wait = [], 0.0
        for buckets, size, amount in (
            (self._requests, ask.requests_per_minute, 1),
            # Tokens are known afterwards: who is in debt waits until it is paid.
            (self._tokens, ask.tokens_per_minute, 0),
        ):
            if not size:
                left.append(0)
                continue
            bucket = buckets.get(ask.agent_id)
            if bucket is None:
                bucket = buckets[ask.agent_id] = Bucket(size, now)
            level = bucket.refill(size, now)
            wait = max(wait, bucket.wait_for(amount, size))
            left.append(math.floor(level) - amount)
        allowed = Allowed(requests_left=left[0], tokens_left=left[1])
        if wait:
            raise rate_limited(wait, left=allowed)
        return allowed

    async def _month(self, ask: Ask, now: float) -> Month:
        key = (ask.agent_id, ask.month)
        month = self._months.get(key)
        if month and now - month.counted_at < RECOUNT_AFTER:
            return month
        async with self._counting.setdefault(key, asyncio.Lock()):
            month = self._months.get(key)
            if month is None:
                month = self._months[key] = Month(await self._count_month(*key), now)
            elif now - month.counted_at >= RECOUNT_AFTER:
                # Other processes have been counting too; what is under way here isn't in the meter yet.
                month.used = max(month.used, await self._count_month(*key))
                month.counted_at = now
        return month


CEILING_REACHED: Final = (
    "This agent has used its plan's allowance and reached the limit for extra use. "
    "Its owner can raise the limit or choose a bigger plan."
)


def rate_limited(wait: float, *, left: Allowed) -> RateLimited:
    """Return the refusal that says when to come back (seconds, rounded up)."""
    seconds = max(1, int(wait) + (wait > int(wait)))
    return RateLimited(
        f"This agent sends more than its limit a minute. Try again in {seconds} s.",
        requests_left=left.requests_left,
        tokens_left=left.tokens_left,
        headers={"retry-after": str(seconds)},
    )
