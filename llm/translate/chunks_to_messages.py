"""A streamed chat completion as Anthropic's events, chunk by chunk.

Source: Anthropic's "Streaming messages". There is one open block at a time: thinking, text, or a tool's call. A
provider that mixes the pieces of several calls has the later ones held back until the first is whole.
"""

from typing import Any, Final

import msgspec

from llm.translate.completion import Completion, Function, Message, ToolCall
from llm.translate.completion_to_messages import head, tool_use
from llm.translate.reasons import stop_reason
from llm.translate.usage import to_messages
from metering.usage import Usage

Fields = dict[str, Any]

_encode: Final = msgspec.json.Encoder().encode


def event(kind: str, **fields: Any) -> bytes:
    """Return an event of a stream."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"


class Events:
    """Turns the chunks of one stream into events."""

    def __init__(self, *, estimated: int) -> None:
        """Begin a stream. ``estimated`` is the input (tokens) until the provider reports it, which is at the end."""
        self._estimated = estimated
        self._begun = False
        self._open: str | None = None
        self._index = -1
        self._refused = False
        self._finish_reason: str | None = None
        # Calls by the order in which they came up: the provider's numbers for them, and those that had their block.
        self._calls: list[ToolCall] = []
        self._numbers: dict[int | None, int] = {}
        self._shown: list[int] = []
        self._arguments: list[str] = []
        self._waiting: dict[int, list[str]] = {}

    def feed(self, chunk: Completion) -> bytes:
        """Return the events that ``chunk`` becomes."""
        out = b"" if self._begun else self._begins(chunk)
        for choice in chunk.choices[:1]:
            if choice.delta:
                out += self._delta(choice.delta)
            self._finish_reason = choice.finish_reason or self._finish_reason
        return out

    def end(self, usage: Usage) -> bytes:
        """Return what ends the stream: the open block's end, why it stopped, and what was used."""
        out = b"" if self._begun else self._begins(Completion())
        out += self._closes()
        for call in sorted(self._waiting):
            out += self._opens_call(call) + self._closes()
        reason = "refusal" if self._refused else stop_reason(self._finish_reason, called=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": None}
        return out + event("message_delta", delta=delta, usage=to_messages(usage)) + event("message_stop")

    def _begins(self, chunk: Completion) -> bytes:
        self._begun = True
        usage = to_messages(Usage(input=self._estimated))
        return event("message_start", message=head(chunk) | {"usage": usage})

    def _delta(self, delta: Message) -> bytes:
        out = b""
        if thought := delta.thought:
            out += self._in("thinking", {"thinking": "", "signature": ""})
            out += self._adds({"type": "thinking_delta", "thinking": thought})
        for text in (delta.said, delta.refusal):
            if text:
                out += self._in("text", {"text": ""}) + self._adds({"type": "text_delta", "text": text})
        self._refused = self._refused or bool(delta.refusal)
        for call in delta.tool_calls or ():
            out += self._called(call)
        return out

    def _called(self, call: ToolCall) -> bytes:
        """Return what a piece of a tool's call becomes."""
        number = self._number(call)
        arguments = (call.function or Function()).arguments or ""
        if self._open == "tool_use":
            if number == self._shown[-1]:
                return self._input(arguments)
            if not self._is_whole():
                self._waiting.setdefault(number, []).append(arguments)
                return b""
        if number in self._shown:
            return b""  # more of a call that was whole
        self._waiting.setdefault(number, []).append(arguments)
        return self._closes() + self._opens_call(number)

    def _number(self, call: ToolCall) -> int:
        """Return which call it's a piece of: some servers don't number them, or give each the same number."""
        number = self._numbers.get(call.index)
        if number is None or (call.id and call.id != self._calls[number].id):
            number = self._numbers[call.index] = len(self._calls)
            self._calls.append(call)
        return number

    def _opens_call(self, number: int) -> bytes:
        self._shown.append(number)
        self._arguments.clear()
        opened = self._opens(tool_use(self._calls[number], number=number))
        return opened + self._input("".join(self._waiting.pop(number)))

    def _input(self, arguments: str) -> bytes:
        if not arguments:
            return b""
        self._arguments.append(arguments)
        return self._adds({"type": "input_json_delta", "partial_json": arguments})

    def _is_whole(self) -> bool:
        """Whether the arguments of the open call are all there."""
        try:
            msgspec.json.decode("".join(self._arguments))
        except (msgspec.MsgspecError, RecursionError):
            return False
        return True

    def _in(self, kind: str, block: Fields) -> bytes:
        """Return what makes a block of this kind the open one."""
        return b"" if self._open == kind else self._closes() + self._opens({"type": kind, **block})

    def _opens(self, block: Fields) -> bytes:
        self._open = block["type"]
        self._index += 1
        return event("content_block_start", index=self._index, content_block=block)

    def _adds(self, delta: Fields) -> bytes:
        return event("content_block_delta", index=self._index, delta=delta)

    def _closes(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return event("content_block_stop", index=self._index)
