"""Months are calendar months in UTC, and the first instant of the next one isn't in them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.periods import Month

FEBRUARY = Month(2026, 2)
MOMENTS = st.builds(datetime.fromtimestamp, st.integers(950_000_000, 4_000_000_000), st.timezones())  # 2000 to 2096


def test_february_ends_where_march_begins():
    assert FEBRUARY.start == datetime(2026, 2, 1, tzinfo=UTC)
    assert FEBRUARY.end == Month(2026, 3).start == datetime(2026, 3, 1, tzinfo=UTC)
    assert Month.of(datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)) == FEBRUARY
    assert Month.of(datetime(2026, 3, 1, tzinfo=UTC)) == Month(2026, 3)


def test_a_month_is_utcs_wherever_the_clock_stands():
    assert Month.of(datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == FEBRUARY
    assert Month.of(datetime(2026, 1, 31, 20, 0, tzinfo=timezone(timedelta(hours=-5)))) == FEBRUARY


def test_years_end_and_begin():
    assert Month(2025, 12).next() == Month(2026, 1)
    assert Month(2026, 1).previous() == Month(2025, 12)


@given(MOMENTS)
def test_every_moment_is_in_its_month_and_in_no_other(moment):
    month = Month.of(moment)
    assert month.start <= moment < month.end
    assert not month.previous().start <= moment < month.previous().end
    assert not month.next().start <= moment < month.next().end
    assert month.next().previous() == month


@given(MOMENTS)
def test_what_is_written_is_read_back_and_sorts(moment):
    month = Month.of(moment)
    assert Month.parse(str(month)) == month
    assert str(month) < str(month.next())
    assert month < month.next()


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-2", "2026-13", "2026-00", "26-02", "2026-02-01", " 2026-02", "2026-02\n", "٢٠٢٦-٠٢"]
)
def test_anything_else_is_no_month(text):
    with pytest.raises(ValueError, match="isn't a month"):
        Month.parse(text)
