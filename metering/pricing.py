"""What a provider charges for a request: dated rates times disjoint parts. Decimal, plain arithmetic."""

import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from metering.usage import Usage

MILLION: Final = 1_000_000
PER_TOKEN: Final = 1_000_000  # picodollars a token, where a million tokens are a dollar


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
    # The same in the order of the parts, in picodollars a token: whole numbers, and quick to reckon with.
    _picodollars: tuple[int, int, int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rates = (self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.output)
        whole = tuple(int(each * PER_TOKEN) for each in rates)
        if any(each * PER_TOKEN != pico for each, pico in zip(rates, whole, strict=True)):
            raise ValueError(f"{self.version}: a price has six decimals at most")
        object.__setattr__(self, "_picodollars", whole)

    def picodollars(self, usage: Usage) -> tuple[int, int]:
        """Return what all input and all output cost, exactly, in picodollars. Reasoning is charged as output."""
        fresh, cache_read, cache_write_5m, cache_write_1h, output = self._picodollars
        cost_input = usage.input * fresh
        if usage.cache_read or usage.cache_write:
            cost_input += usage.cache_read * cache_read
            cost_input += usage.cache_write_5m * cache_write_5m + usage.cache_write_1h * cache_write_1h
        return cost_input, usage.tokens_output * output

    def cost_input(self, usage: Usage) -> Decimal:
        """Return what all input cost, in USD, unrounded."""
        return Decimal(self.picodollars(usage)[0]).scaleb(-12)

    def cost_output(self, usage: Usage) -> Decimal:
        """Return what all output cost, in USD, unrounded."""
        return Decimal(self.picodollars(usage)[1]).scaleb(-12)


def rate(provider: str, model: str, *, at: datetime) -> Rate | None:
    """Return the rate in force ``at`` a moment, or None for a model that we have no price for.

    Before the first known row, that row serves: a guess at a past price beats none.
    """
    return _on(provider, model, at.astimezone(UTC).date())


@lru_cache(4096)
def _on(provider: str, model: str, day: date) -> Rate | None:
    rows = _rates().get((provider, model))
    if not rows:
        return None
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
