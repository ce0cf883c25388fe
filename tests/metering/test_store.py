"""What a store of usage records promises, asked of SQLite, PostgreSQL and MongoDB alike."""

import base64
import json
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
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from agents.models import Agent
from metering.models import UsageRecord
from metering.periods import Month
from metering.record import PICO, Record
from metering.store import BadRecord, Store, StoreUnavailable, get_store, mongo_client
from metering.store.base import OfSession
from metering.store.sql import SqlStore
from tests.backends import Postgres, mongodb
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


def use_mongodb() -> Iterator[None]:
    """Keep the meter's records in a MongoDB of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.METER_MONGODB_URL", mongodb().url(f"meter_{uuid4().hex}"))
        yield
        mongo_client.records(settings.METER_MONGODB_URL).database.client.drop_database(
            mongo_client.records(settings.METER_MONGODB_URL).database.name
        )
        mongo_client.close()


@pytest.fixture(scope="module", params=["postgresql", "sqlite", "mongodb"])
def _meter(request, tmp_path_factory, django_db_setup, django_db_blocker):
    if request.param == "mongodb":
        yield from use_mongodb()
        return
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
        yield get_store()
        emptied()


def emptied() -> None:
    if settings.METER_MONGODB_URL:
        mongo_client.records(settings.METER_MONGODB_URL).delete_many({})
        return
    with connections["meter"].cursor() as cursor:
        cursor.execute(f'DELETE FROM "{UsageRecord._meta.db_table}"')


def written(*records: Record) -> list[bytes]:
    return [msgspec.json.encode(each) for each in records]


def altered(**fields) -> bytes:
    """A record's line with fields that no :class:`Record` would have."""
    return msgspec.json.encode({**msgspec.to_builtins(record(BOT)), **fields})


def usage_of(store: Store, agent: Agent, month: Month = FEBRUARY):
    [found] = [each for each in store.usage(workspace_id=agent.workspace_id, month=month) if each.agent_id == agent.pk]
    return found


def ids(store: Store, **more) -> list[str]:
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


IN_TABLES = pytest.mark.parametrize("_meter", ["postgresql", "sqlite"], indirect=True)


@IN_TABLES
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


@IN_TABLES
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


# --- What is new ----------------------------------------------------------------------------------

ON_A_PLAN: dict[str, Any] = {"mode": "managed", "tier": "economy"}
SIX = datetime(2026, 2, 16, 18, tzinfo=UTC)


def test_what_was_there_at_a_mark_is_told_from_what_came_after(store):
    assert store.mark() <= store.mark()
    first, later = record(BOT, at=SIX, **ON_A_PLAN), record(BOT, at=SIX - timedelta(hours=1), **ON_A_PLAN)
    store.append(written(first, record(BOT, at=SIX)))
    mark = store.mark()
    assert store.mark() == mark
    store.append(written(later, record(OTHER_BOT, at=SIX)))
    of_bot = {"agent_ids": [BOT.pk], "month": FEBRUARY}
    assert [str(each.id) for each in store.counted(**of_bot, before=mark)] == [first.id]
    assert [str(each.id) for each in store.counted(**of_bot)] == sorted([first.id, later.id])
    assert ids(store, before=mark, managed=True) == [first.id]
    assert ids(store, managed=True) == [first.id, later.id]
    assert store.counted_sums(month=FEBRUARY, before=mark) == [(WORKSPACE, BOT.pk, 1, 1_630)]
    assert store.counted_sums(month=FEBRUARY) == [(WORKSPACE, BOT.pk, 2, 3_260)]
    assert store.counted_sums(month=FEBRUARY.previous()) == []
    assert store.touched(since=0, before=mark) == {SIX: [BOT.pk]}
    assert store.touched(since=mark, before=store.mark()) == {
        SIX: [OTHER_BOT.pk],
        SIX - timedelta(hours=1): [BOT.pk],
    }
    [(day, key, sums)] = store.recent(since=mark, workspace_id=WORKSPACE, month=FEBRUARY, agent_id=BOT.pk)
    assert (day, key.tier, sums.requests, sums.tokens) == (SIX.date(), "economy", 1, 1_630)
    assert len(list(store.recent(since=mark, workspace_id=WORKSPACE, month=FEBRUARY))) == 2
    assert list(store.recent_latencies(since=mark, agent_id=BOT.pk, month=FEBRUARY)) == [(1_200, 1)]


def test_whose_months_got_records_late(store):
    mark = store.mark()
    store.append(
        written(record(BOT, **ON_A_PLAN), record(BOT, at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC), **ON_A_PLAN))
    )
    store.append(written(record(OTHER_BOT), record(STRANGERS_BOT, **ON_A_PLAN)))
    since = {"workspace_ids": [WORKSPACE], "until": FEBRUARY.end}
    months = {(WORKSPACE, BOT.pk, Month(2026, 1)), (WORKSPACE, BOT.pk, FEBRUARY)}
    assert store.months_since(**since, since=mark) == months
    assert store.months_since(**since, since=store.mark()) == set()
    assert store.months_since(workspace_ids=[WORKSPACE], since=mark, until=FEBRUARY.start) == {
        (WORKSPACE, BOT.pk, Month(2026, 1))
    }


