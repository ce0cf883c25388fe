"""Alex's agent asks, his provider answers, and the meter has one record of it."""

import asyncio

import msgspec
import pytest

from tests.llm.gateway import AGENT, TOKEN, WORKSPACE, agent

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three four"}]}
STREAM = {**HELLO, "stream": True}


def says(text: str, **more):
    return {**HELLO, "messages": [{"role": "user", "content": text}], **more}


async def test_alex_is_answered_by_his_provider_with_his_key(house, echo):
    answered = await house.call(HELLO)

    assert answered.status == 200
    assert answered.json()["choices"][0]["message"]["content"] == "You said: one two three four"
    [received] = await echo.arequests(count=1)
    assert received.headers["authorization"] == "Bearer sk-alex-0123456789-wxyz"
    record = await house.record()
    assert record["id"] == answered.headers["x-request-id"]
    assert (record["agent_id"], record["workspace_id"]) == (AGENT, WORKSPACE)
    assert (record["provider"], record["model"], record["tier"], record["mode"]) == (
        "openai", "gpt-4o-mini", "byokey", "byokey",
    )  # fmt: skip
    assert (record["tokens_input"], record["tokens_output"]) == (4, 6)
    # 4 × $0.15 and 6 × $0.60 a million, in picodollars
    assert (record["cost_input"], record["cost_output"], record["cost_total"]) == (600_000, 3_600_000, 4_200_000)
    assert record["price_version"] == "openai/gpt-4o-mini@2024-10-02"
    assert (record["price_total"], record["status"], record["provenance"]) == (0, "ok", "reported")
    assert (record["streamed"], record["http_status"], len(record["attempts"])) == (False, 200, 1)


async def test_the_bytes_go_through_unchanged_both_ways(house, echo):
    body = (
        b'{ "model":"gpt-4o-mini",\n  "messages" : [{"role":"user","content":"\\u00e9t\xc3\xa9 1.0"}], "top_p": 1.00 }'
    )
    answered = await house.call(body)
    [received] = await echo.arequests(count=1)
    assert received.body == body
    assert answered.headers["content-type"] == "application/json"
    assert (answered.headers["x-vutler-provider"], answered.headers["x-vutler-model"]) == ("openai", "gpt-4o-mini")
    assert answered.headers["x-vutler-attempts"] == "1"


async def test_the_callers_headers_stay_here(house, echo):
    await house.call(HELLO, headers={"cookie": "session=1", "x-forwarded-for": "10.0.0.1", "user-agent": "bot"})
    [received] = await echo.arequests(count=1)
    assert set(received.headers) == {"host", "accept-encoding", "content-type", "authorization", "content-length"}


async def test_without_a_model_the_agents_own_is_asked_for(house, echo):
    await house.call({"messages": HELLO["messages"]})
    [received] = await echo.arequests(count=1)
    assert received.json()["model"] == "gpt-4o-mini"


async def test_a_stream_comes_in_pieces_and_its_usage_is_counted_but_not_shown(house, echo):
    answered = await house.call(STREAM)

    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.text() == "You said: one two three four"
    assert answered.events()[-1] == "[DONE]"
    assert all(event["choices"] for event in answered.events()[:-1])
    [received] = await echo.arequests(count=1)
    assert received.json()["stream_options"] == {"include_usage": True}
    record = await house.record()
    assert (record["tokens_input"], record["tokens_output"], record["provenance"]) == (4, 6, "reported")
    assert record["streamed"]
    assert record["ttft_ms"] is not None


async def test_who_asks_for_the_usage_chunk_gets_it(house):
    answered = await house.call({**STREAM, "stream_options": {"include_usage": True}})
    last_chunk = answered.events()[-2]
    assert (last_chunk["choices"], last_chunk["usage"]["completion_tokens"]) == ([], 6)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("minimax", "MiniMax-M2.5"),
        ("groq", "llama-3.3-70b-versatile"),
        ("mistral", "mistral-small-latest"),
        ("openrouter", "openai/gpt-4o-mini"),
        ("custom", "llama3"),
        ("echo", "echo-1"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_provider_answers_and_is_counted(house, echo, provider, model, stream):
    house.agents[TOKEN] = agent(provider, echo.url(provider), model=model)
    answered = await house.call({**HELLO, "model": model, "stream": stream})
    if stream:
        assert answered.text() == "You said: one two three four"
        assert answered.events()[-1] == "[DONE]"
    else:
        assert answered.json()["choices"][0]["message"]["content"] == "You said: one two three four"
    record = await house.record()
    assert (record["tokens_input"], record["tokens_output"]) == (4, 6)
    assert record["provenance"] == ("unpriced" if provider == "custom" else "reported")
    assert (record["cost_total"] is None) == (provider == "custom")


async def test_cached_and_reasoning_tokens_are_counted_once(house):
    await house.call(says("[[cached=100]] [[reasoning=20]] hello"))
    record = await house.record()
    assert (record["cache_read"], record["reasoning"]) == (100, 20)
    assert record["tokens_input"] - record["cache_read"] == 3
    assert record["tokens_output"] == 20 + 3
    # 3 × $0.15 + 100 × $0.075, and 23 × $0.60 a million
    assert (record["cost_input"], record["cost_output"]) == (450_000 + 7_500_000, 13_800_000)


async def test_what_openrouter_says_it_charged_wins_over_our_rates(house, echo):
    house.agents[TOKEN] = agent("openrouter", echo.url("openrouter"), model="openai/gpt-4o-mini")
    await house.call(says("[[cost=0.0123]] hello", model="openai/gpt-4o-mini"))
    record = await house.record()
    assert (record["cost_input"], record["cost_output"], record["cost_total"]) == (None, None, 12_300_000_000)


async def test_a_model_nobody_has_priced_is_unpriced_and_never_free(house):
    await house.call({**HELLO, "model": "gpt-9-preview"})
    record = await house.record()
    assert (record["provenance"], record["cost_total"], record["price_version"]) == ("unpriced", None, "")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429, 500, 503, 529])
