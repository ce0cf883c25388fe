"""Alex's program isn't sure whether its request went through, and sends it again with the same key."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connections
from django.utils import timezone

from llm.idempotency import Claim, DatabaseKeys, Keys, RedisKeys, forget_expired
from llm.models import IdempotencyKey
from metering.usage import record_id
from tests.backends import free_port
from tests.llm.gateway import AGENT, TOKEN, agent

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
KEY = {"idempotency-key": "order-7"}


def says(text: str, **more):
    return {**HELLO, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(params=["database", "redis"])
def keys(request) -> Keys:
    """Each test holds for both places where keys are remembered."""
    if request.param == "database":
        return DatabaseKeys()
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as server:
        server.flushdb()
    return RedisKeys(url=os.environ["TEST_REDIS_URL"])


async def test_a_repeat_is_told_of_the_first_and_the_provider_isnt_asked(house, echo):
    first = await house.call(HELLO, headers=KEY)
    again = await house.call(HELLO, headers=KEY)

    assert first.status == 200
    assert (again.status, again.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert first.headers["x-request-id"] in again.json()["error"]["message"]
    assert again.headers["x-vutler-original-request-id"] == first.headers["x-request-id"]
    assert again.headers["x-should-retry"] == "false"
    assert len(await echo.arequests(count=1)) == 1
    assert [record["id"] for record in await house.records()] == [first.headers["x-request-id"]]


async def test_anthropics_sdk_is_told_in_its_own_words(house, echo):
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": HELLO["messages"]}
    first = await house.call(body, path="/v1/messages", headers=KEY)
    again = await house.call(body, path="/v1/messages", headers=KEY)
    assert (first.status, again.status) == (200, 409)
    assert again.json()["error"]["type"] == "invalid_request_error"
    assert again.headers["x-vutler-original-request-id"] == first.headers["request-id"]


async def test_of_twenty_at_once_one_reaches_the_provider(house, echo):
    answers = await asyncio.gather(*[house.call(says("[[delay=0.2]] hello"), headers=KEY) for _ in range(20)])
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, *[409] * 19]
    [winner] = [answer for answer in answers if answer.status == 200]
    named = {answer.headers["x-vutler-original-request-id"] for answer in answers if answer.status == 409}
    assert named == {winner.headers["x-request-id"]}
    assert len(await echo.arequests(count=1)) == 1
    assert len(await house.records()) == 1


async def test_the_same_key_for_another_request_is_a_mistake(house, echo):
    first = await house.call(HELLO, headers=KEY)
    other = await house.call(says("something else"), headers=KEY)
    assert (other.status, other.json()["error"]["code"]) == (422, "idempotency_key_mismatch")
    assert other.headers["x-vutler-original-request-id"] == first.headers["x-request-id"]
    assert len(await echo.arequests(count=1)) == 1


async def test_another_agents_key_is_another_key(house, echo):
    other = agent("openai", echo.url("openai"))
    house.agents["of-elena"] = type(other)(
        agent_id=record_id(), workspace_id=other.workspace_id, mode="byokey", paused=False, target=other.target
    )
    assert (await house.call(HELLO, headers=KEY)).status == 200
    assert (await house.call(HELLO, headers=KEY, token="of-elena")).status == 200


@pytest.mark.parametrize("status", [401, 429, 500, 529])
async def test_what_the_provider_refused_can_be_asked_again(house, echo, status):
    """It did nothing and bills nothing, and SDKs repeat such requests by themselves."""
    echo.script(f"status={status}", times=1)
    assert (await house.call(HELLO, headers=KEY)).status == status
    assert (await house.call(HELLO, headers=KEY)).status == 200
    assert (await house.call(HELLO, headers=KEY)).status == 409


async def test_what_never_reached_the_provider_can_be_asked_again(house, echo):
    house.agents["away"] = agent("openai", "http://127.0.0.1:1/v1")
    assert (await house.call(HELLO, headers=KEY, token="away")).status == 502
    assert (await house.call(HELLO, headers=KEY)).status == 200


async def test_what_we_refused_ourselves_can_be_asked_again(house, echo):
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    refused = await house.call(says("hello", logprobs=True, n=2), headers=KEY)
    assert refused.status == 400
    assert (await house.call(says("hello"), headers=KEY)).status == 200


async def test_what_was_cut_or_left_isnt_asked_again(house, echo, monkeypatch):
    monkeypatch.setattr("llm.client.SILENT_AT_MOST", 0.05)
    assert (await house.call(says("[[delay=30]] hello"), headers={"idempotency-key": "silent"})).status == 504
    assert (await house.call(says("[[delay=30]] hello"), headers={"idempotency-key": "silent"})).status == 409

    leave = asyncio.Event()
    monkeypatch.setattr("llm.client.SILENT_AT_MOST", 30)
    left = {"idempotency-key": "left"}
    call = asyncio.create_task(house.call(says("[[delay=30]] hi"), headers=left, leave=leave))
    while len(await echo.arequests(settled=False)) < 2:
        await asyncio.sleep(0.01)
    leave.set()
    await call
    assert (await house.call(says("[[delay=30]] hi"), headers=left)).status == 409


async def test_streams_take_no_part(house, echo):
    for _ in range(2):
        assert (await house.call({**HELLO, "stream": True}, headers=KEY)).status == 200
    assert len(await echo.arequests(count=2)) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
async def test_a_key_that_is_none_is_refused(house, key):
    answer = await house.call(HELLO, headers={"idempotency-key": key})
    assert (answer.status, answer.json()["error"]["param"]) == (400, "idempotency-key")


async def test_the_longest_key_is_one(house):
    assert (await house.call(HELLO, headers={"idempotency-key": "x" * 255})).status == 200


async def test_neither_the_key_nor_the_body_is_kept(house):
    await house.call(says("my secret plan"), headers=KEY)
    row = await in_database(IdempotencyKey.objects.first)
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"], decode_responses=True) as server:
        kept = f"{vars(row) if row else ''}" + "".join(f"{name}{server.get(name)}" for name in server.keys("*idem*"))
    assert AGENT in kept
    assert "order-7" not in kept
    assert "my secret plan" not in kept


async def test_a_day_later_the_key_is_forgotten():
    keys = DatabaseKeys()
    first, second = claim(), claim()
    assert await keys.claim(first) is None
    await in_database(lambda: IdempotencyKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1)))
    assert await keys.claim(second) is None
    assert await keys.claim(first) == second
    await keys.close()
    await in_database(lambda: IdempotencyKey.objects.update(expires_at=timezone.now()))
    assert await in_database(forget_expired) == 1


async def test_redis_forgets_by_itself():
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as server:
        server.flushdb()
    keys = RedisKeys(url=os.environ["TEST_REDIS_URL"])
    one = claim()
    await keys.claim(one)
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as server:
        [name] = server.keys("*idempotency*")
        assert 86_000 < server.ttl(name) <= 86_400
    await keys.close()


async def test_who_frees_a_key_frees_only_their_own():
    keys = DatabaseKeys()
    mine, other = claim(), claim()
    await keys.claim(mine)
    await keys.free(other)
    assert await keys.claim(other) == mine
    await keys.free(mine)
    assert await keys.claim(other) is None
    await keys.close()


class TestWithoutRedis:
    @pytest.fixture
    def keys(self) -> Keys:
        return RedisKeys(url=f"redis://127.0.0.1:{free_port()}/0")

    async def test_who_cannot_tell_says_so_and_asks_nobody(self, house, echo):
        answer = await house.call(HELLO, headers=KEY)
        assert (answer.status, answer.json()["error"]["code"]) == (503, "service_unavailable")
        assert (await house.call(HELLO)).status == 200
        assert len(await echo.arequests(count=1)) == 1


async def test_who_leaves_while_the_key_is_claimed_leaves_it_free(house, keys, monkeypatch):
    claimed, going_on = asyncio.Event(), asyncio.Event()
    claim_at_once: Any = type(keys).claim

    async def claim_slowly(self: Keys, wanted: Claim) -> Claim | None:
        found: Claim | None = await claim_at_once(self, wanted)
        claimed.set()
        await going_on.wait()
        return found

    monkeypatch.setattr(type(keys), "claim", claim_slowly)
    leave = asyncio.Event()
    call = asyncio.create_task(house.call(HELLO, headers=KEY, leave=leave))
    await claimed.wait()
    leave.set()
    await call
    monkeypatch.undo()
    going_on.set()
    while (answer := await house.call(HELLO, headers=KEY)).status == 409:
        await asyncio.sleep(0.01)
    assert answer.status == 200


def claim() -> Claim:
    return Claim(agent_id=AGENT, key="0" * 64, body="1" * 64, request_id=record_id())


async def in_database(work: Callable[[], Any]) -> Any:
    """Do it in a thread that leaves no connection behind."""

    def do() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(do)
