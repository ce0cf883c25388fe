"""The server: finds the provider and the route in the path, has the request answered, and records it where asked to.

What is recorded can be read, and behaviour be scripted, by a test: in the same process by the methods of
:class:`Echo`, from another one under ``/_echo/`` (``GET requests``, ``DELETE requests``, ``POST script``).
"""

import asyncio
import time
from collections import deque
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from llm.providers.echo.directives import PLAIN, Behaviour, behaviour, in_header
from llm.providers.echo.exchange import ClientGone, Cut, Exchange, Receive, Received, Scope, Send
from llm.providers.echo.habits import HABITS
from llm.providers.echo.refusals import Refusal, openai_error
from llm.providers.echo.turn import Turn

KEPT: Final = 1000


class Script(msgspec.Struct):
    """How the next requests are treated: ``times`` of them, or all, if to ``provider``, or any."""

    directives: str
    provider: str | None = None
    times: int | None = None


class Look(msgspec.Struct):
    """What to wait for before the recorded requests are shown: ``count`` of them, all ``settled`` (ended)."""

    count: int = 0
    settled: bool = False
    within: float = 10.0


class Echo:
    """The echo provider, as an ASGI application.

    ``prefix`` is where it is mounted. Only with ``record`` does it keep what it is sent, and take scripts.
    """

    def __init__(self, *, prefix: str = "", record: bool = False) -> None:
        self.received: deque[Received] = deque(maxlen=KEPT)
        self._prefix = prefix
        self._record = record
        self._scripts: list[tuple[Script, Behaviour]] = []
        self._changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            Cut: to have the server close the connection, where it doesn't offer to do so.
        """
        path = scope["path"].removeprefix(self._prefix)
        provider, route = _found(path)
        exchange = Exchange(scope, receive, send, provider=provider)
        if self._record and path.startswith("/_echo/"):
            await self._control(exchange, path)
            return
        await self._answer(exchange, route)

    def script(self, directives: str, *, provider: str | None = None, times: int | None = None) -> None:
        """Treat the next requests like this (``status=429; retry_after=1``), where they ask for nothing else."""
        self._add(Script(directives=directives, provider=provider, times=times))

    def clear(self) -> None:
        """Forget the requests and the scripts."""
        self.received.clear()
        self._scripts.clear()

    async def look(self, look: Look) -> list[Received]:
        """Return the recorded requests, once they are as ``look`` says.

        Raises:
            TimeoutError: when they aren't within ``look.within`` seconds.
        """
        async with asyncio.timeout(look.within):
            while not self._as_wanted(look):
                await self._changed.wait()
        return list(self.received)

    async def _answer(self, exchange: Exchange, route: str) -> None:
        received = exchange.received
        if self._record:
            received.headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.items()
            }
            self.received.append(received)
        try:
            received.body = await exchange.read()
            self._notify()
            await Turn(exchange, route=route, body=received.body, scripted=self._scripted(exchange.provider)).run()
            received.outcome = "answered"
        except ClientGone:
            received.outcome = "client_gone"
        except asyncio.CancelledError:
            # So do some servers tell that the client went away.
            received.outcome = "client_gone"
            raise
        except Cut:
            received.outcome = "cut"
            await exchange.hang_up()
        finally:
            received.ended = time.time()
            exchange.close()
            self._notify()

    def _scripted(self, provider: str) -> Behaviour:
        for script, scripted in self._scripts:
            if script.provider in (None, provider) and script.times != 0:
                if script.times is not None:
                    script.times -= 1
                return scripted
        return PLAIN

    def _add(self, script: Script) -> None:
        self._scripts.append((script, behaviour(base=PLAIN, asked=in_header(script.directives))))

    async def _control(self, exchange: Exchange, path: str) -> None:
        try:
            status, value = 200, await self._controlled(exchange, path)
        except TimeoutError:
            status, value = 504, msgspec.json.encode(list(self.received))
        except Refusal as refusal:
            status, value = refusal.status, msgspec.json.encode(openai_error(refusal, provider=""))
        await exchange.answer(status, value, headers=[], behaviour=PLAIN)

    async def _controlled(self, exchange: Exchange, path: str) -> bytes:
        match exchange.scope["method"], path:
            case "GET", "/_echo/requests":
                query = dict(parse_qsl(exchange.scope["query_string"].decode()))
                return msgspec.json.encode(await self.look(msgspec.convert(query, Look, strict=False)))
            case "DELETE", "/_echo/requests":
                self.clear()
            case "POST", "/_echo/script":
                self._add(msgspec.json.decode(await exchange.read(), type=Script))
            case _:
                raise Refusal(404, "There is no such route.")
        return b"{}"

    def _as_wanted(self, look: Look) -> bool:
        settled = not look.settled or all(received.outcome != "open" for received in self.received)
        return settled and len(self.received) >= look.count

    def _notify(self) -> None:
        if self._record:
            self._changed.set()
            self._changed = asyncio.Event()


@lru_cache(maxsize=256)
def _found(path: str) -> tuple[str, str]:
    """Return the provider and the route of a path, however often the base URL and the SDK both said ``v1``."""
    parts = [part for part in path.split("/") if part]
    provider = parts.pop(0) if parts and parts[0] in HABITS else ""
    while parts and parts[0] in ("v1", "api", "openai"):
        parts.pop(0)
    return provider, "/".join(parts)
