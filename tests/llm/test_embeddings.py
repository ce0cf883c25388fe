"""Alex's agent has texts embedded."""

import pytest

from tests.llm.gateway import TOKEN, agent

TEXTS = {"model": "text-embedding-3-small", "input": ["Fresh bread", "Fresh bread every day"]}


async def ask(house, body):
    return await house.call(body, path="/v1/embeddings")


async def test_the_input_is_counted_and_priced(house, echo):
    answered = await ask(house, TEXTS)
    assert [len(each["embedding"]) for each in answered.json()["data"]] == [64, 64]
    [received] = await echo.arequests(count=1)
    assert received.path == "/openai/v1/embeddings"
    record = await house.record()
    assert (record["tokens_input"], record["tokens_output"], record["provenance"]) == (6, 0, "reported")
    # 6 × $0.02 a million, in picodollars
    assert (record["cost_input"], record["cost_output"], record["cost_total"]) == (120_000, 0, 120_000)
    assert record["model"] == "text-embedding-3-small"


async def test_the_bytes_go_through_unchanged(house, echo):
    raw = b'{ "input" : "Caf\xc3\xa9" , "model":"text-embedding-3-small", "dimensions":8 }'
    await ask(house, raw)
    [received] = await echo.arequests(count=1)
    assert received.body == raw


async def test_a_refusal_comes_back_as_it_is(house):
    answered = await ask(house, {**TEXTS, "input": "[[status=429]] hello"})
    assert (answered.status, answered.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await house.record())["status"] == "provider_error"


@pytest.mark.parametrize(("body", "param"), [({"model": "m"}, "input"), ({"input": "a", "model": 3}, "model")])
async def test_what_cannot_be_read_is_a_400_that_names_the_field(house, body, param):
    answered = await ask(house, body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_anthropic_has_no_embeddings_and_we_say_so(house, echo):
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    answered = await ask(house, TEXTS)
    assert (answered.status, answered.json()["error"]["code"]) == (400, "invalid_request")
    assert await echo.arequests() == []
