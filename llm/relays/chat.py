"""OpenAI's chat completions, passed on. Source: OpenAI's "The chat completion object" and "… chunk object"."""

from typing import Final

import msgspec

from llm import sse
from llm.errors import GatewayError, openai_body
from llm.relays.passing import Passing
from llm.translate.completion import Completion

DONE: Final = b"data: [DONE]\n\n"


_decode: Final = msgspec.json.Decoder(Completion).decode


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
        if chunk.error is not None:
            self.failed = self._told = True
        return not (self._hide_usage and chunk.usage is not None and not chunk.choices)

    def _end(self) -> bytes:
        return DONE

    def _error_event(self, error: GatewayError) -> bytes:
        return b"data: " + openai_body(error) + b"\n\n"

    def _read(self, data: bytes) -> Completion | None:
        """Take usage and model from a body or chunk; None for what we can't read."""
        try:
            found = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        self.model = found.model or self.model
        usage = found.reported
        if usage:
            self.usage = usage.disjoint()
            self.cost = usage.cost if usage.cost is not None else self.cost
        for choice in found.choices:
            message = choice.delta or choice.message
            for text in message.texts() if message else ():
                self.output.add(text)
            self._finished = self._finished or choice.finish_reason is not None
        return found
