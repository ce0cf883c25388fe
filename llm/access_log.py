"""A line for every request of the gateway, in the form of all other logs: who, where to, how it ended, how much.

It doesn't go through ``logging``, which would cost ten times as much (``docs/run.md`` has the figures).
"""

import contextlib
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from llm.exchange import Exchange
from llm.requests import Call
from metering.record import Record

NAME: Final = "llm.requests"

Write = Callable[[bytes], object]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is written. Times in ms."""

    request_id: str
    agent_id: str
    provider: str
    model: str
    mode: str
    status: str
    http_status: int
    streamed: bool
    attempts: int
    latency_ms: int
    ttft_ms: int | None
    tokens_input: int
    tokens_output: int
    event: str = "request"
    level: str = "info"
    logger: str = NAME
    timestamp: str


_encode: Final = msgspec.json.Encoder().encode


def to_stderr(line: bytes) -> None:
    """Write where the other logs go. A reader that went away is no reason to fail a request."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), line)


class AccessLog:
    """Writes the lines."""

    def __init__(self, write: Write = to_stderr) -> None:
        self._write = write

    def observe(self, _call: Call, _exchange: Exchange, record: Record) -> None:
        """Write down a request that has ended."""
        line = Line(
            request_id=record.id,
            agent_id=record.agent_id,
            provider=record.provider,
            model=record.model,
            mode=record.mode,
            status=record.status,
            http_status=record.http_status,
            streamed=record.streamed,
            attempts=len(record.attempts),
            latency_ms=record.latency_ms,
            ttft_ms=record.ttft_ms,
            tokens_input=record.tokens_input,
            tokens_output=record.tokens_output,
            timestamp=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        )
        self._write(_encode(line) + b"\n")

    def close(self) -> None:
        """Every line is written already."""
