"""What the gateway remembers of agents: fresh, forgotten at once when they change, kept while the database is away."""

import asyncio
import threading

import msgspec
import pytest
from django.db import OperationalError
from django.utils import timezone
from structlog.testing import capture_logs

from agents import services, subscriptions
from agents.models import AgentToken, ProviderKey
from agents.tokens import digest as digest_of
from llm import snapshot as module
from llm.errors import InvalidAgentToken, ServiceUnavailable
from llm.snapshot import Snapshots, load
from tests.llm.gateway import TOKEN, agent

ALEX = agent("openai", "http://127.0.0.1:1/v1")
RENAMED = agent("mistral", "http://127.0.0.1:1/v1")


class Database:
    """Answers with ``agent``; or is away, or doesn't answer until it is let."""

    def __init__(self) -> None:
        self.agent: module.AgentSnapshot | None = ALEX
        self.asked = 0
        self.away = False
        self.answering = threading.Event()
        self.answering.set()
        self.reading = threading.Event()

    def load(self, _digest: str) -> module.AgentSnapshot | None:
        self.asked += 1
        found = self.agent  # what is read now, whenever the answer arrives
        self.reading.set()
        assert self.answering.wait(20)
        if self.away:
            raise OperationalError("away")
        return found

    async def is_reading(self) -> None:
        assert await asyncio.to_thread(self.reading.wait, 20)
        self.reading.clear()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def snapshots(database, clock):
    snapshots = Snapshots(load=database.load, clock=clock)
    yield snapshots
    database.answering.set()
    snapshots.close()


async def test_for_five_seconds_the_database_is_not_asked_again(snapshots, database, clock):
    assert await snapshots.get(TOKEN) is ALEX
    database.agent = RENAMED
    clock.now = 5.0
    assert await snapshots.get(TOKEN) is ALEX
    assert database.asked == 1
    clock.now = 5.1
    assert await snapshots.get(TOKEN) is RENAMED
    assert database.asked == 2


async def test_an_agent_that_changed_is_asked_for_at_once_and_others_are_not(snapshots, database):
    await snapshots.get(TOKEN)
    database.agent = RENAMED
    snapshots.forget(["somebody else"])
    assert await snapshots.get(TOKEN) is ALEX
    snapshots.forget([ALEX.agent_id])
    assert await snapshots.get(TOKEN) is RENAMED


async def test_what_was_read_before_a_change_is_not_remembered_after_it(snapshots, database):
    database.answering.clear()
    before = asyncio.create_task(snapshots.get(TOKEN))
    await database.is_reading()
    database.agent = None  # revoked
    snapshots.forget([ALEX.agent_id])
    after = asyncio.create_task(snapshots.get(TOKEN))
    await database.is_reading()
    database.answering.set()
    assert await before is ALEX  # asked before the change
    with pytest.raises(InvalidAgentToken):
        await after
    with pytest.raises(InvalidAgentToken):
        await snapshots.get(TOKEN)


async def test_what_was_forgotten_is_not_kept_for_want_of_a_database(snapshots, database, clock):
    await snapshots.get(TOKEN)
    await database.is_reading()
    clock.now = 6.0
    database.away = True
    database.answering.clear()
    before = asyncio.create_task(snapshots.get(TOKEN))
    await database.is_reading()
    snapshots.forget([ALEX.agent_id])
    database.answering.set()
    assert await before is ALEX
    with pytest.raises(ServiceUnavailable):
        await snapshots.get(TOKEN)


async def test_many_requests_at_once_ask_the_database_once(snapshots, database):
    database.answering.clear()
    asking = [asyncio.create_task(snapshots.get(TOKEN)) for _ in range(50)]
    await database.is_reading()
    asking[0].cancel()  # who began it may leave
    database.answering.set()
    await asyncio.wait(asking)
    assert [each.result() for each in asking[1:]] == [ALEX] * 49
    assert database.asked == 1


async def test_while_the_database_is_away_what_is_known_stays_in_use(snapshots, database, clock):
    await snapshots.get(TOKEN)
    database.away = True
    for hour in range(1, 4):
        clock.now = hour * 3600.0
        assert await snapshots.get(TOKEN) is ALEX
        assert await snapshots.get(TOKEN) is ALEX
        assert database.asked == 1 + hour  # each five seconds, not each request
    with pytest.raises(ServiceUnavailable):
        await snapshots.get("vtl_agent_never-seen")
    database.away = False
    clock.now += 6
    database.agent = RENAMED
    assert await snapshots.get(TOKEN) is RENAMED


