"""``manage.py copy_meter``: records move from one database to another, and not a digit is lost on the way."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import msgspec
import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections

from metering import copying, rollups
from metering.models import MonthlyUsage, UsageRecord, Watermark
from metering.periods import Month
from metering.store import get_store, mongo_client
from metering.store.mongo_places import MongoPlace
from metering.store.places import SqlPlace
from tests.backends import free_port, mongodb
from tests.metering.records import FEBRUARY, record
from tests.metering.test_rollups import ROLLED, PowerCut, differences, everything, varied
from tests.metering.test_store import BOT, OTHER_BOT, written

SECRET = "s3cret-of-the-meter"


@pytest.fixture
def mongo_url() -> Iterator[str]:
    name = f"copy_{uuid4().hex}"
    yield mongodb().url(name)
    mongo_client.records(mongodb().url(name)).database.client.drop_database(name)
    mongo_client.close()


@pytest.fixture
def sqlite_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'meter.sqlite3'}"


@pytest.fixture
def postgres_url(django_db_setup) -> Iterator[str]:
    """A second, empty database on the tests' server."""
    known = connections["default"].get_connection_params()
    place = {name: known[name] for name in ("host", "port", "user") if known.get(name)}
    name = f"copy_{uuid4().hex}"
    with psycopg.connect(dbname="postgres", autocommit=True, **place) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield f"postgres://{place['user']}@{place['host']}:{place['port']}/{name}"
        server.execute(f'DROP DATABASE "{name}"')


@pytest.fixture
def own_url(transactional_db, django_db_blocker) -> Iterator[str]:
    """The database that the meter is in, beside others that tests make."""
    known = connections["default"].get_connection_params()
    with django_db_blocker.unblock():
        yield f"postgres://{known['user']}@{known['host']}:{known['port']}/{known['dbname']}"


def copy(source: str, target: str) -> dict[str, object]:
    said = StringIO()
    call_command("copy_meter", "--from", source, "--to", target, json=True, stdout=said)
    return dict(json.loads(said.getvalue()))


def filled() -> int:
    """Store 24 records over two months in three batches; return the mark after them."""
    records = varied([BOT, OTHER_BOT])
    attempts = [{"provider": "openai", "model": "gpt-4o", "status": None, "latency_ms": 12}]
    lines = written(*records)
    lines[0] = msgspec.json.encode({**msgspec.to_builtins(records[0]), "attempts": attempts, "ttft_ms": 7})
    for start in range(0, 24, 8):
        get_store().append(lines[start : start + 8])
        get_store().append(lines[start : start + 8])  # numbers that no record has
    return get_store().mark()


def test_from_sql_to_mongodb_and_back_every_record_is_the_same(own_url, mongo_url, postgres_url):
    filled()
    there = copy(own_url, mongo_url)
    assert (there["ok"], there["records"], there["copied"], there["difference"]) == (True, 24, 24, None)
    back = copy(mongo_url, postgres_url)
    assert back == there
    assert back["months"] == copy(postgres_url, own_url)["months"]


def test_into_a_file_as_well(own_url, mongo_url, sqlite_url):
    get_store().append(written(*varied([BOT, OTHER_BOT])))
    first = copy(own_url, mongo_url)
    assert copy(mongo_url, sqlite_url) == first
    again = copy(sqlite_url, own_url)
    assert (again["ok"], again["copied"], again["months"]) == (True, 0, first["months"])


def test_roll_ups_go_on_where_they_were(own_url, mongo_url, monkeypatch, tmp_path):
    mark = filled()
    rollups.roll_up()
    rolled = everything()
    copy(own_url, mongo_url)
    UsageRecord.objects.all()._raw_delete("default")
    monkeypatch.setattr(settings, "METER_MONGODB_URL", mongo_url)
    assert get_store().mark() == mark
    assert rollups.roll_up() == 0
    assert (everything(), differences(tmp_path)) == (rolled, [])
    get_store().append(written(record(BOT, at=FEBRUARY)))
    assert rollups.roll_up() == 1
    assert sum(row.requests for row in MonthlyUsage.objects.all()) == 25
    assert differences(tmp_path) == []


def test_back_in_postgresql_numbers_go_on_where_mongodb_was(own_url, mongo_url, postgres_url, monkeypatch):
    filled()
    copy(own_url, mongo_url)
    with monkeypatch.context() as patch:
        patch.setattr(settings, "METER_MONGODB_URL", mongo_url)
        get_store().append(written(record(BOT)))
        mark = get_store().mark()
    assert copy(mongo_url, own_url)["copied"] == 1
    assert get_store().mark() == mark
    get_store().append(written(record(BOT)))
    assert get_store().mark() == mark + 1


def test_a_copy_that_was_interrupted_is_taken_up_again(own_url, mongo_url, monkeypatch):
    filled()
    monkeypatch.setattr(copying, "WRITTEN_AT_ONCE", 5)
    add, calls = MongoPlace.add, 0

    def power_cut(self, rows):
        nonlocal calls
        calls += 1
        if calls == 3:
            add(self, rows[:2])
            raise PowerCut
        return add(self, rows)

    with monkeypatch.context() as patch, pytest.raises(PowerCut):  # noqa: PT012 - what is patched is the point
        patch.setattr(MongoPlace, "add", power_cut)
        copy(own_url, mongo_url)
    rest = copy(own_url, mongo_url)
    assert rest["ok"] is True
    assert 0 < int(str(rest["copied"])) < 24
    assert copy(own_url, mongo_url) == {**rest, "copied": 0}


