"""OpenAI's SDK for Python when things go wrong: it raises and retries as it would without us in between."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.compat.questions import GREETED, HELLO, user


@pytest.fixture
def client(gateway_process, agent) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway_process.url, api_key=agent.token) as client:
        yield client


@pytest.mark.parametrize("agent", ["openai"], indirect=True)
def test_a_token_that_is_not_valid(gateway_process, agent, echo, meter):
    with (
        OpenAI(base_url=gateway_process.url, api_key="vtl_agent_mistyped") as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.chat.completions.create(model=agent.model, messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (401, "invalid_agent_token")
    assert refused.value.request_id
    assert echo.requests() == []
    assert meter.records() == []


def test_a_key_that_the_provider_refuses(gateway_process, agent, echo):
    wrong = gateway_process.agent(agent.provider, key="bad-0123456789-wxyz")
    with (
        OpenAI(base_url=gateway_process.url, api_key=wrong.token) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"),
    ):
        client.chat.completions.create(model=agent.model, messages=HELLO)
    [record] = gateway_process.records(wrong)
    assert (record.provider, record.status, record.http_status) == (agent.provider, "provider_error", 401)
    assert (record.tokens_input, record.tokens_output, record.cost_total) == (0, 0, 0)
    assert len(echo.requests()) == 1


def test_coming_back_when_the_provider_said_to(client, agent, echo, meter):
    echo.script("status=429; retry_after=1", provider=agent.provider, times=1)
    answer = client.chat.completions.create(model=agent.model, messages=HELLO)
    assert answer.choices[0].message.content == GREETED
    first, second = echo.requests()
    assert (first.status, second.status) == (429, 200)
    assert second.started - first.started >= 1  # by itself the SDK waits for half of that
    refused, answered = meter.records()
    assert (refused.status, refused.http_status, refused.tokens_input) == ("provider_error", 429, 0)
    assert (answered.status, answered.http_status, answered.tokens_input) == ("ok", 200, 4)


@pytest.mark.parametrize("agent", ["openai", "anthropic"], indirect=True)
def test_a_rate_limit_that_stays(client, agent, echo, meter):
    echo.script("status=429; retry_after=0.01", provider=agent.provider)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model=agent.model, messages=HELLO)
    assert len(echo.requests()) == 3
    assert [record.http_status for record in meter.records()] == [429, 429, 429]


def test_a_request_that_the_provider_does_not_take(client, agent, echo, meter):
    echo.script("status=400", provider=agent.provider)
    with pytest.raises(openai.BadRequestError, match="Echo was told to answer 400"):
        client.chat.completions.create(model=agent.model, messages=HELLO)
    assert len(echo.requests()) == 1
    [record] = meter.records()
    assert (record.status, record.http_status) == ("provider_error", 400)


def test_a_model_that_does_not_exist(client, echo, meter):
    with pytest.raises(openai.NotFoundError, match="no-such-model"):
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    [record] = meter.records()
    assert (record.model, record.status, record.http_status) == ("no-such-model", "provider_error", 404)


@pytest.mark.parametrize("agent", ["openai"], indirect=True)
def test_a_request_that_we_do_not_take(client, agent, echo, meter):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=agent.model, messages="Hello")
    assert (refused.value.code, refused.value.param) == ("invalid_request", "messages")
    assert echo.requests() == []
    assert meter.records() == []


@pytest.mark.parametrize("agent", ["openai", "anthropic"], indirect=True)
def test_a_provider_that_has_too_much_to_do(client, agent, echo, meter):
    echo.script("status=529", provider=agent.provider, times=1)
    assert client.chat.completions.create(model=agent.model, messages=HELLO).choices[0].message.content == GREETED
    assert [received.status for received in echo.requests()] == [529, 200]
    assert [record.http_status for record in meter.records()] == [529, 200]


@pytest.mark.parametrize("agent", ["openai", "anthropic"], indirect=True)
def test_a_stream_that_the_provider_cuts(client, agent, meter):
    said = ""
    with pytest.raises(openai.APIError, match="broke off"):  # noqa: PT012 - what came before the cut counts
        for chunk in client.chat.completions.create(
            model=agent.model, messages=user("One two three [[cut=3]]"), stream=True
        ):
            said += chunk.choices[0].delta.content or ""
    assert said == "You said: One "
    [record] = meter.records()
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


@pytest.mark.parametrize("agent", ["openai", "anthropic"], indirect=True)
def test_a_caller_who_leaves(client, agent, echo, meter):
    with client.chat.completions.create(
        model=agent.model, messages=user("Go on [[words=400]] [[chunk_delay=0.05]]"), stream=True
    ) as stream:
        next(iter(stream))
    [received] = echo.requests(count=1)
    assert received.outcome == "client_gone"
    [record] = meter.records(count=1)
    assert (record.status, record.provenance, record.streamed) == ("client_closed", "partial", True)
