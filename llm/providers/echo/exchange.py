"""One request and its answer on the wire: reading, writing, waiting, hanging up, and noticing that the client did."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from llm.providers.echo.directives import Behaviour

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

HANG_UP: Final = "vutler.hang_up"
"""The ASGI extension (see :mod:`.__main__`) by which the connection can be closed without a word."""

JSON: Final = (b"content-type", b"application/json")
_STREAM_HEADERS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_GARBAGE: Final = b'data: {"id": "garb\n\n'


class ClientGone(Exception):
    """The client closed the connection before it had the whole answer."""


class Cut(Exception):
    """The answer ends here, unfinished, as was asked for."""


class Piece(NamedTuple):
    """Some bytes of a stream. ``chunk`` says whether they carry a word of the answer, or a piece of a tool call."""

    data: bytes
    chunk: bool = False


class Stream(NamedTuple):
    """A stream to be sent: its pieces, the event that ends it, and the event that says something went wrong."""

    pieces: Iterable[Piece]
    end: bytes
    error: bytes


class Received(msgspec.Struct, kw_only=True):
    """A request that came, and what became of it. Times are in seconds since 1970, UTC.

    ``outcome`` is ``open`` while it is being answered, then ``answered`` (errors too), ``cut`` (by us) or
    ``client_gone``. ``chunks`` counts the chunks of a stream that were sent.
    """

    method: str
    path: str
    provider: str
    headers: dict[str, str]
    body: bytes
    started: float
    ended: float | None = None
    outcome: Literal["open", "answered", "cut", "client_gone"] = "open"
    status: int | None = None
    chunks: int = 0


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, provider: str) -> None:
        self.scope = scope
        self.provider = provider
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self._gone: asyncio.Event | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.received = Received(
            method=scope["method"], path=scope["path"], provider=provider, headers={}, body=b"", started=time.time()
        )

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ClientGone: when the client goes away before it was all there.
        """
        parts = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that has gone; of 0 seconds, give others a turn.

        Raises:
            ClientGone: when it goes away meanwhile.
        """
        if self._gone is None:
            self._gone = asyncio.Event()
            self._watcher = asyncio.create_task(self._watch(self._gone))
        if not seconds:
            await asyncio.sleep(0)
        else:
            try:
                await asyncio.wait_for(self._gone.wait(), seconds)
            except TimeoutError:
                return
        if self._gone.is_set():
            raise ClientGone

    async def answer(self, status: int, body: bytes, *, headers: Headers, behaviour: Behaviour) -> None:
        """Send a whole answer, or half of it where it is to be cut."""
        self.received.status = status
        if behaviour.cut == 0:
            raise Cut
        if behaviour.garbage:
            body = body[: len(body) // 2]
        size = (b"content-length", str(len(body)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, JSON, size]})
        if behaviour.cut is not None:
            await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            raise Cut
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, stream: Stream, *, headers: Headers, behaviour: Behaviour) -> None:
        """Send a stream, piece by piece, in the way that ``behaviour`` says."""
        self.received.status = 200
        if behaviour.cut == 0:
            raise Cut
        start: Message = {"type": "http.response.start", "status": 200, "headers": [*headers, *_STREAM_HEADERS]}
        await self._send(start)
        if await self._pieces(stream, behaviour) and not behaviour.no_done:
            await self._write(stream.end, behaviour)
        await self._send({"type": "http.response.body", "body": b""})

    async def _pieces(self, stream: Stream, behaviour: Behaviour) -> bool:
        """Send the pieces; return whether the stream came to its proper end."""
        for piece in stream.pieces:
            await self.pause(behaviour.chunk_delay if piece.chunk else 0)
            if behaviour.stream_error == self.received.chunks:
                await self._write(stream.error, behaviour)
                return False
            await self._write(piece.data, behaviour)
            if piece.chunk:
                await self._after_chunk(behaviour)
        return True

    async def _after_chunk(self, behaviour: Behaviour) -> None:
        self.received.chunks += 1
        if self.received.chunks == behaviour.cut:
            raise Cut
        if self.received.chunks == 1:
            if behaviour.stall:
                await self.pause(behaviour.stall)
            if behaviour.garbage:
                await self._write(_GARBAGE, behaviour)

    async def _write(self, data: bytes, behaviour: Behaviour) -> None:
        for part in _split(data, behaviour.split):
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
            if behaviour.split:
                await self.pause(0)

    async def hang_up(self) -> None:
        """Close the connection as it is, and wait until it is closed.

        Raises:
            Cut: when the server doesn't let us: it closes the connection because of that.
        """
        close = self.scope.get("extensions", {}).get(HANG_UP)
        if close is None:
            raise Cut
        close()
        while self._gone is None or not self._gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                break

    def close(self) -> None:
        """Stop watching for the client to go away."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self, gone: asyncio.Event) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        gone.set()


def _split(data: bytes, size: int) -> Iterator[bytes]:
    if not size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]
