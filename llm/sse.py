"""Server-sent events: cutting a stream of bytes into events, however the bytes arrive.

The rules are those of the HTML standard, "Parsing an event stream": lines end with CRLF, LF or CR; an empty line
ends an event; a line that begins with a colon is a comment; several data lines are joined with LF; the last event
line names the event; one byte order mark may stand at the very start.
"""

import re
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
# An empty line: two line ends in a row. A CR at the very end of what has arrived may be half of a CRLF, so it
# doesn't count until the next byte is there.
_BLANK: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")
_LONGEST_BLANK: Final = len(b"\r\n\r\n")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class EventTooLong(Exception):
    """An event grew past the limit without ending."""


class Events:
    """Collects bytes and gives whole events back, each with the empty line that ends it, byte for byte.

    All that was fed is in the events and :meth:`rest`, in order: nothing is added, dropped or changed.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, *, limit: int = 16 * 1024 * 1024) -> None:
        """Hold at most ``limit`` bytes of an event that hasn't ended."""
        self._held = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived and return the events that are whole now.

        Raises:
            EventTooLong: when more than the limit has gathered without an end.
        """
        held = self._held
        if not held:
            events, start = _cut(data, 0)
            if start < len(data):
                held += data[start:]
        else:
            # What was held has no end in it, but may hold the first bytes of one.
            searched = max(0, len(held) - _LONGEST_BLANK + 1)
            held += data
            events, start = _cut(held, searched)
            del held[:start]
        if len(held) > self._limit:
            raise EventTooLong
        return events

    def rest(self) -> bytes:
        """Return what arrived after the last whole event, and forget it."""
        held = bytes(self._held)
        self._held.clear()
        return held


def _cut(buffer: bytes | bytearray, searched: int) -> tuple[list[bytes], int]:
    """Return the events in ``buffer`` and where the last one ends; no event ends before ``searched``."""
    if buffer.find(b"\r", searched) >= 0:
        return _cut_at(buffer, [blank.end() for blank in _BLANK.finditer(buffer, searched)])
    ends = []
    found = buffer.find(b"\n\n", searched)
    while found >= 0:
        ends.append(found + 2)
        found = buffer.find(b"\n\n", found + 2)
    return _cut_at(buffer, ends)


def _cut_at(buffer: bytes | bytearray, ends: list[int]) -> tuple[list[bytes], int]:
    events = []
    start = 0
    for end in ends:
        events.append(bytes(buffer[start:end]))
        start = end
    return events, start


def data_of(event: bytes) -> bytes:
    """Return an event's data, its lines joined with LF (empty for a comment)."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    return b"\n".join(_values(event, b"data"))


def name_of(event: bytes) -> bytes:
    """Return an event's name, ``message`` where none is given."""
    names = _values(event, b"event")
    return (names[-1] if names else b"") or b"message"


def _values(event: bytes, field: bytes) -> list[bytes]:
    """Return what the lines of one field say: after the colon and one space, nothing where there is no colon."""
    text = event.removeprefix(_BOM)
    lines = _LINE_END.split(text) if b"\r" in text else text.split(b"\n")
    pairs = (line.partition(b":") for line in lines)
    return [value.removeprefix(b" ") for name, _, value in pairs if name == field]
