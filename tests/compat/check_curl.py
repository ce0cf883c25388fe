"""curl on the other routes, against every provider."""

import json
from typing import Any

import pytest

from tests.compat.questions import GREETED, PIXEL
from tests.compat.test_curl import curl

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": name, "description": "Of a city.", "input_schema": CITY} for name in ("get_weather", "get_time")]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
MEDIA_TYPE, _, PICTURE = PIXEL.removeprefix("data:").partition(";base64,")


def said(model: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **fields}


def ask(gateway_process: Any, agent: Any, *options: str, body: dict[str, Any]) -> Any:
    return json.loads(curl(gateway_process.url, agent.token, *options, body=body, route="messages"))


def test_an_answer(gateway_process, agent, meter):
    answer = ask(gateway_process, agent, body=said(agent.model, "Hello, bakery!", system="Be brief."))
    assert [block["text"] for block in answer["content"]] == [GREETED]
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (4, 4)
    meter.counted(4, 4)


def test_a_stream(gateway_process, agent, meter):
    body = said(agent.model, "Hello, bakery!", stream=True)
    lines = curl(gateway_process.url, agent.token, "-N", body=body, route="messages").splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert names == [event["type"] for event in events]
    assert (names[0], names[-1]) == ("message_start", "message_stop")
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(texts) == GREETED
    meter.counted(2, 4, streamed=True)


def test_two_tool_calls_at_once(gateway_process, agent, meter):
    answer = ask(gateway_process, agent, body=said(agent.model, "Weather in Paris? [[tools=2]]", tools=TOOLS))
    calls = [(block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"]
    assert calls == [("get_weather", {"city": "Weather in Paris?"}), ("get_time", {"city": "Weather in Paris?"})]
    meter.counted(24, 8)


def test_an_image(gateway_process, agent, meter):
    image = {"type": "image", "source": {"type": "base64", "media_type": MEDIA_TYPE, "data": PICTURE}}
    answer = ask(gateway_process, agent, body=said(agent.model, [{"type": "text", "text": "What is this?"}, image]))
    assert [block["text"] for block in answer["content"]] == ["You said: What is this?"]
    meter.counted(88, 5)


def test_an_answer_in_a_schema(gateway_process, agent, meter):
    wanted = {"format": {"type": "json_schema", "schema": WEATHER}}
    answer = ask(gateway_process, agent, body=said(agent.model, "Paris, please", output_config=wanted))
    assert json.loads(answer["content"][0]["text"]) == {"city": "Paris, please", "degrees": 1}
    meter.counted(2, 2)


@pytest.mark.parametrize("route", ["chat/completions", "messages"])
def test_coming_back_when_the_provider_said_to(gateway_process, agent, echo, meter, route):
    echo.script("status=429; retry_after=2", provider=agent.provider, times=1)
    body = said(agent.model, "Hello, bakery!")
    assert GREETED in curl(gateway_process.url, agent.token, "--fail", "--retry", "1", body=body, route=route)
    first, second = echo.requests()
    assert (first.status, second.status) == (429, 200)
    assert second.started - first.started >= 2  # by itself curl waits for one
    assert [record.http_status for record in meter.records()] == [429, 200]


def test_a_request_that_the_provider_does_not_take(gateway_process, agent, meter):
    answer = ask(gateway_process, agent, body=said(agent.model, "[[status=400]]"))
    assert (answer["type"], answer["error"]["type"]) == ("error", "invalid_request_error")
    [record] = meter.records()
    assert (record.status, record.http_status) == ("provider_error", 400)


@pytest.mark.parametrize(
    ("route", "error"),
    [("messages", {"type": "authentication_error"}), ("embeddings", {"code": "invalid_agent_token"})],
)
def test_a_token_that_is_not_valid(gateway_process, agent, meter, route, error):
    told = curl(gateway_process.url, "vtl_agent_mistyped", body=said(agent.model, "Hello"), route=route)
    assert error.items() <= json.loads(told)["error"].items()
    assert meter.records() == []


def test_embeddings(gateway_process, agent, meter):
    body = {"model": "mistral-embed", "input": ["Fresh bread", "Fresh bread every day"]}
    answer = json.loads(curl(gateway_process.url, agent.token, body=body, route="embeddings"))
    [record] = meter.records()
    if agent.provider == "anthropic":  # has none, and we say so
        assert (answer["error"]["code"], record.http_status) == ("invalid_request", 400)
    else:
        assert [len(each["embedding"]) for each in answer["data"]] == [64, 64]
        assert (record.status, record.model, record.tokens_input) == ("ok", "mistral-embed", 6)
