"""The echo provider misbehaving, as it was told to."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest

from llm.providers.echo.app import Echo
from llm.providers.echo.exchange import Message, Scope

HELLO: Any = [{"role": "user", "content": "Hello there"}]


class Wire:
    """A client that sees every byte."""

    def __init__(self, base_url: str, *, path: str = "/chat/completions", key: str = "sk-alex") -> None:
        url = urlsplit(base_url)
        self._path = url.path + path
        self._headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
        self.connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=30)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.connection.close()

    def ask(self, text: str = "Hello there", *, echo: str = "", **fields) -> http.client.HTTPResponse:
        self.send(text, echo=echo, **fields)
        return self.connection.getresponse()

    def send(self, text: str = "Hello there", *, echo: str = "", **fields) -> None:
        body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": text}], **fields}
        self.connection.request("POST", self._path, json.dumps(body), {**self._headers, "x-echo": echo})


def events(response: http.client.HTTPResponse) -> list[Any]:
    lines = response.read().decode().split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "authentication_error"),
        (402, openai.APIStatusError, "billing_error"),
        (403, openai.PermissionDeniedError, "permission_error"),
        (404, openai.NotFoundError, "not_found_error"),
        (408, openai.APIStatusError, "timeout_error"),
        (409, openai.ConflictError, "invalid_request_error"),
        (413, openai.APIStatusError, "request_too_large"),
        (422, openai.UnprocessableEntityError, "invalid_request_error"),
        (429, openai.RateLimitError, "rate_limit_error"),
        (500, openai.InternalServerError, "api_error"),
        (503, openai.InternalServerError, "overloaded_error"),
        (529, openai.InternalServerError, "overloaded_error"),
    ],
)
def test_it_fails_with_any_status_in_both_dialects(echo, status, error, kind):
    told: Any = [{"role": "user", "content": f"Hello [[status={status}]] [[retry_after=2]]"}]
    with openai.OpenAI(base_url=echo.url("openai"), api_key="sk", max_retries=0) as gpt, pytest.raises(error) as caught:
        gpt.chat.completions.create(model="m", messages=told)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (status, "2")
    assert set(caught.value.response.json()["error"]) == {"message", "type", "param", "code"}
    with (
        anthropic.Anthropic(base_url=echo.url("anthropic"), api_key="sk", max_retries=0) as claude,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        claude.messages.create(model="m", max_tokens=9, messages=told)
    assert (caught.value.status_code, caught.value.response.json()["error"]["type"]) == (status, kind)


def test_sdks_come_back_after_a_passing_failure(echo):
    echo.script("status=429; retry_after=0", provider="openai", times=1)
    with openai.OpenAI(base_url=echo.url("openai"), api_key="sk") as client:
        assert client.chat.completions.create(model="m", messages=HELLO).choices[0].finish_reason == "stop"
    assert [received.status for received in echo.requests()] == [429, 200]


def test_keys_can_be_bad_slow_or_poor(echo):
    def refusal(provider: str, key: str) -> tuple[Any, ...]:
        with Wire(echo.url(provider), key=key) as wire:
            response = wire.ask()
            return response.status, response.headers["retry-after"], json.loads(response.read())

    assert refusal("openai", "bad-key")[0] == 401
    assert refusal("openai", "slow-key")[:2] == (429, "1")
    assert refusal("openai", "")[0] == 401
    assert refusal("custom", "")[0] == 200
    status, _, body = refusal("openai", "poor-key")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    status, _, body = refusal("minimax", "poor-key")
    assert (status, body["error"]["type"]) == (500, "insufficient_balance_error")
    status, _, body = refusal("openrouter", "poor-key")
    assert (status, body["error"]["code"]) == (402, 402)
    with (
        anthropic.Anthropic(base_url=echo.url("anthropic"), api_key="poor-key") as claude,
        pytest.raises(anthropic.BadRequestError, match="credit balance is too low"),
    ):
        claude.messages.create(model="m", max_tokens=9, messages=HELLO)


@pytest.mark.parametrize(
    "body", [b'{"model": "m", "mess', b"[]", b'{"model": 1, "messages": []}', b'{"model": "m"}', b"\xff\xfe", b""]
)
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings", "messages"])
def test_a_body_that_cannot_be_read_is_refused(echo, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", echo.port)
    connection.request("POST", f"/v1/{path}", body, {"anthropic-version": "2023-06-01"})
    response = connection.getresponse()
    assert response.status == 400
    assert "error" in json.loads(response.read())
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/nothing", 404),
        ("/nobody/v1/models", 404),
        ("/v1/v1/models", 200),
        ("/models", 200),
        ("/v1/models/no-such", 404),
    ],
)
def test_paths_are_found_however_often_they_say_v1(echo, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", echo.port)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    assert response.status == status
    connection.close()


@pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
def test_a_stream_is_cut_after_so_many_chunks(echo, path):
    with Wire(echo.url("openai"), path=path) as wire:
        response = wire.ask("Hello [[cut=3]] [[words=500]]", stream=True)
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    heard = b"".join(caught.value.args[:1])
    assert b"word1" in heard
    [received] = echo.requests()
    assert (received.outcome, received.chunks) == ("cut", 3)


@pytest.mark.parametrize("stream", [True, False])
def test_the_connection_closes_before_the_first_byte(echo, stream):
    with Wire(echo.url("openai")) as wire, pytest.raises(http.client.RemoteDisconnected):
        wire.ask("Hello [[cut=0]]", stream=stream)
    assert [received.outcome for received in echo.requests()] == ["cut"]


def test_a_whole_answer_is_cut_half_way(echo):
    with Wire(echo.url("openai")) as wire:
        response = wire.ask("Hello [[cut=1]]")
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert caught.value.partial.startswith(b'{"id"')


@pytest.mark.parametrize("how", ["[[stall=600]]", "[[chunk_delay=600]]"])
def test_it_notices_that_the_client_left_a_stream(echo, how):
    with Wire(echo.url("openai")) as wire:
        assert wire.ask(how, stream=True).read(10) == b'data: {"id'
    [received] = echo.requests()
    assert received.outcome == "client_gone"
    assert received.chunks < 4


def test_it_notices_that_the_client_did_not_wait(echo):
    with Wire(echo.url("openai")) as wire:
        wire.send(echo="delay=600")
        [received] = echo.requests(count=1, settled=False)
        assert received.outcome == "open"
    assert [received.outcome for received in echo.requests()] == ["client_gone"]


def test_a_long_stream_stops_when_nobody_reads_it(echo):
    with Wire(echo.url("openai")) as wire:
        wire.ask("[[words=100000]]", stream=True, max_tokens=100_000).read(10)
    [received] = echo.requests()
    assert received.outcome == "client_gone"
    assert received.chunks < 100_000


def test_nonsense_split_bytes_and_missing_ends(echo):
    with Wire(echo.url("openai")) as wire:
        assert b'{"id": "garb\n\n' in wire.ask("[[garbage]]", stream=True).read()
        assert wire.ask("", stream=True).read().endswith(b"data: [DONE]\n\n")
        assert b"[DONE]" not in wire.ask("[[no_done]]", stream=True).read()
        chunks = events(wire.ask("né 🟢 [[split=1]]", stream=True))
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "You said: né 🟢"
        broken = events(wire.ask("one two [[stream_error=2]]", stream=True))
        assert broken[-1]["error"]["code"] == "overloaded"
        assert "usage" not in json.loads(wire.ask("[[no_usage]]").read())


def test_claude_fails_in_the_middle_of_a_stream(echo):
    told: Any = [{"role": "user", "content": "one two [[stream_error=2]]"}]
    with (
        anthropic.Anthropic(base_url=echo.url("anthropic"), api_key="sk") as claude,
        claude.messages.stream(model="m", max_tokens=9, messages=told) as stream,
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
    ):
        stream.until_done()


def test_every_provider_has_its_habits(echo):
    asked: Any = {"stream": True, "stream_options": {"include_usage": True}}
    with Wire(echo.url("groq")) as groq:
        chunks = events(groq.ask(**asked))
        assert chunks[-1]["x_groq"]["usage"]["completion_tokens"] == 4
        assert not any(chunk.get("usage") for chunk in chunks)
    with Wire(echo.url("mistral")) as mistral:
        assert mistral.ask(**asked).read().startswith(b'{"object":"error"')
        last = events(mistral.ask(stream=True))[-1]
        assert (last["choices"][0]["finish_reason"], last["usage"]["total_tokens"]) == ("stop", 6)
    with Wire(echo.url("openrouter")) as openrouter:
        assert openrouter.ask("Hello [[cost=0.25]]", stream=True).readline().startswith(b": ")
    with Wire(echo.url("openrouter")) as openrouter:
        assert events(openrouter.ask("Hello [[cost=0.25]]", stream=True))[-1]["usage"]["cost"] == 0.25
    with Wire(echo.url("minimax")) as minimax:
        body = json.loads(minimax.ask("Hello [[reasoning=2]]").read())
        assert body["base_resp"]["status_code"] == 0
        assert body["choices"][0]["message"]["reasoning_content"] == "word1 word2"


async def test_mounted_in_the_product_it_keeps_nothing():
    sent: list[Message] = []
    body = json.dumps({"model": "m", "messages": HELLO}).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    app = Echo(prefix="/echo")
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/echo/v1/chat/completions",
        "headers": [],
        "query_string": b"",
    }
    await app(scope, receive, send)
    assert json.loads(sent[1]["body"])["choices"][0]["message"]["content"] == "You said: Hello there"
    await app({**scope, "method": "GET", "path": "/echo/_echo/requests"}, receive, send)
    assert sent[2]["status"] == 404
    assert list(app.received) == []
