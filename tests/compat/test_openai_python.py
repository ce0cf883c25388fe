"""OpenAI's SDK for Python, against every provider."""

from collections.abc import Iterator

import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.compat.questions import (
    BOTH_QUESTION,
    GREETED,
    HELLO,
    IMAGE_QUESTION,
    TIME,
    WEATHER,
    WEATHER_ANSWERED,
    WEATHER_QUESTION,
    WEATHER_TOLD,
    user,
)


@pytest.fixture
def client(gateway_process, agent) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway_process.url, api_key=agent.token) as client:
        yield client


def test_an_answer(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=HELLO)
    assert answer.choices[0].message.content == GREETED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)
    record = meter.counted(4, 4)
    assert str(record.id) == answer._request_id


def test_a_stream_that_does_not_ask_for_usage_is_counted_all_the_same(client, agent, meter):
    with client.chat.completions.create(model=agent.model, messages=HELLO, stream=True) as stream:
        chunks = list(stream)
        request_id = stream.response.headers["x-request-id"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == GREETED
    assert chunks[-1].choices[0].finish_reason == "stop"
    record = meter.counted(4, 4, streamed=True)
    assert str(record.id) == request_id


def test_a_stream_that_asks_for_usage(client, agent, meter):
    with client.chat.completions.create(
        model=agent.model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == GREETED
    if agent.provider == "groq":  # says it in a place of its own, and its bytes are passed on as they are
        usage = chunks[-1].to_dict()["x_groq"]["usage"]
    else:
        assert chunks[-1].usage is not None
        usage = chunks[-1].usage.to_dict()
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (4, 4)
    meter.counted(4, 4, streamed=True)


def test_a_tool_call(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=WEATHER_QUESTION, tools=[WEATHER])
    [choice] = answer.choices
    [call] = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert call.function.arguments == '{"city":"Weather in Paris?"}'
    meter.counted(14, 4)


def test_a_streamed_tool_call(client, agent, meter):
    with client.chat.completions.stream(model=agent.model, messages=WEATHER_QUESTION, tools=[WEATHER]) as stream:
        [done] = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        answer = stream.get_final_completion()
    assert (done.name, done.arguments) == ("get_weather", '{"city":"Weather in Paris?"}')
    assert answer.choices[0].finish_reason == "tool_calls"
    meter.counted(14, 4, streamed=True)


def test_two_tool_calls_at_once(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=BOTH_QUESTION, tools=[WEATHER, TIME])
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert len({call.id for call in calls}) == 2
    meter.counted(24, 8)


def test_two_streamed_tool_calls_at_once(client, agent, meter):
    with client.chat.completions.stream(model=agent.model, messages=BOTH_QUESTION, tools=[WEATHER, TIME]) as stream:
        answer = stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert [call.function.arguments for call in calls] == ['{"city":"Weather in Paris?"}'] * 2
    meter.counted(24, 8, streamed=True)


def test_a_tool_that_must_be_called(client, agent, meter):
    wanted = {"type": "function", "function": {"name": "get_time"}}
    answer = client.chat.completions.create(
        model=agent.model, messages=user("Paris"), tools=[WEATHER, TIME], tool_choice=wanted
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("get_time", '{"city":"Paris"}')
    meter.counted(21, 2)


def test_the_turn_after_a_tool_call(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=WEATHER_ANSWERED, tools=[WEATHER])
    assert answer.choices[0].message.content == WEATHER_TOLD
    meter.counted(18, 6)


def test_an_image(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=IMAGE_QUESTION)
    assert answer.choices[0].message.content == "You said: What is this?"
    meter.counted(88, 5)


def test_an_answer_in_a_schema(client, agent, meter):
    class Weather(BaseModel):
        city: str
        degrees: int

    answer = client.chat.completions.parse(model=agent.model, messages=user("Paris, please"), response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city="Paris, please", degrees=1)
    meter.counted(2, 2)


def test_a_limit(client, agent, meter):
    answer = client.chat.completions.create(model=agent.model, messages=HELLO, max_completion_tokens=2)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("You said:", "length")
    meter.counted(4, 2)


def test_the_models(client, agent, meter):
    models = [model.id for model in client.models.list()]
    assert agent.model in models
    assert meter.records() == []
