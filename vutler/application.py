"""One process of the server: the gateway under ``/v1``, Django for the rest, and what both need while they run."""

import asyncio
import gc
from uuid import UUID

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.utils import timezone

from agents.catalogue import ECHO
from llm import pool, running, snapshot
from llm.access_log import AccessLog
from llm.announcements import Announcements
from llm.asgi import App, GatewayApp, Receive, Scope, Send
from llm.client import Upstream
from llm.condition import Conditions
from llm.gateway import Gateway, Observer
from llm.idempotency import DatabaseKeys, Once, RedisKeys
from llm.key_watch import KeyWatch
from llm.limits import LocalLimits
from llm.metrics import Metrics, State
from llm.owners import Owners
from llm.pool import Pool
from llm.providers.echo.app import Echo
from llm.shared_limits import SharedLimits
from llm.snapshot import Snapshots
from llm.witness import Witness
from metering import notices, tally
from metering.journal import Journal
from metering.periods import Month
from metering.store import get_store


class Application:
    """Routes requests by path, and starts and stops the journal with the server."""

    def __init__(self) -> None:
        self._snapshots = Snapshots(load=snapshot.load)
        self._pool = Pool(load=pool.load)
        self._announcements = Announcements(url=settings.REDIS_URL, forget=self._snapshots.forget, hear=self._pool.hear)
        self._pool.tell = self._announcements.tell
        self._conditions = Conditions(url=settings.REDIS_URL, look=self._pool.condition)
        self._journal = Journal(settings.JOURNAL_DIR, append=get_store().append)
        self._upstream = Upstream(allow_private=settings.ALLOW_PRIVATE_ENDPOINTS)
        self._django: App = get_asgi_application()
        # Only where somebody gave it an address: `make run`, which gives it this one.
        self._echo: App = Echo() if settings.PROVIDER_BASE_URL(ECHO, "") else self._django
        self._limits = (
            SharedLimits(url=settings.REDIS_URL, count_month=_count_month)
            if settings.REDIS_URL
            else LocalLimits(count_month=_count_month)
        )
        self._metrics = Metrics(settings.METRICS_DIR, look=self._state)
        self._witness = Witness()
        self._observers = _observers(self._metrics, self._witness)
        self._owners = Owners(tell=_tell_owners)
        self._gateway = Gateway(
            snapshots=self._snapshots,
            upstream=self._upstream,
            journal=self._journal,
            pool=self._pool,
            limits=self._limits,
            once=Once(RedisKeys(url=settings.REDIS_URL) if settings.REDIS_URL else DatabaseKeys()),
            observers=self._observers,
            owners=self._owners,
        )
        self._v1: App = GatewayApp(self._gateway, refused=self._metrics.refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"].startswith("/v1/"):
            numbers = self._metrics.numbers
            numbers.in_flight += 1
            try:
                await self._v1(scope, receive, send)
            finally:
                numbers.in_flight -= 1
        elif scope["path"].startswith("/echo/v1/"):
            await self._echo(scope, receive, send)
        else:
            await self._django(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._journal.start()
        self._metrics.start()
        self._announcements.start()
        self._conditions.start()
        running.show(
            running.Running(
                pool=self._pool,
                conditions=self._conditions,
                limits_away=self._limits_away,
                answering=running.Answering(self._gateway, self._witness),
            )
        )
        # What is loaded by now stays: collecting garbage needn't walk through all of Django every time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        # By now the server has let running requests end: what they left in the journal is shipped.
        running.show(None)
        await self._announcements.stop()
        await self._conditions.stop()
        await self._journal.close()
        await self._upstream.close()
        await self._gateway.close()
        await asyncio.to_thread(self._owners.close)
        await self._limits.close()
        self._pool.close()
        self._snapshots.close()
        for observer in self._observers:
            await asyncio.to_thread(observer.close)
        await send({"type": "lifespan.shutdown.complete"})

    def _limits_away(self) -> bool:
        return isinstance(self._limits, SharedLimits) and self._limits.away

    def _state(self) -> State:
        return State(
            journal_waiting=self._journal.waiting,
            store_failures=self._journal.store_failures,
            redis_away=self._limits_away(),
        )


def _observers(metrics: Metrics, witness: Witness) -> list[Observer]:
    """Return who is told of every request."""
    observers: list[Observer] = [metrics, KeyWatch(), witness]
    if settings.GATEWAY_LOG:
        observers.append(AccessLog())
    if settings.TRACES:
        from llm.traces import Traces  # takes its time to import, which is for those who want it

        observers.append(Traces())
    return observers


async def _count_month(agent_id: str, month: str) -> int:
    """Count a month anew from what is stored and what waits in the journal."""
    return await asyncio.to_thread(
        tally.month_tokens,
        store=get_store(),
        directory=settings.JOURNAL_DIR,
        agent_id=agent_id,
        month=Month.parse(month),
    )


def _tell_owners(agent_id: str, used: int | None) -> None:
    """Tell an agent's owners what it has reached; without a count, it was refused at its limit."""
    now = timezone.now()
    if used is None:
        tokens = tally.month_tokens(
            store=get_store(), directory=settings.JOURNAL_DIR, agent_id=agent_id, month=Month.of(now)
        )
        notices.tell(agent_id=UUID(agent_id), used=tokens, at=now, refused=True)
    else:
        notices.tell(agent_id=UUID(agent_id), used=used, at=now)
