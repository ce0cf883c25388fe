"""Anthropic's messages, passed on. Source: Anthropic's "Messages", "Streaming messages" and "Errors"."""

from typing import Final

import msgspec

from llm import sse
from llm.errors import GatewayError, anthropic_body
from llm.relays.passing import Passing
from llm.translate.messages import Answer, Event
from llm.translate.messages_to_chat import texts
from llm.translate.usage import MessagesUsage, from_messages, later

STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_answer: Final = msgspec.json.Decoder(Answer).decode
_event: Final = msgspec.json.Decoder(Event).decode
_Unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class MessagesRelay(Passing):
    """An answer of Anthropic's. ``request_id`` goes into what we have to tell of errors."""

    __slots__ = ("_request_id",)

    def __init__(self, *, request_id: str) -> None:
        super().__init__()
        self._request_id = request_id

    def _read_whole(self, body: bytes) -> bool:
        try:
            answer = _answer(body)
        except _Unreadable:
            return False
        self.model = answer.model
        for text in texts(answer):
            self.output.add(text)
        self.usage = from_messages(answer.usage) if answer.usage else None
        return answer.stop_reason is not None

    def _passes(self, event: bytes) -> bool:
        data = sse.data_of(event)
        if not data:
            return True
        try:
            found = _event(data)
        except _Unreadable:
            return True
        if found.type == "message_stop":
            self._held = event
            return False
        self._take(found)
        return True

    def _take(self, event: Event) -> None:
        delta = event.delta
        if event.type == "content_block_delta" and delta:
            self.output.add(delta.text or delta.thinking or delta.partial_json)
        elif event.type == "message_start" and event.message:
            self.model = event.message.model
            self._count(event.message.usage, output=False)
        elif event.type == "message_delta":
            self._count(event.usage, output=True)
            self._finished = self._finished or (delta is not None and delta.stop_reason is not None)
        elif event.type == "error":
            self.failed = self._told = True

    def _count(self, reported: MessagesUsage | None, *, output: bool) -> None:
        """Take a report of usage. The output in the first is a placeholder, and isn't taken."""
        if reported is None:
            return
        if not output:
            reported = msgspec.structs.replace(reported, output_tokens=0)
        self.usage = later(self.usage, reported) if self.usage else from_messages(reported)

    def _end(self) -> bytes:
        return STOP

    def _error_event(self, error: GatewayError) -> bytes:
        return error_event(error, request_id=self._request_id)


def error_event(error: GatewayError, *, request_id: str) -> bytes:
    """Return the event that tells of an error in mid-stream; Anthropic's SDKs raise it."""
    return b"event: error\ndata: " + anthropic_body(error, request_id=request_id) + b"\n\n"
