"""What a store of usage records promises, asked of SQLite and PostgreSQL alike."""

import base64
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from agents.models import Agent
from metering.models import UsageRecord
from metering.periods import Month
from metering.record import Record
from metering.store import BadRecord, StoreUnavailable
from metering.store.sql import SqlStore
from tests.backends import Postgres
from tests.metering.records import record

FEBRUARY = Month(2026, 2)
NOON = datetime(2026, 2, 16, 12, 0, tzinfo=UTC)
WORKSPACE = uuid4()
BOT = Agent(pk=uuid4(), workspace_id=WORKSPACE, provider="openai", model="gpt-4o-mini")
OTHER_BOT = Agent(pk=uuid4(), workspace_id=WORKSPACE, provider="mistral", model="mistral-small-latest")
STRANGERS_BOT = Agent(pk=uuid4(), workspace_id=uuid4(), provider="openai", model="gpt-4o-mini")


def use_meter(alias: str, **different) -> Iterator[None]:
    """Give the meter a database of its own, ``different`` from the default one in these settings, and its table."""
    connections.databases[alias] = {**connections.databases["default"], **different}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.METER_DATABASE", alias)
        call_command("migrate", "metering", database=alias, verbosity=0)
        yield
    connections[alias].close()
    del connections[alias]
    del connections.databases[alias]


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def _meter(request, tmp_path_factory, django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            file = tmp_path_factory.mktemp("meter") / "meter.sqlite3"
            engine = "django.db.backends.sqlite3"
            yield from use_meter("meter", ENGINE=engine, NAME=str(file), OPTIONS={"timeout": 0.05})
            return
        default = connections["default"].get_connection_params()
        place = {name: default[name] for name in ("host", "port", "user") if default.get(name)}
        name = f"meter_{uuid4().hex}"
        with psycopg.connect(dbname="postgres", autocommit=True, **place) as server:
            server.execute(f'CREATE DATABASE "{name}"')
            yield from use_meter("meter", NAME=name)
            server.execute(f'DROP DATABASE "{name}"')


@pytest.fixture
def store(_meter, django_db_blocker):
    with django_db_blocker.unblock():
        yield SqlStore()
        emptied()


def emptied() -> None:
    with connections["meter"].cursor() as cursor:
        cursor.execute(f'DELETE FROM "{UsageRecord._meta.db_table}"')


def written(*records: Record) -> list[bytes]:
    return [msgspec.json.encode(each) for each in records]


def altered(**fields) -> bytes:
    """A record's line with fields that no :class:`Record` would have."""
    return msgspec.json.encode({**msgspec.to_builtins(record(BOT)), **fields})


def usage_of(store: SqlStore, agent: Agent, month: Month = FEBRUARY):
    [found] = [each for each in store.usage(workspace_id=agent.workspace_id, month=month) if each.agent_id == agent.pk]
    return found


def ids(store: SqlStore, **more) -> list[str]:
    return [str(each.id) for each in store.records(workspace_id=WORKSPACE, **more).records]


# --- Storing --------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was(store):
    one = record(BOT, cost_input="0.0001875", cost_output="0.000228", ttft_ms=250, streamed=True, cache_read=7)
    assert store.append(written(one)) == 1
    [back] = store.records(workspace_id=WORKSPACE).records
    assert (str(back.id), back.agent_id, back.model) == (one.id, BOT.pk, "gpt-4o-mini")
    assert back.timestamp == datetime(2026, 2, 16, 18, 0, tzinfo=UTC)
    assert (back.tokens_input, back.tokens_output, back.cache_read, back.ttft_ms) == (1250, 380, 7, 250)
    assert (back.cost_input, back.cost_output, back.cost_total) == (
        Decimal("0.0001875"),
        Decimal("0.000228"),
        Decimal("0.0004155"),
    )
    assert (back.streamed, back.price_total, back.provenance) == (True, Decimal(0), "reported")


def test_attempts_come_back_as_they_were(store):
    attempts = [{"provider": "openai", "model": "gpt-4o", "status": 503, "latency_ms": 12}]
    store.append([altered(attempts=attempts)])
    [back] = store.records(workspace_id=WORKSPACE).records
    assert back.attempts == attempts


def test_a_record_is_stored_once_however_often_it_comes(store):
    one, two = record(BOT), record(BOT)
    assert store.append(written(one, one)) == 1
    assert store.append(written(one, two)) == 1
    assert store.append(written(one, two)) == 0
    assert store.append([]) == 0
    assert sorted(ids(store)) == sorted([one.id, two.id])


def test_what_comes_again_with_other_figures_changes_nothing(store):
    one = record(BOT)
    store.append(written(one))
    assert store.append(written(msgspec.structs.replace(one, tokens_input=9))) == 0
    assert usage_of(store, BOT).tokens_input == 1250


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"\xff",
        b"{}",
        altered(id=None),
        altered(id="not an id"),
        altered(timestamp="half past six"),
        altered(tokens_input="many"),
        altered(tokens_input=None),
        altered(tokens_input=2**63),
        altered(tokens_output=2**70),
        altered(cost_total=10**30),
        altered(latency_ms=2**31),
        altered(model="x" * 201),
        altered(model=None),
        altered(model="a\0b"),
        altered(model="\\\0"),
        altered(model="MARK").replace(b"MARK", b"\\ud800"),
        altered(provider="a provider with a long name"),
        altered(streamed="perhaps"),
    ],
)
def test_of_a_batch_with_a_bad_record_nothing_is_stored(store, bad):
    with pytest.raises(BadRecord) as refused:
        store.append([*written(record(BOT)), bad, *written(record(BOT))])
    assert "gpt-4o-mini" not in repr(refused.value)
    assert ids(store) == []
    assert store.append(written(record(BOT))) == 1  # and the next batch is


