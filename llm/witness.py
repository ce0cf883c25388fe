"""Sees the records of requests that somebody of ours made, for who wants to show what they used."""

import contextlib
from collections.abc import Iterator

from llm.exchange import Exchange
from llm.requests import Call
from metering.record import Record


class Seen:
    """Where a request's record will be, once it has ended."""

    __slots__ = ("record",)

    def __init__(self) -> None:
        self.record: Record | None = None


class Witness:
    """One of the gateway's observers. Keeps the records that somebody waits for, and no other."""

    def __init__(self) -> None:
        self._expected: dict[str, Seen] = {}

    def observe(self, call: Call, exchange: Exchange, record: Record) -> None:  # noqa: ARG002
        """Keep a record that somebody waits for."""
        seen = self._expected.get(call.id)
        if seen:
            seen.record = record

    def close(self) -> None:
        """Nothing is held."""

    @contextlib.contextmanager
    def expecting(self, request_id: str) -> Iterator[Seen]:
        """Watch out for a request's record while this lasts."""
        seen = self._expected[request_id] = Seen()
        try:
            yield seen
        finally:
            del self._expected[request_id]
