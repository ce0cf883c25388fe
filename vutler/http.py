"""uvicorn's HTTP protocol, sending at the end of a turn of the event loop what was written during it.

Answers that end together (the journal lets them) leave in one go, each in one piece: whoever reads them is woken
once, not for every head and every body, and waking costs more than sending. See docs/decisions.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HELD_AT_MOST: Final = 64 * 1024  # bytes; beyond, a transport's own limits say when to stop writing


class Corked:
    """A transport whose writes wait for the end of the turn. Only what uvicorn asks of one."""

    __slots__ = ("_held", "_loop", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send ``data`` soon."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._size += len(data)
        if self._size > HELD_AT_MOST:
            self._send()

    def close(self) -> None:
        """Send what is held, and close."""
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        """See :meth:`asyncio.Transport.is_closing`."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """See :meth:`asyncio.Transport.pause_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See :meth:`asyncio.Transport.resume_reading`."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See :meth:`asyncio.Transport.get_extra_info`."""
        return self._transport.get_extra_info(name, default)

    def _send(self) -> None:
        held = self._held
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
        self._held, self._size = [], 0


class Protocol(HttpToolsProtocol):
    """A connection to a caller."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with a transport that waits for the end of the turn."""
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