def test_what_comes_while_the_source_is_in_use_is_for_the_next_time(own_url, mongo_url):
    filled()
    place = MongoPlace(mongo_url)
    outcome = copying.Outcome()
    late = iter(range(100))
    for number, _row in enumerate(copying.copied(SqlPlace("default"), place, outcome)):
        if number % 7 == 0:
            get_store().append(written(record(BOT, at=FEBRUARY + timedelta(seconds=next(late)))))
    assert (outcome.records, outcome.difference) == (24, "")
    rest = copy(own_url, mongo_url)
    assert (rest["ok"], rest["records"], rest["copied"]) == (True, 24 + next(late), next(late) - 1)


@pytest.mark.parametrize("field", ["tokens_input", "microseconds", "stored"])
def test_a_copy_with_another_figure_is_no_copy(own_url, mongo_url, field, capsys):
    get_store().append(written(record(BOT, at=FEBRUARY - timedelta(days=31)), record(OTHER_BOT)))
    get_store().append(written(record(BOT)))
    copy(own_url, mongo_url)
    mongo_client.records(mongo_url).update_one({"agent_id": BOT.pk, "timestamp": FEBRUARY}, {"$set": {field: 1}})
    named = "2026-02: as many records in both, but not the same ones."
    with pytest.raises(CommandError, match=named):
        call_command("copy_meter", "--from", own_url, "--to", mongo_url, json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["difference"]) == (False, named)


def test_a_record_too_many_in_the_copy_is_named(own_url, mongo_url):
    get_store().append(written(record(BOT)))
    copy(own_url, mongo_url)
    known = mongo_client.records(mongo_url).find_one() or {}
    mongo_client.records(mongo_url).insert_one({**known, "_id": uuid4()})
    with pytest.raises(CommandError, match="2026-02: 1 records in the source, 2 in the copy"):
        copy(own_url, mongo_url)


def test_a_database_that_has_been_in_use_by_itself_is_left_alone(own_url, mongo_url, monkeypatch):
    filled()
    copy(own_url, mongo_url)
    monkeypatch.setattr(settings, "METER_MONGODB_URL", mongo_url)
    get_store().append(written(record(BOT)))
    with pytest.raises(CommandError, match="--to has been in use by itself"):
        copy(own_url, mongo_url)


def test_sqlite_says_when_it_can_not_go_on_counting(own_url, mongo_url, sqlite_url):
    filled()
    copy(own_url, mongo_url)
    with pytest.raises(CommandError, match="SQLite can't go on counting"):
        copy(mongo_url, sqlite_url)


def test_sums_that_have_no_records_any_more_come_along_in_a_file(own_url, tmp_path):
    """As docs/run.md says: where the meter leaves a database of its own in SQL."""
    get_store().append(written(*varied([BOT, OTHER_BOT])))
    rollups.roll_up()
    reached, rolled = rollups.watermark(), everything()
    file = str(tmp_path / "sums.json")
    call_command("dumpdata", "metering", exclude=["metering.usagerecord"], output=file)
    for model in (*ROLLED, UsageRecord, Watermark):
        model.objects.all()._raw_delete("default")
    call_command("loaddata", file, verbosity=0)
    assert everything() == rolled
    assert (rollups.watermark().stored, rollups.watermark().version) == (reached.stored, reached.version)


def test_people_read_month_by_month(own_url, mongo_url, capsys):
    get_store().append(written(record(BOT)))
    call_command("copy_meter", "--from", own_url, "--to", mongo_url)
    month, last = capsys.readouterr().out.splitlines()
    assert month.startswith(f"{Month(2026, 2)}             1  ")
    assert last == "Both have the same 1 records. Copied now: 1."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"mongodb://meter:{SECRET}@127.0.0.1", "--to can't be used. Write it as mongodb://"),
        (f"mysql://meter:{SECRET}@127.0.0.1/meter", "--to can't be used. Write it as postgres://"),
        (f"{SECRET}", "--to can't be used. Write it as postgres://"),
        (f"mongodb://meter:{SECRET}@127.0.0.1:%PORT%/meter?serverSelectionTimeoutMS=50", "can't be reached"),
        (f"postgres://meter:{SECRET}@127.0.0.1:%PORT%/meter", "can't be reached"),
    ],
)
def test_what_can_not_be_used_is_said_without_a_password(mongo_url, django_db_blocker, url, said, capsys):
    with django_db_blocker.unblock(), pytest.raises(CommandError, match=said) as refused:
        copy(mongo_url, url.replace("%PORT%", str(free_port())))
    mongo_client.close()
    assert SECRET not in str(refused.value) + capsys.readouterr().err
    assert not [alias for alias in connections if alias.startswith("copy-")]


def test_nothing_is_copied_onto_itself(mongo_url):
    with pytest.raises(CommandError, match="the same database"):
        copy(mongo_url, mongo_url)
