"""Workspaces that nobody thought of: wishes for plans in any order, requests around every edge, some of them twice."""

import os
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st

from tests.billing.second_rater import Request, Wish

START = datetime(2026, 2, 1, tzinfo=UTC)
INCLUDED = [2_000_000, 5_000_000, 10_000_000]

# Seconds matter most around the ends of months.
moments = st.one_of(
    st.integers(0, 31_536_000 * 2).map(lambda seconds: START + timedelta(seconds=seconds)),
    st.tuples(st.sampled_from([(2026, 2), (2026, 3), (2026, 4), (2026, 5), (2027, 1)]), st.integers(-2, 2)).map(
        lambda end: max(START, datetime(*end[0], 1, tzinfo=UTC) + timedelta(seconds=end[1]))
    ),
    st.integers(0, 89).map(lambda day: START + timedelta(days=day, hours=7)),
)
wishes = st.lists(
    st.builds(Wish, when=moments, tier=st.sampled_from([None, "economy", "standard", "premium"])),
    max_size=7,
    unique_by=lambda wish: wish.when,
)
sizes = st.one_of(
    st.integers(0, 6_000_000),
    st.tuples(st.sampled_from(INCLUDED), st.integers(-1, 1)).map(sum),
    st.sampled_from([2_002_499, 2_002_500, 5_001_666, 5_001_667, 10_000_999, 10_001_000]),
)


arrivals = st.builds(
    Request,
    id=st.integers(0, 20).map(str),
    when=moments,
    tokens=sizes,
    managed=st.sampled_from([True, True, True, False]),
    late=st.booleans(),
)
# Some of them twice: the same request shipped again.
requests = st.lists(arrivals, max_size=6, unique_by=lambda request: request.id).flatmap(
    lambda made: st.lists(st.sampled_from(made), max_size=2).map(lambda again: made + again) if made else st.just(made)
)

rates = st.sampled_from(["0", "20", "8.875", "21", "7.7", "25.5"])


def examples(usual: int, *, thorough: int = 5_000) -> settings:
    """Ask for so many examples in the suite, and for thousands under ``HYPOTHESIS_PROFILE=thorough``."""
    return settings(max_examples=thorough if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else usual)