async def test_a_database_that_hangs_is_as_good_as_away(snapshots, database, clock, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    monkeypatch.setattr(module, "LAST_PATIENCE", 0.02)
    await snapshots.get(TOKEN)
    clock.now = 6.0
    database.answering.clear()
    assert await snapshots.get(TOKEN) is ALEX
    with pytest.raises(ServiceUnavailable):
        await snapshots.get("vtl_agent_never-seen")


async def test_a_token_of_nobodys_is_looked_up_once_in_five_seconds(snapshots, database, clock):
    database.agent = None
    for _ in range(3):
        with pytest.raises(InvalidAgentToken):
            await snapshots.get(TOKEN)
    assert database.asked == 1
    clock.now = 5.1
    database.agent = ALEX
    assert await snapshots.get(TOKEN) is ALEX


async def test_who_tries_tokens_out_does_not_crowd_the_valid_ones_out(snapshots, database, monkeypatch):
    monkeypatch.setattr(module, "NOBODYS_AT_MOST", 5)
    await snapshots.get(TOKEN)
    database.agent = None
    for number in range(20):
        with pytest.raises(InvalidAgentToken):
            await snapshots.get(f"vtl_agent_guess-{number}")
    assert len(snapshots._nobodys) <= 5
    assert await snapshots.get(TOKEN) is ALEX


async def test_a_token_that_is_no_longer_valid_is_forgotten(snapshots, database, clock):
    await snapshots.get(TOKEN)
    database.agent = None
    clock.now = 6.0
    with pytest.raises(InvalidAgentToken):
        await snapshots.get(TOKEN)
    database.away = True
    clock.now = 12.0
    with pytest.raises(ServiceUnavailable):  # and isn't valid again while the database is away
        await snapshots.get(TOKEN)


# --- Read from the database -----------------------------------------------------------------------


@pytest.fixture
def _in_the_tests_transaction(monkeypatch):
    # Django's own test client does the same: a transaction that is open for the whole test looks abandoned.
    monkeypatch.setattr(module, "close_old_connections", lambda: None)


pytestmark = pytest.mark.usefixtures("_in_the_tests_transaction")


def token_of(agent, person) -> str:
    _token, secret = services.create_agent_token(agent=agent, name="laptop", by=person.user)
    return secret.reveal()


def test_an_agent_is_read_with_its_key_open(alex, bot):
    found = load(digest_of(token_of(bot, alex)))
    assert found
    assert (found.agent_id, found.workspace_id, found.paused) == (str(bot.pk), str(alex.workspace.pk), False)
    assert found.target
    assert found.target.key.reveal() == "sk-alex-0123456789-wxyz"
    assert "sk-" not in repr(found)


def test_reading_an_agent_notes_that_its_token_was_used(alex, bot):
    load(digest_of(token_of(bot, alex)))
    assert AgentToken.objects.get().last_used_at


def test_a_database_that_takes_no_writes_still_serves(alex, bot, monkeypatch):
    digest = digest_of(token_of(bot, alex))

    def read_only(_token) -> None:
        raise OperationalError("read-only")

    monkeypatch.setattr(AgentToken, "touch", read_only)
    assert load(digest)


def test_a_revoked_token_and_a_deleted_agent_are_nobodys(alex, bot):
    digest = digest_of(token_of(bot, alex))
    AgentToken.objects.update(revoked_at="2026-02-16T18:00:00Z")
    assert load(digest) is None


def test_a_key_that_does_not_open_leaves_the_agent_without_one_and_no_trace_of_it(alex, bot):
    digest = digest_of(token_of(bot, alex))
    key = ProviderKey.objects.get()
    ProviderKey.objects.update(sealed_secret=key.sealed_secret[:-6] + "AAAAAA")
    with capture_logs() as logs:
        found = load(digest)
    assert found
    assert found.target is None
    [entry] = logs
    assert (entry["event"], entry["agent_id"]) == ("key_cannot_be_opened", str(bot.pk))
    assert key.sealed_secret[:20] not in str(logs)


def test_only_agents_on_plans_pause_where_an_invoice_is_not_paid(alex, bot):
    faq = services.create_agent(workspace=alex.workspace, name="FAQ Bot", by=alex.user)
    subscriptions.choose_plan(agent=faq, tier="economy", by=alex.user, at=timezone.now())
    services.pause_managed(workspace=alex.workspace, at=timezone.now(), by="Stripe")
    pausing, on_his_key = load(digest_of(token_of(faq, alex))), load(digest_of(token_of(bot, alex)))
    assert pausing
    assert pausing.plan
    assert pausing.plan.paused
    assert on_his_key
    assert (on_his_key.plan, on_his_key.paused) == (None, False)
    services.resume_managed(workspace=alex.workspace, by="Stripe")
    resumed = load(digest_of(token_of(faq, alex)))
    assert resumed
    assert resumed.plan == msgspec.structs.replace(pausing.plan, paused=False)
