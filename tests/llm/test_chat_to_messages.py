"""A chat completion request said to Anthropic: nothing lost, nothing Anthropic wouldn't take."""

import inspect
import string
import typing
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import typing_extensions
from anthropic import types
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import completion_create_params
from pydantic import ConfigDict, TypeAdapter

from llm.errors import InvalidRequest
from llm.translate.chat import Chat, read
from llm.translate.chat_to_messages import dropped_fields, to_messages
from llm.translate.claude import accepts

SONNET_4 = "claude-sonnet-4-20250514"
HAIKU_4_5 = "claude-haiku-4-5"
OPUS_5 = "claude-opus-5"
PIXEL = "iVBORw0KGgo="
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "time"}}
INVOICE: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "invoice",
        "strict": True,
        "schema": {"type": "object", "properties": {"total": {"type": "number", "minimum": 0}}, "required": ["total"]},
    },
}


def hello(**fields):
    return {"messages": [{"role": "user", "content": "Hello"}], **fields}


def translated(body, model=HAIKU_4_5):
    """Translate, and see that Anthropic's own SDK knows every field of the outcome."""
    sent = msgspec.json.decode(msgspec.json.encode(to_messages(read(msgspec.json.encode(body)), model=model)))
    assert_anthropic_takes(sent)
    return sent


def dropped(body, model=HAIKU_4_5):
    return dropped_fields(read(msgspec.json.encode(body)), model=model)


def refused(body, model=HAIKU_4_5):
    with pytest.raises(InvalidRequest) as caught:
        to_messages(read(msgspec.json.encode(body)), model=model)
    return caught.value.param


def hints(*kinds):
    return {name: hint for kind in kinds for name, hint in typing.get_type_hints(kind, include_extras=True).items()}


def fits(value, fields):
    """Whether ``value`` has no field that Anthropic doesn't name, and all that it demands."""
    required = {name for name, hint in fields.items() if typing.get_origin(hint) is typing_extensions.Required}
    return required <= set(value) <= set(fields)


SDK: TypeAdapter[Any] = TypeAdapter(
    types.message_create_params.MessageCreateParams, config=ConfigDict(arbitrary_types_allowed=True)
)
# The SDK is of API version 2026-10-21, which takes no sampling; we send 2023-06-01, which does.
REQUEST = hints(*typing.get_args(types.message_create_params.MessageCreateParams)) | dict.fromkeys(
    ("temperature", "top_p", "top_k")
)
REQUEST["stream"] = None
TOOL = hints(types.ToolParam)
BLOCKS = {
    "text": hints(types.TextBlockParam),
    "image": hints(types.ImageBlockParam),
    "document": hints(types.DocumentBlockParam),
    "tool_use": hints(types.ToolUseBlockParam),
    "tool_result": hints(types.ToolResultBlockParam),
    "thinking": hints(types.ThinkingBlockParam),
    "redacted_thinking": hints(types.RedactedThinkingBlockParam),
}
CHOICES = {
    "auto": hints(types.ToolChoiceAutoParam),
    "any": hints(types.ToolChoiceAnyParam),
    "tool": hints(types.ToolChoiceToolParam),
    "none": hints(types.ToolChoiceNoneParam),
}


def assert_anthropic_takes(sent):
    SDK.validate_python(sent)
    assert fits(sent, REQUEST)
    assert all(set(turn) == {"role", "content"} and turn["content"] for turn in sent["messages"])
    blocks = [*sent.get("system", []), *(block for turn in sent["messages"] for block in turn["content"])]
    assert all(fits(block, BLOCKS[block["type"]]) for block in blocks)
    assert all(fits(tool, TOOL) for tool in sent.get("tools", []))
    if "tool_choice" in sent:
        assert fits(sent["tool_choice"], CHOICES[sent["tool_choice"]["type"]])
    assert set(sent.get("output_config", {})) <= set(hints(types.OutputConfigParam))


# --- What is said -----------------------------------------------------------------------------


