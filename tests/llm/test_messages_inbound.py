"""Alex's agent speaks Anthropic's dialect, and his provider does too: through the whole gateway."""

import json

import pytest

from llm.sse import Events, data_of, name_of
from tests.llm.gateway import TOKEN, agent

HELLO = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "one two three four"}],
}


def says(text, **more):
    return {**HELLO, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def claude(house, echo):
    """The gateway, with Alex's agent on Claude Haiku."""
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    return house


async def ask(house, body, **more):
    return await house.call(body, path="/v1/messages", **more)


def events(answered):
    """The stream's events, each with its name, which must be its type."""
    found = Events().feed(answered.body)
    assert b"".join(found) == answered.body
    told = [json.loads(data_of(event)) for event in found]
    assert [name_of(event).decode() for event in found] == [each["type"] for each in told]
    return told


def text(answered):
    return "".join(each["delta"].get("text", "") for each in events(answered) if "index" in each and "delta" in each)


async def test_the_bytes_go_through_unchanged_both_ways(claude, echo):
    body = (
        b'{ "model":"claude-haiku-4-5",  "max_tokens" : 9, "messages":[{"role":"user","content":"\\u00e9t\xc3\xa9"}]}'
    )
    answered = await ask(claude, body)
    [received] = await echo.arequests(count=1)
    assert (received.path, received.body) == ("/anthropic/v1/messages", body)
    assert answered.json()["content"] == [{"type": "text", "text": "You said: été"}]
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-model"]) == (
        "anthropic",
        "claude-haiku-4-5",
    )
    record = await claude.record()
    assert record["id"] == answered.headers["request-id"]
    assert "x-request-id" not in answered.headers
    assert (record["status"], record["provenance"]) == ("ok", "reported")
    assert (record["tokens_input"], record["tokens_output"]) == (1, 3)


async def test_of_the_callers_headers_two_go_on(claude, echo):
    sent = {"anthropic-version": "2023-01-01", "anthropic-beta": "context-1m", "cookie": "a=b", "user-agent": "bot"}
    await ask(claude, HELLO, headers=sent)
    [received] = await echo.arequests(count=1)
    assert (received.headers["anthropic-version"], received.headers["anthropic-beta"]) == ("2023-01-01", "context-1m")
    assert received.headers["x-api-key"] == "sk-alex-0123456789-wxyz"
    assert set(received.headers) == {
        "host", "accept-encoding", "content-type", "content-length", "x-api-key", "anthropic-version", "anthropic-beta",
    }  # fmt: skip


async def test_without_a_model_or_a_version_there_are_ours(claude, echo):
    await ask(claude, {name: value for name, value in HELLO.items() if name != "model"})
    [received] = await echo.arequests(count=1)
    assert (received.json()["model"], received.headers["anthropic-version"]) == ("claude-haiku-4-5", "2023-06-01")


async def test_a_stream_comes_as_it_is_and_is_counted(claude):
    answered = await ask(claude, {**HELLO, "stream": True})
    assert text(answered) == "You said: one two three four"
    assert events(answered)[-1] == {"type": "message_stop"}
    record = await claude.record()
    assert (record["tokens_input"], record["tokens_output"], record["streamed"]) == (4, 6, True)
    assert (record["status"], record["provenance"]) == ("ok", "reported")


@pytest.mark.parametrize("stream", [False, True])
async def test_cache_writes_are_priced_by_how_long_they_last(claude, stream):
    await ask(claude, says("[[cached=100]] [[cache_write=30]] [[cache_write_1h=7]] hello", stream=stream))
    record = await claude.record()
    assert (record["tokens_input"], record["cache_read"], record["cache_write"]) == (4 + 137, 100, 37)
    # 4 × $1.00, 100 × $0.10, 30 × $1.25 and 7 × $2.00 a million
    assert record["cost_input"] == 4_000_000 + 10_000_000 + 37_500_000 + 14_000_000


@pytest.mark.parametrize("split", [1, 7])
async def test_however_the_stream_is_cut_up_it_comes_whole(claude, split):
    answered = await ask(claude, says(f"[[split={split}]] Café à Nîmes 😀", stream=True))
    assert text(answered) == "You said: Café à Nîmes 😀"


