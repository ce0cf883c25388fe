"""MongoDB under the meter: its documents, the order in which it counts them, and what may go wrong with it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from bson import Decimal128
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from metering import journal, reading, rollups
from metering.models import MonthlyUsage
from metering.periods import Month
from metering.store import StoreUnavailable, get_store, mongo_client, mongo_sums
from metering.store.mongo import INDEXES, MongoStore
from tests.backends import Mongo, free_port
from tests.metering.records import FEBRUARY, record
from tests.metering.test_rollups import PowerCut, differences, everything, forget, histories, varied
from tests.metering.test_store import BOT, OTHER_BOT, WORKSPACE, emptied, use_mongodb, written
from vutler.env import mongodb_checked

MONTH = Month(2026, 2)
ROOT = Path(__file__).parent.parent.parent
SECRET = "s3cret-of-the-meter"


@pytest.fixture(scope="module")
def _mongodb():
    yield from use_mongodb()


@pytest.fixture
def store(_mongodb) -> Iterator[MongoStore]:
    store = get_store()
    assert isinstance(store, MongoStore)
    yield store
    emptied()


def raw() -> "Collection[dict[str, object]]":
    """The collection as any other program would see it."""
    client: MongoClient[dict[str, object]] = MongoClient(
        settings.METER_MONGODB_URL, uuidRepresentation="standard", tz_aware=True
    )
    return client.get_default_database()["token_meter"]


# --- documents ------------------------------------------------------------------------------------


def test_a_document_has_the_fields_that_the_strategy_draws(store):
    at = FEBRUARY + timedelta(microseconds=123_456)
    store.append(written(record(BOT, at=at, cost_input="0.000188", cost_output="0.000228", price_total=8_150_000_000)))
    collection = raw()
    found = collection.find_one()
    collection.database.client.close()
    assert found is not None
    assert isinstance(found["_id"], UUID)
    drawn = ("agent_id", "workspace_id", "provider", "model", "tier", "tokens_input", "tokens_output", "request_type")
    assert [found[name] for name in drawn] == [
        BOT.pk,
        WORKSPACE,
        "openai",
        "gpt-4o-mini",
        "byokey",
        1_250,
        380,
        "chat",
    ]
    assert (found["timestamp"], found["microseconds"]) == (FEBRUARY + timedelta(milliseconds=123), 456)
    assert [found[name] for name in ("cost_input", "cost_output", "cost_total", "price_total", "latency_ms")] == [
        Decimal128("0.000188"),
        Decimal128("0.000228"),
        Decimal128("0.000416"),
        Decimal128("0.00815"),
        1_200,
    ]


def test_sums_are_exact_beyond_64_bits(store):
    store.append(written(*(record(BOT, tokens_input=2**62 + 1, mode="managed", tier="economy") for _ in range(3))))
    assert store.month_tokens(agent_id=BOT.pk, month=MONTH) == 3 * (2**62 + 1) + 3 * 380


def test_queries_go_by_an_index(store):
    store.append(written(record(BOT)))
    records = mongo_client.records(settings.METER_MONGODB_URL)
    assert set(records.index_information()) == {"_id_", *(each.document["name"] for each in INDEXES)}
    in_february = {"timestamp": {"$gte": MONTH.start, "$lt": MONTH.end}}
    for some, index in [
        ({"workspace_id": WORKSPACE, **in_february}, "records_of_workspace"),
        ({"agent_id": BOT.pk, **in_february}, "records_of_agent"),
        ({"stored": {"$gte": 7}}, "records_as_stored"),
    ]:
        assert index in str(records.find(some).explain()["queryPlanner"]["winningPlan"])


# --- the order of storing -------------------------------------------------------------------------

COMMANDS = ("find", "find_one", "update_one", "update_many", "aggregate")


@contextmanager
def before_each_command(act: Callable[[], None]) -> Iterator[None]:
    """Do something whenever a command is about to leave for MongoDB."""

    def acting(command):
        def call(*arguments, **options):
            act()
            return command(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in COMMANDS:
            patch.setattr(Collection, name, acting(getattr(Collection, name)))
        yield


def stored_before(mark: int) -> set[UUID]:
    return {each["_id"] for each in mongo_client.records(settings.METER_MONGODB_URL).find({"stored": {"$lt": mark}})}


@pytest.mark.parametrize("paused_at", range(9))
def test_whoever_falls_asleep_while_numbering_numbers_nothing_behind_a_mark(store, paused_at):
    """Two ask for a mark; one stops at any command, and goes on long after the other was given its mark."""
    store.append(written(*(record(BOT) for _ in range(3))))
    seen: list[tuple[int, set[UUID]]] = []
    commands = 0

    def meanwhile() -> None:
        nonlocal commands
        commands += 1
        if commands == paused_at + 1:
            store.append(written(record(BOT), record(OTHER_BOT)))
            mark = store.mark()
            seen.append((mark, stored_before(mark)))
            store.append(written(record(BOT)))

    with before_each_command(meanwhile):
        mark = store.mark()
    seen.append((mark, stored_before(mark)))
    last = store.mark()
    for mark, ids in seen:
        assert stored_before(mark) == ids
    assert len(stored_before(last)) == mongo_client.records(settings.METER_MONGODB_URL).count_documents({})


def test_a_mark_is_given_though_somebody_died_while_numbering(store):
    for cut in range(9):
        store.append(written(record(BOT)))
        with pytest.MonkeyPatch.context() as patch, before_each_command(_cut(after=cut)):
            patch.setattr(mongo_sums, "NUMBERED_AT_ONCE", 2)
            with suppress(PowerCut):
                store.mark()
        mark = store.mark()
        assert len(stored_before(mark)) == cut + 1
        assert store.mark() == mark


def _cut(after: int) -> Callable[[], None]:
    left = after

    def act() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise PowerCut

    return act


def test_numbering_goes_on_where_it_was_though_its_document_was_lost(store):
    store.append(written(record(BOT)))
    mark = store.mark()
    mongo_client.order(settings.METER_MONGODB_URL).delete_many({})
    store.append(written(record(BOT)))
    assert store.mark() > mark
    assert len(stored_before(mark)) == 1


# --- roll-ups -------------------------------------------------------------------------------------


@pytest.fixture
def as_in_sql(db) -> list[list[dict[str, object]]]:
    """What the 24 records come to where they are kept in SQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "METER_MONGODB_URL", "")
        get_store().append(written(*varied([BOT, OTHER_BOT])))
        rollups.roll_up()
        rolled = everything()
        forget()
    return rolled


