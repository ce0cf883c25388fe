"""``idempotency-key``: a request that was made already isn't made again, for 24 hours.

Of an answer nothing is kept, so a repeat can't be given it: it is told that there was one, and the first request's
id. Kept are digests of the key and the body, by agent. A key is free again where the provider did nothing for the
first request: we refused it, nobody could be reached, or the provider itself refused it (which bills nothing). It
stays taken where something may have been done and billed: answered, cut, timed out, or left by its caller.

Streamed requests don't take part: their callers see how far they got.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import redis.asyncio
import structlog
from django.db import Error, close_old_connections, connections
from django.utils import timezone
from redis.exceptions import RedisError

from llm.errors import IdempotencyKeyMismatch, IdempotencyKeyReused, InvalidRequest, ServiceUnavailable
from llm.exchange import Exchange
from llm.models import IdempotencyKey
from llm.requests import Call

HEADER: Final = b"idempotency-key"
LONGEST: Final = 255
LIFE: Final = timedelta(hours=24)
CONNECTIONS: Final = 4  # to Redis, a process
# How requests end for which the provider did, and bills, nothing.
NOTHING_DONE: Final = frozenset({"unreachable", "provider_error"})

log = structlog.get_logger(__name__)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One request's claim to a key; ``key`` and ``body`` are SHA-256 in hexadecimal."""

    agent_id: str
    key: str
    body: str
    request_id: str


class KeysUnavailable(Exception):
    """Nobody can tell now whether a key was used."""


class Keys(Protocol):
    """Remembers claims for 24 hours."""

    async def claim(self, claim: Claim) -> Claim | None:
        """Take a key, however many try at once; return whose it is, or None where it's this request's now.

        Raises:
            KeysUnavailable: when that can't be told.
        """
        ...

    async def free(self, claim: Claim) -> None:
        """Let another request have the key.

        Raises:
            KeysUnavailable: when that can't be done.
        """
        ...

    async def close(self) -> None:
        """End the connections."""
        ...


class Once:
    """Lets requests with a key through once."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._undoing: set[asyncio.Task[None]] = set()

    def concerns(self, call: Call, exchange: Exchange) -> bool:
        """Tell whether a request takes part."""
        return HEADER in call.headers and not exchange.request.stream

    @asynccontextmanager
    async def __call__(self, call: Call, exchange: Exchange) -> AsyncIterator[None]:
        """Hold the request's key while it is answered; free it afterwards if the provider did nothing for it.

        Raises:
            IdempotencyKeyReused: when it was made already.
            IdempotencyKeyMismatch: when another one was made under this key.
            InvalidRequest: when the key isn't one.
            ServiceUnavailable: when nobody can tell.
        """
        claim = _claim(call, exchange)
        await self._take(claim)
        try:
            yield
        finally:
            if not exchange.attempts or (exchange.status in NOTHING_DONE and not exchange.tokens):
                await asyncio.shield(self._in_background(self._free(claim)))

    async def close(self) -> None:
        """Wait for what is being freed, and end the connections."""
        await asyncio.gather(*self._undoing, return_exceptions=True)
        await self._keys.close()

    async def _take(self, claim: Claim) -> None:
        claiming = asyncio.get_running_loop().create_task(self._keys.claim(claim))
        try:
            # Shielded: a caller who leaves now may have claimed the key already, for nothing.
            earlier = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._in_background(self._undo(claiming, claim))
            raise
        except KeysUnavailable:
            raise ServiceUnavailable(
                "We can't tell right now whether this idempotency-key was used before. Try again in a moment."
            ) from None
        if earlier is None:
            return
        headers = {"x-vutler-original-request-id": earlier.request_id, "x-should-retry": "false"}
        if earlier.body != claim.body:
            raise IdempotencyKeyMismatch(
                f"Another request was made with this idempotency-key: {earlier.request_id}. Use a new one for this.",
                headers=headers,
            )
        raise IdempotencyKeyReused(
            f"This request was made already: {earlier.request_id}. It isn't made again for 24 hours, and its answer "
            "isn't kept.",
            headers=headers,
        )

    async def _undo(self, claiming: "asyncio.Task[Claim | None]", claim: Claim) -> None:
        try:
            earlier = await claiming
        except KeysUnavailable:
            return
        if earlier is None:
            await self._free(claim)

    async def _free(self, claim: Claim) -> None:
        try:
            await self._keys.free(claim)
        except KeysUnavailable as error:
            log.warning("idempotency_key_not_freed", request_id=claim.request_id, error=str(error))

    def _in_background(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)
        return task


class DatabaseKeys:
    """Claims in the table of :class:`llm.models.IdempotencyKey`, whose constraint decides who was first."""

    def __init__(self) -> None:
        # One, and one connection: only those pay who send the header.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="idempotency")

    async def claim(self, claim: Claim) -> Claim | None:
        """See :meth:`Keys.claim`."""
        earlier: Claim | None = await self._in_thread(_insert, claim)
        return earlier

    async def free(self, claim: Claim) -> None:
        """See :meth:`Keys.free`."""
        await self._in_thread(_delete, claim)

    async def close(self) -> None:
        """See :meth:`Keys.close`."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Any, claim: Claim) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, claim)
        except Error as error:
            raise KeysUnavailable(type(error).__name__) from None


