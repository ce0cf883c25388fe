"""HTTP/1.1 to a provider over one connection: bytes out, head and body back.

llhttp (through ``httptools``) does the parsing; what is here is what a relay needs and general clients don't give:
a cancelled request closes its connection in the same turn of the event loop, a slow reader stops the provider
from sending, and the address connected to is the caller's to choose. ``docs/decisions`` has the figures.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import Final, cast

import httptools

BUFFERED_AT_MOST: Final = 256 * 1024  # bytes of body waiting for a slow reader
BODY_AT_MOST: Final = 64 * 1024 * 1024  # bytes of a body that is read whole
HEAD_AT_MOST: Final = 64 * 1024  # bytes of a head, interim answers and trailers included
HEADERS_AT_MOST: Final = 200
NO_CONTENT: Final = frozenset({204, 304})
FINAL: Final = 200  # statuses below are interim answers, such as 100 Continue
BEYOND: Final = 600  # there are no statuses from here on


class ConnectionBroken(Exception):
    """The connection ended, or made no sense, before the answer was whole.

    ``before_answer`` tells that not a byte had come back.
    """

    def __init__(self, reason: str, *, before_answer: bool = False) -> None:
        super().__init__(reason)
        self.before_answer = before_answer


class Silent(Exception):
    """Nothing came for too long."""


class _NotHttp(Exception):
    """What came is more, or other, than an answer to the request."""


class Connection(asyncio.Protocol):
    """A connection that is kept open: one request at a time."""

    __slots__ = (
        "_body",
        "_buffered",
        "_busy",
        "_complete",
        "_ends_with_connection",
        "_failure",
        "_head_size",
        "_loop",
        "_parser",
        "_paused",
        "_reusable",
        "_silence",
        "_timer",
        "_to_send",
        "_transport",
        "_unread",
        "_waiter",
        "headers",
        "heard_at",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._paused = False
        self._busy = False
        self.heard_at = monotonic()
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: deque[bytes] = deque()
        self._buffered = 0
        self._to_send = b""
        self._unread = 0  # bytes that came since the request, or since the last piece of body
        self._head_size = 0
        self._complete = False
        self._reusable = False
        self._ends_with_connection = True
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    # --- asked by the client --------------------------------------------------------------------

    async def request(self, data: bytes, *, silence: float) -> None:
        """Send a request and wait for the answer's head; ``silence`` (seconds) bounds each wait for bytes.

        Raises:
            ConnectionBroken: when the connection ends first.
            Silent: when nothing comes in time.
        """
        self._begin()
        self._busy = True
        self._silence = silence
        self.heard_at = monotonic()
        self._timer = self._loop.call_later(silence, self._check_silence)
        # At the end of the turn, with the requests of others: a provider that is woken once takes them all, and waking
        # it costs more than sending.
        self._to_send = data
        self._loop.call_soon(self._send)
        while not self.status:
            await self._news()

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionBroken: when the connection ends first, or the body doesn't within ``BODY_AT_MOST``.
            Silent: when nothing comes in time.
        """
        parts = []
        size = 0
        while part := await self.read():
            parts.append(part)
            size += len(part)
            if size > BODY_AT_MOST:
                raise ConnectionBroken("the body is too long")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self) -> bytes:
        """Return what of the body has come, waiting if nothing has; nothing at its end.

        Raises:
            ConnectionBroken: when the connection ends first.
            Silent: when nothing comes in time.
        """
        while not self._body and not self._complete:
            await self._news()
        if len(self._body) == 1:
            return self._take()
        return b"".join([self._take() for _ in range(len(self._body))])

    def release(self) -> bool:
        """Be done with the answer; tell whether the connection can take another request. Closes it if not.

        It can't where a part of the request is still to be sent: the provider answered without reading it.
        """
        if not self._busy:
            return False
        self._busy = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        whole = self._complete and self._reusable and not self._failure and not self._body
        if whole and self._transport and not self._transport.get_write_buffer_size():
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        """Whether the other side hasn't closed it meanwhile."""
        return self._failure is None and self._transport is not None and not self._transport.is_closing()

    def _send(self) -> None:
        data, self._to_send = self._to_send, b""
        if self.usable:
            cast("asyncio.Transport", self._transport).write(data)

    def _take(self) -> bytes:
        part = self._body.popleft()
        self._buffered -= len(part)
        if self._paused and self._buffered < BUFFERED_AT_MOST // 2 and self._transport:
            self._paused = False
            self.heard_at = monotonic()  # it was us who kept it silent
            self._transport.resume_reading()
        return part

    async def _news(self) -> None:
        if self._failure:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_silence(self) -> None:
        # One timer a request: bytes only note the time, and the timer looks when it is due.
        self._timer = None
        if self._complete:
            return
        left = self._silence if self._paused else self.heard_at + self._silence - monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        else:
            self._break(Silent())

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
        self._wake()

    def _break(self, failure: Exception) -> None:
        self._fail(failure)
        self.abort()

    # --- told by the event loop -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came and wake whoever waits."""
        if self._failure:
            return
        if not self._busy or self._to_send:
            # Kept for later, it would be taken for the answer to the next request, which may be somebody else's. A
            # request that is still to leave goes over another connection.
            self._break(ConnectionBroken("an answer to nothing", before_answer=True))
            return
        self.heard_at = monotonic()
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(ConnectionBroken(f"not HTTP: {type(error).__name__}"))
            return
        if self._unread > HEAD_AT_MOST:
            self._break(ConnectionBroken("the head is too long"))
            return
        if self._buffered > BUFFERED_AT_MOST and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End an answer that lasts until the connection does; break any other."""
        if self.status and not self._complete and self._ends_with_connection and exc is None:
            self._complete = True
        if self._complete:
            self._failure = self._failure or ConnectionBroken("closed")
            self._wake()
        else:
            nothing = not self.status and not self._unread
            self._fail(ConnectionBroken("the connection ended early", before_answer=nothing))

    # --- told by the parser: what is raised here, it raises as an HttpParserError ------------------

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request; the first stays good."""
        if self._complete:
            raise _NotHttp

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, its name in lower case. Trailers are nobody's business."""
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_AT_MOST or len(self.headers) >= HEADERS_AT_MOST:
            raise _NotHttp
        if self.status:
            return
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Let the answer begin, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status >= BEYOND:
            raise _NotHttp
        if status < FINAL:
            self.headers = []
            return
        self.status = status
        if status in NO_CONTENT:
            self._ends_with_connection = False

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body until somebody takes it."""
        self._unread = 0
        self._body.append(data)
        self._buffered += len(data)

    def on_message_complete(self) -> None:
        """End the answer."""
        if self.status:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()
