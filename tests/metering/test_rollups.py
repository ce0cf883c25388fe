"""Roll-ups: whatever the order, however often and wherever it is interrupted, they say what the records say."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering import check, reading, rollups
from metering.models import DailyUsage, HourlyLatency, HourlyUsage, MonthlyUsage, UsageRecord, Watermark
from metering.periods import Month
from metering.record import Record
from metering.store import StoreUnavailable, get_store, sql_sums
from metering.totals import percentile
from tests.metering.records import FEBRUARY, record, store
from tests.metering.test_store import BOT, OTHER_BOT, use_meter

MONTH = Month(2026, 2)
ROLLED = (HourlyUsage, DailyUsage, MonthlyUsage, HourlyLatency)

pytestmark = pytest.mark.django_db(transaction=True)


def shown(model) -> list[dict[str, Any]]:
    """Every row of a roll-up, without its number."""
    rows = [{name: value for name, value in row.items() if name != "id"} for row in model.objects.values()]
    return sorted(rows, key=str)


def everything() -> list[list[dict[str, Any]]]:
    return [shown(model) for model in ROLLED]


def differences(directory) -> list[str]:
    return [str(found) for found in check.checked(directory) if found]


# --- what they say ------------------------------------------------------------------------------


def test_an_hour_a_day_and_a_month_of_an_agent(alex, bot):
    store(
        record(bot, cost_input="0.000188", cost_output="0.000228", cache_read=200, reasoning=80),
        record(bot, at=FEBRUARY + timedelta(minutes=59, seconds=59), latency_ms=1_234),
        record(bot, at=FEBRUARY + timedelta(hours=1), status="timeout", latency_ms=60_000),
        record(bot, at=FEBRUARY, tier="economy", mode="managed", provider="minimax", price_total=8_150_000_000),
    )
    assert rollups.roll_up() == 1
    hours = HourlyUsage.objects.order_by("hour", "tier").values_list("hour", "tier", "status", "requests", "unpriced")
    assert list(hours) == [
        (FEBRUARY, "byokey", "ok", 2, 1),
        (FEBRUARY, "economy", "ok", 1, 1),
        (FEBRUARY + timedelta(hours=1), "byokey", "timeout", 1, 1),
    ]
    days = DailyUsage.objects.order_by("tier", "status").values_list("day", "tier", "status", "requests", "latency_ms")
    assert list(days) == [
        (date(2026, 2, 16), "byokey", "ok", 2, 2_434),
        (date(2026, 2, 16), "byokey", "timeout", 1, 60_000),
        (date(2026, 2, 16), "economy", "ok", 1, 1_200),
    ]
    month = MonthlyUsage.objects.get()
    assert (month.month, month.agent_id, month.workspace_id) == (date(2026, 2, 1), bot.pk, alex.workspace.pk)
    assert (month.requests, month.failed, month.unpriced, month.managed_tokens) == (4, 1, 3, 1_630)
    assert (month.tokens_input, month.tokens_output, month.cache_read, month.reasoning) == (5_000, 1_520, 200, 80)
    assert (month.cost_total, month.price_total) == (Decimal("0.000416"), Decimal("0.00815"))
    assert month.providers == ["minimax", "openai"]


def test_latencies_are_kept_to_two_digits(bot):
    store(*(record(bot, latency_ms=ms) for ms in (7, 99, 100, 109, 1_234, 1_299, 98_765, 123_456)))
    store(record(bot, latency_ms=5, status="timeout"))
    rollups.roll_up()
    kept = HourlyLatency.objects.order_by("latency_ms").values_list("latency_ms", "requests")
    assert list(kept) == [(7, 1), (99, 1), (100, 2), (1_200, 2), (98_000, 1), (120_000, 1)]


@pytest.mark.parametrize(
    ("latencies", "share", "expected"),
    [
        ([], 50, None),
        ([(5, 1)], 95, 5),
        ([(9, 1), (1, 1)], 50, 1),
        ([(1, 94), (2, 6)], 95, 2),
        ([(1, 95), (2, 5)], 95, 1),
    ],
)
def test_what_so_many_percent_of_the_requests_do_not_exceed(latencies, share, expected):
    assert percentile(latencies, share) == expected


def test_a_month_ends_where_the_next_begins(bot):
    store(
        record(bot, at=datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), tokens_input=1),
        record(bot, at=datetime(2026, 2, 1, tzinfo=UTC), tokens_input=20),
        record(bot, at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), tokens_input=300),
        record(bot, at=datetime(2026, 3, 1, tzinfo=UTC), tokens_input=4_000),
    )
    rollups.roll_up()
    months = MonthlyUsage.objects.order_by("month").values_list("month", "tokens_input")
    assert list(months) == [(date(2026, 1, 1), 1), (date(2026, 2, 1), 320), (date(2026, 3, 1), 4_000)]


def test_counts_that_no_column_holds_do_not_stop_the_others(bot):
    store(record(bot, tokens_input=2**62), record(bot, tokens_input=2**62), record(bot, tokens_input=2**62))
    rollups.roll_up()
    assert MonthlyUsage.objects.get().tokens_input == 2**63 - 1


# --- late, twice, in any order ------------------------------------------------------------------


def test_what_comes_late_goes_where_it_belongs(bot):
    store(record(bot))
    rollups.roll_up()
    assert rollups.roll_up() == 0
    store(record(bot, at=FEBRUARY - timedelta(days=40)), record(bot, at=FEBRUARY))
    assert rollups.roll_up() == 2
    assert list(MonthlyUsage.objects.order_by("month").values_list("requests", flat=True)) == [1, 2]


def test_what_is_stored_by_a_transaction_that_ends_late_is_not_missed(bot, monkeypatch):
    """The classic slip: a record with a lower number shows after one with a higher number was rolled up."""
    stored, released = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            store(record(bot, tokens_input=7_000))
            stored.set()
            released.wait(20)
        connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    assert stored.wait(20)
    monkeypatch.setattr(sql_sums, "LOCKED_AFTER", 0.1)
    store(record(bot, tokens_input=100))
    with pytest.raises(StoreUnavailable):
        rollups.roll_up()
    assert tokens_shown(bot) == 100
    released.set()
    thread.join()
    assert tokens_shown(bot) == 7_100
    rollups.roll_up()
    assert (tokens_shown(bot), MonthlyUsage.objects.get().tokens_input) == (7_100, 7_100)
    assert rollups.roll_up() == 0


def tokens_shown(bot) -> int:
    [used] = reading.month_usage(workspace_id=bot.workspace_id, month=MONTH)
    return used.tokens_input


def test_two_workers_at_once_double_nothing(bot):
    store(*(record(bot, at=FEBRUARY + timedelta(hours=n)) for n in range(48)))
    barrier = threading.Barrier(4)
    failures: list[Exception] = []

    def work() -> None:
        barrier.wait(20)
        try:
            rollups.roll_up()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert MonthlyUsage.objects.get().requests == 48
    assert HourlyUsage.objects.count() == 48


class PowerCut(Exception):
    pass


@contextmanager
def power_cut(after: int) -> Iterator[None]:
    """Let so many statements through, and none after them."""
    left = after

    def execute(run: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise PowerCut
        return run(*arguments)

    with connection.execute_wrapper(execute):
        yield


def test_a_worker_killed_between_any_two_statements_leaves_nothing_wrong(bot, tmp_path):
    store(record(bot), record(bot, at=FEBRUARY + timedelta(days=1)))
    rollups.roll_up()
    store(record(bot, at=FEBRUARY + timedelta(hours=1)), record(bot, tier="economy", mode="managed"))
    cut = 0
    while True:
        try:
            with power_cut(cut):
                rollups.roll_up()
            break
        except PowerCut:
            assert sum(each.requests for each in reading.month_usage(workspace_id=bot.workspace_id, month=MONTH)) == 4
            cut += 1
    assert cut > 10
    assert differences(tmp_path) == []
    assert MonthlyUsage.objects.get().requests == 4


@st.composite
def histories(draw: st.DrawFn) -> list[list[int]]:
    """Batches of numbers of records, in any order, some twice; between batches, roll-ups run."""
    numbers = draw(st.permutations(range(24)))
    again = draw(st.lists(st.sampled_from(range(24)), max_size=8))
    order = [*numbers, *again]
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1), max_size=6)))
    return [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def varied(agents: list[Any]) -> list[Record]:
    """24 records of two agents: over hours, days and months, on plans and own keys, answered and not."""
    return [
        record(
            agents[n % 2],
            id=str(UUID(int=n + 1)),
            at=datetime(2026, 1, 31, 22, 30, tzinfo=UTC) + timedelta(minutes=47 * n),
            tier=("byokey", "economy", "premium")[n % 3],
            mode="byokey" if n % 3 == 0 else "managed",
            status=("ok", "ok", "provider_cut")[n % 5 % 3],
            model=("gpt-4o-mini", "claude-haiku-4-5")[n % 7 % 2],
            cost_input=f"0.000{n:03}" if n % 4 else None,
            cost_output="0.000000000001" if n % 4 else None,
            tokens_input=10**n % 1_000_003,
            latency_ms=37 * n * n,
        )
        for n in range(24)
    ]


@pytest.fixture
def twins(bot, alex) -> list[Any]:
    from agents import services

    return [bot, services.create_agent(workspace=alex.workspace, name="FAQ Bot", by=alex.user, provider="anthropic")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=histories(), cut=st.integers(0, 60))
def test_any_order_any_runs_any_interruption_come_to_the_same(twins, tmp_path, batches, cut):
    forget()
    records = varied(twins)
    for number, batch in enumerate(batches):
        store(*(records[n] for n in batch))
        if number % 2:
            try:
                with power_cut(cut):
                    rollups.roll_up()
            except PowerCut:
                pass
        else:
            rollups.roll_up()
    rollups.roll_up()
    incremental = everything()
    for day in rollups.days_rebuilt():
        assert day
    assert everything() == incremental
    assert differences(tmp_path) == []
    for month in (Month(2026, 1), MONTH):
        raw = sorted(get_store().usage(workspace_id=twins[0].workspace_id, month=month), key=str)
        assert sorted(reading.month_usage(workspace_id=twins[0].workspace_id, month=month), key=str) == raw


def forget() -> None:
    """Empty the meter: Hypothesis runs all its examples in one test."""
    tables = ", ".join(f'"{model._meta.db_table}"' for model in (UsageRecord, *ROLLED, Watermark))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}")


# --- in SQLite ----------------------------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path, django_db_blocker):
    with django_db_blocker.unblock():
        yield from use_meter(
            "meter", ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "meter.sqlite3"), OPTIONS={}
        )


@pytest.mark.usefixtures("sqlite")
def test_in_sqlite_it_comes_to_the_same(tmp_path):
    agents = [BOT, OTHER_BOT]
    records = varied(agents)
    for start in range(0, 24, 7):
        store(*records[start : start + 7], records[0])
        rollups.roll_up()
    assert rollups.roll_up() == 0
    incremental = everything()
    assert sum(row["requests"] for row in shown(MonthlyUsage)) == 24
    assert len(list(rollups.days_rebuilt())) == 2
    assert everything() == incremental
    assert differences(tmp_path / "journal") == []
    store(record(BOT, at=FEBRUARY))
    assert rollups.roll_up() == 1
    raw = sorted(get_store().usage(workspace_id=BOT.workspace_id, month=MONTH), key=str)
    assert sorted(reading.month_usage(workspace_id=BOT.workspace_id, month=MONTH), key=str) == raw


# --- made again ---------------------------------------------------------------------------------


def test_the_command_brings_them_up_to_date(bot, capsys):
    store(record(bot), record(bot, at=FEBRUARY + timedelta(days=3)))
    call_command("roll_up")
    assert capsys.readouterr().out == "Days made again: 2.\n"
    call_command("roll_up", json=True)
    assert capsys.readouterr().out == '{"days": 0}\n'


def test_a_rebuild_mends_what_somebody_broke_and_keeps_what_has_no_records_any_more(bot, capsys):
    store(record(bot, at=FEBRUARY - timedelta(days=31)), record(bot))
    rollups.roll_up()
    before = everything()
    UsageRecord.objects.filter(timestamp__lt=FEBRUARY)._raw_delete("default")
    DailyUsage.objects.filter(day=FEBRUARY.date()).update(requests=99)
    HourlyUsage.objects.filter(hour=FEBRUARY).update(model="no-such-model")
    call_command("roll_up", rebuild=True)
    assert capsys.readouterr().out == "Days made again: 1.\n"
    assert everything() == before


def test_line_by_line_the_journal_form_is_stored_once(bot):
    line = msgspec.json.encode(record(bot))
    assert (get_store().append([line]), get_store().append([line])) == (1, 0)
    rollups.roll_up()
    assert MonthlyUsage.objects.get().requests == 1


# --- reading ------------------------------------------------------------------------------------


def test_a_record_shows_before_it_is_rolled_up(alex, bot):
    store(record(bot), record(bot, tier="economy", mode="managed"))
    rollups.roll_up()
    store(record(bot, status="timeout"))
    [used] = reading.month_usage(workspace_id=alex.workspace.pk, month=MONTH)
    assert (used.requests, used.failed, used.managed_tokens, used.providers) == (3, 1, 1_630, ("openai",))
    parts, took = reading.agent_month(workspace_id=alex.workspace.pk, agent_id=bot.pk, month=MONTH)
    assert sum(sums.requests for sums in parts.values()) == 3
    assert dict(took) == {1_200: 2}


def test_a_month_that_is_rolled_up_is_read_without_a_look_at_its_records(alex, bot):
    store(*(record(bot, at=FEBRUARY + timedelta(minutes=n)) for n in range(600)))
    rollups.roll_up()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for read in (
        lambda: reading.month_usage(workspace_id=alex.workspace.pk, month=MONTH),
        lambda: reading.agent_month(workspace_id=alex.workspace.pk, agent_id=bot.pk, month=MONTH),
    ):
        plans = explained(read)
        about_records = [plan for plan in plans if "metering_usagerecord" in plan]
        assert about_records
        assert all("stored_idx" in plan for plan in about_records)  # each month's part of records_as_stored
        assert all("Index" in plan for plan in plans)


def explained(read: Callable[[], Any]) -> list[str]:
    """The plans of the statements that reading takes, as Postgres would carry them out on a large table."""
    plans: list[str] = []

    def execute(run: Callable[..., Any], statement: str, values: Any, many: bool, context: Any) -> Any:
        if statement.lstrip().startswith("SELECT"):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute("SET enable_seqscan = off")
                cursor.execute(f"EXPLAIN {statement}", values)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
                cursor.execute("RESET enable_seqscan")
        return run(statement, values, many, context)

    with connection.execute_wrapper(execute):
        read()
    return plans
