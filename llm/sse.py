"""Server-sent events: cutting a stream of bytes into events, however the bytes arrive.

The rules are those of the HTML standard, "Parsing an event stream": lines end with CRLF, LF or CR; an empty line
ends an event; a line that begins with a colon is a comment; several data lines are joined with LF.
"""

import re
from typing import Final

# An empty line: two line ends in a row. A CR at the very end of what has arrived may be half of a CRLF, so it
# doesn't count until the next byte is there.
_BLANK: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class EventTooLong(Exception):
    """An event grew past the limit without ending."""


class Events:
    """Collects bytes and gives whole events back, each with the empty line that ends it, byte for byte."""

    __slots__ = ("_held", "_limit")

    def __init__(self, *, limit: int = 16 * 1024 * 1024) -> None:
        """Hold at most ``limit`` bytes of an event that hasn't ended."""
        self._held = b""
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived and return the events that are whole now.

        Raises:
            EventTooLong: when more than the limit has gathered without an end.
        """
        held = self._held + data if self._held else data
        events = []
        start = 0
        for end in _BLANK.finditer(held):
            events.append(held[start : end.end()])
            start = end.end()
        self._held = held[start:]
        if len(self._held) > self._limit:
            raise EventTooLong
        return events

    def rest(self) -> bytes:
        """Return what arrived after the last whole event, and forget it."""
        held, self._held = self._held, b""
        return held


def data_of(event: bytes) -> bytes:
    """Return an event's data, its lines joined with LF (empty for a comment)."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines)


def name_of(event: bytes) -> bytes:
    """Return an event's name, ``message`` where none is given."""
    for line in _LINE_END.split(event):
        if line.startswith(b"event:"):
            return line[6:].removeprefix(b" ")
    return b"message"