def test_the_simplest_request():
    assert translated(hello()) == {
        "model": HAIKU_4_5,
        "max_tokens": 16_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


def test_system_and_developer_prompts_go_beside_the_turns_wherever_they_stand():
    sent = translated(
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi"},
                {"role": "system", "content": "Now in French."},
                {"role": "user", "content": "Again"},
            ]
        }
    )
    assert [block["text"] for block in sent["system"]] == ["Be kind.", "Be brief.", "Now in French."]
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]


def test_messages_of_one_role_in_a_row_are_one_turn():
    sent = translated({"messages": [{"role": "user", "content": "One"}, {"role": "user", "content": "Two"}]})
    content = [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]
    assert sent["messages"] == [{"role": "user", "content": content}]


def test_empty_texts_are_left_out_because_anthropic_refuses_them():
    sent = translated({"messages": [{"role": "user", "content": " \n"}, {"role": "user", "content": "Two"}]})
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Two"}]}]


def test_a_system_prompt_alone_is_nothing_to_answer():
    assert refused({"messages": [{"role": "system", "content": "Be kind."}]}) == "messages"
    assert refused({"messages": []}) == "messages"


def test_parallel_calls_and_their_results():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Lyon"}'}}
    other = {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}}
    sent = translated(
        {
            "messages": [
                {"role": "user", "content": "Weather and time?"},
                {"role": "assistant", "content": None, "tool_calls": [call, other]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "Noon"}]},
                {"role": "user", "content": "Thanks"},
            ],
            "tools": [WEATHER, TIME],
        }
    )
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"town": "Lyon"}},
                {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Sunny"}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "Noon"}]},
                {"type": "text", "text": "Thanks"},
            ],
        },
    ]
    assert sent["tools"] == [
        {
            "name": "weather",
            "description": "The weather in a town.",
            "input_schema": WEATHER["function"]["parameters"],
        },
        {"name": "time", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in sent


def test_no_number_changes_in_a_tools_arguments():
    arguments = '{"big":123456789012345678901234567890,"one":1.0}'
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    body = {"messages": [{"role": "user", "content": "Go"}, {"role": "assistant", "tool_calls": [call]}]}
    assert arguments.encode() in msgspec.json.encode(to_messages(read(msgspec.json.encode(body)), model=HAIKU_4_5))


def test_another_models_tool_id_is_written_in_the_letters_anthropic_allows():
    call = {"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    sent = translated(
        {
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "functions.weather:0", "content": ""},
            ]
        }
    )
    assert sent["messages"][1]["content"][0]["id"] == "functions_weather_0"
    assert sent["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "functions_weather_0"}]


def test_tools_called_earlier_are_defined_when_the_caller_no_longer_does():
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    sent = translated({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]})
    assert sent["tools"] == [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
    assert sent["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "time"}}}, {"type": "tool", "name": "time"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_the_choice_of_a_tool(asked, sent):
    assert translated(hello(tools=[WEATHER, TIME], **asked)).get("tool_choice") == sent


def test_only_the_allowed_tools_are_shown():
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    sent = translated(hello(tools=[WEATHER, TIME], tool_choice=choice))
    assert [tool["name"] for tool in sent["tools"]] == ["time"]
    assert sent["tool_choice"] == {"type": "any"}


def test_a_strict_tool_is_strict_where_the_model_can_be():
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    tool = translated(hello(tools=[strict]))["tools"][0]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "strict" not in translated(hello(tools=[strict]), SONNET_4)["tools"][0]


def test_images_by_address_and_by_data():
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{PIXEL}", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    assert translated({"messages": [{"role": "user", "content": parts}]})["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
    ]


def test_a_pdf():
    file = {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "invoice.pdf"}
    sent = translated({"messages": [{"role": "user", "content": [{"type": "file", "file": file}]}]})
    source = {"type": "base64", "media_type": "application/pdf", "data": PIXEL}
    assert sent["messages"][0]["content"] == [{"type": "document", "source": source, "title": "invoice.pdf"}]


def test_what_is_to_be_cached_is_marked_where_the_caller_marked_it():
    mark = {"type": "ephemeral", "ttl": "1h"}
    sent = translated(
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Long", "cache_control": mark}]},
                {"role": "user", "content": "Hello", "cache_control": {"type": "ephemeral"}},
            ],
            "tools": [{**TIME, "cache_control": mark}],
        }
    )
    assert sent["system"][0]["cache_control"] == mark
    assert sent["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert sent["tools"][0]["cache_control"] == mark


def test_thinking_comes_back_first_and_with_its_signature():
    call = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    blocks = [
        {"index": 0, "type": "thinking", "thinking": "Hmm", "signature": "c2ln"},
        {"index": 1, "type": "redacted_thinking", "data": "b3BhcXVl"},
        {"index": 2, "type": "thinking", "thinking": "unsigned", "signature": ""},
    ]
    answer = {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "Hmm",
        "thinking_blocks": blocks,
        "tool_calls": [call],
        "refusal": None,
        "annotations": [],
    }
    sent = translated(hello(tools=[TIME]) | {"messages": [{"role": "user", "content": "?"}, answer]})
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hmm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "c1", "name": "time", "input": {}},
    ]


