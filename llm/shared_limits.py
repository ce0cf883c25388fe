"""Limits that all processes share, in Redis: each decision is one script, which Redis runs undisturbed.

While Redis is away every process goes on with limits of its own (``llm.limits.LocalLimits``), counted from the meter,
and says so in ``/readyz`` and the log. An emptied Redis is refilled from the meter.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from llm.errors import CeilingReached
from llm.limits import CEILING_REACHED, HELD_AT_MOST, Allowed, Ask, Counted, CountMonth, LocalLimits, rate_limited

KEPT_FOR: Final = 40 * 24 * 3600  # seconds: a month's count outlives its month
CONNECTIONS: Final = 16  # a process; a script takes microseconds, and who comes later waits
ANSWER_WITHIN: Final = 1.0  # seconds that Redis has, before this process keeps limits by itself
RETRY_AFTER: Final = 2.0  # seconds in which Redis isn't asked again once it failed

# Refills both buckets, refuses if one is short, and else takes a request. Levels are floats in text.
# KEYS: bucket. ARGV: now, requests a minute, tokens a minute.
_MINUTE: Final = """
local now, size = tonumber(ARGV[1]), {tonumber(ARGV[2]), tonumber(ARGV[3])}
local left, wait = {0, 0}, 0
local state = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local at = tonumber(state[3]) or now
for i = 1, 2 do
  if size[i] > 0 then
    local level = math.min(size[i], (tonumber(state[i]) or size[i]) + math.max(now - at, 0) * size[i] / 60)
    local amount = 2 - i
    wait = math.max(wait, (amount - level) * 60 / size[i])
    left[i] = level - amount
  end
end
if wait > 0 then
  return {tostring(wait), tostring(math.floor(left[1])), tostring(math.floor(left[2]))}
end
redis.call('HSET', KEYS[1], 'requests', tostring(left[1]), 'tokens', tostring(left[2]), 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], 3600)
return {'0', tostring(math.floor(left[1])), tostring(math.floor(left[2]))}
"""

# Lets go of what was held too long, then holds the estimate if it fits under the ceiling.
# KEYS: used, held, due. ARGV: now, until, request, estimate, ceiling.
_RESERVE: Final = """
local used = redis.call('GET', KEYS[1])
if not used then return {-1} end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])) do
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
end
local held = 0
for _, amount in ipairs(redis.call('HVALS', KEYS[2])) do held = held + tonumber(amount) end
if tonumber(used) + held + tonumber(ARGV[4]) > tonumber(ARGV[5]) then return {0} end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], 86400)
redis.call('EXPIRE', KEYS[3], 86400)
return {1}
"""

# Counts what was used in place of what was held. A count that is gone stays gone: the meter has it all.
# KEYS: used, held, due, bucket. ARGV: request, tokens used, tokens a minute, count the month (1 or 0).
_SETTLE: Final = """
if tonumber(ARGV[3]) > 0 and redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('HINCRBYFLOAT', KEYS[4], 'tokens', -tonumber(ARGV[2]))
end
if ARGV[4] == '0' then return {-1, 0} end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1, 0} end
local after = redis.call('INCRBY', KEYS[1], ARGV[2])
return {after - tonumber(ARGV[2]), after}
"""

log = structlog.get_logger(__name__)


class SharedLimits:
    """Limits in Redis, with those of this process behind them."""

    def __init__(self, *, url: str, count_month: CountMonth, clock: Callable[[], float] = time.time) -> None:
        """Use the Redis at ``url``; rebuild a month's count with ``count_month(agent_id, month)``."""
        pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=2 * ANSWER_WITHIN,
            socket_timeout=ANSWER_WITHIN,
            socket_connect_timeout=ANSWER_WITHIN,
        )
        self._redis: Any = redis.asyncio.Redis(connection_pool=pool)
        self._pool = pool
        self._minute = self._redis.register_script(_MINUTE)
        self._reserve = self._redis.register_script(_RESERVE)
        self._settle = self._redis.register_script(_SETTLE)
        self._count_month = count_month
        self._clock = clock
        self._local = LocalLimits(count_month=count_month)
        self._away_until = 0.0
        # Months that this process counted by itself: Redis, back again, mustn't go on from where it was.
        self._missed: set[str] = set()

    @property
    def away(self) -> bool:
        """Whether Redis failed a moment ago, and this process keeps limits by itself."""
        return time.monotonic() < self._away_until

    async def admit(self, ask: Ask) -> Allowed:
        """See :meth:`llm.limits.Limits.admit`."""
        if self.away:
            return await self._local.admit(ask)
        try:
            if self._missed:
                await self._redis.delete(*self._missed)
                self._missed.clear()
            allowed = await self._within_minute(ask)
            if ask.ceiling is not None:
                await self._within_ceiling(ask)
        except (RedisError, OSError) as error:
            self._failed(error)
            return await self._local.admit(ask)
        return allowed

    async def settle(self, ask: Ask, *, used: int) -> Counted | None:
        """See :meth:`llm.limits.Limits.settle`."""
        local = await self._local.settle(ask, used=used)
        monthly = ask.ceiling is not None
        keys = [*_month_keys(ask), _bucket_key(ask)]
        if self.away:
            self._missed.add(keys[0])
            return local
        try:
            before, after = await self._settle(
                keys=keys, args=[ask.request_id, used, ask.tokens_per_minute, int(monthly)]
            )
        except (RedisError, OSError) as error:
            self._failed(error)
            self._missed.add(keys[0])
            return local
        return local if before < 0 else Counted(before=before, after=after)

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()
        await self._pool.aclose()

    async def _within_minute(self, ask: Ask) -> Allowed:
        if not ask.requests_per_minute and not ask.tokens_per_minute:
            return Allowed(requests_left=0, tokens_left=0)
        answer = await self._minute(
            keys=[_bucket_key(ask)], args=[self._clock(), ask.requests_per_minute, ask.tokens_per_minute]
        )
        wait, allowed = float(answer[0]), Allowed(requests_left=int(answer[1]), tokens_left=int(answer[2]))
        if wait:
            raise rate_limited(wait, left=allowed)
        return allowed

    async def _within_ceiling(self, ask: Ask) -> None:
        keys = _month_keys(ask)
        now = self._clock()
        args: list[str | int | float] = [now, now + HELD_AT_MOST, ask.request_id, ask.estimate, ask.ceiling or 0]
        answer = await self._reserve(keys=keys, args=args)
        if answer[0] < 0:
            # Only the first count lands: a request that settled meanwhile isn't overwritten by an older sum.
            used = await self._count_month(ask.agent_id, ask.month)
            await self._redis.set(keys[0], used, nx=True, ex=KEPT_FOR)
            answer = await self._reserve(keys=keys, args=args)
        if answer[0] < 1:
            raise CeilingReached(CEILING_REACHED)

    def _failed(self, error: Exception) -> None:
        self._away_until = time.monotonic() + RETRY_AFTER
        log.warning("redis_unavailable", error=type(error).__name__, limits="kept by this process")


def _month_keys(ask: Ask) -> list[str]:
    # The braces keep an agent's keys on one node of a cluster.
    return [f"vutler:{{{ask.agent_id}}}:{ask.month}:{name}" for name in ("used", "held", "due")]


def _bucket_key(ask: Ask) -> str:
    return f"vutler:{{{ask.agent_id}}}:minute"
