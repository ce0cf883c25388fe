"""Elena's agent asks on her plan; we answer over our own keys, and one bad day at a provider isn't hers."""

import asyncio
import random

import msgspec
import pytest

from llm.health import BREAK_AFTER
from tests.llm.gateway import TOKEN, on_plan

HELLO = {"messages": [{"role": "user", "content": "one two three four"}]}
STREAM = {**HELLO, "stream": True}
ROUTES = {
    "economy": [("minimax", "MiniMax-M2.5"), ("mistral", "mistral-small-latest")],
    "standard": [("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5")],
    "premium": [("anthropic", "claude-sonnet-4-20250514"), ("openai", "gpt-4o")],
}


@pytest.fixture(autouse=True)
def _providers_are_played_by_echo(settings, echo):
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)


@pytest.fixture(params=ROUTES)
def tier(request, house):
    """Each tier in turn, with its routes and a key for each, and Elena's agent on it."""
    house.arranged.tier(request.param, *ROUTES[request.param])
    house.agents[TOKEN] = on_plan(request.param)
    return request.param


@pytest.fixture
def elenas(house):
    """Elena's agent on Starter."""
    house.arranged.tier("economy", *ROUTES["economy"])
    house.agents[TOKEN] = on_plan("economy")
    return house


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
async def test_each_tier_answers_through_its_first_route_under_our_key(house, echo, tier, body):
    answered = await house.call({**body, "model": "whatever-the-caller-says"})
    said = answered.text() if "stream" in body else answered.json()["choices"][0]["message"]["content"]
    assert said == "You said: one two three four"
    [received] = await echo.arequests(count=1)
    provider, model = ROUTES[tier][0]
    assert (received.provider, received.json()["model"]) == (provider, model)
    assert f"sk-pool-{provider}-1-0123456789" in str(received.headers)
    record = await house.record()
    assert (record["tier"], record["mode"], record["provider"], record["model"]) == (tier, "managed", provider, model)
    assert (record["tokens_input"], record["tokens_output"], record["provenance"]) == (4, 6, "reported")
    # 10 tokens at $5.00 a million
    assert record["price_total"] == 50_000_000
    assert answered.headers["x-vutler-attempts"] == "1"


