"""How our own keys are doing, for the staff's pages: as one process sees it, or all of them where they share a Redis.

Each process writes what it sees into Redis every few seconds, under a name of its own that expires; whoever wants to
know adds it up.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import uuid4

import msgspec
import redis
import redis.asyncio
import structlog

PROCESSES: Final = "vutler:pool"  # the set of their names
WRITE_EVERY: Final = 3.0  # seconds
KEPT_FOR: Final = 15  # seconds: who is silent for longer is gone
PATIENCE: Final = 1.0  # seconds for Redis to answer

log = structlog.get_logger(__name__)


class KeyCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One pool key: seconds that it still cools and why; attempts, and of the last ones the share that went well and
    the seconds to the head of an answer; requests under way."""

    cools_for: float = 0.0
    reason: str = ""
    attempts: int = 0
    success_rate: float = 1.0
    latency: float = 0.0
    under_way: int = 0


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """The keys by id; and the seconds for which providers in trouble are passed over."""

    keys: dict[str, KeyCondition] = {}
    down_for: dict[str, float] = {}


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The condition as ``processes`` of them see it together; not ``shared``: only the one that was asked."""

    condition: Condition
    processes: int
    shared: bool


def combined(conditions: Iterable[Condition]) -> Condition:
    """Add up what several processes see. Who tried a key more often says more of how it does."""
    keys: dict[str, list[KeyCondition]] = {}
    down_for: dict[str, float] = {}
    for each in conditions:
        for key_id, key in each.keys.items():
            keys.setdefault(key_id, []).append(key)
        for provider, seconds in each.down_for.items():
            down_for[provider] = max(seconds, down_for.get(provider, 0.0))
    return Condition(keys={key_id: _together(seen) for key_id, seen in keys.items()}, down_for=down_for)


def _together(seen: list[KeyCondition]) -> KeyCondition:
    coolest = max(seen, key=lambda each: each.cools_for)
    attempts = sum(each.attempts for each in seen)
    return KeyCondition(
        cools_for=coolest.cools_for,
        reason=coolest.reason,
        attempts=attempts,
        success_rate=sum(each.success_rate * each.attempts for each in seen) / attempts if attempts else 1.0,
        latency=sum(each.latency * each.attempts for each in seen) / attempts if attempts else 0.0,
        under_way=sum(each.under_way for each in seen),
    )


class Conditions:
    """Writes down what this process sees, and reads what all of them do."""

    def __init__(self, *, url: str, look: Callable[[], Condition]) -> None:
        """Write what ``look`` returns (from any thread) to the Redis at ``url``, which may be empty."""
        self._look = look
        self._url = url
        self._name = f"{PROCESSES}:{uuid4().hex}"
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        if self._url:
            self._writing = asyncio.get_running_loop().create_task(self._write_forever())

    async def stop(self) -> None:
        """Stop writing; what is written expires."""
        if self._writing:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing

    def overview(self) -> Overview:
        """Return what all processes see together, or this one alone while there is no Redis. Waits for the network."""
        mine = self._look()
        if not self._url:
            return Overview(condition=mine, processes=1, shared=False)
        try:
            others = self._others()
        except (redis.RedisError, msgspec.MsgspecError) as error:
            log.warning("redis_unavailable", error=type(error).__name__, lost="other processes' view of the pool")
            return Overview(condition=mine, processes=1, shared=False)
        return Overview(condition=combined([mine, *others]), processes=1 + len(others), shared=True)

    def _others(self) -> list[Condition]:
        store: Any
        with redis.Redis.from_url(self._url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE) as store:
            names = [name for name in store.smembers(PROCESSES) if name.decode() != self._name]
            if not names:
                return []
            found = store.mget(names)
            gone = [name for name, written in zip(names, found, strict=True) if written is None]
            if gone:
                store.srem(PROCESSES, *gone)
        return [msgspec.json.decode(written, type=Condition) for written in found if written]

    async def _write_forever(self) -> None:
        store: Any
        async with redis.asyncio.Redis.from_url(
            self._url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        ) as store:
            while True:
                # While Redis is away, its pages show one process's view, and say so.
                with contextlib.suppress(redis.RedisError, OSError):
                    await store.set(self._name, msgspec.json.encode(self._look()), ex=KEPT_FOR)
                    await store.sadd(PROCESSES, self._name)
                await asyncio.sleep(WRITE_EVERY)
