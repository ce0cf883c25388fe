"""Callers of other dialects, by way of chat completions.

Their request becomes a chat completion request, which the provider's adapter sends in its own way; and whatever comes
back, the adapter's relay makes chat completions of it and reads the usage. A teller says the same in the caller's
dialect.
"""

from decimal import Decimal
from typing import Final, Protocol

import msgspec

from llm import sse, tokens
from llm.errors import GatewayError, InvalidRequest, UpstreamUnavailable
from llm.providers.base import Prepared, Provider, Relay, Target
from llm.requests import ChatRequest, MessagesRequest, Request, ResponsesRequest
from llm.translate import messages_request, messages_request_to_chat, responses_request, responses_request_to_chat
from llm.translate.compatible import Accepts
from llm.translate.completion import Completion
from llm.translate.messages_request_to_chat import Translated
from llm.translate.messages_teller import MessagesTeller
from llm.translate.responses_teller import ResponsesTeller
from metering.usage import Usage

OK: Final = 200

_decode: Final = msgspec.json.Decoder(Completion).decode
_Unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Teller(Protocol):
    """Says chat completions in another dialect."""

    def whole(self, completion: Completion, usage: Usage) -> bytes:
        """Return the body of an answer."""
        ...

    def error(self, body: bytes, *, status: int) -> bytes:
        """Return the body of an error."""
        ...

    def chunk(self, chunk: Completion) -> bytes:
        """Return the events that a chunk becomes."""
        ...

    def end(self, usage: Usage) -> bytes:
        """Return the events that end a stream."""
        ...

    def broken_off(self, error: GatewayError) -> bytes:
        """Return the event that tells of an error in mid-stream."""
        ...


def messages(request: MessagesRequest, target: Target, *, provider: Provider, accepts: Accepts) -> Prepared:
    """Build what to send for a request in Anthropic's dialect, to a provider that ``accepts`` so much.

    Raises:
        llm.errors.InvalidRequest: for what this provider can't be asked; names the field.
    """
    asked = messages_request.read(request.body)
    translated = messages_request_to_chat.to_chat(asked, model=request.model, accepts=accepts)
    teller = MessagesTeller(request_id=request.id, body=request.body)
    return _prepared(request, target, provider=provider, translated=translated, teller=teller)


def responses(request: ResponsesRequest, target: Target, *, provider: Provider, accepts: Accepts) -> Prepared:
    """Build what to send for a response, to a provider that ``accepts`` so much.

    Raises:
        llm.errors.InvalidRequest: for what this provider can't be asked; names the field.
    """
    asked = responses_request.read(request.body)
    translated = responses_request_to_chat.to_chat(asked, model=request.model, accepts=accepts)
    teller = ResponsesTeller(asked, request_id=request.id)
    return _prepared(request, target, provider=provider, translated=translated, teller=teller)


def _prepared(
    request: Request, target: Target, *, provider: Provider, translated: Translated, teller: Teller
) -> Prepared:
    chat = ChatRequest(
        id=request.id,
        body=msgspec.json.encode(translated.fields),
        model=request.model,
        names_model=True,
        stream=request.stream,
        wants_usage=request.stream,
    )
    try:
        inner = provider.prepare(chat, target)
    except InvalidRequest as error:
        error.param = translated.origin(error.param) if error.param else None
        raise
    relay = ByChat(inner.relay, teller, body=request.body)
    return Prepared(inner.outgoing, relay, [*translated.dropped, *map(translated.origin, inner.dropped)])


class ByChat:
    """One answer on its way back, said by a teller. See :class:`llm.providers.base.Relay`.

    ``body`` is the request's, to estimate its tokens where the provider doesn't report them.
    """

    def __init__(self, inner: Relay, teller: Teller, *, body: bytes) -> None:
        self.failed = False
        self.output = inner.output
        self._inner = inner
        self._teller = teller
        self._body = body
        self._events = sse.Events()
        self._told = False

    @property
    def usage(self) -> Usage | None:
        """What the provider reported."""
        return self._inner.usage

    @property
    def cost(self) -> Decimal | None:
        """What the provider said it charged, in USD."""
        return self._inner.cost

    @property
    def model(self) -> str:
        """The model as the provider names it."""
        return self._inner.model

    @property
    def complete(self) -> bool:
        """Whether it is a good answer, come to its proper end."""
        return self._inner.complete and not self.failed

    def whole(self, status: int, body: bytes) -> bytes:
        """See :meth:`llm.providers.base.Relay.whole`."""
        body = self._inner.whole(status, body)
        if status != OK:
            return self._teller.error(body, status=status)
        if not self._inner.complete:
            raise UpstreamUnavailable("The provider's answer can't be read as one. Try again.")
        return self._teller.whole(_decode(body), self._counted())

    def feed(self, data: bytes) -> bytes:
        """See :meth:`llm.providers.base.Relay.feed`."""
        out = self._told_of(self._inner.feed(data))
        self.failed = self.failed or self._inner.failed
        return out

    def finish(self) -> bytes:
        """See :meth:`llm.providers.base.Relay.finish`."""
        out = self._told_of(self._inner.finish())
        return out + self._teller.end(self._counted()) if self.complete else out

    def broken_off(self, error: GatewayError) -> bytes:
        """See :meth:`llm.providers.base.Relay.broken_off`."""
        return b"" if self._told else self._teller.broken_off(error)

    def _told_of(self, chunks: bytes) -> bytes:
        out = [] if self.failed else [self._event(sse.data_of(event)) for event in self._events.feed(chunks)]
        return b"".join(out)

    def _event(self, data: bytes) -> bytes:
        if not data or self._told or data == b"[DONE]":
            return b""
        try:
            chunk = _decode(data)
        except _Unreadable:
            self.failed = True
            return b""
        if chunk.error is None:
            return self._teller.chunk(chunk)
        self.failed = self._told = True
        return self._teller.broken_off(UpstreamUnavailable(_message(chunk.error)))

    def _counted(self) -> Usage:
        """Return what was used, as far as anybody knows."""
        return self.usage or Usage(input=tokens.prompt(self._body), output=self.output.tokens)


def _message(error: object) -> str:
    """Return what a provider's error in mid-stream says."""
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) and said else "The provider told of an error. What came until here is all."
