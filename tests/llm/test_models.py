"""Which models Alex's agent can ask for."""

import pytest

from tests.llm.gateway import TOKEN, agent, on_plan


async def look(house, path, **more):
    return await house.call(b"", path=path, method=more.pop("method", "GET"), **more)


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "gpt-4o-mini"),
        ("openrouter", "anthropic/claude-sonnet-4"),
        ("anthropic", "claude-haiku-4-5"),
        ("custom", "llama3.2"),
    ],
)
async def test_one_of_them(house, echo, provider, name):
    house.agents[TOKEN] = agent(provider, echo.url(provider))
    answered = await look(house, f"/v1/models/{name}")
    found = answered.json()
    assert (answered.status, found["id"], found["object"]) == (200, name, "model")
    listed = (await look(house, "/v1/models")).json()["data"]
    assert found in listed
    assert await house.records() == []


async def test_one_that_does_not_exist(house):
    answered = await look(house, "/v1/models/gpt-99")
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (404, "not_found", "model")


async def test_a_wrong_key_is_told(house, echo):
    house.agents[TOKEN] = agent("openai", echo.url("openai"), key="bad-0123456789-wxyz")
    assert (await look(house, "/v1/models/gpt-4o-mini")).status == 401


async def test_on_a_plan_there_is_one(house):
    house.agents[TOKEN] = on_plan()
    assert (await look(house, "/v1/models/vutler")).json()["id"] == "vutler"
    assert (await look(house, "/v1/models/gpt-4o")).status == 404


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/models/", "GET", 404), ("/v1/models/x", "POST", 405)])
async def test_a_wrong_address(house, path, method, status):
    assert (await look(house, path, method=method)).status == status
