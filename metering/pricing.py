"""What a provider charges for a request: dated rates times disjoint parts. Decimal, plain arithmetic."""

import tomllib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from metering.usage import Usage

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One provider's charges for one model from a day on (UTC), in USD per million tokens."""

    version: str
    from_day: date
    input: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    output: Decimal

    def cost_input(self, usage: Usage) -> Decimal:
        """Return what all input cost, in USD, unrounded."""
        return (
            usage.input * self.input
            + usage.cache_read * self.cache_read
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
        ) / MILLION

    def cost_output(self, usage: Usage) -> Decimal:
        """Return what all output cost, in USD, unrounded. Reasoning is charged as output."""
        return usage.tokens_output * self.output / MILLION


def rate(provider: str, model: str, *, at: datetime) -> Rate | None:
    """Return the rate in force ``at`` a moment, or None for a model that we have no price for.

    Before the first known row, that row serves: a guess at a past price beats none.
    """
    rows = _rates().get((provider, model))
    if not rows:
        return None
    day = at.astimezone(UTC).date()
    return next((row for row in rows if row.from_day <= day), rows[-1])


def list_price(usage: Usage, per_million: Decimal) -> Decimal:
    """Return a request's list value to the customer in USD: all tokens times the tier's list rate."""
    return (usage.tokens_input + usage.tokens_output) * per_million / MILLION


@cache
def _rates() -> dict[tuple[str, str], list[Rate]]:
    """Every row by provider and model, the newest first."""
    rates: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    data = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
    for row in sorted(data["price"], key=lambda row: row["from"], reverse=True):
        for model in row["models"]:
            rates[row["provider"], model].append(_rate(row, model))
    return dict(rates)


def _rate(row: dict[str, Any], model: str) -> Rate:
    def per_million(part: str) -> Decimal:
        return Decimal(row.get(part, row["input"]))

    return Rate(
        version=f"{row['provider']}/{model}@{row['from']}",
        from_day=row["from"],
        input=per_million("input"),
        cache_read=per_million("cache_read"),
        cache_write_5m=per_million("cache_write_5m"),
        cache_write_1h=per_million("cache_write_1h"),
        output=per_million("output"),
    )
