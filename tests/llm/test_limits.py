"""So much a minute, and a ceiling that no number of requests at once can pass."""

import asyncio
import os

import pytest

from llm.errors import CeilingReached, RateLimited
from llm.limits import Ask, LocalLimits
from llm.shared_limits import SharedLimits
from metering.usage import record_id
from tests.backends import Redis

AGENT = "0199aaaa-0000-7000-8000-00000000000a"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Meter:
    """What the meter would count, and how often it was asked to."""

    def __init__(self, used: int = 0) -> None:
        self.used = used
        self.counts = 0

    async def __call__(self, _agent_id: str, _month: str) -> int:
        self.counts += 1
        await asyncio.sleep(0)
        return self.used


def ask(*, estimate=100, ceiling=None, rpm=0, tpm=0, month="2026-02", agent_id=AGENT) -> Ask:
    return Ask(
        agent_id=agent_id,
        request_id=record_id(),
        month=month,
        estimate=estimate,
        ceiling=ceiling,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture(params=["in-process", "redis"])
async def limits(request, clock, meter):
    if request.param == "in-process":
        yield LocalLimits(count_month=meter, clock=clock)
        return
    shared = SharedLimits(url=os.environ["TEST_REDIS_URL"], count_month=meter, clock=clock)
    await shared._redis.flushdb()
    yield shared
    assert not shared.away
    await shared.close()


async def test_the_eleventh_request_of_a_minute_waits_six_seconds(limits, clock):
    for _ in range(10):
        await limits.admit(ask(rpm=10))
    with pytest.raises(RateLimited) as refused:
        await limits.admit(ask(rpm=10))
    assert refused.value.headers == {"retry-after": "6"}
    assert refused.value.requests_left < 0
    clock.now += 6.1
    await limits.admit(ask(rpm=10))


async def test_what_is_left_of_the_minute_is_told(limits):
    assert (await limits.admit(ask(rpm=10, tpm=1_000))).requests_left == 9
    assert (await limits.admit(ask(rpm=10, tpm=1_000))).tokens_left == 1_000


async def test_tokens_are_counted_when_they_are_known_and_the_debt_is_waited_for(limits, clock):
    first = ask(tpm=600)
    await limits.admit(first)
    await limits.settle(first, used=900)
    with pytest.raises(RateLimited) as refused:
        await limits.admit(ask(tpm=600))
    assert refused.value.headers == {"retry-after": "30"}
    assert refused.value.tokens_left == -300
    clock.now += 31
    await limits.admit(ask(tpm=600))


async def test_one_agent_does_not_use_up_anothers_minute(limits):
    await limits.admit(ask(rpm=1))
    await limits.admit(ask(rpm=1, agent_id="another"))


async def test_200_requests_at_once_against_room_for_7(limits):
    asks = [ask(estimate=1_000, ceiling=7_999) for _ in range(200)]
    outcomes = await asyncio.gather(*(limits.admit(each) for each in asks), return_exceptions=True)
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 7
    assert sum(isinstance(outcome, CeilingReached) for outcome in outcomes) == 193


async def test_what_was_not_used_is_free_again(limits):
    first = ask(estimate=1_000, ceiling=1_000)
    await limits.admit(first)
    with pytest.raises(CeilingReached):
        await limits.admit(ask(estimate=1, ceiling=1_000))
    assert (await limits.settle(first, used=400)).after == 400
    await limits.admit(ask(estimate=600, ceiling=1_000))


async def test_the_count_begins_with_what_the_meter_knows(limits, meter):
    meter.used = 999_950
    with pytest.raises(CeilingReached):
        await limits.admit(ask(estimate=51, ceiling=1_000_000))
    await limits.admit(ask(estimate=50, ceiling=1_000_000))


async def test_the_month_is_counted_once_however_many_arrive(limits, meter):
    await asyncio.gather(*(limits.admit(ask(ceiling=10**9)) for _ in range(50)))
    assert meter.counts <= 50
    before = meter.counts
    await limits.admit(ask(ceiling=10**9))
    assert meter.counts == before


async def test_settling_tells_before_and_after(limits):
    first = ask(ceiling=10_000)
    await limits.admit(first)
    counted = await limits.settle(first, used=70)
    assert (counted.before, counted.after) == (0, 70)


async def test_a_new_month_begins_at_nothing(limits, meter):
    first = ask(ceiling=1_000, estimate=1_000)
    await limits.admit(first)
    await limits.settle(first, used=1_000)
    await limits.admit(ask(ceiling=1_000, estimate=1_000, month="2026-03"))


async def test_without_a_ceiling_nothing_is_counted(limits, meter):
    first = ask()
    await limits.admit(first)
    assert await limits.settle(first, used=10) is None
    assert meter.counts == 0


async def test_a_reservation_whose_process_died_is_let_go(clock, meter):
    shared = SharedLimits(url=os.environ["TEST_REDIS_URL"], count_month=meter, clock=clock)
    await shared._redis.flushdb()
    await shared.admit(ask(estimate=1_000, ceiling=1_000))
    clock.now += 1_799
    with pytest.raises(CeilingReached):
        await shared.admit(ask(estimate=1_000, ceiling=1_000))
    clock.now += 2
    await shared.admit(ask(estimate=1_000, ceiling=1_000))
    await shared.close()


async def test_four_processes_share_one_ceiling(meter, monkeypatch):
    # On a busy machine Redis is slow, and not away.
    monkeypatch.setattr("llm.shared_limits.ANSWER_WITHIN", 30.0)
    processes = [SharedLimits(url=os.environ["TEST_REDIS_URL"], count_month=meter) for _ in range(4)]
    await processes[0]._redis.flushdb()
    asks = [(processes[n % 4], ask(estimate=1_000, ceiling=7_999)) for n in range(200)]
    outcomes = await asyncio.gather(*(limits.admit(each) for limits, each in asks), return_exceptions=True)
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 7
    for limits in processes:
        await limits.close()


async def test_redis_goes_and_comes_back_and_nothing_used_is_forgotten(meter, monkeypatch):
    monkeypatch.setattr("llm.shared_limits.RETRY_AFTER", 0.0)
    server = Redis()
    shared = SharedLimits(url=server.url, count_month=meter)
    first = ask(estimate=600, ceiling=1_000)
    await shared.admit(first)
    await asyncio.to_thread(server.stop)
    meter.used = 600
    await shared.settle(first, used=600)
    with pytest.raises(CeilingReached):
        await shared.admit(ask(estimate=500, ceiling=1_000))
    second = ask(estimate=300, ceiling=1_000)
    await shared.admit(second)
    meter.used = 900
    await shared.settle(second, used=300)
    await asyncio.to_thread(server.start)
    with pytest.raises(CeilingReached):
        await shared.admit(ask(estimate=101, ceiling=1_000))
    await shared.admit(ask(estimate=100, ceiling=1_000))
    await shared.close()
