"""Alex's agent speaks Anthropic's dialect, and his provider OpenAI's: through the whole gateway."""

import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tests.llm.gateway import TOKEN, agent
from tests.llm.test_messages_inbound import HELLO, ask, events, says, text

TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
TOOLS = [{"name": "weather", "input_schema": TOWN}, {"name": "time", "input_schema": TOWN}]
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}}

read_event = TypeAdapter(RawMessageStreamEvent).validate_python


@pytest.fixture
def gpt(house, echo):
    """The gateway, with Alex's agent on GPT-4o mini."""
    house.agents[TOKEN] = agent("openai", echo.url("openai"), model="gpt-4o-mini")
    return house


def added_up(answered):
    """The message that a stream adds up to, as Anthropic's own SDK adds it."""
    message = None
    buffers: dict[int, bytes] = {}
    for each in events(answered)[:-1]:
        message = accumulate_event(event=read_event(each), current_snapshot=message, json_bufs=buffers)
    assert message is not None
    return message.to_dict()


async def said(house, body):
    """Ask streamed and not; return both messages, each read by Anthropic's own SDK."""
    body = {**body, "model": house.agents[TOKEN].target.model}
    whole = (await ask(house, body)).json()
    Message.model_validate(whole, strict=True)
    return whole, added_up(await ask(house, {**body, "stream": True}))


def same(whole, streamed):
    parts = ("content", "stop_reason", "usage", "model", "role", "type")
    return {name: whole[name] for name in parts} == {name: streamed[name] for name in parts}


async def sent(house, echo, **more):
    """Return what the provider is sent for a request."""
    answered = await ask(house, {**HELLO, "model": house.agents[TOKEN].target.model, **more})
    assert answered.status == 200, answered.json()
    return (await echo.arequests(count=1))[-1].json(), answered


async def test_text_and_usage(gpt):
    whole, streamed = await said(gpt, says("[[cached=100]] one two three"))
    assert whole["content"] == [{"type": "text", "text": "You said: one two three"}]
    assert whole["stop_reason"] == "end_turn"
    assert (whole["usage"]["input_tokens"], whole["usage"]["cache_read_input_tokens"]) == (4, 100)
    assert whole["usage"]["output_tokens"] == 5
    assert same(whole, streamed)
    first, second = await gpt.records()
    assert (first["tokens_input"], first["cache_read"], first["tokens_output"]) == (104, 100, 5)
    assert (second["tokens_input"], second["cache_read"], second["tokens_output"]) == (104, 100, 5)


async def test_a_stream_begins_with_an_estimate_and_ends_with_the_count(gpt):
    answered = await ask(gpt, says("one two three four", model="gpt-4o-mini", stream=True))
    start, *_, end, stop = events(answered)
    assert (start["type"], end["type"], stop["type"]) == ("message_start", "message_delta", "message_stop")
    assert start["message"]["usage"]["input_tokens"] == 10  # what the tokenizer and its rule of thumb say
    assert end["usage"] == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 6,
        "output_tokens_details": {"thinking_tokens": 0},
    }


async def test_two_calls_at_once(gpt):
    whole, streamed = await said(gpt, says("[[tools=2]] Both?", tools=TOOLS))
    assert [(block["name"], block["input"]) for block in whole["content"]] == [
        ("weather", {"town": "Both?"}),
        ("time", {"town": "Both?"}),
    ]
    assert whole["stop_reason"] == "tool_use"
    assert [block["name"] for block in streamed["content"]] == ["weather", "time"]
    assert [block["input"] for block in streamed["content"]] == [{"town": "Both?"}] * 2


async def test_thinking_from_elsewhere_has_no_signature(house, echo):
    house.agents[TOKEN] = agent("minimax", echo.url("minimax"), model="MiniMax-M2.5")
    whole, streamed = await said(house, says("[[reasoning=3]] hello"))
    assert whole["content"][0] == {"type": "thinking", "thinking": "word1 word2 word3", "signature": ""}
    assert whole["content"][1]["text"] == "You said: hello"
    assert same(whole, streamed)
    assert whole["usage"]["output_tokens_details"] == {"thinking_tokens": 3}