@pytest.mark.parametrize(
    "model", ["模型-ünïcode-🟣", "a'b\"c\\d", "\\u0000", "\\\\u0000", "%s {} $1", "x" * 200, "\t\r\n"]
)
def test_a_models_name_is_kept_to_the_letter(store, model):
    store.append(written(record(BOT, model=model)))
    [back] = store.records(workspace_id=WORKSPACE).records
    assert back.model == model


# --- The store is away ----------------------------------------------------------------------------


def test_a_table_that_is_not_there_yet_is_no_fault_of_the_records(store):
    table = UsageRecord._meta.db_table
    with connections["meter"].cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{table}" RENAME TO elsewhere')
    try:
        with pytest.raises(StoreUnavailable):
            store.append(written(record(BOT)))
    finally:
        with connections["meter"].cursor() as cursor:
            cursor.execute(f'ALTER TABLE elsewhere RENAME TO "{table}"')
    assert store.append(written(record(BOT))) == 1


def test_a_server_that_stopped_is_away_and_back_once_it_runs(django_db_setup, django_db_blocker):
    server = Postgres(durable=True)
    with django_db_blocker.unblock():
        for _ in use_meter("stopping", HOST="127.0.0.1", PORT=server.port, USER="postgres", NAME="postgres"):
            store = SqlStore()
            before, while_away = record(BOT), record(BOT)
            store.append(written(before))
            server.stop()
            for _attempt in range(2):  # on the broken connection, and on none
                with pytest.raises(StoreUnavailable) as away:
                    store.append(written(while_away))
                assert "127.0.0.1" not in str(away.value)
            server.start()
            assert store.append(written(before, while_away)) == 1
    server.remove()