def test_hours_are_added_up_by_what_their_records_have_in_common(store):
    store.append(
        written(
            record(BOT, at=SIX, cost_input="0.0001875", cost_output="0.000228", cache_read=7, latency_ms=1_234),
            record(BOT, at=SIX + timedelta(minutes=59, seconds=59), latency_ms=99),
            record(BOT, at=SIX, status="timeout", latency_ms=60_000),
            record(BOT, at=SIX + timedelta(hours=1)),
            record(OTHER_BOT, at=SIX),
            record(STRANGERS_BOT, at=SIX + timedelta(days=1)),
        )
    )
    mark = store.mark()
    hours = {hour: sorted(agents) for hour, agents in store.hours(day=SIX.date()).items()}
    assert hours == {SIX: sorted([BOT.pk, OTHER_BOT.pk]), SIX + timedelta(hours=1): [BOT.pk]}
    store.append(written(record(BOT, at=SIX)))
    sums = {(hour, key.status): sums for hour, key, sums in store.slices({SIX: [BOT.pk]}, before=mark)}
    answered, timed_out = sums[SIX, "ok"], sums[SIX, "timeout"]
    assert (answered.requests, answered.unpriced, answered.cache_read, answered.latency_ms) == (2, 1, 7, 1_333)
    assert (answered.tokens, answered.cost_total) == (3_260, Decimal("0.0004155"))
    assert (timed_out.requests, timed_out.cost_total, len(sums)) == (1, 0, 2)
    took = sorted(store.latencies({SIX: [BOT.pk]}, before=mark))
    assert [(each.hour, each.agent_id, each.latency_ms, each.requests) for each in took] == [
        (SIX, BOT.pk, 99, 1),
        (SIX, BOT.pk, 1_200, 1),
    ]
    assert store.days() == (SIX.date(), SIX.date() + timedelta(days=1))


def test_a_month_counts_what_is_on_a_plan_and_not_what_waits_elsewhere(store):
    one, two = record(BOT, **ON_A_PLAN), record(BOT, **ON_A_PLAN)
    store.append(written(one, two, record(BOT), record(BOT, at=FEBRUARY.end, **ON_A_PLAN)))
    assert store.month_tokens(agent_id=BOT.pk, month=FEBRUARY) == 3_260
    assert store.month_tokens(agent_id=BOT.pk, month=FEBRUARY, leaving_out=[UUID(two.id)]) == 1_630
    assert store.month_tokens(agent_id=OTHER_BOT.pk, month=FEBRUARY) == 0


# --- Page by page ---------------------------------------------------------------------------------


def all_pages(store: Store, *, limit: int, meanwhile=lambda: None) -> list[str]:
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


def moments(store: Store, agent: Agent) -> list[datetime]:
    return [each.timestamp for each in reversed(store.records(workspace_id=agent.workspace_id).records)]


def test_the_oldest_of_a_workspace_go_first_and_a_few_at_a_time(store, monkeypatch):
    for module in ("sql", "mongo"):
        monkeypatch.setattr(f"metering.store.{module}.FORGOTTEN_AT_ONCE", 2)
    days = [NOON + timedelta(days=number) for number in range(3)]
    store.append(written(*(record(BOT, at=day) for day in (days[2], days[0], MARCH, days[1]))))
    store.append(written(record(STRANGERS_BOT, at=NOON)))
    forget = partial(store.forget, workspace_id=WORKSPACE, until=MARCH, before=store.mark())
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


# --- Experiments ----------------------------------------------------------------------------------------------------


def test_what_sides_of_an_experiment_did_is_told_by_session(store):
    store.append(
        written(
            record(BOT, experiment_arm="arm-a", session="one", cost_input="0.25", cost_output="0.50"),
            record(BOT, experiment_arm="arm-a", session="one", latency_ms=800, price_total=2 * PICO),
            record(BOT, experiment_arm="arm-a", session="one", status="client_closed", latency_ms=9_000),
            record(BOT, experiment_arm="arm-a", session="one", status="timeout", latency_ms=60_000),
            record(BOT, experiment_arm="arm-a", session="two"),
            record(BOT, experiment_arm="arm-b", session="one"),
            record(BOT, experiment_arm="of-another", session="one"),
            record(BOT),
        )
    )
    found = {(each.arm, each.session): each for each in store.sessions(arms=["arm-a", "arm-b"])}
    assert sorted(found) == [("arm-a", "one"), ("arm-a", "two"), ("arm-b", "one")]
    assert found["arm-a", "one"] == OfSession(
        arm="arm-a",
        session="one",
        requests=4,
        ended=3,
        answered=2,
        latency_ms=2_000,
        priced=1,
        cost_total=Decimal("0.75"),
        price_total=Decimal(2),
    )
    assert list(store.sessions(arms=[])) == []


def test_a_line_from_before_there_were_sessions_has_none(store):
    [line] = written(record(BOT, experiment_arm="arm-a"))
    old = json.loads(line)
    del old["session"]
    store.append([json.dumps(old).encode()])
    [found] = store.sessions(arms=["arm-a"])
    assert (found.session, found.requests) == ("", 1)
