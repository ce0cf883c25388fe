"""One column's answer as the gateway gives it, in Anthropic's dialect: its words, or what went wrong."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from llm.answering import OK, Headers
from llm.sse import Events, data_of

_Unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Delta(msgspec.Struct, frozen=True):
    text: str = ""
    type: str = ""


class _Problem(msgspec.Struct, frozen=True):
    message: str = ""


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""


class _Told(msgspec.Struct, frozen=True):
    """An event of a stream, or a whole answer."""

    type: str = ""
    delta: Any = None
    error: _Problem | None = None
    content: list[_Block] = []


_read: Final = msgspec.json.Decoder(_Told).decode


class Listening:
    """A reply that nobody sends on: it hears the words, and keeps the last of what went wrong.

    ``status`` is the answer's; ``problem`` the provider's own words for a failure, None where there is none.
    """

    def __init__(self, hear: Callable[[str], None]) -> None:
        """Tell ``hear`` each piece of the answer's text as it comes."""
        self.status = 0
        self.problem: str | None = None
        self._hear = hear
        self._events = Events()
        self._streamed = False
        self._whole = bytearray()

    async def start(self, status: int, headers: Headers) -> None:
        """Take note of the status."""
        self.status = status
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        self._streamed = kind.startswith(b"text/event-stream")

    async def send(self, data: bytes) -> None:
        """Hear a part."""
        self._take(data)

    async def end(self, data: bytes) -> None:
        """Hear the rest."""
        self._take(data)
        if not self._streamed:
            self._hear_whole(bytes(self._whole))

    def _take(self, data: bytes) -> None:
        if not self._streamed:
            self._whole += data
            return
        for event in self._events.feed(data):
            self._hear_event(data_of(event))

    def _hear_event(self, data: bytes) -> None:
        told = _told(data)
        if told.error:
            self.problem = told.error.message
        elif told.type == "content_block_delta" and (text := _text(told.delta)):
            self._hear(text)

    def _hear_whole(self, body: bytes) -> None:
        told = _told(body)
        if self.status != OK:
            self.problem = told.error.message if told.error else ""
            return
        self._hear("".join(block.text for block in told.content if block.type == "text"))


def _told(data: bytes) -> _Told:
    try:
        return _read(data) if data else _Told()
    except _Unreadable:
        return _Told()


def _text(delta: Any) -> str:
    try:
        found = msgspec.convert(delta, _Delta)
    except msgspec.ValidationError:
        return ""
    return found.text if found.type == "text_delta" else ""
