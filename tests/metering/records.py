"""Builds meter records for tests: an ordinary answered request, unless told otherwise."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from agents.models import Agent
from metering.record import Record, picodollars, utc_text
from metering.store import get_store
from metering.usage import record_id

FEBRUARY = datetime(2026, 2, 16, 18, 0, tzinfo=UTC)


def record(
    agent: Agent,
    *,
    at: datetime = FEBRUARY,
    cost_input: str | None = None,
    cost_output: str | None = None,
    **fields: Any,
) -> Record:
    """Return a record of the agent: 1,250 tokens in, 380 out. Costs in USD; without both, nobody knows the price."""
    costs: dict[str, int | None] = {"cost_input": None, "cost_output": None, "cost_total": None}
    if priced := cost_input is not None and cost_output is not None:
        known = [picodollars(Decimal(part)) for part in (cost_input, cost_output) if part is not None]
        costs = {"cost_input": known[0], "cost_output": known[1], "cost_total": sum(known)}
    ordinary: dict[str, Any] = {
        "id": str(record_id()),
        "agent_id": str(agent.pk),
        "workspace_id": str(agent.workspace_id),
        "timestamp": utc_text(at),
        "provider": agent.provider,
        "model": agent.model or "gpt-4o-mini",
        "tier": "byokey",
        "tokens_input": 1250,
        "tokens_output": 380,
        "price_total": 0,
        "request_type": "chat",
        "latency_ms": 1200,
        "status": "ok",
        "http_status": 200,
        "mode": "byokey",
        "streamed": False,
        "ttft_ms": None,
        "attempts": (),
        "cache_read": 0,
        "cache_write": 0,
        "reasoning": 0,
        "price_version": "openai/gpt-4o-mini@2024-10-02" if priced else "",
        "experiment_arm": "",
        "provenance": "reported" if priced else "unpriced",
    }
    return Record(**{**ordinary, **costs, **fields})


def store(*records: Record) -> int:
    """Put records into the meter's store; return how many were new."""
    return get_store().append([msgspec.json.encode(each) for each in records])