@pytest.mark.parametrize(("asked", "reason"), [({"max_tokens": 2}, "max_tokens"), ({}, "end_turn")])
async def test_why_it_stopped(gpt, asked, reason):
    whole, streamed = await said(gpt, says("one two three", **asked))
    assert (whole["stop_reason"], streamed["stop_reason"]) == (reason, reason)


async def test_a_refusal(gpt):
    whole, streamed = await said(gpt, says("[[finish=refusal]] hello"))
    assert (whole["stop_reason"], streamed["stop_reason"]) == ("refusal", "refusal")


async def test_the_system_prompt_and_the_limits(gpt, echo):
    body, _ = await sent(
        gpt,
        echo,
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        max_tokens=9,
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        metadata={"user_id": "u-1"},
    )
    assert body == {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "one two three four"},
        ],
        "max_completion_tokens": 9,
        "stop": ["END"],
        "user": "u-1",
        "temperature": 0.5,
        "top_p": 0.9,
    }


async def test_others_know_the_limit_by_its_older_name(house, echo):
    house.agents[TOKEN] = agent("mistral", echo.url("mistral"), model="mistral-small-latest")
    body, answered = await sent(house, echo, metadata={"user_id": "u-1"}, stream=True)
    assert body["max_tokens"] == 100
    assert "stream_options" not in body
    assert text(answered) == "You said: one two three four"
    assert answered.headers["x-vutler-dropped"] == "metadata.user_id"


async def test_a_whole_conversation(gpt, echo):
    conversation = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Nîmes", "n": 1.0}},
                {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "Sunny"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "No clock", "is_error": True},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    body, answered = await sent(gpt, echo, messages=conversation, tools=TOOLS)
    assert body["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"town": "N\\u00eemes", "n": 1.0}'},
                },
                {"id": "toolu_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "Sunny"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: No clock"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    assert answered.headers["x-vutler-dropped"] == "messages[].content[].thinking"


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "time"}, {"tool_choice": {"type": "function", "function": {"name": "time"}}}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
    ],
)
async def test_the_choice_among_tools(gpt, echo, choice, told):
    body, _ = await sent(gpt, echo, tools=TOOLS, tool_choice=choice)
    assert {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body} == told
    assert body["tools"][0] == {"type": "function", "function": {"name": "weather", "parameters": TOWN}}


async def test_images_and_documents(gpt, echo):
    parts = [
        {"type": "image", "source": {"type": "url", "url": "https://bakery.example/cake.png"}},
        {**PDF, "title": "menu.pdf"},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Bread: 2"},
            "title": "Menu",
        },
        {"type": "text", "text": "What is this?"},
    ]
    body, _ = await sent(gpt, echo, messages=[{"role": "user", "content": parts}])
    assert body["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://bakery.example/cake.png"}},
        {"type": "file", "file": {"filename": "menu.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}},
        {"type": "text", "text": "Menu"},
        {"type": "text", "text": "Bread: 2"},
        {"type": "text", "text": "What is this?"},
    ]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [({**TOWN, "additionalProperties": False}, True), ({**TOWN, "additionalProperties": False, "required": []}, False)],
)
async def test_an_answer_in_a_schema(gpt, echo, schema, strict):
    form = {"type": "json_schema", "schema": schema}
    body, answered = await sent(gpt, echo, output_config={"format": form})
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }
    if strict:
        assert set(json.loads(answered.json()["content"][0]["text"])) == {"town"}


@pytest.mark.parametrize(
    ("asked", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30_000}}, "high"),
        ({"thinking": {"type": "adaptive"}}, "medium"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
    ],
)
async def test_how_much_to_think(gpt, echo, asked, effort):
    house = gpt
    house.agents[TOKEN] = agent("openai", echo.url("openai"), model="o3-mini")
    body, answered = await sent(house, echo, temperature=1.0, **asked)
    assert body["reasoning_effort"] == effort
    assert "temperature" not in body
    assert answered.headers["x-vutler-dropped"] == "temperature"


async def test_what_a_model_cannot_be_told_is_named(gpt, echo):
    marked = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    _, answered = await sent(
        gpt, echo, thinking={"type": "enabled", "budget_tokens": 2_000}, top_k=5, system=marked, service_tier="auto"
    )
    assert answered.headers["x-vutler-dropped"] == "service_tier, top_k, thinking, cache_control"