def test_a_refusal_sent_back_is_something_the_assistant_said():
    parts = [{"type": "refusal", "refusal": "No."}]
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": parts, "refusal": "I can't."}]
    assert [block["text"] for block in translated({"messages": said})["messages"][1]["content"]] == ["No.", "I can't."]


# --- Limits, sampling, thinking ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "thinking", "structured", "sampling"),
    [
        ("claude-2.1", "never", False, 2),
        ("claude-3-5-haiku-20241022", "never", False, 2),
        ("claude-3-7-sonnet-latest", "budget", False, 2),
        ("claude-4-opus-20250514", "budget", False, 2),
        ("claude-sonnet-4@20250514", "budget", False, 2),
        ("claude-opus-4-1-20250805", "budget", False, 1),
        ("claude-sonnet-4-5-20250929", "budget", True, 1),
        ("anthropic/claude-sonnet-4.6", "adaptive", True, 1),
        ("claude-opus-4-7", "adaptive", True, 0),
        ("claude-sonnet-5", "adaptive", True, 0),
        ("claude-haiku-5-5", "adaptive", True, 0),
        ("claude-mythos-preview", "adaptive", True, 0),
        ("somebody-elses", "budget", True, 1),
    ],
)
def test_what_a_model_accepts_is_read_off_its_name(model, thinking, structured, sampling):
    found = accepts(model)
    assert (found.thinking, found.structured_outputs, found.sampling) == (thinking, structured, sampling)


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-20241022", 8_192),
        (SONNET_4, 16_000),
        (HAIKU_4_5, 16_000),
        (OPUS_5, 32_000),
    ],
)
def test_anthropic_demands_a_limit_and_gets_one_by_model(model, limit):
    assert translated(hello(), model)["max_tokens"] == limit


def test_the_newer_of_the_two_limits_counts():
    assert translated(hello(max_tokens=10, max_completion_tokens=20))["max_tokens"] == 20
    assert translated(hello(max_tokens=10))["max_tokens"] == 10
    assert refused(hello(max_tokens=0)) == "max_tokens"


def test_a_temperature_above_one_is_as_much_chance_as_there_is():
    assert translated(hello(temperature=1.7))["temperature"] == 1.0
    assert translated(hello(temperature=0))["temperature"] == 0.0


def test_haiku_takes_temperature_or_top_p_and_sonnet_4_both_and_opus_5_neither():
    body = hello(temperature=0.5, top_p=0.9)
    assert (translated(body)["temperature"], dropped(body)) == (0.5, ["top_p"])
    assert translated(body, SONNET_4)["top_p"] == 0.9
    assert dropped(body, SONNET_4) == []
    assert dropped(body, OPUS_5) == ["temperature", "top_p"]
    assert "temperature" not in translated(body, OPUS_5)


def test_effort_is_a_budget_of_thinking_for_haiku():
    sent = translated(hello(reasoning_effort="medium", temperature=0.2))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 8_192}
    assert sent["max_tokens"] == 16_000 + 8_192
    assert "temperature" not in sent
    assert dropped(hello(reasoning_effort="medium", temperature=0.2)) == ["temperature"]


