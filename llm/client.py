"""The one HTTP client that talks to providers: keeps connections open, and guards where they lead."""

import asyncio
import ssl
import time
from collections import defaultdict, deque
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from agents.catalogue import CUSTOM
from llm import addresses
from llm.errors import UpstreamTimeout, UpstreamUnavailable
from llm.providers.base import Outgoing
from llm.wire import Connection, ConnectionBroken, Silent

CONNECT_WITHIN: Final = 10.0  # seconds
# Reasoning models think for minutes before their first byte; OpenAI's own SDK waits ten.
SILENT_AT_MOST: Final = 600.0  # seconds
IDLE_AT_MOST: Final = 20.0  # seconds; providers close idle connections after 30 and more
IDLE_CONNECTIONS: Final = 256  # an origin
ADDRESS_GOOD_FOR: Final = 60.0  # seconds until a Custom endpoint's name is looked up, and checked, anew

# What a provider says about its limits and itself that a caller may want to read.
PASSED_ON: Final = frozenset(
    {b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry", b"openai-processing-ms", b"openai-version"}
)
PASSED_ON_PREFIXES: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")


class UpstreamCut(Exception):
    """The provider's connection broke after its answer had begun."""


class UpstreamStalled(UpstreamCut):
    """The provider's answer had begun and then nothing came for too long."""


class Origin(NamedTuple):
    """Who a connection leads to."""

    scheme: str
    host: str
    port: int
    ip: str | None


class Answer:
    """A provider's answer whose head has arrived. ``close`` it, however reading it ends."""

    __slots__ = ("_connection", "_give_back", "status")

    def __init__(self, connection: Connection, give_back: "deque[Connection]") -> None:
        self._connection = connection
        self._give_back = give_back
        self.status: int = connection.status

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return any(
            name == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in self._connection.headers
        )

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
        if self._connection.release() and len(self._give_back) < IDLE_CONNECTIONS:
            self._give_back.append(self._connection)


class Upstream:
    """Sends requests to providers."""

    def __init__(self, *, allow_private: bool) -> None:
        """Refuse Custom endpoints on private addresses, unless they are allowed."""
        self._allow_private = allow_private
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._origins: dict[tuple[str, str, bool], tuple[Origin, float]] = {}

    async def send(self, outgoing: Outgoing, *, provider: str, method: str = "POST") -> Answer:
        """Send a request and return its answer, to be closed by the caller.

        Raises:
            UpstreamUnavailable: when no answer came: refused, reset, or an address that isn't allowed.
            UpstreamTimeout: when none came in time.
        """
        origin, path = await self._origin(outgoing.url, guarded=provider == CUSTOM)
        data = _request(method, origin, path, outgoing)
        idle = self._idle[origin]
        while True:
            connection, reused = self._kept(idle), True
            if connection is None:
                connection, reused = await self._connect(origin), False
            try:
                await connection.request(data, silence=SILENT_AT_MOST)
            except ConnectionBroken as broken:
                connection.release()
                if reused and broken.before_answer:
                    continue  # the provider had closed the idle connection: nothing was asked yet
                raise UpstreamUnavailable("The provider ended the connection without an answer. Try again.") from None
            except Silent:
                connection.release()
                raise UpstreamTimeout("The provider took too long to answer. Try again.") from None
            except BaseException:
                connection.release()
                raise
            return Answer(connection, idle)

    async def close(self) -> None:
        """End every connection that is kept open."""
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the event loop closes the sockets in its next turn

    def _kept(self, idle: "deque[Connection]") -> Connection | None:
        """Return the connection used last, if it's still good."""
        oldest = asyncio.get_running_loop().time() - IDLE_AT_MOST
        while idle:
            connection = idle.pop()
            if connection.usable and connection.heard_at > oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _transport, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    origin.ip or origin.host,
                    origin.port,
                    ssl=self._tls if origin.scheme == "https" else None,
                    server_hostname=origin.host if origin.scheme == "https" else None,
                )
        except TimeoutError:
            raise UpstreamTimeout("The provider can't be reached: connecting took too long. Try again.") from None
        except ssl.SSLError:
            raise UpstreamUnavailable("The provider's certificate isn't valid for its address.") from None
        except OSError:
            raise UpstreamUnavailable("The provider can't be reached right now. Try again in a moment.") from None
        return connection

    async def _origin(self, url: str, *, guarded: bool) -> tuple[Origin, str]:
        """Return whom to connect to for ``url``, and the path to ask for.

        A guarded address (a customer's own) is looked up once, checked, and connected to as looked up, so that a
        name whose answer changes a moment later leads nowhere else.
        """
        scheme, _colon, rest = url.partition("://")
        authority, _slash, path = rest.partition("/")
        known = self._origins.get((scheme, authority, guarded))
        if known is None or known[1] < time.monotonic():
            parts = urlsplit(url)
            if guarded:
                try:
                    pinned = await asyncio.to_thread(addresses.check, url, allow_private=self._allow_private)
                except addresses.AddressRefused as refused:
                    raise UpstreamUnavailable(str(refused)) from None
                origin = Origin(pinned.scheme, pinned.host, pinned.port, pinned.ip)
            else:
                port = parts.port or (443 if scheme == "https" else 80)
                origin = Origin(scheme, parts.hostname or "", port, None)
            known = origin, time.monotonic() + ADDRESS_GOOD_FOR
            self._origins[scheme, authority, guarded] = known
        return known[0], f"/{path}"


def _request(method: str, origin: Origin, path: str, outgoing: Outgoing) -> bytes:
    default_port = 443 if origin.scheme == "https" else 80
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if origin.port != default_port:
        host = f"{host}:{origin.port}"
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in outgoing.headers.items()]
    if outgoing.body:
        lines.append(f"content-length: {len(outgoing.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + outgoing.body
