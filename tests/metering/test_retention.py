"""Old records go, what they came to stays; PostgreSQL keeps each month by itself."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from agents.models import Agent
from metering import check, kept, reading, retention, rollups
from metering.models import DailyUsage, HourlyUsage, KeptSince, UsageRecord
from metering.periods import Month
from metering.store import StoreUnavailable, get_store, sql_months
from tests.metering.records import FEBRUARY, record, store
from tests.metering.test_rollups import everything

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
ANY_MARK = 2**62
pytestmark = pytest.mark.django_db(transaction=True)
BOT = Agent(pk=uuid4(), workspace_id=uuid4(), provider="openai", model="gpt-4o-mini")
OTHER_BOT = Agent(pk=uuid4(), workspace_id=uuid4(), provider="openai", model="gpt-4o-mini")


def left(agent: Agent) -> list[datetime]:
    found = UsageRecord.objects.filter(agent_id=agent.pk).order_by("timestamp")
    return list(found.values_list("timestamp", flat=True))


def forget(until: dict[Agent, datetime]) -> int:
    named = {agent.workspace_id: moment for agent, moment in until.items()}
    return sum(retention.forgotten(named, of_everybody=True))


# --- roll-ups stay ----------------------------------------------------------------------------------


def test_figures_stay_when_their_records_go(bot):
    store(record(bot), record(bot, at=FEBRUARY + timedelta(days=1)), record(bot, at=MARCH))
    rollups.roll_up()
    before = everything()
    forget({bot: MARCH})
    assert left(bot) == [MARCH]
    assert everything() == before
    assert kept.kept_since(bot.workspace_id) == MARCH
    [month] = reading.month_usage(workspace_id=bot.workspace_id, month=Month(2026, 2))
    assert (month.requests, month.tokens) == (2, 3_260)


def test_neither_rebuilding_nor_checking_minds_what_is_gone(bot, tmp_path):
    store(record(bot), record(OTHER_BOT), record(bot, at=MARCH))
    rollups.roll_up()
    before = everything()
    forget({bot: MARCH})
    list(rollups.days_rebuilt())
    assert everything() == before
    assert [str(found) for found in check.checked(tmp_path) if found] == []


def test_a_record_that_comes_after_its_month_went_takes_nothing_away(bot, tmp_path):
    store(record(bot), record(bot))
    rollups.roll_up()
    forget({bot: MARCH})
    store(record(bot, at=FEBRUARY + timedelta(seconds=1)), record(bot, at=FEBRUARY + timedelta(days=3)))
    rollups.roll_up()
    hours = HourlyUsage.objects.order_by("hour").values_list("hour", "requests")
    assert list(hours) == [(FEBRUARY, 2), (FEBRUARY + timedelta(days=3), 1)]
    days = DailyUsage.objects.order_by("day").values_list("day", "requests")
    assert list(days) == [(date(2026, 2, 16), 2), (date(2026, 2, 19), 1)]
    assert [str(found) for found in check.checked(tmp_path) if found] == []
    forget({bot: MARCH})
    assert left(bot) == []


def test_what_is_not_rolled_up_yet_is_rolled_up_first(bot):
    store(record(bot), record(bot))
    forget({bot: MARCH})
    assert left(bot) == []
    assert HourlyUsage.objects.get().requests == 2


def test_keeping_longer_again_brings_nothing_back(bot):
    store(record(bot))
    forget({bot: MARCH})
    forget({bot: FEBRUARY.replace(day=1)})
    assert KeptSince.objects.get().since == MARCH


# --- months of PostgreSQL ---------------------------------------------------------------------------


def where(agent: Agent) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM metering_usagerecord WHERE agent_id = %s ORDER BY timestamp",
            [agent.pk],
        )
        return [table.removeprefix("metering_usagerecord_") for (table,) in cursor.fetchall()]


def test_records_find_their_month_and_those_from_far_off_a_place_too():
    get_store().make_room(at=datetime(2031, 11, 24, tzinfo=UTC))
    days = [(1999, 1, 1), (2031, 11, 1), (2032, 1, 31), (2032, 2, 1)]
    store(*(record(BOT, at=datetime(*day, tzinfo=UTC)) for day in days))
    assert where(BOT) == ["others", "2031_11", "2032_01", "others"]


def test_a_month_that_gets_room_late_takes_its_records_along():
    early = record(BOT, at=datetime(2033, 5, 31, 23, 59, 59, tzinfo=UTC))
    store(early, record(BOT, at=datetime(2033, 6, 30, tzinfo=UTC)), record(BOT, at=datetime(2036, 1, 1, tzinfo=UTC)))
    get_store().make_room(at=datetime(2033, 5, 1, tzinfo=UTC))
    get_store().make_room(at=datetime(2033, 5, 1, tzinfo=UTC))
    assert where(BOT) == ["2033_05", "2033_06", "others"]
    assert store(early) == 0


def test_a_month_that_nobody_keeps_goes_at_one_stroke(bot):
    get_store().make_room(at=datetime(2034, 1, 1, tzinfo=UTC))
    store(record(bot, at=datetime(2034, 1, 9, tzinfo=UTC)), record(BOT, at=datetime(2034, 1, 9, tzinfo=UTC)))
    store(record(bot, at=datetime(2034, 2, 9, tzinfo=UTC)))
    assert forget({bot: datetime(2034, 2, 1, tzinfo=UTC), BOT: datetime(2034, 4, 1, tzinfo=UTC)}) == 0
    assert (where(bot), where(BOT)) == (["2034_02"], [])
    assert HourlyUsage.objects.count() == 3


def test_a_month_that_somebody_keeps_stays_for_them(bot):
    get_store().make_room(at=datetime(2034, 6, 1, tzinfo=UTC))
    store(record(bot, at=datetime(2034, 6, 9, tzinfo=UTC)), record(BOT, at=datetime(2034, 6, 9, tzinfo=UTC)))
    assert forget({bot: datetime(2034, 7, 1, tzinfo=UTC), BOT: datetime(2034, 6, 1, tzinfo=UTC)}) == 1
    assert (where(bot), where(BOT)) == ([], ["2034_06"])


def test_a_month_with_a_record_that_is_not_rolled_up_stays_for_another_time():
    get_store().make_room(at=datetime(2035, 1, 1, tzinfo=UTC))
    store(record(BOT, at=datetime(2035, 1, 9, tzinfo=UTC)))
    mark = get_store().mark()
    store(record(BOT, at=datetime(2035, 1, 10, tzinfo=UTC)))
    later = datetime(2035, 4, 1, tzinfo=UTC)
    get_store().forget_months(until=later, before=mark)
    assert len(where(BOT)) == 2
    get_store().forget_months(until=later, before=get_store().mark())
    assert where(BOT) == []


def test_who_reads_for_long_is_not_waited_for(bot, monkeypatch):
    monkeypatch.setattr(sql_months, "LOCKED_AFTER", 0.05)
    get_store().make_room(at=datetime(2035, 6, 1, tzinfo=UTC))
    store(record(BOT, at=datetime(2035, 6, 9, tzinfo=UTC)))
    reader = connection.copy()
    reader.set_autocommit(False)
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_usagerecord")
        with pytest.raises(StoreUnavailable):
            get_store().forget_months(until=datetime(2035, 9, 1, tzinfo=UTC), before=ANY_MARK)
    reader.close()
    assert where(BOT) == ["2035_06"]


def test_records_come_through_the_change_to_months_and_back(bot):
    store(*(record(bot, at=moment) for moment in (FEBRUARY, MARCH, APRIL)))
    first = record(bot, at=FEBRUARY)
    store(first)
    call_command("migrate", "metering", "0004_kept_since", verbosity=0)
    assert len(left(bot)) == 4
    call_command("migrate", "metering", verbosity=0)
    assert where(bot) == ["2026_02", "2026_02", "2026_03", "2026_04"]
    assert store(first) == 0
