"""A streamed chat completion as Anthropic's events, chunk by chunk.

Source: Anthropic's "Streaming messages". There is one open block at a time: thinking, text, or a tool's call.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from llm.translate.completion import Completion, ToolCall
from llm.translate.completion_to_messages import head, tool_use
from llm.translate.reasons import stop_reason
from llm.translate.steps import Step, Steps
from llm.translate.usage import to_messages
from metering.usage import Usage

Fields = dict[str, Any]

_encode: Final = msgspec.json.Encoder().encode


class Events:
    """Turns the chunks of one stream into events."""

    def __init__(self, *, estimated: int) -> None:
        """Begin a stream. ``estimated`` is the input (tokens) until the provider reports it, which is at the end."""
        self._estimated = estimated
        self._steps = Steps()
        self._begun = False
        self._open: str | None = None
        self._index = -1
        self._calls = 0

    def feed(self, chunk: Completion) -> bytes:
        """Return the events that ``chunk`` becomes."""
        return self._begins(chunk) + self._taken(self._steps.feed(chunk))

    def end(self, usage: Usage) -> bytes:
        """Return what ends the stream: the open block's end, why it stopped, and what was used."""
        out = self._begins(Completion()) + self._taken(self._steps.rest()) + self._closes()
        steps = self._steps
        reason = "refusal" if steps.refused else stop_reason(steps.finish_reason, called=steps.called)
        delta = {"stop_reason": reason, "stop_sequence": None}
        return out + _event("message_delta", delta=delta, usage=to_messages(usage)) + _event("message_stop")

    def _begins(self, chunk: Completion) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        usage = to_messages(Usage(input=self._estimated))
        return _event("message_start", message=head(chunk) | {"usage": usage})

    def _taken(self, steps: Iterable[Step]) -> bytes:
        return b"".join([self._step(step) for step in steps])

    def _step(self, step: Step) -> bytes:
        match step.kind:
            case "thought":
                begun = self._in("thinking", {"thinking": "", "signature": ""})
                return begun + self._adds({"type": "thinking_delta", "thinking": step.text})
            case "called":
                return self._closes() + self._calls_tool(step.call or ToolCall())
            case "arguments":
                return self._adds({"type": "input_json_delta", "partial_json": step.text})
        return self._in("text", {"text": ""}) + self._adds({"type": "text_delta", "text": step.text})

    def _calls_tool(self, call: ToolCall) -> bytes:
        self._calls += 1
        return self._opens(tool_use(call, number=self._calls - 1))

    def _in(self, kind: str, block: Fields) -> bytes:
        """Return what makes a block of this kind the open one."""
        return b"" if self._open == kind else self._closes() + self._opens({"type": kind, **block})

    def _opens(self, block: Fields) -> bytes:
        self._open = block["type"]
        self._index += 1
        return _event("content_block_start", index=self._index, content_block=block)

    def _adds(self, delta: Fields) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _closes(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._index)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"
