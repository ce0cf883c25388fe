"""Alex's agent speaks OpenAI's newer dialect: passed on where the provider has it, translated where not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from agents.crypto import Secret
from llm.errors import InvalidRequest
from llm.providers.base import Target
from llm.providers.registry import PROVIDERS
from llm.requests import Call, read_responses
from llm.sse import Events, data_of, name_of
from tests.llm.gateway import TOKEN, agent

HELLO = {"model": "gpt-4o-mini", "input": "one two three four"}
TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOLS = [{"type": "function", "name": name, "parameters": TOWN, "strict": False} for name in ("weather", "time")]
PASSED_ON = ["openai", "groq", "openrouter", "echo"]
TRANSLATED = ["mistral", "minimax", "custom", "anthropic"]

read_event: Any = TypeAdapter(ResponseStreamEvent).validate_python


async def ask(house, body, **more):
    return await house.call(body, path="/v1/responses", **more)


def on(house, echo, provider):
    model = "claude-haiku-4-5" if provider == "anthropic" else "some-model"
    house.agents[TOKEN] = agent(provider, echo.url(provider), model=model)
    return model


def events(answered):
    """The stream's events, each read by OpenAI's own SDK, their names and numbers right."""
    found = Events().feed(answered.body)
    assert b"".join(found) == answered.body
    told = [json.loads(data_of(event)) for event in found]
    assert [name_of(event).decode() for event in found] == [each["type"] for each in told]
    assert [each["sequence_number"] for each in told if each["type"] != "error"] == list(
        range(sum(each["type"] != "error" for each in told))
    )
    for each in told:
        read_event(each)
    return told


def check_order(told):
    """Each item and part begins before it grows and ends before the next; the last event holds what came."""
    assert [each["type"] for each in told[:2]] == ["response.created", "response.in_progress"]
    open_item = None
    items: list[Any] = []
    for each in told[2:-1]:
        match each["type"].removeprefix("response."):
            case "output_item.added":
                assert open_item is None
                open_item = each["item"]["id"]
                assert each["output_index"] == len(items)
            case "output_item.done":
                assert open_item == each["item"]["id"]
                open_item = None
                items.append(each["item"])
            case _:
                assert each["item_id"] == open_item
                assert each["output_index"] == len(items)
    assert told[-1]["response"]["output"] == items


@pytest.mark.parametrize("provider", [*PASSED_ON, *TRANSLATED])
async def test_every_provider_answers_and_is_counted(house, echo, provider):
    model = on(house, echo, provider)
    whole = (await ask(house, {**HELLO, "model": model})).json()
    Response.model_validate(whole, strict=False)
    assert whole["output"][0]["content"][0]["text"] == "You said: one two three four"
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (4, 6)
    told = events(await ask(house, {**HELLO, "model": model, "stream": True}))
    check_order(told)
    assert told[-1]["type"] == "response.completed"
    assert "".join(each["delta"] for each in told if "delta" in each) == "You said: one two three four"
    assert told[-1]["response"]["usage"]["total_tokens"] == 10
    for record in await house.records():
        assert (record["tokens_input"], record["tokens_output"], record["status"]) == (4, 6, "ok")


async def test_the_bytes_are_passed_on_unchanged(house, echo):
    raw = b'{ "input" : "Caf\xc3\xa9", "previous_response_id":"resp_1", "model":"gpt-4o-mini", "new": [1.0] }'
    answered = await ask(house, raw)
    [received] = await echo.arequests(count=1)
    assert (received.path, received.body) == ("/openai/v1/responses", raw)
    assert answered.json()["id"].startswith("resp_echo")


async def test_cached_and_reasoning_tokens_are_counted_once(house):
    await ask(house, {**HELLO, "input": "[[cached=100]] [[reasoning=20]] hello", "stream": True})
    record = await house.record()
    assert (record["tokens_input"], record["cache_read"]) == (103, 100)
    assert (record["tokens_output"], record["reasoning"]) == (23, 20)


@pytest.mark.parametrize("provider", ["openai", "mistral"])
async def test_a_stream_that_is_cut_says_so_once(house, echo, provider):
    model = on(house, echo, provider)
    answered = await ask(house, {"model": model, "input": "[[cut=3]] a b c d e f", "stream": True})
    told = events(answered)
    assert [each["type"] for each in told].count("error") == 1
    assert told[-1]["code"] == "upstream_unavailable"
    assert told[-1]["sequence_number"] == len(told) - 1
    record = await house.record()
    assert (record["status"], record["provenance"]) == ("provider_cut", "partial")


@pytest.mark.parametrize("provider", ["openai", "mistral", "anthropic"])
async def test_the_providers_own_error_in_mid_stream_is_told_once(house, echo, provider):
    model = on(house, echo, provider)
    answered = await ask(house, {"model": model, "input": "[[stream_error=3]] a b c d e f", "stream": True})
    assert answered.body.count(b"event: error") == 1
    assert (await house.record())["status"] == "provider_cut"


@pytest.mark.parametrize("provider", TRANSLATED)
async def test_two_calls_at_once(house, echo, provider):
    model = on(house, echo, provider)
    body = {"model": model, "input": "[[tools=2]] Both?", "tools": TOOLS}
    whole = (await ask(house, body)).json()
    calls = [(item["type"], item["name"], json.loads(item["arguments"])) for item in whole["output"]]
    assert calls == [
        ("function_call", "weather", {"town": "Both?"}),
        ("function_call", "time", {"town": "Both?"}),
    ]
    told = events(await ask(house, {**body, "stream": True}))
    check_order(told)
    assert [(i["type"], i["name"], json.loads(i["arguments"])) for i in told[-1]["response"]["output"]] == calls
    assert whole["tools"][0]["name"] == "weather"


async def test_a_whole_conversation(house, echo):
    on(house, echo, "mistral")
    image = {"type": "input_image", "image_url": "https://bakery.example/cake.png", "detail": "low"}
    conversation = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}, image]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"town":"Nîmes"}', "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Noon"}]},
    ]
    asked = {
        "model": "some-model",
        "instructions": "Be brief.",
        "input": conversation,
        "tools": TOOLS,
        "max_output_tokens": 50,
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "town", "schema": TOWN, "strict": True}},
        "tool_choice": {"type": "function", "name": "time"},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
        "store": False,
    }
    answered = await ask(house, asked)
    assert answered.status == 200, answered.json()
    [received] = await echo.arequests(count=1)

    def function(name):
        return {"type": "function", "function": {"name": name, "parameters": TOWN, "strict": False}}

    def call(call_id, name, arguments):
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    assert received.json() == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Be kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Weather?"},
                    {"type": "image_url", "image_url": {"url": "https://bakery.example/cake.png", "detail": "low"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [call("c1", "weather", '{"town":"Nîmes"}'), call("c2", "time", "{}")],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
            {"role": "tool", "tool_call_id": "c2", "content": "Noon"},
        ],
        "max_tokens": 50,
        "tools": [function("weather"), function("time")],
        "tool_choice": {"type": "function", "function": {"name": "time"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "town", "schema": TOWN, "strict": True}},
        "temperature": 0.5,
    }
    assert answered.headers["x-vutler-dropped"] == "metadata, reasoning.effort, input[].reasoning"
    assert answered.json()["text"]["format"]["name"] == "town"


async def test_thinking_is_shown_as_a_summary(house, echo):
    on(house, echo, "custom")
    body = {"model": "some-model", "input": "[[reasoning=3]] hello"}
    whole = (await ask(house, body)).json()
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert whole["output"][0]["summary"] == [{"type": "summary_text", "text": "word1 word2 word3"}]
    told = events(await ask(house, {**body, "stream": True}))
    check_order(told)
    assert told[-1]["response"]["output"][0]["summary"] == whole["output"][0]["summary"]


async def test_an_answer_cut_by_its_limit_is_incomplete(house, echo):
    on(house, echo, "mistral")
    body = {"model": "some-model", "input": "one two three", "max_output_tokens": 2}
    whole = (await ask(house, body)).json()
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    told = events(await ask(house, {**body, "stream": True}))
    assert told[-1]["type"] == "response.incomplete"
    assert [record["status"] for record in await house.records()] == ["ok", "ok"]


@pytest.mark.parametrize("split", [1, 7])
@pytest.mark.parametrize("provider", [*PASSED_ON, *TRANSLATED])
async def test_however_the_stream_is_cut_up_it_says_the_same(house, echo, provider, split):
    model = on(house, echo, provider)
    answered = await ask(house, {"model": model, "input": f"[[split={split}]] Café à Nîmes 😀", "stream": True})
    assert "".join(each.get("delta", "") for each in events(answered)) == "You said: Café à Nîmes 😀"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]}, "input[0].content[0]"),
        ({"moderation": {}}, "moderation"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ],
)
async def test_what_lives_at_openai_is_a_400_elsewhere_and_named(house, echo, more, param):
    on(house, echo, "mistral")
    answered = await ask(house, {**HELLO, **more})
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (400, "invalid_request", param)
    assert await echo.arequests() == []


SAID = [
    {"role": "user", "content": "Weather?"},
    {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"role": "assistant", "content": "Let me see."},
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "Sunny"},
]
TEXT = {"type": "input_text", "text": "This:"}
NO_IMAGE = {"type": "input_image", "image_url": "ftp://bakery.example/cake.png"}
NO_FILE = {"type": "input_file", "file_data": "data:text/csv;base64,YTti", "filename": "a.csv"}
UNSAYABLE = [
    ({"role": "user", "content": [TEXT, NO_IMAGE]}, "content[1].image_url"),
    ({"role": "user", "content": [TEXT, TEXT, NO_FILE]}, "content[2].file_data"),
    ({"role": "system", "content": [TEXT, {**NO_IMAGE, "image_url": "https://bakery.example/a.png"}]}, "content[1]"),
    ({"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "[]"}, "arguments"),
    ({"type": "function_call_output", "call_id": "c2", "output": [NO_FILE]}, "output[0].file_data"),
    ({"type": "function_call_output", "call_id": "c2", "output": [TEXT, NO_IMAGE]}, "output[1].image_url"),
]


@given(
    before=st.lists(st.sampled_from(SAID), max_size=8),
    unsayable=st.sampled_from(UNSAYABLE),
    after=st.lists(st.sampled_from(SAID), max_size=2),
    instructions=st.sampled_from(["", "Be brief."]),
)
def test_what_claude_cannot_be_told_is_named_where_the_caller_wrote_it(before, unsayable, after, instructions):
    item, field = unsayable
    param = refused_by_claude(input=[*before, item, *after], instructions=instructions)
    assert param == f"input[{len(before)}].{field}"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": [{"type": "reasoning"}], "instructions": "Be brief."}, "input"),
        ({"input": "Hello", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "Hello", "tool_choice": "required"}, "tool_choice"),
    ],
)
def test_the_request_as_a_whole_is_named_in_its_own_words_too(asked, param):
    assert refused_by_claude(**asked) == param


def refused_by_claude(**asked):
    """The field that a request is refused for."""
    target = Target(
        provider="anthropic", model="claude-haiku-4-5", base_url="http://127.0.0.1:1", key=Secret("sk-alex")
    )
    call = Call(id="r", token="", body=json.dumps(asked).encode(), headers={})
    with pytest.raises(InvalidRequest) as caught:
        PROVIDERS["anthropic"].prepare(read_responses(call, target.model), target)
    return caught.value.param


async def test_what_claude_is_not_told_is_named_in_the_callers_words(house, echo):
    model = on(house, echo, "anthropic")
    asked = {"model": model, "input": "Hello", "max_output_tokens": 500, "reasoning": {"effort": "low"}, "top_p": 0.5}
    answered = await ask(house, {**asked, "temperature": 0.5})
    assert answered.headers["x-vutler-dropped"] == "top_p, reasoning.effort"


async def test_nothing_goes_on_in_the_background_where_nobody_counts(house, echo):
    answered = await ask(house, {**HELLO, "background": True})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "background")
    assert await echo.arequests() == []


@pytest.mark.parametrize("provider", ["openai", "mistral", "anthropic"])
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_refusal_is_in_openais_words(house, echo, provider, status):
    model = on(house, echo, provider)
    answered = await ask(house, {"model": model, "input": f"[[status={status}]] hello"})
    assert answered.status == status
    assert f"Echo was told to answer {status}." in answered.body.decode()
    assert (await house.record())["status"] == "provider_error"


@pytest.mark.parametrize(("provider", "status"), [("openai", 200), ("mistral", 502), ("anthropic", 502)])
async def test_what_cannot_be_read_is_no_good_answer(house, echo, provider, status):
    model = on(house, echo, provider)
    answered = await ask(house, {"model": model, "input": "[[garbage]] hello"})
    assert answered.status == status
    assert (await house.record())["status"] == "provider_error"