async def test_the_providers_refusal_comes_back_as_it_is(house, echo, status):
    answered = await house.call(says(f"[[status={status}]] [[retry_after=7]] hello"))
    assert answered.status == status
    assert "message" in answered.json()["error"]
    if status == 429:
        assert answered.headers["retry-after"] == "7"
    record = await house.record()
    assert (record["status"], record["http_status"], record["cost_total"]) == ("provider_error", status, 0)
    assert len(await echo.arequests(count=1)) == 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_key_that_the_provider_quotes_in_its_error_is_taken_out(house, echo, provider):
    """Whoever holds the agent's token isn't always the owner of the key."""
    house.agents[TOKEN] = agent(provider, echo.url(provider))
    answered = await house.call(says("[[status=401]] [[quote_key]] hello"))
    assert answered.status == 401
    assert answered.json()["error"]["message"] == "Incorrect API key provided: ***."


async def test_a_key_quoted_while_models_are_listed_is_taken_out_too(house, echo):
    echo.script("status=401; quote_key")
    answered = await house.call(b"", path="/v1/models", method="GET")
    assert (answered.status, answered.json()["error"]["message"]) == (401, "Incorrect API key provided: ***.")


async def test_a_stream_that_the_provider_cuts_says_so_and_is_recorded_as_partial(house):
    answered = await house.call(says("[[cut=3]] a b c d e f", stream=True))
    assert "[DONE]" not in answered.events()
    assert answered.events()[-1]["error"]["code"] == "upstream_unavailable"
    assert answered.ended
    record = await house.record()
    assert (record["status"], record["provenance"], record["http_status"]) == ("provider_cut", "partial", 200)
    assert record["tokens_output"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_hangs_up_before_its_first_byte_is_a_502(house, stream):
    answered = await house.call(says("[[cut=0]] hello", stream=stream))
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")
    record = await house.record()
    assert (record["status"], record["http_status"]) == ("unreachable", 502)


async def test_a_provider_that_nobody_answers_for_is_a_502(house):
    house.agents[TOKEN] = agent("openai", "http://127.0.0.1:1/v1")
    answered = await house.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_unavailable")
    assert (await house.record())["status"] == "unreachable"


async def test_a_provider_that_stays_silent_is_a_504(house, monkeypatch):
    monkeypatch.setattr("llm.client.SILENT_AT_MOST", 0.05)
    answered = await house.call(says("[[delay=30]] hello"))
    assert (answered.status, answered.json()["error"]["code"]) == (504, "upstream_timeout")
    record = await house.record()
    assert (record["status"], record["provenance"]) == ("timeout", "partial")


async def test_a_stream_that_falls_silent_ends_with_an_error(house, monkeypatch):
    monkeypatch.setattr("llm.client.SILENT_AT_MOST", 0.05)
    answered = await house.call(says("[[stall=30]] a b c", stream=True))
    assert answered.events()[-1]["error"]["code"] == "upstream_unavailable"
    assert (await house.record())["status"] == "timeout"


async def test_when_the_caller_leaves_in_mid_stream_the_provider_is_told_at_once(house, echo):
    await house.call(says("[[words=500]] [[chunk_delay=0.02]] hello", stream=True), leave_after=5)
    [received] = await echo.arequests(count=1)
    assert received.outcome == "client_gone"
    assert received.chunks < 60
    record = await house.record()
    assert (record["status"], record["provenance"]) == ("client_closed", "partial")
    assert 0 < record["tokens_output"] < 60


async def test_when_the_caller_leaves_before_the_first_byte_the_provider_is_told_too(house, echo):
    leave = asyncio.Event()
    call = asyncio.create_task(house.call(says("[[delay=30]] hello"), leave=leave))
    while not await echo.arequests(settled=False):
        await asyncio.sleep(0.01)
    leave.set()
    answered = await call
    [received] = await echo.arequests(count=1)
    assert (answered.status, received.outcome) == (0, "client_gone")
    assert (await house.record())["status"] == "client_closed"


async def test_a_stream_without_done_gets_one(house):
    answered = await house.call(says("[[no_done]] hello", stream=True))
    assert answered.events()[-1] == "[DONE]"
    assert (await house.record())["status"] == "ok"


async def test_a_stream_without_usage_is_estimated_and_says_so(house):
    await house.call(says("[[no_usage]] hello there", stream=True))
    record = await house.record()
    assert (record["status"], record["provenance"]) == ("ok", "estimated")
    assert record["tokens_output"] > 0


async def test_the_record_is_on_disk_before_the_answer_ends(house, tmp_path):
    answered = await house.call(STREAM)
    written = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir())
    shipped = b"".join(house.lines)
    assert answered.headers["x-request-id"].encode() in written + shipped


