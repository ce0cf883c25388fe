"""Tokens are in exactly one part each, and ids of records grow with time."""

import time
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from metering.usage import Usage, record_id

COUNTS = st.integers(0, 2**53)
USAGES = st.builds(
    Usage,
    input=COUNTS,
    cache_read=COUNTS,
    cache_write_5m=COUNTS,
    cache_write_1h=COUNTS,
    output=COUNTS,
    reasoning=COUNTS,
)


def test_all_input_counts_cached_tokens_and_all_output_counts_reasoning():
    usage = Usage(input=1_000, cache_read=200, cache_write_5m=40, cache_write_1h=10, output=300, reasoning=80)
    assert (usage.tokens_input, usage.cache_write, usage.tokens_output) == (1_250, 50, 380)


@given(USAGES)
def test_no_token_is_counted_twice_or_lost(usage):
    parts = [getattr(usage, name) for name in Usage.__struct_fields__]
    assert usage.tokens_input + usage.tokens_output == sum(parts)


@given(USAGES, USAGES)
def test_attempts_add_up_part_by_part(one, other):
    both = one + other
    assert [getattr(both, name) for name in Usage.__struct_fields__] == [
        getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__
    ]
    assert both.tokens_input == one.tokens_input + other.tokens_input
    assert one + other == other + one
    assert one + Usage() == one


def test_an_id_is_a_uuid_of_version_7():
    before = time.time_ns() // 1_000_000
    text = record_id()
    after = time.time_ns() // 1_000_000
    uuid = UUID(text)
    assert (str(uuid), uuid.version, uuid.variant) == (text, 7, RFC_4122)
    assert before <= uuid.int >> 80 <= after


def test_a_hundred_thousand_ids_differ_and_all_variants_are_right():
    ids = {record_id() for _ in range(100_000)}
    assert len(ids) == 100_000
    assert {text[14] for text in ids} == {"7"}
    assert {text[19] for text in ids} == set("89ab")
    assert {len(text) for text in ids} == {36}


@pytest.mark.parametrize("year", [2026, 2038, 4000])
def test_ids_sort_by_time(year):
    with time_machine.travel(datetime(year, 2, 16, tzinfo=UTC), tick=False) as clock:
        ids = []
        for _ in range(100):
            ids.append(record_id())
            clock.shift(0.001)
    assert ids == sorted(ids)