@pytest.mark.parametrize(
    ("provider", "more", "param"),
    [
        ("openai", {"max_tokens": 0}, "max_tokens"),
        ("openai", {"container": "c"}, "container"),
        ("openai", {"mcp_servers": []}, "mcp_servers"),
        ("openai", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ("openai", {"tools": [{**TOOLS[0], "type": "bash_20250124"}]}, "tools[0].type"),
        ("openai", {"tool_choice": {"type": "tool"}, "tools": TOOLS}, "tool_choice.name"),
        ("openai", {"messages": [{"role": "assistant", "content": "I"}]}, "messages"),
        ("mistral", {"messages": [{"role": "user", "content": [PDF]}]}, "messages[0].content[0].source"),
        (
            "openai",
            {"messages": [{"role": "user", "content": [{**PDF, "citations": {"enabled": True}}]}]},
            "messages[0].content[0].citations",
        ),
        (
            "openai",
            {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
async def test_what_cannot_be_said_is_a_400_that_names_it(house, echo, provider, more, param):
    house.agents[TOKEN] = agent(provider, echo.url(provider))
    answered = await ask(house, {**HELLO, **more})
    told = answered.json()
    assert (answered.status, told["error"]["type"]) == (400, "invalid_request_error")
    assert told["error"]["message"].startswith(f"{param}: ")
    assert await echo.arequests() == []


@pytest.mark.parametrize("provider", ["openai", "minimax", "mistral", "openrouter", "groq", "custom"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ],
)
async def test_a_providers_error_is_told_in_anthropics_words(house, echo, provider, status, kind):
    house.agents[TOKEN] = agent(provider, echo.url(provider))
    answered = await ask(house, says(f"[[status={status}]] [[retry_after=7]] hello"))
    told = answered.json()
    assert (answered.status, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert told["error"]["message"] == f"Echo was told to answer {status}."
    assert told["request_id"] == answered.headers["request-id"]
    assert answered.headers["retry-after"] == "7"
    assert (await house.record())["status"] == "provider_error"


async def test_an_answer_that_cannot_be_read_is_a_502(gpt):
    answered = await ask(gpt, says("[[garbage]] hello"))
    assert (answered.status, answered.json()["error"]["type"]) == (502, "api_error")
    record = await gpt.record()
    assert (record["status"], record["http_status"]) == ("provider_error", 502)


async def test_a_stream_that_the_provider_cuts(gpt):
    answered = await ask(gpt, says("[[cut=3]] a b c d e f", stream=True))
    assert text(answered) == "You said: a "
    assert events(answered)[-1]["error"]["type"] == "api_error"
    record = await gpt.record()
    assert (record["status"], record["provenance"]) == ("provider_cut", "partial")
    assert record["tokens_output"] > 0


@pytest.mark.parametrize("how", ["stream_error=3", "garbage"])
async def test_a_stream_that_goes_wrong_is_told_once(gpt, how):
    answered = await ask(gpt, says(f"[[{how}]] a b c d e f", stream=True))
    assert [each["type"] for each in events(answered)].count("error") == 1
    assert events(answered)[-1]["type"] == "error"
    assert (await gpt.record())["status"] == "provider_cut"


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_that_is_not_reported_is_estimated(gpt, stream):
    answered = await ask(gpt, says("[[no_usage]] one two three four", stream=stream))
    usage = events(answered)[-2]["usage"] if stream else answered.json()["usage"]
    assert usage["input_tokens"] > 4
    assert usage["output_tokens"] > 4
    assert (await gpt.record())["provenance"] == "estimated"


@pytest.mark.parametrize("split", [1, 7])
@pytest.mark.parametrize("provider", ["openai", "groq", "mistral", "openrouter", "minimax", "custom"])
async def test_every_provider_under_any_split(house, echo, provider, split):
    house.agents[TOKEN] = agent(provider, echo.url(provider))
    answered = await ask(house, says(f"[[split={split}]] Café à Nîmes 😀", stream=True))
    assert text(answered) == "You said: Café à Nîmes 😀"
    assert events(answered)[-2]["usage"]["input_tokens"] == 5
