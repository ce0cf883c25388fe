"""What OpenAI-compatible providers answer a chat completion with, as far as we read it, whole or in chunks.

Sources: OpenAI's "The chat completion object" and "The chat completion chunk object"; OpenRouter's "Usage Accounting";
Mistral's "Reasoning". Every field may be missing and anything may be new.
"""

from decimal import Decimal
from typing import Any

import msgspec

from metering.usage import Usage


class PromptDetails(msgspec.Struct):
    """Tokens of the prompt that came from the provider's cache, or went into it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """Tokens of the answer that nobody sees."""

    reasoning_tokens: int | None = None


class UsageFields(msgspec.Struct):
    """OpenAI's usage: cached tokens are within ``prompt_tokens``, reasoning within ``completion_tokens``."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    cost: Decimal | None = None

    def disjoint(self) -> Usage:
        """Return the same tokens in parts that don't overlap."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return disjoint(
            tokens_input=self.prompt_tokens,
            cached=prompt.cached_tokens if prompt else None,
            written=prompt.cache_write_tokens if prompt else None,
            tokens_output=self.completion_tokens,
            reasoning=completion.reasoning_tokens if completion else None,
        )


def disjoint(
    *,
    tokens_input: int | None,
    cached: int | None,
    written: int | None,
    tokens_output: int | None,
    reasoning: int | None,
) -> Usage:
    """Return OpenAI's counts, whose parts are within the whole, in parts that don't overlap."""
    whole_input, whole_output = max(tokens_input or 0, 0), max(tokens_output or 0, 0)
    cached = min(max(cached, 0), whole_input) if cached else 0
    written = min(max(written, 0), whole_input - cached) if written else 0
    reasoning = min(max(reasoning, 0), whole_output) if reasoning else 0
    return Usage(
        input=whole_input - cached - written,
        cache_read=cached,
        cache_write_5m=written,
        output=whole_output - reasoning,
        reasoning=reasoning,
    )


class Function(msgspec.Struct):
    """The function that is called, or a piece of its arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A call of a tool, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Part(msgspec.Struct):
    """A part of Mistral's content: text, or thinking, itself in parts."""

    type: str = "text"
    text: str = ""
    thinking: "str | list[Part]" = ""

    @property
    def thought(self) -> str:
        """The thinking as text."""
        return self.thinking if isinstance(self.thinking, str) else "".join(part.text for part in self.thinking)


class Message(msgspec.Struct):
    """A message, or what a chunk adds to it. Reasoning has two names, and a third place at Mistral."""

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def said(self) -> str:
        """What is said aloud."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    @property
    def thought(self) -> str:
        """What is thought."""
        if isinstance(self.content, list):
            return "".join(part.thought for part in self.content)
        return self.reasoning_content or self.reasoning or ""

    def texts(self) -> list[str]:
        """Return all that was put out, arguments included."""
        if type(self.content) is str and not (
            self.tool_calls or self.refusal or self.reasoning_content or self.reasoning
        ):
            return [self.content] if self.content else []
        arguments = [call.function.arguments for call in self.tool_calls or () if call.function]
        return [text for text in (self.said, self.thought, self.refusal, *arguments) if text]


class Choice(msgspec.Struct):
    """An answer, or a piece of it."""

    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class Groq(msgspec.Struct):
    """Groq's own: where it puts the usage of a stream."""

    usage: UsageFields | None = None


class Completion(msgspec.Struct):
    """A chat completion, or a chunk of one."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[Choice] = []
    usage: UsageFields | None = None
    x_groq: Groq | None = None
    error: Any = None

    @property
    def reported(self) -> UsageFields | None:
        """The usage, wherever it stands."""
        usage = self.usage or (self.x_groq.usage if self.x_groq else None)
        return usage if usage and usage.prompt_tokens is not None else None


class ErrorObject(msgspec.Struct):
    """What went wrong. OpenRouter's code is a number."""

    message: str = ""
    type: str | None = None
    code: str | int | None = None


class ErrorAnswer(msgspec.Struct):
    """The body of an error: under ``error`` from most, flat from Mistral, a plain text from some."""

    error: ErrorObject | str | None = None
    message: str | list[Any] | dict[str, Any] | None = None
    detail: Any = None


_error = msgspec.json.Decoder(ErrorAnswer).decode


def error_message(body: bytes, *, status: int) -> str:
    """Return what the body of an error says; its size only where it can't be read: the text may be anybody's."""
    try:
        answer = _error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f"The provider answered with status {status} and {len(body)} bytes that can't be read."
    if isinstance(answer.error, ErrorObject) and answer.error.message:
        return answer.error.message
    for said in (answer.error, answer.message, answer.detail):
        if isinstance(said, str) and said:
            return said
        if isinstance(said, list | dict) and said:
            return msgspec.json.encode(said).decode()
    return f"The provider answered with status {status}."
