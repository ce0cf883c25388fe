"""What providers charge, by the day, and that the list of it isn't stale."""

import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage as PublishedUsage
from genai_prices import calc_price
from hypothesis import given

from agents.catalogue import providers
from metering import pricing
from metering.pricing import Rate, list_price, rate
from metering.usage import Usage
from tests.metering.test_usage import USAGES

VALIDATED = datetime(2026, 2, 16, 18, 0, tzinfo=UTC)  # the day of llm-strategy
LATER = datetime(2026, 11, 24, tzinfo=UTC)


def rated(provider: str, model: str, *, at: datetime = VALIDATED) -> Rate:
    found = rate(provider, model, at=at)
    assert found
    return found


def margin(provider: str, model: str, *, fee: int) -> Decimal:
    """The share of the fee that is left, in percent, at the document's 500K in and 200K out."""
    usage = Usage(input=500_000, output=200_000)
    row = rated(provider, model)
    return 100 - 100 * (row.cost_input(usage) + row.cost_output(usage)) / fee


def test_the_documents_request_costs_what_it_says():
    row = rated("minimax", "MiniMax-M2.5")
    usage = Usage(input=1_250, output=380)
    assert row.cost_input(usage) == Decimal("0.0001875")
    assert row.cost_output(usage) == Decimal("0.000228")
    assert row.version == "minimax/MiniMax-M2.5@2026-02-01"


@pytest.mark.parametrize(
    ("provider", "model", "fee", "left"),
    [
        ("minimax", "MiniMax-M2.5", 5, "96.1"),
        ("mistral", "mistral-small-latest", 5, "97.3"),
        ("openai", "gpt-4o-mini", 10, "98.05"),
        ("anthropic", "claude-haiku-4-5", 10, "88"),
        ("anthropic", "claude-sonnet-4-20250514", 20, "77.5"),
        ("openai", "gpt-4o", 20, "83.75"),
    ],
)
def test_the_documents_margins_come_out(provider, model, fee, left):
    assert margin(provider, model, fee=fee) == Decimal(left)


def test_the_documents_month_has_its_list_value():
    assert list_price(Usage(input=3_000_000, output=700_000), Decimal("5.00")) == Decimal("18.50")


def test_parts_have_their_own_rates_and_reasoning_is_output():
    row = rated("anthropic", "claude-sonnet-4-20250514")
    usage = Usage(
        input=1_000_000,
        cache_read=1_000_000,
        cache_write_5m=1_000_000,
        cache_write_1h=1_000_000,
        output=600_000,
        reasoning=400_000,
    )
    assert row.cost_input(usage) == Decimal("3.00") + Decimal("0.30") + Decimal("3.75") + Decimal("6.00")
    assert row.cost_output(usage) == Decimal("15.00")


def test_a_part_without_a_rate_costs_what_input_does():
    row = rated("groq", "llama-3.3-70b-versatile")
    assert row.cache_read == row.cache_write_5m == row.cache_write_1h == row.input == Decimal("0.59")


@pytest.mark.parametrize(
    ("at", "charged"),
    [
        (datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC), "0.80"),
        (datetime(2026, 11, 1, tzinfo=UTC), "1.00"),
        (datetime(2026, 11, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "0.80"),
        (datetime(2026, 10, 31, 20, 0, tzinfo=timezone(timedelta(hours=-5))), "1.00"),
        (datetime(2020, 1, 1, tzinfo=UTC), "0.80"),  # before the first row, that row
    ],
)
def test_a_new_rate_holds_from_midnight_utc(at, charged):
    assert rated("anthropic", "claude-haiku-4-5", at=at).input == Decimal(charged)


def test_a_model_that_nobody_knows_has_no_rate():
    assert rate("openai", "gpt-9", at=VALIDATED) is None
    assert rate("custom", "gpt-4o", at=VALIDATED) is None


@given(USAGES, USAGES)
def test_two_requests_cost_what_one_of_both_would(one, other):
    row = rated("anthropic", "claude-sonnet-4-20250514")
    assert row.cost_input(one) + row.cost_input(other) == row.cost_input(one + other)
    assert row.cost_output(one) + row.cost_output(other) == row.cost_output(one + other)


@given(USAGES)
def test_no_cost_has_more_decimals_than_are_kept(usage):
    for row in (each for rows in pricing._rates().values() for each in rows):
        for cost in (row.cost_input(usage), row.cost_output(usage)):
            assert cost == cost.quantize(Decimal("1e-12"))


def test_every_model_that_is_offered_has_a_price():
    unpriced = [
        f"{provider.id}/{model}"
        for provider in providers().values()
        for model in provider.models
        if rate(provider.id, model, at=LATER) is None
    ]
    assert unpriced == []


# --- Against what pydantic's genai-prices collects --------------------------------------------------

# Ours by the package's day, where it has another figure or none, and why.
KNOWN_DIFFERENCES = {
    (
        "minimax",
        "MiniMax-M2.5",
    ): "ours is llm-strategy's figure, half of what the package has for M2, M2.1 and M2.5 alike",
    ("mistral", "mistral-small"): "the package knows it by mistral-small-latest only",
    ("echo", "echo-1"): "ours alone",
}
ROWS = [
    (row["provider"], model)
    for row in tomllib.loads(Path(pricing.__file__).with_name("prices.toml").read_text())["price"]
    for model in row["models"]
]


def published(provider: str, model: str, **tokens: int) -> Decimal:
    return calc_price(PublishedUsage(**tokens), model, provider_id=provider).total_price


@pytest.mark.parametrize(("provider", "model"), sorted(set(ROWS) - set(KNOWN_DIFFERENCES)))
def test_our_last_row_is_what_is_published(provider, model):
    ours = rated(provider, model, at=LATER)
    million = 1_000_000
    assert ours.input == published(provider, model, input_tokens=million)
    assert ours.cache_read == published(provider, model, input_tokens=million, cache_read_tokens=million)
    if ours.output:  # embeddings have none
        assert ours.output == published(provider, model, output_tokens=million)


@pytest.mark.parametrize(("provider", "model"), sorted(KNOWN_DIFFERENCES))
def test_a_known_difference_still_is_one(provider, model):
    try:
        theirs = published(provider, model, input_tokens=1_000_000)
    except LookupError:
        return
    assert theirs != rated(provider, model, at=LATER).input


def test_rows_of_a_model_are_of_different_days():
    days: dict[tuple[str, str], list[date]] = {}
    for key, rows in pricing._rates().items():
        days[key] = [row.from_day for row in rows]
    assert all(each == sorted(set(each), reverse=True) for each in days.values())
