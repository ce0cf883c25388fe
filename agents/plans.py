"""The plans that a Managed agent can be on: dated data, no Django."""

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

TIERS: Final = ("economy", "standard", "premium")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One tier's terms from a day on. Money in USD; tokens are input plus output of a calendar month."""

    tier: str
    name: str
    from_day: date
    fee: Decimal
    included_tokens: int
    overage_per_million: Decimal
    list_per_million: Decimal
    popular: bool = False


@cache
def _rows() -> tuple[Plan, ...]:
    data = tomllib.loads(Path(__file__).with_name("plans.toml").read_text())
    return tuple(
        Plan(
            tier=row["tier"],
            name=row["name"],
            from_day=row["from"],
            fee=Decimal(row["fee"]),
            included_tokens=row["included_tokens"],
            overage_per_million=Decimal(row["overage_per_million"]),
            list_per_million=Decimal(row["list_per_million"]),
            popular=row.get("popular", False),
        )
        for row in data["plan"]
    )


def plan(tier: str, *, on: date) -> Plan:
    """Return the terms of ``tier`` in force ``on`` a day (the earliest known terms before their first day).

    Raises:
        KeyError: when there is no such tier.
    """
    rows = sorted((row for row in _rows() if row.tier == tier), key=lambda row: row.from_day)
    if not rows:
        raise KeyError(tier)
    return next((row for row in reversed(rows) if row.from_day <= on), rows[0])


def plans(*, on: date) -> list[Plan]:
    """Return the terms of every tier in force ``on`` a day, the cheapest first."""
    return [plan(tier, on=on) for tier in TIERS]
