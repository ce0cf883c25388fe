"""A server on loopback that says exactly the bytes that a test gives it, and hears exactly what came."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


class Conversation:
    """One connection to the server."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Return the next request, head and body; nothing when the other side has gone."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")), b"x: 0")
        return head + await self._reader.readexactly(int(length.split(b": ")[1]))

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def left(self) -> None:
        """Wait until the other side has closed the connection."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            pass


Script = Callable[[Conversation], Awaitable[None]]


class RawServer:
    """Holds each conversation as ``script`` says, and closes its connection at the end of it."""

    def __init__(self, script: Script, *, scheme: str) -> None:
        self._script = script
        self._scheme = scheme
        self.conversations = 0
        self.under_way: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/v1"

    async def settled(self) -> None:
        """Wait until every conversation so far is over; a script that failed fails here."""
        while self.under_way:
            await asyncio.gather(*self.under_way)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.conversations += 1
        task = asyncio.current_task()
        assert task
        self.under_way.add(task)
        try:
            await self._script(Conversation(self.conversations, reader, writer))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.under_way.discard(task)


@asynccontextmanager
async def raw_server(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    server = RawServer(script, scheme="https" if tls else "http")
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(server.under_way):
            task.cancel()
        await asyncio.gather(*server.under_way, return_exceptions=True)


def answering(*answers: bytes) -> Script:
    """Return a script that gives these answers, one a request, whatever is asked, and then waits to be left."""

    async def script(conversation: Conversation) -> None:
        for answer in answers:
            if not await conversation.request():
                return
            await conversation.say(answer)
        await conversation.left()

    return script


def whole(body: bytes, *, head: bytes = b"") -> bytes:
    """Return an ordinary answer. ``head``: more headers, each with its line break."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), head, body)
