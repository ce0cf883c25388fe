"""Alex's agent is on Anthropic, played by echo, and speaks OpenAI's dialect: through the whole gateway."""

import json

import pytest
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.llm.gateway import TOKEN, agent

TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": TOWN}},
    {"type": "function", "function": {"name": "time", "parameters": TOWN}},
]
FORM = {"type": "json_schema", "json_schema": {"name": "town", "strict": True, "schema": TOWN}}


@pytest.fixture
def claude(house, echo):
    """The gateway, with Alex's agent on Claude Haiku."""
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    return house


def says(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


async def said(house, body):
    """Ask streamed and not; return both messages and the usage of both."""
    whole = (await house.call(body)).json()
    ChatCompletion.model_validate(whole, strict=True)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = (await house.call({**body, **options})).events()
    assert done == "[DONE]"
    message: dict[object, object] = {}
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        for choice in chunk["choices"]:
            message = accumulate_delta(message, choice["delta"])
    return whole["choices"][0]["message"], message, whole["usage"], chunks[-1]["usage"]


def calls(message):
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]]


async def test_two_calls_at_once(claude):
    whole, streamed, usage, streamed_usage = await said(claude, says("[[tools=2]] Both?", tools=TOOLS))
    assert [name for name, _ in calls(whole)] == ["weather", "time"]
    assert calls(streamed) == calls(whole)
    assert streamed_usage == usage


async def test_the_results_of_both_calls_go_on(claude, echo):
    first = (await claude.call(says("[[tools=2]] Both?", tools=TOOLS))).json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "Sunny"} for call in first["tool_calls"]]
    messages = [{"role": "user", "content": "Both?"}, first, *results]
    answered = await claude.call({"messages": messages, "tools": TOOLS})
    assert answered.status == 200
    sent = (await echo.arequests(count=2))[1].json()["messages"]
    assert [block["tool_use_id"] for block in sent[2]["content"]] == [call["id"] for call in first["tool_calls"]]


async def test_thinking_is_counted_and_can_be_sent_back(claude, echo):
    whole, streamed, usage, _ = await said(claude, says("[[reasoning=20]] Think", reasoning_effort="low"))
    assert whole["thinking_blocks"][0]["signature"]
    assert streamed["thinking_blocks"] == whole["thinking_blocks"]
    assert streamed["reasoning_content"] == whole["reasoning_content"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20
    await claude.call({"messages": [*says("Think")["messages"], streamed, *says("More")["messages"]]})
    blocks = (await echo.arequests(count=3))[2].json()["messages"][1]["content"]
    assert blocks[0] == {name: value for name, value in whole["thinking_blocks"][0].items() if name != "index"}


async def test_cached_tokens_are_told_and_counted_once(claude):
    body = says("[[cached=100]] [[cache_write=30]] [[cache_write_1h=7]] hello")
    usage = (await claude.call(body)).json()["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 100, "cache_write_tokens": 37}
    record = await claude.record()
    assert record["tokens_input"] == usage["prompt_tokens"]
    assert (record["cache_read"], record["cache_write"]) == (100, 37)


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-20250514"])
async def test_an_answer_in_json(claude, model):
    whole, streamed, _, _ = await said(claude, says("Where?", model=model, response_format=FORM))
    assert set(json.loads(whole["content"])) == {"town"}
    assert streamed["content"] == whole["content"]


@pytest.mark.parametrize("split", [1, 7])
async def test_however_the_stream_is_cut_up_it_says_the_same(claude, split):
    answered = await claude.call(says(f"[[split={split}]] Café à Nîmes 😀", stream=True))
    assert answered.text() == "You said: Café à Nîmes 😀"


async def test_a_wrong_key_is_told_in_openais_words(claude, echo):
    echo.script("status=401", provider="anthropic")
    answered = await claude.call(says("Hello"))
    assert answered.status == 401
    assert answered.json()["error"]["code"] == "invalid_api_key"


async def test_an_error_in_mid_stream_is_told_and_recorded_as_partial(claude):
    answered = await claude.call(says("[[stream_error=3]] one two three four", stream=True))
    assert answered.events()[-1]["error"]["message"]
    assert b"[DONE]" not in answered.body
    record = await claude.record()
    assert record["provenance"] == "partial"
    assert record["tokens_input"] == 5


async def test_what_anthropic_cannot_be_asked_is_a_400_and_goes_nowhere(claude, echo):
    answered = await claude.call(says("Hello", n=2))
    assert answered.status == 400
    assert answered.json()["error"]["param"] == "n"
    assert await echo.arequests() == []
