"""The one HTTP client that talks to providers, and the connections that it keeps open."""

import asyncio
import ssl
from collections import defaultdict, deque
from time import monotonic
from typing import Final

from agents.catalogue import CUSTOM
from llm.errors import UpstreamTimeout, UpstreamUnavailable
from llm.origins import Origin, Origins
from llm.providers.base import Outgoing
from llm.wire import Connection, ConnectionBroken, Silent

CONNECT_WITHIN: Final = 10.0  # seconds
# Reasoning models think for minutes before their first byte; OpenAI's own SDK waits ten.
SILENT_AT_MOST: Final = 600.0  # seconds
IDLE_AT_MOST: Final = 20.0  # seconds; providers close idle connections after 30 and more
IDLE_CONNECTIONS: Final = 256  # an origin

# What a provider says about its limits and itself that a caller may want to read.
PASSED_ON: Final = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"openai-processing-ms",
        b"openai-version",
    }
)
PASSED_ON_PREFIXES: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")


class UpstreamCut(Exception):
    """The provider's connection broke after its answer had begun."""


class UpstreamStalled(UpstreamCut):
    """The provider's answer had begun and then nothing came for too long."""


class Answer:
    """A provider's answer whose head has arrived. ``close`` it, however reading it ends."""

    __slots__ = ("_connection", "_origin", "_pool", "status")

    def __init__(self, connection: Connection, pool: "Pool", origin: Origin) -> None:
        self._connection = connection
        self._pool = pool
        self._origin = origin
        self.status: int = connection.status

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return any(
            name == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in self._connection.headers
        )

    @property
    def retry_after(self) -> float | None:
        """The seconds that the provider asks to be left alone; None where it doesn't say so in seconds."""
        for name, value in self._connection.headers:
            if name == b"retry-after" and value.isdigit():
                return float(value)
        return None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that the caller may see."""
        return [
            header
            for header in self._connection.headers
            if header[0] in PASSED_ON or header[0].startswith(PASSED_ON_PREFIXES)
        ]

    async def body(self) -> bytes:
        """Read the body to its end.

        Raises:
            UpstreamCut: when the connection breaks or falls silent before it.
        """
        try:
            return await self._connection.body()
        except ConnectionBroken:
            raise UpstreamCut from None
        except Silent:
            raise UpstreamStalled from None

    async def read(self) -> bytes:
        """Return the next piece of the body as it comes, nothing at its end.

        Raises:
            UpstreamCut: when the connection breaks or falls silent.
        """
        try:
            return await self._connection.read()
        except ConnectionBroken:
            raise UpstreamCut from None
        except Silent:
            raise UpstreamStalled from None

    def close(self) -> None:
        """Keep the connection for the next request if the answer was read whole; end it at once if not."""
        self._pool.give_back(self._origin, self._connection)


class Pool:
    """Connections that are kept open for a while, by whom they lead to."""

    def __init__(self) -> None:
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """Return the connection used last, if it's still good."""
        oldest = _oldest()
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable and connection.heard_at > oldest:
                return connection
            connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose answer is done with, or end it where it can't take another request."""
        if not connection.release():
            return
        idle = self._idle[origin]
        if self._closed or len(idle) >= IDLE_CONNECTIONS:
            connection.abort()
            return
        idle.append(connection)
        if self._sweeping is None:
            self._sweep_later()

    def close(self) -> None:
        """End every connection that is kept; those still in use end when they are given back."""
        self._closed = True
        if self._sweeping:
            self._sweeping.cancel()
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(IDLE_AT_MOST, self._sweep)

    def _sweep(self) -> None:
        """End what nobody has asked for in time. One timer for all, and none while nothing is kept."""
        oldest = _oldest()
        for origin, idle in list(self._idle.items()):
            good = [each for each in idle if each.usable and each.heard_at > oldest]
            for connection in set(idle).difference(good):
                connection.abort()
            if good:
                self._idle[origin] = deque(good)
            else:
                del self._idle[origin]
        self._sweeping = None
        if self._idle:
            self._sweep_later()


def _oldest() -> float:
    return monotonic() - IDLE_AT_MOST


class Upstream:
    """Sends requests to providers."""

    def __init__(self, *, allow_private: bool) -> None:
        """Refuse Custom endpoints on private addresses, unless they are allowed."""
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._origins = Origins(allow_private=allow_private)
        self._pool = Pool()

    async def send(self, outgoing: Outgoing, *, provider: str, method: str = "POST") -> Answer:
        """Send a request and return its answer, to be closed by the caller.

        Raises:
            UpstreamUnavailable: when no answer came: refused, reset, or an address that isn't allowed.
            UpstreamTimeout: when none came in time.
        """
        origin, path = await self._origins.of(outgoing.url, guarded=provider == CUSTOM)
        data = _request(method, origin, path, outgoing)
        kept = self._pool.take(origin)
        if kept:
            try:
                return await self._ask(kept, origin, data)
            except ConnectionBroken as broken:
                if not broken.before_answer:
                    raise _no_answer() from None
                # The provider had closed the idle connection: nothing was asked yet. A new one isn't idle.
        try:
            return await self._ask(await self._connect(origin), origin, data)
        except ConnectionBroken:
            raise _no_answer() from None

    async def close(self) -> None:
        """End every connection that is kept open."""
        self._origins.close()
        self._pool.close()
        await asyncio.sleep(0)  # the event loop closes the sockets in its next turn

    async def _ask(self, connection: Connection, origin: Origin, data: bytes) -> Answer:
        try:
            await connection.request(data, silence=SILENT_AT_MOST)
        except Silent:
            connection.release()
            raise UpstreamTimeout("The provider took too long to answer. Try again.") from None
        except BaseException:
            connection.release()
            raise
        return Answer(connection, self._pool, origin)

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        tls = origin.scheme == "https"
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _transport, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    origin.address,
                    origin.port,
                    ssl=self._tls if tls else None,
                    server_hostname=origin.host if tls else None,
                )
        except TimeoutError:
            raise UpstreamTimeout("The provider can't be reached: connecting took too long. Try again.") from None
        except ssl.SSLCertVerificationError:
            raise UpstreamUnavailable("The provider's certificate isn't valid for its address.") from None
        except OSError:
            raise UpstreamUnavailable("The provider can't be reached right now. Try again in a moment.") from None
        return connection


def _no_answer() -> UpstreamUnavailable:
    return UpstreamUnavailable("The provider ended the connection without an answer. Try again.")


def _request(method: str, origin: Origin, path: str, outgoing: Outgoing) -> bytes:
    """Return the request as it goes out.

    Raises:
        UpstreamUnavailable: when the key or the address hold characters that have no place in a head.
    """
    lines = [f"{method} {path} HTTP/1.1", f"host: {origin.host_header}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in outgoing.headers.items()]
    if outgoing.body:
        lines.append(f"content-length: {len(outgoing.body)}")
    # A customer's key and path are among them: a line break, or a space in the path, would make it two requests.
    text = "".join(lines)
    if not (text.isascii() and text.isprintable()) or " " in path:
        raise UpstreamUnavailable("The key or the address holds characters that can't be sent. Paste it anew.")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + outgoing.body