def test_a_budget_takes_half_of_the_callers_limit_at_most():
    sent = translated(hello(reasoning_effort="high", max_completion_tokens=4_000))
    assert (sent["max_tokens"], sent["thinking"]["budget_tokens"]) == (4_000, 2_000)


def test_a_limit_too_small_to_think_in_is_kept_and_the_effort_named_as_dropped():
    body = hello(reasoning_effort="high", max_tokens=1_500)
    assert "thinking" not in translated(body)
    assert dropped(body) == ["reasoning_effort"]


def test_effort_is_an_effort_for_opus_5():
    sent = translated(hello(reasoning_effort="minimal"), OPUS_5)
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent["output_config"] == {"effort": "low"}
    assert translated(hello(reasoning_effort="xhigh"), "claude-opus-4-6")["output_config"] == {"effort": "high"}


def test_no_effort_is_no_thinking():
    assert "thinking" not in translated(hello(reasoning_effort="none"))
    assert dropped(hello(reasoning_effort="none")) == []
    assert translated(hello(reasoning_effort="none"), OPUS_5)["output_config"] == {"effort": "low"}


def test_a_forced_tool_goes_before_thinking_as_anthropic_allows_only_one():
    body = hello(tools=[TIME], tool_choice="required", reasoning_effort="low")
    assert "thinking" not in translated(body)
    assert dropped(body) == ["reasoning_effort"]


def test_thinking_rests_while_a_tool_runs_whose_thoughts_were_not_sent_back():
    call = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    asked = {"role": "assistant", "tool_calls": [call]}
    messages = [
        {"role": "user", "content": "?"},
        asked,
        {"role": "tool", "tool_call_id": "c1", "content": "Noon"},
    ]
    body = {"messages": messages, "tools": [TIME], "reasoning_effort": "low"}
    assert "thinking" not in translated(body)
    assert dropped(body) == ["reasoning_effort"]
    asked["thinking_blocks"] = [{"type": "thinking", "thinking": "Hmm", "signature": "c2ln"}]
    assert translated(body)["thinking"] == {"type": "enabled", "budget_tokens": 2_048}


def test_thinking_in_anthropics_own_words_is_taken_as_it_is():
    thinking = {"type": "enabled", "budget_tokens": 5_000}
    assert translated(hello(thinking=thinking, reasoning_effort="low"))["thinking"] == thinking


# --- Answers in JSON --------------------------------------------------------------------------


def test_a_schema_is_enforced_where_the_model_can_and_its_limits_are_told():
    assert translated(hello(response_format=INVOICE))["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"total": {"type": "number", "description": '{"minimum":0}'}},
                "required": ["total"],
                "additionalProperties": False,
            },
        }
    }


def test_sonnet_4_answers_in_json_by_calling_a_tool():
    sent = translated(hello(response_format=INVOICE), SONNET_4)
    assert [tool["name"] for tool in sent["tools"]] == ["vutler_json_answer"]
    assert sent["tools"][0]["input_schema"] == INVOICE["json_schema"]["schema"]
    choice = {"type": "tool", "name": "vutler_json_answer", "disable_parallel_tool_use": True}
    assert sent["tool_choice"] == choice


def test_sonnet_4_may_call_the_callers_tools_or_answer_in_json():
    sent = translated(hello(response_format=INVOICE, tools=[TIME]), SONNET_4)
    assert [tool["name"] for tool in sent["tools"]] == ["time", "vutler_json_answer"]
    assert sent["tool_choice"] == {"type": "any"}


def test_a_json_object_is_asked_for_in_words():
    sent = translated(hello(response_format={"type": "json_object"}))
    assert "single JSON object" in sent["system"][0]["text"]


# --- The rest ---------------------------------------------------------------------------------


def test_stop_user_and_stream():
    sent = translated(hello(stop="END", user="u-1", stream=True, stream_options={"include_usage": True}))
    assert sent["stop_sequences"] == ["END"]
    assert sent["metadata"] == {"user_id": "u-1"}
    assert sent["stream"] is True
    assert translated(hello(stop=["A", "B"], safety_identifier="s-1"))["metadata"] == {"user_id": "s-1"}


