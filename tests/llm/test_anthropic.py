"""Anthropic's adapter: bytes in, bytes out, however they are cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agents.crypto import Secret
from llm.errors import UpstreamUnavailable
from llm.providers.anthropic import Anthropic
from llm.providers.base import Provider, Relay, Target
from llm.requests import Call, read_chat
from llm.sse import Events, data_of
from metering.usage import Usage
from tests.llm.claude_streams import (
    PING,
    STOP,
    answers,
    begins,
    block_begins,
    block_ends,
    delta,
    ends,
    event,
    split,
    text_block,
    thinking_block,
    tool_block,
)

TARGET = Target(
    provider="anthropic", model="claude-haiku-4-5", base_url="http://127.0.0.1:1", key=Secret("sk-ant-alex-wxyz")
)
ANTHROPIC = Anthropic(now=lambda: 1_800_000_000.9)
provider: Provider = ANTHROPIC


def asked(**fields):
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], **fields}).encode()
    return read_chat(Call(id="a", token="", body=body, headers={}), TARGET.model)


def relayed(*pieces, wants_usage=False):
    """Stream the pieces through; return the relay and all the caller got."""
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    relay = ANTHROPIC.prepare(asked(stream=True, **options), TARGET).relay
    out = b"".join(relay.feed(piece) for piece in pieces)
    return relay, out + relay.finish()


def chunks(out):
    """The chunks of a stream, each read by OpenAI's own SDK; [DONE] as it stands, and errors."""
    found: list[Any] = []
    events = Events().feed(out)
    assert b"".join(events) == out
    for each in events:
        data = data_of(each)
        found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
        if isinstance(found[-1], dict) and "error" not in found[-1]:
            ChatCompletionChunk.model_validate(found[-1], strict=True)
    return found


def deltas(out):
    return [chunk["choices"][0]["delta"] for chunk in chunks(out) if chunk != "[DONE]" and chunk["choices"]]


# --- The request ------------------------------------------------------------------------------


def test_a_request_goes_out_with_the_key_and_the_version():
    out = ANTHROPIC.prepare(asked(), TARGET).outgoing
    assert out.url == "http://127.0.0.1:1/v1/messages"
    assert out.headers == {
        "x-api-key": "sk-ant-alex-wxyz",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    assert json.loads(out.body)["model"] == "claude-haiku-4-5"
    assert "wxyz" not in repr(out)


def test_the_callers_model_goes_before_the_agents():
    assert json.loads(ANTHROPIC.prepare(asked(model="claude-opus-5"), TARGET).outgoing.body)["model"] == "claude-opus-5"


def test_what_was_dropped_can_be_told():
    assert ANTHROPIC.prepare(asked(seed=1), TARGET).dropped == ["seed"]


def test_the_list_of_models():
    out = ANTHROPIC.models(TARGET)
    assert (out.url, out.body) == ("http://127.0.0.1:1/v1/models?limit=1000", b"")
    body = b'{"data":[{"type":"model","id":"claude-haiku-4-5","created_at":"2025-10-01T00:00:00Z"}],"has_more":false}'
    assert json.loads(ANTHROPIC.models_body(200, body)) == {
        "object": "list",
        "data": [{"id": "claude-haiku-4-5", "object": "model", "created": 1_759_276_800, "owned_by": "anthropic"}],
    }
    assert json.loads(ANTHROPIC.models_body(401, INVALID_KEY))["error"]["code"] == "invalid_api_key"
    assert json.loads(ANTHROPIC.models_body(200, b"<html>"))["error"]["type"] == "server_error"


# --- Whole answers ----------------------------------------------------------------------------

INVALID_KEY = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"r"}'


def test_a_whole_answer_with_its_usage():
    relay: Relay = ANTHROPIC.prepare(asked(), TARGET).relay
    body = {
        "id": "msg_01",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "Café"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 7, "output_tokens": 5},
    }
    completion = json.loads(relay.whole(200, json.dumps(body).encode()))
    assert completion["created"] == 1_800_000_000
    assert completion["choices"][0]["message"]["content"] == "Café"
    assert completion["usage"]["prompt_tokens"] == 17
    assert relay.usage == Usage(input=10, cache_read=7, output=5)
    assert (relay.model, relay.output.tokens, relay.complete) == ("claude-haiku-4-5-20251001", 2, True)
    assert relay.cost is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("authentication_error", "invalid_api_key"),
        ("rate_limit_error", "rate_limit_exceeded"),
        ("not_found_error", "model_not_found"),
        ("overloaded_error", "overloaded"),
        ("invalid_request_error", None),
    ],
)
def test_an_error_is_told_in_openais_words(kind, code):
    relay = ANTHROPIC.prepare(asked(), TARGET).relay
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "Because."}}).encode()
    error = json.loads(relay.whole(400, body))["error"]
    assert (error["message"], error["code"], error["param"]) == ("Because.", code, None)
    assert relay.usage is None
    assert relay.complete is False


