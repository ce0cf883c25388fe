"""Anthropic's SDK for Python, against every provider."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from tests.compat.questions import GREETED, PIXEL, WEATHER_TOLD

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello, bakery!"}]
CITY: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: ToolParam = {"name": "get_weather", "description": "Of a city.", "input_schema": CITY}
TIME: ToolParam = {"name": "get_time", "description": "Of a city.", "input_schema": CITY}
IMAGE: Any = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]},
}


@pytest.fixture
def client(gateway_process, agent) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway_process.site, api_key=agent.token) as client:
        yield client


def user(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def texts(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls(message: Any) -> list[tuple[str, Any]]:
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


def test_an_answer(client, agent, meter):
    answer = client.messages.create(model=agent.model, max_tokens=100, system="Be brief.", messages=HELLO)
    assert (texts(answer), answer.stop_reason) == (GREETED, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    record = meter.counted(4, 4)
    assert str(record.id) == answer._request_id


def test_a_stream(client, agent, meter):
    with client.messages.stream(model=agent.model, max_tokens=100, system="Be brief.", messages=HELLO) as stream:
        said = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert (said, texts(answer), answer.stop_reason) == (GREETED, GREETED, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    meter.counted(4, 4, streamed=True)


def test_two_tool_calls_at_once(client, agent, meter):
    answer = client.messages.create(
        model=agent.model, max_tokens=100, messages=user("Weather in Paris? [[tools=2]]"), tools=[WEATHER, TIME]
    )
    assert answer.stop_reason == "tool_use"
    assert calls(answer) == [
        ("get_weather", {"city": "Weather in Paris?"}),
        ("get_time", {"city": "Weather in Paris?"}),
    ]
    meter.counted(24, 8)


def test_two_streamed_tool_calls_at_once(client, agent, meter):
    with client.messages.stream(
        model=agent.model, max_tokens=100, messages=user("Weather in Paris? [[tools=2]]"), tools=[WEATHER, TIME]
    ) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        answer = stream.get_final_message()
    assert "".join(pieces) == '{"city":"Weather in Paris?"}' * 2
    assert calls(answer) == [
        ("get_weather", {"city": "Weather in Paris?"}),
        ("get_time", {"city": "Weather in Paris?"}),
    ]
    meter.counted(24, 8, streamed=True)


def test_a_tool_that_must_be_called(client, agent, meter):
    answer = client.messages.create(
        model=agent.model,
        max_tokens=100,
        messages=user("Paris"),
        tools=[WEATHER, TIME],
        tool_choice={"type": "tool", "name": "get_time"},
    )
    assert calls(answer) == [("get_time", {"city": "Paris"})]
    meter.counted(21, 2)


def test_the_turn_after_a_tool_call(client, agent, meter):
    asked: Any = [
        {"role": "user", "content": "Weather in Paris?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "Sunny, 21 degrees"}],
        },
    ]
    answer = client.messages.create(model=agent.model, max_tokens=100, messages=asked, tools=[WEATHER])
    assert texts(answer) == WEATHER_TOLD
    meter.counted(18, 6)


def test_an_image(client, agent, meter):
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]
    answer = client.messages.create(model=agent.model, max_tokens=100, messages=asked)
    assert texts(answer) == "You said: What is this?"
    meter.counted(88, 5)


def test_an_answer_in_a_schema(client, agent, meter):
    class Weather(BaseModel):
        city: str
        degrees: int

    answer = client.messages.parse(
        model=agent.model, max_tokens=100, messages=user("Paris, please"), output_format=Weather
    )
    assert answer.parsed_output == Weather(city="Paris, please", degrees=1)
    meter.counted(2, 2)


def test_a_limit(client, agent, meter):
    answer = client.messages.create(model=agent.model, max_tokens=2, messages=HELLO)
    assert (texts(answer), answer.stop_reason) == ("You said:", "max_tokens")
    meter.counted(2, 2)


def test_counting_tokens(client, agent, meter):
    counted = client.messages.count_tokens(model=agent.model, messages=HELLO)
    assert counted.input_tokens > 0
    assert meter.records() == []


def test_a_token_that_is_not_valid(gateway_process, agent):
    with (
        Anthropic(base_url=gateway_process.site, api_key="vtl_agent_mistyped") as client,
        pytest.raises(anthropic.AuthenticationError) as refused,
    ):
        client.messages.create(model=agent.model, max_tokens=100, messages=HELLO)
    assert refused.value.request_id
    assert refused.value.type == "authentication_error"


def test_a_key_that_the_provider_refuses(gateway_process, agent, echo):
    wrong = gateway_process.agent(agent.provider, key="bad-0123456789-wxyz")
    with (
        Anthropic(base_url=gateway_process.site, api_key=wrong.token) as client,
        pytest.raises(anthropic.AuthenticationError, match="Incorrect API key provided"),
    ):
        client.messages.create(model=agent.model, max_tokens=100, messages=HELLO)


def test_coming_back_when_the_provider_said_to(client, agent, echo, meter):
    echo.script("status=429; retry_after=1", provider=agent.provider, times=1)
    answer = client.messages.create(model=agent.model, max_tokens=100, messages=HELLO)
    assert texts(answer) == GREETED
    first, second = echo.requests()
    assert (first.status, second.status) == (429, 200)
    assert second.started - first.started >= 1  # by itself the SDK waits for half of that
    assert [record.http_status for record in meter.records()] == [429, 200]


def test_a_stream_that_the_provider_cuts(client, agent, meter):
    said: list[str] = []
    asked = user("One two three [[cut=3]]")
    with (
        pytest.raises(anthropic.APIStatusError, match="broke off"),
        client.messages.stream(model=agent.model, max_tokens=100, messages=asked) as stream,
    ):
        said.extend(stream.text_stream)
    assert "".join(said) == "You said: One "
    [record] = meter.records()
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


def test_a_caller_who_leaves(client, agent, echo, meter):
    with client.messages.stream(
        model=agent.model, max_tokens=1_000, messages=user("Go on [[words=400]] [[chunk_delay=0.05]]")
    ) as stream:
        next(iter(stream.text_stream))
    [received] = echo.requests(count=1)
    assert received.outcome == "client_gone"
    [record] = meter.records(count=1)
    assert (record.status, record.provenance) == ("client_closed", "partial")
