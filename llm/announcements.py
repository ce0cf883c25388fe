"""Tells every gateway process what one of them learned, over Redis where there is one.

Without Redis, or while it's away, the other processes find out by themselves: about an agent when their snapshot is
five seconds old, about a key or a provider when they try it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import msgspec
import redis
import redis.asyncio
import structlog

from agents.changes import agents_changed
from llm.news import AgentsChanged, Message, News, PoolNews, decode, encode, learned

CHANNEL: Final = "vutler:news"
RETRY_AFTER: Final = 2.0  # seconds

Forget = Callable[[Iterable[str]], None]
Hear = Callable[[PoolNews], None]

log = structlog.get_logger(__name__)


class Announcements:
    """One process's ear and mouth. ``start`` listens, in the event loop; what is learned here is passed on."""

    def __init__(self, *, url: str, forget: Forget, hear: Hear = lambda _news: None) -> None:
        """Call ``forget`` with the ids of agents that changed, here or in another process, and ``hear`` with news
        of the pool; ``url`` may be empty. Both may be called from any thread.
        """
        self._forget = forget
        self._hear = hear
        self._url = url
        self._name = uuid4().hex
        self._mouth = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) if url else None
        # The event loop doesn't wait for Redis to tell what it has learned.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="announcements")
        self._listening: asyncio.Task[None] | None = None
        agents_changed.connect(self._changed_here)
        learned.connect(self._learned_here)

    def start(self) -> None:
        """Begin to listen to the other processes."""
        if self._url:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    def tell(self, news: PoolNews) -> None:
        """Pass on, without waiting, what this process's pool has learned and knows already."""
        if self._mouth:
            with contextlib.suppress(RuntimeError):  # stopped: nobody is left to be told
                self._thread.submit(self._publish, news)

    async def stop(self) -> None:
        """Stop listening and telling."""
        agents_changed.disconnect(self._changed_here)
        learned.disconnect(self._learned_here)
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._listening:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._mouth:
            self._mouth.close()

    def _changed_here(self, agent_ids: list[str], **_signal: Any) -> None:
        self._forget(agent_ids)
        self._publish(AgentsChanged(agent_ids=agent_ids))

    def _learned_here(self, news: PoolNews, **_signal: Any) -> None:
        self._hear(news)
        self._publish(news)

    def _publish(self, news: News) -> None:
        if self._mouth:
            try:
                self._mouth.publish(CHANNEL, encode(Message(sender=self._name, news=news)))
            except redis.RedisError as error:
                log.warning("redis_unavailable", error=type(error).__name__, lost="an announcement")

    async def _listen(self) -> None:
        while True:
            try:
                async with redis.asyncio.Redis.from_url(self._url) as ear, ear.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._heard(message["data"])
            except (redis.RedisError, msgspec.MsgspecError) as error:
                log.warning("redis_unavailable", error=type(error).__name__, retry_after=RETRY_AFTER)
                await asyncio.sleep(RETRY_AFTER)

    def _heard(self, data: bytes) -> None:
        message = decode(data)
        if message.sender == self._name:
            return
        if isinstance(message.news, AgentsChanged):
            self._forget(message.news.agent_ids)
        else:
            self._hear(message.news)