UNREADABLE = [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b'{"content": 3, "error": 4}', b"[]"]


@pytest.mark.parametrize("body", UNREADABLE)
def test_an_error_that_cannot_be_read_says_what_came(body):
    error = json.loads(ANTHROPIC.prepare(asked(), TARGET).relay.whole(502, body))["error"]
    assert error["type"] == "server_error"
    assert f"status 502 and {len(body)} bytes" in error["message"]


@pytest.mark.parametrize("body", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_none(body):
    relay = ANTHROPIC.prepare(asked(), TARGET).relay
    with pytest.raises(UpstreamUnavailable):
        relay.whole(200, body)
    assert not relay.complete


# --- Streams ----------------------------------------------------------------------------------


def test_a_stream_of_text():
    relay, out = relayed(begins(), PING, text_block(0, "Hel", "lo é"), ends(output=5), STOP)
    envelope = {
        "id": "msg_01",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "claude-haiku-4-5-20251001",
    }

    def chunk(delta, finish_reason=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**envelope, "choices": [choice]}

    assert chunks(out) == [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo é"}),
        chunk({}, "stop"),
        "[DONE]",
    ]
    assert relay.usage == Usage(input=10, output=5)
    assert (relay.model, relay.output.tokens, relay.complete) == ("claude-haiku-4-5-20251001", 2, True)


def test_the_usage_is_shown_to_a_caller_who_asked():
    _, out = relayed(begins(cache_read_input_tokens=90), text_block(0, "Hi"), ends(), STOP, wants_usage=True)
    *others, last, done = chunks(out)
    assert (last["choices"], done) == ([], "[DONE]")
    assert last["usage"]["prompt_tokens"] == 100
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 90, "cache_write_tokens": 0}
    assert [chunk["usage"] for chunk in others] == [None, None, None]


