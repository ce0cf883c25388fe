"""The meter's record: one request, whatever became of it. The form in which it is written to the journal.

The first fourteen fields are those of ``llm-strategy``, "Token Meter". Money is in picodollars (1e-12 USD, an
integer): a rate of six decimals per million tokens is a whole number of them per token, so nothing is rounded,
and SQLite, which stores decimals as floats, keeps it exactly.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

PICO: Final = 10**12

Status = Literal["ok", "provider_error", "provider_cut", "timeout", "unreachable", "client_closed"]
Provenance = Literal["reported", "estimated", "partial", "unpriced"]
REQUEST_TYPES: Final = ("chat", "email", "tool")

# What the columns hold. PostgreSQL insists by itself; SQLite would take anything.
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$")]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Picodollars = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Milliseconds = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Short = Annotated[str, Meta(max_length=10)]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider: how it ended and how long it took (ms)."""

    provider: str
    model: str
    status: int | None
    latency_ms: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``id`` makes recording idempotent; ``timestamp`` is UTC, when the request arrived."""

    id: Id
    agent_id: Id
    workspace_id: Id
    timestamp: Moment
    provider: Annotated[str, Meta(max_length=20)]
    model: Annotated[str, Meta(max_length=200)]
    tier: Short
    tokens_input: Count
    tokens_output: Count
    cost_input: Picodollars | None
    cost_output: Picodollars | None
    cost_total: Picodollars | None
    price_total: Picodollars
    request_type: Short
    latency_ms: Milliseconds
    status: Status
    http_status: Annotated[int, Meta(ge=0, le=2**15 - 1)]
    mode: Short
    streamed: bool
    ttft_ms: Milliseconds | None
    attempts: tuple[Attempt, ...]
    cache_read: Count
    cache_write: Count
    reasoning: Count
    price_version: Annotated[str, Meta(max_length=260)]
    experiment_arm: Annotated[str, Meta(max_length=40)]
    provenance: Provenance
    # Which requests of an experiment belong together: a digest under the experiment's id.
    session: Annotated[str, Meta(max_length=16)] | None = None


def picodollars(amount: Decimal) -> int:
    """Return ``amount`` USD in picodollars, half up where it has more than twelve decimals."""
    return int((amount * PICO).to_integral_value(ROUND_HALF_UP))


def utc_text(moment: datetime) -> str:
    """Return an aware moment as both databases read it: ``2026-02-16 18:00:00.000001``.

    SQLite compares it as text with what Django writes, which leaves out a fraction of zero.
    """
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(" ")[: -len("+00:00")]
