"""One process of the server: the gateway under ``/v1``, Django for the rest, and what both need while they run."""

import asyncio
import gc

from django.conf import settings
from django.core.asgi import get_asgi_application

from agents.catalogue import ECHO
from llm import snapshot
from llm.announcements import Announcements
from llm.asgi import App, GatewayApp, Receive, Scope, Send
from llm.client import Upstream
from llm.gateway import Gateway
from llm.providers.echo.app import Echo
from llm.snapshot import Snapshots
from metering.journal import Journal
from metering.store import get_store


class Application:
    """Routes requests by path, and starts and stops the journal with the server."""

    def __init__(self) -> None:
        self._snapshots = Snapshots(load=snapshot.load)
        self._announcements = Announcements(url=settings.REDIS_URL, forget=self._snapshots.forget)
        self._journal = Journal(settings.JOURNAL_DIR, append=get_store().append)
        self._upstream = Upstream(allow_private=settings.ALLOW_PRIVATE_ENDPOINTS)
        self._django: App = get_asgi_application()
        # Only where somebody gave it an address: `make run`, which gives it this one.
        self._echo: App = Echo() if settings.PROVIDER_BASE_URL(ECHO, "") else self._django
        self._gateway: App = GatewayApp(
            Gateway(
                snapshots=self._snapshots,
                upstream=self._upstream,
                journal=self._journal,
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"].startswith("/v1/"):
            await self._gateway(scope, receive, send)
        elif scope["path"].startswith("/echo/v1/"):
            await self._echo(scope, receive, send)
        else:
            await self._django(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._journal.start()
        self._announcements.start()
        # What is loaded by now stays: collecting garbage needn't walk through all of Django every time.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        # By now the server has let running requests end: what they left in the journal is shipped.
        await self._announcements.stop()
        await asyncio.to_thread(self._journal.close)
        await self._upstream.close()
        self._snapshots.close()
        await send({"type": "lifespan.shutdown.complete"})
