"""Anthropic's streamed events as OpenAI's chunks, one by one as they come.

Sources: Anthropic's "Streaming messages", OpenAI's "The chat completion chunk object".
"""

from typing import Any, Final

import msgspec

from llm.tokens import Output
from llm.translate.chat_tools import ANSWER_TOOL
from llm.translate.messages import Block, Delta, Event
from llm.translate.messages_to_chat import ended, refusal, thinking_block, to_error
from llm.translate.usage import MessagesUsage, from_messages, later, to_chat
from metering.usage import Usage

DONE: Final = b"data: [DONE]\n\n"

_encode: Final = msgspec.json.Encoder().encode


class _Open:
    """A content block that has begun: what kind it is, and what is needed at its end."""

    __slots__ = ("arguments", "block", "number", "signature", "thinking")

    def __init__(self, block: Block, *, number: int) -> None:
        self.block = block
        self.number = number
        self.arguments = False
        self.thinking = [block.thinking] if block.thinking else []
        self.signature = block.signature


class Chunks:
    """Turns the events of one stream into chunks, and keeps what they say of the answer.

    ``usage`` has the input as soon as the stream begins, and the output once it is reported, which is at the end.
    ``failed`` is set by an error in mid-stream: nothing comes after it.
    """

    def __init__(self, *, created: int, wants_usage: bool) -> None:
        """Begin a stream. ``created`` is in seconds since 1970, UTC; ``wants_usage`` adds the chunk that tells it."""
        self.usage: Usage | None = None
        self.model = ""
        self.output = Output()
        self.complete = False
        self.failed = False
        self._created = created
        self._wants_usage = wants_usage
        self._before = self._envelope("")
        # With include_usage every chunk says so: null until the last.
        self._after = b',"usage":null}\n\n' if wants_usage else b"}\n\n"
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._thoughts = 0
        self._finished = False

    def feed(self, event: Event) -> bytes:
        """Return the chunks that ``event`` becomes: none for most that only begin or end something."""
        if self.failed or self.complete:
            return b""
        if event.type == "content_block_delta" and event.delta:
            return self._delta(event.delta, self._open.get(event.index))
        if event.type == "content_block_start" and event.content_block:
            return self._block_begins(event.content_block, event.index)
        if event.type == "content_block_stop":
            return self._block_ends(self._open.pop(event.index, None))
        return self._message_event(event)

    def end(self) -> bytes:
        """Return what closes a complete stream: the usage where it is wanted, and ``[DONE]``; nothing for a cut one."""
        if not self.complete:
            return b""
        if not (self._wants_usage and self.usage):
            return DONE
        return self._before + b'[],"usage":' + _encode(to_chat(self.usage)) + b"}\n\n" + DONE

    def _message_event(self, event: Event) -> bytes:
        if event.type == "message_start" and event.message:
            self.model = event.message.model
            self._count(event.message.usage, output=False)
            self._before = self._envelope(event.message.id)
            return self._chunk({"role": "assistant", "content": "", "refusal": None})
        if event.type == "message_delta":
            self._count(event.usage, output=True)
            return self._ends(event.delta or Delta())
        if event.type == "message_stop":
            self.complete = True
            return self._ends(Delta(stop_reason="end_turn"))
        if event.type == "error" and event.error:
            self.failed = True
            return b"data: " + _encode(to_error(event.error)) + b"\n\n"
        return b""

    def _envelope(self, answer_id: str) -> bytes:
        """Return the beginning that all chunks of the stream share, up to their choices."""
        shared = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.model,
        }
        return b"data: " + _encode(shared)[:-1] + b',"choices":'

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._before + _encode([choice]) + self._after

    def _count(self, reported: MessagesUsage | None, *, output: bool) -> None:
        """Take a report of usage. The output in the first is a placeholder, and isn't taken."""
        if reported is None:
            return
        if not output:
            reported = msgspec.structs.replace(reported, output_tokens=0)
        self.usage = later(self.usage, reported) if self.usage else from_messages(reported)

    def _ends(self, delta: Delta) -> bytes:
        """Return the chunk with the finish reason, once; a refusal in words goes before it."""
        if self._finished or delta.stop_reason is None:
            return b""
        self._finished = True
        words = refusal(delta.stop_details)
        said = self._chunk({"refusal": words}) if words else b""
        return said + self._chunk({}, ended(delta.stop_reason, called=self._calls > 0))

    def _block_begins(self, block: Block, index: int) -> bytes:
        is_call = block.type == "tool_use" and block.name != ANSWER_TOOL
        opened = self._open[index] = _Open(block, number=self._calls if is_call else self._thoughts)
        if is_call:
            self._calls += 1
            function = {"name": block.name, "arguments": ""}
            call = {"index": opened.number, "id": block.id, "type": "function", "function": function}
            return self._chunk({"tool_calls": [call]})
        if block.type in ("thinking", "redacted_thinking"):
            self._thoughts += 1
            return self._thought(block.thinking) if block.thinking else b""
        return self._text(block.text) if block.type == "text" and block.text else b""

    def _delta(self, delta: Delta, opened: _Open | None) -> bytes:
        if delta.type == "text_delta" and delta.text:
            return self._text(delta.text)
        if opened is None:
            return b""
        if delta.type == "input_json_delta" and delta.partial_json:
            return self._arguments(delta.partial_json, opened)
        if delta.type == "thinking_delta" and delta.thinking:
            opened.thinking.append(delta.thinking)
            return self._thought(delta.thinking)
        if delta.type == "signature_delta":
            opened.signature += delta.signature
        return b""

    def _block_ends(self, opened: _Open | None) -> bytes:
        """Return what only the end of a block settles: arguments that never came, thinking with its signature."""
        if opened is None:
            return b""
        if opened.block.type == "tool_use" and not opened.arguments:
            return self._arguments(bytes(opened.block.input).decode(), opened)
        whole = msgspec.structs.replace(opened.block, thinking="".join(opened.thinking), signature=opened.signature)
        thought = thinking_block(whole, index=opened.number)
        return self._chunk({"thinking_blocks": [thought]}) if thought else b""

    def _text(self, text: str) -> bytes:
        self.output.add(text)
        return self._chunk({"content": text})

    def _thought(self, thinking: str) -> bytes:
        self.output.add(thinking)
        return self._chunk({"reasoning_content": thinking})

    def _arguments(self, arguments: str, opened: _Open) -> bytes:
        opened.arguments = True
        if opened.block.type != "tool_use":
            return b""
        if opened.block.name == ANSWER_TOOL:
            return self._text(arguments)
        self.output.add(arguments)
        return self._chunk({"tool_calls": [{"index": opened.number, "function": {"arguments": arguments}}]})