def test_a_table_that_somebody_else_has_locked_is_away_until_it_is_free(store):
    meter = connections["meter"]
    other: Any
    if meter.vendor == "sqlite":
        other, lock = sqlite3.connect(meter.settings_dict["NAME"]), "BEGIN EXCLUSIVE"
    else:
        other, lock = psycopg.connect(**meter.get_connection_params()), f'LOCK "{UsageRecord._meta.db_table}"'
        with meter.cursor() as cursor:
            cursor.execute("SET lock_timeout = 50")
    other.execute(lock)
    with pytest.raises(StoreUnavailable):
        store.append(written(record(BOT)))
    other.rollback()
    other.close()
    assert store.append(written(record(BOT))) == 1


# --- Adding up ------------------------------------------------------------------------------------


def test_each_agents_month_is_added_up(store):
    store.append(
        written(
            record(BOT, cost_input="0.0001875", cost_output="0.000228"),
            record(BOT, status="provider_error", http_status=500, tokens_input=0, tokens_output=0),
            record(BOT, provider="anthropic", mode="managed", tier="standard", price_total=8_150_000_000),
            record(OTHER_BOT),
            record(STRANGERS_BOT),
        )
    )
    found = usage_of(store, BOT)
    assert (found.requests, found.failed, found.unpriced) == (3, 1, 2)
    assert (found.tokens_input, found.tokens_output, found.managed_tokens) == (2500, 760, 1630)
    assert (found.cost_total, found.price_total) == (Decimal("0.0004155"), Decimal("0.00815"))
    assert found.providers == ("anthropic", "openai")
    assert usage_of(store, OTHER_BOT).cost_total == 0
    assert len(store.usage(workspace_id=WORKSPACE, month=FEBRUARY)) == 2


def test_sums_are_exact_beyond_what_a_float_holds(store):
    big = 2**53
    store.append(
        written(
            record(BOT, tokens_input=big + 1, tokens_output=1, cost_input="9007.199254740993", cost_output="0"),
            record(BOT, tokens_input=big, tokens_output=2, cost_input="0.000000000001", cost_output="0"),
            record(BOT, tokens_input=2, tokens_output=0),
        )
    )
    found = usage_of(store, BOT)
    assert (found.tokens_input, found.tokens_output) == (2 * big + 3, 3)
    assert found.cost_total == Decimal("9007.199254740994")


def test_the_last_hours_tokens_by_agent_on_our_keys(store):
    managed = {"mode": "managed", "tier": "economy"}
    lines = [
        record(BOT, at=NOON, **managed),
        record(BOT, at=NOON + timedelta(minutes=5), **managed),
        record(BOT, at=NOON - timedelta(microseconds=1), **managed),
        record(OTHER_BOT, at=NOON, **managed),
        record(STRANGERS_BOT, at=NOON),
    ]
    store.append([msgspec.json.encode(each) for each in lines])
    assert store.tokens_since(since=NOON) == {BOT.pk: 3_260, OTHER_BOT.pk: 1_630}


def test_a_month_holds_its_last_microsecond_and_not_the_next_ones_first(store):
    moments = [
        datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 1, 0, 0, 0, 1, tzinfo=UTC),
    ]
    store.append(written(*[record(BOT, at=at) for at in moments]))
    counted = [usage_of(store, BOT, month).requests for month in (Month(2026, 1), FEBRUARY, Month(2026, 3))]
    assert counted == [1, 2, 2]
    listed = [len(ids(store, month=month)) for month in (Month(2026, 1), FEBRUARY, Month(2026, 3))]
    assert listed == [1, 2, 2]
    assert store.first_record_at(workspace_id=WORKSPACE) == moments[0]


def test_a_month_without_records_is_empty(store):
    assert store.usage(workspace_id=WORKSPACE, month=FEBRUARY) == []
    assert store.first_record_at(workspace_id=WORKSPACE) is None


# --- Page by page ---------------------------------------------------------------------------------


def all_pages(store: SqlStore, *, limit: int, meanwhile=lambda: None) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = store.records(workspace_id=WORKSPACE, cursor=cursor, limit=limit)
        assert len(page.records) <= limit
        found += [str(each.id) for each in page.records]
        meanwhile()
        cursor = page.next_cursor
        if cursor is None:
            return found