@pytest.mark.django_db(transaction=True)
@hypothesis(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=histories(), cut=st.integers(0, 80))
def test_roll_ups_come_to_the_same_as_from_sql(store, as_in_sql, tmp_path, batches, cut):
    forget()
    emptied()
    records = varied([BOT, OTHER_BOT])
    for number, batch in enumerate(batches):
        store.append(written(*(records[n] for n in batch)))
        if number % 2:
            with suppress(PowerCut), before_each_command(_cut(after=cut)):
                rollups.roll_up()
    rollups.roll_up()
    assert everything() == as_in_sql
    assert differences(tmp_path) == []
    for month in (Month(2026, 1), MONTH):
        counted = sorted(store.usage(workspace_id=WORKSPACE, month=month), key=str)
        assert sorted(reading.month_usage(workspace_id=WORKSPACE, month=month), key=str) == counted


@pytest.mark.django_db(transaction=True)
def test_a_record_shows_at_once_and_late_ones_go_where_they_belong(store, tmp_path):
    store.append(written(record(BOT)))
    assert rollups.roll_up() == 1
    store.append(written(record(BOT, at=FEBRUARY - timedelta(days=40)), record(BOT, status="timeout")))
    [used] = reading.month_usage(workspace_id=WORKSPACE, month=MONTH)
    assert (used.requests, used.failed) == (2, 1)
    _parts, took = reading.agent_month(workspace_id=WORKSPACE, agent_id=BOT.pk, month=MONTH)
    assert dict(took) == {1_200: 1}
    assert rollups.roll_up() == 2
    assert rollups.roll_up() == 0
    before = everything()
    assert len(list(rollups.days_rebuilt())) == 41
    assert everything() == before
    assert differences(tmp_path) == []
    assert list(MonthlyUsage.objects.order_by("month").values_list("requests", flat=True)) == [1, 2]
    mongo_client.records(settings.METER_MONGODB_URL).update_one({"status": "timeout"}, {"$set": {"tokens_input": 7}})
    assert "tokens_input is 7 by the records, but 1,250 in the roll-up" in differences(tmp_path)[0]