async def test_a_paused_agent_is_told_so(house):
    house.agents[TOKEN] = msgspec.structs.replace(house.agents[TOKEN], paused=True)
    answered = await house.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (403, "agent_paused")


async def test_an_agent_without_a_key_is_told_so(house):
    house.agents[TOKEN] = msgspec.structs.replace(house.agents[TOKEN], target=None)
    answered = await house.call(HELLO)
    assert (answered.status, answered.json()["error"]["code"]) == (400, "agent_not_configured")


@pytest.mark.parametrize("token", [None, "", "vtl_agent_unknown", "vtl_ws_x", "é" * 40, "x" * 100_000])
async def test_who_is_nobodys_agent_is_not_let_in(house, echo, token):
    answered = await house.call(HELLO, token=token)
    assert (answered.status, answered.json()["error"]["code"]) == (401, "invalid_agent_token")
    assert await echo.arequests() == []
    assert await house.records() == []


async def test_x_api_key_serves_as_well(house):
    assert (await house.call(HELLO, token=None, headers={"x-api-key": TOKEN})).status == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b'{"model": "gpt-4o-mini", "messages": [', None),
        (b"[]", None),
        (b"null", None),
        (b"\xff\xfe", None),
        ({"model": "gpt-4o-mini"}, "messages"),
        ({"model": 7, "messages": []}, "model"),
        ({"model": "gpt-4o-mini", "messages": "hello"}, "messages"),
        ({"model": "gpt-4o-mini", "messages": [], "stream": "yes"}, "stream"),
        ({"model": "gpt-4o-mini", "messages": [], "stream_options": []}, "stream_options"),
        ({"model": "x" * 201, "messages": []}, "model"),
        ({"model": "a\r\nb", "messages": []}, "model"),
        ({"model": "", "messages": []}, "model"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_400_that_names_the_field(house, echo, body, param):
    answered = await house.call(body)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (400, "invalid_request", param)
    assert await echo.arequests() == []


async def test_unknown_fields_are_the_providers_business(house, echo):
    assert (await house.call({**HELLO, "new_knob": {"a": [1]}})).status == 200
    [received] = await echo.arequests(count=1)
    assert received.json()["new_knob"] == {"a": [1]}


async def test_twenty_megabytes_are_too_many(house, echo):
    answered = await house.call(says("x" * 20_000_000))
    assert (answered.status, answered.json()["error"]["code"]) == (413, "request_too_large")
    assert await echo.arequests() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
    ],
)
async def test_a_wrong_address_is_told_in_openais_words(house, method, path, status, code):
    answered = await house.call(HELLO, method=method, path=path)
    assert (answered.status, answered.json()["error"]["code"]) == (status, code)


async def test_the_request_type_is_on_the_record(house):
    await house.call(HELLO, headers={"x-vutler-request-type": "email"})
    assert (await house.record())["request_type"] == "email"


async def test_an_unknown_request_type_is_refused(house):
    answered = await house.call(HELLO, headers={"x-vutler-request-type": "fax"})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "x-vutler-request-type")


async def test_the_providers_models_are_listed(house, echo):
    answered = await house.call(b"", path="/v1/models", method="GET")
    assert answered.json()["object"] == "list"
    house.agents["of-anthropic"] = agent("anthropic", echo.url("anthropic"))
    answered = await house.call(b"", path="/v1/models", method="GET", token="of-anthropic")
    assert answered.json()["object"] == "list"
    assert await house.records() == []


async def test_what_the_provider_has_no_equal_of_is_named_in_a_header(house, echo):
    house.agents[TOKEN] = agent("anthropic", echo.url("anthropic"), model="claude-haiku-4-5")
    answered = await house.call({**HELLO, "model": "claude-haiku-4-5", "seed": 1})
    assert (answered.status, answered.headers["x-vutler-dropped"]) == (200, "seed")