async def test_a_stream_without_its_end_gets_one(claude):
    answered = await ask(claude, says("[[no_done]] hello", stream=True))
    assert events(answered)[-1] == {"type": "message_stop"}
    assert (await claude.record())["status"] == "ok"


async def test_a_stream_that_the_provider_cuts_says_so_in_anthropics_words(claude):
    answered = await ask(claude, says("[[cut=3]] a b c d e f", stream=True))
    last = events(answered)[-1]
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert last["request_id"] == answered.headers["request-id"]
    record = await claude.record()
    assert (record["status"], record["provenance"]) == ("provider_cut", "partial")
    assert record["tokens_input"] == 7


async def test_the_providers_own_error_in_mid_stream_is_told_once(claude):
    answered = await ask(claude, says("[[stream_error=3]] a b c d e f", stream=True))
    assert [each["error"]["type"] for each in events(answered) if each["type"] == "error"] == ["overloaded_error"]
    record = await claude.record()
    assert (record["status"], record["provenance"]) == ("provider_cut", "partial")


@pytest.mark.parametrize("status", [400, 401, 429, 529])
async def test_the_providers_refusal_comes_back_as_it_is(claude, status):
    answered = await ask(claude, says(f"[[status={status}]] [[retry_after=7]] hello"))
    assert answered.status == status
    assert answered.json()["error"]["message"] == f"Echo was told to answer {status}."
    record = await claude.record()
    assert (record["status"], record["http_status"], record["cost_total"]) == ("provider_error", status, 0)


async def test_what_cannot_be_read_is_no_good_answer(claude):
    await ask(claude, says("[[garbage]] hello"))
    record = await claude.record()
    assert (record["status"], record["http_status"]) == ("provider_error", 200)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "invalid_request_error"),
        ({"model": "claude-haiku-4-5"}, 400, "invalid_request_error"),
        ({**HELLO, "messages": "hello"}, 400, "invalid_request_error"),
        (says("x" * 17_000_000), 413, "request_too_large"),
    ],
)
async def test_our_own_errors_are_in_anthropics_words(claude, echo, body, status, kind):
    answered = await ask(claude, body)
    told = answered.json()
    assert (answered.status, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert told["request_id"] == answered.headers["request-id"]
    assert await echo.arequests() == []


async def test_who_is_nobodys_agent_is_told_so_in_anthropics_words(house):
    answered = await ask(house, HELLO, token="vtl_agent_unknown")
    assert (answered.status, answered.json()["error"]["type"]) == (401, "authentication_error")
    answered = await house.call(HELLO, path="/v1/messages/nothing")
    assert (answered.status, answered.json()["error"]["type"]) == (404, "not_found_error")


async def count(house, body):
    return await house.call(body, path="/v1/messages/count_tokens")


async def test_anthropic_counts_tokens_itself(claude, echo):
    asked = {name: value for name, value in HELLO.items() if name != "max_tokens"}
    answered = await count(claude, asked)
    [received] = await echo.arequests(count=1)
    assert (received.path, received.json()) == ("/anthropic/v1/messages/count_tokens", asked)
    assert (answered.status, answered.json()) == (200, {"input_tokens": 4})
    assert "x-vutler-estimated" not in answered.headers
    assert await claude.records() == []


async def test_where_nobody_counts_tokens_they_are_estimated(house, echo):
    answered = await count(house, HELLO)
    assert (answered.status, answered.json()) == (200, {"input_tokens": 10})
    assert answered.headers["x-vutler-estimated"] == "true"
    assert await echo.arequests() == []
    assert await house.records() == []


async def test_a_count_of_nothing_is_refused_in_anthropics_words(house):
    answered = await count(house, {"model": "gpt-4o-mini"})
    assert (answered.status, answered.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_wrong_key_is_told_when_counting_too(claude, echo):
    echo.script("status=401", provider="anthropic")
    answered = await count(claude, HELLO)
    assert (answered.status, answered.json()["error"]["type"]) == (401, "authentication_error")
