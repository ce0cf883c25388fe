"""The meter's record: one request, whatever became of it. The form in which it is written to the journal.

The first fourteen fields are those of ``llm-strategy``, "Token Meter". Money is in picodollars (1e-12 USD, an
integer): a rate of six decimals per million tokens is a whole number of them per token, so nothing is rounded,
and SQLite, which stores decimals as floats, keeps it exactly.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

import msgspec

PICO: Final = 10**12

Status = Literal["ok", "provider_error", "provider_cut", "timeout", "unreachable", "client_closed"]
Provenance = Literal["reported", "estimated", "partial", "unpriced"]
REQUEST_TYPES: Final = ("chat", "email", "tool")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider: how it ended and how long it took (ms)."""

    provider: str
    model: str
    status: int | None
    latency_ms: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``id`` makes recording idempotent; ``timestamp`` is UTC, when the request arrived."""

    id: str
    agent_id: str
    workspace_id: str
    timestamp: str
    provider: str
    model: str
    tier: str
    tokens_input: int
    tokens_output: int
    cost_input: int | None
    cost_output: int | None
    cost_total: int | None
    price_total: int
    request_type: str
    latency_ms: int
    status: Status
    http_status: int
    mode: str
    streamed: bool
    ttft_ms: int | None
    attempts: tuple[Attempt, ...]
    cache_read: int
    cache_write: int
    reasoning: int
    price_version: str
    experiment_arm: str
    provenance: Provenance


def picodollars(amount: Decimal) -> int:
    """Return ``amount`` USD in picodollars, half up where it has more than twelve decimals."""
    return int((amount * PICO).to_integral_value(ROUND_HALF_UP))


def utc_text(moment: datetime) -> str:
    """Return an aware UTC moment as both databases read it: ``2026-02-16 18:00:00.000000``."""
    return moment.isoformat(" ", "microseconds")[:26]