def test_what_asks_for_something_beside_the_answer_is_dropped_and_named():
    body = hello(seed=1, logprobs=True, top_logprobs=2, store=False, metadata={"a": "b"}, service_tier="auto", n=1)
    assert dropped(body) == ["seed", "logprobs", "top_logprobs", "metadata", "service_tier"]
    assert set(translated(body)) == {"model", "max_tokens", "messages"}


def test_a_participants_name_is_dropped_and_named():
    body = {"messages": [{"role": "user", "name": "maya", "content": "Hello"}]}
    assert dropped(body) == ["messages[].name"]
    assert translated(body)["messages"][0]["content"] == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logit_bias", {"50256": -100}),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content", "content": "x"}),
        ("functions", [{"name": "f"}]),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("web_search_options", {"search_context_size": "low"}),
        ("stop", ["\n"]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "nowhere"}}),
        ("temperature", "hot"),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("stop", 3),
        ("messages", "Hello"),
        ("surprise", 1),
        ("response_format", {"type": "yaml"}),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_name(field, value):
    assert refused({**hello(), field: value}).split(".")[0] == field


@pytest.mark.parametrize("value", [{"n": 1}, {"logit_bias": {}}, {"modalities": ["text"]}, {"frequency_penalty": 0.0}])
def test_what_asks_for_nothing_is_no_reason_to_refuse(value):
    assert set(translated(hello(**value))) == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "Sunny"}, "messages[0].tool_call_id"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0].role"),
        ({"role": "user", "content": 7}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages[0].content[0]"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}]},
            "messages[0].content[0].image_url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
            "messages[0].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "messages[0].content[0].file"),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x.example"}}]},
            "messages[0].content[0]",
        ),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "messages[0].function_call"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "[1]"}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_a_message_that_cannot_be_said_is_refused_where_it_stands(message, param):
    assert refused({"messages": [message]}) == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"messages": [\xff]}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(InvalidRequest):
        read(body)


def test_every_field_of_openais_sdk_is_known():
    known = set(inspect.signature(Chat).parameters)
    sdk = set(typing.get_type_hints(completion_create_params.CompletionCreateParamsNonStreaming))
    assert sdk - known == set()


# --- Nothing is lost --------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
SAID = WORDS | st.lists(WORDS.map(lambda text: {"type": "text", "text": text}), max_size=3)


@st.composite
def conversations(draw):
    messages = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["system", "developer", "user", "assistant", "tools"]))
        if kind != "tools":
            messages.append({"role": kind, "content": draw(SAID)})
            continue
        ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
        call = {"name": "weather", "arguments": '{"town":"Lyon"}'}
        calls = [{"id": given_id, "type": "function", "function": call} for given_id in ids]
        messages.append({"role": "assistant", "content": draw(SAID | st.none()), "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": given_id, "content": draw(SAID)} for given_id in ids]
    return [*messages, {"role": "user", "content": "Go on"}]


def spoken(content):
    """The texts of a message, in either dialect, but for those that are only white space."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    texts: list[str] = []
    for part in content or []:
        texts += spoken(part.get("content")) if part["type"] == "tool_result" else [part.get("text", "")]
    return [text for text in texts if text and not text.isspace()]


@given(conversations())
def test_no_text_and_no_tool_id_is_lost(messages):
    sent = translated({"messages": messages, "tools": [WEATHER]})
    system = [message for message in messages if message["role"] in ("system", "developer")]
    others = [message for message in messages if message not in system]
    assert [text for turn in sent["messages"] for text in spoken(turn["content"])] == [
        text for message in others for text in spoken(message["content"])
    ]
    assert spoken(sent.get("system")) == [text for message in system for text in spoken(message["content"])]
    blocks = [block for turn in sent["messages"] for block in turn["content"]]
    asked = [call["id"] for message in others for call in message.get("tool_calls", [])]
    answered = [message["tool_call_id"] for message in others if message["role"] == "tool"]
    assert [block["id"] for block in blocks if block["type"] == "tool_use"] == asked
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == answered
    roles = [turn["role"] for turn in sent["messages"]]
    assert all(a != b for a, b in pairwise(roles))