@hypothesis(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.lists(st.integers(0, 3), min_size=1, max_size=12), limit=st.integers(1, 5))
def test_pages_have_no_gaps_and_no_repeats_though_moments_are_shared(store, after, limit):
    emptied()
    # Whole seconds among them: text that has a fraction and text that has none must sort alike.
    stored = [record(BOT, at=NOON + timedelta(microseconds=500_000 * half)) for half in after]
    store.append(written(*stored))
    newest_first = sorted(stored, key=lambda each: (each.timestamp, each.id), reverse=True)
    assert all_pages(store, limit=limit) == [each.id for each in newest_first]


def test_records_that_come_in_meanwhile_move_nobody_between_pages(store):
    stored = [record(BOT, at=NOON + timedelta(seconds=number)) for number in range(10)]
    store.append(written(*stored))
    newer = iter(range(100))

    def one_more() -> None:
        store.append(written(record(BOT, at=NOON + timedelta(hours=1, seconds=next(newer)))))

    assert all_pages(store, limit=3, meanwhile=one_more) == [each.id for each in reversed(stored)]


def test_a_page_that_holds_the_last_record_is_the_last(store):
    store.append(written(*[record(BOT) for _ in range(4)]))
    assert store.records(workspace_id=WORKSPACE, limit=4).next_cursor is None


def test_records_are_of_one_workspace_and_of_one_agent_if_asked(store):
    store.append(written(record(BOT), record(OTHER_BOT), record(STRANGERS_BOT)))
    assert len(ids(store)) == 2
    [found] = store.records(workspace_id=WORKSPACE, agent_id=OTHER_BOT.pk).records
    assert found.agent_id == OTHER_BOT.pk
    assert ids(store, agent_id=STRANGERS_BOT.pk) == []


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "2026-02-16T12:00:00+00:00",
        "2026-02-16T12:00:00+00:00 not-an-id",
        f"2026-02-16T12:00:00 {UUID(int=0)}",
        f"0001-01-01T00:00:00+23:00 {UUID(int=0)}",
        f"yesterday {UUID(int=0)}",
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(store, inside):
    for cursor in (base64.urlsafe_b64encode(inside.encode()).decode() or "x", inside or "é"):
        with pytest.raises(ValueError, match="none of ours"):
            store.records(workspace_id=WORKSPACE, cursor=cursor)


# --- Forgetting -----------------------------------------------------------------------------------

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LATER = 2**62  # than any mark


def moments(store: SqlStore, agent: Agent) -> list[datetime]:
    return [each.timestamp for each in reversed(store.records(workspace_id=agent.workspace_id).records)]


def test_the_oldest_of_a_workspace_go_first_and_a_few_at_a_time(store, monkeypatch):
    monkeypatch.setattr("metering.store.sql.FORGOTTEN_AT_ONCE", 2)
    days = [NOON + timedelta(days=number) for number in range(3)]
    store.append(written(*(record(BOT, at=day) for day in (days[2], days[0], MARCH, days[1]))))
    store.append(written(record(STRANGERS_BOT, at=NOON)))
    forget = partial(store.forget, workspace_id=WORKSPACE, until=MARCH, before=LATER)
    assert forget() == 2
    assert moments(store, BOT) == [days[2], MARCH]
    assert (forget(), forget()) == (1, 0)
    assert (moments(store, BOT), moments(store, STRANGERS_BOT)) == ([MARCH], [NOON])


def test_what_was_stored_after_a_mark_is_not_forgotten(store):
    store.append(written(record(BOT, at=NOON)))
    mark = store.mark()
    store.append(written(record(BOT, at=NOON + timedelta(seconds=1))))
    assert store.forget(workspace_id=WORKSPACE, until=MARCH, before=mark) == 1
    assert moments(store, BOT) == [NOON + timedelta(seconds=1)]