# --- what goes wrong ------------------------------------------------------------------------------


def test_of_a_batch_that_was_stored_by_half_the_next_attempt_stores_the_rest(store, monkeypatch):
    batch = written(*(record(BOT) for _ in range(10)))
    whole = Collection.insert_many

    def half(self, documents, **options):
        whole(self, documents[:5], **options)
        raise ConnectionResetError

    monkeypatch.setattr(Collection, "insert_many", half)
    with pytest.raises(ConnectionResetError):
        store.append(batch)
    monkeypatch.undo()
    assert store.append(batch) == 5
    assert store.append(batch) == 0
    assert store.append([*batch[5:], *written(record(BOT)), *batch[:2]]) == 1


@pytest.mark.parametrize(
    "went_wrong",
    [
        {"writeErrors": [{"code": 11_000}, {"code": 14_031}], "writeConcernErrors": [], "nInserted": 1},
        {"writeErrors": [{"code": 11_000}], "writeConcernErrors": [{"code": 64}], "nInserted": 1},
    ],
)
def test_what_is_not_a_duplicate_is_an_error(store, monkeypatch, went_wrong):
    def refuse(*_arguments, **_options):
        raise BulkWriteError(went_wrong)

    monkeypatch.setattr(Collection, "insert_many", refuse)
    with pytest.raises(StoreUnavailable, match="BulkWriteError"):
        store.append(written(record(BOT)))


@pytest.fixture(scope="module")
def server() -> Iterator[Mongo]:
    """A server for what shouldn't be done to the others' one."""
    server = Mongo()
    yield server
    server.remove()


def once_there(act: Callable[[], int]) -> int:
    """Try again as the journal does: a busy machine may need longer than the little that these tests wait."""
    for _attempt in range(100):
        with suppress(StoreUnavailable):
            return act()
    raise AssertionError("it never came back")


def test_while_mongodb_is_away_the_journal_keeps_and_later_ships(server, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "METER_MONGODB_URL", server.url("meter?serverSelectionTimeoutMS=200"))
    store = get_store()
    first, second = record(BOT), record(BOT)
    segment = tmp_path / "00000000000000000001-1-aaaaaaaa.ready"
    segment.write_bytes(msgspec.json.encode(first) + b"\n")
    assert once_there(lambda: journal.ship(tmp_path, append=store.append)) == 1
    server.kill()
    segment.write_bytes(b"".join(line + b"\n" for line in written(first, second)))
    for _attempt in range(2):  # on the broken connection, and on none
        with pytest.raises(StoreUnavailable) as away:
            journal.ship(tmp_path, append=store.append)
        assert "127.0.0.1" not in str(away.value)
    for ask in (store.mark, lambda: store.tokens_since(since=FEBRUARY), lambda: list(store.touched(since=0, before=9))):
        with pytest.raises(StoreUnavailable):
            ask()
    assert segment.exists()
    server.start()
    once_there(lambda: journal.ship(tmp_path, append=store.append))
    assert not segment.exists()
    there = MongoStore(server.url("meter")).find([UUID(first.id), UUID(second.id)])
    assert {str(each.pk) for each in there} == {first.id, second.id}
    mongo_client.close()


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/meter?serverSelectionTimeoutMS=200&connectTimeoutMS=100"
        with pytest.raises(StoreUnavailable):
            MongoStore(url).append(written(record(BOT)))
        with pytest.raises(StoreUnavailable):
            mongo_client.ping(url)
    mongo_client.close()