@pytest.mark.parametrize("body", [HELLO, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "trouble",
    ["status=429", "status=500", "status=529", "status=401", "status=402", "status=403", "status=408", "cut=0"],
)
async def test_when_the_first_route_fails_the_second_answers_cleanly(house, echo, tier, body, trouble):
    (first, _), (second, model) = ROUTES[tier]
    echo.script(trouble, provider=first)
    answered = await house.call(body)
    assert answered.status == 200
    said = answered.text() if "stream" in body else answered.json()["choices"][0]["message"]["content"]
    assert said == "You said: one two three four"
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-attempts"]) == (second, "2")
    record = await house.record()
    assert (record["status"], record["provider"], record["model"]) == ("ok", second, model)
    assert [each["provider"] for each in record["attempts"]] == [first, second]
    assert [each["status"] for each in record["attempts"]][1] == 200


async def test_a_hanging_first_route_is_given_up_in_time(house, echo, tier, monkeypatch):
    (first, _), (second, _) = ROUTES[tier]
    monkeypatch.setattr("llm.gateway.FIRST_BYTE_WITHIN", 0.4)
    monkeypatch.setattr("llm.gateway.TRY_AT_LEAST", 0.05)
    echo.script("delay=30", provider=first)
    answered = await house.call(HELLO)
    assert (answered.status, answered.headers["x-vutler-provider"]) == (200, second)
    outcomes = {received.provider: received.outcome for received in await echo.arequests(count=2)}
    assert outcomes[first] == "client_gone"


async def test_once_a_request_has_had_its_time_no_third_way_is_tried(house, echo, monkeypatch):
    monkeypatch.setattr("llm.gateway.FIRST_BYTE_WITHIN", 0.8)
    monkeypatch.setattr("llm.gateway.TRY_AT_LEAST", 0.4)
    house.arranged.tier("economy", ("minimax", "m"), ("mistral", "m"), ("groq", "m"))
    house.agents[TOKEN] = on_plan("economy")
    echo.script("delay=30")
    answered = await house.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (504, "upstream_timeout")
    record = await house.record()
    assert (record["status"], [each["provider"] for each in record["attempts"]]) == ("timeout", ["minimax", "mistral"])


async def test_a_refused_connection_moves_on(house, echo, tier, settings):
    (first, _), (second, _) = ROUTES[tier]
    urls = {first: "http://127.0.0.1:1/v1"}
    settings.PROVIDER_BASE_URL = lambda provider, _default: urls.get(provider) or echo.url(provider)
    answered = await house.call(HELLO)
    assert (answered.status, answered.headers["x-vutler-provider"]) == (200, second)
    assert (await house.record())["attempts"][0]["status"] is None


async def test_after_the_first_byte_a_cut_is_a_cut(elenas, echo):
    echo.script("cut=3", provider="minimax")
    answered = await elenas.call(STREAM)
    assert answered.events()[-1]["error"]["code"] == "upstream_unavailable"
    assert len(await echo.arequests(count=1)) == 1
    record = await elenas.record()
    assert (record["status"], record["provenance"], len(record["attempts"])) == ("provider_cut", "partial", 1)


async def test_when_every_route_fails_the_caller_gets_one_502_and_the_meter_one_record(elenas, echo):
    echo.script("status=500")
    answered = await elenas.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")
    record = await elenas.record()
    assert (record["status"], record["http_status"], record["price_total"]) == ("provider_error", 502, 0)
    assert [each["status"] for each in record["attempts"]] == [500, 500]


async def test_a_thousand_requests_that_are_wrong_themselves_are_tried_once_each_and_cool_nothing(elenas, echo):
    echo.script("status=400")
    for _ in range(20):
        answers = await asyncio.gather(*(elenas.call(HELLO) for _ in range(50)))
        assert {answered.status for answered in answers} == {400}
    asked = await echo.arequests(count=1_000)
    assert (len(asked), {received.provider for received in asked}) == (1_000, {"minimax"})
    echo.clear()
    assert (await elenas.call(HELLO)).headers["x-vutler-provider"] == "minimax"


async def test_a_rate_limited_key_is_left_alone_for_as_long_as_it_asks(elenas, echo):
    echo.script("status=429; retry_after=60", provider="minimax", times=1)
    await elenas.call(HELLO)
    await elenas.call(HELLO)
    providers = [received.provider for received in await echo.arequests(count=3)]
    assert providers == ["minimax", "mistral", "mistral"]
    assert elenas.pool.health.key("minimax-1").reason == "rate limited (429)"


async def test_a_second_key_of_the_same_provider_comes_before_the_next_route(elenas, echo):
    elenas.arranged.key("minimax-2", "minimax")
    echo.script("status=429", provider="minimax", times=1)
    answered = await elenas.call(HELLO)
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-attempts"]) == ("minimax", "2")


async def test_a_provider_in_trouble_is_passed_over_after_five_failures(elenas, echo):
    echo.script("status=503", provider="minimax")
    for _ in range(BREAK_AFTER):
        await elenas.call(HELLO)
    before = len(await echo.arequests(count=2 * BREAK_AFTER))
    answered = await elenas.call(HELLO)
    assert answered.headers["x-vutler-attempts"] == "1"
    assert len(await echo.arequests(count=before + 1)) == before + 1


async def test_what_one_route_cannot_express_goes_to_the_next(house, echo):
    house.arranged.tier("standard", ("anthropic", "claude-haiku-4-5"), ("openai", "gpt-4o-mini"))
    house.agents[TOKEN] = on_plan("standard")
    answered = await house.call({**HELLO, "logit_bias": {"50256": -100}})
    assert (answered.status, answered.headers["x-vutler-provider"]) == (200, "openai")


async def test_without_keys_in_the_pool_the_caller_is_told_to_try_again(house):
    house.agents[TOKEN] = on_plan("economy")
    answered = await house.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")


async def test_a_caller_who_leaves_stops_the_provider_and_blames_no_key(elenas, echo):
    await elenas.call(
        {"messages": [{"role": "user", "content": "[[words=500]] [[chunk_delay=0.02]] hello"}], "stream": True},
        leave_after=3,
    )
    [received] = await echo.arequests(count=1)
    assert received.outcome == "client_gone"
    assert elenas.pool.health.key("minimax-1").success_rate == 1.0
    assert (await elenas.record())["status"] == "client_closed"


async def test_at_the_ceiling_the_agent_gets_402_and_nothing_is_asked(elenas, echo):
    elenas.agents[TOKEN] = on_plan("economy", most_tokens=2_000_000)
    elenas.used["0199aaaa-0000-7000-8000-00000000000a"] = 1_999_999
    answered = await elenas.call(HELLO)
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (402, "overage_ceiling_reached")
    assert await echo.arequests() == []
    assert await elenas.records() == []


async def test_an_invoice_that_is_not_paid_stops_plans_with_402_that_sdks_do_not_repeat(elenas, echo):
    hers = on_plan("economy")
    assert hers.plan
    elenas.agents[TOKEN] = msgspec.structs.replace(hers, plan=msgspec.structs.replace(hers.plan, paused=True))
    answered = await elenas.call(HELLO)
    error = answered.json()["error"]
    assert (answered.status, error["code"], answered.headers["x-should-retry"]) == (402, "plans_paused", "false")
    assert "open invoice" in error["message"]
    assert await echo.arequests() == []
    assert await elenas.records() == []


async def test_200_requests_at_once_against_a_ceiling_with_room_for_7(elenas, echo):
    # Each reserves some 20 tokens of input and the 100 that it allows for its answer, and uses 10.
    body = {**HELLO, "max_tokens": 100}
    elenas.agents[TOKEN] = on_plan("economy", most_tokens=7 * 125)
    echo.script("delay=0.3")
    answers = await asyncio.gather(*(elenas.call(body) for _ in range(200)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * statuses.count(200) + [402] * statuses.count(402)
    assert 1 <= statuses.count(200) <= 7
    used = sum(record["tokens_input"] + record["tokens_output"] for record in await elenas.records())
    assert used <= 7 * 125


async def test_two_of_three_providers_at_a_time_go_up_and_down_and_elena_hardly_notices(house, echo):
    house.arranged.tier("economy", ("minimax", "m"), ("mistral", "m"), ("groq", "m"))
    for provider in ("minimax", "mistral", "groq"):
        house.arranged.key(f"{provider}-2", provider)
    house.agents[TOKEN] = on_plan("economy")
    chance = random.Random(4)
    done = asyncio.Event()

    async def weather() -> None:
        while not done.is_set():
            await asyncio.to_thread(echo.clear)
            for provider in chance.sample(["minimax", "mistral", "groq"], 2):
                trouble = chance.choice(["status=500", "status=529", "status=429; retry_after=1", "cut=0"])
                await asyncio.to_thread(echo.script, trouble, provider=provider)
            try:
                await asyncio.wait_for(done.wait(), 0.3)
            except TimeoutError:
                continue

    storm = asyncio.create_task(weather())
    answers = []
    for _ in range(20):
        answers += await asyncio.gather(*(house.call(HELLO) for _ in range(10)))
    done.set()
    await storm
    succeeded = sum(answer.status == 200 for answer in answers)
    # Two minutes of it, at 50 requests a second, are benchmarks/chaos.py.
    assert succeeded / len(answers) >= 0.95
