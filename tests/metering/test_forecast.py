"""What a month will come to: from an agent's own week, with a range that means something."""

import math
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from metering.forecast import Forecast, forecast
from metering.periods import Month

WEEK = (100, 120, 110, 120, 140, 60, 0)  # thousands of tokens, Monday to Sunday


def day_by_day(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def regular(first: date, last: date) -> dict[date, int]:
    return {day: WEEK[day.weekday()] * 1_000 for day in day_by_day(first, last)}


def test_a_week_that_repeats_itself_comes_to_its_sum():
    days = regular(date(2026, 1, 5), date(2026, 2, 15))
    found = forecast(days, now=datetime(2026, 2, 16, tzinfo=UTC))
    whole = sum(regular(date(2026, 2, 1), date(2026, 2, 28)).values())
    assert found == Forecast(low=whole, expected=whole, high=whole)


def test_what_is_left_of_today_counts_by_the_hour():
    days = dict.fromkeys(day_by_day(date(2026, 1, 1), date(2026, 2, 27)), 24000)
    found = forecast({**days, date(2026, 2, 28): 5_000}, now=datetime(2026, 2, 28, 18, tzinfo=UTC))
    assert found is not None
    assert found.expected == 27 * 24_000 + 5_000 + 6_000


def test_a_fortnight_makes_a_pattern_and_less_does_not():
    start = date(2026, 2, 1)
    assert forecast(regular(start, date(2026, 2, 13)), now=datetime(2026, 2, 14, 9, tzinfo=UTC)) is None
    assert forecast(regular(start, date(2026, 2, 14)), now=datetime(2026, 2, 15, 9, tzinfo=UTC)) is not None
    assert forecast({}, now=datetime(2026, 2, 15, 9, tzinfo=UTC)) is None


def test_days_without_a_request_count():
    days = {date(2026, 1, 1): 70_000}
    found = forecast(days, now=datetime(2026, 2, 2, tzinfo=UTC))
    assert found is not None
    assert 0 <= found.low < found.expected < 70_000


@pytest.mark.parametrize(("included", "passes"), [(90, True), (100, None), (119, None), (120, False), (200, False)])
def test_whether_it_passes_the_plan_may_be_open(included, passes):
    assert Forecast(low=100, expected=110, high=120).passes(included) is passes


def test_four_months_out_of_five_end_within_the_range():
    """300 agents with busy and quiet weekdays and random days, looked at on the 16th."""
    dice = random.Random(7)
    within = 0
    for _ in range(300):
        days = {
            day: round(WEEK[day.weekday()] * 1_000 * math.exp(dice.gauss(0, 0.35)))
            for day in day_by_day(date(2026, 1, 1), date(2026, 2, 28))
        }
        found = forecast(
            {day: tokens for day, tokens in days.items() if day < date(2026, 2, 16)},
            now=datetime(2026, 2, 16, tzinfo=UTC),
        )
        assert found is not None
        whole = sum(tokens for day, tokens in days.items() if Month(2026, 2).start.date() <= day)
        within += found.low <= whole <= found.high
    assert 0.70 <= within / 300 <= 0.90
