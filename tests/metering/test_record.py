"""The record's money and moments as they are written down."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.fields import UsdField
from metering.models import UsageRecord
from metering.record import Record, picodollars, utc_text

DOCUMENT = (
    "agent_id, workspace_id, timestamp, provider, model, tier, tokens_input, tokens_output, cost_input, cost_output, "
    "cost_total, price_total, request_type, latency_ms"
)


def test_the_documents_fields_are_there_under_its_names():
    assert set(DOCUMENT.split(", ")) <= set(Record.__struct_fields__)


def test_every_field_has_a_column():
    columns = {field.column for field in UsageRecord._meta.concrete_fields}
    assert set(Record.__struct_fields__) <= columns


def test_the_documents_own_costs_are_exact():
    assert picodollars(Decimal("0.0001875")) == 187_500_000
    assert picodollars(Decimal("0.000228")) == 228_000_000


@pytest.mark.parametrize(
    ("dollars", "pico"),
    [("0.0000000000005", 1), ("0.00000000000049", 0), ("-0.0000000000005", -1), ("9000000", 9 * 10**18)],
)
def test_what_is_finer_is_rounded_half_up(dollars, pico):
    assert picodollars(Decimal(dollars)) == pico


@given(st.integers(-(2**63), 2**63 - 1))
def test_money_survives_the_column(pico):
    field = UsdField()
    assert field.get_prep_value(field.from_db_value(pico)) == pico


def test_a_moment_is_written_in_utc_as_both_databases_read_it():
    assert utc_text(datetime(2026, 2, 16, 18, 0, 0, 1, tzinfo=UTC)) == "2026-02-16 18:00:00.000001"
    assert utc_text(datetime(2026, 2, 16, 18, 0, tzinfo=UTC)) == "2026-02-16 18:00:00"
    assert utc_text(datetime(2026, 2, 16, 19, 0, tzinfo=timezone(timedelta(hours=1)))) == "2026-02-16 18:00:00"


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_moments_sort_as_text_as_they_do_in_time(one, other):
    assert (utc_text(one) < utc_text(other)) == (one < other)


@pytest.mark.parametrize("wrong", [{"tokens_input": -1}, {"tokens_output": 2**63}, {"model": "x" * 201}, {"id": "1"}])
def test_what_no_column_holds_is_refused_when_read(bot, wrong):
    from tests.metering.records import record

    line = msgspec.json.encode(record(bot, **wrong))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=Record)
