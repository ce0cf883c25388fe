"""OpenAI's SDK for Python and its newer dialect, against every provider."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.compat.questions import GREETED, PIXEL, WEATHER_TOLD

CITY: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PARIS = '{"city":"Weather in Paris?"}'


@pytest.fixture
def client(gateway_process, agent) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway_process.url, api_key=agent.token) as client:
        yield client


def tool(name: str) -> Any:
    return {"type": "function", "name": name, "description": "Of a city.", "parameters": CITY, "strict": False}


TOOLS = [tool("get_weather"), tool("get_time")]


def calls(response: Any) -> list[tuple[str, str]]:
    return [(item.name, item.arguments) for item in response.output if item.type == "function_call"]


def test_an_answer(client, agent, meter):
    answer = client.responses.create(model=agent.model, instructions="Be brief.", input="Hello, bakery!")
    assert (answer.output_text, answer.status) == (GREETED, "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (4, 4, 8)
    record = meter.counted(4, 4)
    assert str(record.id) == answer._request_id


def test_a_stream(client, agent, meter):
    with client.responses.stream(model=agent.model, instructions="Be brief.", input="Hello, bakery!") as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        answer = stream.get_final_response()
    assert (said, answer.output_text) == (GREETED, GREETED)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 4)
    meter.counted(4, 4, streamed=True)


def test_two_tool_calls_at_once(client, agent, meter):
    answer = client.responses.create(model=agent.model, input="Weather in Paris? [[tools=2]]", tools=TOOLS)
    assert calls(answer) == [("get_weather", PARIS), ("get_time", PARIS)]
    meter.counted(24, 8)


def test_two_streamed_tool_calls_at_once(client, agent, meter):
    with client.responses.stream(model=agent.model, input="Weather in Paris? [[tools=2]]", tools=TOOLS) as stream:
        done = [event.arguments for event in stream if event.type == "response.function_call_arguments.done"]
        answer = stream.get_final_response()
    assert done == [PARIS, PARIS]
    assert calls(answer) == [("get_weather", PARIS), ("get_time", PARIS)]
    meter.counted(24, 8, streamed=True)


def test_the_turn_after_a_tool_call(client, agent, meter):
    asked: Any = [
        {"role": "user", "content": "Weather in Paris?"},
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Sunny, 21 degrees"},
    ]
    answer = client.responses.create(model=agent.model, input=asked, tools=[tool("get_weather")])
    assert answer.output_text == WEATHER_TOLD
    meter.counted(18, 6)


def test_an_image(client, agent, meter):
    parts: Any = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PIXEL}]
    answer = client.responses.create(model=agent.model, input=[{"role": "user", "content": parts}])
    assert answer.output_text == "You said: What is this?"
    meter.counted(88, 5)


def test_an_answer_in_a_schema(client, agent, meter):
    class Weather(BaseModel):
        city: str
        degrees: int

    answer = client.responses.parse(model=agent.model, input="Paris, please", text_format=Weather)
    assert answer.output_parsed == Weather(city="Paris, please", degrees=1)
    meter.counted(2, 2)


def test_a_limit(client, agent, meter):
    answer = client.responses.create(model=agent.model, input="Hello, bakery!", max_output_tokens=2)
    assert (answer.output_text, answer.status) == ("You said:", "incomplete")
    meter.counted(2, 2)


def test_a_key_that_the_provider_refuses(gateway_process, agent, echo):
    wrong = gateway_process.agent(agent.provider, key="bad-0123456789-wxyz")
    with (
        OpenAI(base_url=gateway_process.url, api_key=wrong.token) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"),
    ):
        client.responses.create(model=agent.model, input="Hello, bakery!")


def test_a_stream_that_the_provider_cuts(client, agent, meter):
    *_, last = events = list(client.responses.create(model=agent.model, input="One two three [[cut=3]]", stream=True))
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == "You said: One "
    assert last.type == "error"  # which the SDK hands over, as it does OpenAI's own
    assert last.code == "upstream_unavailable"
    [record] = meter.records()
    assert (record.status, record.provenance, record.streamed) == ("provider_cut", "partial", True)


@pytest.mark.parametrize("agent", ["openai", "mistral"], indirect=True)
def test_embeddings(client, meter, agent):
    answer = client.embeddings.create(model="mistral-embed", input=["Fresh bread", "Fresh bread every day"])
    assert [len(each.embedding) for each in answer.data] == [64, 64]
    assert answer.usage.prompt_tokens == 6
    [record] = meter.records()
    assert (record.model, record.tokens_input, record.tokens_output) == ("mistral-embed", 6, 0)
