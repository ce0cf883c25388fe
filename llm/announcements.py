"""Tells every gateway process which agents changed, over Redis where there is one.

Without Redis, or while it's away, the other processes find out when their snapshot is five seconds old.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import redis
import redis.asyncio
import structlog

from agents.changes import agents_changed

CHANNEL: Final = "vutler:agents-changed"
RETRY_AFTER: Final = 2.0  # seconds

Forget = Callable[[Iterable[str]], None]

log = structlog.get_logger(__name__)


class Announcements:
    """One process's ear and mouth. ``start`` listens, in the event loop; changes made here are passed on."""

    def __init__(self, *, url: str, forget: Forget) -> None:
        """Call ``forget`` with the ids of agents that changed, here or in another process; ``url`` may be empty."""
        self._forget = forget
        self._url = url
        self._mouth = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) if url else None
        self._listening: asyncio.Task[None] | None = None
        agents_changed.connect(self._changed_here)

    def start(self) -> None:
        """Begin to listen to the other processes."""
        if self._url:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        agents_changed.disconnect(self._changed_here)
        if self._listening:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._mouth:
            self._mouth.close()

    def _changed_here(self, agent_ids: list[str], **_signal: Any) -> None:
        self._forget(agent_ids)
        if self._mouth:
            try:
                self._mouth.publish(CHANNEL, msgspec.json.encode(agent_ids))
            except redis.RedisError as error:
                log.warning("redis_unavailable", error=type(error).__name__, lost="an announcement")

    async def _listen(self) -> None:
        while True:
            try:
                async with redis.asyncio.Redis.from_url(self._url) as ear, ear.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._forget(msgspec.json.decode(message["data"], type=list[str]))
            except (redis.RedisError, msgspec.MsgspecError) as error:
                log.warning("redis_unavailable", error=type(error).__name__, retry_after=RETRY_AFTER)
                await asyncio.sleep(RETRY_AFTER)
