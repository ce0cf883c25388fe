"""Anthropic: its own dialect passes unchanged, OpenAI's is translated.

Source: Anthropic's "Messages", "List models", "Errors" and "Versions". The version sent is the one that still takes
sampling parameters, for the models that do.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from llm.errors import GatewayError, InvalidRequest, UpstreamUnavailable, openai_body
from llm.providers import by_chat
from llm.providers.base import Outgoing, Prepared, Target
from llm.relays.messages import MessagesRelay
from llm.requests import ChatRequest, MessagesRequest, Request, ResponsesRequest
from llm.sse import Events, EventTooLong, data_of
from llm.translate import chat as dialect
from llm.translate.chat_to_messages import dropped_fields, to_messages
from llm.translate.compatible import ALL
from llm.translate.messages import Answer, ErrorAnswer, ErrorObject, Event, Models
from llm.translate.messages_stream_to_chat import Chunks
from llm.translate.messages_to_chat import texts, to_completion, to_error, to_models
from llm.translate.usage import from_messages
from metering.usage import Usage

VERSION: Final = "2023-06-01"
_OK: Final = 200
_MOST_MODELS: Final = 1_000

_encode: Final = msgspec.json.Encoder().encode
_answer: Final = msgspec.json.Decoder(Answer)
_event: Final = msgspec.json.Decoder(Event)
_error: Final = msgspec.json.Decoder(ErrorAnswer)
_models: Final = msgspec.json.Decoder(Models)
_Unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Anthropic:
    """Speaks to Anthropic's API, or to a server that answers as it does."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        """Stamp answers with ``now`` (seconds since 1970, UTC): Anthropic's have no time of their own."""
        self._now = now

    def prepare(self, request: Request, target: Target) -> Prepared:
        """Build what to send for a request of any dialect.

        Raises:
            llm.errors.InvalidRequest: for what Anthropic can't be asked; names the field.
        """
        match request:
            case ChatRequest():
                chat = dialect.read(request.body)
                body = _encode(to_messages(chat, model=request.model))
                outgoing = Outgoing(url=f"{target.base_url}/v1/messages", headers=_headers(target), body=body)
                relay = AnthropicRelay(created=int(self._now()), wants_usage=request.wants_usage)
                return Prepared(outgoing, relay, dropped_fields(chat, model=request.model))
            case MessagesRequest():
                return Prepared(_own(request, target, "messages"), MessagesRelay(request_id=request.id))
            case ResponsesRequest():
                return by_chat.responses(request, target, provider=self, accepts=ALL)
        raise InvalidRequest("Anthropic has no such thing. Use an agent on another provider for it.")

    def count_tokens(self, request: MessagesRequest, target: Target) -> Outgoing:
        """See :meth:`llm.providers.base.Provider.count_tokens`."""
        return _own(request, target, "messages/count_tokens")

    def models(self, target: Target) -> Outgoing:
        """Build the request that lists the models of the target's key."""
        return Outgoing(url=f"{target.base_url}/v1/models?limit={_MOST_MODELS}", headers=_headers(target))

    def models_body(self, status: int, body: bytes) -> bytes:
        """Return the list of models (or the error) in OpenAI's form."""
        if status != _OK:
            return _error_body(status, body)
        try:
            return _encode(to_models(_models.decode(body)))
        except _Unreadable:
            return _unreadable_body(status, body)


class AnthropicRelay:
    """One answer on its way back, its bytes turned into OpenAI's. See :class:`llm.providers.base.Relay`."""

    cost: Decimal | None = None

    def __init__(self, *, created: int, wants_usage: bool) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.complete = False
        self.failed = False
        self._created = created
        self._chunks = Chunks(created=created, wants_usage=wants_usage)
        self.output = self._chunks.output
        self._events = Events()

    def whole(self, status: int, body: bytes) -> bytes:
        """Return the caller's body for the provider's whole one."""
        if status != _OK:
            return _error_body(status, body)
        try:
            answer = _answer.decode(body)
        except _Unreadable:
            raise UpstreamUnavailable("The provider's answer can't be read as one. Try again.") from None
        self.usage = from_messages(answer.usage) if answer.usage else None
        for text in texts(answer):
            self.output.add(text)
        self.model = answer.model
        self.complete = True
        return _encode(to_completion(answer, created=self._created))

    def feed(self, data: bytes) -> bytes:
        """Take some bytes of a stream; return the chunks that are whole now.

        What can't be read ends the stream with an error event, as an ``error`` of the provider's own does.
        """
        try:
            events = self._events.feed(data)
        except EventTooLong:
            return self._fail("The provider sent an event without end.")
        return b"".join([self._translated(event) for event in events])

    def finish(self) -> bytes:
        """Return what ends the stream: the usage where it is wanted and ``[DONE]``, nothing for one that was cut."""
        try:
            # The last event may lack its empty line; one that lacks more was cut.
            last = self._take(self._events.rest())
        except _Unreadable:
            last = b""
        return last + self._chunks.end()

    def broken_off(self, error: GatewayError) -> bytes:
        """Return the event that tells a caller in mid-stream; nothing where an error was told already."""
        return b"" if self.failed else b"data: " + openai_body(error) + b"\n\n"

    def _translated(self, event: bytes) -> bytes:
        try:
            return self._take(event)
        except _Unreadable:
            return self._fail("The provider sent an event that can't be read.")

    def _take(self, event: bytes) -> bytes:
        data = data_of(event)
        return self._told(_event.decode(data)) if data else b""

    def _fail(self, message: str) -> bytes:
        return self._told(Event(type="error", error=ErrorObject(message)))

    def _told(self, event: Event) -> bytes:
        chunks = self._chunks
        out = chunks.feed(event)
        self.usage = chunks.usage
        self.model, self.complete, self.failed = chunks.model, chunks.complete, chunks.failed
        return out


def _own(request: MessagesRequest, target: Target, path: str) -> Outgoing:
    """Return a request of Anthropic's dialect, as the caller sent it."""
    headers = _headers(target) | request.forwarded
    return Outgoing(url=f"{target.base_url}/v1/{path}", headers=headers, body=request.with_model())


def _headers(target: Target) -> dict[str, str]:
    return {
        "x-api-key": target.key.reveal(),
        "anthropic-version": VERSION,
        "content-type": "application/json",
    }


def _error_body(status: int, body: bytes) -> bytes:
    try:
        return _encode(to_error(_error.decode(body).error))
    except _Unreadable:
        return _unreadable_body(status, body)


def _unreadable_body(status: int, body: bytes) -> bytes:
    """Return an error that says what came, in sizes only: its text may be anybody's."""
    message = f"The provider answered with status {status} and {len(body)} bytes that can't be read as its answer."
    return _encode(to_error(ErrorObject(message)))
