"""What a provider's adapter does: build the request to send, and read the answer that comes back.

An adapter does no I/O. Bytes go in and come out, so that a test needs no server.
"""

from decimal import Decimal
from typing import Any, Protocol

import msgspec

from agents.crypto import Secret
from metering.usage import Usage


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: a provider, its address, and the key to show there."""

    provider: str
    model: str
    base_url: str
    key: Secret


class StreamOptions(msgspec.Struct, frozen=True):
    """The one streaming option that concerns us."""

    include_usage: bool | None = None


class ChatFields(msgspec.Struct, frozen=True):
    """The fields of a chat completion request that the gateway itself reads."""

    messages: list[msgspec.Raw]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion request as it came: its bytes, and what we read of them."""

    body: bytes
    fields: ChatFields

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.fields.stream)

    @property
    def wants_usage(self) -> bool:
        """Whether the caller asked for the usage chunk at the end of a stream."""
        return bool(self.fields.stream_options and self.fields.stream_options.include_usage)

    def decoded(self) -> dict[str, Any]:
        """Return the whole body as Python values, for translation."""
        value: dict[str, Any] = msgspec.json.decode(self.body)
        return value


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send to a provider. Its headers carry the key: it has no business in a log."""

    url: str
    headers: dict[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Outgoing({self.url})"


class Relay(Protocol):
    """One answer on its way back: turns the provider's bytes into the caller's, and reads the usage off them.

    ``usage`` is what the provider reported (None until it did), ``cost`` what it said it charged (USD; only
    OpenRouter says). ``text_bytes`` counts the UTF-8 bytes of output text so far (reasoning and tool arguments
    included), to estimate from when a stream is cut. ``model`` is the model as the provider names it ("" until
    known). ``complete`` tells whether a stream came to its proper end.
    """

    usage: Usage | None
    cost: Decimal | None
    text_bytes: int
    model: str
    complete: bool

    def whole(self, status: int, body: bytes) -> bytes:
        """Return the caller's body for the provider's whole one (any status)."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take some bytes of a stream; return those that can go to the caller now (often all, maybe none).

        The event that ends the stream (``[DONE]``) is held back for :meth:`finish`.
        """
        ...

    def finish(self) -> bytes:
        """The provider's stream is over: return what was held back, the end included."""
        ...


class Provider(Protocol):
    """One way of speaking to providers."""

    def chat(self, request: ChatRequest, target: Target) -> Outgoing:
        """Build the request to send.

        Raises:
            llm.errors.InvalidRequest: for what this provider can't be asked; names the field.
        """
        ...

    def relay(self, request: ChatRequest) -> Relay:
        """Return a fresh reader for the answer to ``request``."""
        ...

    def models(self, target: Target) -> Outgoing:
        """Build the request that lists the models of the target's key."""
        ...

    def models_body(self, status: int, body: bytes) -> bytes:
        """Return the list of models (or the error) in OpenAI's form."""
        ...