class RedisKeys:
    """Claims in Redis, which forgets them by itself."""

    def __init__(self, *, url: str) -> None:
        pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, timeout=2, socket_timeout=1, socket_connect_timeout=1
        )
        self._redis: Any = redis.asyncio.Redis(connection_pool=pool)
        self._pool = pool

    async def claim(self, claim: Claim) -> Claim | None:
        """See :meth:`Keys.claim`."""
        try:
            while not await self._redis.set(_name(claim), msgspec.json.encode(claim), nx=True, ex=LIFE):
                earlier = await self._redis.get(_name(claim))
                if earlier:  # or else it was freed, or forgotten, in between
                    return msgspec.json.decode(earlier, type=Claim)
        except (RedisError, OSError) as error:
            raise KeysUnavailable(type(error).__name__) from None
        return None

    async def free(self, claim: Claim) -> None:
        """See :meth:`Keys.free`."""
        try:
            await self._redis.delete(_name(claim))
        except (RedisError, OSError) as error:
            raise KeysUnavailable(type(error).__name__) from None

    async def close(self) -> None:
        """See :meth:`Keys.close`."""
        await self._redis.aclose()
        await self._pool.disconnect()


def forget_expired() -> int:
    """Delete the claims that no longer count; return how many there were."""
    deleted, _by_model = IdempotencyKey.objects.filter(expires_at__lte=timezone.now()).delete()
    return deleted


def _claim(call: Call, exchange: Exchange) -> Claim:
    key = call.headers[HEADER]
    if not 0 < len(key) <= LONGEST or not (key.isascii() and key.decode("latin-1").isprintable()):
        raise InvalidRequest(f"An idempotency-key is 1 to {LONGEST} printable ASCII characters.", param=HEADER.decode())
    return Claim(
        agent_id=exchange.agent.agent_id,
        key=hashlib.sha256(key).hexdigest(),
        body=hashlib.sha256(call.body).hexdigest(),
        request_id=call.id,
    )


def _name(claim: Claim) -> str:
    return f"vutler:{{{claim.agent_id}}}:idempotency:{claim.key}"


def _insert(claim: Claim) -> Claim | None:
    close_old_connections()
    row = IdempotencyKey(
        agent_id=UUID(claim.agent_id),
        key_digest=claim.key,
        body_digest=claim.body,
        request_id=UUID(claim.request_id),
        expires_at=timezone.now() + LIFE,
    )
    while True:
        IdempotencyKey.objects.bulk_create([row], ignore_conflicts=True)
        found = IdempotencyKey.objects.filter(agent_id=row.agent_id, key_digest=row.key_digest).first()
        if found is None:  # it was freed in between
            continue
        if found.request_id == row.request_id:
            return None
        if found.expires_at > timezone.now():
            return Claim(
                agent_id=claim.agent_id, key=claim.key, body=found.body_digest, request_id=str(found.request_id)
            )
        IdempotencyKey.objects.filter(pk=found.pk).delete()


def _delete(claim: Claim) -> None:
    close_old_connections()
    IdempotencyKey.objects.filter(
        agent_id=UUID(claim.agent_id), key_digest=claim.key, request_id=UUID(claim.request_id)
    ).delete()
