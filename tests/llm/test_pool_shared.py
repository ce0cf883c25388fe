"""What one process learns of our own keys, the others know."""

import asyncio
import os
import threading
from uuid import uuid4

import pytest

from agents.crypto import Secret
from llm.announcements import Announcements
from llm.condition import Condition, Conditions, KeyCondition, combined
from llm.health import BREAK_AFTER
from llm.news import KeyCools, KeyWorks, learned
from llm.pool import Arrangement, Outcome, Pool, Way
from llm.providers.base import Target
from tests.backends import Redis, free_port
from tests.llm.gateway import Arranged

REDIS = os.environ["TEST_REDIS_URL"]
MINIMAX = Way(key_id="minimax-1", target=Target(provider="minimax", model="m", base_url="", key=Secret("sk-pool")))


def arranged() -> Arrangement:
    house = Arranged()
    house.tier("economy", ("minimax", "MiniMax-M2.5"), ("mistral", "mistral-small-latest"))
    return house.arrangement()


class Process:
    """A gateway process as far as its pool goes, in an event loop of its own."""

    def __init__(self, url: str = REDIS) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.heard: asyncio.Queue[object] = asyncio.Queue()
        self.pool = Pool(load=arranged)
        self.announcements = Announcements(url=url, forget=lambda _ids: None, hear=self._hear)
        self.pool.tell = self.announcements.tell
        self.conditions = Conditions(url=url, look=self.pool.condition)

    def _hear(self, news) -> None:
        self.pool.hear(news)
        self.loop.call_soon_threadsafe(self.heard.put_nowait, news)

    def call(self, function, *args, **kwargs):
        """Call in this process's loop, and wait."""

        async def called():
            return function(*args, **kwargs)

        return self.wait(called())

    def wait(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def start(self) -> None:
        self.call(self.announcements.start)
        self.call(self.conditions.start)

    def attempt(self, status: int | None, *, way: Way = MINIMAX, retry_after: float | None = None) -> None:
        def attempted() -> None:
            self.pool.begin(way, workspace_id="elenas")
            outcome = Outcome(known=True, status=status, retry_after=retry_after)
            self.pool.leave(way, outcome, workspace_id="elenas", took=0.2)

        self.call(attempted)

    def first(self) -> str:
        """The provider that a request would go to first."""
        way: Way = next(self.wait(self.pool.ways(tier="economy", workspace_id="elenas")))
        return way.target.provider

    def hears_of(self, kind: type):
        async def heard():
            while not isinstance(news := await self.heard.get(), kind):
                pass
            return news

        return self.wait(heard())

    def stop(self) -> None:
        self.wait(self.announcements.stop())
        self.wait(self.conditions.stop())
        self.call(self.pool.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(autouse=True)
def _nobody_elses_news(monkeypatch):
    monkeypatch.setattr("llm.announcements.CHANNEL", f"vutler:news:{uuid4().hex}")


@pytest.fixture
def process():
    """Starts processes, and ends them with the test."""
    started: list[Process] = []

    def start(url: str = REDIS) -> Process:
        started.append(Process(url))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def two(process):
    """Two processes that hear each other."""
    here, there = process(), process()
    _listening(here, there)
    return here, there


def _listening(*processes: Process) -> None:
    """Wait until all hear what is told: listening begins a moment after it is asked for."""
    for teller in processes:
        for listener in processes:
            while listener is not teller and listener.call(listener.heard.empty):
                teller.call(teller.announcements.tell, KeyWorks(key_id="nobodys"))
                try:
                    listener.wait(asyncio.wait_for(_peek(listener), 0.2))
                except TimeoutError:
                    continue


async def _peek(listener: Process) -> None:
    listener.heard.put_nowait(await listener.heard.get())


def test_a_key_that_is_rate_limited_in_one_process_cools_in_the_other(two):
    here, there = two
    assert (here.first(), there.first()) == ("minimax", "minimax")
    here.attempt(429, retry_after=60)
    news = there.hears_of(KeyCools)
    assert (news.key_id, news.reason) == ("minimax-1", "rate limited (429)")
    assert 59 < news.seconds <= 60
    assert (here.first(), there.first()) == ("mistral", "mistral")


def test_a_hundred_refusals_at_once_are_told_once(two):
    here, there = two
    for _ in range(100):
        here.attempt(429, retry_after=60)
    here.attempt(401)
    told = [there.hears_of(KeyCools), there.hears_of(KeyCools)]
    assert [each.reason for each in told] == ["rate limited (429)", "refused (401)"]


def test_a_provider_that_is_down_for_one_is_down_for_all_and_so_is_its_return(two):
    here, there = two
    for _ in range(BREAK_AFTER):
        here.attempt(500)
    _until(lambda: there.first() == "mistral")
    there.attempt(200)
    _until(lambda: here.first() == "minimax")


def test_a_key_that_staff_checked_and_found_working_is_used_again_everywhere(two):
    here, there = two
    here.attempt(401)
    there.hears_of(KeyCools)
    learned.send(sender=None, news=KeyWorks(key_id="minimax-1"))
    _until(lambda: (here.first(), there.first()) == ("minimax", "minimax"))


@pytest.mark.parametrize("url", ["", f"redis://127.0.0.1:{free_port()}/0"], ids=["none", "nobody answers"])
def test_without_redis_each_process_learns_by_itself(process, url):
    alone = process(url)
    alone.attempt(429)
    assert alone.first() == "mistral"
    overview = alone.conditions.overview()
    assert (overview.shared, overview.processes) == (False, 1)
    assert overview.condition.keys["minimax-1"].reason == "rate limited (429)"


def test_the_staffs_pages_see_all_processes_together(process, monkeypatch):
    monkeypatch.setattr("llm.condition.WRITE_EVERY", 0.02)
    server = Redis()
    here, there = process(server.url), process(server.url)
    there.call(there.pool.begin, MINIMAX, workspace_id="elenas")
    here.call(here.pool.begin, MINIMAX, workspace_id="elenas")
    _until(lambda: here.conditions.overview().condition.keys.get("minimax-1", KeyCondition()).under_way == 2)
    overview = here.conditions.overview()
    assert (overview.shared, overview.processes) == (True, 2)
    server.stop()
    assert here.conditions.overview().shared is False


def test_what_several_see_is_weighed_by_how_often_they_tried():
    calm = KeyCondition(attempts=90, success_rate=1.0, latency=1.0, under_way=3)
    hot = KeyCondition(attempts=10, success_rate=0.5, latency=2.0, cools_for=8.0, reason="rate limited (429)")
    seen = combined([Condition(keys={"k": calm}, down_for={"groq": 3.0}), Condition(keys={"k": hot})])
    assert seen.keys["k"] == KeyCondition(
        attempts=100,
        success_rate=0.95,
        latency=1.1,
        under_way=3,
        cools_for=8.0,
        reason="rate limited (429)",
    )
    assert seen.down_for == {"groq": 3.0}


def _until(happens) -> None:
    waiting = threading.Event()
    for _ in range(1_000):
        if happens():
            return
        waiting.wait(0.01)
    raise AssertionError("it never happened")