def test_parallel_calls_are_numbered_among_themselves():
    _, out = relayed(
        begins(),
        text_block(0, "Let me see."),
        tool_block(1, "toolu_1", "weather", '{"town": "N', 'îmes"}'),
        tool_block(2, "toolu_2", "time"),
        ends("tool_use"),
        STOP,
    )
    assert [call for delta in deltas(out) for call in delta.get("tool_calls", [])] == [
        {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"town": "N'}},
        {"index": 0, "function": {"arguments": 'îmes"}'}},
        {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "time", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    assert chunks(out)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_thinking_comes_as_it_is_thought_and_signed_at_its_end():
    relay, out = relayed(begins(), thinking_block(0, "c2ln", "Hm", "m"), text_block(1, "Yes"), ends(), STOP)
    signed = {"index": 0, "type": "thinking", "thinking": "Hmm", "signature": "c2ln"}
    assert deltas(out)[1:-1] == [
        {"reasoning_content": "Hm"},
        {"reasoning_content": "m"},
        {"thinking_blocks": [signed]},
        {"content": "Yes"},
    ]
    assert relay.output.tokens == 2


def test_an_answer_in_json_is_streamed_as_text():
    _, out = relayed(begins(), tool_block(0, "toolu_1", "vutler_json_answer", '{"a"', ":1}"), ends("tool_use"), STOP)
    assert "".join(delta.get("content", "") for delta in deltas(out)) == '{"a":1}'
    assert chunks(out)[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_refusal_is_told_before_the_end():
    details = {"type": "refusal", "category": None, "explanation": "I can't."}
    _, out = relayed(begins(), ends("refusal", stop_details=details), STOP)
    assert deltas(out)[1:] == [{"refusal": "I can't."}, {}]
    assert chunks(out)[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_a_stream_cut_by_the_provider_has_its_input_counted_and_no_done():
    relay, out = relayed(begins(cache_read_input_tokens=7), text_block(0, "Hello")[:-40])
    assert relay.usage == Usage(input=10, cache_read=7)
    assert (relay.complete, relay.output.tokens) == (False, 1)
    assert chunks(out)[-1]["choices"][0]["delta"] == {"content": "Hello"}


def test_the_end_is_held_back_until_the_provider_is_done():
    relay = ANTHROPIC.prepare(asked(stream=True), TARGET).relay
    assert b"[DONE]" not in relay.feed(begins() + ends() + STOP)
    assert relay.complete is True
    assert relay.finish() == b"data: [DONE]\n\n"


def test_a_last_event_without_its_empty_line_still_counts():
    relay, out = relayed(begins() + ends() + STOP[:-1])
    assert relay.complete is True
    assert chunks(out)[-1] == "[DONE]"


def test_an_error_in_mid_stream_is_told_and_is_the_end():
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    relay, out = relayed(begins(), text_block(0, "Hel"), error, text_block(1, "lo"), STOP)
    told = {"message": "Overloaded", "type": "server_error", "param": None, "code": "overloaded"}
    assert chunks(out)[-1] == {"error": told}
    assert relay.complete is False
    assert relay.usage == Usage(input=10)


@pytest.mark.parametrize(
    "garbage", [b"data: {\n\n", b"data: nonsense\n\n", b'data: {"type": 3}\n\n', b"data: \xff\n\n"]
)
def test_what_cannot_be_read_in_mid_stream_is_told_and_is_the_end(garbage):
    relay, out = relayed(begins(), garbage, text_block(0, "Hello"), STOP)
    assert chunks(out)[-1]["error"]["type"] == "server_error"
    assert relay.complete is False


def test_an_event_without_end_is_told_and_is_the_end():
    relay, out = relayed(begins(), b"data: " + b"x" * (16 * 1024 * 1024), STOP)
    assert chunks(out)[-1]["error"]["message"] == "The provider sent an event without end."
    assert relay.complete is False


def test_what_is_new_in_a_stream_does_no_harm():
    new = [
        event("something_new", index=7),
        block_begins(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query": "x"}'),
        block_ends(0),
        delta(1, "citations_delta", citation={"type": "char_location"}),
        delta(9, "thinking_delta", thinking="of no block"),
    ]
    _, out = relayed(begins(), *new, text_block(1, "Hi"), ends(), STOP)
    assert deltas(out) == [{"role": "assistant", "content": "", "refusal": None}, {"content": "Hi"}, {}]


# --- However the bytes are cut ------------------------------------------------------------------


def seen(relay, out):
    return out, relay.usage, relay.output.tokens, relay.model, relay.complete


@given(st.data())
def test_any_cut_of_the_bytes_gives_the_same_chunks_and_usage(data):
    stream, _ = data.draw(answers())
    pieces = data.draw(split(stream))
    assert seen(*relayed(*pieces, wants_usage=True)) == seen(*relayed(stream, wants_usage=True))


@given(answers())
def test_a_stream_adds_up_to_the_whole_answer(answer):
    stream, body = answer
    relay, out = relayed(stream, wants_usage=True)
    whole_relay = ANTHROPIC.prepare(asked(), TARGET).relay
    whole = json.loads(whole_relay.whole(200, body))
    ChatCompletion.model_validate(whole, strict=True)
    *told, last, done = chunks(out)
    assert done == "[DONE]"
    assert last["usage"] == whole["usage"]
    assert relay.usage == whole_relay.usage
    assert [chunk["choices"][0]["finish_reason"] for chunk in told if chunk["choices"][0]["finish_reason"]] == [
        whole["choices"][0]["finish_reason"]
    ]
    assert added_up(told) == comparable(whole["choices"][0]["message"])


def added_up(told):
    """The message that the chunks add up to, as OpenAI's own SDK adds them."""
    message: dict[object, object] = {}
    for chunk in told:
        message = accumulate_delta(message, chunk["choices"][0]["delta"])
    return comparable(message)


def comparable(message):
    """A message with its arguments read, and without what the two forms say in different ways."""
    calls = message.get("tool_calls", [])
    return {
        "content": message["content"] or "",
        "reasoning": message.get("reasoning_content", ""),
        "thinking_blocks": message.get("thinking_blocks", []),
        "calls": [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
    }


@given(st.data())
def test_wherever_the_provider_cuts_it_is_no_complete_answer(data):
    stream, _ = data.draw(answers())
    cut = data.draw(st.integers(0, len(stream) - len("}\n\n")))
    relay, out = relayed(stream[:cut])
    assert relay.complete is False
    assert b"[DONE]" not in out
    assert b'"error"' not in out
    assert relayed(stream)[1].startswith(out)


@given(st.data())
def test_bytes_of_any_kind_never_break_it(data):
    stream, _ = data.draw(answers())
    at = data.draw(st.integers(0, len(stream)))
    relay, out = relayed(*data.draw(split(stream[:at] + data.draw(st.binary(max_size=30)) + stream[at:])))
    chunks(out)
    json.loads(relay.whole(502, data.draw(st.binary(max_size=30))))
