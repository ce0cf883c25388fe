"""Providers that speak OpenAI's dialect: the caller's bytes go out unchanged, and the answer's come back so.

The exceptions, each a row's quirk: a missing ``model`` is filled in, and a stream is asked to report its usage
(``stream_options.include_usage``), because what isn't reported can't be counted. The chunk that this adds is
taken out again for a caller who didn't ask for it.
"""

from decimal import Decimal
from typing import Any

import msgspec

from llm import sse
from llm.errors import InvalidRequest
from llm.providers.base import Outgoing, Prepared, Target
from llm.requests import ChatRequest, Request
from metering.usage import Usage

DONE = b"data: [DONE]\n\n"


class OpenAICompatible(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's row. ``usage_option``: whether it takes ``stream_options`` (Mistral has refused it with 422)."""

    usage_option: bool = True

    def prepare(self, request: Request, target: Target) -> Prepared:
        """See :meth:`llm.providers.base.Provider.prepare`."""
        match request:
            case ChatRequest():
                url, relay = f"{target.base_url}/chat/completions", ChatRelay(hide_usage=not request.wants_usage)
                return Prepared(Outgoing(url=url, headers=_headers(target), body=self._chat(request)), relay)
        raise InvalidRequest("This provider can't be asked that.")

    def models(self, target: Target) -> Outgoing:
        """See :meth:`llm.providers.base.Provider.models`."""
        return Outgoing(url=f"{target.base_url}/models", headers=_headers(target))

    def models_body(self, status: int, body: bytes) -> bytes:  # noqa: ARG002
        """See :meth:`llm.providers.base.Provider.models_body`."""
        return body

    def _chat(self, request: ChatRequest) -> bytes:
        fields: dict[str, Any] = {}
        if not request.names_model:
            fields["model"] = request.model
        if request.stream and self.usage_option and not request.wants_usage:
            fields["stream_options"] = {"include_usage": True}
        without = "stream_options" if not self.usage_option else ""
        return with_fields(request.body, fields, without=without) if fields or without else request.body


def _headers(target: Target) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    # Ollama and its like need no key.
    if target.key:
        headers["authorization"] = f"Bearer {target.key.reveal()}"
    return headers


def with_fields(body: bytes, fields: dict[str, Any], *, without: str = "") -> bytes:
    """Return a JSON object with ``fields`` set and one left out; every other value keeps its bytes."""
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    raw.pop(without, None)
    raw.update({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()})
    return msgspec.json.encode(raw)


# --- The answer ---------------------------------------------------------------------------------


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class UsageFields(msgspec.Struct):
    """OpenAI's usage: cached tokens are within ``prompt_tokens``, reasoning within ``completion_tokens``."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    cost: Decimal | None = None

    def disjoint(self) -> Usage:
        """Return the same tokens in parts that don't overlap."""
        prompt, completion = max(self.prompt_tokens or 0, 0), max(self.completion_tokens or 0, 0)
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else 0
        reasoning = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else 0
        cached = min(max(cached or 0, 0), prompt)
        reasoning = min(max(reasoning or 0, 0), completion)
        return Usage(input=prompt - cached, cache_read=cached, output=completion - reasoning, reasoning=reasoning)


class _Function(msgspec.Struct):
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Message(msgspec.Struct):
    # A string from most; Mistral's reasoning models give a list of parts.
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None

    def text_bytes(self) -> int:
        content = self.content if isinstance(self.content, str | None) else msgspec.json.encode(self.content).decode()
        texts = [content, self.refusal, self.reasoning_content or self.reasoning]
        texts += [call.function.arguments for call in self.tool_calls or [] if call.function]
        return sum(len(text.encode()) for text in texts if text)


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Groq(msgspec.Struct):
    usage: UsageFields | None = None


class _Completion(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] = []
    usage: UsageFields | None = None
    x_groq: _Groq | None = None


_decode = msgspec.json.Decoder(_Completion).decode


class ChatRelay:
    """Passes a chat completion through, whole or streamed, and reads the usage off it."""

    __slots__ = ("_events", "_finished", "_held", "_hide_usage", "complete", "cost", "model", "text_bytes", "usage")

    def __init__(self, *, hide_usage: bool) -> None:
        """Take the chunk that only carries usage out of a stream, if so told."""
        self.usage: Usage | None = None
        self.cost: Decimal | None = None
        self.text_bytes = 0
        self.model = ""
        self.complete = False
        self._hide_usage = hide_usage
        self._events = sse.Events()
        self._finished = False
        self._held = b""

    def whole(self, status: int, body: bytes) -> bytes:  # noqa: ARG002
        """See :meth:`llm.providers.base.Relay.whole`."""
        self._read(body)
        self.complete = True
        return body

    def feed(self, data: bytes) -> bytes:
        """See :meth:`llm.providers.base.Relay.feed`."""
        return b"".join([event for event in self._events.feed(data) if self._passes(event)])

    def finish(self) -> bytes:
        """See :meth:`llm.providers.base.Relay.finish`."""
        rest = self._events.rest()
        if rest and not self._passes(rest):
            rest = b""
        # Some servers end without [DONE]; what came to its finish reason is whole all the same.
        self.complete = bool(self._held) or self._finished
        return rest + (self._held or DONE if self.complete else b"")

    def _passes(self, event: bytes) -> bool:
        data = sse.data_of(event)
        if data.strip() == b"[DONE]":
            self._held = event
            return False
        chunk = self._read(data)
        only_usage = chunk is not None and chunk.usage is not None and not chunk.choices
        return not (only_usage and self._hide_usage)

    def _read(self, data: bytes) -> _Completion | None:
        """Take usage and model from a body or chunk. What we can't read is the caller's to read, unchanged."""
        try:
            found = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self.model = found.model or self.model
        usage = found.usage or (found.x_groq.usage if found.x_groq else None)
        if usage and usage.prompt_tokens is not None:
            self.usage = usage.disjoint()
            self.cost = usage.cost if usage.cost is not None else self.cost
        for choice in found.choices:
            message = choice.delta or choice.message
            if message:
                self.text_bytes += message.text_bytes()
            self._finished = self._finished or choice.finish_reason is not None
        return found
