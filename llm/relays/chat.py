"""OpenAI's chat completions, passed on. Source: OpenAI's "The chat completion object" and "… chunk object"."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from llm import sse
from llm.errors import GatewayError, openai_body
from llm.relays.passing import Passing
from metering.usage import Usage

DONE: Final = b"data: [DONE]\n\n"


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

    def texts(self) -> list[str]:
        content = self.content if isinstance(self.content, str | None) else msgspec.json.encode(self.content).decode()
        texts = [content, self.refusal, self.reasoning_content or self.reasoning]
        texts += [call.function.arguments for call in self.tool_calls or [] if call.function]
        return [text for text in texts if text]


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
    error: msgspec.Raw = msgspec.Raw()


_decode: Final = msgspec.json.Decoder(_Completion).decode


class ChatRelay(Passing):
    """A chat completion. ``hide_usage`` takes the chunk that only carries usage out of its stream."""

    __slots__ = ("_hide_usage",)

    def __init__(self, *, hide_usage: bool) -> None:
        super().__init__()
        self._hide_usage = hide_usage

    def _read_whole(self, body: bytes) -> bool:
        completion = self._read(body)
        return completion is not None and bool(completion.choices)

    def _passes(self, event: bytes) -> bool:
        data = sse.data_of(event)
        if data.strip() == b"[DONE]":
            self._held = event
            return False
        chunk = self._read(data)
        if chunk is None:
            return True
        if bytes(chunk.error) not in (b"", b"null"):
            self.failed = self._told = True
        return not (self._hide_usage and chunk.usage is not None and not chunk.choices)

    def _end(self) -> bytes:
        return DONE

    def _error_event(self, error: GatewayError) -> bytes:
        return b"data: " + openai_body(error) + b"\n\n"

    def _read(self, data: bytes) -> _Completion | None:
        """Take usage and model from a body or chunk; None for what we can't read."""
        try:
            found = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        self.model = found.model or self.model
        usage = found.usage or (found.x_groq.usage if found.x_groq else None)
        if usage and usage.prompt_tokens is not None:
            self.usage = usage.disjoint()
            self.cost = usage.cost if usage.cost is not None else self.cost
        for choice in found.choices:
            message = choice.delta or choice.message
            for text in message.texts() if message else ():
                self.output.add(text)
            self._finished = self._finished or choice.finish_reason is not None
        return found
