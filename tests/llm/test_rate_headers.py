"""What callers are told of their minute, in the dialect that they speak."""

from datetime import UTC, datetime

import msgspec
import pytest

from llm.limits import Allowed, Ask
from llm.rate_headers import rate_headers
from tests.llm.gateway import TOKEN, on_plan

NOON = datetime(2026, 2, 16, 12, tzinfo=UTC)
HELLO = {"messages": [{"role": "user", "content": "one two three four"}]}


def ask(requests: int, tokens: int) -> Ask:
    return Ask(
        agent_id="a",
        request_id="r",
        month="2026-02",
        estimate=0,
        ceiling=None,
        requests_per_minute=requests,
        tokens_per_minute=tokens,
    )


def told(requests: int, tokens: int, *, left: tuple[int, int], anthropic: bool) -> dict[str, str]:
    allowed = Allowed(requests_left=left[0], tokens_left=left[1])
    headers = rate_headers(ask(requests, tokens), allowed, anthropic=anthropic, now=NOON)
    return {name.decode(): value.decode() for name, value in headers}


def test_in_openais_dialect():
    assert told(60, 200_000, left=(59, 150_000), anthropic=False) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "150000",
        "x-ratelimit-reset-tokens": "15s",
    }


def test_in_anthropics_dialect():
    assert told(60, 200_000, left=(59, 150_000), anthropic=True) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2026-02-16T12:00:01Z",
        "anthropic-ratelimit-tokens-limit": "200000",
        "anthropic-ratelimit-tokens-remaining": "150000",
        "anthropic-ratelimit-tokens-reset": "2026-02-16T12:00:15Z",
    }


def test_what_is_not_limited_is_not_told():
    assert told(0, 0, left=(0, 0), anthropic=False) == {}
    assert [name for name in told(60, 0, left=(1, 0), anthropic=False) if "tokens" in name] == []


@pytest.mark.parametrize(("left", "reset"), [(240, "0ms"), (239, "250ms"), (230, "2.5s"), (0, "1m0s"), (-90, "1m0s")])
def test_how_long_until_all_is_there_again(left, reset):
    headers = told(240, 0, left=(left, 0), anthropic=False)
    assert headers["x-ratelimit-reset-requests"] == reset
    assert headers["x-ratelimit-remaining-requests"] == str(max(left, 0))


# --- Through the gateway ------------------------------------------------------------------------


@pytest.fixture
def elenas(house, echo, settings):
    """Elena's agent on Starter: two requests and 1,000 tokens a minute."""
    settings.PROVIDER_BASE_URL = lambda provider, _default: echo.url(provider)
    house.arranged.tier("economy", ("minimax", "MiniMax-M2.5"))
    plan = on_plan("economy")
    house.agents[TOKEN] = msgspec.structs.replace(plan, requests_per_minute=2, tokens_per_minute=1_000)
    return house


@pytest.mark.parametrize("stream", [False, True])
async def test_a_managed_answer_tells_of_the_agents_minute_and_not_of_our_account(elenas, stream):
    answered = await elenas.call({**HELLO, "stream": stream})
    assert answered.headers["x-ratelimit-limit-requests"] == "2"
    assert answered.headers["x-ratelimit-remaining-requests"] == "1"
    assert answered.headers["x-ratelimit-remaining-tokens"] == "1000"


async def test_a_refusal_says_it_in_the_callers_dialect(elenas):
    for _ in range(2):
        await elenas.call(HELLO)
    refused = await elenas.call(HELLO)
    assert (refused.status, refused.headers["retry-after"]) == (429, "30")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    refused = await elenas.call({**HELLO, "max_tokens": 10}, path="/v1/messages")
    assert refused.status == 429
    assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert "x-ratelimit-remaining-requests" not in refused.headers


async def test_on_his_own_key_alex_reads_what_his_provider_says_until_we_refuse(house):
    house.agents[TOKEN] = msgspec.structs.replace(house.agents[TOKEN], requests_per_minute=1)
    answered = await house.call(HELLO)
    assert answered.status == 200
    assert answered.headers.get("x-ratelimit-limit-requests") != "1"
    refused = await house.call(HELLO)
    assert (refused.status, refused.headers["x-ratelimit-limit-requests"]) == (429, "1")


async def test_at_the_ceiling_sdks_are_told_not_to_retry(elenas):
    elenas.agents[TOKEN] = on_plan("economy", most_tokens=1)
    refused = await elenas.call(HELLO)
    assert (refused.status, refused.headers["x-should-retry"]) == (402, "false")
