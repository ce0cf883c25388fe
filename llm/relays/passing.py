"""Passing answers on unchanged, byte for byte, while the usage is read off a copy."""

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Final

from llm import sse
from llm.errors import GatewayError
from llm.tokens import Output
from metering.usage import Usage

OK: Final = 200


class Passing(ABC):
    """One answer that is passed on as it is, whole or streamed. A dialect says how it is read.

    What we can't read is the caller's to read, and passes; but an answer that can't be read isn't ``complete``.
    """

    __slots__ = ("_events", "_finished", "_held", "_told", "complete", "cost", "failed", "model", "output", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.cost: Decimal | None = None
        self.output = Output()
        self.model = ""
        self.complete = False
        self.failed = False
        self._events = sse.Events()
        self._held = b""
        self._finished = False
        self._told = False

    def whole(self, status: int, body: bytes) -> bytes:
        """See :meth:`llm.providers.base.Relay.whole`."""
        if status == OK:
            self.complete = self._read_whole(body)
        return body

    def feed(self, data: bytes) -> bytes:
        """See :meth:`llm.providers.base.Relay.feed`."""
        try:
            events = self._events.feed(data)
        except sse.EventTooLong:
            self.failed = True
            return b""
        return b"".join([event for event in events if not self._keeps(event) and self._passes(event)])

    def finish(self) -> bytes:
        """See :meth:`llm.providers.base.Relay.finish`."""
        rest = self._events.rest()
        if rest and (self._keeps(rest) or not self._passes(rest)):
            rest = b""
        # Some servers leave the last event out; what came to its reason to finish is whole all the same.
        self.complete = (bool(self._held) or self._finished) and not self.failed
        return rest + (self._held or self._end()) if self.complete else rest

    def broken_off(self, error: GatewayError) -> bytes:
        """See :meth:`llm.providers.base.Relay.broken_off`."""
        return b"" if self._told else self._error_event(error)

    def _keeps(self, event: bytes) -> bool:
        """Keep what comes after the end together with it."""
        if not self._held:
            return False
        self._held += event
        return True

    @abstractmethod
    def _read_whole(self, body: bytes) -> bool:
        """Read a good answer; tell whether it is one."""

    @abstractmethod
    def _passes(self, event: bytes) -> bool:
        """Read an event; tell whether it goes to the caller now. One that ends the stream is held instead."""

    @abstractmethod
    def _end(self) -> bytes:
        """Return the event that ends a stream."""

    @abstractmethod
    def _error_event(self, error: GatewayError) -> bytes:
        """Return the event that tells of an error in mid-stream."""
