"""Anthropic's whole answers, errors and counts told in OpenAI's words."""

import json
import typing

import msgspec
import pytest
from anthropic import types
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Model
from openai.types.chat import ChatCompletion

from llm.translate import usage as counts
from llm.translate.messages import Answer, ErrorObject, Models
from llm.translate.messages_to_chat import texts, to_completion, to_error, to_models
from llm.translate.reasons import ERROR_KINDS, FINISH_REASONS
from metering.usage import Usage
from tests.llm.claude_streams import MESSAGE

HELLO = {"type": "text", "text": "Hello"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Nîmes"}}


def answer(*content, stop_reason="end_turn", **fields):
    body = {**MESSAGE, "content": content, "stop_reason": stop_reason, **fields}
    return msgspec.json.decode(json.dumps(body, ensure_ascii=False), type=Answer)


def told(*content, **fields):
    """Translate, and see that OpenAI's own SDK reads the outcome."""
    completion = to_completion(answer(*content, **fields), created=1_800_000_000)
    ChatCompletion.model_validate(completion, strict=True)
    return completion


def test_the_simplest_answer():
    assert told(HELLO, usage={"input_tokens": 10, "output_tokens": 5}) == {
        "id": "msg_01",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": "claude-haiku-4-5-20251001",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_two_calls_in_one_answer():
    message = told(CALL, {**CALL, "id": "toolu_2", "input": {}}, stop_reason="tool_use")["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Nîmes"}'}},
        {"id": "toolu_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
    ]


def test_text_and_a_call():
    choice = told(HELLO, CALL, stop_reason="tool_use")["choices"][0]
    assert choice["message"]["content"] == "Hello"
    assert choice["finish_reason"] == "tool_calls"


def test_thinking_can_be_read_and_sent_back():
    thinking = {"type": "thinking", "thinking": "Hmm", "signature": "c2ln"}
    redacted = {"type": "redacted_thinking", "data": "b3BhcXVl"}
    message = told(thinking, redacted, HELLO)["choices"][0]["message"]
    assert message["reasoning_content"] == "Hmm"
    assert message["thinking_blocks"] == [{"index": 0, **thinking}, {"index": 1, **redacted}]


def test_an_answer_in_json_is_text_to_the_caller():
    call = {"type": "tool_use", "id": "toolu_1", "name": "vutler_json_answer", "input": {"total": 1.0}}
    choice = told(call, stop_reason="tool_use")["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": '{"total": 1.0}', "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_a_refusal_in_words():
    details = {"type": "refusal", "category": "bio", "explanation": "I can't help with that."}
    choice = told(stop_reason="refusal", stop_details=details)["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "", "refusal": "I can't help with that."}
    assert choice["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_why_an_answer_ended(stop_reason, finish_reason):
    assert told(HELLO, stop_reason=stop_reason)["choices"][0]["finish_reason"] == finish_reason


def test_every_reason_and_error_of_anthropics_sdk_has_a_word():
    assert set(FINISH_REASONS) == set(typing.get_args(types.StopReason))
    by_url = {kind for kind in typing.get_args(types.shared.ErrorType) if not kind.startswith(("memory_", "conflict"))}
    assert by_url <= set(ERROR_KINDS)


def test_the_texts_of_an_answer_include_thinking_and_arguments():
    thinking = {"type": "thinking", "thinking": "é", "signature": "c2ln"}
    assert [text for text in texts(answer(thinking, HELLO, {**CALL, "input": {"a": 1}})) if text] == [
        "é",
        HELLO["text"],
        '{"a": 1}',
    ]


def test_an_error_keeps_the_providers_message():
    assert to_error(ErrorObject("invalid x-api-key", "authentication_error")) == {
        "error": {
            "message": "invalid x-api-key",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    assert to_error(ErrorObject("?", "new_error"))["error"]["type"] == "new_error"


def test_the_list_of_models():
    body = b'{"data":[{"type":"model","id":"claude-haiku-4-5","created_at":"2025-10-01T00:00:00Z"},{"id":"x"}]}'
    models = to_models(msgspec.json.decode(body, type=Models))
    assert [Model.model_validate(model, strict=True).id for model in models["data"]] == ["claude-haiku-4-5", "x"]
    assert [model["created"] for model in models["data"]] == [1_759_276_800, 0]


# --- Token counts -----------------------------------------------------------------------------


def reported(**fields):
    return msgspec.convert(fields, counts.MessagesUsage)


def test_cached_tokens_are_counted_once():
    usage = counts.from_messages(
        reported(
            input_tokens=10,
            cache_read_input_tokens=200,
            cache_creation_input_tokens=300,
            cache_creation={"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            output_tokens=50,
            output_tokens_details={"thinking_tokens": 20},
        )
    )
    assert usage == Usage(input=10, cache_read=200, cache_write_5m=100, cache_write_1h=200, output=30, reasoning=20)
    assert counts.to_chat(usage) == {
        "prompt_tokens": 510,
        "completion_tokens": 50,
        "total_tokens": 560,
        "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 300},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }


def test_cache_writes_of_unknown_length_are_the_five_minutes_kind():
    assert counts.from_messages(reported(cache_creation_input_tokens=300)) == Usage(cache_write_5m=300)


def test_a_later_report_adds_the_output_and_loses_nothing():
    before = Usage(input=10, cache_read=200, cache_write_5m=100, cache_write_1h=200)
    for later in (
        reported(output_tokens=50),
        reported(output_tokens=50, input_tokens=0, cache_read_input_tokens=0),
        reported(output_tokens=50, input_tokens=10, cache_read_input_tokens=200, cache_creation_input_tokens=300),
    ):
        assert counts.later(before, later) == Usage(
            input=10, cache_read=200, cache_write_5m=100, cache_write_1h=200, output=50
        )


COUNTS = st.integers(0, 10**9)


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), COUNTS, st.integers(0, 100))
def test_the_parts_add_up(inputs, output, percent):
    fresh, read, for_5m, for_1h = inputs
    thinking = output * percent // 100
    usage = counts.from_messages(
        reported(
            input_tokens=fresh,
            cache_read_input_tokens=read,
            cache_creation_input_tokens=for_5m + for_1h,
            cache_creation={"ephemeral_5m_input_tokens": for_5m, "ephemeral_1h_input_tokens": for_1h},
            output_tokens=output,
            output_tokens_details={"thinking_tokens": thinking},
        )
    )
    assert usage.tokens_input == sum(inputs)
    assert (usage.tokens_output, usage.reasoning) == (output, thinking)
    told = counts.to_chat(usage)
    assert told["prompt_tokens"] + told["completion_tokens"] == told["total_tokens"]
    assert counts.later(usage, reported(output_tokens=output)) == usage