def test_a_server_that_freezes_is_not_waited_for(server):
    options = "serverSelectionTimeoutMS=200&connectTimeoutMS=200&socketTimeoutMS=200"
    store = MongoStore(server.url(f"freezing?{options}"))
    one, two = written(record(BOT)), written(record(BOT))
    MongoStore(server.url("freezing")).append(one)
    once_there(lambda: store.append(one))
    with server.frozen():
        with pytest.raises(StoreUnavailable):
            store.append([*one, *two])
        with pytest.raises(StoreUnavailable):
            store.usage(workspace_id=WORKSPACE, month=MONTH)
    once_there(lambda: store.append([*one, *two]))
    [used] = MongoStore(server.url("freezing")).usage(workspace_id=WORKSPACE, month=MONTH)
    assert used.requests == 2
    mongo_client.close()


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://meter:{SECRET}@127.0.0.1:27017",
        f"mongodb://meter:{SECRET}@127.0.0.1:27017/",
        f"mongodb://meter:{SECRET}@127.0.0.1:27017/name.of.collection",
        f"mongodb://meter:{SECRET}@{SECRET}/{SECRET}@127.0.0.1/name",
        f"mongodb://meter:{SECRET}%zz@127.0.0.1/name",
        f"mongodb://meter:{SECRET}:{SECRET}@127.0.0.1/name",
        f"mongodb://meter:{SECRET}@127.0.0.1/name?noSuchOption={SECRET}",
        f"mongodb+srv://meter:{SECRET}@cluster.example/",
    ],
)
def test_an_address_that_can_not_be_used_is_refused_without_a_word_of_it(url):
    with pytest.raises(
        ImproperlyConfigured, match=r"METER_DATABASE_URL can't be used\. Write it as mongodb://"
    ) as refused:
        mongodb_checked(url)
    assert SECRET not in str(refused.getrepr(style="native"))


def test_a_server_does_not_start_with_such_an_address():
    command = [sys.executable, "-m", "vutler.serve"]
    environment = {**os.environ, "METER_DATABASE_URL": f"mongodb://meter:{SECRET}@{SECRET}/{SECRET}@127.0.0.1/name"}
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert said.stderr.startswith("METER_DATABASE_URL can't be used. Write it as mongodb://")
    assert said.stderr.count("\n") == 1
    assert SECRET not in said.stdout + said.stderr


def test_with_such_an_address_records_are_in_mongodb_and_all_else_where_it_was():
    asked = "from vutler import settings as s; print(s.METER_MONGODB_URL[:10], s.METER_DATABASE, sorted(s.DATABASES))"
    environment = {
        **os.environ,
        "METER_DATABASE_URL": f"mongodb://meter:{SECRET}@127.0.0.1/meter",
    }
    said = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == "mongodb:// default ['default']\n"


def test_no_password_is_in_errors_or_in_the_log(caplog, tmp_path):
    url = f"mongodb://meter:{SECRET}@127.0.0.1:{free_port()}/meter?serverSelectionTimeoutMS=50"
    store = MongoStore(url)
    (tmp_path / "00000000000000000001-1-aaaaaaaa.ready").write_bytes(msgspec.json.encode(record(BOT)) + b"\n")
    caplog.set_level("DEBUG")

    async def ship() -> None:
        shipping = journal.Journal(tmp_path, append=store.append)
        shipping.start()
        await shipping.close()

    asyncio.run(ship())
    assert "store_unavailable" in caplog.text
    with pytest.raises(StoreUnavailable) as away:
        store.append(written(record(BOT)))
    mongo_client.close()
    assert SECRET not in caplog.text + repr(away.value) + str(away.getrepr(style="long", showlocals=False)) + repr(
        store
    )


def test_costs_are_usd_to_the_last_digit(store):
    store.append(
        written(
            record(BOT, cost_input="9223372.036854775807", cost_output="0"),
            record(BOT, cost_input="0.000000000001", cost_output="0"),
        )
    )
    [used] = store.usage(workspace_id=WORKSPACE, month=MONTH)
    assert used.cost_total == Decimal("9223372.036854775808")
